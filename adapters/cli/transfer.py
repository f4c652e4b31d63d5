"""``daybook export`` and ``daybook import``: tasks in a file, with or without what became of them."""

from __future__ import annotations

import json as json_text
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adapters.cli import show
from adapters.cli.options import DataOption, JsonOption

if TYPE_CHECKING:
    from adapters.cli.files import Source
    from adapters.cli.host import Host
    from adapters.cli.store import Session
    from application.import_plan import ImportOptions, ImportPlan, PlannedTask

__all__ = ["export_tasks", "import_tasks"]

_MOST_SHOWN = 200


class _Duplicates(StrEnum):
    SKIP = "skip"
    REFUSE = "refuse"
    REPLACE = "replace"


def export_tasks(
    ctx: typer.Context,
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="File to write; packed where it ends in .gz; - for standard output.")
    ],
    guild: Annotated[str | None, typer.Option("--guild", metavar="ID", help="Of one guild only.")] = None,
    task: Annotated[str | None, typer.Option("--task", metavar="TASK", help="Of one task only.")] = None,
    history: Annotated[
        bool, typer.Option("--history", help="With every event, also of tasks that have ended; one line each.")
    ] = False,
    data: DataOption = None,
) -> None:
    """Write tasks into a file: the definitions of those that have not ended, or everything that ever happened.

    Secrets are references, never values. The file is there whole, or not at all. Exit code 1 when a history that nobody
    erased cannot be read, and is not in it.
    """
    from adapters.cli.store import on_store

    async def work(session: Session) -> None:
        if guild is not None:
            session.queries.check_guild(guild)
        task_id = session.queries.find_task(task, guild_id=guild).task_id if task is not None else None
        if history:
            _export_history(session, file, task_id, guild)
        else:
            _export_definitions(session, file, task_id, guild)

    on_store(ctx, work, data=data)


def _export_definitions(session: Session, file: str, task_id: str | None, guild: str | None) -> None:
    from adapters.cli.files import write_whole

    document = session.service.transfer.export_tasks(guild_id=guild, task_id=task_id)
    if file == "-":
        show.as_json(document)
        return
    write_whole(Path(file), json_text.dumps(document, ensure_ascii=False, indent=2) + "\n")
    show.line(f"exported {document['task_count']} tasks to {file}")


def _export_history(session: Session, file: str, task_id: str | None, guild: str | None) -> None:
    from adapters.cli.files import write_lines
    from adapters.cli.progress import bar
    from application.history_file import Scope

    scope = Scope(task_id, None if task_id is not None else guild)
    with bar("Exporting") as progress:
        export = session.service.transfer.history.export(scope, progress=progress)
        if file == "-":
            for line in export.lines():
                sys.stdout.buffer.write(line)
            sys.stdout.buffer.flush()
        else:
            write_lines(Path(file), export.lines())
    if file != "-":
        show.line(f"exported {export.tasks} tasks with {export.events} events to {file}")
    for stream, reason in list(export.left_out.items())[:5]:
        show.note(f"left out {stream}: {reason}")
    if len(export.left_out) > 5:
        show.note(f"left out {len(export.left_out)} streams that cannot be read; the file names all of them")
    if export.lost:
        raise typer.Exit(1)


