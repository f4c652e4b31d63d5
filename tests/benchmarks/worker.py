"""One repetition in a process of its own: ``python -m tests.benchmarks.worker measure|prepare ROW NAME SIZE PLACE``.

SIZE and PLACE are JSON. The figures go to standard output as JSON; standard error says what is going on.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path

from tests.benchmarks.contestant import Place

__all__ = ["main"]


def main(phase: str, row: str, name: str, size: str, place: str) -> None:
    """Run one phase of a row for one contestant."""
    given = json.loads(place)
    at = Place(Path(given["folder"]), Path(given["cache"]), given["thorough"])
    figures = getattr(import_module(f"tests.benchmarks.rows.{row}"), phase)(name, json.loads(size), at)
    print(json.dumps(figures))


if __name__ == "__main__":
    main(*sys.argv[1:])
