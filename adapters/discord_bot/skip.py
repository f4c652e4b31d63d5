"""``/schedule skip``: leave out the next run, or the next few."""

from __future__ import annotations

from datetime import datetime

from discord.app_commands import Range, autocomplete

from adapters.discord_bot.cards import Reply, Tone, stamp
from adapters.discord_bot.desk import Asked, Command, Desk
from adapters.discord_bot.task_cards import changed
from adapters.discord_bot.texts import Marked

__all__ = ["skip"]

MOST_SKIPPED, MOST_TOLD = 50, 10


def skip(desk: Desk) -> Command:
    """The command, and the button that skips one."""

    @desk.command("skip")
    @autocomplete(task=desk.tasks("active", "paused"))
    async def answer(
        asked: Asked, task: str, count: Range[int, 1, MOST_SKIPPED] = 1, reason: Range[str, 1, 200] | None = None
    ) -> Reply:
        found = asked.find(task)
        slots = await asked.commands.skip_next(found.task_id, count, principal=asked.principal, reason=reason)
        return _told(asked, found.task_id, slots)

    async def pressed(asked: Asked, task_id: str) -> Reply:
        return _told(asked, task_id, await asked.commands.skip_next(task_id, 1, principal=asked.principal))

    desk.on("skip", pressed)
    return answer


def _told(asked: Asked, task_id: str, slots: list[datetime]) -> Reply:
    told = [stamp(slot) for slot in slots[:MOST_TOLD]]
    if len(slots) > MOST_TOLD:
        told.append("…")
    task = asked.queries.task(task_id, principal=asked.principal)
    return changed(
        task,
        asked.words,
        "skip.done",
        now=asked.now,
        tone=Tone.CAREFUL,
        slots=Marked(", ".join(told)),
        count=len(slots),
    )
