"""Where the time of a storm goes, by part: through TaskScheduler and the real timer, next to what raw SQLite needs.

    python -m tests.benchmarks inside --tasks 10000 [--stored 100000] [--runs 2000] [--cold] [--profile]

The clock starts at the instant that all are due, and stops when the last run is closed: durable in the log, visible in
the read model, with the next slot. Afterwards the store is verified: accounting adds up, rebuilt rows equal live ones.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import pstats
import sqlite3
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from application.limits import Limits
from application.ports import Command
from daybook import CustomRun, ScheduledTask, ScheduleType, TaskExecutor, TaskPersistence, TaskScheduler, TaskType
from domain.definition import TaskDefinition
from domain.identity import time_ordered_id
from domain.schedule import Schedule
from infrastructure.process import collect_garbage_less_often
from infrastructure.row_process import RowProcess
from tests.benchmarks.stopwatch import Stopwatch
from tests.benchmarks.watching import processor_seconds
from tests.e2e.evidence import all_events, check_accounting, check_rebuild, check_rows, task_streams

__all__ = ["main"]

ROUND_TASKS = 2_000


async def _nothing(run: CustomRun) -> None:
    """The work of each run."""


def _definition(number: int, guilds: int, first_slot: datetime) -> TaskDefinition:
    return TaskDefinition(
        name=f"Task {number}",
        guild_id=f"{number % guilds}",
        schedule=Schedule(type=ScheduleType.INTERVAL, every=timedelta(hours=1), anchor=first_slot),
        task_type=TaskType.CUSTOM,
        operation="nothing",
    )


async def _store(scheduler: TaskScheduler, count: int, guilds: int, first_slot: datetime) -> None:
    """Make tasks durable, in large transactions."""
    now = datetime.now(UTC)
    for start in range(0, count, ROUND_TASKS):
        commands = []
        for number in range(start, min(start + ROUND_TASKS, count)):
            task = ScheduledTask.define(
                _definition(number, guilds, first_slot), id=time_ordered_id(now, uuid4()), now=now
            )
            commands.append(Command(task.id, lambda created: None, create=lambda task=task: task))  # type: ignore[misc]
        for outcome in await scheduler.stores.writer.execute_many(commands):
            if isinstance(outcome, BaseException):
                raise outcome


def _watched(scheduler: TaskScheduler) -> Stopwatch:
    """Wrap what takes part in a run: the writer's thread, and what the loop asks of the read model."""
    import infrastructure.writer as writer_module

    watch, stores = Stopwatch(), scheduler.stores
    writer: Any = stores.writer
    log: Any = stores.log
    watch.wrap(writer, "_attempt", "writer: rest (grouping, futures)", len)
    watch.wrap(writer, "_decide", "writer: decide")
    watch.wrap(writer._streams, "load", "writer: load aggregates", lambda streams, *_: len(streams))
    watch.wrap(writer._streams, "take_snapshots", "writer: snapshots")
    watch.wrap(log, "append", "log: insert and commit", lambda appends: sum(len(a.events) for a in appends))
    watch.wrap(log._mapper, "rows", "log: encode and seal")
    watch.wrap(stores.read_model, "apply", "rows: project and commit", len)
    watch.wrap(RowProcess, "make", "rows: the other process", lambda process, batch: len(batch.rows))
    watch.wrap(stores.read_model, "due", "loop: ask what is due")
    watch.wrap(stores.read_model, "next_due", "loop: ask what is next due")
    watch.wrap(scheduler.dispatcher.runner, "begin", "loop: begin runs")
    watch.wrap(writer_module, "wake", "loop: wake callers")
    return watch


