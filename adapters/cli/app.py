"""The commands of ``daybook``, how they fail, and what all of them share. Each command's own module does its work."""

from __future__ import annotations

import os
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from adapters.cli import (
    as_of,
    audit,
    backup,
    destinations,
    erase,
    guild,
    history,
    preview,
    proof,
    report,
    retention,
    summarize,
    tasks,
    templates,
    transfer,
    upkeep,
    vault,
    verify,
)
from adapters.cli.host import Host
from adapters.cli.options import ArchiveOption, DataOption
from domain.errors import DaybookError, NotFound

__all__ = ["app", "main"]

OK, FAILED, NOT_FOUND = 0, 1, 3


class Commands(TyperGroup):
    """A group whose commands fail with one clear line and an exit code, never with a traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except DaybookError as error:
            if os.environ.get("DAYBOOK_DEBUG"):
                raise
            from adapters.cli.show import error as say

            say(str(error))
            raise typer.Exit(NOT_FOUND if isinstance(error, NotFound) else FAILED) from None


app = typer.Typer(
    name="daybook",
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Recurring summaries for Discord communities, with a log that answers for every slot.",
    epilog="Exit codes: 0 done, 1 failed or refused, 2 wrong usage, 3 not found. DAYBOOK_DEBUG=1 shows tracebacks.",
)


def main(host: Host) -> None:
    """Do what the arguments of the process ask for, and exit."""
    app(obj=host, prog_name="daybook")


def _version(ctx: typer.Context, wanted: bool) -> None:
    if wanted:
        host: Host = ctx.obj
        typer.echo(f"daybook {host.version}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Hold the options that stand before any command."""


@app.command()
def run(
    ctx: typer.Context,
    archive: ArchiveOption = None,
    data: DataOption = None,
    timezone: Annotated[
        str | None, typer.Option("--timezone", metavar="ZONE", help="Zone of tasks that name none. [DAYBOOK_TIMEZONE]")
    ] = None,
    live: Annotated[bool, typer.Option("--live/--no-live", help="Show a live view, or log lines.")] = True,
    json_logs: Annotated[bool, typer.Option("--json-logs", help="Log lines as JSON objects; no live view.")] = False,
    examples: Annotated[bool, typer.Option("--examples/--no-examples", help="Begin with three example tasks.")] = True,
) -> None:
    """Start the service: run what is due until Ctrl-C or SIGTERM."""
    from adapters.cli.run import RunOptions, serve

    options = RunOptions(live=live and not json_logs, json_logs=json_logs, examples=examples)
    given = {"archive": archive, "data": data, "timezone": timezone, "log_format": "json" if json_logs else None}
    raise typer.Exit(serve(ctx.obj, given, options))


app.command()(summarize.summarize)
app.add_typer(tasks.app)
app.add_typer(destinations.app)
app.add_typer(templates.app)
app.add_typer(vault.app)
app.add_typer(guild.app)
guild.app.command()(retention.retention)
app.add_typer(erase.app)
app.command()(preview.preview)
app.command()(history.runs)
app.command()(history.history)
app.command()(history.stats)
app.command()(audit.why)
app.command()(audit.account)
app.command()(report.report)
app.command("as-of")(as_of.as_of)
app.add_typer(proof.app)
app.command("export")(transfer.export_tasks)
app.command("import")(transfer.import_tasks)
app.command()(backup.backup)
app.command()(backup.restore)
app.command()(verify.verify)
app.command()(upkeep.rebuild)
app.command()(upkeep.doctor)
app.command()(upkeep.settings)
