"""When a failed attempt is tried again, and when the task is switched off."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.destination import DeliveryStatus
from domain.errors import NotDue
from domain.retry import LONGEST_DELAY, MOST_POSTPONEMENTS, retry_delay
from domain.runs import OpenRun, TaskStatus
from domain.task import ScheduledTask
from domain.task_events import SkipReason
from tests.domain.task_parts import (
    DEADLINE,
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


def minutes_between_attempts(task: ScheduledTask) -> list[float]:
    """Let every attempt of one run fail; the waits, until the run is closed."""
    waits: list[float] = []
    now = at(0.5)
    while True:
        failed(task, claim(task, now), now)
        if not task.open_runs:
            return waits
        [run] = task.open_runs.values()
        assert run.due_at is not None
        waits.append((run.due_at - now).total_seconds() / 60)
        now = run.due_at


def test_each_wait_is_twice_the_one_before() -> None:
    """Defect 22: retry was never scheduled. Here: 5, 10, 20 minutes, from max_failures 4 on."""
    assert minutes_between_attempts(make(max_failures=4)) == [5, 10, 20]


def test_the_third_failure_disables() -> None:
    """Defect 20: each failure counted twice, so that the task was disabled on the 2nd."""
    task = make(max_failures=3)
    assert minutes_between_attempts(task) == [5, 10]
    assert task.consecutive_failures == 3
    assert task.status is TaskStatus.DISABLED
    assert kinds(task)[-2:] == ["Failed", "Disabled"]
    assert same(task)


def test_a_disabled_task_does_not_run() -> None:
    """Defect 21: the disabled task kept firing."""
    task = make(max_failures=1)
    minutes_between_attempts(task)
    assert task.attention_at is None
    with pytest.raises(NotDue):
        task.claim(now=at(5), node="n1", deadline=DEADLINE)
    task.resume(now=at(5), by="p")
    assert events(task)[-2].skip is SkipReason.DISABLED
    assert claim(task, at(5.5)).slot == at(5.5)


def test_disabling_closes_what_waits_but_not_what_was_asked_for() -> None:
    """A run that waits for its retry would start on a task that is off; a request still runs."""
    task = make(max_failures=2, overlap="allow_all")
    waits, fails = claim(task, at(0.5)), claim(task, at(1.5))
    task.request_run("r", now=at(1.5), by="p")
    failed(task, waits, at(1.6))
    failed(task, fails, at(1.6))
    assert task.status is TaskStatus.DISABLED
    assert [run.request for run in task.open_runs.values()] == ["r"]
    assert same(task)


def test_permanent_failures_are_not_retried_but_counted() -> None:
    """Trying again cannot help, and the task is still disabled when they go on."""
    task = make(max_failures=2)
    failed(task, claim(task, at(0.5)), at(0.5), permanent=True)
    assert task.open_runs == {}
    assert task.is_active
    failed(task, claim(task, at(1.5)), at(1.5), permanent=True)
    assert task.status is TaskStatus.DISABLED


def test_a_success_ends_the_row_of_failures() -> None:
    """Only failures in a row disable."""
    task = make(max_failures=2)
    for hour in (0.5, 1.5, 2.5):
        first = claim(task, at(hour))
        failed(task, first, at(hour))
        retry = claim(task, at(hour, minutes=5))
        task.conclude(retry.run, 2, "n1", now=at(hour, minutes=6))
    assert task.is_active
    assert task.consecutive_failures == 0


def test_a_failure_during_a_pause_is_not_retried() -> None:
    """The run is closed as failed; the count stays for nobody: resuming resets it."""
    task = make(max_failures=1)
    attempt = claim(task, at(0.5))
    task.pause(now=at(0.55), by="p")
    failed(task, attempt, at(0.6))
    assert task.open_runs == {}
    assert task.status is TaskStatus.PAUSED
    assert same(task)


def test_a_lower_limit_counts_from_the_next_failure_on() -> None:
    """Lowering max_failures does not disable by itself."""
    task = make(max_failures=5)
    for hour in (0.5, 1.5):
        failed(task, claim(task, at(hour)), at(hour), permanent=True)
    task.revise(changed(task, max_failures=1), now=at(1.6), by="p")
    assert task.is_active
    failed(task, claim(task, at(2.5)), at(2.5))
    assert task.status is TaskStatus.DISABLED


def test_what_the_other_side_asks_for_is_honored_up_to_a_limit() -> None:
    """Retry-After lengthens the wait, never shortens it, and never by days."""
    for asked, wait in ((0.0, 5 * 60), (60, 5 * 60), (3600, 3600), (1e12, LONGEST_DELAY.total_seconds()), (-5, 300)):
        task = make()
        failed(task, claim(task, at(0.5)), at(0.5), retry_after_seconds=asked)
        [run] = task.open_runs.values()
        assert run.due_at == at(0.5, seconds=wait)


@pytest.mark.parametrize(
    ("waits", "retried", "left"),
    [
        ((0, 7200), 300, {1: 7200}),  # the first at the usual time, the second is left for its own
        ((60, 7200), 300, {1: 7200}),
        ((3600, 7200), 3600, {1: 7200}),
        ((3600, 3600), 3600, {}),
        ((0, 0), 300, {}),
        ((86_400, 86_400), 21_600, {0: 86_400, 1: 86_400}),  # no retry waits longer than six hours, asked or not
    ],
)
def test_each_destination_that_asked_to_wait_is_left_for_its_own_time(
    waits: tuple[int, int], retried: int, left: dict[int, int]
) -> None:
    """The longest wait delays nobody else: the run comes back for the first, and knows whom to leave alone."""
    task = summary_task("a", "b", max_failures=9)
    attempt, now = claim(task, at(0.5)), at(0.5)
    asked = [now + timedelta(seconds=wait) if wait else None for wait in waits]
    places = task.destinations
    done(task, attempt, now, [outcome(p, FAILED, not_before=when) for p, when in zip(places, asked, strict=True)])
    [run] = task.open_runs.values()
    assert run.due_at == now + timedelta(seconds=retried)
    expected = {places[index].key: now + timedelta(seconds=wait) for index, wait in left.items()}
    again = claim(task, run.due_at)
    assert run.not_before == again.not_before == expected
    assert same(task)


def test_what_is_left_for_its_own_time_postpones_the_run_and_counts_as_no_failure() -> None:
    """The first destination has the result by now; the second is asked when it said, with nothing counted meanwhile."""
    task = summary_task("a", "b", max_failures=2)
    (first, second), now = task.destinations, at(0.5)
    later = now + timedelta(hours=3)
    attempt = claim(task, now)
    done(task, attempt, now, [outcome(first, FAILED), outcome(second, FAILED, not_before=later)])
    now = at(0.5, minutes=5)
    again = claim(task, now)
    done(task, again, now, [outcome(first), outcome(second, FAILED, unsent=True, not_before=later)])
    [run] = task.open_runs.values()
    assert (run.due_at, run.failures, run.postponed) == (later, 1, 1)
    assert task.consecutive_failures == 1
    done(task, claim(task, later), later, [outcome(second)])
    assert (task.consecutive_failures, kinds(task)[-1]) == (0, "Executed")
    assert same(task)


def test_an_endless_error_text_is_cut() -> None:
    """The log keeps the first thousand characters."""
    task = make()
    attempt = claim(task, at(0.5))
    task.fail(attempt.run, 1, "n1", now=at(0.6), what="x", error="e" * 100_000)
    assert len(events(task)[-1].error) == 1000


FAILED, UNKNOWN = DeliveryStatus.FAILED, DeliveryStatus.UNKNOWN


def left_alone(task: ScheduledTask, now: datetime, wait: float = 0) -> OpenRun | None:
    """One attempt that finds its host left alone; the run that waits then, if one does."""
    attempt = claim(task, now)
    asked = now + timedelta(seconds=wait) if wait else None
    outcomes = [outcome(place, FAILED, unsent=True, not_before=asked) for place in task.destinations]
    task.conclude(attempt.run, attempt.attempt, "n1", now=now, outcomes=outcomes)
    return next(iter(task.open_runs.values()), None)


def test_an_attempt_that_sent_nothing_is_postponed_and_counts_as_no_failure() -> None:
    """Its host is left alone for now: with max_failures 1 the task goes on, and people are told once."""
    task = summary_task("a", max_failures=1)
    run = left_alone(task, at(0.5))
    assert run is not None
    assert (run.due_at, run.failures, run.postponed) == (at(0.5, minutes=5), 0, 1)
    assert (task.consecutive_failures, task.is_active, task.incident.due) == (0, True, "failing")
    again = claim(task, at(0.5, minutes=5))
    done(task, again, at(0.5, minutes=6), [outcome(task.destinations[0])])
    assert kinds(task)[-1] == "Executed"
    assert same(task)


def test_an_attempt_whose_source_was_away_is_postponed_too() -> None:
    """Nothing could be read, so nothing was tried: with max_failures 1 the task goes on."""
    task = summary_task("a", max_failures=1)
    attempt = claim(task, at(0.5))
    task.fail(attempt.run, attempt.attempt, "n1", now=at(0.5), what="source", error="Discord is away", unsent=True)
    [run] = task.open_runs.values()
    assert (run.failures, run.postponed, task.consecutive_failures, task.is_active) == (0, 1, 0, True)
    assert same(task)


def test_what_is_postponed_never_comes_back_before_its_host_may_be_asked_again() -> None:
    """The instant at which the host is tried again is the earliest, whatever the delay of the task."""
    run = left_alone(summary_task("a", retry_delay_minutes=1), at(0.5), wait=3600)
    assert run is not None
    assert run.due_at == at(1.5)


def test_a_run_is_not_postponed_for_ever() -> None:
    """Six times, with growing waits; from then on it counts as a failure each time, and ends as one."""
    task, now = summary_task("a", max_failures=2), at(0.5)
    waits = []
    while (run := left_alone(task, now)) is not None:
        assert run.due_at is not None
        waits.append((run.due_at - now) / timedelta(minutes=1))
        now = run.due_at
    assert waits == [5, 10, 20, 40, 80, 160, 320]
    assert len(waits) == MOST_POSTPONEMENTS + 1
    assert task.status is TaskStatus.DISABLED
    assert task.consecutive_failures == 2
    assert same(task)


@pytest.mark.parametrize(
    ("other", "counts"),
    [
        ({"status": FAILED}, True),
        ({"status": FAILED, "permanent": True}, True),
        ({"status": UNKNOWN}, True),
        ({"status": UNKNOWN, "unsent": True}, False),  # a doubt of an earlier attempt, which counted then
        ({"status": DeliveryStatus.DELIVERED}, False),
    ],
)
def test_beside_a_host_that_is_left_alone_only_a_failure_that_happened_counts(
    other: dict[str, Any], counts: bool
) -> None:
    """Of two destinations one is left alone; what became of the other decides."""
    task = summary_task("a", "b", max_failures=3)
    attempt, (first, second) = claim(task, at(0.5)), task.destinations
    done(task, attempt, at(0.5), [outcome(first, FAILED, unsent=True), outcome(second, **other)])
    assert task.consecutive_failures == counts
    assert len(task.open_runs) == 1, "it is tried again either way"
    assert same(task)


def test_a_run_that_cannot_be_tried_again_is_not_postponed() -> None:
    """The task was paused meanwhile: the run is closed as failed."""
    task = summary_task("a", max_failures=1)
    attempt = claim(task, at(0.5))
    task.pause(now=at(0.55), by="p")
    done(task, attempt, at(0.6), [outcome(task.destinations[0], FAILED, unsent=True)])
    assert task.open_runs == {}
    assert (kinds(task)[-1], events(task)[-1].postponed) == ("Failed", None)


def test_a_lower_limit_does_not_make_a_postponement_a_failure() -> None:
    """Lowering max_failures below the count decides nothing before something really fails."""
    task = summary_task("a", max_failures=5)
    for hour in (0.5, 1.5):
        failed(task, claim(task, at(hour)), at(hour), permanent=True)
    task.revise(changed(task, max_failures=1), now=at(1.6), by="p")
    assert left_alone(task, at(2.5)) is not None
    assert task.is_active


@given(st.integers(1, 10_000), st.timedeltas(timedelta(0), timedelta(days=1)))
def test_delays_grow_and_never_pass_the_longest(failures: int, base: timedelta) -> None:
    """Base times a power of two, bounded."""
    delay = retry_delay(failures, base)
    assert min(base, LONGEST_DELAY) <= delay <= LONGEST_DELAY
    assert delay <= retry_delay(failures + 1, base)
