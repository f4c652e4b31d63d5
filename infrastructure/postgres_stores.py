"""Content, vault and presence on PostgreSQL, for several machines on one log."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any

import psycopg

from application.ports import ContentCounts
from domain.errors import AppendUnknown, LeaseLost, StoreError, StoreInUse, StoreUnavailable, shown
from domain.event import utc
from domain.summary import Summary
from infrastructure.content import decoded_object, decoded_summary, encoded_object, texts_of
from infrastructure.postgres_log_connection import Connection, Server, told
from infrastructure.vault import VAULT_SCHEMA, Execute, Outcome, SqlVault

__all__ = ["PostgresContent", "PostgresPresence", "PostgresVault"]

_STATEMENT_TIMEOUT_SECONDS = 30.0
_LOCK_TIMEOUT_SECONDS = 10.0
_KEYS_CHECKED_EVERY_SECONDS = 1.0
# Any numbers that all nodes agree on, one for each thing that is done in turns.
_TABLES_LOCK, _VAULT_LOCK, _PRESENCE_LOCK = 0x6461_7963, 0x6461_7976, 0x6461_7970

_CONTENT_SCHEMA = """
CREATE TABLE content_summaries (run_id text PRIMARY KEY, id text NOT NULL, guild_id text NOT NULL,
                                channel_id text NOT NULL, created_at timestamptz NOT NULL, body text NOT NULL);
CREATE INDEX content_summaries_by_id ON content_summaries (id, created_at);
CREATE INDEX content_summaries_by_age ON content_summaries (created_at, guild_id);
CREATE TABLE content_run_details (run_id text PRIMARY KEY, guild_id text NOT NULL,
                                  created_at timestamptz NOT NULL, body text NOT NULL);
CREATE INDEX content_run_details_by_age ON content_run_details (created_at, guild_id);
CREATE TABLE content_cached (key text PRIMARY KEY, guild_id text NOT NULL,
                             created_at timestamptz NOT NULL, body text NOT NULL);
CREATE INDEX content_cached_by_age ON content_cached (created_at, guild_id)
"""
_PRESENCE_SCHEMA = """
CREATE TABLE presence_nodes (node text PRIMARY KEY, seen_at timestamptz NOT NULL, lease_seconds float8 NOT NULL,
                             dead boolean NOT NULL DEFAULT false, found_by text)
