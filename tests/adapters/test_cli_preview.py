"""Schedules are previewed, typed as phrases and changed with what moves; in this process, on real stores."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from adapters.cli.schedule_options import is_phrase
from tests.adapters.cli_runner import Daybook

SINCE = ("--after", "2026-03-07T00:00:00Z", "--count", "3", "--json")


@pytest.fixture
def cli(tmp_path: Path) -> Daybook:
    """The command line on an empty folder."""
    return Daybook(tmp_path / "data")


def utc(cli: Daybook, *arguments: str) -> list[str]:
    """The slots of a preview, in UTC."""
    seen = cli("preview", *arguments)
    assert seen.code == 0, seen.err
    return [slot["utc"] for slot in seen.json]


def test_a_preview_for_programs_is_an_array_with_both_times(cli: Daybook) -> None:
    """The slot that the gap moves is seen beforehand; no folder is made for it."""
    seen = cli(
        *("preview", "--type", "custom", "--cron", "30 2 * * *", "--timezone", "America/New_York"),
        *("--after", "2026-03-07T00:00:00Z", "--count", "3", "--json"),
    )
    assert [(slot["utc"], slot["local"]) for slot in seen.json] == [
        ("2026-03-07T07:30:00Z", "2026-03-07T02:30:00-05:00"),
        ("2026-03-08T07:00:00Z", "2026-03-08T03:00:00-04:00"),
        ("2026-03-09T06:30:00Z", "2026-03-09T02:30:00-04:00"),
    ]
    assert not cli.folder.exists()


@pytest.mark.parametrize(
    ("options", "first"),
    [
        (("--type", "daily", "--time", "09:00"), "2026-03-07T09:00:00Z"),
        (("--type", "weekly", "--days", "0,2,4"), "2026-03-09T09:00:00Z"),
        (("--type", "monthly", "--day", "31"), "2026-03-31T09:00:00Z"),
        (("--day", "31", "--month-end", "skip", "--after", "2026-04-01T00:00Z"), "2026-05-31T09:00:00Z"),
        (("--type", "interval", "--every", "2w", "--anchor", "2026-01-05T10:00"), "2026-03-16T10:00:00Z"),
        (("--days", "mon", "--week", "-1"), "2026-03-30T09:00:00Z"),
        (("--type", "yearly", "--month", "7", "--day", "4"), "2026-07-04T09:00:00Z"),
        (("--month", "7", "--day", "4"), "2026-07-04T09:00:00Z"),
        (("--type", "quarterly", "--month", "1", "--day", "1"), "2026-04-01T09:00:00Z"),
        (("--holidays", "US-NY", "--time", "09:00", "--after", "2026-12-25T00:00Z"), "2026-12-26T09:00:00Z"),
        (("--business-days", "--time", "09:00"), "2026-03-09T09:00:00Z"),
        (("--day", "1", "--business-days", "--holidays", "DE", "--on-holiday", "next", "--after", "2026-05-01"),
         "2026-05-04T09:00:00Z"),
        (("--time", "09:00", "--exclude", "2026-03-07", "--exclude", "2026-03-08"), "2026-03-09T09:00:00Z"),
        (("--time", "09:00", "--start", "2026-03-10T09:00"), "2026-03-10T09:00:00Z"),
        (("--time", "02:30", "--gap", "shift", "--timezone", "America/New_York", "--after", "2026-03-07T12:00Z"),
         "2026-03-08T07:30:00Z"),
        (("--time", "01:30", "--fold", "second", "--timezone", "America/New_York", "--after", "2026-11-01"),
         "2026-11-01T06:30:00Z"),
        (("every 2 weeks from 2026-01-05 at 10:00",), "2026-03-16T10:00:00Z"),
        (("every day at 9", "--timezone", "Asia/Tokyo"), "2026-03-08T00:00:00Z"),
        (("every day at 2:30", "--gap", "next-valid", "--timezone", "America/New_York"), "2026-03-07T07:30:00Z"),
    ],
)  # fmt: skip
def test_every_part_of_a_schedule_has_an_option(cli: Daybook, options: tuple[str, ...], first: str) -> None:
    """Instants without an offset are of the schedule's zone; a later --after counts."""
    assert utc(cli, *SINCE, *options)[0] == first


