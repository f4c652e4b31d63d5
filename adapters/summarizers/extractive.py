"""The default engine: it quotes the people themselves, and needs no network and no model."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import cache, lru_cache
from hashlib import blake2b
from typing import Any, NamedTuple

from adapters.summarizers.actions import Action, find_actions
from adapters.summarizers.keypoints import Quote, choose
from adapters.summarizers.language import all_stop_words, languages_of
from adapters.summarizers.lines import Line, clean_speech, heard, people_of
from adapters.summarizers.overview import overview, shortened
from adapters.summarizers.topics import Vocabulary, technical_terms, topics
from domain.summary import Point, Summary, SummaryContext, SummaryLength, SummaryOptions

__all__ = ["ExtractiveEngine"]

_CLOSE_READING = 10_000
"""Of more messages only so many are read word by word: those that moved others, and a sample over the time."""

_POINT_CHARACTERS = 280
_QUESTION_CHARACTERS = 170


class _Size(NamedTuple):
    points: int
    actions: int
    terms: int
    topics: int
    sentences: int


_SIZES = {
    SummaryLength.BRIEF: _Size(points=3, actions=3, terms=5, topics=3, sentences=2),
    SummaryLength.DETAILED: _Size(points=7, actions=7, terms=12, topics=5, sentences=3),
    SummaryLength.COMPREHENSIVE: _Size(points=15, actions=15, terms=25, topics=8, sentences=5),
}


class ExtractiveEngine:
    """Chooses the messages that say most about a span and quotes them, with who said it and where.

    The same messages, options and context give the same summary, its id included. At most ``at_once`` are made at the
    same time, off the event loop.
    """

    name = "extractive"

    def __init__(self, at_once: int = 2) -> None:
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="daybook-summary")

    async def summarize_messages(
        self,
        messages: Sequence[Any],
        options: SummaryOptions,
        context: SummaryContext,
        channel_id: str = "",
        guild_id: str = "",
    ) -> Summary:
        """The summary of ``messages``. Raises InsufficientContent when nobody said anything.

        Messages need ``author_id``, ``timestamp`` (aware) and ``content``; what else domain.summary.Message has is used
        where it is there.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._threads, summarize, tuple(messages), options, context, channel_id, guild_id
        )


def summarize(
    messages: Sequence[Any],
    options: SummaryOptions,
    context: SummaryContext,
    channel_id: str = "",
    guild_id: str = "",
) -> Summary:
    """What ``ExtractiveEngine`` does, as a pure function."""
    lines = heard(messages, options)
    reading = _read(lines)
    size = _SIZES[options.summary_length]
    actions = _chosen_actions(reading, size.actions) if options.extract_action_items else []
    quotes = _chosen_quotes(reading, size.points, actions) if options.extract_key_points else []
    people = people_of(lines)
    names = [name for name, _ in people]
    return Summary(
        id=_identity(lines, options, context, channel_id, guild_id),
        guild_id=guild_id,
        channel_id=channel_id,
        summary_text=overview(
            lines,
            people=people,
            topics=topics(reading.vocabulary, names, [line.text for line in reading.close if line.text], size.topics),
            channel=context.channel_name,
            sentences=size.sentences,
            name_people=options.include_participant_analysis,
        ),
        key_points=tuple(_point_of_quote(quote) for quote in quotes),
        action_items=tuple(_point_of_action(action) for action in actions),
        technical_terms=tuple(technical_terms(reading.close, names, size.terms))
        if options.extract_technical_terms
        else (),
        participants=tuple(people) if options.include_participant_analysis else (),
        message_count=len(lines),
        start_time=context.start_time,
        end_time=context.end_time,
        engine=ExtractiveEngine.name,
        notice=reading.notice,
    )


@dataclass(frozen=True, slots=True)
class _Reading:
    """What was read word by word, and what was learned of it."""

    close: list[Line]
    names: dict[str, str]
    parents: dict[str, Line]
    stop: frozenset[str]
    stem: Callable[[str], str]
    vocabulary: Vocabulary
    notice: str


