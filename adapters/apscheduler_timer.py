"""The timer on APScheduler: one wake-up, re-armed by every change, and the periodic rings. No job per task."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from apscheduler.executors.debug import DebugExecutor
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger

__all__ = ["ApschedulerTimer"]

Callback = Callable[[], Awaitable[None]]

RINGS_BEHIND = timedelta(milliseconds=250)
"""So long behind a whole second periodic rings come: slots are at whole seconds, and what is due then goes first."""

_log = logging.getLogger(__name__)


class ApschedulerTimer:
    """Rings on the running event loop (application.ports.Timer). Nothing is stored: the log decides what is due.

    APScheduler only says when: its jobs start tasks of ours and end at once, so that stopping it cancels nothing.
    """

    def __init__(self) -> None:
        # A late ring still rings, and several missed ones ring once: what they mean is decided from the log.
        defaults = {"misfire_grace_time": None, "coalesce": True}
        # The executor that runs a job where it is: on the event loop.
        self._scheduler = AsyncIOScheduler(timezone=UTC, job_defaults=defaults, executors={"default": DebugExecutor()})
        self._armed: datetime | None = None
        self._started = False
        self._running: dict[str, asyncio.Task[None]] = {}
        self._rung: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Begin ringing."""
        if not self._started:
            self._started = True
            self._scheduler.start()

    def wake_at(self, instant: datetime | None, callback: Callback) -> None:
        """Ring once at ``instant``, replacing the wake-up armed before; None disarms."""
        if instant == self._armed:
            return
        self._armed = instant
        if instant is None:
            if self._scheduler.get_job("wake") is not None:
                self._scheduler.remove_job("wake")
            return
        self._scheduler.add_job(
            self._wake, DateTrigger(instant, timezone=UTC), args=[callback], id="wake", replace_existing=True
        )

    def every(self, name: str, interval_seconds: float, callback: Callback) -> None:
        """Ring periodically; a ring is dropped while the callback of the same name still runs."""
        first = _first_ring(datetime.now(UTC), interval_seconds)
        trigger = IntervalTrigger(seconds=interval_seconds, start_date=first, timezone=UTC)
        self._scheduler.add_job(self._again, trigger, args=[name, callback], id=f"every:{name}", replace_existing=True)

    def stop(self) -> None:
        """Stop ringing. Callbacks that run come to their end. Idempotent."""
        if self._started:
            self._started = False
            self._scheduler.shutdown(wait=False)

    async def done(self) -> None:
        """Until every callback that was rung has come to its end."""
        while self._rung:
            await asyncio.wait(self._rung.copy())

    def _wake(self, callback: Callback) -> None:
        self._armed = None
        if self._started:  # APScheduler stops a turn of the loop later than it is told to
            self._ring("wake", callback)

    def _again(self, name: str, callback: Callback) -> None:
        running = self._running.get(name)
        if self._started and (running is None or running.done()):
            self._running[name] = self._ring(name, callback)

    def _ring(self, name: str, callback: Callback) -> asyncio.Task[None]:
        async def ring() -> None:
            try:
                await callback()
            except Exception:
                _log.exception("the timer's callback %s failed", name)

        task = asyncio.get_running_loop().create_task(ring(), name=f"daybook-timer-{name}")
        self._rung.add(task)  # the loop itself keeps only weak references
        task.add_done_callback(self._rung.discard)
        return task


def _first_ring(now: datetime, interval_seconds: float) -> datetime | None:
    """When a timer first rings: about an interval from now. None where it is too short to matter; then just so."""
    if interval_seconds < 2 * RINGS_BEHIND.total_seconds():
        return None
    return (now + timedelta(seconds=interval_seconds)).replace(microsecond=0) + RINGS_BEHIND
