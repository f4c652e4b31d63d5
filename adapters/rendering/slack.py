"""Slack: its markup, and its limits. Limits are kept after rendering, whatever a template made. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from adapters.rendering.safety import clean, disarm, one_line
from adapters.rendering.splitting import cut, split_text, units
from adapters.rendering.words import Markup
from domain.summary import Summary

__all__ = ["SLACK", "SLACK_BLOCKS", "SLACK_HEADER", "SLACK_SECTION", "SLACK_TEXT", "fit_slack"]

SLACK_BLOCKS = 50
SLACK_SECTION = 3000
SLACK_HEADER = 150
SLACK_TEXT = 4000
"""What Slack recommends for the text that notifications show beside blocks."""

_FIELDS = 10
_FIELD = 2000
_CONTEXT = 500
_BODY = 160_000
"""More than the sections of one message hold."""
_LINE = 1500
_NAME = 300
_SHORTENED = "This summary was shortened to fit."

_ESCAPES = (("&amp;", "\ue000"), ("&lt;", "\ue001"), ("&gt;", "\ue002"))
"""While a text is cut, each escaped character is one character, so that no cut falls into it."""
_MENTION = re.compile(r"<(?=[!@#])")
_HEADING = re.compile(r"\*([^*\n]{1,200})\*")


# --- markup -----------------------------------------------------------------------------------------------------------


def _escaped(text: str) -> str:
    return clean(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _line(text: str, limit: int = _LINE) -> str:
    """Text on one line, in which no code fence swallows the lines below."""
    return _escaped(cut(disarm(one_line(text).replace("```", "`")), limit))


def _body(summary: Summary, timezone: str) -> str:
    return _escaped(cut(disarm(summary.summary_text[: 2 * _BODY]), _BODY)).strip()


def _source(author: str, url: str | None) -> str:
    link = f"<{url.replace('&', '&amp;')}|message>" if url else ""
    return ", ".join(part for part in (_line(author, _NAME), link) if part)


SLACK = Markup(
    line=_line,
    body=_body,
    point=lambda text, summary, timezone: _line(text),
    source=_source,
    term=lambda text: _line(text, _NAME),
    people=30,
)


# --- limits -----------------------------------------------------------------------------------------------------------


def fit_slack(given: Any) -> dict[str, Any]:
    """A message within Slack's limits. Raises ValueError where it is none.

    The text of a section may be a list of lines: they fill as many sections as they need, and none is torn. Where there
    are more than 50 blocks, the last one is kept, and the one before says that the message was shortened.
    """
    if not isinstance(given, Mapping) or not isinstance(given.get("blocks"), list):
        raise ValueError('it makes no object with "blocks", a list')
    blocks = [block for found in given["blocks"] for block in _blocks(found)]
    if not blocks:
        raise ValueError("it makes no block that holds anything")
    if len(blocks) > SLACK_BLOCKS:
        note = {"type": "section", "text": {"type": "mrkdwn", "text": _SHORTENED, "verbatim": True}}
        blocks = [*blocks[: SLACK_BLOCKS - 2], note, blocks[-1]]
    text = _cut(str(given.get("text") or "").strip(), SLACK_TEXT)
    return {**given, "text": text, "blocks": blocks}


def _blocks(block: Any) -> Iterator[dict[str, Any]]:
    if not isinstance(block, dict):
        raise ValueError("it makes a block that is no object")
    kind = block.get("type")
    text: dict[str, Any] = block.get("text") or {}
    if kind == "header":
        shown = cut(_said(text), SLACK_HEADER)
        if shown.strip():
            yield {**block, "text": {**text, "text": shown}}
    elif kind == "section" and text:
        for part in _section_texts(text):
            yield {**block, "text": {**text, "text": part}}
    elif kind == "section" or kind == "context":
        name, most, limit = ("fields", _FIELDS, _FIELD) if kind == "section" else ("elements", _FIELDS, _CONTEXT)
        if found := [item for item in _items(block.get(name), limit)][:most]:
            yield {**block, name: found}
    else:
        yield block


def _items(found: Any, limit: int) -> Iterator[Any]:
    for item in found if isinstance(found, list) else ():
        if not isinstance(item, dict) or "text" not in item:
            yield item
        elif text := _cut(_said(item), limit).strip():
            yield {**item, "text": text}


def _section_texts(text: Any) -> Iterator[str]:
    lines = text.get("text") if isinstance(text, dict) else None
    if not isinstance(lines, list):
        yield from _parts(_said(text), SLACK_SECTION)
        return
    heading = _HEADING.fullmatch(str(lines[0])) if lines else None
    filled, empty = "", True
    for number, line in enumerate(_cut(str(line), SLACK_SECTION - 250) for line in lines):
        if filled and units(filled) + 1 + units(line) > SLACK_SECTION:
            yield filled
            filled = f"*{heading[1]} (continued)*" if heading else ""
        filled = f"{filled}\n{line}" if filled else line
        empty = empty and not (line.strip(" •") and (number or not heading))
    if filled.strip() and not empty:
        yield filled


def _said(text: Any) -> str:
    if not isinstance(text, dict) or not isinstance(text.get("text"), str):
        raise ValueError('it makes a text that is no object with "type" and "text"')
    return str(text["text"])


def _parts(text: str, limit: int) -> Iterator[str]:
    """A text in parts that fit into sections; no escaped character is torn."""
    for part in split_text(_held(text), limit, max_parts=SLACK_BLOCKS + 1):
        shown = _released(part)
        if units(shown) <= SLACK_SECTION:
            yield shown
        else:  # an escaped character is up to five times as long
            yield from _parts(shown, max(40, limit // 2))


def _cut(text: str, limit: int) -> str:
    held, size = _held(text), limit
    while units(shown := _released(cut(held, size))) > limit:
        size //= 2
    return shown


def _held(text: str) -> str:
    for _, placeholder in _ESCAPES:
        text = text.replace(placeholder, "")
    text = _MENTION.sub("&lt;", text)
    for escaped, placeholder in _ESCAPES:
        text = text.replace(escaped, placeholder)
    return text


def _released(text: str) -> str:
    for escaped, placeholder in _ESCAPES:
        text = text.replace(placeholder, escaped)
    return text
