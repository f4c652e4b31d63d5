"""A message of the double as a page of HTML, in the manner of Discord's client: for pictures in a documentation.

Embeds, buttons, menus and text with bold, italics, code, links, mentions of channels, and timestamps. It is a likeness,
not a copy: what it does not know it shows as it was sent.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from html import escape
from typing import Any

from tests.discord_double.world import Message, World

__all__ = ["page"]

EPHEMERAL = 1 << 6
BUTTON = 2
_STYLES = {1: "primary", 2: "secondary", 3: "success", 4: "danger", 5: "link"}
_MOMENT = re.compile(r"&lt;t:(-?\d+)(?::([tTdDfFR]))?&gt;")
_PLACE = re.compile(r"&lt;#(\d+)&gt;")
_LINK = re.compile(r"\[([^\]\n]+)\]\((?:&lt;)?(https?://[^\s)]+?)(?:&gt;)?\)")
_ESCAPED = re.compile(r"\\([!-/:-@\[-`{-~])")
_MARKS = (
    (re.compile(r"\*\*(.+?)\*\*", re.DOTALL), r"<b>\1</b>"),
    (re.compile(r"(?<!\w)[*_](?!\s)(.+?)(?<!\s)[*_](?!\w)"), r"<i>\1</i>"),
    (re.compile(r"`([^`\n]+)`"), r"<code>\1</code>"),
    (re.compile(r"^### (.+)$", re.MULTILINE), r"<b>\1</b>"),
    (re.compile(r"^## (.+)$", re.MULTILINE), r"<b>\1</b>"),
    (re.compile(r"^-# (.+)$", re.MULTILINE), r"<small>\1</small>"),
    (re.compile(r"^- (.+)$", re.MULTILINE), r"• \1"),
)
_FORMS: dict[str, str] = {
    "t": "%H:%M",
    "T": "%H:%M:%S",
    "d": "%d/%m/%Y",
    "D": "%d %B %Y",
    "f": "%d %B %Y %H:%M",
    "F": "%A, %d %B %Y %H:%M",
}
_UNITS = (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))
_STYLE = """
body{margin:0;background:#313338;color:#dbdee1;font:15px/1.35 'Noto Sans','DejaVu Sans',sans-serif;width:600px}
main{padding:14px 18px}
h1{font-size:15px;margin:0 0 4px;color:#f2f3f5}
h1 span{background:#5865f2;border-radius:3px;font-size:10px;padding:1px 4px}
.embed{background:#2b2d31;border-left:4px solid;border-radius:4px;padding:10px 14px;margin:4px 0;white-space:pre-wrap}
.embed h2{font-size:15px;margin:0 0 6px;color:#f2f3f5}
.fields{display:grid;grid-template-columns:repeat(3,1fr);gap:8px;margin-top:8px}.fields>div{grid-column:1/-1}
.fields>div.inline{grid-column:auto}.fields h3{font-size:13px;margin:0;color:#f2f3f5}
footer{font-size:12px;color:#b5bac1;margin-top:8px}
.row{display:flex;gap:8px;margin-top:8px}.row>*{border-radius:3px;padding:6px 14px;font-size:14px;color:#fff}
.primary{background:#5865f2}.secondary,.link{background:#4e5058}.success{background:#248046}.danger{background:#da373c}
.off{opacity:.5}.menu{background:#1e1f22;color:#b5bac1!important;flex:1;border:1px solid #3f4147}
.place,.moment{background:#3c4270;color:#c9cdfb;border-radius:3px;padding:0 2px}
.moment{background:#404249;color:inherit}
a{color:#00a8fc;text-decoration:none}code{background:#1e1f22;padding:0 3px;border-radius:3px}
.only{font-size:12px;color:#949ba4;margin-top:6px}
"""


def page(world: World, message: Message, now: datetime) -> str:
    """The message as it is seen at an instant, times in the zone of ``now``. The page loads nothing from elsewhere."""
    author = escape(message.author.name)
    parts = [f"<h1>{author} <span>APP</span></h1>"]
    if message.content:
        parts.append(f"<div>{_text(world, message.content, now)}</div>")
    parts += [_embed(world, embed, now) for embed in message.embeds]
    parts += [f'<div class="row">{"".join(map(_item, row["components"]))}</div>' for row in message.components]
    if message.flags & EPHEMERAL:
        parts.append('<div class="only">👁 Only you can see this</div>')
    return f"<!doctype html><meta charset=utf-8><style>{_STYLE}</style><main>{''.join(parts)}</main>"


def _embed(world: World, embed: dict[str, Any], now: datetime) -> str:
    def text(value: str) -> str:
        return _text(world, value, now)

    fields = "".join(_field(field, text) for field in embed.get("fields", []))
    footer = embed.get("footer", {}).get("text")
    title = text(embed["title"]) if embed.get("title") else ""
    heading = f"<a>{title}</a>" if embed.get("url") else title
    inner = [
        f"<h2>{heading}</h2>" if heading else "",
        text(embed.get("description") or ""),
        f'<div class="fields">{fields}</div>' if fields else "",
        f"<footer>{escape(footer)}</footer>" if footer else "",
    ]
    return f'<div class="embed" style="border-color:#{embed.get("color") or 0x1E1F22:06x}">{"".join(inner)}</div>'


def _field(field: dict[str, Any], text: Callable[[str], str]) -> str:
    place = ' class="inline"' if field.get("inline") else ""
    return f"<div{place}><h3>{text(field['name'])}</h3>{text(field['value'])}</div>"


def _item(item: dict[str, Any]) -> str:
    if item["type"] == BUTTON:
        off = " off" if item.get("disabled") else ""
        return f'<div class="{_STYLES[item["style"]]}{off}">{escape(item.get("label") or "")}</div>'
    chosen = [option["label"] for option in item.get("options", []) if option.get("default")]
    return f'<div class="menu">{escape(", ".join(chosen) or item.get("placeholder") or "")} ▾</div>'


def _text(world: World, text: str, now: datetime) -> str:
    """Markdown as Discord shows it. What was escaped is set aside, so that it stays what it was."""
    aside: list[str] = []

    def keep(found: re.Match[str]) -> str:
        aside.append(escape(found[1]))
        return f"\x00{len(aside) - 1}\x00"

    made = escape(_ESCAPED.sub(keep, text), quote=False)
    made = _MOMENT.sub(lambda found: f'<span class="moment">{_moment(found, now)}</span>', made)
    made = _PLACE.sub(lambda found: f'<span class="place">#{escape(_name(world, int(found[1])))}</span>', made)
    made = _LINK.sub(r"<a>\1</a>", made)
    for pattern, shown in _MARKS:
        made = pattern.sub(shown, made)
    return re.sub("\x00(\\d+)\x00", lambda found: aside[int(found[1])], made)


def _name(world: World, id: int) -> str:
    channel = world.channels.get(id)
    return channel.name if channel is not None else "unknown"


def _moment(found: re.Match[str], now: datetime) -> str:
    at, style = datetime.fromtimestamp(int(found[1]), now.tzinfo), found[2] or "f"
    if style != "R":
        return at.strftime(_FORMS[style])
    away = round((at - now).total_seconds())
    unit, length = next((each for each in _UNITS if abs(away) >= each[1]), _UNITS[-1])
    count = round(abs(away) / length)
    words = f"{count} {unit}{'' if count == 1 else 's'}"
    return f"in {words}" if away >= 0 else f"{words} ago"
