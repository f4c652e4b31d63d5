"""The limits of Teams, kept after rendering, whatever a template made. Pure functions."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from adapters.rendering.splitting import cut, split_text

__all__ = ["TEAMS_BYTES", "fit_teams"]

TEAMS_BYTES = 20_000
"""The whole message as UTF-8; Teams refuses a little more than 20 KB."""

_TEXT = 4000
_SHORTENED = {
    "type": "TextBlock",
    "text": "This summary was shortened to fit.",
    "wrap": True,
    "isSubtle": True,
    "size": "Small",
}


def fit_teams(given: Any) -> dict[str, Any]:
    """A message with one Adaptive Card, as the workflow "when a webhook request is received" takes it.

    What does not fit into the 20 KB is left out, and the card says so; its last block is kept. Raises ValueError where
    what was made is no card, or what is around its blocks is too large already.
    """
    if not isinstance(given, Mapping) or not isinstance(given.get("body"), list):
        raise ValueError('it makes no card with "body", a list')
    blocks = [part for block in given["body"] for part in _parts(block)]
    if not blocks:
        raise ValueError("it makes no block that holds anything")
    body: list[dict[str, Any]] = []
    message = {
        "type": "message",
        "attachments": [
            {
                "contentType": "application/vnd.microsoft.card.adaptive",
                "contentUrl": None,
                "content": {**given, "body": body},
            }
        ],
    }
    *most, last = blocks
    last = _text_cut(last, 500)
    room = TEAMS_BYTES - _size(message) - sum(_size(block) + 2 for block in (last, _SHORTENED))
    if room < 0:
        raise ValueError(f"it makes more than {TEAMS_BYTES:,} bytes around the blocks of the card")
    for block in most:
        size = _size(block) + 2
        if size > room:
            body += [*_start(block, room), _SHORTENED]
            break
        body.append(block)
        room -= size
    body.append(last)
    return message


def _parts(block: Any) -> Iterator[dict[str, Any]]:
    """A block, several where its text is very long, or none where it is blank: Teams refuses an empty text."""
    if not isinstance(block, dict):
        raise ValueError("it makes a block that is no object")
    if "text" not in block:
        yield block
        return
    if not isinstance(block["text"], str):
        raise ValueError("it makes a block whose text is no text")
    yield from ({**block, "text": part} for part in split_text(block["text"], _TEXT))


def _text_cut(block: dict[str, Any], limit: int) -> dict[str, Any]:
    return {**block, "text": cut(block["text"], limit)} if "text" in block else block


def _start(block: dict[str, Any], room: int) -> list[dict[str, Any]]:
    """As much of a block of text as fits, or nothing where that would be hardly more than a word."""
    size = room
    while "text" in block and size >= 100:
        part = {**block, "text": "\n".join(split_text(cut(block["text"], size), size + 40)[:1])}
        if part["text"] and _size(part) + 2 <= room:
            return [part]
        size = size * 3 // 4
    return []


def _size(value: Any) -> int:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return len(text.encode("utf-8", "replace"))
