"""All rows made anew by several processes: they are those of one process, whatever becomes of the others."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from application.ports import Append
from domain.errors import EventUnreadable, StoreCut, StoreUnavailable
from domain.guild import GuildSettings, SettingsChanged, guild_stream
from domain.task import ScheduledTask
from domain.task_erasure import Erased, Tally
from infrastructure import rebuild, rebuild_parts
from infrastructure.complete_log import CompleteLog
from infrastructure.layout import LOG_FILE, READ_MODEL_FILE
from infrastructure.read_model import SqliteReadModel
from infrastructure.row_process import RowProcess
from infrastructure.stores import Stores, open_folder
from tests.domain.task_parts import at, claim, make, summary_task
from tests.doubles import HandClock
from tests.properties.test_erasure import erasure

KEY = {"DAYBOOK_MASTER_KEY": "ab" * 32}
TASKS = 6


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[Stores]:
    """Six tasks of three guilds, each of which ran once."""
    with closing(open_folder(tmp_path / "data", node="n", now=at(0), environment=KEY)) as stores:
        for number in range(TASKS):
            append(stores, task(f"Task {number}", guild=str(number % 3)))
        stores.read_model.catch_up(stores.log)
        yield stores


@pytest.fixture(autouse=True)
def _long_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every log is worth several processes here, and is handed out in many pieces."""
    monkeypatch.setattr(rebuild, "WORTH_EVENTS", 1)
    monkeypatch.setattr(rebuild_parts, "PAGE_EVENTS", 2)


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[RowProcess]:
    """The processes that were begun."""
    found: list[RowProcess] = []

    class Noted(RowProcess):
        def __init__(self, path: Path, *, part: bool) -> None:
            super().__init__(path, part=part)
            found.append(self)

    monkeypatch.setattr(rebuild_parts, "RowProcess", Noted)
    return found


def task(name: str, guild: str = "1", messages: int = 3) -> ScheduledTask:
    made = make(name=name, guild_id=guild)
    attempt = claim(made, at(0.5))
    made.conclude(attempt.run, 1, "n1", now=at(0.6), messages=messages)
    return made


def append(stores: Stores, made: ScheduledTask) -> UUID:
    stores.log.append([Append(made.id, made.guild_id, list(made.pending_events))])
    return made.id


def tables(path: Path) -> dict[str, list[Any]]:
    """All that a file of rows says, but for the order in which they came."""
    with closing(sqlite3.connect(path)) as rows:
        names = [name for (name,) in rows.execute("select name from sqlite_master where type = 'table'")]
        kept = [name for name in names if not name.startswith(("names", "letters", "sqlite_"))]
        return {name: sorted(rows.execute(f"select * from {name}"), key=repr) for name in kept}


def made(
    stores: Stores,
    parts: int,
    name: str = "made.db",
    *,
    accepted: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, list[Any]]:
    """The rows that so many processes make of the log."""
    with closing(SqliteReadModel(stores.folder.parent / name)) as rows:
        log = partial(CompleteLog, stores.log, stores.folder, accepted=accepted)
        rebuild.catch_up(rows, log, stores.vault, progress=progress, parts=parts)
        assert rows.differing(stores.log) == {}
        indexes = {name for (name,) in rows._connection.execute("select name from sqlite_master where type = 'index'")}
        assert {"tasks_due", "runs_task", "runs_state"} <= indexes
    return tables(stores.folder.parent / name)


@pytest.mark.parametrize("parts", [2, 3])
def test_several_processes_make_the_rows_of_one(stores: Stores, parts: int, begun: list[RowProcess]) -> None:
    """Progress is told on the way, nothing of the parts stays, and the rows are also the live ones."""
    steps: list[tuple[int, int]] = []
    found = made(stores, parts, progress=lambda *step: steps.append(step))
    assert len(begun) == parts
    assert found == made(stores, 1, "alone.db")
    assert found["runs"] == sorted(stores.read_model.dump()["runs"], key=repr)
    end = stores.log.last_position()
    assert steps == sorted(steps)
    assert steps[-1] == (end, end)
    assert len({position for position, _ in steps}) > 3
    assert {path.name for path in stores.folder.parent.iterdir()} >= {"made.db", "made.seal"}
    assert not list(stores.folder.parent.glob("*.parts"))


def test_the_rows_of_a_folder_are_made_so_when_it_is_opened(stores: Stores, begun: list[RowProcess]) -> None:
    """With the keys of the folder's vault, which stand in no command line."""
    folder, before = stores.folder, stores.read_model.dump()
    keys = [stores.vault.key_by_id(key_id) for key_id in stores.vault.key_owners()]
    stores.close()
    (folder / READ_MODEL_FILE).unlink()
    with closing(open_folder(folder, node="n", now=at(1), environment=KEY)) as opened:
        assert opened.read_model.dump() == before
        assert opened.read_model.faults() == []
    if os.cpu_count() == 1:
        return
    assert begun
    for process in begun:
        said = " ".join(map(str, process._process.args))  # type: ignore[arg-type]
        assert keys
        assert not [key for key in keys if key is not None and (key.hex() in said or repr(key) in said)]


