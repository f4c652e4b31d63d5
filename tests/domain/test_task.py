"""What people may do to a task, and what each refusal leaves behind: nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from domain.definition import TaskDefinition
from domain.draft import revised as revised_fields
from domain.errors import InvalidDestination, InvalidInput, InvalidSchedule, NotDue, Refused, TaskEnded
from domain.runs import TaskStatus
from domain.schedule import between, next_after
from domain.task import ScheduledTask, begun, state
from domain.task_events import Created, Replanned, Resumed, Revised, Skipped, SkipReason, SkipRequested
from tests.domain.task_parts import (
    DEADLINE,
    START,
    at,
    changed,
    claim,
    done,
    events,
    failed,
    file_to,
    kinds,
    make,
    same,
    summary_task,
)


def refused(task: ScheduledTask, error: type[Exception], verb: Callable[[ScheduledTask], Any]) -> Exception:
    """The error of a refused command, which leaves no event and no change."""
    before = len(task.pending_events)
    with pytest.raises(error) as caught:
        verb(task)
    assert kinds(task, before) == []
    assert same(task)
    return caught.value


# --- constructing and scheduling ------------------------------------------------------------------------------------


def test_constructing_a_task_records_that_it_was_created() -> None:
    """The constructor leaves one event, with the decided next slot and the rules it was decided by."""
    task = make(id="0190a1b2-c3d4-7e5f-8a6b-9c0d1e2f3a4b")
    [created] = task.pending_events
    assert isinstance(created, Created)
    assert created.next_slot == at(0.5) == task.next_run
    assert created.rules
    assert task.id == UUID("0190a1b2-c3d4-7e5f-8a6b-9c0d1e2f3a4b")
    assert task.is_active
    assert task.accounted_until == START


def test_a_task_constructed_without_an_instant_begins_now() -> None:
    """The one impurity of the domain: the default id and instant."""
    first, second = ScheduledTask(name="a"), ScheduledTask(name="a")
    assert first.id != second.id
    assert abs(datetime.now(UTC) - first.created_on) < timedelta(minutes=1)


def test_a_naive_instant_is_refused() -> None:
    """Nobody can say which instant a naive datetime is."""
    with pytest.raises(ValueError, match="naive"):
        make(now=datetime(2026, 3, 2, 8, 30))  # noqa: DTZ001


def test_an_id_that_is_no_uuid_is_refused() -> None:
    """An id of a file or a person never becomes anything but a UUID."""
    with pytest.raises(InvalidInput, match="not a task id"):
        make(id="../escaped")


def test_settling_begins_the_task_at_the_instant_it_is_scheduled() -> None:
    """A task that was constructed an hour ago is accountable from the moment it is scheduled."""
    task = begun(make().settle(now=at(5), default_timezone="Europe/Berlin", by="person:1"))
    assert task.accounted_until == at(5)
    assert task.next_slot == at(5.5)
    assert task.definition.schedule.timezone == "Europe/Berlin"
    assert task.definition.created_by == "person:1"
    assert kinds(task) == ["Created"]
    assert same(task)


@pytest.mark.parametrize(
    ("by", "for_others", "says", "named"),
    [
        ("person:2", False, "person:2", "person:2"),
        ("operator", True, "operator", "person:1"),
        ("system", True, "person:1", "person:1"),
    ],
)
def test_who_made_a_task_is_who_scheduled_it(by: str, for_others: bool, says: str, named: str) -> None:
    """Nobody signs with another's name; only the service speaks for whom the definition names."""
    task = begun(make(created_by="person:1").settle(now=START, default_timezone="UTC", by=by, for_others=for_others))
    [created] = task.pending_events
    assert created.by == says
    assert task.definition.created_by == named


def test_settling_keeps_the_zone_that_was_given() -> None:
    """The default zone is only for tasks that name none."""
    task = begun(
        make(schedule_type="daily", timezone="America/Toronto").settle(now=START, default_timezone="UTC", by="x")
    )
    assert task.definition.schedule.timezone == "America/Toronto"


