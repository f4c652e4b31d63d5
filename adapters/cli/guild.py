"""``daybook guild ...``: what a guild decides for all its tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from adapters.cli import show
from adapters.cli.options import DataOption, JsonOption

if TYPE_CHECKING:
    from adapters.cli.store import Session

__all__ = ["app"]

app = typer.Typer(name="guild", no_args_is_help=True, rich_markup_mode=None, help="See and change a guild's settings.")

GuildArgument = Annotated[str, typer.Argument(metavar="GUILD", help="The id of the guild.")]


@app.command("show")
def show_guild(ctx: typer.Context, guild: GuildArgument, json: JsonOption = False, data: DataOption = None) -> None:
    """Show a guild's settings and the sums over its tasks."""
    from adapters.cli.store import on_store

    async def work(session: Session) -> None:
        _print(session, guild, json)

    on_store(ctx, work, data=data)


@app.command("set")
def set_guild(
    ctx: typer.Context,
    guild: GuildArgument,
    timezone: Annotated[
        str | None,
        typer.Option("--timezone", metavar="ZONE", help='Zone of tasks that name none; "" for that of the service.'),
    ] = None,
    notify: Annotated[
        list[str] | None,
        typer.Option(
            "--notify", metavar="PLACE", help="Where people are told of failures, instead of before. May be repeated."
        ),
    ] = None,
    nobody: Annotated[bool, typer.Option("--notify-nobody", help="Tell nobody of failures any more.")] = False,
    json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Change a guild's settings; what is not given stays."""
    from adapters.cli.store import on_store
    from adapters.cli.written import destination
    from domain.errors import InvalidInput
    from domain.principal import OPERATOR

    changes: dict[str, Any] = {}
    if timezone is not None:
        changes["timezone"] = timezone or None
    if notify and nobody:
        raise InvalidInput("--notify-nobody", "", "contradicts --notify", "give one of them")
    if notify or nobody:
        changes["failure_notices"] = tuple(destination(text) for text in notify or ())
    if not changes:
        raise InvalidInput("options", "", "say nothing to change", "give --timezone, --notify or --notify-nobody")

    async def work(session: Session) -> None:
        before = session.queries.settings(guild)
        after = before.model_copy(update=changes)
        if after != before:
            await session.commands.change_settings(guild, after, principal=OPERATOR)
            if not await session.settle():
                return
        _print(session, guild, json)

    on_store(ctx, work, data=data, creates=True)


def _print(session: Session, guild: str, json: bool) -> None:
    from adapters.cli.written import destination_words

    view = session.queries.guild(guild)
    if json:
        show.as_json(view.to_dict())
        return
    told = "; ".join(destination_words(place) for place in view.settings.failure_notices)
    rows = [
        ("guild", view.guild_id),
        ("timezone", view.settings.timezone or f"{session.service.timezone} (of the service)"),
        ("told of failures", show.plain(told) or "nobody"),
        ("tasks", str(view.tasks)),
        ("runs", f"{view.executed} executed, {view.failed} failed, {view.skipped_runs} skipped"),
    ]
    for name, value in rows:
        show.line(f"{name:<18}{value}")
