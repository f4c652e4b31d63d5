"""A change of a task as people see it before they save it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any
from uuid import UUID

from adapters.discord_bot.cards import (
    Button,
    Card,
    ChannelMenu,
    Entry,
    Form,
    Input,
    Menu,
    Option,
    Reply,
    Tone,
    press,
    stamp,
)
from adapters.discord_bot.draft_card import MOST_SOURCES, MOST_TARGETS
from adapters.discord_bot.task_cards import channel_words, destination_words, slot_lines
from adapters.discord_bot.texts import Marked, Words
from adapters.rendering import cut, escape_markdown
from application.preview import Move, compare, next_slots, preview
from application.views import TaskView
from domain.definition import TaskDefinition
from domain.destination import Destination, DestinationType
from domain.draft import revised
from domain.phrases import LONGEST_PHRASE, say
from domain.summary import SummaryLength

__all__ = ["Edit", "edit_form", "edit_reply", "with_channels", "with_options", "with_targets"]

SLOTS, MOST_MOVES = 3, 8


@dataclass(frozen=True, slots=True)
class Edit:
    """Changes of a task that nobody saved yet: the definition that they are made on, and fields as in ``revise``."""

    id: UUID
    guild_id: str
    user_id: str
    task_id: str
    before: TaskDefinition
    changes: Mapping[str, Any]

    def after(self, now: datetime) -> TaskDefinition:
        """The definition that comes of it. Raises InvalidInput."""
        return revised(self.before, self.changes, now=now).keyed(self.before.schedule.key)

    def changed(self, **fields: Any) -> Edit:
        """The same with some fields changed."""
        return replace(self, **fields)


# --- changes ---


def with_channels(ids: Sequence[str]) -> dict[str, Any]:
    """The change that these channels are summarized, in place of those before and of a category."""
    return {"channel_id": ids[0], "channel_ids": tuple(ids[1:]), "category_id": None} if ids else {}


def with_targets(before: TaskDefinition, ids: Sequence[str]) -> dict[str, Any]:
    """The change that results go to these channels; destinations outside of Discord's channels stay."""
    if not ids:
        return {}
    in_channels = [each for each in before.destinations if each.type is DestinationType.DISCORD_CHANNEL]
    known = {each.target: each for each in in_channels}
    format = in_channels[0].format if in_channels else "embed"
    chosen = [
        known[id].model_copy(update={"enabled": True})
        if id in known
        else Destination(type=DestinationType.DISCORD_CHANNEL, target=id, format=format)
        for id in ids
    ]
    others = [each for each in before.destinations if each.type is not DestinationType.DISCORD_CHANNEL]
    return {"destinations": (*chosen, *others)}


def with_options(before: TaskDefinition, **options: Any) -> dict[str, Any]:
    """The change of how a summary is made; options that are None stay as they are."""
    given = {name: value for name, value in options.items() if value is not None}
    if not given:
        return {}
    return {"summary_options": {**before.summary_options.model_dump(), **given}}


# --- showing ---


def edit_reply(
    edit: Edit,
    task: TaskView,
    words: Words,
    *,
    now: datetime,
    lacking: Mapping[str, Sequence[str]] = MappingProxyType({}),
    said: str = "",
) -> Reply:
    """What changes, and which runs move. ``said`` is what the person has to know before.

    ``lacking`` names, by channel, the permissions that the bot lacks there.
    """
    before, after = edit.before, edit.after(now)
    entries = [Entry(name, value) for name, value in _fields(before, after, words)]
    since = max(now, task.accounted_until)
    entries += _slots(before, after, words, since)
    is_changed = before != after
    seen = preview(after.schedule, after=since, count=SLOTS).warnings if is_changed else ()
    warnings = [escape_markdown(text) for text in seen]
    warnings += [
        words("create.lacking", channel=Marked(channel_words(id)), permissions=", ".join(names))
        for id, names in lacking.items()
    ]
    if warnings:
        told = "\n".join(f"⚠ {text}" for text in warnings)
        entries.append(Entry(words("create.warnings"), told))
    card = Card(
        words("edit.title", name=before.name),
        said or words("edit.not_yet" if is_changed else "edit.nothing"),
        tuple(entries),
        words("task.id", id=task.task_id),
        Tone.CAREFUL if said or warnings else Tone.PLAIN,
    )
    return Reply((card,), _rows(edit, after, words, is_changed))


