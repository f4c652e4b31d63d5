"""``daybook erase ...``: a guild, or a person, for good."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from adapters.cli import show
from adapters.cli.options import DataOption, JsonOption

if TYPE_CHECKING:
    from adapters.cli.store import Session
    from application.erasure_counts import GuildErasure, PersonErasure

__all__ = ["app"]

app = typer.Typer(
    name="erase", no_args_is_help=True, rich_markup_mode=None, help="Erase a guild, or a person, for good."
)

YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
DryOption = Annotated[bool, typer.Option("--dry-run", help="Only show what would go.")]


@app.command("guild")
def erase_guild(
    ctx: typer.Context,
    guild: Annotated[str, typer.Argument(metavar="GUILD", help="The id of the guild.")],
    yes: YesOption = False,
    dry_run: DryOption = False,
    json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Erase all of a guild: tasks end, contents and keys are destroyed. Numbers stay. There is no way back."""
    from adapters.cli.store import on_store
    from domain.principal import OPERATOR

    async def work(session: Session) -> None:
        erasure = session.service.erasure
        found = await erasure.plan_guild(guild, principal=OPERATOR)
        if not dry_run:
            if not yes:
                _print_guild(found, "would go")
                _confirm(guild)
            found = await erasure.erase_guild(guild, principal=OPERATOR)
            await session.settle()
        if json:
            show.as_json({**found.to_dict(), "erased": not dry_run})
            return
        _print_guild(found, "would go" if dry_run else "gone")
        if not dry_run:
            show.line(f"guild {guild} is erased; its numbers stay, and {_KEEP}")

    on_store(ctx, work, data=data)


@app.command("person")
def erase_person(
    ctx: typer.Context,
    user: Annotated[str, typer.Argument(metavar="USER", help="The id of the account.")],
    guild: Annotated[str | None, typer.Option("--guild", metavar="ID", help="In one guild only.")] = None,
    name: Annotated[
        list[str] | None,
        typer.Option(
            "--name", metavar="TEXT", help="What the person is called there, besides known names. Repeatable."
        ),
    ] = None,
    yes: YesOption = False,
    dry_run: DryOption = False,
    json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Erase a person: summaries that name them, and whom the references in the history lead to."""
    from adapters.cli.store import on_store
    from domain.principal import OPERATOR

    async def work(session: Session) -> None:
        erasure = session.service.erasure
        names = name or []
        found = await erasure.plan_person(user, guild_id=guild, names=names, principal=OPERATOR)
        if not dry_run:
            if not yes:
                _print_person(session, found, "would go")
                _confirm(user)
            found = await erasure.erase_person(user, guild_id=guild, names=names, principal=OPERATOR)
            await session.settle()
        if json:
            show.as_json({"user": user, "erased": not dry_run, "guilds": [one.to_dict() for one in found]})
        else:
            _print_person(session, found, "would go" if dry_run else "gone")

    on_store(ctx, work, data=data)


_KEEP = "keep erasures.json with your newest backup: older ones are erased by it again"


def _confirm(wanted: str) -> None:
    typed = typer.prompt(f"Type {wanted} to erase this for good")
    if typed.strip() != wanted:
        show.error("that is something else; nothing was erased")
        raise typer.Exit(1)


def _print_guild(found: GuildErasure, word: str) -> None:
    rows = [
        ("tasks", f"{found.tasks} ({found.alive} have not ended)"),
        ("summaries", str(found.summaries)),
        ("run details", str(found.run_details)),
        ("cached", str(found.cached)),
        ("files", str(found.files)),
        ("secrets", str(found.secrets)),
        ("people", str(found.people)),
        ("data keys", str(found.keys)),
    ]
    show.line(f"guild {show.plain(found.guild_id)}, {word}:")
    for name, value in rows:
        show.line(f"  {name:<14}{value}")


def _print_person(session: Session, found: list[PersonErasure], word: str) -> None:
    for one in found:
        if one.nothing and not one.named_in:
            continue
        reference = "the reference" if one.reference else "no reference"
        files = f"{one.files} file" + ("" if one.files == 1 else "s")
        show.line(f"guild {show.plain(one.guild_id)}, {word}: what {len(one.runs)} runs made, {files}, {reference}")
        if one.named_in:
            tasks = [f"{show.plain(session.queries.task(id).name)} ({id})" for id in one.named_in]
            show.line(f"  named in the definitions of {', '.join(tasks)}: edit these tasks")
    if all(one.nothing for one in found):
        show.line("nothing is kept of this person")
