"""A seal on a file that is derived and closed: whether it still is as its last writer left it.

Nothing is paid for it while the file is written. A writer breaks the seal first: a process that dies leaves none.
Whoever writes to a file changes its time. Only a file of another time, a copy for instance, is read to be compared: a
start must not take longer the more is stored. What rots on the disk without being written is found by `daybook verify`.
"""

from __future__ import annotations

import os
import time
import zlib
from contextlib import suppress
from pathlib import Path

__all__ = ["break_seal", "holds", "put_seal"]

_CHUNK = 1 << 20


def put_seal(path: Path) -> None:
    """Seal a file that nobody writes any more. Where that cannot be done it stays without."""
    with suppress(OSError):
        temporary = _seal(path).with_suffix(".tmp")
        # The clock of files ticks every few milliseconds; this time stands between two ticks: no writer gives it again.
        os.utime(path, ns=(path.stat().st_atime_ns, time.time_ns()))
        temporary.write_text(f"{_time_of(path)} {_sum_of(path)}", encoding="ascii")
        temporary.replace(_seal(path))


def break_seal(path: Path) -> None:
    """Before the first change. Raises OSError."""
    _seal(path).unlink(missing_ok=True)


def holds(path: Path) -> bool | None:
    """Whether the file is as it was when it was sealed; None where it is not sealed."""
    try:
        sealed = _seal(path).read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    at, _, sealed = sealed.partition(" ")
    try:
        if at == _time_of(path):
            return True
        return _sum_of(path) == sealed or (None if not _seal(path).exists() else False)  # a writer came meanwhile
    except OSError:
        return False


def _seal(path: Path) -> Path:
    return path.with_suffix(".seal")


def _time_of(path: Path) -> str:
    found = path.stat()
    return f"{found.st_mtime_ns}+{found.st_size}"


def _sum_of(path: Path) -> str:
    found = 0
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(_CHUNK):
            found = zlib.crc32(chunk, found)
        return f"{os.fstat(file.fileno()).st_size} {found:08x}\n"
