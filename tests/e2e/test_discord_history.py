"""Channel history read by a real discord.py client from a double of Discord."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import discord
import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from adapters.discord_history import DiscordHistory, _span
from adapters.summarizers import ExtractiveEngine
from application.ports import ChannelNames, MessageProcessor
from daybook import (
    Destination,
    DestinationType,
    ScheduledTask,
    ScheduleType,
    TaskExecutionResult,
    TaskExecutor,
    TaskPersistence,
    TaskScheduler,
)
from domain.errors import ChannelInaccessible, FetchFailed, InvalidInput, SourceRateLimited
from domain.summary import Message, SummaryOptions
from tests.discord_double import (
    Channel,
    ChannelType,
    DiscordDouble,
    Guild,
    Permission,
    User,
    World,
    discord_double,
    hurried,
    snowflake,
)

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
END = START + timedelta(days=1)
HISTORY = ("GET", "/channels/*/messages")
ALL = SummaryOptions(include_bots=True)


@dataclass
class Village:
    """A double with one guild, its square and one member; ``client`` has a gateway or not."""

    double: DiscordDouble
    client: discord.Client
    guild: Guild
    square: Channel
    ann: User

    @property
    def world(self) -> World:
        return self.double.world

    def say(self, minutes: float, text: str = "words", *, by: User | None = None, **more: object) -> None:
        """Ann (or another) says something on the square, that many minutes after START."""
        self.world.say(self.square, by or self.ann, text, at=START + timedelta(minutes=minutes), **more)

    async def read(
        self, channel: Channel | None = None, options: SummaryOptions = ALL, limit: int | None = None
    ) -> list[Message]:
        """The day that begins with START."""
        history = DiscordHistory(self.client)
        return await history.process_channel_messages(str((channel or self.square).id), START, END, options, limit)

    async def refused(self, channel: Channel | None = None) -> ChannelInaccessible:
        """Why a channel cannot be read."""
        with pytest.raises(ChannelInaccessible) as failure:
            await self.read(channel)
        return failure.value


@pytest.fixture(params=["rest", "gateway"])
async def village(request: pytest.FixtureRequest) -> AsyncIterator[Village]:
    """One village per kind of client. Of what is denied later the gateway tells: ``settle`` waits for that."""
    async with AsyncExitStack() as stack:
        double = await stack.enter_async_context(discord_double())
        guild = double.world.add_guild("Village")
        square = double.world.add_channel(guild, "square")
        ann = double.world.add_user("ann", global_name="Ann of the Mill")
        double.world.add_member(guild, ann)
        opened = double.rest_client if request.param == "rest" else double.connected
        yield Village(double, await stack.enter_async_context(opened(max_ratelimit_timeout=30)), guild, square, ann)


# --- what is read ---------------------------------------------------------------------------------------------------


async def test_it_offers_what_the_ports_ask_for(village: Village) -> None:
    """It is a source of messages that knows the names of channels."""
    history = DiscordHistory(village.client)
    assert isinstance(history, MessageProcessor)
    assert isinstance(history, ChannelNames)
    assert await history.channel_name(str(village.square.id)) == "square"
    for unknown in ("404", "", "general", "9" * 30):
        assert await history.channel_name(unknown) is None


async def test_history_is_paged_by_the_hundred(village: Village) -> None:
    """350 messages take four requests and come oldest first, each once."""
    for number in range(350):
        village.say(number, f"number {number}")
    assert [message.content for message in await village.read()] == [f"number {number}" for number in range(350)]
    assert len(village.double.wire.sent(*HISTORY)) == 4


async def test_only_the_pages_of_the_span_are_asked_for(village: Village) -> None:
    """What was said after the span costs nothing; what was said before ends the reading."""
    for minutes in (*range(-500, 0), *range(50), *range(24 * 60, 24 * 60 + 500)):
        village.say(minutes, str(minutes))
    assert [message.content for message in await village.read()] == [str(minutes) for minutes in range(50)]
    assert len(village.double.wire.sent(*HISTORY)) == 1


async def test_a_limit_spares_pages(village: Village) -> None:
    """The newest are read first, so that a limit ends the reading early; bots do not count."""
    robot = village.world.add_user("robot", bot=True)
    for number in range(300):
        village.say(number, f"number {number}", by=robot if number % 2 else None)
    read = await village.read(options=SummaryOptions(), limit=40)
    assert [message.content for message in read] == [f"number {number}" for number in range(220, 300, 2)]
    assert len(village.double.wire.sent(*HISTORY)) == 1
    assert await village.read(limit=0) == []


async def test_a_bound_on_what_is_looked_at_keeps_the_newest_and_says_so(village: Village) -> None:
    """A flood cannot make a run endless."""
    for number in range(250):
        village.say(number, f"number {number}")
    history = DiscordHistory(village.client, max_messages=120)
    with capture_logs() as logs:
        read = await history.process_channel_messages(str(village.square.id), START, END, ALL)
    assert [message.content for message in read] == [f"number {number}" for number in range(130, 250)]
    assert [log["event"] for log in logs] == ["channel_history_cut"]


async def test_bots_and_the_bots_own_messages_are_left_out_unless_asked_for(village: Village) -> None:
    """The summary of yesterday is no part of the summary of today, even where other bots are heard."""
    village.say(1, "yesterday's summary", by=village.world.bot)
    village.say(2, "deployed", by=village.world.add_user("hook"), webhook_id=5)
    village.say(3, "good morning")
    assert [message.content for message in await village.read(options=SummaryOptions())] == ["good morning"]
    assert [message.content for message in await village.read()] == ["deployed", "good morning"]
    everybody = SummaryOptions(include_bots=True, include_own=True)
    assert [message.is_bot for message in await village.read(options=everybody)] == [True, True, False]


async def test_notices_of_the_system_are_left_out(village: Village) -> None:
    """Somebody joined, something was pinned: nobody said that."""
    for minutes, type in enumerate((7, 6, 8, 18)):
        village.say(minutes, "", type=type)
    village.say(9, "hello")
    assert [message.content for message in await village.read()] == ["hello"]


async def test_mentions_become_names(village: Village) -> None:
    """People read names, not ids; what is not known stays as it was written."""
    text = f"<@{village.ann.id}> see <#{village.square.id}> and <#404> <:thumb:123456789012345678> <@404>"
    village.say(0, text)
    [message] = await village.read()
    place = "#square" if village.double.gateway.identifies else f"<#{village.square.id}>"
    assert message.content == f"@Ann of the Mill see {place} and <#404> :thumb: <@404>"
    assert message.author_name == "Ann of the Mill"


async def test_threads_are_channels(village: Village) -> None:
    """A thread is read by its own id, archived or not, and its links lead into it."""
    for archived in (False, True):
        thread = village.world.add_thread(village.square, "harvest")
        said = village.world.say(thread, village.ann, "in the thread", at=START)
        thread.archived = archived
        [message] = await village.read(thread)
        assert message.channel_id == str(thread.id)
        assert message.url == f"https://discord.com/channels/{village.guild.id}/{thread.id}/{said.id}"


async def test_reading_goes_on_while_the_gateway_is_down(village: Village) -> None:
    """Only REST is used."""
    village.say(0)
    village.double.gateway.refuse(times=1000)
    village.double.gateway.drop()
    assert len(await village.read()) == 1


# --- what may not be read -------------------------------------------------------------------------------------------


async def test_a_missing_view_permission_is_named(village: Village) -> None:
    """The error says which permission the bot needs."""
    village.say(0)
    village.world.deny(village.square, Permission.VIEW_CHANNEL)
    await village.double.gateway.settle()
    assert "the permission View Channel" in (await village.refused()).reason


async def test_a_missing_history_permission_is_named_instead_of_silence(village: Village) -> None:
    """Discord shows such a channel as empty: that must not be taken for a quiet one."""
    village.say(0)
    village.world.deny(village.square, Permission.READ_MESSAGE_HISTORY)
    await village.double.gateway.settle()
    assert "the permission Read Message History" in (await village.refused()).reason


async def test_a_thread_follows_the_permissions_of_its_parent(village: Village) -> None:
    """What is denied on the square is denied in its threads."""
    thread = village.world.add_thread(village.square, "harvest")
    village.world.say(thread, village.ann, "hello", at=START)
    village.world.deny(village.square, Permission.READ_MESSAGE_HISTORY)
    await village.double.gateway.settle()
    assert "Read Message History" in (await village.refused(thread)).reason


async def test_a_role_that_allows_outweighs_everyone_that_denies(village: Village) -> None:
    """Permissions are put together as Discord does: a quiet channel that may be read is quiet, not refused."""
    world, guild = village.world, village.guild
    role = world.add_role(guild, "readers")
    world.overwrite(village.square, guild.roles[guild.id], deny=Permission.READ_MESSAGE_HISTORY)
    await village.double.gateway.settle()
    assert "Read Message History" in (await village.refused()).reason
    world.overwrite(village.square, role, allow=Permission.READ_MESSAGE_HISTORY)
    deaf = world.add_role(guild, "deaf")
    world.overwrite(village.square, deaf, deny=Permission.READ_MESSAGE_HISTORY)
    world.add_member(guild, world.bot, [role, deaf])
    await village.double.gateway.settle()
    assert await village.read() == []


async def test_an_administrator_reads_everything(village: Village) -> None:
    """Overwrites do not bind an administrator."""
    world, guild = village.world, village.guild
    world.add_member(guild, world.bot, [world.add_role(guild, "admins", Permission.ADMINISTRATOR)])
    world.deny(village.square, Permission.READ_MESSAGE_HISTORY)
    await village.double.gateway.settle()
    assert await village.read() == []


async def test_hidden_texts_are_named_instead_of_empty_messages(village: Village) -> None:
    """Without the Message Content Intent every text is empty: the error says what to switch on."""
    village.world.message_content_intent = False
    village.say(0, "secret")
    async with village.double.rest_client() as client:
        with pytest.raises(ChannelInaccessible, match="Message Content Intent"):
            await DiscordHistory(client).process_channel_messages(str(village.square.id), START, END, ALL)


async def test_unknown_channels_and_those_without_messages_are_refused(village: Village) -> None:
    """Nonsense, a deleted channel, a conversation, a category, a forum without its threads: inaccessible, in words."""
    for target in ("404", "general", "", "-1", "٣", "9" * 30, str(village.world.conversation(village.ann).id)):
        with pytest.raises(ChannelInaccessible):
            await DiscordHistory(village.client).process_channel_messages(target, START, END, ALL)
    for type, word in ((ChannelType.CATEGORY, "category"), (ChannelType.FORUM, "forum")):
        place = village.world.add_channel(village.guild, "place", type=type)
        with pytest.raises(ChannelInaccessible, match=f"a {word} holds no messages"):
            await village.read(place, SummaryOptions(include_threads=False))


async def test_a_history_of_one_guild_does_not_see_another(village: Village) -> None:
    """Another guild's channel looks like one that does not exist; its name is not told either."""
    other = village.world.add_channel(village.world.add_guild("Other"), "vault")
    village.world.say(other, village.ann, "the code is 1234", at=START)
    history = DiscordHistory(village.client).for_guild(str(village.guild.id))
    with pytest.raises(ChannelInaccessible) as foreign:
        await history.process_channel_messages(str(other.id), START, END, ALL)
    with pytest.raises(ChannelInaccessible) as unknown:
        await history.process_channel_messages("404", START, END, ALL)
    assert foreign.value.reason == unknown.value.reason
    assert await history.channel_name(str(other.id)) is None
    assert await history.channel_name(str(village.square.id)) == "square"


