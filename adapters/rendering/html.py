"""A summary as one HTML page, for mail clients, browsers and files. The page is a template that people can edit."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.rendering.documents import counted, heading, prose, remarkable, span_line, zone
from adapters.rendering.safety import clean, disarm_mentions, one_line, safe_url
from adapters.rendering.splitting import cut, split_text
from domain.errors import DeliveryFailed
from domain.summary import ChannelNote, Point, Summary

if TYPE_CHECKING:
    from jinja2 import Environment
    from markdown_it import MarkdownIt

__all__ = ["SUMMARY_TEMPLATE", "HtmlRenderer", "html_document"]

SUMMARY_TEMPLATE = "summary.html.j2"
"""The name of the template, packaged and in an operator's folder."""

_TEXT_LIMIT = 40_000
"""Mail clients cut off pages of more than about 100 KB."""
_POINT_LIMIT = 2_000
_LINE_LIMIT = 300
_MOST_ROWS = 100
_PAGE_LIMIT = 2_000_000
"""A template that makes more than this is broken."""

_TIMESTAMP = re.compile(r"<t:(-?\d{1,12})(?::[a-zA-Z])?>")
_CODE_OR_URL = re.compile(
    r"(?P<code>```.*?(?:```|\Z)|`[^`\n]+`)"
    r"|(?<![\w(<\[\"'/])https?://[^\s<>()\[\]`*|\\\"]{0,500}[^\s<>()\[\]`*|\\\".,;:!?']",
    re.DOTALL,
)
_LOWERED_HEADINGS = {"h1": "h3", "h2": "h3", "h3": "h4", "h4": "h5", "h5": "h6", "h6": "h6"}


class SafeHtml(str):
    """HTML made here, which templates print as it is."""

    def __html__(self) -> str:
        return str(self)


class HtmlRenderer:
    """Fills the template ``summary.html.j2``: the one in ``templates``, an operator's folder, else the packaged one.

    A template sees the words of ``summary_words`` and nothing else: it is run in a sandbox, everything it prints is
    escaped, and a name that does not exist is an error. Thread-safe. A template that was edited is read again.
    """

    def __init__(self, templates: Path | None = None) -> None:
        self._templates = templates
        self._made: Environment | None = None

    def document(self, summary: Summary, *, timezone: str = "UTC", task_name: str = "", run_id: str = "") -> str:
        """The page, with times in ``timezone``.

        Raises DeliveryFailed (permanent) that names the file and the line when the template is broken.
        """
        return self._rendered(summary_words(summary, timezone=timezone, task_name=task_name, run_id=run_id))

    def check(self) -> None:
        """Raise DeliveryFailed, as ``document`` does, when the template is broken."""
        self.document(_SAMPLE)

    def _rendered(self, words: dict[str, Any]) -> str:
        from jinja2 import TemplateNotFound, TemplateSyntaxError

        try:
            page = self._environment().get_template(SUMMARY_TEMPLATE).render(words)
        except TemplateSyntaxError as error:
            raise _broken(error.name or SUMMARY_TEMPLATE, error.lineno, error.message or "") from None
        except TemplateNotFound as error:
            raise _broken(SUMMARY_TEMPLATE, _line(error), f"no template {one_line(str(error.name))!r}") from None
        except Exception as error:  # whatever a template does wrong: unknown names, forbidden calls, bad arithmetic
            raise _broken(_file(error), _line(error), f"{error}") from None
        if len(page) > _PAGE_LIMIT:
            raise _broken(SUMMARY_TEMPLATE, 0, f"it makes more than {_PAGE_LIMIT:,} characters")
        return clean(page)

    def _environment(self) -> Environment:
        if self._made is None:
            from jinja2 import ChoiceLoader, FileSystemLoader, PackageLoader, StrictUndefined
            from jinja2.sandbox import ImmutableSandboxedEnvironment

            packaged = PackageLoader("adapters", "templates")
            loader = (
                packaged if self._templates is None else ChoiceLoader([FileSystemLoader(self._templates), packaged])
            )
            self._made = ImmutableSandboxedEnvironment(
                loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
            )
        return self._made


@cache
def _packaged() -> HtmlRenderer:
    return HtmlRenderer()


