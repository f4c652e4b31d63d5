"""When processes were up, by their own events, and which custom operations they knew: why a slot was not served."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

from application.evidence import Evidence, local
from application.ports import Recorded
from domain.errors import EventUnreadable
from domain.node import NodeLearned, NodeLost, NodeStarted, NodeStopped

__all__ = ["Known", "Up", "down_at", "unknown_to", "uptime"]

_MOST_NAMED = 5


class Known(NamedTuple):
    """The custom operations that a process knew from ``since`` on, as the event at ``position`` says."""

    since: datetime
    operations: tuple[str, ...]
    position: int


@dataclass(frozen=True, slots=True)
class Up:
    """A time in which a process served; ``until`` is None while nobody says that it ended.

    Of one that was ``lost``, as nobody stopped it, ``until`` is when it was last seen.
    ``known`` are the operations that it knew, one after the other; empty where its events do not say.
    """

    node: str
    since: datetime
    until: datetime | None
    started: int
    ended: int | None = None
    lost: bool = False
    known: tuple[Known, ...] = ()

    @property
    def ending(self) -> str:
        """How it ended, in words."""
        return f"process {self.node} was last seen then: it was lost" if self.lost else f"process {self.node} ended"

    def within(self, since: datetime, end: datetime) -> bool:
        """Whether it was up at ``since``, or after it and before ``end``."""
        return _from(self.since, since, end) and (self.until is None or self.until > since)

    def knew(self, since: datetime, end: datetime) -> Known | None:
        """What it knew right before ``end``, if ``since`` is earlier; else then. None where nobody says that of all."""
        if not self.known or self.known[0].since > max(since, self.since):
            return None
        end = end if self.until is None else min(end, self.until)
        return next((known for known in reversed(self.known) if _from(known.since, since, end)), None)


def _from(at: datetime, since: datetime, end: datetime) -> bool:
    return at <= since or at < end


def uptime(nodes: Iterable[Recorded]) -> list[Up]:
    """When which process was up, by the streams of nodes, the first started first."""
    ups: dict[str, Up] = {}
    for position, event in sorted(nodes, key=lambda one: one.position):
        match event:
            case EventUnreadable():
                continue
            case NodeStarted(operations=operations):
                known = (Known(event.timestamp, operations, position),) if operations is not None else ()
                ups[event.node] = Up(event.node, event.timestamp, None, position, known=known)
            case NodeLearned() if event.node in ups:
                before = ups[event.node]
                learned = Known(event.timestamp, event.operations, position)
                ups[event.node] = replace(before, known=(*before.known, learned))
            case NodeStopped() | NodeLost() if event.node in ups:
                lost = isinstance(event, NodeLost)
                until = event.last_seen if isinstance(event, NodeLost) else event.timestamp
                ups[event.node] = replace(ups[event.node], until=until, ended=position, lost=lost)
    return sorted(ups.values(), key=lambda up: up.since)


def down_at(ups: Sequence[Up], instant: datetime, zone: str) -> tuple[str, tuple[Evidence, ...]] | None:
    """That no process was up at ``instant``, from when to when, and who says so. None: one was up, or nobody knows."""
    if not ups or any(up.since <= instant and (up.until is None or up.until > instant) for up in ups):
        return None
    before = max(
        (up for up in ups if up.until and up.until <= instant), key=lambda up: up.until or instant, default=None
    )
    after = min((up for up in ups if up.since > instant), key=lambda up: up.since, default=None)
    if before and before.until:
        until = f" to {local(after.since, zone)}" if after else ", and none has started since"
        words = f"no process was up from {local(before.until, zone)}{until}"
    else:  # then one started later
        words = "no process was up before the first one started" + (f" at {local(after.since, zone)}" if after else "")
    found = []
    if before is not None:
        found.append(Evidence(before.ended, before.until, before.ending))
    if after is not None:
        found.append(Evidence(after.started, after.since, f"process {after.node} started"))
    return words, tuple(found)


def unknown_to(
    ups: Sequence[Up], operation: str, since: datetime, end: datetime, zone: str
) -> tuple[str, tuple[Evidence, ...]] | None:
    """That no process that was up at ``since``, or after it and before ``end``, knew a custom operation then.

    Who was up, what each knew, and who came to know it. None: one knew it at ``since``, none was up, or nobody knows.
    """
    found = _who_learned(ups, operation, since, end)
    learner, learned = found if found is not None else (None, None)
    if learned is not None and learned.since <= since:
        return None
    end = learned.since if learned is not None else end
    idle = [up for up in ups if up.within(since, end)]
    known = [up.knew(since, end) for up in idle]
    if not idle or any(one is None or operation in one.operations for one in known):
        return None
    told = [_up_words(up, one, zone) for up, one in zip(idle, known, strict=True) if one is not None]
    others = [f"and {len(told) - _MOST_NAMED} others"] if len(told) > _MOST_NAMED else []
    before = f" before {local(learned.since, zone)}" if learned is not None else ""
    named = "; ".join([*told[:_MOST_NAMED], *others])
    words = f"no process that was up knew the operation {operation}{before} [{named}]"
    evidence: list[Evidence] = []
    for up, one in list(zip(idle, known, strict=True))[:_MOST_NAMED]:
        if one is not None:
            evidence.append(Evidence(one.position, one.since, f"process {up.node} knew {_listed(one.operations)}"))
        if up.ended is not None and up.until is not None and up.until < end:
            evidence.append(Evidence(up.ended, up.until, up.ending))
    if learner is not None and learned is not None:
        evidence.append(Evidence(learned.position, learned.since, f"process {learner.node} knew {operation}"))
    return words, tuple(evidence)


def _who_learned(ups: Sequence[Up], operation: str, since: datetime, end: datetime) -> tuple[Up, Known] | None:
    """The first process that knew the operation while it was up at ``since``, or after it and until ``end``."""
    knowing = [
        (up, known)
        for up in ups
        for known, until in zip(up.known, [*(later.since for later in up.known[1:]), up.until], strict=False)
        if operation in known.operations and known.since <= end and (until is None or until > max(since, known.since))
    ]
    return min(knowing, key=lambda one: one[1].since, default=None)


def _up_words(up: Up, known: Known, zone: str) -> str:
    until = f" to {local(up.until, zone)}" if up.until is not None else ""
    return f"{up.node}, up from {local(up.since, zone)}{until}, knew {_listed(known.operations)}"


def _listed(operations: Sequence[str]) -> str:
    shown = ", ".join(operations[:_MOST_NAMED])
    others = f" and {len(operations) - _MOST_NAMED} others" if len(operations) > _MOST_NAMED else ""
    return shown + others if shown else "none"
