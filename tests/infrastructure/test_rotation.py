"""A new master key: everything can still be read, the old key opens nothing, no crash leaves a vault without a key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from domain.errors import InvalidInput, StoreUnavailable
from infrastructure.masterkey import load_master_key
from infrastructure.rotation import rotate_master_key, settle_rotation
from infrastructure.sqlite_vault import SqliteVault
from tests.adapters.cli_runner import Daybook

SECRET = "https://hooks.example.org/canary"
NEW = "ab" * 32


def a_vault(folder: Path, environment: dict[str, str] | None = None) -> tuple[SqliteVault, str]:
    vault = SqliteVault(folder / "vault.db", load_master_key(folder, environment or {}))
    return vault, vault.put_secret("1", SECRET)


def reopened(folder: Path, environment: dict[str, str] | None = None) -> SqliteVault:
    """As a service opens it: what a crash cut off is ended first."""

    def fits(key: bytes) -> bool:
        try:
            SqliteVault(folder / "vault.db", key).close()
        except StoreUnavailable:
            return False
        return True

    settle_rotation(folder, fits)
    return SqliteVault(folder / "vault.db", load_master_key(folder, environment or {}))


def test_the_key_file_is_replaced_and_everything_can_be_read(tmp_path: Path) -> None:
    """The file is its owner's alone; the old key opens nothing any more."""
    vault, reference = a_vault(tmp_path)
    old = load_master_key(tmp_path, {})
    rows, place = rotate_master_key(vault, tmp_path, {}, None)
    vault.close()
    assert (rows, place) == (1, str(tmp_path / "master.key"))
    assert (tmp_path / "master.key").stat().st_mode & 0o777 == 0o600
    assert not (tmp_path / "master.key.new").exists()
    assert load_master_key(tmp_path, {}) != old
    with pytest.raises(StoreUnavailable, match="master key does not fit"):
        SqliteVault(tmp_path / "vault.db", old)
    again = reopened(tmp_path)
    assert again.secret("1", reference) == SECRET
    again.close()


STEPS = ["before the new key is kept", "after the new key is kept", "after the vault is sealed", "after the rename"]


@pytest.mark.parametrize("step", STEPS)
def test_a_death_at_any_step_leaves_a_vault_that_opens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """The next opening finds which key fits, ends what was begun, and the rotation can be asked for again."""
    vault, reference = a_vault(tmp_path)

    def die(*arguments: Any) -> None:
        raise KeyboardInterrupt

    points = dict(zip(STEPS, ("_keep", "", "_put_in_place", ""), strict=True))
    if points[step]:
        monkeypatch.setattr(f"infrastructure.rotation.{points[step]}", die)
    elif step == "after the new key is kept":
        monkeypatch.setattr(vault, "rotate_master_key", die)
    else:
        monkeypatch.setattr("infrastructure.rotation.sync_folder", _nth(die, 2))
    with pytest.raises(KeyboardInterrupt):
        rotate_master_key(vault, tmp_path, {}, None)
    monkeypatch.undo()
    vault.close()
    again = reopened(tmp_path)
    assert again.secret("1", reference) == SECRET
    assert not (tmp_path / "master.key.new").exists()
    rotate_master_key(again, tmp_path, {}, None)
    assert again.secret("1", reference) == SECRET
    again.close()


def _nth(act: Any, number: int) -> Any:
    calls = []

    def called(*arguments: Any) -> None:
        calls.append(arguments)
        if len(calls) == number:
            act()

    return called


def test_a_key_of_the_environment_is_replaced_by_one_of_the_environment(tmp_path: Path) -> None:
    """No file is made; without the new key, or with the old one again, nothing is changed."""
    environment = {"DAYBOOK_MASTER_KEY": "cd" * 32}
    vault, reference = a_vault(tmp_path, environment)
    for wrong, said in ((None, "is not set"), ("cd" * 32, "has already"), ("short", "is not a master key")):
        with pytest.raises(InvalidInput, match=said) as refusal:
            rotate_master_key(vault, tmp_path, environment, wrong)
        assert "cdcd" not in str(refusal.value)
    assert rotate_master_key(vault, tmp_path, environment, NEW) == (1, "DAYBOOK_MASTER_KEY")
    vault.close()
    again = reopened(tmp_path, {"DAYBOOK_MASTER_KEY": NEW})
    assert again.secret("1", reference) == SECRET
    again.close()
    assert [path.name for path in tmp_path.iterdir() if "key" in path.name] == []


def test_the_command_rotates_and_tasks_go_on(tmp_path: Path) -> None:
    """The tasks, the log and the secrets are as before; no key is printed."""
    cli = Daybook(tmp_path / "data")
    task_id = cli.add("One", "--to", f"webhook:{SECRET}")
    old = (tmp_path / "data" / "master.key").read_text().strip()
    rotated = cli("vault", "rotate", "--json")
    assert rotated.code == 0, rotated.err
    new = (tmp_path / "data" / "master.key").read_text().strip()
    assert new != old
    assert rotated.json["sealed_anew"] >= 2
    assert new not in rotated.out + rotated.err
    assert cli("tasks", "show", task_id).code == 0
    assert cli("history", task_id).code == 0
    (tmp_path / "data" / "master.key").write_text(old)
    refused = cli("history", task_id)
    assert refused.code == 1
    assert "the master key does not fit" in refused.err


def test_the_command_takes_the_new_key_from_the_environment(tmp_path: Path) -> None:
    """And says what is to be set now."""
    old, new = {"DAYBOOK_MASTER_KEY": "cd" * 32}, {"DAYBOOK_MASTER_KEY": NEW}
    Daybook(tmp_path / "data", old).add("One")
    assert "DAYBOOK_NEW_MASTER_KEY" in Daybook(tmp_path / "data", old)("vault", "rotate").err
    rotated = Daybook(tmp_path / "data", old | {"DAYBOOK_NEW_MASTER_KEY": NEW})("vault", "rotate")
    assert rotated.code == 0, rotated.err
    assert "set DAYBOOK_MASTER_KEY" in rotated.err
    assert NEW not in rotated.out + rotated.err
    assert Daybook(tmp_path / "data", new)("tasks", "list").code == 0
    assert Daybook(tmp_path / "data", old)("history", "One").code == 1
