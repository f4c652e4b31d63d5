"""The messages of a task's channels: which these are now, what was said in them, and what could not be read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from application.failures import is_quiet
from application.masking import said
from application.ports import CategoryChannels, GuildBound, MessageProcessor
from application.work import Work
from domain.definition import TaskDefinition
from domain.errors import ChannelInaccessible
from domain.summary import ChannelNote

__all__ = ["Collected", "collect"]


@dataclass(slots=True)
class Collected:
    """One channel of a run. ``note`` says why there is less than was asked for; ``error``: it could not be read."""

    channel_id: str
    name: str = ""
    messages: list[Any] = field(default_factory=list)
    note: str = ""
    error: ChannelInaccessible | None = None

    @property
    def as_note(self) -> ChannelNote:
        """What is kept of it."""
        return ChannelNote(channel_id=self.channel_id, name=self.name, message_count=len(self.messages), note=self.note)


async def collect(processor: MessageProcessor, work: Work) -> list[Collected]:
    """The channels of a task as they are now, each with its messages of the look-back.

    A quiet or inaccessible channel does not fail the others; when none can be read, ChannelInaccessible is raised.
    """
    if isinstance(processor, GuildBound):
        processor = processor.for_guild(work.guild_id)
    found = [await _read(processor, work, channel_id) for channel_id in work.definition.all_channel_ids]
    found += await _of_category(processor, work, {channel.channel_id for channel in found})
    inaccessible = [channel.error for channel in found if channel.error is not None]
    if inaccessible and len(inaccessible) == len(found):
        raise inaccessible[0]
    return found


async def _of_category(processor: MessageProcessor, work: Work, known: set[str]) -> list[Collected]:
    """The channels that the category of a task holds now, but for the excluded and those that are ``known`` already."""
    category = work.definition.category_id
    if not category:
        return []
    try:
        if not isinstance(processor, CategoryChannels):
            raise ChannelInaccessible(category, "this source of messages knows no categories")
        within = await processor.channels_of(category)
    except ChannelInaccessible as error:
        return [Collected(category, note=said(error.reason), error=error)]
    left_out = {*work.definition.excluded_channel_ids, *known}
    wanted = [channel_id for channel_id in dict.fromkeys(within) if channel_id not in left_out]
    return [await _read(processor, work, channel_id) for channel_id in wanted]


async def _read(processor: MessageProcessor, work: Work, channel_id: str) -> Collected:
    attempt, channel = work.attempt, Collected(channel_id)
    try:
        found = await processor.process_channel_messages(
            channel_id, attempt.since, attempt.instant, work.definition.summary_options
        )
        channel.messages = _without_excluded(found, work.definition)
    except ChannelInaccessible as error:
        channel.error, channel.note = error, said(error.reason)
    except Exception as error:
        if not is_quiet(error):
            raise
        channel.note = said(error)
    channel.name = await _name(processor, channel_id)
    if not channel.messages and not channel.note:
        channel.note = "nothing was said"
    return channel


def _without_excluded(messages: Sequence[Any], definition: TaskDefinition) -> list[Any]:
    """Without those of excluded threads, which come with their channel."""
    excluded = definition.excluded_channel_ids
    return [message for message in messages if getattr(message, "channel_id", None) not in excluded]


async def _name(processor: MessageProcessor, channel_id: str) -> str:
    ask = getattr(processor, "channel_name", None)
    return str(await ask(channel_id) or "")[:200] if ask is not None else ""
