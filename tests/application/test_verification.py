"""What `daybook verify` finds, with what is to be done about it; and that it finds nothing where nothing is wrong."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest.mock import patch
from uuid import UUID

import pytest

from application.ports import Append, Command
from application.verification import KEY, REBUILD, RESTORE, UPGRADE, Health, Problem, verify_store
from domain.event import EVENT_TYPES
from domain.guild import Guild, GuildSettings
from domain.task import ScheduledTask
from domain.task_erasure import Erased, Tally
from domain.task_snapshot import snapshot_of
from infrastructure import snapshots
from infrastructure.mapper import EventMapper
from infrastructure.sqlite_log import SqliteLog
from tests.contracts.log_parts import Noted, TinyVault, note
from tests.domain.task_parts import at, claim, done, make
from tests.infrastructure.store_parts import FINGERPRINT, Store, opened

RUNS = 60


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store with a task that has run often, of which states are kept, one that has not, and a guild."""
    with opened(tmp_path) as made:
        yield made


@pytest.fixture
def task(store: Store) -> ScheduledTask:
    """The one that has run."""
    often = make()
    for hour in range(RUNS):
        done(often, claim(often, at(0.5 + hour)), at(0.6 + hour))
    guild = Guild.open("1", now=at(0))
    guild.change_settings(GuildSettings(timezone="Asia/Tokyo"), now=at(3), by="ann")
    made: list[Any] = [often, make(name="idle"), guild]
    for one in made:
        store.writer.execute_now([Command(one.id, lambda nothing: None, create=lambda one=one: one)])  # type: ignore[misc]
    store.see_others()
    task = store.replayed(often.id)
    for number in range(50, task.version, 50):
        kept: Any = None
        for event in store.events(task.id)[:number]:
            kept = event.mutate(kept)
        store.log.save_snapshots([("1", snapshot_of(kept, fingerprint=FINGERPRINT))])
    return task


def damage(folder: Path, statement: str, *values: object, file: str = "log.db") -> None:
    """Change a file behind Daybook's back."""
    with closing(sqlite3.connect(folder / file)) as database, database:
        assert database.execute(statement, values).rowcount >= 1


def health(store: Store) -> Health:
    """What is found."""
    return verify_store(store.log, store.rows)


def found(store: Store) -> list[tuple[Problem, int, str]]:
    """The kinds, versions and advice of what is found."""
    return [(one.kind, one.version, one.advice) for one in health(store).troubles]


WHERE = "where originator_id = ? and originator_version = ?"


def test_a_sound_store_has_no_trouble(store: Store, task: ScheduledTask) -> None:
    """Everything was looked at, kept states among it, and each step says how far it is."""
    told: dict[str, tuple[int, int]] = {}

    def begin(title: str) -> Any:
        return lambda done, end: told.update({title: (done, end)})

    result = verify_store(store.log, store.rows, begin)
    assert result.sound, result.troubles
    assert (result.events, result.streams) == (task.version + 3, 3)
    assert result.snapshots >= 2
    assert {title: done == end > 0 for title, (done, end) in told.items()} == {
        "Reading": True, "Replaying": True, "Rebuilding": True,
    }  # fmt: skip


def test_a_missing_event_is_a_gap(tmp_path: Path, store: Store, task: ScheduledTask) -> None:
    """Named by its number, and once."""
    damage(tmp_path, f"delete from stored_events {WHERE}", task.id.hex, 7)
    troubles = [one for one in health(store).troubles if one.kind is not Problem.ROWS]
    assert [(one.kind, one.version, one.advice) for one in troubles] == [(Problem.GAP, 8, RESTORE)]
    words = f"stream {task.id}: event 7 is missing before event 8 (position {troubles[0].position})"
    assert troubles[0].words == words


def test_events_out_of_order_are_named(tmp_path: Path, store: Store, task: ScheduledTask) -> None:
    """By the position at which they stand."""
    damage(tmp_path, f"update stored_events set rowid = 100000 {WHERE}", task.id.hex, 3)
    assert (Problem.ORDER, 3, RESTORE) in found(store)


def test_a_damaged_event_is_named(tmp_path: Path, store: Store, task: ScheduledTask) -> None:
    """What comes after it cannot be applied, and is no trouble of its own."""
    damage(tmp_path, f"update stored_events set state = zeroblob(99) {WHERE}", task.id.hex, 9)
    assert [one for one in found(store) if one[0] is not Problem.ROWS] == [(Problem.UNREADABLE, 9, RESTORE)]


