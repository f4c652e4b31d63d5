"""A copy of a live store: taken beside a service that goes on writing, and checked before it counts as one.

Each file is copied by SQLite itself, as it was at one instant. The log comes first: what seals an event is in the vault
before the event is in the log, so that a vault that is copied later opens all of it.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from domain.errors import InvalidInput, NotFound, StoreError, StoreUnavailable
from infrastructure.layout import CONTENT_FILE, LEDGER_FILE, LOG_FILE, VAULT_FILE
from infrastructure.masterkey import sync_folder

__all__ = ["MANIFEST_FILE", "Backup", "Progress", "back_up", "check_copy", "check_keys", "read_manifest"]

MANIFEST_FILE = "backup.json"
FORMAT = "daybook-backup/1"

_PAGES = 1_000
_READ_BYTES = 1 << 20
_BUSY_SECONDS = 30.0
_TABLES = {
    LOG_FILE: ("stored_events",),
    CONTENT_FILE: ("summaries", "run_details", "cache"),
    VAULT_FILE: ("vault_keys", "vault_secrets", "vault_people"),
}

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Backup:
    """What a backup holds. ``position`` is the newest event in it; ``counts`` are rows by file and table.

    ``files`` are the SHA-256 of its files. ``at`` is when it was begun (aware UTC).
    """

    at: datetime
    version: str
    position: int | None
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def has_vault(self) -> bool:
        """Whether it can be read by itself, with the master key."""
        return VAULT_FILE in self.files


def back_up(
    folder: Path,
    target: Path,
    *,
    now: datetime,
    version: str,
    vault: bool = False,
    log: bool = True,
    progress: Progress = lambda done, total: None,
) -> Backup:
    """Copy the stores of a data folder into the new folder ``target``, check the copies, and only then name them so.

    ``vault`` takes the keys along, ``log`` the log and the content; the master key is never taken. The service may go
    on. Raises NotFound, InvalidInput, StoreError.
    """
    names = [*([LOG_FILE] if log else []), *([VAULT_FILE] if vault else []), *([CONTENT_FILE] if log else [])]
    if not (folder / (LOG_FILE if log else VAULT_FILE)).is_file():
        raise NotFound("store", str(folder))
    with _made_whole(target) as made:
        counts, sizes = {}, [(folder / name).stat().st_size for name in names if (folder / name).exists()]
        done, total = 0, sum(sizes)
        for name in names:
            if (folder / name).is_file():
                counts[name] = _copy(folder / name, made / name, lambda part, base=done: progress(base + part, total))  # type: ignore[misc]
                done += (folder / name).stat().st_size
        if (folder / LEDGER_FILE).is_file():
            shutil.copyfile(folder / LEDGER_FILE, made / LEDGER_FILE)
        for name, expected in counts.items():
            check_copy(made / name, expected)
        position = counts[LOG_FILE].pop("position") if LOG_FILE in counts else None
        if log:
            check_keys(made / LOG_FILE, (made if vault else folder) / VAULT_FILE)
        backup = Backup(now, version, position, counts, {path.name: _digest(path) for path in sorted(made.iterdir())})
        _write_manifest(made, backup)
    return backup


@contextmanager
def _made_whole(target: Path) -> Iterator[Path]:
    """A new folder that gets its name when it is complete; anything less is removed."""
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InvalidInput("TARGET", str(target), "is there already", "name a folder that does not exist")
    made = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir(parents=True, mode=0o700)
        yield made
        for path in made.iterdir():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        sync_folder(made)
        made.replace(target)
        sync_folder(target.parent)
    except OSError as error:
        raise StoreUnavailable(f"{target} cannot be written: {error.strerror or error}; nothing is there") from error
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _copy(source: Path, target: Path, progress: Callable[[int], None]) -> dict[str, int]:
    """One file as it is at this instant; returns what is in it. Writers of the source do not wait."""
    target.touch(mode=0o600)
    try:
        with closing(_connect(source)) as here, closing(_connect(target)) as there:
            size = here.execute("PRAGMA page_size").fetchone()[0]
            # Held open over all steps: they all read the state of this instant, whatever is committed meanwhile.
            here.execute("BEGIN")
            counts = _counts(here, source.name)
            here.backup(there, pages=_PAGES, progress=lambda _, left, total: progress((total - left) * size))
            here.execute("ROLLBACK")
            # One file, without a journal beside it; whoever opens it as a store turns that on again.
            there.execute("PRAGMA journal_mode = DELETE")
        return counts
    except sqlite3.Error as error:
        raise StoreUnavailable(f"{source} cannot be copied: {error}") from error


def _counts(connection: sqlite3.Connection, name: str) -> dict[str, int]:
    there = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    wanted = [table for table in _TABLES.get(name, ()) if table in there]
    counts = {table: connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0] for table in wanted}
    if name == LOG_FILE:
        counts["position"] = connection.execute("SELECT MAX(rowid) FROM stored_events").fetchone()[0] or 0
    return counts


def check_copy(path: Path, expected: Mapping[str, int]) -> None:
    """Whether a copied file is in itself whole and holds these counts. Raises StoreError."""
    try:
        with closing(_connect(path)) as copy:
            found = [row[0] for row in copy.execute("PRAGMA integrity_check(3)")]
            if found != ["ok"]:
                raise StoreError(f"{path.name} is damaged: {'; '.join(found)}; mend the source before you back it up")
            if (counts := _counts(copy, path.name)) != {**counts, **expected}:
                raise StoreError(f"the copy of {path.name} holds {counts} where {dict(expected)} is right")
    except sqlite3.Error as error:
        raise StoreError(f"{path.name} cannot be read: {error}") from error


def check_keys(log: Path, vault: Path) -> None:
    """Whether the vault knows every key that the events are sealed with, be it as destroyed. Raises StoreError."""
    if not vault.is_file():
        raise StoreUnavailable(f"{vault} is missing: without it nothing in {log.name} can be read")
    try:
        with closing(_connect(log)) as events, closing(_connect(vault)) as keys:
            known = {bytes(row[0]) for row in keys.execute("SELECT key_id FROM vault_keys")}
            # The id of the key stands in front of every payload (infrastructure.mapper).
            used = {bytes(row[0]) for row in events.execute("SELECT DISTINCT substr(state, 3, 8) FROM stored_events")}
    except sqlite3.Error as error:
        raise StoreError(f"{log.name} and {vault.name} cannot be compared: {error}") from error
    if missing := used - known:
        raise StoreError(
            f"{vault} does not know {len(missing)} of the {len(used)} keys that {log.name} is sealed with: "
            "they are not of one store, or the vault is the older copy"
        )


def read_manifest(folder: Path) -> Backup:
    """What a folder says to hold, after every file was found to be what it says. Raises NotFound, StoreError."""
    try:
        value = json.loads((folder / MANIFEST_FILE).read_bytes())
        if value["format"] != FORMAT:
            raise StoreError(f"{folder}: format {value['format']!r}, this program reads {FORMAT!r}")
        backup = Backup(
            datetime.fromisoformat(value["at"]), value["version"], value["position"], value["counts"], value["files"]
        )
    except FileNotFoundError:
        raise NotFound("backup", str(folder)) from None
    except OSError as error:
        raise StoreUnavailable(f"{folder / MANIFEST_FILE} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError):
        raise StoreError(f"{folder / MANIFEST_FILE} is broken: this is no whole backup") from None
    for name, digest in backup.files.items():
        if Path(name).name != name or not (folder / name).is_file() or _digest(folder / name) != digest:
            raise StoreError(f"{folder / name} is not as it was written: take another copy of this backup")
    return backup


def _write_manifest(folder: Path, backup: Backup) -> None:
    value = {"format": FORMAT, **asdict(backup), "at": backup.at.isoformat()}
    (folder / MANIFEST_FILE).write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def _digest(path: Path) -> str:
    hash: Any = sha256()
    with path.open("rb") as file:
        while chunk := file.read(_READ_BYTES):
            hash.update(chunk)
    return str(hash.hexdigest())


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True, timeout=_BUSY_SECONDS, isolation_level=None)