# --- through the whole service --------------------------------------------------------------------------------------


@pytest.fixture
async def service(village: Village, tmp_path: Path) -> AsyncIterator[TaskExecutor]:
    """An executor that reads from the double and delivers to it, bound to a store of its own."""
    executor = TaskExecutor(
        summarization_engine=ExtractiveEngine(),
        message_processor=DiscordHistory(village.client),
        discord_client=village.client,
    )
    persistence = TaskPersistence(storage_path=tmp_path / "tasks", environment={})
    scheduler = TaskScheduler(task_executor=executor, persistence=persistence, timezone="UTC")
    await scheduler.start()
    yield executor
    await scheduler.stop()


async def summarized(
    service: TaskExecutor, village: Village, source: Channel, destination: Destination | None = None
) -> TaskExecutionResult:
    """What becomes of a task of the village that summarizes a channel into the square, or elsewhere."""
    square = Destination(type=DestinationType.DISCORD_CHANNEL, target=str(village.square.id))
    task = ScheduledTask(
        name="Digest",
        channel_id=str(source.id),
        guild_id=str(village.guild.id),
        schedule_type=ScheduleType.DAILY,
        schedule_time="09:00",
        destinations=[destination or square],
        summary_options=SummaryOptions(min_messages=3),
    )
    assert service._scheduler is not None
    await service._scheduler.schedule_task(task)
    return await service.execute_summary_task(task)


