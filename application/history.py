"""The past as it was: the exact state of any stream at any instant or position, and what changed between two of them.

State is folded from the events, on from the last state that was kept before. An event that cannot be read ends what can
be known: it is named, and nothing is guessed beyond it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from pydantic_core import to_jsonable_python

from application.past_commands import Command, Commands
from application.ports import SNAPSHOT_EVENTS, Loaded, Log, Recorded
from domain.definition import TaskDefinition
from domain.errors import EventUnreadable
from domain.event import Snapshot, utc
from domain.guild import Guild
from domain.node import node_stream
from domain.task import ScheduledTask
from domain.task_snapshot import snapshot_of
from domain.task_state import STATE_FIELDS

__all__ = [
    "Change",
    "Differing",
    "Moment",
    "Step",
    "TaskThen",
    "Then",
    "difference",
    "fields_of",
    "folded",
    "node_events",
    "state_at",
    "states_to_keep",
    "then",
]

Moment = datetime | int
"""An aware instant, or a position in the log."""

Seen = Callable[[Any, Recorded], None]

_NOT_STATE = {"originator_id", "originator_version", "timestamp", "fingerprint", "definition", "incident"}


@dataclass(frozen=True, slots=True)
class Then:
    """A stream's state as it was after the event at ``position`` (0: there was none yet).

    ``blocked`` is the first event that cannot be read: then ``state`` is the one right before it, and not that of the
    moment that was asked for. ``version`` counts the events, those that cannot be read among them. ``erased``: it
    cannot be read because it was erased, as the stream itself says.
    """

    stream_id: str
    position: int
    at: datetime | None
    state: Any
    blocked: EventUnreadable | None = None
    version: int = 0
    erased: bool = False

    @property
    def known(self) -> bool:
        """Whether this is the state of the moment that was asked for."""
        return self.blocked is None

    @property
    def fields(self) -> dict[str, Any]:
        """Every field of the state by name."""
        return fields_of(self.state)


T = TypeVar("T", bound=Then)


@dataclass(frozen=True, slots=True)
class TaskThen(Then):
    """A task as it was."""

    @property
    def task_id(self) -> str:
        """Whose state it is."""
        return self.stream_id

    @property
    def task(self) -> ScheduledTask | None:
        """The state; None before the first event."""
        task: ScheduledTask | None = self.state
        return task


@dataclass(frozen=True, slots=True)
class Step:
    """One event that changed a field: where it stands, when, what, who, and why (None where nobody acted)."""

    position: int
    at: datetime
    topic: str
    by: str | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Change:
    """A field that differs between two moments; ``steps`` are the events that changed it, the last one last."""

    name: str
    before: Any
    after: Any
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Differing:
    """What differs between two moments of a stream, and what people did to it meanwhile, also what was undone again.

    ``commands`` are the last ones, ``left_out`` counts those before them. ``schedule`` are a schedule that changed and
    the one that it became, in words.
    """

    changes: list[Change]
    commands: tuple[Command, ...] = ()
    left_out: int = 0
    schedule: tuple[str | None, str] | None = None


def then(events: Sequence[Recorded], moment: Moment) -> list[Recorded]:
    """The events up to a moment: through a position, or through the last event that says to be of that time or before.

    A clock that was set back writes later events with earlier times; what stands before such an event belongs to it. An
    event of which nobody knows the time belongs to the one before it.
    """
    if not isinstance(moment, datetime):
        return [one for one in events if one.position <= moment]
    instant = utc(moment)
    end = 0
    for number, one in enumerate(events):
        at = instant_of(one)
        if end == number if at is None else at <= instant:
            end = number + 1
    return list(events[:end])


def instant_of(one: Recorded) -> datetime | None:
    """When it happened, as far as it can be known."""
    return one.event.at if isinstance(one.event, EventUnreadable) else one.event.timestamp


def state_at(task_id: str, events: Sequence[Recorded], moment: Moment) -> TaskThen:
    """The state of one task at a moment, from its whole stream: what the quicker ways are held against."""
    return folded(task_id, Loaded(events=then(events, moment)), TaskThen)


def folded(stream_id: str, loaded: Loaded, kind: type[T], *, seen: Seen | None = None) -> T:
    """The state that a stream comes to. ``seen`` is given every state on the way, with the event that led to it."""
    snapshot: Any = loaded.snapshot
    state = snapshot.restore() if snapshot is not None else None
    version = snapshot.originator_version if snapshot is not None else 0
    position, at = loaded.snapshot_position, snapshot.timestamp if snapshot is not None else None
    blocked: EventUnreadable | None = None
    for one in loaded.events:
        event: Any = one.event
        if blocked is not None and not isinstance(event, EventUnreadable) and event.begins_anew:
            state, blocked, version = None, None, event.originator_version - 1
        if blocked is not None:
            continue
        try:
            state = _applied(state, version, one)
        except EventUnreadable as error:
            blocked = error
            continue
        version, position, at = version + 1, one.position, event.timestamp
        if seen is not None:
            seen(state, one)
    last = loaded.events[-1] if loaded.events else None
    return kind(stream_id, position, at, state, blocked, _version_of(last) if last is not None else version)


def states_to_keep(task_id: str, loaded: Loaded, fingerprint: str) -> tuple[TaskThen, list[tuple[str, Snapshot]]]:
    """The state of a task, and those on the way to it that are worth keeping, as ``Log.save_snapshots`` takes them.

    There are some only where the way was much longer than it needs to be: snapshots of another version of the program
    are not used, and those that were thinned out once may be asked for again.
    """
    ahead = len(loaded.events)
    end = (loaded.snapshot.originator_version if loaded.snapshot is not None else 0) + ahead
    if ahead < max(4 * SNAPSHOT_EVENTS, end // 8):
        return folded(task_id, loaded, TaskThen), []
    distance = max(SNAPSHOT_EVENTS, end // 32)
    kept: list[tuple[str, Snapshot]] = []

    def keep(task: Any, one: Recorded) -> None:
        if task.version % distance == 0:
            kept.append((task.guild_id, snapshot_of(task, fingerprint=fingerprint)))

    return folded(task_id, loaded, TaskThen, seen=keep), kept


def fields_of(state: Any) -> dict[str, Any]:
    """Every field of a state by name, as JSON values; those of a task's definition as ``definition.name``."""
    if state is None:
        return {}
    if not isinstance(state, ScheduledTask):
        return _plain_fields(state)
    return {**_own_fields(state), **_definition_fields(state.definition)}


