"""Whatever tasks have gone through, another store that imports their history gives every answer that this one gives."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from hashlib import sha256
from itertools import zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch
from uuid import UUID, uuid5

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from application import import_streams
from application.accounting import account, slot_fates
from application.chronicle import chronicle
from application.history import fields_of
from application.history_file import EVERYTHING, Header, HistoryReader
from application.history_import import HistoryImport
from application.history_transfer import HistoryExport
from application.import_plan import AS_IT_IS, ImportOptions, Outcome
from application.ports import Append, Log, Recorded
from application.projections import project
from application.renaming import Renaming
from application.rows import RowsInMemory
from domain.errors import InvalidImport
from domain.event import Event
from domain.guild import Guild, GuildSettings
from domain.guild_imports import HistoryImported
from domain.node import Node
from domain.runs import run_id
from domain.task import state
from infrastructure.disk_map import DiskMap
from infrastructure.mapper import EventMapper
from infrastructure.sqlite_log import SqliteLog
from tests.contracts.log_parts import TinyVault
from tests.properties.lives import FullLife, lives
from tests.properties.test_task_edits import BEGIN

NOW = BEGIN + timedelta(days=5000)
AHEAD = timedelta(days=3)


class OtherVault(TinyVault):
    """The vault of another store: other keys for the same guilds."""

    def data_key(self, guild_id: str) -> tuple[bytes, bytes]:
        return super().data_key(f"elsewhere {guild_id}")


def a_log(folder: str, name: str, vault: TinyVault) -> SqliteLog:
    """An empty store."""
    return SqliteLog(Path(folder) / name, EventMapper(vault))  # type: ignore[arg-type]


def decided(aggregate: Any) -> Append:
    """What an aggregate has decided and nobody has written."""
    return Append(aggregate.id, aggregate.guild_id, tuple(aggregate.collect_events()))


def appends_of(several: list[FullLife]) -> Iterator[Append]:
    """A store's whole past: a process, a guild with settings, and tasks whose events are written in turn."""
    node = Node.start("n", now=BEGIN, host="h", pid=1, version="1", rules="r")
    guild = Guild.open("1", now=BEGIN)
    guild.change_settings(GuildSettings(timezone="Europe/Berlin"), now=BEGIN, by="person:1")
    yield decided(node)
    yield decided(guild)
    for other in (Guild.open("2", now=BEGIN), Guild.open("", now=BEGIN)):
        yield decided(other)
    renamed = []
    for number, life in enumerate(several):
        rename = Renaming(life.task.id, UUID(int=100 + number), str(1 + number % 2))
        renamed.append([rename(event) for event in life.events])
    for turn in zip_longest(*renamed):
        for number, event in enumerate(turn):
            if event is not None:
                yield Append(event.originator_id, str(1 + number % 2), (event,))


def exported(log: Log, at: datetime = NOW) -> list[bytes]:
    """Every line of an export of everything."""
    header = Header(EVERYTHING, at, 0, 0)
    return list(HistoryExport(log, header, None, log.last_position(), lambda done, total: None).lines())


def events_in(lines: list[bytes]) -> list[dict[str, Any]]:
    """The events of a file but for what imports have written about themselves."""
    entries = [json.loads(line) for line in lines[1:-1]]
    return [e for e in entries if e["topic"] not in (HistoryImported.topic, "node.lost")]


def imported(log: Log, lines: list[bytes], options: ImportOptions = AS_IT_IS) -> Any:
    """Import these lines, with room for one task in memory; the plan."""
    with patch.object(import_streams, "MOST_HELD", 1):
        work = HistoryImport(
            log, lambda: iter(lines), options, now=NOW, by="operator", fresh=UUID(int=99), spill=DiskMap
        )
        plan = work.plan()
        work.write(plan)
    return plan


def histories(log: Log) -> dict[UUID, list[Recorded]]:
    """The events of every task, by its id, at positions of its own."""
    found: dict[UUID, list[Recorded]] = {}
    for _, event in log.read(0, 1_000_000):
        assert isinstance(event, Event)
        if event.topic.startswith("task."):
            stream = found.setdefault(event.originator_id, [])
            stream.append(Recorded(len(stream) + 1, event))
    return found


def rows_of(log: Log) -> dict[str, Any]:
    """The tables that the log adds up to."""
    rows = RowsInMemory()
    for _, event in log.read(0, 1_000_000):
        assert isinstance(event, Event)
        if event.topic not in (HistoryImported.topic, "node.lost"):
            project(event, rows)
    return dict(vars(rows))


