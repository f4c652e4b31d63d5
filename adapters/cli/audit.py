"""``daybook why`` and ``daybook account``: what the log says of any past slot."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adapters.cli import show
from adapters.cli.options import DataOption, JsonOption, TaskArgument
from domain.identity import short_id

if TYPE_CHECKING:
    from adapters.cli.reading import Reader
    from application.accounting import Account
    from application.audit import Audit
    from application.evidence import Explanation
    from application.fates import SlotFate
    from application.views import TaskView

__all__ = ["account", "audit_of", "why"]

OneTask = Annotated[
    str | None, typer.Argument(metavar="[TASK]", help="Of one task: its id, the beginning of it, or its name.")
]
GuildOption = Annotated[str | None, typer.Option("--guild", metavar="ID", help="Of one guild only.")]


def why(
    ctx: typer.Context,
    task: TaskArgument,
    at: Annotated[
        str | None,
        typer.Option(
            "--at",
            metavar="INSTANT",
            help="2026-12-24T18:00; in the task's zone if none. Default: the slot that waits, else the last one.",
        ),
    ] = None,
    json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Explain why a task did, or did not, run at an instant, with the events that prove it."""
    from adapters.cli.reading import on_rows

    def work(reader: Reader) -> None:
        from adapters.cli.old_names import find_ever
        from adapters.cli.task_words import aware

        audit = audit_of(reader)
        then = aware("--at", at, reader.timezone, reader.now) if at is not None else None
        found = find_ever(reader.queries, task, moment=then)
        instant = aware("--at", at, found.timezone, reader.now) if at is not None else None
        explanation = audit.why(found.task_id, instant)
        if json:
            show.as_json(_explanation_dict(explanation))
        else:
            _print_explanation(explanation, found)

    on_rows(ctx, work, data=data)