def _own_fields(state: Any) -> dict[str, Any]:
    """The same without the definition, which is most of the work."""
    if not isinstance(state, ScheduledTask):
        return fields_of(state)
    value = snapshot_of(state, fingerprint="").model_dump(mode="json", exclude={"definition"})
    own = {name: inner for name, inner in value.items() if name not in _NOT_STATE}
    own["disabled_destinations"] = sorted(own["disabled_destinations"])
    return {**own, "incident": value["incident"]}


def _definition_fields(definition_of: TaskDefinition | None) -> dict[str, Any]:
    if definition_of is None:
        return {}
    value = definition_of.model_dump(mode="json")
    definition = {f"definition.{name}": inner for name, inner in value.items() if name != "schedule"}
    return {**definition, **{f"schedule.{name}": inner for name, inner in value["schedule"].items()}}


def _plain_fields(state: Any) -> dict[str, Any]:
    own = {name: to_jsonable_python(value) for name, value in vars(state).items() if not name.startswith("_")}
    settings = own.pop("settings", {}) if isinstance(state, Guild) else {}
    return {**own, **{f"settings.{name}": value for name, value in settings.items()}}


def difference(stream_id: str, before: Loaded, after: Sequence[Recorded]) -> Differing:
    """What differs between a moment and a later one, field by field, with the events that changed it.

    ``before`` is the stream as it was, ``after`` are the events from there to the later moment. Raises EventUnreadable
    where one of them cannot be read.
    """
    first = folded(stream_id, before, Then)
    if first.blocked is not None:
        raise first.blocked
    start, old = _own_fields(first.state), getattr(first.state, "definition", None)
    steps: dict[str, list[Step]] = {}
    commands = Commands()
    state, version, seen = first.state, first.version, _values(first.state)
    for one in after:
        written = _written(state)
        state = _applied(state, version, one)
        version += 1
        commands.see(one, written, _written(state))
        now = _values(state)
        if moved := _moved(seen, now):
            step = _step(one)
            for name in moved:
                steps.setdefault(name, []).append(step)
        seen = now
    end, new = _own_fields(state), getattr(state, "definition", None)
    if new is not old:
        start, end = start | _definition_fields(old), end | _definition_fields(new)
    names = [name for name in {**start, **end} if start.get(name) != end.get(name)]
    return Differing(
        [Change(name, start.get(name), end.get(name), tuple(steps.get(name, ()))) for name in names],
        commands.told(new.schedule.timezone if new is not None else "UTC"),
        commands.left_out,
        _schedules(old, new),
    )


def _written(state: Any) -> Any:
    """What people write of a task or a guild."""
    return getattr(state, "definition", None) or getattr(state, "settings", None)


def _schedules(old: TaskDefinition | None, new: TaskDefinition | None) -> tuple[str | None, str] | None:
    if new is None or (old is not None and old.schedule == new.schedule):
        return None
    from application.report_words import words_of

    return words_of(old.schedule) if old is not None else None, words_of(new.schedule)


def node_events(log: Log, nodes: Iterable[str]) -> list[Recorded]:
    """What was written of these processes, in order of position."""
    streams = log.load([node_stream(name) for name in nodes]).values()
    return sorted((one for stream in streams for one in stream.events), key=lambda one: one.position)


def _values(state: Any) -> dict[str, Any]:
    """What a state consists of, cheaper than ``fields_of``: one is made for every event."""
    if not isinstance(state, ScheduledTask):
        return fields_of(state)
    values = {name: getattr(state, name) for name in STATE_FIELDS}
    values["open_runs"], values["disabled_destinations"] = dict(state.open_runs), set(state.disabled_destinations)
    return {**values, "created_on": state.created_on}


def _moved(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    if "definition" not in names:
        return names
    old, new = (_definition_fields(one.get("definition")) for one in (before, after))
    names.remove("definition")
    return names + [name for name in {**old, **new} if old.get(name) != new.get(name)]


def _step(one: Recorded) -> Step:
    event: Any = one.event
    reason = getattr(event, "reason", None)
    return Step(one.position, event.timestamp, event.topic, getattr(event, "by", None), reason)


def _applied(state: Any, version: int, one: Recorded) -> Any:
    event: Any = one.event
    if isinstance(event, EventUnreadable):
        raise event
    if event.originator_version != version + 1:
        raise EventUnreadable(
            event.originator_id, event.originator_version, event.topic, "does not apply: an event before it is missing"
        )
    return event.mutate(state)


def _version_of(one: Recorded) -> int:
    return one.event.version if isinstance(one.event, EventUnreadable) else one.event.originator_version
