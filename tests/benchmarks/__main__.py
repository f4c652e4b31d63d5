"""``python -m tests.benchmarks [ROW ...]``: measure, and write JSON and a Markdown table with ratios.

``python -m tests.benchmarks inside`` says where the time of a storm goes instead.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from tests.benchmarks.calibration import calibrated
from tests.benchmarks.contestants import CONTESTANTS, PEERS
from tests.benchmarks.peers import PINS, peers_python
from tests.benchmarks.plot import growth_plot
from tests.benchmarks.report import markdown
from tests.benchmarks.results import Results, Sample, machine
from tests.benchmarks.rows import ROWS
from tests.benchmarks.rows.growth import growth_points
from tests.benchmarks.runner import ROOT, Repetition, Runner, repetitions

__all__ = ["main"]

SIZES = ("tiny", "small", "full")
_LOOP_SECONDS = {"tiny": 0.05, "small": 0.3, "full": 0.3}
_SIZE_SHARE = {"tiny": 0.1, "small": 0.25, "full": 1.0}


def main(arguments: Sequence[str]) -> int:
    """Measure the rows that are asked for; the exit code is 1 when one could not be measured."""
    if arguments and arguments[0] == "inside":
        from tests.benchmarks import inside

        inside.main(list(arguments[1:]))
        return 0
    given = _given(arguments)
    console = Console()
    given.cache.mkdir(parents=True, exist_ok=True)
    rows = [row for row in ROWS if row.name in given.rows]
    wanted = None if given.contestants is None else set(given.contestants.split(","))
    pythons, notes = _pythons(given.cache, given.peers, console)
    there = [name for name in pythons if wanted is None or name in wanted]
    plan = [one for row in rows for one in repetitions(row, there, given.repeat, more=given.more)]
    notes += given.note
    _announce(plan, given.size, console)
    results = _kept(given.out / "benchmarks.json", given.size)
    runner, failed = Runner(pythons, given.cache, given.size), False
    with _progress(console) as progress:
        all_of_it = progress.add_task("", total=len(plan))
        for row in rows:
            before = results
            samples: list[Sample] = []
            for one in (one for one in plan if one.row is row):
                try:
                    samples.append(_sample(runner, one, progress, all_of_it))
                except RuntimeError as error:
                    console.print(str(error), markup=False, highlight=False)
                    failed = True
                progress.advance(all_of_it)
                results = before.with_samples(samples, notes, more=given.more)
                results.save(given.out / "benchmarks.json")  # what is measured stays, whatever ends this process
    _show(results, given.out, console)
    return 1 if failed else 0


def _given(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    names = [row.name for row in ROWS]
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of {', '.join(names)}; all by default")
    parser.add_argument("--only", action="append", default=[], metavar="ROW", help="the same")
    parser.add_argument("--size", choices=SIZES, default="full")
    parser.add_argument("--repeat", type=int, default=5, metavar="N", help="the median of so many is shown (5)")
    parser.add_argument("--peers", action=argparse.BooleanOptionalAction, default=True, help="measure other schedulers")
    parser.add_argument("--more", action="store_true", help="add repetitions to earlier ones, and do not replace them")
    parser.add_argument("--contestants", metavar="NAME,NAME", help="measure these alone")
    parser.add_argument("--note", action="append", default=[], metavar="TEXT", help="a remark to stand below the table")
    parser.add_argument("--cache", type=Path, default=ROOT / ".bench", help="stores and peers, kept for the next time")
    parser.add_argument(
        "--out",
        type=Path,
        default=ROOT / ".bench",
        help="for benchmarks.json (which is added to), benchmarks.md, growth.svg",
    )
    given = parser.parse_args(arguments)
    given.rows = [*given.rows, *given.only] or names
    if unknown := [row for row in given.rows if row not in names]:
        parser.error(f"there is no row {unknown[0]!r}; there are {', '.join(names)}")
    if unknown := [n for n in (given.contestants or "").split(",") if n and n not in CONTESTANTS]:
        parser.error(f"there is no contestant {unknown[0]!r}; there are {', '.join(CONTESTANTS)}")
    return given


def _pythons(cache: Path, peers: bool, console: Console) -> tuple[dict[str, str], list[str]]:
    """By contestant, the interpreter that has it; and what has to be said about those that are missing."""
    mine = {"daybook": sys.executable, "daybook-discord": sys.executable}
    if not peers:
        return mine, []
    with console.status("installing the schedulers to compare with"):
        python = peers_python(cache)
    if python is None:
        note = f"There are no peers beside the figures: {', '.join(PINS)} could not be installed."
        console.print(f"{note} What pip said is in {cache / 'peers.log'}.", highlight=False)
        return mine, [note]
    return mine | dict.fromkeys(PEERS, python), []


def _announce(plan: Sequence[Repetition], size: str, console: Console) -> None:
    minutes = sum(one.row.seconds for one in plan) * _SIZE_SHARE[size] / 60
    about = f"about {minutes:.0f} minutes" if minutes >= 1.5 else "about a minute"
    extra = "; stores that are not there yet take some minutes more" if size == "full" else ""
    console.print(f"{len(plan)} repetitions, {about}{extra}", highlight=False)


def _progress(console: Console) -> Progress:
    columns = (BarColumn(24), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}", markup=False))
    return Progress(*columns, console=console)


def _sample(runner: Runner, one: Repetition, progress: Progress, task: TaskID) -> Sample:
    name = f"{one.row.name} of {one.contestant}"

    def tell(line: str) -> None:
        progress.update(task, description=f"{name}: {line[:60]}")

    tell("")
    loops = calibrated(runner.cache, _LOOP_SECONDS[runner.size])
    figures = runner.run(one, tell)
    said = ", ".join(f"{key} {value:.4g}" for key, value in figures.items())
    progress.console.print(f"{name}: {said}", highlight=False, markup=False, soft_wrap=True)
    return Sample(one.row.name, one.contestant, figures, asdict(loops))


def _kept(path: Path, size: str) -> Results:
    """Earlier results of the same size on the same machine, to which these are added."""
    try:
        earlier = Results.load(path)
    except (OSError, ValueError, KeyError, TypeError):  # none, or of another version
        return Results(size, machine())
    return earlier if (earlier.size, earlier.machine) == (size, machine()) else Results(size, machine())


def _show(results: Results, out: Path, console: Console) -> None:
    text = markdown(results)
    (out / "benchmarks.md").write_text(text, encoding="utf-8")
    console.print(Markdown(text))
    written = ["benchmarks.md", "benchmarks.json"]
    if points := growth_points(results):
        (out / "growth.svg").write_text(growth_plot(points), encoding="utf-8")
        written.append("growth.svg")
    console.print(f"written to {out}: {', '.join(written)}", highlight=False)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
