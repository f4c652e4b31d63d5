"""A mapping of bytes on the disk: for one piece of work that knows more than should be in memory at once."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, MutableMapping
from contextlib import closing, contextmanager

from domain.errors import StoreUnavailable

__all__ = ["DiskMap"]

_PAGE = 1_000
_SCHEMA = """
    PRAGMA journal_mode = OFF;
    PRAGMA synchronous = OFF;
    CREATE TABLE entries (number INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, value BLOB NOT NULL);
    BEGIN"""


class DiskMap(MutableMapping[bytes, bytes]):
    """Bytes by key, in the order in which they came. Raises StoreUnavailable where the disk takes no more.

    They are in a temporary file of SQLite's, which has no name: it is gone when nobody holds this any more, also when
    the process is killed. Some two megabytes of it are in memory. One thread at a time.
    """

    def __init__(self) -> None:
        self._connection = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._connection.executescript(_SCHEMA)

    def __getitem__(self, key: bytes) -> bytes:
        with _named():
            row = self._connection.execute("SELECT value FROM entries WHERE key = ?", (key,)).fetchone()
        if row is None:
            raise KeyError(key)
        return bytes(row[0])

    def __setitem__(self, key: bytes, value: bytes) -> None:
        with _named():
            self._connection.execute(
                "INSERT INTO entries (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                (key, value),
            )

    def __delitem__(self, key: bytes) -> None:
        with _named(), closing(self._connection.execute("DELETE FROM entries WHERE key = ?", (key,))) as done:
            if not done.rowcount:
                raise KeyError(key)

    def __iter__(self) -> Iterator[bytes]:
        """Every key in the order in which they came; values may change, and others come, meanwhile."""
        last = 0
        while page := self._page(last):
            yield from (key for _, key in page)
            last = page[-1][0]

    def __len__(self) -> int:
        with _named():
            return int(self._connection.execute("SELECT COUNT(*) FROM entries").fetchone()[0])

    def __del__(self) -> None:
        self._connection.close()

    def _page(self, after: int) -> list[tuple[int, bytes]]:
        query = "SELECT number, key FROM entries WHERE number > ? ORDER BY number LIMIT ?"
        with _named():
            return self._connection.execute(query, (after, _PAGE)).fetchall()


@contextmanager
def _named() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise StoreUnavailable(f"a temporary file cannot be used: {error}; nothing was written") from error
