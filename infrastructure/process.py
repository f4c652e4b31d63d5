"""The Python process itself: how it collects garbage, how it lets go of its parts."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable
from typing import Any

__all__ = ["close_all", "collect_garbage_less_often", "collect_young_garbage"]

_YOUNG = 50_000
_WORTH_COLLECTING = 2_000

CLOSING_SECONDS = 5.0
"""How long a stop waits for parts to close."""


def collect_garbage_less_often() -> None:
    """Set Python's collector for a process that keeps very many small objects; for processes that are Daybook's own.

    With the defaults a burst of runs sets off full collections over all cached tasks: a storm of 10,000 runs takes a
    third more time, and the event loop stands still for up to 0.3 s. See docs/explanation/performance.md.
    """
    gc.set_threshold(_YOUNG, 20, 100)


def collect_young_garbage() -> None:
    """Look through what was made since the last collection, at a moment when nobody waits.

    Python does so as objects are made: in the middle of the work that was due. It takes up to 18 milliseconds for as
    many as ``collect_garbage_less_often`` lets come together. Where that was not called the process is another's.
    """
    if gc.isenabled() and gc.get_threshold()[0] == _YOUNG and gc.get_count()[0] >= _WORTH_COLLECTING:
        gc.collect(0)


async def close_all(parts: Iterable[object], seconds: float = CLOSING_SECONDS) -> None:
    """Close what has a ``close``, a coroutine or not, side by side; one that hangs is left behind after so long."""
    import asyncio

    closing = [asyncio.ensure_future(_closed(close)) for part in parts if (close := getattr(part, "close", None))]
    if closing:
        await asyncio.wait(closing, timeout=seconds)


async def _closed(close: Callable[[], Any]) -> None:
    import asyncio

    await (close() if asyncio.iscoroutinefunction(close) else asyncio.to_thread(close))
