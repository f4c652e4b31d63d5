"""Why a task did, or did not, run at an instant: the one explanation of it, and the events that prove it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from application.accounting import fate_of
from application.chronicle import (
    INSTANT,
    Chronicle,
    Decision,
    Fact,
    RunStory,
    chronicle,
    field_of,
    implies,
    sentence_of,
)
from application.evidence import Evidence, Explanation, Reason, because, length, proof
from application.fates import Fate
from application.ports import Recorded
from application.uptime import uptime
from application.why_case import Case, Cause
from application.why_inactive import held_off, inactive, paused_until
from application.why_late import lateness
from application.why_missed import begun_instead, buffered_until, missed
from application.why_not_due import no_slot, zone_of
from domain import task_events as facts
from domain.definition import TaskDefinition
from domain.errors import EventUnreadable, PayloadErased
from domain.event import utc
from domain.runs import TaskStatus
from domain.schedule import describe, next_after
from domain.task_erasure import ERASED
from domain.task_events import SkipReason

__all__ = ["why"]

_MOST_NAMED = 5
_END = 1 << 62
_UNKNOWN = (Reason.UNREADABLE, Reason.ERASED, Reason.LOST)
_BY_PROCESSES = (
    *(Reason.EXECUTED, Reason.FAILED, Reason.RUNNING, Reason.RETRYING),
    *(Reason.MISSED, Reason.COALESCED, Reason.DUE, Reason.OPERATION_UNKNOWN),
    *(Reason.OVERLAP, Reason.PAUSED, Reason.DISABLED),
)
_MINUTE = timedelta(minutes=1)
_INACTIVE = {SkipReason.PAUSED: facts.Paused, SkipReason.DISABLED: facts.Disabled}
_OFF = (TaskStatus.PAUSED, TaskStatus.DISABLED)
_SKIPS = {
    SkipReason.QUIET: "it was quiet: there was too little to do",
    SkipReason.EXCLUDED: "the slot was excluded",
    SkipReason.MISSED: "the slot was missed",
}


def why(
    events: Sequence[Recorded] | Chronicle, nodes: Sequence[Recorded], instant: datetime | None, *, now: datetime
) -> Explanation:
    """Explain one instant of a task, from its events and those of the processes.

    An instant on a whole minute stands for the slot in that minute, where there is one. None is the slot that waits,
    else the last one, else the next; of a task that is over, ``now``. What cannot be read is named.
    """
    book = events if isinstance(events, Chronicle) else chronicle(events)
    now = utc(now)
    instant = utc(instant) if instant is not None else _meant(book, now)
    if book.erasure is not None:
        return _erased(book.erasure, instant)
    found = _Question(book, uptime(nodes), now).explain(_slot_in_minute(book, instant) or instant)
    return replace(_with_unread(_with_unread_nodes(found, nodes), book), instant=instant)


def _meant(book: Chronicle, now: datetime) -> datetime:
    """What is asked about where no instant is named."""
    if book.status.ended:
        return now
    if book.promise is not None and (book.promise <= now or book.status is not TaskStatus.ACTIVE):
        return book.promise
    last = max((decision.last for decision in book.decisions if decision.last <= now), default=None)
    return last or book.promise or now


def _with_unread_nodes(found: Explanation, nodes: Sequence[Recorded]) -> Explanation:
    """Said with an answer that rests on when processes were up, where that is not wholly known."""
    broken = [one for one in nodes if isinstance(one.event, EventUnreadable)]
    if not broken or found.reason not in _BY_PROCESSES:
        return found
    words = "an event of a process is unreadable: when processes were up is not wholly known"
    extra = tuple(Evidence(one.position, None, words) for one in broken[:_MOST_NAMED])
    return replace(found, answer=f"{found.answer}; {words}", evidence=(*found.evidence, *extra), whole=False)


def _with_unread(found: Explanation, book: Chronicle) -> Explanation:
    """Said with any answer about a task of which events cannot be read: they may say more, or otherwise."""
    if not book.unreadable:
        return found
    if found.reason in _UNKNOWN:
        return replace(found, whole=False)
    unread = [Evidence(position, error.at, sentence_of(error)) for position, error in book.unreadable[:_MOST_NAMED]]
    others = len(book.unreadable) - 1
    more = f" (and {others} more of this task)" if others else ""
    words = f"{unread[0].words}{more}, and may say otherwise"
    return replace(found, answer=f"{found.answer}; {words}", evidence=(*found.evidence, *unread), whole=False)


def _erased(erasure: Fact, instant: datetime) -> Explanation:
    event = erasure.event
    answer = f"{ERASED}: the task was erased at {event.timestamp:%Y-%m-%d %H:%M %z}; its account still counts"
    evidence = (proof(erasure, f"{event.by} erased guild {event.guild_id}"),)
    return Explanation(str(event.originator_id), instant, Reason.ERASED, answer, evidence=evidence)


def _slot_in_minute(book: Chronicle, instant: datetime) -> datetime | None:
    if instant.second or instant.microsecond or book.decision_of(instant) is not None:
        return None
    stretch = book.stretch_of(instant)
    if stretch is None or stretch.definition is None:
        return None
    slot = next_after(stretch.definition.schedule, instant - INSTANT)
    return slot if slot is not None and slot < instant + _MINUTE else None


class _Question(Case):
    """One question, and its answer."""

    def explain(self, instant: datetime) -> Explanation:
        """The one explanation: of what was decided, of what is still open, or of why there was no slot."""
        self.zone = zone_of(self.book, instant)
        decision = self.book.decision_of(instant)
        if decision is not None:
            reason, answer, evidence = self._decided(decision, instant)
            found = self._slot(instant, reason, answer, fate_of(self.book, decision), evidence)
            return self._with_backfill(found)
        undecided = self._undecided(instant)
        return undecided if undecided is not None else no_slot(self.book, instant, self.now)

    def _slot(
        self, slot: datetime, reason: Reason, answer: str, fate: Fate, evidence: Sequence[Evidence]
    ) -> Explanation:
        first = self.book.facts[0].event
        return Explanation(str(first.originator_id), slot, reason, answer, slot, fate, tuple(dict.fromkeys(evidence)))

    # --- what was decided ---

    def _decided(self, decision: Decision, slot: datetime) -> tuple[Reason, str, list[Evidence]]:
        story = self.book.runs.get(decision.run or "")
        if decision.skip is not None:
            return self._skipped_range(decision, slot)
        if story is None:
            raise AssertionError("a started slot has a run")
        return self._run(story, decision, slot)

    def _run(self, story: RunStory, decision: Decision, slot: datetime) -> tuple[Reason, str, list[Evidence]]:
        evidence = [proof(fact, _run_words(fact)) for fact in story.facts]
        late, causes = lateness(self, decision, slot)
        cut_off, proofs = self._interruptions(story)
        evidence += [*causes, *proofs]
        closed, last = story.closed, story.standing.event
        attempts = sum(isinstance(fact.event, facts.Started) for fact in story.facts)
        tries = f"attempt {attempts}" if attempts > 1 else "the first attempt"
        if closed is None:
            if self.book.may_be_closed(story):
                errors = [(p, e) for p, e in self.book.unreadable if p > story.facts[0].position]
                evidence += [Evidence(p, e.at, sentence_of(e)) for p, e in errors]
                reason = Reason.ERASED if self.book.erased else Reason.UNREADABLE
                return reason, f"it started{late}; how it ended stands in an event that cannot be read", evidence
            if isinstance(last, facts.Failed) and last.retry_at is not None:
                told = f"it started{late}, failed ({last.what}) and is to be tried again at {self.local(last.retry_at)}"
                return Reason.RETRYING, told, evidence
            if isinstance(last, facts.Interrupted):
                return Reason.RETRYING, f"it started{late}, was interrupted ({last.cause}) and waits", evidence
            return Reason.RUNNING, f"it is running on {last.owner} ({tries}){late}", evidence
        event = closed.event
        if isinstance(event, facts.Executed):
            took = length(event.timestamp - story.facts[0].event.timestamp)
            return Reason.EXECUTED, f"it ran{late}: executed after {took}, in {tries}{cut_off}", evidence
        if isinstance(event, facts.Failed):
            return Reason.FAILED, f"it ran{late} and failed in {tries}: {event.what}, {event.error}{cut_off}", evidence
        words, more = self._skip_words(closed, event.skip)
        note = f" ({event.note})" if event.note else ""
        return (
            Reason(event.skip.value),
            f"it started{late}, and was closed without a result: {words}{note}",
            [
                *evidence,
                *more,
            ],
        )

    def _interruptions(self, story: RunStory) -> Cause:
        """That attempts were cut off, and how long nothing was up then: the run took that long, and did not work."""
        told: list[str] = []
        evidence: list[Evidence] = []
        begun = story.facts[0]
        for fact in story.facts:
            event = fact.event
            if isinstance(event, facts.Started):
                begun = fact
            elif isinstance(event, facts.Interrupted):
                down = self.down_within(begun.event.timestamp, event.timestamp)
                told.append(f"attempt {event.attempt} was interrupted ({event.cause}{f': {down[0]}' if down else ''})")
                evidence += down[1] if down else ()
        others = [f"and {len(told) - _MOST_NAMED} more"] if len(told) > _MOST_NAMED else []
        return "".join(f"; {words}" for words in [*told[:_MOST_NAMED], *others]), tuple(evidence)

    def _skipped_range(self, decision: Decision, slot: datetime) -> tuple[Reason, str, list[Evidence]]:
        skip, fact = decision.skip or SkipReason.MISSED, decision.fact
        others = decision.count - 1
        among = f", with {others} other{'s' if others > 1 else ''}" if others else ""
        evidence = [proof(fact, f"{_slots(decision.count)} from {self.local(decision.first)}: skipped, {skip.value}")]
        if skip is SkipReason.MISSED:
            return self._missed(decision, slot, evidence, among)
        if skip is SkipReason.OVERLAP:
            words, more = self._overlap(decision, slot)
        else:
            words, more = self._skip_words(fact, skip, slot, decision.definition)
        did = "did not run" if slot <= self.now else "is not to run"
        return Reason(skip.value), f"it {did}: {words}{among}", [*evidence, *more]

    def _missed(
        self, decision: Decision, slot: datetime, evidence: list[Evidence], among: str
    ) -> tuple[Reason, str, list[Evidence]]:
        fact, definition = decision.fact, decision.definition
        off = held_off(self.book, slot, fact.position)
        held = inactive(self, off, slot) if off is not None else None
        unserved = held or self.unserved(definition, slot, fact.event.timestamp)
        words, more = unserved or (f"nothing served it by {self.local(fact.event.timestamp)}", ())
        reason, said, proofs = missed(self.book, decision, slot, self.zone)
        return reason, f"it did not run: {words}{said}{among}", [*evidence, *more, *proofs]

    def _overlap(self, decision: Decision, slot: datetime) -> Cause:
        position = decision.fact.position
        busy = [s for s in self.book.runs.values() if s.slot is not None and s.open_at(position)]
        if busy:
            story = busy[-1]
            begun, closed = story.started or story.facts[0], story.closed
            until = f"until {self.local(closed.event.timestamp)}" if closed is not None else "and is not closed yet"
            evidence = [proof(begun, f"{self.run_of(story)} started on {begun.event.owner}")]
            evidence += [proof(closed, f"{self.run_of(story)}: {_run_words(closed)}")] if closed is not None else []
            down = self.down(slot)  # the process that had it may have died: then the run was not worked on
            words = f"overlap with {self.run_of(story)}, under way {until}" + (f"; {down[0]}" if down else "")
            return words, (*evidence, *(down[1] if down else ()))
        following = begun_instead(self.book, decision.fact)
        if following is None:
            return "it overlapped with an earlier run", ()
        words = f"only the newest of the slots that waited ran: run {following.event.run}"
        return words, (proof(following, words),)

    def _skip_words(
        self, fact: Fact, skip: SkipReason, slot: datetime | None = None, definition: TaskDefinition | None = None
    ) -> Cause:
        """What lies behind a skip: who did what, when, and why."""
        book = self.book
        off = book.last_before(fact.position + 1, _INACTIVE[skip]) if skip in _INACTIVE else None
        if off is not None:
            return inactive(self, off, slot, definition)
        if skip is SkipReason.REQUESTED and (asked := book.last_before(fact.position, facts.SkipRequested)) is not None:
            words = f"{asked.event.by} asked for it to be left out{because(asked)}"
            return words, (proof(asked, words),)
        if skip is SkipReason.CANCELLED and (ended := book.last_before(_END, facts.Cancelled)) is not None:
            words = f"{ended.event.by} cancelled the task at {self.local(ended.event.timestamp)}{because(ended)}"
            return words, (proof(ended, words),)
        if skip is SkipReason.OVERLAP and (then := book.first_after(fact.position, facts.Started)) is not None:
            words = f"it was given up for run {then.event.run}"
            return words, (proof(then, words),)
        if skip is SkipReason.QUOTA:
            # A range carries its note in the same event; of a run the caller adds it.
            return "the guild had used up its runs of the day" + (
                f" ({fact.event.note})" if fact.event.note and fact.event.run is None else ""
            ), ()
        return _SKIPS.get(skip, f"skipped, {skip.value}"), ()

    # --- what is still open ---

    def _undecided(self, instant: datetime) -> Explanation | None:
        """A slot that no readable event decided: still to come, due, lost, or hidden in an unreadable event."""
        book, stretch = self.book, self.book.stretch_of(instant)
        if book.promise_known and instant == book.promise:
            return self._pending(instant)
        if stretch is None or stretch.definition is None or not implies(stretch.definition.schedule, instant):
            return None
        until = book.decided_until(stretch)
        if until is None or instant <= until:
            if stretch.holes:
                erased = all(isinstance(error, PayloadErased) for error in stretch.holes)
                at = {id(error): position for position, error in book.unreadable}
                evidence = [Evidence(at.get(id(error)), error.at, sentence_of(error)) for error in stretch.holes]
                answer = "what became of this slot stands in an event that cannot be read"
                return self._slot(
                    instant, Reason.ERASED if erased else Reason.UNREADABLE, answer, Fate.UNREADABLE, evidence
                )
            return None
        return self._pending(instant) if book.promise is not None else None

    def _pending(self, slot: datetime) -> Explanation:
        fate = Fate.DUE if slot <= self.now else Fate.AHEAD
        off = self.book.last_before(_END, facts.Paused | facts.Disabled) if self.book.status in _OFF else None
        until = paused_until(off) if off is not None else None
        over = until is not None and until <= slot
        if fate is Fate.AHEAD:
            words, proofs = self._ahead(slot, off, until)
            return self._slot(slot, Reason.AHEAD, words, fate, [*self._promised(), *proofs])
        if off is not None and not over:
            words, proofs = inactive(self, off, slot, self.book.definition)
            return self._slot(slot, Reason(self.book.status.value), f"it has not run: {words}", fate, proofs)
        unknown = self.unknown(self.book.definition, slot, self.now)
        causes = [one for one in (self._waits(slot), unknown, self.down(self.now)) if one is not None]
        words = "; ".join(words for words, _ in causes)
        proofs = tuple(one for _, evidence in causes for one in evidence)
        told = f"it is due: {words}" if causes else "it is due, and nothing has decided on it yet"
        reason = Reason.DUE if unknown is None else Reason.OPERATION_UNKNOWN
        return self._slot(slot, reason, told, fate, [*self._promised(), *proofs])

    def _waits(self, slot: datetime) -> Cause | None:
        """The open run that a slot waits for, where slots wait for runs."""
        definition, until = self.book.definition, buffered_until(self.book, _END)
        if not (definition is not None and definition.overlap.buffers) and (until is None or slot > until):
            return None
        busy = [story for story in self.book.runs.values() if story.slot is not None and story.closed is None]
        words = f"it waits for {self.run_of(busy[-1])}, which is not closed" if busy else ""
        return (words, (proof(busy[-1].facts[-1], words),)) if busy else None

    def _promised(self) -> list[Evidence]:
        """The events that make a slot of what is to come: the one with the rule, and the one with the next slot."""
        book, found = self.book, []
        rule = book.last_before(_END, facts.Created | facts.Revised)
        if rule is not None:
            did = f"{rule.event.by} made the task" if isinstance(rule.event, facts.Created) else _edited(rule)
            found.append(proof(rule, f"{did}: {describe(rule.event.definition.schedule)}"))
        told = next((fact for fact in reversed(book.facts) if field_of(fact.event, "next_slot") is not None), None)
        if told is not None and told is not rule:
            found.append(proof(told, f"the next slot is {self.local(told.event.next_slot)}"))
        return found

    def _ahead(self, slot: datetime, off: Fact | None, until: datetime | None) -> Cause:
        """When a slot comes, and whether a pause that lasts, or that the task is disabled, keeps it from running."""
        away = f"it is still to come, in {length(slot - self.now)}"
        if off is None:
            return away, ()
        words, evidence = inactive(self, off)
        if until is None:
            return f"{away}, and is left out if the task is still {self.book.status} then: {words}", evidence
        if until > slot:
            return f"{away}, and is to be left out: {words}", evidence
        return f"{away}; the task is paused until {self.local(until)}, and goes on before it", evidence

    def _with_backfill(self, found: Explanation) -> Explanation:
        """Whether somebody asked for the slot again later."""
        for story in self.book.runs.values():
            asked = story.facts[0]
            if isinstance(asked.event, facts.Requested) and asked.event.until == found.slot:
                end = story.closed
                ended = end.event.topic.removeprefix("task.") if end is not None else "not closed yet"
                words = f"{asked.event.by} asked for it again{because(asked)}: {ended}"
                more = [proof(asked, words), *([proof(end, ended)] if end is not None else [])]
                found = replace(found, answer=f"{found.answer}; {words}", evidence=(*found.evidence, *more))
        return found


def _edited(fact: Fact) -> str:
    return f"the edit of {fact.event.by}{because(fact)}"


def _slots(count: int) -> str:
    return f"{count} slot{'s' if count != 1 else ''}"


def _run_words(fact: Fact) -> str:
    event = fact.event
    match event:
        case facts.Started():
            return f"attempt {event.attempt} started on {event.owner}"
        case facts.Failed():
            did = "was postponed" if event.postponed else "failed"
            return f"attempt {event.attempt} {did}: {event.what}, {event.error}"
        case facts.Interrupted():
            return f"attempt {event.attempt} was interrupted: {event.cause}, noticed by {event.noticed_by}"
        case facts.Skipped():
            return f"closed without a result: {event.skip.value}"
        case facts.Executed():
            return f"executed ({event.note})" if event.note else "executed"
    return str(event.topic).removeprefix("task.").replace("_", " ")
