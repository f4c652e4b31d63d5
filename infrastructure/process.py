"""The Python process itself: how it collects garbage, how it lets go of its parts."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable
from typing import Any

__all__ = ["close_all", "collect_garbage_less_often"]

CLOSING_SECONDS = 5.0
"""How long a stop waits for parts to close."""


def collect_garbage_less_often() -> None:
    """Set Python's collector for a process that keeps very many small objects; for processes that are Daybook's own.

    With the defaults a burst of runs sets off full collections over all cached tasks: a storm of 10,000 runs takes a
    third more time, and the event loop stands still for up to 0.3 s. See docs/explanation/performance.md.
    """
    gc.set_threshold(50_000, 20, 100)


async def close_all(parts: Iterable[object], seconds: float = CLOSING_SECONDS) -> None:
    """Close what has a ``close``, a coroutine or not, side by side; one that hangs is left behind after so long."""
    import asyncio

    closing = [asyncio.ensure_future(_closed(close)) for part in parts if (close := getattr(part, "close", None))]
    if closing:
        await asyncio.wait(closing, timeout=seconds)


async def _closed(close: Callable[[], Any]) -> None:
    import asyncio

    await (close() if asyncio.iscoroutinefunction(close) else asyncio.to_thread(close))
