"""Takes secrets out of text that people and programs will read: log lines, error messages, reports."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from typing import Any

__all__ = ["MASK", "masked", "masked_value", "one_line", "remember_secret"]

MASK = "[masked]"
_DEPTH = 6
_MOST_REMEMBERED = 256
_SHORTEST_REMEMBERED = 6

# Every quantifier is bounded, and every pattern begins with something rare: a log line must cost microseconds.
_PATTERNS = (
    # postgresql://user:password@host, https://user:password@host
    (re.compile(r"(://[^\s:/@\"']{0,200}:)[^\s/\"']{1,500}@"), rf"\1{MASK}@"),
    # .../api/webhooks/<id>/<token>
    (re.compile(r"(/api/(?:v\d{1,3}/)?webhooks/\d{1,25}/)[\w-]{1,200}", re.IGNORECASE), rf"\1{MASK}"),
    (re.compile(r"(hooks\.slack(?:-gov)?\.com/)[^\s\"'<>]{1,500}", re.IGNORECASE), rf"\1{MASK}"),
    (
        re.compile(r"(webhook\.office\.com/|logic\.azure\.com[:/]|api\.powerplatform\.com[:/])[^\s\"'<>]{1,2000}"),
        rf"\1{MASK}",
    ),
    # Standard Webhooks signing keys
    (re.compile(r"whsec_[A-Za-z0-9+/=_-]{1,500}"), f"whsec_{MASK}"),
    (
        re.compile(r"\b(Bearer|Bot)(\s{1,3})(?=[\w.~+/=-]{0,500}[\d.~+/=_-])[\w.~+/=-]{16,2000}", re.IGNORECASE),
        rf"\1\2{MASK}",
    ),
    (
        re.compile(
            r"\b(authorization[\"']?\s{0,3}[:=]\s{0,3}[\"']?)(?:\w{1,20}\s{1,3})?[^\s\"',]{1,2000}", re.IGNORECASE
        ),
        rf"\1{MASK}",
    ),
    # Discord tokens: the id in base64, a time, a signature
    (re.compile(r"(?<![\w-])(?:mfa\.[\w-]{20,200}|[\w-]{23,30}\.[\w-]{6,7}\.[\w-]{27,100})(?![\w-])"), MASK),
    # JSON web tokens
    (re.compile(r"(?<![\w-])eyJ[\w-]{8,2000}\.[\w-]{2,4000}\.[\w-]{0,1000}"), MASK),
    # password=..., "token": "..."
    (
        re.compile(
            r"(?<![a-z])((?:password|passwd|pwd|secret|token|api_?key|master_key|sig|signature)"
            r"[\"']?\s{0,2}(?:=|:)\s{0,2}[\"']?)(?!\[masked\])[^\s\"'&,;)}]{1,2000}",
            re.IGNORECASE,
        ),
        rf"\1{MASK}",
    ),
)
_NAMES = re.compile(
    r"(?:^|_)(?:password|passwd|pwd|secret|token|authorization|api_?key|(?:master|data|signing|private)_key|webhook_url|dsn"
    r"|database_url|cookie)s?$",
    re.IGNORECASE,
)
# What would let a name write a line of its own, or show itself other than it is.
_CONTROLS = {
    code: f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
    for code in [*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
} | {0x0A: "\\n", 0x0D: "\\r", 0x09: "\\t"}


_remembered: tuple[str, ...] = ()
_remembering = threading.Lock()


def remember_secret(secret: str) -> None:
    """Mask this very text from now on, whatever it looks like: a password has no pattern.

    The last 256 are kept; texts of less than 6 characters are not, they would blot out prose.
    """
    global _remembered
    if len(secret) >= _SHORTEST_REMEMBERED and secret not in _remembered:
        with _remembering:
            newest = (secret, *(text for text in _remembered if text != secret))
            _remembered = newest[:_MOST_REMEMBERED]


def masked(text: str) -> str:
    """The text with everything that looks like a secret, or was remembered as one, replaced by ``[masked]``."""
    for secret in _remembered:
        if secret in text:
            text = text.replace(secret, MASK)
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def one_line(text: str) -> str:
    """The text with control and direction characters escaped, so that it can stand in one line of a log."""
    return text.translate(_CONTROLS)


def masked_value(value: Any, name: str = "", depth: int = _DEPTH) -> Any:
    """A value as a log may show it: secrets masked by what they look like and by what they are called."""
    if name and value is not None and not isinstance(value, bool | int | float) and _NAMES.search(name):
        return MASK
    if isinstance(value, str):
        return one_line(masked(value))
    if value is None or isinstance(value, bool | int | float):
        return value
    if depth == 0:
        return one_line(masked(_text(value)))
    if isinstance(value, Mapping):
        return {str(key): masked_value(item, str(key), depth - 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [masked_value(item, "", depth - 1) for item in value]
    if isinstance(value, bytes | bytearray | memoryview):
        return f"({len(value)} bytes)"
    return one_line(masked(_text(value)))


def _text(value: object) -> str:
    try:
        return str(value)
    except Exception:  # A log line must not be lost to a value that cannot show itself.
        return f"({type(value).__name__} that cannot be shown)"
