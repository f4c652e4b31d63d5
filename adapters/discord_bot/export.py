"""``/schedule export``: the tasks of this server as a file, to keep or to import elsewhere."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import datetime

from discord.app_commands import autocomplete

from adapters.discord_bot.cards import Card, Reply
from adapters.discord_bot.desk import Asked, Command, Desk
from application.transfer import export_document
from application.views import TaskView
from domain.errors import InvalidInput

__all__ = ["export"]

LARGEST_BYTES = 8 * 1024 * 1024
"""Below what Discord takes of a bot in any server, with room for the rest of the message."""


def export(desk: Desk) -> Command:
    """The command. It is for who manages tasks: definitions name people's addresses and channels."""

    @desk.command("export")
    @autocomplete(task=desk.tasks())
    async def answer(asked: Asked, task: str | None = None) -> Reply:
        asked.commands.access.check_manages(asked.guild_id, asked.principal)
        if task is not None:
            tasks = [asked.find(task)]
        else:
            tasks = asked.queries.alive_tasks(guild_id=asked.guild_id, principal=asked.principal)
        text = await asyncio.to_thread(_file, tasks, asked.now)
        if len(text) > LARGEST_BYTES:
            size = f"{len(text) / 1024 / 1024:.1f} MiB"
            raise InvalidInput("task", size, "is more than Discord takes", "export one task after the other")
        words = asked.words
        card = Card(words("export.title"), words("export.done", count=len(tasks)))
        return Reply((card,), file=(f"daybook-{asked.now:%Y-%m-%d}.json", text))

    return answer


def _file(tasks: Sequence[TaskView], now: datetime) -> bytes:
    return json.dumps(export_document(tasks, now), ensure_ascii=False, indent=2).encode()
