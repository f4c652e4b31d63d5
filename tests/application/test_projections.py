"""From events to rows: sums, averages, due times, and what a cleanup takes away."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from application.projections import project
from application.rows import DeliveryRow, GuildRow, NodeRow, RowsInMemory, RunRow, SkipRow, TaskRow, TextRow
from application.views import GuildView, RunView, TaskMetadata, TaskView
from domain.destination import DeliveryStatus
from domain.event import epoch_microseconds as us
from domain.guild import Guild, GuildSettings
from domain.node import Node
from domain.task import ScheduledTask
from domain.task_events import InterruptionReason, SkipReason
from tests.domain.task_parts import DEADLINE, START, at, changed, claim, done, failed, make, outcome, summary_task


def rows_of(*aggregates: Any) -> RowsInMemory:
    """The rows of all their events, in the order of time."""
    events = [event for aggregate in aggregates for event in aggregate.pending_events]
    rows = RowsInMemory()
    for event in sorted(events, key=lambda event: event.timestamp):
        project(event, rows)
    return rows


def row_of(task: ScheduledTask) -> TaskRow:
    """The task's row."""
    row = rows_of(task).get(TaskRow, str(task.id))
    assert row is not None
    return row


def statistics(task: ScheduledTask) -> TaskMetadata:
    """The task's statistics."""
    return TaskMetadata.of(row_of(task))


def serve(task: ScheduledTask, slot: datetime, seconds: float, *, fails: bool = False) -> None:
    """One run of this length."""
    attempt = claim(task, slot)
    end = slot + timedelta(seconds=seconds)
    if fails:
        failed(task, attempt, end, permanent=True)
    else:
        done(task, attempt, end)


def test_the_average_is_of_what_succeeded() -> None:
    """Defect 38: one failure and one 10 s success gave "average 5 s"."""
    task = make()
    serve(task, at(0.5), 0, fails=True)
    serve(task, at(1.5), 10)
    found = statistics(task)
    assert found.average_duration_seconds == 10
    assert (found.execution_count, found.failure_count) == (2, 1)
    assert found.get_success_rate() == 50


def test_a_task_without_a_run_has_no_average_and_no_rate() -> None:
    """Nothing is divided by nothing."""
    found = statistics(make())
    assert (found.average_duration_seconds, found.get_success_rate(), found.last_executed) == (0, 0, None)


def test_quiet_runs_and_attempts_are_counted_apart() -> None:
    """Defect 24: quiet is neither success nor failure; a retry is an attempt, not a run."""
    task = make()
    first = claim(task, at(0.5))
    failed(task, first, at(0.5))
    done(task, claim(task, at(0.6)), at(0.6))
    quiet = claim(task, at(1.5))
    task.skip_run(quiet.run, 1, "n1", now=at(1.5), reason=SkipReason.QUIET)
    found = statistics(task)
    assert (found.execution_count, found.failure_count, found.skipped_runs) == (1, 0, 1)
    assert (found.attempts, found.failed_attempts) == (3, 1)
    assert found.get_success_rate() == 100


def test_each_failure_is_counted_once() -> None:
    """Defect 20: each failure counted twice."""
    task = make(max_failures=9)
    failed(task, claim(task, at(0.5)), at(0.5))
    row = row_of(task)
    assert (row.failed_attempts, row.consecutive_failures, row.failed) == (1, 1, 0)
    failed(task, claim(task, at(0.6)), at(0.6), permanent=True)
    row = row_of(task)
    assert (row.failed_attempts, row.consecutive_failures, row.failed) == (2, 2, 1)


def test_a_clock_set_back_during_a_run_gives_no_negative_duration() -> None:
    """Case 18: an average must not sink below what the runs took."""
    task = make()
    done(task, claim(task, at(2.5)), at(0.5))
    assert statistics(task).average_duration_seconds == 0


