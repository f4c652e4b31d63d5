"""``daybook report``: what a task, a guild or the service did in a period, in the format that is asked for."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adapters.cli import show
from adapters.cli.options import DataOption
from adapters.cli.progress import bar

if TYPE_CHECKING:
    from datetime import datetime

    from adapters.cli.reading import Reader
    from application.report import Report
    from domain.principal import Principal

__all__ = ["report"]

FORMATS = ("terminal", "markdown", "html", "csv", "json")
_FORMAT_OF = {".md": "markdown", ".markdown": "markdown", ".html": "html", ".htm": "html", ".csv": "csv"}
_FORMAT_OF |= {".zip": "csv", ".json": "json", ".txt": "terminal"}

EveryTaskOption = Annotated[
    bool, typer.Option("--every-task", help="List every task, not the 1,000 with the most trouble. All are counted.")
]


def report(
    ctx: typer.Context,
    task: Annotated[
        str | None, typer.Argument(metavar="[TASK]", help="Of one task: its id, the beginning of it, or its name.")
    ] = None,
    guild: Annotated[str | None, typer.Option("--guild", metavar="ID", help="Of one guild only.")] = None,
    all_guilds: Annotated[
        bool, typer.Option("--all", help="Of all guilds: what is done where nothing is named.")
    ] = False,
    period: Annotated[
        str | None,
        typer.Option(
            "--period", metavar="WORDS", help='"2026-10", "2026-W44", "last month", "last 7 days". [this month]'
        ),
    ] = None,
    start: Annotated[
        str | None, typer.Option("--from", metavar="INSTANT", help="From here on, in place of WORDS.")
    ] = None,
    end: Annotated[
        str | None, typer.Option("--to", metavar="INSTANT", help="Before this instant. Default: now.")
    ] = None,
    zone: Annotated[
        str | None,
        typer.Option("--zone", metavar="ZONE", help="Zone of days and times. Default: the task's, or the service's."),
    ] = None,
    shape: Annotated[
        str | None,
        typer.Option("--format", metavar="FORMAT", help="terminal, markdown, html, csv, json. Default: as FILE ends."),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option("--output", metavar="FILE", help="A file that is replaced; NAME.zip holds all tables as CSV."),
    ] = None,
    table: Annotated[str, typer.Option("--table", metavar="NAME", help="Which table, for one CSV file.")] = "runs",
    role: Annotated[
        str, typer.Option("--role", metavar="ROLE", help="For whose eyes: operator, or manager or viewer of one guild.")
    ] = "operator",
    every_task: EveryTaskOption = False,
    data: DataOption = None,
) -> None:
    """Report on a period: success, lateness, outages, causes, edits, runs. Exit code 1 when accounts do not add up."""
    from adapters.cli.old_names import find_ever
    from adapters.cli.reading import on_rows
    from application.reports import Reports

    form = _format(shape, output)
    if all_guilds:
        _check_nothing_named(task, guild)

    def work(reader: Reader) -> bool:
        found = find_ever(reader.queries, task, guild_id=guild) if task is not None else None
        principal = _principal(role, found.guild_id if found is not None else guild)
        in_zone = zone or (found.timezone if found is not None else reader.timezone)
        begin, until = _period(period, start, end, in_zone, reader.now)
        with bar("Reading", "tasks") as progress:
            made = Reports(reader.queries, reader.log, reader.clock).make(
                begin,
                until,
                task_id=found.task_id if found is not None else None,
                guild_id=guild,
                timezone=in_zone,
                every_task=every_task,
                principal=principal,
                progress=progress,
            )
        _give(made, form, output, table)
        return made.account.alarm

    raise typer.Exit(1 if on_rows(ctx, work, data=data) else 0)


# --- reading ---


def _check_nothing_named(task: str | None, guild: str | None) -> None:
    if task is not None or guild is not None:
        from domain.errors import InvalidInput

        raise InvalidInput("--all", "", "does not go with a task or a guild", "leave one of them out")


def _format(shape: str | None, output: str | None) -> str:
    from domain.errors import InvalidInput

    if shape is None and output is not None:
        if (kind := _FORMAT_OF.get(Path(output).suffix.lower())) is None:
            remedy = f"end it with {', '.join(_FORMAT_OF)}, or say which with --format"
            raise InvalidInput("--output", output, "is no kind of file that a report can be", remedy)
        return kind
    if shape is None:
        return "terminal"
    if shape not in FORMATS:
        raise InvalidInput("--format", shape, "is not known", "use one of " + ", ".join(FORMATS))
    return shape


def _principal(role: str, guild: str | None) -> Principal:
    from domain.errors import InvalidInput
    from domain.principal import OPERATOR, Permission, Principal

    if role == "operator":
        return OPERATOR
    if role not in ("manager", "viewer"):
        raise InvalidInput("--role", role, "is not known", "use operator, manager or viewer")
    if guild is None:
        raise InvalidInput("--role", role, "is a role in one guild", "say which with --guild ID, or name a task")
    if role == "viewer":
        return Principal(reference="viewer", guild_id=guild)
    return Principal(reference="manager", guild_id=guild, permissions=frozenset(Permission))


def _period(
    words: str | None, start: str | None, end: str | None, zone: str, now: datetime
) -> tuple[datetime, datetime]:
    from adapters.cli.task_words import aware
    from application.report_period import period_in_words
    from domain.errors import InvalidInput

    if start is None and end is None:
        return period_in_words(words or "this month", zone, now)
    if words is not None:
        raise InvalidInput("--period", words, "does not go with --from and --to", "leave one of them out")
    if start is None:
        raise InvalidInput("--to", end, "has no beginning", "add --from")
    begin, until = aware("--from", start, zone), aware("--to", end, zone) if end is not None else now
    if until <= begin:
        raise InvalidInput("--to", end or "now", "is not after --from", "give a period that ends after it begins")
    return begin, until


# --- giving ---


def _give(made: Report, form: str, output: str | None, table: str) -> None:
    if form == "terminal" and output is None:
        from adapters.cli.report_view import print_report

        print_report(made)
        return
    content = _content(made, form, output, table)
    if output is None:
        for part in content:
            sys.stdout.buffer.write(part)
        sys.stdout.flush()
        return
    from adapters.cli.files import write_lines

    write_lines(Path(output), content)
    show.note(f"wrote {output}")


def _content(made: Report, form: str, output: str | None, table: str) -> Iterable[bytes]:
    from adapters.rendering import reports

    if form == "csv" and output is not None and output.lower().endswith(".zip"):
        return [reports.csv_archive(made)]
    if form == "json":
        return (part.encode("utf-8", "replace") for part in reports.json_parts(made))
    renderers: dict[str, Callable[[Report], str]] = {
        "markdown": reports.markdown_report,
        "html": reports.html_report,
        "csv": lambda one: reports.csv_report(one, table),
        "terminal": _as_text,
    }
    return [renderers[form](made).encode("utf-8", "replace")]


def _as_text(made: Report) -> str:
    from adapters.cli.report_view import report_text

    return report_text(made)
