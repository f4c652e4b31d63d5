"""What the bot shows, as plain data, and within every limit of Discord. Pure: nothing here knows a client.

Lengths are counted in UTF-16 units, at least what any counting of Discord gives. Text of people is escaped where it is
put into a sentence (``texts``); here everything is cut, and disarmed once more: no mention, no link behind words.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum

from adapters.rendering import cut, disarm, units

__all__ = [
    "Button",
    "Card",
    "ChannelMenu",
    "Entry",
    "Form",
    "Input",
    "Item",
    "Menu",
    "Option",
    "Reply",
    "Tone",
    "fits",
    "fitted",
    "press",
    "stamp",
]

TITLE, TEXT, FIELDS, FIELD_NAME, FIELD_VALUE, FOOTER = 256, 4096, 25, 256, 1024, 2048
EMBEDS, EMBED_TOTAL, CONTENT = 10, 6000, 2000
ROWS, BUTTONS_IN_ROW, LABEL, CUSTOM_ID = 5, 5, 80, 100
OPTIONS, OPTION, PLACEHOLDER = 25, 100, 150
FORM_TITLE, FORM_LABEL, FORM_VALUE, FORM_INPUTS, INPUT_PLACEHOLDER = 45, 45, 4000, 5, 100

BLANK = "\u200b"
"""What stands where Discord wants a text and there is none."""

PREFIX = "daybook"
_CHANNEL = re.compile("<\u200b(#[0-9]{1,20}>)")


class Tone(Enum):
    """What a card is about; its value is the color of its edge."""

    PLAIN = 0x5865F2
    GOOD = 0x57F287
    CAREFUL = 0xFEE75C
    BAD = 0xED4245


@dataclass(frozen=True, slots=True)
class Entry:
    """A name with a value below it."""

    name: str
    value: str
    inline: bool = False


@dataclass(frozen=True, slots=True)
class Card:
    """One embed. Its texts are Markdown."""

    title: str
    text: str = ""
    entries: tuple[Entry, ...] = ()
    footer: str = ""
    tone: Tone = Tone.PLAIN


@dataclass(frozen=True, slots=True)
class Button:
    """A button. ``id`` comes of ``press``; one with a ``url`` opens that instead."""

    label: str
    id: str = ""
    style: str = "secondary"
    disabled: bool = False
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Option:
    """One line of a menu."""

    label: str
    value: str
    description: str = ""
    chosen: bool = False


@dataclass(frozen=True, slots=True)
class Menu:
    """A choice of one among at most 25 lines."""

    id: str
    options: tuple[Option, ...]
    placeholder: str = ""


@dataclass(frozen=True, slots=True)
class ChannelMenu:
    """A choice of text channels, announcement channels, voice chats and threads; or of categories."""

    id: str
    placeholder: str = ""
    chosen: tuple[str, ...] = ()
    most: int = 1
    least: int = 1
    categories: bool = False


Item = Button | Menu | ChannelMenu
"""What stands in a row below a message."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer. ``public``: everybody in the channel sees it; else only who asked. ``file``: its name and bytes."""

    cards: tuple[Card, ...] = ()
    rows: tuple[tuple[Item, ...], ...] = ()
    text: str = ""
    public: bool = False
    file: tuple[str, bytes] | None = None


@dataclass(frozen=True, slots=True)
class Input:
    """One text box of a form."""

    id: str
    label: str
    value: str = ""
    placeholder: str = ""
    required: bool = True
    longest: int = 100
    tall: bool = False


@dataclass(frozen=True, slots=True)
class Form:
    """A window to fill in. ``id`` comes of ``press``."""

    id: str
    title: str
    inputs: tuple[Input, ...]


def press(what: str, *arguments: object) -> str:
    """The custom id of a button, a menu or a form: what it does and to what. Read again by the Desk."""
    made = ":".join([PREFIX, what, *(str(argument) for argument in arguments)])
    if units(made) > CUSTOM_ID:
        raise ValueError(f"custom id {made!r} has more than {CUSTOM_ID} characters")
    return made


def stamp(instant: datetime, style: str = "F") -> str:
    """An instant as everybody reads it in a zone and language of their own; styles are Discord's (F, R, t, d)."""
    return f"<t:{int(instant.timestamp())}:{style}>"