def test_the_due_time_in_the_row_is_the_tasks_own() -> None:
    """Row and aggregate work it out by the same function, in microseconds and in datetimes."""
    task = make(overlap="buffer_one")
    steps: list[Any] = [
        lambda: None,
        lambda: claim(task, at(0.5)),
        lambda: task.request_run("r", now=at(0.6), by="p"),
        lambda: task.pause(now=at(0.7), by="p", until=at(3)),
        lambda: task.claim(now=at(0.7), node="n1", deadline=DEADLINE),
        lambda: task.claim(now=at(3), node="n1", deadline=DEADLINE),
        lambda: task.revise(changed(task, overlap="allow_all"), now=at(3.1), by="p"),
        lambda: task.cancel(now=at(3.2), by="p"),
    ]
    for step in steps:
        step()
        attention = task.attention_at
        assert row_of(task).due_at == (None if attention is None else us(attention))


def test_lateness_is_measured_from_the_slot_to_the_first_start() -> None:
    """Case 11: 30 s late is recorded, and a retry does not change it."""
    task = make()
    first = claim(task, at(0.5, seconds=30))
    failed(task, first, at(0.51))
    claim(task, at(0.7))
    row = rows_of(task).get(RunRow, first.run)
    assert row is not None
    view = RunView.of(row)
    assert view.lateness_seconds == 30
    assert view.attempt == 2


def test_the_last_outcome_of_each_delivery_is_shown() -> None:
    """A delivery that failed and then arrived is delivered; the other one stands as it was."""
    task = summary_task("a", "b")
    first, second = task.destinations
    attempt = claim(task, at(0.5))
    done(task, attempt, at(0.5), [outcome(first), outcome(second, DeliveryStatus.FAILED)])
    retry = claim(task, at(0.6))
    done(task, retry, at(0.6), [outcome(second, now=at(0.6))])
    rows = rows_of(task)
    found = [rows.get(DeliveryRow, attempt.run, d.key) for d in (first, second)]
    assert [(d.status, d.attempt) for d in found if d] == [("delivered", 1), ("delivered", 2)]
    run = rows.get(RunRow, attempt.run)
    assert run is not None
    assert (run.state, run.error) == ("executed", None)


def test_refused_destinations_are_listed_until_the_task_is_resumed_or_edited() -> None:
    """The row says the same as the aggregate."""
    task = summary_task("a", "b")
    first, second = task.destinations
    done(task, claim(task, at(0.5)), at(0.5), [outcome(first, DeliveryStatus.FAILED, permanent=True), outcome(second)])
    rows = rows_of(task)
    text = rows.get(TextRow, str(task.id))
    assert text is not None
    assert text.disabled_destinations.split() == sorted(task.disabled_destinations) == [first.key]
    task.revise(changed(task, destinations=[second]), now=at(0.6), by="p")
    text = rows_of(task).get(TextRow, str(task.id))
    assert text is not None
    assert text.disabled_destinations == ""


def test_skipped_slots_stand_as_ranges() -> None:
    """One event is one row with its reason and count, and the sums are of slots."""
    task = make()
    task.pause(now=at(0.1), by="p")
    task.resume(now=at(3.1), by="p")
    rows = rows_of(task)
    [skip] = rows.tables[SkipRow].values()
    assert asdict(skip) == {
        "task_id": str(task.id),
        "version": 3,
        "guild_id": "1",
        "first": us(at(0.5)),
        "last": us(at(2.5)),
        "count": 3,
        "reason": "paused",
        "at": us(at(3.1)),
    }
    assert row_of(task).slots_skipped == 3


def test_who_changed_the_status_and_why_is_shown() -> None:
    """Also why the service itself did."""
    task = make(max_failures=1)
    task.pause(now=at(0.1), by="person:1", reason="holiday")
    rows = rows_of(task)
    view = TaskView.of(row_of(task), rows.get(TextRow, str(task.id)))  # type: ignore[arg-type]
    assert (view.status, view.status_by, view.status_reason, view.next_run_time) == (
        "paused",
        "person:1",
        "holiday",
        None,
    )
    task.resume(now=at(0.2), by="p")
    failed(task, claim(task, at(0.5)), at(0.5))
    text = rows_of(task).get(TextRow, str(task.id))
    assert text is not None
    assert text.status_reason == "1 failure"


def test_a_paused_task_has_statistics() -> None:
    """Defect 36: stats raised TypeError with any paused task."""
    task = make()
    task.pause(now=at(0.1), by="p")
    assert statistics(task).to_dict()["next_execution"] is None


