"""``daybook as-of``: tasks, guilds and processes as they were, and what changed since."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adapters.cli import show
from adapters.cli.audit import GuildOption, OneTask, audit_of
from adapters.cli.differences import differences_list, print_differences, value_words
from adapters.cli.old_names import find_ever
from adapters.cli.options import DataOption, JsonOption
from domain.identity import short_id

if TYPE_CHECKING:
    from adapters.cli.reading import Reader
    from application.history import Moment, TaskThen, Then
    from application.past import GuildThen, ServiceThen

__all__ = ["as_of"]


def as_of(
    ctx: typer.Context,
    moment: Annotated[
        str, typer.Argument(metavar="MOMENT", help="An instant like 2026-11-01T09:00, now, or a position in the log.")
    ],
    task: OneTask = None,
    guild: GuildOption = None,
    compare: Annotated[
        str | None, typer.Option("--compare-to", metavar="MOMENT", help="Show what differs then, and who changed it.")
    ] = None,
    json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Show the service, a guild or a task as it was at a past moment.

    Exit code 1 when events of that time cannot be read, but for those that were erased.
    """
    from adapters.cli.reading import on_rows
    from domain.errors import InvalidInput

    if task is not None and guild is not None:
        raise InvalidInput("--guild", guild, "cannot be given together with a task", "leave one of them out")

    def work(reader: Reader) -> bool:
        if compare is not None:
            return _compared(reader, moment, compare, task, guild, json)
        if task is None:
            return _whole(reader, moment, guild, json)
        audit = audit_of(reader)
        one = find_ever(reader.queries, task, moment=_moment("MOMENT", moment, reader.timezone, reader, quiet=True))
        found = audit.as_of(_moment("MOMENT", moment, one.timezone, reader), [one.task_id])
        if json:
            show.as_json([{"task_id": then.task_id, **_then_dict(then)} for then in found])
        elif found:
            show.display(
                show.table(
                    ("field", "value"), [(n, value_words(n, v, one.timezone)) for n, v in found[0].fields.items()]
                )
            )
            _print_unknown(found)
        else:
            show.line("The task did not exist then.")
        return not all(then.known or then.erased for then in found)

    raise typer.Exit(1 if on_rows(ctx, work, data=data) else 0)


def _whole(reader: Reader, moment: str, guild: str | None, json: bool) -> bool:
    zone = reader.timezone
    service = audit_of(reader).service_as_of(_moment("MOMENT", moment, zone, reader), guild_id=guild)
    if json:
        show.as_json(_service_dict(service))
    else:
        _print_service(service, zone, of_guild=guild is not None)
    return not service.known


def _compared(reader: Reader, first: str, second: str, task: str | None, guild: str | None, json: bool) -> bool:
    audit, zone, task_id = audit_of(reader), reader.timezone, None
    if task is not None:
        one = find_ever(reader.queries, task, moment=_moment("MOMENT", first, zone, reader, quiet=True))
        zone, task_id = one.timezone, one.task_id
    between = _moment("MOMENT", first, zone, reader), _moment("--compare-to", second, zone, reader)
    found = audit.differences(*between, task_id=task_id, guild_id=guild)
    if json:
        show.as_json(differences_list(found))
    else:
        print_differences(found, zone)
    unknown = [(name, one.blocked) for name, one in found if one.blocked is not None and not one.erased]
    for name, error in unknown:
        show.note(f"unknown: {show.plain(name)}: {show.plain(str(error))}")
    return bool(unknown)


def _moment(option: str, text: str, zone: str, reader: Reader, *, quiet: bool = False) -> Moment:
    """What is meant; that it lies beyond the present is said, for the answer is then that of the present."""
    from adapters.cli.task_words import aware

    if text.isascii() and text.isdigit() and len(text) < 16:
        if int(text) > (end := reader.log.last_position()) and not quiet:
            show.note(f"note: position {text} is yet to come; this is the present, as of the last position, {end}")
        return min(int(text), end)
    instant = aware(option, text, zone, reader.now)
    if instant > reader.now and not quiet:
        show.note(f"note: {instant:%Y-%m-%d %H:%M} +0000 is yet to come, so this is the present and may still change")
    return instant


