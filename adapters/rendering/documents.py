"""A summary as one document: Markdown for files, plain text for terminals and e-mail, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

from adapters.rendering.safety import clean, disarm, disarm_mentions, escape_markdown, one_line, safe_url
from adapters.rendering.splitting import split_text
from domain.summary import ChannelNote, Point, Summary

__all__ = ["json_document", "markdown_document", "text_document"]

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


def markdown_document(summary: Summary, *, timezone: str = "UTC", task_name: str = "", run_id: str = "") -> str:
    """The summary as a Markdown document, with times in ``timezone``. An engine's own Markdown is used as it is."""
    if summary.markdown is not None:
        body = "\n".join(split_text(disarm_mentions(summary.markdown), _WHOLE))
        return (
            "\n\n".join(
                [body, *_notice(summary), *_channels(remarkable(summary.channels)), _footer(summary, timezone, run_id)]
            )
            + "\n"
        )
    blocks = [
        f"# {escape_markdown(heading(summary, task_name))}",
        f"*{_facts(summary, timezone)}*",
        *_notice(summary),
        prose(summary, summary.summary_text).strip(),
        *_bullets("Key points", "- ", summary.key_points, summary),
        *_bullets("Action items", "- [ ] ", summary.action_items, summary),
        *_terms(summary.technical_terms),
        *_participants(summary.participants),
        *_channels(summary.channels),
        _footer(summary, timezone, run_id),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def text_document(summary: Summary, *, timezone: str = "UTC", task_name: str = "", run_id: str = "") -> str:
    """The summary as plain text, with times in ``timezone``."""
    title = heading(summary, task_name)
    blocks = [f"{title}\n{'=' * min(len(title), 72)}", _facts(summary, timezone)]
    if summary.notice:
        blocks.append(f"Note: {one_line(summary.notice)}")
    blocks.append(clean(summary.summary_text).strip())
    for name, points in (("Key points", summary.key_points), ("Action items", summary.action_items)):
        if points:
            blocks.append("\n".join([name, *(_plain_point(point) for point in points)]))
    if summary.technical_terms:
        blocks.append("Technical terms\n  " + ", ".join(one_line(term) for term in summary.technical_terms))
    if summary.participants:
        people = ", ".join(f"{one_line(name)} ({count:,})" for name, count in summary.participants)
        blocks.append(f"Participants\n  {people}")
    if summary.channels:
        blocks.append("\n".join(["Channels", *(f"  {_plain_channel(note)}" for note in summary.channels)]))
    if run_id:
        blocks.append(f"Run {one_line(run_id)}")
    return "\n\n".join(block for block in blocks if block) + "\n"


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


def attribution(point: Point) -> str:
    """Who said it and the link to it, as Markdown; empty when neither is known."""
    author = f"**{escape_markdown(one_line(point.author))}**" if one_line(point.author) else ""
    url = safe_url(point.url)
    link = f"[message]({url})" if url else ""
    return " · ".join(part for part in (author, link) if part)


def bullet(point: Point, summary: Summary, marker: str = "- ") -> str:
    """One point as a line of Markdown."""
    text = prose(summary, one_line(point.text).replace("```", "`"))
    who = attribution(point)
    return f"{marker}{text} ({who})" if who else f"{marker}{text}"


def term(text: str) -> str:
    """A technical term as inline code."""
    return f"`{disarm_mentions(one_line(text)).replace('`', chr(0x2019)) or '?'}`"


def channel_line(note: ChannelNote) -> str:
    """What became of one channel, as Markdown."""
    return escape_markdown(_plain_channel(note))


def _plain_point(point: Point) -> str:
    who = ", ".join(part for part in (one_line(point.author), safe_url(point.url) or "") if part)
    return f"  - {one_line(point.text)}" + (f" ({who})" if who else "")


def remarkable(channels: Iterable[ChannelNote]) -> list[ChannelNote]:
    """The channels that something is to be said of: quiet ones, inaccessible ones."""
    return [note for note in channels if note.note]


def _plain_channel(note: ChannelNote) -> str:
    name = f"#{one_line(note.name)}" if note.name else f"channel {one_line(note.channel_id)}"
    said = [counted(note.message_count, "message")] if note.message_count or not note.note else []
    return f"{name}: {', '.join([*said, *([one_line(note.note)] if note.note else [])])}"


def _minute(instant: datetime, where: tzinfo) -> str:
    return instant.astimezone(where).strftime("%Y-%m-%d %H:%M")


def _facts(summary: Summary, timezone: str) -> str:
    facts = [span_line(summary, timezone), counted(summary.message_count, "message")]
    if summary.participants:
        facts.append("1 person" if len(summary.participants) == 1 else f"{len(summary.participants):,} people")
    return " · ".join(facts)


def _notice(summary: Summary) -> list[str]:
    return [f"> {escape_markdown(one_line(summary.notice))}"] if summary.notice else []


def _bullets(name: str, marker: str, points: Iterable[Point], summary: Summary) -> list[str]:
    lines = [bullet(point, summary, marker) for point in points]
    return ["\n".join([f"## {name}", "", *lines])] if lines else []


def _terms(terms: Iterable[str]) -> list[str]:
    shown = ", ".join(term(text) for text in terms)
    return [f"## Technical terms\n\n{shown}"] if shown else []


def _participants(participants: Iterable[tuple[str, int]]) -> list[str]:
    rows = [f"| {escape_markdown(one_line(name)) or '?'} | {count:,} |" for name, count in participants]
    return ["\n".join(["## Participants", "", "| name | messages |", "|---|---:|", *rows])] if rows else []


def _channels(channels: Iterable[ChannelNote]) -> list[str]:
    lines = [f"- {channel_line(note)}" for note in channels]
    return ["\n".join(["## Channels", "", *lines])] if lines else []


def _footer(summary: Summary, timezone: str, run_id: str) -> str:
    where, name = zone(timezone)
    parts = [f"Run {term(run_id)}"] if run_id else []
    if summary.created_at is not None:
        parts.append(f"made {_minute(summary.created_at, where)} ({name})")
    if summary.engine:
        parts.append(f"by the {escape_markdown(one_line(summary.engine))} engine")
    return "---\n\n" + " · ".join(parts) if parts else ""
