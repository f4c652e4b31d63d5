"""What only the log on PostgreSQL can go through: lost connections, lost answers, locks, other nodes."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from domain.errors import AppendUnknown, Conflict, StoreUnavailable
from infrastructure.mapper import EventMapper
from tests.contracts.log_parts import TinyVault, note, positions_of

pytest.importorskip("psycopg_pool", reason="the PostgreSQL log needs psycopg-pool")

from infrastructure.postgres_log import PostgresLog


def make(url: str, **settings: Any) -> PostgresLog:
    """A log in this database."""
    return PostgresLog(url, EventMapper(TinyVault()), **settings)  # type: ignore[arg-type]


@pytest.fixture
def url(postgres_url: Callable[[], str]) -> str:
    """A fresh database."""
    return postgres_url()


@pytest.fixture
def log(url: str) -> Iterator[PostgresLog]:
    """An empty log."""
    log = make(url)
    yield log
    log.close()


class Wire:
    """A TCP port in front of the server's unix socket, which can be cut when a COMMIT comes along."""

    def __init__(self, url: str) -> None:
        parameters = conninfo_to_dict(url)
        self.target = f"{parameters['host']}/.s.PGSQL.{parameters.get('port', 5432)}"
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = (
            f"postgresql://postgres@127.0.0.1:{self.listener.getsockname()[1]}/{parameters['dbname']}?sslmode=disable"
        )
        self.at_commit: Callable[[], object] | None = None
        self.commit_arrives = False
        self.refusing = False
        self.unanswered: socket.socket | None = None
        self.answered = threading.Event()
        self.sockets: list[socket.socket] = [self.listener]
        self.threads = [threading.Thread(target=self._accept)]
        self.threads[0].start()

    def cut_at_commit(self, *, commit_arrives: bool, then: Callable[[], object] = lambda: None) -> None:
        """Cut the next connection that commits, before or after the server has committed, and call ``then``."""
        self.commit_arrives, self.at_commit = commit_arrives, then

    def refuse(self) -> None:
        """Let no new connection through."""
        self.refusing = True

    def close(self) -> None:
        """Cut everything."""
        for end in self.sockets:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        for thread in self.threads:
            thread.join()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                if self.refusing:
                    client.close()
                    continue
                server = socket.socket(socket.AF_UNIX)
                server.connect(self.target)
                self.sockets += [client, server]
                for pump in (self._to_server, self._to_client):
                    self.threads.append(threading.Thread(target=pump, args=(client, server)))
                    self.threads[-1].start()

    def _to_server(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(65_536):
                if self.at_commit and b"COMMIT\0" in data:
                    then, self.at_commit = self.at_commit, None
                    self.unanswered = server
                    if self.commit_arrives:
                        server.sendall(data)
                        self.answered.wait()
                    server.shutdown(socket.SHUT_RDWR)
                    then()
                    client.shutdown(socket.SHUT_RDWR)
                    return
                server.sendall(data)
        with suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)

    def _to_client(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(65_536):
                if self.unanswered is server:
                    self.answered.set()
                    return
                client.sendall(data)
        with suppress(OSError):
            if self.unanswered is not server:
                client.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def wire(url: str) -> Iterator[Wire]:
    """A wire to the fresh database."""
    wire = Wire(url)
    yield wire
    wire.close()


@pytest.fixture
def wired(wire: Wire) -> Iterator[PostgresLog]:
    """A log behind the wire, over TCP."""
    log = make(wire.url)
    yield log
    log.close()


# --- answers that get lost


def test_an_append_whose_answer_was_lost_is_found_written(wire: Wire, wired: PostgresLog) -> None:
    """The connection dies after COMMIT: the rows are ours byte for byte, so the append succeeded with its positions."""
    stream_id = uuid4()
    wired.append([note(stream_id, 1, ["a"])])
    wire.cut_at_commit(commit_arrives=True)
    positions = positions_of(wired.append([note(stream_id, 2, ["b", "c"]), note(uuid4(), 1, ["x"] * 600)]))
    assert wire.at_commit is None, "the connection was not cut"
    assert [entry.position for entry in wired.read(0, 1000)][1:] == positions
    assert wired.heads([stream_id]) == {stream_id: 3}


def test_an_append_whose_commit_never_arrived_is_not_written(wire: Wire, wired: PostgresLog) -> None:
    """The connection dies before COMMIT: nothing is there, the error says so, and trying again works."""
    stream_id = uuid4()
    wire.cut_at_commit(commit_arrives=False)
    with pytest.raises(StoreUnavailable, match="nothing was written"):
        wired.append([note(stream_id, 1, ["a"])])
    assert wired.heads([stream_id]) == {}
    wired.append([note(stream_id, 1, ["a"])])
    assert wired.heads([stream_id]) == {stream_id: 1}


def test_a_version_taken_meanwhile_by_another_node_is_a_conflict(
    wire: Wire, wired: PostgresLog, log: PostgresLog
) -> None:
    """When the commit got lost and another node claims the version, the loser learns that it lost."""
    stream_id = uuid4()
    wire.cut_at_commit(commit_arrives=False, then=lambda: log.append([note(stream_id, 1, ["theirs"])]))
    with pytest.raises(Conflict) as caught:
        wired.append([note(stream_id, 1, ["ours"]), note(uuid4(), 1, ["x"])])
    assert caught.value.stream_ids == (stream_id,)
    assert len(log.read(0, 10)) == 1


@pytest.mark.parametrize("commit_arrives", [True, False])
def test_an_append_is_unknown_while_the_server_cannot_be_asked(
    wire: Wire, wired: PostgresLog, commit_arrives: bool
) -> None:
    """Unreachable after COMMIT was sent: nobody guesses, and once the server answers again the truth is read."""
    stream_id = uuid4()
    wire.cut_at_commit(commit_arrives=commit_arrives, then=wire.refuse)
    with pytest.raises(AppendUnknown, match="read again"):
        wired.append([note(stream_id, 1, ["a"])])
    with pytest.raises(StoreUnavailable):
        wired.heads([stream_id])
    wire.refusing = False
    assert wired.heads([stream_id]) == ({stream_id: 1} if commit_arrives else {})


def test_idle_connections_that_died_are_replaced(log: PostgresLog, url: str) -> None:
    """After the server has ended all connections, reads and appends go on without an error."""
    stream_id = uuid4()
    log.append([note(stream_id, 1, ["a"])])
    log.read(0, 10)
    with psycopg.connect(url, autocommit=True) as administrator:
        administrator.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    assert len(log.read(0, 10)) == 1
    log.append([note(stream_id, 2, ["b"])])
    assert log.heads([stream_id]) == {stream_id: 2}


# --- locks and limits


def test_a_writer_that_holds_the_lock_too_long_is_given_up_on(url: str, log: PostgresLog) -> None:
    """While another writer holds the table, an append ends in StoreUnavailable; reads do not wait at all."""
    impatient = make(url, lock_timeout_seconds=0.02)
    stream_id = uuid4()
    with psycopg.connect(url) as other:
        other.execute("LOCK TABLE stored_events IN EXCLUSIVE MODE")
        with pytest.raises(StoreUnavailable, match="lock timeout"):
            impatient.append([note(stream_id, 1, ["a"])])
        assert impatient.read(0, 10) == []
    assert len(impatient.append([note(stream_id, 1, ["a"])])) == 1
    impatient.close()


@pytest.mark.parametrize("over", ["unix socket", "TCP"])
def test_large_batches_go_through(over: str, log: PostgresLog, wired: PostgresLog) -> None:
    """Thousands of events and megabytes of payload in one append do not hang, whatever they travel over."""
    log = log if over == "unix socket" else wired
    stream_id, large = uuid4(), uuid4()
    positions = positions_of(
        log.append([note(stream_id, 1, ["x" * 2000] * 2600), note(large, 1, ["y" * 3_000_000, "z"])])
    )
    assert len(positions) == 2602
    assert log.heads([stream_id, large]) == {stream_id: 2600, large: 2}
    assert [entry.position for entry in log.read(0, 3000)] == positions


def test_positions_become_visible_in_order(url: str) -> None:
    """A reader that follows while four nodes append never finds an event behind the position it has read up to."""
    logs = [make(url) for _ in range(4)]
    followed: list[int] = []

    def write(log: PostgresLog) -> None:
        for _ in range(40):
            log.append([note(uuid4(), 1, ["a", "b", "c"])])

    with ThreadPoolExecutor(4) as threads:
        writers = [threads.submit(write, log) for log in logs]
        while len(followed) < 480 and not any(writer.done() and writer.exception() for writer in writers):
            followed += [entry.position for entry in logs[0].read(followed[-1] if followed else 0, 10)]
        for writer in writers:
            writer.result()
    assert followed == [entry.position for entry in logs[0].read(0, 1000)]
    for log in logs:
        log.close()


# --- settings


def test_commits_are_durable_whatever_the_database_is_set_to(url: str) -> None:
    """A database with synchronous_commit off does not get to lose acknowledged appends."""
    with psycopg.connect(url, autocommit=True) as administrator:
        administrator.execute(f"ALTER DATABASE {conninfo_to_dict(url)['dbname']} SET synchronous_commit = off".encode())
    log = make(url)
    assert log._writer is not None
    assert log._writer.execute("SHOW synchronous_commit").fetchone() == ("on",)
    assert log._writer.execute("SHOW statement_timeout").fetchone() == ("30s",)
    log.close()


def test_nodes_that_start_at_once_make_the_tables_once(url: str) -> None:
    """Four logs opened on an empty database at the same moment all work."""
    with ThreadPoolExecutor(4) as threads:
        logs = list(threads.map(lambda _: make(url), range(4)))
    for log in logs:
        log.append([note(uuid4(), 1, ["a"])])
    assert len(logs[0].read(0, 10)) == 4
    for log in logs:
        log.close()


def test_the_library_reads_the_same_table(url: str, log: PostgresLog) -> None:
    """eventsourcing's own recorder finds the events where it expects them."""
    from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore

    stream_id = uuid4()
    positions = positions_of(log.append([note(stream_id, 1, ["a", "b"])]))
    parameters = conninfo_to_dict(url)
    datastore = PostgresDatastore(str(parameters["dbname"]), str(parameters["host"]), 5432, "postgres", "")
    notifications = PostgresApplicationRecorder(datastore).select_notifications(start=1, limit=10)
    datastore.close()
    assert [(n.id, n.originator_id, n.originator_version, n.topic) for n in notifications] == [
        (positions[0], stream_id, 1, "test.log.noted"),
        (positions[1], stream_id, 2, "test.log.noted"),
    ]


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://daybook:hunter2@127.0.0.1:1/nowhere",
        "host=127.0.0.1 password=hunter2 oops hunter2",
        "postgresql://a:hunter2@[x",
    ],
)
def test_no_error_shows_the_password(url: str) -> None:
    """A server that is not there and a URL that is wrong are told apart from each other, without the password."""
    with pytest.raises(StoreUnavailable) as caught:
        make(url)
    chain: BaseException | None = caught.value
    while chain is not None:
        assert "hunter2" not in str(chain)
        chain = chain.__cause__ or chain.__context__
