"""Closing attempts: by whom, with what, and what it leaves."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from domain.destination import DeliveryOutcome, DeliveryStatus
from domain.errors import NotDue, StaleAttempt
from domain.runs import Attempt, TaskStatus, run_id
from domain.task import ScheduledTask, state
from domain.task_events import Executed, Failed, Interrupted, InterruptionReason, Skipped, SkipReason
from tests.domain.task_parts import (
    DEADLINE,
    START,
    at,
    changed,
    claim,
    done,
    events,
    failed,
    kinds,
    make,
    outcome,
    same,
    summary_task,
)

Status = DeliveryStatus


def crash(task: ScheduledTask, attempt: Any, now: Any, cause: InterruptionReason = InterruptionReason.CRASH) -> None:
    """The owner of an attempt is gone."""
    task.interrupt(attempt.run, attempt.attempt, attempt.owner, now=now, cause=cause, noticed_by="n9")


# --- who may close ----------------------------------------------------------------------------------------------------

CLOSINGS: list[Callable[[ScheduledTask, str, int, str], Any]] = [
    lambda t, run, attempt, owner: t.conclude(run, attempt, owner, now=at(0.6)),
    lambda t, run, attempt, owner: t.fail(run, attempt, owner, now=at(0.6), what="x", error="x"),
    lambda t, run, attempt, owner: t.skip_run(run, attempt, owner, now=at(0.6), reason=SkipReason.QUIET),
    lambda t, run, attempt, owner: t.interrupt(
        run, attempt, owner, now=at(0.6), cause=InterruptionReason.CRASH, noticed_by="n9"
    ),
]


@pytest.mark.parametrize("close", CLOSINGS)
def test_only_the_open_attempt_of_its_owner_is_closed(close: Callable[[ScheduledTask, str, int, str], Any]) -> None:
    """Another run, an attempt that is over or to come, and another owner are refused, and nothing is written."""
    task = make()
    attempt = claim(task, at(0.5))
    before = len(task.pending_events)
    for run, number, owner in (
        ("0" * 20, 1, "n1"),
        (attempt.run, 0, "n1"),
        (attempt.run, 2, "n1"),
        (attempt.run, 1, "n2"),
        (attempt.run, 1, ""),
    ):
        with pytest.raises(StaleAttempt):
            close(task, run, number, owner)
    assert kinds(task, before) == []
    close(task, attempt.run, 1, "n1")
    with pytest.raises(StaleAttempt):
        close(task, attempt.run, 1, "n1")
    assert same(task)


@pytest.mark.parametrize("close", CLOSINGS)
def test_an_attempt_that_waits_for_its_retry_has_no_owner(close: Callable[[ScheduledTask, str, int, str], Any]) -> None:
    """Late evidence of an attempt that failed already is refused."""
    task = make()
    attempt = claim(task, at(0.5))
    failed(task, attempt, at(0.6))
    with pytest.raises(StaleAttempt):
        close(task, attempt.run, 1, "n1")


def test_all_attempts_of_a_run_on_request_stand_for_the_same_instant() -> None:
    """A result is named by it, and covers the messages up to it: made again, it must not be another one."""
    task = make()
    run = task.request_run("r", now=at(0.1), by="p")
    first = task.claim_request(run, now=at(0.2), node="n1", deadline=DEADLINE)
    crash(task, first, at(0.3))
    second = task.claim_request(run, now=at(0.4), node="n2", deadline=DEADLINE)
    failed(task, second, at(0.5))
    third = task.claim_request(run, now=at(2), node="n2", deadline=DEADLINE)
    assert [first.instant, second.instant, third.instant] == [at(0.2)] * 3
    assert (third.attempt, third.started_at) == (3, at(2))
    assert same(task)


def test_the_attempt_of_a_dead_owner_is_taken_over_by_one() -> None:
    """Once it was interrupted, the old owner's outcome is refused and the new owner's counts."""
    task = make()
    first = claim(task, at(0.5), "n1")
    crash(task, first, at(0.6))
    second = claim(task, at(0.6), "n2")
    assert (second.run, second.attempt, second.owner) == (first.run, 2, "n2")
    with pytest.raises(StaleAttempt):
        done(task, first, at(0.7))
    done(task, second, at(0.7))
    assert same(task)


# --- executed, skipped ------------------------------------------------------------------------------------------------


def test_a_run_that_is_done_says_what_it_made() -> None:
    """Summary, messages, deliveries and a note stand in the event; the run is closed and failures are forgotten."""
    task = summary_task("a")
    failed(task, claim(task, at(0.5)), at(0.5))
    attempt = claim(task, at(0.6))
    [place] = task.destinations
    task.conclude(
        attempt.run,
        2,
        "n1",
        now=at(0.7),
        outcomes=[outcome(place)],
        summary="s-1",
        messages=42,
        note="one channel was quiet",
    )
    executed = events(task)[-1]
    assert isinstance(executed, Executed)
    assert (executed.summary, executed.messages, executed.note) == ("s-1", 42, "one channel was quiet")
    assert executed.deliveries == (outcome(place),)
    assert task.open_runs == {}
    assert task.consecutive_failures == 0
    assert task.covered_until == attempt.slot
    assert same(task)


def test_a_quiet_channel_is_neither_success_nor_failure() -> None:
    """Defect 24: a quiet channel counted as a failure."""
    task = make(max_failures=2)
    failed(task, claim(task, at(0.5)), at(0.5), permanent=True)
    attempt = claim(task, at(1.5))
    task.skip_run(attempt.run, 1, "n1", now=at(1.6), reason=SkipReason.QUIET, note="2 messages")
    skipped = events(task)[-1]
    assert isinstance(skipped, Skipped)
    assert (skipped.skip, skipped.run, skipped.count) == (SkipReason.QUIET, attempt.run, None)
    assert task.is_active
    assert task.consecutive_failures == 1
    assert same(task)


# --- deliveries -------------------------------------------------------------------------------------------------------


def delivered(task: ScheduledTask, now: Any, *statuses: tuple[DeliveryStatus, bool]) -> tuple[Any, Failed]:
    """Claim, deliver with these outcomes, and hand back the attempt and the Failed event."""
    attempt = claim(task, now)
    left = [d for d in task.destinations if d.key not in attempt.delivered]
    done(task, attempt, now, [outcome(d, s, permanent=p) for d, (s, p) in zip(left, statuses, strict=True)])
    return attempt, next(e for e in reversed(events(task)) if isinstance(e, Failed))


def test_a_run_is_no_success_when_a_delivery_failed() -> None:
    """Defect 30: a run was "success" when its Discord delivery had failed."""
    task = summary_task("a", "b")
    _, failure = delivered(task, at(0.5), (Status.DELIVERED, False), (Status.FAILED, False))
    assert (failure.what, failure.permanent) == ("delivery", False)
    assert failure.retry_at == at(0.5, minutes=5)
    assert task.consecutive_failures == 1


def test_a_retry_delivers_only_what_is_missing() -> None:
    """The destination that has the result is named to the next attempt."""
    task = summary_task("a", "b")
    first, second = task.destinations
    delivered(task, at(0.5), (Status.DELIVERED, False), (Status.FAILED, False))
    retry = claim(task, at(0.6))
    assert retry.delivered == (first.key,)
    done(task, retry, at(0.6), [outcome(second)])
    assert isinstance(events(task)[-1], Executed)
    assert same(task)


def test_what_was_delivered_is_kept_over_crashes() -> None:
    """Outcomes known at an interruption count for the next attempt."""
    task = summary_task("a", "b")
    attempt = claim(task, at(0.5))
    first, _ = task.destinations
    task.interrupt(
        attempt.run,
        1,
        "n1",
        now=at(0.6),
        cause=InterruptionReason.SHUTDOWN,
        noticed_by="n1",
        outcomes=[outcome(first)],
    )
    assert claim(task, at(0.6)).delivered == (first.key,)
    assert same(task)


@pytest.mark.parametrize("ended", [True, False])
def test_what_was_delivered_is_written_down_although_the_run_does_not_go_on(ended: bool) -> None:
    """A task that was cancelled or paused under its run: the receipt of what had arrived stands in the log."""
    task = summary_task("a", "b")
    attempt = claim(task, at(0.5))
    (task.cancel if ended else task.pause)(now=at(0.55), by="p")
    before = len(task.pending_events)
    arrived = outcome(task.destinations[0])
    task.interrupt(
        attempt.run,
        1,
        "n1",
        now=at(0.6),
        cause=InterruptionReason.SHUTDOWN,
        noticed_by="n1",
        outcomes=[arrived],
    )
    assert kinds(task, before) == ["Interrupted", "Skipped"]
    interrupted, skipped = events(task)[before:]
    assert interrupted.deliveries == (arrived,)
    assert skipped.skip is (SkipReason.CANCELLED if ended else SkipReason.PAUSED)
    assert task.open_runs == {}
    assert same(task)


def test_a_destination_that_refuses_for_good_is_disabled_alone() -> None:
    """The others go on; the task is not disabled."""
    task = summary_task("a", "b")
    first, second = task.destinations
    _, failure = delivered(task, at(0.5), (Status.FAILED, True), (Status.DELIVERED, False))
    assert failure.permanent
    assert failure.retry_at is None
    assert failure.disabled_destinations == (first.key,)
    assert task.destinations == (second,)
    assert task.is_active
    assert same(task)


def test_a_refusal_beside_a_passing_trouble_leaves_a_retry_for_the_latter() -> None:
    """The permanent one is off, the transient one is tried again."""
    task = summary_task("a", "b")
    _, second = task.destinations
    _, failure = delivered(task, at(0.5), (Status.FAILED, True), (Status.FAILED, False))
    assert failure.retry_at is not None
    done(task, claim(task, at(0.6)), at(0.6), [outcome(second)])
    assert task.is_active
    assert same(task)


def test_a_task_without_a_destination_left_is_disabled() -> None:
    """Only when none is left."""
    task = summary_task("a", "b")
    delivered(task, at(0.5), (Status.FAILED, True), (Status.FAILED, True))
    assert task.status is TaskStatus.DISABLED
    assert task.attention_at is None
    assert kinds(task)[-2:] == ["Failed", "Disabled"]
    task.resume(now=at(0.6), by="p")
    assert len(task.destinations) == 2


def test_an_unknown_delivery_is_not_sent_again_by_itself() -> None:
    """A permanent unknown closes the run as failed, and names the destination."""
    task = summary_task("a", "b")
    _, failure = delivered(task, at(0.5), (Status.DELIVERED, False), (Status.UNKNOWN, True))
    assert failure.retry_at is None
    assert task.open_runs == {}


def test_a_destination_that_was_skipped_is_no_failure() -> None:
    """A delivery that was left out on purpose leaves the run a success."""
    task = summary_task("a")
    attempt = claim(task, at(0.5))
    done(task, attempt, at(0.6), [outcome(task.destinations[0], Status.SKIPPED)])
    assert isinstance(events(task)[-1], Executed)


def test_editing_destinations_forgets_refusals_of_those_that_went() -> None:
    """A destination that is removed and comes back is tried again."""
    task = summary_task("a", "b")
    delivered(task, at(0.5), (Status.FAILED, True), (Status.DELIVERED, False))
    both = task.definition
    task.revise(changed(task, destinations=[both.destinations[1]]), now=at(0.6), by="p")
    assert task.disabled_destinations == set()
    task.revise(both, now=at(0.7), by="p")
    assert len(task.destinations) == 2
    assert same(task)


def test_the_instant_of_a_delivery_must_be_an_instant() -> None:
    """Case 21: a naive datetime is refused at every border."""
    naive = START.replace(tzinfo=None)
    with pytest.raises(ValueError, match="timezone"):
        DeliveryOutcome(destination="x", type="file", status="delivered", at=naive)  # type: ignore[arg-type]


# --- interruptions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cause", list(InterruptionReason))
def test_an_interruption_is_no_failure(cause: InterruptionReason) -> None:
    """Case 20: a crash or SIGTERM during a run does not count towards disabling; the run is due again at once."""
    task = make(max_failures=1)
    crash(task, claim(task, at(0.5)), at(0.6), cause)
    assert task.is_active
    assert task.consecutive_failures == 0
    assert task.attention_at == at(0.6)
    again = claim(task, at(0.6))
    assert again.attempt == 2
    assert isinstance(events(task)[2], Interrupted)
    assert same(task)


def test_three_crashes_of_one_run_are_a_failure() -> None:
    """A run that takes its process down with it must not do so for ever."""
    task = make(max_failures=2)
    for _ in range(3):
        crash(task, claim(task, at(0.5)), at(0.5))
    failure = events(task)[-1]
    assert isinstance(failure, Failed)
    assert (failure.what, failure.permanent, failure.retry_at) == ("crash", True, None)
    assert task.consecutive_failures == 1
    assert task.open_runs == {}
    assert same(task)


def test_the_third_crash_keeps_what_is_known_of_deliveries() -> None:
    """What arrived before the process died stands in the log."""
    task = summary_task("a")
    for _ in range(2):
        crash(task, claim(task, at(0.5)), at(0.5))
    attempt = claim(task, at(0.5))
    task.interrupt(
        attempt.run,
        3,
        "n1",
        now=at(0.6),
        cause=InterruptionReason.CRASH,
        noticed_by="n9",
        outcomes=[outcome(task.destinations[0])],
    )
    assert events(task)[-1].deliveries == (outcome(task.definition.destinations[0]),)


def announced(task: ScheduledTask, attempt: Attempt) -> None:
    """All that is to be sent to is about to be."""
    keys = [destination.key for destination in task.destinations]
    task.start_delivery(attempt.run, attempt.attempt, "n1", now=at(0.55), destinations=keys)


def doubtful(task: ScheduledTask, event: Any) -> list[str]:
    """The targets of which an event says that nobody knows whether they have the result."""
    targets = {destination.key: destination.target for destination in task.definition.destinations}
    told = event.deliveries or ()
    return [targets[one.destination] for one in told if one.status is DeliveryStatus.UNKNOWN]


def test_the_third_crash_says_what_may_have_arrived() -> None:
    """What was about to be sent, or in doubt before, is no silence: it stands in the failure, and people are told."""
    task = summary_task("a", "b")
    for _ in range(2):
        crash(task, claim(task, at(0.5)), at(0.5))
    attempt = claim(task, at(0.5))
    announced(task, attempt)
    arrived = outcome(task.destinations[0])
    task.interrupt(
        attempt.run, 3, "n1", now=at(0.6), cause=InterruptionReason.CRASH, noticed_by="n9", outcomes=[arrived]
    )
    failure = events(task)[-1]
    assert isinstance(failure, Failed)
    assert (failure.retry_at, doubtful(task, failure), failure.leaves_doubt) == (None, ["b"], True)
    assert same(task)


def test_a_cancelled_run_that_was_sending_says_what_may_have_arrived() -> None:
    """The run does not go on, and the log does not say that nothing was sent."""
    task = summary_task("a", "b")
    attempt = claim(task, at(0.5))
    announced(task, attempt)
    task.cancel(now=at(0.56), by="ann")
    task.interrupt(attempt.run, 1, "n1", now=at(0.6), cause=InterruptionReason.SHUTDOWN, noticed_by="n1")
    interrupted, skipped = events(task)[-2:]
    assert doubtful(task, interrupted) == ["a", "b"]
    assert (skipped.skip, task.open_runs) == (SkipReason.CANCELLED, {})
    assert same(task)


def test_a_doubt_of_before_is_said_when_a_run_is_given_up() -> None:
    """An attempt that comes to nothing for good does not bury what an earlier one may have sent."""
    task = summary_task("a")
    first = claim(task, at(0.5))
    announced(task, first)
    crash(task, first, at(0.6))
    failed(task, claim(task, at(0.6)), at(0.7), permanent=True)
    assert doubtful(task, events(task)[-1]) == ["a"]
    assert same(task)


def test_shutdowns_are_not_crashes() -> None:
    """A process that is restarted ten times during a long run does not make it fail."""
    task = make()
    for _ in range(10):
        crash(task, claim(task, at(0.5)), at(0.5), InterruptionReason.SHUTDOWN)
    assert next(iter(task.open_runs.values())).crashes == 0
    assert claim(task, at(0.6)).attempt == 11


def test_crashes_are_counted_per_run() -> None:
    """Two crashes of one run and one of the next are no failure."""
    task = make()
    for _ in range(2):
        crash(task, claim(task, at(0.5)), at(0.5))
    done(task, claim(task, at(0.5)), at(0.6))
    crash(task, claim(task, at(1.5)), at(1.5))
    assert task.consecutive_failures == 0


def test_an_interrupted_run_of_a_paused_task_is_closed() -> None:
    """It would wait for ever, or run on resume although its slot is long past."""
    task = make()
    attempt = claim(task, at(0.5))
    task.pause(now=at(0.55), by="p")
    crash(task, attempt, at(0.6))
    assert task.open_runs == {}
    assert events(task)[-1].skip is SkipReason.PAUSED
    assert same(task)


def test_an_interrupted_run_of_a_cancelled_task_is_closed() -> None:
    """Nothing starts again, on request neither."""
    task = make()
    attempt = claim(task, at(0.5))
    run = task.request_run("r", now=at(0.5), by="p")
    manual = task.claim_request(run, now=at(0.5), node="n1", deadline=DEADLINE)
    task.cancel(now=at(0.55), by="p")
    crash(task, attempt, at(0.6))
    crash(task, manual, at(0.6))
    assert task.open_runs == {}
    assert events(task)[-1].skip is SkipReason.CANCELLED
    assert same(task)


# --- runs on request --------------------------------------------------------------------------------------------------


def test_a_requested_run_has_no_slot_and_moves_none() -> None:
    """It stays outside of the slot accounting."""
    task = make()
    run = task.request_run("r", now=at(0.1), by="p", reason="look")
    attempt = claim(task, at(0.1))
    assert (attempt.run, attempt.slot, attempt.request, attempt.instant) == (run, None, "r", at(0.1))
    done(task, attempt, at(0.2))
    assert task.next_slot == at(0.5)
    assert task.accounted_until == START
    assert task.slots_started == 0
    assert same(task)


@pytest.mark.parametrize("why", ["paused", "disabled"])
def test_a_requested_run_works_while_the_schedule_is_off(why: str) -> None:
    """Somebody who asks gets a run; the schedule stays off."""
    task = make(max_failures=1)
    if why == "paused":
        task.pause(now=at(0.1), by="p")
    else:
        failed(task, claim(task, at(0.5)), at(0.5))
    task.request_run("r", now=at(0.6), by="p")
    attempt = claim(task, at(0.6))
    assert attempt.request == "r"
    done(task, attempt, at(0.7))
    assert task.status.value == why
    assert task.attention_at is None
    assert same(task)


def test_failures_on_request_neither_disable_the_task_nor_go_on_for_ever() -> None:
    """They are retried, and end at the same number, outside of the task's own count."""
    task = make(max_failures=3)
    task.request_run("r", now=at(0.1), by="p")
    attempts = 0
    while task.open_runs:
        now = next(iter(task.open_runs.values())).due_at
        assert now is not None
        failed(task, task.claim_request(next(iter(task.open_runs)), now=now, node="n1", deadline=DEADLINE), now)
        attempts += 1
    assert attempts == 3
    assert task.consecutive_failures == 0
    assert task.is_active
    assert same(task)


