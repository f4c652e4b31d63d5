"""The history of one task, read once: what was decided of every slot, by which rule, and how each run went.

Everything comes from the events; the calendar is asked only which slots lie inside a range that an event names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from application.ports import Recorded
from domain import task_events as facts
from domain.definition import TaskDefinition
from domain.errors import EventsMissing, EventUnreadable, PayloadErased
from domain.event import EVENT_TYPES
from domain.runs import TaskStatus
from domain.schedule import Schedule, between, count_between
from domain.task_erasure import Erased
from domain.task_events import SkipReason

__all__ = [
    "INSTANT",
    "Chronicle",
    "Decision",
    "Fact",
    "RunStory",
    "Stretch",
    "chronicle",
    "field_of",
    "implies",
    "sentence_of",
    "slots_between",
    "words_of_place",
]

INSTANT = timedelta(microseconds=1)
_MANY = 1 << 40
_READ_BEFORE_FORGETTING = 1000
_STATUSES: dict[Any, TaskStatus] = {
    facts.Paused: TaskStatus.PAUSED,
    facts.Disabled: TaskStatus.DISABLED,
    facts.Cancelled: TaskStatus.CANCELLED,
    facts.Completed: TaskStatus.COMPLETED,
    facts.Resumed: TaskStatus.ACTIVE,
}
_RULES = {facts.Created.topic, facts.Revised.topic}


class Fact(NamedTuple):
    """A readable event and its position in the log."""

    position: int
    event: Any


def implies(schedule: Schedule, instant: datetime) -> bool:
    """Whether ``instant`` is a slot of the schedule."""
    return count_between(schedule, instant - INSTANT, instant) == 1


def slots_between(schedule: Schedule, after: datetime, until: datetime, limit: int = _MANY) -> list[datetime]:
    """The slots with ``after`` < slot <= ``until``."""
    return between(schedule, after, until, limit) if after < until else []


@dataclass(frozen=True, slots=True)
class Decision:
    """What one event decided: that the slot ``first`` starts, or that those from ``first`` to ``last`` are skipped.

    ``skip`` is None for a start. ``definition`` is the one in force, None where the event that says it is unreadable;
    ``stretch`` is the number of the stretch with that rule.
    """

    fact: Fact
    first: datetime
    last: datetime
    count: int
    skip: SkipReason | None
    run: str | None
    definition: TaskDefinition | None
    stretch: int

    @property
    def schedule(self) -> Schedule | None:
        """The rule in force."""
        return self.definition.schedule if self.definition is not None else None

    def covers(self, instant: datetime) -> bool:
        """Whether ``instant`` is one of its slots."""
        if instant in (self.first, self.last):
            return True
        if self.schedule is None or not self.first < instant < self.last:
            return False
        return implies(self.schedule, instant)

    def count_within(self, after: datetime, until: datetime) -> int:
        """How many of its slots lie in ``after`` < slot <= ``until``; as the event says where all of them do."""
        if after < self.first and self.last <= until:
            return self.count
        if self.last <= after or self.first > until:
            return 0
        own = int(after < self.first <= until)
        if self.schedule is None:
            return own + int(self.last > self.first and after < self.last <= until)
        return own + count_between(self.schedule, max(after, self.first), min(until, self.last))

    def slots_within(self, after: datetime, until: datetime) -> Iterator[datetime]:
        """Its slots with ``after`` < slot <= ``until``, in order."""
        if after < self.first <= until:
            yield self.first
        if self.last > self.first:
            low, high = max(after, self.first), min(until, self.last)
            if self.schedule is not None:
                yield from slots_between(self.schedule, low, high)
            elif after < self.last <= until:
                yield self.last


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time with one rule: the slots with ``after`` < slot <= ``until``. ``until`` is None for the one that goes on.

    ``begun`` is the event that brought the rule. ``holes`` are unreadable events in it: what they decided is unknown.
    """

    begun: Fact | None
    after: datetime
    until: datetime | None
    definition: TaskDefinition | None
    rules: frozenset[str] = frozenset()
    holes: tuple[EventUnreadable, ...] = ()


