"""Random lives of a delivering task, with its real deliverer and a scripted other side, held against a plain model.

Runs, failures of every kind, retries, deaths at every point of a delivery, edits, pauses and notices. After every step
the aggregate, the rows projected from its events and the model say the same; and the other side, asked itself, has
nothing twice that it should have once.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from application.deliverer import Deliverer
from application.ports import DeliveryRequest
from application.projections import project
from application.rows import DeliveryRow, RowsInMemory, RunRow, TaskRow, TextRow
from application.work import Work, work_of
from domain.destination import DeliveryOutcome, DeliveryStatus, Destination, DestinationType, UnknownPolicy
from domain.draft import revised
from domain.errors import DeliveryFailed, NotDue, StaleAttempt
from domain.event import epoch_microseconds as us
from domain.incidents import NoticeKind
from domain.runs import Attempt
from domain.summary import Summary
from domain.task_events import Disabled, Executed, Failed, InterruptionReason, Noticed, SkipReason, Started, TaskEvent
from tests.domain.task_parts import DEADLINE, START, same, summary_task
from tests.doubles import HandClock
from tests.properties.delivery_model import MEMORY, DeliveryModel, RunModel, expected_status

PLACES = [
    Destination(type=DestinationType.FILE, target="a", format="markdown"),
    Destination(type=DestinationType.DISCORD_CHANNEL, target="5"),
    Destination(type=DestinationType.WEBHOOK, target="secret:00000000000000aa", format="slack"),
    Destination(
        type=DestinationType.WEBHOOK, target="secret:00000000000000bb", format="slack", on_unknown=UnknownPolicy.RESEND
    ),
]
TASK = UUID("5b6a3c1e-6a55-4f0c-9d2b-2f7c41c0a222")
"""Always the same: the ids of runs, which decide between runs that are due at once, are made from it."""

DISCORD_MEMORY = timedelta(minutes=3)
"""What the other side really remembers: longer than what is relied on."""

ACTS = st.sampled_from(["ok", "ok", "ok", "busy", "refused", "lost", "vanished", "shut", "shut"])
SCRIPTS = st.lists(st.tuples(ACTS, ACTS), min_size=len(PLACES), max_size=len(PLACES))
CHOSEN = st.sets(st.sampled_from(range(len(PLACES))), min_size=1)
NO_WAITS = [0.0] * len(PLACES)
WAITS = st.lists(st.sampled_from([0.0, 0.0, 3600.0, 20_000.0]), min_size=len(PLACES), max_size=len(PLACES))
MINUTES = st.sampled_from([0, 1, 3, 5, 10, 20, 60, 240])
ENDS = st.sampled_from(["conclude"] * 4 + ["before_send", "after_send", "before_intent", "shutdown"])


class Died(Exception):
    """The process is gone."""


class OtherSide:
    """A delivery channel of one kind, whose other side follows a script. ``has`` counts what a reader would see."""

    def __init__(self, type: DestinationType, clock: HandClock) -> None:
        self.type, self._clock = type, clock
        self.script: dict[str, list[str]] = {}
        self.waits: dict[str, float] = {}
        self.has: Counter[tuple[str, str]] = Counter()
        self.sends: list[tuple[str, str]] = []
        self._since: dict[tuple[str, str], Any] = {}

    def remembers(self, destination: Destination) -> timedelta:
        return MEMORY[self.type]

    def check(self, destination: Destination, guild_id: str) -> None:
        """Every place is fine here."""

    async def deliver(self, request: DeliveryRequest) -> str:
        where = (request.run_id, request.destination.key)
        self.sends.append(where)
        act = self.script[request.destination.key].pop(0)
        if act in ("ok", "lost"):
            self._take(where)
        if act == "ok":
            return "taken"
        raise DeliveryFailed(
            act,
            permanent=act == "refused",
            ambiguous=act in ("lost", "vanished"),
            postponed=act == "shut",
            retry_after_seconds=self.waits.get(request.destination.key),
        )

    def _take(self, where: tuple[str, str]) -> None:
        now = self._clock.now()
        known = self.type is DestinationType.FILE or (
            self.type is DestinationType.DISCORD_CHANNEL and now - self._since.get(where, START) <= DISCORD_MEMORY
        )
        if where in self._since and known:
            return
        self._since[where] = now
        self.has[where] += 1


class DeliveryMachine(RuleBasedStateMachine):
    """One hourly summary with up to four destinations."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = HandClock(START)
        self.sides = {kind: OtherSide(kind, self.clock) for kind in MEMORY}
        self.deliverer = Deliverer(self.sides, self.clock)
        self.loop = asyncio.new_event_loop()
        self.rows, self.seen, self.requests = RowsInMemory(), 0, 0

    def teardown(self) -> None:
        self.loop.close()
        if hasattr(self, "task"):
            assert same(self.task), "a replay leads to the same state"
            self._check_notices()

    # --- people ---

    @initialize(
        chosen=CHOSEN, max_failures=st.integers(1, 4), delay=st.sampled_from([1, 5, 240]), overlap=st.booleans()
    )
    def begin(self, chosen: set[int], max_failures: int, delay: int, overlap: bool) -> None:
        """A task with some destinations."""
        fields: dict[str, Any] = {"max_failures": max_failures, "retry_delay_minutes": delay}
        if overlap:
            fields["overlap"] = "allow_all"
        places = [PLACES[index] for index in sorted(chosen)]
        self.task = summary_task(**{**fields, "id": TASK, "destinations": places})
        self.model = DeliveryModel(max_failures, timedelta(minutes=delay))

    @rule(minutes=MINUTES)
    def passes(self, minutes: int) -> None:
        """Time passes."""
        self.clock.move(timedelta(minutes=minutes))

    @rule(chosen=CHOSEN, max_failures=st.integers(1, 4), delay=st.sampled_from([1, 5, 240]))
    def edits(self, chosen: set[int], max_failures: int, delay: int) -> None:
        """Other destinations, another patience. A destination that is gone is forgotten with its refusal."""
        places = [PLACES[index] for index in sorted(chosen)]
        changes = {"destinations": places, "max_failures": max_failures, "retry_delay_minutes": delay}
        now = self.clock.now()
        self.task.revise(revised(self.task.definition, changes, now=now), now=now, by="p")
        self.model.max_failures, self.model.retry_delay = max_failures, timedelta(minutes=delay)
        self.model.refused &= {place.key for place in places}

    @precondition(lambda self: self.model.status == "active")
    @rule()
    def pauses(self) -> None:
        """The schedule stops; what waits is kept or closed as the aggregate says."""
        self.task.pause(now=self.clock.now(), by="p")
        self.model.status = "paused"
        waiting = [n for n, run in self.model.runs.items() if not run.manual and n not in self.task.open_runs]
        for name in waiting:
            self.model.skips(name)

    @precondition(lambda self: self.model.status != "active")
    @rule()
    def resumes(self) -> None:
        """It goes on, with a clean sheet; the trouble is not over until something succeeds."""
        self.task.resume(now=self.clock.now(), by="p")
        self.model.status, self.model.failures, self.model.refused = "active", 0, set()

    @rule()
    def requests_run(self) -> None:
        """Somebody wants a run now; it stands outside of the counts of the schedule."""
        self.requests += 1
        now = self.clock.now()
        name = self.task.request_run(f"r{self.requests}", now=now, by="p")
        self.model.runs[name] = RunModel(manual=True, due_at=now)

    @precondition(lambda self: self.model.due is not None)
    @rule()
    def tells(self) -> None:
        """People are told what is due, once, and of every single run with it."""
        due = self.task.incident.due or NoticeKind.RUN_FAILED
        self.task.record_notice(due, now=self.clock.now(), runs=self.task.untold)
        assert self.model.tell() == due

    @precondition(lambda self: bool(self.model.untold))
    @rule(data=st.data())
    def answers(self, data: st.DataObject) -> None:
        """Whoever asked for a run had waited for it, so nobody else is told of it."""
        run = data.draw(st.sampled_from(self.model.untold))
        for _ in range(2):
            self.task.record_answered(run, now=self.clock.now())
        self.model.untold.remove(run)

    # --- nodes ---

    @rule(
        script=SCRIPTS,
        end=ENDS,
        jitter=st.sampled_from([0, 0.1]),
        waits=WAITS,
        ring=st.booleans(),
    )
    def works(self, script: list[tuple[str, str]], end: str, jitter: float, waits: list[float], ring: bool) -> None:
        """What is due now, or next (``ring``), is claimed and done, or its process dies at it."""
        if ring and self.task.attention_at is not None:
            self.clock.instant = max(self.clock.now(), self.task.attention_at)
        attempt = self._claimed()
        if attempt is None:
            return
        run = self.model.runs.setdefault(attempt.run, RunModel(manual=attempt.slot is None))
        run.attempts, run.due_at = run.attempts + 1, None
        assert attempt.attempt == run.attempts, "attempts are counted one by one"
        assert set(attempt.delivered) == run.delivered
        assert set(attempt.unknown) == run.doubtful
        self.model.counts["attempts"] += 1
        work = work_of(self.task, attempt)
        if not work.destinations:
            self._fails(attempt, permanent=True)
            return
        acts = {place.key: pair for place, pair in zip(PLACES, script, strict=True)}
        asked = {place.key: wait for place, wait in zip(PLACES, waits, strict=True)}
        self._delivers(work, run, acts, end, jitter, asked)

    @rule(steps=st.lists(st.tuples(SCRIPTS, ENDS), min_size=2, max_size=8), tells=st.booleans())
    def serves(self, steps: list[tuple[list[tuple[str, str]], str]], tells: bool) -> None:
        """A stretch of ordinary service: one thing after the other becomes due and is done."""
        for script, end in steps:
            self.works(script, end, 0, NO_WAITS, True)
            self.everything_agrees()
            if tells and self.model.due is not None:
                self.tells()

    @rule(attempts=st.integers(1, 8))
    def outage(self, attempts: int) -> None:
        """Every host is left alone for a long time."""
        for _ in range(attempts):
            self.works([("shut", "shut")] * len(PLACES), "conclude", 0, NO_WAITS, True)
            self.everything_agrees()

    @rule(kind=st.sampled_from(["source", "source_for_good", "quiet"]))
    def works_in_vain(self, kind: str) -> None:
        """Nothing comes to be delivered: the messages cannot be read, or there are too few."""
        attempt = self._claimed()
        if attempt is None:
            return
        run = self.model.runs.setdefault(attempt.run, RunModel(manual=attempt.slot is None))
        run.attempts, run.due_at = run.attempts + 1, None
        self.model.counts["attempts"] += 1
        if kind == "quiet":
            self.task.skip_run(
                attempt.run, attempt.attempt, attempt.owner, now=self.clock.now(), reason=SkipReason.QUIET
            )
            self.model.skips(attempt.run)
        else:
            self._fails(attempt, permanent=kind == "source_for_good")

    def _fails(self, attempt: Attempt, *, permanent: bool) -> None:
        now = self.clock.now()
        names = (attempt.run, attempt.attempt, attempt.owner)
        self.task.fail(*names, now=now, what="source", error="no answer", permanent=permanent)
        self.model.fails(attempt.run, now, transient=not permanent, doubt=self._in_doubt(attempt.run))
        self._is_closed(attempt)

    def _claimed(self) -> Attempt | None:
        now = self.clock.now()
        for _ in range(5):
            try:
                attempt = self.task.claim(now=now, node="n", deadline=DEADLINE)
            except NotDue:
                return None
            if attempt is not None:
                assert attempt.slot is None or self.model.status == "active", "what is off does not run"
                known = self.model.runs.get(attempt.run)
                assert known is None or known.due_at is None or known.due_at <= now, "no retry before its time"
                return attempt
        return None

    def _delivers(
        self,
        work: Work,
        run: RunModel,
        acts: dict[str, tuple[str, str]],
        end: str,
        jitter: float,
        waits: dict[str, float],
    ) -> None:
        now, attempt = self.clock.now(), work.attempt
        names = (attempt.run, attempt.attempt, attempt.owner)
        missing = [place for place in work.destinations if place.key not in run.delivered]
        held = [place for place in missing if run.holds(place, now, now)]
        owed = [place for place in missing if place not in held]
        left = [place for place in owed if run.not_before.get(place.key, now) > now]
        sent = [place for place in owed if place not in left]
        progress: list[DeliveryOutcome] = []

        async def announce(work: Work, keys: Sequence[str]) -> None:
            if end == "before_intent":
                raise Died
            self.task.start_delivery(*names, now=now, destinations=keys)
            run.sent_at = run.sent_at or now
            if end == "before_send":
                raise Died

        for side in self.sides.values():
            side.script, side.sends = {key: list(pair) for key, pair in acts.items()}, []
            side.waits = waits
        try:
            self.loop.run_until_complete(self.deliverer.deliver(work, _summary(), announce, progress))
        except Died:
            pass
        else:
            asked = {key for side in self.sides.values() for _, key in side.sends}
            assert asked == {place.key for place in sent}, "only what is missing is sent, and nothing in doubt"
            told = {outcome.destination: (outcome.status, outcome.permanent) for outcome in progress}
            expected = {place.key: expected_status(place.type, acts[place.key]) for place in sent}
            expected |= {place.key: (DeliveryStatus.FAILED, False) for place in left}
            assert told == expected | {place.key: (DeliveryStatus.UNKNOWN, False) for place in held}
            idle = {place.key for place in (*held, *left)} | {key for key in asked if acts[key][0] == "shut"}
            assert {outcome.destination for outcome in progress if outcome.unsent} == idle
            if end in ("conclude", "shutdown"):
                self._remember(run, progress)
        doubt = {place.key for place in sent if MEMORY[place.type] < timedelta.max}
        announced = bool(doubt) and end != "before_intent"
        if end == "conclude":
            self.task.conclude(*names, now=now, outcomes=progress, jitter=jitter)
            self._concluded(work, progress, jitter, idle)
        else:
            crash = end != "shutdown"
            if crash and announced:
                run.doubtful |= doubt
            cause = InterruptionReason.CRASH if crash else InterruptionReason.SHUTDOWN
            self.task.interrupt(*names, now=now, cause=cause, noticed_by="m", outcomes=() if crash else progress)
            self.model.dies(attempt.run, now, crash=crash, doubt=self._in_doubt(attempt.run))
        self._is_closed(attempt)

    def _remember(self, run: RunModel, outcomes: list[DeliveryOutcome]) -> None:
        run.delivered |= {o.destination for o in outcomes if o.status is DeliveryStatus.DELIVERED}
        run.doubtful |= {o.destination for o in outcomes if o.status is DeliveryStatus.UNKNOWN}
        run.doubtful -= run.delivered
        run.not_before |= {o.destination: o.not_before for o in outcomes if o.not_before is not None}

    def _concluded(self, work: Work, outcomes: list[DeliveryOutcome], jitter: float, idle: set[str]) -> None:
        bad = [o for o in outcomes if o.status is not DeliveryStatus.DELIVERED]
        if not bad:
            self.model.succeeds(work.attempt.run)
            return
        refused = {o.destination for o in bad if o.permanent}
        resent = {place.key for place in work.destinations if place.on_unknown is UnknownPolicy.RESEND}
        again = [o for o in bad if o.destination not in refused]
        missing = [o for o in again if o.status is DeliveryStatus.FAILED or o.destination in resent]
        run, now = self.model.runs[work.attempt.run], self.clock.now()
        earliest = min((run.not_before.get(o.destination, now) for o in missing), default=now)
        self.model.refused |= refused
        nowhere = all(place.key in refused for place in work.destinations)
        self.model.fails(
            work.attempt.run,
            self.clock.now(),
            transient=bool(missing),
            wait=max(0.0, (earliest - now).total_seconds()),
            jitter=jitter,
            nowhere=nowhere,
            unsent={o.destination for o in bad} <= idle,
            doubt=any(o.status is DeliveryStatus.UNKNOWN for o in bad) or self._in_doubt(work.attempt.run, outcomes),
        )

    def _in_doubt(self, run: str, told: Sequence[DeliveryOutcome] = ()) -> bool:
        """Whether something may have arrived of which these outcomes say nothing."""
        places = {place.key for place in self.task.definition.destinations}
        return bool((self.model.runs[run].doubtful & places) - {outcome.destination for outcome in told})

    def _is_closed(self, attempt: Attempt) -> None:
        """The attempt that was just closed can be closed by nobody again."""
        try:
            self.task.conclude(attempt.run, attempt.attempt, attempt.owner, now=self.clock.now())
        except StaleAttempt:
            return
        raise AssertionError("an attempt was closed twice")

    # --- what always holds ---

    @invariant()
    def everything_agrees(self) -> None:
        """The aggregate, its rows and the model."""
        if not hasattr(self, "task"):
            return
        for event in self.task.pending_events[self.seen :]:
            assert isinstance(event, TaskEvent)
            project(event, self.rows)
        self.seen = len(self.task.pending_events)
        task, model = self.task, self.model
        row, text = self.rows.get(TaskRow, str(task.id)), self.rows.get(TextRow, str(task.id))
        assert row is not None
        assert text is not None
        assert (task.status, task.consecutive_failures) == (model.status, model.failures)
        assert (row.status, row.consecutive_failures) == (model.status, model.failures)
        assert task.disabled_destinations == model.refused
        assert set(text.disabled_destinations.split()) == model.refused
        known = (model.in_trouble, model.known, model.to_tell)
        assert (task.incident.since is not None, task.incident.told, task.incident.due) == known
        assert (row.incident_since is not None, bool(row.incident_told), row.notice_due) == (*known[:2], model.due)
        assert [list(task.untold), row.untold.split()] == [model.untold] * 2
        counted = {name: getattr(row, name) for name in ("attempts", "failed_attempts", "executed", "failed")}
        assert counted == {name: model.counts[name] for name in counted}
        assert (row.skipped, row.interruptions) == (model.counts["skipped"], model.counts["interruptions"])
        self._check_runs()

    def _check_runs(self) -> None:
        assert set(self.task.open_runs) == set(self.model.runs)
        rows = [row for row in self.rows.tables.get(RunRow, {}).values() if isinstance(row, RunRow)]
        assert {row.run_id for row in rows if row.state in ("running", "waiting")} == set(self.model.runs)
        for name, run in self.model.runs.items():
            real, row = self.task.open_runs[name], self.rows.get(RunRow, name)
            assert row is not None
            counted = (run.attempts, run.failures, run.crashes, run.postponed)
            assert (real.attempt, real.failures, real.crashes, real.postponed) == counted
            assert (real.due_at, row.due_at) == (run.due_at, us(run.due_at) if run.due_at else None)
            assert (set(real.delivered), set(real.unknown)) == (run.delivered, run.doubtful)
            if run.due_at is not None:
                assert real.not_before == {key: at for key, at in run.not_before.items() if at > run.due_at}

    @invariant()
    def the_other_side_has_nothing_twice(self) -> None:
        """Once, wherever the other side knows a key again or doubt is held; and what is called delivered is there."""
        for side in self.sides.values():
            for (_, key), count in side.has.items():
                assert count == 1 or key == PLACES[3].key, "only who prefers twice to never gets it twice"
        for row in self.rows.tables.get(DeliveryRow, {}).values():
            assert isinstance(row, DeliveryRow)
            if row.status == "delivered":
                side = self.sides[DestinationType(row.type)]
                assert side.has[row.run_id, row.destination] >= 1, "what is called delivered is there"

    def _check_notices(self) -> None:
        """Of each incident people are told once that it began and once that it is over, and at each giving up once."""
        said: list[Counter[str]] = []
        told_of: list[str] = []
        given_up, open_incident = 0, False
        slots = {event.run for event in self.task.pending_events if isinstance(event, Started) and event.slot}
        for event in self.task.pending_events:
            match event:
                case Failed(run=run) if run in slots and not open_incident:
                    said.append(Counter())
                    given_up, open_incident = 0, True
                case Disabled():
                    if not open_incident:
                        said.append(Counter())
                    given_up, open_incident = given_up + 1, True
                case Executed(run=run) if run in slots:
                    open_incident = False
                case Noticed(kind=NoticeKind.RUN_FAILED):
                    told_of += event.runs or ()
                case Noticed():
                    told_of += event.runs or ()
                    said[-1][event.kind] += 1
                    assert said[-1]["failing"] <= 1
                    assert said[-1]["recovered"] <= 1
                    assert said[-1]["disabled"] <= given_up
                    assert event.kind != "recovered" or (not open_incident and said[-1].total() > 1), "never told of"
        assert len(told_of) == len(set(told_of)), "of no run twice"


def _summary() -> Summary:
    return Summary(id="s", summary_text="words", start_time=START, end_time=START)


def test_a_random_life_of_a_delivering_task_adds_up_after_every_step() -> None:
    """Attempts, failures, refusals, retries, doubts and notices are those of the model; nothing is there twice."""
    thorough = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"
    run_state_machine_as_test(
        DeliveryMachine,
        settings=settings(
            max_examples=1500 if thorough else 150,
            stateful_step_count=60 if thorough else 40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
