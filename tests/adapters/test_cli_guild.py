"""``daybook guild``: what the operator grants a guild, and what of it is used up."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.adapters.cli_runner import Daybook

GUILD = "910000000000000001"


@pytest.fixture
def cli(tmp_path: Path) -> Daybook:
    """On an empty folder."""
    return Daybook(tmp_path / "data")


def guild_of(cli: Daybook) -> str:
    """A task's guild, in which the next ones are made as well."""
    return str(cli("tasks", "show", cli.add("First"), "--json").json["guild_id"])


def test_a_limit_is_set_shown_kept_and_taken_back(cli: Daybook) -> None:
    """What is in force is the operator's grant, else what every guild may."""
    guild = guild_of(cli)
    shown = cli("guild", "show", guild).out
    assert "1 of 100" in shown
    assert "0 of 2000 (until 00:00 UTC)" in shown
    assert "60 s" in shown
    said = cli("guild", "set", guild, "--max-tasks", "1", "--shortest-interval", "30m", "--runs-per-day", "7")
    assert (said.code, "1 of 1" in said.out, "30 min" in said.out, "0 of 7" in said.out) == (0, True, True, True)
    refused = cli("tasks", "add", "Second", "--channel", "general")
    assert refused.code != 0
    assert "this guild has 1 task that has not ended" in refused.err.replace("\n", " ")
    assert "may have 1" in refused.err.replace("\n", " ")
    assert cli("guild", "set", guild, "--max-tasks", "default").code == 0
    known = cli("guild", "show", guild, "--json").json
    assert known["quotas"] == {"max_tasks": 100, "shortest_interval_seconds": 1800.0, "runs_per_day": 7}
    assert known["used"]["tasks"] == 1
    cli.add("Second")


def test_a_schedule_that_comes_too_often_is_refused(cli: Daybook) -> None:
    """By what the environment says of every guild."""
    strict = Daybook(cli.folder, {"DAYBOOK_SHORTEST_INTERVAL_SECONDS": "3600"})
    refused = strict("tasks", "add", "Often", "--channel", "general", "--type", "fifteen-minutes")
    assert refused.code != 0
    assert "due twice within 900 s" in refused.err.replace("\n", " ")
    free = Daybook(cli.folder, {"DAYBOOK_SHORTEST_INTERVAL_SECONDS": "0"})
    assert free("tasks", "add", "Often", "--channel", "general", "--type", "fifteen-minutes").code == 0


def test_a_manual_run_beyond_those_of_the_day_is_refused(cli: Daybook) -> None:
    """With the limit, the count, and what to do."""
    guild = guild_of(cli)
    cli("guild", "set", guild, "--runs-per-day", "0")
    refused = cli("tasks", "run", "First")
    assert refused.code != 0
    assert "has had 0 of the 0 runs" in refused.err.replace("\n", " ")
    assert "after midnight UTC" in refused.err.replace("\n", " ")


def test_roles_that_manage_are_named_and_taken_back(cli: Daybook) -> None:
    """All of them at once, as they are to be."""
    said = cli("guild", "set", GUILD, "--manager", "555", "--manager", "666").out
    assert "Manage Server, role 555, role 666" in said
    assert "role" not in cli("guild", "set", GUILD, "--manager", "").out
    assert cli("guild", "set", GUILD, "--manager", "Moderators").code != 0


@pytest.mark.parametrize(
    "wrong",
    [("--max-tasks", "many"), ("--max-tasks", "-1"), ("--shortest-interval", "soon"), ("--runs-per-day", "1e3")],
)
def test_what_is_no_limit_changes_nothing(cli: Daybook, wrong: tuple[str, str]) -> None:
    """And says what would be right."""
    refused = cli("guild", "set", GUILD, *wrong)
    assert refused.code != 0
    assert wrong[1] in refused.err


def test_retention_leaves_delivered_files_to_their_reader_and_an_erasure_deletes_them(cli: Daybook) -> None:
    """As the page on retention says."""
    guild = guild_of(cli)
    cli.add("Kept", "--min-messages", "1", "--hours", "168", "--to", "file:notes")
    assert cli("tasks", "run", "Kept").code == 0
    [file] = [path for path in (cli.folder / "summaries").rglob("*") if path.is_file()]
    assert cli("guild", "retention", guild, "--summaries", "0", "--run-details", "0", "--caches", "0").code == 0
    assert cli("tasks", "run", "Cleanup").code == 0
    assert "1 summaries" in cli("history", "Cleanup").out
    assert file.exists()
    assert cli("erase", "guild", guild, "--yes").code == 0
    assert not file.exists()


