"""Which messages are worth quoting: weighed by echo, shape and topic, and spread over people and time."""

# ruff: noqa: E501, RUF001 - the marks of other scripts are meant

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from adapters.summarizers.language import sentences, words
from adapters.summarizers.lexrank import centrality
from adapters.summarizers.lines import Line
from adapters.summarizers.topics import Vocabulary

__all__ = ["Quote", "choose"]

PRESELECTED = 200
"""LexRank is quadratic: so many candidates are compared with each other."""
_PER_SPAN = 8
_SPANS = 10

_CHUNK_CHARACTERS = 260
_CHUNKS_PER_MESSAGE = 3

_NEWS = re.compile(
    r"\b(?:decided|decision|agreed|announc\w+|releas\w+|shipp\w+|deployed|merged|fixed|root cause|turns? out|the (?:fix|problem|"
    r"reason|plan) (?:is|was)|deadline|scheduled|postponed|moved to|cancell?ed|will be|is out|live now|new version|important|"
    r"reminder|heads[- ]up|outage|incident|down for|back up|migrat\w+|won|results?|proposal|propos\w+|vote[ds]?|summary|"
    r"conclusion|entschieden|beschlossen|veröffentlicht|termin|wichtig|erinnerung|behoben|verschoben|decidid[oa]|decidimos|"
    r"lanzamos|publicad[oa]|importante|recordatorio|arreglad[oa]|décidé|publiée?|sortie?|rappel|corrigée?|reportée?)\b|"
    r"決定|リリース|公開|予定|重要|修正|发布|决定|重要|修复",
    re.IGNORECASE,
)
_SMALL_TALK = re.compile(
    r"^(?:lol|lmao|haha\w*|same|agreed?|\+1|thanks?|thank you|thx|ty|nice|cool|great|congrats\w*|good (?:morning|night)|gm|hi|hey|"
    r"hello|welcome|yay|wow|omg|danke|moin|hallo|gracias|hola|jaja\w*|merci|salut|bonjour|mdr|ありがとう|おはよう|谢谢)\b",
    re.IGNORECASE,
)
_DANGLING = re.compile(
    r"^(?:it|that|this|those|these|he|she|they|and|but|so|or|yes|yeah|yep|no|nope|oh|ah|also|then|because|which|same|das|es|und|aber|eso|"
    r"y|pero|ça|et|mais)\b",
    re.IGNORECASE,
)
_CJK = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_QUESTION = re.compile(r"[?？؟](?=[\s)\"'”»]|$)|？")


@dataclass(slots=True)
class Quote:
    """A piece of a message that may be quoted, and how much speaks for it."""

    line: Line
    text: str
    tokens: frozenset[str]
    prior: float
    answer: Line | None = None
    score: float = 0.0


def choose(
    lines: Sequence[Line],
    limit: int,
    *,
    vocabulary: Vocabulary,
    stop: frozenset[str],
    stem: Callable[[str], str],
    parents: Mapping[str, Line],
    left_out: Iterable[str] = (),
) -> list[Quote]:
    """The ``limit`` pieces most worth quoting, in order of time. Messages named in ``left_out`` are passed over."""
    quotes = _candidates(lines, vocabulary, stop, stem, parents, frozenset(left_out))
    quotes = _preselect(quotes, lines)
    if not quotes:
        return []
    central = centrality([quote.text for quote in quotes], stop, stem)
    top = max(max(quote.prior for quote in quotes), 0.1)
    for quote, rank in zip(quotes, central, strict=True):
        quote.score = 0.65 * quote.prior / top + 0.35 * rank
    chosen = _spread(quotes, limit, lines, parents)
    return sorted(chosen, key=lambda quote: (quote.line.at, quote.line.id))


# --- candidates ----------------------------------------------------------------------------------------------------


def _candidates(
    lines: Sequence[Line],
    vocabulary: Vocabulary,
    stop: frozenset[str],
    stem: Callable[[str], str],
    parents: Mapping[str, Line],
    left_out: frozenset[str],
) -> list[Quote]:
    top_weight = max((vocabulary.weight(key) for key in vocabulary.messages), default=1.0) or 1.0
    answers = {line.id: _best_answer(line) for line in lines if line.replies and _QUESTION.search(line.text)}
    spent = {answer.id for answer in answers.values() if answer is not None} | left_out
    seen: set[frozenset[str]] = set()
    quotes: list[Quote] = []
    for line in lines:
        if not line.text or line.id in spent:
            continue
        for text in _chunks(line.text):
            tokens = frozenset(stem(word) for word in words(text) if word not in stop and len(word) > 1)
            if len(tokens) < 3 or tokens in seen or len(text) < (8 if _CJK.search(text) else 20):
                continue
            seen.add(tokens)
            answer = answers.get(line.id)
            prior = _prior(line, text, parents) + _topicality(tokens, vocabulary, top_weight)
            if answer is not None:
                prior += 0.5 + 0.5 * max(0.0, _prior(answer, answer.text, {}))
            quotes.append(Quote(line, text, tokens, prior, answer))
    return quotes


def _chunks(text: str) -> list[str]:
    """The text in pieces of whole sentences that are short enough to quote; of a long text the fullest three."""
    if len(text) <= _CHUNK_CHARACTERS:
        return [text]
    pieces: list[str] = []
    for sentence in sentences(text):
        if pieces and len(pieces[-1]) + len(sentence) < _CHUNK_CHARACTERS:
            pieces[-1] = f"{pieces[-1]} {sentence}"
        else:
            pieces.append(sentence)
    fullest = sorted(range(len(pieces)), key=lambda index: (-len(set(pieces[index].lower().split())), index))
    return [pieces[index] for index in sorted(fullest[:_CHUNKS_PER_MESSAGE])]


