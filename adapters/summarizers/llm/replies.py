"""What a model answered: checked against its schema, its numbers resolved to messages, its words made harmless."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from adapters.rendering import cut
from adapters.summarizers.llm.chunking import Numbered, estimated_tokens
from adapters.summarizers.llm.harmless import harmless
from adapters.summarizers.llm.prompts import Size
from domain.summary import Point, SummaryOptions

__all__ = ["SCHEMA", "Checked", "Cited", "Partial", "WrongForm", "as_partial", "checked", "points_of", "terms_of"]

_MOST_SOURCES = 5
_LONGEST_POINT, _LONGEST_TERM = 600, 60
_CHARACTERS_A_WORD = 20


class WrongForm(ValueError):
    """The answer is not of the schema; says what is wrong with it, in words that the model can use."""


class _Form(BaseModel):
    # More than was asked for is ignored; the schema forbids it, because endpoints that enforce schemas want that said.
    model_config = ConfigDict(
        frozen=True, strict=True, extra="ignore", json_schema_extra={"additionalProperties": False}
    )


class _Line(_Form):
    text: str
    sources: list[int]


class _Reply(_Form):
    overview: str
    key_points: list[_Line]
    action_items: list[_Line]
    technical_terms: list[str]


SCHEMA: Mapping[str, Any] = _Reply.model_json_schema()
"""The JSON schema that a model is given."""


@dataclass(frozen=True, slots=True)
class Cited:
    """A sentence, and the numbers of the messages that it comes from (at least one, all of them real)."""

    text: str
    sources: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Checked:
    """An answer that may be used. ``strays`` counts numbers of no message, ``unsupported`` points without any other."""

    overview: str
    key_points: tuple[Cited, ...]
    action_items: tuple[Cited, ...]
    terms: tuple[str, ...]
    strays: int = 0
    unsupported: int = 0

    @property
    def sources(self) -> set[int]:
        """All numbers that it cites."""
        return {number for point in (*self.key_points, *self.action_items) for number in point.sources}


def checked(
    content: Any, valid: Collection[int], options: SummaryOptions, size: Size, known: frozenset[str]
) -> Checked:
    """The answer, where it is of the schema. Raises WrongForm.

    Only ``valid`` numbers stay, and only addresses that are ``known``; lists end where the length asked for ends.
    """
    try:
        reply = _Reply.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the answer"
        raise WrongForm(f"{place}: {str(first['msg'])[:200]}") from None
    except RecursionError:
        raise WrongForm("it is nested too deeply") from None
    # Cut first: half of an address is another address.
    overview = harmless(cut(reply.overview, size.words * _CHARACTERS_A_WORD), known)
    if not overview:
        raise WrongForm("overview: says nothing")
    points, strays, unsupported = _cited(reply.key_points if options.extract_key_points else [], valid, known)
    actions, more, beside = _cited(reply.action_items if options.extract_action_items else [], valid, known)
    terms = [
        harmless(term[:_LONGEST_TERM], known)
        for term in (reply.technical_terms if options.extract_technical_terms else [])[: 4 * size.terms]
    ]
    return Checked(
        overview,
        tuple(points[: size.points]),
        tuple(actions[: size.actions]),
        tuple(dict.fromkeys(term for term in terms if term)),
        strays + more,
        unsupported + beside,
    )


def _cited(lines: Sequence[_Line], valid: Collection[int], known: frozenset[str]) -> tuple[list[Cited], int, int]:
    points, strays, unsupported = [], 0, 0
    for line in lines[:200]:
        numbers = [number for number in dict.fromkeys(line.sources) if number in valid]
        strays += len(set(line.sources)) - len(numbers)
        text = harmless(cut(line.text, _LONGEST_POINT), known)
        if numbers and text:
            points.append(Cited(text, tuple(numbers[:_MOST_SOURCES])))
        else:
            unsupported += 1
    return points, strays, unsupported


def points_of(cited: Sequence[Cited], messages: Mapping[int, Numbered], *, name_people: bool) -> tuple[Point, ...]:
    """The points as readers get them: who wrote the first message that each comes from, and where to read it."""
    points = []
    for one in cited:
        line = messages[one.sources[0]].line
        author = line.author if name_people else ""
        points.append(Point(text=one.text, author=author, url=line.url, message_id=line.id))
    return tuple(points)


def terms_of(terms: Sequence[str], texts: Sequence[str], limit: int) -> tuple[str, ...]:
    """The terms that really stand in the messages."""
    spoken = "\n".join(texts).casefold()
    return tuple(term for term in terms if term.casefold() in spoken)[:limit]


@dataclass(frozen=True, slots=True)
class Partial:
    """The summary of a part, as the model reads it when it makes one of all, and the numbers that stand in it."""

    text: str
    numbers: frozenset[int]


def as_partial(reply: Checked, tokens: int) -> Partial:
    """A checked answer as lines of at most ``tokens`` tokens; where it is too long, its last points do not go in."""
    kept = [f"(point) {list(point.sources)} {point.text}" for point in reply.key_points]
    kept += [f"(to do) {list(action.sources)} {action.text}" for action in reply.action_items]
    numbers = [one.sources for one in (*reply.key_points, *reply.action_items)]
    terms = f"(terms) {', '.join(reply.terms[:25])}" if reply.terms else ""
    # One token for three bytes: as many characters always fit.
    head = f"(overview) {cut(reply.overview, max(60, tokens // 4))}"
    while kept and estimated_tokens("\n".join([head, *kept, terms])) > tokens:
        kept.pop()
        numbers.pop()
    if estimated_tokens("\n".join([head, *kept, terms])) > tokens:
        terms = ""
    text = "\n".join(part for part in (head, *kept, terms) if part)
    return Partial(text, frozenset(number for sources in numbers for number in sources))
