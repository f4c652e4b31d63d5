"""``daybook tasks ...``: what is scheduled, and every change of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from adapters.cli import show
from adapters.cli.options import (
    ArchiveOption,
    CatchUpOption,
    CategoryOption,
    ChannelsOption,
    DataOption,
    EachOption,
    HoursOption,
    JsonOption,
    LengthOption,
    LimitOption,
    MaxFailuresOption,
    MaxRunsOption,
    MinMessagesOption,
    OverlapOption,
    PhraseArgument,
    ReasonOption,
    RetryDelayOption,
    TaskArgument,
    TitleOption,
    ToOption,
    WithoutOption,
)
from adapters.cli.schedule_options import with_schedule

if TYPE_CHECKING:
    from adapters.cli.reading import Reader
    from adapters.cli.store import Session
    from application.views import TaskView

__all__ = ["app"]

app = typer.Typer(name="tasks", no_args_is_help=True, rich_markup_mode=None, help="See and change what is scheduled.")

ALIVE = ("active", "paused", "disabled")


@app.command("list")
def list_tasks(
    ctx: typer.Context,
    status: Annotated[
        list[str] | None,
        typer.Option("--status", metavar="STATUS", help="active, paused, disabled, cancelled, completed. Repeatable."),
    ] = None,
    guild: Annotated[str | None, typer.Option("--guild", metavar="ID", help="Of one guild only.")] = None,
    name: Annotated[str, typer.Option("--name", metavar="TEXT", help="Whose name contains this.")] = "",
    everything: Annotated[bool, typer.Option("--all", help="Also those that have ended.")] = False,
    limit: LimitOption = 1000,
    json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """List tasks, with their next run."""
    from adapters.cli.reading import on_rows
    from adapters.cli.task_tables import print_tasks

    chosen = _statuses(status) if status else () if everything else ALIVE

    def work(reader: Reader) -> None:
        found = reader.queries.tasks(
            guild_id=guild, statuses=chosen, name_contains=name, archived=everything, limit=limit
        )
        if json:
            show.as_json([task.to_dict() for task in found])
        else:
            print_tasks(found, reader.now)

    on_rows(ctx, work, data=data)


def _statuses(texts: list[str]) -> tuple[str, ...]:
    from adapters.cli.task_words import statuses

    return statuses(texts)


@app.command("show")
def show_task(ctx: typer.Context, task: TaskArgument, json: JsonOption = False, data: DataOption = None) -> None:
    """Show all of one task, and its last runs."""
    from adapters.cli.deleted_details import deleted_details
    from adapters.cli.reading import on_rows
    from adapters.cli.task_tables import print_task

    def work(reader: Reader) -> None:
        found = reader.queries.find_task(task)
        runs = reader.queries.runs(task_id=found.task_id, limit=5)
        if json:
            show.as_json({**found.to_dict(), "runs": [run.to_dict() for run in runs]})
        else:
            print_task(found, runs, reader.now)
            if (gone := deleted_details(reader.queries, found, runs, 5)) is not None:
                show.line()
                show.line(gone)

    on_rows(ctx, work, data=data)


@app.command()
@with_schedule
def add(
    ctx: typer.Context,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="What people call it; a phrase alone is name and schedule.")
    ],
    phrase: PhraseArgument = None,
    channel: ChannelsOption = None,
    category: CategoryOption = None,
    without: WithoutOption = None,
    each: EachOption = None,
    to: ToOption = None,
    schedule: Any = None,
    hours: HoursOption = None,
    length: LengthOption = None,
    min_messages: MinMessagesOption = None,
    title: TitleOption = None,
    guild: Annotated[
        str | None, typer.Option("--guild", metavar="ID", help="Guild; follows from a channel of the archive.")
    ] = None,
    does: Annotated[str, typer.Option("--does", metavar="WORK", help="summary, cleanup or custom.")] = "summary",
    operation: Annotated[
        str | None, typer.Option("--operation", metavar="NAME", help="What a custom task runs.")
    ] = None,
    parameter: Annotated[
        list[str] | None, typer.Option("--parameter", metavar="NAME=VALUE", help="For cleanup and custom. Repeatable.")
    ] = None,
    max_failures: MaxFailuresOption = None,
    retry_delay: RetryDelayOption = None,
    overlap: OverlapOption = None,
    catch_up: CatchUpOption = None,
    max_runs: MaxRunsOption = None,
    paused: Annotated[bool, typer.Option("--paused", help="Schedule it paused.")] = False,
    archive: ArchiveOption = None,
    json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Schedule a task. A summary of a channel into files, every day at 09:00, where nothing else is said.

    A schedule is a phrase ("every weekday at 9:00 in Europe/Berlin") or options.
    """
    from adapters.cli.task_changes import add_task
    from adapters.cli.task_sources import Sources
    from adapters.cli.task_words import task_fields

    fields = task_fields(
        name=name, to=to or (["file"] if does == "summary" else None), schedule=schedule, hours=hours, length=length,
        min_messages=min_messages, title=title, does=does, operation=operation, parameter=parameter,
        max_failures=max_failures, retry_delay=retry_delay, overlap=overlap, catch_up=catch_up, max_runs=max_runs,
    )  # fmt: skip
    add_task(
        ctx,
        fields,
        phrase=phrase,
        sources=Sources(channel or [], category, without or [], each),
        guild=guild,
        paused=paused,
        archive=archive,
        json=json,
        data=data,
    )