def test_nine_in_toronto_is_not_nine_in_utc() -> None:
    """Defect 18: a naive-UTC clock ran "09:00 Toronto" at 09:00 UTC."""
    task = make(schedule_type="daily", schedule_time="09:00", timezone="America/Toronto")
    assert task.next_run == datetime(2026, 3, 2, 14, tzinfo=UTC)


def test_it_makes_no_difference_whether_somebody_looked_at_a_task_before_it_is_settled() -> None:
    """What a constructed task is, is made when it is asked for, and what it begins as does not depend on that."""
    seen, unseen = make(id=UUID(int=1)), make(id=UUID(int=1))
    assert (seen.version, seen.is_active, seen.next_run, kinds(seen)) == (1, True, at(0.5), ["Created"])
    with pytest.raises(AttributeError, match="'ScheduledTask' object has no attribute 'nonsense'"):
        seen.nonsense  # type: ignore[attr-defined]  # noqa: B018
    first, second = (task.settle(now=at(5), default_timezone="UTC", by="person:1") for task in (seen, unseen))
    assert first == second
    assert kinds(unseen) == ["Created"]
    assert unseen.next_run == at(0.5)


def test_a_task_is_settled_once() -> None:
    """What is written already begins when it began."""
    task = make()
    task.pending_events.clear()
    with pytest.raises(Refused, match="scheduled already"):
        task.settle(now=at(1), default_timezone="UTC", by="x")


def test_a_summary_without_a_destination_is_not_scheduled() -> None:
    """A result that goes nowhere is a mistake."""
    refused(
        summary_task(),
        InvalidDestination,
        lambda task: task.settle(now=START, default_timezone="UTC", by="x"),
    )


def test_a_once_in_the_past_is_not_scheduled() -> None:
    """Defect 16: a "once" without a date, or with a past one, ran at once."""
    task = make(schedule_type="once", next_run=at(-1))
    refused(task, InvalidSchedule, lambda task: task.settle(now=START, default_timezone="UTC", by="x"))


def test_a_once_without_a_date_is_refused() -> None:
    """Defect 16: a "once" from the API had no date and ran at once."""
    with pytest.raises(InvalidSchedule):
        make(schedule_type="once")


def test_a_once_runs_once_and_is_over(tmp_path: object) -> None:
    """Defect 3: a ONCE task fired again at every restart. Here its stream says that it is completed."""
    task = make(schedule_type="once", next_run=at(1))
    done(task, claim(task, at(1)), at(1, minutes=1))
    again = state(task.pending_events)
    assert again is not None
    assert again.status is TaskStatus.COMPLETED
    assert again.attention_at is None
    with pytest.raises(NotDue):
        again.claim(now=at(99), node="n1", deadline=DEADLINE)


# --- revising ---------------------------------------------------------------------------------------------------------


def test_an_edit_leaves_the_task_as_active_as_it_was() -> None:
    """Defect 2: an edit saved the task as inactive."""
    task = make()
    task.revise(changed(task, name="other"), now=at(0.1), by="p")
    assert task.is_active
    assert task.next_run == at(0.5)
    task.pause(now=at(0.2), by="p")
    task.revise(changed(task, name="third"), now=at(0.3), by="p")
    assert task.status is TaskStatus.PAUSED
    assert same(task)


def test_an_edit_of_the_schedule_accounts_for_the_old_slots_first() -> None:
    """The slots up to now belong to the old rule; those after to the new one."""
    task = make()
    task.revise(changed(task, schedule_type="daily", schedule_time="12:15"), now=at(2), by="p", reason="quieter")
    skipped, revision = events(task)[1:]
    assert isinstance(skipped, Skipped)
    assert (skipped.skip, skipped.first, skipped.last, skipped.count) == (SkipReason.MISSED, at(0.5), at(1.5), 2)
    assert isinstance(revision, Revised)
    assert (revision.reason, revision.accounted_until, revision.next_slot) == ("quieter", at(2), at(3.75))
    assert same(task)


def test_an_edit_that_leaves_the_schedule_does_not_touch_slots() -> None:
    """A new name must not skip what is due."""
    task = make()
    task.revise(changed(task, name="other"), now=at(2), by="p")
    assert kinds(task) == ["Created", "Revised"]
    assert task.next_slot == at(0.5)
    assert task.accounted_until == START


