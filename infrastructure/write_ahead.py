"""The write-ahead log of a SQLite file: how long it may become, and room in it that is there before it is needed."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import disk_usage

__all__ = ["MOST_PAGES", "WriteAhead"]

MOST_PAGES = 32_000
"""After so many pages (128 MB) a commit carries it back, where nobody did while nobody waited. Ten thousand runs in a
burst fit into it.
"""

STEP_PAGES = 1_000
"""So many are made at once (4 MB, within some milliseconds) for who commits on and on."""

GROWN_PAGES = 64
"""By so many commits have made it longer where more are to come: twenty by hand, and not the few of a command line."""

_HEADER_BYTES = 32  # https://sqlite.org/fileformat2.html#the_write_ahead_log
_FRAME_HEADER_BYTES = 24
_FRAME_BYTES = _FRAME_HEADER_BYTES + 4_096  # https://sqlite.org/pgszchng2016.html
_WORTH_IT = 1_000  # pages: less than that a burst brings in a few hundredths of a second
_SHARE_OF_DISK = 4  # of what is free, a quarter at most is taken
_PIECE = bytes(1 << 20)


class WriteAhead:
    """That of the SQLite file at ``path``, which is open for writing, and may be open elsewhere.

    A file that becomes longer takes the system two to four times as long to write and to sync as one that is written
    over, as SQLite does with what was carried back. So it is made longer beforehand, by zeros behind its end. They are
    no frames to SQLite, which reads on only as far as salt and checksum of each are right, and writes over them. Where
    its commits are ``synced``, so is the room: else the first of them would sync all of it.
    """

    def __init__(self, path: Path, *, synced: bool = True) -> None:
        path = path.resolve()  # as SQLite does, which has the write-ahead log beside the file itself
        self._path, self._synced = path.with_name(path.name + "-wal"), synced
        self._seen = self._length()

    def has_grown(self) -> bool:
        """Whether commits have made it longer by some pages since there was room. Takes microseconds."""
        length = self._length()
        self._seen = min(self._seen, length)  # somebody may have emptied it
        return length >= self._seen + GROWN_PAGES * _FRAME_BYTES

    def begins_anew(self) -> None:
        """All of it has been carried back: the next commits write over it, and there is room as long as it is."""
        self._seen = self._length()

    def make_room(self, connection: sqlite3.Connection, pages: int) -> bool:
        """Have so many pages fit into it from its beginning on; returns whether it was made longer.

        Not where the disk has too little room, nor for few pages. Raises sqlite3.Error.
        """
        return pages >= _WORTH_IT and self._lengthen(connection, pages)

    def keep_room(self, connection: sqlite3.Connection) -> bool:
        """Have some more pages fit behind its end, as ``make_room`` does; not where another process has seen to it."""
        length = self._seen = self._length()
        if self._ends_in_room(length):
            return False
        return self._lengthen(connection, length // _FRAME_BYTES + STEP_PAGES)

    def _lengthen(self, connection: sqlite3.Connection, pages: int) -> bool:
        wanted = _HEADER_BYTES + min(pages, MOST_PAGES) * _FRAME_BYTES
        if not 0 < self._length() < wanted or self._free() < wanted * _SHARE_OF_DISK:
            return False
        # Nobody, in this process or another, adds a frame behind the end as long as this one may.
        connection.execute("BEGIN IMMEDIATE")
        try:
            made = self._write_zeros(wanted)
        finally:
            connection.execute("ROLLBACK")
        if made and self._synced:
            self._sync()
        self._seen = self._length()
        return made

    def _write_zeros(self, wanted: int) -> bool:
        # To close this descriptor gives up no lock of SQLite's in this process: those are on its other two files.
        with suppress(OSError), self._opened(os.O_WRONLY | os.O_APPEND) as file:
            lacking = wanted - os.fstat(file).st_size
            for at in range(0, lacking, len(_PIECE)):
                os.write(file, _PIECE[: lacking - at])
            return lacking > 0
        return False  # as when the disk fills up meanwhile: it is as long as it is

    def _sync(self) -> None:
        with suppress(OSError), self._opened(os.O_RDWR) as file:
            os.fsync(file)

    def _ends_in_room(self, length: int) -> bool:
        """Whether its last frame is none: each begins with the number of its page, and there is no page 0."""
        last = _HEADER_BYTES + (length - _HEADER_BYTES) // _FRAME_BYTES * _FRAME_BYTES - _FRAME_BYTES
        if last < _HEADER_BYTES:
            return False
        with suppress(OSError), self._opened(os.O_RDONLY) as file:
            os.lseek(file, last, os.SEEK_SET)
            return not any(os.read(file, _FRAME_HEADER_BYTES))
        return False

    @contextmanager
    def _opened(self, how: int) -> Iterator[int]:
        file = os.open(self._path, how | getattr(os, "O_BINARY", 0))
        try:
            yield file
        finally:
            os.close(file)

    def _length(self) -> int:
        try:
            return self._path.stat().st_size
        except OSError:  # there is none yet
            return 0

    def _free(self) -> int:
        try:
            return disk_usage(self._path.parent).free
        except OSError:  # not every file system says so
            return 0
