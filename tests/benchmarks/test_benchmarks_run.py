"""The benchmarks run at a tiny size, so that they are there, and right, when somebody wants to measure.

No figure is held against anything: what is checked is that every row measures, and that its store is in order.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.benchmarks.requirements import REQUIREMENTS
from tests.benchmarks.results import Results
from tests.benchmarks.rows import ROWS

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where stores are kept that several rows start from."""
    return tmp_path_factory.mktemp("bench")


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    """What the command says."""
    command = [sys.executable, "-m", "tests.benchmarks", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)


def tiny(cache: Path, out: Path, rows: Sequence[str]) -> Results:
    """What one repetition of these rows gives, without peers."""
    options = ["--size", "tiny", "--repeat", "1", "--no-peers", "--cache", str(cache), "--out", str(out)]
    ended = bench(*rows, *options)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return Results.load(out / "benchmarks.json")


@pytest.mark.parametrize("row", [row.name for row in ROWS])
def test_a_row_is_measured_and_its_store_is_in_order(row: str, cache: Path, tmp_path: Path) -> None:
    """A store that does not add up, or is rebuilt otherwise, is an error; nothing required goes unmeasured."""
    results = tiny(cache, tmp_path, [row])
    required = {(r.contestant, r.figure) for r in REQUIREMENTS if r.row == row}
    figures = {(sample.contestant, name) for sample in results.samples for name in sample.figures}
    assert required - figures == set()
    assert figures != set()
    assert f"**{row}**" in (tmp_path / "benchmarks.md").read_text()


def test_what_is_inside_a_storm_of_few_tasks_adds_up() -> None:
    """The harness verifies its store afterwards: every run is accounted for, and a rebuild makes the same rows."""
    ended = bench("inside", "--tasks", "60")
    assert ended.returncode == 0, ended.stderr
    assert "verified: 60 runs executed, accounting adds up, rebuilt rows equal the live ones" in ended.stdout
