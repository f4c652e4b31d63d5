"""The benchmarks run at a tiny size, so that they are there, and right, when somebody wants to measure."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("arguments", [["--tasks", "60"], ["--tasks", "60", "--bare"], ["--tasks", "60", "--cold"]])
def test_a_storm_of_few_tasks_adds_up(arguments: list[str]) -> None:
    """The harness verifies its store afterwards: every run is accounted for, and a rebuild makes the same rows."""
    command = [sys.executable, "-m", "tests.benchmarks", "storm", *arguments]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "verified: 60 runs executed, accounting adds up, rebuilt rows equal the live ones" in ended.stdout


def test_the_past_of_a_small_store_is_measured() -> None:
    """The store is made, and every question is answered."""
    command = [sys.executable, "-m", "tests.benchmarks", "past", "--tasks", "5", "--events", "60"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("as of, ") == 6
