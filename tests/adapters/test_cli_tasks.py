"""The commands that change tasks, and what they say; in this process, on real stores."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.adapters.cli_runner import Daybook


@pytest.fixture
def cli(tmp_path: Path) -> Daybook:
    """The command line on an empty folder."""
    return Daybook(tmp_path / "data")


def test_an_added_task_is_listed_and_shown(cli: Daybook) -> None:
    """What was added is there for people and for programs, with its channel found in the archive."""
    task_id = cli.add("Morning", "--time", "08:30", "--days", "mon,3", "--timezone", "Europe/Berlin", "--to", "file:a")
    listed = cli("tasks", "list")
    assert listed.code == 0
    assert "08:30 in Europe/Berlin" in listed.out
    [one] = cli("tasks", "list", "--json").json
    assert one["task_id"] == task_id
    [place] = one["definition"]["destinations"]
    assert (place["type"], place["target"], place["format"], place["enabled"]) == ("file", "a", "markdown", True)
    assert datetime.fromisoformat(one["next_run_time"]).utcoffset() == timedelta(0)
    shown = cli("tasks", "show", "morning")
    assert "guild        1184200000000000512" in shown.out
    assert cli("tasks", "show", task_id[:6], "--json").json["name"] == "Morning"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), {"type": "daily", "time": "09:00", "timezone": "UTC"}),
        (("--time", "7:05"), {"type": "daily", "time": "07:05"}),
        (("--every", "2h"), {"type": "interval", "every": 7200.0}),
        (("--cron", "*/5 * * * *"), {"type": "custom", "cron": "*/5 * * * *"}),
        (("--day", "31"), {"type": "monthly", "day_of_month": 31}),
        (("--type", "half-weekly"), {"type": "half-weekly"}),
        (("--type", "half_weekly", "--days", "0,4"), {"type": "half-weekly", "days": [0, 4]}),
        (("--type", "hourly"), {"type": "hourly"}),
        (("--days", "sunday"), {"type": "weekly", "days": [6]}),
        (("--at", "2999-12-24T18:00", "--timezone", "Europe/Berlin"), {"type": "once", "at": "2999-12-24T17:00:00Z"}),
        (("--at", "2999-12-24T18:00+02:00"), {"type": "once", "at": "2999-12-24T16:00:00Z"}),
    ],
)
def test_schedules_are_written_as_options(
    cli: Daybook, arguments: tuple[str, ...], expected: dict[str, object]
) -> None:
    """The kind follows from the options where it is not named; a time without an offset is the zone's own."""
    cli.add("One", *arguments)
    schedule = cli("tasks", "show", "One", "--json").json["definition"]["schedule"]
    assert {name: schedule[name] for name in expected} == expected


def test_an_edit_changes_what_is_given_and_nothing_else(cli: Daybook) -> None:
    """Days of a half-weekly task stay half-weekly; options of summaries are kept where they are not named."""
    cli.add("One", "--type", "half-weekly", "--min-messages", "7", "--hours", "12")
    edited = cli("tasks", "edit", "One", "--days", "1,4", "--length", "brief", "--name", "Two", "--reason", "fewer")
    assert edited.code == 0, edited.err
    definition = cli("tasks", "show", "Two", "--json").json["definition"]
    assert definition["schedule"]["type"] == "half-weekly"
    assert definition["schedule"]["days"] == [1, 4]
    assert definition["summary_options"]["summary_length"] == "brief"
    assert definition["summary_options"]["min_messages"] == 7
    assert definition["time_range_hours"] == 12
    assert cli("history", "Two", "--json").json[-1]["reason"] == "fewer"


def test_an_edit_of_nothing_is_refused(cli: Daybook) -> None:
    """Whoever gives no option is told so, instead of being told that all went well."""
    cli.add("One")
    refused = cli("tasks", "edit", "One")
    assert refused.code == 2
    assert "change nothing" in refused.err


