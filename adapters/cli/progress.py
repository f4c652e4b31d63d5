"""A progress bar for what takes long."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from adapters.cli.host import Progress

__all__ = ["bar"]


@contextmanager
def bar(title: str, unit: str = "events") -> Iterator[Progress]:
    """Shown on standard error where that is a terminal; call what it gives with (done, total)."""
    if not sys.stderr.isatty():
        yield lambda position, end: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn(unit))
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as shown:
        one = shown.add_task(title, total=None)
        yield lambda position, end: shown.update(one, completed=position, total=end)
