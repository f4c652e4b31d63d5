"""What only the log on SQLite can go through: settings, full disks, failing commits, foreign files."""

from __future__ import annotations

import multiprocessing
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from eventsourcing.sqlite import SQLiteApplicationRecorder, SQLiteDatastore

from domain.errors import AppendUnknown, Conflict, DaybookError, EventUnreadable, StoreUnavailable
from infrastructure import sqlite_log_connection
from infrastructure.mapper import EventMapper
from infrastructure.sqlite_log import SqliteLog
from infrastructure.sqlite_log_connection import make_tables
from infrastructure.together import insert_together
from tests.contracts.log_parts import TinyVault, note, positions_of, total

SPAWN = multiprocessing.get_context("spawn")
BIG = "x" * 20_000


def make(path: Path, busy_timeout_seconds: float = 5) -> SqliteLog:
    """A log at this path."""
    mapper = EventMapper(TinyVault())  # type: ignore[arg-type]
    return SqliteLog(path, mapper, busy_timeout_seconds=busy_timeout_seconds)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the log is kept."""
    return tmp_path / "log.db"


@pytest.fixture
def log(path: Path) -> Iterator[SqliteLog]:
    """An empty log."""
    log = make(path)
    yield log
    log.close()


def test_every_connection_syncs_fully(log: SqliteLog) -> None:
    """Writer, watcher and readers run in WAL mode with synchronous FULL; readers cannot write."""
    log.last_position()
    assert log._idle
    for connection in (log._writer, log._watcher, *log._idle):
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    for connection in (log._watcher, *log._idle):
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            connection.execute("DELETE FROM stored_events")


def test_a_store_that_cannot_have_a_wal_is_refused(tmp_path: Path) -> None:
    """Where the journal mode that was set does not hold, the log does not open."""
    connection = sqlite3.connect(":memory:")
    with pytest.raises(StoreUnavailable, match="journal mode memory where WAL is needed"):
        sqlite_log_connection._check_settings(connection, tmp_path)
    connection.close()


def test_a_connection_that_does_not_sync_is_refused(path: Path, log: SqliteLog) -> None:
    """Where synchronous is not FULL when read back, the log does not open."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA synchronous = NORMAL")
    with pytest.raises(StoreUnavailable, match="synchronous is 1"):
        sqlite_log_connection._check_settings(connection, path)
    connection.close()


@pytest.mark.parametrize(
    ("contents", "problem"),
    [
        (b"this is no database, whatever it is called" * 50, "not a database"),
        (None, "unable to open"),
    ],
)
def test_a_file_that_is_no_log_is_named_in_the_error(tmp_path: Path, contents: bytes | None, problem: str) -> None:
    """A foreign file and a folder in the way are refused with the path and the reason; the file stays as it was."""
    path = tmp_path / "foreign.db"
    path.write_bytes(contents) if contents else path.mkdir()
    with pytest.raises(StoreUnavailable, match=problem) as caught:
        make(path)
    assert str(path) in str(caught.value)
    assert contents is None or path.read_bytes() == contents


def test_a_table_of_another_shape_is_refused(path: Path) -> None:
    """A database whose stored_events is something else is not written to."""
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE stored_events (id INTEGER)")
    connection.close()
    with pytest.raises(StoreUnavailable, match="not a log of Daybook"):
        make(path)


def test_the_library_reads_the_same_table(path: Path, log: SqliteLog) -> None:
    """eventsourcing's own recorder finds the events where it expects them."""
    stream_id = uuid4()
    positions = positions_of(log.append([note(stream_id, 1, ["a", "b"])]))
    datastore = SQLiteDatastore(str(path))
    notifications = SQLiteApplicationRecorder(datastore).select_notifications(start=1, limit=10)
    datastore.close()
    assert [(n.id, n.originator_id, n.originator_version, n.topic) for n in notifications] == [
        (positions[0], stream_id, 1, "test.log.noted"),
        (positions[1], stream_id, 2, "test.log.noted"),
    ]


