"""Threads, forums and categories read by a real discord.py client from a double of Discord."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from adapters.discord_history import DiscordHistory
from application.ports import CategoryChannels
from daybook import (
    Destination,
    DestinationType,
    ScheduledTask,
    ScheduleType,
    TaskExecutor,
    TaskPersistence,
    TaskScheduler,
)
from domain.errors import ChannelInaccessible, FetchFailed
from domain.summary import SummaryOptions
from tests.discord_double import Channel, ChannelType, Permission, hurried
from tests.doubles import HandClock, HandTimer, HostEngine
from tests.e2e.machine import until
from tests.e2e.test_discord_history import ALL, END, HISTORY, START, Village, service, summarized, village  # noqa: F401

# ruff: noqa: F811

HOUR = timedelta(hours=1)
ARCHIVED = ("GET", "/channels/*/threads/archived/public")


def archive(thread: Channel, at: datetime) -> None:
    """Archive a thread; whatever is said in it afterwards would open it again."""
    thread.archived, thread.archived_at = True, at


def contents(messages: object) -> list[str]:
    """What was said."""
    return [message.content for message in messages]  # type: ignore[attr-defined]


# --- threads --------------------------------------------------------------------------------------------------------


async def test_what_was_said_in_threads_belongs_to_the_channel(village: Village) -> None:
    """Active and archived ones, private ones that the bot is in: in order of time, each with its own link."""
    world = village.world
    active = world.add_thread(village.square, "harvest")
    archived = world.add_thread(village.square, "mill")
    private = world.add_thread(village.square, "council", private=True)
    elsewhere = world.add_thread(world.add_channel(village.guild, "inn"), "beer")
    await village.double.gateway.settle()
    for minutes, place, text in ((4, active, "d"), (2, archived, "b"), (3, private, "c"), (1, elsewhere, "beer")):
        world.say(place, village.ann, text, at=START + timedelta(minutes=minutes))
    for thread in (archived, private):
        archive(thread, START + 5 * HOUR)
    village.say(1, "a")
    read = await village.read()
    assert contents(read) == ["a", "b", "c", "d"]
    assert [message.channel_id for message in read[1:]] == [str(each.id) for each in (archived, private, active)]
    assert f"/{village.guild.id}/{archived.id}/" in str(read[1].url)
    without = SummaryOptions(include_bots=True, include_threads=False)
    assert contents(await village.read(options=without)) == ["a"]


async def test_threads_in_which_nothing_was_said_since_cost_no_request(village: Village) -> None:
    """Nor are archives looked through further back than the span."""
    world = village.world
    for number in range(60):
        old = world.add_thread(village.square, f"old {number}")
        world.say(old, village.ann, "long ago", at=START - (number + 2) * HOUR)
        if number:
            archive(old, START - (number + 1) * HOUR)
    village.say(1, "today")
    await village.double.gateway.settle()
    assert contents(await village.read()) == ["today"]
    assert len(village.double.wire.sent(*HISTORY)) == 1
    assert len(village.double.wire.sent(*ARCHIVED)) == 1


async def test_archives_are_paged_as_far_as_the_span(village: Village) -> None:
    """150 threads were archived within it."""
    for number in range(150):
        thread = village.world.add_thread(village.square, f"{number}")
        village.world.say(thread, village.ann, str(number), at=START + timedelta(minutes=number))
        archive(thread, START + timedelta(minutes=number + 1))
    await village.double.gateway.settle()
    with hurried():
        assert contents(await village.read()) == [str(number) for number in range(150)]
    assert len(village.double.wire.sent(*ARCHIVED)) == 2


async def test_a_limit_keeps_the_newest_of_channel_and_threads(village: Village) -> None:
    """Wherever they were said."""
    thread = village.world.add_thread(village.square, "harvest")
    for number in range(6):
        village.say(2 * number, f"square {number}")
        village.world.say(thread, village.ann, f"thread {number}", at=START + timedelta(minutes=2 * number + 1))
    assert contents(await village.read(limit=3)) == ["thread 4", "square 5", "thread 5"]
    assert await village.read(limit=0) == []


async def test_a_forum_is_its_posts(village: Village) -> None:
    """It holds no messages itself, and what it holds is threads."""
    forum = village.world.add_channel(village.guild, "ideas", type=ChannelType.FORUM)
    for number in range(2):
        post = village.world.add_thread(forum, f"idea {number}")
        village.world.say(post, village.ann, f"idea {number}", at=START + number * HOUR)
    archive(post, START + 2 * HOUR)
    await village.double.gateway.settle()
    assert contents(await village.read(forum)) == ["idea 0", "idea 1"]


async def test_a_thread_that_is_deleted_while_it_is_read_does_not_lose_the_channel(village: Village) -> None:
    """It is none of the channel's any more."""
    thread = village.world.add_thread(village.square, "harvest")
    village.world.say(thread, village.ann, "gone", at=START)
    village.say(1, "kept")
    village.double.faults.answer("GET", f"/channels/{thread.id}/messages", 404)
    assert contents(await village.read()) == ["kept"]


