"""``daybook guild``: what the operator grants a guild, and what of it is used up."""

from __future__ import annotations

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
