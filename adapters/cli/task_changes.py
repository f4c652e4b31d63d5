"""Adding and changing tasks: written, then seen by whoever runs them, then told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import typer

from adapters.cli import show
from adapters.cli.schedule_options import in_zone, is_phrase, with_phrase
from adapters.cli.schedule_tables import print_moves, print_next
from adapters.cli.store import Session, on_store
from adapters.cli.task_tables import due_words
from adapters.cli.task_words import fitting_kind
from application.local import chosen_archive
from application.views import TaskView
from domain.errors import ChannelInaccessible, InvalidInput
from domain.principal import OPERATOR
from domain.schedule import warnings_for
from domain.summary import SummaryOptions
from domain.task import ScheduledTask

__all__ = ["add_task", "archive_path", "change_task", "edit_task"]

Change = Callable[[Session, TaskView], Awaitable[str]]


def add_task(
    ctx: typer.Context,
    fields: dict[str, Any],
    *,
    phrase: str | None,
    channels: Sequence[str],
    guild: str | None,
    paused: bool,
    archive: str | None,
    json: bool,
    data: str | None,
) -> None:
    """Schedule a task of these fields."""

    async def work(session: Session) -> None:
        ids, guild_id = await _channels(session, channels, guild)
        options = SummaryOptions(**fields.pop("summary_options", {}))
        zone = session.queries.settings(guild_id or "").timezone or session.service.timezone
        said = fields["name"] if phrase is None and is_phrase(fields["name"]) else phrase
        task = ScheduledTask(
            **in_zone(with_phrase(fields, said, now=session.now, zone=zone), zone),
            channel_id=ids[0] if ids else "",
            channel_ids=tuple(ids[1:]),
            guild_id=guild_id or "",
            summary_options=options,
            now=session.now,
        )
        task_id = await session.commands.schedule(task, principal=OPERATOR)
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
    channels: Sequence[str],
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
        if channels:
            ids, _ = await _channels(session, channels, task.guild_id)
            changes |= {"channel_id": ids[0], "channel_ids": tuple(ids[1:])}
        if not changes:
            raise InvalidInput("options", "", "change nothing", "say what to change; see daybook tasks edit --help")
        await session.commands.revise(task.task_id, changes, principal=OPERATOR, reason=reason)
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
            print_moves(found.definition.schedule, changed.definition.schedule, session.now)

    on_store(ctx, work, data=data, archive=archive)


def _unseen(task_id: str, json: bool) -> None:
    if json:
        show.as_json({"task_id": task_id, "seen": False})


def _tell(session: Session, task_id: str, done: str, json: bool) -> None:
    task, now = session.queries.task(task_id), session.now
    if json:
        show.as_json(task.to_dict())
        return
    following = f"; next run {due_words(task.next_run_time, task.timezone, now)}" if task.next_run_time else ""
    show.line(f"{done}: {show.plain(task.name)} ({task.task_id}), {show.plain(task.schedule_in_words)}{following}")
    for warning in warnings_for(task.definition.schedule):
        show.note(f"note: {warning}")
    if not session.beside and not task.status.ended:
        show.note("note: no service is running here; `daybook run` starts it")


async def archive_path(session: Session) -> Path | None:
    """The archive of local mode: the one given, or the one the service last used; None for the sample."""
    if session.settings.archive is not None:
        return session.settings.archive
    found = await chosen_archive(session.service.stores.writer, session.now)
    return None if found is None or found[0] == "sample" else Path(found[0])


async def _channels(session: Session, texts: Sequence[str], guild: str | None) -> tuple[list[str], str | None]:
    """The ids of channels that were given by id or by name, and their guild. Raises ChannelInaccessible."""
    if not texts or (guild and all(text.isdigit() for text in texts)):
        return list(texts), guild
    archive = session.host.archive(await archive_path(session))
    ids = []
    for text in texts:
        try:
            channel = archive.find_channel(text)
        except ChannelInaccessible:
            if guild is None or not text.isdigit():
                raise
            ids.append(text)
            continue
        if guild not in (None, channel.guild_id):
            raise InvalidInput("--channel", text, f"is of guild {channel.guild_id}", "name channels of one guild")
        guild = channel.guild_id
        ids.append(channel.id)
    return ids, guild