def import_tasks(
    ctx: typer.Context,
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="What an export wrote, or a folder of task files of the predecessor; - for standard input.",
        ),
    ],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything and show what would be done; write nothing.")
    ] = False,
    duplicates: Annotated[
        _Duplicates | None,
        typer.Option(
            "--duplicates",
            metavar="CHOICE",
            help="Tasks that are here and differ: skip, refuse, replace. If you do not say, definitions are replaced "
            "and histories refused.",
        ),
    ] = None,
    new_ids: Annotated[bool, typer.Option("--new-ids", help="As copies beside whatever is here.")] = False,
    guild: Annotated[str | None, typer.Option("--guild", metavar="ID", help="Into this guild.")] = None,
    leave_out_broken: Annotated[
        bool, typer.Option("--leave-out-broken", help="Import the rest of a file, or folder, with mistakes in it.")
    ] = False,
    json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Put the tasks of a file in place: all of them, or none when anything in it is wrong."""
    from adapters.cli.files import Source
    from adapters.cli.store import on_store
    from application.import_plan import Duplicates, ImportOptions

    options = ImportOptions(Duplicates(duplicates.value) if duplicates else None, new_ids, guild, leave_out_broken)
    source = Source(file)
    try:

        async def work(session: Session) -> None:
            plan = await _imported(session, source, options, dry_run)
            await session.settle()
            _tell(plan, dry_run=dry_run, json=json)

        with _taken_back_if_empty(ctx.obj, data):
            on_store(ctx, work, data=data, creates=True)
    finally:
        source.close()


@contextmanager
def _taken_back_if_empty(host: Host, data: str | None) -> Iterator[None]:
    """Where an import made the folder and wrote nothing, as it was refused or a dry run, it takes it away again."""
    from domain.errors import DaybookError

    settings = host.settings(data=data)
    made = settings.database_url is None and not settings.data.exists()
    try:
        yield
    finally:
        if made and settings.data.exists():
            with suppress(DaybookError):
                with host.read_stores(settings) as stores:
                    empty = stores.log.last_position() == 0
                if empty:
                    shutil.rmtree(settings.data, ignore_errors=True)


async def _imported(session: Session, source: Source, options: ImportOptions, dry_run: bool) -> ImportPlan:
    from adapters.cli.files import json_files
    from adapters.cli.progress import bar
    from application.history_file import is_history
    from domain.principal import OPERATOR

    transfer, zone = session.service.transfer, session.service.timezone
    if not source.is_folder and is_history(source.first_line()):
        with bar("Importing") as progress:
            return await transfer.history.import_file(
                source.lines, options, dry_run=dry_run, principal=OPERATOR, progress=progress
            )
    texts = json_files(Path(source.name)) if source.is_folder else source.whole()
    return await transfer.import_definitions(texts, options, principal=OPERATOR, default_timezone=zone, dry_run=dry_run)


def _tell(plan: ImportPlan, *, dry_run: bool, json: bool) -> None:
    if json:
        show.as_json(_as_dict(plan, dry_run))
    else:
        if dry_run:
            _show_table(plan)
        _show_words(plan, dry_run)
    if dry_run and (plan.refused or plan.overfull):
        raise typer.Exit(1)


def _as_dict(plan: ImportPlan, dry_run: bool) -> dict[str, Any]:
    return {
        "tasks": plan.count,
        "events": plan.events,
        "written": not dry_run,
        "renumbered": plan.renumbered,
        "counts": plan.counts,
        "digest": plan.digest,
        "notes": list(plan.notes),
        "problems": [str(problem) for problem in plan.overfull],
        "plan": [
            {
                "place": task.place,
                "name": task.name,
                "guild_id": task.guild_id,
                "task_id": task.task_id,
                "outcome": task.outcome.value,
                "schedule": task.schedule,
                "timezone": task.timezone,
                "next_slot": task.next_slot.isoformat() if task.next_slot else None,
                "events": task.events,
                "warnings": list(task.warnings),
                "problem": str(task.problem) if task.problem else None,
            }
            for task in plan.tasks
        ],
    }


def _show_table(plan: ImportPlan) -> None:
    history = plan.digest is not None
    columns = ["place", "task", "guild", "what", "schedule", "next", *(["events"] if history else []), "to know"]
    rows = [_row(task, history) for task in plan.tasks[:_MOST_SHOWN]]
    show.display(show.table(columns, rows, right=("events",)))
    if len(plan.tasks) > _MOST_SHOWN:
        show.line(f"and {len(plan.tasks) - _MOST_SHOWN} more; --json has all")


def _row(task: PlannedTask, history: bool) -> list[Any]:
    from adapters.cli.times import stamp

    told = [str(task.problem)] if task.problem is not None else []
    return [
        show.plain(task.place),
        show.plain(task.name),
        show.plain(task.guild_id),
        task.outcome.value,
        show.plain(task.schedule) or "-",
        stamp(task.next_slot, task.timezone) if task.next_slot is not None else "-",
        *([str(task.events)] if history else []),
        show.plain("; ".join([*told, *task.warnings])) or "-",
    ]


def _show_words(plan: ImportPlan, dry_run: bool) -> None:
    counts = ", ".join(f"{count} {name}" for name, count in plan.counts.items()) or "nothing"
    with_events = f" with {plan.events} events" if plan.digest is not None else ""
    wrong = len(plan.refused) + len(plan.overfull)
    if dry_run and wrong:
        mistakes = "1 mistake" if wrong == 1 else f"{wrong} mistakes"
        for overfull in plan.overfull:
            show.line(show.plain(str(overfull)))
        show.line(f"{mistakes} ({counts}): nothing would be written")
    elif dry_run:
        show.line(f"{plan.count} tasks{with_events} are fine ({counts}); nothing was written")
    else:
        written = plan.count - plan.counts.get("same", 0)
        done = f"imported {written} tasks{with_events}" if written or plan.events else "nothing was to be imported"
        show.line(f"{done} ({counts})")
        for task in plan.tasks:
            _show_doubts(task)
    for note in plan.notes:
        show.note(f"note: {show.plain(note)}")


def _show_doubts(task: PlannedTask) -> None:
    """After the fact: what became another thing than the file says."""
    from application.import_plan import Outcome

    name = show.plain(task.name) or task.place
    if task.outcome is Outcome.NEW_ID:
        show.line(f"{name}: a new id, {task.task_id}")
    elif task.outcome in (Outcome.SKIPPED, Outcome.LEFT_OUT, Outcome.OVER):
        show.line(f"{name}: {task.outcome.value}" + (f": {task.problem}" if task.problem else ""))
    elif task.outcome is Outcome.REPLACED:
        show.line(f"{name}: the one that was here is cancelled, this is {task.task_id}")
    for lost in task.lost:
        show.note(f"warning: {name}: lost: {show.plain(lost)}")