def _read(lines: list[Line]) -> _Reading:
    names = {line.author_id: line.author for line in lines}
    close = _worth_reading(lines)
    for line in close:
        speech = clean_speech(line.raw, names)
        line.text, line.code = speech.text, speech.code
    kept = {id(line) for line in close}
    parents = {reply.id: line for line in close for reply in line.replies if id(reply) in kept}
    languages = languages_of([line.text for line in close if line.text])
    stop = all_stop_words(languages)
    stem = _stemmer(languages[0])
    people = [line for line in close if not line.is_bot]
    notice = f"Of {len(lines):,} messages {len(close):,} were read closely." if len(close) < len(lines) else ""
    return _Reading(close, names, parents, stop, stem, Vocabulary(people, stop, stem), notice)


def _worth_reading(lines: list[Line]) -> list[Line]:
    """All lines, or of very many those with replies and reactions and an even sample of the rest, in order of time."""
    if len(lines) <= _CLOSE_READING:
        return lines
    half = _CLOSE_READING // 2
    order = sorted(range(len(lines)), key=lambda i: (-(2 * len(lines[i].replies) + lines[i].reactions), i))
    kept = set(order[:half])
    rest = [index for index in range(len(lines)) if index not in kept]
    kept.update(rest[number * len(rest) // half] for number in range(half))
    return [lines[index] for index in sorted(kept)]


@cache
def _stemmer(language: str) -> Callable[[str], str]:
    """The stem of a word in the language spoken most; the word itself where there is no stemmer."""
    from nltk.stem.snowball import SnowballStemmer

    if language not in SnowballStemmer.languages:
        return str
    stem: Callable[[str], str] = lru_cache(maxsize=50_000)(SnowballStemmer(language).stem)
    return stem


# --- choosing ----------------------------------------------------------------------------------------------------


def _chosen_actions(reading: _Reading, limit: int) -> list[Action]:
    people = (line for line in reading.close if not line.is_bot)
    heaviest = find_actions(people, reading.names, reading.parents)[:limit]
    return sorted(heaviest, key=lambda action: (action.line.at, action.line.id))


def _chosen_quotes(reading: _Reading, limit: int, actions: Sequence[Action]) -> list[Quote]:
    said = [line for line in reading.close if line.text]
    if not said:
        return []
    return choose(
        said,
        min(limit, max(1, -(-len(said) // 3))),
        vocabulary=reading.vocabulary,
        stop=reading.stop,
        stem=reading.stem,
        parents=reading.parents,
        left_out=[action.line.id for action in actions if len(action.line.text) < 1.5 * len(action.sentence)],
    )


def _point_of_quote(quote: Quote) -> Point:
    text = quote.text
    if quote.answer is not None:
        question = shortened(text, _QUESTION_CHARACTERS)
        text = f"{question} → {quote.answer.author}: {quote.answer.text}"
    return Point(
        text=shortened(text, _POINT_CHARACTERS + (_QUESTION_CHARACTERS if quote.answer is not None else 0)),
        author=quote.line.author,
        url=quote.line.url,
        message_id=quote.line.id,
    )


def _point_of_action(action: Action) -> Point:
    text = f"{action.addressee}: {action.sentence}" if action.addressee else action.sentence
    return Point(
        text=shortened(text, _POINT_CHARACTERS),
        author=action.line.author,
        url=action.line.url,
        message_id=action.line.id,
    )


def _identity(
    lines: Sequence[Line], options: SummaryOptions, context: SummaryContext, channel_id: str, guild_id: str
) -> str:
    """A name made from everything that the summary is made from: 32 hexadecimal digits."""
    digest = blake2b(digest_size=16)
    said: list[tuple[str, datetime, str]] = [(line.author_id, line.at, line.raw) for line in lines]
    for part in (options.model_dump_json(), context.model_dump_json(), channel_id, guild_id):
        digest.update(part.encode("utf-8", "surrogatepass") + b"\0")
    for author, at, raw in said:
        digest.update(f"{author}\0{at.isoformat()}\0{raw}\0".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()
