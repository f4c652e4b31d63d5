"""The commands for whoever looks after a service: doctor, rebuild, settings, summarize, version, help."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

import daybook
from adapters.cli.times import local, relative, seconds
from infrastructure.task_names import fold_names
from tests.adapters.cli_runner import Daybook

FIXTURES = Path(__file__).parents[1] / "fixtures" / "archives"


@pytest.fixture
def cli(tmp_path: Path) -> Daybook:
    """The command line on an empty folder."""
    return Daybook(tmp_path / "data")


def findings(cli: Daybook) -> dict[str, tuple[str, str]]:
    """What doctor finds, by check."""
    return {one["check"]: (one["state"], one["finding"]) for one in cli("doctor", "--json").json}


def test_a_healthy_store_has_nothing_wrong(cli: Daybook) -> None:
    """Exit code 0; every check says what it looked at."""
    cli.add("One")
    ended = cli("doctor")
    assert ended.code == 0, ended.out
    found = findings(cli)
    assert {state for state, _ in found.values()} <= {"ok", "warning"}
    assert {"zone", "SQLite", "folder", "disk", "key file", "clock", "due", "runs", "events", "nodes"} <= set(found)
    assert found["tasks"] == ("ok", "1 active")


def test_a_fresh_machine_is_in_order_and_stays_as_it_is(cli: Daybook) -> None:
    """Looking makes no store."""
    assert cli("doctor").code == 0
    assert not cli.folder.exists()


def test_a_key_file_that_others_can_read_is_wrong(cli: Daybook) -> None:
    """The command to mend it is given."""
    cli.add("One")
    (cli.folder / "master.key").chmod(0o644)
    ended = cli("doctor")
    assert ended.code == 1
    assert f"chmod 600 {cli.folder / 'master.key'}" in ended.out


def test_a_key_file_that_is_gone_is_wrong_and_no_new_one_is_made(cli: Daybook) -> None:
    """A new key would open nothing."""
    cli.add("One")
    (cli.folder / "master.key").unlink()
    assert findings(cli)["key file"][0] == "wrong"
    assert not (cli.folder / "master.key").exists()


def test_an_event_that_cannot_be_read_is_wrong(cli: Daybook) -> None:
    """Damage in the log is found, and its place is named."""
    task_id = cli.add("One")
    with closing(sqlite3.connect(cli.folder / "log.db")) as log, log:
        log.execute(
            "update stored_events set state = x'00' where originator_id in (?, ?)", (task_id, task_id.replace("-", ""))
        )
    cli("rebuild")
    state, said = findings(cli)["events"]
    assert state == "wrong"
    assert task_id in said
    assert cli("doctor").code == 1


def test_a_variable_that_nothing_reads_is_a_warning(tmp_path: Path) -> None:
    """With the one that was probably meant."""
    cli = Daybook(tmp_path / "data", {"DAYBOOK_TIMEZON": "UTC"})
    assert findings(cli)["settings"] == ("warning", "nothing reads DAYBOOK_TIMEZON (did you mean DAYBOOK_TIMEZONE?)")


def test_a_rebuild_gives_the_same_rows(cli: Daybook) -> None:
    """Everything derived anew from the log equals what was there, and --check says so."""
    cli.add("One", "--hours", "100")
    cli("tasks", "run", "One")
    cli("tasks", "pause", "One")
    before = cli("tasks", "show", "One", "--json").json
    rebuilt = cli("rebuild", "--check")
    assert rebuilt.code == 0
    assert re.fullmatch(r"rebuilt from \d+ events\nall \d+ rows are equal to those that were there\n", rebuilt.out)
    assert cli("tasks", "show", "One", "--json").json == before
    assert cli("rebuild", "--check", "--json").json["events"] == cli.events()


def test_a_rebuild_that_differs_is_told_with_exit_code_1(cli: Daybook) -> None:
    """A row that somebody changed by hand, in a file that no process closed, is found and set right."""
    cli.add("One")
    with closing(sqlite3.connect(cli.folder / "readmodel.db")) as rows, rows:
        rows.execute("update tasks set executed = 99")
    (cli.folder / "readmodel.seal").unlink()
    rebuilt = cli("rebuild", "--check")
    assert rebuilt.code == 1
    assert "tasks: 2 rows differ" in rebuilt.out
    assert cli("rebuild", "--check").code == 0


def test_rows_that_somebody_changed_behind_a_seal_are_made_anew_at_once(cli: Daybook) -> None:
    """Whatever the command: nobody is told what stood there, and the log of the program says why it took longer."""
    cli.add("One")
    with closing(sqlite3.connect(cli.folder / "readmodel.db")) as rows, rows:
        fold_names(rows)  # a trigger of the table asks for it
        rows.execute("update tasks set name = 'Two'")
    listed = cli("tasks", "list")
    assert ("One" in listed.out, "Two" in listed.out) == (True, False)
    assert "readmodel.db" in listed.err
    assert cli("rebuild", "--check").code == 0


def test_settings_lists_every_variable(cli: Daybook) -> None:
    """For people and for programs."""
    variables = [row["variable"] for row in cli("settings", "--json").json]
    assert {"DAYBOOK_DATA", "DAYBOOK_TIMEZONE", "DISCORD_TOKEN"} <= set(variables)
    shown = cli("settings").out
    assert all(variable in shown for variable in variables)


@pytest.mark.parametrize(("format", "begins"), [("markdown", "# #general"), ("text", "#general\n"), ("json", "{")])
def test_a_summary_of_the_sample_needs_no_store(cli: Daybook, format: str, begins: str) -> None:
    """One summary now, in the format that was asked for; nothing is made on the way."""
    made = cli("summarize", "general", "--hours", "48", "--format", format)
    assert made.code == 0, made.err
    assert made.out.startswith(begins)
    assert "Mira" in made.out
    assert not cli.folder.exists()


def test_a_longer_summary_says_more(cli: Daybook) -> None:
    """The three lengths differ, and the result can go to a file."""
    sizes = [len(cli("summarize", "general", "--hours", "240", "--length", n).out) for n in ("brief", "comprehensive")]
    assert sizes[0] < sizes[1]
    file = cli.folder.parent / "summary.md"
    assert cli("summarize", "#General", "--output", str(file)).out == f"wrote {file}\n"
    assert file.read_text(encoding="utf-8").startswith("# #general")


def test_a_summary_of_an_export_of_ones_own(cli: Daybook) -> None:
    """--archive names the export; times are told in the zone that was asked for."""
    made = cli("summarize", "kitchen", "--archive", str(FIXTURES / "2020 - kitchen.json"), "--timezone", "Asia/Tokyo")
    assert made.code == 0, made.err
    assert "(Asia/Tokyo)" in made.out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("nowhere",), 3, "the archive has no such channel"),
        (("general", "--hours", "0"), 2, "--hours: 0.0 is out of range"),
        (("general", "--hours", "nan"), 2, "--hours: nan is out of range"),
        (("general", "--length", "epic"), 2, "--length: 'epic' is not known"),
        (("general", "--format", "pdf"), 2, "--format: 'pdf' is not known"),
        (("general", "--archive", "/nowhere.json"), 1, "/nowhere.json"),
        (("general", "--timezone", "Mars/Olympus"), 2, "'Mars/Olympus'"),
        (("general", "--output", "/nowhere/summary.md"), 1, "cannot be written"),
    ],
)
def test_a_summary_that_cannot_be_made_says_why(
    cli: Daybook, arguments: tuple[str, ...], code: int, message: str
) -> None:
    """One clear line; exit code 2 for what was typed wrong, 3 for what is not found, 1 for what failed."""
    refused = cli("summarize", *arguments)
    assert (refused.code, refused.out) == (code, "")
    assert message in refused.err
    assert refused.err.count("\n") == 1


def test_a_broken_archive_is_named_before_anything_is_made(cli: Daybook, tmp_path: Path) -> None:
    """`run` reads the archive first: a broken file leaves no folder behind."""
    broken = tmp_path / "broken.json"
    broken.write_text('{"guild": {', encoding="utf-8")
    refused = cli("run", "--archive", str(broken))
    assert refused.code == 1
    assert "broken.json" in refused.err
    assert not cli.folder.exists()


def test_the_version_and_help_are_told(cli: Daybook) -> None:
    """Without arguments the help is shown."""
    assert cli("--version").out == f"daybook {daybook.__version__}\n"
    assert "Commands:" in cli("--help").out
    assert "tasks" in cli().out + cli().err


NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("away", "words"),
    [
        (0.4, "now"), (12, "in 12 s"), (-12, "12 s ago"), (60, "in 1 min"), (5_399, "in 90 min"), (10_800, "in 3 h"),
        (-10_800, "3 h ago"), (129_599, "in 36 h"), (172_800, "in 2 d"), (-31_536_000, "365 d ago"),
    ],
)  # fmt: skip
def test_how_far_an_instant_is(away: float, words: str) -> None:
    """One number and one unit, before and after."""
    instant = datetime.fromtimestamp(NOW.timestamp() + away, UTC)
    assert relative(instant, NOW) == words


def test_times_are_wall_clock_times_of_the_zone() -> None:
    """Near ones by their weekday, others by their date; seconds only where there are some."""
    assert local(NOW, "Europe/Berlin", NOW) == "Mon 11:00"
    assert local(NOW.replace(second=5), "Europe/Berlin", NOW) == "Mon 11:00:05"
    assert local(NOW.replace(year=2027, month=7), "Europe/Berlin", NOW) == "2027-07-23 12:00"


@pytest.mark.parametrize(
    ("length", "words"),
    [(None, "-"), (0, "0 s"), (0.002, "0.002 s"), (0.31, "0.31 s"), (12.34, "12.3 s"), (180, "3 min")],
)
def test_how_long_something_took(length: float | None, words: str) -> None:
    """As precise as it matters."""
    assert seconds(length) == words