"""


class _Database:
    """One connection, made again when it was lost, for any thread of this process. Transactions are short."""

    def __init__(self, url: str, schema: str, first_table: str, *, read_only: bool = False) -> None:
        self._server = Server(url, _STATEMENT_TIMEOUT_SECONDS, _LOCK_TIMEOUT_SECONDS, read_only=read_only)
        self._lock = threading.RLock()
        self._connection: Connection | None = None
        self._closed = False
        try:
            with self.transaction(_TABLES_LOCK) as connection:
                # Asked first: a role that may not create tables can still use them.
                rows = connection.execute(b"SELECT to_regclass(%s) IS NOT NULL", [first_table]).fetchall()
                if rows != [(True,)]:
                    connection.execute(schema.encode())
        except BaseException:
            self.close()
            raise

    def __str__(self) -> str:
        return str(self._server)

    @contextmanager
    def transaction(self, turn: int | None = None) -> Iterator[Connection]:
        """The connection inside one transaction; with ``turn``, nobody else is inside one of the same number."""
        with self._lock:
            connection = self._begun()
            try:
                if turn is not None:
                    connection.execute(b"SELECT pg_advisory_xact_lock(%s)", [turn])
                yield connection
            except psycopg.Error as error:
                self._roll_back(connection)
                raise self._translated(error) from error
            except BaseException:
                self._roll_back(connection)
                raise
            try:
                connection.execute(b"COMMIT")
            except psycopg.Error as error:
                self._discard()
                raise AppendUnknown(f"{self}: the commit failed: {told(error)}; do it again") from error

    def reopen(self) -> None:
        """Allow calls again after ``close``."""
        self._closed = False

    def close(self) -> None:
        """Release the connection. Idempotent."""
        with self._lock:
            self._closed = True
            self._discard()

    def _begun(self) -> Connection:
        if self._closed:
            raise StoreUnavailable(f"{self} is closed")
        if self._connection is not None:
            # Nothing has been done yet: a connection that was lost while idle may be replaced without harm.
            with suppress(psycopg.Error):
                self._connection.execute(b"BEGIN")
                return self._connection
            self._discard()
        self._connection = self._server.connect()
        try:
            self._connection.execute(b"BEGIN")
        except psycopg.Error as error:
            self._discard()
            raise self._translated(error) from error
        return self._connection

    def _roll_back(self, connection: Connection) -> None:
        try:
            connection.execute(b"ROLLBACK")
        except psycopg.Error:
            self._discard()

    def _discard(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error):
                connection.close()

    def _translated(self, error: psycopg.Error) -> StoreError:
        if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
            return StoreUnavailable(f"{self}: {told(error)}; nothing was written")
        return StoreError(f"{self}: {told(error)}; nothing was written")


class PostgresContent:
    """The Content port on PostgreSQL."""

    def __init__(self, url: str, *, read_only: bool = False) -> None:
        """Connect, and make the tables where they are missing. Raises StoreUnavailable."""
        self._database = _Database(url, _CONTENT_SCHEMA, "content_summaries", read_only=read_only)

    def __repr__(self) -> str:
        return f"PostgresContent({self._database})"

    def save_summary(self, run_id: str, summary: Summary, at: datetime) -> None:
        """Keep the summary made by a run, replacing an earlier one of the same run."""
        statement = (
            b"INSERT INTO content_summaries AS s VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (run_id) DO UPDATE SET"
            b" (id, guild_id, channel_id, created_at, body) = (excluded.id, excluded.guild_id, excluded.channel_id,"
            b" excluded.created_at, excluded.body)"
        )
        body = summary.model_dump_json()
        self._put(statement, (run_id, summary.id, summary.guild_id, summary.channel_id, utc(at), body))

    def summary_of_run(self, run_id: str) -> Summary | None:
        """The summary that a run made, if it is (still) there. Raises StoreError naming a row that cannot be read."""
        body = self._body(b"SELECT body FROM content_summaries WHERE run_id = %s", run_id)
        return None if body is None else decoded_summary(body, f"the summary of run {shown(run_id)}")

    def summary(self, summary_id: str) -> Summary | None:
        """A summary by its own id; the newest one where a host's engine used an id twice."""
        statement = b"SELECT body FROM content_summaries WHERE id = %s ORDER BY created_at DESC, run_id LIMIT 1"
        body = self._body(statement, summary_id)
        return None if body is None else decoded_summary(body, f"summary {shown(summary_id)}")

    def save_run_detail(self, run_id: str, guild_id: str, detail: Mapping[str, Any], at: datetime) -> None:
        """Keep what is worth knowing of a run, replacing what was kept. Raises InvalidInput for what is not JSON."""
        statement = (
            b"INSERT INTO content_run_details VALUES (%s, %s, %s, %s) ON CONFLICT (run_id) DO UPDATE SET"
            b" (guild_id, created_at, body) = (excluded.guild_id, excluded.created_at, excluded.body)"
        )
        self._put(statement, (run_id, guild_id, utc(at), encoded_object("run detail", detail)))

    def run_detail(self, run_id: str) -> dict[str, Any] | None:
        """What was kept of a run. Raises StoreError naming a row that cannot be read."""
        body = self._body(b"SELECT body FROM content_run_details WHERE run_id = %s", run_id)
        return None if body is None else decoded_object(body, f"the detail of run {shown(run_id)}")

    def cache_put(self, key: str, guild_id: str, value: Mapping[str, Any], at: datetime) -> None:
        """Keep a value that can be made again. Raises InvalidInput for what is not JSON."""
        statement = (
            b"INSERT INTO content_cached VALUES (%s, %s, %s, %s) ON CONFLICT (key) DO UPDATE SET"
            b" (guild_id, created_at, body) = (excluded.guild_id, excluded.created_at, excluded.body)"
        )
        self._put(statement, (key, guild_id, utc(at), encoded_object("cached value", value)))

    def cache_get(self, key: str) -> dict[str, Any] | None:
        """A cached value. Raises StoreError naming a row that cannot be read."""
        body = self._body(b"SELECT body FROM content_cached WHERE key = %s", key)
        return None if body is None else decoded_object(body, f"cached value {shown(key)}")

    def delete_before(
        self,
        cutoff: datetime,
        *,
        guild_id: str | None,
        summaries: bool = True,
        run_details: bool = True,
        cached: bool = True,
        dry_run: bool = False,
    ) -> ContentCounts:
        """Delete what was kept before ``cutoff`` (strictly), of one guild or (None) of all, in one transaction."""
        where = " WHERE created_at < %s" + ("" if guild_id is None else " AND guild_id = %s")
        parameters = [utc(cutoff)] if guild_id is None else [utc(cutoff), guild_id]
        counts: dict[str, int] = {}
        with self._database.transaction() as connection:
            for kind, asked in (("summaries", summaries), ("run_details", run_details), ("cached", cached)):
                if asked and dry_run:
                    statement = f"SELECT count(*) FROM content_{kind}{where}"
                    ((counts[kind],),) = connection.execute(statement.encode(), parameters).fetchall()
                elif asked:
                    statement = f"DELETE FROM content_{kind}{where}"
                    counts[kind] = connection.execute(statement.encode(), parameters).rowcount
        return ContentCounts(**counts)

    def runs_with(self, guild_id: str, wanted: Callable[[str], bool]) -> list[str]:
        """The runs of a guild in whose summary or detail a text is ``wanted``; what is corrupt is asked as it is."""
        found: dict[str, None] = {}
        for kind in ("summaries", "run_details"):
            statement = f"SELECT run_id, body FROM content_{kind} WHERE guild_id = %s ORDER BY created_at"
            with self._database.transaction() as connection:
                rows = connection.execute(statement.encode(), [guild_id]).fetchall()
            found.update((run_id, None) for run_id, body in rows if any(map(wanted, texts_of(str(body).encode()))))
        return list(found)

    def delete_runs(self, guild_id: str, run_ids: Sequence[str], until: datetime) -> ContentCounts:
        """Delete what was kept of these runs of a guild through ``until``, and everything cached by then."""
        own, values = "guild_id = %s AND created_at <= %s", [guild_id, utc(until)]
        counts = {}
        with self._database.transaction() as connection:
            for kind in ("summaries", "run_details"):
                statement = f"DELETE FROM content_{kind} WHERE {own} AND run_id = ANY(%s)"
                counts[kind] = connection.execute(statement.encode(), [*values, list(run_ids)]).rowcount
            counts["cached"] = connection.execute(f"DELETE FROM content_cached WHERE {own}".encode(), values).rowcount
        return ContentCounts(**counts)

    def close(self) -> None:
        """Release the connection. Idempotent."""
        self._database.close()

    def _put(self, statement: bytes, parameters: Sequence[object]) -> None:
        with self._database.transaction() as connection:
            connection.execute(statement, parameters)

    def _body(self, statement: bytes, key: str) -> bytes | None:
        with self._database.transaction() as connection:
            row = connection.execute(statement, [key]).fetchone()
        return None if row is None else str(row[0]).encode()


