"""The accounts of a task: every slot that its schedules implied in a period, what became of it, and whether it adds up.

Two counts are held against each other. One is the calendar's: how many slots the rules in force implied. The other is
the log's: how many were started, skipped, or are still to be decided. Where they differ something is wrong, and the
account says so as an alarm. Runs on request, backfills among them, have no slot and are counted apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from application.chronicle import (
    INSTANT,
    Chronicle,
    Decision,
    Fact,
    Stretch,
    chronicle,
    sentence_of,
    slots_between,
    words_of_place,
)
from application.erased_numbers import Portion, portions
from application.fates import Fate, Finding, FindingKind, SlotFate
from application.ports import Recorded
from domain import task_events as facts
from domain.errors import PayloadErased
from domain.event import utc
from domain.schedule import Schedule, count_between, rules_fingerprint

__all__ = [
    "Account",
    "account",
    "asked_runs",
    "fate_of",
    "pending_within",
    "slot_fates",
    "summed",
]


@dataclass(frozen=True, slots=True)
class Account:
    """The account of ``start`` <= slot < ``end``, as of ``now``.

    ``implied`` is the calendar's count, ``fates`` the log's. ``manual`` counts runs that were asked for in the period
    (executed, failed, skipped, open), outside the accounts of slots.
    """

    start: datetime | None
    end: datetime
    now: datetime
    implied: int
    fates: dict[Fate, int]
    manual: dict[str, int]
    findings: tuple[Finding, ...] = ()

    @property
    def counted(self) -> int:
        """All fates together."""
        return sum(self.fates.values())

    @property
    def pending(self) -> int:
        """Slots under way or still to be decided."""
        return sum(count for fate, count in self.fates.items() if fate.pending)

    @property
    def skipped(self) -> int:
        """Slots that were left out, for whatever reason."""
        return sum(count for fate, count in self.fates.items() if fate.skipped)

    @property
    def served(self) -> int:
        """Slots of which something was made: they were executed, failed, or were found quiet."""
        return sum(self.fates.get(fate, 0) for fate in (Fate.EXECUTED, Fate.FAILED, Fate.QUIET))

    @property
    def decided(self) -> int:
        """Slots for which a run began, and those that were left out: not those of which nothing is known yet."""
        return self.counted - sum(self.fates.get(fate, 0) for fate in (Fate.DUE, Fate.AHEAD, Fate.UNREADABLE))

    @property
    def adds_up(self) -> bool:
        """Whether the two counts are equal."""
        return self.implied == self.counted

    @property
    def alarm(self) -> bool:
        """Whether something is wrong: the counts differ, or the log contradicts itself or cannot be read."""
        return not self.adds_up or any(finding.kind.alarm for finding in self.findings)

    @property
    def proven(self) -> bool:
        """Whether it adds up, and nothing had to be left open."""
        return self.adds_up and not self.findings


def account(
    events: Sequence[Recorded] | Chronicle,
    *,
    now: datetime,
    start: datetime | None = None,
    end: datetime | None = None,
) -> Account:
    """The account of one task's events over ``start`` <= slot < ``end``: from its beginning, through ``now``."""
    book = events if isinstance(events, Chronicle) else chronicle(events)
    now = utc(now)
    end = utc(end) if end is not None else now + INSTANT
    if book.erasure is not None:
        return _of_erased(book.erasure, now, utc(start) if start is not None else None, end)
    ledger = _Ledger(book, now, _after(book, start), end - INSTANT)
    fates = ledger.fates()
    implied = ledger.implied(fates)
    findings = (*_chain_findings(book), *ledger.findings)
    manual = _manual(book, ledger.after, ledger.until)
    return Account(utc(start) if start is not None else None, end, now, implied, fates, manual, findings)


