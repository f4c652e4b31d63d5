"""What is due soon is in memory before it is due: a burst must not read ten thousand histories first."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from application.ports import Clock, ReadModel, Writer
from domain.errors import StoreError
from domain.event import epoch_microseconds
from domain.identity import id_of

__all__ = ["ReadingAhead"]

AHEAD = timedelta(seconds=20)
MOST = 10_000
CHUNK = 50
"""So few at a time that a command never waits long for it."""

_log = logging.getLogger(__name__)


class ReadingAhead:
    """Reads while it is ``wanted``; ``aside`` makes a blocking call on another thread."""

    def __init__(
        self,
        *,
        writer: Writer,
        rows: ReadModel,
        clock: Clock,
        aside: Callable[..., Awaitable[Any]],
        wanted: Callable[[], bool],
    ) -> None:
        self._writer, self._rows, self._clock, self._aside, self._wanted = writer, rows, clock, aside, wanted

    async def read(self) -> None:
        """Have what is due soon in memory."""
        try:
            soon = await self._aside(self.due_soon, self._clock.now() + AHEAD)
            for start in range(0, len(soon), CHUNK):
                if self._wanted():
                    await self._writer.prepare(soon[start : start + CHUNK])
        except StoreError:
            _log.exception("what is due soon could not be read ahead; it is read when it is due")

    def due_soon(self, until: datetime) -> list[UUID]:
        """What is due by an instant, as far as it is worth it."""
        return [id_of(task_id) for task_id, _, _ in self._rows.due(epoch_microseconds(until), MOST)]