def fitted(reply: Reply) -> Reply:
    """The same within every limit. What does not fit is cut where readers see it, or left out from the end."""
    cards: list[Card] = []
    room = EMBED_TOTAL
    for card in reply.cards[:EMBEDS]:
        made = _fitted_card(card, room)
        room -= _size(made)
        cards.append(made)
        if room < TITLE:
            break
    used: set[str] = set()
    rows = tuple(row for row in (_fitted_row(_unused(row, used)) for row in reply.rows[:ROWS]) if row)
    return replace(reply, cards=tuple(cards), rows=rows, text=_shown(reply.text, CONTENT, empty=""))


def fits(box: Input) -> bool:
    """Whether a form shows all of what stands in it. What is shown in part is not offered: its rest would be lost."""
    return units(box.value) <= min(box.longest, FORM_VALUE)


def fitted_form(form: Form) -> Form:
    """The same within every limit."""
    inputs = tuple(
        replace(
            each,
            label=_shown(each.label, FORM_LABEL),
            placeholder=cut(each.placeholder, INPUT_PLACEHOLDER),
            longest=max(1, min(each.longest, FORM_VALUE)),
            value=_start(each.value, max(1, min(each.longest, FORM_VALUE))),
        )
        for each in form.inputs[:FORM_INPUTS]
    )
    return replace(form, title=_shown(form.title, FORM_TITLE), inputs=inputs)


def _fitted_card(card: Card, room: int) -> Card:
    title = _shown(card.title, TITLE)
    footer = _shown(card.footer, min(FOOTER, 500, room - units(title)), empty="")
    left = room - units(title) - units(footer)
    text = _shown(card.text, max(0, min(TEXT, left)), empty="") if left > 0 else ""
    left -= units(text)
    kept = []
    for entry in card.entries[:FIELDS]:
        made = replace(entry, name=_shown(entry.name, FIELD_NAME), value=_shown(entry.value, FIELD_VALUE))
        left -= units(made.name) + units(made.value)
        if left < 0:
            break
        kept.append(made)
    return replace(card, title=title, footer=footer, text=text, entries=tuple(kept))


def _size(card: Card) -> int:
    entries = sum(units(entry.name) + units(entry.value) for entry in card.entries)
    return units(card.title) + units(card.text) + units(card.footer) + entries


def _unused(row: Iterable[Item], used: set[str]) -> list[Item]:
    """The items whose custom id stands on no other: Discord takes each once in a message."""
    kept = []
    for item in row:
        if not item.id or item.id not in used:
            used.add(item.id)
            kept.append(item)
    return kept


def _fitted_row(row: Iterable[Item]) -> tuple[Item, ...]:
    made: list[Item] = []
    for item in row:
        if isinstance(item, Button):
            made.append(replace(item, label=_shown(item.label, LABEL)))
        elif isinstance(item, ChannelMenu):
            made.append(replace(item, placeholder=cut(item.placeholder, PLACEHOLDER)))
        elif item.options:
            by_value = {option.value: option for option in item.options if 0 < units(option.value) <= OPTION}
            made.append(
                replace(
                    item,
                    placeholder=cut(item.placeholder, PLACEHOLDER),
                    options=tuple(_fitted_option(option) for option in list(by_value.values())[:OPTIONS]),
                )
            )
    return tuple(made[:BUTTONS_IN_ROW])


def _fitted_option(option: Option) -> Option:
    return replace(option, label=_shown(option.label, OPTION), description=cut(option.description, OPTION))


def _shown(text: str, limit: int, empty: str = BLANK) -> str:
    """Text within a limit, harmless, and never blank where Discord wants one."""
    harmless = _CHANNEL.sub(r"<\1", disarm(text.strip()))  # a channel's name pings nobody
    whole = cut(harmless, limit).strip() if limit > 0 else ""
    return whole if whole.replace(BLANK, "").strip() else empty


def _start(text: str, limit: int) -> str:
    """The first units of a text, without an ellipsis: it comes back as it is."""
    while units(text) > limit:
        text = text[:-1]
    return text