def test_details_of_runs_that_a_cleanup_deleted_are_said_to_be_deleted(cli: Daybook) -> None:
    """How many, when, by which cleanup; a list that is empty for that does not say that there were no runs."""
    guild = guild_of(cli)
    cli.add("Gone", "--min-messages", "1", "--hours", "168")
    assert cli("runs", "Gone").out == "No runs yet.\n"
    assert cli("tasks", "run", "Gone").code == 0
    assert "not kept any more" not in cli("runs", "Gone").out
    assert cli("guild", "retention", guild, "--summaries", "0", "--run-details", "0", "--caches", "0").code == 0
    assert cli("tasks", "run", "Cleanup").code == 0
    for shown in (cli("runs", "Gone").out, cli("tasks", "show", "Gone").out):
        assert re.search(
            r"details of 1 run are not kept any more: those that ended before \d{4}-.* were deleted at \d{4}-.* "
            r"by the cleanup at position \d+",
            shown,
        )
    assert "No runs" not in cli("runs", "Gone").out
    assert cli("tasks", "run", "Gone").code == 0
    both = cli("runs", "Gone").out
    assert "executed" in both
    assert "details of 1 run are not kept any more" in both
    assert cli("runs", "Gone", "--limit", "1").out.count("details of") == 0


def test_a_guild_of_which_nothing_is_known_is_an_error_wherever_it_is_asked_for(cli: Daybook, tmp_path: Path) -> None:
    """Nothing is written for it; its settings are shown, for it may be given some, and that it is new is said."""
    cli.add("One")
    for arguments in (
        ("export", str(tmp_path / "x.json"), "--guild", "999"),
        ("export", str(tmp_path / "x.jsonl"), "--history", "--guild", "999"),
        ("stats", "--guild", "999"),
        ("account", "--guild", "999"),
        ("as-of", "now", "--guild", "999"),
    ):
        refused = cli(*arguments)
        assert (refused.code, refused.err) == (3, "error: no guild '999'\n"), arguments
    assert not list(tmp_path.glob("x.*"))
    shown = cli("guild", "show", "999")
    assert shown.code == 0
    assert "no task and no event is known of guild 999" in shown.err
    assert cli("guild", "show", guild_of(cli)).err == ""


def test_what_was_left_out_is_told_apart_from_runs_without_a_result(cli: Daybook) -> None:
    """Of a task, of all, and of a guild: slots have a number of their own, beside the success of runs."""
    cli.add("One", "--hours", "168", "--min-messages", "1")
    assert cli("tasks", "run", "One").code == 0
    assert cli("tasks", "skip", "One", "--count", "3").code == 0
    shown = cli("tasks", "show", "One").out
    assert re.search(r"^runs +1 executed, 0 failed, 0 without a result, success 100%$", shown, re.M)
    assert re.search(r"^slots +0 of 3 served, 3 left out$", shown, re.M)
    head, row = cli("stats", "One").out.splitlines()
    assert ("no result" in head, "slots served" in head, "0 of 3" in row) == (True, True, True)
    of = cli("stats", "One", "--json").json["by_task"][0]
    assert (of["slots_served"], of["slots_decided"], of["skipped_slots"]) == (0, 3, 3)
    assert re.search(r"^slots left out +3$", cli("guild", "show", guild_of(cli)).out, re.M)


def test_tasks_that_name_a_person_are_told_by_name_and_whole_id(cli: Daybook) -> None:
    """The beginnings of their ids may be the same: they tell when a task was made."""
    person = "910000000000000042"
    first, second = (
        cli("tasks", "add", name, "--does", "custom", "--operation", "greet", "--guild", GUILD, "--parameter",
            f"whom={person}", "--json").json["task_id"]
        for name in ("Ann", "Bob")
    )  # fmt: skip
    told = cli("erase", "person", person, "--dry-run").out
    assert f"Ann ({first})" in told
    assert f"Bob ({second})" in told