def _fields(before: TaskDefinition, after: TaskDefinition, words: Words) -> list[tuple[str, str]]:
    """Every field that is shown, with its old value where it changes."""
    shown: tuple[tuple[str, Callable[[TaskDefinition], str]], ...] = (
        ("forms.adjust.name", lambda one: escape_markdown(cut(one.name, 100))),
        ("task.schedule", lambda one: escape_markdown(cut(_schedule_words(one), 400))),
        ("create.sources", lambda one: _channels(one, words)),
        ("create.targets", lambda one: "\n".join(destination_words(each, words) for each in one.destinations[:10])),
        ("create.length", lambda one: words.plain(f"create.lengths.{one.summary_options.summary_length}")),
        ("forms.adjust.least", lambda one: str(one.summary_options.min_messages)),
    )
    told: list[tuple[str, str]] = []
    for key, show in shown:
        old, new = show(before), show(after)
        value = new if old == new else words("edit.change", before=Marked(cut(old, 400)), after=Marked(cut(new, 400)))
        told.append((words(key), value))
    return told


def _schedule_words(definition: TaskDefinition) -> str:
    """The schedule in words, with its zone."""
    said = say(definition.schedule)
    zone = definition.schedule.timezone
    return said if zone in said else f"{said} ({zone})"


def _channels(definition: TaskDefinition, words: Words) -> str:
    told = [channel_words(id) for id in definition.all_channel_ids[:10]]
    if definition.category_id:
        told.append(channel_words(definition.category_id))
    return "\n".join(told) or words.plain("edit.none")


def _slots(before: TaskDefinition, after: TaskDefinition, words: Words, since: datetime) -> list[Entry]:
    old = next_slots(before.schedule, after=since, count=SLOTS)
    if before.schedule == after.schedule:
        return [Entry(words("task.slots"), slot_lines(old))]
    new = next_slots(after.schedule, after=since, count=SLOTS)
    moves = [move for move in compare(before.schedule, after.schedule, now=since, count=SLOTS) if move.kind != "same"]
    lines = [_move(move, words) for move in moves[:MOST_MOVES]]
    if len(moves) > MOST_MOVES:
        lines.append(f"+ {len(moves) - MOST_MOVES}")
    return [
        Entry(words("edit.slots_before"), slot_lines(old)),
        Entry(words("edit.slots_after"), slot_lines(new)),
        Entry(words("edit.moves"), "\n".join(lines) or words("edit.no_moves")),
    ]


def _move(move: Move, words: Words) -> str:
    shown = {
        name: Marked(stamp(slot.utc, "f"))
        for name, slot in (("before", move.before), ("after", move.after))
        if slot is not None
    }
    return words(f"edit.move.{move.kind}", **shown)


def _rows(
    edit: Edit, after: TaskDefinition, words: Words, is_changed: bool
) -> tuple[tuple[Button | Menu | ChannelMenu, ...], ...]:
    id = edit.id
    length_now = after.summary_options.summary_length
    lengths = tuple(
        Option(words.plain(f"create.lengths.{length.value}"), length.value, chosen=length == length_now)
        for length in SummaryLength
    )
    targets = tuple(
        each.target
        for each in after.destinations
        if each.type is DestinationType.DISCORD_CHANNEL and each.enabled and each.target.isdigit()
    )
    sources = tuple(channel for channel in after.all_channel_ids if channel.isdigit())
    return (
        (
            Button(words.plain("buttons.save"), press("edit-save", id), "success", disabled=not is_changed),
            Button(words.plain("buttons.adjust"), press("edit-adjust", id), "primary"),
            Button(words.plain("buttons.discard"), press("edit-drop", id)),
        ),
        (Menu(press("edit-length", id), lengths, words.plain("create.length")),),
        (ChannelMenu(press("edit-sources", id), words.plain("create.choose_sources"), sources, MOST_SOURCES),),
        (ChannelMenu(press("edit-targets", id), words.plain("create.choose_targets"), targets, MOST_TARGETS),),
    )


def edit_form(edit: Edit, words: Words, *, now: datetime) -> Form:
    """The form that changes what is typed: name, schedule, zone, and how many messages are worth a summary."""
    after = edit.after(now)
    return Form(
        press("edit-adjusted", edit.id),
        words.plain("forms.adjust.title"),
        (
            Input("name", words.plain("forms.adjust.name"), after.name),
            Input("when", words.plain("forms.adjust.when"), say(after.schedule), longest=LONGEST_PHRASE, tall=True),
            Input("zone", words.plain("forms.adjust.zone"), after.schedule.timezone),
            Input(
                "least",
                words.plain("forms.adjust.least"),
                str(after.summary_options.min_messages),
                required=False,
                longest=6,
            ),
        ),
    )
