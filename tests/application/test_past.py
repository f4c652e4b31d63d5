"""The whole service as it was, and who may ask for it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from application.audit import Audit
from application.ports import Command
from application.queries import Queries
from domain.errors import NotFound
from domain.guild import Guild, GuildSettings, guild_stream
from domain.node import Node
from domain.principal import Principal
from domain.task import ScheduledTask
from infrastructure.mapper import EventMapper
from infrastructure.sqlite_log import SqliteLog
from tests.contracts.log_parts import TinyVault
from tests.domain.task_parts import at, claim, make
from tests.doubles import HandClock
from tests.infrastructure.store_parts import FINGERPRINT, Store, opened

MINE = Principal(reference="person:1", guild_id="1")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty store."""
    with opened(tmp_path) as made:
        yield made


@pytest.fixture
def audit(store: Store) -> Audit:
    """The past of that store."""
    return Audit(Queries(store.rows, store.log, None), store.log, HandClock(at(9)))  # type: ignore[arg-type]


def write(store: Store, aggregate: Node | Guild | ScheduledTask) -> None:
    """Write what was just made."""
    [outcome] = store.writer.execute_now([Command(aggregate.id, lambda made: None, create=lambda: aggregate)])
    assert outcome is None, outcome


def two_guilds(store: Store) -> tuple[ScheduledTask, ScheduledTask]:
    """Two processes, one found dead; a task in each of two guilds, one of them running; settings that change."""
    first = Node.start("n1", now=at(0), host="h", pid=1, version="1", rules="r")
    first.lose(now=at(5), last_seen=at(2), noticed_by="n2")
    second = Node.start("n2", now=at(1), host="h", pid=2, version="1", rules="r")
    second.stop(now=at(6))
    guild = Guild.open("1", now=at(0))
    guild.change_settings(GuildSettings(timezone="Asia/Tokyo"), now=at(3), by="ann")
    mine, other = make(), make(guild_id="2", now=at(1), name="other")
    claim(mine, at(0.5))
    other.pause(now=at(4), by="bob", reason="moving")
    for aggregate in (first, second, guild, mine, other):
        write(store, aggregate)
    return mine, other


def test_the_whole_service_is_told_as_it_was(store: Store, audit: Audit) -> None:
    """Tasks by status, runs under way, settings in force, and which processes were up."""
    mine, other = two_guilds(store)
    early, later, end = (audit.service_as_of(at(hour)) for hour in (0.7, 3.5, 7))
    assert (early.counts, early.open_runs, early.known) == ({"active": 1}, 1, True)
    assert [(one.node, one.up) for one in early.nodes] == [("n1", True)]
    assert later.counts == {"active": 2}
    assert [(one.node, one.up) for one in later.nodes] == [("n2", True), ("n1", False)]  # dead, though nobody knew yet
    assert end.counts == {"active": 1, "paused": 1}
    assert not any(one.up for one in end.nodes)
    assert [one.fields.get("settings.timezone") for one in early.guilds if one.guild_id == "1"] == [None]
    assert [one.fields.get("settings.timezone") for one in later.guilds if one.guild_id == "1"] == ["Asia/Tokyo"]
    assert {one.task_id for one in end.tasks} == {str(mine.id), str(other.id)}
    assert audit.service_as_of(store.log.last_position()).counts == end.counts


def test_of_a_position_only_what_was_written_by_then_is_told(store: Store, audit: Audit) -> None:
    """Nobody had found the process dead."""
    two_guilds(store)
    first = audit.service_as_of(1)
    assert (first.position, first.tasks, [one.up for one in first.nodes]) == (1, [], [True])
    assert [one.up for one in audit.service_as_of(2).nodes] == [False]


def test_a_guild_is_told_of_itself_alone(store: Store, audit: Audit) -> None:
    """To its members, whatever they ask, and to those who ask for it."""
    mine, _ = two_guilds(store)
    for seen in (audit.service_as_of(at(7), principal=MINE), audit.service_as_of(at(7), guild_id="1")):
        assert [one.task_id for one in seen.tasks] == [str(mine.id)]
        assert [one.guild_id for one in seen.guilds] == ["1"]
        assert seen.nodes == []
    for ask in (
        lambda: audit.service_as_of(at(7), guild_id="2", principal=MINE),
        lambda: audit.differences(at(1), at(7), guild_id="2", principal=MINE),
    ):
        with pytest.raises(NotFound):
            ask()


def test_what_changed_is_told_of_tasks_and_guilds(store: Store, audit: Audit) -> None:
    """With who and why; nothing of other guilds."""
    mine, _ = two_guilds(store)
    changes = {(name, change.name): change for name, one in audit.differences(at(2), at(7)) for change in one.changes}
    assert set(changes) >= {("guild 1", "settings.timezone"), ("other", "status")}
    [step] = changes["other", "status"].steps
    assert (step.by, step.reason) == ("bob", "moving")
    assert changes["guild 1", "settings.timezone"].steps[0].by == "ann"
    assert {name for name, _ in audit.differences(at(2), at(7), principal=MINE)} == {"guild 1"}
    assert audit.differences(at(7), at(8)) == []
    assert [one.stream_id for _, one in audit.differences(at(2), at(7), guild_id="1")] == [guild_stream("1")]
    assert mine.id not in {one.stream_id for _, one in audit.differences(at(2), at(7))}


def test_a_task_that_cannot_be_read_leaves_the_others_known(tmp_path: Path, store: Store, audit: Audit) -> None:
    """It counts as unknown, and its difference says which event it is."""
    mine, _ = two_guilds(store)
    with closing(sqlite3.connect(tmp_path / "log.db")) as log, log:
        log.execute(
            "update stored_events set state = x'00' where originator_id = ? and originator_version = 2", (mine.id.hex,)
        )
    then = audit.service_as_of(at(7))
    assert (then.counts, then.known) == ({"unknown": 1, "paused": 1}, False)
    [(broken_name, broken)] = [
        (name, one) for name, one in audit.differences(at(0.2), at(0.7)) if one.blocked is not None
    ]
    assert broken.blocked is not None
    assert broken.blocked.version == 2
    found = {name: one.blocked for name, one in audit.differences(at(7), at(8))}
    assert {name: error.version for name, error in found.items() if error is not None} == {broken_name: 2}


def test_what_cannot_be_read_and_was_not_erased_is_no_past_without_changes(tmp_path: Path) -> None:
    """Nobody knows when its events happened, so that they are of no moment and of every one; it says so."""
    vault = TinyVault()
    log = SqliteLog(tmp_path / "log.db", EventMapper(vault), fingerprint=FINGERPRINT)  # type: ignore[arg-type]
    with opened(tmp_path, log=log) as store:
        audit = Audit(Queries(store.rows, store.log, None), store.log, HandClock(at(9)))  # type: ignore[arg-type]
        two_guilds(store)
        vault.destroy_keys("2")
        found = {name: one for name, one in audit.differences(at(2), at(7))}
        assert (found["other"].blocked is None, found["guild 1"].blocked) == (False, None)
