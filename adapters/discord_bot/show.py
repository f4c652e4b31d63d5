"""``/schedule show``: all of one task, its last runs, and what can be done with it."""

from __future__ import annotations

from discord.app_commands import autocomplete

from adapters.discord_bot.cards import Reply
from adapters.discord_bot.desk import Asked, Command, Desk
from adapters.discord_bot.drawing import values_chosen
from adapters.discord_bot.task_cards import buttons_for, task_card
from application.views import TaskView

__all__ = ["show"]

LAST_RUNS = 3


def show(desk: Desk) -> Command:
    """The command, the button of the same effect, and what the menu of a list opens."""

    @desk.command("show")
    @autocomplete(task=desk.tasks("active", "paused", "disabled", "cancelled", "completed"))
    async def answer(asked: Asked, task: str) -> Reply:
        return _shown(asked, asked.find(task))

    async def pressed(asked: Asked, task_id: str) -> Reply:
        return _shown(asked, asked.queries.task(task_id, principal=asked.principal))

    async def opened(asked: Asked) -> Reply:
        chosen = values_chosen(asked.interaction) or [""]
        return _shown(asked, asked.queries.task(chosen[0], principal=asked.principal))

    desk.on("show", pressed)
    desk.on("open", opened)
    return answer


def _shown(asked: Asked, task: TaskView) -> Reply:
    runs = asked.queries.runs(task_id=task.task_id, limit=LAST_RUNS, principal=asked.principal)
    card = task_card(task, asked.words, now=asked.now, runs=runs)
    row = buttons_for(task, asked.words)
    return Reply((card,), (row,) if row else ())