def test_a_preview_for_people_has_slots_a_month_and_warnings(cli: Daybook) -> None:
    """In the zone and in UTC, with the days marked."""
    seen = cli("preview", "cron */45 * * * *", "--after", "2026-03-07", "--count", "2")
    assert "Sat 2026-03-07 00:45 UTC" in seen.out
    assert "2026-03-07 00:45Z" in seen.out
    assert "March 2026: 1488 slots" in seen.out
    assert " 7*48" in seen.out
    assert "warning: every 45 minutes restarts each hour: it runs at :00, :45" in seen.out
    assert "March 2026" not in cli("preview", "hourly", "--after", "2026-03-07", "--months", "0").out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "says no schedule"),
        (("every funday at 9",), 'did you mean "sunday"?'),
        (("every day at 9", "--time", "10:00"), "says again what the phrase says"),
        (("--cron", "0 0 30 2 *"), "never"),
        (("daily", "--after", "yesterday"), "is not a date and time"),
        (("--gap", "jump", "--time", "09:00"), "next_valid"),
    ],
)
def test_what_cannot_be_previewed_is_refused_in_one_line(cli: Daybook, arguments: tuple[str, ...], said: str) -> None:
    """With what would be right."""
    refused = cli("preview", *arguments)
    assert (refused.code, said in refused.err, refused.err.count("\n")) == (2, True, 1)


def test_a_task_is_added_by_a_phrase_and_echoed(cli: Daybook) -> None:
    """How it was understood, with the next three slots; alone it is the name as well."""
    added = cli("tasks", "add", "Every WEEKDAY at 9 in europe/berlin", "--channel", "general")
    assert added.code == 0, added.err
    assert "every weekday at 09:00 in Europe/Berlin" in added.out
    [slots] = [line for line in added.out.splitlines() if line.startswith("next slots: ")]
    assert slots.count("; ") == 2
    [task] = cli("tasks", "list", "--json").json
    assert task["name"] == "Every WEEKDAY at 9 in europe/berlin"
    assert task["definition"]["schedule"]["key"] == task["task_id"]


def test_a_phrase_follows_a_name_and_takes_policies_as_options(cli: Daybook) -> None:
    """What a phrase does not say may be said by options."""
    cli.add("Digest", "every monday at 9", "--gap", "skip", "--timezone", "Europe/Berlin", "--spread", "30m")
    schedule = cli("tasks", "show", "Digest", "--json").json["definition"]["schedule"]
    assert (schedule["type"], schedule["days"], schedule["gap"]) == ("weekly", [0], "skip")
    assert (schedule["timezone"], schedule["spread"]) == ("Europe/Berlin", 1800)


def test_a_schedule_in_words_can_be_typed_again(cli: Daybook) -> None:
    """What is shown of a task is a phrase."""
    cli.add("One", "--days", "mon,thu", "--time", "18:30", "--timezone", "Asia/Tokyo", "--exclude", "2999-01-01")
    said = cli("tasks", "show", "One", "--json").json["schedule"]
    assert said == "every Monday and Thursday at 18:30 in Asia/Tokyo, except 2999-01-01"
    cli.add("Two", said)
    one, two = (cli("tasks", "show", name, "--json").json for name in ("One", "Two"))
    assert one["next_run_time"] == two["next_run_time"]
    assert one["schedule"] == two["schedule"]


def test_an_edit_shows_which_slots_move(cli: Daybook) -> None:
    """Before and after, side by side; an edit of something else shows nothing."""
    cli.add("One", "every monday at 9")
    edited = cli("tasks", "edit", "One", "--days", "mon,fri")
    table = edited.out[edited.out.index("before (UTC)") :].splitlines()
    assert {row.split()[-1] for row in table[1:]} == {"same", "new"}
    assert "moved" in cli("tasks", "edit", "One", "every monday at 10").out
    assert "before" not in cli("tasks", "edit", "One", "--name", "Two").out


def test_an_edit_can_be_previewed_without_being_made(cli: Daybook) -> None:
    """The task as it is, and as it would be."""
    cli.add("One", "--time", "09:00")
    before = cli.events()
    assert utc(cli, "One", *SINCE)[0] == "2026-03-07T09:00:00Z"
    assert utc(cli, "One", "--time", "11:00", *SINCE)[0] == "2026-03-07T11:00:00Z"
    seen = cli("preview", "One", "--time", "11:00", "--after", "2026-03-07", "--count", "3")
    assert seen.out.count(" moved") == 5
    said = cli("preview", "One", "every day at 12", "--after", "2026-03-07", "--count", "3")
    assert said.out.count(" moved") == 5
    assert cli.events() == before


def test_a_task_that_is_not_there_is_not_found(cli: Daybook) -> None:
    """With its own exit code, like everywhere."""
    cli.add("One")
    assert cli("preview", "Two").code == 3


