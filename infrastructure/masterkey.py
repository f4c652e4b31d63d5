"""The master key of the vault: what it seals, and where it comes from (the environment, or a file of its owner)."""

from __future__ import annotations

import base64
import json
import os
import secrets
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from domain.errors import InvalidInput, StoreUnavailable

__all__ = ["KEY_BYTES", "VARIABLE", "MasterBox", "bound", "decoded", "load_master_key", "read_key_file", "sync_folder"]

VARIABLE = "DAYBOOK_MASTER_KEY"
KEY_BYTES = 32
_NONCE_BYTES = 12
_READ_BYTES = 4096


class MasterBox:
    """Seals and opens under one master key; what it seals is bound to a place."""

    def __init__(self, master_key: bytes) -> None:
        if len(master_key) != KEY_BYTES:
            raise InvalidInput("master key", f"(hidden, {len(master_key)} bytes)", "is no key", "it has 32 bytes")
        self._cipher = AESGCM(master_key)

    def seal(self, plain: bytes, *place: str) -> bytes:
        """Nonce and ciphertext."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, plain, bound(*place))

    def open(self, sealed: bytes, *place: str) -> bytes:
        """What was sealed at this place. Raises InvalidTag for another key, another place, or changed bytes."""
        if len(sealed) < _NONCE_BYTES + 16:
            raise InvalidTag
        return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], bound(*place))


def bound(*parts: str) -> bytes:
    """These parts as bytes: JSON, so that no two lists of parts give the same ones."""
    return json.dumps(parts, default=repr).encode()  # a damaged row may name anything, and then fits no seal


def load_master_key(folder: Path, environment: Mapping[str, str]) -> bytes:
    """The 32 bytes of DAYBOOK_MASTER_KEY, or else of ``folder/master.key``, which is made (mode 0600) when missing.

    The text is 64 hexadecimal digits or the base64 of 32 bytes. Raises InvalidInput when it is not, and
    StoreUnavailable when the file can be read by others, or is missing next to a vault that was made with it.
    Never shows the key.
    """
    if VARIABLE in environment:
        return decoded(environment[VARIABLE], VARIABLE)
    path = folder / "master.key"
    if (key := read_key_file(path)) is not None:
        return key
    if (folder / "vault.db").exists():
        # Another process may have made both since.
        if (key := read_key_file(path)) is not None:
            return key
        raise StoreUnavailable(
            f"{path} is missing, but {folder / 'vault.db'} was made with it: restore it from your backup, or give "
            f"the key in {VARIABLE}"
        )
    _make(path)
    key = read_key_file(path)
    if key is None:
        raise StoreUnavailable(f"{path} was removed while it was made; start again")
    return key


def decoded(text: str, source: str) -> bytes:
    """The 32 bytes of a key that was written as text. Raises InvalidInput, which names ``source`` and no key."""
    text = text.strip()
    key = b""
    with suppress(ValueError):  # Raised below: the decoder's own error may quote the key.
        key = bytes.fromhex(text) if len(text) == 2 * KEY_BYTES else base64.b64decode(text, validate=True)
    if len(key) != KEY_BYTES:
        raise InvalidInput(
            source,
            f"(hidden, {len(text)} characters)",
            "is not a master key",
            "give 64 hexadecimal digits (openssl rand -hex 32) or the base64 of 32 bytes",
        )
    return key


def read_key_file(path: Path) -> bytes | None:
    """The key in a file of its owner; None where there is none. Raises StoreUnavailable, InvalidInput."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreUnavailable(f"{path} cannot be read: {error.strerror}") from error
    try:
        mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
        if mode & 0o077:
            raise StoreUnavailable(f"{path} can be read by others (mode {mode:04o}): chmod 600 {path}")
        text = os.read(descriptor, _READ_BYTES)
    except OSError as error:
        raise StoreUnavailable(f"{path} cannot be read: {error.strerror}") from error
    finally:
        os.close(descriptor)
    return decoded(text.decode("ascii", "replace"), str(path))


def _make(path: Path) -> None:
    # Written completely under another name and then linked: of two processes one wins, and none sees half a key.
    temporary = path.with_name(f".master.key.{secrets.token_hex(8)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, secrets.token_hex(KEY_BYTES).encode() + b"\n")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        try:
            os.link(temporary, path)
        except FileExistsError:
            pass  # The other process was first; its key counts.
        finally:
            temporary.unlink()
        sync_folder(path.parent)
    except OSError as error:
        raise StoreUnavailable(
            f"{path} cannot be made: {error.strerror}; make the folder writable, or give the key in {VARIABLE}"
        ) from error


def sync_folder(folder: Path) -> None:
    """Make durable which files there are."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
