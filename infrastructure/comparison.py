"""A read model held against one that is made anew from the log, beside it and in bounded memory."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from application.ports import Log
from application.rows import TABLES
from domain.errors import StoreError, StoreUnavailable
from infrastructure.task_names import fold_names

if TYPE_CHECKING:
    from infrastructure.read_model import SqliteReadModel

__all__ = ["differing_rows"]

_PAGE = 5_000
_TRIES = 20
"""A service that works moves on while the rows are made; they are compared in a moment in which it does not."""

_COMPARED = """
SELECT MAX((SELECT COUNT(*) FROM (SELECT * FROM main.{0} EXCEPT SELECT * FROM live.{0})),
           (SELECT COUNT(*) FROM (SELECT * FROM live.{0} EXCEPT SELECT * FROM main.{0})))"""
# What was erased since may have been earlier or later than the rest: a stretch may be too wide, never too narrow.
_TIMES = """
SELECT COUNT(*) FROM main.times AS made LEFT JOIN live.times AS kept USING (stretch)
WHERE kept.stretch IS NULL OR kept.earliest > made.earliest OR kept.latest < made.latest"""
_TOTALS = """
WITH made AS (SELECT status, COUNT(*) AS tasks FROM main.tasks GROUP BY status),
     kept AS (SELECT status, tasks FROM live.totals WHERE tasks > 0)
SELECT MAX((SELECT COUNT(*) FROM (SELECT * FROM made EXCEPT SELECT * FROM kept)),
           (SELECT COUNT(*) FROM (SELECT * FROM kept EXCEPT SELECT * FROM made)))"""
# New tasks enter the index of names some hundreds at a time.
_NAMES = """
SELECT COUNT(*) FROM live.tasks AS t LEFT JOIN live.names AS n ON n.rowid = t.rowid
WHERE t.rowid <= (SELECT COALESCE(MAX(rowid), 0) FROM live.names) AND n.name IS NOT entry(t.name)"""
_POSITION = "SELECT CAST(value AS INTEGER) FROM {}.meta WHERE name = 'position'"


def differing_rows(
    live: SqliteReadModel, log: Log, progress: Callable[[int, int], None] | None = None
) -> dict[str, int]:
    """By table, how many rows differ. Raises StoreError where the file cannot be read, or never rests."""
    # Beside it, where there is room for what is as large; a folder that cannot be written is examined all the same.
    beside = live.path.parent if os.access(live.path.parent, os.W_OK) else None
    with TemporaryDirectory(dir=beside, prefix=".compared-", ignore_cleanup_errors=True) as folder:
        made = type(live)(Path(folder) / "readmodel.db")
        try:
            for _ in range(_TRIES):
                _catch_up(made, live.position(), log, progress)
                with _both(made.path, live.path) as connection:
                    if (found := _compared(connection)) is not None:
                        return found
        except sqlite3.DatabaseError as error:
            raise StoreUnavailable(f"{live.path}: {error}") from error
        finally:
            made.close()
    raise StoreError(f"{live.path} was written to all the time; try again when the service has less to do")


def _catch_up(made: Any, target: int, log: Log, progress: Callable[[int, int], None] | None) -> None:
    position = made.position()
    while position < target and (page := log.read(position, _PAGE)):
        page = [one for one in page if one.position <= target]
        if not page:
            return
        made.apply(page)
        position = page[-1].position
        if progress is not None:
            progress(position, target)


@contextmanager
def _both(made: Path, live: Path) -> Any:
    with closing(sqlite3.connect(made.resolve().as_uri(), uri=True, isolation_level=None)) as connection:
        fold_names(connection)
        connection.execute("ATTACH ? AS live", (f"{live.resolve().as_uri()}?mode=ro",))
        connection.execute("BEGIN")
        try:
            yield connection
        finally:
            connection.execute("ROLLBACK")


def _compared(connection: sqlite3.Connection) -> dict[str, int] | None:
    """None where the live rows have moved on."""
    there, here = (connection.execute(_POSITION.format(name)).fetchone() for name in ("live", "main"))
    if there is None:
        raise StoreUnavailable("the read model does not say how far it has read the log")
    if there != here:
        return None
    # A damaged index leads to other rows than the table holds, which alone is compared below.
    faults = [str(row[0]) for row in connection.execute("PRAGMA live.integrity_check(5)")]
    if faults != ["ok"]:
        raise StoreUnavailable(f"SQLite says: {'; '.join(faults)}")
    counts = {kind.table: connection.execute(_COMPARED.format(kind.table)).fetchone()[0] for kind in TABLES}
    counts["heads"] = connection.execute(_COMPARED.format("heads")).fetchone()[0]
    counts["times"] = connection.execute(_TIMES).fetchone()[0]
    counts["totals"] = connection.execute(_TOTALS).fetchone()[0]
    counts["names"] = connection.execute(_NAMES).fetchone()[0]
    return {table: count for table, count in counts.items() if count}
