"""The limits of Discord. Its library checks few of them: here all of them are kept, whatever a template made.

Pure functions, used after rendering: no edited template and no engine's own embed can exceed a limit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from adapters.rendering.documents import counted, remarkable
from adapters.rendering.safety import disarm, disarm_mentions, escape_markdown, one_line, safe_url
from adapters.rendering.splitting import cut, split_text, units
from domain.summary import ChannelNote, Summary

__all__ = ["DiscordMessage", "content_messages", "disarmed_embed", "fit_embed", "one_message", "own_embeds"]

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


class DiscordMessage(NamedTuple):
    """What one send carries: either text or one embed."""

    content: str | None = None
    embed: dict[str, Any] | None = None


class _Field(NamedTuple):
    name: str
    value: str
    inline: bool = False


def content_messages(text: str) -> list[DiscordMessage]:
    """A text as messages, one or more and at most 10."""
    return [DiscordMessage(content=part) for part in split_text(text)]


def fit_embed(given: Any) -> list[dict[str, Any]]:
    """The embed that a template made as embeds within the limits, one per message. Raises ValueError where it is none.

    A field's value is a text or a list of lines. The footer stands on the last one.
    """
    if not isinstance(given, Mapping):
        raise ValueError("it makes no object; an embed begins with {")
    fitting = _fitting(given, "", [])
    if not any(embed.get("title") or embed.get("description") or embed.get("fields") for embed in fitting):
        raise ValueError("it makes an embed without title, description and fields, which Discord refuses")
    return fitting


def own_embeds(summary: Summary, given: Mapping[str, Any], run_id: str = "") -> list[dict[str, Any]]:
    """An engine's own embed: as it is where it fits, cut up by the limits where not; with what readers must know."""
    return _fitting(given, _footer(summary, run_id), [*_notice(summary), *_remarks(summary)])


def one_message(every: list[dict[str, Any]], shortened: str) -> dict[str, Any]:
    """The embeds as one message that mentions nobody; where not all fit, ``shortened`` stands in the footer.

    One, because a webhook knows no nonce: parts could arrive twice.
    """
    shown: list[dict[str, Any]] = []
    size = 0
    for embed in every[:_MAX_MESSAGES]:
        size += _embed_size(embed)
        if shown and size > EMBED_LIMIT - _FOOTER_ROOM:
            break
        shown.append(embed)
    if len(shown) < len(every):
        shown[-1] = {**shown[-1], "footer": {"text": cut(shortened, _FOOTER_ROOM)}}
    return {"embeds": shown, "allowed_mentions": {"parse": []}}


def disarmed_embed(value: Any) -> Any:
    """An engine's own embed without masked links: webhooks post in channels that nobody checks against the source."""
    if isinstance(value, Mapping):
        return {key: item if key in ("url", "icon_url") else disarmed_embed(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [disarmed_embed(item) for item in value]
    return disarm(value) if isinstance(value, str) else value


def _embed_size(embed: Mapping[str, Any]) -> int:
    texts = [embed.get("title", ""), embed.get("description", ""), embed.get("footer", {}).get("text", "")]
    texts += [embed.get("author", {}).get("name", "")]
    texts += [text for entry in embed.get("fields", ()) for text in (entry["name"], entry["value"])]
    return sum(units(text) for text in texts)


def _notice(summary: Summary) -> Iterator[_Field]:
    if one_line(summary.notice):
        yield _Field("Note", cut(escape_markdown(one_line(summary.notice)), FIELD_VALUE_LIMIT))


def _remarks(summary: Summary) -> Iterator[_Field]:
    yield from _list_fields("Channels", [f"- {_channel(note)}" for note in remarkable(summary.channels)])


def _channel(note: ChannelNote) -> str:
    name = f"#{one_line(note.name)}" if one_line(note.name) else f"channel {one_line(note.channel_id)}"
    count = [counted(note.message_count, "message")] if note.message_count else []
    return escape_markdown(f"{name}: {', '.join([*count, one_line(note.note)])}")


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


def _fitting(given: Mapping[str, Any], footer: str, remarks: list[_Field]) -> list[dict[str, Any]]:
    """An embed within the limits, then the remarks. Keys that Discord does not take from bots are left out."""
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
        inline = bool(entry.get("inline", False))
        if isinstance(lines := entry.get("value"), (list, tuple)):
            whole = [disarm_mentions(str(line)) for line in lines]
            yield from (field._replace(inline=inline) for field in _list_fields(name, whole))
            continue
        value = disarm_mentions(str(entry.get("value") or ""))
        for number, part in enumerate(split_text(value, FIELD_VALUE_LIMIT) or ["\u200b"]):
            yield _Field(name if number == 0 else f"{name} (continued)", part, inline)


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
