"""A few sentences that say who talked, about what, and what moved people most."""

# ruff: noqa: RUF001 - the marks of other scripts are meant

from __future__ import annotations

import re
from collections.abc import Sequence

from adapters.summarizers.lines import Line

__all__ = ["join_words", "overview", "shortened"]

_QUOTED_CHARACTERS = 150
_QUESTION = re.compile(r"[?？؟](?=[\s)\"'”»]|$)|？")


def overview(
    lines: Sequence[Line],
    *,
    people: Sequence[tuple[str, int]],
    topics: Sequence[str],
    channel: str,
    sentences: int,
    name_people: bool,
) -> str:
    """At most ``sentences`` sentences of prose, in English, in plain words."""
    parts = [_who(people, len(lines), channel, name_people)]
    if topics:
        parts.append(f"Most discussed: {join_words(topics)}.")
    parts += [part for part in (_echo(lines), _shared(lines), _asked(lines)) if part]
    return " ".join(parts[:sentences])


def join_words(words: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def shortened(text: str, limit: int) -> str:
    """The text cut at a word, with an ellipsis, when it is longer than ``limit`` characters."""
    if len(text) <= limit:
        return text
    head = text[: limit - 1]
    space = head.rfind(" ", limit // 2)
    return (head[:space] if space > 0 else head).rstrip(" ,;:-") + "…"


def _who(people: Sequence[tuple[str, int]], messages: int, channel: str, name_people: bool) -> str:
    where = f" in #{channel.lstrip('#')}" if channel else ""
    count = f"{messages:,} message" + ("" if messages == 1 else "s")
    if len(people) == 1:
        return f"{people[0][0] if name_people else 'One person'} wrote {count}{where}."
    text = f"{len(people):,} people wrote {count}{where}"
    if not name_people:
        return text + "."
    if len(people) <= 3:
        return f"{text}: {join_words([f'{name} ({number})' for name, number in people])}."
    return f"{text}, led by {join_words([f'{name} ({number})' for name, number in people[:3]])}."


def _quoted(line: Line) -> str:
    return f"{line.author}: “{shortened(line.text, _QUOTED_CHARACTERS)}”"


def _said(lines: Sequence[Line]) -> list[Line]:
    return [line for line in lines if len(line.text) >= 15 and not line.is_bot]


def _echo(lines: Sequence[Line]) -> str:
    """Which message got the most replies, and which the most reactions, where that tells something."""
    told = _said(lines)
    if not told:
        return ""
    discussed = max(told, key=lambda line: (len(line.replies), line.reactions, -line.at.timestamp()))
    liked = max(told, key=lambda line: (line.reactions, len(line.replies), -line.at.timestamp()))
    replies, reactions = len(discussed.replies), liked.reactions
    if replies >= 3 and reactions >= 3 and discussed is liked:
        return f"The most replies ({replies}) and reactions ({reactions}) went to {_quoted(liked)}."
    parts = [f"The most replies ({replies}) went to {_quoted(discussed)}."] if replies >= 3 else []
    if reactions >= 3:
        parts.append(f"The most reactions ({reactions}) went to {_quoted(liked)}.")
    return " ".join(parts)


def _shared(lines: Sequence[Line]) -> str:
    links = sum("http" in line.raw for line in lines)
    files = sum(line.attachments for line in lines)
    parts = [f"{n:,} {noun}{'' if n == 1 else 's'}" for n, noun in ((links, "link"), (files, "file")) if n]
    return f"{join_words(parts)} {'was' if links + files == 1 else 'were'} shared." if parts else ""


def _asked(lines: Sequence[Line]) -> str:
    questions = [line for line in lines if _QUESTION.search(line.text)]
    replied = sum(bool(line.replies) for line in questions)
    if len(questions) < 3:
        return ""
    return f"{len(questions)} questions were asked; {replied} of them got a direct reply."