@pytest.mark.parametrize(
    "changes",
    [
        {"name": ""},
        {"max_failures": 0},
        {"operation": ""},
        {"schedule_type": "once", "next_run": at(0.2)},
        {"schedule_type": "weekly", "schedule_days": [7]},
        {"timezone": "Mars/Olympus"},
        {"nonsense": 1},
    ],
)
def test_a_refused_edit_changes_nothing(changes: dict[str, Any]) -> None:
    """Whatever is wrong with it, the old definition and its slots stay."""
    task = make()
    refused(task, InvalidInput, lambda task: task.revise(changed(task, now=at(3), **changes), now=at(3), by="p"))
    assert task.next_slot == at(0.5)


def test_a_task_stays_in_its_guild() -> None:
    """Moving a task would take its history to people who may not see it."""
    other: TaskDefinition = make(guild_id="2").definition
    refused(make(), InvalidInput, lambda task: task.revise(other, now=at(0.1), by="p"))


def test_a_change_of_zone_gives_at_most_one_run_per_slot() -> None:
    """Case 19: the slot that ran in the old zone does not run again where the new zone has it later."""
    task = make(schedule_type="daily", schedule_time="09:00", timezone="Europe/Berlin", now=START)
    first = claim(task, datetime(2026, 3, 3, 8, 0, tzinfo=UTC))
    done(task, first, datetime(2026, 3, 3, 8, 1, tzinfo=UTC))
    now = datetime(2026, 3, 3, 8, 30, tzinfo=UTC)
    task.revise(changed(task, timezone="Asia/Tokyo"), now=now, by="p")
    assert task.next_slot == datetime(2026, 3, 4, 0, 0, tzinfo=UTC)
    task.revise(changed(task, timezone="Europe/Berlin"), now=now, by="p")
    assert task.next_slot == datetime(2026, 3, 4, 8, 0, tzinfo=UTC)
    with pytest.raises(NotDue):
        task.claim(now=now, node="n1", deadline=DEADLINE)


def test_the_earlier_zone_is_not_made_up_for() -> None:
    """Case 19, westwards: the same date's nine o'clock that comes again is a slot of the new zone, and one only."""
    task = make(schedule_type="daily", schedule_time="09:00", timezone="Europe/Berlin", now=START)
    done(task, claim(task, datetime(2026, 3, 3, 8, tzinfo=UTC)), datetime(2026, 3, 3, 8, 1, tzinfo=UTC))
    task.revise(changed(task, timezone="America/New_York"), now=datetime(2026, 3, 3, 8, 30, tzinfo=UTC), by="p")
    attempt = claim(task, datetime(2026, 3, 3, 14, tzinfo=UTC))
    assert attempt.slot == datetime(2026, 3, 3, 14, tzinfo=UTC)
    assert task.next_slot == datetime(2026, 3, 4, 14, tzinfo=UTC)


def test_raising_the_limit_of_runs_lets_the_schedule_go_on() -> None:
    """While its last run is open, a task that gets more runs is planned again."""
    task = make(max_runs=1)
    attempt = claim(task, at(0.5))
    assert task.next_slot is None
    task.revise(changed(task, max_runs=2), now=at(0.6), by="p")
    assert task.next_slot == at(1.5)
    done(task, attempt, at(0.7))
    assert task.is_active
    done(task, claim(task, at(1.5)), at(1.6))
    assert task.status is TaskStatus.COMPLETED
    assert same(task)


def test_lowering_the_limit_of_runs_to_what_ran_ends_the_task() -> None:
    """There is nothing left to come."""
    task = make()
    done(task, claim(task, at(0.5)), at(0.6))
    task.revise(changed(task, max_runs=1), now=at(0.7), by="p")
    assert task.status is TaskStatus.COMPLETED
    assert same(task)


# --- pausing and resuming ---------------------------------------------------------------------------------------------


def test_a_pause_is_an_event_like_any_other() -> None:
    """Defect 4: pause was not persisted."""
    task = make()
    task.pause(now=at(0.1), by="p", reason="holiday")
    again = state(task.pending_events)
    assert again is not None
    assert again.status is TaskStatus.PAUSED
    assert again.next_run is None
    assert again.attention_at is None


