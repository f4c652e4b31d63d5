"""What a guild may use: tasks, intervals and runs a day hold for every command, however many come at once."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from application.accounting import account
from application.why import why
from daybook import TaskExecutor, TaskPersistence, TaskScheduler
from domain.errors import Forbidden, InvalidImport, InvalidInput, NotFound, QuotaExceeded
from domain.guild import GuildSettings
from domain.principal import OPERATOR, Permission, Principal
from domain.quotas import Quotas
from tests.application.test_scheduler import MANAGER, STRANGER, VIEWER, looked, task
from tests.doubles import EARLY, HandClock, HandTimer
from tests.e2e.machine import HOUR, Machine, until

MODERATOR = Principal(reference="person:4", guild_id="1", role_ids=frozenset({"777"}))


@pytest.fixture
def clock() -> HandClock:
    """A Monday at eight."""
    return HandClock(EARLY)


@pytest.fixture
async def scheduler(tmp_path: Path, clock: HandClock) -> AsyncIterator[TaskScheduler]:
    """An open scheduler that does not claim, of guilds that may do as they like."""
    made = scheduler_on(tmp_path, clock)
    await made.open()
    yield made
    await made.stop()


def scheduler_on(folder: Path, clock: HandClock) -> TaskScheduler:
    """A scheduler on this folder, whose handler does nothing."""
    executor = TaskExecutor()

    async def noop(run: Any) -> None:
        return

    executor.register_operation("noop", noop)
    return TaskScheduler(executor, TaskPersistence(folder, environment={}), clock=clock, timer=HandTimer(clock))


async def granted(scheduler: TaskScheduler, guild_id: str = "1", **limits: Any) -> None:
    """The operator grants a guild these limits."""
    settings = scheduler.queries.settings(guild_id).model_copy(update={"granted": Quotas(**limits)})
    await scheduler.commands.change_settings(guild_id, settings, principal=OPERATOR)


def document(*names: str, guild_id: str = "1", **fields: Any) -> bytes:
    """An export file with daily tasks of these names."""
    known = {"guild_id": guild_id, "task_type": "custom", "operation": "noop", "schedule_type": "daily"}
    return json.dumps({"tasks": [{"name": name, **known, **fields} for name in names]}).encode()


def fates(machine: Machine, tasks: Sequence[str]) -> Counter[str]:
    """What the accounts say of the slots of these tasks."""
    total: Counter[str] = Counter()
    for task_id in tasks:
        found = account(machine.scheduler.queries.history(task_id), now=machine.clock.now())
        assert found.proven
        total.update({fate.value: count for fate, count in found.fates.items()})
    return total


# --- tasks ----------------------------------------------------------------------------------------------------------


async def test_a_task_too_many_is_refused_with_the_limit_the_count_and_what_to_do(scheduler: TaskScheduler) -> None:
    """Whoever asks: also the operator, who raises the limit instead. One that is cancelled makes room."""
    await granted(scheduler, max_tasks=2)
    first = await scheduler.schedule_task(task(), principal=MANAGER)
    await scheduler.schedule_task(task())
    for principal in (MANAGER, OPERATOR):
        position = scheduler.stores.log.last_position()
        with pytest.raises(QuotaExceeded) as refusal:
            await scheduler.schedule_task(task(), principal=principal)
        assert (refusal.value.quota, refusal.value.limit, refusal.value.current) == ("max_tasks", 2, 2)
        assert "has 2 tasks" in str(refusal.value)
        assert "may have 2" in str(refusal.value)
        assert "cancel one" in str(refusal.value)
        assert scheduler.stores.log.last_position() == position
    await scheduler.schedule_task(task(guild_id="2"))
    await scheduler.cancel_task(first)
    await scheduler.schedule_task(task(), principal=MANAGER)
    assert scheduler.commands.quota_use("1", principal=VIEWER).tasks == 2


async def test_of_many_that_come_at_once_only_as_many_are_made_as_there_may_be(scheduler: TaskScheduler) -> None:
    """They are counted in the guild's own stream, in the transaction that makes them."""
    await granted(scheduler, max_tasks=5)
    outcomes = await asyncio.gather(*(scheduler.schedule_task(task()) for _ in range(20)), return_exceptions=True)
    assert Counter(type(outcome) for outcome in outcomes) == {str: 5, QuotaExceeded: 15}
    assert scheduler.queries.counts(guild_id="1") == {"active": 5}


