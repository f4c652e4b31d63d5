"""Which due slots run: catch-up, overlap, clocks that jump, processes that were down."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain.errors import NotDue
from domain.runs import Attempt
from domain.task import ScheduledTask
from domain.task_events import Skipped, SkipReason, Started
from tests.domain.task_parts import DEADLINE, START, at, changed, claim, done, events, failed, kinds, make, same


def skips(task: ScheduledTask) -> list[tuple[SkipReason, int | None]]:
    """The ranges that were skipped, with their counts."""
    return [(e.skip, e.count) for e in events(task) if isinstance(e, Skipped) and e.run is None]


def started(task: ScheduledTask) -> list[datetime | None]:
    """The slots that were started, in order."""
    return [e.slot for e in events(task) if isinstance(e, Started) and e.attempt == 1]


def serve(task: ScheduledTask, now: datetime, *, limit: int = 50) -> list[Attempt]:
    """Claim and do everything that is due."""
    attempts: list[Attempt] = []
    for _ in range(limit):
        if task.attention_at is None or task.attention_at > now:
            return attempts
        attempt = task.claim(now=now, node="n1", deadline=DEADLINE)
        if attempt is not None:
            done(task, attempt, now)
            attempts.append(attempt)
    raise AssertionError("claiming comes to no end")


# --- time that passed -------------------------------------------------------------------------------------------------


def test_a_slot_missed_by_seconds_runs_once_with_its_lateness() -> None:
    """Case 11: down 08:59:50 to 09:00:30, the 09:00 slot runs once, 30 s late."""
    task = make()
    [attempt] = serve(task, at(0.5, seconds=30))
    assert attempt.slot == at(0.5)
    assert attempt.started_at - attempt.slot == timedelta(seconds=30)
    assert skips(task) == []


def test_a_slot_missed_by_minutes_runs_now_and_not_tomorrow() -> None:
    """Defect 8: a slot missed by 3 minutes while down fired 23.9 h later."""
    task = make(schedule_type="daily", schedule_time="09:00")
    [attempt] = serve(task, at(0.5, minutes=3))
    assert attempt.slot == at(0.5)
    assert task.next_slot == at(24.5)


def test_two_weeks_of_five_minutes_come_back_as_one_run_and_one_skip() -> None:
    """Case 12: a 5-minute task, down 14 days: one run, and one skip event that accounts for the other 4,031 slots."""
    task = make(schedule_type="custom", cron_expression="*/5 * * * *")
    [attempt] = serve(task, at(days=14))
    assert attempt.slot == at(days=14)
    assert skips(task) == [(SkipReason.MISSED, 4031)]
    assert kinds(task) == ["Created", "Skipped", "Started", "Executed"]
    assert task.next_slot == at(days=14, minutes=5)


def test_a_minutely_task_goes_on_after_a_hundred_minutes() -> None:
    """Case 13: minutely, down 101 minutes: it goes on."""
    task = make(schedule_type="custom", cron_expression="* * * * *")
    serve(task, at(minutes=101))
    assert skips(task) == [(SkipReason.MISSED, 100)]
    assert [a.slot for a in serve(task, at(minutes=102))] == [at(minutes=102)]


def test_slots_older_than_the_window_are_missed_all() -> None:
    """What is too late for its window does not run at all, and the log says so."""
    task = make(schedule_type="daily", schedule_time="09:00", catch_up_window_seconds=3600)
    assert serve(task, at(0.5 + 2)) == []
    assert skips(task) == [(SkipReason.MISSED, 1)]
    assert task.next_slot == at(24.5)
    assert same(task)


@pytest.mark.parametrize("window", [0, 30, 3600])
@pytest.mark.parametrize("catch_up", ["skip", "run_last", "run_all"])
def test_a_slot_that_is_on_time_runs_under_every_policy(catch_up: str, window: float) -> None:
    """No timer rings to the microsecond: a task that never catches up still serves what is a moment late."""
    task = make(catch_up=catch_up, catch_up_window_seconds=window)
    assert [a.slot for a in serve(task, at(0.5, seconds=45))] == [at(0.5)]


def test_a_task_that_does_not_catch_up_skips_what_it_missed() -> None:
    """The slot that is a minute and more late is missed."""
    task = make(catch_up="skip")
    assert serve(task, at(0.5, seconds=61)) == []
    assert skips(task) == [(SkipReason.MISSED, 1)]


def test_all_missed_slots_of_the_window_run_where_that_is_asked_for() -> None:
    """run_all: those within the window one after the other, those before it are missed."""
    task = make(catch_up="run_all", catch_up_window_seconds=3 * 3600)
    attempts = serve(task, at(9.6))
    assert [a.slot for a in attempts] == [at(7.5), at(8.5), at(9.5)]
    assert skips(task) == [(SkipReason.MISSED, 7)]
    assert task.next_slot == at(10.5)
    assert same(task)


def test_missed_slots_run_one_after_the_other_not_at_once() -> None:
    """A task with overlap skip must not skip the very slots that it catches up."""
    task = make(catch_up="run_all", catch_up_window_seconds=10 * 3600)
    first = claim(task, at(2.6))
    assert task.attention_at is None
    with pytest.raises(NotDue):
        task.claim(now=at(2.7), node="n2", deadline=DEADLINE)
    done(task, first, at(2.7))
    assert [a.slot for a in serve(task, at(2.8))] == [at(1.5), at(2.5)]
    assert skips(task) == []


def test_a_clock_set_back_runs_nothing_twice_and_stalls_nothing() -> None:
    """Case 18: back 2 h: no slot runs again, and the next one runs at its time."""
    task = make()
    serve(task, at(3.5))
    ran = started(task)
    assert serve(task, at(1.6)) == []
    assert serve(task, at(3.6)) == []
    assert [a.slot for a in serve(task, at(4.5))] == [at(4.5)]
    assert started(task) == [*ran, at(4.5)]
    assert same(task)


def test_a_clock_set_back_during_a_run_does_not_stall_the_task() -> None:
    """Case 18: the run ends before it began, as far as the clock says; the schedule goes on."""
    task = make(overlap="buffer_one")
    attempt = claim(task, at(2.5))
    done(task, attempt, at(0.6))
    assert [a.slot for a in serve(task, at(3.5))] == [at(3.5)]
    assert same(task)


def test_a_clock_set_forward_leaves_the_slots_to_the_policy() -> None:
    """Case 18: forward 2 h: the misfire policy decides, never silence."""
    task = make()
    serve(task, at(0.5))
    assert [a.slot for a in serve(task, at(2.6))] == [at(2.5)]
    assert skips(task) == [(SkipReason.MISSED, 1)]


def test_a_revision_while_the_clock_was_wrong_counts_no_slot_twice() -> None:
    """The instant up to which slots are accounted for never moves back."""
    task = make()
    serve(task, at(2.5))
    task.revise(changed(task, schedule_type="fifteen-minutes"), now=at(0.6), by="p")
    assert task.accounted_until == at(2.5)
    assert task.next_slot == at(2.75)


def test_nothing_is_due_before_its_time() -> None:
    """A claim that comes too early is refused and writes nothing."""
    task = make()
    with pytest.raises(NotDue, match="nothing is due before"):
        task.claim(now=at(0.49), node="n1", deadline=DEADLINE)
    assert kinds(task) == ["Created"]


def test_the_second_of_two_nodes_finds_nothing_due() -> None:
    """Case 17, in the aggregate: what one node has claimed is not due for the other."""
    task = make()
    claim(task, at(0.5), "n1")
    with pytest.raises(NotDue):
        task.claim(now=at(0.5), node="n2", deadline=DEADLINE)


def test_a_task_has_no_more_runs_than_it_may_have() -> None:
    """max_runs counts slots that were started; the last one leaves no next slot."""
    task = make(max_runs=2)
    serve(task, at(0.5))
    serve(task, at(1.5))
    assert started(task) == [at(0.5), at(1.5)]
    assert task.status.ended
    assert same(task)


# --- slots that come while a run is open ------------------------------------------------------------------------------


def busy(**fields: Any) -> tuple[ScheduledTask, Attempt]:
    """A task whose 9 o'clock run is still open."""
    task = make(**fields)
    return task, claim(task, at(0.5))