def test_slots_of_a_pause_do_not_run_on_resume() -> None:
    """Case 15: no run on resume; the slots are accounted for as skipped, reason paused."""
    task = make()
    task.pause(now=at(0.1), by="p")
    task.resume(now=at(3.2), by="p")
    skipped = events(task)[2]
    assert isinstance(skipped, Skipped)
    assert (skipped.skip, skipped.first, skipped.last, skipped.count) == (SkipReason.PAUSED, at(0.5), at(2.5), 3)
    assert task.next_slot == at(3.5)
    refused(task, NotDue, lambda task: task.claim(now=at(3.3), node="n1", deadline=DEADLINE))


def test_slots_of_a_pause_run_where_catch_up_is_asked_for() -> None:
    """Case 15: with catch-up the policy decides: the last slot runs, the others are missed."""
    task = make()
    task.pause(now=at(0.1), by="p")
    task.resume(now=at(3.2), by="p", catch_up=True)
    attempt = claim(task, at(3.2))
    assert attempt.slot == at(2.5)
    assert kinds(task) == ["Created", "Paused", "Resumed", "Skipped", "Started"]
    skipped = events(task)[3]
    assert (skipped.skip, skipped.count) == (SkipReason.MISSED, 2)


def test_a_pause_until_an_instant_ends_by_itself() -> None:
    """The task wants attention at that instant, and is active from then on."""
    task = make()
    task.pause(now=at(0.1), by="p", until=at(3))
    assert task.attention_at == at(3)
    assert task.claim(now=at(3), node="n1", deadline=DEADLINE) is None
    assert task.is_active
    assert task.next_slot == at(3.5)
    assert isinstance(events(task)[-1], Resumed)
    assert same(task)


def test_the_slot_at_which_a_pause_ends_runs() -> None:
    """A pause until nine is over at nine."""
    task = make()
    task.pause(now=at(0.1), by="p", until=at(1.5))
    assert claim(task, at(1.5, seconds=1)).slot == at(1.5)


def test_slots_after_the_end_of_a_pause_are_missed_not_paused() -> None:
    """When nothing was up to end the pause in time, the log says what was really the reason."""
    task = make(catch_up="run_last")
    task.pause(now=at(0.1), by="p", until=at(2))
    attempt = claim(task, at(4.6))
    skips = [e for e in task.pending_events if isinstance(e, Skipped)]
    assert [(e.skip, e.count) for e in skips] == [(SkipReason.PAUSED, 2), (SkipReason.MISSED, 2)]
    assert attempt.slot == at(4.5)
    assert same(task)


def test_a_pause_into_the_past_is_refused() -> None:
    """An end that has been is no end."""
    refused(make(), InvalidInput, lambda task: task.pause(now=at(1), by="p", until=at(1)))


def test_pausing_closes_a_run_that_waits_for_its_retry() -> None:
    """A retry would be a run during the pause."""
    task = make()
    failed(task, claim(task, at(0.5)), at(0.6))
    task.pause(now=at(0.61), by="p")
    assert task.open_runs == {}
    assert events(task)[-1].skip is SkipReason.PAUSED
    assert same(task)


def test_pausing_lets_a_run_under_way_finish() -> None:
    """What has begun may end."""
    task = make()
    attempt = claim(task, at(0.5))
    task.pause(now=at(0.55), by="p")
    done(task, attempt, at(0.6))
    assert events(task)[-1].__class__.__name__ == "Executed"
    assert task.status is TaskStatus.PAUSED


@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_what_is_so_already_is_refused(verb: str) -> None:
    """Pausing the paused and resuming the active would record that nothing happened."""
    task = make()
    if verb == "pause":
        task.pause(now=at(0.1), by="p")
    refused(task, Refused, lambda task: getattr(task, verb)(now=at(0.2), by="p"))


def test_resuming_forgives_failures_and_refusals() -> None:
    """A person who resumes a task says that its trouble is over."""
    task = make(max_failures=1)
    failed(task, claim(task, at(0.5)), at(0.6))
    assert task.status is TaskStatus.DISABLED
    task.resume(now=at(0.7), by="p")
    assert task.consecutive_failures == 0
    assert task.is_active
    assert same(task)


