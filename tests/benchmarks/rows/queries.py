"""Queries on many tasks: what a list, a status, a search asks, each many times over different guilds and tasks."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from statistics import median

from tests.benchmarks.contestant import GUILD_TASKS, Job, Place
from tests.benchmarks.row import Figures, Row, Size

__all__ = ["ROW", "measure"]

ROW = Row(
    "queries",
    "questions about 100,000 tasks",
    sizes={
        "tiny": {"stored": 300, "due": 10, "times": 10},
        "small": {"stored": 5_000, "due": 50, "times": 50},
        "full": {"stored": 100_000, "due": 200, "times": 200},
    },
    seconds=20,
)


def measure(name: str, size: Size, place: Place) -> Figures:
    """Milliseconds for each question: the median over many tasks or guilds, and the longest."""
    return asyncio.run(_ask(size, place))


async def _ask(size: Size, place: Place) -> Figures:
    from tests.benchmarks.contestants.daybook_contestant import Daybook
    from tests.benchmarks.stores import task_id

    one = Daybook(place, lambda number: None)
    await one.fill(size["stored"])
    soon = datetime.now(UTC) + timedelta(minutes=30)
    chosen = random.Random(1).sample(range(size["stored"]), size["times"])
    await one.plan([Job(number, soon) for number in chosen[: size["due"]]])
    await one.service.open()
    service, queries = one.service, one.service.queries

    def check_due() -> None:
        found = queries.overdue(datetime.now(UTC) + timedelta(hours=1), limit=100)
        assert len(found) == min(size["due"], 100)

    def check_list(number: int) -> None:
        assert len(queries.tasks(guild_id=str(number // GUILD_TASKS), limit=100)) == 100

    def check_status(number: int) -> None:
        assert queries.task(str(task_id(number))).name == f"Task {number}"

    def check_search(number: int) -> None:
        assert any(task.name == f"Task {number}" for task in queries.tasks(name_contains=f"ask {number}", limit=50))

    def check_statistics(number: int) -> None:
        assert service.get_scheduler_stats()["active_tasks"] == size["stored"]
        assert queries.metadata(str(task_id(number))).execution_count > 0

    figures = {
        **_timed("list", check_list, chosen),
        **_timed("status", check_status, chosen),
        **_timed("due", lambda number: check_due(), chosen),
        **_timed("statistics", check_statistics, chosen),
        **_timed("search", check_search, chosen),
    }
    await service.stop()
    return figures | _raw(place, chosen)


def _timed(name: str, ask: Callable[[int], None], numbers: Sequence[int]) -> dict[str, float]:
    ask(numbers[0])  # what a service has asked before
    found = []
    for number in numbers:
        begun = time.perf_counter()
        ask(number)
        found.append((time.perf_counter() - begun) * 1000)
    return {f"{name}_ms": median(found), f"{name}_most_ms": max(found)}


def _raw(place: Place, numbers: Sequence[int]) -> dict[str, float]:
    """Bare sqlite3: the rows of a guild's list."""
    statement = "select * from tasks join texts using (task_id) where guild_id = ? order by name limit 100"
    with closing(sqlite3.connect(place.folder / "readmodel.db")) as rows:

        def ask(number: int) -> None:
            assert len(rows.execute(statement, (str(number // GUILD_TASKS),)).fetchall()) == 100

        return {f"raw_{key}": value for key, value in _timed("list", ask, numbers).items() if "most" not in key}