def test_by_default_a_slot_is_skipped_while_a_run_is_open() -> None:
    """Overlap skip: it is accounted for at once."""
    task, first = busy()
    assert task.claim(now=at(2.6), node="n1", deadline=DEADLINE) is None
    assert skips(task) == [(SkipReason.OVERLAP, 2)]
    done(task, first, at(2.7))
    assert task.next_slot == at(3.5)
    assert same(task)


def test_a_run_that_waits_for_its_retry_counts_as_running() -> None:
    """The slot that comes meanwhile is skipped as overlapping."""
    task, first = busy(retry_delay_minutes=90)
    failed(task, first, at(0.6))
    assert task.claim(now=at(1.5), node="n1", deadline=DEADLINE) is None
    assert skips(task) == [(SkipReason.OVERLAP, 1)]
    retry = claim(task, at(2.1))
    assert (retry.run, retry.attempt, retry.slot) == (first.run, 2, at(0.5))


def test_the_newest_slot_is_buffered() -> None:
    """buffer_one: after the open run the newest slot runs, and the others are skipped."""
    task, first = busy(overlap="buffer_one")
    assert task.attention_at is None
    done(task, first, at(3.6))
    assert [a.slot for a in serve(task, at(3.6))] == [at(3.5)]
    assert skips(task) == [(SkipReason.OVERLAP, 2)]
    assert same(task)


def test_all_slots_are_buffered() -> None:
    """buffer_all: they run one after the other, exempt from the catch-up window."""
    task, first = busy(overlap="buffer_all", catch_up_window_seconds=60)
    done(task, first, at(3.6))
    assert [a.slot for a in serve(task, at(3.6))] == [at(1.5), at(2.5), at(3.5)]
    assert skips(task) == []
    assert same(task)


