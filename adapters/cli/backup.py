"""``daybook backup`` and ``daybook restore``: a copy of the whole store, and back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adapters.cli import show
from adapters.cli.options import DataOption, JsonOption

if TYPE_CHECKING:
    from adapters.cli.host import BackedUp, Host

__all__ = ["backup", "restore"]


def backup(
    ctx: typer.Context,
    target: Annotated[str, typer.Argument(metavar="TARGET", help="Folder to make; it must not exist.")],
    with_vault: Annotated[
        bool, typer.Option("--with-vault", help="With the vault: data keys and secrets, sealed with the master key.")
    ] = False,
    only_vault: Annotated[
        bool, typer.Option("--only-vault", help="The vault alone, to be kept in another place than the rest.")
    ] = False,
    json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Copy the store as it is now, also while the service runs, and check the copy.

    The log, the content and the list of erasures. Never the master key.
    """
    from adapters.cli.progress import bar
    from adapters.cli.store import log_when_needed

    host: Host = ctx.obj
    settings = host.settings(data=data)
    log_when_needed(host, "warning")
    _check_embedded(settings)
    with bar("Copying", "bytes") as progress:
        made = host.back_up(
            settings,
            Path(target),
            version=host.version,
            vault=with_vault or only_vault,
            log=not only_vault,
            progress=progress,
        )
    if json:
        show.as_json(_as_dict(made) | {"target": target})
        return
    show.line(f"backed up to {target}: {_in_words(made)}; checked")
    if not made.has_vault:
        show.note("note: nobody reads this without the vault: back it up too, with `daybook backup --only-vault`")
    show.note("note: the master key is not in it; keep a copy of it in another place")


def restore(
    ctx: typer.Context,
    source: Annotated[str, typer.Argument(metavar="BACKUP", help="Folder that `daybook backup` made.")],
    vault: Annotated[
        str | None,
        typer.Option("--vault", metavar="FILE", help="The newest copy of vault.db, where the backup has none."),
    ] = None,
    erasures: Annotated[
        str | None,
        typer.Option("--erasures", metavar="FILE", help="A copy of erasures.json: what it names is erased again."),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Move the store that is there aside; it is kept beside the folder.")
    ] = False,
    json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Put a backup in place as the data folder; no service may be running on it.

    The master key is taken from the environment, or from the data folder or the backup if it lies there.
    """
    from adapters.cli.store import log_when_needed

    host: Host = ctx.obj
    settings = host.settings(data=data)
    log_when_needed(host, "warning")
    _check_embedded(settings)
    made, kept = host.restore(
        settings,
        Path(source),
        vault=Path(vault) if vault else None,
        erasures=Path(erasures) if erasures else None,
        replace=replace,
    )
    if json:
        show.as_json(_as_dict(made) | {"data": str(settings.data), "kept": str(kept) if kept else None})
        return
    show.line(f"restored to {settings.data}: {_in_words(made)}, as of {made.at:%Y-%m-%d %H:%M:%S} UTC")
    if kept is not None:
        show.line(f"what was there before is in {kept}")
    show.note("note: slots since then are run late, or skipped as missed, when the service starts")


def _check_embedded(settings: Any) -> None:
    from domain.errors import InvalidInput

    if settings.database_url is not None:
        raise InvalidInput(
            "DAYBOOK_DATABASE_URL", "(set)", "names a PostgreSQL store", "back it up and restore it with pg_dump"
        )


def _in_words(made: BackedUp) -> str:
    rows = {table: count for tables in made.counts.values() for table, count in tables.items()}
    known = (("stored_events", "events"), ("summaries", "summaries"), ("vault_keys", "data keys"))
    return ", ".join(f"{rows[table]} {name}" for table, name in known if table in rows) or "nothing"


def _as_dict(made: BackedUp) -> dict[str, Any]:
    return {
        "at": made.at.isoformat(),
        "position": made.position,
        "vault": made.has_vault,
        "counts": {name: dict(tables) for name, tables in made.counts.items()},
        "files": dict(made.files),
    }
