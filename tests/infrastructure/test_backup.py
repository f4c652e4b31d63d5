"""Backups of a store that is written to meanwhile, and what it takes to put one back."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from domain.errors import InvalidInput, NotFound, StoreError, StoreInUse, StoreUnavailable
from infrastructure.backup import MANIFEST_FILE, Backup, back_up, read_manifest
from infrastructure.presence import FolderPresence
from infrastructure.restore import restore
from infrastructure.stores import Stores, open_folder
from tests.contracts.log_parts import note, positions_of

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
STREAM = UUID(int=5)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data folder with 300 events of two guilds and a secret."""
    folder = tmp_path / "data"
    stores = opened(folder)
    theirs = [uuid4() for _ in range(100)]
    stores.log.append_all(
        append
        for number, other in enumerate(theirs)
        for append in (note(STREAM, 2 * number + 1, ["x" * 500, "y"], "1"), note(other, 1, ["z"], "2"))
    )
    stores.vault.put_secret("1", "https://example.org/very-secret")
    stores.close()
    return folder


def opened(folder: Path, node: str = "n") -> Stores:
    """The stores of a folder."""
    return open_folder(folder, node=node, now=NOW, environment={})


def backed_up(folder: Path, target: Path, **how: Any) -> Backup:
    """A backup with the vault."""
    return back_up(folder, target, now=NOW, version="1", **{"vault": True, **how})


def put_back(source: Path, folder: Path, **how: Any) -> tuple[Backup, Path | None]:
    """The backup in a folder, which has the master key."""
    return restore(source, folder, now=NOW, environment={}, **how)


def with_key(folder: Path, of: Path) -> Path:
    """A folder in which nothing is but the master key of another."""
    folder.mkdir()
    shutil.copy2(of / "master.key", folder)
    return folder


def versions(stores: Stores, stream: UUID = STREAM) -> list[int]:
    """The versions of a stream that can be read."""
    return [one.event.originator_version for one in stores.log.stream(stream)]  # type: ignore[union-attr]


