"""Connections to the log's PostgreSQL database, with the settings that durability and liveness rest on."""

from __future__ import annotations

from typing import Any

import psycopg
from eventsourcing.persistence import PersistenceError
from eventsourcing.postgres import PostgresAggregateRecorder, PostgresApplicationRecorder, PostgresDatastore
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import dict_row

from domain.errors import StoreUnavailable

__all__ = ["Connection", "Server", "told"]

Connection = psycopg.Connection[tuple[Any, ...]]

_DEFAULTS: dict[str, Any] = {
    "connect_timeout": 5,
    "fallback_application_name": "daybook",
    # A server that vanished without a word is noticed within a minute, also while waiting for an answer.
    "keepalives_idle": 20,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
_TABLES_LOCK = 0x6461_7962  # any number that all nodes agree on
_TABLES_EXIST = (
    b"SELECT to_regclass('public.stored_events') IS NOT NULL AND to_regclass('public.snapshots') IS NOT NULL"
)


class Server:
    """The database behind a URL. Its text names host and database, never the password.

    With ``read_only`` the server itself refuses whatever would change something.
    """

    def __init__(
        self, url: str, statement_timeout_seconds: float, lock_timeout_seconds: float, *, read_only: bool = False
    ) -> None:
        try:
            given = conninfo_to_dict(url)
        except psycopg.ProgrammingError:
            # The parser's message may quote the password.
            given = None
        if given is None:
            raise StoreUnavailable(
                "the database URL cannot be understood; postgresql://user:password@host/name is right"
            )
        self._parameters: dict[str, Any] = {**_DEFAULTS, **given}
        self._settings = (
            f"SET statement_timeout = {round(statement_timeout_seconds * 1000)};"
            f"SET lock_timeout = {round(lock_timeout_seconds * 1000)};"
            f"SET idle_in_transaction_session_timeout = {round(statement_timeout_seconds * 1000)};"
            f"SET default_transaction_read_only = {'on' if read_only else 'off'}"
        ).encode()

    def __str__(self) -> str:
        return f"PostgreSQL {self._parameters.get('dbname', '')} at {self._parameters.get('host', 'localhost')}"

    def connect(self) -> Connection:
        """A connection in autocommit mode with timeouts. Raises StoreUnavailable."""
        try:
            connection = psycopg.connect(**self._parameters, autocommit=True)
        except psycopg.Error as error:
            raise StoreUnavailable(f"{self}: {told(error)}") from error
        try:
            connection.execute(self._settings)
            ((commits,),) = connection.execute(b"SHOW synchronous_commit").fetchall()
            if commits == "off":
                # A setting for whole databases that trades the last commits for speed: not with this one.
                connection.execute(b"SET synchronous_commit = on")
        except BaseException as error:
            connection.close()
            if isinstance(error, psycopg.Error):
                raise StoreUnavailable(f"{self}: {told(error)}") from error
            raise
        return connection

    def make_tables(self) -> None:
        """Let the library make its tables where they are missing; nodes that start at once take turns."""
        connection = self.connect()
        try:
            connection.execute(b"SELECT pg_advisory_lock(%s)", [_TABLES_LOCK])
            if connection.execute(_TABLES_EXIST).fetchall() != [(True,)]:
                self._make_tables()
        except (psycopg.Error, PersistenceError) as error:
            raise StoreUnavailable(f"{self}: cannot make its tables: {told(error)}") from error
        finally:
            connection.close()

    def _make_tables(self) -> None:
        datastore = PostgresDatastore(dbname="", host="", port="", user="", password="")
        # The library knows five parameters; a URL may hold more, or fewer.
        datastore.pool.kwargs = {**self._parameters, "row_factory": dict_row}
        try:
            PostgresApplicationRecorder(datastore).create_table()
            PostgresAggregateRecorder(datastore, events_table_name="snapshots").create_table()
        finally:
            datastore.close()


def told(error: Exception) -> str:
    """What the server or the client library said, on one line."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