def test_pause_resume_skip_and_cancel_are_told_and_kept(cli: Daybook) -> None:
    """The life of a task by commands; the history says who and why."""
    cli.add("One")
    assert cli("tasks", "pause", "One", "--reason", "holidays", "--until", "2999-01-01T09:00").code == 0
    paused = cli("tasks", "show", "One", "--json").json
    assert (paused["status"], paused["status_reason"]) == ("paused", "holidays")
    assert paused["paused_until"] == "2999-01-01T09:00:00+00:00"
    assert cli("tasks", "resume", "One").code == 0
    skipped = cli("tasks", "skip", "One", "--count", "2")
    assert re.match(r"skips \w+ 09:00, \w+ 09:00: One", skipped.out)
    assert cli("tasks", "cancel", "One", "--reason", "done").code == 0
    again = cli("tasks", "cancel", "One")
    assert (again.code, again.out) == (1, "")
    assert "is cancelled" in again.err
    topics = [event["topic"] for event in cli("history", "One", "--json").json]
    assert topics == [
        "task.created", "task.paused", "task.resumed", "task.skip_requested", "task.skipped", "task.cancelled",
    ]  # fmt: skip
    assert cli("tasks", "list").out.startswith("No tasks.")
    assert "cancelled" in cli("tasks", "list", "--all").out


def test_a_task_that_is_run_delivers_here_where_no_service_runs(cli: Daybook) -> None:
    """Without a service the command itself does the work, on the sample, and says where the result is."""
    cli.add("One", "--hours", "100")
    ran = cli("tasks", "run", "One")
    assert ran.code == 0
    assert ran.out.startswith("One: executed in ")
    [file] = (cli.folder / "summaries").rglob("*.md")
    assert str(file.relative_to(cli.folder / "summaries")) in ran.out
    [run] = cli("runs", "One", "--json").json
    assert (run["state"], run["request"] is not None, run["slot"]) == ("executed", True, None)
    assert cli("stats", "One", "--json").json["by_task"][0]["success_rate"] == 100.0
    assert "executed" in cli("runs").out
    assert "100%" in cli("stats").out


def test_what_a_console_destination_prints_is_no_part_of_the_json(cli: Daybook) -> None:
    """A program that reads the document is not handed a summary before it."""
    cli.add("One", "--hours", "100", "--to", "console")
    assert cli("tasks", "run", "One", "--json").json["state"] == "executed"


def test_a_run_that_fails_ends_with_exit_code_1(cli: Daybook) -> None:
    """A channel that is not in the archive fails the run, and the command says why."""
    added = cli("tasks", "add", "One", "--guild", "1", "--channel", "42")
    assert added.code == 0, added.err
    failed = cli("tasks", "run", "One")
    assert failed.code == 1
    assert "the archive has no such channel" in failed.out


def test_a_task_may_be_a_cleanup_or_a_custom_operation(cli: Daybook) -> None:
    """Parameters are written as name=value and are JSON where they can be."""
    added = cli(
        "tasks", "add", "Tidy", "--does", "cleanup", "--guild", "1", "--parameter", "retention_days=30", "--json"
    )
    assert added.json["definition"]["parameters"] == {"retention_days": 30}
    ran = cli("tasks", "run", "Tidy")
    assert ran.code == 0
    custom = cli(
        "tasks", "add", "Own", "--does", "custom", "--operation", "report", "--guild", "1", "--paused", "--json"
    )
    assert custom.json["definition"]["operation"] == "report"
    assert cli("tasks", "list", "--status", "paused", "--json").json[0]["name"] == "Own"


@pytest.mark.parametrize("place", ["discord_channel:123", "discord_dm:123", "email:ann@example.org"])
def test_what_another_process_delivers_to_is_noted_and_not_refused(cli: Daybook, place: str) -> None:
    """It is the bot, or a service with a mail server, that runs the task; who adds it here is told so."""
    kind = place.partition(":")[0]
    added = cli("tasks", "add", "Told", "--channel", "general", "--to", place)
    assert added.code == 0, added.err
    assert f"note: {kind} is not delivered to by this process, but by one that" in added.err
    edited = cli("tasks", "edit", "Told", "--to", place, "--to", "file")
    assert edited.code == 0, edited.err
    assert f"note: {kind} is not delivered to by this process" in edited.err
    assert "is not delivered" not in cli("tasks", "edit", "Told", "--to", "file").err


def test_a_run_where_nothing_delivers_gives_no_destination_up(cli: Daybook) -> None:
    """The process that delivers there may start yet; a service that was started without a token ruins nothing."""
    assert cli("tasks", "add", "Told", "--channel", "general", "--to", "discord_channel:123").code == 0
    ran = cli("tasks", "run", "Told")
    assert "this process does not deliver to discord_channel" in ran.out + ran.err
    [place] = cli("destinations", "list", "--json").json
    assert (place["target"], place["state"]) == ("123", "on")
    assert cli("tasks", "show", "Told", "--json").json["status"] == "active"


