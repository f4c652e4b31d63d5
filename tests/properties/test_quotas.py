"""Whatever comes at once, in whatever order and from whichever process: a guild never has more than it may."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daybook import TaskScheduler
from domain.errors import QuotaExceeded, Refused
from domain.quotas import Quotas, check_interval, shortest_gap
from domain.schedule import between, make_schedule
from tests.application.test_quotas import document, fates, granted, scheduler_on
from tests.application.test_scheduler import task
from tests.doubles import EARLY, HandClock
from tests.e2e.machine import HOUR, Machine

# --- tasks ----------------------------------------------------------------------------------------------------------

COMMANDS = st.tuples(
    st.sampled_from(("create", "create", "create", "import", "cancel", "pause", "resume")),
    st.booleans(),
    st.integers(0, 9),
)


def asked(scheduler: TaskScheduler, verb: str, known: list[str], number: int) -> Awaitable[Any]:
    """The command on a scheduler, of one of the known tasks where it needs one."""
    if verb == "import":
        return scheduler.transfer.import_tasks(document("a", "b"))
    if verb == "create" or not known:
        return scheduler.schedule_task(task())
    do = scheduler.commands
    return {"cancel": do.cancel, "pause": do.pause, "resume": do.resume}[verb](known[number % len(known)])


async def _rounds(folder: Path, limit: int, rounds: list[list[tuple[str, bool, int]]]) -> None:
    clock = HandClock(EARLY)
    service = scheduler_on(folder, clock)
    await service.open()
    await granted(service, max_tasks=limit)
    beside = scheduler_on(folder, clock)
    await beside.open(companion=True)
    try:
        for commands in rounds:
            known = [view.task_id for view in service.queries.alive_tasks(guild_id="1")]
            asking = [asked(beside if other else service, verb, known, number) for verb, other, number in commands]
            for outcome in await asyncio.gather(*asking, return_exceptions=True):
                assert not isinstance(outcome, BaseException) or isinstance(outcome, QuotaExceeded | Refused), outcome
            await service.stores.writer.catch_up()
            assert len(service.queries.alive_tasks(guild_id="1")) <= limit
        alive = len(service.queries.alive_tasks(guild_id="1"))
        for _ in range(limit - alive):
            await service.schedule_task(task())  # what is free can be used
        for scheduler in (service, beside):
            with pytest.raises(QuotaExceeded) as refusal:
                await scheduler.schedule_task(task())
            assert (refusal.value.limit, refusal.value.current) == (limit, limit)
    finally:
        await beside.stop()
        await service.stop()


@settings(max_examples=12, deadline=None)
@given(limit=st.integers(0, 6), rounds=st.lists(st.lists(COMMANDS, min_size=1, max_size=8), min_size=1, max_size=4))
def test_a_guild_never_has_more_tasks_than_it_may(limit: int, rounds: list[list[tuple[str, bool, int]]]) -> None:
    """A service and a command line beside it create, import, cancel, pause and resume at the same time."""
    with TemporaryDirectory() as folder:
        asyncio.run(_rounds(Path(folder), limit, rounds))


# --- runs -----------------------------------------------------------------------------------------------------------

STEPS = st.one_of(
    st.tuples(st.just("wait"), st.integers(1, 9)),
    st.tuples(st.just("run now"), st.integers(1, 6)),
    st.tuples(st.just("request"), st.integers(1, 6)),
)


async def _days(folder: Path, tasks: int, limit: int, steps: list[tuple[str, int]]) -> None:
    machine, begun = Machine(folder), list[datetime]()
    machine.executor.register_operation("note", _noting(machine, begun))
    await machine.boot()
    try:
        made = [await machine.task() for _ in range(tasks)]
        await granted(machine.scheduler, "42", runs_per_day=limit)
        commands, asked = machine.scheduler.commands, 0
        for step, number in steps:
            if step == "wait":
                await machine.wait(number * HOUR)
                continue
            ask = commands.run_now if step == "run now" else commands.request_run
            asking = [ask(made[(asked + n) % tasks]) for n in range(number)]
            asked += number
            for outcome in await asyncio.gather(*asking, return_exceptions=True):
                assert not isinstance(outcome, BaseException) or isinstance(outcome, QuotaExceeded), outcome
            await machine.settled()
        assert all(count <= limit for count in Counter(each.date() for each in begun).values())
        assert set(fates(machine, made)) <= {"executed", "quota"}
        machine.counts()
        day = [each for each in begun if each.date() == machine.clock.now().date()]
        assert commands.quota_use("42").runs_today == len(day)
    finally:
        await machine.scheduler.stop()


def _noting(machine: Machine, begun: list[datetime]) -> Any:
    async def note(run: Any) -> None:
        begun.append(machine.clock.now())

    return note


@settings(max_examples=12, deadline=None)
@given(tasks=st.integers(1, 4), limit=st.integers(0, 12), steps=st.lists(STEPS, min_size=1, max_size=6))
def test_a_guild_never_has_more_runs_a_day_than_it_may(tasks: int, limit: int, steps: list[tuple[str, int]]) -> None:
    """Slots and requests, many at the same instant, over midnight: every slot beyond is accounted for as such."""
    with TemporaryDirectory() as folder:
        asyncio.run(_days(Path(folder), tasks, limit, steps))


# --- intervals and limits -------------------------------------------------------------------------------------------

MINUTES = st.lists(st.integers(0, 59), min_size=1, max_size=4, unique=True).map(sorted)


@given(minutes=MINUTES, least=st.integers(1, 7200))
def test_a_schedule_is_refused_exactly_when_two_of_its_slots_are_too_close(minutes: list[int], least: int) -> None:
    """By the slots themselves; the refusal names two that are."""
    schedule = make_schedule(type="custom", cron=f"{','.join(map(str, minutes))} * * * *")
    slots = between(schedule, EARLY, EARLY + timedelta(days=1))
    closest = min((b - a).total_seconds() for a, b in pairwise(slots))
    found = shortest_gap(schedule, EARLY)
    assert found is not None
    assert (found[1] - found[0]).total_seconds() == closest
    quotas = Quotas(shortest_interval_seconds=least)
    if closest >= least:
        check_interval(quotas, schedule, "1", now=EARLY)
        return
    with pytest.raises(QuotaExceeded, match=f"{found[0]:%H:%M:%S}") as refusal:
        check_interval(quotas, schedule, "1", now=EARLY)
    assert refusal.value.current == closest


LIMITS = st.builds(
    Quotas,
    max_tasks=st.none() | st.integers(0, 9),
    shortest_interval_seconds=st.none() | st.integers(0, 9),
    runs_per_day=st.none() | st.integers(0, 9),
)


@given(own=LIMITS, granted=LIMITS, default=LIMITS)
def test_what_is_in_force_is_never_laxer_than_what_the_operator_allows(
    own: Quotas, granted: Quotas, default: Quotas
) -> None:
    """However a guild sets its own limits; and what it may set is exactly what changes nothing for the worse."""
    allowed = granted.or_else(default)
    force = allowed.tightened(own)
    assert force.looser_than(allowed) is None
    assert force.tightened(allowed) == force
    assert (own.looser_than(allowed) is None) == (own.or_else(allowed) == force)
