"""Pages of the log's file that changed places: what is read in order is all that was written, or it is refused."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from application.heads import known_heads
from application.past import Past
from application.ports import Append
from application.tree import EventTree
from application.verification import Problem, verify_store
from domain.errors import StoreError
from infrastructure.leaf_file import LeafFile
from infrastructure.mapper import EventMapper
from infrastructure.read_model import SqliteReadModel
from infrastructure.sqlite_log import SqliteLog
from tests.contracts.log_parts import TinyVault
from tests.domain.task_parts import at, claim, done, make
from tests.doubles import HandClock

PAGE = 4096
TASKS = (UUID(int=1), UUID(int=2))
HOURS = 40
MOMENTS = (at(2), at(9))


@pytest.fixture
def vault() -> TinyVault:
    """The keys, which stay whole."""
    return TinyVault()


@pytest.fixture
def rows(tmp_path: Path, vault: TinyVault) -> Iterator[SqliteReadModel]:
    """The tables of a log in which two tasks ran for 40 hours, as they were before anything happened to the log."""
    task = make()
    for hour in range(HOURS):
        done(task, claim(task, at(0.5 + hour)), at(0.6 + hour))
    log = opened(tmp_path / "sound.db", vault)
    for event in task.collect_events():
        told: Any = event
        for stream_id in TASKS:
            log.append([Append(stream_id, "1", [told.model_copy(update={"originator_id": stream_id})])])
    rows = SqliteReadModel(tmp_path / "readmodel.db")
    rows.catch_up(log)
    log.close()
    yield rows
    rows.close()


def opened(path: Path, vault: TinyVault) -> SqliteLog:
    """A log whose keys are there."""
    return SqliteLog(path, EventMapper(vault), fingerprint="tests")  # type: ignore[arg-type]


def swapped(folder: Path, vault: TinyVault) -> Iterator[tuple[tuple[int, int], SqliteLog]]:
    """That log with every two pages behind the first in each other's place, as far as it can be opened."""
    sound = (folder / "sound.db").read_bytes()
    pages = [sound[begin : begin + PAGE] for begin in range(0, len(sound), PAGE)]
    assert len(pages) > 10
    for one, two in combinations(range(1, len(pages)), 2):
        path = folder / f"{one}-{two}.db"
        path.write_bytes(b"".join(pages[{one: two, two: one}.get(number, number)] for number in range(len(pages))))
        try:
            log = opened(path, vault)
        except StoreError:
            continue
        try:
            yield (one, two), log
        finally:
            log.close()


def test_nothing_is_passed_over_in_silence_where_pages_changed_places(
    tmp_path: Path, rows: SqliteReadModel, vault: TinyVault
) -> None:
    """Reading from any place to the end that the log has finds what was written there, or is refused."""
    refused, read = 0, 0
    for pair, log in swapped(tmp_path, vault):
        for after in (0, rows.position() // 2):
            try:
                end = log.last_position()
                found = [one.position for one in log.read(after, 10_000)]
            except StoreError:
                refused += 1
                continue
            read += 1
            assert found == list(range(after + 1, end + 1)), pair
    assert refused > 10
    assert read > 10


def test_what_changed_between_instants_is_told_whole_or_refused_where_pages_changed_places(
    tmp_path: Path, rows: SqliteReadModel, vault: TinyVault
) -> None:
    """Never that nothing did."""
    heads = dict.fromkeys(TASKS, 2 * HOURS + 1)
    log = opened(tmp_path / "sound.db", vault)
    sound = _changed(Past(log, rows), heads)
    log.close()
    assert set(sound) == set(TASKS)
    ends = False
    for pair, damaged in swapped(tmp_path, vault):
        try:
            found = _changed(Past(damaged, rows), heads)
        except StoreError as error:
            ends = ends or "the log ends at position" in str(error)
        else:
            assert all(one == "unknown" or one == sound.get(id) for id, one in found.items()), pair
            assert set(found) == set(TASKS), pair
    assert ends


def test_verify_names_the_log_where_pages_changed_places(
    tmp_path: Path, rows: SqliteReadModel, vault: TinyVault
) -> None:
    """Heads that cannot be looked up are left out, and nobody is told to delete the leaves."""
    leaves = LeafFile(tmp_path / "leaves.db", HandClock(at(0)))
    log = opened(tmp_path / "sound.db", vault)
    EventTree(log, leaves, HandClock(at(0))).catch_up()
    assert verify_store(log, rows, leaves=leaves, heads=known_heads(log, leaves)).sound
    log.close()
    for pair, damaged in swapped(tmp_path, vault):
        health = verify_store(damaged, rows, leaves=leaves, heads=known_heads(damaged, leaves))
        kinds = {trouble.kind for trouble in health.troubles}
        assert Problem.FILE in kinds, pair
        assert Problem.LEAVES not in kinds, pair
    leaves.close()


def test_events_that_were_deleted_are_no_reason_to_read_nothing(
    tmp_path: Path, rows: SqliteReadModel, vault: TinyVault
) -> None:
    """What is left is read, for each stream to say what it misses."""
    log = opened(tmp_path / "sound.db", vault)
    log._writer.execute("delete from stored_events where rowid in (1, 7, 8, 30)")
    found = [one.position for one in log.read(0, 10_000)]
    assert found == [one for one in range(1, rows.position() + 1) if one not in (1, 7, 8, 30)]
    log.close()


def _changed(past: Past, heads: dict[UUID, int]) -> dict[UUID, Any]:
    """What changed in each task between the two instants, or that it is unknown."""
    found = past.differences(*past.between(*MOMENTS), heads)
    return {one.stream_id: "unknown" if one.blocked is not None else one.changes for one in found}