def test_a_backup_taken_while_others_write_holds_one_instant(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At each step of the copy a service commits: the copy ends all the same, and holds what was there as it began."""
    monkeypatch.setattr("infrastructure.backup._PAGES", 8)
    stores = opened(folder)
    written: list[int] = []

    def meanwhile(done: int, total: int) -> None:
        assert done >= 0
        version = 201 + len(written)
        written.append(version)
        stores.log.append([note(STREAM, version, ["meanwhile" * 200], "1")])

    made = backed_up(folder, tmp_path / "copy", progress=meanwhile)
    stores.close()
    assert len(written) > 5
    assert made.position == 300
    assert made.counts["log.db"] == {"stored_events": 300}
    put_back(tmp_path / "copy", with_key(tmp_path / "back", folder))
    back = opened(tmp_path / "back")
    assert versions(back) == list(range(1, 201))
    assert back.log.last_position() == 300
    assert [positions_of(back.log.append([note(STREAM, 201, ["goes on"], "1")]))] == [[301]]
    back.close()


def test_the_vault_is_copied_after_the_log_and_knows_every_key(folder: Path, tmp_path: Path) -> None:
    """A guild whose first event is written during the copy has its key in the copy before anything needs it."""
    stores = opened(folder)
    seen: list[bytes] = []

    def meanwhile(done: int, total: int) -> None:
        if not seen:
            seen.append(stores.vault.data_key("late")[0])

    backed_up(folder, tmp_path / "copy", progress=meanwhile)
    stores.close()
    with closing(sqlite3.connect(tmp_path / "copy" / "vault.db")) as vault:
        assert seen[0] in {row[0] for row in vault.execute("SELECT key_id FROM vault_keys")}


def test_a_backup_holds_no_master_key_and_no_readable_secret(folder: Path, tmp_path: Path) -> None:
    """And nobody but its owner may read it."""
    backed_up(folder, tmp_path / "copy")
    names = {path.name for path in (tmp_path / "copy").iterdir()}
    assert names == {"log.db", "vault.db", "content.db", MANIFEST_FILE}
    text = b"".join(path.read_bytes() for path in (tmp_path / "copy").iterdir())
    assert b"very-secret" not in text
    assert (tmp_path / "copy").stat().st_mode & 0o077 == 0
    assert (tmp_path / "copy" / "vault.db").stat().st_mode & 0o077 == 0


def test_without_the_vault_it_needs_a_copy_of_that(folder: Path, tmp_path: Path) -> None:
    """The vault has a backup of its own; together they are a store again."""
    copy, keys = tmp_path / "copy", tmp_path / "keys"
    assert not backed_up(folder, copy, vault=False).has_vault
    assert backed_up(folder, keys, log=False).position is None
    back = with_key(tmp_path / "back", folder)
    with pytest.raises(InvalidInput, match="without the vault"):
        put_back(copy, back)
    assert {path.name for path in back.iterdir()} == {"master.key"}
    put_back(copy, back, vault=keys / "vault.db")
    stores = opened(back)
    assert versions(stores) == list(range(1, 201))
    stores.close()


def test_a_vault_of_another_store_is_refused(folder: Path, tmp_path: Path) -> None:
    """Found before anything is moved."""
    other = tmp_path / "other"
    opened(other).close()
    backed_up(folder, tmp_path / "copy", vault=False)
    back = with_key(tmp_path / "back", other)
    with pytest.raises(StoreError, match="not of one store"):
        put_back(tmp_path / "copy", back, vault=other / "vault.db")
    assert not (back / "log.db").exists()


def test_without_its_master_key_nothing_is_put_back(folder: Path, tmp_path: Path) -> None:
    """It says where the key belongs; a wrong key is told from a missing one."""
    backed_up(folder, tmp_path / "copy")
    with pytest.raises(StoreUnavailable, match="master key is missing"):
        put_back(tmp_path / "copy", tmp_path / "back")
    assert not (tmp_path / "back").exists()
    with pytest.raises(StoreUnavailable, match="does not fit"):
        restore(tmp_path / "copy", tmp_path / "back", now=NOW, environment={"DAYBOOK_MASTER_KEY": "0" * 64})
    assert not (tmp_path / "back").exists()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_store_that_is_there_is_moved_aside_and_only_when_told(folder: Path, tmp_path: Path) -> None:
    """What was written since the backup is not lost: it is kept beside the folder."""
    backed_up(folder, tmp_path / "copy")
    stores = opened(folder)
    stores.log.append([note(STREAM, 201, ["since"], "1")])
    stores.close()
    with pytest.raises(InvalidInput, match="holds a store already"):
        put_back(tmp_path / "copy", folder)
    _, kept = put_back(tmp_path / "copy", folder, replace=True)
    assert kept is not None
    for place, last in ((folder, 200), (kept, 201)):
        stores = opened(place)
        assert versions(stores)[-1] == last
        stores.close()


def test_what_two_restores_of_one_second_found_is_kept_by_both(folder: Path, tmp_path: Path) -> None:
    """Each under a name of its own."""
    backed_up(folder, tmp_path / "copy")
    kept = {put_back(tmp_path / "copy", folder, replace=True)[1] for _ in range(3)}
    assert len(kept) == 3
    assert all(place is not None and (place / "log.db").is_file() for place in kept)


def test_a_folder_that_a_service_holds_is_left_alone(folder: Path, tmp_path: Path) -> None:
    """It says who holds it."""
    backed_up(folder, tmp_path / "copy")
    presence = FolderPresence(folder)
    presence.join("service", NOW)
    with pytest.raises(StoreInUse):
        put_back(tmp_path / "copy", folder, replace=True)
    presence.leave("service")


def test_what_was_erased_since_stays_erased(folder: Path, tmp_path: Path) -> None:
    """The keys that were destroyed after the backup are destroyed in what is put back, before anybody opens it."""
    backed_up(folder, tmp_path / "copy")
    stores = opened(folder)
    key_id, _ = stores.vault.data_key("1")
    stores.vault.destroy_keys("1")
    stores.close()
    put_back(tmp_path / "copy", folder, replace=True)
    back = opened(folder)
    assert back.vault.key_by_id(key_id) is None
    assert all("erased" in str(one.event) for one in back.log.stream(STREAM))
    back.close()


def _flip(path: Path) -> None:
    text = bytearray(path.read_bytes())
    text[len(text) // 2] ^= 1
    path.write_bytes(bytes(text))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda copy: _flip(copy / "log.db"), "not as it was written"),
        (lambda copy: _flip(copy / "vault.db"), "not as it was written"),
        (lambda copy: (copy / "log.db").unlink(), "not as it was written"),
        (lambda copy: os.truncate(copy / "content.db", 100), "not as it was written"),
        (lambda copy: (copy / MANIFEST_FILE).write_text("{}"), "no whole backup"),
        (lambda copy: (copy / MANIFEST_FILE).unlink(), "no backup"),
    ],
)
def test_a_damaged_backup_is_refused(folder: Path, tmp_path: Path, damage: Callable[[Path], object], said: str) -> None:
    """Whatever is missing or changed is named, and nothing is put in place."""
    backed_up(folder, tmp_path / "copy")
    damage(tmp_path / "copy")
    with pytest.raises((StoreError, NotFound), match=said):
        put_back(tmp_path / "copy", with_key(tmp_path / "back", folder))
    assert not (tmp_path / "back" / "log.db").exists()


def test_a_manifest_that_names_another_place_is_refused(folder: Path, tmp_path: Path) -> None:
    """A backup is a folder of files, never a way out of it."""
    backed_up(folder, tmp_path / "copy")
    manifest = tmp_path / "copy" / MANIFEST_FILE
    value = json.loads(manifest.read_text())
    value["files"]["../escaped"] = "0"
    manifest.write_text(json.dumps(value))
    with pytest.raises(StoreError, match="escaped"):
        read_manifest(tmp_path / "copy")


def test_a_damaged_store_makes_no_backup(folder: Path, tmp_path: Path) -> None:
    """A copy of damage would push a good backup out; nothing is left behind."""
    with closing(sqlite3.connect(folder / "log.db")) as log:
        log.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (page,) = log.execute("SELECT rootpage FROM sqlite_master WHERE name = 'stored_events'").fetchone()
        (size,) = log.execute("PRAGMA page_size").fetchone()
    with (folder / "log.db").open("r+b") as file:
        file.seek((page + 2) * size)
        file.write(b"\xff" * 64)
    with pytest.raises(StoreError):
        backed_up(folder, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_place_that_is_taken_is_refused(folder: Path, tmp_path: Path) -> None:
    """An older backup is never written over."""
    backed_up(folder, tmp_path / "copy")
    with pytest.raises(InvalidInput, match="is there already"):
        backed_up(folder, tmp_path / "copy")
    with pytest.raises(NotFound):
        backed_up(tmp_path / "nowhere", tmp_path / "another")