# --- cancelling -------------------------------------------------------------------------------------------------------


def test_a_cancelled_task_is_over() -> None:
    """Nothing starts, nothing can be changed, and no instant is waited for."""
    task = make()
    task.cancel(now=task.next_slot or at(1), by="p", reason="done with it")
    assert task.status is TaskStatus.CANCELLED
    assert task.attention_at is None
    assert events(task)[1].skip is SkipReason.CANCELLED
    for verb in (
        lambda t: t.pause(now=at(2), by="p"),
        lambda t: t.resume(now=at(2), by="p"),
        lambda t: t.cancel(now=at(2), by="p"),
        lambda t: t.revise(changed(t, name="x"), now=at(2), by="p"),
        lambda t: t.request_run("r", now=at(2), by="p"),
        lambda t: t.request_skip(1, now=at(2), by="p"),
    ):
        refused(task, TaskEnded, verb)
    refused(task, NotDue, lambda t: t.claim(now=at(99), node="n1", deadline=DEADLINE))


def test_cancelling_closes_what_waits_and_lets_what_runs_close() -> None:
    """A request and a retry that wait are skipped; a run under way may still say how it ended."""
    task = make(overlap="allow_all")
    waits = claim(task, at(0.5))
    failed(task, waits, at(0.51))
    task.request_run("r", now=at(0.52), by="p")
    runs = task.claim_request(task.request_run("q", now=at(0.52), by="p"), now=at(0.52), node="n1", deadline=DEADLINE)
    task.cancel(now=at(0.53), by="p")
    assert list(task.open_runs) == [runs.run]
    failed(task, runs, at(0.54))
    assert task.open_runs == {}
    assert events(task)[-1].retry_at is None
    assert same(task)


# --- skipping, requesting, replanning ---------------------------------------------------------------------------------


def test_the_next_slots_can_be_left_out() -> None:
    """They are accounted for at once, reason requested, and the schedule goes on after them."""
    task = make()
    assert task.request_skip(2, now=at(0.1), by="p", reason="fair") == [at(0.5), at(1.5)]
    assert isinstance(events(task)[1], SkipRequested)
    assert (events(task)[2].skip, events(task)[2].count) == (SkipReason.REQUESTED, 2)
    assert task.next_slot == at(2.5)
    assert same(task)


def test_leaving_out_the_only_slot_ends_the_task() -> None:
    """A ONCE whose slot is skipped has nothing to come."""
    task = make(schedule_type="once", next_run=at(1))
    task.request_skip(3, now=at(0.1), by="p")
    assert task.status is TaskStatus.COMPLETED
    assert same(task)


@pytest.mark.parametrize("count", [0, -1, 1001])
def test_an_unreasonable_number_of_slots_is_refused(count: int) -> None:
    """One to a thousand."""
    refused(make(), InvalidInput, lambda task: task.request_skip(count, now=at(0.1), by="p"))


def test_a_refused_skip_of_a_paused_task_whose_last_slots_have_passed_decides_nothing() -> None:
    """The slots that passed in the pause stay as they are until somebody resumes it."""
    task = make(end=at(1))
    task.pause(now=at(0.1), by="p")
    refused(task, Refused, lambda task: task.request_skip(1, now=at(3), by="p"))


def test_nothing_can_be_left_out_where_nothing_comes() -> None:
    """A task in its last run has no slot to skip."""
    task = make(max_runs=1)
    claim(task, at(0.5))
    refused(task, Refused, lambda task: task.request_skip(1, now=at(0.6), by="p"))


def test_one_request_is_under_way_once() -> None:
    """The same request twice does not make two runs."""
    task = make()
    run = task.request_run("r", now=at(0.1), by="p")
    before = task.version
    assert task.request_run("r", now=at(0.2), by="p") == run
    assert task.version == before


def test_new_rules_move_the_future_and_are_recorded() -> None:
    """Decisions are recorded: Replanned says from where to where, and under which rules."""
    task = make()
    event = events(task)[0]
    moved = state([event.model_copy(update={"next_slot": at(0.75), "rules": "old"})])
    assert moved is not None
    assert moved.replan(now=at(0.2), rules="new")
    [replanned] = moved.pending_events
    assert isinstance(replanned, Replanned)
    assert (replanned.previous, replanned.next_slot, replanned.rules) == (at(0.75), at(0.5), "new")
    assert not moved.replan(now=at(0.2), rules="new")


