"""What every source of messages must do: one suite for application.ports.MessageProcessor, run over each of them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
import pytest_asyncio

from adapters.archive import ArchiveProcessor
from adapters.discord_history import DiscordHistory
from application.ports import MessageProcessor
from domain.errors import ChannelInaccessible
from domain.summary import Message, SummaryOptions
from tests.discord_double import discord_double, snowflake

GUILD, CHANNEL = "100", "200"
START = datetime(2026, 3, 2, 9, tzinfo=UTC)


def said(minutes: int, author: str, content: str, **more: object) -> Message:
    """A message of the channel, sent that many minutes after START; its id grows with time, as on Discord."""
    return Message.model_validate(
        {
            "id": str(snowflake(START + timedelta(minutes=minutes))),
            "channel_id": CHANNEL,
            "author_id": author,
            "author_name": f"member {author}",
            "timestamp": START + timedelta(minutes=minutes),
            "content": content,
            **more,
        }
    )


HISTORY = (
    said(0, "1", "shall we release today?"),
    said(5, "2", "the build is red", reply_to=str(snowflake(START)), reactions=2),
    said(6, "9", "build 71 failed", is_bot=True),
    said(20, "3", "log attached", attachments=("build.log",)),
    said(40, "1", "fixed, I'll tag it at noon"),
)
"""What is in the channel, oldest first; author 9 is a bot."""

MakeProcessor = Callable[[Path, Sequence[Message]], AbstractAsyncContextManager[MessageProcessor]]


@asynccontextmanager
async def archive(folder: Path, messages: Sequence[Message]) -> AsyncIterator[MessageProcessor]:
    """The messages as an export of DiscordChatExporter, newest first, as its --reverse writes them."""
    export = {
        "guild": {"id": GUILD, "name": "Guild"},
        "channel": {"id": CHANNEL, "type": "GuildTextChat", "name": "general"},
        "messages": [
            {
                "id": message.id,
                "type": "Reply" if message.reply_to else "Default",
                "timestamp": message.timestamp.isoformat(),
                "content": message.content,
                "author": {"id": message.author_id, "name": message.author_name, "isBot": message.is_bot},
                "attachments": [{"id": "1", "fileName": name} for name in message.attachments],
                "reactions": [{"emoji": {"name": "👍"}, "count": message.reactions}] if message.reactions else [],
                "reference": {"messageId": message.reply_to} if message.reply_to else None,
            }
            for message in reversed(messages)
        ],
    }
    (folder / "export.json").write_text(json.dumps(export), encoding="utf-8")
    yield ArchiveProcessor(folder)


@asynccontextmanager
async def discord(folder: Path, messages: Sequence[Message]) -> AsyncIterator[MessageProcessor]:
    """The messages in a channel of a double of Discord, read by a real client that has no gateway."""
    async with discord_double() as double:
        world = double.world
        channel = world.add_channel(world.add_guild(id=int(GUILD)), "general", id=int(CHANNEL))
        for message in messages:
            id, is_bot = int(message.author_id), message.is_bot
            author = world.users.get(id) or world.add_user(message.author_name, id=id, bot=is_bot)
            world.say(
                channel,
                author,
                message.content,
                id=int(message.id),
                reply_to=int(message.reply_to) if message.reply_to else None,
                reactions={"👍": message.reactions} if message.reactions else {},
                attachments=[world.attachment(name) for name in message.attachments],
            )
        async with double.rest_client() as client:
            yield DiscordHistory(client)


IMPLEMENTATIONS: dict[str, MakeProcessor] = {
    "archive": archive,
    "discord": discord,
}
"""Every source: holds the given messages in channel CHANNEL of guild GUILD, and yields the processor of them."""


@pytest_asyncio.fixture(params=IMPLEMENTATIONS)
async def processor(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[MessageProcessor]:
    """A source that holds HISTORY."""
    async with IMPLEMENTATIONS[request.param](tmp_path, HISTORY) as made:
        yield made


ALL = SummaryOptions(include_bots=True)
END = START + timedelta(hours=1)


async def contents(
    processor: MessageProcessor,
    options: SummaryOptions = ALL,
    start: datetime = START,
    end: datetime = END,
    limit: int | None = None,
) -> list[str]:
    """What was said, as the source gives it."""
    return [m.content for m in await processor.process_channel_messages(CHANNEL, start, end, options, limit)]


async def test_it_is_a_message_processor(processor: MessageProcessor) -> None:
    """The source has the methods of the port."""
    assert isinstance(processor, MessageProcessor)


async def test_messages_come_oldest_first_whatever_order_the_source_keeps(processor: MessageProcessor) -> None:
    """All messages of the span are returned, in order of time."""
    assert await contents(processor) == [message.content for message in HISTORY]


async def test_messages_carry_who_when_what_and_where(processor: MessageProcessor) -> None:
    """Author, aware UTC instant, text, reply, reactions, attachments and a link reach the caller."""
    messages = await processor.process_channel_messages(CHANNEL, START, END, ALL)
    expected = [m.model_copy(update={"url": f"https://discord.com/channels/{GUILD}/{CHANNEL}/{m.id}"}) for m in HISTORY]
    assert [m.model_dump() for m in messages] == [m.model_dump() for m in expected]
    assert all(m.timestamp.utcoffset() == timedelta() for m in messages)


async def test_the_start_is_included_and_the_end_is_not(processor: MessageProcessor) -> None:
    """A span is half-open, so that spans that follow each other share no message."""
    middle = HISTORY[3].timestamp
    assert await contents(processor, end=middle) == [m.content for m in HISTORY[:3]]
    assert await contents(processor, start=middle) == [m.content for m in HISTORY[3:]]


async def test_a_span_of_another_offset_means_the_same_instants(processor: MessageProcessor) -> None:
    """Bounds in another zone select by instant, not by wall clock."""
    tokyo = timezone(timedelta(hours=9))
    assert len(await contents(processor, start=START.astimezone(tokyo), end=END.astimezone(tokyo))) == len(HISTORY)


async def test_an_empty_span_has_no_messages(processor: MessageProcessor) -> None:
    """Silence is an empty list, not an error: the caller decides what is too little."""
    assert await contents(processor, start=END, end=END + timedelta(days=1)) == []


async def test_bots_are_left_out_unless_asked_for(processor: MessageProcessor) -> None:
    """By default only people are heard."""
    assert "build 71 failed" not in await contents(processor, SummaryOptions())
    assert "build 71 failed" in await contents(processor, ALL)


async def test_excluded_users_are_left_out(processor: MessageProcessor) -> None:
    """Messages of the named authors do not appear."""
    options = SummaryOptions(include_bots=True, excluded_users=("1", "9"))
    assert await contents(processor, options) == ["the build is red", "log attached"]


async def test_attachments_are_left_out_when_not_wanted(processor: MessageProcessor) -> None:
    """The message stays, without its files."""
    options = SummaryOptions(include_bots=True, include_attachments=False)
    messages = await processor.process_channel_messages(CHANNEL, START, END, options)
    assert [m.attachments for m in messages] == [()] * len(HISTORY)


async def test_a_limit_keeps_the_newest_that_remain(processor: MessageProcessor) -> None:
    """The limit counts what is returned, not what was left out, and the order stays."""
    assert await contents(processor, SummaryOptions(), limit=3) == [HISTORY[i].content for i in (1, 3, 4)]
    assert len(await contents(processor, limit=100)) == len(HISTORY)


async def test_an_unknown_channel_is_inaccessible(processor: MessageProcessor) -> None:
    """A channel that is not there raises ChannelInaccessible, which is permanent."""
    with pytest.raises(ChannelInaccessible) as caught:
        await processor.process_channel_messages("404", START, END, ALL)
    assert caught.value.permanent
