"""A summary as webhooks take it: Slack blocks, a Teams card, a Discord message, JSON. Each within its service's limits.

Pure functions. Mentions and masked links are disarmed in all of them, JSON included: its readers tend to post it on.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from adapters.rendering.discord import EMBED_LIMIT, embeds
from adapters.rendering.documents import bullet, channel_line, counted, heading, prose, span_line
from adapters.rendering.safety import clean, disarm, escape_markdown, one_line, safe_url
from adapters.rendering.splitting import cut, split_text, units
from domain.summary import ChannelNote, Point, Summary

__all__ = ["discord_payload", "json_payload", "slack_payload", "teams_payload"]

SLACK_BLOCKS = 50
SLACK_SECTION = 3000
SLACK_HEADER = 150
SLACK_TEXT = 4000
"""What Slack recommends for the text that notifications show beside blocks."""

TEAMS_BYTES = 20_000
"""The whole message as UTF-8; Teams refuses a little more than 20 KB."""

DISCORD_EMBEDS = 10
_FOOTER_ROOM = 200

JSON_BYTES = 250_000
"""What is sent at most to a receiver of one's own."""

_SHORTENED = "This summary was shortened to fit."
_PARTICIPANTS_SHOWN = 30
_JSON_TEXT = 100_000


# --- Discord ----------------------------------------------------------------------------------------------------------


def discord_payload(
    summary: Summary, *, timezone: str = "UTC", task_name: str = "", run_id: str = ""
) -> dict[str, Any]:
    """One message of embeds that mentions nobody. One, because a webhook knows no nonce: parts could arrive twice."""
    if summary.embed is not None:
        summary = summary.model_copy(update={"embed": _disarmed(summary.embed)})
    every = embeds(summary, timezone=timezone, task_name=task_name, run_id=run_id)
    shown: list[dict[str, Any]] = []
    size = 0
    for embed in every[:DISCORD_EMBEDS]:
        size += _embed_size(embed)
        if shown and size > EMBED_LIMIT - _FOOTER_ROOM:
            break
        shown.append(embed)
    if len(shown) < len(every):
        footer = cut(" · ".join(_footer(summary, run_id, shortened=True)), _FOOTER_ROOM)
        shown[-1] = {**shown[-1], "footer": {"text": footer}}
    return {"embeds": shown, "allowed_mentions": {"parse": []}}


