"""``daybook export`` and ``daybook import``: definitions of tasks in a file."""

from __future__ import annotations

import json as json_text
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adapters.cli import show
from adapters.cli.options import DataOption, JsonOption

if TYPE_CHECKING:
    from adapters.cli.store import Session

__all__ = ["export_tasks", "import_tasks", "write_whole"]


def export_tasks(
    ctx: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="JSON file to write; - for standard output.")],
    guild: Annotated[str | None, typer.Option("--guild", metavar="ID", help="Of one guild only.")] = None,
    data: DataOption = None,
) -> None:
    """Write every task that has not ended into a file. Secrets are references, never values."""
    from adapters.cli.store import on_store

    async def work(session: Session) -> None:
        document = session.service.transfer.export_tasks(guild_id=guild)
        if file == "-":
            show.as_json(document)
            return
        write_whole(Path(file), json_text.dumps(document, ensure_ascii=False, indent=2) + "\n")
        show.line(f"exported {document['task_count']} tasks to {file}")

    on_store(ctx, work, data=data)


def import_tasks(
    ctx: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="JSON file that an export wrote; - for standard input.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check the whole file, write nothing.")] = False,
    json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Put the tasks of a file in place: all of them, or none when anything in it is wrong."""
    from adapters.cli.store import on_store
    from domain.principal import OPERATOR

    text = read_file(file)

    async def work(session: Session) -> None:
        count = await session.service.transfer.import_tasks(
            text, principal=OPERATOR, default_timezone=session.service.timezone, dry_run=dry_run
        )
        await session.settle()
        if json:
            show.as_json({"tasks": count, "written": not dry_run, "renumbered": count.renumbered})
            return
        show.line(f"{count} tasks are fine; nothing was written" if dry_run else f"imported {count} tasks")
        for name in count.renumbered:
            show.line(f"{name}: a new id, for the one in the file is of an ended task or of another guild's")

    on_store(ctx, work, data=data, creates=True)


def read_file(name: str) -> bytes:
    """The bytes of a file, or of standard input. Raises InvalidInput."""
    import sys

    from domain.errors import InvalidInput

    if name == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise InvalidInput("FILE", name, f"cannot be read: {error.strerror}", "name a file that exists") from None


def write_whole(path: Path, text: str) -> None:
    """Replace a file by a complete new one, or leave it as it was. Raises InvalidInput."""
    from domain.errors import InvalidInput

    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise InvalidInput("FILE", str(path), f"cannot be written: {error.strerror}", "name another file") from None
    finally:
        temporary.unlink(missing_ok=True)
