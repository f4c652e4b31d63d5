"""Printing: tables and color for people at a terminal, plain whole lines for pipes, JSON for programs."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

__all__ = ["STATE_STYLES", "as_json", "dim", "display", "error", "line", "note", "out", "plain", "state", "table"]

_WIDE = 100_000
"""The width of what is no terminal: nothing is wrapped or cut for a program that reads lines."""

_CUT = ("task", "name")
"""Columns that may be cut to fit a terminal; all others are folded, for they are copied from."""

LONGEST_NAME, GAP = 28, 2
"""Characters of a name in a table that must fit, and between columns."""

STATE_STYLES = {
    "active": "green", "executed": "green", "delivered": "green", "ok": "green",
    "running": "cyan", "waiting": "cyan",
    "paused": "yellow", "skipped": "yellow", "unknown": "yellow", "warning": "yellow",
    "disabled": "red", "failed": "red", "wrong": "red",
    "cancelled": "dim", "completed": "dim",
}  # fmt: skip


def out() -> Console:
    """The console of standard output."""
    from rich.console import Console

    if sys.stdout.isatty():
        return Console(highlight=False, file=sys.stdout)
    return Console(highlight=False, width=_WIDE, no_color=True, force_terminal=False, soft_wrap=True)


def display(renderable: Any) -> None:
    """Print a table: as it looks at a terminal, as whole lines without padding anywhere else."""
    console = out()
    if console.is_terminal:
        console.print(renderable)
        return
    with console.capture() as captured:
        console.print(renderable)
    sys.stdout.write("".join(text.rstrip() + "\n" for text in captured.get().splitlines()))
    sys.stdout.flush()


def plain(text: str) -> str:
    """Text that people typed, on one line and without anything that steers a terminal."""
    from adapters.rendering import one_line

    return one_line(text)


def line(text: str = "") -> None:
    """One plain line on standard output."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def note(text: str) -> None:
    """One line beside the output, on standard error."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def error(text: str) -> None:
    """Say on standard error what went wrong, in one line."""
    text = " ".join(text.split("\n"))
    red = sys.stderr.isatty() and "NO_COLOR" not in os.environ
    note(f"\x1b[31merror:\x1b[0m {text}" if red else f"error: {text}")


def as_json(value: Any) -> None:
    """A value for programs: one document on standard output."""
    line(json.dumps(value, ensure_ascii=False, indent=2))


def state(name: str) -> Text:
    """A state in its color."""
    from rich.text import Text

    return Text(name, style=STATE_STYLES.get(name, ""))


def dim(text: str) -> Text:
    """Something that is not the point."""
    from rich.text import Text

    return Text(text, style="dim")


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, right: Sequence[str] = (), fit: int = 0) -> Table:
    """A table; cells are strings (shown as they are) or rich texts. Columns in ``right`` hold numbers.

    With ``fit`` every line has at most so many characters: names are cut, and what is in the last column is folded.
    """
    from rich.table import Table
    from rich.text import Text

    made = Table(box=None, header_style="bold", pad_edge=False, padding=(0, GAP, 0, 0))
    cells = [[Text(cell) if isinstance(cell, str) else cell for cell in row] for row in rows]
    left = fit
    for index, column in enumerate(columns):
        folds = not fit or index == len(columns) - 1
        width = None
        if fit:
            width = max([len(column), *(row[index].cell_len for row in cells)])
            width = min(width, LONGEST_NAME if column in _CUT else width, max(left, 1))
            left -= width + GAP
        made.add_column(
            column,
            justify="right" if column in right else "left",
            overflow="fold" if folds and column not in _CUT else "ellipsis",
            no_wrap=not folds,
            width=width,
        )
    for row in cells:
        made.add_row(*row)
    return made
