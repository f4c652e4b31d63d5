"""``daybook vault ...``: looking after what keeps the secrets."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import typer

from adapters.cli import show
from adapters.cli.options import DataOption, JsonOption

if TYPE_CHECKING:
    from adapters.cli.host import Host

__all__ = ["app"]

app = typer.Typer(name="vault", no_args_is_help=True, rich_markup_mode=None, help="Look after the store of secrets.")


@app.callback()
def root() -> None:
    """Hold the commands of the vault together, so that one alone is still named."""


@app.command()
def rotate(ctx: typer.Context, json: JsonOption = False, data: DataOption = None) -> None:
    """Give the vault a new master key: DAYBOOK_NEW_MASTER_KEY, or a random one in the key file. No service may run."""
    rows, place = asyncio.run(_rotated(ctx.obj, data))
    if json:
        show.as_json({"sealed_anew": rows, "key": place})
        return
    show.line(f"{rows} rows are sealed with the new key, which is in {place}")
    if place == "DAYBOOK_MASTER_KEY":
        show.note("set DAYBOOK_MASTER_KEY to the value of DAYBOOK_NEW_MASTER_KEY now, everywhere")
    show.note("a backup of the vault that was made before needs the old key")


async def _rotated(host: Host, data: str | None) -> tuple[int, str]:
    from adapters.cli.store import log_when_needed
    from domain.errors import NotFound

    settings = host.settings(data=data)
    log_when_needed(host, "warning")
    if settings.database_url is None and not settings.data.is_dir():
        raise NotFound("data folder", str(settings.data))
    service = host.service(settings)
    try:
        await service.open()
        return await asyncio.to_thread(host.rotate_master_key, service.stores, settings)
    finally:
        await service.stop()
