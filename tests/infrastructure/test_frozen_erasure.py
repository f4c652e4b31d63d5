"""A frozen store in which a guild and a person were erased: it loads for ever, and what was erased stays erased."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from application.accounting import account
from application.rows import TABLES
from domain.errors import EventUnreadable, PayloadErased
from domain.event import utc
from domain.task_erasure import Erased
from infrastructure.stores import Stores, open_folder
from tests.domain.task_parts import START
from tests.infrastructure.test_frozen_stores import as_values, has

FROZEN = Path(__file__).parent.parent / "data" / "erased-v1"


@pytest.fixture
def expected() -> Any:
    """What was found in it when it was frozen."""
    return json.loads((FROZEN / "rows.json").read_text(encoding="utf-8"))


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[Stores]:
    """A copy of it, opened by today's code."""
    for name in ("log.db", "vault.db", "master.key", "erasures.json"):
        shutil.copyfile(FROZEN / name, tmp_path / name)
        (tmp_path / name).chmod(0o600)
    stores = open_folder(tmp_path, node="today", now=START, environment={})
    yield stores
    stores.close()


def test_what_was_erased_is_erased_and_all_else_is_read(stores: Stores, expected: Any) -> None:
    """As many events as then cannot be read, all of them because they were erased."""
    events = [event for _, event in stores.log.read(0, 100_000)]
    unreadable = [event for event in events if isinstance(event, EventUnreadable)]
    assert len(events) == expected["events"]
    assert len(unreadable) == expected["erased"]
    assert all(isinstance(event, PayloadErased) for event in unreadable)
    assert sorted({event.topic for event in events}) == expected["topics"]


def test_its_rows_are_what_they_were(stores: Stores, expected: Any) -> None:
    """Numbers of the erased guild, all of the other, and the life of the guild that came back."""
    assert stores.read_model.faults() == []
    found = stores.read_model.dump()
    kinds = {kind.table: kind for kind in TABLES}
    for table, then in expected["rows"].items():  # later versions added others
        rows = [as_values(asdict(kinds[table](*row))) for row in found[table]]
        for row, old in zip(rows, map(as_values, then), strict=True):
            assert has(row, old), (table, row, old)


def test_its_numbers_are_accounted_for(stores: Stores) -> None:
    """The account of the erased task is made from what it left."""
    erased = [event for _, event in stores.log.read(0, 100_000) if isinstance(event, Erased)]
    assert len(erased) == 1
    events = stores.log.stream(UUID(str(erased[0].originator_id)))
    found = account(events, now=utc(erased[0].timestamp))
    assert found.adds_up
    assert found.counted == erased[0].tally.executed == 5


def test_its_ledger_is_read(stores: Stores) -> None:
    """The file beside the stores says which guild it was."""
    assert [entry.guild_id for entry in stores.ledger.entries()] == ["42"]
