"""A summary as people read it: Markdown document, plain text, JSON, HTML, Discord embeds and messages, cards.

Whatever people typed is made harmless on the way: nobody is mentioned, no link hides where it leads, no control
character reaches a terminal, and Markdown in names stays text. The functions here use the packaged templates; a
``Renderer`` uses those that an operator edited.

Whoever only needs text made harmless loads no more than that; the rest is loaded when it is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

from adapters.rendering.safety import clean, disarm, disarm_mentions, escape_markdown, one_line, safe_url
from adapters.rendering.splitting import DISCORD_CONTENT_LIMIT, cut, split_text, units

if TYPE_CHECKING:
    from adapters.rendering.discord import DiscordMessage
    from adapters.rendering.documents import json_document
    from adapters.rendering.renderer import Renderer
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


_ELSEWHERE = {"DiscordMessage": "discord", "Renderer": "renderer", "json_document": "documents"}

if not TYPE_CHECKING:  # A type checker reads the imports above, and still complains of names that are not there.

    def __getattr__(name: str) -> Any:
        """Import a name when it is first asked for, and keep it."""
        from importlib import import_module

        if name not in _ELSEWHERE:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return globals().setdefault(name, getattr(import_module(f"{__name__}.{_ELSEWHERE[name]}"), name))


def _packaged() -> Renderer:
    from adapters.rendering.renderer import packaged_renderer

    return packaged_renderer()


def markdown_document(summary: Summary, **details: Unpack[Details]) -> str:
    """The summary as a Markdown document. An engine's own Markdown is used as it is."""
    return _packaged().markdown(summary, **details)


def html_document(summary: Summary, **details: Unpack[Details]) -> str:
    """The summary as a page."""
    return _packaged().html(summary, **details)


def text_document(summary: Summary, **details: Unpack[Details]) -> str:
    """The summary as plain text."""
    return _packaged().text(summary, **details)


def embeds(summary: Summary, **details: Unpack[Details]) -> list[dict[str, Any]]:
    """The summary as Discord embeds, one per message."""
    return _packaged().embeds(summary, **details)


def discord_messages(summary: Summary, format: str = "embed", **details: Unpack[Details]) -> list[DiscordMessage]:
    """The messages that show the summary in Discord as "embed", "markdown" or "text"."""
    return _packaged().discord_messages(summary, format, **details)