def html_document(summary: Summary, *, timezone: str = "UTC", task_name: str = "", run_id: str = "") -> str:
    """The page of the packaged template, with times in ``timezone``."""
    return _packaged().document(summary, timezone=timezone, task_name=task_name, run_id=run_id)


# --- what a template sees --------------------------------------------------------------------------------------------


def summary_words(summary: Summary, *, timezone: str = "UTC", task_name: str = "", run_id: str = "") -> dict[str, Any]:
    """The words a template is filled with.

    ``title``, ``span`` (wall-clock time in ``timezone``), ``facts``, ``notice`` and ``footer`` are plain texts or lists
    of them; ``body`` is safe HTML (of the whole page where ``own`` says that the engine wrote it); each of ``sections``
    has a ``name`` and ``points`` with ``text`` (safe HTML), ``author`` and ``url`` (http(s) only, or None); ``terms``
    is a list of texts; ``participants`` and ``channels`` have ``name`` and ``count``, channels ``note`` beside;
    ``more_participants`` counts those left out.
    """
    own = summary.markdown is not None
    limited = _limited(summary)
    body = _block(_own_markdown(summary) if own else prose(limited, limited.summary_text), timezone, lower=not own)
    people = [] if own else [{"name": _line_of(name), "count": count} for name, count in summary.participants]
    return {
        "title": cut(heading(summary, task_name), _LINE_LIMIT),
        "span": span_line(summary, timezone),
        "facts": _facts(summary),
        "notice": one_line(summary.notice),
        "own": own,
        "body": body,
        "sections": [] if own else _sections(limited, timezone),
        "terms": [] if own else [_line_of(term) for term in summary.technical_terms[:_MOST_ROWS]],
        "participants": people[:_MOST_ROWS],
        "more_participants": max(0, len(people) - _MOST_ROWS),
        "channels": [
            _channel(note) for note in (remarkable(summary.channels) if own else summary.channels)[:_MOST_ROWS]
        ],
        "footer": _footer(summary, timezone, run_id),
    }


def _limited(summary: Summary) -> Summary:
    text = summary.summary_text
    return summary.model_copy(update={"summary_text": cut(clean(text[: 2 * _TEXT_LIMIT]), _TEXT_LIMIT)})


def _own_markdown(summary: Summary) -> str:
    text = disarm_mentions((summary.markdown or "")[: 2 * _TEXT_LIMIT])
    return "\n".join(split_text(text, _TEXT_LIMIT, max_parts=1))


def _facts(summary: Summary) -> list[str]:
    facts = [counted(summary.message_count, "message")]
    if summary.participants:
        people = len(summary.participants)
        facts.append("1 person" if people == 1 else f"{people:,} people")
    return facts


def _sections(summary: Summary, timezone: str) -> list[dict[str, Any]]:
    named = (("Key points", summary.key_points), ("Action items", summary.action_items))
    return [
        {"name": name, "points": [_point(point, summary, timezone) for point in points[:_MOST_ROWS]]}
        for name, points in named
        if points
    ]


def _point(point: Point, summary: Summary, timezone: str) -> dict[str, Any]:
    text = prose(summary, cut(one_line(point.text[: 2 * _POINT_LIMIT]).replace("```", "`"), _POINT_LIMIT))
    return {"text": _inline(text, timezone), "author": _line_of(point.author), "url": safe_url(point.url)}


def _channel(note: ChannelNote) -> dict[str, Any]:
    name = f"#{_line_of(note.name)}" if one_line(note.name) else f"channel {_line_of(note.channel_id)}"
    count = counted(note.message_count, "message") if note.message_count or not note.note else ""
    return {"name": name, "count": count, "note": _line_of(note.note)}


def _footer(summary: Summary, timezone: str, run_id: str) -> list[str]:
    where, name = zone(timezone)
    parts = [f"Run {_line_of(run_id)}"] if run_id else []
    if summary.created_at is not None:
        parts.append(f"made {summary.created_at.astimezone(where):%Y-%m-%d %H:%M} ({name})")
    if summary.engine:
        parts.append(f"by the {_line_of(summary.engine)} engine")
    return parts


