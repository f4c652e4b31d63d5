"""The write-ahead log of a SQLite file: how long it may become, and room in it that is there before it is needed."""

from __future__ import annotations

import os
import sqlite3
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

_PAGE_BYTES = 4_096  # https://sqlite.org/pgszchng2016.html
_FRAME_BYTES = _PAGE_BYTES + 24  # https://sqlite.org/fileformat2.html#the_write_ahead_log
_WORTH_IT = 1_000  # pages: less than that a burst brings in a few hundredths of a second
_SHARE_OF_DISK = 4  # of what is free, a quarter at most is taken
_PIECE = bytes(1 << 20)


class WriteAhead:
    """That of the SQLite file at ``path``, which is open, and may be open elsewhere.

    A file that becomes longer takes the system two to four times as long to write and to sync as one that is written
    over, as SQLite does with what was carried back. So it is made longer beforehand, by zeros behind its end. They are
    no frames to SQLite, which reads on only as far as salt and checksum of each are right, and writes over them.
    """

    def __init__(self, path: Path) -> None:
        path = path.resolve()  # as SQLite does, which has the write-ahead log beside the file itself
        self._path = path.with_name(path.name + "-wal")
        self._seen = self._length()

    def has_grown(self) -> bool:
        """Whether commits have made it longer by some pages since there was room. Takes microseconds."""
        return self._length() >= self._seen + GROWN_PAGES * _FRAME_BYTES

    def make_room(self, connection: sqlite3.Connection, pages: int) -> bool:
        """Have so many pages fit into it from its beginning on; returns whether it was made longer.

        Not where the disk has too little room, nor for few pages. Raises sqlite3.Error.
        """
        return pages >= _WORTH_IT and self._lengthen(connection, min(pages, MOST_PAGES) * _FRAME_BYTES)

    def keep_room(self, connection: sqlite3.Connection) -> bool:
        """Have some more pages fit behind its end, as ``make_room`` does."""
        return self._lengthen(connection, min(self._length() + STEP_PAGES * _FRAME_BYTES, MOST_PAGES * _FRAME_BYTES))

    def _lengthen(self, connection: sqlite3.Connection, wanted: int) -> bool:
        length = self._seen = self._length()
        if not 0 < length < wanted or self._free() < wanted * _SHARE_OF_DISK:
            return False
        # Nobody else, in this process or another, adds a frame behind the end as long as this one may.
        connection.execute("BEGIN IMMEDIATE")
        try:
            made = self._write_zeros(wanted)
        except OSError:  # it is as long as it is
            made = False
        finally:
            connection.execute("ROLLBACK")
        self._seen = self._length()
        return made

    def _write_zeros(self, wanted: int) -> bool:
        with self._path.open("r+b", buffering=0) as file:
            length = file.seek(0, os.SEEK_END)
            for at in range(length, wanted, len(_PIECE)):
                file.write(_PIECE[: wanted - at])
            os.fsync(file)  # else the first commit would
        return length < wanted

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
