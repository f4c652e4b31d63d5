"""Why a slot was missed for good, or runs together with a later one: what decided it wrote in the same act says so."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from application.chronicle import Chronicle, Decision, Fact
from application.evidence import Evidence, Reason, length, local, proof
from domain import task_events as facts
from domain.claiming import catch_up_window
from domain.definition import CatchUp, OverlapPolicy, TaskDefinition
from domain.task_events import SkipReason

__all__ = ["begun_instead", "buffered_until", "missed"]

_COMMANDS = facts.Revised | facts.Paused | facts.SkipRequested | facts.Cancelled


def begun_instead(book: Chronicle, skipped: Fact) -> Fact | None:
    """The start that came of the same claim as a skip. None where the claim, or a command, started nothing.

    A claim skips, gives up what a newer run replaces, and starts the next slot, all at one instant. A later start of
    that slot is another act: the slot was still to come when the skip was decided.
    """
    for fact in _same_instant(book, skipped):
        event = fact.event
        if isinstance(event, facts.Skipped) and event.run is not None:
            continue
        begun = isinstance(event, facts.Started) and event.attempt == 1 and event.slot is not None
        return fact if begun and event.slot == skipped.event.next_slot else None
    return None


def missed(book: Chronicle, decision: Decision, slot: datetime, zone: str) -> tuple[Reason, str, tuple[Evidence, ...]]:
    """What follows the cause in the answer: the run that stood in for the slot, who closed it, or the policy."""
    fact, definition = decision.fact, decision.definition
    begun = begun_instead(book, fact)
    if begun is not None and (definition is None or definition.catch_up is CatchUp.RUN_LAST):
        words = f"coalesced into run {begun.event.run} of {local(begun.event.slot, zone)}"
        return Reason.COALESCED, f"; {words}", (proof(begun, words),)
    if definition is None:
        return Reason.MISSED, "", ()
    if not _reaches(definition, slot, fact) and not _waited(book, definition, decision):
        reach = f"{definition.catch_up}, {length(catch_up_window(definition))}"
        return Reason.MISSED, f", and the catch-up policy ({reach}) does not reach back to it", ()
    if begun is not None:
        words = f"only the newest of those that were due ran: run {begun.event.run} of {local(begun.event.slot, zone)}"
        return Reason.MISSED, f"; {words}", (proof(begun, words),)
    closed = next((one for one in _same_instant(book, fact) if _closes(one)), None)
    if closed is None:
        return Reason.MISSED, "", ()
    words = _closed_words(closed, zone)
    return Reason.MISSED, f"; {words}", (proof(closed, words),)


def _same_instant(book: Chronicle, fact: Fact) -> Iterator[Fact]:
    """What the log says of the task right after an event, at the same instant."""
    for later in book.facts:
        if later.position > fact.position:
            if later.event.timestamp != fact.event.timestamp:
                return
            yield later


def _reaches(definition: TaskDefinition, slot: datetime, fact: Fact) -> bool:
    """Whether a claim at the instant of the skip would have run the slot, or a newer one that stands for it."""
    event = fact.event
    if definition.catch_up is CatchUp.RUN_LAST:
        due = event.next_slot is not None and event.next_slot <= event.timestamp
        slot = event.next_slot if due else event.last
    return bool(slot >= event.timestamp - catch_up_window(definition))


def _waited(book: Chronicle, definition: TaskDefinition, decision: Decision) -> bool:
    """Whether the slot waited for a run, open or just closed: a claim misses none of these, so a command closed it."""
    position = decision.fact.position
    until = buffered_until(book, position)
    if until is not None and decision.first <= until:
        return True
    busy = any(story.slot is not None and story.open_at(position) for story in book.runs.values())
    return busy and (definition.overlap.buffers or definition.overlap is OverlapPolicy.SKIP)


def buffered_until(book: Chronicle, position: int) -> datetime | None:
    """Up to when slots had waited, right before a position: a claim says it, or the end of what they waited for."""
    closings = {story.closed.position for story in book.runs.values() if story.closed and story.slot is not None}
    until, buffers = None, False
    for fact in book.facts:
        event = fact.event
        if fact.position >= position:
            break
        if isinstance(event, facts.Created | facts.Revised):
            buffers = event.definition.overlap.buffers
        elif isinstance(event, facts.Started) and event.buffered_until is not None:
            until = event.buffered_until
        elif buffers and fact.position in closings:
            until = event.timestamp
    return until


def _closes(fact: Fact) -> bool:
    event = fact.event
    turned_away = isinstance(event, facts.Skipped) and event.run is None and event.skip is SkipReason.QUOTA
    return turned_away or isinstance(event, _COMMANDS)


def _closed_words(fact: Fact, zone: str) -> str:
    match fact.event:
        case facts.Revised(by=by):
            return f"the edit of {by} closed what the old schedule still owed"
        case facts.Paused(by=by):
            return f"the pause of {by} closed what was still owed"
        case facts.SkipRequested(by=by):
            return f"{by} closed what was still owed, and asked for later slots to be left out"
        case facts.Cancelled(by=by):
            return f"{by} cancelled the task, which closed what was still owed"
    slot = local(fact.event.first, zone)
    return f"the slot of {slot} was to stand in for it, but the guild had used up its runs of the day"
