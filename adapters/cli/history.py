"""``daybook runs``, ``daybook history`` and ``daybook stats``: what became of tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from adapters.cli import show
from adapters.cli.options import DataOption, JsonOption, LimitOption, TaskArgument
from domain.identity import short_id

if TYPE_CHECKING:
    from adapters.cli.reading import Reader

__all__ = ["history", "runs", "stats"]

STATES = ("running", "waiting", "executed", "failed", "skipped")


def runs(
    ctx: typer.Context,
    task: Annotated[
        str | None, typer.Argument(metavar="[TASK]", help="Of one task: its id, the beginning of it, or its name.")
    ] = None,
    state: Annotated[
        list[str] | None,
        typer.Option("--state", metavar="STATE", help="running, waiting, executed, failed, skipped. Repeatable."),
    ] = None,
    limit: LimitOption = 20,
    json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """List runs, the newest first: how late, how long, what came of them."""
    from adapters.cli.deleted_details import deleted_details
    from adapters.cli.old_names import find_ever
    from adapters.cli.reading import on_rows
    from adapters.cli.task_tables import print_runs

    wanted = tuple(_state(text) for text in state or ())

    def work(reader: Reader) -> None:
        one = find_ever(reader.queries, task) if task is not None else None
        found = reader.queries.runs(task_id=one.task_id if one else None, states=wanted, limit=limit)
        if json:
            show.as_json([run.to_dict() for run in found])
            return
        known = {
            view.task_id: view for view in {run.task_id: reader.queries.task(run.task_id) for run in found}.values()
        }
        gone = deleted_details(reader.queries, one, found, limit) if one is not None and not wanted else None
        if found or gone is None:
            print_runs(found, known, reader.now, with_task=one is None)
        if gone is not None:
            show.line(gone)

    on_rows(ctx, work, data=data)


def _state(text: str) -> str:
    from domain.errors import InvalidInput

    if text not in STATES:
        raise InvalidInput("--state", text, "is not known", "use one of " + ", ".join(STATES))
    return text


def history(
    ctx: typer.Context, task: TaskArgument, limit: LimitOption = 100, json: JsonOption = False, data: DataOption = None
) -> None:
    """Show everything that was written down about a task, oldest first."""
    from adapters.cli.event_words import event_dict, event_row
    from adapters.cli.old_names import find_ever
    from adapters.cli.reading import on_rows

    def work(reader: Reader) -> None:
        found = find_ever(reader.queries, task)
        recorded = reader.queries.history(found.task_id, limit=limit)
        if json:
            show.as_json([event_dict(one) for one in recorded])
            return
        rows = [event_row(one, found.timezone) for one in recorded]
        show.display(show.table(("no", "at", "event", "what"), rows, right=("no",)))

    on_rows(ctx, work, data=data)


def stats(
    ctx: typer.Context,
    task: Annotated[
        str | None, typer.Argument(metavar="[TASK]", help="Of one task: its id, the beginning of it, or its name.")
    ] = None,
    guild: Annotated[str | None, typer.Option("--guild", metavar="ID", help="Of one guild only.")] = None,
    json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Show counts, success rates and durations, by task."""
    from adapters.cli.old_names import find_ever
    from adapters.cli.reading import on_rows

    def work(reader: Reader) -> None:
        queries = reader.queries
        if guild is not None:
            queries.check_guild(guild)
        tasks = [find_ever(queries, task)] if task is not None else queries.tasks(guild_id=guild, archived=True)
        if json:
            counts = queries.counts(guild_id=guild)
            guilds = [view.to_dict() for view in queries.guilds() if guild in (None, view.guild_id)]
            whole = {"tasks": counts, "guilds": guilds} if task is None else {}
            show.as_json({**whole, "by_task": [{"name": one.name, **one.metadata.to_dict()} for one in tasks]})
            return
        _print_stats(tasks)

    on_rows(ctx, work, data=data)


def _print_stats(tasks: list[Any]) -> None:
    from adapters.cli.task_tables import rate
    from adapters.cli.times import seconds

    rows = []
    paid = any(task.metadata.input_tokens or task.metadata.output_tokens for task in tasks)
    for task in tasks:
        of = task.metadata
        succeeded = of.execution_count - of.failure_count
        rows.append(
            (
                short_id(task.task_id), show.plain(task.name), str(succeeded), str(of.failure_count),
                str(of.skipped_runs), f"{of.slots_served} of {of.slots_decided}", str(of.attempts),
                str(of.interruptions), rate(of),
                seconds(of.average_duration_seconds if succeeded else None),
                *((f"{of.input_tokens + of.output_tokens:,}", f"{of.cost:.4f}") if paid else ()),
            )
        )  # fmt: skip
    if not rows:
        show.line("No tasks.")
        return
    columns: tuple[str, ...] = (
        "id",
        "name",
        "executed",
        "failed",
        "no result",
        "slots served",
        "attempts",
        "interrupted",
        "success",
        "average",
    )
    if paid:  # a column of noughts tells nobody anything
        columns = (*columns, "tokens", "USD")
    show.display(show.table(columns, rows, right=columns[2:]))
