"""What must hold of Daybook's store after a measurement: a figure of a store that is wrong is no figure."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from uuid import UUID

from application.rows import TABLES
from domain.errors import EventUnreadable
from domain.task_events import Executed, TaskEvent
from infrastructure.layout import READ_MODEL_FILE
from infrastructure.read_model import SqliteReadModel
from infrastructure.stores import Stores
from tests.e2e.evidence import check_accounting, check_rows

__all__ = ["check_equal", "check_rebuilt", "check_replayed", "check_touched", "tables"]

_READ_EVENTS = 10_000


def check_touched(stores: Stores, since: int, runs: int, *, most: int | None = None) -> None:
    """So many runs were executed after a position, and every slot of the tasks concerned is accounted for.

    Their rows say what their events say. At most ``most`` tasks are looked at one by one.
    """
    log, position, executed = stores.log, since, 0
    touched: set[UUID] = set()
    while chunk := log.read(position, _READ_EVENTS):
        position = chunk[-1].position
        for _, event in chunk:
            assert not isinstance(event, EventUnreadable), event
            if isinstance(event, TaskEvent):
                touched.add(event.originator_id)
                executed += isinstance(event, Executed)
    assert executed == runs, f"{executed:,} runs were executed, not {runs:,}"
    streams = {stream_id: [event for _, event in log.stream(stream_id)] for stream_id in sorted(touched)[:most]}
    for stream_id, stream in streams.items():
        counts = check_accounting(stream)
        assert counts["pending"] == counts["running"] == 0, f"{stream_id} has open runs"
    check_rows(streams, stores.read_model)


def check_rebuilt(stores: Stores) -> None:
    """A read model made anew from the whole log equals the live one."""
    assert (differing := stores.read_model.differing(stores.log)) == {}, f"rebuilt rows differ: {differing}"


def check_replayed(stores: Stores, before: Path) -> None:
    """The read model as it was before, brought up to date from the log alone, equals the live one."""
    wal = before.with_name(f"{before.name}-wal")
    assert not wal.exists() or wal.stat().st_size == 0, f"{before} was not closed"
    copy = stores.folder / "replayed.db"
    shutil.copy(before, copy)
    replayed = SqliteReadModel(copy)
    replayed.catch_up(stores.log)
    replayed.close()
    check_equal(copy, stores.folder / READ_MODEL_FILE)


def check_equal(made: Path, live: Path) -> None:
    """Two files of read models hold the same rows."""
    with closing(sqlite3.connect(made)) as connection:
        connection.execute("attach ? as live", (str(live),))
        for table in (kind.table for kind in TABLES):
            for one, other in (("main", "live"), ("live", "main")):
                statement = f"select count(*) from (select * from {one}.{table} except select * from {other}.{table})"
                [count] = connection.execute(statement).fetchone()
                assert count == 0, f"{count} rows of {table} differ"


def tables(connection: sqlite3.Connection, schema: str) -> dict[str, str]:
    """What makes each table of a read model, by its name; of an index of texts those that it keeps its own rows in."""
    found = connection.execute(f"select name, sql from {schema}.sqlite_master where type = 'table' and name != 'meta'")
    return {name: sql for name, sql in found if not name.startswith("sqlite_") and "virtual table" not in sql.lower()}
