"""Text that people typed, made harmless: controls, mentions, masked links, Markdown and addresses."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import quote, urlsplit

__all__ = ["clean", "disarm", "disarm_mentions", "escape_markdown", "one_line", "safe_url"]

_MAX_MARKS = 4
"""More combining marks than this on one character are a prank (Zalgo), not a language."""

_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 and C1 controls without tab and line feed
    "\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069"  # direction marks: U+202E shows text reversed
    "\u2028\u2029\ufeff\ufff9-\ufffb\U000e0000-\U000e0fff]"  # other line ends, invisible tags
)
_LINE_ENDS = re.compile("\r\n?|[\u2028\u2029\x85\x0b\x0c]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_MARKS = re.compile("[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]{5,}")

_MENTION = re.compile(r"<(?=[@#]|/[\w -]+:\d|id:)|@(?=everyone|here)", re.IGNORECASE)
_MASKED = re.compile(r"\](?=\s*[(\[:])(?!\(https://(?:\w+\.)?discord(?:app)?\.com/channels/[\d@me/]+\))")
_HTML = re.compile(r"<(?!t:-?\d{1,14}(?::[a-zA-Z])?>|https?://[^\s<>]+>)(?=[a-zA-Z/!?])")
_INLINE_CODE_OR_URL = re.compile(r"(?<!`)`[^`\n]+`(?!`)|https?://[^\s<>()\[\]`*|\\\"]+")
_SPECIAL = re.compile(r"[\\*~|<>\[\]`]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
_LINE_START = re.compile(r"^([^\S\n]*)(#{1,6}(?=\s|$)|[+-](?=[\s#]|$)|[=-]{2,}[^\S\n]*$)", re.MULTILINE)
_NUMBERED = re.compile(r"^([^\S\n]*\d{1,9})([.)])(?=\s|$)", re.MULTILINE)


def clean(text: str) -> str:
    """The text without control, direction and invisible characters, lone surrogates and heaps of combining marks.

    Line ends of every kind become a line feed; tabs stay.
    """
    text = _LINE_ENDS.sub("\n", text)
    text = _SURROGATE.sub("\ufffd", text)
    text = _UNSAFE.sub("", text)
    return _MARKS.sub(lambda marks: marks[0][:_MAX_MARKS], text)


def one_line(text: str) -> str:
    """Cleaned, with every run of white space as one space."""
    return " ".join(clean(text).split())


def disarm_mentions(text: str) -> str:
    """Cleaned Markdown that mentions nobody and is otherwise what it was. Idempotent."""
    return _MENTION.sub(lambda match: match[0] + "\u200b", clean(text))


def disarm(text: str) -> str:
    """Markdown that stays Markdown, but mentions nobody, hides no link behind words and holds no HTML.

    Discord's timestamps, links to its messages and plain links in angle brackets are left alone. Idempotent.
    """
    text = disarm_mentions(text)
    text = _MASKED.sub("]\u200b", text)
    return _HTML.sub("<\u200b", text)


def escape_markdown(text: str) -> str:
    """Plain words as Markdown that shows them as they are. Inline code and bare links stay; nobody is mentioned.

    Inline code is disarmed as well: readers of Markdown disagree where code begins after an escaped backtick.
    """
    text = clean(text)
    parts, end = [], 0
    for kept in _INLINE_CODE_OR_URL.finditer(text):
        parts += [_escape(text[end : kept.start()]), disarm(kept[0]) if kept[0][0] == "`" else kept[0]]
        end = kept.end()
    escaped = "".join([*parts, _escape(text[end:])])
    escaped = _NUMBERED.sub(r"\1\\\2", _LINE_START.sub(r"\1\\\2", escaped))
    return re.sub(r"@(?=everyone|here)|(?<=<)(?=@)", lambda match: match[0] + "\u200b", escaped, flags=re.IGNORECASE)


def _escape(text: str) -> str:
    return _SPECIAL.sub(lambda match: "\\" + match[0], text)


def safe_url(url: str | None) -> str | None:
    """A web address that may stand in a Markdown link, or None: http(s), a host, no user, at most 500 characters."""
    if not url or len(url) > 500 or unicodedata.normalize("NFC", url) != url or re.search(r"[\s\x00-\x1f\\]", url):
        return None
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not host or "@" in parts.netloc or _SURROGATE.search(url):
        return None
    return quote(url, safe="%/:?#[]@!$&',;=+~-._*").replace("[", "%5B").replace("]", "%5D")
