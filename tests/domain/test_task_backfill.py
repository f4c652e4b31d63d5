"""Past slots can be asked for again: bounded, one after the other, each with its own look-back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from domain.errors import InvalidInput, NotDue, Refused, TaskEnded
from domain.runs import TaskStatus
from domain.task import MOST_BACKFILLED
from domain.task_events import Requested
from tests.domain.task_parts import DEADLINE, START, at, changed, claim, done, failed, kinds, make, same

DAY_BEFORE = START - timedelta(days=1)


def hour(number: int, day: int = 1) -> datetime:
    """An hour of 1 March, the day before the tasks begin."""
    return datetime(2026, 3, day, number, tzinfo=UTC)


def test_every_past_slot_of_a_range_is_asked_for() -> None:
    """Both ends count, also from before the task was made; each request names its slot and look-back."""
    task = make()
    runs = task.request_backfill(hour(10), hour(12), "again", now=at(0), by="u", reason="lost")
    requests = [event for event in task.pending_events if isinstance(event, Requested)]
    assert [request.run for request in requests] == runs
    assert [request.until for request in requests] == [hour(10), hour(11), hour(12)]
    assert [request.since for request in requests] == [hour(9), hour(10), hour(11)]
    assert requests[0].request == "again 2026-03-01T10:00:00Z"
    assert {request.reason for request in requests} == {"lost"}
    assert same(task)


def test_what_came_after_the_end_of_a_pause_is_served_as_due_and_not_by_a_backfill_too() -> None:
    """Nobody had noticed yet that the pause was over: the backfill does, and ends before the first slot that is due."""
    task = make()
    task.pause(now=at(0.1), by="u", until=at(2))
    task.request_backfill(at(0), at(4), "again", now=at(4), by="u")
    requests = [event for event in task.pending_events if isinstance(event, Requested)]
    assert [request.until for request in requests] == [at(0.5), at(1.5)]
    assert (task.status, task.next_slot) == (TaskStatus.ACTIVE, at(2.5))
    assert same(task)


def test_the_runs_of_a_backfill_go_one_after_the_other_in_order() -> None:
    """The next one is due when the one before has ended, however the ids fall."""
    task = make()
    task.request_backfill(hour(10), hour(12), "again", now=at(0), by="u")
    for slot in (10, 11, 12):
        attempt = claim(task, at(0.1))
        assert (attempt.slot, attempt.until, attempt.instant, attempt.since) == (
            None, hour(slot), hour(slot), hour(slot - 1)
        )  # fmt: skip
        assert task.attention_at == at(0.5)  # the next slot of the schedule, no other run of the backfill
        with pytest.raises(NotDue):
            task.claim(now=at(0.2), node="n2", deadline=DEADLINE)
        done(task, attempt, at(0.2))
        assert same(task)
    assert not task.open_runs


def test_a_run_of_a_backfill_that_waits_for_its_retry_holds_the_others() -> None:
    """They stay in order, and its look-back stays its own."""
    task = make(max_failures=5)
    task.request_backfill(hour(10), hour(11), "again", now=at(0), by="u")
    failed(task, claim(task, at(0)), at(0))
    assert task.attention_at == at(minutes=5)
    attempt = claim(task, at(minutes=5))
    assert (attempt.attempt, attempt.until, attempt.since) == (2, hour(10), hour(9))
    assert task.consecutive_failures == 0


def test_a_backfill_stays_outside_the_accounting_of_slots() -> None:
    """The schedule goes on beside it, and looks back as if nothing had happened."""
    task = make()
    before = (task.next_slot, task.accounted_until, task.covered_until, task.slots_started)
    task.request_backfill(hour(10), hour(10), "again", now=at(0), by="u")
    done(task, claim(task, at(0)), at(0))
    assert (task.next_slot, task.accounted_until, task.covered_until, task.slots_started) == before
    task.request_backfill(hour(10), hour(11), "more", now=at(0), by="u")
    claim(task, at(0.1))
    assert claim(task, at(0.5)).slot == at(0.5)


def test_a_task_that_is_paused_can_be_backfilled() -> None:
    """Like every run that somebody asks for."""
    task = make()
    task.pause(now=at(0), by="u")
    task.request_backfill(hour(10), hour(10), "again", now=at(0.1), by="u")
    assert claim(task, at(0.1)).until == hour(10)


def test_what_is_due_is_not_asked_for_twice() -> None:
    """A slot that the schedule still owes is left to it; one that was skipped while paused is past."""
    task = make()
    with pytest.raises(InvalidInput, match="without past slots"):
        task.request_backfill(at(0.4), at(2), "again", now=at(0.6), by="u")
    done(task, claim(task, at(0.5)), at(0.5))
    assert len(task.request_backfill(at(0.4), at(2), "again", now=at(0.6), by="u")) == 1


def test_a_backfill_follows_the_schedule_with_its_days_off() -> None:
    """Slots that the rule does not have are not made up."""
    task = make(schedule_type="daily", schedule_time="10:00", exclude=["2026-02-27"], business_days=True)
    runs = task.request_backfill(hour(0) - timedelta(days=4), hour(23), "again", now=at(0), by="u")
    assert len(runs) == 2  # Wednesday and Thursday; Friday is excluded, then there is a weekend
    assert task.open_runs[runs[0]].since == hour(10) - timedelta(days=5)


@pytest.mark.parametrize(
    ("start", "end", "said"),
    [
        (hour(12), hour(10), "does not begin a past range"),
        (at(1), at(2), "does not begin a past range"),
        (hour(10) + timedelta(minutes=1), hour(10) + timedelta(minutes=2), "without past slots"),
        (DAY_BEFORE - timedelta(days=30), DAY_BEFORE, "720 slots are too many at once"),
    ],
)
def test_a_range_that_cannot_be_backfilled_is_refused_whole(start: datetime, end: datetime, said: str) -> None:
    """Nothing is asked for."""
    task = make()
    with pytest.raises(InvalidInput, match=said):
        task.request_backfill(start, end, "again", now=at(0), by="u")
    assert kinds(task) == ["Created"]


def test_a_hundred_slots_are_the_most() -> None:
    """As many as are allowed are taken."""
    task = make()
    last = hour(0)
    first = last - (MOST_BACKFILLED - 1) * timedelta(hours=1)
    assert len(task.request_backfill(first, last, "again", now=at(0), by="u")) == MOST_BACKFILLED


def test_the_same_request_is_refused_while_it_is_under_way() -> None:
    """A command that is sent twice asks once."""
    task = make()
    task.request_backfill(hour(10), hour(12), "again", now=at(0), by="u")
    with pytest.raises(Refused, match="under way already"):
        task.request_backfill(hour(12), hour(13), "again", now=at(0), by="u")
    assert len(task.open_runs) == 3


def test_cancelling_a_task_ends_its_backfill() -> None:
    """What waits is closed; nothing can be asked for afterwards."""
    task = make()
    task.request_backfill(hour(10), hour(12), "again", now=at(0), by="u")
    task.cancel(now=at(0.1), by="u")
    assert not task.open_runs
    with pytest.raises(TaskEnded):
        task.request_backfill(hour(10), hour(12), "more", now=at(0.2), by="u")


def test_a_task_that_is_over_completes_after_its_backfill() -> None:
    """The last open run ends it."""
    task = make(end=at(0.5))
    task.request_backfill(hour(10), hour(10), "again", now=at(0), by="u")
    first, slot = claim(task, at(0.1)), claim(task, at(0.5))
    done(task, slot, at(0.6))
    assert kinds(task)[-1] == "Executed"
    done(task, first, at(0.7))
    assert task.status is TaskStatus.COMPLETED


# --- bounds and excluded dates of the schedule, in the life of a task


def test_a_task_begins_at_its_start_and_is_completed_at_its_end() -> None:
    """No slot lies outside, and the last one closes the task."""
    task = make(start=at(2.5), end=at(3.5))
    assert task.next_slot == at(2.5)
    done(task, claim(task, at(2.5)), at(2.6))
    assert task.next_slot == at(3.5)
    done(task, claim(task, at(3.5)), at(3.6))
    assert kinds(task)[-1] == "Completed"
    assert task.attention_at is None
    assert task.slots_started == 2
    assert same(task)


def test_a_task_that_slept_over_its_end_is_completed_when_it_is_looked_at() -> None:
    """Its slots are accounted for as missed."""
    task = make(end=at(3.5))
    assert task.claim(now=at(30), node="n1", deadline=DEADLINE) is None
    assert task.status is TaskStatus.COMPLETED
    assert kinds(task)[-2:] == ["Skipped", "Completed"]


def test_a_later_end_lets_a_task_go_on() -> None:
    """An edit of the bound plans from it."""
    task = make(end=at(1.5))
    task.revise(changed(task, end=at(9.5)), now=at(0.1), by="u")
    done(task, claim(task, at(0.5)), at(0.6))
    done(task, claim(task, at(1.5)), at(1.6))
    assert task.next_slot == at(2.5)


def test_excluded_dates_have_no_slots_and_need_no_accounting() -> None:
    """They are no part of the plan, so nothing is skipped."""
    task = make(schedule_type="daily", schedule_time="10:00", exclude=["2026-03-03", "2026-03-04"])
    done(task, claim(task, at(1.5)), at(1.6))
    assert task.next_slot == at(1.5, days=3)
    assert "Skipped" not in kinds(task)


def test_a_stream_from_before_there_were_backfills_loads_the_same() -> None:
    """The new fields of a request are written only where there is something to write."""
    event = Requested(originator_id=UUID(int=1), originator_version=2, timestamp=START, run="r", request="q", by="u")
    assert set(event.model_dump(exclude_none=True, by_alias=False)) == {
        "originator_id", "originator_version", "timestamp", "run", "request", "by"
    }  # fmt: skip
