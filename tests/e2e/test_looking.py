"""Looking at a store changes nothing: what a process that died left behind is still there for the next start."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest

from application.rows import NodeRow
from domain.errors import NotFound, StoreUnavailable
from domain.event import from_epoch_microseconds
from infrastructure.read_only import read_stores
from tests.adapters.cli_runner import Daybook

ROOT = Path(__file__).parents[2]
DIES = """
import asyncio, os, sys
from datetime import timedelta
import daybook

async def main():
    scheduler = daybook.TaskScheduler(daybook.TaskExecutor(), daybook.TaskPersistence(sys.argv[1]), node="victim")
    await scheduler.start()
    async def stuck(run): await asyncio.sleep(600)
    scheduler.executor.register_operation("stuck", stuck)
    task = daybook.ScheduledTask(name="Stuck", guild_id="1", task_type=daybook.TaskType.CUSTOM, operation="stuck",
        schedule_type=daybook.ScheduleType.DAILY, schedule_time="09:00")
    await scheduler.schedule_task(task)
    asyncio.create_task(scheduler.run_task_now(str(task.id)))
    while not scheduler.queries.running():
        await asyncio.sleep(0.01)
    scheduler.stores.presence.beat(scheduler.node, scheduler.clock.now() + timedelta(minutes=7))
    os._exit(9)

asyncio.run(main())
"""


@pytest.fixture
def cli(tmp_path: Path) -> Daybook:
    """The command line on the folder of a service that died in the middle of a run."""
    ended = subprocess.run(
        [sys.executable, "-c", DIES, str(tmp_path / "data")], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 9, ended.stderr
    return Daybook(tmp_path / "data")


def kept(folder: Path) -> dict[str, bytes]:
    """Every file with what is in it, but for the memory that SQLite shares and journals in which nothing stands."""
    files = {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}
    return {name: raw for name, raw in files.items() if raw and not name.endswith("-shm")}


def last_seen(folder: Path, node: str) -> datetime | None:
    """When the log says that a lost process was last seen."""
    with read_stores(folder, environment={}) as stores:
        row = stores.read_model.get(NodeRow, node)
    assert row.lost
    return from_epoch_microseconds(row.ended_at)


@pytest.mark.parametrize("arguments", [("verify",), ("audit", "verify")], ids=" ".join)
def test_verification_writes_nothing_and_recovers_nothing(cli: Daybook, arguments: tuple[str, ...]) -> None:
    """Not to the log, not to what is derived, not to the record of who died; and it finds the store sound."""
    before = kept(cli.folder)
    assert "log.db-wal" in before, "the process that died left no journal"
    for _ in range(2):
        told = cli(*arguments)
        assert told.code == 0, told.out + told.err
    assert kept(cli.folder) == before


def test_what_died_is_written_down_by_the_next_start_with_the_instant_it_was_last_seen(cli: Daybook) -> None:
    """However often somebody looked in between."""
    assert cli("verify").code == 0
    seen = json.loads((cli.folder / "daybook.seen").read_text("utf-8"))
    assert seen["node"].startswith("victim")
    assert cli("tasks", "list").code == 0
    assert last_seen(cli.folder, seen["node"]) == datetime.fromisoformat(seen["seen"])


def test_a_start_that_failed_keeps_what_it_found_dead_for_the_next(cli: Daybook) -> None:
    """It may end before it could write anything: here the key of the vault is not the right one."""
    seen = json.loads((cli.folder / "daybook.seen").read_text("utf-8"))
    key = (cli.folder / "master.key").read_text("ascii")
    (cli.folder / "master.key").write_text("00" * 32, "ascii")
    assert cli("tasks", "add", "Other", "--channel", "general").code == 1
    (cli.folder / "master.key").write_text(key, "ascii")
    assert cli("tasks", "add", "Other", "--channel", "general").code == 0
    assert last_seen(cli.folder, seen["node"]) == datetime.fromisoformat(seen["seen"])


def test_a_log_whose_end_is_gone_is_found_and_not_written_on(cli: Daybook) -> None:
    """Other events would take the place of those that were acknowledged. `rebuild` goes on with what is left."""
    assert cli("audit", "head").code == 0
    events = cli.events()
    with closing(sqlite3.connect(cli.folder / "log.db")) as log, log:
        log.execute("delete from stored_events where rowid > ?", (events - 2,))
    told = cli("verify", "--json")
    assert told.code == 1
    [end] = [one for one in told.json["troubles"] if one["kind"] == "end"]
    assert f"ends at position {events - 2}" in end["words"]
    assert "restore the folder from a backup" in end["advice"]
    removed = [one for one in cli("audit", "verify", "--json").json["findings"] if one["kind"] == "removed"]
    assert [one["position"] for one in removed] == [events - 1, events]
    for arguments in (("tasks", "list"), ("tasks", "pause", "Stuck"), ("run",)):
        refused = cli(*arguments)
        assert refused.code != 0, arguments
    assert "its end is gone" in cli("tasks", "list").err
    assert cli.events() == events - 2
    assert cli("rebuild").code == 0
    assert cli("tasks", "list").code == 0
    assert cli("verify").code == 0
    assert len(list(cli.folder.glob("leaves.*Z.db"))) == 1, "the hashes of what is gone are kept, and begin anew"
    assert cli("audit", "head").code == 0


def test_rows_before_the_first_position_are_found(cli: Daybook) -> None:
    """Also at the very first position that SQLite has."""
    assert cli("audit", "head").code == 0
    for position in (0, -(2**63)):
        with closing(sqlite3.connect(cli.folder / "log.db")) as log, log:
            log.execute("insert into stored_events (rowid, originator_id, originator_version, topic, state) "
                        "values (?, ?, 1, 'task.created', x'00')", (position, f"{abs(position):032x}"))  # fmt: skip
    words = " ".join(one["words"] for one in cli("verify", "--json").json["troubles"])
    assert "position 0 stands before the beginning" in words
    assert f"position {-(2**63)} stands before the beginning" in words
    audited = cli("audit", "verify", "--json")
    assert audited.code == 1
    assert [(one["kind"], one["position"]) for one in audited.json["findings"]] == [
        ("inserted", -(2**63)),
        ("inserted", 0),
    ]


def test_looking_makes_nothing_where_nothing_is(tmp_path: Path) -> None:
    """No folder, no store, no key."""
    for folder in (tmp_path / "nothing", tmp_path):
        with pytest.raises(NotFound), read_stores(folder):
            pytest.fail("something was opened")
    assert list(tmp_path.iterdir()) == []


def test_what_is_opened_to_look_refuses_to_write(cli: Daybook) -> None:
    """Whoever holds it."""
    with read_stores(cli.folder, environment={}) as stores:
        assert stores.log.last_position() == cli.events()
        with pytest.raises(StoreUnavailable):
            stores.log.drop_snapshots()
        with pytest.raises(StoreUnavailable):
            stores.vault.put_secret("1", "hidden")
        with pytest.raises(StoreUnavailable):
            stores.content.cache_put("key", "1", {}, stores.log.read(0, 1)[0].event.timestamp)  # type: ignore[union-attr]
        with pytest.raises(StoreUnavailable):
            stores.read_model.apply(stores.log.read(0, 1))