BAD = [
    (("--timezone", "Mars/Olympus"), "timezone: 'Mars/Olympus'"),
    (("--time", "25:00"), "time: '25:00' is not a time of day"),
    (("--days", "7"), "days: 7 is not a weekday"),
    (("--days", "mon,xyz"), "--days: 'mon,xyz' names no weekdays"),
    (("--days", ","), "--days: ',' names no weekdays"),
    (("--cron", "0 0 30 2 *"), "cron: '0 0 30 2 *'"),
    (("--cron", "nonsense"), "cron: 'nonsense'"),
    (("--at", "2001-01-01T00:00"), "has no slot in the future"),
    (("--at", "tomorrow"), "--at: 'tomorrow' is not a date and time"),
    (("--day", "32"), "day_of_month: 32"),
    (("--every", "10s"), "is too short"),
    (("--every", "soon"), "is not a duration"),
    (("--type", "sometimes"), "is not a kind of schedule"),
    (("--to", "pigeon"), "destination: 'pigeon' is of no known kind"),
    (("--to", "file:../../etc"), "target: '../../etc'"),
    (("--to", "file;color=red"), "has an unknown part"),
    (("--to", "file;format=pdf"), "format: 'pdf'"),
    (("--to", "file", "--to", "file"), "name the same place twice"),
    (("--to", "discord_channel:town"), "target: 'town' is not an id of Discord"),
    (("--to", "discord_dm:"), "is not an id of Discord"),
    (("--to", "email:ann"), "is not an e-mail address"),
    (("--length", "epic"), "--length: 'epic' is not known"),
    (("--overlap", "maybe"), "--overlap: 'maybe' is not known"),
    (("--catch-up", "never"), "--catch-up: 'never' is not known"),
    (("--min-messages", "-1"), "--min-messages: -1 is out of range"),
    (("--max-failures", "0"), "max_failures: 0 is out of range"),
    (("--hours", "nan"), "time_range_hours"),
    (("--channel", "nowhere"), "the archive has no such channel"),
    (("--parameter", "novalue"), "--parameter: 'novalue' has no name"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD, ids=[" ".join(arguments) for arguments, _ in BAD])
def test_bad_input_is_refused_with_one_clear_line_and_writes_nothing(
    cli: Daybook, arguments: tuple[str, ...], message: str
) -> None:
    """What was wrong, where, and what would be right; no event, no traceback."""
    refused = cli("tasks", "add", "One", "--channel", "general", *arguments)
    assert (refused.code, refused.out) == (1 if "no such channel" in message else 2, "")
    assert refused.err.startswith("error: ")
    assert message in refused.err
    assert refused.err.count("\n") == 1
    assert cli.events() == 0


@pytest.mark.parametrize("name", ["", " ", "x" * 500, "a\nb", "\x1b[31mred"])
def test_a_name_that_no_task_may_have_is_refused(cli: Daybook, name: str) -> None:
    """Empty, too long, or steering the terminal."""
    refused = cli("tasks", "add", name, "--channel", "general")
    assert refused.code == 2
    assert refused.err.startswith("error: name: ")
    assert "\x1b" not in refused.err
    assert cli.events() == 0


def test_a_summary_without_a_channel_or_a_destination_is_refused(cli: Daybook) -> None:
    """A task that could not do anything is not scheduled."""
    nowhere = cli("tasks", "add", "One", "--guild", "1")
    assert (nowhere.code, "channel_id" in nowhere.err) == (2, True)
    assert cli.events() == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("tasks", "show"), ("tasks", "edit"), ("tasks", "pause"), ("tasks", "resume"), ("tasks", "cancel"),
        ("tasks", "run"), ("tasks", "skip"), ("history",), ("runs",), ("stats",),
    ],
    ids=" ".join,
)  # fmt: skip
def test_an_unknown_task_is_not_found_with_exit_code_3(cli: Daybook, arguments: tuple[str, ...]) -> None:
    """Every command that takes a task says the same, and writes nothing."""
    cli.add("One")
    before = cli.events()
    extra = ("--length", "brief") if arguments[-1] == "edit" else ()
    missing = cli(*arguments, "nobody", *extra)
    assert (missing.code, missing.out, missing.err) == (3, "", "error: no task 'nobody'\n")
    assert cli.events() == before


def test_a_name_that_two_tasks_have_asks_which(cli: Daybook) -> None:
    """The ids are given to choose from."""
    first, second = cli.add("Same"), cli.add("Same", "--to", "console")
    refused = cli("tasks", "pause", "Same")
    assert refused.code == 2
    assert first[:8] in refused.err
    assert second[:8] in refused.err


