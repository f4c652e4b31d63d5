"""Local mode: the shift of an archive is recorded once, and the examples are placed once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from adapters.archive import ArchiveProcessor, sample_path
from application.local import LocalChannel, LocalMessages, chosen_archive, example_tasks, place_examples, recorded_shift
from application.ports import ChannelNames
from daybook import TaskPersistence, TaskScheduler
from domain.schedule import next_after

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
LATEST = datetime(2025, 9, 17, 15, 0, tzinfo=UTC)
CHANNELS = [LocalChannel("11", "general", "1"), LocalChannel("12", "support", "1")]


async def test_a_restart_does_not_move_the_shift(tmp_path: Path) -> None:
    """The shift that was recorded first counts in every later process, though the clock has moved on."""
    shifts = []
    for hours in (0, 5, 100):
        scheduler = TaskScheduler(persistence=TaskPersistence(tmp_path))
        await scheduler.open()
        now = NOW + timedelta(hours=hours)
        shifts.append(await recorded_shift(scheduler.stores.writer, "sample", LATEST, now))
        await scheduler.stop()
    assert shifts == [NOW - LATEST] * 3


async def test_every_archive_has_its_own_shift_and_the_last_one_is_remembered(tmp_path: Path) -> None:
    """Going back to an archive finds its dates where they were."""
    scheduler = TaskScheduler(persistence=TaskPersistence(tmp_path))
    await scheduler.open()
    writer = scheduler.stores.writer
    assert await chosen_archive(writer, NOW) is None
    first = await recorded_shift(writer, "sample", LATEST, NOW)
    other = await recorded_shift(writer, "/exports", LATEST + timedelta(days=1), NOW + timedelta(hours=1))
    assert await chosen_archive(writer, NOW) == ("/exports", other)
    assert await recorded_shift(writer, "sample", LATEST, NOW + timedelta(days=3)) == first
    assert await chosen_archive(writer, NOW) == ("sample", first)
    await scheduler.stop()


async def test_examples_are_placed_on_an_empty_store_and_never_again(tmp_path: Path) -> None:
    """Not after a restart, and not when all of them were cancelled."""
    for expected in (3, 0, 0):
        scheduler = TaskScheduler(persistence=TaskPersistence(tmp_path))
        await scheduler.open()
        placed = await place_examples(scheduler.commands, scheduler.queries, CHANNELS, now=NOW, timezone="UTC")
        assert placed == expected
        for task in await scheduler.get_scheduled_tasks():
            if expected == 0:
                await scheduler.cancel_task(task.task_id)
        await scheduler.stop()


async def test_a_task_of_somebody_keeps_the_examples_away(tmp_path: Path) -> None:
    """A store that somebody has begun to use is not empty."""
    scheduler = TaskScheduler(persistence=TaskPersistence(tmp_path))
    await scheduler.open()
    own = example_tasks(CHANNELS, now=NOW, timezone="UTC")[:1]
    await scheduler.commands.put_in_place([(own[0], None, False, None)])
    assert await place_examples(scheduler.commands, scheduler.queries, CHANNELS, now=NOW, timezone="UTC") == 0
    await scheduler.stop()


def test_the_first_example_is_due_within_15_seconds_and_then_every_minute() -> None:
    """Whoever starts the service sees it work before they look away; the others are daily and weekly, in the zone."""
    minutely, daily, weekly = example_tasks(CHANNELS, now=NOW, timezone="Europe/Berlin")
    first = next_after(minutely.schedule, NOW)
    assert first is not None
    assert first - NOW <= timedelta(seconds=15)
    assert next_after(minutely.schedule, first) == first + timedelta(minutes=1)
    assert minutely.time_range_hours == 24
    assert [task.schedule.type.value for task in (daily, weekly)] == ["daily", "weekly"]
    assert {task.schedule.timezone for task in (minutely, daily, weekly)} == {"Europe/Berlin"}
    assert [d.type.value for task in (minutely, daily, weekly) for d in task.destinations] == ["file"] * 3


async def test_summaries_of_the_archive_say_the_names_of_their_channels() -> None:
    """What stands between the archive and the service passes on the names; a guild's view of it has them, too."""
    messages = LocalMessages()
    assert await messages.channel_name("1") is None
    messages.archive = archive = ArchiveProcessor(sample_path())
    channel = archive.channels()[0]
    for source in (messages, messages.for_guild(channel.guild_id)):
        assert isinstance(source, ChannelNames)
        assert await source.channel_name(channel.id) == channel.name
        assert await source.channel_name("unknown") is None
