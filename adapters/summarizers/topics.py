"""What was talked about: the words that many people used, and the terms of the trade."""

# ruff: noqa: RUF001 - the marks of other scripts are meant

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence

from adapters.summarizers.language import sentences, words
from adapters.summarizers.lines import Line

__all__ = ["Vocabulary", "technical_terms", "topics"]

_RUN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff]{2,6}|[\u30a1-\u30fa\u30fc]{3,}")
_URL = re.compile(r"https?://\S+")
_CANDIDATES = 60
_PARTICIPLE = re.compile(r"[a-z]{2,}(?:ed|ing)")
"""Words like "verified" or "tagging" say what was done, not what it was about."""

_IDENTIFIER = re.compile(
    r"(?<![\w/.-])(?:"
    r"[A-Za-z_][\w.]*\(\)"
    r"|[a-z]+[0-9]*(?:_[a-z0-9]+)+"
    r"|[A-Z]+(?:_[A-Z0-9]+)+"
    r"|[a-z]+(?:[A-Z][a-z0-9]+)+"
    r"|(?:[A-Z][a-z0-9]+){2,}"
    r"|[A-Z][A-Z0-9]{1,4}"
    r"|[A-Z][a-z]+(?:SQL|DB|ML|JS|API|OS|QL)|SQLite|NumPy"
    r"|v\d+(?:\.\d+)+(?:-?(?:rc|beta|alpha)\.?\d*)?|\d+\.\d+\.\d+"
    r"|[\w-]+\.(?:py|js|ts|rs|go|json|ya?ml|toml|md|sh|sql|cfg|ini|lock|stl|gcode)"
    r"|[A-Z][+#]{1,2}"
    r")(?![\w/])"
)
_NOT_TECHNICAL_WORDS = """
LOL LMAO ROFL OMG IMO IMHO TBH BTW WTF IDK FYI ASAP AFK BRB GG OK TODO PS NOT AND THE YES NO NOPE WOW AM PM EOD EOW
TIL FAQ DM DMS PM US UK EU USA TV IRL RIP YAY HI HEY ALL YOU FIXME AFAIK IIRC TLDR UTC CET EST PST GMT CEST OP SO IT
IS ON IN OR TO GB MB KB TB
"""
_NOT_TECHNICAL = frozenset(_NOT_TECHNICAL_WORDS.split())


class Vocabulary:
    """Which words were used by how many people in how many messages. Words are kept by their stem."""

    def __init__(self, lines: Iterable[Line], stop: frozenset[str], stem: Callable[[str], str]) -> None:
        self.authors: dict[str, set[str]] = defaultdict(set)
        self.messages: Counter[str] = Counter()
        self._echo: Counter[str] = Counter()
        self.forms: dict[str, Counter[str]] = defaultdict(Counter)
        self.pairs: Counter[tuple[str, str]] = Counter()
        self.pair_authors: dict[tuple[str, str], set[str]] = defaultdict(set)
        self._stop, self._stem = stop, stem
        for line in lines:
            if line.text:
                self._count(line)

    def _count(self, line: Line) -> None:
        seen: set[str] = set()
        pairs: set[tuple[str, str]] = set()
        for sentence in sentences(line.text):
            previous: str | None = None
            for word in _topic_words(sentence):
                if word in self._stop or len(word) < 2 or word[0].isdigit():
                    previous = None
                    continue
                key = self._stem(word)
                self.forms[key][word] += 1
                seen.add(key)
                if previous is not None and previous != key:
                    pairs.add((previous, key))
                previous = key
        for key in seen:
            self.messages[key] += 1
            self._echo[key] += min(9, len(line.replies) + line.reactions)
            self.authors[key].add(line.author_id)
        for pair in pairs:
            self.pairs[pair] += 1
            self.pair_authors[pair].add(line.author_id)

    def weight(self, key: str) -> float:
        """How much of a topic a word is: the people who used it, how often, and what others made of it."""
        used = self.messages.get(key, 0) + 0.3 * self._echo.get(key, 0)
        return len(self.authors.get(key, ())) * math.log1p(used) * min(1.0, (len(key) + 2) / 8)

    def form(self, key: str) -> str:
        """The form of the word that was used most."""
        return min(self.forms[key].items(), key=lambda item: (-item[1], item[0]))[0]