def test_a_full_disk_refuses_the_append_and_loses_nothing(log: SqliteLog) -> None:
    """When no page is left the append is not written; reading goes on, and with space again so does writing."""
    stream_id = uuid4()
    log.append([note(stream_id, 1, ["a"])])
    pages = log._writer.execute("PRAGMA page_count").fetchone()[0]
    log._writer.execute(f"PRAGMA max_page_count = {pages + 2}")
    for _ in range(3):
        with pytest.raises(StoreUnavailable, match="full"):
            log.append([note(stream_id, 2, ["b", BIG]), note(uuid4(), 1, [BIG])])
    assert len(log.read(0, 10)) == 1
    assert log.heads([stream_id]) == {stream_id: 1}
    log._writer.execute("PRAGMA max_page_count = 1000000")
    assert positions_of(log.append([note(stream_id, 2, ["b", BIG])])) == [2, 3]


def test_a_locked_store_is_unavailable_until_it_is_free(path: Path, log: SqliteLog) -> None:
    """While another process holds the write lock, reads go on and an append gives up after the busy timeout."""
    impatient = make(path, busy_timeout_seconds=0.01)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    stream_id = uuid4()
    with pytest.raises(StoreUnavailable, match="locked"):
        impatient.append([note(stream_id, 1, ["a"])])
    assert impatient.read(0, 10) == []
    other.execute("ROLLBACK")
    other.close()
    assert positions_of(impatient.append([note(stream_id, 1, ["a"])])) == [1]
    impatient.close()