async def test_what_was_said_in_a_channel_is_delivered_to_another(village: Village, service: TaskExecutor) -> None:
    """History, summary, embed: from messages of the last hours to one message that quotes and links them."""
    mill = village.world.add_channel(village.guild, "mill")
    for minutes in range(5):
        at = village.world.now() - timedelta(minutes=30 - minutes)
        village.world.say(mill, village.ann, f"We decided to grind the flour on day {minutes} of the harvest.", at=at)
    result = await summarized(service, village, mill)
    assert result.success
    [message] = village.square.messages
    shown = str(message.embeds)
    assert "grind the flour" in shown
    assert f"https://discord.com/channels/{village.guild.id}/{mill.id}/" in shown
    assert "mill" in shown


async def test_a_lost_answer_is_settled_by_asking_again(village: Village, service: TaskExecutor) -> None:
    """Discord took the message and the connection broke: the run succeeds with one message, not two."""
    for minutes in range(5):
        at = village.world.now() - timedelta(minutes=30 - minutes)
        village.world.say(village.square, village.ann, f"We decided to sow rye on day {minutes}.", at=at)
    village.double.faults.cut("POST", "/channels/*/messages", applied=True)
    before = len(village.square.messages)
    result = await summarized(service, village, village.square)
    assert result.success
    assert len(village.square.messages) == before + 1