def _raw(folder: Path, log_file: Path, rows_file: Path, since: int, transactions: int) -> tuple[float, float, int]:
    """Seconds that bare sqlite3 takes for the same rows in as many transactions: the log's, and the read model's."""
    source = sqlite3.connect(log_file)
    events = source.execute(
        "SELECT originator_id, originator_version, topic, state FROM stored_events WHERE rowid > ?", (since,)
    ).fetchall()
    schema = source.execute("SELECT sql FROM sqlite_master WHERE name = 'stored_events'").fetchone()[0]
    source.close()
    floor = _inserted(folder / "raw-log.db", schema, "stored_events", events, transactions, "full")
    source = sqlite3.connect(rows_file)
    seconds = 0.0
    for table in ("tasks", "runs"):
        rows = source.execute(f"SELECT * FROM {table}").fetchmany(len(events) // 2)
        schema = source.execute("SELECT sql FROM sqlite_master WHERE name = ?", (table,)).fetchone()[0]
        # Each row is written twice in a storm: when the run starts and when it is closed.
        seconds += 2 * _inserted(folder / f"raw-{table}.db", schema, table, rows, max(1, transactions // 2), "normal")
    source.close()
    return floor, seconds, len(events)


def _inserted(path: Path, schema: str, table: str, rows: list[Any], transactions: int, synchronous: str) -> float:
    connection = sqlite3.connect(path, isolation_level=None, cached_statements=128)
    connection.execute("pragma journal_mode=wal")
    connection.execute(f"pragma synchronous={synchronous}")
    connection.execute(schema)
    marks = ", ".join("?" * len(rows[0]))
    size = -(-len(rows) // transactions)
    begun = time.perf_counter()
    for start in range(0, len(rows), size):
        connection.execute("begin immediate")
        connection.executemany(f"insert into {table} values ({marks})", rows[start : start + size])
        connection.execute("commit")
    took = time.perf_counter() - begun
    connection.close()
    return took


async def _loop_lag(stop: asyncio.Event, worst: list[float]) -> None:
    while not stop.is_set():
        begun = time.perf_counter()
        await asyncio.sleep(0.005)
        worst[0] = max(worst[0], time.perf_counter() - begun - 0.005)


async def _storm(options: argparse.Namespace, folder: Path) -> None:
    ran = 0

    async def count(run: CustomRun) -> None:
        nonlocal ran
        ran += 1

    executor = TaskExecutor()
    executor.register_operation("nothing", count)
    limits = Limits(runs=options.runs, runs_per_guild=max(50, options.runs_per_guild))

    def scheduler() -> TaskScheduler:
        return TaskScheduler(executor, TaskPersistence(folder, environment={}), limits=limits)

    service = scheduler()
    await service.open()
    begun = time.perf_counter()
    if options.stored > options.tasks:
        far = datetime.now(UTC) + timedelta(days=30)
        await _store(service, options.stored - options.tasks, options.guilds, far)
    lead = timedelta(seconds=3 + options.tasks / 1000 + (10 + options.stored / 20_000 if options.cold else 0))
    due = (datetime.now(UTC) + lead).replace(microsecond=0)
    await _store(service, options.tasks, options.guilds, due)
    count_stored = max(options.stored, options.tasks)
    print(f"stored {count_stored:,} tasks in {time.perf_counter() - begun:.2f} s")
    if options.cold:
        await service.stop()
        service = scheduler()
        begun = time.perf_counter()
        await service.open()
        print(f"opened again in {time.perf_counter() - begun:.2f} s")
    await service.start()
    watch = _watched(service) if not options.bare else Stopwatch()
    since = service.stores.log.last_position()
    profiles = _profiled(service) if options.profile else []
    if datetime.now(UTC) >= due:
        raise SystemExit("storing took longer than the lead: the storm began too early")
    stop, worst = asyncio.Event(), [0.0]
    lag = asyncio.create_task(_loop_lag(stop, worst))
    cpu = processor_seconds()
    while ran < options.tasks or service.dispatcher.active_runs:  # noqa: ASYNC110  # looking costs less than telling
        await asyncio.sleep(0.002)
    await asyncio.to_thread(service.stores.read_model.position)  # waits for the rows
    total = (datetime.now(UTC) - due).total_seconds()
    cpu = processor_seconds() - cpu
    stop.set()
    await lag
    _show_profiles(profiles)
    lateness = sorted(run.lateness_seconds or 0 for run in service.queries.runs(limit=10_000))
    _show(options, watch, total, cpu, worst[0], lateness)
    transactions = watch.calls.get("log: insert and commit", 20)
    await service.stop()
    log_floor, rows_floor, events = _raw(folder, folder / "log.db", folder / "readmodel.db", since, transactions)
    floor = log_floor + rows_floor
    print(f"\nraw sqlite3, the same {events:,} events in {transactions} transactions {log_floor * 1000:8.0f} ms")
    print(f"raw sqlite3, the rows of the read model              {rows_floor * 1000:8.0f} ms")
    print(f"the storm took {total / floor:.1f} times as long as the raw writes")
    await _verified(scheduler(), folder, options.tasks)


async def _verified(service: TaskScheduler, folder: Path, tasks: int) -> None:
    await service.open()
    streams = task_streams(all_events(service.stores.log))
    executed = sum(check_accounting(stream)["executed"] for stream in streams.values())
    assert executed == tasks, f"{executed} runs were executed"
    rows: Any = service.stores.read_model
    check_rows(streams, rows)
    check_rebuild(service.stores.log, rows, folder)
    await service.stop()
    print(f"verified: {executed:,} runs executed, accounting adds up, rebuilt rows equal the live ones")


def _show(
    options: argparse.Namespace, watch: Stopwatch, total: float, cpu: float, lag: float, lateness: list[float]
) -> None:
    print(f"\n{options.tasks:,} due at once, {options.runs:,} at a time in {options.guilds} guilds")
    print(f"from due to the last run closed  {total * 1000:8.0f} ms   {options.tasks / total:,.0f} runs/s")
    if lateness:
        half, most = lateness[len(lateness) // 2], lateness[int(len(lateness) * 0.99)]
        print(f"start late by                    {half * 1000:8.0f} ms   (median; {most * 1000:.0f} ms for 99 %)")
    print(f"processor                        {cpu * 1000:8.0f} ms   the event loop waited {lag * 1000:.0f} ms at most")
    print(f"\n{'where':34}{'calls':>8}{'ms':>9}{'us/run':>9}")
    for name, seconds in sorted(watch.seconds.items(), key=lambda entry: (entry[0].split(":")[0], -entry[1])):
        print(f"{name:34}{watch.calls[name]:8,}{seconds * 1000:9.0f}{seconds / options.tasks * 1e6:9.1f}")
    measured = sum(watch.seconds.values())
    print(f"{'together':34}{'':8}{measured * 1000:9.0f}{measured / options.tasks * 1e6:9.1f}")


def _profiled(service: TaskScheduler) -> list[tuple[str, cProfile.Profile]]:
    """Profile the loop's thread and the writer's; slows both down."""
    mine, writers = cProfile.Profile(), cProfile.Profile()
    mine.enable()
    writer: Any = service.stores.writer
    serve = writer._serve_batch

    def profiled(batch: Any) -> None:
        if threading.current_thread().name == "daybook-writer":
            writers.enable()
            try:
                serve(batch)
            finally:
                writers.disable()
        else:
            serve(batch)

    writer._serve_batch = profiled
    return [("event loop", mine), ("writer", writers)]


def _show_profiles(profiles: list[tuple[str, cProfile.Profile]]) -> None:
    for name, profile in profiles:
        profile.disable()
        print(f"\n--- {name}")
        pstats.Stats(profile, stream=sys.stdout).sort_stats("tottime").print_stats(35)


def main(arguments: list[str]) -> None:
    """Run it in a temporary folder."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks inside", description=__doc__)
    parser.add_argument("--tasks", type=int, default=10_000, help="how many are due at once")
    parser.add_argument("--stored", type=int, default=0, help="how many tasks there are in all")
    parser.add_argument("--guilds", type=int, default=100)
    parser.add_argument("--runs", type=int, default=Limits().runs, help="how many runs at a time")
    parser.add_argument("--runs-per-guild", type=int, default=Limits().runs_per_guild)
    parser.add_argument("--cold", action="store_true", help="restart between storing and the storm: nothing is cached")
    parser.add_argument("--usual-gc", action="store_true", help="Python's own settings of the garbage collector")
    parser.add_argument("--bare", action="store_true", help="measure nothing inside")
    parser.add_argument("--profile", action="store_true", help="with cProfile, which slows it down")
    options = parser.parse_args(arguments)
    if not options.usual_gc:
        collect_garbage_less_often()
    with tempfile.TemporaryDirectory(prefix="daybook-storm-") as folder:
        asyncio.run(_storm(options, Path(folder)))
