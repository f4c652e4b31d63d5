"""Finding tasks by a part of their name: every three letters of each name stand in an index (FTS5, trigrams).

Names are folded (``str.casefold``), and so is what is asked for. New tasks enter the index some hundreds at a time,
since a transaction that touches it costs as much as ten that do not; those that are outside are looked through.
Of a new name a trigger tells it: a run, which leaves the name alone, does not come by there.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

from domain.errors import StoreUnavailable

__all__ = ["fold_names", "forget_old_names", "index_new_names", "keep_names", "maybe_named"]

MOST_OUTSIDE = 500
"""So many tasks at most are not in the index."""

MOST_FOUND = 500
"""Where more tasks may fit, whoever looks through all names in order has soon found as many as are wanted."""

SHORTEST = 3
"""Letters that a text must have to be looked up as a whole; a shorter one begins some of the groups of three."""

_KEEP_NAMES = (
    "create virtual table names using fts5 (name, columnsize = 0, tokenize = 'trigram')",
    "create virtual table letters using fts5vocab (names, instance)",
    """create trigger names_moved after update of name on tasks
       when old.name <> new.name and exists (select 1 from names where rowid = old.rowid) begin
         update names set name = entry(new.name) where rowid = old.rowid;
       end""",
)
_INDEXED = "coalesce((select rowid from names order by rowid desc limit 1), 0)"
_OUTSIDE = f"select coalesce(max(rowid), 0) - {_INDEXED} from tasks"
_ENTER = f"insert into names (rowid, name) select rowid, entry(name) from tasks where rowid > {_INDEXED}"
_LONG = f"select rowid from names where names match ? limit {MOST_FOUND + 1}"
_SHORT = f"select distinct doc from letters where term >= ? and term < ? limit {MOST_FOUND + 1}"
_NEW = f"select rowid from tasks where rowid > {_INDEXED}"


def keep_names(connection: sqlite3.Connection) -> None:
    """Make the index. Raises StoreUnavailable where SQLite is older than 3.34, or was built without FTS5."""
    try:
        for statement in _KEEP_NAMES:
            connection.execute(statement)
    except sqlite3.OperationalError as error:
        if "fts5" not in str(error) and "tokenizer" not in str(error):
            raise
        version = sqlite3.sqlite_version
        reason = f"this Python's SQLite ({version}) has no full-text search by trigrams: {error}"
        raise StoreUnavailable(f"{reason}; use a Python whose SQLite is 3.34 or newer, with FTS5") from error


def fold_names(connection: sqlite3.Connection) -> None:
    """Let the statements of a connection fold texts, and make entries of the index: every letter begins a group."""
    connection.create_function("folded", 1, str.casefold, deterministic=True)
    connection.create_function("entry", 1, lambda name: f"{name.casefold()}\n\n", deterministic=True)


def index_new_names(connection: sqlite3.Connection) -> None:
    """Enter new tasks, when there are enough of them."""
    if connection.execute(_OUTSIDE).fetchone()[0] > MOST_OUTSIDE:
        connection.execute(_ENTER)


def forget_old_names(connection: sqlite3.Connection) -> None:
    """Leave no letter of names that are gone: until its parts are joined the index keeps them, and marks them so."""
    connection.execute("insert into names (names) values ('optimize')")


def maybe_named(ask: Callable[[str, Sequence[Any]], list[Any]], text: str) -> str | None:
    """Rows of ``tasks`` whose names may hold this folded text, every one that does among them: a JSON list of rowids.

    None: very many do, or the text is none that the index could know.
    """
    if not text or "\0" in text:
        return None
    if len(text) < SHORTEST:
        found = ask(_SHORT, (text, text + "\U0010ffff"))
    else:
        quoted = text.replace('"', '""')
        found = ask(_LONG, (f'"{quoted}"',))
    if len(found) > MOST_FOUND:
        return None
    return json.dumps([row[0] for row in (*found, *ask(_NEW, ()))])
