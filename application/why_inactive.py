"""Slots that came while a task was paused or disabled: by whom, why, from when to when, and what was before."""

from __future__ import annotations

from datetime import datetime

from application.chronicle import Chronicle, Fact, field_of
from application.evidence import Evidence, because, proof
from application.why_case import Case, Cause
from domain import task_events as facts
from domain.definition import TaskDefinition

__all__ = ["held_off", "inactive", "paused_until"]

_INACTIVE = facts.Paused | facts.Disabled


def held_off(book: Chronicle, slot: datetime, position: int) -> Fact | None:
    """The pause, or the disabling, that a slot came in, by what was written before ``position``.

    A pause until an instant is over then, however late anybody noticed.
    """
    said = [
        fact
        for fact in book.facts
        if fact.position < position
        and fact.event.timestamp <= slot
        and isinstance(fact.event, _INACTIVE | facts.Resumed)
    ]
    if not said or isinstance(said[-1].event, facts.Resumed):
        return None
    until = paused_until(said[-1])
    return None if until is not None and until <= slot else said[-1]


def paused_until(off: Fact) -> datetime | None:
    """When a pause is to end by itself; None for one that is not, and where the task was disabled."""
    until: datetime | None = field_of(off.event, "until")
    return until


def inactive(case: Case, off: Fact, slot: datetime | None = None, definition: TaskDefinition | None = None) -> Cause:
    """A pause, or a disabling, in words. Of a ``slot`` that came before it, what held that up comes first."""
    words, evidence = _paused(case, off, slot) if isinstance(off.event, facts.Paused) else _disabled(case, off)
    if slot is None or slot >= off.event.timestamp:
        return words, evidence
    before, proofs = _before(case, off, slot, definition)
    return f"{before}; then {words}", (*proofs, *evidence)


def _paused(case: Case, off: Fact, slot: datetime | None) -> Cause:
    event, ended = off.event, case.book.first_after(off.position, facts.Resumed | facts.Cancelled)
    since = f"from {case.local(event.timestamp)}"
    # A pause until an instant ends then, however late a process is there to notice.
    ends = [event.until if event.until is not None and event.until <= case.now else None]
    ends.append(ended.event.timestamp if ended is not None else None)
    end = min((each for each in ends if each is not None), default=None)
    if end is not None:
        until = f" to {case.local(end)}"
    elif event.until is not None:
        until = f", and is to go on at {case.local(event.until)}"
    else:
        until = ", and it is not resumed yet"
    if slot is not None and event.until is not None and slot >= event.until:
        until += ", and nothing had resumed it when the slot was decided"
    words = f"paused by {event.by}{because(off)} {since}{until}"
    return words, (proof(off, words), *_ended(ended))


def _disabled(case: Case, off: Fact) -> Cause:
    ended = case.book.first_after(off.position, facts.Resumed | facts.Cancelled)
    words = f"the task was disabled at {case.local(off.event.timestamp)} ({off.event.reason})"
    if ended is not None:
        words += f", and {_did(ended)} by {ended.event.by} at {case.local(ended.event.timestamp)}"
    failure = case.book.last_before(off.position, facts.Failed)
    more = [proof(failure, f"failed: {failure.event.what}, {failure.event.error}")] if failure else []
    return words, (proof(off, words), *more, *_ended(ended))


def _ended(ended: Fact | None) -> tuple[Evidence, ...]:
    return () if ended is None else (proof(ended, f"{_did(ended)} by {ended.event.by}{because(ended)}"),)


def _did(ended: Fact) -> str:
    return "resumed" if isinstance(ended.event, facts.Resumed) else "cancelled"


def _before(case: Case, off: Fact, slot: datetime, definition: TaskDefinition | None) -> Cause:
    """What a slot waited for when the task was paused or disabled."""
    buffers = definition is not None and definition.overlap.buffers
    for story in case.book.runs.values() if buffers else ():
        begun, closed = story.started, story.closed
        if begun is None or begun.position > off.position or story.slot is None or story.slot >= slot:
            continue
        if (
            closed is None or closed.event.timestamp >= off.event.timestamp
        ):  # the failure that disabled it closed one, too
            words = f"it waited for {case.run_of(story)}"
            return words, (proof(begun, words),)
    return case.unserved(definition, slot, off.event.timestamp) or ("nothing had served it", ())
