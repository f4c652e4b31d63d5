"""What a model wrote, made harmless: no mention, no link behind words, no address that was not in the messages.

A message can talk a model into writing anything. What it writes is therefore treated like what a stranger types, and an
address counts only where a person wrote it in full: one that a model puts together could carry away what it has read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from adapters.rendering import one_line

__all__ = ["LEFT_OUT", "addresses_of", "harmless"]

LEFT_OUT = "(link left out)"

_MASKED = re.compile(r"!?\[([^\[\]]{0,500})\]\s*(?:\([^()\s]{0,2000}\)|\[[^\[\]]{0,200}\]|:(?=\s*\S+:))")
_LINK_JOINT = re.compile(r"\](?=\s*[(\[])")
_ANGLED = re.compile(r"<(?=[@#]|/[\w -]{1,60}:\d|id:|t:|a?:\w)[^<>]{0,100}>?")
_AT = re.compile(r"(?<![\w.+-])[@\uff20\ufe6b]+(?=[\w&!])|[@\uff20\ufe6b]+(?=everyone|here)", re.IGNORECASE)
_ADDRESS = re.compile(
    r"(?:[a-z][a-z0-9+.-]{1,20}://|www\.|(?<![\w.@/-])(?:[\w-]{1,63}\.){1,5}[a-z]{2,24}(?::\d{1,5})?/)[^\s<>\"'`|]*"
    r"|(?:mailto|javascript|data|tel):\S+",
    re.IGNORECASE,
)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]{1,20}:", re.IGNORECASE)
_WRITTEN = re.compile(r"https?://[^\s<>\"'`|]+", re.IGNORECASE)
_NEEDED = re.compile(r"[^\w\s,;!?'-]")
_MOST_PASSES = 10
_TAIL = ".,;:!?)]}*_~"


def addresses_of(texts: Iterable[str]) -> frozenset[str]:
    """The web addresses that people wrote."""
    found = (match[0].rstrip(_TAIL) for text in texts for match in _ADDRESS.finditer(text))
    return frozenset(address for address in found if not _SCHEME.match(address) or _WRITTEN.match(address))


def harmless(text: str, known: frozenset[str]) -> str:
    """The text on one line, without mentions, links behind words, and addresses other than the ``known`` ones.

    Idempotent. People's names stay, without the sign that would make mentions of them.
    """
    text = one_line(text)
    # Taking something out can put together what stood around it.
    for _ in range(_MOST_PASSES):
        plainer = _once(text, known)
        if plainer == text:
            return text
        text = plainer
    # Nobody nests so deep who means well: nothing that a mention or an address needs is left of it.
    return " ".join(_NEEDED.sub(" ", text).split())


def _once(text: str, known: frozenset[str]) -> str:
    text = _LINK_JOINT.sub("", _MASKED.sub(r"\1", text))
    text = _ANGLED.sub("", text)
    text = _ADDRESS.sub(lambda match: _allowed(match[0], known), text)
    kept, end = [], 0
    for written in _WRITTEN.finditer(text):  # an @ within an address that stays is a part of it
        kept += [_AT.sub("", text[end : written.start()]), written[0]]
        end = written.end()
    return " ".join("".join([*kept, _AT.sub("", text[end:])]).split())


def _allowed(address: str, known: frozenset[str]) -> str:
    bare = address.rstrip(_TAIL)
    return address if bare in known else LEFT_OUT + address[len(bare) :]
