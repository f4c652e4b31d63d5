"""Messages as the engine reads them: taken leniently from what a host gives, cleaned of everything that is not said."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from domain.errors import InsufficientContent
from domain.event import utc
from domain.summary import SummaryOptions

__all__ = ["MAX_CONTENT_CHARACTERS", "Line", "Speech", "clean_speech", "heard", "people_of", "read_lines"]

MAX_CONTENT_CHARACTERS = 4000
"""What is read of one message; Discord allows no more."""


@dataclass(slots=True)
class Line:
    """One message, with what was said in it (``text``, cleaned; empty when nothing worth reading was)."""

    id: str
    author_id: str
    author: str
    at: datetime
    raw: str
    reply_to: str | None
    reactions: int
    attachments: int
    url: str | None
    is_bot: bool
    replies: list[Line] = field(default_factory=list)
    text: str = ""
    code: tuple[str, ...] = ()


def read_lines(messages: Sequence[Any]) -> list[Line]:
    """The messages in order of time, linked to their replies. One without a time, or with a naive one, is refused."""
    lines = [_line(message, number) for number, message in enumerate(messages)]
    lines.sort(key=lambda line: (line.at, line.id))
    by_id = {line.id: line for line in lines}
    for line in lines:
        parent = by_id.get(line.reply_to) if line.reply_to else None
        if parent is not None and parent is not line:
            parent.replies.append(line)
    return lines


def heard(messages: Sequence[Any], options: SummaryOptions) -> list[Line]:
    """The lines of those who are to be heard, in order of time. Raises InsufficientContent where nothing was said."""
    lines = [
        line
        for line in read_lines(messages)
        if line.author_id not in options.excluded_users and (options.include_bots or not line.is_bot)
    ]
    if not any(line.raw.strip() or line.attachments for line in lines):
        raise InsufficientContent(len(lines), max(1, options.min_messages))
    return lines


def people_of(lines: Sequence[Line]) -> list[tuple[str, int]]:
    """Who wrote how many messages, most first, under the name used last."""
    counts = Counter(line.author_id for line in lines)
    names = {line.author_id: line.author for line in lines}
    ranked = sorted(counts, key=lambda author: (-counts[author], names[author].lower(), author))
    return [(names[author], counts[author]) for author in ranked]


def _first(message: Any, *names: str) -> Any:
    for name in names:
        value = message.get(name) if isinstance(message, Mapping) else getattr(message, name, None)
        if value is not None:
            return value
    return None


def _line(message: Any, number: int) -> Line:
    author = _first(message, "author")
    author_id = _first(message, "author_id")
    if author_id is None:
        author_id = getattr(author, "id", "unknown")
    name = _first(message, "author_name") or getattr(author, "display_name", None) or getattr(author, "name", None)
    at = _first(message, "timestamp", "created_at")
    if not isinstance(at, datetime):
        raise ValueError(f"message {number}: timestamp is {at!r}; an aware datetime is needed")
    reply_to = _first(message, "reply_to", "reply_to_id") or getattr(_first(message, "reference"), "message_id", None)
    url = _first(message, "url", "jump_url")
    return Line(
        id=str(_first(message, "id", "message_id") or f"{number:09d}"),
        author_id=str(author_id),
        author=" ".join(str(name or author_id).split())[:100],
        at=utc(at),
        raw=str(_first(message, "content") or "")[:MAX_CONTENT_CHARACTERS],
        reply_to=str(reply_to) if reply_to else None,
        reactions=_count(_first(message, "reactions")),
        attachments=_size(_first(message, "attachments")),
        url=url if isinstance(url, str) else None,
        is_bot=bool(_first(message, "is_bot") or getattr(author, "bot", False)),
    )


def _count(reactions: Any) -> int:
    if isinstance(reactions, int):
        return max(0, reactions)
    try:
        return sum(int(getattr(reaction, "count", 1)) for reaction in reactions or ())
    except (TypeError, ValueError):
        return 0


def _size(things: Any) -> int:
    try:
        return len(things or ())
    except TypeError:
        return 0


# --- cleaning ----------------------------------------------------------------------------------------------------

_CODE_BLOCK = re.compile(r"```(.*?)(?:```|\Z)", re.DOTALL)
_INLINE_CODE = re.compile(r"`([^`\n]{1,80})`")
_EMOJI = re.compile(r"<a?:\w{1,40}:\d{1,25}>|(?<![\w/:]):[a-z][a-z0-9_+-]{1,31}:(?![\w/])")
_USER = re.compile(r"<@!?(\d{1,25})>")
_OTHER_MENTION = re.compile(r"<@&\d+>|<#\d+>|</[^>\n]{1,60}:\d+>|<id:\w+>|<t:-?\d+(?::\w)?>|@(?:everyone|here)\b[,:]?")
_ADDRESS = re.compile(r"^(?:(?:@[\w.-]{2,32}|<@!?\d{1,25}>)[,:]?\s+)+")
_AT = re.compile(r"(?<![\w@.])@(?=\w)")
_MASKED_LINK = re.compile(r"\[([^\]\n]{1,200})\]\((https?://[^)\s]{1,500})\)")
_URL = re.compile(r"<?(https?://[^\s<>]{1,1000})>?")
_QUOTE = re.compile(r"^[^\S\n]*(?:>>>.*\Z|>[^\n]*(?:\n|\Z))", re.MULTILINE | re.DOTALL)
_LINE_MARKS = re.compile(r"^[^\S\n]*(?:#{1,3}\s|-#\s|[-*•]\s)", re.MULTILINE)
_MARKS = re.compile(r"\*\*|__|~~|\|\||(?<![\w*])[*_](?=\S)|(?<=\S)[*_](?![\w*])")
_PICTURES = re.compile("[\U0001f000-\U0001faff\u2600-\u27bf\u2b00-\u2bff\ufe0f\u200d\U0001f1e6-\U0001f1ff]+")
_COMMAND = re.compile(r"^(?:[!?$;%&~+]{1,2}|/|\.(?=\S+$))[a-z][\w-]{1,24}(?:\s|$)", re.IGNORECASE)
_NOTICE = re.compile(
    r"^(?:joined the server\.?|pinned a message.*|started a (?:thread|call).*|(?:just )?boosted the server.*|"
    r"changed the channel (?:name|icon).*|added .{1,60} to the (?:group|thread)\.?|welcome to the server.*)$",
    re.IGNORECASE,
)
_EMPTIED = re.compile(r"\((?:see)?\s*\)|\[(?:see)?\s*\]", re.IGNORECASE)
_BEFORE_END = re.compile(r"(?<=\w)[^\S\n]+(?=[.,;!?](?:\s|$))")


@dataclass(frozen=True, slots=True)
class Speech:
    """What was said: the text as readers see it, and the pieces of code that were taken out or marked."""

    text: str
    code: tuple[str, ...]


def clean_speech(raw: str, names: Mapping[str, str]) -> Speech:
    """The words of a message without mentions, links, custom emoji, code blocks, quotations, commands and marks.

    ``names`` tells who a mentioned user id is. Of a link with words the words stay; the point links to the message.
    """
    code: list[str] = []
    text = raw.strip()
    if _COMMAND.match(text) or _NOTICE.match(text):
        return Speech("", ())
    if "```" in text:
        code += [block[:400] for block in _CODE_BLOCK.findall(text)]
        text = _CODE_BLOCK.sub("\n", text)
    if ">" in text:
        text = _QUOTE.sub("", text)
    if "<" in text or ":" in text:
        text = _EMOJI.sub(" ", text)
    if "@" in text or "<" in text:
        text = _ADDRESS.sub("", _OTHER_MENTION.sub(" ", text).strip())
        text = _AT.sub("", _USER.sub(lambda mention: names.get(mention[1], ""), text))
    if "](" in text:
        text = _MASKED_LINK.sub(r"\1", text)
    if "http" in text:
        text = _BEFORE_END.sub("", _EMPTIED.sub(" ", _URL.sub(_without_address, text)))
    if "`" in text:
        code += _INLINE_CODE.findall(text)
    else:
        text = _MARKS.sub("", _LINE_MARKS.sub("", text))
    if not text.isascii():
        text = _PICTURES.sub(" ", text)
    return Speech(" ".join(text.split()).strip(" ,;:-—"), tuple(code))


def _without_address(match: re.Match[str]) -> str:
    """What follows an address and belongs to the sentence: its full stop, its bracket."""
    url = match[1]
    return " " + url[len(url.rstrip(".,;:!?)'\"")) :]
