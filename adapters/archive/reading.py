"""One DiscordChatExporter JSON file, of any version, as rows: streamed, checked message by message, bounded."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import IO, Any, NamedTuple

import ijson

from domain.errors import InvalidImport
from domain.event import epoch_microseconds, utc

__all__ = ["Author", "Export", "Header", "NoExport", "Row", "read_export", "read_header"]

_MAX_DEPTH = 64
_MAX_TEXT_BYTES = 1 << 20
_MAX_DIGITS = 400
_MAX_MESSAGES = 2_000_000
_MAX_CONTENT_CHARACTERS = 8_000
_MAX_NAME_CHARACTERS = 200
_MAX_ID_CHARACTERS = 100
_MAX_ITEMS = 100
_MAX_LOCATED_BYTES = 16 << 20
_CHUNK_BYTES = 1 << 16

# The parser lets some bytes through that are not UTF-8, and numbers that are too large for a decimal.
_BROKEN = (ijson.JSONError, UnicodeDecodeError, ArithmeticError)

_AGAIN = "export the channel again with DiscordChatExporter, format JSON"

# The exporter writes the names of the message types it knows and the numbers of the others ("None": a file without
# types). Everything else is a notice of the system: somebody joined, pinned, called, boosted.
_SPOKEN = frozenset(
    {"Default", "Reply", "ChatInputCommand", "ContextMenuCommand", "0", "19", "20", "23", "None", "Forward"}
)


class NoExport(InvalidImport):
    """The file is something else than an export, or broken before it says what it is."""


class Author(NamedTuple):
    """Who wrote a message, as the export names them."""

    id: str
    name: str
    is_bot: bool


class Row(NamedTuple):
    """One message, small: ``at`` is in microseconds since 1970 (UTC). Rows order by time, then by id."""

    at: int
    id: str
    author: Author
    content: str
    reply_to: str | None
    reactions: int
    attachments: tuple[str, ...]

    @property
    def order(self) -> tuple[int, int, str]:
        """Sorts ids made of digits by their number."""
        return self.at, len(self.id), self.id


class Header(NamedTuple):
    """What a file says about itself. ``exported_at`` is in microseconds since 1970, 0 when the file does not say.

    ``parent_id`` is the category of a channel, and the channel of a thread (``is_thread``); empty where there is none.
    """

    guild_id: str
    guild_name: str
    channel_id: str
    channel_name: str
    exported_at: int
    parent_id: str = ""
    parent_name: str = ""
    is_thread: bool = False


class Export(NamedTuple):
    """The messages of one file, sorted, each id once; and the names of people (under ``@1``) and roles (``&1``)."""

    rows: list[Row]
    names: dict[str, str]


class _Guarded:
    """A file that parsers may trust: no byte order mark, no deep nesting, no endless text or number.

    The parser keeps the path of every open level and crashes the interpreter on an integer of thousands of digits,
    so both are found before it sees them.
    """

    _digits = re.compile(rb"[0-9]{%d}" % _MAX_DIGITS)
    _not_brackets = bytes(set(range(256)) - set(b"[]{}"))

    def __init__(self, file: IO[bytes], path: Path) -> None:
        self._file, self._path = file, path
        self._depth, self._is_in_text, self._text_bytes, self._escape, self.position = 0, False, 0, b"", 0

    def read(self, size: int = -1) -> bytes:
        chunk = self._file.read(_CHUNK_BYTES if size < 0 else size)
        if self.position == 0:
            if chunk.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                raise InvalidImport(f"{self._path}: byte 0", chunk[:8], "is UTF-16", "save the file as UTF-8")
            chunk = chunk.removeprefix(codecs.BOM_UTF8) or (self._file.read(size) if chunk else b"")
        self._check(chunk)
        self.position += len(chunk)
        return chunk

    def _outside_texts(self, chunk: bytes) -> bytes:
        """The chunk without its texts; a text that goes on in the next chunk is remembered."""
        data = self._escape + chunk
        self._escape = b"\\" if (len(data) - len(data.rstrip(b"\\"))) % 2 else b""
        data = data[: len(data) - len(self._escape)]
        pieces = data.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')
        outside = b"".join(pieces[self._is_in_text :: 2])
        self._is_in_text ^= len(pieces) % 2 == 0
        self._text_bytes = (self._text_bytes if len(pieces) == 1 else 0) + len(pieces[-1]) if self._is_in_text else 0
        return outside

    def _check(self, chunk: bytes) -> None:
        outside = self._outside_texts(chunk)
        if self._text_bytes > _MAX_TEXT_BYTES:
            self._refuse(chunk[:40], "is in a text of more than 1 MiB")
        if number := self._digits.search(outside):
            self._refuse(number[0], f"begins a number of more than {_MAX_DIGITS} digits")
        brackets = outside.translate(None, self._not_brackets)
        for _ in range(_MAX_DEPTH):
            shorter = brackets.replace(b"[]", b"").replace(b"{}", b"")
            if len(shorter) == len(brackets):
                break
            brackets = shorter
        closing = brackets.count(b"]") + brackets.count(b"}")
        self._depth += len(brackets) - 2 * closing
        if len(brackets) - closing > _MAX_DEPTH or self._depth > _MAX_DEPTH:
            self._refuse(brackets[:40], f"is nested more than {_MAX_DEPTH} levels deep")

    def _refuse(self, value: object, problem: str) -> None:
        raise InvalidImport(f"{self._path}: near byte {self.position}", value, problem, _AGAIN)


# --- places and errors ----------------------------------------------------------------------------------------------


def _first_bad_byte(path: Path) -> tuple[int, bytes] | None:
    decoder = codecs.getincrementaldecoder("utf-8")()
    position = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            held = len(decoder.getstate()[0])
            try:
                decoder.decode(chunk)
            except UnicodeDecodeError as error:
                return position - held + error.start, error.object[error.start : error.start + 8]
            position += len(chunk)
    return None


def _syntax_error(path: Path, done: int, position: int) -> InvalidImport:
    """The clearest thing that can be said about a file that is no JSON; ``done`` messages were whole."""
    after = f"after message {done}" if done else "before the first message"
    if bad := _first_bad_byte(path):
        return InvalidImport(f"{path}: byte {bad[0]}, {after}", bad[1], "is not UTF-8", "save the file as UTF-8")
    size = path.stat().st_size
    if size == 0:
        return InvalidImport(f"{path}", "", "is an empty file", _AGAIN)
    if size <= _MAX_LOCATED_BYTES:
        text = path.read_text(encoding="utf-8-sig", errors="replace")  # the last character may be cut in two
        try:
            json.loads(text)
        except json.JSONDecodeError as error:
            rest = text[error.pos :].strip()
            if any(word.startswith(rest) for word in ("true", "false", "null")) or error.msg.startswith("Unterminated"):
                return InvalidImport(
                    f"{path}: byte {size}, {after}", text[-40:], "is where the file ends, too early", _AGAIN
                )
            place = f"{path}: line {error.lineno}, column {error.colno}, {after}"
            return InvalidImport(place, text[error.pos : error.pos + 40], f"is no JSON ({error.msg})", _AGAIN)
        except (RecursionError, ValueError):
            pass  # this reader stumbles over something else, later: the place stays approximate
    problem = "the JSON breaks off or is broken here"
    return InvalidImport(f"{path}: near byte {min(position, size)}, {after}", path.name, problem, _AGAIN)


class _Place:
    """Where in a file we are, for errors, and the checks that need it."""

    def __init__(self, path: Path) -> None:
        self.path, self.number, self.id = path, 0, ""

    def wrong(self, key: str, value: object, problem: str, remedy: str) -> InvalidImport:
        here = f"message {self.number}" if self.number else "header"
        here += f" (id {self.id})" if self.id else ""
        return InvalidImport(f"{self.path}: {here}, {key}", value, problem, remedy)

    def id_of(self, key: str, value: object) -> str:
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        if isinstance(value, str) and 0 < len(value) <= _MAX_ID_CHARACTERS:
            return value
        raise self.wrong(key, value, "is no id", "a text or a number is right, such as 1100516799390429195")

    def text(self, key: str, value: object, limit: int = _MAX_CONTENT_CHARACTERS) -> str:
        if value is None:
            return ""
        if not isinstance(value, str):
            raise self.wrong(key, value, "is no text", "a text or null is right")
        return value if len(value) <= limit else value[: limit - 1] + "…"

    def mapping(self, key: str, value: object) -> dict[str, Any]:
        if isinstance(value, dict):
            return value
        raise self.wrong(key, value, "is no object", 'an object is right, such as {"id": "1"}')

    def optional(self, key: str, value: object) -> dict[str, Any]:
        return {} if value is None else self.mapping(key, value)

    def items(self, key: str, value: object) -> list[dict[str, Any]]:
        if value is None:
            return []
        if not isinstance(value, list):
            raise self.wrong(key, value, "is no list", "a list or null is right")
        return [self.mapping(key, item) for item in value[:_MAX_ITEMS]]

    def instant(self, key: str, value: object) -> int:
        try:
            return epoch_microseconds(utc(datetime.fromisoformat(value if isinstance(value, str) else "")))
        except (ValueError, OverflowError):
            right = "ISO 8601 with a UTC offset is right, such as 2026-11-23T09:00:00+00:00"
            raise self.wrong(key, value, "names no instant", right) from None


# --- the header -----------------------------------------------------------------------------------------------------

_HEADER_KEYS = (
    *("guild.id", "guild.name", "channel.id", "channel.name", "exportedAt"),
    *("channel.type", "channel.categoryId", "channel.category"),
)

# The names that the exporter writes; of types that it does not know, the number.
_THREADS = frozenset({"GuildNewsThread", "GuildPublicThread", "GuildPrivateThread", "10", "11", "12"})


def read_header(path: Path) -> Header:
    """What the file says about itself.

    Raises NoExport for a file that is something else, InvalidImport for an export that is broken, and OSError.
    """
    found: dict[str, object] = {}
    with path.open("rb") as file:
        guarded = _Guarded(file, path)
        try:
            has_messages = _scan_header(guarded, found)
        except _BROKEN:
            error = _syntax_error(path, 0, guarded.position)
            raise error if "channel.id" in found else NoExport(*_parts(error)) from None
        except InvalidImport as error:
            raise error if "channel.id" in found else NoExport(*_parts(error)) from None
    if "channel.id" not in found or not (has_messages or "guild.id" in found):
        right = 'an object with "guild", "channel" and "messages" is right: DiscordChatExporter, format JSON'
        raise NoExport(str(path), path.name, "is no DiscordChatExporter JSON export", right)
    if not has_messages:
        raise InvalidImport(f"{path}: messages", None, "is missing", f'a list "messages" is right; {_AGAIN}')
    place = _Place(path)
    guild_id = found.get("guild.id")
    return Header(
        guild_id="" if guild_id is None else place.id_of("guild.id", guild_id),
        guild_name=place.text("guild.name", found.get("guild.name"), _MAX_NAME_CHARACTERS),
        channel_id=place.id_of("channel.id", found["channel.id"]),
        channel_name=place.text("channel.name", found.get("channel.name"), _MAX_NAME_CHARACTERS),
        exported_at=_exported_at(found.get("exportedAt")),
        parent_id=_of_parent(found.get("channel.categoryId")),
        parent_name=_of_parent(found.get("channel.category")),
        is_thread=str(found.get("channel.type")) in _THREADS,
    )


def _of_parent(value: object) -> str:
    # A channel without a category has null, 0 or an empty text, depending on the version of the exporter. What is
    # none of these is no reason to refuse the messages.
    text = str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""
    return "" if text == "0" else text[:_MAX_NAME_CHARACTERS]


def _parts(error: InvalidImport) -> tuple[str, object, str, str]:
    return error.field, error.value, error.problem, error.remedy


def _scan_header(guarded: _Guarded, found: dict[str, object]) -> bool:
    has_messages = False
    for prefix, event, value in ijson.parse(guarded, buf_size=_CHUNK_BYTES):
        if prefix == "messages" and event == "start_array":
            has_messages = True
            if "channel.id" in found and "guild.id" in found:
                return True  # which is where every exporter writes them: before the messages
        elif prefix in _HEADER_KEYS and event in ("string", "number", "null"):
            found[prefix] = value
    return has_messages


def _exported_at(value: object) -> int:
    try:
        return epoch_microseconds(utc(datetime.fromisoformat(str(value))))
    except (ValueError, OverflowError):
        return 0  # older exporters do not write it: such a file counts as the oldest


# --- the messages ---------------------------------------------------------------------------------------------------


def read_export(path: Path, channel_id: str) -> Export:
    """All messages of the file, sorted, and the names it knows. Raises InvalidImport (with the place) and OSError."""
    rows: dict[str, Row] = {}
    names: dict[str, str] = {}
    authors: dict[Author, Author] = {}
    place = _Place(path)
    with path.open("rb") as file:
        guarded = _Guarded(file, path)
        try:
            for message in _messages(guarded, place):
                if row := _row(message, place, channel_id, names, authors):
                    rows[row.id] = row
        except _BROKEN:
            raise _syntax_error(path, place.number, guarded.position) from None
    return Export(sorted(rows.values(), key=lambda row: row.order), names)


def _messages(guarded: _Guarded, place: _Place) -> Iterator[dict[str, Any]]:
    for message in ijson.items(guarded, "messages.item", buf_size=_CHUNK_BYTES):
        place.number, place.id = place.number + 1, ""
        if place.number > _MAX_MESSAGES:
            problem = f"is one more than {_MAX_MESSAGES:,} messages"
            raise place.wrong("count", place.number, problem, "export a shorter range of dates")
        yield place.mapping("value", message)


def _row(
    message: dict[str, Any], place: _Place, channel_id: str, names: dict[str, str], authors: dict[Author, Author]
) -> Row | None:
    """The message as a row; None for a notice of the system. What it names is added to ``names`` in any case."""
    place.id = place.id_of("id", message.get("id"))
    at = place.instant("timestamp", message.get("timestamp"))
    author = _author(place.mapping("author", message.get("author")), place, names)
    for mentioned in place.items("mentions", message.get("mentions")):
        _author(mentioned, place, names)
    if str(message.get("type")) not in _SPOKEN:
        return None
    content, attachments = _said(message, place)
    return Row(
        at=at,
        id=place.id,
        author=authors.setdefault(author, author),
        content=content,
        reply_to=_reply_to(place.optional("reference", message.get("reference")), channel_id, place),
        reactions=sum(_count(reaction, place) for reaction in place.items("reactions", message.get("reactions"))),
        attachments=attachments,
    )


def _author(user: dict[str, Any], place: _Place, names: dict[str, str]) -> Author:
    user_id = place.id_of("author.id", user.get("id"))
    nickname = place.text("author.nickname", user.get("nickname"), _MAX_NAME_CHARACTERS)
    name = nickname or place.text("author.name", user.get("name"), _MAX_NAME_CHARACTERS) or user_id
    names["@" + user_id] = name
    for role in place.items("author.roles", user.get("roles")):
        if role_name := place.text("author.roles.name", role.get("name"), _MAX_NAME_CHARACTERS):
            names["&" + place.id_of("author.roles.id", role.get("id"))] = role_name
    return Author(user_id, name, user.get("isBot") is True)


def _said(message: dict[str, Any], place: _Place) -> tuple[str, tuple[str, ...]]:
    """The text and the names of attached files; where there is no text, the forwarded one or that of the embed."""
    content = place.text("content", message.get("content"))
    files = _file_names(message, place)
    if forwarded := place.optional("forwardedMessage", message.get("forwardedMessage")):
        files += _file_names(forwarded, place)
        if not content:
            content = place.text("forwardedMessage.content", forwarded.get("content"))
    if not content and (embeds := place.items("embeds", message.get("embeds"))):
        parts = (place.text(f"embeds.{key}", embeds[0].get(key)) for key in ("title", "description"))
        content = "\n".join(part for part in parts if part)
    return content, files


def _file_names(message: dict[str, Any], place: _Place) -> tuple[str, ...]:
    return tuple(
        place.text("attachments.fileName", file.get("fileName"), _MAX_NAME_CHARACTERS) or "file"
        for file in place.items("attachments", message.get("attachments"))
    )


def _reply_to(reference: dict[str, Any], channel_id: str, place: _Place) -> str | None:
    """The id of the answered message: forwards and posts taken over from other channels answer nothing here."""
    message_id, elsewhere = reference.get("messageId"), reference.get("channelId")
    if message_id is None or reference.get("type") in ("Forward", 1, "1"):
        return None
    if elsewhere is not None and place.id_of("reference.channelId", elsewhere) != channel_id:
        return None
    return place.id_of("reference.messageId", message_id)


def _count(reaction: dict[str, Any], place: _Place) -> int:
    count = reaction.get("count", 1)
    if count is None:
        return 0
    if isinstance(count, int) and 0 <= count < 1 << 31:
        return int(count)
    raise place.wrong("reactions.count", count, "is no count", "a whole number from 0 on is right")