def test_a_success_on_request_does_not_forgive_the_schedules_failures() -> None:
    """The schedule's own runs still fail; a run that somebody watched says nothing about them."""
    task = make()
    failed(task, claim(task, at(0.5)), at(0.5), permanent=True)
    task.request_run("r", now=at(0.6), by="p")
    done(task, claim(task, at(0.6)), at(0.6))
    assert task.consecutive_failures == 1


def test_a_request_that_does_not_wait_cannot_be_claimed() -> None:
    """Unknown, running and closed requests, and slots, are refused."""
    task = make()
    slot = claim(task, at(0.5))
    run = task.request_run("r", now=at(0.6), by="p")
    attempt = task.claim_request(run, now=at(0.6), node="n1", deadline=DEADLINE)
    for name in ("0" * 20, slot.run, run):
        with pytest.raises(NotDue):
            task.claim_request(name, now=at(0.7), node="n2", deadline=DEADLINE)
    done(task, attempt, at(0.7))
    with pytest.raises(NotDue):
        task.claim_request(run, now=at(0.7), node="n2", deadline=DEADLINE)


def test_the_id_of_a_run_is_made_from_the_task_and_the_slot() -> None:
    """A retry has the same id, in every process and for ever; slots a microsecond apart have others."""
    task = make(id="0190a1b2-c3d4-7e5f-8a6b-9c0d1e2f3a4b")
    assert run_id(task.id, at(0.5)) == "69a55190d5f0dc63c305dac7"
    assert run_id(task.id, None, "r") == "7ba23058f2a166f9c827"
    assert run_id(task.id, at(0.5)) != run_id(task.id, at(0.5) + timedelta(microseconds=1))
    assert run_id(task.id, None, "r") != run_id(task.id, None, "s")


