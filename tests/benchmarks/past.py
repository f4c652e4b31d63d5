"""How long it takes to say how things were: ``python -m tests.benchmarks past [--tasks 1000] [--events 1000]``.

A store is made in which every task has run many times; then the whole service, one task, and what changed in an hour
are asked for at instants all over its life, each in a process of its own: nothing is warm but the disk's cache.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any
from uuid import UUID

from application.ports import SNAPSHOT_EVENTS, Append
from domain.event import Event
from domain.task_snapshot import snapshot_of
from infrastructure.mapper import EventMapper
from infrastructure.read_model import SqliteReadModel
from infrastructure.sqlite_log import SqliteLog
from tests.contracts.log_parts import TinyVault
from tests.domain.task_parts import at, claim, done, make

_ASK = """
import sys
from datetime import datetime
from pathlib import Path
from time import perf_counter, process_time
from application.audit import Audit
from application.queries import Queries
from infrastructure.read_model import SqliteReadModel
from tests.benchmarks.past import opened_log
folder, what, *moments = sys.argv[1:]
log, rows = opened_log(Path(folder)), SqliteReadModel(Path(folder) / "readmodel.db")
rows.catch_up(log)
audit = Audit(Queries(rows, log, None), log, None)
moments = [datetime.fromisoformat(moment) for moment in moments]
begin, used = perf_counter(), process_time()
if what == "service":
    found = audit.service_as_of(moments[0])
    assert found.known and sum(found.counts.values()) == len(found.tasks) > 0
elif what == "task":
    [found] = audit.as_of(moments[0], [str(audit.tasks()[0].task_id)])
    assert found.known
else:
    assert audit.differences(*moments)
print(perf_counter() - begin, process_time() - used)
"""


def opened_log(folder: Path) -> SqliteLog:
    """The log of the benchmark's store."""
    return SqliteLog(folder / "log.db", EventMapper(TinyVault()), fingerprint="bench")  # type: ignore[arg-type]


def _life(events: int) -> list[Event]:
    """One hourly task that runs until it has so many events."""
    task = make()
    while task.version < events:
        hour = (task.version - 1) // 2
        done(task, claim(task, at(0.5 + hour)), at(0.6 + hour))
    made: list[Any] = list(task.collect_events())
    return made[:events]


def _store(folder: Path, tasks: int, events: int) -> None:
    """Every task lives the same life, begun at another time; their events are interleaved as they came."""
    log, life = opened_log(folder), _life(events)
    states: list[Any] = [None] * tasks
    for step in range(len(life) + SNAPSHOT_EVENTS):
        appends, kept = [], []
        for number in range(tasks):
            later = number % SNAPSHOT_EVENTS
            if not 0 <= step - later < len(life):
                continue
            event = life[step - later]
            shift = timedelta(hours=later / 2, seconds=number)
            one = event.model_copy(update={"originator_id": UUID(int=number + 1), "timestamp": event.timestamp + shift})
            if "run" in type(event).model_fields:
                one = one.model_copy(update={"run": f"{number}-{getattr(event, 'run', '')}"})
            appends.append(Append(one.originator_id, "1", [one]))
            states[number] = one.mutate(states[number])
            if one.originator_version % SNAPSHOT_EVENTS == 0:
                kept.append(("1", snapshot_of(states[number], fingerprint="bench")))
        log.append(appends)
        log.save_snapshots(kept)
    rows = SqliteReadModel(folder / "readmodel.db")
    rows.catch_up(log)
    rows.close()
    log.close()


def main(arguments: list[str]) -> int:
    """Make the store, ask, and print the figures."""
    parser = argparse.ArgumentParser(prog="past", description=__doc__)
    parser.add_argument("--tasks", type=int, default=1000)
    parser.add_argument("--events", type=int, default=1000, help="of each task")
    parser.add_argument("--keep", type=Path, help="make the store in this folder, or use the one that is there")
    given = parser.parse_args(arguments)
    with TemporaryDirectory() as temporary:
        folder: Path = given.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "readmodel.db").exists():
            begin = perf_counter()
            _store(folder, given.tasks, given.events)
            print(f"store: {given.tasks} tasks, {given.tasks * given.events} events, {perf_counter() - begin:.0f} s")
        hours = given.events / 2 - 2
        for what in ("service", "task", "differences"):
            seconds = []
            for share in (0.02, 0.27, 0.51, 0.77, 1.0):
                moment = at(0.7 + hours * share)
                seconds.append(_asked(folder, what, moment.isoformat(), (moment + timedelta(hours=1)).isoformat()))
            for name, figures in (
                ("time", [wall for wall, _ in seconds]),
                ("processor", [used for _, used in seconds]),
            ):
                print(f"as of, {what}, {name}: median {median(figures):.3f} s, longest {max(figures):.3f} s")
    return 0


def _asked(folder: Path, what: str, *moments: str) -> tuple[float, float]:
    command = [sys.executable, "-c", _ASK, str(folder), what, *moments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    wall, used = map(float, done.stdout.split())
    return wall, used