def _of_erased(erasure: Fact, now: datetime, start: datetime | None, end: datetime) -> Account:
    """The account of an erased task, from the numbers that it left: they are kept by day in UTC, formerly by month.

    Of a day that the period takes in only partly nothing is counted, and a finding says how much it had. The day of the
    erasure is counted where the period takes in all of it until then.
    """
    at, tally = erasure.event.timestamp, erasure.event.tally
    fates: Counter[Fate] = Counter()
    manual: Counter[str] = Counter()
    unit = "month" if any(name.count("-") == 1 for name in tally.slots) else "day"
    words = [f"the task was erased at {at.isoformat()}; its counts are kept by {unit} (UTC)"]
    if tally.unreadable:
        several = tally.unreadable != 1
        what = f"{tally.unreadable} events" if several else "1 event"
        words.append(f"{what} could not be read when it was erased: {'they are' if several else 'it is'} in no count")
    for portion in portions(erasure, now):
        inside = portion.within(start, end)
        if inside:
            fates.update({Fate(fate): count for fate, count in portion.slots.items()})
            manual.update(portion.manual)
        elif inside is None:
            words.append(_left_out(portion))
    findings = tuple(Finding(FindingKind.ERASED, one, erasure.position) for one in words)
    return Account(start, end, now, sum(fates.values()), dict(fates), dict(manual), findings)


def _left_out(portion: Portion) -> str:
    slots, manual = portion.slots.total(), portion.manual.total()
    parts = [f"{slots} slot{'s' * (slots != 1)}"] if slots or not manual else []
    parts += [f"{manual} run{'s' * (manual != 1)} on request"] if manual else []
    those = "is" if slots + manual == 1 else "are"
    return f"the {' and '.join(parts)} of {portion.name} cannot be divided, and {those} left out"


def slot_fates(
    events: Sequence[Recorded] | Chronicle,
    *,
    now: datetime,
    start: datetime | None = None,
    end: datetime | None = None,
    limit: int = 10_000,
) -> list[SlotFate]:
    """Every slot of the period with its fate, in order, the first ``limit`` of them at most."""
    book = events if isinstance(events, Chronicle) else chronicle(events)
    now = utc(now)
    end = utc(end) if end is not None else now + INSTANT
    found = sorted(_Ledger(book, now, _after(book, start), end - INSTANT).slots(), key=lambda one: one.slot)
    return found[:limit]


def fate_of(book: Chronicle, decision: Decision) -> Fate:
    """What became of the slots that one event decided."""
    if decision.skip is not None:
        return Fate(decision.skip.value)
    story = book.runs.get(decision.run or "")
    closed = story.closed if story is not None else None
    if story is None or closed is None:
        return Fate.UNREADABLE if story is not None and book.may_be_closed(story) else Fate.OPEN
    if isinstance(closed.event, facts.Executed):
        return Fate.EXECUTED
    return Fate(closed.event.skip.value) if isinstance(closed.event, facts.Skipped) else Fate.FAILED


def pending_within(book: Chronicle, after: datetime, until: datetime) -> int:
    """How many slots with ``after`` < slot <= ``until`` nothing has decided on."""
    return _Ledger(book, until, after, until).pending(after, until)


def summed(accounts: Iterable[Account], *, now: datetime, end: datetime) -> Account:
    """Several tasks' accounts of the same period as one."""
    fates: Counter[Fate] = Counter()
    manual: Counter[str] = Counter()
    findings: list[Finding] = []
    implied, start = 0, None
    for one in accounts:
        fates.update(one.fates)
        manual.update(one.manual)
        findings += one.findings
        implied, start = implied + one.implied, one.start
    return Account(start, end, now, implied, dict(fates), dict(manual), tuple(findings))


def _after(book: Chronicle, start: datetime | None) -> datetime:
    earliest = datetime.min.replace(tzinfo=UTC)
    if start is not None:
        return max(utc(start), earliest + INSTANT) - INSTANT
    begun = min((stretch.after for stretch in book.stretches), default=earliest)
    return begun - INSTANT if begun > earliest else earliest  # what was asked for at that very instant counts