def account(
    ctx: typer.Context,
    task: OneTask = None,
    guild: GuildOption = None,
    start: Annotated[
        str | None, typer.Option("--from", metavar="INSTANT", help="Slots from here on. Default: the task's beginning.")
    ] = None,
    end: Annotated[
        str | None, typer.Option("--to", metavar="INSTANT", help="Slots before this instant. Default: now.")
    ] = None,
    slots: Annotated[bool, typer.Option("--slots", help="Name every slot, the first 10000 of a task.")] = False,
    json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Account for every slot of a period, and prove that it adds up. Exit code 1 when something does not."""
    from adapters.cli.reading import on_rows
    from domain.errors import InvalidInput

    def work(reader: Reader) -> bool:
        from adapters.cli.old_names import find_ever
        from adapters.cli.task_words import aware
        from application.accounting import summed

        audit, now = audit_of(reader), reader.now
        if guild is not None:
            audit.check_guild(guild)
        tasks = [find_ever(reader.queries, task)] if task is not None else audit.tasks(guild)
        whole: list[tuple[TaskView, Account]] = []
        named: dict[str, list[SlotFate]] = {}
        for one in tasks:
            zone = one.timezone if task is not None else reader.timezone
            period: dict[str, Any] = {
                "now": now,
                "start": aware("--from", start, zone) if start is not None else None,
                "end": aware("--to", end, zone) if end is not None else None,
            }
            if period["start"] is not None and period["start"] >= (period["end"] or now):
                raise InvalidInput(
                    "--to", end or "now", "is not after --from", "give a period that ends after it begins"
                )
            whole.append((one, audit.account(one.task_id, **period)))
            if slots:
                named[one.task_id] = audit.slots(one.task_id, **period)
        total = summed([found for _, found in whole], now=now, end=whole[0][1].end if whole else now)
        if json:
            show.as_json(_accounts_dict(whole, total, named))
        else:
            _print_accounts(whole, total, named)
        return total.alarm or any(found.alarm for _, found in whole)

    raise typer.Exit(1 if on_rows(ctx, work, data=data) else 0)


# --- reading ---


def audit_of(reader: Reader) -> Audit:
    """What may be asked of the past in this store."""
    from application.audit import Audit

    return Audit(reader.queries, reader.log, reader.clock)


# --- saying ---


def _iso(instant: datetime | None) -> str | None:
    return instant.isoformat() if instant is not None else None


def _explanation_dict(found: Explanation) -> dict[str, Any]:
    return {
        "task_id": found.task_id,
        "instant": _iso(found.instant),
        "reason": found.reason.value,
        "answer": found.answer,
        "whole": found.whole,
        "slot": _iso(found.slot),
        "fate": found.fate.value if found.fate is not None else None,
        "evidence": [{"position": e.position, "at": _iso(e.at), "words": e.words} for e in found.evidence],
    }


def _print_explanation(found: Explanation, task: TaskView) -> None:
    from adapters.cli.times import stamp

    show.line(f"{show.plain(task.name)}, {stamp(found.slot or found.instant, task.timezone)}: {found.reason.value}")
    show.line(show.plain(found.answer))
    rows = [
        (
            str(one.position) if one.position is not None else "-",
            stamp(one.at, task.timezone) if one.at is not None else "-",
            show.plain(one.words),
        )
        for one in found.evidence
    ]
    if rows:
        show.line()
        show.display(show.table(("position", "at", "evidence"), rows, right=("position",)))


def _account_dict(found: Account) -> dict[str, Any]:
    return {
        "from": _iso(found.start),
        "to": _iso(found.end),
        "implied": found.implied,
        "counted": found.counted,
        "fates": {fate.value: count for fate, count in found.fates.items()},
        "pending": found.pending,
        "skipped": found.skipped,
        "served": found.served,
        "decided": found.decided,
        "on_request": found.manual,
        "adds_up": found.adds_up,
        "proven": found.proven,
        "alarm": found.alarm,
        "findings": [
            {"kind": one.kind.value, "alarm": one.kind.alarm, "position": one.position, "words": one.words}
            for one in found.findings
        ],
    }


def _accounts_dict(
    whole: list[tuple[TaskView, Account]], total: Account, named: dict[str, list[SlotFate]]
) -> dict[str, Any]:
    tasks = []
    for task, found in whole:
        slots = [
            {"slot": _iso(s.slot), "fate": s.fate.value, "position": s.position, "at": _iso(s.decided_at), "run": s.run}
            for s in named.get(task.task_id, ())
        ]
        listed = {"slots": slots} if task.task_id in named else {}
        tasks.append({"task_id": task.task_id, "name": task.name, **_account_dict(found), **listed})
    return {"tasks": tasks, "total": _account_dict(total)}


def _print_accounts(whole: list[tuple[TaskView, Account]], total: Account, named: dict[str, list[SlotFate]]) -> None:
    from adapters.cli.times import stamp

    if not whole:
        show.line("No tasks.")
        return
    rows = [_account_row(short_id(task.task_id), show.plain(task.name), found) for task, found in whole]
    if len(whole) > 1:
        rows.append(_account_row("", "all", total))
    columns = ("id", "name", "implied", "executed", "failed", "skipped", "pending", "unknown", "on request", "adds up")
    show.display(show.table(columns, rows, right=columns[2:-1]))
    if reasons := [(fate.value, str(count)) for fate, count in total.fates.items() if fate.skipped or fate.pending]:
        show.line()
        show.display(show.table(("of these", "slots"), reasons, right=("slots",)))
    for task, _ in whole:
        if slots := named.get(task.task_id):
            show.line()
            show.display(
                show.table(
                    ("slot", "became", "event", "at"),
                    [
                        (
                            stamp(one.slot, task.timezone),
                            show.state(one.fate.value),
                            str(one.position) if one.position is not None else "-",
                            stamp(one.decided_at, task.timezone) if one.decided_at is not None else "-",
                        )
                        for one in slots
                    ],
                    right=("event",),
                )
            )
    for task, found in whole:
        for finding in found.findings:
            where = f" (position {finding.position})" if finding.position is not None else ""
            kind = "ALARM" if finding.kind.alarm else "note"
            show.line(f"{kind}: {show.plain(task.name)}: {show.plain(finding.words)}{where}")
        if not found.adds_up:
            show.line(f"ALARM: {show.plain(task.name)}: {found.implied} slots implied, {found.counted} accounted for")


def _account_row(id: str, name: str, found: Account) -> tuple[Any, ...]:
    from application.fates import Fate

    counts = (found.fates.get(Fate.EXECUTED, 0), found.fates.get(Fate.FAILED, 0), found.skipped, found.pending)
    verdict = show.state("wrong") if found.alarm else show.state("ok") if found.proven else show.state("unknown")
    requests, unknown = sum(found.manual.values()), found.fates.get(Fate.UNREADABLE, 0)
    return (id, name, str(found.implied), *map(str, counts), str(unknown), str(requests), verdict)
