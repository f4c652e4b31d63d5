"""A summary as Discord shows it. Discord's library checks few of Discord's limits: here all of them are kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, NamedTuple

from adapters.rendering.documents import (
    bullet,
    channel_line,
    counted,
    heading,
    markdown_document,
    prose,
    remarkable,
    span_line,
    term,
    text_document,
)
from adapters.rendering.safety import disarm_mentions, escape_markdown, one_line, safe_url
from adapters.rendering.splitting import cut, split_text, units
from domain.summary import Summary

__all__ = ["DiscordMessage", "discord_messages", "embeds"]

TITLE_LIMIT = 256
DESCRIPTION_LIMIT = 4096
FIELD_NAME_LIMIT = 256
FIELD_VALUE_LIMIT = 1024
FIELDS_LIMIT = 25
FOOTER_LIMIT = 2048
AUTHOR_LIMIT = 256
EMBED_LIMIT = 6000
"""Characters over all texts of all embeds of one message."""

_MAX_MESSAGES = 10
_FOOTER_ROOM = 200
_PARTICIPANTS_SHOWN = 30
_COLOR = 0x3B7A9E


class DiscordMessage(NamedTuple):
    """What one send carries: either text or one embed."""

    content: str | None = None
    embed: dict[str, Any] | None = None


class _Field(NamedTuple):
    name: str
    value: str
    inline: bool = False


def discord_messages(
    summary: Summary, format: str = "embed", *, timezone: str = "UTC", task_name: str = "", run_id: str = ""
) -> list[DiscordMessage]:
    """The messages, one or more and at most 10, that show the summary as "embed", "markdown" or "text"."""
    if format == "embed":
        return [DiscordMessage(embed=e) for e in embeds(summary, timezone=timezone, task_name=task_name, run_id=run_id)]
    if format == "text":
        text = escape_markdown(text_document(summary, timezone=timezone, task_name=task_name, run_id=run_id))
    else:
        text = markdown_document(summary, timezone=timezone, task_name=task_name, run_id=run_id)
    return [DiscordMessage(content=part) for part in split_text(text)]


def embeds(summary: Summary, *, timezone: str = "UTC", task_name: str = "", run_id: str = "") -> list[dict[str, Any]]:
    """The summary as embeds, one per message: usually one, more where Discord's limits ask for it.

    An engine's own embed is used as it is where it fits, and is cut up by the same limits where it does not.
    """
    if summary.embed is not None:
        return _own_embeds(summary.embed, _footer(summary, run_id), [*_notice(summary), *_remarks(summary)])
    base: dict[str, Any] = {
        "title": cut(escape_markdown(heading(summary, task_name)), TITLE_LIMIT),
        "color": _COLOR,
    }
    if summary.created_at is not None:
        base["timestamp"] = summary.created_at.isoformat()
    return _pack(base, prose(summary, summary.summary_text), _fields(summary, timezone), _footer(summary, run_id))


def _fields(summary: Summary, timezone: str) -> Iterator[_Field]:
    yield from _notice(summary)
    yield from _list_fields("Key points", [bullet(point, summary) for point in summary.key_points])
    yield from _list_fields("Action items", [bullet(point, summary) for point in summary.action_items])
    if summary.technical_terms:
        yield from _list_fields("Technical terms", [", ".join(term(text) for text in summary.technical_terms)])
    if summary.participants:
        yield _Field("Participants", _people(summary.participants))
    if summary.channels:
        yield from _list_fields("Channels", [f"- {channel_line(note)}" for note in summary.channels])
    start, end = int(summary.start_time.timestamp()), int(summary.end_time.timestamp())
    yield _Field("Period", f"<t:{start}:f> to <t:{end}:f>\n{span_line(summary, timezone)}")


def _notice(summary: Summary) -> Iterator[_Field]:
    if one_line(summary.notice):
        yield _Field("Note", cut(escape_markdown(one_line(summary.notice)), FIELD_VALUE_LIMIT))


def _remarks(summary: Summary) -> Iterator[_Field]:
    yield from _list_fields("Channels", [f"- {channel_line(note)}" for note in remarkable(summary.channels)])


def _people(participants: tuple[tuple[str, int], ...]) -> str:
    shown = [
        f"{escape_markdown(cut(one_line(name), 40))} ({count:,})" for name, count in participants[:_PARTICIPANTS_SHOWN]
    ]
    while shown:
        left = len(participants) - len(shown)
        text = ", ".join(shown) + (f" and {left:,} more" if left else "")
        if units(text) <= FIELD_VALUE_LIMIT:
            return text
        shown.pop()
    return counted(len(participants), "participant")


def _list_fields(name: str, lines: Iterable[str]) -> Iterator[_Field]:
    """The lines over as many fields as they need; a line that is too long for one is cut."""
    value = ""
    for line in lines:
        line = _fit_line(line)
        if value and units(value) + 1 + units(line) > FIELD_VALUE_LIMIT:
            yield _Field(name, value)
            name, value = (name if name.endswith("(continued)") else f"{name} (continued)"), line
        else:
            value = f"{value}\n{line}" if value else line
    if value:
        yield _Field(name, value)


def _fit_line(line: str) -> str:
    if units(line) <= FIELD_VALUE_LIMIT:
        return line
    shown = cut(line, FIELD_VALUE_LIMIT - 1)
    return shown + "`" if shown.count("`") % 2 else shown


def _footer(summary: Summary, run_id: str) -> str:
    parts = [counted(summary.message_count, "message")]
    if run_id:
        parts.append(f"run {one_line(run_id)}")
    return cut(" · ".join(parts), _FOOTER_ROOM)


def _pack(base: dict[str, Any], description: str, fields: Iterable[_Field], footer: str) -> list[dict[str, Any]]:
    """Embeds that begin with ``base``, carry the description and the fields in order, and end with the footer."""
    packer = _Packer(base)
    for part in split_text(description, DESCRIPTION_LIMIT):
        packer.add_description(part)
    for entry in fields:
        packer.add_field(entry)
    return packer.finish(footer)


class _Packer:
    """Fills one embed after the other; each keeps room for the footer."""

    def __init__(self, base: dict[str, Any]) -> None:
        self._embed = dict(base)
        self._color = base.get("color")
        self._done: list[dict[str, Any]] = []
        self._size = sum(units(text) for text in (base.get("title", ""), base.get("author", {}).get("name", "")))

    def add_description(self, text: str) -> None:
        if "description" in self._embed or self._size + units(text) > EMBED_LIMIT - _FOOTER_ROOM:
            self._next()
        self._embed["description"] = text
        self._size += units(text)

    def add_field(self, entry: _Field) -> None:
        fields = self._embed.setdefault("fields", [])
        size = units(entry.name) + units(entry.value)
        if len(fields) == FIELDS_LIMIT or self._size + size > EMBED_LIMIT - _FOOTER_ROOM:
            self._next()
            fields = self._embed.setdefault("fields", [])
        fields.append({"name": entry.name, "value": entry.value, "inline": entry.inline})
        self._size += size

    def _next(self) -> None:
        if not self._embed.get("fields", True):
            del self._embed["fields"]
        self._done.append(self._embed)
        self._embed, self._size = ({} if self._color is None else {"color": self._color}), 0

    def finish(self, footer: str) -> list[dict[str, Any]]:
        done = [*self._done, self._embed]
        if len(done) > _MAX_MESSAGES:
            done, footer = done[:_MAX_MESSAGES], cut(f"shortened · {footer}", _FOOTER_ROOM)
        last = done[-1]
        if not last.get("fields", True):
            del last["fields"]
        if footer:
            last.setdefault("footer", {"text": footer})
        return done


def _own_embeds(given: dict[str, Any], footer: str, remarks: list[_Field]) -> list[dict[str, Any]]:
    """An engine's embed within the limits, then the remarks. Keys that Discord does not take from bots are left out."""
    base: dict[str, Any] = {}
    if title := _text(given.get("title"), TITLE_LIMIT):
        base["title"] = title
    if isinstance(given.get("color"), int):
        base["color"] = given["color"] & 0xFFFFFF
    for key, value in (("timestamp", _instant(given.get("timestamp"))), ("url", _url(given.get("url")))):
        if value:
            base[key] = value
    author = given.get("author")
    if isinstance(author, dict) and (name := _text(author.get("name"), AUTHOR_LIMIT)):
        base["author"] = {"name": name}
    for key in ("image", "thumbnail"):
        picture = given.get(key)
        if isinstance(picture, dict) and (url := _url(picture.get("url"))):
            base[key] = {"url": url}
    own_footer = given.get("footer")
    if isinstance(own_footer, dict):
        footer = _text(own_footer.get("text"), _FOOTER_ROOM) or footer
    fields = [*_given_fields(given.get("fields")), *remarks]
    return _pack(base, disarm_mentions(str(given.get("description") or "")), fields, footer)


def _given_fields(fields: Any) -> Iterator[_Field]:
    for entry in fields if isinstance(fields, (list, tuple)) else ():
        if not isinstance(entry, dict):
            continue
        name = _text(entry.get("name"), FIELD_NAME_LIMIT - 12) or "\u200b"
        value = disarm_mentions(str(entry.get("value") or ""))
        for number, part in enumerate(split_text(value, FIELD_VALUE_LIMIT) or ["\u200b"]):
            yield _Field(name if number == 0 else f"{name} (continued)", part, bool(entry.get("inline", False)))


def _instant(value: Any) -> str | None:
    try:
        return datetime.fromisoformat(str(value)).isoformat()
    except ValueError:
        return None


def _url(value: Any) -> str | None:
    return safe_url(value) if isinstance(value, str) else None


def _text(value: Any, limit: int) -> str:
    # Discord leaves spaces at the ends out, and refuses what is nothing else.
    return cut(disarm_mentions(str(value).strip()), limit) if value else ""
