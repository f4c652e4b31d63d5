"""A summary as people read it: Markdown document, plain text, JSON, Discord embeds and messages. Pure functions.

Whatever people typed is made harmless on the way: nobody is mentioned, no link hides where it leads, no control
character reaches a terminal, and Markdown in names stays text.
"""

from adapters.rendering.discord import DiscordMessage, discord_messages, embeds
from adapters.rendering.documents import json_document, markdown_document, text_document
from adapters.rendering.safety import clean, disarm, disarm_mentions, escape_markdown, one_line, safe_url
from adapters.rendering.splitting import DISCORD_CONTENT_LIMIT, cut, split_text, units

__all__ = [
    "DISCORD_CONTENT_LIMIT",
    "DiscordMessage",
    "clean",
    "cut",
    "disarm",
    "disarm_mentions",
    "discord_messages",
    "embeds",
    "escape_markdown",
    "json_document",
    "markdown_document",
    "one_line",
    "safe_url",
    "split_text",
    "text_document",
    "units",
]