async def test_two_processes_do_not_make_one_too_many_between_them(
    scheduler: TaskScheduler, tmp_path: Path, clock: HandClock
) -> None:
    """The command line beside a service: neither sees the other's tasks in its rows while they are made."""
    await granted(scheduler, max_tasks=5)
    beside = scheduler_on(tmp_path, clock)
    await beside.open(companion=True)
    assert beside.stores.companion
    try:
        makers = [each.schedule_task(task()) for _ in range(6) for each in (scheduler, beside)]
        outcomes = await asyncio.gather(*makers, return_exceptions=True)
    finally:
        await beside.stop()
    await scheduler.stores.writer.catch_up()
    assert Counter(type(outcome) for outcome in outcomes) == {str: 5, QuotaExceeded: 7}
    assert scheduler.queries.counts(guild_id="1") == {"active": 5}


async def test_an_import_is_counted_as_a_whole(scheduler: TaskScheduler) -> None:
    """Too many: nothing of the file is there. Those that exist already are not counted twice."""
    await granted(scheduler, max_tasks=3)
    with pytest.raises(QuotaExceeded, match="4 more were asked for"):
        await scheduler.transfer.import_tasks(document("a", "b", "c", "d"))
    assert scheduler.queries.counts(guild_id="1") == {}
    assert await scheduler.transfer.import_tasks(document("a", "b", "c")) == 3
    again = json.dumps(scheduler.transfer.export_tasks()).encode()
    assert await scheduler.transfer.import_tasks(again) == 3
    assert scheduler.queries.counts(guild_id="1") == {"active": 3}


async def test_a_task_does_not_go_on_while_there_are_too_many(scheduler: TaskScheduler) -> None:
    """The limit was lowered since: nothing stops by itself, but nothing is resumed either, until there is room."""
    paused, other = [await scheduler.schedule_task(task()) for _ in range(2)]
    await scheduler.pause_task(paused)
    await granted(scheduler, max_tasks=1)
    with pytest.raises(QuotaExceeded):
        await scheduler.resume_task(paused)
    assert not scheduler.queries.task(paused).is_active
    await scheduler.cancel_task(other)
    await scheduler.resume_task(paused)


# --- intervals ------------------------------------------------------------------------------------------------------


async def test_a_schedule_that_comes_too_often_is_refused_by_every_command(scheduler: TaskScheduler) -> None:
    """Create, edit, resume and import; an edit of something else is not."""
    before = await scheduler.schedule_task(task(schedule_type="fifteen-minutes"))
    await granted(scheduler, shortest_interval_seconds=3600)
    hourly = await scheduler.schedule_task(task())
    with pytest.raises(QuotaExceeded, match=r"due twice within 900 s .* 3600 s is the least"):
        await scheduler.schedule_task(task(schedule_type="fifteen-minutes"))
    with pytest.raises(QuotaExceeded):
        await scheduler.update_task(hourly, schedule_type="fifteen-minutes")
    with pytest.raises(InvalidImport, match="due twice within 900 s"):
        await scheduler.transfer.import_tasks(document("a", schedule_type="fifteen-minutes"))
    await scheduler.update_task(before, name="renamed")
    await scheduler.pause_task(before)
    with pytest.raises(QuotaExceeded):
        await scheduler.resume_task(before)
    assert scheduler.queries.task(before).status.value == "paused"
    await scheduler.update_task(before, schedule_type="hourly")
    await scheduler.resume_task(before)


# --- runs a day -----------------------------------------------------------------------------------------------------


