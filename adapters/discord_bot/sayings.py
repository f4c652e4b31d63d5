"""Sentences that the application makes in English, found again in a language's file. Pure.

What a run failed of, why a command was refused, what a log says of a slot: such sentences are made where things happen,
and kept as they were said. A file says them in another language, sentence by sentence; what varies stands in braces. A
name in braces that begins with a capital letter is a sentence itself, and is looked for as well.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache

__all__ = ["Sayings"]

_NAME = re.compile(r"\\\{(\w+)\\\}")
_DEEPEST = 6
"""How often a sentence may stand within another."""


class Sayings:
    """The sentences of one language, by the English ones."""

    def __init__(self, table: Mapping[str, str], otherwise: Callable[[str], str] = str) -> None:
        """``otherwise`` is asked for what no sentence of the table fits, and may leave it as it is."""
        self._otherwise = otherwise
        self._exact = {english: own for english, own in table.items() if "{" not in english}
        varied = [(english, own) for english, own in table.items() if "{" in english]
        # What begins with words of its own comes first, and of these what says most: "is past the {last}" before "is
        # {state}". What begins with anything may as well be the second half of a sentence.
        varied.sort(key=lambda pair: (pair[0].startswith("{"), -len(re.sub(r"\{\w+\}", "", pair[0]))))
        self._varied = [(_pattern(english), own) for english, own in varied]
        self._found = lru_cache(maxsize=4096)(self._find)

    def __call__(self, sentence: str) -> str:
        """The sentence in this language, or as it is."""
        return self._found(sentence, _DEEPEST) if self._exact or self._varied else sentence

    def knows(self, sentence: str) -> bool:
        """Whether there is a sentence for this one."""
        return sentence in self._exact or any(pattern.fullmatch(sentence) for pattern, _ in self._varied)

    def _find(self, sentence: str, deep: int) -> str:
        if (own := self._exact.get(sentence)) is not None:
            return own
        for pattern, own in self._varied if deep else ():
            if (match := pattern.fullmatch(sentence)) is not None:
                found = match.groupdict()
                said = {
                    name: self._found(text, deep - 1) if name[0].isupper() else text for name, text in found.items()
                }
                return own.format(**said)
        return self._otherwise(sentence)


def _pattern(english: str) -> re.Pattern[str]:
    return re.compile(_NAME.sub(r"(?P<\1>.+?)", re.escape(english)), re.DOTALL)
