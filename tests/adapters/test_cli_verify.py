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
    damage(cli, "readmodel.db", "update tasks set attempts = attempts + 1")
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
    damage(cli, "readmodel.db", "update tasks set attempts = attempts + 1")
    assert cli("verify").code == 1
    assert cli("rebuild").code == 0
    assert cli("verify").code == 0


def test_lists_are_not_made_of_what_is_left_without_a_word(cli: Daybook) -> None:
    """No tables are made anew of a log with a hole, until somebody says so; then all lists do."""
    cli("tasks", "pause", "One")
    cli("tasks", "resume", "One")
    damage(cli, "log.db", "delete from stored_events where topic = 'task.paused'")
    assert cli("tasks", "list").err == ""  # the tables still know
    (cli.folder / "readmodel.db").unlink()
    for question in (("tasks", "list"), ("runs",), ("tasks", "show", "One"), ("run",)):
        told = cli(*question)
        assert told.code == 1, question
        assert "events are gone from the log" in told.err, question
        assert "daybook rebuild" in told.err, question
    assert cli("verify").code == 1
    rebuilt = cli("rebuild")
    assert rebuilt.code == 0
    assert "cannot be read, or are missing" in rebuilt.err
    for question in (("tasks", "list"), ("runs",), ("tasks", "show", "One"), ("guild", "show", "1")):
        assert "cannot be read, or are missing" in cli(*question).err, question
    assert "active (?)" in cli("tasks", "list").out
    assert "damaged" in cli("tasks", "show", "One").out
    assert [one["unreadable_events"] for one in cli("tasks", "list", "--json").json] == [1]
    assert cli("verify").code == 1


def test_what_nobody_can_be_named_for_is_not_left_out_without_a_word(cli: Daybook) -> None:
    """A task of which nothing can be read has no rows once they are made anew: the past says so all the same."""
    with closing(sqlite3.connect(cli.folder / "log.db")) as log, log:
        chosen = "(select originator_id from stored_events where topic = 'task.created')"
        log.execute(f"update stored_events set state = zeroblob(99) where originator_id = {chosen}")
    (cli.folder / "readmodel.db").unlink()
    told = cli("as-of", "2100-01-01T00:00")
    assert told.code == 1
    assert "events may tell of others; see `daybook verify`" in told.err
    assert cli("as-of", "2100-01-01T00:00", "--json").json["unreadable_events_of_nobody"] > 0
    changes = cli("as-of", "2100-01-01T00:00", "--compare-to", "1")
    assert (changes.code, "unknown: of nobody known: " in changes.err) == (1, True)


def test_a_store_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    """Asking makes nothing."""
    assert Daybook(tmp_path / "nothing")("verify").code == 3
    assert not (tmp_path / "nothing").exists()


def test_an_export_that_had_to_leave_a_task_out_says_so_to_programs(cli: Daybook, tmp_path: Path) -> None:
    """The file is written with all others in it; whoever moves a store by a script is stopped."""
    whole, torn = str(tmp_path / "whole.jsonl"), str(tmp_path / "torn.jsonl")
    assert cli("export", "--history", whole).code == 0
    damage(cli, "log.db", "update stored_events set state = zeroblob(99) where topic = 'task.created'")
    told = cli("export", "--history", torn)
    assert told.code == 1
    assert "exported 0 tasks" in told.out
    assert "left out" in told.err


def test_a_proof_is_of_an_event_or_from_a_head(cli: Daybook) -> None:
    """Neither, or both, is refused in words."""
    assert "is missing, and so is --from" in cli("audit", "prove").err
    assert "is given beside an event" in cli("audit", "prove", "1", "--from", "1").err


def test_a_log_that_was_cut_off_is_said_to_be_damaged(cli: Daybook) -> None:
    """In words of Daybook, with what to do: by every command alike."""
    for path in cli.folder.glob("log.db-*"):
        path.unlink()
    raw = (cli.folder / "log.db").read_bytes()
    for damaged in (raw[: len(raw) // 2], b"no database at all " * 500):
        (cli.folder / "log.db").write_bytes(damaged)
        for command in (("verify",), ("audit", "verify"), ("tasks", "pause", "One")):
            told = cli(*command)
            assert told.code == 1
            assert "damaged or cut off" in told.out + told.err
            assert "restore the folder from a backup" in told.out + told.err


def test_a_store_without_tables_is_not_called_damaged(cli: Daybook) -> None:
    """As one that was just restored is."""
    for path in cli.folder.glob("readmodel.*"):
        path.unlink()
    told = cli("verify")
    assert told.code == 0
    assert "the tables were not compared: there are none yet" in told.out
