"""An audit report as one HTML page: it loads nothing, needs no script, and may stand under a strict content policy."""

from __future__ import annotations

from base64 import b64encode
from datetime import date, datetime
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from adapters.rendering.html import SafeHtml
from adapters.rendering.reports.charts import GRADES, grade, heat_map, lateness_chart, success_chart
from adapters.rendering.reports.markdown import MARKDOWN_LEAVES_OUT
from adapters.rendering.reports.tables import Cell, Kind, Table, heading, length, notes, percent, period, shown, tables
from adapters.rendering.safety import clean
from application.report import Report

if TYPE_CHECKING:
    from jinja2 import Template

__all__ = ["html_report"]

_LONG = {"days", "runs", "timeline", "events", "changes"}
"""Tables that are folded where they have more than a few rows."""
_FEW = 12
_IDS = {"task_id", "run_id"}
_LEAVES_OUT = {**MARKDOWN_LEAVES_OUT, "accounts": {"task_id"}}
_COLORS = {
    "good": {"active", "executed", "delivered", "ok", "resumed", "created"},
    "wait": {"running", "waiting", "open", "due", "ahead", "requested"},
    "warn": {"missed", "paused", "unknown", "skipped", "quiet", "overlap", "interrupted", "noticed"},
    "bad": {"failed", "disabled", "wrong", "unreadable", "node lost"},
}


def html_report(report: Report) -> str:
    """The page. Times are in the report's zone."""
    style = _style()
    days = report.days
    charts = (
        {"success": success_chart(days), "calendar": heat_map(days), "lateness": lateness_chart(days)} if days else None
    )
    page = _template().render(
        title=clean(heading(report)),
        period=period(report),
        closed=report.closed,
        notes=notes(report),
        cards=_cards(report),
        charts=charts,
        legends=_legends(report),
        tables=[_words(table, report.timezone) for table in tables(report) if table.key != "deliveries"],
        style=SafeHtml(style),
        style_hash=SafeHtml(f"sha256-{b64encode(sha256(style.encode()).digest()).decode()}"),
    )
    return clean(page)


@cache
def _template() -> Template:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("adapters", "templates")
    return Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    ).get_template("report.html.j2")


@cache
def _style() -> str:
    return files("adapters").joinpath("templates", "report.css").read_text(encoding="utf-8")


def _legends(report: Report) -> dict[str, list[tuple[str, str]]]:
    """What the colors of each chart mean, as far as they are used."""
    counts = ("executed", "failed", "missed", "skipped", "pending")
    used = {grade(day) for day in report.days}
    return {
        "success": [(name, name) for name in counts if any(getattr(day, name) for day in report.days)],
        "calendar": [(f"day-{name}", words) for name, words in GRADES.items() if name in used],
        "lateness": [("p50", "half within"), ("p95", "95% within"), ("most", "latest")],
    }


def _cards(report: Report) -> list[dict[str, str]]:
    of, account = report.figures, report.account
    late = of.lateness
    down = report.down_seconds
    verdict = "they do not add up" if account.alarm else "they add up" if account.proven else "cannot be proven in full"
    return [
        _card("Runs that succeeded", percent(of.run_rate), f"{of.executed:,} of {of.executed + of.failed:,}"),
        _card("Slots", f"{account.implied:,}", f"{account.skipped:,} skipped or missed; {verdict}"),
        _card("Deliveries", percent(of.delivery_rate), f"{of.delivered:,} arrived, {of.undelivered:,} failed"),
        _card("95% started within", length(late.p95) if late else "-", f"latest {length(late.most)}" if late else ""),
        _card(
            "Service up",
            percent(report.up_rate),
            f"down for {length(down)}" if down is not None else "no process is known",
        ),
    ]


def _card(name: str, value: str, more: str) -> dict[str, str]:
    return {"name": name, "value": value, "more": more}


def _words(table: Table, timezone: str) -> dict[str, Any]:
    left_out = _LEAVES_OUT.get(table.key, set())
    kept = [number for number, column in enumerate(table.columns) if column.key not in left_out]
    return {
        "key": table.key,
        "title": table.title,
        "note": table.note,
        "empty": table.empty,
        "long": table.key in _LONG and len(table.rows) > _FEW,
        "count": f"{len(table.rows):,}",
        "columns": [{"label": table.columns[n].label, "right": table.columns[n].kind.right} for n in kept],
        "rows": [
            [_cell(row[n], table.columns[n].kind, table.columns[n].key, timezone) for n in kept] for row in table.rows
        ],
    }


def _cell(cell: Cell, kind: Kind, key: str, timezone: str) -> dict[str, str]:
    iso = cell.isoformat() if isinstance(cell, datetime | date) else ""
    return {"text": shown(cell, kind, timezone), "kind": _class(cell, kind, key), "iso": iso}


def _class(cell: Cell, kind: Kind, key: str) -> str:
    if kind.right:
        return "right"
    if kind in (Kind.INSTANT, Kind.DATE):
        return "when"
    if kind is Kind.STATE:
        return next((f"state state-{name}" for name, words in _COLORS.items() if cell in words), "state")
    return "id" if key in _IDS else ""
