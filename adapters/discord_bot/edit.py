"""``/schedule edit``: change a task field by field; see which runs move; save, adjust, or leave it."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from discord.app_commands import Range, Transform, autocomplete, choices

from adapters.discord_bot.cards import Reply
from adapters.discord_bot.desk import Answers, Asked, Command, Desk
from adapters.discord_bot.draft_changes import (
    MODES,
    with_channels,
    with_direct,
    with_mode,
    with_options,
    with_targets,
)
from adapters.discord_bot.drafting import changed_draft, retimed, shown
from adapters.discord_bot.drafts import Draft
from adapters.discord_bot.places import (
    CategoryOption,
    Place,
    PlaceOption,
    category_of,
    check_may_read,
    check_may_send,
)
from application.views import TaskView
from domain.errors import InvalidInput
from domain.phrases import LONGEST_PHRASE
from domain.summary import SummaryLength

__all__ = ["edit"]


def edit(desk: Desk) -> Command:
    """The command, and the button of the same effect. What its card offers is in ``drafting``."""

    @desk.command("edit")
    @autocomplete(task=desk.tasks(), zone=desk.zones())
    @choices(
        length=desk.choices("create.lengths", [length.value for length in SummaryLength]),
        each=desk.choices("create.modes", MODES),
    )
    async def answer(
        asked: Asked,
        task: str,
        name: Range[str, 1, 100] | None = None,
        when: Range[str, 1, LONGEST_PHRASE] | None = None,
        zone: str | None = None,
        channel: Transform[Place, PlaceOption] | None = None,
        category: Transform[Place, CategoryOption] | None = None,
        deliver_to: Transform[Place, PlaceOption] | None = None,
        to_me: bool | None = None,
        length: str | None = None,
        each: str | None = None,
        min_messages: Range[int, 0, 100_000] | None = None,
    ) -> Reply:
        draft = _begun(asked, asked.find(task))
        before = draft.after
        changes: dict[str, Any] = {"name": name} if name is not None else {}
        if when is not None or zone is not None:
            changes["schedule"] = retimed(before, when, zone, asked.now)
        changes |= _sources(asked, channel, category)
        changes |= with_mode(each) if each is not None else {}
        changes |= with_options(before, summary_length=length, min_messages=min_messages)
        draft = changed_draft(draft, changes, asked.now)
        if deliver_to is not None:
            check_may_send(deliver_to)
            draft = changed_draft(draft, with_targets(draft.after, [deliver_to.id]), asked.now)
        if to_me is not None:
            user_id = str(asked.interaction.user.id)
            draft = changed_draft(draft, with_direct(draft.after, user_id, to_me), asked.now)
        return await shown(asked, draft)

    async def pressed(asked: Asked, task_id: str) -> Reply:
        return await shown(asked, _begun(asked, asked.queries.task(task_id, principal=asked.principal)))

    desk.on("edit", pressed)
    desk.on("edit-apart", pressed, Answers.APART)
    return answer


def _begun(asked: Asked, task: TaskView) -> Draft:
    """A draft that changes nothing yet."""
    known = task.definition
    who = {"guild_id": asked.guild_id, "by": asked.principal.reference}
    return Draft(id=uuid4(), at=asked.now, task_id=task.task_id, before=known, after=known, **who)


def _sources(asked: Asked, channel: Place | None, category: Place | None) -> dict[str, Any]:
    if channel is not None and category is not None:
        raise InvalidInput("category", category.name, "has no place beside a channel", "choose one of the two")
    if category is not None:
        return category_of(asked.interaction.guild, category, asked.interaction.user)
    if channel is None:
        return {}
    check_may_read(channel)
    return with_channels([channel.id])
