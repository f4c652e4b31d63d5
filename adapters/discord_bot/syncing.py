"""The tree of commands is sent to Discord only when it changed: Discord takes 200 new commands a day and server."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Protocol

import structlog
from discord.app_commands import CommandTree

__all__ = ["Memory", "fingerprint", "sync_if_changed"]

_log = structlog.get_logger(__name__)


class Memory(Protocol):
    """Where is kept what was sent last; losing it costs one more time of sending."""

    async def recall(self, key: str) -> dict[str, Any] | None: ...
    async def keep(self, key: str, value: dict[str, Any]) -> None: ...


def fingerprint(payload: list[dict[str, Any]]) -> str:
    """What a tree is known by: equal commands, equal fingerprint, in whatever order."""
    ordered = sorted(payload, key=lambda command: (command.get("type", 1), command["name"]))
    return hashlib.sha256(json.dumps(ordered, sort_keys=True).encode()).hexdigest()


async def sync_if_changed(tree: CommandTree[Any], memory: Memory) -> bool:
    """Send the global commands if they differ from what was sent last, or are not registered any more; says whether.

    Global commands appear at once in every server, so there is no second list for servers of one's own.
    """
    translator = tree.translator
    payload = [
        await command.get_translated_payload(tree, translator) if translator is not None else command.to_dict(tree)
        for command in tree.get_commands()
    ]
    key = f"discord-commands:{tree.client.application_id}"
    known, print_ = await memory.recall(key), fingerprint(payload)
    if known is not None and known.get("fingerprint") == print_:
        registered = sorted(str(command.id) for command in await tree.fetch_commands())
        if registered == known.get("ids"):
            return False
    made = await tree.sync()
    await memory.keep(key, {"fingerprint": print_, "ids": sorted(str(command.id) for command in made)})
    _log.info("commands_synced", commands=len(made))
    return True
