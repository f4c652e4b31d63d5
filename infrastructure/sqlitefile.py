"""One SQLite file as Daybook wants it: WAL, full synchronous, erasing what is deleted, errors of our own tree."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from domain.errors import AppendUnknown, StoreError, StoreUnavailable

__all__ = ["SqliteFile", "SqliteTrouble", "connect_to_read", "in_words", "make_file", "widen"]

SqliteTrouble = (sqlite3.Error, UnicodeDecodeError)
"""What SQLite raises. Of a damaged schema it speaks in bytes that may be no text."""

_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_BUSY_TIMEOUT_SECONDS = 10.0
_SCRUB_TIMEOUT_MILLISECONDS = 500
_CACHED_STATEMENTS = 128
_CACHE_KIBIBYTES = 16_384
_CHECKPOINT_PAGES = 4_000


class SqliteFile:
    """One connection to one file, for any thread of this process, next to other processes that have it open.

    A lock serializes the threads: the statements are short, and one connection leaves the write-ahead log alone that
    several connections of older SQLite versions could damage. ``schema`` is run once, when ``user_version`` is 0.
    A ``private`` file is for its owner only, and made so again when it is not. One that is ``read_only`` must be there,
    and stays as it is: what is committed is read, also from the journal of a process that died.
    Errors of SQLite come out as StoreUnavailable (nothing written), AppendUnknown (from a commit) or StoreError.
    """

    def __init__(
        self, path: Path, *, schema: str, schema_version: int, private: bool = False, read_only: bool = False
    ) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._durable = True
        try:
            if read_only:
                self._connection = connect_to_read(path)
                self._check_layout(self._connection, schema_version)
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                make_file(path, private=private)
                self._connection = _connect(path)
                self._prepare(schema, schema_version)
        except SqliteTrouble as error:
            self.close()
            raise self._translated(error) from error
        except OSError as error:
            raise StoreUnavailable(f"{path} cannot be opened: {error.strerror}; is the folder writable?") from error
        except StoreError:
            self.close()
            raise

    def __repr__(self) -> str:
        return f"SqliteFile({str(self.path)!r})"

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection; use it only inside ``reading`` or ``writing``. StoreUnavailable when closed."""
        if self._connection is None:
            raise StoreUnavailable(f"{self.path} is closed")
        return self._connection

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The connection, for one statement that reads."""
        with self._lock:
            connection = self.connection
            try:
                yield connection
            except SqliteTrouble as error:
                raise self._translated(error) from error

    @contextmanager
    def writing(self, *, durable: bool = True) -> Iterator[sqlite3.Connection]:
        """The connection inside one transaction: committed at the end, rolled back by any exception.

        What is not ``durable`` survives a kill, but the last of it may be lost to a power cut: it waits for no disk.
        """
        with self._lock:
            connection = self.connection
            try:
                if durable != self._durable:
                    connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
                    self._durable = durable
                connection.execute("BEGIN IMMEDIATE")
            except SqliteTrouble as error:
                raise self._translated(error) from error
            try:
                yield connection
            except SqliteTrouble as error:
                _roll_back(connection)
                raise self._translated(error) from error
            except BaseException:
                _roll_back(connection)
                raise
            try:
                connection.execute("COMMIT")
            except sqlite3.Error as error:
                _roll_back(connection)
                raise AppendUnknown(f"{self.path}: the commit failed: {error}; do it again") from error

    def data_version(self) -> int:
        """A number that changes when another connection has committed. Costs a few microseconds."""
        with self._lock:
            try:
                return int(self.connection.execute("PRAGMA data_version").fetchone()[0])
            except SqliteTrouble as error:
                raise self._translated(error) from error

    def scrub(self) -> bool:
        """Empty the write-ahead log, which may still hold what was deleted; False when others read from it for long."""
        with self._lock:
            connection = self.connection
            try:
                connection.execute(f"PRAGMA busy_timeout = {_SCRUB_TIMEOUT_MILLISECONDS:d}")
                (busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                connection.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_SECONDS * 1000:.0f}")
            except sqlite3.Error:
                # What was to be deleted is deleted and committed: that must not look like a failure.
                return False
        return not busy

    def close(self) -> None:
        """Release the file. Idempotent."""
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

    def _prepare(self, schema: str, schema_version: int) -> None:
        with self.writing() as connection:
            if self._check_layout(connection, schema_version) == 0:
                for statement in schema.split(";"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {schema_version:d}")

    def _check_layout(self, connection: sqlite3.Connection, schema_version: int) -> int:
        (found,) = connection.execute("PRAGMA user_version").fetchone()
        if found > schema_version:
            raise StoreError(
                f"{self.path} has layout {found}, this program knows up to {schema_version}: "
                "it was written by a newer Daybook; use that one, or another folder"
            )
        return int(found)

    def _translated(self, error: Exception) -> StoreError:
        if isinstance(error, sqlite3.OperationalError):
            return StoreUnavailable(f"{self.path}: {error}; nothing was written")
        return StoreError(f"{self.path}: {error}")


def in_words(error: Exception) -> str:
    """What SQLite says; of a damaged file also what that means, and what to do."""
    code = getattr(error, "sqlite_errorcode", None) or getattr(error.__cause__, "sqlite_errorcode", None) or 0
    if code & 0xFF in _DAMAGE:
        return f"the file is damaged or cut off ({error}): restore the folder from a backup"
    return str(error)


def widen(connection: sqlite3.Connection) -> None:
    """Room for bursts: a transaction's pages stay in memory, and fewer copies of a page go back into the file.

    With SQLite's own 2 MB and 1,000 pages a large transaction spills its pages while it runs, and every second one
    carries the log back.
    """
    connection.execute(f"PRAGMA cache_size = -{_CACHE_KIBIBYTES}")
    connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}").fetchone()


def make_file(path: Path, *, private: bool = False) -> None:
    """Make an empty file that others cannot read (nor the group, if ``private``), unless it is there. OSError.

    SQLite gives its -wal and -shm files the mode of the database: it must be right before the first connection.
    """
    try:
        # One that is there is not opened: closing it would drop the locks of this process's other connections.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600 if private else 0o640))
    except FileExistsError:
        if private and path.stat().st_mode & 0o077:
            path.chmod(0o600)


def connect_to_read(path: Path, timeout: float = _BUSY_TIMEOUT_SECONDS) -> sqlite3.Connection:
    """A connection that cannot write, in autocommit mode. Raises sqlite3.Error, also for a file that is missing."""
    return sqlite3.connect(
        f"{path.resolve().as_uri()}?mode=ro",
        uri=True,
        timeout=timeout,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=_CACHED_STATEMENTS,
    )


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, timeout=_BUSY_TIMEOUT_SECONDS, check_same_thread=False, cached_statements=_CACHED_STATEMENTS
    )
    try:
        _switch_to_wal(connection)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA secure_delete = ON")
        (synchronous,) = connection.execute("PRAGMA synchronous").fetchone()
        if synchronous != 2:
            raise sqlite3.OperationalError("synchronous=FULL was not accepted")
    except BaseException:
        connection.close()
        raise
    return connection


def _switch_to_wal(connection: sqlite3.Connection) -> None:
    # Two processes that switch a new file at the same time can meet "locked" without the busy timeout being asked.
    deadline = time.monotonic() + _BUSY_TIMEOUT_SECONDS
    while True:
        try:
            with closing(connection.execute("PRAGMA journal_mode = WAL")) as cursor:
                (mode,) = cursor.fetchone()
        except sqlite3.OperationalError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(0.01)
            continue
        if mode != "wal":
            raise sqlite3.OperationalError(f"journal_mode stays {mode!r}; this file system cannot do WAL")
        return


def _roll_back(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        connection.execute("ROLLBACK")
