"""What a task summarizes, on the command line: channels, categories, exclusions, one summary of each."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.adapters.cli_runner import Daybook

COMMUNITY, GENERAL, SUPPORT = "1184200000000000768", "1184200000000001024", "1184200000000001536"


@pytest.fixture
def cli(tmp_path: Path) -> Daybook:
    """On an empty folder, with the sample archive."""
    return Daybook(tmp_path / "data")


def added(cli: Daybook, *options: str) -> dict[str, object]:
    """The definition of a task that was added so."""
    told = cli("tasks", "add", "Digest", *options, "--json")
    assert told.code == 0, told.err
    return dict(cli("tasks", "show", "Digest", "--json").json["definition"])


def test_a_category_is_named_as_people_see_it_and_tried_at_once(cli: Daybook) -> None:
    """Each of its channels gets a file of its own."""
    found = added(cli, "--category", "community", "--each", "--min-messages", "1", "--hours", "8760")
    assert (found["category_id"], found["channel_id"], found["category_mode"]) == (COMMUNITY, "", "individual")
    assert f"category {COMMUNITY}; a summary of each" in cli("tasks", "show", "Digest").out
    ran = cli("tasks", "run", "Digest")
    assert ran.code == 0, ran.err + ran.out
    files = [path.read_text(encoding="utf-8") for path in (cli.folder / "summaries").rglob("*.md")]
    assert sorted("#support" in text for text in files) == [False, True]


def test_channels_are_left_out_and_an_edit_changes_one_without_the_other(cli: Daybook) -> None:
    """What is not given stays; an empty category takes it back."""
    found = added(cli, "--category", COMMUNITY, "--channel", "development", "--without", "support")
    assert found["excluded_channel_ids"] == [SUPPORT]
    assert "without " + SUPPORT in cli("tasks", "show", "Digest").out
    assert cli("tasks", "edit", "Digest", "--each").code == 0
    assert cli("tasks", "edit", "Digest", "--category", "").code == 0
    found = cli("tasks", "show", "Digest", "--json").json["definition"]
    assert (found["category_id"], found["category_mode"]) == (None, "individual")
    assert found["excluded_channel_ids"] == [SUPPORT]


def test_an_unknown_category_is_named_and_nothing_is_made(cli: Daybook) -> None:
    """With those that there are."""
    refused = cli("tasks", "add", "Digest", "--category", "Nowhere")
    assert refused.code != 0
    assert "no such category; it knows Community, Project" in refused.err.replace("\n", " ")
    assert cli("tasks", "list", "--json").code != 0 or cli("tasks", "list", "--json").json == []
