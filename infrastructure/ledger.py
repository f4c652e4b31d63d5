"""The file that says which guilds were erased. It lies beside the stores, and no copy of them replaces it."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from threading import Lock

from application.ports import ErasedGuild
from domain.errors import StoreError, StoreUnavailable

__all__ = ["FileLedger"]


class FileLedger:
    """The Ledger port on one file of JSON, mode 0600, which is replaced as a whole."""

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, Lock()

    def entries(self) -> list[ErasedGuild]:
        """All of them, the oldest first. Raises StoreError when the file cannot be read."""
        try:
            return [_entry(value) for value in json.loads(self._path.read_bytes())]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StoreUnavailable(f"{self._path} cannot be read: {error.strerror}") from error
        except (ValueError, TypeError, KeyError) as error:
            raise StoreError(
                f"{self._path} is corrupt; it says which guilds were erased: restore it from your newest copy"
            ) from error

    def add(self, erased: ErasedGuild) -> None:
        """One more, durable when this returns; one that is there already changes nothing."""
        with self._lock:
            entries = self.entries()
            if erased in entries:
                return
            values = [{**asdict(entry), "at": entry.at.isoformat()} for entry in (*entries, erased)]
            try:
                self._replace(json.dumps(values, indent=1).encode())
            except OSError as error:
                raise StoreUnavailable(f"{self._path} cannot be written: {error.strerror}") from error

    def _replace(self, text: bytes) -> None:
        temporary = self._path.with_name(f".{self._path.name}.{os.getpid()}.tmp")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, text)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        temporary.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _entry(value: dict[str, object]) -> ErasedGuild:
    at, keys = datetime.fromisoformat(str(value["at"])), value["keys"]
    if at.tzinfo is None or not isinstance(keys, list):
        raise ValueError("not an entry")
    return ErasedGuild(str(value["guild_id"]), at, tuple(map(str, keys)), str(value["by"]))