def _topic_words(sentence: str) -> list[str]:
    text = _URL.sub(" ", sentence)
    if text.isascii():
        return [word for word in words(text) if len(word) > 2]
    spoken = [word for word in re.findall(r"[^\W_]+(?:['’-][^\W_]+)*", text.lower()) if len(word) > 2]
    if not _RUN.search(text):
        return spoken
    return [word for word in spoken if word.isascii()] + _RUN.findall(text)


def topics(vocabulary: Vocabulary, names: Iterable[str], texts: Sequence[str], limit: int) -> list[str]:
    """The most discussed words and word pairs, as they were mostly written. Names of people are none."""
    people = {part for name in names for part in (name.lower(), *name.lower().split())}
    few = 2 if len(texts) < 300 else 3
    ranked = sorted(
        (key for key in vocabulary.messages if vocabulary.messages[key] >= few and vocabulary.form(key) not in people),
        key=lambda key: (-vocabulary.weight(key), key),
    )[:_CANDIDATES]
    partner = _partners(vocabulary, ranked, few)
    chosen: list[str] = []
    used: set[str] = set()
    for key in ranked:
        if key in used:
            continue
        pair = partner.get(key, (key,))
        if any(part in used for part in pair):
            pair = (key,)
        if len(pair) == 1 and _PARTICIPLE.fullmatch(vocabulary.form(key)):
            continue
        used.update(pair)
        chosen.append(" ".join(vocabulary.form(part) for part in pair))
        if len(chosen) == limit:
            break
    return [_as_written(topic, texts) for topic in chosen]


def _partners(vocabulary: Vocabulary, ranked: Sequence[str], few: int) -> dict[str, tuple[str, str]]:
    """For words that mostly appear as half of a pair, the pair."""
    top = set(ranked)
    found: dict[str, tuple[str, str]] = {}
    for pair, count in sorted(vocabulary.pairs.items(), key=lambda item: (-item[1], item[0])):
        if count < few:
            break
        if len(vocabulary.pair_authors[pair]) < 2:
            continue
        for key in pair:
            if key in top and key not in found and count >= 0.5 * vocabulary.messages[key]:
                found[key] = pair
    return found


def _as_written(topic: str, texts: Sequence[str]) -> str:
    """The topic in the capitals people mostly gave it."""
    pattern = re.compile(rf"(?<!\w){re.escape(topic)}(?!\w)", re.IGNORECASE)
    written: Counter[str] = Counter()
    for text in texts[:5000]:
        if match := pattern.search(text):
            written[match[0] if match.start() else topic] += 1
    return min(written.items(), key=lambda item: (-item[1], item[0]))[0] if written else topic


def technical_terms(lines: Iterable[Line], names: Iterable[str], limit: int) -> list[str]:
    """Identifiers, versions, files, acronyms and inline code, most mentioned first; marked code may come only once."""
    people = {part for name in names for part in (name.lower(), *name.lower().split())}
    counts: Counter[str] = Counter()
    marked: set[str] = set()
    for line in lines:
        here = {code.strip() for code in line.code if "\n" not in code and 2 <= len(code.strip()) <= 40}
        here = {code for code in here if len(code.split()) <= 3}
        marked |= here
        if not line.text.isupper():
            here |= set(_IDENTIFIER.findall(_URL.sub(" ", line.text)))
        for term in here:
            if term not in _NOT_TECHNICAL and term.lower() not in people and any(c.isalpha() for c in term):
                counts[term] += 1
    usual = [term for term, count in counts.items() if count > 1 or term in marked]
    usual.sort(key=lambda term: (-counts[term], term not in marked, term.lower(), term))
    kept: dict[str, str] = {}
    for term in usual:
        kept.setdefault(term.lower().removesuffix("()"), term)
    return list(kept.values())[:limit]
