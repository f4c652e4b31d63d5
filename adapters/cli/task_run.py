"""``daybook tasks run``: one run now, by the service that holds the store, or in this process where none does."""

from __future__ import annotations

import asyncio
import sys
from contextlib import redirect_stdout
from time import monotonic

import typer

from adapters.cli import show
from adapters.cli.operations import check_known
from adapters.cli.run import archive_name
from adapters.cli.store import Session, opened
from adapters.cli.task_sources import archive_path
from adapters.cli.task_tables import print_run
from application.local import LocalMessages, recorded_shift
from application.views import RunView, TaskView
from domain.errors import RunNotFound, StoreError
from domain.principal import OPERATOR

__all__ = ["run_task"]

LONGEST_WAIT_SECONDS = 1_000.0
LOOK_SECONDS = 0.1


def run_task(
    ctx: typer.Context, text: str, *, reason: str | None, archive: str | None, json: bool, data: str | None
) -> int:
    """Run a task; returns the exit code: 1 when its first attempt did not succeed."""

    async def work() -> RunView:
        messages = LocalMessages()
        async with opened(ctx.obj, {"data": data, "archive": archive}, messages=messages) as session:
            task = session.queries.find_task(text)
            check_known(session, task)
            run = await (_there(session, task, reason) if session.beside else _here(session, task, reason, messages))
            if not json:
                print_run(run, task, session.now)
            return run

    if not json:
        return _code(asyncio.run(work()))
    with redirect_stdout(sys.stderr):  # what a console destination prints is no part of the document
        run = asyncio.run(work())
    show.as_json(run.to_dict())
    return _code(run)


def _code(run: RunView) -> int:
    return 0 if run.state in ("executed", "skipped") else 1


async def _here(session: Session, task: TaskView, reason: str | None, messages: LocalMessages) -> RunView:
    path = await archive_path(session)
    archive = session.host.archive(path)
    if latest := max((channel.last for channel in archive.channels() if channel.last), default=None):
        writer = session.service.stores.writer
        messages.archive = archive.shifted(await recorded_shift(writer, archive_name(path), latest, session.now))
    result = await session.commands.run_now(task.task_id, principal=OPERATOR, reason=reason)
    return session.queries.run(str(result.run_id))


async def _there(session: Session, task: TaskView, reason: str | None) -> RunView:
    """Ask the service, and wait for the run to close or to fail for the first time."""
    run_id = await session.commands.request_run(task.task_id, principal=OPERATOR, reason=reason)
    until = monotonic() + LONGEST_WAIT_SECONDS
    while monotonic() < until:
        try:
            run = session.queries.run(run_id)
        except RunNotFound:
            run = None
        if run is not None and (run.closed_at is not None or (run.state == "waiting" and run.attempt > 0)):
            return run
        if session.host.holder(session.settings.data) is None:
            raise StoreError(f"the service has ended; run {run_id} is written down and starts with the next one")
        await asyncio.sleep(LOOK_SECONDS)
    raise StoreError(f"run {run_id} has not ended within {LONGEST_WAIT_SECONDS:.0f} s; see daybook runs")
