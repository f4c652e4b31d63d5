"""``daybook rebuild``, ``daybook doctor`` and ``daybook settings``: for whoever looks after the service."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adapters.cli import show
from adapters.cli.options import DataOption, JsonOption
from adapters.cli.progress import bar
from adapters.cli.reading import warn_of_the_unreadable

if TYPE_CHECKING:
    from adapters.cli.host import Host

__all__ = ["doctor", "rebuild", "settings"]


def rebuild(
    ctx: typer.Context,
    check: Annotated[
        bool, typer.Option("--check", help="Compare with the rows that were there; exit code 1 when they differ.")
    ] = False,
    json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Derive all tables anew from the log, and forget kept states. No event is touched; no service may be running."""
    raise typer.Exit(asyncio.run(_rebuilt(ctx.obj, data, check, json)))


async def _rebuilt(host: Host, data: str | None, check: bool, json: bool) -> int:
    from adapters.cli.store import log_when_needed
    from domain.errors import NotFound

    settings = host.settings(data=data)
    log_when_needed(host, "warning")
    if not settings.data.is_dir():
        raise NotFound("data folder", str(settings.data))
    service = host.service(settings)
    before: dict[str, list[tuple[Any, ...]]] = {}
    try:
        if check:
            with bar("Reading") as progress:
                await service.open(progress=progress)
            before = await asyncio.to_thread(service.stores.read_model.dump)
            await service.stop()
        with bar("Rebuilding") as progress:
            await service.open(anew=True, progress=progress)
        rows = service.stores.read_model
        after = await asyncio.to_thread(rows.dump) if check else {}
        events = rows.position()
        warn_of_the_unreadable(service.queries)
    finally:
        await service.stop()
    differing = {name: len(set(before[name]) ^ set(after[name])) for name in before}
    different = {name: count for name, count in differing.items() if count}
    if json:
        show.as_json({"events": events, "differing_rows": differing if check else None})
    else:
        show.line(f"rebuilt from {events} events")
        for name, count in different.items():
            show.line(f"{name}: {count} rows differ from those that were there")
        if check and not different:
            total = sum(len(table) for table in after.values())
            show.line(f"all {total} rows are equal to those that were there")
    return 1 if different else 0


def doctor(ctx: typer.Context, json: JsonOption = False, data: DataOption = None) -> None:
    """Look whether everything is in order. Exit code 1 when something is wrong; warnings do not count."""
    from adapters.cli.doctor import examine

    findings = asyncio.run(examine(ctx.obj, data))
    if json:
        show.as_json([{"check": f.check, "state": f.state, "finding": f.said} for f in findings])
    else:
        show.display(
            show.table(("check", "state", "finding"), ((f.check, show.state(f.state), f.said) for f in findings))
        )
    raise typer.Exit(1 if any(finding.state == "wrong" for finding in findings) else 0)


def settings(ctx: typer.Context, json: JsonOption = False) -> None:
    """List the environment variables that are read, with their defaults."""
    host: Host = ctx.obj
    rows = list(host.settings_table())
    if json:
        names = ("variable", "default", "meaning", "unit")
        show.as_json([dict(zip(names, row, strict=True)) for row in rows])
        return
    cells = [
        (variable, default or "-", meaning + (f" ({unit})" if unit else ""))
        for variable, default, meaning, unit in rows
    ]
    show.display(show.table(("variable", "default", "meaning"), cells))
    for name, meant in host.unknown_variables():
        show.note(f"warning: nothing reads {name}" + (f"; did you mean {meant}?" if meant else ""))