def test_buffered_slots_survive_a_restart() -> None:
    """They are the unaccounted slots themselves, so the state from events alone has them."""
    task, first = busy(overlap="buffer_all")
    done(task, first, at(2.6))
    assert same(task)
    assert task.attention_at == at(1.5)


def test_a_requested_run_leaves_no_buffered_slots_behind() -> None:
    """Slots do not wait for a run on request; closing one must not exempt missed slots from catch-up."""
    task = make(overlap="buffer_all")
    task.request_run("r", now=at(days=3), by="p")
    run = task.claim_request(next(iter(task.open_runs)), now=at(days=3), node="n1", deadline=DEADLINE)
    done(task, run, at(days=3))
    assert len(serve(task, at(days=3))) == 1
    assert skips(task) == [(SkipReason.MISSED, 71)]


def test_the_newer_run_replaces_the_older_one() -> None:
    """cancel_other: the open run is closed as overlapped, and the new attempt says whom to stop."""
    task, first = busy(overlap="cancel_other")
    second = claim(task, at(1.5))
    assert second.gives_up == (first.run,)
    assert list(task.open_runs) == [second.run]
    assert same(task)


def test_all_runs_are_allowed() -> None:
    """allow_all: both are open."""
    task, first = busy(overlap="allow_all")
    second = claim(task, at(1.5))
    assert set(task.open_runs) == {first.run, second.run}
    done(task, second, at(1.6))
    done(task, first, at(1.7))
    assert same(task)


def test_slots_do_not_wait_for_requested_runs() -> None:
    """A run on request is outside of the slots: it neither delays nor skips one."""
    task = make(overlap="buffer_all")
    task.request_run("r", now=at(0.4), by="p")
    claim(task, at(0.4))
    assert claim(task, at(0.5)).slot == at(0.5)
    assert skips(task) == []


# --- look-back --------------------------------------------------------------------------------------------------------


def test_a_weekly_run_looks_back_a_week() -> None:
    """Defect 15: a weekly summary covered only the last 24 h."""
    task = make(schedule_type="weekly", schedule_days=[0], schedule_time="09:00")
    attempt = claim(task, at(0.5))
    assert attempt.instant - attempt.since == timedelta(days=7)


def test_a_first_requested_run_looks_back_a_whole_interval() -> None:
    """Somebody who asks at five past nine for a daily summary wants a day, not the five minutes since the slot."""
    for hours in (0.1, 0.6, 12.0):
        task = make(schedule_type="daily", schedule_time="09:00")
        run = task.request_run("r", now=at(hours), by="p")
        attempt = task.claim_request(run, now=at(hours), node="n1", deadline=DEADLINE)
        assert attempt.instant - attempt.since == timedelta(days=1)


def test_the_look_back_begins_where_the_last_success_ended() -> None:
    """After a quiet slot and a missed one, the next run covers all of it."""
    task = make()
    done(task, claim(task, at(0.5)), at(0.6))
    quiet = claim(task, at(1.5))
    task.skip_run(quiet.run, 1, "n1", now=at(1.6), reason=SkipReason.QUIET)
    assert claim(task, at(3.5)).since == at(0.5)


def test_a_requested_run_takes_nothing_from_the_next_slot() -> None:
    """Somebody who looks on Sunday must not shorten Monday's weekly summary to a day."""
    task = make(schedule_type="weekly", schedule_days=[0], schedule_time="09:00")
    done(task, claim(task, at(0.5)), at(0.6))
    run = task.request_run("r", now=at(days=6), by="p")
    done(task, task.claim_request(run, now=at(days=6), node="n1", deadline=DEADLINE), at(days=6))
    assert claim(task, at(0.5, days=7)).since == at(0.5)


def test_asked_hours_are_a_minimum() -> None:
    """time_range_hours looks back further than the interval, never less far."""
    task = make(time_range_hours=24)
    done(task, claim(task, at(0.5)), at(0.6))
    assert claim(task, at(1.5)).since == at(1.5 - 24)
    short = make(schedule_type="daily", time_range_hours=1)
    assert claim(short, at(0.5)).since == at(0.5 - 24)


def test_a_long_silence_is_not_summarized_whole() -> None:
    """After two months the run looks back one interval, not two months."""
    task = make(schedule_type="daily", schedule_time="09:00")
    done(task, claim(task, at(0.5)), at(0.6))
    attempt = claim(task, at(0.5, days=60))
    assert attempt.instant - attempt.since == timedelta(days=1)


def test_a_retry_looks_back_as_far_as_the_first_attempt() -> None:
    """The range of a run is decided once."""
    task = make()
    first = claim(task, at(0.5))
    failed(task, first, at(0.6))
    assert claim(task, at(0.8)).since == first.since


def test_the_claim_says_when_it_is_to_be_done() -> None:
    """The deadline is counted from the start, in the log and for the owner."""
    task = make()
    attempt = claim(task, at(0.5, seconds=2))
    assert attempt.deadline == at(0.5, seconds=2) + DEADLINE
    assert task.open_runs[attempt.run].deadline == attempt.deadline
    assert attempt.started_at.tzinfo is UTC
    assert START.tzinfo is UTC