async def test_active_threads_are_asked_for_once_in_a_run(village: Village) -> None:
    """However many channels a task has."""
    village.world.add_thread(village.square, "harvest")
    inn = village.world.add_channel(village.guild, "inn")
    await village.double.gateway.settle()
    history = DiscordHistory(village.client).for_guild(str(village.guild.id))
    for channel in (village.square, inn):
        await history.process_channel_messages(str(channel.id), START, END, ALL)
    assert len(village.double.wire.sent("GET", "/guilds/*/threads/active")) == 1


# --- categories -----------------------------------------------------------------------------------------------------


async def quarter(village: Village) -> tuple[Channel, dict[str, Channel]]:
    """A category with one channel of each kind."""
    world, guild = village.world, village.guild
    category = world.add_channel(guild, "quarter", type=ChannelType.CATEGORY)
    kinds = {
        "baker": ChannelType.TEXT,
        "news": ChannelType.ANNOUNCEMENT,
        "ideas": ChannelType.FORUM,
        "silent voice": ChannelType.VOICE,
        "voice": ChannelType.VOICE,
    }
    places = {name: world.add_channel(guild, name, type=kind, parent=category) for name, kind in kinds.items()}
    world.say(places["voice"], village.ann, "typed while talking", at=START)
    await village.double.gateway.settle()
    return category, places


async def test_a_category_is_the_channels_that_it_holds_now(village: Village) -> None:
    """Voice channels come last, and only where something was written; what came since is there, what left is not."""
    category, places = await quarter(village)
    history = DiscordHistory(village.client).for_guild(str(village.guild.id))
    assert isinstance(history, CategoryChannels)
    names = ("baker", "news", "ideas", "voice")
    assert await history.channels_of(str(category.id)) == [str(places[name].id) for name in names]
    places["news"].parent_id = None
    added = village.world.add_channel(village.guild, "added", parent=category)
    assert await history.channels_of(str(category.id)) == [
        str(each.id) for each in (places["baker"], places["ideas"], added, places["voice"])
    ]


async def test_what_is_no_category_or_another_guilds_is_refused(village: Village) -> None:
    """Another guild's looks like one that does not exist."""
    other = village.world.add_channel(village.world.add_guild("Other"), "secret", type=ChannelType.CATEGORY)
    await village.double.gateway.settle()
    history = DiscordHistory(village.client).for_guild(str(village.guild.id))
    with pytest.raises(ChannelInaccessible, match="no category, but a text"):
        await history.channels_of(str(village.square.id))
    reasons = []
    for id in (str(other.id), "404", "quarter"):
        with pytest.raises(ChannelInaccessible) as failure:
            await history.channels_of(id)
        reasons.append(failure.value.reason)
    assert reasons[0] == reasons[1]


async def test_a_passing_trouble_is_no_end_of_a_category(village: Village) -> None:
    """It is tried again."""
    category, _ = await quarter(village)
    village.double.faults.answer("GET", "/guilds/*/channels", 500, times=100)
    with hurried(), pytest.raises(FetchFailed, match="500"):
        await DiscordHistory(village.client).channels_of(str(category.id))


async def test_a_task_of_a_category_names_what_it_could_not_read(village: Village, service: TaskExecutor) -> None:
    """Through the real client, from the category to the embed: what was said, what was quiet, what is closed."""
    world = village.world
    category, places = await quarter(village)
    world.deny(places["news"], Permission.VIEW_CHANNEL)
    await village.double.gateway.settle()
    for minutes in range(5):
        at = world.now() - timedelta(minutes=30 - minutes)
        world.say(places["baker"], village.ann, f"We decided to bake {minutes} loaves of bread.", at=at)
    task = ScheduledTask(
        name="Quarter",
        category_id=str(category.id),
        guild_id=str(village.guild.id),
        schedule_type=ScheduleType.DAILY,
        destinations=[Destination(type=DestinationType.DISCORD_CHANNEL, target=str(village.square.id))],
        summary_options=SummaryOptions(min_messages=3),
    )
    assert service._scheduler is not None
    await service._scheduler.schedule_task(task)
    result = await service.execute_summary_task(task)
    assert result.success
    assert result.summary_result is not None
    notes = {note.name: note.note for note in result.summary_result.channels}
    assert notes["baker"] == ""
    assert notes["ideas"] == notes["voice"] == "nothing was said"
    [closed] = [note for note in notes.values() if "View Channel" in note]
    assert closed in result.summary_result.notice
    [message] = village.square.messages
    assert "bread" in str(message.embeds)
    assert "View Channel" in str(message.embeds)


