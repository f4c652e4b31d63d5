"""``daybook destinations ...``: where results go, how that fares, and whether a message gets there."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, redirect_stdout
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adapters.cli import show
from adapters.cli.host_states import status
from adapters.cli.options import DataOption, JsonOption, LimitOption

if TYPE_CHECKING:
    from datetime import datetime

    from adapters.cli.host import Host
    from adapters.cli.reading import Reader
    from application.destinations import DestinationView
    from domain.destination import DeliveryOutcome, Destination

__all__ = ["app"]

app = typer.Typer(name="destinations", no_args_is_help=True, rich_markup_mode=None, help="See and test destinations.")

app.command("status")(status)


@app.command("list")
def list_destinations(
    ctx: typer.Context,
    guild: Annotated[str | None, typer.Option("--guild", metavar="ID", help="Of one guild only.")] = None,
    limit: LimitOption = 1000,
    json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """List the destinations of tasks that have not ended, with what became of the last delivery to each."""
    from adapters.cli.reading import on_rows
    from application.destinations import destination_views

    def work(reader: Reader) -> None:
        views = destination_views(reader.queries, guild_id=guild, limit=limit)
        if json:
            show.as_json([view.to_dict() for view in views])
            return
        _print(views, reader.now)
        if reader.beside:
            show.note("daybook destinations status shows the hosts that the running service leaves alone for a while")

    on_rows(ctx, work, data=data)


@app.command("test")
def send_test(
    ctx: typer.Context,
    destination: Annotated[
        str,
        typer.Argument(
            metavar="DESTINATION",
            help="As in tasks add --to: file, email:ann@example.org, webhook:URL;format=slack, "
            "discord_channel:ID (needs DISCORD_TOKEN).",
        ),
    ],
    guild: Annotated[str, typer.Option("--guild", metavar="ID", help="The guild it is for.")],
    json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Send a test message and say what came back. Exit code 1 when it did not arrive. The log is not written."""
    from adapters.cli.store import opened
    from adapters.cli.written import destination as parsed
    from domain.principal import OPERATOR

    place = parsed(destination)

    async def send() -> tuple[DeliveryOutcome, float]:
        async with (
            _client(ctx.obj, place, data) as client,
            opened(ctx.obj, {"data": data}, creates=True, client=client) as session,
        ):
            return await session.commands.test_destination(guild, place, principal=OPERATOR)

    if json:
        with redirect_stdout(sys.stderr):  # what a console destination prints is no part of the document
            outcome, wait = asyncio.run(send())
        show.as_json({**outcome.model_dump(mode="json"), "guild_id": guild, "retry_after_seconds": wait or None})
    else:
        outcome, wait = asyncio.run(send())
        show.line(_said(place, outcome, wait))
    raise typer.Exit(0 if outcome.status == "delivered" else 1)


@asynccontextmanager
async def _client(host: Host, place: Destination, data: str | None) -> AsyncIterator[Any]:
    """A client of Discord for a destination there, else None.

    Raises InvalidInput when what the kind needs, a token or a mail server, is not set.
    """
    from domain.errors import InvalidInput

    settings = host.settings(data=data)
    if place.type == "email" and host.mail_fields(settings) is None:
        raise InvalidInput(
            "DAYBOOK_SMTP_HOST",
            "",
            "is not set, so no e-mail can be sent from here",
            "set it to the name of your mail server, and DAYBOOK_SMTP_SENDER to the address that mail comes from",
        )
    if not place.type.startswith("discord_"):
        yield None
        return
    token = settings.discord_token
    if token is None:
        raise InvalidInput(
            "DISCORD_TOKEN",
            "",
            "is not set, so nothing can be sent to Discord from here",
            "set it to the token of your bot, from the Bot page of its application",
        )
    async with host.discord(token.get_secret_value()) as client:
        yield client


def _said(place: Destination, outcome: DeliveryOutcome, wait: float) -> str:
    reason = show.plain(outcome.reason or "no reason was given")
    if outcome.status == "delivered":
        return f"{place.type}: delivered ({show.plain(outcome.receipt or 'no receipt')})"
    if outcome.status == "unknown":
        return f"{place.type}: unknown, it may have arrived: {reason}"
    kind = "permanent, a task would not try again" if outcome.permanent else "transient, a task would try again"
    asked = f"; it asks to wait {wait:.0f} s" if wait else ""
    return f"{place.type}: failed ({kind}): {reason}{asked}"


def _print(views: list[DestinationView], now: datetime) -> None:
    from adapters.cli.times import relative
    from adapters.cli.written import destination_words

    if not views:
        show.line("no task has a destination")
        return
    rows = []
    for view in views:
        last = view.last
        rows.append(
            (
                show.plain(view.task.name),
                view.task.guild_id,
                show.plain(destination_words(view.destination.model_copy(update={"enabled": True}))),
                show.state(view.state),
                show.state(last.status) if last is not None else show.dim("never"),
                relative(last.at, now) if last is not None else "",
                show.plain(last.receipt or last.reason or "") if last is not None else "",
            )
        )
    show.display(show.table(("task", "guild", "destination", "state", "last", "when", "said"), rows))
