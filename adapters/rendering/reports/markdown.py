"""An audit report as Markdown."""

from __future__ import annotations

from collections.abc import Iterator

from adapters.rendering.reports.tables import Table, heading, notes, period, shown, tables
from adapters.rendering.safety import escape_markdown, one_line
from application.report import Report

__all__ = ["MARKDOWN_LEAVES_OUT", "markdown_report"]

MARKDOWN_LEAVES_OUT = {
    "runs": {"note", "messages", "started_at", "closed_at", "run_id", "task_id", "guild_id"},
    "timeline": {"task_id", "guild_id"},
    "accounts": {"schedule"},
    "slowest": {"run_id"},
}
"""Columns that would only widen a page; CSV and JSON have them."""


def markdown_report(report: Report) -> str:
    """The report as Markdown: names stay text, whatever they hold."""
    parts = [f"# {_words(heading(report))}", "", _words(period(report)), ""]
    for note in notes(report):
        parts += [f"> {_words(note)}", ">"]
    parts[-1] = ""
    for table in tables(report):
        if table.key != "deliveries":  # they stand with their runs
            parts += _section(table, report.timezone)
    return "\n".join(parts).rstrip() + "\n"


def _section(table: Table, timezone: str) -> Iterator[str]:
    yield f"## {table.title}"
    yield ""
    if not table.rows:
        yield from (table.empty, "")
        return
    if table.note:
        yield from (_words(table.note), "")
    left_out = MARKDOWN_LEAVES_OUT.get(table.key, set())
    kept = [number for number, column in enumerate(table.columns) if column.key not in left_out]
    columns = [table.columns[number] for number in kept]
    yield "| " + " | ".join(column.label for column in columns) + " |"
    yield "|" + "|".join("---:" if column.kind.right else "---" for column in columns) + "|"
    for row in table.rows:
        cells = (_words(shown(row[number], table.columns[number].kind, timezone)) for number in kept)
        yield "| " + " | ".join(cells) + " |"
    yield ""


def _words(text: str) -> str:
    # A backtick would begin code, and there a bar ends the cell; escape_markdown leaves no other way out of one.
    return text if text == "-" else escape_markdown(one_line(text).replace("`", "'"))