def test_rules_are_written_down_where_they_are_others_than_before() -> None:
    """A run repeats no rules that the stream has named already; the first one under new rules names these."""
    task = make()
    [created] = events(task)
    claim(task, at(0.5))
    assert [event.rules for event in task.pending_events[1:]] == [None]
    upgraded = state([created.model_copy(update={"rules": "old"})])
    assert upgraded is not None
    first = claim(upgraded, at(0.5))
    upgraded.conclude(first.run, first.attempt, first.owner, now=at(0.6))
    claim(upgraded, at(1.5))
    assert [getattr(event, "rules", None) for event in upgraded.pending_events] == [task.rules, None, None]
    assert upgraded.rules == task.rules == created.rules


def test_new_rules_leave_what_is_due_as_it_was_decided() -> None:
    """A slot that was promised and is due is served, whatever newer rules say."""
    [event] = events(make())
    task = state([event.model_copy(update={"next_slot": at(0.2), "rules": "old"})])
    assert task is not None
    assert not task.replan(now=at(0.3), rules="new")
    assert claim(task, at(0.3)).slot == at(0.2)
    assert task.next_slot == at(0.5)


def test_a_decided_slot_counts_as_one_whatever_todays_rules_say() -> None:
    """Skipping from a decided slot counts it and what follows it, not what newer rules put before it."""
    [event] = events(make())
    task = state([event.model_copy(update={"next_slot": at(1.75), "rules": "old"})])
    assert task is not None
    task.cancel(now=at(3), by="p")
    skipped = events(task)[0]
    assert (skipped.first, skipped.last, skipped.count) == (at(1.75), at(2.5), 2)


def test_a_task_that_new_rules_leave_without_a_slot_is_over() -> None:
    """An active task with nothing to come and nothing open would wait for ever."""
    [event] = events(make(schedule_type="once", next_run=at(1)))
    task = state([event.model_copy(update={"next_slot": at(9), "rules": "old"})])
    assert task is not None
    assert task.replan(now=at(5), rules="new")
    assert task.status is TaskStatus.COMPLETED


def test_the_models_next_run_is_what_is_claimed() -> None:
    """Defect 19: the model's next run and the trigger's next run were two sources that disagreed."""
    task = make(schedule_type="monthly", day_of_month=31)
    for _ in range(14):
        promised = task.next_run
        assert promised is not None
        assert task.attention_at == promised
        attempt = claim(task, promised)
        assert attempt.slot == promised
        done(task, attempt, promised)


def test_the_31st_is_the_last_day_of_short_months() -> None:
    """Defect 13: monthly on the 31st skipped short months while the model showed another date."""
    task = make(schedule_type="monthly", day_of_month=31, schedule_time="09:00")
    slots = between(task.definition.schedule, START, at(days=130))
    assert [(slot.month, slot.day) for slot in slots] == [(3, 31), (4, 30), (5, 31), (6, 30)]


def test_weekly_on_one_day_does_not_run_daily() -> None:
    """Defect 10: `/schedule create weekly` fired daily, because the days were parsed for one type only."""
    task = make(schedule_type="weekly", schedule_days=[2])
    slots = between(task.definition.schedule, START, at(days=21))
    assert [slot.weekday() for slot in slots] == [2, 2, 2]


def test_hourly_needs_no_cron_expression() -> None:
    """Defect 11: "hourly" became custom with no cron, which was always an error."""
    assert make(schedule_type="hourly").next_run == at(0.5)


def test_cron_counts_days_from_sunday() -> None:
    """Defect 12: cron `0 9 * * 1` fired on Tuesday, and `7` was rejected."""
    monday = make(schedule_type="custom", cron_expression="0 9 * * 1")
    assert monday.next_run == at(0.5)
    sunday = make(schedule_type="custom", cron_expression="0 9 * * 7")
    assert sunday.next_run is not None
    assert sunday.next_run.weekday() == 6


