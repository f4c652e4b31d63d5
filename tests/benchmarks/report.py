"""The Markdown table: what was measured, what is required, what stands beside it."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from tests.benchmarks.requirements import Requirement
from tests.benchmarks.results import Results
from tests.benchmarks.rows import ROWS, growth
from tests.benchmarks.rows.growth import growth_points
from tests.benchmarks.verdicts import Verdict, verdicts

__all__ = ["markdown"]

_ABOUT = """\
Made by `make bench`, which [tests/benchmarks](../../tests/benchmarks/README.md) explains; every repetition is in
[benchmarks.json](benchmarks.json). Each figure is a median, with the least and the most in brackets. After each
repetition the store was verified: every slot accounted for, a rebuilt read model equal to the live one."""

_HEAD = """\
| | measured | corrected | required | beside | ratio | |
|---|---|---|---|---|---|---|"""


def markdown(results: Results) -> str:
    """The whole report."""
    lines = ["# Measured", "", _ABOUT, "", *_machine(results), ""]
    found = list(verdicts(results))
    for row in ROWS:
        mine = [verdict for verdict in found if verdict.requirement.row == row.name and not _says_nothing(verdict)]
        if mine:
            lines += [f"**{row.name}**: {row.title}", "", _HEAD, *map(_line, mine), ""]
    lines += _growth(results)
    return "\n".join([*lines, *(f"- {note}" for note in results.notes)]).rstrip() + "\n"


def _says_nothing(verdict: Verdict) -> bool:
    """A line that is there for a peer's sake, without the peer."""
    wanted = verdict.requirement
    return bool(wanted.beside) and verdict.beside is None and wanted.bound is None and wanted.ratio is None


def _machine(results: Results) -> Iterator[str]:
    at = results.machine
    yield (
        f"Measured on {at['cores']} cores ({at['processor']}), {at['system']}, Python {at['python']}, "
        f"SQLite {at['sqlite']}; size {results.size}."
    )
    if results.samples:
        yield (
            f"Python takes {_span(results, 'python')} and a durable commit {_span(results, 'disk')} times as long here "
            'as on the machine that the requirements were written for; figures are "corrected" by that.'
        )


def _growth(results: Results) -> list[str]:
    """Seconds by what was due and what was stored."""
    points = growth_points(results)
    if not points:
        return []
    lines = [f"**growth**: {growth.ROW.title}", "", "| due | stored | seconds | per run |", "|---|---|---|---|"]
    cells = (
        f"| {p.due:,} | {p.stored:,} | {_number(p.seconds)} | {_number(p.seconds / p.due * 1e6)} us |" for p in points
    )
    return [*lines, *cells, "", "![Seconds by what is due, and by what is stored](growth.svg)", ""]


def _span(results: Results, kind: str) -> str:
    found = results.factors(kind)
    return f"{median(found):.1f} ({min(found):.1f} to {max(found):.1f})"


def _line(verdict: Verdict) -> str:
    wanted = verdict.requirement
    measured = _value(verdict.measured, wanted.unit)
    if verdict.count > 1:
        measured += f" ({_number(verdict.least)} to {_number(verdict.most)})"
    cells = [
        wanted.words,
        measured,
        _value(verdict.corrected, wanted.unit),
        _required(wanted),
        f"{_value(verdict.beside, wanted.unit)} {_name(wanted)}" if verdict.beside is not None else "",
        f"{_number(verdict.ratio)}" if verdict.ratio is not None else "",
        {True: "met", False: "**not met**", None: ""}[verdict.met],
    ]
    return f"| {' | '.join(cells)} |"


def _required(wanted: Requirement) -> str:
    words = []
    if wanted.bound is not None:
        words.append(f"{'at least' if wanted.more else 'at most'} {_value(wanted.bound, wanted.unit)}")
    if wanted.ratio is not None:
        words.append(f"ratio at least {_number(wanted.ratio)}")
    return ", ".join(words)


def _name(wanted: Requirement) -> str:
    """What the figure beside it is of."""
    contestant, _, figure = wanted.beside.partition(":")
    return f"({figure.rpartition('_')[0].replace('_', ' ') if figure else contestant})"


def _value(value: float | None, unit: str) -> str:
    return "" if value is None else f"{_number(value)} {unit}"


def _number(value: float) -> str:
    """Three digits that count, and thousands set apart."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
