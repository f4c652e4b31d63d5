"""Why there was no slot at an instant: an edit, a clock change, a day off, an end, or there never was a rule for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from application.chronicle import INSTANT, Chronicle, Fact, RunStory, Stretch, implies, sentence_of
from application.evidence import Evidence, Explanation, Reason, because, local, proof
from domain import task_events as facts
from domain.compiling import compile_rule
from domain.errors import EventUnreadable, PayloadErased
from domain.event import epoch_microseconds
from domain.runs import TaskStatus
from domain.schedule import Schedule, describe, next_after, notes_between, previous_before
from domain.schedule_kinds import MonthEnd
from domain.schedule_words import MONTHS
from domain.slots import OddTime, WallClock
from domain.zone import zone_info

__all__ = ["no_slot", "zone_of"]

_MINUTE, _DAY = timedelta(minutes=1), timedelta(days=1)
_Answer = tuple[Reason, str, Sequence[Evidence]]


def zone_of(book: Chronicle, instant: datetime) -> str:
    """The zone of the rule in force at an instant; of the nearest one elsewhere; UTC where none is known."""
    known = [stretch for stretch in book.stretches if stretch.definition is not None]
    before = [stretch for stretch in known if stretch.after < instant]
    stretch = before[-1] if before else known[0] if known else None
    return stretch.definition.schedule.timezone if stretch is not None and stretch.definition is not None else "UTC"


def no_slot(book: Chronicle, instant: datetime, now: datetime) -> Explanation:
    """The explanation of an instant that is no slot, or of whose slot nothing is written."""
    zone = zone_of(book, instant)
    first: EventUnreadable | object = book.facts[0].event if book.facts else None
    task_id = str(getattr(first, "originator_id", "")) or (book.unreadable[0][1].stream_id if book.unreadable else "")
    for question in (
        _before,
        _unreadable,
        _on_request,
        _over,
        _left_out,
        _moved,
        _dropped,
        _unsaid,
        _clock_and_days,
        _edges,
    ):
        answer = question(book, instant, zone)
        if answer is not None:
            reason, words, evidence = answer
            lost = reason is Reason.LOST
            return Explanation(task_id, instant, reason, words, instant if lost else None, None, tuple(evidence))
    reason, words, evidence = _never(book, instant, zone)
    return Explanation(task_id, instant, reason, words, None, None, tuple(evidence))


def _rule(book: Chronicle, instant: datetime) -> Schedule | None:
    stretch = _stretch(book, instant)
    return stretch.definition.schedule if stretch is not None and stretch.definition is not None else None


def _stretch(book: Chronicle, instant: datetime) -> Stretch | None:
    found = book.stretch_of(instant)
    before = [stretch for stretch in book.stretches if stretch.after < instant]
    return found or (before[-1] if before else None)


def _on_request(book: Chronicle, instant: datetime, zone: str) -> _Answer | None:
    for story in book.runs.values():
        asked = story.facts[0]
        if not isinstance(asked.event, facts.Requested):
            continue
        starts = [fact for fact in story.facts if isinstance(fact.event, facts.Started)]
        if any(instant <= fact.event.timestamp < instant + _MINUTE for fact in (asked, *starts)):
            return _requested(story, asked, zone)
    return None


def _requested(story: RunStory, asked: Fact, zone: str) -> _Answer:
    event, end = asked.event, story.closed
    ended = end.event.topic.removeprefix("task.") if end is not None else "not closed yet"
    reason = f" ({event.reason})" if event.reason else ""
    for_slot = f", for the slot {local(event.until, zone)}" if event.until else ""
    words = f"it was no slot, but {event.by} asked for run {story.run}{reason}{for_slot}: {ended}"
    told = [proof(fact, str(fact.event.topic).removeprefix("task.").replace("_", " ")) for fact in story.facts]
    return Reason.ON_REQUEST, words, told


def _before(book: Chronicle, instant: datetime, zone: str) -> _Answer | None:
    created = book.created
    if created is None or instant > created.event.timestamp:
        return None
    words = f"the task did not exist yet: {created.event.by} made it at {local(created.event.timestamp, zone)}"
    return Reason.BEFORE_TASK, words, [proof(created, words)]


def _unreadable(book: Chronicle, instant: datetime, zone: str) -> _Answer | None:
    stretch = _stretch(book, instant)
    if book.facts and stretch is not None and stretch.definition is not None:
        return None
    errors = list(stretch.holes) if stretch is not None else [error for _, error in book.unreadable]
    if not errors and stretch is None:
        return None
    at = {id(error): position for position, error in book.unreadable}
    erased = bool(errors) and all(isinstance(error, PayloadErased) for error in errors)
    evidence = [Evidence(at.get(id(error)), error.at, sentence_of(error)) for error in errors]
    words = "the schedule of that time stands in an event that cannot be read"
    return (Reason.ERASED if erased else Reason.UNREADABLE), words, evidence


def _left_out(book: Chronicle, instant: datetime, zone: str) -> _Answer | None:
    """Whether slots were left out in advance, and an edit that came after kept it so: its own begin behind them."""
    for edit in book.facts:
        event = edit.event
        if not isinstance(event, facts.Revised) or not event.timestamp < instant <= event.accounted_until:
            continue
        asked = book.last_before(edit.position, facts.SkipRequested)
        if asked is not None and implies(event.definition.schedule, instant):
            until, kept = local(event.accounted_until, zone), _edit_words(event, zone)
            words = f"{asked.event.by} had asked that nothing runs until {until}{because(asked)}, and {kept} kept it so"
            rule = proof(edit, f"the schedule became: {describe(event.definition.schedule)}")
            return Reason.REQUESTED, words, [proof(asked, words), rule]
    return None


def _moved(book: Chronicle, instant: datetime, zone: str) -> _Answer | None:
    """Whether an edit, or new rules, took a slot away that was planned before. Of a task that had ended: see _over."""
    for fact in reversed(book.facts):
        event = fact.event
        if isinstance(event, facts.Replanned) and event.previous == instant:
            to = f" to {local(event.next_slot, zone)}" if event.next_slot else ""
            words = f"new calendar rules ({event.rules}) moved the slot{to}"
            return Reason.REPLANNED, words, [proof(fact, words)]
    schedule, edits = _rule(book, instant), _edits_against(book, instant)
    if schedule is None or not edits:
        return None
    following = next_after(schedule, instant)
    if following is not None and _used_up(book, following):
        return _limit(book, zone, [])
    moved = f"moved to {local(following, zone)}" if following is not None else "dropped"
    named = [*edits[:1], *edits[1:][-1:]]
    by = _edit_words(named[-1].event, zone)  # the one in force: what an edit between named may never have come
    evidence = [proof(fact, f"the schedule became: {describe(fact.event.definition.schedule)}") for fact in named]
    return Reason.MOVED, f"the slot was {moved} by {by}", evidence


def _edits_against(book: Chronicle, instant: datetime) -> list[Fact]:
    """The edits that replaced the last rule with a slot at ``instant``; none where the rule in force has it too.

    A rule whose runs were used up before the edit owed no slot any more.
    """
    edits: list[Fact] = []
    begun = [stretch for stretch in book.stretches if stretch.after < instant]
    for old, new in reversed(list(pairwise(begun))):
        if old.definition is None or new.definition is None or implies(new.definition.schedule, instant):
            return []
        changed = new.definition.schedule != old.definition.schedule
        if changed and new.begun is not None and isinstance(new.begun.event, facts.Revised):
            edits.insert(0, new.begun)
        if implies(old.definition.schedule, instant):
            return edits if old.until is not None and old.until >= new.after else []
    return []


def _used_up(book: Chronicle, slot: datetime) -> bool:
    """Whether what was decided last before ``slot``, by a rule that has it, promised no slot more: max_runs."""
    if book.decision_of(slot) is not None:
        return False
    rules = (facts.Created, facts.Revised, facts.Resumed, facts.Replanned)
    said = [fact for fact in book.facts if isinstance(fact.event, rules) and _accounted(fact.event) < slot]
    said += [one.fact for one in book.decisions if one.last < slot]
    return bool(said) and max(said, key=lambda fact: fact.position).event.next_slot is None


def _accounted(event: facts.Created | facts.Revised | facts.Resumed | facts.Replanned) -> datetime:
    """Through when slots were decided when a rule, or a limit, began."""
    return event.accounted_until if isinstance(event, facts.Revised | facts.Resumed) else event.timestamp


def _edit_words(event: facts.Revised, zone: str) -> str:
    reason = f" ({event.reason})" if event.reason else ""
    return f"the edit of {event.by} at {local(event.timestamp, zone)}{reason}"


def _dropped(book: Chronicle, instant: datetime, zone: str) -> _Answer | None:
    """Slots that the rule names but nobody owed: after the last allowed run, or before new rules began."""
    stretch, schedule = _stretch(book, instant), _rule(book, instant)
    if stretch is None or schedule is None or stretch.begun is None or not implies(schedule, instant):
        return None
    following = next((s for s in book.stretches if s.after >= instant and s is not stretch), None)
    if following is not None and following.begun is not None and stretch.until is not None and instant > stretch.until:
        if isinstance(following.begun.event, facts.Replanned):
            words = "the rules of then had no slot here; the new ones plan only what came after them"
            return Reason.REPLANNED, words, [proof(following.begun, words)]
        return _limit(book, zone, [proof(following.begun, "from here on it may run again")])
    if book.promise_known and book.promise is None and stretch.until is None and _used_up(book, instant):
        return _limit(book, zone, [])
    return None


def _limit(book: Chronicle, zone: str, evidence: Sequence[Evidence]) -> _Answer:
    last = next((one for one in reversed(book.decisions) if one.run is not None), None)
    words = "the task had had all the runs that it may have (max_runs)"
    found = [proof(last.fact, f"run {last.run} was the last")] if last is not None else []
    return Reason.LIMIT, words, [*found, *evidence]


def _over(book: Chronicle, instant: datetime, zone: str) -> _Answer | None:
    """Whether the task had ended by then."""
    for fact in book.facts:
        event = fact.event
        if isinstance(event, facts.Cancelled) and instant > event.timestamp:
            reason = f" ({event.reason})" if event.reason else ""
            words = f"the task was over: {event.by} cancelled it at {local(event.timestamp, zone)}{reason}"
            return Reason.CANCELLED, words, [proof(fact, words)]
        if isinstance(event, facts.Completed) and instant > event.timestamp:
            schedule = _rule(book, instant)
            if schedule is not None and next_after(schedule, instant - INSTANT) is not None:
                return _limit(book, zone, [proof(fact, "the task was completed")])
            words = f"the schedule had ended: the task was completed at {local(event.timestamp, zone)}"
            return Reason.ENDED, words, [proof(fact, words)]
    return None


def _unsaid(book: Chronicle, instant: datetime, zone: str) -> _Answer | None:
    """A slot that should have been decided, and was not: the accounts raise an alarm for it."""
    stretch = book.stretch_of(instant)
    if stretch is None or stretch.definition is None or not implies(stretch.definition.schedule, instant):
        return None
    begun = [proof(stretch.begun, "the schedule that implies it")] if stretch.begun is not None else []
    return Reason.LOST, "the schedule implied a slot here, and no event says what became of it", begun


def _clock_and_days(book: Chronicle, instant: datetime, zone: str) -> _Answer | None:
    stretch, schedule = _stretch(book, instant), _rule(book, instant)
    if stretch is None or schedule is None:
        return None
    begun = [proof(stretch.begun, describe(schedule))] if stretch.begun is not None else []
    for rule in (schedule, *schedule.also):
        found = _of_rule(rule.model_copy(update={"also": ()}), instant)
        if found is not None:
            reason, words, evidence = found
            return reason, words, [*begun, *evidence]
    return None


def _of_rule(rule: Schedule, instant: datetime) -> _Answer | None:
    for odd, wall in _odd(rule, instant):
        kind = Reason.CLOCK_GAP if odd.missing else Reason.CLOCK_FOLD
        named = f"{wall:%H:%M}"
        notes = notes_between(rule, instant - _DAY, instant + _DAY)
        word = "does not exist" if odd.missing else "comes twice"
        note = next((n for n in notes if named in n and word in n), f"{named} {word} in {rule.timezone} that day")
        return kind, note, [Evidence(None, instant, note)]
    wall = instant.astimezone(zone_info(rule.timezone))
    if rule.exclude and _leaves_out(rule, instant, exclude=()):
        words = f"{wall:%Y-%m-%d} is excluded by the task"
        return Reason.EXCLUDED_DATE, words, [Evidence(None, instant, words)]
    if (rule.holidays or rule.business_days) and _leaves_out(rule, instant, holidays=None, business_days=False):
        day = f"{wall.day} {MONTHS[wall.month - 1]} "
        notes = [note for note in notes_between(rule, instant - _DAY, instant + _DAY) if note.startswith(day)]
        words = notes[0] if notes else f"{wall:%Y-%m-%d} is a day off"
        return Reason.DAY_OFF, words, [Evidence(None, instant, words)]
    if rule.month_end is MonthEnd.SKIP and _leaves_out(rule, instant, month_end=MonthEnd.CLAMP):
        words = f"{MONTHS[wall.month - 1]} {wall.year} has no day {rule.day_of_month}: does not run"
        return Reason.SHORT_MONTH, words, [Evidence(None, instant, words)]
    if rule.spread and implies(rule.model_copy(update={"spread": None}), instant):
        later = next_after(rule, instant)
        words = f"the slot of this time is spread to {local(later, rule.timezone)}" if later else "the slot is spread"
        return Reason.SPREAD, words, [Evidence(None, instant, words)]
    return None


def _leaves_out(rule: Schedule, instant: datetime, **without: Any) -> bool:
    """Whether a rule would have a slot then but for some of its fields.

    At its own time or at that to which it is spread; a whole minute stands for the slot within it.
    """
    variants = [rule, rule.model_copy(update={"spread": None})] if rule.spread else [rule]
    return any(
        _names(variant.model_copy(update=without), instant) and not _names(variant, instant) for variant in variants
    )


def _names(rule: Schedule, instant: datetime) -> bool:
    whole = not instant.second and not instant.microsecond
    slot = next_after(rule, instant - INSTANT)
    return slot is not None and (slot == instant or (whole and slot < instant + _MINUTE))


def _odd(rule: Schedule, instant: datetime) -> Iterator[tuple[OddTime, datetime]]:
    """Local times of the rule that a clock change leaves out or repeats, and that ``instant`` stands for."""
    engine = compile_rule(rule)
    if not isinstance(engine, WallClock):
        return
    zone = zone_info(rule.timezone)
    for odd in engine.odd_times(epoch_microseconds(instant - _DAY), epoch_microseconds(instant + _DAY)):
        wall = datetime(1970, 1, 1) + timedelta(seconds=odd.wall)  # noqa: DTZ001 - wall-clock time
        for fold in (0,) if odd.missing else (0, 1):
            if wall.replace(tzinfo=zone, fold=fold).timestamp() == instant.timestamp():
                yield odd, wall


def _edges(book: Chronicle, instant: datetime, zone: str) -> _Answer | None:
    """Before the first slot of the rule, or after its last; or a slot of a rule that came later."""
    stretch, schedule = _stretch(book, instant), _rule(book, instant)
    if stretch is None or schedule is None:
        return None
    begun = [proof(stretch.begun, describe(schedule))] if stretch.begun is not None else []
    if next_after(schedule, instant - INSTANT) is None:
        last = previous_before(schedule, instant)
        when = f": its last slot was {local(last, zone)}" if last is not None else ""
        return Reason.ENDED, f"the schedule had ended{when}", begun
    for later in book.stretches:
        fact = later.begun
        if fact is None or later.definition is None or later.after < instant:
            continue
        if later.definition.schedule != schedule and implies(later.definition.schedule, instant):
            words = f"the schedule that names it came later, at {local(fact.event.timestamp, zone)}"
            return Reason.BEFORE_EDIT, words, [proof(fact, words)]
    if previous_before(schedule, instant + INSTANT) is None:
        first = next_after(schedule, instant)
        when = f": its first slot is {local(first, zone)}" if first is not None else ""
        return Reason.NOT_BEGUN, f"the schedule had not begun{when}", begun
    return None


def _never(book: Chronicle, instant: datetime, zone: str) -> _Answer:
    stretch, schedule = _stretch(book, instant), _rule(book, instant)
    if stretch is None or schedule is None:
        return Reason.NEVER_DUE, "no schedule of this task is known for that time", []
    around = [(_last_before(book, instant), "before"), (_first_after(book, instant), "after")]
    words = " and ".join(f"the one {side} is {local(slot, zone)}" for slot, side in around if slot is not None)
    stands = f"; the task is {book.status} now" if book.status is not TaskStatus.ACTIVE else ""
    begun = [proof(stretch.begun, describe(schedule))] if stretch.begun is not None else []
    told = f"; {words}" if words else ""
    return Reason.NEVER_DUE, f"no slot was ever planned then{told}{stands}", begun


def _last_before(book: Chronicle, instant: datetime) -> datetime | None:
    """The last slot before an instant, of the rules that were in force; none from before the task."""
    found = []
    for stretch in book.stretches:
        if stretch.definition is not None and stretch.after < instant:
            until = _bound(book, stretch)
            end = instant if until is None else min(instant, until + INSTANT)
            slot = previous_before(stretch.definition.schedule, end)
            found += [slot] if slot is not None and slot > stretch.after else []
    return max(found, default=None)


def _first_after(book: Chronicle, instant: datetime) -> datetime | None:
    """The first slot after an instant, of the rules that were in force or are; none after the task's end."""
    found = []
    for stretch in book.stretches:
        until = _bound(book, stretch)
        if stretch.definition is not None:
            slot = next_after(stretch.definition.schedule, max(instant, stretch.after))
            found += [slot] if slot is not None and (until is None or slot <= until) else []
    return min(found, default=None)


def _bound(book: Chronicle, stretch: Stretch) -> datetime | None:
    """Through when a rule had slots; None for the one that goes on."""
    over = book.promise_known and book.promise is None
    return book.decided_until(stretch) if stretch.until is not None or over else None
