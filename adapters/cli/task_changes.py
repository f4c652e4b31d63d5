"""Adding and changing tasks: written, then seen by whoever runs them, then told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import typer

from adapters.cli import show
from adapters.cli.operations import warn_of_unknown
from adapters.cli.schedule_options import in_zone, is_phrase, with_phrase
from adapters.cli.schedule_tables import print_left_out, print_moves, print_next
from adapters.cli.store import Session, on_store
from adapters.cli.task_sources import Sources
from adapters.cli.task_tables import due_words
from adapters.cli.task_words import fitting_kind
from application.destinations import delivered_elsewhere
from application.views import TaskView
from domain.errors import InvalidInput
from domain.principal import OPERATOR
from domain.schedule import warnings_for
from domain.summary import SummaryOptions
from domain.task import ScheduledTask

__all__ = ["add_task", "change_task", "edit_task"]

Change = Callable[[Session, TaskView], Awaitable[str]]


def add_task(
    ctx: typer.Context,
    fields: dict[str, Any],
    *,
    phrase: str | None,
    sources: Sources,
    guild: str | None,
    paused: bool,
    archive: str | None,
    json: bool,
    data: str | None,
) -> None:
    """Schedule a task of these fields."""

    async def work(session: Session) -> None:
        chosen, guild_id = await sources.fields(session, guild)
        options = SummaryOptions(**fields.pop("summary_options", {}))
        zone = session.queries.settings(guild_id or "").timezone or session.service.timezone
        said = fields["name"] if phrase is None and is_phrase(fields["name"]) else phrase
        task = ScheduledTask(
            **in_zone(with_phrase(fields, said, now=session.now, zone=zone), zone),
            **chosen,
            guild_id=guild_id or "",
            summary_options=options,
            now=session.now,
        )
        task_id = await session.commands.schedule(task, principal=OPERATOR, elsewhere=True)
        if paused:
            await session.commands.pause(task_id, principal=OPERATOR, reason="added paused")
        if not await session.settle():
            return _unseen(task_id, json)
        _tell(session, task_id, "scheduled", json)
        if not json:
            print_next(session.queries.task(task_id).definition.schedule, session.now)

    on_store(ctx, work, data=data, archive=archive, creates=True)


def edit_task(
    ctx: typer.Context,
    text: str,
    fields: dict[str, Any],
    *,
    phrase: str | None,
    sources: Sources,
    reason: str | None,
    archive: str | None,
    json: bool,
    data: str | None,
) -> None:
    """Change these fields of a task."""
    named = "--type" in _written(ctx)

    async def change(session: Session, task: TaskView) -> str:
        written = with_phrase(fields, phrase, now=session.now, zone=task.timezone)
        changes = in_zone(fitting_kind(written, task.definition.schedule, named), task.timezone)
        if "summary_options" in changes:
            changes["summary_options"] = task.definition.summary_options.model_copy(update=changes["summary_options"])
        changes |= (await sources.fields(session, task.guild_id))[0]
        if not changes:
            raise InvalidInput("options", "", "change nothing", "say what to change; see daybook tasks edit --help")
        await session.commands.revise(task.task_id, changes, principal=OPERATOR, reason=reason, elsewhere=True)
        return "changed"

    change_task(ctx, text, change, json=json, data=data, archive=archive)


def _written(ctx: typer.Context) -> set[str]:
    return {"--type"} if ctx.params.get("type") is not None else set()


def change_task(
    ctx: typer.Context, text: str, change: Change, *, json: bool, data: str | None, archive: str | None = None
) -> None:
    """Find a task, change it, and say how it stands afterwards."""

    async def work(session: Session) -> None:
        found = session.queries.find_task(text)
        done = await change(session, found)
        if not await session.settle():
            return _unseen(found.task_id, json)
        _tell(session, found.task_id, done, json)
        changed = session.queries.task(found.task_id)
        if not json and changed.is_active and changed.definition.schedule != found.definition.schedule:
            show.line()
            print_moves(found.definition.schedule, changed.definition.schedule, changed.slots_after(session.now))
            print_left_out(changed, session.now)

    on_store(ctx, work, data=data, archive=archive)


def _unseen(task_id: str, json: bool) -> None:
    if json:
        show.as_json({"task_id": task_id, "seen": False})


def _tell(session: Session, task_id: str, done: str, json: bool) -> None:
    task, now = session.queries.task(task_id), session.now
    if not task.status.ended:
        warn_of_unknown(session, task.definition.custom_operation)
        for kind in session.commands.undelivered(task.definition.destinations):
            show.note(f"note: {delivered_elsewhere(kind)}")
    if json:
        show.as_json(task.to_dict())
        return
    following = f"; next run {due_words(task.next_run_time, task.timezone, now)}" if task.next_run_time else ""
    show.line(f"{done}: {show.plain(task.name)} ({task.task_id}), {show.plain(task.schedule_in_words)}{following}")
    for warning in warnings_for(task.definition.schedule):
        show.note(f"note: {warning}")
    if not session.beside and not task.status.ended:
        show.note("note: no service is running here; `daybook run` starts it")