async def test_runs_beyond_those_of_the_day_are_skipped_and_begin_again_at_midnight(tmp_path: Path) -> None:
    """Of five tasks that are due together three run; the accounts, the rows and ``why`` say so of the others."""
    machine = Machine(tmp_path)
    await machine.boot()
    tasks = [await machine.task(name=f"task {number}") for number in range(5)]
    await granted(machine.scheduler, "42", runs_per_day=3)
    await machine.wait(HOUR)
    assert len(machine.slots) == 3
    assert fates(machine, tasks) == {"executed": 3, "quota": 2}
    await machine.wait(HOUR)
    assert len(machine.slots) == 3
    assert fates(machine, tasks) == {"executed": 3, "quota": 7}
    machine.counts()  # checks the accounts and that the rows can be made anew
    assert machine.scheduler.commands.quota_use("42").runs_today == 3
    with pytest.raises(QuotaExceeded, match="has had 3 of the 3 runs"):
        await machine.scheduler.run_task_now(tasks[0])
    with pytest.raises(QuotaExceeded):
        await machine.scheduler.commands.request_run(tasks[0])
    for run in machine.scheduler.queries.runs(states=["skipped"]):
        assert (run.reason, "may have 3 runs a day" in (run.note or "")) == ("quota", True)
    for task_id in tasks:
        found = why(machine.scheduler.queries.history(task_id), [], machine.clock.now(), now=machine.clock.now())
        assert found.reason.value == "quota"
        assert "the guild had used up its runs of the day" in found.answer
    await machine.wait(14 * HOUR)
    assert machine.scheduler.commands.quota_use("42").runs_today == 3  # those of midnight
    assert len(machine.slots) == 6
    await machine.scheduler.stop()


async def test_requests_count_and_more_than_are_left_are_refused(tmp_path: Path) -> None:
    """A manual run uses up the day as a scheduled one does; a backfill is refused as a whole."""
    machine = Machine(tmp_path)
    await machine.boot()
    task_id = await machine.task()
    await granted(machine.scheduler, "42", runs_per_day=3)
    assert (await machine.scheduler.run_task_now(task_id)).success
    await machine.jump(timedelta(minutes=10))
    begin = machine.clock.now() - 4 * HOUR
    with pytest.raises(QuotaExceeded, match="and 4 were asked for"):
        await machine.scheduler.commands.backfill(task_id, begin, machine.clock.now())
    assert len(await machine.scheduler.commands.backfill(task_id, begin + 2 * HOUR, machine.clock.now())) == 2
    await machine.settled()
    assert len(machine.slots) == 3
    await machine.wait(HOUR)
    assert fates(machine, [task_id]) == {"quota": 1}
    await machine.scheduler.stop()


async def test_requests_that_race_are_turned_away_before_they_do_anything(tmp_path: Path) -> None:
    """Ten are asked for while nothing has begun: the log's order decides which three are done."""
    machine = Machine(tmp_path)
    await machine.boot()
    task_id = await machine.task()
    await granted(machine.scheduler, "42", runs_per_day=3)
    results = await asyncio.gather(
        *(machine.scheduler.run_task_now(task_id) for _ in range(10)), return_exceptions=True
    )
    done = [result for result in results if not isinstance(result, BaseException) and result.success]
    assert len(done) == len(machine.slots) == 3
    for result in results:
        if isinstance(result, BaseException):
            assert isinstance(result, QuotaExceeded)
        elif not result.success:
            assert result.skipped
            assert "3 runs a day" in (result.error_message or "")
    assert machine.scheduler.commands.quota_use("42").runs_today == 3
    await machine.scheduler.stop()


async def test_a_retry_is_the_same_run_and_goes_on(tmp_path: Path) -> None:
    """Tries of one run count once, and a day that is used up does not end what has begun."""
    machine = Machine(tmp_path)
    failing = [True, False]

    async def fails_once(run: Any) -> None:
        if failing.pop(0):
            raise TimeoutError("not now")

    machine.executor.register_operation("fails once", fails_once)
    await machine.boot()
    await machine.task(operation="fails once")
    await granted(machine.scheduler, "42", runs_per_day=1)
    await machine.wait(HOUR)
    await machine.wait(timedelta(minutes=10))
    assert not failing
    assert machine.counts() == {"executed": 1}
    await machine.scheduler.stop()