def test_reading_a_folder_that_is_not_there_makes_none(cli: Daybook) -> None:
    """A typo in --data is told, and leaves nothing behind."""
    missing = cli("tasks", "list")
    assert missing.code == 3
    assert "no data folder" in missing.err
    assert not cli.folder.exists()


def test_wrong_usage_ends_with_exit_code_2(cli: Daybook) -> None:
    """An option that does not exist is a matter of usage."""
    assert cli("tasks", "list", "--nope").code == 2
    assert cli("tasks", "skip", "One", "--count", "0").code == 2
    assert cli("nonsense").code == 2


def test_a_setting_that_is_wrong_is_named(tmp_path: Path) -> None:
    """The variable, its value, and what would be right."""
    wrong = Daybook(tmp_path, {"DAYBOOK_TIMEZONE": "Mars/Olympus"})("tasks", "list")
    assert wrong.code == 1
    assert wrong.err.startswith("error: DAYBOOK_TIMEZONE: 'Mars/Olympus'")


def test_an_export_comes_back_whole(cli: Daybook, tmp_path: Path) -> None:
    """What was exported is imported elsewhere as it was, paused ones paused; a dry run writes nothing."""
    cli.add("One")
    cli.add("Two", "--cron", "0 9 * * mon-fri")
    cli("tasks", "pause", "Two")
    file = tmp_path / "tasks.json"
    assert cli("export", str(file)).out == f"exported 2 tasks to {file}\n"
    other = Daybook(tmp_path / "other")
    assert other("import", str(file), "--dry-run").out.endswith("2 tasks are fine (2 new); nothing was written\n")
    assert other.events() == 0
    assert other("import", str(file)).out == "imported 2 tasks (2 new)\n"
    keep = ("task_id", "name", "status", "schedule")
    mine, theirs = (
        [{key: task[key] for key in keep} for task in one("tasks", "list", "--json").json] for one in (cli, other)
    )
    assert mine == theirs
    assert json.loads(cli("export", "-").out)["task_count"] == 2
    other("tasks", "cancel", "One")
    assert "One: a new id" in other("import", str(file)).out
    told = other("import", str(file), "--json").json
    assert (told["tasks"], told["written"], told["renumbered"]) == (2, True, ["One"])


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("{", "line 1, column 2"),
        ("[]", "file: 'list' has no list of tasks"),
        ('{"tasks": [{"name": "x", "schedule_time": "25:00"}]}', "tasks[0].time"),
        ('{"tasks": [{"name": "x", "guild_id": "1"}, 7]}', "tasks[0]"),
    ],
)
def test_a_broken_import_file_changes_nothing_and_names_the_place(
    cli: Daybook, tmp_path: Path, text: str, place: str
) -> None:
    """All or nothing."""
    file = tmp_path / "tasks.json"
    file.write_text(text, encoding="utf-8")
    refused = cli("import", str(file))
    assert refused.code == 1
    assert place in refused.err
    assert cli.events() == 0
    assert cli("import", str(tmp_path / "nowhere.json")).code == 1


def test_a_file_that_cannot_be_written_is_told(cli: Daybook, tmp_path: Path) -> None:
    """An export into a folder that is not there fails in one line."""
    cli.add("One")
    failed = cli("export", str(tmp_path / "no" / "tasks.json"))
    assert failed.code == 1
    assert failed.err.startswith("error: FILE: ")


def test_piped_tables_hold_whole_lines_without_color(cli: Daybook) -> None:
    """One task is one line, however long, for programs that read lines."""
    cli.add("N" * 100, "--cron", "0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20 9 * * mon-fri")
    out = cli("tasks", "list").out
    assert "\x1b" not in out
    assert len(out.splitlines()) == 2
    assert "N" * 100 in out
    assert not any(line != line.rstrip() for line in out.splitlines())


def test_the_next_run_is_told_in_the_zone_of_the_task(cli: Daybook) -> None:
    """Wall-clock time there, with how long that is from now."""
    at = (datetime.now(UTC) + timedelta(hours=3, minutes=1)).strftime("%Y-%m-%dT%H:%M+00:00")
    cli.add("One", "--at", at, "--timezone", "Asia/Kathmandu")
    local = datetime.fromisoformat(at).astimezone(UTC) + timedelta(hours=5, minutes=45)
    assert f"{local:%a %H:%M}, in 3 h" in cli("tasks", "list").out
