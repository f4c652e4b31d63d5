"""The benchmarks run at a tiny size, so that they are there, and right, when somebody wants to measure.

No figure is held against anything: what is checked is that every row measures, and that its store is in order.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks.requirements import REQUIREMENTS
from tests.benchmarks.rows import ROWS

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every row at its tiny size, without peers; the folder that the results are written to."""
    folder = tmp_path_factory.mktemp("bench")
    given = ["--size", "tiny", "--repeat", "1", "--no-peers", "--cache", str(folder), "--out", str(folder)]
    command = [sys.executable, "-m", "tests.benchmarks", *given]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return folder


def test_every_row_is_measured_and_its_store_verified(measured: Path) -> None:
    """A row whose store does not add up afterwards, or is not rebuilt as it was, ends with an error and no sample."""
    samples = json.loads((measured / "results.json").read_text())["samples"]
    assert {sample["row"] for sample in samples} == {row.name for row in ROWS}


def test_every_figure_that_something_is_required_of_is_measured(measured: Path) -> None:
    """A requirement that names a figure which nobody measures would be met by never being looked at."""
    samples = json.loads((measured / "results.json").read_text())["samples"]
    figures = {(sample["row"], sample["contestant"], name) for sample in samples for name in sample["figures"]}
    assert {(r.row, r.contestant, r.figure) for r in REQUIREMENTS} - figures == set()


def test_the_table_names_every_row(measured: Path) -> None:
    """The Markdown table has a part for each row, and says that peers are missing."""
    text = (measured / "results.md").read_text()
    assert [row.name for row in ROWS if f"**{row.name}**" not in text and row.name != "growth"] == []


@pytest.mark.parametrize("arguments", [["--tasks", "60"], ["--tasks", "60", "--cold", "--bare"]])
def test_what_is_inside_a_storm_of_few_tasks_adds_up(arguments: list[str]) -> None:
    """The harness verifies its store afterwards: every run is accounted for, and a rebuild makes the same rows."""
    command = [sys.executable, "-m", "tests.benchmarks", "inside", *arguments]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "verified: 60 runs executed, accounting adds up, rebuilt rows equal the live ones" in ended.stdout
