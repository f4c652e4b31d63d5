"""Events that are gone from the log are named in their place, wherever a task's events are shown or added up."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from application.audit import Audit
from application.queries import Queries
from application.wholeness import whole
from domain.errors import EventsMissing
from domain.guild import Guild, GuildSettings, guild_stream
from domain.node import Node, node_stream
from domain.task import ScheduledTask
from tests.domain.task_parts import at, claim, done, make
from tests.doubles import HandClock
from tests.infrastructure.store_parts import Store, created, opened


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store with a task that has run three times, a guild and a process that has ended."""
    task = make()
    for hour in range(3):
        done(task, claim(task, at(0.5 + hour)), at(0.6 + hour))
    guild = Guild.open("1", now=at(0))
    guild.change_settings(GuildSettings(timezone="Asia/Tokyo"), now=at(3), by="ann")
    node = Node.start("n1", now=at(0), host="h", pid=1, version="1", rules="r")
    node.stop(now=at(9))
    with opened(tmp_path) as made:
        for one in (task, guild, node):
            made.writer.execute_now([created(one)])  # type: ignore[arg-type]
        yield made


def audit(store: Store) -> Audit:
    """What is asked."""
    nothing: Any = None
    return Audit(Queries(store.rows, store.log, nothing), store.log, HandClock(at(10)))


def delete(folder: Path, stream: Any, *versions: int) -> None:
    """Take events out of the log, behind Daybook's back."""
    with closing(sqlite3.connect(folder / "log.db")) as log, log:
        for version in versions:
            log.execute("delete from stored_events where originator_id = ? and originator_version = ?",
                        (stream.hex, version))  # fmt: skip


def the_task(store: Store) -> ScheduledTask:
    """The one."""
    [(row, _)] = store.rows.tasks()
    return store.replayed(UUID(row.task_id))


@pytest.mark.parametrize("gone", [(1,), (3,), (3, 4), (7,), (6, 7), (1, 4, 7)], ids=str)
def test_what_is_missing_of_a_task_is_named_in_its_place(tmp_path: Path, store: Store, gone: tuple[int, ...]) -> None:
    """At the beginning, in the middle and at the end: in the history, the account and the past."""
    task = the_task(store)
    assert task.version == 7
    sound = audit(store).account(str(task.id))
    assert sound.proven
    delete(tmp_path, task.id, *gone)
    history = store_history(store, task)
    missing = {
        version for one in history if isinstance(one, EventsMissing) for version in range(one.version, one.last + 1)
    }
    assert missing == set(gone)
    assert not audit(store).account(str(task.id)).proven
    [now] = audit(store).as_of(at(10), [str(task.id)])
    assert not now.known
    early = audit(store).as_of(at(0.1), [str(task.id)])
    assert [one.known for one in early] == [1 not in gone]


def store_history(store: Store, task: ScheduledTask) -> list[Any]:
    """What `daybook history` shows."""
    nothing: Any = None
    return [one.event for one in Queries(store.rows, store.log, nothing).history(str(task.id))]


@pytest.mark.parametrize(("stream", "version"), [(guild_stream("1"), 2), (guild_stream("1"), 1), (node_stream("n1"), 1),
                                                 (node_stream("n1"), 2)], ids=str)  # fmt: skip
def test_the_service_is_not_known_where_events_of_a_guild_or_a_process_are_missing(
    tmp_path: Path, store: Store, stream: Any, version: int
) -> None:
    """The last one too: the rows know how many there were."""
    assert audit(store).service_as_of(at(10)).known
    delete(tmp_path, stream, version)
    assert not audit(store).service_as_of(at(10)).known


def test_nothing_is_named_missing_where_nothing_is(store: Store) -> None:
    """Also for the end of a longer history."""
    task = the_task(store)
    events = store.log.stream(task.id)
    assert whole(task.id, events, head=task.version) == events
    assert whole(task.id, events[4:], after=4, head=task.version) == events[4:]


def test_the_next_number_of_each_stream_is_found(store: Store) -> None:
    """By every log alike; see tests/contracts for PostgreSQL."""
    task = the_task(store)
    found = store.log.following({task.id: 6, guild_stream("1"): 1})
    assert {stream_id: one.version for stream_id, one in found.items()} == {task.id: 7, guild_stream("1"): 2}
    assert all(store.log.rows(one.position - 1, 1)[0].version == one.version for one in found.values())
    assert store.log.following({task.id: 7, guild_stream("nobody"): 0}) == {}
