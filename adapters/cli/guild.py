"""``daybook guild ...``: what a guild decides for all its tasks."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adapters.cli import show
from adapters.cli.options import DataOption, JsonOption
from adapters.cli.retention import retention

if TYPE_CHECKING:
    from adapters.cli.store import Session

__all__ = ["app"]

app = typer.Typer(name="guild", no_args_is_help=True, rich_markup_mode=None, help="See and change a guild's settings.")

GuildArgument = Annotated[str, typer.Argument(metavar="GUILD", help="The id of the guild.")]


@app.command("show")
def show_guild(ctx: typer.Context, guild: GuildArgument, json: JsonOption = False, data: DataOption = None) -> None:
    """Show a guild's settings and the sums over its tasks."""
    from adapters.cli.store import on_store
    from domain.errors import NotFound

    async def work(session: Session) -> None:
        try:
            session.queries.check_guild(guild)
        except NotFound:
            show.note(f"note: no task and no event is known of guild {show.plain(guild)}; these are the defaults")
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
    manager: Annotated[
        list[str] | None,
        typer.Option(
            "--manager",
            metavar="ROLE",
            help='Id of a role that may manage tasks, instead of before; "" for none. May be repeated.',
        ),
    ] = None,
    max_tasks: Annotated[
        str | None,
        typer.Option("--max-tasks", metavar="NUMBER", help="How many tasks the guild may have, or default."),
    ] = None,
    shortest_interval: Annotated[
        str | None,
        typer.Option(
            "--shortest-interval", metavar="LENGTH", help="Least time between two slots of a task (15m), or default."
        ),
    ] = None,
    runs_per_day: Annotated[
        str | None,
        typer.Option("--runs-per-day", metavar="NUMBER", help="How many runs the guild may have a day, or default."),
    ] = None,
    json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Change a guild's settings; what is not given stays."""
    from adapters.cli.store import on_store
    from domain.errors import InvalidInput
    from domain.principal import OPERATOR

    limits = {"max_tasks": max_tasks, "shortest_interval_seconds": shortest_interval, "runs_per_day": runs_per_day}
    granted = {name: _limit(name, text) for name, text in limits.items() if text is not None}
    changes = _changes(timezone, notify or [], nobody, manager or [])
    if not changes and not granted:
        raise InvalidInput("options", "", "say nothing to change", "give --timezone, --notify, --max-tasks or another")

    async def work(session: Session) -> None:
        before = session.queries.settings(guild)
        # What the operator sets is in force: the guild can be stricter with itself again afterwards.
        own = dict.fromkeys(granted)
        grant = before.granted.model_copy(update=granted)
        after = before.model_copy(update={**changes, **own, "granted": grant})
        if all(view.guild_id != guild for view in session.queries.guilds()):
            show.note(f"note: nothing was known of guild {show.plain(guild)} until now; is the id right?")
        if after != before:
            await session.commands.change_settings(guild, after, principal=OPERATOR)
            if not await session.settle():
                return
        _print(session, guild, json)

    on_store(ctx, work, data=data, creates=True)


def _changes(timezone: str | None, notify: list[str], nobody: bool, manager: list[str]) -> dict[str, Any]:
    """What was given of the settings that are no limits."""
    from adapters.cli.written import destination
    from domain.errors import InvalidInput

    changes: dict[str, Any] = {}
    if manager:
        changes["managers"] = tuple(dict.fromkeys(role for role in manager if role))
    if timezone is not None:
        changes["timezone"] = timezone or None
    if notify and nobody:
        raise InvalidInput("--notify-nobody", "", "contradicts --notify", "give one of them")
    if notify or nobody:
        changes["failure_notices"] = tuple(destination(text) for text in notify)
    return changes


def _print(session: Session, guild: str, json: bool) -> None:
    from adapters.cli.written import destination_words

    view, use = session.queries.guild(guild), session.commands.quota_use(guild)
    if json:
        used = {"tasks": use.tasks, "runs_today": use.runs_today, "day_ends": use.day_ends.isoformat()}
        show.as_json({**view.to_dict(), "quotas": use.quotas.model_dump(), "used": used})
        return
    told = "; ".join(destination_words(place) for place in view.settings.failure_notices)
    rows = [
        ("guild", view.guild_id),
        ("timezone", view.settings.timezone or f"{session.service.timezone} (of the service)"),
        ("told of failures", show.plain(told) or "nobody"),
        ("managed by", ", ".join(("Manage Server", *(f"role {role}" for role in view.settings.managers)))),
        ("tasks", _of(use.tasks, use.quotas.max_tasks)),
        ("runs today", f"{_of(use.runs_today, use.quotas.runs_per_day)} (until {use.day_ends:%H:%M} UTC)"),
        ("shortest interval", _interval(use.quotas.shortest_interval_seconds)),
        ("runs", f"{view.executed} executed, {view.failed} failed, {view.skipped_runs} without a result"),
        ("slots left out", str(view.skipped_slots)),
    ]
    for name, value in rows:
        show.line(f"{name:<18}{value}")


def _limit(name: str, text: str) -> float | int | None:
    """A limit as people write it; None for what every guild may."""
    from domain.draft import parse_duration
    from domain.errors import InvalidInput

    if text.strip().lower() == "default":
        return None
    if name == "shortest_interval_seconds":
        return parse_duration("--shortest-interval", text).total_seconds()
    if not (text.isascii() and text.isdigit()):
        raise InvalidInput(f"--{name.replace('_', '-')}", text, "is no number", "give a number from 0 on, or default")
    return int(text)


def _of(used: int, limit: int | None) -> str:
    return str(used) if limit is None else f"{used} of {limit}"


def _interval(seconds: float | None) -> str:
    from application.evidence import length

    return "any" if not seconds else length(timedelta(seconds=seconds))


app.command()(retention)
