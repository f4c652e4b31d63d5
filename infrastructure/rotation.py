"""A new master key for a vault: everything is sealed anew in one transaction, and no crash leaves it without its key.

The new key is on the disk, beside the old one, before anything is sealed with it. Whoever opens the folder next finds
both, asks the vault which one fits, and ends what was begun.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path

from domain.errors import InvalidInput, StoreUnavailable
from infrastructure.masterkey import KEY_BYTES, VARIABLE, decoded, load_master_key, read_key_file, sync_folder
from infrastructure.vault import SqlVault

__all__ = ["NEW_VARIABLE", "present_keys", "rotate_master_key", "settle_rotation"]

NEW_VARIABLE = "DAYBOOK_NEW_MASTER_KEY"
_FILE, _NEW_FILE = "master.key", "master.key.new"


def rotate_master_key(
    vault: object, folder: Path, environment: Mapping[str, str], new_text: str | None
) -> tuple[int, str]:
    """Seal the vault with a new key; returns how many rows, and where the key is now.

    The new key is ``new_text`` (64 hexadecimal digits, or base64 of 32 bytes), else a random one where the present one
    is a file. Raises InvalidInput for a key that is none or is missing; then nothing was changed.
    """
    if not isinstance(vault, SqlVault):
        raise TypeError(f"{type(vault).__name__} has no master key")
    old = load_master_key(folder, environment)
    if new_text is None and VARIABLE in environment:
        raise InvalidInput(
            NEW_VARIABLE,
            "",
            f"is not set, and the present key comes from {VARIABLE}",
            "set it to 64 new hexadecimal digits (openssl rand -hex 32)",
        )
    new = decoded(new_text, NEW_VARIABLE) if new_text is not None else os.urandom(KEY_BYTES)
    if secrets.compare_digest(old, new):
        raise InvalidInput(NEW_VARIABLE, "(hidden)", "is the key that the vault has already", "give a new one")
    if VARIABLE in environment:
        return vault.rotate_master_key(old, new), VARIABLE
    _keep(folder / _NEW_FILE, new)
    rows = vault.rotate_master_key(old, new)
    _put_in_place(folder)
    return rows, str(folder / _FILE)


def settle_rotation(folder: Path, fits: Callable[[bytes], bool]) -> None:
    """End a rotation that a crash cut off: the new key takes its place where it ``fits`` the vault, else it goes.

    Only for whoever holds the folder: beside a rotation that is under way, it would take the key away.
    """
    key = read_key_file(folder / _NEW_FILE)
    if key is None:
        return
    if fits(key):
        _put_in_place(folder)
    else:
        (folder / _NEW_FILE).unlink(missing_ok=True)
        sync_folder(folder)


def present_keys(folder: Path, environment: Mapping[str, str]) -> list[bytes]:
    """The master key, and behind it the one of a rotation that has begun: one of them fits. Nothing is made or moved.

    Raises InvalidInput, StoreUnavailable.
    """
    if VARIABLE in environment:
        return [decoded(environment[VARIABLE], VARIABLE)]
    keys = [key for name in (_FILE, _NEW_FILE) if (key := read_key_file(folder / name)) is not None]
    if not keys:
        raise StoreUnavailable(f"{folder / _FILE} is missing: restore it from your backup, or give it in {VARIABLE}")
    return keys


def _keep(path: Path, key: bytes) -> None:
    try:
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, key.hex().encode() + b"\n")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        sync_folder(path.parent)
    except OSError as error:
        raise StoreUnavailable(f"{path} cannot be written: {error.strerror}; nothing was changed") from error


def _put_in_place(folder: Path) -> None:
    try:
        (folder / _NEW_FILE).replace(folder / _FILE)
        sync_folder(folder)
    except OSError as error:
        raise StoreUnavailable(
            f"{folder / _NEW_FILE} is the key now, and cannot be renamed to {_FILE}: {error.strerror}"
        ) from error
