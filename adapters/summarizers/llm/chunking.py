"""Messages as numbered lines, and lines in as many parts as fit into one request each. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from adapters.rendering import one_line
from adapters.summarizers.lines import Line

__all__ = ["Numbered", "estimated_tokens", "fence_of", "numbered", "packed"]

_USER = re.compile(r"<@!?(\d{1,25})>")
_ROLE = re.compile(r"<@&\d{1,25}>")
_CHANNEL = re.compile(r"<#\d{1,25}>")
_EMOJI = re.compile(r"<a?(:\w{1,40}:)\d{1,25}>")


@dataclass(frozen=True, slots=True)
class Numbered:
    """A message with its number, from 1 on, as the one line that the model reads."""

    number: int
    line: Line
    text: str


def estimated_tokens(text: str) -> int:
    """How many tokens a text has at most, about: a third of its bytes in UTF-8.

    English has about four bytes a token, code and most languages in Latin letters three, scripts of three bytes a
    character about one token for each: the estimate errs on the large side for prose, and needs no vendor's tables.
    """
    return -(-len(text.encode("utf-8", "replace")) // 3)


def numbered(lines: Sequence[Line], names: Mapping[str, str], *, attachments: bool) -> list[Numbered]:
    """The lines in which something was said, or (with ``attachments``) shown, in their order.

    Whatever a message holds, it stays within its one line: no text of it can pass for another message.
    """
    told = [line for line in lines if line.raw.strip() or (attachments and line.attachments)]
    numbers = {line.id: number for number, line in enumerate(told, 1)}
    return [Numbered(n, line, _as_line(n, line, numbers, names, attachments)) for n, line in enumerate(told, 1)]


def _as_line(number: int, line: Line, numbers: Mapping[str, int], names: Mapping[str, str], attachments: bool) -> str:
    notes = []
    answered = numbers.get(line.reply_to) if line.reply_to else None
    if answered is not None:
        notes.append(f"answers {answered}")
    if line.reactions:
        notes.append(f"{line.reactions} reactions")
    if attachments and line.attachments:
        notes.append(f"{line.attachments} files")
    said = _USER.sub(lambda mention: names.get(mention[1], "somebody"), line.raw)
    said = _EMOJI.sub(r"\1", _CHANNEL.sub("a channel", _ROLE.sub("a role", said)))
    note = f" ({', '.join(notes)})" if notes else ""
    return f"[{number}] {line.at:%Y-%m-%d %H:%M} {one_line(line.author)[:100]}{note}: {one_line(said)}"


def packed(texts: Iterable[str], capacity: int) -> list[list[int]]:
    """Which texts (by index) go together, in their order, so that no part is estimated at over ``capacity`` tokens.

    Every text is in exactly one part. One that is over the capacity alone has a part of its own.
    """
    parts: list[list[int]] = []
    room = -1
    for index, text in enumerate(texts):
        size = estimated_tokens(text + "\n")
        if size > room or not parts:
            parts.append([])
            room = capacity
        parts[-1].append(index)
        room -= size
    return parts


def fence_of(texts: Iterable[str]) -> str:
    """A word to fence these texts with, which none of their writers can know: it depends on all that was written."""
    digest = blake2b(digest_size=8)
    for text in texts:
        digest.update(text.encode("utf-8", "replace") + b"\0")
    return f"CHAT-{digest.hexdigest()}"
