"""``daybook templates``: the built-in looks as files, and what is wrong with an edited one before a result needs it."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.rendering.templates import TEMPLATES, packaged_text
from tests.adapters.cli_runner import Daybook


@pytest.fixture
def cli(tmp_path: Path) -> Daybook:
    """The command line on an empty folder, with templates beside it."""
    return Daybook(tmp_path / "data", {"DAYBOOK_TEMPLATES": str(tmp_path / "looks")})


def test_the_templates_are_written_and_are_in_order(cli: Daybook, tmp_path: Path) -> None:
    """Every built-in template is a file of the folder, and the check finds nothing wrong with any."""
    exported = cli("templates", "export", str(tmp_path / "looks"))
    assert exported.code == 0
    assert {path.name for path in (tmp_path / "looks").iterdir()} == set(TEMPLATES)
    assert all((tmp_path / "looks" / name).read_text() == packaged_text(name) for name in TEMPLATES)
    checked = cli("templates", "check", "--json")
    assert checked.code == 0
    assert {finding["state"] for finding in checked.json} == {"ok"}


def test_what_was_edited_is_not_overwritten_by_chance(cli: Daybook, tmp_path: Path) -> None:
    """Nothing is written beside a file that is there, until it is asked for."""
    looks = tmp_path / "looks"
    looks.mkdir()
    (looks / "slack.json.j2").write_text("mine")
    refused = cli("templates", "export", str(looks))
    assert refused.code == 1
    assert "holds slack.json.j2 already; nothing was written" in refused.err
    assert [path.name for path in looks.iterdir()] == ["slack.json.j2"]
    assert cli("templates", "export", str(looks), "--force").code == 0
    assert (looks / "slack.json.j2").read_text() == packaged_text("slack.json.j2")


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_broken_template_is_found_with_file_and_line(cli: Daybook, tmp_path: Path, name: str) -> None:
    """Exit code 1; doctor says the same."""
    (tmp_path / "looks").mkdir()
    (tmp_path / "looks" / name).write_text("\n\n{{ titel }}")
    checked = cli("templates", "check", "--json")
    assert checked.code == 1
    [wrong] = [finding for finding in checked.json if finding["state"] == "wrong"]
    assert wrong["name"] == name
    assert f"template {name}, line 3: 'titel' is undefined" in wrong["said"]
    assert cli("doctor").code == 1
    assert f"template {name}, line 3" in cli("doctor").out


def test_a_template_that_fails_only_for_some_summaries_is_found(cli: Daybook, tmp_path: Path) -> None:
    """What is tried is not one friendly sample: a summary without points, or of an engine's own, is among them."""
    (tmp_path / "looks").mkdir()
    (tmp_path / "looks" / "summary.md.j2").write_text("{{ sections[0].name }}")
    [wrong] = [finding for finding in cli("templates", "check", "--json").json if finding["state"] == "wrong"]
    assert "filled with a summary of nothing" in wrong["said"]


def test_a_misspelled_file_and_a_missing_folder_are_said(cli: Daybook, tmp_path: Path) -> None:
    """A template that nothing uses would otherwise be edited in vain."""
    assert cli("templates", "check").code == 3
    assert "correct DAYBOOK_TEMPLATES" in cli("doctor").out
    (tmp_path / "looks").mkdir()
    (tmp_path / "looks" / "slak.json.j2").write_text("x")
    checked = cli("templates", "check")
    assert checked.code == 0
    assert "did you mean slack.json.j2?" in checked.out
    assert "did you mean slack.json.j2?" in cli("doctor").out


def test_without_a_folder_the_command_says_what_to_give(tmp_path: Path) -> None:
    """Neither an argument nor the setting: which folder is meant?"""
    refused = Daybook(tmp_path / "data", {"DAYBOOK_TEMPLATES": ""})("templates", "check")
    assert refused.code == 1
    assert "name the folder of your templates" in refused.err


def test_the_edited_template_is_what_arrives(cli: Daybook, tmp_path: Path) -> None:
    """From the file in the folder to the file that was delivered."""
    (tmp_path / "looks").mkdir()
    (tmp_path / "looks" / "summary.md.j2").write_text("Mine: {{ title }}")
    sent = cli("destinations", "test", "file;format=markdown", "--guild", "1", "--json")
    assert sent.code == 0, sent.err
    [written] = (cli.folder / "summaries").rglob("*.md")
    assert written.read_text() == "Mine: Test of a destination\n"
