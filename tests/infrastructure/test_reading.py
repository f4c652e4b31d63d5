"""Reading without a service: when the rows can be read as they stand, and when a service has to act first."""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InvalidInput, NotFound
from infrastructure import row_reader
from infrastructure.presence import FolderPresence, holder, left_in_order
from infrastructure.reading import _place, reading
from infrastructure.settings import load_settings
from tests.adapters.cli_runner import Daybook

NOW = datetime(2026, 11, 1, tzinfo=UTC)
ASKED = [
    ("tasks", "list", "--json"),
    ("tasks", "list", "--all", "--json"),
    ("tasks", "show", "Morning", "--json"),
    ("runs", "--json"),
    ("stats", "--json"),
    ("history", "Morning", "--json"),
    ("account", "Morning", "--to", "2026-01-01T00:00", "--json"),
    ("why", "Morning", "--at", "2026-01-01T08:30", "--json"),
    ("as-of", "2999-01-01T00:00", "Morning", "--json"),
    ("destinations", "list", "--json"),
    ("tasks", "show", "No such task"),
]


@pytest.fixture
def cli(tmp_path: Path) -> Daybook:
    """A store with a task that has run, one that is paused, and one that has ended."""
    made = Daybook(tmp_path / "data")
    made.add("Morning", "--time", "08:30", "--timezone", "Europe/Berlin")
    made.add("Evening", "--time", "20:00")
    made.add("Never", "--time", "20:00")
    for command in (("tasks", "run", "Morning"), ("tasks", "pause", "Evening"), ("tasks", "cancel", "Never")):
        assert made(*command, "--json").code == 0
    return made


def can_read(folder: Path, **environment: str) -> bool:
    """Whether a question is answered without a service."""
    with reading(str(folder), environment) as found:
        return found is not None


def content(folder: Path) -> dict[str, str]:
    """What stands in each file of a folder, but for what SQLite keeps beside its files."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(("-wal", "-shm")))
    return {str(path): sha256(path.read_bytes()).hexdigest() for path in files}


def test_answers_are_those_of_a_service(cli: Daybook) -> None:
    """Each question gets the same answer and exit code, whether the rows are read or a service is opened first."""
    by_service = Daybook(cli.folder, {"DAYBOOK_LOG_LEVEL": "warning"})
    assert can_read(cli.folder)
    assert not can_read(cli.folder, DAYBOOK_LOG_LEVEL="warning")
    for command in ASKED:
        light, heavy = cli(*command), by_service(*command)
        assert (light.code, light.out, light.err) == (heavy.code, heavy.out, heavy.err), command


def test_reading_changes_no_file(cli: Daybook) -> None:
    """Neither the stores nor the lock: nobody can tell that somebody has asked."""
    before, events = content(cli.folder), cli.events()
    for command in ASKED:
        cli(*command)
    assert content(cli.folder) == before
    assert cli.events() == events


def test_rows_behind_the_log_take_a_service(cli: Daybook) -> None:
    """Without a service the command line catches up itself, and answers with what the log says."""
    expected = cli("tasks", "list", "--json").json
    with sqlite3.connect(cli.folder / "readmodel.db") as rows:
        rows.execute("update meta set value = '1' where name = 'position'")
    rows.close()
    assert not can_read(cli.folder)
    for path in cli.folder.glob("readmodel.db*"):
        path.unlink()
    assert not can_read(cli.folder)
    assert cli("tasks", "list", "--json").json == expected
    assert can_read(cli.folder)


def test_rows_of_other_code_take_a_service(cli: Daybook, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their columns may mean something else."""
    monkeypatch.setattr(row_reader, "fingerprint", lambda: "newer")
    assert not can_read(cli.folder)


def test_a_process_that_died_takes_a_service(cli: Daybook) -> None:
    """What it was doing is written down as interrupted before anybody is told of it."""
    lock = cli.folder / "daybook.lock"
    record = json.loads(lock.read_text()) | {"node": "gone", "found": []}
    del record["left"]
    lock.write_text(json.dumps(record))
    assert not left_in_order(cli.folder)
    assert not can_read(cli.folder)
    assert cli("tasks", "list").code == 0
    assert left_in_order(cli.folder)


def test_beside_a_service_the_rows_are_read_as_they_stand(cli: Daybook) -> None:
    """It keeps them at the end of the log; the lock stays its own."""
    presence = FolderPresence(cli.folder)
    presence.join("service", NOW)
    try:
        with reading(str(cli.folder), {}) as found:
            assert found is not None
            assert found.served
        assert cli("tasks", "list").code == 0
        assert (holder(cli.folder) or {})["node"] == "service"
    finally:
        presence.leave("service")


def test_a_folder_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    """And none is made."""
    with pytest.raises(NotFound), reading(str(tmp_path / "none"), {}):
        pass
    assert not (tmp_path / "none").exists()


VALUES = st.sampled_from(
    ["", " ", "data", "~/x", "UTC", "Europe/Berlin", "Mars/Base", "info", "loud", "postgresql://h/d"]
)
NAMES = st.sampled_from(
    ["DAYBOOK_DATA", "daybook_data", "DAYBOOK_TIMEZONE", "DAYBOOK_LOG_LEVEL", "DAYBOOK_DATABASE_URL", "DAYBOOK_OTHER"]
)


@given(environment=st.dictionaries(NAMES, VALUES), data=st.none() | VALUES)
def test_what_is_read_of_settings_is_what_settings_say(environment: dict[str, str], data: str | None) -> None:
    """A look at the environment finds the folder and the zone that the settings would, or leaves it to them."""
    if (found := _place(data, environment)) is None:
        return
    with pytest.MonkeyPatch.context() as patched:
        for name in ("DAYBOOK_DATA", "DAYBOOK_TIMEZONE", "DAYBOOK_LOG_LEVEL", "DAYBOOK_DATABASE_URL"):
            patched.delenv(name, raising=False)
        for name, value in environment.items():
            patched.setenv(name, value)
        try:
            settings = load_settings(data=data)
        except InvalidInput as error:
            raise AssertionError(f"{found} was taken from what is refused: {error}") from error
    assert found == (settings.data, settings.timezone)
    assert settings.database_url is None
