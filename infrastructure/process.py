"""Settings of the Python process itself."""

from __future__ import annotations

import gc

__all__ = ["collect_garbage_less_often"]


def collect_garbage_less_often() -> None:
    """Set Python's collector for a process that keeps very many small objects; for processes that are Daybook's own.

    With the defaults a burst of runs sets off full collections over all cached tasks: a storm of 10,000 runs takes a
    third more time, and the event loop stands still for up to 0.3 s. See docs/explanation/performance.md.
    """
    gc.set_threshold(50_000, 20, 100)
