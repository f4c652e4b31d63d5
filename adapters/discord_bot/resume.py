"""``/schedule resume``: let a paused or disabled task go on."""

from __future__ import annotations

from discord.app_commands import Range, autocomplete

from adapters.discord_bot.cards import Reply, Tone
from adapters.discord_bot.desk import Asked, Command, Desk
from adapters.discord_bot.task_cards import changed

__all__ = ["resume"]


def resume(desk: Desk) -> Command:
    """The command, and the button of the same effect."""

    @desk.command("resume")
    @autocomplete(task=desk.tasks("paused", "disabled"))
    async def answer(
        asked: Asked, task: str, catch_up: bool = False, reason: Range[str, 1, 200] | None = None
    ) -> Reply:
        found = asked.find(task)
        await asked.commands.resume(found.task_id, principal=asked.principal, reason=reason, catch_up=catch_up)
        return changed(asked.find(found.task_id), asked.words, "resume.done", tone=Tone.GOOD, now=asked.now)

    async def pressed(asked: Asked, task_id: str) -> Reply:
        await asked.commands.resume(task_id, principal=asked.principal)
        return changed(asked.find(task_id), asked.words, "resume.done", tone=Tone.GOOD, now=asked.now)

    desk.on("resume", pressed)
    return answer