def test_what_cannot_be_read_is_a_fault_as_ever(stores: Stores) -> None:
    """Tampered with, truncated, of an unknown topic, without a key, or gone: in the same words."""
    damage = (
        "state = cast(substr(state, 1, length(state) - 4) || x'00112233' as blob) where rowid = 2",
        "state = x'01' where rowid = 4",
        "state = null where rowid = 5",
        "topic = 'task.invented' where rowid = 8",
        "state = cast(substr(state, 1, 2) || x'0000000000000000' || substr(state, 11) as blob) where rowid = 11",
    )
    with closing(sqlite3.connect(stores.folder / LOG_FILE)) as log, log:
        log.execute("pragma ignore_check_constraints = on")
        for change in damage:
            if "null" not in change:
                log.execute(f"update stored_events set {change}")
        log.execute("delete from stored_events where rowid = 14")
    stores.vault.destroy_keys("2")
    found = made(stores, 2, accepted=True)
    assert found == made(stores, 1, "alone.db", accepted=True)
    reasons = " ".join(reason for *_, reason in found["faults"])
    for reason in ("tampered with", "truncated", "erased", "missing from the log"):
        assert reason in reasons


def change(stores: Stores, statement: str) -> None:
    with closing(sqlite3.connect(stores.folder / LOG_FILE)) as log, log:
        assert log.execute(statement).rowcount > 0


def test_tasks_that_nobody_knows_the_guild_of_are_added_up_over_all_parts(stores: Stores) -> None:
    """Where it cannot be read how they began; their runs are not counted by a day of some guild."""
    change(
        stores,
        "update stored_events set state = cast(substr(state, 1, length(state) - 2) || x'0000' as blob) "
        "where topic = 'task.created'",
    )
    found = made(stores, 2)
    assert found == made(stores, 1, "alone.db")
    [(*unknown,)] = [row for row in found["guilds"] if row[0] == ""]
    assert TASKS in unknown  # executed, attempts
    assert len(found["faults"]) == TASKS


def test_an_erased_task_leaves_no_fault_in_any_part(stores: Stores) -> None:
    """Of its first event, which is damaged, nobody knows whose it was before the others are read."""
    stream = next(row.stream for row in stores.log.rows(0, 10) if stores.vault.key_owners()[row.state[2:10]] == "1")
    asyncio.run(erasure(stores, HandClock(at(2))).erase_guild("1"))
    assert made(stores, 2, "before.db")["faults"] == []
    change(
        stores, f"update stored_events set state = x'01' where originator_id = '{stream}' and originator_version = 1"
    )
    found = made(stores, 2)
    assert found == made(stores, 1, "alone.db")
    assert found["faults"] == []


def test_a_guild_that_two_parts_know_has_the_settings_of_its_own_stream(stores: Stores) -> None:
    """The other part knows it from the numbers of a task that was erased elsewhere and imported."""
    place: dict[str, Any] = {"timestamp": at(1), "by": "p", "guild_id": "1"}
    settings = GuildSettings(max_tasks=7)
    changed = SettingsChanged(**place, originator_id=guild_stream("1"), originator_version=1, settings=settings)
    left = Erased(**place, originator_id=UUID(int=77), originator_version=1, tally=Tally(created_at=at(0), executed=5))
    stores.log.append([Append(guild_stream("1"), "1", [changed]), Append(UUID(int=77), "", [left])])
    found = made(stores, 2)
    assert found == made(stores, 1, "alone.db")
    [guild] = [row for row in found["guilds"] if row[0] == "1"]
    assert '"max_tasks":7' in guild[1]
    assert 5 + 2 in guild  # executed, there and here


def test_a_log_that_lost_events_is_refused_as_ever(stores: Stores) -> None:
    """By the process that reads, before anything is shown."""
    with closing(sqlite3.connect(stores.folder / LOG_FILE)) as log, log:
        log.execute("delete from stored_events where rowid = 9")
    with pytest.raises(StoreCut):
        made(stores, 2)
    with closing(SqliteReadModel(stores.folder.parent / "made.db")) as rows:
        assert (rows.position(), rows.dump()["tasks"]) == (0, [])


def test_an_event_that_cannot_be_shown_is_a_fault_as_ever(stores: Stores, caplog: pytest.LogCaptureFixture) -> None:
    """A part that stumbles over it gives up, and one process makes all rows."""
    append(stores, task("Too many messages", messages=2**70))
    with caplog.at_level(logging.WARNING):
        found = made(stores, 2)
    assert "one process alone" in caplog.text
    [(*_, reason)] = found["faults"]
    assert "cannot be shown" in reason


