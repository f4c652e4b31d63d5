"""``/schedule cancel``: end a task for good, after asking once more."""

from __future__ import annotations

from collections import OrderedDict

from discord.app_commands import Range, autocomplete

from adapters.discord_bot.cards import Button, Card, Reply, Tone, press
from adapters.discord_bot.desk import Asked, Command, Desk
from adapters.discord_bot.task_cards import changed

__all__ = ["cancel"]

MOST_REASONS = 1000


def cancel(desk: Desk) -> Command:
    """The command, the button of the same effect, and the two answers to the question."""
    reasons: OrderedDict[tuple[str, str], str] = OrderedDict()

    @desk.command("cancel")
    @autocomplete(task=desk.tasks())
    async def answer(asked: Asked, task: str, reason: Range[str, 1, 200] | None = None) -> Reply:
        found = asked.find(task)
        if reason is not None:
            reasons[found.task_id, asked.principal.reference] = reason
            while len(reasons) > MOST_REASONS:
                reasons.popitem(last=False)
        return _question(asked, found.task_id)

    async def pressed(asked: Asked, task_id: str) -> Reply:
        return _question(asked, task_id)

    async def confirmed(asked: Asked, task_id: str) -> Reply:
        reason = reasons.pop((task_id, asked.principal.reference), None)
        await asked.commands.cancel(task_id, principal=asked.principal, reason=reason)
        task = asked.queries.task(task_id, principal=asked.principal)
        return changed(task, asked.words, "cancel.done", now=asked.now, tone=Tone.BAD)

    desk.on("cancel", pressed)
    desk.on("cancel-yes", confirmed)
    return answer


def _question(asked: Asked, task_id: str) -> Reply:
    asked.commands.access.check_manages(asked.guild_id, asked.principal)
    task, words = asked.queries.task(task_id, principal=asked.principal), asked.words
    card = Card(words("task.title", name=task.name), words("cancel.sure", name=task.name), tone=Tone.CAREFUL)
    buttons = (
        Button(words.plain("buttons.cancel_yes"), press("cancel-yes", task_id), "danger"),
        Button(words.plain("buttons.keep"), press("show", task_id)),
    )
    return Reply((card,), (buttons,))