async def test_what_waits_on_another_node_is_decided_by_the_order_of_the_log(
    scheduler: TaskScheduler, clock: HandClock
) -> None:
    """Claims that were made on rows that lag behind are numbered as the log has them, and the last ones are closed."""
    await granted(scheduler, runs_per_day=2)
    for _ in range(4):
        await scheduler.schedule_task(task())
    clock.move(timedelta(hours=1))
    scheduler.dispatcher._allowance.used_up(["1"], clock.now())
    assert scheduler.dispatcher._allowance.used_up(["1"], clock.now()) == {}  # two are left, and four are due
    await scheduler.start()
    await looked(scheduler)
    await until(lambda: not scheduler.dispatcher.active_runs)
    states = Counter((run.state, run.reason) for run in scheduler.queries.runs())
    assert states == {("executed", None): 2, ("skipped", "quota"): 2}


# --- who may --------------------------------------------------------------------------------------------------------


async def test_a_role_that_the_settings_name_manages_tasks_but_not_the_settings(scheduler: TaskScheduler) -> None:
    """Until it is named it may look; the settings themselves stay with Manage Server."""
    with pytest.raises(Forbidden, match="Manage Server, or a role"):
        await scheduler.schedule_task(task(), principal=MODERATOR)
    settings = GuildSettings(managers=("777",))
    await scheduler.commands.change_settings("1", settings, principal=MANAGER)
    task_id = await scheduler.schedule_task(task(), principal=MODERATOR)
    await scheduler.pause_task(task_id, principal=MODERATOR)
    assert await scheduler.transfer.import_tasks(document("a"), principal=MODERATOR) == 1
    with pytest.raises(Forbidden, match="settings"):
        await scheduler.commands.change_settings("1", GuildSettings(), principal=MODERATOR)
    elsewhere = replace(MODERATOR, guild_id="2")
    with pytest.raises(NotFound):
        await scheduler.pause_task(task_id, principal=elsewhere)


async def test_a_guild_may_be_stricter_with_itself_and_not_laxer(scheduler: TaskScheduler) -> None:
    """What is granted is the operator's to change; within it a guild goes down and up again as it likes."""
    await granted(scheduler, max_tasks=10, shortest_interval_seconds=600)
    change = scheduler.commands.change_settings
    now = scheduler.queries.settings("1")
    for own in (5, 10, 2):
        await change("1", now.model_copy(update={"max_tasks": own}), principal=MANAGER)
        assert scheduler.commands.quota_use("1").quotas.max_tasks == own
    for looser in ({"max_tasks": 11}, {"shortest_interval_seconds": 599}):
        with pytest.raises(InvalidInput, match="more than the operator allows"):
            await change("1", now.model_copy(update=looser), principal=MANAGER)
    with pytest.raises(Forbidden, match="granted by the operator"):
        await change("1", now.model_copy(update={"granted": Quotas()}), principal=MANAGER)
    with pytest.raises(NotFound):
        await change("1", GuildSettings(), principal=STRANGER)
    with pytest.raises(NotFound):
        scheduler.commands.quota_use("1", principal=STRANGER)
    for wrong in ({"max_tasks": -1}, {"managers": ("Mods",)}, {"runs_per_day": 10**12}):
        with pytest.raises(InvalidInput):
            await change("1", now.model_copy(update=wrong), principal=OPERATOR)


async def test_a_member_is_known_to_events_by_a_reference_only(scheduler: TaskScheduler) -> None:
    """The principal of a member says who asks, and what is written down can be erased."""
    member = scheduler.commands.access.member("1", "4711", role_ids=["5"], may_manage_server=True)
    assert (member.guild_id, member.user_id, set(member.role_ids)) == ("1", "4711", {"5"})
    assert Permission.MANAGE in member.permissions
    task_id = await scheduler.schedule_task(task(), principal=member)
    assert scheduler.queries.task(task_id).definition.created_by == member.reference
    assert "4711" not in "".join(repr(each.event) for each in scheduler.queries.history(task_id))
    assert scheduler.commands.access.member("1", "4711").permissions == {Permission.VIEW}
