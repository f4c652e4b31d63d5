"""The one view of a summary that every template is filled with: the same names in the same order, whatever the format.

Only how a word is written differs: a ``Markup`` makes text harmless in the language of its format, so that a template
can print it as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypedDict

from adapters.rendering.documents import counted, heading, prose, remarkable, span_line, zone
from adapters.rendering.safety import clean, disarm, disarm_mentions, escape_markdown, one_line, safe_url
from adapters.rendering.splitting import cut, split_text
from domain.summary import ChannelNote, Point, Summary

__all__ = ["CARD_MARKDOWN", "MARKDOWN", "PLAIN", "TEAMS_MARKDOWN", "Details", "Markup", "summary_words"]

_TITLE_LIMIT = 300
_NAME_LIMIT = 80
_EVERYTHING = 1_000_000
_ON_CARDS = 30
"""So many people are named on a card; the others are counted."""
_CARD_BODY = 60_000
"""More than ten messages of Discord, or one of Teams, hold."""
_CARD_POINT = 2000
_WHOLE = 10_000_000
"""A limit that no text reaches: splitting then only closes a code fence left open."""


class Details(TypedDict, total=False):
    """What is said of a summary beside it: the zone of its times (IANA), the task's name, the run's id."""

    timezone: str
    task_name: str
    run_id: str


def _in_brackets(text: str, source: str) -> str:
    return f"{text} ({source})" if source else text


@dataclass(frozen=True, slots=True)
class Markup:
    """How the words of a summary are written in one format.

    ``line``: a text on one line, shown as it is. ``body`` (summary, zone): the overview. ``point`` (text, summary,
    zone): what one point says. ``source`` (author, URL): who said it and where; empty when neither is known. ``term``:
    a technical term. ``own_body`` (summary, zone): the Markdown of an engine that renders itself; None where the format
    does not show it. ``listed`` (point, source): both on one line. ``rows``: the longest list;
    ``people``: so many participants are named.
    """

    line: Callable[[str], str]
    body: Callable[[Summary, str], str]
    point: Callable[[str, Summary, str], str]
    source: Callable[[str, str | None], str]
    term: Callable[[str], str]
    own_body: Callable[[Summary, str], str] | None = None
    listed: Callable[[str, str], str] = _in_brackets
    rows: int = _EVERYTHING
    people: int = _EVERYTHING


def summary_words(
    summary: Summary, markup: Markup, *, timezone: str = "UTC", task_name: str = "", run_id: str = ""
) -> dict[str, Any]:
    """The words a template is filled with.

    ``title``; ``plain_title`` (without any markup); ``span`` (wall-clock time in ``timezone``); ``start`` and ``end``
    (seconds since 1970); ``created_at`` (ISO 8601, UTC, or None); ``messages`` ("12 messages"); ``facts`` (that, and
    how many people); ``notice``; ``own`` (whether the engine rendered itself: then ``body`` is all of it and the lists
    are empty); ``body``; ``sections``, each with ``key``, ``name``, ``points`` (``text``, ``author``, ``url``,
    ``source``) and ``lines``; ``terms``; ``participants`` (``name``, ``count``), ``more_participants`` (how many
    were left out) and ``people`` (all that on one line); ``channels`` (``name``, ``count``, ``note``, ``line``);
    ``run``; ``footer`` (run, when it was made, by which engine).
    """
    own = markup.own_body is not None and summary.markdown is not None
    shown = summary.model_copy(
        update={"key_points": (), "action_items": (), "technical_terms": (), "participants": ()} if own else {}
    )
    body = markup.own_body(summary, timezone) if own and markup.own_body else markup.body(summary, timezone)
    facts = [counted(summary.message_count, "message")]
    if summary.participants:
        count = len(summary.participants)
        facts.append("1 person" if count == 1 else f"{count:,} people")
    channels = remarkable(summary.channels) if own else summary.channels
    people = [{"name": _name(name, markup), "count": count} for name, count in shown.participants[: markup.people]]
    return {
        "title": markup.line(cut(heading(summary, task_name), _TITLE_LIMIT)),
        "plain_title": disarm(heading(summary, task_name)),
        "span": span_line(summary, timezone),
        "start": int(summary.start_time.timestamp()),
        "end": int(summary.end_time.timestamp()),
        "created_at": summary.created_at.isoformat() if summary.created_at is not None else None,
        "messages": facts[0],
        "facts": facts,
        "notice": markup.line(summary.notice),
        "own": own,
        "body": body,
        "sections": _sections(shown, markup, timezone),
        "terms": [markup.term(term) for term in shown.technical_terms[: markup.rows]],
        "participants": people,
        "more_participants": len(shown.participants) - len(people),
        "people": _people(people, len(shown.participants)),
        "channels": [_channel(note, markup) for note in channels[: markup.rows]],
        "run": markup.line(run_id),
        "footer": _footer(summary, markup, timezone, run_id),
    }


def _sections(summary: Summary, markup: Markup, timezone: str) -> list[dict[str, Any]]:
    named = (
        ("key_points", "Key points", summary.key_points),
        ("action_items", "Action items", summary.action_items),
    )
    sections = []
    for key, name, said in named:
        points = [_point(point, summary, markup, timezone) for point in said[: markup.rows]]
        if points:
            lines = [markup.listed(point["text"], point["source"]) for point in points]
            sections.append({"key": key, "name": name, "points": points, "lines": lines})
    return sections


def _point(point: Point, summary: Summary, markup: Markup, timezone: str) -> dict[str, Any]:
    return {
        "text": markup.point(point.text, summary, timezone),
        "author": markup.line(point.author),
        "url": safe_url(point.url),
        "source": markup.source(one_line(point.author), safe_url(point.url)),
    }


def _name(name: str, markup: Markup) -> str:
    return markup.line(cut(one_line(name), _NAME_LIMIT)) or "?"


def _people(people: list[dict[str, Any]], count: int) -> str:
    text = ", ".join(f"{person['name']} ({person['count']:,})" for person in people)
    return text + (f" and {count - len(people):,} more" if count > len(people) else "")


def _channel(note: ChannelNote, markup: Markup) -> dict[str, str]:
    name = f"#{one_line(note.name)}" if one_line(note.name) else f"channel {one_line(note.channel_id)}"
    count = counted(note.message_count, "message") if note.message_count or not note.note else ""
    said = ", ".join(part for part in (count, one_line(note.note)) if part)
    return {
        "name": markup.line(name),
        "count": count,
        "note": markup.line(note.note),
        "line": markup.line(f"{name}: {said}"),
    }


def _footer(summary: Summary, markup: Markup, timezone: str, run_id: str) -> list[str]:
    where, name = zone(timezone)
    parts = [f"Run {markup.term(run_id)}"] if run_id else []
    if summary.created_at is not None:
        parts.append(f"made {summary.created_at.astimezone(where):%Y-%m-%d %H:%M} ({name})")
    if summary.engine:
        parts.append(f"by the {markup.line(summary.engine)} engine")
    return parts


# --- Markdown and plain text ------------------------------------------------------------------------------------------


def _markdown_line(text: str) -> str:
    return escape_markdown(one_line(text))


def _markdown_body(summary: Summary, timezone: str) -> str:
    return prose(summary, summary.summary_text).strip()


def _markdown_point(text: str, summary: Summary, timezone: str) -> str:
    return prose(summary, one_line(text).replace("```", "`"))


def _markdown_source(author: str, url: str | None) -> str:
    parts = (f"**{escape_markdown(author)}**" if author else "", f"[message]({url})" if url else "")
    return " · ".join(part for part in parts if part)


def _card_body(summary: Summary, timezone: str) -> str:
    return prose(summary, cut(summary.summary_text[: 2 * _CARD_BODY], _CARD_BODY)).strip()


def _card_point(text: str, summary: Summary, timezone: str) -> str:
    return _markdown_point(cut(text[: 2 * _CARD_POINT], _CARD_POINT), summary, timezone)


def _code(text: str) -> str:
    return f"`{disarm_mentions(one_line(text)).replace('`', chr(0x2019)) or '?'}`"


def _own_markdown(summary: Summary, timezone: str) -> str:
    return "\n".join(split_text(disarm_mentions(summary.markdown or ""), _WHOLE))


def _plain_source(author: str, url: str | None) -> str:
    return ", ".join(part for part in (author, url or "") if part)


MARKDOWN = Markup(
    line=_markdown_line,
    body=_markdown_body,
    point=_markdown_point,
    source=_markdown_source,
    term=_code,
    own_body=_own_markdown,
)

CARD_MARKDOWN = Markup(
    line=_markdown_line,
    body=_card_body,
    point=_card_point,
    source=_markdown_source,
    term=_code,
    people=_ON_CARDS,
)
"""Of a Discord embed. An engine's own Markdown is no part of it: an engine may bring an embed of its own."""

TEAMS_MARKDOWN = Markup(
    line=_markdown_line,
    body=_card_body,
    point=_card_point,
    source=_markdown_source,
    term=_markdown_line,  # Teams shows no inline code
    people=_ON_CARDS,
)

PLAIN = Markup(
    line=one_line,
    body=lambda summary, timezone: clean(summary.summary_text).strip(),
    point=lambda text, summary, timezone: one_line(text),
    source=_plain_source,
    term=one_line,
)
