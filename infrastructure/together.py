"""Many rows inserted in one step of SQLite.

Python's module lets other threads run at every step of a statement, and a step ends with each row that is written or
read. Who does so row by row beside a thread that computes has to ask for the interpreter a thousand times for a
thousand rows, and may wait five milliseconds each time (``sys.getswitchinterval``). A statement of many rows asks once.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

__all__ = ["insert_together"]

_SIZES = (256, 64, 16, 4, 1)
"""So many rows stand in a statement: five statements stay compiled, however many rows there are."""

_MOST_VALUES = 32_766
"""In one statement, since SQLite 3.32 (https://sqlite.org/limits.html, SQLITE_MAX_VARIABLE_NUMBER)."""

_ROW = re.compile(r"\([?, ]+\)")


def insert_together(connection: sqlite3.Connection, statement: str, rows: Sequence[Sequence[Any]]) -> None:
    """Insert rows in their order, as ``executemany`` does, with a statement of one row, ``... values (?, ...) ...``."""
    for size, values in _in_steps(rows):
        connection.execute(_of_rows(statement, size), values)


def _in_steps(rows: Sequence[Sequence[Any]]) -> Iterator[tuple[int, tuple[Any, ...]]]:
    start, end = 0, len(rows)
    for size in _SIZES:
        if rows and size > 1 and size * len(rows[0]) > _MOST_VALUES:
            continue
        while end - start >= size:
            yield size, tuple(chain.from_iterable(rows[start : start + size]))
            start += size


@lru_cache(maxsize=1024)
def _of_rows(statement: str, rows: int) -> str:
    return _ROW.sub(lambda one: ", ".join([one[0]] * rows), statement, count=1)
