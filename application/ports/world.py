"""The world around: clocks, timers, sources of messages, engines, destinations."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from domain.destination import Destination, DestinationType
    from domain.summary import Summary, SummaryContext, SummaryOptions

__all__ = [
    "CategoryChannels",
    "ChannelNames",
    "Clock",
    "DeliveryChannel",
    "DeliveryRequest",
    "GuildBound",
    "MessageProcessor",
    "SummarizationEngine",
    "Timer",
]


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> datetime:
        """The present instant (aware, UTC)."""
        ...


class Timer(Protocol):
    """Rings. A ring is a hint: what is due is decided anew from the log. Callbacks are coroutines of the same loop."""

    def start(self) -> None:
        """Begin ringing, on the running event loop."""
        ...

    def wake_at(self, instant: datetime | None, callback: Callable[[], Awaitable[None]]) -> None:
        """Ring once at ``instant`` (aware), replacing the wake-up armed before; None disarms. The past rings now."""
        ...

    def every(self, name: str, interval_seconds: float, callback: Callable[[], Awaitable[None]]) -> None:
        """Ring periodically; a ring is dropped while the callback of the same name still runs."""
        ...

    def stop(self) -> None:
        """Stop ringing. Callbacks that run are not cancelled. Idempotent."""
        ...

    async def done(self) -> None:
        """Until every callback that was rung has come to its end."""
        ...


@runtime_checkable
class MessageProcessor(Protocol):
    """Where messages come from. A host bot plugs its own in."""

    async def process_channel_messages(
        self,
        channel_id: str,
        start_time: datetime,
        end_time: datetime,
        options: SummaryOptions,
        limit: int | None = None,
    ) -> list[Any]:
        """The messages of a channel with start_time <= timestamp < end_time (aware UTC), oldest first.

        Messages have at least ``author_id``, ``timestamp`` and ``content``; Daybook's own are domain.summary.Message.
        Bots and excluded users are left out as ``options`` says; ``limit`` keeps the newest.
        Raises ChannelInaccessible, FetchFailed (SourceUnavailable where all of it is away), SourceRateLimited, or
        InsufficientContent (or errors of a host that carry ``message_count`` and ``min_required``).
        """
        ...


@runtime_checkable
class ChannelNames(Protocol):
    """What a source of messages may offer beside: the names that people know its channels by."""

    async def channel_name(self, channel_id: str) -> str | None:
        """The name of a channel; None where it is not known. Raises nothing."""
        ...


@runtime_checkable
class KeepsResults(Protocol):
    """What a delivery channel offers beside, whose results stay with this machine: to be erased one day. Blocking."""

    def results_of(self, guild_id: str, wanted: Callable[[str], bool] | None = None) -> int:
        """How many results of a guild are kept; of those alone whose text is ``wanted``."""
        ...

    def erase_results(
        self, guild_id: str, wanted: Callable[[str], bool] | None = None, *, until: datetime | None = None
    ) -> int:
        """Erase them, those written after ``until`` excepted; returns how many there were."""
        ...


@runtime_checkable
class CategoryChannels(Protocol):
    """What a source of messages may offer beside, so that tasks can name categories of channels."""

    async def channels_of(self, category_id: str) -> Sequence[str]:
        """The ids of the channels that a category holds now, as people see them; threads come with their channel.

        Those that may not be read are among them, so that they are named. Raises ChannelInaccessible (there is no such
        category, or it is another guild's), FetchFailed (SourceUnavailable), SourceRateLimited.
        """
        ...


@runtime_checkable
class GuildBound(Protocol):
    """What a source of messages of many guilds offers beside, so that a task reads its own guild only."""

    def for_guild(self, guild_id: str) -> MessageProcessor:
        """The same source, to which channels of other guilds are inaccessible. No I/O."""
        ...


@runtime_checkable
class SummarizationEngine(Protocol):
    """What turns messages into a summary. A host bot plugs its own in."""

    async def summarize_messages(
        self,
        messages: Sequence[Any],
        options: SummaryOptions,
        context: SummaryContext,
        channel_id: str = "",
        guild_id: str = "",
    ) -> Any:
        """A domain.summary.Summary, or a host's object.

        That has ``id``, ``summary_text``, ``message_count``, ``participants``, ``start_time``, ``end_time`` and, if it
        renders itself, ``to_embed_dict()`` and ``to_markdown()``.
        """
        ...


@dataclass(frozen=True, slots=True)
class DeliveryRequest:
    """One result for one destination.

    ``key`` is the idempotency key, equal in every try; ``timezone`` is the task's, for the times that people read;
    ``slot`` is the instant the run stands for (aware UTC); ``first_sent_at`` when an earlier attempt first sent
    anything of this run (aware UTC), None when none did.
    """

    key: str
    run_id: str
    task_id: str
    task_name: str
    guild_id: str
    destination: Destination
    summary: Summary
    slot: datetime
    timezone: str = "UTC"
    first_sent_at: datetime | None = None
    extra: Mapping[str, str] = field(default_factory=dict)


class DeliveryChannel(Protocol):
    """One technology that results are delivered through."""

    @property
    def type(self) -> DestinationType:
        """The kind of destination that it delivers to."""
        ...

    def remembers(self, destination: Destination) -> timedelta:
        """How long the other side knows a key again, so that a second send leaves one result.

        ``timedelta.max``: for ever (or a second result does no harm); zero: not at all.
        """
        ...

    def check(self, destination: Destination, guild_id: str) -> None:
        """Refuse (InvalidDestination) a destination that this channel can never deliver to. No I/O."""
        ...

    async def deliver(self, request: DeliveryRequest) -> str:
        """Deliver, and return the receipt (a message id, a status, a path). Raises DeliveryFailed.

        May be cancelled (a deadline, a shutdown); then it must leave nothing half-done that a reader could see.
        """
        ...