@dataclass
class RunStory:
    """All events of one run, in order. ``closed`` is the event that closed it; None while it is open."""

    run: str
    slot: datetime | None
    facts: list[Fact] = field(default_factory=list)
    closed: Fact | None = None

    def add(self, fact: Fact) -> None:
        """One event more."""
        self.facts.append(fact)
        event = fact.event
        if isinstance(event, facts.Executed | facts.Skipped) or (
            isinstance(event, facts.Failed) and event.retry_at is None
        ):
            self.closed = fact
        elif isinstance(event, facts.Started | facts.Requested):
            self.closed = None  # asked for again under the same name; what arrived late leaves it closed

    @property
    def started(self) -> Fact | None:
        """Its first attempt."""
        return next((fact for fact in self.facts if isinstance(fact.event, facts.Started)), None)

    @property
    def standing(self) -> Fact:
        """Where it stands: its last event but for results that were learned late, which move nothing."""
        told = (fact for fact in reversed(self.facts) if not isinstance(fact.event, facts.DeliveredLate))
        return next(told, self.facts[-1])

    def over_before(self, since: datetime) -> bool:
        """Whether it is closed, and its slot (or the request for it) lies before ``since``."""
        return self.closed is not None and (self.slot or self.facts[0].event.timestamp) < since

    def open_at(self, position: int) -> bool:
        """Whether it was started, and not closed, when the event at ``position`` was written."""
        started, closed = self.started, self.closed
        return started is not None and started.position < position and (closed is None or closed.position >= position)


@dataclass
class Chronicle:
    """A task's history in order. ``promise`` is the next slot as decided last; ``status`` is that of the end.

    ``broken`` are chain faults: (event, what was promised before it, what it decided); ``gaps`` are faults of the
    numbering: (position, the version before it, its version). ``erasure`` is the event that erased the task,
    which nothing follows.
    """

    facts: list[Fact] = field(default_factory=list)
    unreadable: list[tuple[int, EventUnreadable]] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    stretches: list[Stretch] = field(default_factory=list)
    runs: dict[str, RunStory] = field(default_factory=dict)
    statuses: list[tuple[Fact, TaskStatus]] = field(default_factory=list)
    erasure: Fact | None = None
    promise: datetime | None = None
    promise_known: bool = False
    settled: datetime | None = None
    slots_started: int = 0
    broken: list[tuple[Fact, datetime | None, datetime]] = field(default_factory=list)
    gaps: list[tuple[int, int, int]] = field(default_factory=list)

    @property
    def created(self) -> Fact | None:
        """The first event; None where it is unreadable."""
        return self.facts[0] if self.facts and isinstance(self.facts[0].event, facts.Created) else None

    @property
    def status(self) -> TaskStatus:
        """Where the task stands in the end, as far as it can be read."""
        if self.erasure is not None:
            return TaskStatus.CANCELLED  # every task ends before it is erased
        return self.statuses[-1][1] if self.statuses else TaskStatus.ACTIVE

    @property
    def definition(self) -> TaskDefinition | None:
        """The definition in force in the end; None where it cannot be read."""
        return self.stretches[-1].definition if self.stretches else None

    @property
    def erased(self) -> bool:
        """Whether everything that is unreadable was erased on purpose."""
        return bool(self.unreadable) and all(isinstance(error, PayloadErased) for _, error in self.unreadable)

    def decision_of(self, instant: datetime) -> Decision | None:
        """What decided the slot ``instant``."""
        return next((one for one in self.decisions if one.covers(instant)), None)

    def stretch_of(self, instant: datetime) -> Stretch | None:
        """The stretch that ``instant`` lies in; None in the time between two of them, and before the first."""
        for stretch in self.stretches:
            if stretch.after < instant and (stretch.until is None or instant <= stretch.until):
                return stretch
        return None

    def decided_until(self, stretch: Stretch) -> datetime | None:
        """Through when the slots of a stretch must have been decided; None where nobody can know."""
        if stretch.until is not None:
            return stretch.until
        if not self.promise_known:
            return None
        if self.promise is not None:
            return self.promise - INSTANT
        return max(self.settled or stretch.after, stretch.after)

    def may_be_closed(self, story: RunStory) -> bool:
        """Whether a run that seems open may have been closed by an event that cannot be read."""
        begun = story.facts[0].position
        return any(position > begun and _may_close(error) for position, error in self.unreadable)

    def forget(self, since: datetime) -> None:
        """Drop what is over and concerns only slots and requests before ``since``."""
        self.runs = {run: story for run, story in self.runs.items() if not story.over_before(since)}
        self.facts = [*self.facts[:1], *(fact for fact in self.facts[1:] if fact.event.timestamp >= since)]
        self.decisions = [*(one for one in self.decisions[:-1] if one.last >= since), *self.decisions[-1:]]

    def last_before(self, position: int, kind: Any) -> Fact | None:
        """The last event of a kind before ``position``."""
        return next((f for f in reversed(self.facts) if f.position < position and isinstance(f.event, kind)), None)

    def first_after(self, position: int, kind: Any) -> Fact | None:
        """The first event of a kind after ``position``."""
        return next((f for f in self.facts if f.position > position and isinstance(f.event, kind)), None)


