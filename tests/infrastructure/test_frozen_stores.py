"""Stores as earlier versions wrote them. They load for ever, and mean what they meant."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from application.ports import Command
from application.queries import Queries
from application.rows import TABLES
from domain.definition import TaskDefinition
from domain.errors import EventUnreadable, Refused
from domain.runs import Attempt
from domain.task import state
from domain.task_snapshot import snapshot_of
from infrastructure.stores import Stores, open_folder
from tests.domain.task_parts import DEADLINE, START, at

FROZEN = sorted((Path(__file__).parent.parent / "data").glob("store-v*"))


@pytest.fixture(params=FROZEN, ids=lambda folder: folder.name)
def frozen(request: pytest.FixtureRequest) -> Path:
    """The folder of one frozen store."""
    folder: Path = request.param
    return folder


@pytest.fixture
def expected(frozen: Path) -> dict[str, Any]:
    """What the store was found to hold when it was frozen: topics, rows and states."""
    loaded: dict[str, Any] = json.loads((frozen / "rows.json").read_text(encoding="utf-8"))
    return loaded


@pytest.fixture
def stores(frozen: Path, tmp_path: Path) -> Iterator[Stores]:
    """A copy of it, opened by today's code."""
    for name in ("log.db", "vault.db", "master.key"):
        shutil.copyfile(frozen / name, tmp_path / name)
        (tmp_path / name).chmod(0o600)
    stores = open_folder(tmp_path, node="today", now=START, environment={})
    yield stores
    stores.close()


def has(found: Any, expected: Any) -> bool:
    """Whether everything that was there is there; what later versions added may be there as well."""
    if isinstance(expected, dict):
        return isinstance(found, dict) and all(key in found and has(found[key], expected[key]) for key in expected)
    if isinstance(expected, list):
        return (
            isinstance(found, list)
            and len(found) == len(expected)
            and all(has(f, e) for f, e in zip(found, expected, strict=True))
        )
    return bool(found == expected)


def as_values(row: dict[str, Any]) -> dict[str, Any]:
    """A row with the JSON texts in it as values, so that a field with a default may be added to them, or left out."""
    values = {k: json.loads(v) if isinstance(v, str) and v[:1] == "{" else v for k, v in row.items()}
    if values.get("definition"):
        values["definition"] = TaskDefinition.model_validate(values["definition"]).model_dump(mode="json")
    return values


def test_there_is_a_frozen_store() -> None:
    """The first format is kept."""
    assert [folder.name for folder in FROZEN][:1] == ["store-v1"]


def test_every_event_of_an_old_store_is_read(stores: Stores, expected: dict[str, Any]) -> None:
    """No event is unreadable, and every kind that existed then is in it."""
    recorded = stores.log.read(0, 100_000)
    topics = {event.topic for _, event in recorded if not isinstance(event, EventUnreadable)}
    assert [e for _, e in recorded if isinstance(e, EventUnreadable)] == []
    assert topics == set(expected["topics"])


def test_the_rows_of_an_old_store_are_what_they_were(stores: Stores, expected: dict[str, Any]) -> None:
    """The read model is built anew from the old log, and says the same."""
    assert stores.read_model.faults() == []
    found = stores.read_model.dump()
    kinds = {kind.table: kind for kind in TABLES}
    for table, then in expected["rows"].items():  # later versions added others
        rows = [as_values(asdict(kinds[table](*row))) for row in found[table]]
        for row, old in zip(rows, map(as_values, then), strict=True):
            assert has(row, old), (table, row, old)


def test_the_tasks_of_an_old_store_stand_where_they_stood(stores: Stores, expected: dict[str, Any]) -> None:
    """State is a function of the old events: no calendar is computed again, whatever its rules are now."""
    for task_id, old in expected["states"].items():
        task = state(event for _, event in stores.log.stream(UUID(task_id)))
        assert task is not None
        found = json.loads(snapshot_of(task, fingerprint="v1").model_dump_json())
        for value in (found, old):
            value["disabled_destinations"].sort()  # a set
        assert has(found, old), task_id


def test_an_old_store_is_shown_and_goes_on(stores: Stores) -> None:
    """Every task is listed, and those that have not ended take commands."""
    queries = Queries(stores.read_model, stores.log, stores.content)
    views = queries.tasks(archived=True)
    assert len(views) >= 10
    for view in views:
        assert view.schedule_in_words
        queries.history(view.task_id)
        queries.runs(task_id=view.task_id)
        request = Command(UUID(view.task_id), lambda task: task.request_run("again", now=at(days=9), by="p"))
        [outcome] = stores.writer.execute_now([request])
        assert isinstance(outcome, Refused) if view.status.ended else isinstance(outcome, str)
        if not view.status.ended:
            claim = Command(
                UUID(view.task_id), lambda task: task.claim(now=at(days=9), node="today", deadline=DEADLINE)
            )
            [attempt] = stores.writer.execute_now([claim])
            assert attempt is None or isinstance(attempt, Attempt)