def _told(log: Log) -> list[Any]:
    return [one for one in log.read(0, 1_000_000) if isinstance(one.event, HistoryImported)]


@settings(max_examples=10)
@given(st.lists(lives, min_size=1, max_size=3))
def test_a_history_comes_back_equal_in_every_answer(several: list[FullLife]) -> None:
    """Export, import, export again: the same file; and the same state, accounts, fates and tables, event by event."""
    with TemporaryDirectory() as folder, closing(a_log(folder, "a", TinyVault())) as source:
        source.append_all(appends_of(several))
        lines = exported(source)
        with closing(a_log(folder, "b", OtherVault())) as target:
            plan = imported(target, lines)
            assert (plan.count, plan.events) == (len(several), source.last_position())
            assert events_in(exported(target)) == events_in(lines)
            assert rows_of(target) == rows_of(source)
            before, after = histories(source), histories(target)
            assert after == before
            for task_id, events in before.items():
                mine = state(one.event for one in events)
                assert fields_of(state(one.event for one in after[task_id])) == fields_of(mine)
                books = [chronicle(one[task_id]) for one in (before, after)]
                end = several[0].now + AHEAD
                assert len({repr(account(book, now=end, end=end)) for book in books}) == 1
                fates = [list(slot_fates(book, start=BEGIN, end=end, now=end)) for book in books]
                assert fates[0] == fates[1]
            assert [task.outcome for task in imported(target, lines).tasks] == [Outcome.SAME] * len(several)
            told = 1 + len({stream.event.guild_id for stream in _told(target)})
            assert target.last_position() == source.last_position() + told  # the lost process, and each guild


@settings(max_examples=10)
@given(lives)
def test_a_copy_beside_its_original_has_ids_of_its_own_and_the_same_fates(life: FullLife) -> None:
    """Runs of the copy are named as its own id names them; no row is shared; what became of every slot is the same."""
    with TemporaryDirectory() as folder, closing(a_log(folder, "a", TinyVault())) as log:
        log.append_all(appends_of([life]))
        plan = imported(log, exported(log), ImportOptions(new_ids=True))
        assert [task.outcome for task in plan.tasks] == [Outcome.NEW_ID]
        original, copy = histories(log).values()
        assert len(copy) == len(original)
        task = state(one.event for one in copy)
        assert task is not None and task.id == uuid5(UUID(int=99), str(UUID(int=100)))  # noqa: PT018
        names = [{getattr(one.event, "run", None) for one in events} - {None} for events in (original, copy)]
        assert len(names[0]) == len(names[1])
        assert not names[0] & names[1]
        for run in task.open_runs.values():
            assert run.run == run_id(task.id, run.slot, run.request)
        end = life.now + AHEAD
        fates = [
            [(slot.slot, slot.fate) for slot in slot_fates(chronicle(events), start=BEGIN, end=end, now=end)]
            for events in (original, copy)
        ]
        assert fates[0] == fates[1]


@settings(max_examples=25)
@given(lives, st.data())
def test_a_file_that_was_cut_or_changed_is_refused_and_nothing_is_written(life: FullLife, data: st.DataObject) -> None:
    """Whichever byte is gone or another one: the digest of the last line, or a line itself, tells."""
    with TemporaryDirectory() as folder, closing(a_log(folder, "a", TinyVault())) as source:
        source.append_all(appends_of([life]))
        whole = b"".join(exported(source))
        place = data.draw(st.integers(0, len(whole) - 1))
        if data.draw(st.booleans()):
            broken = whole[:place]
        else:
            broken = whole[:place] + bytes([whole[place] ^ 1 << data.draw(st.integers(0, 7))]) + whole[place + 1 :]
        with closing(a_log(folder, "b", OtherVault())) as target:
            with pytest.raises(InvalidImport):
                imported(target, broken.splitlines(keepends=True))
            assert target.last_position() == 0


def test_anybody_can_check_the_digest() -> None:
    """The last line holds the SHA-256 of all lines before it, as `head -n -1 FILE | sha256sum` prints it."""
    with TemporaryDirectory() as folder, closing(a_log(folder, "a", TinyVault())) as log:
        log.append_all(appends_of([]))
        *lines, last = exported(log)
        assert json.loads(last)["end"]["sha256"] == sha256(b"".join(lines)).hexdigest()
        reader = HistoryReader(iter([*lines, last]))
        reader.begin()
        assert len(list(reader.events())) == reader.count == log.last_position()
