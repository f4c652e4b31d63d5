"""``daybook verify``: whether the store is whole, readable, and as it is derived; and what to do where it is not."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import typer

from adapters.cli import show
from adapters.cli.options import DataOption, JsonOption
from adapters.cli.progress import bar

if TYPE_CHECKING:
    from application.verification import Health

__all__ = ["verify"]

_NO_TABLES = "there are none yet, as after a restore; a start makes them"
UNITS = {"Replaying": "tasks, guilds and processes"}


def verify(ctx: typer.Context, json: JsonOption = False, data: DataOption = None) -> None:
    """Check every stream of the log, what is kept of them, and all tables. Exit code 1 for trouble.

    Nothing is repaired, and nothing is written: what a process that died left behind stays as it is. A service may be
    running. The log is held against the hash that `leaves.db` keeps of every event, and against the heads that were
    published; `daybook audit verify` takes those that were kept elsewhere as well.
    """
    from adapters.cli.store import looking
    from application.heads import known_heads
    from application.verification import verify_store

    with looking(ctx.obj, data) as stores, ExitStack() as shown:

        def begin(title: str) -> Callable[[int, int], None]:
            shown.close()  # the bar of what came before
            return shown.enter_context(bar(title, UNITS.get(title, "events")))

        tables = stores.has_rows
        leaves = stores.leaves if stores.has_leaves else None
        health = verify_store(
            stores.log,
            stores.read_model,
            begin,
            leaves=leaves,
            heads=known_heads(stores.log, leaves),
            destroyed=stores.destroyed_keys(),
        )
    if json:
        show.as_json(_health_dict(health))
    else:
        _print_health(health, tables=tables)
    raise typer.Exit(0 if health.sound else 1)


def _health_dict(health: Health) -> dict[str, Any]:
    return {
        "sound": health.sound,
        "events": health.events,
        "streams": health.streams,
        "snapshots": health.snapshots,
        "erased_events": health.erased,
        "tables_compared": health.compared,
        "troubles": [
            {
                "kind": one.kind.value,
                "stream": one.stream or None,
                "version": one.version or None,
                "position": one.position or None,
                "words": one.words,
                "advice": one.advice,
            }
            for one in health.troubles
        ],
        "more_troubles": health.more,
    }


def _print_health(health: Health, *, tables: bool) -> None:
    for one in health.troubles:
        show.line(f"{one.kind.value}: {show.plain(one.words)}")
    if health.more:
        show.line(f"and {health.more} more")
    for advice in dict.fromkeys(one.advice for one in health.troubles):
        kinds = ", ".join(dict.fromkeys(one.kind.value for one in health.troubles if one.advice == advice))
        show.line(f"what to do ({kinds}): {advice}")
    erased = f", {health.erased} of them erased" if health.erased else ""
    if not health.compared:
        why = "they are damaged or not of this version, and are made anew by a start" if tables else _NO_TABLES
        show.line(f"the tables were not compared: {why}")
    compared = ", and all tables" if health.compared else ""
    show.line(
        f"{health.events} events{erased} in {health.streams} streams, {health.snapshots} kept states{compared}: "
        + ("sound" if health.sound else "not sound")
    )
