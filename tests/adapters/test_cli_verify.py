"""``daybook verify``: the whole store, what is wrong with it, and what to do."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.adapters.cli_runner import Daybook


@pytest.fixture
def cli(tmp_path: Path) -> Daybook:
    """The command line on a folder with a task that has run."""
    cli = Daybook(tmp_path / "data")
    cli.add("One", "--hours", "100")
    assert cli("tasks", "run", "One").code == 0
    return cli


def damage(cli: Daybook, file: str, statement: str) -> None:
    """Change a file behind Daybook's back."""
    with closing(sqlite3.connect(cli.folder / file)) as database, database:
        assert database.execute(statement).rowcount == 1


def test_a_sound_store_is_said_to_be_so(cli: Daybook) -> None:
    """With how much was looked at."""
    told = cli("verify", "--json")
    assert (told.code, told.json["sound"], told.json["events"]) == (0, True, cli.events())
    assert f"{cli.events()} events in" in cli("verify").out


def test_trouble_is_named_with_what_to_do(cli: Daybook) -> None:
    """And the exit code is 1; nothing is changed by asking."""
    damage(cli, "log.db", "delete from stored_events where topic = 'task.started'")
    damage(cli, "readmodel.db", "update tasks set name = 'other'")
    for _ in range(2):
        told = cli("verify", "--json")
        assert told.code == 1
        kinds = {one["kind"]: one["advice"] for one in told.json["troubles"]}
        assert set(kinds) == {"gap", "rows"}
        assert "daybook rebuild" in kinds["rows"]
    shown = cli("verify").out
    assert "what to do (gap): restore the folder from a backup" in shown
    assert "not sound" in shown


def test_a_rebuild_cures_what_is_derived(cli: Daybook) -> None:
    """As the advice says."""
    damage(cli, "readmodel.db", "update tasks set name = 'other'")
    assert cli("verify").code == 1
    assert cli("rebuild").code == 0
    assert cli("verify").code == 0


def test_a_store_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    """Asking makes nothing."""
    assert Daybook(tmp_path / "nothing")("verify").code == 3
    assert not (tmp_path / "nothing").exists()
