"""Runs repetitions one after the other, each in processes and a folder of its own, contestants taking turns."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tests.benchmarks.contestants import PEERS
from tests.benchmarks.row import Row

__all__ = ["Repetition", "Runner", "repetitions"]

ROOT = Path(__file__).parents[2]
LONGEST_SECONDS = 1_800
_TOLD_LINES = 25

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Repetition:
    """One repetition to come. The first of a contestant is ``thorough``: it verifies everything."""

    row: Row
    contestant: str
    thorough: bool


def repetitions(row: Row, contestants: Sequence[str], times: int, *, more: bool = False) -> Iterator[Repetition]:
    """Contestants that the row has take turns, so that all are measured in the same minutes; most peers have one.

    Where they are ``more`` than those that were before, none is thorough.
    """
    for turn in range(min(times, row.most)):
        for name in (name for name in row.contestants if name in contestants):
            if turn == 0 or name not in PEERS or name in row.rivals:
                yield Repetition(row, name, thorough=turn == 0 and not more)


@dataclass(frozen=True, slots=True)
class Runner:
    """``pythons`` are the interpreters by contestant; ``cache`` is kept, folders of repetitions are not."""

    pythons: Mapping[str, str]
    cache: Path
    size: str

    def run(self, repetition: Repetition, tell: Tell) -> dict[str, float]:
        """The figures of one repetition. Raises RuntimeError with the end of what the process said when it fails."""
        folder = Path(tempfile.mkdtemp(prefix="run-", dir=self.cache))
        try:
            if repetition.row.prepared:
                self._phase("prepare", repetition, folder, tell)
            return self._phase("measure", repetition, folder, tell)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _phase(self, phase: str, repetition: Repetition, folder: Path, tell: Tell) -> dict[str, float]:
        row, name = repetition.row, repetition.contestant
        place = {"folder": str(folder), "cache": str(self.cache), "thorough": repetition.thorough}
        said = [json.dumps(row.sizes[self.size]), json.dumps(place)]
        command = [self.pythons[name], "-m", "tests.benchmarks.worker", phase, row.name, name, *said]
        with subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8"
        ) as process:
            lines: list[str] = []
            assert process.stdout is not None
            assert process.stderr is not None
            listening = threading.Thread(target=_listen, args=(process.stderr, lines, tell))
            listening.start()
            guard = threading.Timer(LONGEST_SECONDS, process.kill)
            guard.start()
            answer = process.stdout.read()
            process.wait()
            guard.cancel()
            listening.join()
        if process.returncode != 0:
            end = "\n".join(lines[-_TOLD_LINES:])
            raise RuntimeError(f"{row.name} of {name} failed ({phase}, exit code {process.returncode}):\n{end}")
        figures: dict[str, float] = json.loads(answer.splitlines()[-1]) or {}
        return figures


def _listen(source: IO[str], lines: list[str], tell: Tell) -> None:
    for line in source:
        lines.append(line.rstrip())
        tell(lines[-1])
