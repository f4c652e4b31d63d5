"""The command's own start: ``daybook --version`` and ``daybook tasks list``, beside a bare Python."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

from tests.benchmarks.contestant import Place
from tests.benchmarks.row import Figures, Row, Size

__all__ = ["ROW", "measure"]

ROW = Row(
    "command",
    "what a person waits for in a terminal",
    sizes={"tiny": {"times": 1}, "small": {"times": 5}, "full": {"times": 9}},
    seconds=10,
)
TASKS = 20


def measure(name: str, size: Size, place: Place) -> Figures:
    """Seconds from starting each command to its end: the median, after one run that nobody waits for."""
    _fill(place.folder)
    daybook = str(Path(sys.executable).with_name("daybook"))
    listing = [daybook, "tasks", "list", "--data", str(place.folder)]
    shown = _said(listing)
    assert all(f"Task {number}" in shown for number in range(TASKS)), shown
    return {
        "version_seconds": _seconds([daybook, "--version"], size["times"]),
        "list_seconds": _seconds(listing, size["times"]),
        "bare_seconds": _seconds([sys.executable, "-I", "-c", "pass"], size["times"]),
    }


def _fill(folder: Path) -> None:
    from application.ports import Command
    from domain.task import ScheduledTask
    from tests.benchmarks.stores import definition, opened, task_id

    now = datetime.now(UTC)
    stores = opened(folder)
    for number in range(TASKS):
        task = ScheduledTask.define(definition(number, now + timedelta(days=9)), id=task_id(number), now=now)
        stores.writer.execute_now([Command(task.id, lambda created: None, create=lambda task=task: task)])  # type: ignore[misc]
    stores.close()


def _said(command: Sequence[str]) -> str:
    environment = {"PATH": os.environ["PATH"], "COLUMNS": "200", "HOME": os.environ.get("HOME", "/")}
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout


def _seconds(command: Sequence[str], times: int) -> float:
    _said(command)
    found = []
    for _ in range(times):
        begun = time.perf_counter()
        _said(command)
        found.append(time.perf_counter() - begun)
    return median(found)
