"""The write-ahead log of a SQLite file: how long it may become, and room in it that is there before it is needed."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from shutil import disk_usage

__all__ = ["MOST_PAGES", "make_room"]

MOST_PAGES = 32_000
"""After so many pages (128 MB) a commit carries it back, where nobody did while nobody waited. Ten thousand runs in a
burst fit into it.
"""

_WORTH_IT = 1_000  # pages: less than that a burst brings in a few hundredths of a second
_SHARE_OF_DISK = 4  # of what is free, a quarter at most is taken
_FRAME_HEADER_BYTES = 24  # https://sqlite.org/fileformat2.html#the_write_ahead_log


def make_room(connection: sqlite3.Connection, path: Path, pages: int) -> bool:
    """Have the write-ahead log of the file at ``path`` so long that so many pages fit into it from its beginning on.

    A file that becomes longer takes the system two to four times as long to write as one that is written over, as
    SQLite does with what was carried back. A transaction that is rolled back makes it longer too: of its pages those
    that have no place in SQLite's cache stand behind the last commit then, where nobody reads, and the next commits
    write over them. Not where the disk has too little room. Returns whether it was made longer. Raises sqlite3.Error.
    """
    page_bytes: int = connection.execute("PRAGMA page_size").fetchone()[0]
    wanted = min(pages, MOST_PAGES) * (page_bytes + _FRAME_HEADER_BYTES)
    path = path.resolve()  # as SQLite does, which has the write-ahead log beside the file itself
    if pages < _WORTH_IT or _length(path) >= wanted or _free(path) < wanted * _SHARE_OF_DISK:
        return False
    (cached,) = connection.execute("PRAGMA cache_size").fetchone()
    in_cache = cached * page_bytes if cached > 0 else -cached * 1024
    connection.execute("BEGIN IMMEDIATE")
    try:
        lacking = _length(path) < wanted  # else another process has made it meanwhile
        if lacking:
            connection.execute("CREATE TABLE room (zeros)")
            connection.execute("INSERT INTO room VALUES (zeroblob(?))", (wanted + in_cache,))
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    return lacking


def _length(path: Path) -> int:
    try:
        return path.with_name(path.name + "-wal").stat().st_size
    except OSError:  # there is none yet
        return 0


def _free(path: Path) -> int:
    try:
        return disk_usage(path.parent).free
    except OSError:  # not every file system says so
        return 0