class PostgresVault(SqlVault):
    """The Vault port on PostgreSQL.

    A data key that another node destroyed is not given out any more after one second at most. The server may keep
    old row versions and backups: who must be sure rotates the master key after an erasure and destroys the old one.
    """

    def __init__(self, url: str, master_key: bytes, *, read_only: bool = False) -> None:
        """Connect. Raises StoreUnavailable, also when the master key is not the one that the vault was made with."""
        schema = VAULT_SCHEMA.format(binary="bytea")
        self._database = _Database(url, schema, "vault_people", read_only=read_only)
        self._state: object = None
        self._checked_at = time.monotonic()
        try:
            super().__init__(master_key, f"the vault of {self._database}")
        except BaseException:
            self._database.close()
            raise

    def close(self) -> None:
        """Release the connection and forget the keys. Idempotent."""
        self.forget_cached_keys()
        self._database.close()

    @contextmanager
    def _transaction(self) -> Iterator[Execute]:
        # In turns: a writer that checked the master key must be done before another node rotates it.
        with self._database.transaction(_VAULT_LOCK) as connection:
            yield _executing(connection)

    @contextmanager
    def _reading(self) -> Iterator[Execute]:
        with self._database.transaction() as connection:
            yield _executing(connection)

    def _changed_elsewhere(self) -> bool:
        if time.monotonic() - self._checked_at < _KEYS_CHECKED_EVERY_SECONDS:
            return False
        statement = (
            "SELECT (SELECT count(*) FROM vault_keys WHERE wrapped IS NULL),"
            " (SELECT value FROM vault_meta WHERE name = 'lookup key')"
        )
        with self._reading() as execute:
            state = tuple(execute(statement, ()).rows)
        changed, self._state, self._checked_at = state != self._state, state, time.monotonic()
        return changed


