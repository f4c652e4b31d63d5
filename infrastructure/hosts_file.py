"""What a service knows of destination hosts in trouble, where other processes can read it: a small file of its own."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from infrastructure.presence import holder

__all__ = ["HostsFile", "hosts_in_trouble"]

_NAME = "daybook.hosts"
_READ_BYTES = 1_048_576

States = Mapping[str, Mapping[str, Any]]


class HostsFile:
    """``daybook.hosts`` beside ``daybook.seen``: one JSON object, replaced as a whole whenever something changed.

    It is news, not history: never forced to the disk, and worth nothing once its process has ended, whose ``node`` it
    names. ``states`` tells the hosts in trouble by their names, as plain values.
    """

    def __init__(self, folder: Path, node: str, states: Callable[[], States]) -> None:
        self._path, self._node, self._states = folder / _NAME, node, states
        self._written: str | None = None

    async def refresh(self) -> None:
        """Write what is new. A folder that cannot be written (a full disk) is tried again the next time."""
        text = json.dumps({"node": self._node, "hosts": self._states()})
        if text != self._written:
            with suppress(OSError):
                await asyncio.to_thread(self._replace, text)
                self._written = text

    def _replace(self, text: str) -> None:
        temporary = self._path.with_name(f"{_NAME}.tmp")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        temporary.replace(self._path)


def hosts_in_trouble(folder: Path) -> dict[str, dict[str, Any]] | None:
    """The hosts that the service of this folder has trouble with; None when no service runs there, or it has not said.

    Only looks, and believes nothing that another process than the present one wrote.
    """
    present = holder(folder)
    if present is None:
        return None
    try:
        with (folder / _NAME).open(encoding="utf-8", errors="replace") as file:
            said = json.loads(file.read(_READ_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(said, dict) or said.get("node") != present.get("node") or not isinstance(said.get("hosts"), dict):
        return None
    return {name: state for name, state in said["hosts"].items() if isinstance(state, dict)}
