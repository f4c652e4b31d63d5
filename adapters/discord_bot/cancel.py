"""``/schedule cancel``: end a task for good, after asking once more."""

from __future__ import annotations

from discord.app_commands import Range, autocomplete

from adapters.discord_bot.cards import Button, Card, Reply, Tone, press
from adapters.discord_bot.desk import Asked, Command, Desk
from adapters.discord_bot.drafts import Farewell
from adapters.discord_bot.task_cards import changed

__all__ = ["cancel"]


def cancel(desk: Desk) -> Command:
    """The command, the button of the same effect, and the two answers to the question."""

    @desk.command("cancel")
    @autocomplete(task=desk.tasks())
    async def answer(asked: Asked, task: str, reason: Range[str, 1, 200] | None = None) -> Reply:
        found = asked.find(task)
        return await _question(asked, found.task_id, reason)

    async def pressed(asked: Asked, task_id: str) -> Reply:
        return await _question(asked, task_id, None)

    async def confirmed(asked: Asked, task_id: str, id: str = "") -> Reply:
        farewell = await asked.unconfirmed(Farewell, id) if id else None
        reason = farewell.reason if farewell is not None and farewell.task_id == task_id else None
        await asked.commands.cancel(task_id, principal=asked.principal, reason=reason)
        task = asked.queries.task(task_id, principal=asked.principal)
        return changed(task, asked.words, "cancel.done", now=asked.now, tone=Tone.BAD)

    desk.on("cancel", pressed)
    desk.on("cancel-yes", confirmed)
    return answer


async def _question(asked: Asked, task_id: str, reason: str | None) -> Reply:
    asked.commands.access.check_manages(asked.guild_id, asked.principal)
    task, words = asked.queries.task(task_id, principal=asked.principal), asked.words
    card = Card(words("task.title", name=task.name), words("cancel.sure", name=task.name), tone=Tone.CAREFUL)
    about = [task.task_id]
    if reason is not None:  # a button has no room for it
        by = asked.principal.reference
        farewell = Farewell(guild_id=asked.guild_id, by=by, at=asked.now, task_id=task.task_id, reason=reason)
        await asked.desk.drafts.put(farewell)
        about.append(str(farewell.id))
    buttons = (
        Button(words.plain("buttons.cancel_yes"), press("cancel-yes", *about), "danger"),
        Button(words.plain("buttons.keep"), press("show", task.task_id)),
    )
    return Reply((card,), (buttons,))
