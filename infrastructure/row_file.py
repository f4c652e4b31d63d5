"""How the file of the read models is opened, to be read and to be written."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from infrastructure.sqlitefile import SqliteTrouble, widen
from infrastructure.task_names import fold_names

__all__ = ["connect", "connect_to_write"]


def connect(path: Path, mode: str = "ro") -> sqlite3.Connection:
    """A connection in a ``mode`` of SQLite (ro, rw, rwc), in autocommit. Raises sqlite3.Error."""
    connection = sqlite3.connect(
        f"{path.resolve().as_uri()}?mode={mode}",
        uri=True,
        isolation_level=None,
        timeout=10,
        check_same_thread=False,
        cached_statements=128,
    )
    fold_names(connection)
    return connection


def connect_to_write(path: Path, *, mode: str = "rw", part: bool = False) -> sqlite3.Connection:
    """A connection that writes rows. A ``part`` of a rebuild is thrown away when anything goes wrong.

    Raises sqlite3.Error; UnicodeDecodeError of a damaged file.
    """
    connection = connect(path, mode)
    try:
        connection.execute(f"pragma journal_mode={'memory' if part else 'wal'}")
        connection.execute(f"pragma synchronous={'off' if part else 'normal'}")
        connection.execute("pragma secure_delete=on")  # not every build's default; people wrote these rows
        widen(connection)
    except SqliteTrouble:
        connection.close()
        raise
    return connection
