"""The words of a summary as safe HTML, for the page that is a template: mail clients, browsers and files show it."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from html import escape
from typing import TYPE_CHECKING, Any

from adapters.rendering.documents import prose, zone
from adapters.rendering.safety import clean, disarm_mentions, one_line, safe_url
from adapters.rendering.splitting import cut, split_text
from adapters.rendering.words import Markup
from domain.summary import Summary

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

__all__ = ["HTML", "SUMMARY_TEMPLATE"]

SUMMARY_TEMPLATE = "summary.html.j2"
"""The name of the template, packaged and in an operator's folder."""

_TEXT_LIMIT = 40_000
"""Mail clients cut off pages of more than about 100 KB."""
_POINT_LIMIT = 2_000
_LINE_LIMIT = 300
_MOST_ROWS = 100

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


# --- markup --------------------------------------------------------------------------------------------


def _body(summary: Summary, timezone: str) -> SafeHtml:
    text = cut(clean(summary.summary_text[: 2 * _TEXT_LIMIT]), _TEXT_LIMIT)
    return _block(prose(summary, text), timezone, lower=True)


def _own_body(summary: Summary, timezone: str) -> SafeHtml:
    text = disarm_mentions((summary.markdown or "")[: 2 * _TEXT_LIMIT])
    return _block("\n".join(split_text(text, _TEXT_LIMIT, max_parts=1)), timezone, lower=False)


def _point(text: str, summary: Summary, timezone: str) -> SafeHtml:
    shown = cut(one_line(text[: 2 * _POINT_LIMIT]).replace("```", "`"), _POINT_LIMIT)
    return _inline(prose(summary, shown), timezone)


def _source(author: str, url: str | None) -> str:
    parts = [f"<bdi>{escape(_line_of(author))}</bdi>"] if author else []
    if url:
        parts.append(f'<a href="{escape(url)}" rel="noopener noreferrer" lang="en">message</a>')
    return SafeHtml(" · ".join(parts))


def _line_of(text: str) -> str:
    return cut(one_line(text[: 10 * _LINE_LIMIT]), _LINE_LIMIT)


def _listed(text: str, source: str) -> str:
    return SafeHtml(f"{text} ({source})") if source else text


HTML = Markup(
    line=_line_of,  # the template escapes it
    body=_body,
    point=_point,
    source=_source,
    term=_line_of,
    own_body=_own_body,
    listed=_listed,
    rows=_MOST_ROWS,
    people=_MOST_ROWS,
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
