"""A backup put back: checked, put together beside the data folder, and moved there as one.

What is there already is never written over: it is kept under another name. What was erased stays erased: the list of
erasures that is there, and the keys that the vault that is there knows as destroyed, outlive the older copy.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Collection, Mapping
from contextlib import closing
from datetime import datetime
from itertools import chain, count
from pathlib import Path

from domain.errors import InvalidInput, NotFound, StoreError, StoreInUse, StoreUnavailable
from infrastructure.backup import Backup, check_copy, check_keys, read_manifest
from infrastructure.layout import LEDGER_FILE, LOG_FILE, VAULT_FILE
from infrastructure.ledger import FileLedger
from infrastructure.masterkey import VARIABLE, load_master_key, sync_folder
from infrastructure.presence import holder
from infrastructure.sqlite_vault import SqliteVault

__all__ = ["restore"]

_KEY_FILE = "master.key"


def restore(
    source: Path,
    folder: Path,
    *,
    now: datetime,
    environment: Mapping[str, str] = os.environ,
    vault: Path | None = None,
    erasures: Path | None = None,
    replace: bool = False,
) -> tuple[Backup, Path | None]:
    """Put a backup in place as the data folder; returns it, and where that is kept which was there before.

    ``vault`` is the file of the vault where the backup has none: the newest copy, which may be the one that is there.
    ``erasures`` is a list of erasures that was kept elsewhere; what it names is erased again, as by the others.
    A store that is there is moved aside, if ``replace`` allows it. Raises NotFound, InvalidInput, StoreError.
    """
    backup = read_manifest(source)
    if (held := holder(folder)) is not None:
        raise StoreInUse(folder, f"process {held.get('pid')}")
    if erasures is not None and not erasures.is_file():
        raise NotFound("list of erasures", str(erasures))
    there = (folder / LOG_FILE).exists()
    if there and not replace:
        raise InvalidInput("data", str(folder), "holds a store already", "choose another folder, or --replace it")
    made = folder.with_name(f".{folder.name}.{os.getpid()}.restoring")
    try:
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir(parents=True, mode=0o750)
        _put_together(source, backup, folder, made, vault, erasures)
        _check(made, backup, folder, environment)
        kept = _change_places(folder, made, now)
    except OSError as error:
        raise StoreUnavailable(f"{folder} cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return backup, kept


def _put_together(
    source: Path, backup: Backup, folder: Path, made: Path, vault: Path | None, erasures: Path | None
) -> None:
    for name in backup.files:
        if name != LEDGER_FILE:
            _copy(source / name, made / name)
    chosen = vault or (None if backup.has_vault else _first(source / VAULT_FILE, folder / VAULT_FILE))
    if chosen is not None:
        _copy_vault(chosen, made / VAULT_FILE)
    if not (made / VAULT_FILE).exists():
        raise InvalidInput(
            "vault", str(source), "is a backup without the vault", "name your copy of vault.db with --vault"
        )
    if (key := _first(source / _KEY_FILE, folder / _KEY_FILE)) is not None:
        _copy(key, made / _KEY_FILE)
    ledger = FileLedger(made / LEDGER_FILE)
    for place in (source / LEDGER_FILE, folder / LEDGER_FILE, erasures):
        for entry in FileLedger(place).entries() if place is not None else ():
            ledger.add(entry)
    if (folder / VAULT_FILE).exists():
        listed = {key for entry in ledger.entries() for key in entry.keys}
        _destroy_again(folder / VAULT_FILE, made / VAULT_FILE, listed)


def _first(*paths: Path) -> Path | None:
    return next((path for path in paths if path.is_file()), None)


def _copy(source: Path, target: Path) -> None:
    target.touch(mode=0o600)
    shutil.copyfile(source, target)
    with target.open("rb") as file:
        os.fsync(file.fileno())


def _copy_vault(source: Path, target: Path) -> None:
    # It may be the live one, with commits that are still in its journal.
    target.unlink(missing_ok=True)
    target.touch(mode=0o600)
    try:
        with closing(sqlite3.connect(source)) as here, closing(sqlite3.connect(target)) as there:
            here.backup(there)
            there.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.Error as error:
        raise StoreError(f"{source} is no vault: {error}") from error


def _destroy_again(here: Path, restored: Path, listed: Collection[str]) -> None:
    """A key that was destroyed since the backup was made does not come back with it.

    Those that the list of erasures names are left to the opening of the store, which counts what they seal before it
    destroys them: an erasure leaves its numbers.
    """
    try:
        with closing(sqlite3.connect(here)) as vault:
            gone = vault.execute("SELECT key_id FROM vault_keys WHERE wrapped IS NULL").fetchall()
        with closing(sqlite3.connect(restored)) as vault, vault:
            vault.execute("PRAGMA secure_delete = ON")
            unlisted = [row for row in gone if bytes(row[0]).hex() not in listed]
            vault.executemany("UPDATE vault_keys SET wrapped = NULL WHERE key_id = ?", unlisted)
    except sqlite3.Error as error:
        raise StoreError(f"{here} does not say which keys were destroyed: {error}") from error


def _check(made: Path, backup: Backup, folder: Path, environment: Mapping[str, str]) -> None:
    for name, counts in backup.counts.items():
        check_copy(made / name, counts if name != VAULT_FILE else {})
    if (made / LOG_FILE).exists():
        check_keys(made / LOG_FILE, made / VAULT_FILE)
    if VARIABLE not in environment and not (made / _KEY_FILE).exists():
        raise StoreUnavailable(
            f"the master key is missing, which no backup holds: put {_KEY_FILE} into {folder}, mode 0600, or give it "
            f"in {VARIABLE}"
        )
    SqliteVault(made / VAULT_FILE, load_master_key(made, environment)).close()


def _change_places(folder: Path, made: Path, now: datetime) -> Path | None:
    """The new folder gets the name. Between the two renames there is none: a service would not start on half of it."""
    kept = None
    if folder.exists():
        if not any(folder.iterdir()):
            folder.rmdir()
        else:
            kept = _free_name(folder, now)
            folder.rename(kept)
    made.rename(folder)
    sync_folder(folder.parent)
    return kept


def _free_name(folder: Path, now: datetime) -> Path:
    """A name beside the folder that nothing has: two restores of one second keep what each of them found."""
    name = f"{folder.name}.before-{now:%Y%m%dT%H%M%SZ}"
    names = chain([name], (f"{name}-{number}" for number in count(2)))
    return next(path for path in map(folder.with_name, names) if not path.exists())
