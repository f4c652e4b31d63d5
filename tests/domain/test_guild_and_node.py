"""The small streams of guilds and processes."""

from __future__ import annotations

from datetime import timedelta

import pytest

from domain.errors import InvalidTimezone, Refused
from domain.guild import ContentDeleted, Guild, GuildSettings, guild_state, guild_stream
from domain.node import Node, node_stream
from tests.domain.task_parts import START, at


def guild() -> Guild:
    """A new guild."""
    return Guild.open("1", now=START)


def node() -> Node:
    """A process that has just begun."""
    return Node.start("n1", now=START, host="h", pid=7, version="0.1", rules="tz")


def test_every_guild_and_every_node_has_a_stream_of_its_own() -> None:
    """The id follows from the name, in every process and for ever."""
    assert str(guild_stream("1")) == "38f5a6c6-106b-5f57-b763-f4b7bad115a1"
    assert str(node_stream("n1")) == "482c608a-dbe1-51f4-be62-563f19cc2886"
    assert len({guild_stream("1"), guild_stream("2"), guild_stream(""), node_stream("1"), node_stream("")}) == 5
    assert guild().id == guild_stream("1")
    assert node().id == node_stream("n1")


def test_settings_are_replaced_and_replayed() -> None:
    """State is a function of the events."""
    changed = guild()
    settings = GuildSettings(timezone="Europe/Berlin")
    changed.change_settings(settings, now=START, by="p")
    again = guild_state(changed.pending_events)  # type: ignore[arg-type]
    assert again is not None
    assert again.settings == settings
    assert (again.guild_id, again.version) == ("1", 2)


def test_an_unknown_zone_is_refused_and_writes_nothing() -> None:
    """Every task that names no zone would run by it."""
    changed = guild()
    with pytest.raises(InvalidTimezone):
        changed.change_settings(GuildSettings(timezone="Mars/X"), now=START, by="p")
    assert changed.version == 1


def test_the_same_settings_again_are_refused() -> None:
    """Nothing happened, so nothing is written."""
    changed = guild()
    with pytest.raises(Refused):
        changed.change_settings(GuildSettings(), now=START, by="p")
    assert changed.version == 1


def test_what_was_deleted_is_written_down() -> None:
    """A rebuild repeats it from the cut-off."""
    cleaned = guild()
    cleaned.record_deletion(
        now=at(1),
        scope=None,
        cutoff=START,
        summaries=1,
        run_details=2,
        cached=3,
        archives_tasks=True,
        deletes_runs=False,
        by="p",
    )
    event = cleaned.pending_events[-1]
    assert isinstance(event, ContentDeleted)
    assert (event.scope, event.cutoff, event.summaries) == (None, START, 1)
    assert cleaned.deletions == 1


def test_the_shift_of_an_archive_is_recorded_once() -> None:
    """A restart, and going back to an earlier archive, do not move its dates."""
    local = guild()
    assert local.choose_archive("a", timedelta(days=3, microseconds=1), now=START, by="p") == timedelta(
        days=3, microseconds=1
    )
    assert local.choose_archive("a", timedelta(days=9), now=at(1), by="p") == timedelta(days=3, microseconds=1)
    assert local.version == 2
    assert local.choose_archive("b", timedelta(days=1), now=at(2), by="p") == timedelta(days=1)
    assert local.choose_archive("a", timedelta(days=9), now=at(3), by="p") == timedelta(days=3, microseconds=1)
    again = guild_state(local.pending_events)  # type: ignore[arg-type]
    assert again is not None
    assert (again.archive, again.shifts) == (local.archive, local.shifts)


def test_a_node_ends_once() -> None:
    """Stopped is stopped, lost is lost; the end is when it was last seen alive."""
    stopped, lost = node(), node()
    stopped.stop(now=at(1), interrupted_runs=2)
    lost.lose(now=at(2), last_seen=at(1), noticed_by="n2")
    for ended in (stopped, lost):
        assert ended.ended_at == at(1)
        with pytest.raises(Refused):
            ended.stop(now=at(3))
        with pytest.raises(Refused):
            ended.lose(now=at(3), last_seen=at(1), noticed_by="n3")
        assert ended.version == 2


def test_a_process_says_what_it_knows_and_what_it_learns_until_it_ends() -> None:
    """In an order that does not depend on that of registering."""
    one = Node.start("n1", now=START, host="h", pid=7, version="0.1", rules="tz", operations=["b", "a"])
    one.learn(["c", "a", "b"], now=at(1))
    started, learned = one.pending_events
    assert (started.operations, learned.operations) == (("a", "b"), ("a", "b", "c"))  # type: ignore[attr-defined]
    assert node().pending_events[0].operations is None  # type: ignore[attr-defined]
    one.stop(now=at(2))
    with pytest.raises(Refused):
        one.learn(["d"], now=at(3))
