"""The vault in one SQLite file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from infrastructure.sqlitefile import SqliteFile
from infrastructure.vault import VAULT_SCHEMA, Execute, Outcome, SqlVault

__all__ = ["SqliteVault"]


class SqliteVault(SqlVault):
    """The Vault port on one SQLite file (mode 0600). Deleted bytes are overwritten, and the journal is emptied."""

    def __init__(self, path: str | Path, master_key: bytes, *, read_only: bool = False) -> None:
        """Open or make the file. Raises StoreUnavailable when the master key is not the one that it was made with."""
        schema = VAULT_SCHEMA.format(binary="BLOB")
        self._file = SqliteFile(Path(path), schema=schema, schema_version=1, private=True, read_only=read_only)
        self._data_version = self._file.data_version()
        try:
            super().__init__(master_key, str(path))
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        """Release the file and forget the keys. Idempotent."""
        self.forget_cached_keys()
        self._file.close()

    @contextmanager
    def _transaction(self) -> Iterator[Execute]:
        with self._file.writing() as connection:
            yield partial(_execute, connection)

    @contextmanager
    def _reading(self) -> Iterator[Execute]:
        with self._file.reading() as connection:
            yield partial(_execute, connection)

    def _changed_elsewhere(self) -> bool:
        version = self._file.data_version()
        changed, self._data_version = version != self._data_version, version
        return changed

    def _scrub(self) -> None:
        self._file.scrub()


def _execute(connection: sqlite3.Connection, statement: str, parameters: tuple[Any, ...]) -> Outcome:
    cursor = connection.execute(statement, parameters)
    return Outcome(cursor.fetchall(), cursor.rowcount)