def test_clock_changes_neither_double_nor_move_a_slot_silently() -> None:
    """Defect 14: 01:30 fired twice at fall-back; 02:30 in the gap fired at 03:30."""
    autumn = make(schedule_type="daily", schedule_time="01:30", timezone="America/New_York").definition.schedule
    day = datetime(2026, 11, 1, 4, tzinfo=UTC)
    assert between(autumn, day, day + timedelta(hours=20)) == [datetime(2026, 11, 1, 5, 30, tzinfo=UTC)]
    spring = make(schedule_type="daily", schedule_time="02:30", timezone="America/New_York").definition.schedule
    day = datetime(2026, 3, 8, 5, tzinfo=UTC)
    assert between(spring, day, day + timedelta(hours=20)) == [datetime(2026, 3, 8, 7, tzinfo=UTC)]


def test_monday_is_a_day_although_it_is_zero() -> None:
    """Defect 17: `rolling_end_day or 5` turned Monday (0) into Saturday."""
    task = make(schedule_type="weekly", schedule_days=[0], schedule_time="09:00")
    assert task.next_run == at(0.5)


def test_intervals_are_anchored_and_survive_daily_restarts() -> None:
    """Defect 9, case 14: a weekly interval still fires on day 7 when the process restarts every day."""
    task = make(schedule_type="interval", interval="7d")
    written = events(task)
    for day in range(1, 7):
        again = state(written)
        assert again is not None
        with pytest.raises(NotDue):
            again.claim(now=at(days=day), node="n1", deadline=DEADLINE)
    again = state(written)
    assert again is not None
    assert claim(again, at(days=7)).slot == at(days=7) == next_after(again.definition.schedule, at(days=6))


def test_destinations_can_be_named_by_their_own_or_the_predecessors_words() -> None:
    """A destination is a place; two of the same are one mistake."""
    task = summary_task("a", "b")
    assert len(task.destinations) == 2
    refused(
        task,
        InvalidDestination,
        lambda t: t.revise(changed(t, destinations=file_to("a", "a")), now=at(0.1), by="p"),
    )


def test_slots_that_passed_unserved_before_a_pause_were_missed_and_not_paused() -> None:
    """The service was down for five hours before somebody paused the task: the pause did not take those slots."""
    task = make(schedule_type="hourly")
    start = task.next_slot
    assert start is not None
    task.pause(now=start + timedelta(hours=4, minutes=30), by="operator")
    task.resume(now=start + timedelta(hours=6, minutes=30), by="operator")
    skipped = [(e.skip, e.count) for e in task.pending_events if isinstance(e, Skipped)]
    assert skipped == [("missed", 5), ("paused", 2)]


def test_slots_that_passed_unserved_before_a_cancellation_were_missed() -> None:
    """What nobody served is not blamed on the person who ended the task."""
    task = make(schedule_type="hourly")
    assert task.next_slot is not None
    task.cancel(now=task.next_slot + timedelta(hours=2, minutes=30), by="operator")
    assert [(e.skip, e.count) for e in task.pending_events if isinstance(e, Skipped)] == [("missed", 3)]


def test_the_next_slot_to_skip_is_one_to_come() -> None:
    """Slots that passed unserved are written down as missed; the one that is still to come is left out."""
    task = make(schedule_type="hourly")
    start = task.next_slot
    assert start is not None
    assert task.request_skip(1, now=start + timedelta(hours=2, minutes=30), by="operator") == [
        start + timedelta(hours=3)
    ]
    skipped = [(e.skip, e.count) for e in task.pending_events if isinstance(e, Skipped)]
    assert skipped == [("missed", 3), ("requested", 1)]


def test_an_edit_does_not_take_a_slot_away_that_is_just_being_served() -> None:
    """A moment after its instant the slot is about to be claimed: the edit is asked to come again."""
    task = make(schedule_type="hourly")
    start = task.next_slot
    assert start is not None
    changed = revised_fields(task.definition, {"schedule_type": "daily"}, now=start)
    with pytest.raises(Refused, match="being served"):
        task.revise(changed, now=start + timedelta(seconds=0.2), by="operator")
    assert claim(task, start + timedelta(seconds=0.3)) is not None
    task.revise(changed, now=start + timedelta(seconds=0.4), by="operator")
