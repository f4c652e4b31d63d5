"""From plain data to the objects of discord.py. Everything is fitted to Discord's limits on the way."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import discord

from adapters.discord_bot.cards import Button, Card, ChannelMenu, Form, Menu, Reply, fitted, fitted_form
from adapters.discord_bot.places import CHANNEL_TYPES

__all__ = ["channels_chosen", "drawn", "embed_of", "modal_of", "texts_typed", "values_chosen", "view_of"]

_STYLES = {
    "primary": discord.ButtonStyle.primary,
    "secondary": discord.ButtonStyle.secondary,
    "success": discord.ButtonStyle.success,
    "danger": discord.ButtonStyle.danger,
}
_SAFE = discord.AllowedMentions.none()


def drawn(reply: Reply, *, editing: bool = False) -> dict[str, Any]:
    """What ``send`` (or, for an ``editing``, ``edit``) takes. An edit replaces all that the message showed before."""
    whole = fitted(reply)
    made: dict[str, Any] = {"embeds": [embed_of(card) for card in whole.cards], "allowed_mentions": _SAFE}
    if whole.text or editing:
        made["content"] = whole.text or None
    if whole.rows:
        made["view"] = view_of(whole)
    elif editing:
        made["view"] = None
    if whole.file is not None:
        file = discord.File(BytesIO(whole.file[1]), filename=whole.file[0])
        made |= {"attachments": [file]} if editing else {"file": file}
    return made


def embed_of(card: Card) -> discord.Embed:
    """An embed of a card that was fitted."""
    made = discord.Embed(title=card.title, description=card.text or None, color=card.tone.value)
    for entry in card.entries:
        made.add_field(name=entry.name, value=entry.value, inline=entry.inline)
    if card.footer:
        made.set_footer(text=card.footer)
    return made


def view_of(reply: Reply) -> discord.ui.View:
    """The buttons and menus of an answer that was fitted.

    The view is stopped: the library keeps no memory of it. Presses are told apart by custom id, so they work for as
    long as the message stands, whatever process serves it then.
    """
    view = discord.ui.View(timeout=None)
    for number, row in enumerate(reply.rows):
        for item in row:
            view.add_item(_item(item, number))
    view.stop()
    return view


def _item(item: Button | Menu | ChannelMenu, row: int) -> discord.ui.Item[Any]:
    if isinstance(item, Button):
        if item.url is not None:
            return discord.ui.Button(label=item.label, url=item.url, row=row)
        return discord.ui.Button(
            label=item.label, custom_id=item.id, style=_STYLES[item.style], disabled=item.disabled, row=row
        )
    if isinstance(item, Menu):
        options = [
            discord.SelectOption(
                label=option.label, value=option.value, description=option.description or None, default=option.chosen
            )
            for option in item.options
        ]
        return discord.ui.Select(custom_id=item.id, options=options, placeholder=item.placeholder or None, row=row)
    return discord.ui.ChannelSelect(
        custom_id=item.id,
        channel_types=[discord.ChannelType.category] if item.categories else CHANNEL_TYPES,
        placeholder=item.placeholder or None,
        min_values=item.least,
        max_values=item.most,
        default_values=[
            discord.SelectDefaultValue(id=int(id), type=discord.SelectDefaultValueType.channel)
            for id in item.chosen[: item.most]
        ],
        row=row,
    )


def modal_of(form: Form) -> discord.ui.Modal:
    """A form as Discord opens it; stopped, like a view."""
    whole = fitted_form(form)
    modal = discord.ui.Modal(title=whole.title, custom_id=whole.id, timeout=None)
    for each in whole.inputs:
        style = discord.TextStyle.paragraph if each.tall else discord.TextStyle.short
        modal.add_item(
            discord.ui.TextInput(
                label=each.label,
                custom_id=each.id,
                default=each.value or None,
                placeholder=each.placeholder or None,
                required=each.required,
                max_length=each.longest,
                style=style,
            )
        )
    modal.stop()
    return modal


def texts_typed(interaction: discord.Interaction[Any]) -> dict[str, str]:
    """What was typed into a form, by the ids of its text boxes."""
    data: Any = interaction.data or {}
    rows = data.get("components") or []
    inner = [item for row in rows for item in (row.get("components") or [row.get("component")] if row else [])]
    return {item["custom_id"]: str(item.get("value") or "") for item in inner if item and "custom_id" in item}


def values_chosen(interaction: discord.Interaction[Any]) -> list[str]:
    """The values that were chosen in a menu."""
    data: Any = interaction.data or {}
    return [str(value) for value in data.get("values") or ()]


def channels_chosen(interaction: discord.Interaction[Any]) -> list[dict[str, Any]]:
    """The channels that were chosen in a menu, as Discord tells of them: ``id``, ``name``, and what who asks may do."""
    data: Any = interaction.data or {}
    found: dict[str, dict[str, Any]] = (data.get("resolved") or {}).get("channels") or {}
    return [found.get(id, {"id": id}) for id in data.get("values") or ()]
