"""The floor of commands: as many callers, the same decisions and sealed events, one thread that writes; and no more.

Nobody is asked whether the caller may, nothing is looked up or kept in memory, no rows follow, and a commit that fails
is the end. What is left are callers of asyncio, a thread that writes, what the aggregates decide, and durable commits.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any, cast

from application.ports import Append, Vault
from domain.task import ScheduledTask
from infrastructure.mapper import EventMapper, Row
from infrastructure.together import insert_together
from tests.benchmarks.contestant import Job
from tests.benchmarks.floor import table_made
from tests.benchmarks.stores import definition, task_id

__all__ = ["bare_adds", "bare_pairs"]

_FAR = timedelta(days=30)


def bare_adds(folder: Path, jobs: Sequence[Job], callers: int) -> float:
    """New tasks a second."""

    async def add(writer: _Writer, job: Job) -> None:
        now = datetime.now(UTC)
        plan = definition(job.number, job.due, timedelta(seconds=job.every))
        task = ScheduledTask.define(plan, id=task_id(job.number), now=now)
        created = task.settle(now=now, default_timezone="UTC", by="system")
        await writer.write(lambda: Append(task.id, plan.guild_id, [created]))

    return asyncio.run(_rate(folder, jobs, callers, add))


def bare_pairs(folder: Path, numbers: Sequence[int], callers: int) -> float:
    """Pauses and resumes a second, of tasks that are in memory."""
    now = datetime.now(UTC)
    tasks = {n: ScheduledTask.define(definition(n, now + _FAR), id=task_id(n), now=now) for n in numbers}
    for task in tasks.values():
        task.pending_events.clear()

    def decided(task: ScheduledTask, command: Callable[..., None], now: datetime) -> Append:
        command(now=now, by="system")
        events, task.pending_events[:] = list(task.pending_events), []
        return Append(task.id, task.guild_id, events)

    async def pair(writer: _Writer, number: int) -> None:
        task = tasks[number]
        await writer.write(partial(decided, task, task.pause, datetime.now(UTC)))
        await asyncio.sleep(0)
        await writer.write(partial(decided, task, task.resume, datetime.now(UTC)))

    return asyncio.run(_rate(folder, numbers, callers, pair))


async def _rate(
    folder: Path,
    works: Sequence[Any],
    callers: int,
    do: Callable[[_Writer, Any], Coroutine[Any, Any, None]],
) -> float:
    path = folder / "bare.db"
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as connection:
        writer = _Writer(connection, _table(folder))

        async def caller(mine: Iterable[Any]) -> None:
            for work in mine:
                await do(writer, work)
                await asyncio.sleep(0)

        begun = time.perf_counter()
        try:
            await asyncio.gather(*[caller(works[n::callers]) for n in range(callers)])
            took = time.perf_counter() - begun
        finally:
            writer.end()
    path.unlink()
    return len(works) / took


def _table(folder: Path) -> str:
    with closing(sqlite3.connect(folder / "log.db")) as log:
        return table_made(log, "stored_events")


class _Writer:
    """Commits together what waits, and then tells all who wait."""

    def __init__(self, connection: sqlite3.Connection, table: str) -> None:
        for statement in ("journal_mode = wal", "synchronous = full"):
            connection.execute(f"pragma {statement}").fetchone()
        connection.execute(table)
        self._connection, self._mapper = connection, EventMapper(cast(Vault, _OneKey()))
        self._queue: SimpleQueue[list[tuple[asyncio.Future[None], Callable[[], Append]]]] = SimpleQueue()
        self._asked: list[tuple[asyncio.Future[None], Callable[[], Append]]] = []
        self._loop = asyncio.get_running_loop()
        self._thread = Thread(target=self._serve)
        self._thread.start()

    def write(self, decide: Callable[[], Append]) -> asyncio.Future[None]:
        """Done when what is decided is durable."""
        if not self._asked:
            self._loop.call_soon(self._turn_ended)
        future: asyncio.Future[None] = self._loop.create_future()
        self._asked.append((future, decide))
        return future

    def end(self) -> None:
        """Let the thread end."""
        self._queue.put([])
        self._thread.join()

    def _turn_ended(self) -> None:
        asked, self._asked = self._asked, []
        self._queue.put(asked)

    def _serve(self) -> None:
        while batch := self._queue.get():
            error: Exception | None = None
            try:
                self._commit(self._mapper.rows([decide() for _, decide in batch]))
            except Exception as caught:
                error = caught
            self._loop.call_soon_threadsafe(_told, [future for future, _ in batch], error)

    def _commit(self, rows: Sequence[Row]) -> None:
        self._connection.execute("begin immediate")
        insert_together(self._connection, "insert or fail into stored_events values (?, ?, ?, ?)", rows)
        self._connection.execute("commit")


def _told(futures: list[asyncio.Future[None]], error: Exception | None) -> None:
    for future in futures:
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)


class _OneKey:
    """As much of a vault as sealing needs."""

    def data_keys(self, guild_ids: Iterable[str]) -> dict[str, tuple[bytes, bytes]]:
        return dict.fromkeys(guild_ids, (b"8 bytes.", b"32 bytes: nobody ever opens this"))
