"""Why a slot started late: what held it up, one thing after the other, until it started."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from application.chronicle import Decision, RunStory
from application.evidence import Evidence, length, proof
from application.why_case import Case
from application.why_inactive import inactive, paused_until
from application.why_missed import buffered_until
from domain import task_events as facts

__all__ = ["lateness"]

_LATE, _MINUTE = timedelta(seconds=1), timedelta(minutes=1)


class _Hold(NamedTuple):
    """What held a slot up until ``end``."""

    end: datetime
    words: str
    evidence: tuple[Evidence, ...]


def lateness(case: Case, decision: Decision, slot: datetime) -> tuple[str, list[Evidence]]:
    """``, 5 min late (why)``, and the proof. Empty for a start on time."""
    late = decision.fact.event.timestamp - slot
    if late < _LATE:
        return "", []
    said = f", {length(late)} late"
    holds = _one_after_the_other([_inactive(case, decision, slot), _unserved(case, decision, slot)])
    holds = _one_after_the_other([*holds, _run_before(case, decision, slot)])
    if holds:
        words = "; then ".join(hold.words for hold in holds)
        return f"{said} ({words})", [one for hold in holds for one in hold.evidence]
    if late < _MINUTE:
        return said, []
    return f"{said} (the log names no cause: every process was busy, or asleep)", []


def _one_after_the_other(holds: list[_Hold | None]) -> list[_Hold]:
    """In the order in which they ended. What ended with what is named already held up nothing more."""
    named: list[_Hold] = []
    for hold in holds:
        if hold is not None and all(abs(hold.end - other.end) >= _LATE for other in named):
            named.append(hold)
    return sorted(named, key=lambda hold: hold.end)


def _inactive(case: Case, decision: Decision, slot: datetime) -> _Hold | None:
    """The task went on only after the slot. A pause until an instant that had come by then did not hold it up."""
    resumed = case.book.last_before(decision.fact.position, facts.Resumed)
    if resumed is None or resumed.event.timestamp < slot:
        return None
    off = case.book.last_before(resumed.position, facts.Paused | facts.Disabled)
    until = paused_until(off) if off is not None else None
    if until is not None and until <= slot:
        return None
    if off is not None:
        return _Hold(resumed.event.timestamp, *inactive(case, off))
    words = f"the task was not active until {case.local(resumed.event.timestamp)}, when {resumed.event.by} resumed it"
    return _Hold(resumed.event.timestamp, words, (proof(resumed, words),))


def _unserved(case: Case, decision: Decision, slot: datetime) -> _Hold | None:
    """No process was up, or none knew the operation."""
    started = decision.fact.event.timestamp
    if (unknown := case.unknown(decision.definition, slot, started)) is not None:
        return _Hold(started, *unknown)
    if (down := case.down(slot)) is None:
        return None
    return _Hold(min((up.since for up in case.ups if up.since > slot), default=started), *down)


def _run_before(case: Case, decision: Decision, slot: datetime) -> _Hold | None:
    """The run that closed last before the start, where slots wait for runs."""
    started, definition = decision.fact, decision.definition
    until = buffered_until(case.book, started.position)
    waits = (definition is not None and definition.overlap.buffers) or (until is not None and slot <= until)
    before: list[tuple[datetime, RunStory]] = [
        (story.closed.event.timestamp, story)
        for story in (case.book.runs.values() if waits else ())
        if story.slot is not None
        and story.slot < slot
        and story.closed is not None
        and story.closed.position < started.position
        and story.closed.event.timestamp >= slot
    ]
    if not before:
        return None
    end, story = max(before, key=lambda one: one[0])
    words = f"{case.run_of(story)} was under way until {case.local(end)}"
    return _Hold(end, words, (proof(story.closed, words),) if story.closed is not None else ())
