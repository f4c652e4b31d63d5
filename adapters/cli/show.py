"""Printing: tables and color for people at a terminal, plain whole lines for pipes, JSON for programs."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

__all__ = [
    "STATE_STYLES",
    "Sheet",
    "Styled",
    "as_json",
    "dim",
    "display",
    "error",
    "line",
    "note",
    "out",
    "plain",
    "state",
    "styled",
    "table",
]

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
    if not sys.stdout.isatty() and isinstance(renderable, Sheet) and (lines := renderable.lines()) is not None:
        line("\n".join(lines))
        return
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


class Styled(str):
    """A text with the style that it has at a terminal."""

    __slots__ = ("style",)
    style: str


def styled(text: str, style: str) -> Styled:
    """The text in a style of rich."""
    made = Styled(text)
    made.style = style
    return made


def state(name: str) -> Styled:
    """A state in its color."""
    return styled(name, STATE_STYLES.get(name, ""))


def dim(text: str) -> Styled:
    """Something that is not the point."""
    return styled(text, "dim")


@dataclass(frozen=True, slots=True)
class Sheet:
    """Rows below the names of their columns, to be printed; ``rich`` draws it at a terminal."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    right: Sequence[str] = ()
    fit: int = 0

    def __rich__(self) -> Table:
        return self.drawn()

    def drawn(self) -> Table:
        """As rich draws it."""
        from rich.table import Table
        from rich.text import Text

        made = Table(box=None, header_style="bold", pad_edge=False, padding=(0, GAP, 0, 0))
        cells = [[Text(c, getattr(c, "style", "")) if isinstance(c, str) else c for c in row] for row in self.rows]
        left = self.fit
        for index, column in enumerate(self.columns):
            folds = not self.fit or index == len(self.columns) - 1
            width = None
            if self.fit:
                width = max([len(column), *(row[index].cell_len for row in cells)])
                width = min(width, LONGEST_NAME if column in _CUT else width, max(left, 1))
                left -= width + GAP
            made.add_column(
                column,
                justify="right" if column in self.right else "left",
                overflow="fold" if folds and column not in _CUT else "ellipsis",
                no_wrap=not folds,
                width=width,
            )
        for row in cells:
            made.add_row(*row)
        return made

    def lines(self) -> list[str] | None:
        """The same as whole lines for a program; None where it takes rich to know how wide they are."""
        rows = [self.columns, *self.rows]
        if self.fit or not all(
            isinstance(cell, str) and cell.isascii() and cell.isprintable() for row in rows for cell in row
        ):
            return None
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        right = [name in self.right for name in self.columns]
        gap = " " * GAP
        return [
            gap.join(
                cell.rjust(width) if to_right else cell.ljust(width)
                for cell, width, to_right in zip(row, widths, right, strict=True)
            ).rstrip()
            for row in rows
        ]


def _is_plain(cell: Any) -> bool:
    return isinstance(cell, str) and cell.isascii() and cell.isprintable()


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, right: Sequence[str] = (), fit: int = 0) -> Sheet:
    """A table; cells are strings (shown as they are) or rich texts. Columns in ``right`` hold numbers.

    With ``fit`` every line has at most so many characters: names are cut, and what is in the last column is folded.
    """
    return Sheet(columns, list(rows), right, fit)
