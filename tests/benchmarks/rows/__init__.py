"""Every row of the table, in its order."""

from __future__ import annotations

from importlib import import_module

from tests.benchmarks.row import Row

__all__ = ["ROWS"]

_NAMES = (
    "storm",
    "steady",
    "boot",
    "add",
    "pause",
    "queries",
    "rebuild",
    "aggregate",
    "disk",
    "command",
    "slots",
    "past",
    "growth",
)

ROWS: tuple[Row, ...] = tuple(import_module(f"{__name__}.{name}").ROW for name in _NAMES)