def _may_close(error: EventUnreadable) -> bool:
    closing = (facts.Executed, facts.Failed, facts.Skipped)
    return error.topic not in EVENT_TYPES or error.topic in {kind.topic for kind in closing}


def chronicle(events: Iterable[Recorded], *, since: datetime | None = None) -> Chronicle:
    """Read a task's whole history. What cannot be read is kept as such, and nothing is assumed about it.

    With ``since`` only what concerns slots and requests from that instant on is kept, and what is still open: all that
    their account needs, however long the history before is.
    """
    reader = _Reader()
    before = 0
    for number, (position, event) in enumerate(events, 1):
        version = event.version if isinstance(event, EventUnreadable) else event.originator_version
        if not isinstance(event, EventsMissing):
            if version != before + 1:
                reader.book.gaps.append((position, before, version))
            before = version
        if isinstance(event, EventUnreadable):
            reader.miss(position, event)
        else:
            reader.see(Fact(position, event))
        if since is not None and number % _READ_BEFORE_FORGETTING == 0:
            reader.book.forget(since)
    return reader.book


def field_of(event: Any, name: str) -> Any:
    """What an event says in a field; None where it has none, which the model itself says a hundred times slower."""
    return vars(event).get(name)


class _Reader:
    """Reads event by event."""

    def __init__(self) -> None:
        self.book = Chronicle()
        self._definition: TaskDefinition | None = None
        self._ahead_unknown = False

    def miss(self, position: int, error: EventUnreadable) -> None:
        """An event that cannot be read: what it promised, and perhaps by which rule, is unknown from here on."""
        book = self.book
        book.unreadable.append((position, error))
        # Slots to come can be skipped in advance, also by an event that cannot be read.
        self._ahead_unknown |= error.topic == facts.Skipped.topic or error.topic not in EVENT_TYPES
        book.promise_known = False
        if error.topic in _RULES or error.topic not in EVENT_TYPES or not book.stretches:
            self._definition = None
            after = max((at for at in (book.settled, error.at) if at is not None), default=None)
            if book.stretches and after != book.settled:
                # Until it was written the rule before held; what became of slots that were owed then, it may say.
                held = book.stretches[-1]
                book.stretches[-1] = replace(held, holes=(*held.holes, error))
            self._end(after)
            book.stretches.append(Stretch(None, after or datetime.min.replace(tzinfo=UTC), None, None))
        last = book.stretches[-1]
        book.stretches[-1] = replace(last, holes=(*last.holes, error))

    def see(self, fact: Fact) -> None:
        """A readable event."""
        book, event = self.book, fact.event
        book.facts.append(fact)
        if (status := _STATUSES.get(type(event))) is not None:
            book.statuses.append((fact, status))
        run = field_of(event, "run")
        if run is not None:
            story = book.runs.get(run)
            if story is None:
                story = book.runs[run] = RunStory(run, None)
            story.slot = story.slot or field_of(event, "slot")
            story.add(fact)
        match event:
            case facts.Executed():
                return
            case facts.Created():
                self._definition = event.definition
                self._begin(fact, event.timestamp)
                self._promise(event.next_slot)
                book.settled = event.timestamp
            case facts.Revised():
                self._revised(fact, event)
            case facts.Resumed():
                self._resumed(fact, event)
            case facts.Replanned():
                settled = max(book.settled or event.timestamp, event.timestamp)
                self._end(book.settled if book.promise_known else settled)
                self._begin(fact, settled)
                self._promise(event.next_slot)
                book.settled = settled
            case facts.Started(attempt=1) if event.slot is not None:
                book.slots_started += 1
                self._decided(fact, event.slot, event.slot, 1, None)
            case facts.Skipped(run=None) if event.first is not None and event.last is not None:
                self._decided(fact, event.first, event.last, event.count or 0, event.skip)
            case Erased():
                book.erasure = fact
            case facts.Cancelled() | facts.Completed():
                if book.promise is not None or not book.promise_known:
                    self._settle(event.timestamp)  # nothing that was owed by then is open
                ahead_unknown = self._ahead_unknown and not book.promise_known
                self._promise(None)
                book.promise_known = not ahead_unknown
        rules = field_of(event, "rules")
        if rules and book.stretches:
            book.stretches[-1] = replace(book.stretches[-1], rules=book.stretches[-1].rules | {rules})

    def _decided(self, fact: Fact, first: datetime, last: datetime, count: int, skip: SkipReason | None) -> None:
        book, event = self.book, fact.event
        if book.promise_known and first != book.promise:
            book.broken.append((fact, book.promise, first))
        if not book.stretches:
            book.stretches.append(Stretch(None, first - INSTANT, None, None))
        stretch = len(book.stretches) - 1
        book.decisions.append(Decision(fact, first, last, count, skip, event.run, self._definition, stretch))
        self._settle(last)
        self._promise(event.next_slot)

    def _revised(self, fact: Fact, event: facts.Revised) -> None:
        book = self.book
        before = self._definition
        self._definition = event.definition
        same_rule = before is not None and before.schedule == event.definition.schedule
        went_on = book.promise_known and (book.promise is not None or event.next_slot is None)
        if same_rule and went_on and book.stretches:
            # The rule goes on; the policies that came with the edit count from here on.
            book.stretches[-1] = replace(book.stretches[-1], definition=event.definition)
        else:
            over = book.promise_known and book.promise is None
            self._end(book.settled if over else event.accounted_until)
            self._begin(fact, event.accounted_until)
            book.settled = event.accounted_until
        self._promise(event.next_slot)

    def _resumed(self, fact: Fact, event: facts.Resumed) -> None:
        book = self.book
        if book.promise_known and book.promise is None and event.next_slot is not None:
            self._end(book.settled)
            self._begin(fact, event.accounted_until)
            book.settled = event.accounted_until
        elif not book.promise_known:
            self._settle(event.accounted_until)
        self._promise(event.next_slot)

    def _settle(self, until: datetime) -> None:
        self.book.settled = max(self.book.settled or until, until)

    def _promise(self, slot: datetime | None) -> None:
        self.book.promise, self.book.promise_known = slot, True
        self._ahead_unknown = False

    def _begin(self, fact: Fact, after: datetime) -> None:
        self.book.stretches.append(Stretch(fact, after, None, self._definition, frozenset({fact.event.rules})))

    def _end(self, until: datetime | None) -> None:
        book = self.book
        if book.stretches and until is not None:
            last = book.stretches[-1]
            book.stretches[-1] = replace(last, until=max(until, last.after))


def words_of_place(error: EventUnreadable) -> str:
    """``event 4 (task.skipped)``: which event cannot be read."""
    return f"event {error.version} ({error.topic})"


def sentence_of(error: EventUnreadable) -> str:
    """Why an event cannot be read."""
    return (
        f"{words_of_place(error)} is {'erased' if isinstance(error, PayloadErased) else f'unreadable: {error.reason}'}"
    )
