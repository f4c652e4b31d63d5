"""``daybook guild retention``: how long things of a guild are kept, and the task that sees to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from adapters.cli import show
from adapters.cli.options import DataOption, JsonOption
from domain.identity import short_id

if TYPE_CHECKING:
    from adapters.cli.store import Session

__all__ = ["retention"]

_DAYS = "DAYS|default"
_OPTIONS = {"summaries": "summaries_days", "run-details": "run_details_days", "caches": "cached_days"}


def retention(
    ctx: typer.Context,
    guild: Annotated[str, typer.Argument(metavar="GUILD", help="The id of the guild.")],
    summaries: Annotated[
        str | None, typer.Option("--summaries", metavar=_DAYS, help="How long summaries are kept, in days.")
    ] = None,
    run_details: Annotated[
        str | None, typer.Option("--run-details", metavar=_DAYS, help="How long details of runs are kept, in days.")
    ] = None,
    caches: Annotated[
        str | None, typer.Option("--caches", metavar=_DAYS, help="How long what is cached is kept, in days.")
    ] = None,
    time: Annotated[
        str, typer.Option("--time", metavar="HH:MM", help="When the cleanup task runs every day, if it is made now.")
    ] = "03:30",
    json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Show how long things of a guild are kept, or change it. A daily cleanup task is made where there is none.

    What was delivered is the reader's: delivered files stay.
    """
    from adapters.cli.store import on_store
    from domain.principal import OPERATOR

    given = {"summaries": summaries, "run-details": run_details, "caches": caches}
    changes = {_OPTIONS[name]: _days(name, text) for name, text in given.items() if text is not None}

    async def work(session: Session) -> None:
        before = session.queries.settings(guild)
        after = before.model_copy(update={"retention": before.retention.model_copy(update=changes)})
        if after != before:
            await session.commands.change_settings(guild, after, principal=OPERATOR)
        if changes:
            await _ensure_task(session, guild, time)
            if not await session.settle():
                return
        _print(session, guild, json)

    on_store(ctx, work, data=data, creates=True)


def _days(name: str, text: str) -> float | None:
    from domain.errors import InvalidInput

    if text.strip().lower() == "default":
        return None
    try:
        return float(text)
    except ValueError:
        raise InvalidInput(f"--{name}", text, "is no number of days", "give days, like 90, or default") from None


async def _ensure_task(session: Session, guild: str, time: str) -> None:
    from domain.definition import TaskType
    from domain.principal import OPERATOR
    from domain.schedule import ScheduleType
    from domain.task import ScheduledTask

    if _task_of(session, guild) is None:
        task = ScheduledTask(
            name="Cleanup",
            guild_id=guild,
            task_type=TaskType.CLEANUP,
            schedule_type=ScheduleType.DAILY,
            schedule_time=time,
            parameters={"by_guild": True},
            now=session.now,
        )
        await session.commands.schedule(task, principal=OPERATOR)


def _task_of(session: Session, guild: str) -> Any:
    """The cleanup task that keeps to the guild's settings; None where there is none."""
    tasks = session.queries.alive_tasks(guild_id=guild)
    return next((task for task in tasks if task.definition.parameters.get("by_guild")), None)


def _print(session: Session, guild: str, json: bool) -> None:
    own = session.queries.settings(guild).retention
    in_force = session.commands.cleaner.retention(guild)
    task = _task_of(session, guild)
    if json:
        cleanup = task.task_id if task is not None else None
        show.as_json({"guild": guild, "in_force": in_force.model_dump(), "own": own.model_dump(), "task": cleanup})
        return
    for name, field in _OPTIONS.items():
        days = getattr(in_force, field)
        said = "for ever" if days is None else f"{days:g} days"
        whose = "" if getattr(own, field) is not None else " (of the service)"
        show.line(f"{name.replace('-', ' '):<14}{said}{whose}")
    when = (
        "nobody: give one of them in days" if task is None else f"{task.schedule_in_words} ({short_id(task.task_id)})"
    )
    show.line(f"{'cleaned up':<14}{when}")