@app.command()
@with_schedule
def edit(
    ctx: typer.Context,
    task: TaskArgument,
    phrase: PhraseArgument = None,
    name: Annotated[str | None, typer.Option("--name", metavar="TEXT", help="A new name.")] = None,
    channel: ChannelsOption = None,
    category: CategoryOption = None,
    without: WithoutOption = None,
    each: EachOption = None,
    to: ToOption = None,
    schedule: Any = None,
    hours: HoursOption = None,
    length: LengthOption = None,
    min_messages: MinMessagesOption = None,
    title: TitleOption = None,
    max_failures: MaxFailuresOption = None,
    retry_delay: RetryDelayOption = None,
    overlap: OverlapOption = None,
    catch_up: CatchUpOption = None,
    max_runs: MaxRunsOption = None,
    reason: ReasonOption = None,
    archive: ArchiveOption = None,
    json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Change a task; what is not given stays. Channels and destinations are replaced as a whole."""
    from adapters.cli.task_changes import edit_task
    from adapters.cli.task_sources import Sources
    from adapters.cli.task_words import task_fields

    fields = task_fields(
        name=name, to=to, schedule=schedule, hours=hours, length=length, min_messages=min_messages, title=title,
        max_failures=max_failures, retry_delay=retry_delay, overlap=overlap, catch_up=catch_up, max_runs=max_runs,
    )  # fmt: skip
    sources = Sources(channel or [], category, without or [], each)
    edit_task(ctx, task, fields, phrase=phrase, sources=sources, reason=reason, archive=archive, json=json, data=data)


@app.command()
def pause(
    ctx: typer.Context,
    task: TaskArgument,
    until: Annotated[
        str | None, typer.Option("--until", metavar="INSTANT", help="Resume by itself at this instant.")
    ] = None,
    reason: ReasonOption = None,
    json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Stop a task's schedule until it is resumed. Its slots are skipped and accounted for."""
    from adapters.cli.task_words import aware

    async def change(session: Session, found: TaskView) -> str:
        at = aware("--until", until, found.timezone) if until is not None else None
        await session.commands.pause(found.task_id, principal=_operator(), reason=reason, until=at)
        return "paused"

    _changed(ctx, task, change, json=json, data=data)


@app.command()
def resume(
    ctx: typer.Context,
    task: TaskArgument,
    catch_up: Annotated[bool, typer.Option("--catch-up", help="Serve what was missed, as its policy says.")] = False,
    reason: ReasonOption = None,
    json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Let a paused or disabled task go on."""

    async def change(session: Session, found: TaskView) -> str:
        await session.commands.resume(found.task_id, principal=_operator(), reason=reason, catch_up=catch_up)
        return "resumed"

    _changed(ctx, task, change, json=json, data=data)


@app.command()
def cancel(
    ctx: typer.Context,
    task: TaskArgument,
    reason: ReasonOption = None,
    json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """End a task for good. Its history stays."""

    async def change(session: Session, found: TaskView) -> str:
        await session.commands.cancel(found.task_id, principal=_operator(), reason=reason)
        return "cancelled"

    _changed(ctx, task, change, json=json, data=data)


@app.command()
def skip(
    ctx: typer.Context,
    task: TaskArgument,
    count: Annotated[int, typer.Option("--count", metavar="N", min=1, max=1000, help="How many slots.")] = 1,
    reason: ReasonOption = None,
    json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Leave out the next slots of a task."""

    async def change(session: Session, found: TaskView) -> str:
        from adapters.cli.times import local

        left_out = await session.commands.skip_next(found.task_id, count, principal=_operator(), reason=reason)
        return "skips " + ", ".join(local(slot, found.timezone, session.now) for slot in left_out)

    _changed(ctx, task, change, json=json, data=data)


@app.command()
def backfill(
    ctx: typer.Context,
    task: TaskArgument,
    start: Annotated[str, typer.Option("--start", metavar="INSTANT", help="The first slot: this instant or after.")],
    end: Annotated[str, typer.Option("--end", metavar="INSTANT", help="The last slot: this instant or before.")],
    reason: ReasonOption = None,
    json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Run the past slots of a range again, at most 100, one after the other. Each looks back over its own time."""
    from adapters.cli.task_words import aware

    async def change(session: Session, found: TaskView) -> str:
        first, last = aware("--start", start, found.timezone), aware("--end", end, found.timezone)
        runs = await session.commands.backfill(found.task_id, first, last, principal=_operator(), reason=reason)
        return f"asked for {len(runs)} runs"

    _changed(ctx, task, change, json=json, data=data)


@app.command()
def run(
    ctx: typer.Context,
    task: TaskArgument,
    reason: ReasonOption = None,
    archive: ArchiveOption = None,
    json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Run a task now, whatever its schedule says, and wait for what comes of it. Exit code 1 when it failed."""
    from adapters.cli.task_run import run_task

    raise typer.Exit(run_task(ctx, task, reason=reason, archive=archive, json=json, data=data))


def _operator() -> Any:
    from domain.principal import OPERATOR

    return OPERATOR


def _changed(ctx: typer.Context, task: str, change: Any, *, json: bool, data: str | None) -> None:
    from adapters.cli.task_changes import change_task

    change_task(ctx, task, change, json=json, data=data)