def _line_of(text: str) -> str:
    return cut(one_line(text[: 10 * _LINE_LIMIT]), _LINE_LIMIT)


_SAMPLE = Summary(
    id="sample",
    title="Sample",
    summary_text="A **sample**.",
    key_points=(Point(text="A point", author="Ana", url="https://discord.com/channels/1/2/3"), Point(text="Another")),
    action_items=(Point(text="To do", author="Bob"),),
    technical_terms=("term",),
    participants=(("Ana", 2), ("Bob", 1)),
    message_count=3,
    start_time=datetime(2026, 1, 1, tzinfo=UTC),
    end_time=datetime(2026, 1, 2, tzinfo=UTC),
    created_at=datetime(2026, 1, 2, tzinfo=UTC),
    engine="sample",
    notice="A notice.",
    channels=(ChannelNote(channel_id="1", name="general", message_count=3), ChannelNote(channel_id="2", note="quiet")),
)


# --- Markdown to HTML ------------------------------------------------------------------------------------------------


def _block(markdown: str, timezone: str, *, lower: bool) -> SafeHtml:
    return _html(_markdown().render, markdown, timezone, lower=lower)


def _inline(markdown: str, timezone: str) -> SafeHtml:
    return _html(_markdown().renderInline, markdown, timezone, lower=False)


def _html(render: Callable[[str, dict[str, Any]], str], markdown: str, timezone: str, *, lower: bool) -> SafeHtml:
    """Safe HTML of Markdown: no HTML of its own, no picture, http(s) links only. Discord's times are spelled out."""
    text = _TIMESTAMP.sub(lambda match: _spelled(int(match[1]), timezone) or match[0], markdown)
    return SafeHtml(render(_CODE_OR_URL.sub(_autolink, text), {"lower": lower}))  # the renderer escapes


def _spelled(seconds: int, timezone: str) -> str | None:
    where, name = zone(timezone)
    try:
        return f"{datetime.fromtimestamp(seconds, UTC).astimezone(where):%Y-%m-%d %H:%M} ({name})"
    except (ValueError, OverflowError, OSError):
        return None


def _autolink(match: re.Match[str]) -> str:
    return f"<{match[0]}>" if match["code"] is None and safe_url(match[0]) else match[0]


@cache
def _markdown() -> MarkdownIt:
    from markdown_it import MarkdownIt

    markdown = MarkdownIt("commonmark", {"html": False, "breaks": True, "xhtmlOut": False}).enable(
        ["table", "strikethrough"]
    )
    markdown.disable(["image", "html_block", "html_inline", "reference", "entity", "code"])
    markdown.validateLink = lambda url: safe_url(url) is not None  # type: ignore[method-assign]
    markdown.core.ruler.push("daybook", _adapt)
    return markdown


def _adapt(state: Any) -> None:
    """Each block finds its own direction; links tell no referrer; headings stand below those of the page."""
    for token in state.tokens:
        if token.nesting >= 0 and token.tag in ("p", "li", "blockquote", "td", "th", *_LOWERED_HEADINGS):
            token.attrSet("dir", "auto")
        if state.env.get("lower") and token.tag in _LOWERED_HEADINGS:
            token.tag = _LOWERED_HEADINGS[token.tag]
        for inner in token.children or ():
            if inner.type == "link_open":
                inner.attrSet("rel", "noopener noreferrer")


# --- broken templates ------------------------------------------------------------------------------------------------


def _broken(file: str, line: int, problem: str) -> DeliveryFailed:
    where = f"template {one_line(file)}, line {line}" if line else f"template {one_line(file)}"
    return DeliveryFailed(f"{where}: {cut(one_line(problem), 200)}", permanent=True)


def _innermost(error: BaseException) -> tuple[str, int]:
    """The place in a template that an error came from; Jinja puts templates into tracebacks."""
    found, entry = (SUMMARY_TEMPLATE, 0), error.__traceback__
    while entry is not None:
        if (name := Path(entry.tb_frame.f_code.co_filename).name).endswith((".j2", ".html")):
            found = (name, entry.tb_lineno)
        entry = entry.tb_next
    return found


def _file(error: BaseException) -> str:
    return _innermost(error)[0]


def _line(error: BaseException) -> int:
    return _innermost(error)[1]
