"""What was measured, as values: samples as they come, and the JSON file that they are kept in."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from tests.benchmarks.calibration import FACTORS, REFERENCE

__all__ = ["Results", "Sample", "machine"]


@dataclass(frozen=True, slots=True)
class Sample:
    """One repetition of one row by one contestant: figures by name. ``loops`` is what the machine did just before."""

    row: str
    contestant: str
    figures: Mapping[str, float]
    loops: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Results:
    """Everything that one or several runs of the harness measured at one size, on one machine."""

    size: str
    machine: Mapping[str, Any]
    samples: tuple[Sample, ...] = ()
    notes: tuple[str, ...] = ()

    def figures(self, row: str, contestant: str, name: str) -> list[float]:
        """What all repetitions gave for a figure; a repetition may lack it."""
        mine = (s for s in self.samples if (s.row, s.contestant) == (row, contestant))
        return [float(s.figures[name]) for s in mine if name in s.figures]

    def value(self, row: str, contestant: str, name: str) -> float | None:
        """The median of a figure; None when nothing gave it."""
        found = self.figures(row, contestant, name)
        return median(found) if found else None

    def factor(self, row: str, kind: str) -> float:
        """How many times as slow as the machine of the requirements this one was meanwhile; 1 if unknown."""
        found = self.factors(kind, row)
        return median(found) if found else 1.0

    def factors(self, kind: str, row: str | None = None) -> list[float]:
        """The same of each sample, of one row or of all."""
        loop = FACTORS[kind]
        return [REFERENCE[loop] / s.loops[loop] for s in self.samples if row in (None, s.row) and s.loops.get(loop)]

    def with_samples(self, samples: Iterable[Sample], notes: Iterable[str], *, more: bool = False) -> Results:
        """These samples instead of earlier ones of the same rows and contestants, or as ``more`` of them."""
        new = tuple(samples)
        replaced = set() if more else {(sample.row, sample.contestant) for sample in new}
        kept = tuple(s for s in self.samples if (s.row, s.contestant) not in replaced)
        added = tuple(note for note in notes if note not in self.notes)
        return Results(self.size, self.machine, (*kept, *new), (*self.notes, *added))

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(_rounded(asdict(self)), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Results:
        """Read what ``save`` wrote."""
        given = json.loads(path.read_text(encoding="utf-8"))
        given["samples"] = tuple(Sample(**sample) for sample in given["samples"])
        given["notes"] = tuple(given["notes"])
        return cls(**given)


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, Mapping):
        return {key: _rounded(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(inner) for inner in value]
    return value


def machine() -> dict[str, Any]:
    """What the figures were measured on; no name, and no path."""
    return {
        "system": platform.system(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "processor": _processor(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