@pytest.mark.parametrize("dies", ["at once", "on the way"])
def test_a_process_that_dies_takes_nothing_with_it(
    stores: Stores, begun: list[RowProcess], caplog: pytest.LogCaptureFixture, dies: str
) -> None:
    """This one makes all rows then, and says why it took so long."""
    left = {"at once": 0, "on the way": 3}[dies]

    def progress(position: int, end: int) -> None:
        nonlocal left
        if left == 0:
            os.kill(begun[1]._process.pid, signal.SIGKILL)
        left -= 1

    with caplog.at_level(logging.WARNING):
        found = made(stores, 2, progress=progress)
    assert any("ended with -9" in str(vars(record).get("reason")) for record in caplog.records)
    assert found == made(stores, 1, "alone.db")
    assert all(process._process.poll() is not None for process in begun)


def test_where_no_process_can_be_started_one_does_all(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    """An embedded Python may have no program of its own."""
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    assert made(stores, 2) == made(stores, 1, "alone.db")


def test_an_interrupt_leaves_no_process_and_no_half_made_rows(stores: Stores, begun: list[RowProcess]) -> None:
    """What is there says that it knows nothing; the next rebuild makes it."""

    def progress(position: int, end: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        made(stores, 2, progress=progress)
    assert len(begun) == 2
    assert all(process._process.poll() is not None for process in begun)
    assert not (stores.folder.parent / "made.parts").exists()
    assert made(stores, 2) == made(stores, 1, "alone.db")


def test_what_a_killed_rebuild_left_is_gone_with_the_next_start(stores: Stores) -> None:
    """Also where that start makes no parts of its own."""
    with closing(SqliteReadModel(stores.folder.parent / "made.db")) as rows:
        rows.parts.mkdir()
        (rows.parts / "0.db").write_bytes(b"somebody wrote this")
    with closing(SqliteReadModel(rows.path)):
        assert not rows.parts.exists()


def test_a_process_whose_reader_is_gone_ends_without_a_word(stores: Stores, capfd: pytest.CaptureFixture[str]) -> None:
    """As when the one that began it is killed, which it cannot tell the others."""
    process = RowProcess(stores.folder.parent / "part.db", part=True)
    assert process._process.stdin
    assert process._process.stdout
    process._process.stdout.close()
    process._process.stdin.close()
    assert process._process.wait(30) == 0
    assert capfd.readouterr().err == ""


def test_rows_that_were_put_together_by_half_are_dropped(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full, or a kill, while the parts become one: the next start makes all rows anew."""
    whole = SqliteReadModel._index
    path = stores.folder.parent / "made.db"
    with closing(SqliteReadModel(path)) as rows:

        def full(self: SqliteReadModel) -> None:
            assert self.dump()["tasks"]
            raise sqlite3.OperationalError("database or disk is full")

        monkeypatch.setattr(SqliteReadModel, "_index", full)
        with pytest.raises(StoreUnavailable, match="disk is full"):
            rebuild.catch_up(rows, partial(CompleteLog, stores.log, stores.folder), stores.vault, parts=2)
        monkeypatch.setattr(SqliteReadModel, "_index", whole)
    with closing(SqliteReadModel(path)) as rows:
        assert (rows.position(), rows.dump()["tasks"]) == (0, [])
    assert made(stores, 2) == made(stores, 1, "alone.db")


def test_more_tasks_than_are_held_are_written_in_between(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that wait in memory, or come back to it, say the same."""
    from infrastructure import read_model
    from infrastructure.row_process import PartRows

    for number in range(4):
        append(stores, summary_task(f"dest{number}"))
    found = []
    for most in (1, 2, 100):
        monkeypatch.setattr(read_model, "MOST_HELD", most)
        path = stores.folder.parent / f"part{most}.db"
        part = PartRows(path)
        shares = rebuild_parts.Shares(stores.vault, 1)
        log = CompleteLog(stores.log, stores.folder, 0)
        position = 0
        while page := log.rows(position, 3):
            position = page[-1].position
            for batch in shares.batches(page):
                part.add(batch)
        part.close()
        found.append({name: rows for name, rows in tables(path).items() if name != "meta"})
    assert found[0] == found[1] == found[2]
    assert {table: found[0][table] for table in ("tasks", "guilds", "runs")} == {
        table: rows for table, rows in made(stores, 1).items() if table in ("tasks", "guilds", "runs")
    }


def test_a_short_log_starts_no_process(
    stores: Stores, begun: list[RowProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does one that is only to be followed, or a machine with one core."""
    monkeypatch.setattr(rebuild, "WORTH_EVENTS", stores.log.last_position() + 1)
    assert made(stores, 4)["runs"]
    monkeypatch.setattr(rebuild, "WORTH_EVENTS", 1)
    made(stores, 1, "alone.db")
    append(stores, task("One more"))
    assert made(stores, 4)["runs"] == made(stores, 1, "alone.db")["runs"]
    assert begun == []


def test_a_key_of_the_log_is_read_before_it_is_opened(stores: Stores) -> None:
    """Where something else stands in the place of a state it names no key."""
    from infrastructure.mapper import key_id_of

    [row, *_] = stores.log.rows(0, 1)
    assert stores.vault.key_owners()[key_id_of(row.state)] == "0"
    for other in (None, "text", 5, b""):
        assert key_id_of(other) == b""  # type: ignore[arg-type]
    assert not isinstance(stores.log.read(0, 1)[0].event, EventUnreadable)
