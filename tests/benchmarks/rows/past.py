"""The past: how long it takes to say how things were, in a store in which every task ran many times.

The whole service, one task, and what changed within an hour are asked for at instants all over the store's life, each
in a process of its own: nothing is warm but the disk's cache. The leaves of the log are kept, as a service keeps them:
where events stand is compared with them.
"""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any
from uuid import UUID

from tests.benchmarks.contestant import Place
from tests.benchmarks.row import Figures, Row, Size

if TYPE_CHECKING:
    from domain.event import Event
    from infrastructure.sqlite_log import SqliteLog

__all__ = ["ROW", "measure", "opened_log"]

ROW = Row(
    "past",
    "how things were, among 1,000 tasks with a million events",
    sizes={
        "tiny": {"tasks": 5, "events": 60, "moments": 1},
        "small": {"tasks": 100, "events": 300, "moments": 3},
        "full": {"tasks": 1_000, "events": 1_000, "moments": 5},
    },
    seconds=150,
    most=1,  # several instants in one repetition
)

_ASK = """
import sys
from datetime import datetime
from pathlib import Path
from time import perf_counter
from application.audit import Audit
from infrastructure.process import collect_garbage_less_often
from application.queries import Queries
from infrastructure.clock import SystemClock
from infrastructure.leaf_file import LeafFile
from infrastructure.read_model import SqliteReadModel
from tests.benchmarks.rows.past import opened_log
collect_garbage_less_often()  # as the command does
folder, what, *moments = sys.argv[1:]
log, rows = opened_log(Path(folder)), SqliteReadModel(Path(folder) / "readmodel.db")
rows.catch_up(log)
leaves = LeafFile(Path(folder) / "leaves.db", SystemClock(), read_only=True)
audit = Audit(Queries(rows, log, None, leaves), log, None)
assert leaves.size() == log.last_position()
moments = [datetime.fromisoformat(moment) for moment in moments]
begin = perf_counter()
if what == "service":
    found = audit.service_as_of(moments[0])
    assert found.known and sum(found.counts.values()) == len(found.tasks) > 0
elif what == "task":
    [found] = audit.as_of(moments[0], [str(audit.tasks()[0].task_id)])
    assert found.known
else:
    assert audit.differences(*moments)
print(perf_counter() - begin)
"""


def opened_log(folder: Path) -> SqliteLog:
    """The log of the row's store."""
    from infrastructure.mapper import EventMapper
    from infrastructure.sqlite_log import SqliteLog
    from tests.contracts.log_parts import TinyVault

    return SqliteLog(folder / "log.db", EventMapper(TinyVault()), fingerprint="bench")  # type: ignore[arg-type]


def _life(events: int) -> list[Event]:
    """One hourly task that runs until it has so many events."""
    from tests.domain.task_parts import at, claim, done, make

    task = make()
    while task.version < events:
        hour = (task.version - 1) // 2
        done(task, claim(task, at(0.5 + hour)), at(0.6 + hour))
    made: list[Any] = list(task.collect_events())
    return made[:events]


def _store(folder: Path, tasks: int, events: int) -> None:
    """Every task lives the same life, begun at another time; their events are interleaved as they came."""
    from application.ports import SNAPSHOT_EVENTS, Append
    from application.tree import EventTree
    from domain.task_snapshot import snapshot_of
    from infrastructure.clock import SystemClock
    from infrastructure.leaf_file import LeafFile
    from infrastructure.read_model import SqliteReadModel

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
    leaves = LeafFile(folder / "leaves.db", SystemClock())
    EventTree(log, leaves, SystemClock()).catch_up()
    leaves.close()
    log.close()


def measure(name: str, size: Size, place: Place) -> Figures:
    """Seconds for each question, the median over the instants, and the longest."""
    from tests.domain.task_parts import at

    _store(place.folder, size["tasks"], size["events"])
    hours = size["events"] / 2 - 2
    figures: dict[str, float] = {}
    for what in ("service", "task", "differences"):
        seconds = []
        for number in range(size["moments"]):
            moment = at(0.7 + hours * (0.02 + 0.98 * number / size["moments"]))
            seconds.append(_asked(place.folder, what, moment.isoformat(), (moment + timedelta(hours=1)).isoformat()))
        figures |= {f"{what}_seconds": median(seconds), f"{what}_most_seconds": max(seconds)}
    return figures


def _asked(folder: Path, what: str, *moments: str) -> float:
    command = [sys.executable, "-c", _ASK, str(folder), what, *moments]
    return float(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