def test_reads_do_not_wait_for_a_waiting_writer(path: Path, log: SqliteLog) -> None:
    """While an append of this process waits for another one's lock, everything can be read."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    stream_id = uuid4()
    patient = make(path, busy_timeout_seconds=60)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(patient.append, [note(stream_id, 1, ["a"])])
        while not patient._write_lock.locked():
            assert not waiting.done()
        for _ in range(20):
            assert (patient.read(0, 10), patient.heads([stream_id]), patient.load([stream_id])) == ([], {}, {})
            assert patient.last_foreign_change()
        assert not waiting.done()
        other.execute("ROLLBACK")
        assert positions_of(waiting.result()) == [1]
    other.close()
    patient.close()


def test_reading_does_not_keep_the_wal_from_being_reset(path: Path, log: SqliteLog) -> None:
    """Readers hold no statement open: with a read after every append the WAL stays small while the log grows."""
    stream_id = uuid4()
    log._writer.execute("PRAGMA wal_autocheckpoint = 4000")  # four times as often, for a log that is soon long enough
    for version in range(1, 151):
        log.append([note(stream_id, version, [BIG * 25])])
        assert len(log.read(version - 1, 10)) == 1
        log.heads([stream_id])
    assert path.stat().st_size > 40_000_000
    assert Path(f"{path}-wal").stat().st_size < 20_000_000


def test_another_commit_between_reading_and_appending_does_not_lock_out(path: Path, log: SqliteLog) -> None:
    """Writes begin at once as writers: a commit of another process in between is a head to compare, not an error."""
    other = make(path)
    one, two = uuid4(), uuid4()
    for version in range(1, 20):
        log.heads([one, two])
        other.append([note(one, version, ["a"])])
        log.append([note(two, version, ["b"])])
    assert log.heads([one, two]) == {one: 19, two: 19}
    other.close()


def looks(log: SqliteLog) -> list[str]:
    """What the connection that writes is asked from now on about where streams end."""
    asked: list[str] = []
    log._writer.set_trace_callback(
        lambda statement: asked.append(statement) if "MAX(originator_v" in statement else None
    )
    return asked


def test_streams_that_were_loaded_are_not_looked_up_again(path: Path, log: SqliteLog) -> None:
    """Where nobody else has committed since, they end where they did: one look at the data version says so."""
    streams = [uuid4() for _ in range(3)]
    other = make(path)
    other.append([note(stream, 1, ["a", "b"]) for stream in streams])
    log.load(streams)
    asked = looks(log)
    log.append([note(stream, 3, ["c"]) for stream in streams])
    log.append([note(stream, 4, ["d"]) for stream in streams])
    assert asked == []
    other.close()


def test_streams_that_were_loaded_are_looked_up_again_when_another_has_committed(path: Path, log: SqliteLog) -> None:
    """What was loaded is what was: another process may have gone on, or may have taken something back."""
    stream, elsewhere = uuid4(), uuid4()
    other = make(path)
    log.append([note(stream, 1, ["a"])])
    log.load([stream])
    other.append([note(elsewhere, 1, ["x"])])
    asked = looks(log)
    log.append([note(stream, 2, ["b"])])
    assert len(asked) == 1
    log.load([stream])
    other.append([note(stream, 3, ["theirs"])])
    with pytest.raises(Conflict):
        log.append([note(stream, 3, ["ours"])])
    other.close()


def test_a_kept_state_hides_no_gap(path: Path, log: SqliteLog) -> None:
    """It says how far the stream went when it was taken, and not what the log holds now."""
    stream = uuid4()
    log.append([note(stream, 1, ["a", "b", "c"])])
    log.save_snapshots([total(stream, 3, ["a", "b", "c"], fingerprint="")])
    with closing(sqlite3.connect(path, isolation_level=None)) as damage:
        damage.execute("DELETE FROM stored_events WHERE originator_version = 3")
    assert log.load([stream])[stream].snapshot is not None
    with pytest.raises(Conflict):
        log.append([note(stream, 4, ["d"])])


def test_what_was_loaded_hides_no_gap(path: Path, log: SqliteLog) -> None:
    """A stream that lost its end, and an append that goes on from there, do not make a hole."""
    stream = uuid4()
    log.append([note(stream, 1, ["a", "b", "c"])])
    log.load([stream])
    with closing(sqlite3.connect(path, isolation_level=None)) as damage:
        damage.execute("DELETE FROM stored_events WHERE originator_version = 3")
    with pytest.raises(Conflict):
        log.append([note(stream, 4, ["d"])])


def test_a_text_that_is_not_utf_8_does_not_stop_reading(path: Path, log: SqliteLog) -> None:
    """A damaged topic is one unreadable event among readable ones."""
    stream_id = uuid4()
    log.append([note(stream_id, 1, ["a", "b", "c"])])
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("UPDATE stored_events SET topic = CAST(x'74ff80' AS TEXT) WHERE originator_version = 2")
    connection.execute("UPDATE stored_events SET state = NULL WHERE originator_version = 3")
    connection.close()
    recorded = log.read(0, 10)
    assert [isinstance(entry.event, EventUnreadable) for entry in recorded] == [False, True, True]
    assert all(str(entry.event).isascii() for entry in recorded[1:])


# --- a commit that fails


def append_over_a_file_size_limit(path: Path, spare_bytes: int, results: Any) -> None:
    """Append while the WAL may grow by spare_bytes only, then with the limit lifted (runs in a process)."""
    import resource
    import signal

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    log = make(path)
    stream_id = uuid4()
    log.append([note(stream_id, 1, ["a"])])
    size = Path(f"{path}-wal").stat().st_size
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + spare_bytes, hard))
    outcomes: list[int | str] = []
    for action in (
        lambda: log.append([note(stream_id, 2, [BIG])]),
        lambda: log.heads([stream_id]),
        lambda: log.read(0, 9),
    ):
        try:
            result = action()
            outcomes.append(len(result))
        except DaybookError as error:
            outcomes.append(type(error).__name__)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    heads = log.heads([stream_id])[stream_id]
    positions = positions_of(log.append([note(stream_id, heads + 1, ["after"])]))
    results.send((outcomes, heads, positions, len(log.read(0, 9))))
    log.close()


@pytest.mark.parametrize(
    ("spare_bytes", "outcomes"),
    [
        (0, ["AppendUnknown", "StoreUnavailable", 1]),
        (4200, ["StoreUnavailable", 1, 1]),
    ],
)
def test_a_commit_that_fails_is_unknown_until_it_is_settled(
    path: Path, spare_bytes: int, outcomes: list[object]
) -> None:
    """A failed COMMIT is overwritten by one that succeeds; until then the append is unknown and heads are not answered.

    With no space at all nothing can be settled, with space for a page it can; reading events goes on in both cases.
    """
    receiving, sending = SPAWN.Pipe(duplex=False)
    process = SPAWN.Process(target=append_over_a_file_size_limit, args=(path, spare_bytes, sending))
    process.start()
    sending.close()
    seen, heads, positions, count = receiving.recv()
    process.join()
    assert seen == outcomes
    assert (heads, positions, count) == (1, [2], 2)
    again = make(path)
    assert len(again.read(0, 9)) == 2
    again.close()


class FailingCommit:
    """A connection whose COMMIT raises after doing its work, or instead of it."""

    def __init__(self, connection: sqlite3.Connection, *, after: bool, times: int) -> None:
        self.connection, self.after, self.times = connection, after, times

    def __getattr__(self, name: str) -> Any:
        return getattr(self.connection, name)

    def execute(self, statement: str, *parameters: Any) -> Any:
        if statement != "COMMIT" or not self.times:
            return self.connection.execute(statement, *parameters)
        self.times -= 1
        if self.after:
            self.connection.execute(statement)
        raise sqlite3.OperationalError("disk I/O error")


def test_a_commit_that_raised_but_was_written_is_found_written(log: SqliteLog) -> None:
    """When the row is there after the commit was settled, the append succeeded: its caller is not told otherwise."""
    stream_id = uuid4()
    log._writer = FailingCommit(log._writer, after=True, times=1)  # type: ignore[assignment]
    assert positions_of(log.append([note(stream_id, 1, ["a", "b"])])) == [1, 2]
    assert log.heads([stream_id]) == {stream_id: 2}


def test_an_unknown_append_is_known_once_the_store_writes_again(log: SqliteLog) -> None:
    """After AppendUnknown reading again tells the truth, and the same version can be appended."""
    stream_id = uuid4()
    log._writer = FailingCommit(log._writer, after=False, times=5)  # type: ignore[assignment]
    with pytest.raises(AppendUnknown):
        log.append([note(stream_id, 1, ["a"])])
    for question in (log.load, log.heads, lambda ids: log.stream(ids[0])):
        with pytest.raises(StoreUnavailable, match="unknown"):
            question([stream_id])
    assert log.read(0, 10) == []
    assert log.load([stream_id]) == {}
    assert positions_of(log.append([note(stream_id, 1, ["a"])])) == [1]


def test_settling_writes_over_what_a_failed_commit_left(path: Path, log: SqliteLog) -> None:
    """The commit that settles really writes: other connections see the file change."""
    before = log.last_foreign_change()
    assert log._commit_nothing(log._writer)
    assert log.last_foreign_change() != before


def test_closing_leaves_everything_in_the_file(path: Path) -> None:
    """After the last log is closed the WAL is folded in and the file alone holds every event."""
    log = make(path)
    log.append([note(uuid4(), 1, ["a"] * 50)])
    log.read(0, 10)
    log.close()
    assert not Path(f"{path}-wal").exists()
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT COUNT(*) FROM stored_events").fetchone() == (50,)
    connection.close()


def make_and_append(path: Path, barrier: Any) -> None:
    """Open a log that may not exist yet, at the same moment as others do (runs in a process)."""
    barrier.wait()
    log = make(path)
    log.append([note(uuid4(), 1, ["a"])])
    log.close()


def test_processes_that_make_the_same_log_at_once_all_succeed(path: Path) -> None:
    """The first one makes the file, the others find it, and nobody fails on a lock."""
    barrier = SPAWN.Barrier(3)
    processes = [SPAWN.Process(target=make_and_append, args=(path, barrier)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    log = make(path)
    assert log.last_position() == 3
    log.close()


def test_to_insert_events_keeps_no_copies_for_one_statement_alone(path: Path) -> None:
    """A row that fails leaves those before it in the transaction, which is what spares them; and they go with it."""
    statement, _ = make_tables(path, 5)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("begin immediate")
        with pytest.raises(sqlite3.IntegrityError):
            insert_together(connection, statement, [(str(number % 3), 1, "t", b"") for number in range(4)])
        assert connection.execute("select count(*) from stored_events").fetchone() == (3,)
        connection.execute("rollback")
        assert connection.execute("select count(*) from stored_events").fetchone() == (0,)
