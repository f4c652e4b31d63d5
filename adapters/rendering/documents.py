"""What every format says of a summary, and the summary as JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

from adapters.rendering.safety import disarm, escape_markdown, one_line
from adapters.rendering.splitting import split_text
from domain.summary import ChannelNote, Summary

__all__ = ["counted", "heading", "json_document", "prose", "remarkable", "span_line", "zone"]

PLAIN_ENGINES = frozenset({"extractive"})
"""Engines whose texts are quotations in plain words. Others write Markdown, which is kept, disarmed."""

_WHOLE = 10_000_000
"""A limit that no document reaches: splitting then only closes a code fence left open."""


def zone(timezone: str) -> tuple[tzinfo, str]:
    """The zone and the name to show: UTC, named so, where the zone is unknown here, for a summary must arrive."""
    try:
        return ZoneInfo(timezone), timezone
    except (KeyError, ValueError, OSError):
        return UTC, "UTC"


def span_line(summary: Summary, timezone: str) -> str:
    """The span looked at, in wall-clock time of the zone."""
    where, name = zone(timezone)
    return f"{_minute(summary.start_time, where)} to {_minute(summary.end_time, where)} ({name})"


def counted(number: int, noun: str) -> str:
    """A number with its noun: "1 message", "2 messages"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def prose(summary: Summary, text: str) -> str:
    """A text of the summary as safe Markdown: quotations escaped, an engine's own Markdown disarmed."""
    if summary.engine in PLAIN_ENGINES:
        return escape_markdown(text)
    return "\n".join(split_text(disarm(text), _WHOLE))


def heading(summary: Summary, task_name: str) -> str:
    """What stands on top: the summary's title, else the task's name. Plain text, one line."""
    return one_line(summary.title) or one_line(task_name) or "Summary"


def json_document(summary: Summary, *, timezone: str = "UTC", task_name: str = "", run_id: str = "") -> str:
    """The summary as JSON: its fields as they are, instants in UTC, with the task, the run and the zone beside it."""
    data = summary.model_dump(mode="json", exclude_none=True)
    text = json.dumps(
        {"task_name": task_name, "run_id": run_id, "timezone": timezone, "summary": data},
        ensure_ascii=False,
        allow_nan=False,
        indent=2,
    )
    return text.encode("utf-8", "replace").decode() + "\n"


def remarkable(channels: Iterable[ChannelNote]) -> list[ChannelNote]:
    """The channels that something is to be said of: quiet ones, inaccessible ones."""
    return [note for note in channels if note.note]


def _minute(instant: datetime, where: tzinfo) -> str:
    return instant.astimezone(where).strftime("%Y-%m-%d %H:%M")
