"""A draft as people see it before they confirm. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from adapters.discord_bot.cards import Button, Card, ChannelMenu, Entry, Form, Input, Menu, Option, Reply, Tone, press
from adapters.discord_bot.drafts import Draft
from adapters.discord_bot.task_cards import channel_words, slot_lines
from adapters.discord_bot.texts import Marked, Words
from adapters.rendering import escape_markdown
from application.preview import preview
from domain.phrases import LONGEST_PHRASE, say
from domain.summary import SummaryLength

__all__ = ["adjusting", "draft_reply"]

MOST_SOURCES, MOST_TARGETS = 10, 5


def draft_reply(
    draft: Draft, words: Words, *, now: datetime, lacking: Mapping[str, Sequence[str]], said: str = ""
) -> Reply:
    """What will be made: id, target, schedule in words, zone, the next three slots, and warnings.

    ``lacking`` names, by channel, the permissions that the bot lacks there. ``said`` is what just went wrong.
    """
    seen = preview(draft.schedule.model_copy(update={"key": str(draft.id)}), after=now, count=3)
    warnings = [escape_markdown(text) for text in (*seen.warnings, *seen.notes[:2])]
    warnings += [
        words("create.lacking", channel=Marked(channel_words(id)), permissions=", ".join(names))
        for id, names in lacking.items()
    ]
    entries = [
        Entry(words("create.sources"), _list(draft.channels), inline=True),
        Entry(words("create.targets"), _list(draft.targets), inline=True),
        Entry(words("create.length"), words.plain(f"create.lengths.{draft.length}"), inline=True),
        Entry(words("task.schedule"), f"{escape_markdown(seen.words)}\n{words('task.zone', zone=seen.timezone)}"),
        Entry(words("task.slots"), slot_lines(seen.slots)),
    ]
    if warnings:
        entries.append(Entry(words("create.warnings"), "\n".join(f"⚠ {warning}" for warning in warnings)))
    card = Card(
        words("create.title", name=draft.name),
        said or words("create.not_yet"),
        tuple(entries),
        words("task.id", id=str(draft.id)),
        Tone.CAREFUL if said or warnings else Tone.PLAIN,
    )
    return Reply((card,), _rows(draft, words))


def _rows(draft: Draft, words: Words) -> tuple[tuple[Button | Menu | ChannelMenu, ...], ...]:
    id = str(draft.id)
    lengths = tuple(
        Option(words.plain(f"create.lengths.{length.value}"), length.value, chosen=length.value == draft.length)
        for length in SummaryLength
    )
    buttons = (
        Button(words.plain("buttons.create"), press("draft-make", id), "success"),
        Button(words.plain("buttons.adjust"), press("draft-adjust", id), "primary"),
        Button(words.plain("buttons.discard"), press("draft-drop", id)),
    )
    sources = words.plain("create.choose_sources")
    targets = words.plain("create.choose_targets")
    return (
        buttons,
        (Menu(press("draft-length", id), lengths, words.plain("create.length")),),
        (ChannelMenu(press("draft-sources", id), sources, draft.channels[:MOST_SOURCES], MOST_SOURCES),),
        (ChannelMenu(press("draft-targets", id), targets, draft.targets[:MOST_TARGETS], MOST_TARGETS),),
    )


def adjusting(draft: Draft, words: Words) -> Form:
    """The form that changes what is typed: name, schedule, and how many messages are worth a summary."""
    least = "" if draft.min_messages is None else str(draft.min_messages)
    return Form(
        press("draft-adjusted", draft.id),
        words.plain("forms.adjust.title"),
        (
            Input("name", words.plain("forms.adjust.name"), draft.name),
            Input(
                "when",
                words.plain("forms.adjust.when"),
                say(draft.schedule),
                placeholder="every weekday at 9:00 in Europe/Berlin",
                longest=LONGEST_PHRASE,
                tall=True,
            ),
            Input("least", words.plain("forms.adjust.least"), least, placeholder="5", required=False, longest=6),
        ),
    )


def _list(ids: Sequence[str]) -> str:
    return "\n".join(channel_words(id) for id in ids)
