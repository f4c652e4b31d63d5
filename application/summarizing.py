"""From collected messages to one finished summary, or to one per channel, which then are the parts of one."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

from application.adoption import adopted
from application.collecting import Collected
from application.masking import said
from application.ports import Clock, SummarizationEngine
from application.work import Work
from domain.definition import TaskDefinition
from domain.errors import InsufficientContent
from domain.summary import ChannelNote, Summary, SummaryContext

__all__ = ["Summarizer"]

PARTS_AT_ONCE = 4
"""How many channels of one run are summarized at the same time."""


@dataclass(frozen=True, slots=True)
class Summarizer:
    """An engine, and what is done around it."""

    engine: SummarizationEngine
    clock: Clock

    async def summarize(self, work: Work, channels: Sequence[Collected]) -> Summary:
        """One summary of all channels, or one with a part per channel, as the task asks. Raises InsufficientContent."""
        if work.definition.category_mode == "individual":
            return await self._one_per_channel(work, channels)
        messages = [message for channel in channels for message in channel.messages]
        _check_enough(len(messages), work.definition)
        return await self._one(work, channels, messages)

    async def _one_per_channel(self, work: Work, channels: Sequence[Collected]) -> Summary:
        enough = [channel for channel in channels if len(channel.messages) >= _least(work.definition)]
        _check_enough(max((len(channel.messages) for channel in channels), default=0), work.definition)
        for channel in channels:
            if channel not in enough and not channel.note:
                channel.note = str(InsufficientContent(len(channel.messages), _least(work.definition)))
        free = asyncio.Semaphore(PARTS_AT_ONCE)

        async def part(channel: Collected) -> Summary:
            async with free:
                return await self._one(work, [channel], channel.messages, alone=True)

        try:
            async with asyncio.TaskGroup() as group:
                making = [group.create_task(part(channel)) for channel in enough]
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
        return _with_parts(work, [made.result() for made in making], channels, self.clock)

    async def _one(
        self, work: Work, channels: Sequence[Collected], messages: list[Any], *, alone: bool = False
    ) -> Summary:
        definition = work.definition
        messages = sorted(messages, key=lambda message: message.timestamp)
        start, end = work.attempt.since, work.attempt.instant
        context = SummaryContext(
            channel_name=", ".join(channel.name for channel in channels if channel.name),
            start_time=start,
            end_time=end,
            total_participants=len({message.author_id for message in messages}),
            time_span_hours=(end - start).total_seconds() / 3600,
            deadline=work.attempt.deadline,
        )
        first = channels[0].channel_id if alone else _first_channel(definition, channels)
        result = await self.engine.summarize_messages(
            messages, definition.summary_options, context, first, definition.guild_id
        )
        summary, notes = adopted(result, work), tuple(channel.as_note for channel in channels)
        name = channels[0].name or first if alone else ""
        return summary.model_copy(
            update={
                "guild_id": definition.guild_id,
                "channel_id": first,
                "title": _title(work, name or definition.channel_id)
                or (f"{definition.name}: #{name}" if alone else summary.title or definition.name),
                "created_at": self.clock.now(),
                "channels": notes,
                "notice": _notice(summary.notice, notes),
            }
        )


def _least(definition: TaskDefinition) -> int:
    return max(1, definition.summary_options.min_messages)


def _check_enough(count: int, definition: TaskDefinition) -> None:
    if count < _least(definition):
        raise InsufficientContent(count, _least(definition))


def _first_channel(definition: TaskDefinition, channels: Sequence[Collected]) -> str:
    own = definition.all_channel_ids
    return own[0] if own else next(channel.channel_id for channel in channels if channel.messages)


def _notice(said_already: str, notes: Sequence[ChannelNote]) -> str:
    """What readers are told beside: of several channels, those that are not in it, and why."""
    left_out = [f"{note.name or note.channel_id}: {note.note}" for note in notes if note.note and len(notes) > 1]
    return said("; ".join(part for part in (said_already, *left_out) if part))


def _with_parts(work: Work, parts: Sequence[Summary], channels: Sequence[Collected], clock: Clock) -> Summary:
    """The summary of a run that has one for each channel. What was left out is told with the first of them."""
    notes = tuple(channel.as_note for channel in channels)
    notice = _notice("", notes)
    first = parts[0].model_copy(update={"notice": said("; ".join(n for n in (parts[0].notice, notice) if n))})
    notices = dict.fromkeys(n for n in (notice, *(part.notice for part in parts)) if n)
    usages = [part.usage for part in parts if part.usage is not None]
    people: Counter[str] = Counter()
    for part in parts:
        people.update(dict(part.participants))
    definition = work.definition
    return Summary(
        id=f"{work.attempt.run}-parts",
        guild_id=definition.guild_id,
        channel_id=parts[0].channel_id,
        title=_title(work, definition.channel_id) or definition.name,
        summary_text="\n\n".join(f"{part.title}\n{part.summary_text}" for part in parts),
        participants=tuple(people.most_common()),
        message_count=sum(part.message_count for part in parts),
        start_time=min(part.start_time for part in parts),
        end_time=max(part.end_time for part in parts),
        created_at=clock.now(),
        engine=parts[0].engine,
        notice=said("; ".join(notices)),
        channels=notes,
        parts=(first, *parts[1:]),
        usage=reduce(add, usages) if usages else None,
    )


def _title(work: Work, channel: str) -> str:
    template = work.definition.title_template
    if not template:
        return ""
    # Plain replacement: a template is a person's text, and str.format would reach into objects.
    words = {"{name}": work.definition.name, "{date}": f"{work.attempt.instant:%Y-%m-%d}", "{channel}": channel}
    for word, value in words.items():
        template = template.replace(word, value)
    return template
