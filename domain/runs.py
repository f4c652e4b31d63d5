"""The runs of a task that are not closed, and when the task next wants attention."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import lru_cache
from hashlib import blake2b
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol, TypeVar
from uuid import UUID

from domain.definition import OverlapPolicy
from domain.destination import DeliveryOutcome, DeliveryStatus, place_of
from domain.event import Utc
from domain.task_kinds import TaskStatus

__all__ = ["Attempt", "Open", "OpenRun", "TaskStatus", "attention_at", "run_id", "startable"]

InstantT = TypeVar("InstantT", datetime, int)
InstantT_co = TypeVar("InstantT_co", datetime, int, covariant=True)
OpenT = TypeVar("OpenT", bound="Open[Any]")


def run_id(task_id: UUID, slot: datetime | None, request: str | None = None) -> str:
    """The id of a run, made from the task and the slot (or request), so that a retry has the same.

    24 hexadecimal digits for a slot: its second, then a hash. Ids that grow with time keep what stores index by them
    in order, and a burst does not touch a page for each of its runs. 20 digits of hash for a request.
    """
    if slot is None:
        return blake2b(task_id.bytes + f"#{request}".encode(), digest_size=10).hexdigest()
    second, hashed = _of_slot(slot.timestamp())
    return second + blake2b(task_id.bytes + hashed, digest_size=8).hexdigest()


@lru_cache(maxsize=256)
def _of_slot(at: float) -> tuple[str, bytes]:
    """What the ids of all runs of a slot have in common: how they begin, and what is hashed behind the task's."""
    return f"{int(at):08x}", b"@%.6f" % at


class OpenRun(NamedTuple):
    """A run that is not closed: running (it has an owner) or waiting (it has ``due_at``).

    ``sending`` are destinations whose delivery was about to begin, ``unknown`` those of which an earlier attempt could
    not tell whether they have the result; ``sent_at`` is when the first of them was sent. ``until`` is the past slot
    that a backfill stands for. ``postponed`` counts the attempts that sent nothing, as the hosts were left alone.
    ``begun_at`` is when the first attempt started, ``started_at`` when the last one did.
    ``not_before`` tells of destinations (keys) that asked to wait for longer than the next attempt does, until when.
    """

    run: str
    slot: Utc | None = None
    request: str | None = None
    attempt: int = 0
    owner: str | None = None
    begun_at: Utc | None = None
    started_at: Utc | None = None
    deadline: Utc | None = None
    since: Utc | None = None
    until: Utc | None = None
    due_at: Utc | None = None
    failures: int = 0
    crashes: int = 0
    postponed: int = 0
    delivered: tuple[str, ...] = ()
    sending: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    sent_at: Utc | None = None
    not_before: dict[str, Utc] = {}  # noqa: RUF012  # never changed in place

    @property
    def manual(self) -> bool:
        """Whether somebody asked for it, so that it has no slot."""
        return self.slot is None

    def waiting(self, due_at: datetime, outcomes: Iterable[DeliveryOutcome], **changes: Any) -> OpenRun:
        """This run without an owner, to be started again at ``due_at``, after these outcomes.

        What was about to be sent and has no outcome may have arrived.
        """
        outcomes = tuple(outcomes)
        told = {outcome.destination: outcome.status for outcome in outcomes}
        asked = self.not_before | {place_of(o.destination): o.not_before for o in outcomes if o.not_before is not None}
        delivered = dict.fromkeys((*self.delivered, *(k for k, v in told.items() if v is DeliveryStatus.DELIVERED)))
        doubtful = (*self.unknown, *(k for k in self.sending if k not in told), *_unknown_of(told))
        state: dict[str, Any] = {
            "owner": None,
            "deadline": None,
            "due_at": due_at,
            "delivered": tuple(delivered),
            "sending": (),
            "unknown": tuple(key for key in dict.fromkeys(doubtful) if key not in delivered),
            "not_before": {key: at for key, at in asked.items() if at > due_at},
        }
        return self._replace(**{**state, **changes})

    def arrived(self, names: Iterable[str]) -> OpenRun:
        """This run, when it is learned late that these deliveries arrived."""
        delivered = tuple(dict.fromkeys((*self.delivered, *names)))
        sending, unknown = (tuple(k for k in keys if k not in delivered) for keys in (self.sending, self.unknown))
        return self._replace(delivered=delivered, sending=sending, unknown=unknown)


def _unknown_of(told: Mapping[str, DeliveryStatus]) -> list[str]:
    return [key for key, status in told.items() if status is DeliveryStatus.UNKNOWN]


class Attempt(NamedTuple):
    """One claimed try of a run: what its owner needs to do it. ``gives_up`` names runs to be stopped for it.

    ``delivered`` are destinations that have the result, ``unknown`` those that may have it since ``sent_at``;
    ``not_before`` tells which are to be left alone, and until when; ``begun_at`` is when the first try started.
    """

    run: str
    attempt: int
    owner: str
    slot: datetime | None
    request: str | None
    started_at: datetime
    deadline: datetime
    since: datetime
    delivered: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    sent_at: datetime | None = None
    gives_up: tuple[str, ...] = ()
    until: datetime | None = None
    not_before: Mapping[str, datetime] = MappingProxyType({})
    begun_at: datetime | None = None

    @property
    def instant(self) -> datetime:
        """What the run stands for: its slot, the past slot of a backfill, or when it was first started on request.

        Every attempt has the same: a result is named by it, and one that is made again takes the place of the first.
        """
        return self.slot or self.until or self.begun_at or self.started_at


class Open(Protocol[InstantT_co]):
    """What the due time of a task depends on, of one run that is not closed."""

    @property
    def manual(self) -> bool:
        """Whether somebody asked for it."""

    @property
    def due_at(self) -> InstantT_co | None:
        """When it is to be started again; None while it runs."""

    @property
    def until(self) -> InstantT_co | None:
        """The past slot that it stands for, of a backfill."""


def _place(run: Open[Any]) -> Any:
    return run.until


def startable(open_runs: Mapping[str, OpenT]) -> list[OpenT]:
    """The waiting runs that nothing of the task holds back: the runs of a backfill go one after the other."""
    waiting = [run for run in open_runs.values() if run.due_at is not None]
    queue = [run for run in open_runs.values() if run.until is not None] if waiting else []
    if not queue:
        return waiting
    busy = any(run.due_at is None for run in queue)
    first = None if busy else min(queue, key=_place)
    return [run for run in waiting if run.until is None or run is first]


def attention_at(
    status: TaskStatus,
    next_slot: InstantT | None,
    overlap: OverlapPolicy,
    open_runs: Mapping[str, Open[InstantT]],
    paused_until: InstantT | None,
    buffered_until: InstantT | None = None,
) -> InstantT | None:
    """When a task next wants to be looked at: a slot, a retry, a request, the end of a pause. None: not by itself.

    Slots of a task that buffers them wait silently while a run is open. Instants may be datetimes or numbers.
    """
    active = status is TaskStatus.ACTIVE
    if active and not open_runs:
        return next_slot  # most tasks, most of the time
    instants = [
        run.due_at
        for run in startable(open_runs)
        if run.due_at is not None and (active or (run.manual and not status.ended))
    ]
    if status is TaskStatus.PAUSED and paused_until is not None:
        instants.append(paused_until)
    if active and next_slot is not None:
        waits = overlap.buffers or (buffered_until is not None and next_slot <= buffered_until)
        if not waits or all(run.manual for run in open_runs.values()):
            instants.append(next_slot)
    return min(instants, default=None)
