"""Why a task did, or did not, run at an instant: the one explanation of it, and the events that prove it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from application.accounting import Fate, fate_of
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
from application.evidence import Evidence, Explanation, Reason, length, local, proof
from application.ports import Recorded
from application.uptime import Up, down_at, unknown_to, uptime
from application.why_missed import begun_instead, missed
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

_Cause = tuple[str, tuple[Evidence, ...]]
_MOST_NAMED = 5
_END = 1 << 62
_UNKNOWN = (Reason.UNREADABLE, Reason.ERASED, Reason.LOST)
_BY_PROCESSES = (
    *(Reason.EXECUTED, Reason.FAILED, Reason.RUNNING, Reason.RETRYING),
    *(Reason.MISSED, Reason.COALESCED, Reason.DUE, Reason.OPERATION_UNKNOWN),
)
_MINUTE = timedelta(minutes=1)
_LATE = timedelta(seconds=1)
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
    found = _Case(book, uptime(nodes), now).explain(_slot_in_minute(book, instant) or instant)
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


class _Case:
    """One question about one task."""

    def __init__(self, book: Chronicle, ups: list[Up], now: datetime) -> None:
        self.book, self.ups, self.now = book, ups, now

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

    def _local(self, instant: datetime) -> str:
        return local(instant, self.zone)

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
        late, causes = self._lateness(decision, slot)
        evidence += causes
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
                told = (
                    f"it started{late}, failed ({last.what}) and is to be tried again at {self._local(last.retry_at)}"
                )
                return Reason.RETRYING, told, evidence
            if isinstance(last, facts.Interrupted):
                return Reason.RETRYING, f"it started{late}, was interrupted ({last.cause}) and waits", evidence
            return Reason.RUNNING, f"it is running on {last.owner} ({tries}){late}", evidence
        event = closed.event
        if isinstance(event, facts.Executed):
            took = length(event.timestamp - story.facts[0].event.timestamp)
            return Reason.EXECUTED, f"it ran{late}: executed after {took}, in {tries}", evidence
        if isinstance(event, facts.Failed):
            return Reason.FAILED, f"it ran{late} and failed in {tries}: {event.what}, {event.error}", evidence
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

    def _lateness(self, decision: Decision, slot: datetime) -> tuple[str, list[Evidence]]:
        """``, 5 min late (why)``, and the proof. Empty for a start on time."""
        started = decision.fact
        late = started.event.timestamp - slot
        if late < _LATE:
            return "", []
        said = f", {length(late)} late"
        resumed = self.book.last_before(started.position, facts.Resumed)
        if resumed is not None and resumed.event.timestamp >= slot and not self._over_by(resumed, slot):
            at = self._local(resumed.event.timestamp)
            words = f"the task was not active until {at}, when {resumed.event.by} resumed it"
            return f"{said} ({words})", [proof(resumed, words)]
        for story in self.book.runs.values():
            closed = story.closed
            if story.slot is None or story.slot >= slot or closed is None or closed.position >= started.position:
                continue
            if closed.event.timestamp >= slot:
                at = self._local(closed.event.timestamp)
                words = f"run {story.run} of {self._local(story.slot)} was under way until {at}"
                return f"{said} ({words})", [proof(closed, words)]
        unserved = self._unknown(decision.definition, slot, started.event.timestamp) or self._down(slot)
        if unserved is not None:
            return f"{said} ({unserved[0]})", list(unserved[1])
        if late < _MINUTE:
            return said, []
        return f"{said} (the log names no cause: every process was busy, or asleep)", []

    def _over_by(self, resumed: Fact, slot: datetime) -> bool:
        """Whether the pause was one until an instant, and that had come by ``slot``: then it did not hold it up."""
        off = self.book.last_before(resumed.position, facts.Paused | facts.Disabled)
        until = field_of(off.event, "until") if off is not None else None
        return until is not None and until <= slot

    def _skipped_range(self, decision: Decision, slot: datetime) -> tuple[Reason, str, list[Evidence]]:
        skip, fact = decision.skip or SkipReason.MISSED, decision.fact
        others = decision.count - 1
        among = f", with {others} other{'s' if others > 1 else ''}" if others else ""
        evidence = [proof(fact, f"{_slots(decision.count)} from {self._local(decision.first)}: skipped, {skip.value}")]
        if skip is SkipReason.MISSED:
            return self._missed(decision, slot, evidence, among)
        if skip is SkipReason.OVERLAP:
            words, more = self._overlap(decision)
        else:
            words, more = self._skip_words(fact, skip, slot)
        return Reason(skip.value), f"it did not run: {words}{among}", [*evidence, *more]

    def _missed(
        self, decision: Decision, slot: datetime, evidence: list[Evidence], among: str
    ) -> tuple[Reason, str, list[Evidence]]:
        fact, definition = decision.fact, decision.definition
        unserved = self._unknown(definition, slot, fact.event.timestamp) or self._down(slot)
        words, more = unserved or (f"nothing served it by {self._local(fact.event.timestamp)}", ())
        reason, said, proofs = missed(self.book, decision, slot, self.zone)
        return reason, f"it did not run: {words}{said}{among}", [*evidence, *more, *proofs]

    def _overlap(self, decision: Decision) -> tuple[str, list[Evidence]]:
        position = decision.fact.position
        busy = [s for s in self.book.runs.values() if s.slot is not None and s.open_at(position)]
        if busy:
            story = busy[-1]
            begun = story.started or story.facts[0]
            closed = story.closed
            until = f"until {self._local(closed.event.timestamp)}" if closed is not None else "and is not closed yet"
            words = f"overlap with run {story.run} of {self._local(story.slot or decision.first)}, under way {until}"
            return words, [proof(fact, words) for fact in (begun, closed) if fact is not None]
        following = begun_instead(self.book, decision.fact)
        if following is None:
            return "it overlapped with an earlier run", []
        words = f"only the newest of the slots that waited ran: run {following.event.run}"
        return words, [proof(following, words)]

    def _skip_words(self, fact: Fact, skip: SkipReason, slot: datetime | None = None) -> tuple[str, list[Evidence]]:
        """What lies behind a skip: who did what, when, and why."""
        book = self.book
        if skip is SkipReason.PAUSED and (paused := book.last_before(fact.position, facts.Paused)) is not None:
            return self._paused(paused, slot)
        if skip is SkipReason.DISABLED and (off := book.last_before(fact.position + 1, facts.Disabled)) is not None:
            words = f"the task was disabled at {self._local(off.event.timestamp)} ({off.event.reason})"
            failure = book.last_before(off.position, facts.Failed)
            more = [proof(failure, f"failed: {failure.event.what}, {failure.event.error}")] if failure else []
            return words, [proof(off, words), *more]
        if skip is SkipReason.REQUESTED and (asked := book.last_before(fact.position, facts.SkipRequested)) is not None:
            words = f"{asked.event.by} asked for it to be left out{_because(asked)}"
            return words, [proof(asked, words)]
        if skip is SkipReason.CANCELLED and (ended := book.last_before(_END, facts.Cancelled)) is not None:
            words = f"{ended.event.by} cancelled the task at {self._local(ended.event.timestamp)}{_because(ended)}"
            return words, [proof(ended, words)]
        if skip is SkipReason.OVERLAP and (then := book.first_after(fact.position, facts.Started)) is not None:
            words = f"it was given up for run {then.event.run}"
            return words, [proof(then, words)]
        if skip is SkipReason.QUOTA:
            # A range carries its note in the same event; of a run the caller adds it.
            return "the guild had used up its runs of the day" + (
                f" ({fact.event.note})" if fact.event.note and fact.event.run is None else ""
            ), []
        return _SKIPS.get(skip, f"skipped, {skip.value}"), []

    def _paused(self, paused: Fact, slot: datetime | None = None) -> tuple[str, list[Evidence]]:
        event, ended = paused.event, self.book.first_after(paused.position, facts.Resumed | facts.Cancelled)
        since = f"from {self._local(event.timestamp)}"
        # A pause until an instant ends then, however late a process is there to notice.
        ends = [event.until if event.until is not None and event.until <= self.now else None]
        ends.append(ended.event.timestamp if ended is not None else None)
        end = min((each for each in ends if each is not None), default=None)
        if end is not None:
            until = f" to {self._local(end)}"
        elif event.until is not None:
            until = f", and is to go on at {self._local(event.until)}"
        else:
            until = ", and it is not resumed yet"
        if slot is not None and event.until is not None and slot >= event.until:
            until += ", and nothing had resumed it when the slot was decided"
        words = f"paused by {event.by}{_because(paused)} {since}{until}"
        did = "resumed" if ended is not None and isinstance(ended.event, facts.Resumed) else "cancelled"
        more = [proof(ended, f"{did} by {ended.event.by}{_because(ended)}")] if ended is not None else []
        return words, [proof(paused, words), *more]

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
        status = self.book.status
        paused = self.book.last_before(_END, facts.Paused) if status is TaskStatus.PAUSED else None
        over = paused is not None and paused.event.until is not None and paused.event.until <= slot
        if fate is Fate.DUE and status is TaskStatus.PAUSED and not over:
            words, evidence = self._paused(paused) if paused is not None else ("paused", [])
            return self._slot(slot, Reason.PAUSED, f"it has not run: {words}", fate, evidence)
        if fate is Fate.DUE and status is TaskStatus.DISABLED:
            words, evidence = self._skip_words(self.book.facts[-1], SkipReason.DISABLED)
            return self._slot(slot, Reason.DISABLED, f"it has not run: {words}", fate, evidence)
        if fate is Fate.AHEAD:
            away = f"it is still to come, in {length(slot - self.now)}"
            stands = "" if status is TaskStatus.ACTIVE else f"; the task is {status} now"
            return self._slot(slot, Reason.AHEAD, away + stands, fate, [*self._promised(), *self._inactive()])
        busy = [story for story in self.book.runs.values() if story.slot is not None and story.closed is None]
        if busy:
            story = busy[-1]
            words = f"run {story.run} of {self._local(story.slot or slot)} is not closed"
            evidence = [*self._promised(), *(proof(fact, words) for fact in story.facts[-1:])]
            return self._slot(slot, Reason.DUE, f"it is due, and waits: {words}", fate, evidence)
        down = self._down(self.now)
        if (unknown := self._unknown(self.book.definition, slot, self.now)) is not None:
            causes = [unknown, down] if down is not None else [unknown]
            told = "; ".join(words for words, _ in causes)
            proofs = [*self._promised(), *(one for _, evidence in causes for one in evidence)]
            return self._slot(slot, Reason.OPERATION_UNKNOWN, f"it is due: {told}", fate, proofs)
        because = f": {down[0]}" if down is not None else ", and nothing has decided on it yet"
        evidence = [*self._promised(), *(down[1] if down is not None else ())]
        return self._slot(slot, Reason.DUE, f"it is due{because}", fate, evidence)

    def _promised(self) -> list[Evidence]:
        """The events that make a slot of what is to come: the one with the rule, and the one with the next slot."""
        book, found = self.book, []
        rule = book.last_before(_END, facts.Created | facts.Revised)
        if rule is not None:
            did = f"{rule.event.by} made the task" if isinstance(rule.event, facts.Created) else _edited(rule)
            found.append(proof(rule, f"{did}: {describe(rule.event.definition.schedule)}"))
        told = next((fact for fact in reversed(book.facts) if field_of(fact.event, "next_slot") is not None), None)
        if told is not None and told is not rule:
            found.append(proof(told, f"the next slot is {self._local(told.event.next_slot)}"))
        return found

    def _inactive(self) -> list[Evidence]:
        """The pause, or what else keeps the task from running now."""
        if self.book.status is TaskStatus.PAUSED and (paused := self.book.last_before(_END, facts.Paused)) is not None:
            return self._paused(paused)[1]
        if self.book.status is TaskStatus.DISABLED:
            return self._skip_words(self.book.facts[-1], SkipReason.DISABLED)[1]
        return []

    def _down(self, instant: datetime) -> _Cause | None:
        return down_at(self.ups, instant, self.zone)

    def _unknown(self, definition: TaskDefinition | None, slot: datetime, end: datetime) -> _Cause | None:
        """That no process knew a custom task's operation when the slot came, nor until ``end``, or until one did."""
        if definition is None or definition.custom_operation is None:
            return None
        return unknown_to(self.ups, definition.custom_operation, slot, end, self.zone)

    def _with_backfill(self, found: Explanation) -> Explanation:
        """Whether somebody asked for the slot again later."""
        for story in self.book.runs.values():
            asked = story.facts[0]
            if isinstance(asked.event, facts.Requested) and asked.event.until == found.slot:
                end = story.closed
                ended = end.event.topic.removeprefix("task.") if end is not None else "not closed yet"
                words = f"{asked.event.by} asked for it again{_because(asked)}: {ended}"
                more = [proof(asked, words), *([proof(end, ended)] if end is not None else [])]
                found = replace(found, answer=f"{found.answer}; {words}", evidence=(*found.evidence, *more))
        return found


def _edited(fact: Fact) -> str:
    return f"the edit of {fact.event.by}{_because(fact)}"


def _slots(count: int) -> str:
    return f"{count} slot{'s' if count != 1 else ''}"


def _because(fact: Fact) -> str:
    return f" ({fact.event.reason})" if getattr(fact.event, "reason", None) else ""


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
