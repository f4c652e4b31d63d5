"""Takes secrets out of text that people and programs will read: log lines, error messages, reports."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from application.masking import MASK, masked, remember_secret

__all__ = ["MASK", "masked", "masked_value", "one_line", "remember_secret"]

_DEPTH = 6

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