def _best_answer(question: Line) -> Line | None:
    """The reply that answers best: by someone else, saying something, liked."""
    fit = [
        reply
        for reply in question.replies
        if reply.author_id != question.author_id
        and (len(reply.text.split()) >= 4 or len(_CJK.findall(reply.text)) >= 6)
        and not _QUESTION.search(reply.text)
        and not _SMALL_TALK.match(reply.text)
    ]
    return max(
        fit,
        key=lambda reply: (
            math.log1p(reply.reactions + len(reply.replies)) + min(len(reply.text), 150) / 100,
            reply.id,
        ),
        default=None,
    )


def _prior(line: Line, text: str, parents: Mapping[str, Line]) -> float:
    """What speaks for a piece by itself, before it is compared with others."""
    size = len(text.split()) + len(_CJK.findall(text)) / 2
    echo = 1.2 * math.log1p(len(line.replies)) + 0.8 * math.log1p(line.reactions)
    score = echo * min(1.0, (size + 2) / 12)  # a quip may be loved without saying anything
    score += min(size, 12) / 10 - max(0.0, size - 50) / 50
    if _QUESTION.search(text):
        score -= 0.2 if line.replies else 0.8
    if _NEWS.search(text):
        score += 0.9
    if any(character.isdigit() for character in text):
        score += 0.2
    if "http" in line.raw and size >= 6:
        score += 0.3
    if line.attachments:
        score += 0.2
    parent = parents.get(line.id)
    if _SMALL_TALK.match(text):
        score -= 1.0
    elif _DANGLING.match(text):
        # A short line that begins with "that" or "and" says nothing to those who did not read the one before.
        score -= 3.0 if size < 15 else 0.9 if parent is None else 1.9
    if parent is not None and _QUESTION.search(parent.text):
        score += 0.2
    if text.isupper():
        score -= 0.5
    return score - (1.5 if line.is_bot else 0.0)


def _topicality(tokens: frozenset[str], vocabulary: Vocabulary, top_weight: float) -> float:
    """How much a piece is about what was talked about, 0 to about 1.5."""
    weights = sorted((vocabulary.weight(token) / top_weight for token in tokens), reverse=True)[:5]
    return min(1.5, sum(weights))


# --- choice ----------------------------------------------------------------------------------------------------


def _span_of(lines: Sequence[Line]) -> Callable[[Line], int]:
    start, end = lines[0].at.timestamp(), lines[-1].at.timestamp()
    width = max(end - start, 1.0) / _SPANS
    return lambda line: min(_SPANS - 1, int((line.at.timestamp() - start) / width))


def _order(quote: Quote) -> tuple[float, float, str, str]:
    return (-quote.prior, quote.line.at.timestamp(), quote.line.id, quote.text)


def _preselect(quotes: list[Quote], lines: Sequence[Line]) -> list[Quote]:
    """The likeliest, with some of every part of the time."""
    if len(quotes) <= PRESELECTED:
        return quotes
    span = _span_of(lines)
    ranked = sorted(quotes, key=_order)
    taken: dict[int, Quote] = {id(quote): quote for quote in ranked[: PRESELECTED - _PER_SPAN * _SPANS]}
    room: Counter[int] = Counter()
    for quote in ranked:
        where = span(quote.line)
        if id(quote) not in taken and room[where] < _PER_SPAN:
            room[where] += 1
            taken[id(quote)] = quote
    return sorted(taken.values(), key=lambda quote: (quote.line.at, quote.line.id, quote.text))


def _root(line: Line, parents: Mapping[str, Line]) -> str:
    for _ in range(50):
        parent = parents.get(line.id)
        if parent is None:
            break
        line = parent
    return line.id


def _spread(quotes: list[Quote], limit: int, lines: Sequence[Line], parents: Mapping[str, Line]) -> list[Quote]:
    """The best that do not repeat each other: each choice makes its words, author, thread and time less wanted."""
    span = _span_of(lines)
    cap = max(1, math.ceil(limit / 3))
    authors: Counter[str] = Counter()
    spans: Counter[int] = Counter()
    threads: Counter[str] = Counter()
    nearest = [0.0] * len(quotes)
    left = list(range(len(quotes)))
    chosen: list[Quote] = []
    messages: set[str] = set()
    while left and len(chosen) < limit:
        open_ones = [i for i in left if quotes[i].line.id not in messages and authors[quotes[i].line.author_id] < cap]
        if not open_ones:
            open_ones = [i for i in left if quotes[i].line.id not in messages]
        if not open_ones:
            break

        def gain(index: int) -> float:
            quote = quotes[index]
            worn = 0.1 * authors[quote.line.author_id] + 0.04 * spans[span(quote.line)]
            return quote.score - 0.6 * nearest[index] - worn - 0.25 * threads[_root(quote.line, parents)]

        best = max(open_ones, key=lambda index: (gain(index), -index))
        if len(chosen) >= 3 and quotes[best].score < 0.15:
            break
        quote = quotes[best]
        left.remove(best)
        chosen.append(quote)
        messages.add(quote.line.id)
        authors[quote.line.author_id] += 1
        spans[span(quote.line)] += 1
        threads[_root(quote.line, parents)] += 1
        for index in left:
            shared = len(quote.tokens & quotes[index].tokens)
            nearest[index] = max(nearest[index], shared / max(1, min(len(quote.tokens), len(quotes[index].tokens))))
    return chosen
