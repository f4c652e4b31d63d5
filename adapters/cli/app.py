"""The commands of ``daybook``, how they fail, and what all of them share. Each command's own module does its work."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from adapters.cli.host import Host
from adapters.cli.late_conversion import convert_late
from adapters.cli.options import ArchiveOption, DataOption
from domain.errors import DaybookError, InvalidImport, InvalidInput, NotFound

__all__ = ["command_line", "main"]

OK, FAILED, WRONG_USAGE, NOT_FOUND = 0, 1, 2, 3

_COMMANDS = {
    "run": "app.run",
    "summarize": "summarize.summarize",
    "tasks": "tasks.app",
    "destinations": "destinations.app",
    "templates": "templates.app",
    "vault": "vault.app",
    "guild": "guild.app",
    "erase": "erase.app",
    "preview": "preview.preview",
    "runs": "history.runs",
    "history": "history.history",
    "stats": "history.stats",
    "why": "audit.why",
    "account": "audit.account",
    "report": "report.report",
    "as-of": "as_of.as_of",
    "audit": "proof.app",
    "export": "transfer.export_tasks",
    "import": "transfer.import_tasks",
    "backup": "backup.backup",
    "restore": "backup.restore",
    "verify": "verify.verify",
    "rebuild": "upkeep.rebuild",
    "doctor": "upkeep.doctor",
    "settings": "upkeep.settings",
}
"""Every command, or group of commands, and where it is; in the order of the help."""


class Commands(TyperGroup):
    """A group whose commands fail with one clear line and an exit code, never with a traceback."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        convert_late(self)

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except DaybookError as error:
            if os.environ.get("DAYBOOK_DEBUG"):
                raise
            from adapters.cli.show import error as say

            say(str(error))
            raise typer.Exit(_code(error)) from None


def _code(error: DaybookError) -> int:
    """What was typed and is wrong in itself is wrong usage; a wrong file, folder or setting is a failure."""
    if isinstance(error, NotFound):
        return NOT_FOUND
    if not isinstance(error, InvalidInput) or isinstance(error, InvalidImport):
        return FAILED
    elsewhere = error.field in ("FILE", "folder") or error.field.startswith(("DAYBOOK_", "DISCORD_"))
    return FAILED if elsewhere else WRONG_USAGE


def main(host: Host) -> None:
    """Do what the arguments of the process ask for, and exit. Only the module of the command asked for is loaded."""
    named = next((argument for argument in sys.argv[1:] if not argument.startswith("-")), "")
    command_line(*([named] if named in _COMMANDS else []))(obj=host, prog_name="daybook")


def command_line(*names: str) -> typer.Typer:
    """``daybook`` with these commands, or all of them."""
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
    app.callback()(root)
    for name in names or _COMMANDS:
        module, _, attribute = _COMMANDS[name].partition(".")
        found = getattr(import_module(f"adapters.cli.{module}"), attribute)
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=name)
        else:
            app.command(name)(found)
    return app


def _version(ctx: typer.Context, wanted: bool) -> None:
    if wanted:
        host: Host = ctx.obj
        typer.echo(f"daybook {host.version}")
        raise typer.Exit


def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Hold the options that stand before any command."""


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