def test_a_run_can_be_shown_in_every_state() -> None:
    """Defect 37: the history route failed whenever rows existed."""
    task = make(overlap="allow_all")
    task.request_run("r", now=at(0.1), by="p")
    claim(task, at(0.5))
    for slot, close in ((1.5, done), (2.5, failed)):
        attempt = claim(task, at(slot))
        if attempt.slot is None:
            attempt = claim(task, at(slot))
        close(task, attempt, at(slot))
    rows = rows_of(task)
    shown = [RunView.of(row).to_dict() for row in rows.tables[RunRow].values() if isinstance(row, RunRow)]
    assert {run["state"] for run in shown} == {"running", "executed", "waiting"}
    assert all(isinstance(run["run_id"], str) for run in shown)


def test_a_guild_adds_up_its_tasks() -> None:
    """Its sums are those of its tasks, whatever they are doing."""
    first, second, other = make(), make(), make(guild_id="2")
    serve(first, at(0.5), 10)
    serve(second, at(0.5), 20, fails=True)
    serve(other, at(0.5), 30)
    crashed = claim(first, at(1.5))
    first.interrupt(crashed.run, 1, "n1", now=at(1.6), cause=InterruptionReason.CRASH, noticed_by="n2")
    rows = rows_of(first, second, other)
    row = rows.get(GuildRow, "1")
    assert row is not None
    view = GuildView.of(row)
    assert (view.tasks, view.executed, view.failed, view.attempts, view.interruptions) == (2, 1, 1, 3, 1)
    assert (view.success_rate, view.average_duration_seconds) == (50, 10)


def test_settings_and_nodes_have_rows() -> None:
    """A guild's settings, and processes that were started, stopped and lost."""
    guild = Guild.open("1", now=START)
    guild.change_settings(GuildSettings(timezone="Asia/Tokyo"), now=START, by="p")
    nodes = [Node.start(n, now=START, host="h", pid=1, version="1", rules="r") for n in ("up", "down", "lost")]
    nodes[1].stop(now=at(1), interrupted_runs=2)
    nodes[2].lose(now=at(2), last_seen=at(1.5), noticed_by="up")
    rows = rows_of(guild, *nodes)
    row = rows.get(GuildRow, "1")
    assert row is not None
    assert GuildView.of(row).settings.timezone == "Asia/Tokyo"
    found = [rows.get(NodeRow, n) for n in ("up", "down", "lost")]
    assert [(n.ended_at, n.lost) for n in found if n] == [(None, 0), (us(at(1)), 0), (us(at(1.5)), 1)]


def test_a_cleanup_forgets_old_runs_and_hides_ended_tasks() -> None:
    """Of one guild; sums, open runs and younger runs stay."""
    task, other, ended = make(), make(guild_id="2"), make(schedule_type="once", next_run=at(0.5))
    for one in (task, other):
        serve(one, at(0.5), 0)
        serve(one, at(5.5), 0)
    claim(task, at(6.5))
    serve(ended, at(0.5), 0)
    guild = Guild.open("1", now=START)
    guild.record_deletion(
        now=at(9),
        scope="1",
        cutoff=at(3),
        summaries=0,
        run_details=0,
        cached=0,
        archives_tasks=True,
        deletes_runs=True,
        by="p",
    )
    rows = rows_of(task, other, ended, guild)
    left = [row for row in rows.tables[RunRow].values() if isinstance(row, RunRow)]
    assert sorted((row.guild_id, row.state) for row in left) == [
        ("1", "executed"),
        ("1", "running"),
        ("2", "executed"),
        ("2", "executed"),
    ]
    found = [rows.get(TaskRow, str(t.id)) for t in (task, other, ended)]
    assert [t.archived for t in found if t] == [0, 0, 1]
    assert [t.executed for t in found if t] == [2, 2, 1]


def test_an_event_of_another_kind_is_passed_over() -> None:
    """A log may hold kinds of events that no row is made of."""
    rows = RowsInMemory()
    guild = Guild.open("", now=START)
    guild.choose_archive("a", timedelta(days=1), now=START, by="p")
    for event in guild.pending_events:
        project(event, rows)  # type: ignore[arg-type]
    assert all(not table for table in rows.tables.values())
