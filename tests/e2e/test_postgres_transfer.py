"""A whole history into PostgreSQL, end to end, and that store opened only to look."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from application.audit import Audit
from application.history_file import EVERYTHING
from application.import_plan import ImportOptions
from application.verification import verify_store
from daybook import DatabaseTaskPersistence, TaskScheduler
from domain.errors import StoreError
from domain.principal import OPERATOR
from infrastructure.read_only import read_stores
from tests.doubles import EARLY
from tests.e2e.machine import HOUR, Machine

KEY = {"DAYBOOK_MASTER_KEY": "ab" * 32}


def answers(scheduler: TaskScheduler) -> dict[str, Any]:
    """What a store answers about every task; positions are its own."""
    audit = Audit(scheduler.queries, scheduler.stores.log, scheduler.clock)
    found: dict[str, Any] = {}
    for task in audit.tasks():
        events = [one.event for one in scheduler.queries.history(task.task_id)]
        account = audit.account(task.task_id)
        why = audit.why(task.task_id, EARLY + 4 * HOUR)
        found[task.task_id] = (task, events, account.implied, account.fates, account.proven, why.reason, why.answer)
    return found | {"runs": scheduler.queries.runs(limit=1000)}


async def lived(machine: Machine) -> None:
    """Two guilds; a pause, an edit, and some hours of runs."""
    await machine.boot()
    paused = await machine.task(name="One")
    edited = await machine.task(name="Two", guild_id="7")
    for hour in range(8):
        await machine.wait(HOUR)
        if hour == 2:
            await machine.scheduler.pause_task(paused, reason="moving")
        if hour == 5:
            await machine.scheduler.resume_task(paused)
            await machine.scheduler.update_task(edited, name="Second", reason="clearer")


async def test_a_history_moves_into_postgresql_and_is_looked_at_there(
    tmp_path: Path, postgres_url: Callable[[], str]
) -> None:
    """Every answer is the same, twice doubles nothing, and looking neither writes nor makes anything."""
    here, there = Machine(tmp_path / "here"), Machine(tmp_path / "there")
    await lived(here)
    lines = list(here.scheduler.transfer.history.export(EVERYTHING).lines())
    url = postgres_url()
    there.persistence = DatabaseTaskPersistence(url, tmp_path / "there", environment=KEY)
    there.clock.move(8 * HOUR)
    await there.boot()
    plan = await there.scheduler.transfer.history.import_file(lambda: iter(lines), ImportOptions(), principal=OPERATOR)
    assert plan.counts == {"new": 2}
    told = answers(there.scheduler)
    assert told == answers(here.scheduler)
    position = there.scheduler.stores.log.last_position()
    again = await there.scheduler.transfer.history.import_file(lambda: iter(lines), ImportOptions(), principal=OPERATOR)
    assert (again.counts, again.events) == ({"same": 2}, 0)
    assert there.scheduler.stores.log.last_position() == position
    for machine in (here, there):
        await machine.scheduler.stop()

    with read_stores(tmp_path / "there", url, environment=KEY) as stores:
        end = stores.log.last_position()
        health = verify_store(stores.log, stores.read_model)
        assert health.sound
        assert health.events == len(stores.log.read(0, 10_000))
        for write in (
            stores.log.drop_snapshots,
            lambda: stores.vault.put_secret("1", "hidden"),
            lambda: stores.content.cache_put("key", "1", {}, EARLY),
            lambda: stores.read_model.apply(stores.log.read(0, 1)),
        ):
            with pytest.raises(StoreError):
                write()
        assert stores.log.last_position() == end
    shutil.rmtree(tmp_path / "there")