def _manual(book: Chronicle, after: datetime, until: datetime) -> dict[str, int]:
    return dict(Counter(fate for at, _, fate in asked_runs(book) if after < at <= until))


def asked_runs(book: Chronicle) -> Iterator[tuple[datetime, str, str]]:
    """Runs on request: when each was asked for, its id, and what became of it (as a fate, "unreadable" among them)."""
    for run, story in book.runs.items():
        first, closed = story.facts[0].event, story.closed
        if story.slot is not None or not isinstance(first, facts.Requested):
            continue
        if closed is None:
            yield first.timestamp, run, "unreadable" if book.may_be_closed(story) else "open"
        else:
            yield first.timestamp, run, closed.event.topic.removeprefix("task.")


def _chain_findings(book: Chronicle) -> Iterator[Finding]:
    for position, error in book.unreadable:
        kind = FindingKind.ERASED if isinstance(error, PayloadErased) else FindingKind.UNREADABLE
        yield Finding(kind, sentence_of(error), position)
    for position, before, version in book.gaps:
        words = f"event {version} follows event {before}" if before else f"the history begins with event {version}"
        yield Finding(FindingKind.GAP, f"{words}: events are missing, or not in order", position)
    for fact, promised, decided in book.broken:
        said = promised.isoformat() if promised else "no slot"
        yield Finding(
            FindingKind.CHAIN,
            f"{said} was promised, but event {fact.event.originator_version} ({fact.event.topic}) decided "
            f"{decided.isoformat()}",
            fact.position,
        )
    last: Decision | None = None
    for decision in book.decisions:
        if last is not None and decision.first <= last.last:
            words = (
                f"{decision.first.isoformat()} was decided twice, first by event {last.fact.event.originator_version}"
            )
            yield Finding(FindingKind.TWICE, words, decision.fact.position)
        last = decision


