"""Rows that are made in parts, guild by guild, and put together are those that are made in the order of the log."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from application.ports import Append
from application.rows import TABLES
from domain.event import Event
from domain.guild import ContentDeleted, GuildOpened, GuildSettings, SettingsChanged, guild_stream
from domain.node import NodeLost, NodeStarted, node_stream
from infrastructure.complete_log import CompleteLog
from infrastructure.layout import LOG_FILE
from infrastructure.read_model import SqliteReadModel
from infrastructure.rebuild_parts import Shares
from infrastructure.row_process import PartRows
from infrastructure.stores import Stores, open_folder
from tests.doubles import HandClock
from tests.properties.lives import FullLife, lives
from tests.properties.test_erasure import GUILDS, KEY, erasure, of_guild

DAMAGE = {
    "truncated": "state = substr(state, 1, 5)",
    "no key": "state = cast(substr(state, 1, 2) || x'0102030405060708' || substr(state, 11) as blob)",
    "tampered with": "state = cast(substr(state, 1, length(state) - 2) || x'0000' as blob)",
    "unknown": "topic = 'task.invented'",
    "not even a topic": "topic = x'ff00'",
    "missing": "",
}


def of_guilds(guild_id: str, now: Any, numbers: list[int]) -> list[Event]:
    """What a guild (the service, with an empty id) wrote of itself: settings, and what was deleted from it."""
    stream, events = guild_stream(guild_id), list[Event]()
    place = {"originator_id": stream, "timestamp": now}
    events.append(GuildOpened(**place, originator_version=1, guild_id=guild_id))
    for version, number in enumerate(numbers, 2):
        if number % 3 == 0:
            settings = GuildSettings(max_tasks=number + 1)
            events.append(
                SettingsChanged(**place, originator_version=version, guild_id=guild_id, settings=settings, by="p")
            )
            continue
        events.append(
            ContentDeleted(
                **place,
                originator_version=version,
                scope=guild_id or None,
                cutoff=now - timedelta(days=number),
                summaries=0,
                run_details=0,
                cached=0,
                archives_tasks=number % 2 == 0,
                deletes_runs=True,
                by="p",
            )
        )
    return events


def of_node(now: Any) -> list[Event]:
    """A process that came and was lost."""
    place = {"originator_id": node_stream("n1"), "timestamp": now}
    started = NodeStarted(**place, originator_version=1, node="n1", host="h", pid=1, version="1", rules="r")
    return [started, NodeLost(**place, originator_version=2, node="n1", last_seen=now, noticed_by="n2")]


def written(stores: Stores, histories: list[tuple[Any, str, list[Event]]], order: list[int]) -> None:
    """All of these streams, in small pieces and in this order; what is left of each comes at the end."""
    left = [(stream, guild, list(events)) for stream, guild, events in histories]
    for choice in (*order, *range(len(left))):
        stream, guild, events = left[choice % len(left)]
        count = 1 + choice % 3 if choice in order else len(events)
        piece, events[:] = events[:count], events[count:]
        if piece:
            stores.log.append([Append(stream, guild, piece)])
    for stream, guild, events in left:
        if events:
            stores.log.append([Append(stream, guild, events)])


def damaged(folder: Path, damage: list[tuple[str, int]], end: int) -> None:
    """Rows of the log that are not what they were."""
    with closing(sqlite3.connect(folder / LOG_FILE)) as log, log:
        for kind, number in damage:
            where = f"where rowid = {1 + number % end}"
            log.execute(
                f"update stored_events set {DAMAGE[kind]} {where}"
                if DAMAGE[kind]
                else f"delete from stored_events {where}"
            )


def everything(path: Path) -> dict[str, list[Any]]:
    """All rows of all tables, but how far they have come: of parts only what they are put into says that."""
    with closing(sqlite3.connect(path)) as rows:
        names = (*(kind.table for kind in TABLES), "faults", "heads", "times")
        found = {name: sorted(rows.execute(f"select * from {name}"), key=repr) for name in names}
        return found | {"totals": sorted(rows.execute("select * from totals where tasks > 0"))}


def in_parts(stores: Stores, folder: Path, count: int, page: int) -> Path:
    """The rows that so many parts make, in this process."""
    parts = [PartRows(folder / f"part{number}.db") for number in range(count)]
    log, shares, position = CompleteLog(stores.log, folder, 0, accepted=True), Shares(stores.vault, count), 0
    while rows := log.rows(position, page):
        position = rows[-1].position
        for part, batch in zip(parts, shares.batches(rows), strict=True):
            part.add(batch)
    for part in parts:
        part.close()
    made = SqliteReadModel(folder / "together.db")
    made.put_together([folder / f"part{number}.db" for number in range(count)], position)
    assert made.position() == stores.log.last_position()
    assert made.differing(stores.log) == {}
    made.close()
    return folder / "together.db"


def alone(stores: Stores, folder: Path) -> Path:
    """The rows that are made in the order of the log."""
    made = SqliteReadModel(folder / "alone.db")
    made.catch_up(CompleteLog(stores.log, folder, 0, accepted=True))
    made.close()
    return folder / "alone.db"


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(
    histories=st.lists(lives, min_size=1, max_size=5),
    order=st.lists(st.integers(0, 60), max_size=40),
    own=st.lists(st.lists(st.integers(0, 40), max_size=3), min_size=4, max_size=4),
    erased=st.sampled_from(("", "", *GUILDS)),
    damage=st.lists(st.tuples(st.sampled_from(sorted(DAMAGE)), st.integers(0, 500)), max_size=4),
    count=st.integers(1, 4),
    page=st.sampled_from((1, 3, 1000)),
)
def test_rows_made_in_parts_are_those_that_are_made_in_order(
    histories: list[FullLife],
    order: list[int],
    own: list[list[int]],
    erased: str,
    damage: list[tuple[str, int]],
    count: int,
    page: int,
) -> None:
    """Whatever happened in some guilds, one of which may be erased, and whatever became of the log since."""
    now = max(life.now for life in histories)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        with closing(open_folder(folder, node="n", now=now, environment=KEY)) as stores:
            streams = [of_guild(life, number) for number, life in enumerate(histories)]
            streams += [
                (guild_stream(guild), guild, of_guilds(guild, now, numbers))
                for guild, numbers in zip(("", *GUILDS), own, strict=True)
            ]
            written(stores, [*streams, (node_stream("n1"), "", of_node(now))], order)
            stores.read_model.catch_up(stores.log)
            if erased:
                asyncio.run(erasure(stores, HandClock(now)).erase_guild(erased))
                stores.read_model.catch_up(stores.log)
            if not damage:
                assert everything(in_parts(stores, folder, count, page)) | {"times": []} == everything(
                    stores.read_model.path
                ) | {"times": []}
                return
            damaged(folder, damage, stores.log.last_position() - 1)
            made, expected = everything(in_parts(stores, folder, count, page)), everything(alone(stores, folder))
            for table, rows in expected.items():
                note(table)
                assert made[table] == rows
