"""Stand-ins for what a host plugs in, and for the clock and the timer, so that tests decide what time it is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

__all__ = [
    "HandClock",
    "HandTimer",
    "HostBot",
    "HostEngine",
    "HostMessage",
    "HostMessages",
    "HostSummary",
    "Quiet",
]

Callback = Callable[[], Awaitable[None]]


class HandClock:
    """A clock that stands still until it is set (application.ports.Clock)."""

    def __init__(self, instant: datetime) -> None:
        self.instant = instant

    def now(self) -> datetime:
        """The instant it was set to (aware UTC)."""
        return self.instant

    def move(self, by: timedelta) -> None:
        """Jump, forward or (with a negative length) back."""
        self.instant += by


@dataclass
class _Periodic:
    interval: timedelta
    callback: Callback
    due: datetime
    running: asyncio.Task[None] | None = None


class HandTimer:
    """A timer that rings as its clock is moved by ``advance`` (application.ports.Timer)."""

    def __init__(self, clock: HandClock) -> None:
        self.clock = clock
        self.armed: datetime | None = None
        self._callback: Callback | None = None
        self._periodic: dict[str, _Periodic] = {}
        self._ringing: set[asyncio.Task[None]] = set()
        self._started = False

    def start(self) -> None:
        """Begin ringing."""
        self._started = True
        self._ring_past()

    def wake_at(self, instant: datetime | None, callback: Callback) -> None:
        """Ring once at ``instant``, replacing the wake-up armed before; None disarms."""
        self.armed, self._callback = instant, callback
        self._ring_past()

    def every(self, name: str, interval_seconds: float, callback: Callback) -> None:
        """Ring periodically; a ring is dropped while the callback of the same name still runs."""
        interval = timedelta(seconds=interval_seconds)
        self._periodic[name] = _Periodic(interval, callback, self.clock.now() + interval)

    def stop(self) -> None:
        """Stop ringing. Idempotent."""
        self._started = False

    async def done(self) -> None:
        """Until every callback that was rung has come to its end."""
        while self._ringing:
            await asyncio.wait(set(self._ringing))

    async def advance(self, by: timedelta) -> None:
        """Move the clock, ring on the way where it is armed, and let what was rung do its first steps.

        What is periodic rings once at the end, however often it would have rung.
        """
        end = self.clock.now() + by
        while self._started and self.armed is not None and self.armed <= end:
            self.clock.instant = max(self.armed, self.clock.instant)
            self._ring_past()
            await self._yield()
        self.clock.instant = end
        self._ring_past()
        await self._yield()

    async def check(self) -> None:
        """Ring all that is periodic, whatever the clock says: what a real timer does 30 s after any jump."""
        for periodic in list(self._periodic.values()):
            await periodic.callback()

    def _ring_past(self) -> None:
        if not self._started:
            return
        now = self.clock.now()
        if self.armed is not None and self.armed <= now and self._callback is not None:
            callback, self.armed, self._callback = self._callback, None, None
            self._ring(callback)
        for periodic in self._periodic.values():
            if periodic.due <= now:
                periodic.due = now + periodic.interval
                if periodic.running is None or periodic.running.done():
                    periodic.running = self._ring(periodic.callback)

    def _ring(self, callback: Callback) -> asyncio.Task[None]:
        async def ring() -> None:
            await callback()

        task = asyncio.get_running_loop().create_task(ring())
        self._ringing.add(task)
        task.add_done_callback(self._ringing.discard)
        return task

    async def _yield(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)


# --- a host bot, as bots written for the predecessor look -----------------------------------------------------------


@dataclass(frozen=True)
class HostMessage:
    """A message of a host: only what Daybook asks of one."""

    author_id: str
    timestamp: datetime
    content: str = "hello"


class Quiet(Exception):
    """A host's own insufficient-content error."""

    def __init__(self, message_count: int, min_required: int) -> None:
        self.message_count, self.min_required = message_count, min_required
        super().__init__(f"{message_count} of {min_required}")


@dataclass
class HostMessages:
    """A message processor: ``count`` messages in every range, spread over it; remembers what it was asked."""

    count: int = 12
    asked: list[tuple[str, datetime, datetime]] = field(default_factory=list)
    error: Exception | None = None

    async def process_channel_messages(
        self, channel_id: str, start_time: datetime, end_time: datetime, options: Any, limit: int | None = None
    ) -> list[HostMessage]:
        """The messages of a channel."""
        self.asked.append((channel_id, start_time, end_time))
        if self.error is not None:
            raise self.error
        step = (end_time - start_time) / (self.count + 1)
        return [HostMessage(f"{900 + n % 3}", start_time + step * (n + 1), f"message {n}") for n in range(self.count)]


@dataclass(frozen=True)
class HostSummary:
    """A result of a host's engine, which renders itself."""

    id: str
    summary_text: str
    message_count: int
    participants: tuple[str, ...]
    start_time: datetime
    end_time: datetime

    def to_markdown(self) -> str:
        """The text for files."""
        return f"# Digest\n\n{self.summary_text}\n"

    def to_embed_dict(self) -> dict[str, Any]:
        """The embed for Discord."""
        return {"title": "Digest", "description": self.summary_text}


@dataclass
class HostEngine:
    """A summarization engine. ``errors`` are raised first, one per call."""

    errors: list[Exception] = field(default_factory=list)
    calls: int = 0

    async def summarize_messages(
        self, messages: Sequence[Any], options: Any, context: Any, channel_id: str = "", guild_id: str = ""
    ) -> HostSummary:
        """A summary that says how many messages there were."""
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return HostSummary(
            id=f"summary-{self.calls}",
            summary_text=f"{len(messages)} messages in {channel_id}",
            message_count=len(messages),
            participants=tuple(sorted({message.author_id for message in messages})),
            start_time=messages[0].timestamp,
            end_time=messages[-1].timestamp,
        )


class HostBot:
    """A Discord client: channels of one guild that record what is sent into them."""

    def __init__(self, guild_id: str) -> None:
        self.guild_id = guild_id
        self.sent: list[tuple[int, dict[str, Any]]] = []
        self.error: Exception | None = None

    def get_channel(self, id: int, /) -> Any:
        """The channel, as from the cache."""
        return SimpleNamespace(id=id, guild=SimpleNamespace(id=int(self.guild_id)), send=self._sender(id))

    async def fetch_channel(self, channel_id: int, /) -> Any:
        """The channel, as from Discord."""
        return self.get_channel(channel_id)

    def _sender(self, channel_id: int) -> Callable[..., Awaitable[Any]]:
        async def send(content: str | None = None, **what: Any) -> Any:
            if self.error is not None:
                raise self.error
            self.sent.append((channel_id, {"content": content, **what}))
            return SimpleNamespace(id=1000 + len(self.sent))

        return send


EARLY = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
"""A Monday morning on which tests begin."""