def test_a_row_of_no_stream_is_named(tmp_path: Path, store: Store, task: ScheduledTask) -> None:
    """By its position, since it has nothing else."""
    damage(tmp_path, "update stored_events set originator_id = 'nobody' where rowid = 1")
    kinds = {one.kind: one for one in health(store).troubles}
    assert kinds[Problem.ROW].position == 1
    assert Problem.GAP in kinds


def test_an_event_of_a_newer_version_asks_for_an_upgrade(store: Store, task: ScheduledTask) -> None:
    """It is no damage: the store was written by a newer program."""
    store.log.append([note(task.id, task.version + 1, ["new"], "1")])
    with patch.dict(EVENT_TYPES):
        del EVENT_TYPES[Noted.topic]
        assert (Problem.NEWER, task.version + 1, UPGRADE) in found(store)


def test_an_event_that_does_not_apply_is_named(store: Store, task: ScheduledTask) -> None:
    """Readable, and yet nothing that a stream can begin with."""
    task.pause(now=at(99), by="ann")
    collected: list[Any] = list(task.collect_events())
    [paused] = (event for event in collected if event.topic == "task.paused")
    stream_id = UUID(int=9)
    store.log.append(
        [Append(stream_id, "1", [paused.model_copy(update={"originator_id": stream_id, "originator_version": 1})])]
    )
    assert (Problem.BROKEN, 1, RESTORE) in found(store)


def test_a_kept_state_that_is_not_that_of_a_replay_is_found(store: Store, task: ScheduledTask) -> None:
    """A rebuild forgets it."""
    wrong = snapshot_of(task, fingerprint=FINGERPRINT).model_copy(
        update={"originator_version": 60, "consecutive_failures": 2}
    )
    beyond = wrong.model_copy(update={"originator_version": 100_000})
    with patch.object(snapshots, "SNAPSHOT_EVENTS", 1):  # those that lie close make room for each other
        store.log.save_snapshots([("1", wrong), ("1", beyond)])
    assert found(store) == [(Problem.SNAPSHOT, 60, REBUILD), (Problem.SNAPSHOT, 100_000, REBUILD)]
    store.log.drop_snapshots()
    assert found(store) == []


def test_tables_that_are_not_what_the_log_makes_are_found(tmp_path: Path, store: Store, task: ScheduledTask) -> None:
    """With how many rows differ; a rebuild makes them anew."""
    store.rows.close()
    damage(tmp_path, "update runs set state = 'failed' where rowid <= 3", file="readmodel.db")
    damage(tmp_path, "delete from texts where task_id = ?", str(task.id), file="readmodel.db")
    damage(tmp_path, "update times set earliest = latest + 1", file="readmodel.db")
    words = {one.words for one in health(store).troubles}
    assert words == {
        "3 rows of the table runs are not what the log makes",
        "1 row of the table texts is not what the log makes",
        "1 row of the table times is not what the log makes",
    }
    store.rows.reset()
    store.rows.catch_up(store.log)
    assert health(store).sound


def test_erased_events_are_counted_and_no_trouble(tmp_path: Path) -> None:
    """What was erased is as it should be; a key that is missing although nothing was erased is not."""
    vault = TinyVault()
    log = SqliteLog(tmp_path / "log.db", EventMapper(vault), fingerprint=FINGERPRINT)  # type: ignore[arg-type]
    log.append([note(UUID(int=1), 1, ["a", "b"], "gone")])
    vault.destroy_keys("gone")
    with opened(tmp_path, log=log) as store:
        assert found(store) == [(Problem.KEY, 0, KEY)]
        key_id = log.stream(UUID(int=1))[0].event.key_id  # type: ignore[union-attr]
        assert verify_store(log, store.rows, destroyed=[key_id]).sound, "this log is older than the erasure"
        said = Erased(
            originator_id=UUID(int=1), originator_version=3, timestamp=at(1), guild_id="gone", by="ann", tally=Tally()
        )
        log.append([Append(UUID(int=1), "", [said])])
        store.rows.catch_up(log)
        result = health(store)
    assert (result.erased, result.troubles) == (2, [])


def test_a_damaged_index_is_found(tmp_path: Path, store: Store, task: ScheduledTask) -> None:
    """Rows that are there, and are not found when they are asked for by their stream."""
    store.log.close()
    with closing(sqlite3.connect(tmp_path / "log.db")) as database:
        database.execute("pragma writable_schema = on")
        database.execute(
            "update sqlite_master set rootpage = (select rootpage from sqlite_master where name = 'snapshots') "
            "where name = 'sqlite_autoindex_stored_events_1'"
        )
        database.commit()
    with opened(tmp_path) as again:
        assert {Problem.FILE} <= {kind for kind, _, _ in found(again)}
