"""``/schedule pause``: stop a task's schedule, for good or until an instant."""

from __future__ import annotations

from discord.app_commands import Range, autocomplete

from adapters.discord_bot.cards import Reply, Tone
from adapters.discord_bot.desk import Asked, Command, Desk
from adapters.discord_bot.moments import moment
from adapters.discord_bot.task_cards import changed

__all__ = ["pause"]


def pause(desk: Desk) -> Command:
    """The command, and the button of the same effect."""

    @desk.command("pause")
    @autocomplete(task=desk.tasks("active"))
    async def answer(
        asked: Asked, task: str, until: str | None = None, reason: Range[str, 1, 200] | None = None
    ) -> Reply:
        found = asked.find(task)
        at = moment("until", until, zone=found.timezone, now=asked.now) if until is not None else None
        await asked.commands.pause(found.task_id, principal=asked.principal, reason=reason, until=at)
        return changed(asked.find(found.task_id), asked.words, "pause.done", tone=Tone.CAREFUL, now=asked.now)

    async def pressed(asked: Asked, task_id: str) -> Reply:
        await asked.commands.pause(task_id, principal=asked.principal)
        return changed(asked.find(task_id), asked.words, "pause.done", tone=Tone.CAREFUL, now=asked.now)

    desk.on("pause", pressed)
    return answer
