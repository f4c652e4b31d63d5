"""The timer on APScheduler: one wake-up, re-armed by every change, and the periodic rings. No job per task."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger

__all__ = ["ApschedulerTimer"]


class ApschedulerTimer:
    """Rings on the running event loop (application.ports.Timer). Nothing is stored: the log decides what is due."""

    def __init__(self) -> None:
        # A late ring still rings, and several missed ones ring once: what they mean is decided from the log.
        defaults = {"misfire_grace_time": None, "coalesce": True, "max_instances": 1}
        self._scheduler = AsyncIOScheduler(timezone=UTC, job_defaults=defaults)
        self._armed: datetime | None = None
        self._started = False

    def start(self) -> None:
        """Begin ringing."""
        if not self._started:
            self._started = True
            self._scheduler.start()

    def wake_at(self, instant: datetime | None, callback: Callable[[], Awaitable[None]]) -> None:
        """Ring once at ``instant``, replacing the wake-up armed before; None disarms."""
        if instant == self._armed:
            return
        self._armed = instant
        if instant is None:
            if self._scheduler.get_job("wake") is not None:
                self._scheduler.remove_job("wake")
            return
        # A ring may arm the next one before APScheduler has noticed its end: that is no overlap to be dropped.
        self._scheduler.add_job(
            self._ring,
            DateTrigger(instant, timezone=UTC),
            args=[callback],
            id="wake",
            replace_existing=True,
            max_instances=1_000,
        )

    async def _ring(self, callback: Callable[[], Awaitable[None]]) -> None:
        self._armed = None
        await _finish(callback)

    def every(self, name: str, interval_seconds: float, callback: Callable[[], Awaitable[None]]) -> None:
        """Ring periodically; a ring is dropped while the callback of the same name still runs."""
        trigger = IntervalTrigger(seconds=interval_seconds, timezone=UTC)
        self._scheduler.add_job(_finish, trigger, args=[callback], id=f"every:{name}", replace_existing=True)

    def stop(self) -> None:
        """Stop ringing. Idempotent."""
        if self._started:
            self._started = False
            self._scheduler.shutdown(wait=False)


async def _finish(callback: Callable[[], Awaitable[None]]) -> None:
    """Run a callback to its end. APScheduler, stopping, cancels the job that it was rung by: that is no error."""
    with suppress(asyncio.CancelledError):
        await asyncio.shield(asyncio.ensure_future(callback()))
