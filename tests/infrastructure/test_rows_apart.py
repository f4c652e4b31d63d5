"""In a burst another process makes the rows: they are the same, whatever becomes of it, and of who asks meanwhile."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from application.ports import Append, Change, Command, StoredRow
from application.rows import NO_SETTINGS, GuildRow, RunRow, TaskRow
from domain.errors import StoreError, StoreUnavailable
from domain.guild import GuildSettings, SettingsChanged, guild_stream
from infrastructure import projector, row_process, rows_apart
from infrastructure.mapper import key_id_of
from infrastructure.projector import IDLE_SECONDS, UNSEEN_SECONDS
from infrastructure.row_process import RowProcess, RowsLost
from infrastructure.row_writer import RowsMoved
from infrastructure.rows_apart import Burst
from infrastructure.seal import holds
from tests.contracts.log_parts import TinyVault
from tests.domain.task_parts import DEADLINE, at, done, make
from tests.infrastructure.store_parts import Store, created, opened

LONG = 60.0


@pytest.fixture(autouse=True)
def _any_event_is_a_burst(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Burst, "HIGH", 1.0)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store whose rows another process makes."""
    with opened(tmp_path, apart=True) as made:
        made.put(make(name="The first"))
        process_of(made)
        yield made


def process_of(store: Store) -> RowProcess:
    """The process, as soon as it is ready."""
    assert store.apart is not None
    give_up = monotonic() + LONG
    while (process := store.apart.process) is None:
        assert monotonic() < give_up, "no process was begun"
        sleep(0.005)
    return process


def pid_of(process: RowProcess) -> int:
    return process._process.pid


def run_once(store: Store, task_id: UUID) -> None:
    [attempt] = store.writer.execute_now(
        [Command(task_id, lambda task: task.claim(now=at(1), node="n1", deadline=DEADLINE))]
    )
    store.do(task_id, lambda task: done(task, attempt, at(1.1)))


def executed(store: Store, task_id: UUID) -> int:
    row = store.rows.get(TaskRow, str(task_id))
    assert isinstance(row, TaskRow)
    return row.executed


def write_settings(store: Store) -> list[StoredRow]:
    """As another process does."""
    stream = guild_stream("1")
    settings = GuildSettings(timezone="Europe/Berlin")
    changed = SettingsChanged(
        originator_id=stream, originator_version=1, timestamp=at(0), guild_id="1", settings=settings, by="ann"
    )
    stored: list[StoredRow] = store.log.append([Append(stream, "1", [changed])])
    return stored


def check_rows(store: Store) -> None:
    """They stand at the end of the log, and are those that are made anew."""
    assert store.rows.position() == store.log.last_position()
    assert store.rows.differing(store.log) == {}