async def test_a_summary_reaches_a_person_by_direct_message(village: Village, service: TaskExecutor) -> None:
    """A destination of the kind discord_dm is delivered by the same client."""
    for minutes in range(5):
        at = village.world.now() - timedelta(minutes=30 - minutes)
        village.world.say(village.square, village.ann, f"We decided to bake bread on day {minutes}.", at=at)
    person = Destination(type=DestinationType.DISCORD_DM, target=str(village.ann.id))
    result = await summarized(service, village, village.square, person)
    assert result.success
    [message] = village.world.conversation(village.ann).messages
    assert "bake bread" in str(message.embeds)


async def test_a_task_reads_no_channel_of_another_guild(village: Village, service: TaskExecutor) -> None:
    """A task whose channel id is another guild's fails, and nothing of what was said there is told."""
    vault = village.world.add_channel(village.world.add_guild("Other"), "vault")
    for minutes in range(5):
        at = village.world.now() - timedelta(minutes=30 - minutes)
        village.world.say(vault, village.ann, f"The code of the vault is {minutes}234 today.", at=at)
    result = await summarized(service, village, vault)
    assert not result.success
    assert village.square.messages == []
    assert village.double.wire.sent(*HISTORY) == []


# --- what goes wrong on the way -------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [500, 503, 401])
async def test_errors_of_discord_are_worth_another_try(village: Village, status: int) -> None:
    """An outage, or a token that is just being replaced, is no reason to give the channel up."""
    village.double.faults.answer(*HISTORY, status, times=100)
    with hurried(), pytest.raises(FetchFailed, match=str(status)):
        await village.read()


