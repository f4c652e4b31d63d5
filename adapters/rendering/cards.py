"""A summary as webhooks take it, from the packaged templates: Slack blocks, a Teams card, a Discord message, JSON."""

from __future__ import annotations

from typing import Any, Unpack

from adapters.rendering.payload import JSON_BYTES, json_payload
from adapters.rendering.renderer import packaged_renderer
from adapters.rendering.slack import SLACK_BLOCKS, SLACK_HEADER, SLACK_SECTION, SLACK_TEXT
from adapters.rendering.teams import TEAMS_BYTES
from adapters.rendering.words import Details
from domain.summary import Summary

__all__ = [
    "JSON_BYTES",
    "SLACK_BLOCKS",
    "SLACK_HEADER",
    "SLACK_SECTION",
    "SLACK_TEXT",
    "TEAMS_BYTES",
    "discord_payload",
    "json_payload",
    "slack_payload",
    "teams_payload",
]


def discord_payload(summary: Summary, **details: Unpack[Details]) -> dict[str, Any]:
    """One message of embeds."""
    return packaged_renderer().discord_payload(summary, **details)


def slack_payload(summary: Summary, **details: Unpack[Details]) -> dict[str, Any]:
    """Blocks, and the text that notifications show instead."""
    return packaged_renderer().slack(summary, **details)


def teams_payload(summary: Summary, **details: Unpack[Details]) -> dict[str, Any]:
    """A message with one Adaptive Card."""
    return packaged_renderer().teams(summary, **details)