def test_another_process_makes_the_rows(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """This one writes none; whoever reads here sees all that was acknowledged."""
    monkeypatch.setattr(store.rows, "apply", lambda *given: pytest.fail("this process made rows"))
    tasks = [store.put(make(name=f"Task {number}", guild_id=str(number % 3))) for number in range(20)]
    for task_id in tasks:
        run_once(store, task_id)
        assert executed(store, task_id) == 1
    assert len(store.rows.runs(limit=100)) == 20
    check_rows(store)


def test_it_tells_what_is_due_and_new_settings(store: Store) -> None:
    """As the rows of this process would."""
    told: list[Change] = []
    store.writer.tell(told.append)
    task_id = store.put(make())
    write_settings(store)
    store.see_others()
    assert "Europe/Berlin" in store.rows.settings(["1"])["1"]
    assert "Europe/Berlin" in store.rows.get(GuildRow, "1").settings
    due = store.rows.get(TaskRow, str(task_id)).due_at
    assert due in {change.due for change in told}
    assert told[-1].position == store.log.last_position()


@pytest.mark.parametrize("when", ["before", "between"])
def test_a_process_that_dies_loses_no_rows(store: Store, caplog: pytest.LogCaptureFixture, when: str) -> None:
    """This one goes on, says so once, and begins no other for a while."""
    task_id, other = store.put(make()), store.put(make())
    if when == "between":
        run_once(store, other)
        store.rows.position()
    os.kill(pid_of(process_of(store)), signal.SIGKILL)
    with caplog.at_level(logging.WARNING):
        run_once(store, task_id)
        assert executed(store, task_id) == 1
    assert [record.msg for record in caplog.records] == ["this process makes its rows itself"]
    assert "ended with -9" in caplog.records[0].reason  # type: ignore[attr-defined]
    assert store.apart is not None
    assert store.apart.process is None
    check_rows(store)


def test_a_process_that_says_nothing_is_ended(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever reads does not wait for it without end."""
    monkeypatch.setattr(row_process, "SILENCE_SECONDS", 0.3)
    process = process_of(store)
    os.kill(pid_of(process), signal.SIGSTOP)
    task_id = store.put(make())
    assert executed(store, task_id) == 0
    assert process._process.poll() == -signal.SIGKILL
    check_rows(store)


@pytest.mark.parametrize("what", ["closing", "the end of the burst"])
def test_a_process_that_hangs_keeps_nobody_from_ending_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """It is killed, and this process makes its rows."""
    monkeypatch.setattr(row_process, "SILENCE_SECONDS", 0.5)
    monkeypatch.setattr(Burst, "QUIET_SECONDS", LONG if what == "closing" else 0.3)
    with opened(tmp_path, apart=True) as store:
        task_id = store.put(make())
        process = process_of(store)
        os.kill(pid_of(process), signal.SIGSTOP)
        if what != "closing":
            assert process._process.wait(LONG) == -signal.SIGKILL
            run_once(store, task_id)
            check_rows(store)
    assert process._process.poll() == -signal.SIGKILL


def test_what_a_lost_process_wrote_last_is_looked_up(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """It died between its commit and its answer: new settings, and what is due now, are known all the same."""
    assert store.rows.settings(["1"]) == {"1": NO_SETTINGS}
    told: list[Change] = []
    store.writer.tell(told.append)
    answered = RowProcess._answered

    def dies(process: RowProcess) -> Any:
        answered(process)
        process.kill()
        raise RowsLost("it ended")

    monkeypatch.setattr(RowProcess, "_answered", dies)
    write_settings(store)
    store.see_others()
    assert "Europe/Berlin" in store.rows.settings(["1"])["1"]
    assert told[-1].due == 0  # whatever is due: look
    check_rows(store)


def unavailable(*given: Any) -> Any:
    raise StoreUnavailable("no answer")


def test_own_commits_are_handed_over_as_they_were_written(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody reads the log again for them, and nobody needs it."""
    process = process_of(store)
    with monkeypatch.context() as patched:
        patched.setattr(store.log, "rows", unavailable)
        task_id = store.put(make())
        assert executed(store, task_id) == 0
        run_once(store, task_id)
        assert executed(store, task_id) == 1
    assert store.apart is not None
    assert store.apart.process is process
    check_rows(store)


def test_a_log_that_cannot_be_read_ends_the_process(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What others wrote it would have to be given; the rows follow as soon as the log can be read."""
    process_of(store)
    with opened(tmp_path, companion=True) as beside:
        other = beside.put(make())
    with monkeypatch.context() as patched:
        patched.setattr(store.log, "rows", unavailable)
        patched.setattr(store.log, "read", unavailable)
        store.put(make())
        assert store.rows.get(TaskRow, str(other)) is None
    assert store.apart is not None
    assert store.apart.process is None
    store.see_others()
    assert store.rows.get(TaskRow, str(other)) is not None
    check_rows(store)


def test_no_thread_to_be_had_fails_no_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is durable is acknowledged, and has its rows."""

    class Refused(threading.Thread):
        def start(self) -> None:
            raise RuntimeError("can't start new thread")

    monkeypatch.setattr(rows_apart, "Thread", Refused)
    with opened(tmp_path, apart=True) as store:
        tasks = [store.put(make()) for _ in range(3)]
        assert [executed(store, task_id) for task_id in tasks] == [0, 0, 0]
        check_rows(store)


def test_one_process_at_a_time_however_often_it_is_lost(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commits go on while it is ended: none of them begins another before the next burst."""
    begun: list[Any] = []
    init = RowProcess.__init__

    def noted(process: RowProcess, *given: Any, **more: Any) -> None:
        begun.append(process)
        init(process, *given, **more)

    monkeypatch.setattr(RowProcess, "__init__", noted)
    ended = RowProcess.end

    def slowly(process: RowProcess) -> None:
        assert store.apart is not None
        store.apart.add(10_000)
        ended(process)
        store.apart.add(10_000)

    monkeypatch.setattr(RowProcess, "end", slowly)
    os.kill(pid_of(process_of(store)), signal.SIGKILL)
    for _ in range(5):
        executed(store, store.put(make()))
    assert begun == []
    check_rows(store)


def test_other_code_does_not_go_on_with_the_rows(store: Store) -> None:
    """The program may be replaced while it runs: a process that begins then is another program."""
    process_of(store)
    with sqlite3.connect(store.rows.path) as rows:
        rows.execute("update meta set value = 'other code' where name = 'fingerprint'")
    rows.close()
    task_id = store.put(make())
    assert executed(store, task_id) == 0
    assert store.apart is not None
    assert store.apart.process is None


def test_it_is_given_no_secret_of_the_environment(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """What Python, the loader and SQLite look at, and nothing else."""
    monkeypatch.setenv("DAYBOOK_MASTER_KEY", "ab" * 32)
    for name in ("DISCORD_TOKEN", "LD_SDK_KEY", "HOMEBREW_TOKEN", "LANGSMITH_API_KEY"):
        monkeypatch.setenv(name, "canary")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    with RowProcess(store.rows.path, part=False) as another:
        another.begun()
        environment = Path(f"/proc/{pid_of(another)}/environ").read_bytes()
    assert b"PYTHONDONTWRITEBYTECODE=1" in environment
    assert b"DAYBOOK" not in environment
    assert b"canary" not in environment


def test_own_commits_are_no_events_of_others(store: Store) -> None:
    """However many look what others wrote while this process writes."""
    before = store.writer.others

    async def both() -> list[int]:
        return [seen for _ in range(30) for seen in await asyncio.gather(one(), store.writer.catch_up())]

    async def one() -> int:
        await store.writer.execute(created(make()))
        return 0

    assert asyncio.run(both()) == [0] * 60
    assert store.writer.others == before
    check_rows(store)


def test_a_look_after_the_end_is_refused(tmp_path: Path) -> None:
    """As every command is."""
    with opened(tmp_path, apart=True) as store:
        store.put(make())
    with pytest.raises(StoreError, match="the store is closed"):
        asyncio.run(store.writer.catch_up())


def test_rows_that_somebody_else_wrote_meanwhile_are_not_written_twice(store: Store) -> None:
    """As by the process of a service that was killed, which still wrote its last rows when the next one began."""
    task_id, other = store.put(make()), store.put(make())
    store.rows.position()
    with opened(store.rows.path.parent, companion=True) as beside:
        beside.do(other, lambda task: task.pause(now=at(0.5), by="ann"))
    store.rows.lagging().catch_up(store.log)
    run_once(store, task_id)
    assert (executed(store, task_id), store.rows.get(TaskRow, str(other)).status) == (1, "paused")
    check_rows(store)


def test_rows_go_on_only_where_the_file_stands(store: Store) -> None:
    """Whoever is late learns it within its transaction, and has written nothing."""
    task_id = store.put(make())
    before = store.rows.position()
    recorded = store.log.read(before - 1, 10)
    with pytest.raises(RowsMoved, match=f"stand at {before}, and were to go on from {before - 1}"):
        store.rows.apply(recorded, before - 1)
    assert issubclass(RowsMoved, StoreError)
    run_once(store, task_id)
    check_rows(store)


def test_what_others_wrote_is_seen(store: Store) -> None:
    """It comes with the next rows or with a look; streams in memory that others moved on are forgotten."""
    task_id = store.put(make())
    before = store.writer.others
    with opened(store.rows.path.parent, companion=True) as beside:
        beside.do(task_id, lambda task: task.pause(now=at(0.5), by="ann"))
        other = beside.put(make())
        mine = store.put(make())
        assert {str(task_id), str(other), str(mine)} <= {row.task_id for row, _ in store.rows.tasks()}
        assert store.rows.get(TaskRow, str(task_id)).status == "paused"
        beside.do(other, lambda task: task.pause(now=at(0.5), by="ann"))
    assert store.see_others() == 1
    assert store.writer.others == before + 3
    assert store.do(task_id, lambda task: task.status) == "paused"
    check_rows(store)


def test_rows_of_what_is_due_soon_are_read_there(store: Store) -> None:
    """Whoever prepares tasks has their rows read where they will change; unknown ones do no harm."""
    tasks = [store.put(make()) for _ in range(3)]
    store.writer._projector.prepare([str(task_id) for task_id in tasks] + ["unknown"])
    os.kill(pid_of(process_of(store)), signal.SIGKILL)
    store.writer._projector.prepare([str(task_id) for task_id in tasks])
    run_once(store, tasks[0])
    check_rows(store)


def test_rows_that_were_read_ahead_and_changed_since_are_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until it takes over, the service writes rows itself."""
    monkeypatch.setattr(Burst, "HIGH", 4.0)
    prepare = RowProcess.prepare
    read: list[str] = []
    with opened(tmp_path, apart=True) as store:
        assert store.apart is not None
        task_id = store.put(make())
        store.rows.tasks()

        def changed_meanwhile(process: RowProcess, task_ids: Any, *seconds: Any) -> None:
            prepare(process, task_ids, *seconds)
            store.do(task_id, lambda task: task.pause(now=at(0.1), by="ann"))
            assert store.rows.get(TaskRow, str(task_id)).status == "paused"
            read.extend(task_ids)

        monkeypatch.setattr(RowProcess, "prepare", changed_meanwhile)
        store.apart.foresee([str(task_id), *(str(UUID(int=number)) for number in range(5))])
        process_of(store)
        assert str(task_id) in read
        store.do(task_id, lambda task: task.resume(now=at(0.2), by="ann"))
        assert store.rows.get(TaskRow, str(task_id)).status == "active"
        check_rows(store)


def test_what_was_foreseen_long_ago_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has been due since; and only so many are."""
    monkeypatch.setattr(Burst, "HIGH", LONG)
    monkeypatch.setattr(rows_apart, "MOST_FORESEEN", 3)
    with opened(tmp_path, apart=True) as store:
        assert store.apart is not None
        store.apart.foresee(["a", "b"])
        store.apart.foresee(["c", "d"])
        assert store.apart._foreseen == ["b", "c", "d"]
        monkeypatch.setattr(rows_apart, "FORESEEN_SECONDS", -1.0)
        store.apart.foresee(["e"])
        assert store.apart._foreseen == ["e"]


def test_what_is_foreseen_begins_it_as_well(tmp_path: Path) -> None:
    """A storm that is read ahead finds the process there."""
    with opened(tmp_path, apart=True) as store:
        store.writer._projector.prepare([str(UUID(int=number)) for number in range(5)])
        process_of(store)


def test_it_is_ended_when_the_burst_is_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process makes the rows again, until the next burst."""
    monkeypatch.setattr(Burst, "QUIET_SECONDS", 0.5)
    with opened(tmp_path, apart=True) as store:
        for _ in range(2):
            task_id = store.put(make())
            process = process_of(store)
            give_up = monotonic() + LONG
            while process._process.poll() is None and monotonic() < give_up:
                sleep(0.01)
            assert process._process.returncode is not None
            run_once(store, task_id)
            check_rows(store)


def test_closing_ends_it_and_seals_the_file(tmp_path: Path) -> None:
    """All rows are in the one file then, and no process is left."""
    with opened(tmp_path, apart=True) as store:
        store.put(make())
        process = process_of(store)
        task_id = store.put(make())
        path, end = store.rows.path, store.log.last_position()
    assert process._process.poll() is not None
    assert holds(path)
    with opened(tmp_path) as store:
        assert (store.rows.read_before, executed(store, task_id)) == (end, 0)


def test_closing_does_not_wait_for_one_that_begins(tmp_path: Path) -> None:
    """It is ended before it was of any use."""
    with opened(tmp_path, apart=True) as store:
        store.put(make())
    assert store.apart is not None
    assert store.apart.process is None
    with opened(tmp_path) as store:
        check_rows(store)


def test_where_none_can_be_started_this_process_makes_its_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An embedded Python may have no program of its own."""
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    with caplog.at_level(logging.WARNING), opened(tmp_path, apart=True) as store:
        tasks = [store.put(make()) for _ in range(5)]
        run_once(store, tasks[0])
        check_rows(store)
    assert [record.msg for record in caplog.records] == ["this process makes its rows itself"]


def test_it_ends_when_its_service_is_gone(store: Store) -> None:
    """A service that is killed cannot tell it; what is meant for all processes of a service is not for this one."""
    with RowProcess(store.rows.path, part=False) as another:
        another.begun()
        os.kill(pid_of(another), signal.SIGTERM)
        another.prepare(["unknown"])
        assert another._process.stdin is not None
        another._process.stdin.close()
        assert another._process.wait(LONG) == 0


def test_what_cannot_be_read_is_a_fault_there_too(store: Store, tmp_path: Path) -> None:
    """An event whose key was destroyed."""
    other, erased = store.put(make()), store.put(make(guild_id="gone"))
    store.rows.position()
    assert store.apart is not None
    vault: Any = store.apart._vault
    assert isinstance(vault, TinyVault)
    vault.destroy_keys("gone")
    store.log._mapper._vault.destroy_keys("gone")
    with opened(tmp_path, companion=True) as beside:
        beside.do(erased, lambda task: task.pause(now=at(0.5), by="ann"))
    run_once(store, other)
    assert [fault["stream"] for fault in store.rows.faults()] == [str(erased)]
    assert (executed(store, other), store.apart.process is not None) == (1, True)


def test_it_keeps_no_key_longer_than_a_batch(tmp_path: Path) -> None:
    """What was erased meanwhile cannot be read there any more."""
    with opened(tmp_path) as store:
        store.put(make())
        store.rows.position()
        rows = row_process.LiveRows(store.rows.path)
        rows.add(row_process.Batch([], {b"key": b"secret"}, [], [], store.rows.position()))
        assert rows._keys.known == {}
        rows.close()


def test_its_write_ahead_log_is_carried_back_when_a_burst_pauses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then the file says alone what it says together with that. A short one is left alone."""

    path = tmp_path / "readmodel.db"

    def position_without_it() -> str:
        alone = tmp_path / "alone.db"
        alone.write_bytes(path.read_bytes())
        with closing(sqlite3.connect(alone)) as copy:
            return str(copy.execute("select value from meta where name = 'position'").fetchone()[0])

    with opened(tmp_path) as store:
        store.put(make())
        before = store.rows.position()
        with closing(sqlite3.connect(path)) as tidying:
            tidying.execute("pragma wal_checkpoint(passive)").fetchall()
        rows = row_process.LiveRows(path)
        [row] = write_settings(store)
        rows.add(row_process.Batch([tuple(row)], TinyVault().keys_by_id([key_id_of(row.state)]), [], [], before))
        rows.tidy_up()
        assert position_without_it() != str(row.position)
        monkeypatch.setattr(row_process, "_WORTH_CARRYING_BACK", 1)
        rows.tidy_up()
        assert position_without_it() == str(row.position)
        rows.close()


def test_it_carries_its_write_ahead_log_back_by_itself(store: Store, tmp_path: Path) -> None:
    """When nothing has come for a while; and it goes on with what comes then."""
    stored = store.writer.execute_now([created(make(name=f"Task {number}")) for number in range(1_100)])
    assert stored == [None] * 1_100
    position, give_up, alone = str(store.rows.position()), monotonic() + LONG, tmp_path / "alone.db"
    found = ""
    while found != position and monotonic() < give_up:
        sleep(0.2)
        alone.write_bytes(store.rows.path.read_bytes())
        with suppress(sqlite3.DatabaseError), closing(sqlite3.connect(alone)) as copy:
            found = str(copy.execute("select value from meta where name = 'position'").fetchone()[0])
    assert found == position
    run_once(store, store.put(make()))
    check_rows(store)


def test_it_makes_room_for_rows_that_were_read_ahead(tmp_path: Path) -> None:
    """When nothing has come for a while; not as it ends."""
    wal = tmp_path / "readmodel.db-wal"
    with opened(tmp_path) as store:
        store.put(make())
        store.rows.position()
        names = [f"no such task {number}" for number in range(1_000)]
        for pauses in (False, True):
            rows = row_process.LiveRows(store.rows.path)
            rows.prepare(names)
            if pauses:
                rows.tidy_up()
            rows.close()
            assert (wal.stat().st_size > 2_000 * 4_096) == pauses
        assert store.rows.differing(store.log) == {}


def test_in_a_burst_rows_follow_soon_when_nothing_more_comes(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also those that nobody waits for: the last runs of a storm are seen to have ended at once."""
    task_id = store.put(make())
    store.rows.position()
    monkeypatch.setattr(projector, "BURST_UNSEEN_SECONDS", 1_000.0)
    monkeypatch.setattr(Burst, "LASTS_SECONDS", 1_000.0)
    claim = Command(task_id, lambda task: task.claim(now=at(1), node="n1", deadline=DEADLINE), awaited=False)
    store.writer.execute_now([claim])
    give_up, attempts = monotonic() + LONG, 0
    while not attempts and monotonic() < give_up:
        sleep(0.005)
        row = store.rows.lagging().get(TaskRow, str(task_id))
        assert row is not None
        attempts = row.attempts
    assert attempts == 1


def test_in_a_burst_rows_wait_for_more_but_not_for_who_reads(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """What begins and ends within a moment is written once; nobody sees that it was not there yet."""
    monkeypatch.setattr(projector, "BURST_UNSEEN_SECONDS", 1_000.0)
    monkeypatch.setattr(projector, "BURST_IDLE_SECONDS", 1_000.0)
    task_id = store.put(make())
    left = store.writer._projector._seconds_left()
    assert left is not None
    assert left > UNSEEN_SECONDS
    run_once(store, task_id)
    assert executed(store, task_id) == 1
    monkeypatch.setattr(Burst, "LASTS_SECONDS", 0.0)  # the process is still there, and the burst is over
    store.put(make())
    assert (store.writer._projector._seconds_left() or 0) <= IDLE_SECONDS


def test_trouble_of_the_process_says_no_more_than_its_kind(store: Store) -> None:
    """The text of an error may hold what people wrote."""
    process = process_of(store)
    with pytest.raises(RowsLost, match=r"stumbled: TypeError$"):
        process.make(("somebody wrote this",))  # type: ignore[arg-type]
    store.put(make())
    check_rows(store)


@given(
    waves=st.lists(st.tuples(st.floats(0, 100), st.integers(0, 2_000)), max_size=40),
)
def test_a_burst_is_more_than_sinks_meanwhile(waves: list[tuple[float, int]]) -> None:
    """However events come: without as many at once, or more a second than sink, there is none; it ends when quiet."""
    burst, high, now = _usual(), 3_000.0, 0.0
    level, last = 0.0, float("-inf")
    for pause, events in waves:
        now += pause
        level = min(high, max(0.0, level - pause * Burst.SINKS) + events)
        last = now if level >= high else last
        assert burst.add(events, now) == (level >= high)
    assert burst.over_at() == last + Burst.QUIET_SECONDS


def test_a_steady_load_is_no_burst() -> None:
    """A hundred runs a second are two hundred events: one process serves them."""
    burst = _usual()
    assert not any(burst.add(200, float(second)) for second in range(3_600))
    assert burst.add(3_400, 3_600.0)


def _usual() -> Burst:
    burst = Burst()
    burst.HIGH = 3_000.0
    return burst


def test_pages_are_bounded(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """However far the rows are behind, whoever reads waits for one transaction after the other."""
    monkeypatch.setattr(rows_apart, "PAGE_EVENTS", 2)
    asked: list[int] = []
    make_rows = RowProcess.make

    def noted(process: RowProcess, batch: row_process.Batch) -> Any:
        asked.append(len(batch.rows))
        return make_rows(process, batch)

    monkeypatch.setattr(RowProcess, "make", noted)
    outcomes = store.writer.execute_now([created(make()) for _ in range(7)])
    assert outcomes == [None] * 7
    assert len(store.rows.tasks()) == 8
    assert max(asked) == 2
    assert sum(asked) == 7
    assert store.rows.get(RunRow, "none") is None
    check_rows(store)
