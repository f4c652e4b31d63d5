"""``daybook preview``: what a schedule, or an edit of a task, will do; nothing is written."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adapters.cli import show
from adapters.cli.options import DataOption, JsonOption, PhraseArgument
from adapters.cli.schedule_options import in_zone, is_phrase, with_phrase, with_schedule

if TYPE_CHECKING:
    from adapters.cli.reading import Reader
    from application.views import TaskView
    from domain.schedule import Schedule

__all__ = ["preview"]


@with_schedule
def preview(
    ctx: typer.Context,
    what: Annotated[
        str | None,
        typer.Argument(metavar="[TASK | PHRASE]", help='A task, or a phrase such as "every weekday at 9:00".'),
    ] = None,
    phrase: PhraseArgument = None,
    schedule: Any = None,
    after: Annotated[
        str | None, typer.Option("--after", metavar="INSTANT", help="Slots after this instant; now where not given.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="INSTANT", help="And no slot after this instant.")
    ] = None,
    count: Annotated[int, typer.Option("--count", min=1, max=1000, help="How many slots.")] = 10,
    months: Annotated[int, typer.Option("--months", min=0, max=24, help="How many calendar months to draw.")] = 1,
    json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Show the next slots of a schedule in its zone and in UTC, a month calendar, and what may surprise.

    With a task, and a phrase or options, it shows what changing it so would move. Nothing is written.
    """
    from adapters.cli.written import schedule_fields

    fields = schedule_fields(schedule)
    named = schedule["type"] is not None
    if what is None or (phrase is None and is_phrase(what)):
        zone = ctx.obj.settings(data=data).timezone
        now, since, end = _instants(after, until, fields.get("timezone") or zone)
        chosen, before, task = _new(fields, what, since, zone), None, None
    else:
        task = _of_task(ctx, what, data)
        now, since, end = _instants(after, until, task.timezone)
        written = with_phrase(fields, phrase, now=since, zone=task.timezone)
        chosen, before = _edited(task, written, named, now)
    _show(chosen, before, task, now=now, since=since, end=end, count=count, months=months, json=json)


def _instants(after: str | None, until: str | None, zone: str) -> tuple[datetime, datetime, datetime | None]:
    """The present, where the slots begin, and where they end; what is written without an offset is in the zone."""
    from adapters.cli.task_words import aware

    now = datetime.now(UTC)
    since = aware("--after", after, zone) if after is not None else now
    return now, since, aware("--until", until, zone) if until is not None else None


def _new(fields: dict[str, Any], phrase: str | None, now: datetime, zone: str) -> Schedule:
    """The schedule as it would be of a task that is made at this instant."""
    from domain.draft import define
    from domain.errors import InvalidInput

    if phrase is None and not fields:
        raise InvalidInput("preview", "", "says no schedule", "name a task, type a phrase, or give options (--help)")
    said = with_phrase(fields, phrase, now=now, zone=zone)
    if "schedule" not in said:
        said.setdefault("timezone", zone)
    return define(in_zone(said, zone), now=now).schedule


def _of_task(ctx: typer.Context, text: str, data: str | None) -> TaskView:
    from adapters.cli.reading import on_rows

    def work(reader: Reader) -> TaskView:
        return reader.queries.find_task(text)

    return on_rows(ctx, work, data=data)


def _edited(task: TaskView, fields: dict[str, Any], named: bool, now: datetime) -> tuple[Schedule, Schedule | None]:
    """The schedule of a task, or the one it would have and the one it has."""
    from adapters.cli.task_words import fitting_kind
    from domain.draft import revised

    own: Schedule = task.definition.schedule
    if not fields:
        return own, None
    changes = in_zone(fitting_kind(fields, own, named), task.timezone)
    return revised(task.definition, changes, now=now).schedule, own


def _show(
    chosen: Schedule,
    before: Schedule | None,
    task: TaskView | None,
    *,
    now: datetime,
    since: datetime,
    end: datetime | None,
    count: int,
    months: int,
    json: bool,
) -> None:
    from adapters.cli.schedule_tables import print_left_out, print_moves, print_preview
    from application.preview import calendar, marked
    from application.preview import preview as look

    ahead = task.slots_after(now) if task is not None else now
    left_out = (now, ahead) if ahead > now else None
    since = ahead if now <= since < ahead else since
    seen = look(chosen, after=since, count=count, until=end)
    if left_out is not None and since < ahead:
        seen = marked(seen, left_out, "left out in advance")
    if json:
        show.as_json([slot.to_dict() for slot in seen.slots])
        return
    months = months if seen.slots else 0
    drawn = calendar(chosen, first=_first_day(seen.slots), months=months, left_out=left_out) if months else ()
    print_preview(seen, drawn, now)
    if before is not None:
        show.line()
        print_moves(before, chosen, max(since, ahead) if left_out is not None else since)
    if task is not None:
        print_left_out(task, now)


def _first_day(slots: Any) -> date:
    first: date = slots[0].local.date()
    return first