class PostgresPresence:
    """The Presence port on PostgreSQL: every node holds a lease, and the database's clock says when it has run out.

    A node whose lease ran out is dead from the moment that another one says so, and never comes back: its next beat
    raises StoreUnavailable. Node names are unique for each start of a process. The instants given as ``now`` are only
    checked, never used: clocks of machines differ.
    """

    def __init__(self, url: str, lease_seconds: float = 10.0) -> None:
        """Connect. ``lease_seconds`` is how long after its last beat this node counts as alive."""
        if not 0 < lease_seconds <= 3600:
            raise ValueError(f"lease_seconds is {lease_seconds}, give more than 0 and at most 3600")
        self._database = _Database(url, _PRESENCE_SCHEMA, "presence_nodes")
        self._lease_seconds = lease_seconds
        self._node: str | None = None

    def __repr__(self) -> str:
        return f"PostgresPresence({self._database})"

    def join(self, node: str, now: datetime) -> list[tuple[str, datetime]]:
        """Take a lease; returns the nodes found dead, each with the last instant of its lease's last beat (UTC).

        A dead node is told to one living node only; to another one when that one dies before its next beat.
        Raises StoreInUse when the name is taken.
        """
        utc(now)
        if self._node == node:
            return []
        self._database.reopen()
        with self._database.transaction(_PRESENCE_LOCK) as connection:
            statement = b"INSERT INTO presence_nodes VALUES (%s, now(), %s) ON CONFLICT DO NOTHING"
            if self._node is not None or not connection.execute(statement, [node, self._lease_seconds]).rowcount:
                raise StoreInUse(self._database, f"node {self._node or node}; names are for one start only")
            found = _find_dead(connection, node)
        self._node = node
        return found

    def beat(self, node: str, now: datetime) -> list[tuple[str, datetime]]:
        """Extend the lease; returns nodes newly found dead. Raises LeaseLost when it is lost."""
        utc(now)
        if self._node != node:
            raise LeaseLost(f"node {node} holds no lease on {self._database}; join first")
        with self._database.transaction(_PRESENCE_LOCK) as connection:
            statement = b"UPDATE presence_nodes SET seen_at = now() WHERE node = %s AND NOT dead"
            if not connection.execute(statement, [node]).rowcount:
                raise LeaseLost(
                    f"the lease of node {node} on {self._database} is lost: other nodes have taken its runs over, or "
                    "it never joined; stop what it does and start again under a new name"
                )
            # This node is still here: what it was told before is in good hands.
            connection.execute(b"DELETE FROM presence_nodes WHERE dead AND found_by = %s", [node])
            return _find_dead(connection, node)

    def dead(self, nodes: Sequence[str], now: datetime) -> list[str]:
        """Those of ``nodes`` that hold no lease, by the clock of the database. From here on they cannot beat again."""
        utc(now)
        with self._database.transaction(_PRESENCE_LOCK) as connection:
            connection.execute(
                b"UPDATE presence_nodes SET dead = true WHERE node = ANY(%s) AND NOT dead"
                b" AND seen_at + make_interval(secs => lease_seconds) < now()",
                [list(nodes)],
            )
            statement = b"SELECT node FROM presence_nodes WHERE node = ANY(%s) AND NOT dead"
            alive = {node for (node,) in connection.execute(statement, [list(nodes)]).fetchall()}
        return [node for node in nodes if node not in alive]

    def leave(self, node: str | None = None) -> None:
        """Give the lease back and release the connection; whatever name it is of, where none is given.

        Idempotent; without the database the lease just runs out.
        """
        if self._node is None or node not in (None, self._node):
            return
        node, self._node = self._node, None
        with suppress(StoreError), self._database.transaction(_PRESENCE_LOCK) as connection:
            connection.execute(b"DELETE FROM presence_nodes WHERE node = %s AND NOT dead", [node])
        self._database.close()

    def close(self) -> None:
        """Release the connection without giving the lease back. Idempotent."""
        self._database.close()


def _find_dead(connection: Connection, finder: str) -> list[tuple[str, datetime]]:
    statement = b"""
        UPDATE presence_nodes AS n SET dead = true, found_by = %(finder)s
        WHERE node <> %(finder)s AND (
            (NOT dead AND seen_at + make_interval(secs => lease_seconds) < now())
            OR (dead AND found_by IS NULL)
            OR (dead AND found_by <> %(finder)s
                AND NOT EXISTS (SELECT FROM presence_nodes f WHERE f.node = n.found_by AND NOT f.dead)))
        RETURNING node, seen_at"""
    rows = connection.execute(statement, {"finder": finder}).fetchall()
    return sorted(((node, utc(seen_at)) for node, seen_at in rows), key=lambda found: (found[1], found[0]))


def _executing(connection: Connection) -> Execute:
    def execute(statement: str, parameters: tuple[Any, ...]) -> Outcome:
        cursor = connection.execute(statement.replace("?", "%s").encode(), parameters)
        return Outcome(cursor.fetchall() if cursor.description else (), cursor.rowcount)

    return execute
