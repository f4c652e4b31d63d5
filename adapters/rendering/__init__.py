"""A summary as people read it: Markdown document, plain text, JSON, HTML, Discord embeds and messages, cards.

Whatever people typed is made harmless on the way: nobody is mentioned, no link hides where it leads, no control
character reaches a terminal, and Markdown in names stays text. The functions here use the packaged templates; a
``Renderer`` uses those that an operator edited.
"""

from __future__ import annotations

from typing import Any, Unpack

from adapters.rendering.discord import DiscordMessage
from adapters.rendering.documents import json_document
from adapters.rendering.renderer import Renderer, packaged_renderer
from adapters.rendering.safety import clean, disarm, disarm_mentions, escape_markdown, one_line, safe_url
from adapters.rendering.splitting import DISCORD_CONTENT_LIMIT, cut, split_text, units
from adapters.rendering.words import Details
from domain.summary import Summary

__all__ = [
    "DISCORD_CONTENT_LIMIT",
    "DiscordMessage",
    "Renderer",
    "clean",
    "cut",
    "disarm",
    "disarm_mentions",
    "discord_messages",
    "embeds",
    "escape_markdown",
    "html_document",
    "json_document",
    "markdown_document",
    "one_line",
    "safe_url",
    "split_text",
    "text_document",
    "units",
]


def markdown_document(summary: Summary, **details: Unpack[Details]) -> str:
    """The summary as a Markdown document. An engine's own Markdown is used as it is."""
    return packaged_renderer().markdown(summary, **details)


def html_document(summary: Summary, **details: Unpack[Details]) -> str:
    """The summary as a page."""
    return packaged_renderer().html(summary, **details)


def text_document(summary: Summary, **details: Unpack[Details]) -> str:
    """The summary as plain text."""
    return packaged_renderer().text(summary, **details)


def embeds(summary: Summary, **details: Unpack[Details]) -> list[dict[str, Any]]:
    """The summary as Discord embeds, one per message."""
    return packaged_renderer().embeds(summary, **details)


def discord_messages(summary: Summary, format: str = "embed", **details: Unpack[Details]) -> list[DiscordMessage]:
    """The messages that show the summary in Discord as "embed", "markdown" or "text"."""
    return packaged_renderer().discord_messages(summary, format, **details)
