"""Carries SQLite's write-ahead log back into its file beside the writer, so that no commit has to wait for that.

SQLite does it within the commit that makes the write-ahead log long: 40 to 120 milliseconds, in which whatever is due
is late. A passive checkpoint on a connection of its own keeps neither writers nor readers waiting
(https://www.sqlite.org/c3ref/wal_checkpoint_v2.html).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from threading import Thread

from domain.errors import StoreUnavailable

__all__ = ["Checkpoints"]

EVENTS = 2_000
"""A checkpoint is made after so many rows."""

MOST_PAGES = 16_000
"""Where it cannot keep up, the writer makes one itself: the write-ahead log has 64 MB then."""


class Checkpoints:
    """Checkpoints of the file that ``connect`` opens. One thread at a time calls ``add``."""

    def __init__(self, connect: Callable[[], sqlite3.Connection], writer: sqlite3.Connection) -> None:
        self._connect, self._rows = connect, 0
        self._thread: Thread | None = None
        writer.execute(f"PRAGMA wal_autocheckpoint = {MOST_PAGES}").fetchone()

    def add(self, rows: int) -> None:
        """So many were committed. Never fails."""
        self._rows += rows
        if self._rows < EVENTS or (self._thread is not None and self._thread.is_alive()):
            return
        self._rows = 0
        thread = Thread(target=self._carry_back, name="daybook-checkpoint", daemon=True)
        with suppress(RuntimeError):  # there are as many threads as there may be: the writer does it
            thread.start()
            self._thread = thread

    def _carry_back(self) -> None:
        with suppress(sqlite3.Error, StoreUnavailable), closing(self._connect()) as connection:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def close(self) -> None:
        """Wait for the one that is being made."""
        if self._thread is not None:
            self._thread.join()