async def test_a_broken_connection_is_worth_another_try(village: Village) -> None:
    """A connection that breaks in the middle of a page fails the read, not the channel."""
    village.double.faults.cut(*HISTORY, applied=True, times=100)
    with pytest.raises(FetchFailed, match="could not be reached"):
        await village.read()


async def test_a_long_rate_limit_is_handed_to_the_scheduler(village: Village) -> None:
    """The error says how long to wait."""
    village.double.faults.rate_limit(*HISTORY, retry_after_seconds=90)
    with pytest.raises(SourceRateLimited) as failure:
        await village.read()
    assert failure.value.retry_after_seconds == 90


async def test_a_ban_by_the_network_in_front_of_discord_says_how_long_it_lasts(village: Village) -> None:
    """A 429 that is not from Discord itself: its Retry-After counts, or half a minute."""
    fault = village.double.faults.answer(*HISTORY, 429, body="banned")
    fault.headers = {"Retry-After": "600"}
    village.double.faults.answer(*HISTORY, 429, body="banned")
    for seconds in (600, 30):
        with pytest.raises(SourceRateLimited) as failure:
            await village.read()
        assert failure.value.retry_after_seconds == seconds


async def test_a_used_up_bucket_is_waited_for_between_pages(village: Village) -> None:
    """The client reads the headers and waits before it would be refused: no request is answered with 429."""
    for number in range(250):
        village.say(number)
    village.double.rates.set(*HISTORY, limit=2, window_seconds=0.2)
    assert len(await village.read()) == 250
    assert village.double.wire.invalid_requests == 0


async def test_bounds_that_name_no_instant_are_refused(village: Village) -> None:
    """A naive datetime and a negative limit are mistakes of the caller, named as such."""
    history, channel_id = DiscordHistory(village.client), str(village.square.id)
    naive = START.replace(tzinfo=None)
    for start, end, limit in ((naive, END, None), (START, naive, None), (START, END, -1)):
        with pytest.raises(InvalidInput):
            await history.process_channel_messages(channel_id, start, end, ALL, limit)
    assert await history.process_channel_messages(channel_id, END, START, ALL) == []


@given(
    start=st.integers(0, 2**41).map(lambda ms: datetime(2010, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)),
    microseconds=st.integers(-5_000, 5_000),
    sent=st.integers(-5_000, 5_000),
)
def test_ids_between_the_bounds_are_the_messages_of_the_span(start: datetime, microseconds: int, sent: int) -> None:
    """start <= timestamp < end holds for exactly the ids between, down to the millisecond that ids count in."""
    end = start + timedelta(microseconds=microseconds)
    at = start + timedelta(microseconds=sent)
    at = at.replace(microsecond=at.microsecond // 1000 * 1000)
    after, before = _span(start, end)
    if at.year >= 2015:
        for id in (snowflake(at), snowflake(at, 2**22 - 1)):
            assert (after < id < before) == (start <= at < end or (id == 0 == after and at < end))


def test_the_module_is_imported_without_discord() -> None:
    """A program that talks to no Discord does not pay for the library."""
    program = "import sys; import adapters.discord_history, adapters.discord_delivery; print('discord' in sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True
    )
    assert re.fullmatch("False\n", ran.stdout)
