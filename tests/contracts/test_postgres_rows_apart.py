"""Rows of a PostgreSQL log, whose positions have gaps, made by another process in a burst."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from time import sleep

import pytest

from application.rows import TaskRow
from domain.errors import DaybookError
from infrastructure.rows_apart import Burst
from infrastructure.stores import open_postgres
from tests.domain.task_parts import at, make
from tests.infrastructure.store_parts import created


def test_another_process_makes_the_rows_of_a_postgres_log(
    tmp_path: Path, postgres_url: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two nodes write in turn, and each is given the rows of both; an append that fails leaves a gap in between."""
    monkeypatch.setattr(Burst, "HIGH", 1.0)
    monkeypatch.setattr("infrastructure.stores.cores", lambda: 2)
    url, key = postgres_url(), {"DAYBOOK_MASTER_KEY": "ab" * 32}
    with (
        closing(open_postgres(url, tmp_path / "one", node="n1", now=at(0), environment=key)) as one,
        closing(open_postgres(url, tmp_path / "two", node="n2", now=at(0), environment=key)) as two,
    ):
        assert one.writer.execute_now([created(make())]) == [None]
        apart = one.writer._projector._apart
        assert apart is not None
        while apart.process is None:
            sleep(0.005)
        for number in range(6):
            task = make(name=f"Task {number}", guild_id=str(number % 2))
            [outcome] = (one, two)[number % 2].writer.execute_now([created(task)])
            assert outcome is None
            [refused] = two.writer.execute_now([created(task)])
            assert isinstance(refused, DaybookError)
            mine = make(name=f"Mine {number}")
            one.writer.execute_now([created(mine)])
            assert isinstance(one.read_model.get(TaskRow, str(mine.id)), TaskRow)
        assert len(one.read_model.tasks()) == 13
        assert one.read_model.differing(one.log) == {}
        assert apart.process is not None
