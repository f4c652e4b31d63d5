"""Work that goes on to its end when whoever asked for it stops waiting: a caller that is cancelled leaves nothing
half-done behind a fact that is in the log already.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

__all__ = ["Lasting"]

T = TypeVar("T")

_log = logging.getLogger(__name__)


class Lasting:
    """What was begun so in one part of the service. Used on one event loop."""

    def __init__(self) -> None:
        self._under_way: set[asyncio.Task[Any]] = set()

    async def carry_through(self, work: Coroutine[Any, Any, T]) -> T:
        """What the work comes to; raises what it raises. Cancelling this cancels the waiting alone.

        An error that nobody waits for any more is told in the program's own log.
        """
        task = asyncio.get_running_loop().create_task(work)
        self._under_way.add(task)  # the loop itself keeps only weak references
        task.add_done_callback(self._under_way.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(_told)
            raise

    async def done(self, within_seconds: float | None = None) -> None:
        """Until all of it has come to its end, for so long at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_seconds):
                while self._under_way:
                    await asyncio.wait(self._under_way.copy())


def _told(task: asyncio.Task[Any]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("what nobody waits for any more failed: %r", error, exc_info=error)