def test_past_slots_are_asked_for_again(cli: Daybook) -> None:
    """Of a range in the task's zone; what is not past is refused."""
    cli.add("One", "--time", "09:00", "--timezone", "Asia/Tokyo")
    asked = cli("tasks", "backfill", "One", "--start", "2026-01-01", "--end", "2026-01-03T09:00", "--reason", "lost")
    assert asked.out.startswith("asked for 3 runs: One")
    runs = cli("runs", "--json").json
    assert sorted(run["request"][-20:] for run in runs) == [f"2026-01-0{day}T00:00:00Z" for day in (1, 2, 3)]
    refused = cli("tasks", "backfill", "One", "--start", "2020-01-01", "--end", "2026-01-01")
    assert (refused.code, "at most 100" in refused.err) == (2, True)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("every day", True), ("every funday at 9", True), ("daily", True), ("weekly on friday", True), ("hourly", True),
        ("on the last day of every month", True), ("cron 0 9 * * 1", True), ("once tomorrow", True),
        ("Weekly recap", False), ("Morning", False), ("Daily digest", False), ("on call", False), ("every", False),
        ("", False), ("once", False),
    ],
)  # fmt: skip
def test_a_name_is_not_taken_for_a_phrase(text: str, meant: bool) -> None:
    """Nor a phrase with a mistake in it for a name."""
    assert is_phrase(text) is meant


def test_the_three_commands_take_the_same_schedule_options(cli: Daybook) -> None:
    """What can be previewed can be added and edited."""

    def options(*command: str) -> set[str]:
        import typer

        from adapters.cli.app import command_line

        group: Any = typer.main.get_command(command_line())
        for name in command:
            group = group.commands[name]
        return {option for parameter in group.params for option in parameter.opts if option.startswith("--")}

    from adapters.cli.schedule_options import _OPTIONS

    assert len(_OPTIONS) == 21
    shared = options("preview") & options("tasks", "add") & options("tasks", "edit")
    assert len(shared - {"--json", "--data"}) == len(_OPTIONS)


def test_the_present_is_where_a_preview_begins(cli: Daybook) -> None:
    """Without --after the slots are to come."""
    [slot] = cli("preview", "hourly", "--count", "1", "--json").json
    assert datetime.fromisoformat(slot["utc"]) > datetime.now().astimezone()


def test_slots_that_were_left_out_in_advance_are_in_no_preview_of_the_task(cli: Daybook) -> None:
    """It begins with the next run, of the task as it is and as it would be."""
    cli("tasks", "add", "One", "--channel", "general", "--cron", "45 * * * *")
    before = utc(cli, "One", "--count", "5", "--json")
    assert cli("tasks", "skip", "One", "--count", "3").code == 0
    next_run = cli("tasks", "show", "One", "--json").json["next_run_time"].replace("+00:00", "Z")
    assert utc(cli, "One", "--count", "2", "--json") == before[3:] == [next_run, before[4]]
    assert utc(cli, "One", "--after", before[0], "--count", "1", "--json") == [next_run]
    assert all(slot > before[2] for slot in utc(cli, "One", "every 10 minutes", "--json"))
    assert "nothing runs until" in cli("preview", "One").err


def test_a_preview_from_the_past_on_marks_what_was_left_out_in_advance(cli: Daybook) -> None:
    """The rule is shown from where it was asked for; of the slots to come it says which do not run."""
    cli("tasks", "add", "One", "--channel", "general", "--cron", "45 * * * *")
    [first] = utc(cli, "One", "--count", "1", "--json")
    assert cli("tasks", "skip", "One", "--count", "2").code == 0
    past = (datetime.fromisoformat(first) - timedelta(minutes=150)).isoformat()
    slots = cli("preview", "One", "--after", past, "--count", "5", "--json").json
    assert [slot["note"] for slot in slots] == [None, None, *["left out in advance"] * 2, None]
    assert slots[2]["utc"] == first


def test_an_edit_after_a_skip_moves_only_what_runs(cli: Daybook) -> None:
    """The table agrees with the line above it and with what will run; what was left out is in neither column."""
    cli("tasks", "add", "One", "--channel", "general", "--cron", "45 * * * *")
    coming = utc(cli, "One", "--count", "4", "--json")
    assert cli("tasks", "skip", "One", "--count", "3").code == 0
    edited = cli("tasks", "edit", "One", "--cron", "50 * * * *")
    assert edited.code == 0
    first, *table = edited.out.splitlines()
    following = cli("tasks", "show", "One", "--json").json["next_run_time"]
    assert datetime.fromisoformat(following) == datetime.fromisoformat(coming[2]) + timedelta(minutes=5)
    assert f"{datetime.fromisoformat(following):%H:%M}" in first
    shown = re.findall(r"\d{4}-\d\d-\d\d \d\d:\d\d", "\n".join(table))
    assert not {f"{slot[:10]} {slot[11:16]}" for slot in coming[:3]} & set(shown)
    assert min(shown) == f"{datetime.fromisoformat(following):%Y-%m-%d %H:%M}"
    assert "nothing runs until" in edited.err