async def test_further_channels_are_checked_as_the_first_is(village: Village, service: TaskExecutor) -> None:
    """Defect 35: additional channels took any guild's id. Another guild's is named as one that does not exist."""
    world = village.world
    vault = world.add_channel(world.add_guild("Other"), "vault")
    for minutes in range(5):
        at = world.now() - timedelta(minutes=30 - minutes)
        world.say(village.square, village.ann, f"We decided to bake {minutes} loaves of bread.", at=at)
        world.say(vault, village.ann, f"The password {minutes} of the vault is marigold today.", at=at)
    task = ScheduledTask(
        name="Both",
        channel_id=str(village.square.id),
        channel_ids=[str(vault.id), "404"],
        guild_id=str(village.guild.id),
        schedule_type=ScheduleType.DAILY,
        destinations=[Destination(type=DestinationType.DISCORD_CHANNEL, target=str(village.square.id))],
        summary_options=SummaryOptions(min_messages=3),
    )
    assert service._scheduler is not None
    await service._scheduler.schedule_task(task)
    result = await service.execute_summary_task(task)
    assert result.success
    assert result.summary_result is not None
    own, foreign, unknown = result.summary_result.channels
    assert (own.message_count, foreign.message_count, foreign.name) == (5, 0, "")
    assert foreign.note == unknown.note
    assert "vault" not in str(village.square.messages[-1].embeds)
    assert "marigold" not in str(village.square.messages[-1].embeds)


async def test_a_result_is_not_delivered_into_another_guild(village: Village, service: TaskExecutor) -> None:
    """The destination is checked again when it is sent to: whoever knows an id of a channel cannot write there."""
    world = village.world
    vault = world.add_channel(world.add_guild("Other"), "vault")
    for minutes in range(5):
        world.say(village.square, village.ann, "We decided to bake.", at=world.now() - timedelta(minutes=30 - minutes))
    result = await summarized(
        service, village, village.square, Destination(type=DestinationType.DISCORD_CHANNEL, target=str(vault.id))
    )
    assert not result.success
    assert vault.messages == []


async def test_a_look_back_covers_everything_since_the_last_success(village: Village, tmp_path: Path) -> None:
    """Slots that failed, and those that were missed, leave nothing out: the next summary has what was said then."""
    clock, engine = HandClock(START), HostEngine()
    timer = HandTimer(clock)
    scheduler = TaskScheduler(
        TaskExecutor(engine, DiscordHistory(village.client), village.client),
        TaskPersistence(tmp_path, environment={}),
        clock=clock,
        timer=timer,
    )
    task = ScheduledTask(
        name="Hourly", channel_id=str(village.square.id), guild_id=str(village.guild.id), now=START,
        schedule_type=ScheduleType.HOURLY, summary_options=SummaryOptions(min_messages=1), retry_delay_minutes=600,
        destinations=[Destination(type=DestinationType.FILE, format="markdown")], overlap="allow_all",
    )  # fmt: skip
    for hour in range(6):
        village.say(60 * hour + 30, f"said in hour {hour}")
    task_id = await scheduler.schedule_task(task)
    await scheduler.start()

    def is_busy() -> bool:
        pump = scheduler.dispatcher._pump
        return bool(scheduler.dispatcher.active_runs or (pump is not None and not pump.done()))

    async def slot(hour: int) -> int | None:
        """How many messages the slot of this hour had; None where it failed."""
        await timer.advance(START + hour * HOUR - clock.now())
        await until(lambda: not is_busy() and not scheduler.queries.overdue(clock.now()))
        return scheduler.queries.runs(task_id=task_id)[0].messages

    assert await slot(1) == 1
    engine.errors = [FetchFailed("1", "away")]
    assert await slot(2) is None
    clock.instant = START + 4 * HOUR  # the machine slept: a slot is missed
    assert await slot(5) == 4
    assert await slot(6) == 1
    await scheduler.stop()
