"""When a failed attempt is tried again, and when the task is switched off."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import NotDue
from domain.retry import LONGEST_DELAY, retry_delay
from domain.runs import TaskStatus
from domain.task import ScheduledTask
from domain.task_events import SkipReason
from tests.domain.task_parts import DEADLINE, at, changed, claim, events, failed, kinds, make, same


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


def test_an_endless_error_text_is_cut() -> None:
    """The log keeps the first thousand characters."""
    task = make()
    attempt = claim(task, at(0.5))
    task.fail(attempt.run, 1, "n1", now=at(0.6), what="x", error="e" * 100_000)
    assert len(events(task)[-1].error) == 1000


@given(st.integers(1, 10_000), st.timedeltas(timedelta(0), timedelta(days=1)))
def test_delays_grow_and_never_pass_the_longest(failures: int, base: timedelta) -> None:
    """Base times a power of two, bounded."""
    delay = retry_delay(failures, base)
    assert min(base, LONGEST_DELAY) <= delay <= LONGEST_DELAY
    assert delay <= retry_delay(failures + 1, base)