class _Ledger:
    """The two counts of one period: ``after`` < slot <= ``until``."""

    def __init__(self, book: Chronicle, now: datetime, after: datetime, until: datetime) -> None:
        self.book, self.now, self.after, self.until = book, now, after, until
        self.findings: list[Finding] = []

    def fates(self) -> dict[Fate, int]:
        """The log's count. What unreadable events may have decided is added by ``implied``."""
        counts: Counter[Fate] = Counter()
        for decision in self.book.decisions:
            if inside := decision.count_within(self.after, self.until):
                counts[fate_of(self.book, decision)] += inside
        counts[Fate.DUE] += self.pending(self.after, min(self.now, self.until))
        counts[Fate.AHEAD] += self.pending(max(self.now, self.after), self.until)
        return {fate: counts[fate] for fate in Fate if counts[fate]}

    def implied(self, fates: dict[Fate, int]) -> int:
        """The calendar's count; slots that only unreadable events can have decided are put among the fates."""
        total = self.pending(self.after, self.until)
        by_stretch: Counter[int] = Counter()
        for decision in self.book.decisions:
            by_stretch[decision.stretch] += decision.count_within(self.after, self.until)
        for number, stretch in enumerate(self.book.stretches):
            counted, expected = by_stretch[number], self._expected(stretch)
            if expected is None:
                if stretch.after < self.until and (stretch.until is None or stretch.until > self.after):
                    self._unknown_rule(stretch)
                total += counted
                continue
            if expected > counted and stretch.holes:
                fates[Fate.UNREADABLE] = fates.get(Fate.UNREADABLE, 0) + expected - counted
            elif expected != counted and stretch.rules != {rules_fingerprint()}:
                self.findings.append(Finding(FindingKind.RULES, _other_rules(stretch, expected, counted)))
                expected = counted
            elif expected != counted:
                self._mismatch(number, stretch, expected, counted)
            total += expected
        return total

    def slots(self) -> Iterator[SlotFate]:
        """Every slot of the period."""
        book = self.book
        decided: set[datetime] = set()
        for decision in book.decisions:
            fate, fact = fate_of(book, decision), decision.fact
            story = book.runs.get(decision.run or "")
            closed = story.closed if story is not None else None
            by = closed if closed is not None and decision.skip is None else fact
            for slot in decision.slots_within(self.after, self.until):
                decided.add(slot)
                yield SlotFate(slot, fate, by.position, by.event.timestamp, decision.run)
        for stretch in book.stretches:
            if stretch.holes and stretch.definition is not None:
                low, high = max(self.after, stretch.after), min(self.until, self._end(stretch))
                for slot in slots_between(stretch.definition.schedule, low, high):
                    if slot not in decided:
                        yield SlotFate(slot, Fate.UNREADABLE)
        yield from self._pending_slots()

    def _pending_slots(self) -> Iterator[SlotFate]:
        promise, schedule = self._promise(), self._schedule
        if promise is None:
            return
        if self.after < promise <= self.until:
            yield SlotFate(promise, Fate.DUE if promise <= self.now else Fate.AHEAD)
        if schedule is not None:
            for slot in slots_between(schedule, max(promise, self.after), self.until):
                yield SlotFate(slot, Fate.DUE if slot <= self.now else Fate.AHEAD)

    @property
    def _schedule(self) -> Schedule | None:
        definition = self.book.definition
        return definition.schedule if definition is not None else None

    def _promise(self) -> datetime | None:
        return self.book.promise if self.book.promise_known else None

    def pending(self, after: datetime, until: datetime) -> int:
        """How many undecided slots there are with ``after`` < slot <= ``until``."""
        promise, schedule = self._promise(), self._schedule
        if promise is None or promise > until or after >= until:
            return 0
        own = int(after < promise)
        return own if schedule is None else own + count_between(schedule, max(promise, after), until)

    def _end(self, stretch: Stretch) -> datetime:
        return self.book.decided_until(stretch) or self.until

    def _expected(self, stretch: Stretch) -> int | None:
        """How many slots of the period the rule of a stretch implied; None where the rule cannot be read."""
        if stretch.definition is None:
            return None
        low, high = max(self.after, stretch.after), min(self.until, self._end(stretch))
        return count_between(stretch.definition.schedule, low, high) if low < high else 0

    def _unknown_rule(self, stretch: Stretch) -> None:
        kind = FindingKind.ERASED if self.book.erased else FindingKind.UNREADABLE
        place = ", ".join(words_of_place(error) for error in stretch.holes) or "an event before the first readable one"
        self.findings.append(
            Finding(kind, f"the schedule from {stretch.after.isoformat()} on is not known: it stands in {place}")
        )

    def _mismatch(self, number: int, stretch: Stretch, expected: int, counted: int) -> None:
        """Find the decision that is wrong, or else say in which time the difference lies."""
        definition = stretch.definition
        if definition is None:
            return
        for decision in self.book.decisions:
            if decision.stretch != number or decision.skip is None:
                continue
            own = 1 + count_between(definition.schedule, decision.first, decision.last)
            if own != decision.count:
                words = f"event {decision.fact.event.originator_version} says {decision.count} slots, there are {own}"
                self.findings.append(Finding(FindingKind.COUNT, words, decision.fact.position))
        words = (
            f"the schedule from {stretch.after.isoformat()} on implies {expected} slots in the period, "
            f"{counted} were decided"
        )
        position = stretch.begun.position if stretch.begun is not None else None
        self.findings.append(Finding(FindingKind.LOST if expected > counted else FindingKind.COUNT, words, position))


def _other_rules(stretch: Stretch, expected: int, counted: int) -> str:
    known = ", ".join(sorted(stretch.rules)) or "unknown rules"
    return (
        f"from {stretch.after.isoformat()} on {counted} slots were decided by the rules of then ({known}); "
        f"the rules of now would imply {expected}"
    )