# --- old streams ------------------------------------------------------------------------------------------------------


def test_events_that_todays_guards_would_refuse_still_apply() -> None:
    """Mutators never guard: an old stream with what would be refused today stays loadable."""
    task = make()
    attempt = claim(task, at(0.5))
    done(task, attempt, at(0.6))
    task.cancel(now=at(0.7), by="p")
    written = events(task)
    started, executed = written[1], written[2]

    def follow(event: Any, **changes: Any) -> None:
        written.append(event.model_copy(update={"originator_version": len(written) + 1, **changes}))

    follow(executed)  # closes what is closed
    follow(started, owner="n2")  # starts on an ended task, the same slot and attempt again
    follow(started, owner="n3")  # twice
    follow(executed, owner="nobody")
    follow(
        Failed(
            **{**executed.model_dump(exclude={"summary", "messages", "note"}), "what": "x", "error": "x"},
            permanent=False,
        )
    )
    closing = executed.model_dump(exclude={"summary", "messages", "note", "usage"})
    follow(Interrupted(**closing, cause="crash", noticed_by="n"))  # type: ignore[arg-type]
    bad = written[0].definition.model_copy(update={"name": "", "max_failures": -5, "operation": None})
    follow(written[0], definition=bad)  # created again, from a definition that no task may have
    again = state(written)
    assert again is not None
    assert again.version == len(written)
    assert again.definition.max_failures == -5