def _disarmed(value: Any) -> Any:
    """An engine's own embed without masked links: webhooks post in channels that nobody checks against the source."""
    if isinstance(value, Mapping):
        return {key: item if key in ("url", "icon_url") else _disarmed(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_disarmed(item) for item in value]
    return disarm(value) if isinstance(value, str) else value


def _embed_size(embed: Mapping[str, Any]) -> int:
    texts = [embed.get("title", ""), embed.get("description", ""), embed.get("footer", {}).get("text", "")]
    texts += [embed.get("author", {}).get("name", "")]
    texts += [text for entry in embed.get("fields", ()) for text in (entry["name"], entry["value"])]
    return sum(units(text) for text in texts)


# --- Slack ------------------------------------------------------------------------------------------------------------


def slack_payload(summary: Summary, *, timezone: str = "UTC", task_name: str = "", run_id: str = "") -> dict[str, Any]:
    """Blocks: a header, sections, a context line; and the text that notifications show instead."""
    title = cut(disarm(heading(summary, task_name)), SLACK_HEADER)
    blocks: list[dict[str, Any]] = [{"type": "header", "text": {"type": "plain_text", "text": title, "emoji": False}}]
    texts = list(_slack_sections(summary))
    room = SLACK_BLOCKS - 2
    blocks += [{"type": "section", "text": _mrkdwn(text)} for text in texts[:room]]
    footer = [span_line(summary, timezone), *_footer(summary, run_id, shortened=len(texts) > room)]
    blocks.append({"type": "context", "elements": [_mrkdwn(_slack_fitting(disarm(" · ".join(footer)), 500))]})
    text = _slack_fitting(disarm(f"{title}\n{summary.summary_text}"), SLACK_TEXT)
    return {"text": text, "blocks": blocks, "unfurl_links": False, "unfurl_media": False}


def _mrkdwn(text: str) -> dict[str, Any]:
    """Text in Slack's markup. Verbatim: no name and no channel in it becomes a link or a mention."""
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def _slack_sections(summary: Summary) -> Iterator[str]:
    """The texts of the sections, each escaped and short enough."""
    if one_line(summary.notice):
        yield _slack_fitting(disarm(f"Note: {one_line(summary.notice)}"), SLACK_SECTION)
    yield from _slack_split(disarm(summary.summary_text), SLACK_SECTION)
    for name, points in (("Key points", summary.key_points), ("Action items", summary.action_items)):
        yield from _slack_list(name, [_slack_point(point) for point in points])
    if summary.technical_terms:
        terms = ", ".join(one_line(term) for term in summary.technical_terms)
        yield from _slack_list("Technical terms", [_slack_line(terms, 2500)])
    if summary.participants:
        yield from _slack_list("Participants", [_slack_line(_people(summary), 2500)])
    yield from _slack_list("Channels", [f"• {_slack_line(_plain_channel(note), 500)}" for note in summary.channels])


def _slack_list(name: str, lines: list[str]) -> Iterator[str]:
    """Lines under a heading, in as few sections as they fit into; no line is torn."""
    text = f"*{name}*"
    for line in lines:
        if units(text) + units(line) >= SLACK_SECTION:
            yield text
            text = f"*{name} (continued)*"
        text += f"\n{line}"
    if lines:
        yield text


def _slack_point(point: Point) -> str:
    author, url = one_line(point.author), safe_url(point.url)
    link = f"<{url.replace('&', '&amp;')}|message>" if url and len(url) <= 500 else ""
    who = ", ".join(part for part in (_slack_line(author, 300), link) if part)
    return f"• {_slack_line(point.text, 1500)}" + (f" ({who})" if who else "")


def _slack_line(text: str, limit: int) -> str:
    """Text on one line, in which no code fence swallows the lines below."""
    return _slack_fitting(disarm(one_line(text).replace("```", "`")), limit)


def _slack_split(text: str, limit: int) -> Iterator[str]:
    """A text in parts that fit into sections once they are escaped."""
    for part in split_text(text, limit, max_parts=SLACK_BLOCKS):
        escaped = _slack_escaped(part)
        if units(escaped) <= SLACK_SECTION:
            yield escaped
        else:  # escaping makes a character up to five times as long
            yield from _slack_split(part, max(40, limit // 2))


def _slack_fitting(text: str, limit: int) -> str:
    """The start of a text that is within the limit once it is escaped."""
    size = limit
    while units(escaped := _slack_escaped(cut(text, size))) > limit:
        size //= 2
    return escaped


def _slack_escaped(text: str) -> str:
    return clean(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


# --- Teams ------------------------------------------------------------------------------------------------------------


def teams_payload(summary: Summary, *, timezone: str = "UTC", task_name: str = "", run_id: str = "") -> dict[str, Any]:
    """A message with one Adaptive Card, as the workflow "when a webhook request is received" takes it."""
    body: list[dict[str, Any]] = []
    message = {
        "type": "message",
        "attachments": [
            {
                "contentType": "application/vnd.microsoft.card.adaptive",
                "contentUrl": None,
                "content": {
                    "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                    "type": "AdaptiveCard",
                    "version": "1.4",
                    "msteams": {"width": "Full"},
                    "body": body,
                },
            }
        ],
    }
    footer = [escape_markdown(span_line(summary, timezone)), *_footer(summary, run_id)]
    last = _block(cut(" · ".join(footer), 500), isSubtle=True, size="Small")
    shortened = _block(_SHORTENED, isSubtle=True, size="Small")
    room = TEAMS_BYTES - len(_encoded(message)) - sum(len(_encoded(block)) + 2 for block in (last, shortened))
    for block in _teams_blocks(summary, task_name):
        size = len(_encoded(block)) + 2
        if size > room:
            body += [*_teams_part(block, room), shortened]
            break
        body.append(block)
        room -= size
    body.append(last)
    return message


def _teams_blocks(summary: Summary, task_name: str) -> Iterator[dict[str, Any]]:
    title = escape_markdown(cut(heading(summary, task_name), 200))
    yield _block(title, size="Large", weight="Bolder")
    if one_line(summary.notice):
        yield _block(escape_markdown(cut(one_line(summary.notice), 1000)), isSubtle=True)
    yield from (_block(part) for part in split_text(prose(summary, summary.summary_text), 4000))
    yield from _teams_list("Key points", [bullet(point, summary) for point in summary.key_points])
    yield from _teams_list("Action items", [bullet(point, summary) for point in summary.action_items])
    if summary.technical_terms:
        terms = ", ".join(escape_markdown(one_line(term)) for term in summary.technical_terms)
        yield from _teams_list("Technical terms", [terms])
    if summary.participants:
        yield from _teams_list("Participants", [escape_markdown(_people(summary))])
    yield from _teams_list("Channels", [f"- {channel_line(note)}" for note in summary.channels])


def _teams_list(name: str, lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(line for line in lines if line.strip()):
        if number == 0:
            yield _block(name, weight="Bolder", spacing="Medium")
        yield _block(line, spacing="Small")


def _teams_part(block: dict[str, Any], room: int) -> list[dict[str, Any]]:
    """As much of a block as fits, or nothing where that would be hardly more than a word."""
    size = room
    while size >= 100:
        part = {**block, "text": "\n".join(split_text(cut(block["text"], size), size + 40)[:1])}
        if part["text"] and len(_encoded(part)) + 2 <= room:
            return [part]
        size = size * 3 // 4
    return []


def _block(text: str, **style: Any) -> dict[str, Any]:
    return {"type": "TextBlock", "text": text, "wrap": True, **style}


# --- JSON -------------------------------------------------------------------------------------------------------------


def json_payload(
    summary: Summary,
    *,
    timezone: str = "UTC",
    task_name: str = "",
    run_id: str = "",
    task_id: str = "",
    guild_id: str = "",
    slot: datetime | None = None,
) -> dict[str, Any]:
    """An event as Standard Webhooks describes it: type, timestamp, data. Equal in every try of the same delivery.

    A notice of trouble is a ``notice.created``. Where it is larger than 250 KB, lists and texts are shortened, and
    ``data.shortened`` is true.
    """
    stamp = summary.created_at or slot or summary.end_time
    data: dict[str, Any] = {
        "run_id": run_id,
        "task": {"id": task_id, "name": task_name},
        "guild_id": guild_id,
        "slot": slot,
        "timezone": timezone,
        "shortened": False,
        "summary": summary.model_dump(mode="python", exclude={"embed", "markdown"}, exclude_none=True),
    }
    payload = {
        "type": "notice.created" if summary.engine == "notice" else "summary.created",
        "timestamp": stamp,
        "data": data,
    }
    harmless: dict[str, Any] = _harmless(payload, _JSON_TEXT)
    items, characters = 1000, 20_000
    while len(_encoded(harmless)) > JSON_BYTES:
        data["shortened"] = True
        harmless = _harmless(payload, characters, items)
        items, characters = items // 2, characters // 2
    return harmless


def _harmless(value: Any, characters: int, items: int = 100_000) -> Any:
    """JSON of a value in which no text mentions anybody or hides where a link leads."""
    if isinstance(value, Mapping):
        return {
            key: safe_url(item) if key == "url" and isinstance(item, str) else _harmless(item, characters, items)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [_harmless(item, characters, items) for item in value[:items]]
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return cut(disarm(value), characters) if isinstance(value, str) else value


# --- what several of them say -----------------------------------------------------------------------------------------


def _footer(summary: Summary, run_id: str, *, shortened: bool = False) -> list[str]:
    parts = ["shortened"] if shortened else []
    parts.append(counted(summary.message_count, "message"))
    return [*parts, f"run {cut(one_line(run_id), 80)}"] if run_id else parts


def _people(summary: Summary) -> str:
    shown = [f"{cut(one_line(name), 40)} ({count:,})" for name, count in summary.participants[:_PARTICIPANTS_SHOWN]]
    left = len(summary.participants) - len(shown)
    return ", ".join(shown) + (f" and {left:,} more" if left else "")


def _plain_channel(note: ChannelNote) -> str:
    name = f"#{one_line(note.name)}" if note.name else f"channel {one_line(note.channel_id)}"
    return (
        f"{name}: {', '.join([counted(note.message_count, 'message'), *([one_line(note.note)] if note.note else [])])}"
    )


def _encoded(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode("utf-8", "replace")
