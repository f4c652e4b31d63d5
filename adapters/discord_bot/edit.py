"""``/schedule edit``: change a task field by field; see which runs move; save, adjust, or leave it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from discord.app_commands import Range, Transform, autocomplete, choices

from adapters.discord_bot.cards import Card, Form, Reply, Tone
from adapters.discord_bot.desk import Answers, Asked, Command, Desk
from adapters.discord_bot.drafts import Drafts
from adapters.discord_bot.drawing import channels_chosen, texts_typed, values_chosen
from adapters.discord_bot.edit_card import Edit, edit_form, edit_reply, with_channels, with_options, with_targets
from adapters.discord_bot.places import Place, PlaceOption, bot_lacks, check_may_read, check_may_send, place_of
from adapters.discord_bot.task_cards import changed
from application.views import TaskView
from domain.definition import TaskDefinition
from domain.destination import DestinationType
from domain.draft import revised
from domain.errors import InvalidInput
from domain.phrases import LONGEST_PHRASE, parse_phrase, say
from domain.schedule import Schedule
from domain.summary import SummaryLength

__all__ = ["edit"]


def edit(desk: Desk) -> Command:
    """The command, the button of the same effect, and what its card offers."""
    editing = _Editing()

    @desk.command("edit")
    @autocomplete(task=desk.tasks(), zone=desk.zones())
    @choices(length=desk.choices("create.lengths", [length.value for length in SummaryLength]))
    async def answer(
        asked: Asked,
        task: str,
        name: Range[str, 1, 100] | None = None,
        when: Range[str, 1, LONGEST_PHRASE] | None = None,
        zone: str | None = None,
        channel: Transform[Place, PlaceOption] | None = None,
        deliver_to: Transform[Place, PlaceOption] | None = None,
        length: str | None = None,
        min_messages: Range[int, 0, 100_000] | None = None,
    ) -> Reply:
        found = asked.find(task)
        changes: dict[str, Any] = {"name": name} if name is not None else {}
        if when is not None or zone is not None:
            changes["schedule"] = _schedule(asked, found.definition, when, zone)
        if channel is not None:
            check_may_read(channel)
            changes |= with_channels([channel.id])
        if deliver_to is not None:
            check_may_send(deliver_to)
            changes |= with_targets(found.definition, [deliver_to.id])
        changes |= with_options(found.definition, summary_length=length, min_messages=min_messages)
        return editing.begun(asked, found, changes)

    async def pressed(asked: Asked, task_id: str) -> Reply:
        return editing.begun(asked, asked.queries.task(task_id, principal=asked.principal), {})

    desk.on("edit", pressed)
    desk.on("edit-apart", pressed, Answers.APART)
    desk.on("edit-save", editing.save)
    desk.on("edit-adjust", editing.adjust, Answers.FORM)
    desk.on("edit-adjusted", editing.adjusted)
    desk.on("edit-length", editing.length)
    desk.on("edit-sources", editing.sources)
    desk.on("edit-targets", editing.targets)
    desk.on("edit-drop", editing.drop)
    return answer


def _schedule(asked: Asked, before: TaskDefinition, when: str | None, zone: str | None) -> Schedule:
    """The schedule of a phrase, or the one that there is in another zone. Raises InvalidInput."""
    if when is not None:
        return parse_phrase(when, now=asked.now, default_timezone=zone or before.schedule.timezone)
    return revised(before, {"timezone": zone}, now=asked.now).schedule


class _Editing:
    """What becomes of edits."""

    def __init__(self) -> None:
        self._edits = Drafts[Edit]()

    def begun(self, asked: Asked, task: TaskView, changes: Mapping[str, Any]) -> Reply:
        """Show what these changes would do."""
        user_id = str(asked.interaction.user.id)
        return self._shown(asked, Edit(uuid4(), asked.guild_id, user_id, task.task_id, task.definition, changes))

    def _shown(self, asked: Asked, edit: Edit, said: str = "") -> Reply:
        """Keep an edit and show it, after the same checks that saving it will go through. Raises what these raise."""
        asked.commands.access.check_manages(asked.guild_id, asked.principal)
        task = asked.queries.task(edit.task_id, principal=asked.principal)
        if task.status.ended:
            raise InvalidInput("task", task.name, "has ended", "create a new one with /schedule create")
        after = edit.after(asked.now)
        if after != edit.before:
            asked.commands.check(after, asked.principal)
        self._edits.put(edit)
        lacking = _lacking(asked, after)
        return edit_reply(edit, task, asked.words, now=asked.now, lacking=lacking, said=said)

    def _of(self, asked: Asked, id: str) -> Edit:
        return self._edits.get(id, guild_id=asked.guild_id, user_id=str(asked.interaction.user.id))

    async def save(self, asked: Asked, id: str) -> Reply:
        """Do it, unless somebody changed the task since it was shown: then show what would come of it now."""
        edit = self._of(asked, id)
        task = asked.queries.task(edit.task_id, principal=asked.principal)
        if task.definition != edit.before:
            newer = edit.changed(before=task.definition)
            return self._shown(asked, newer, asked.words("edit.changed_meanwhile"))
        self._edits.drop(id)
        try:
            await asked.commands.revise(edit.task_id, edit.changes, principal=asked.principal)
        except Exception:
            self._edits.put(edit)
            raise
        return changed(asked.find(edit.task_id), asked.words, "edit.done", now=asked.now)

    async def adjust(self, asked: Asked, id: str) -> Form:
        """Open the form."""
        return edit_form(self._of(asked, id), asked.words, now=asked.now)

    async def adjusted(self, asked: Asked, id: str) -> Reply:
        """Take what was typed; what was left as it stood changes nothing."""
        edit, typed = self._of(asked, id), texts_typed(asked.interaction)
        shown, changes = edit.after(asked.now), dict(edit.changes)
        if (name := typed.get("name", "").strip()) and name != shown.name:
            changes["name"] = name
        when, zone = typed.get("when", "").strip(), typed.get("zone", "").strip()
        new_zone = zone if zone and zone != shown.schedule.timezone else None
        if when and when != say(shown.schedule):
            changes["schedule"] = _schedule(asked, shown, when, new_zone)
        elif new_zone is not None:
            changes["schedule"] = _schedule(asked, shown, None, new_zone)
        if least := typed.get("least", "").strip():
            changes |= with_options(shown, min_messages=_number(least))
        return self._shown(asked, edit.changed(changes=changes))

    async def length(self, asked: Asked, id: str) -> Reply:
        """Another length."""
        edit = self._of(asked, id)
        chosen = values_chosen(asked.interaction)
        options = with_options(edit.after(asked.now), summary_length=chosen[0] if chosen else None)
        return self._shown(asked, edit.changed(changes={**edit.changes, **options}))

    async def sources(self, asked: Asked, id: str) -> Reply:
        """Other channels to summarize."""
        edit, places = self._of(asked, id), _chosen(asked)
        for place in places:
            check_may_read(place)
        channels = with_channels([place.id for place in places])
        return self._shown(asked, edit.changed(changes={**edit.changes, **channels}))

    async def targets(self, asked: Asked, id: str) -> Reply:
        """Other channels to deliver to."""
        edit, places = self._of(asked, id), _chosen(asked)
        for place in places:
            check_may_send(place)
        targets = with_targets(edit.before, [place.id for place in places])
        return self._shown(asked, edit.changed(changes={**edit.changes, **targets}))

    async def drop(self, asked: Asked, id: str) -> Reply:
        """Forget it."""
        self._of(asked, id)
        self._edits.drop(id)
        return Reply((Card(asked.words("edit.dropped"), tone=Tone.PLAIN),))


def _lacking(asked: Asked, after: TaskDefinition) -> dict[str, list[str]]:
    """What the bot lacks, by channel, as far as it was told."""
    guild, found = asked.interaction.guild, dict[str, list[str]]()
    for id in after.all_channel_ids:
        found[id] = bot_lacks(guild, id, reads=True)
    for each in after.destinations:
        if each.type is DestinationType.DISCORD_CHANNEL and each.enabled:
            own = bot_lacks(guild, each.target, reads=False)
            found[each.target] = [*dict.fromkeys([*found.get(each.target, []), *own])]
    return {id: names for id, names in found.items() if names}


def _chosen(asked: Asked) -> list[Place]:
    return [place_of(channel) for channel in channels_chosen(asked.interaction)]


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 6):
        raise InvalidInput("min_messages", text, "is not a number", "give a whole number from 0 to 100000")
    return int(text)
