"""Rows made anew from a PostgreSQL log by several processes are those of one."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from application.ports import Append
from infrastructure import rebuild, rebuild_parts
from infrastructure.complete_log import CompleteLog
from infrastructure.read_model import SqliteReadModel
from infrastructure.stores import open_postgres
from tests.domain.task_parts import at, make


def test_several_processes_make_the_rows_of_a_postgres_log(
    tmp_path: Path, postgres_url: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The processes know no log: they are given what was read of it."""
    monkeypatch.setattr(rebuild, "WORTH_EVENTS", 1)
    monkeypatch.setattr(rebuild_parts, "PAGE_EVENTS", 2)
    folder, key = tmp_path / "data", {"DAYBOOK_MASTER_KEY": "ab" * 32}
    with closing(open_postgres(postgres_url(), folder, node="n", now=at(0), environment=key)) as stores:
        for number in range(5):
            task = make(name=f"Task {number}", guild_id=str(number % 2))
            stores.log.append([Append(task.id, task.guild_id, list(task.pending_events))])
        dumps = []
        for parts in (1, 2):
            with closing(SqliteReadModel(tmp_path / f"{parts}.db")) as rows:
                rebuild.catch_up(rows, partial(CompleteLog, stores.log, folder), stores.vault, parts=parts)
                assert rows.position() == stores.log.last_position()
                dumps.append((rows.dump(), rows.faults()))
        assert dumps[0] == dumps[1]
        assert len(dumps[0][0]["tasks"]) == 5