# --- states ---


def _iso(instant: datetime | None) -> str | None:
    return instant.isoformat() if instant is not None else None


def _then_dict(then: TaskThen | GuildThen) -> dict[str, Any]:
    return {
        "position": then.position,
        "at": _iso(then.at),
        "unreadable": str(then.blocked) if then.blocked is not None else None,
        "erased": then.erased,
        "state": then.fields or None,
    }


def _service_dict(service: ServiceThen) -> dict[str, Any]:
    return {
        "position": service.position,
        "counts": service.counts,
        "open_runs": service.open_runs,
        "unreadable_events_of_nobody": service.of_nobody,
        "tasks": [{"task_id": one.task_id, **_then_dict(one)} for one in service.tasks],
        "guilds": [{"guild_id": one.guild_id, **_then_dict(one)} for one in service.guilds],
        "nodes": [
            {
                "node": one.node,
                "host": one.host,
                "version": one.version,
                "started_at": _iso(one.started_at),
                "up": one.up,
                "known": one.known,
            }
            for one in service.nodes
        ],
    }


def _print_service(service: ServiceThen, zone: str, *, of_guild: bool) -> None:
    from adapters.cli.times import stamp

    counts = ", ".join(f"{count} {status}" for status, count in sorted(service.counts.items())) or "none"
    show.line(f"position {service.position}; tasks: {counts}; open runs: {service.open_runs}")
    if not of_guild:
        up = [
            f"{show.plain(one.node)} since {stamp(one.started_at, zone)}"
            for one in service.nodes
            if one.started_at and one.up
        ]
        show.line(f"processes up: {', '.join(up) or 'none'}")
        if lost := [show.plain(one.node) for one in service.nodes if not one.known]:
            show.line(f"processes of which nothing can be read: {', '.join(lost)}; `daybook verify` says what is wrong")
    if service.tasks:
        show.line()
        columns = ("id", "name", "guild", "status", "schedule", "next slot", "open runs", "position")
        rows = [_task_row(one, zone) for one in service.tasks]
        show.display(show.table(columns, rows, right=("open runs", "position")))
    settings = [
        (show.plain(one.guild_id) or "(service)", name, value_words(name, value, zone))
        for one in service.guilds
        for name, value in one.fields.items()
        if name != "guild_id" and value not in (None, 0, "", [], {})
    ]
    if settings:
        show.line()
        show.display(show.table(("guild", "field", "value"), settings))
    _print_unknown([*service.tasks, *service.guilds])
    if service.of_nobody:
        show.note(f"unknown: {service.of_nobody} unreadable or missing events may tell of others; see `daybook verify`")


def _task_row(one: TaskThen, zone: str) -> tuple[Any, ...]:
    from adapters.cli.times import stamp
    from domain.schedule import describe
    from domain.task_erasure import ERASED

    task = one.task
    if task is None:
        status = ERASED if one.erased else show.state("unknown")
        return (short_id(one.task_id), "-", "-", status, "-", "-", "-", str(one.position))
    return (
        short_id(one.task_id),
        show.plain(task.name),
        show.plain(task.guild_id),
        ERASED if one.erased else show.state(task.status.value if one.known else "unknown"),
        show.plain(describe(task.definition.schedule)),
        stamp(task.next_slot, zone) if task.next_slot is not None else "-",
        str(len(task.open_runs)),
        str(one.position),
    )


def _print_unknown(found: Sequence[Then]) -> None:
    from domain.task_erasure import ERASED

    for one in found:
        if one.blocked is not None:
            what = ERASED if one.erased else "unknown"
            show.line(
                f"{what}: {short_id(one.stream_id)} after position {one.position}: {show.plain(str(one.blocked))}"
            )
