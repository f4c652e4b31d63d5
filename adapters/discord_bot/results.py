"""Buttons below a delivered summary: run again, leave out the next run, pause, settings.

A summary stands where everybody in a channel sees it, and for years. So a button carries the task in its custom id and
nothing else: who presses it is asked anew who they are, the answer is theirs alone, and another guild's task is not
found. Whatever process serves the bot by then knows what to do.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from adapters.discord_bot.cards import Button, Reply, Tone, press, stamp
from adapters.discord_bot.desk import Answers, Asked, Desk
from adapters.discord_bot.drawing import view_of
from adapters.discord_bot.task_cards import changed
from adapters.discord_bot.texts import Marked, Words, words_for

if TYPE_CHECKING:
    import discord

    from application.ports import DeliveryRequest

__all__ = ["ATTRIBUTE", "result_buttons", "serve_results", "view_below"]

ATTRIBUTE = "daybook_view_below"
"""Where, on a client that a bot serves with, deliveries find ``view_below``. A client without it shows no buttons."""

_NO_RESULT = ("notice", "test")
"""Engines of what is delivered and is no result of a run: there is nothing to run again."""


def serve_results(desk: Desk) -> None:
    """What the buttons do; ``run`` is the button of ``/schedule run``, and ``edit-apart`` that of ``/schedule edit``.

    Every one answers apart: the summary stays as it is.
    """

    async def skipped(asked: Asked, task_id: str) -> Reply:
        [slot] = await asked.commands.skip_next(task_id, 1, principal=asked.principal)
        return _skipped(asked, task_id, slot)

    async def paused(asked: Asked, task_id: str) -> Reply:
        await asked.commands.pause(task_id, principal=asked.principal)
        return changed(asked.find(task_id), asked.words, "pause.done", tone=Tone.CAREFUL, now=asked.now)

    desk.on("result-skip", skipped, Answers.APART)
    desk.on("result-pause", paused, Answers.APART)


def _skipped(asked: Asked, task_id: str, slot: datetime) -> Reply:
    told = {"slots": Marked(stamp(slot)), "count": 1}
    return changed(asked.find(task_id), asked.words, "skip.done", tone=Tone.CAREFUL, now=asked.now, **told)


def result_buttons(task_id: str, words: Words) -> tuple[Button, ...]:
    """The row below a result. Pure."""
    return (
        Button(words.plain("buttons.run_again"), press("run", task_id), "primary"),
        Button(words.plain("buttons.skip"), press("result-skip", task_id)),
        Button(words.plain("buttons.pause"), press("result-pause", task_id)),
        Button(words.plain("buttons.settings"), press("edit-apart", task_id)),
    )


def view_below(request: DeliveryRequest, guild: Any) -> discord.ui.View | None:
    """The buttons for a result, in the language of the server; None for what is no result of a task."""
    if request.summary.engine in _NO_RESULT or not _is_id(request.task_id):
        return None
    words = words_for(getattr(guild, "preferred_locale", None) or "en")
    return view_of(Reply(rows=(result_buttons(request.task_id, words),)))


def _is_id(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False
