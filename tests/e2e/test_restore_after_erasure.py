"""A backup from before an erasure, put back by the real commands: what was erased stays so, and is known as such."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from application.tallies import erased_at_end
from infrastructure.stores import open_folder
from tests.e2e.test_cli_service import run


def answered(folder: Path, *arguments: str, code: int = 0) -> tuple[Any, str]:
    """What a command says in JSON, and on standard error."""
    done = run(folder, *arguments, "--json")
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout), done.stderr


def said(folder: Path, *arguments: str) -> str:
    """What a command says to people; it must have worked."""
    done = run(folder, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def erased(tmp_path: Path) -> tuple[Path, Path, dict[str, str]]:
    """A folder in which guild 42 was erased after a backup, the backup, and the ids of three tasks by name."""
    data, copy = tmp_path / "data", tmp_path / "copy"
    for name, guild in (("Secret plans", "42"), ("More plans", "42"), ("Weather", "7")):
        said(data, "tasks", "add", name, "every day at 9:00", "--does", "cleanup", "--guild", guild)
    ids = {task["name"]: task["task_id"] for task in answered(data, "tasks", "list")[0]}
    said(data, "tasks", "pause", ids["More plans"])
    said(data, "backup", str(copy))
    said(data, "backup", str(tmp_path / "whole"), "--with-vault")
    said(data, "erase", "guild", "42", "--yes")
    return data, copy, ids


def check(folder: Path, ids: dict[str, str]) -> None:
    """Every question has its answer, and none warns; but for the first, which says that the guild is erased again."""
    assert "cannot be read" not in run(folder, "tasks", "list").stderr
    listed, warned = answered(folder, "tasks", "list", "--all")
    assert warned == ""
    by_id = {task["task_id"]: task for task in listed}
    assert {by_id[ids[name]]["name"] for name in ("Secret plans", "More plans")} == {"[erased]"}
    assert {by_id[ids[name]]["guild_id"] for name in ("Secret plans", "More plans")} == {"42"}
    assert by_id[ids["Weather"]]["name"] == "Weather"
    assert [task["name"] for task in answered(folder, "tasks", "list")[0]] == ["Weather"]
    findings = {one["check"]: one for one in answered(folder, "doctor")[0]}
    assert findings["events"]["state"] == "ok", findings["events"]
    health, _ = answered(folder, "verify")
    assert (health["sound"], health["tables_compared"], health["troubles"]) == (True, True, [])
    assert health["erased_events"] >= 3
    then, _ = answered(folder, "as-of", "2100-01-01")
    assert then["counts"] == {"erased": 2, "active": 1}
    assert then["unreadable_events_of_nobody"] == 0
    assert [one["guild_id"] for one in then["guilds"] if one["erased"]] == []
    assert "[erased]" in said(folder, "as-of", "2100-01-01", ids["Secret plans"])
    compared, warned = answered(folder, "as-of", "0", "--compare-to", "2100-01-01")
    hidden = {one["stream"]: one["events"] for one in compared if one.get("erased")}
    assert "unknown" not in warned
    assert {ids["Secret plans"], ids["More plans"]} <= hidden.keys()
    assert all(hidden.values())
    told = run(folder, "as-of", "0", "--compare-to", "2100-01-01", ids["Secret plans"])
    assert told.returncode == 0
    assert "unknown" not in told.stderr
    assert "[erased]" in told.stdout
    assert "events" in told.stdout
    assert "unknown" not in said(folder, "as-of", "0", "--compare-to", "2100-01-01")
    assert "[erased]" in said(folder, "history", ids["More plans"])
    assert "Secret plans" not in said(folder, "as-of", "2100-01-01")
    shown = said(folder, "tasks", "show", ids["Secret plans"])
    assert "[erased]" in shown
    assert not any(invented in shown for invented in ("does", "length", "policies", "created"))


def test_a_backup_without_the_vault_knows_what_was_erased_since(erased: tuple[Path, Path, dict[str, str]]) -> None:
    """The vault that is there, with its destroyed keys, says whose the tasks were that nobody can read."""
    data, copy, ids = erased
    said(data, "restore", str(copy), "--replace")
    health, _ = answered(data, "verify")
    assert health["sound"], "before anything has opened the store to write"
    assert health["erased_events"] >= 3
    check(data, ids)


def test_a_whole_backup_is_erased_again_with_its_numbers(
    erased: tuple[Path, Path, dict[str, str]], tmp_path: Path
) -> None:
    """What the keys seal is counted before they are destroyed, and the same person erased it."""
    data, _, ids = erased
    said(data, "restore", str(tmp_path / "whole"), "--replace")
    check(data, ids)
    stores = open_folder(data, node="n1", now=datetime.now(UTC), environment={})
    try:
        event = erased_at_end(stores.log.stream(UUID(ids["Secret plans"])))
        assert event is not None
        assert event.by == "operator"
        assert event.tally.unreadable == 0
        assert event.tally.created_at is not None
    finally:
        stores.close()


def test_the_vault_alone_says_what_was_erased(erased: tuple[Path, Path, dict[str, str]], tmp_path: Path) -> None:
    """On another machine, where no list of erasures is at hand, a newer vault is enough."""
    data, copy, ids = erased
    back = tmp_path / "back"
    back.mkdir()
    shutil.copy2(data / "master.key", back)
    said(back, "restore", str(copy), "--vault", str(data / "vault.db"))
    check(back, ids)
    assert [one["guild_id"] for one in json.loads((back / "erasures.json").read_text())] == ["42"]


def test_a_list_of_erasures_erases_again_where_the_vault_is_older_too(
    erased: tuple[Path, Path, dict[str, str]], tmp_path: Path
) -> None:
    """Log and vault are from before the erasure: the list that was kept elsewhere is enough."""
    data, _, ids = erased
    back = tmp_path / "back"
    back.mkdir()
    shutil.copy2(data / "master.key", back)
    said(back, "restore", str(tmp_path / "whole"), "--erasures", str(data / "erasures.json"))
    check(back, ids)
