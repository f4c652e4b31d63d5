"""How fast this machine is now, beside the one that the requirements were written for."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

__all__ = ["FACTORS", "REFERENCE", "Calibration", "calibrated"]

_STANDARD = (
    "import argparse, asyncio, dataclasses, datetime, decimal, email, http.client, inspect, json, logging, sqlite3"
)


@dataclass(frozen=True, slots=True)
class Calibration:
    """Fixed raw loops, all as rates a second but the last two, which are milliseconds."""

    fsyncs: float
    commits: float
    rows: float
    tasks: float
    spawn_ms: float
    import_ms: float


REFERENCE = {"fsyncs": 4_300, "commits": 8_700, "rows": 683_000, "tasks": 208_000}
"""The machine of the requirements: 2 cores, Python 3.11. What a process costs to start was not written down there."""

FACTORS = {"python": "tasks", "disk": "commits"}
"""Which loop says how many times as slow as that machine this one is."""


def calibrated(folder: Path, seconds: float = 0.6) -> Calibration:
    """Measure each loop for so long, on the file system of ``folder``."""
    with TemporaryDirectory(dir=folder) as place:
        return Calibration(
            fsyncs=_fsyncs(Path(place) / "fsync", seconds / 2),
            commits=_commits(Path(place) / "commits.db", 1, seconds),
            rows=_commits(Path(place) / "rows.db", 1_000, seconds),
            tasks=_tasks(seconds),
            spawn_ms=_spawned("pass", seconds),
            import_ms=_spawned(_STANDARD, seconds),
        )


def _rate(step: Callable[[], int], seconds: float) -> float:
    count, begun = 0, time.perf_counter()
    while (took := time.perf_counter() - begun) < seconds:
        count += step()
    return count / took


def _fsyncs(path: Path, seconds: float) -> float:
    file = os.open(path, os.O_RDWR | os.O_CREAT)

    def once() -> int:
        os.write(file, b"x" * 4096)
        os.fsync(file)
        return 1

    try:
        return _rate(once, seconds)
    finally:
        os.close(file)


def _commits(path: Path, rows: int, seconds: float) -> float:
    """Rows a second into SQLite, WAL with synchronous=FULL, in transactions of so many."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("pragma journal_mode=wal")
        connection.execute("pragma synchronous=full")
        connection.execute("create table events (id integer primary key, stream text, data blob)")
        some = [("task-000000", b"x" * 100)] * rows

        def once() -> int:
            connection.execute("begin")
            connection.executemany("insert into events (stream, data) values (?, ?)", some)
            connection.execute("commit")
            return rows

        return _rate(once, seconds)


def _tasks(seconds: float) -> float:
    """Tasks of asyncio that do nothing, a second: the interpreter and little else."""

    async def nothing() -> None:
        pass

    async def many() -> float:
        begun, count = time.perf_counter(), 0
        while (took := time.perf_counter() - begun) < seconds:
            await asyncio.gather(*[asyncio.create_task(nothing()) for _ in range(5_000)])
            count += 5_000
        return count / took

    return asyncio.run(many())


def _spawned(code: str, seconds: float) -> float:
    """Milliseconds for a bare Python to start, run this, and end."""
    found: list[float] = []
    while sum(found) < seconds * 1000:
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-I", "-c", code], check=True)
        found.append((time.perf_counter() - begun) * 1000)
    return median(found)
