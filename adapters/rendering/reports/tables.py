"""An audit report as tables of plain values: every format shows these, so that all of them say the same numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from adapters.rendering.safety import one_line
from application.accounting import Account
from application.fates import Fate
from application.report import DeliveryLine, Figures, Report, RunLine, ScopeKind, Spread
from domain.zone import zone_info

__all__ = ["Cell", "Column", "Kind", "Table", "heading", "length", "notes", "percent", "period", "shown", "state_of"]
__all__ += ["stamp", "tables"]

Cell = str | int | float | datetime | date | None


class Kind(StrEnum):
    """What a column holds."""

    TEXT = "text"
    STATE = "state"
    NUMBER = "number"
    SECONDS = "seconds"
    PERCENT = "percent"
    POSITION = "position"
    INSTANT = "instant"
    DATE = "date"

    @property
    def right(self) -> bool:
        """Whether it is set to the right."""
        return self in (Kind.NUMBER, Kind.POSITION, Kind.SECONDS, Kind.PERCENT)


@dataclass(frozen=True, slots=True)
class Column:
    """A column: ``key`` for programs, ``label`` for people."""

    key: str
    label: str
    kind: Kind = Kind.TEXT


@dataclass(frozen=True, slots=True)
class Table:
    """A table. ``note`` says what a reader should know of it; ``empty`` what there is to say where it has no rows."""

    key: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    empty: str = "None."


# --- words ---


def stamp(instant: datetime, timezone: str) -> str:
    """``2026-10-01 09:00 +0200``, with seconds where there are any."""
    wall = instant.astimezone(zone_info(timezone))
    return f"{wall:%Y-%m-%d %H:%M %z}" if not wall.second else f"{wall:%Y-%m-%d %H:%M:%S %z}"


def length(seconds: float) -> str:
    """``0.31 s``, ``12 s``, ``2 min 5 s``, ``9 h 13 min``, ``3 d 4 h``: the two largest units."""
    if abs(seconds) < 0.0005:
        return "0 s"
    if abs(seconds) < 10:
        return f"{seconds:.3g} s"
    sign, whole = "-" if seconds < 0 else "", round(abs(seconds))
    for size, unit, less, part in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // less
            return f"{sign}{whole // size} {unit}" + (f" {rest} {part}" if rest else "")
    return f"{sign}{whole} s"


def percent(rate: float | None) -> str:
    """``99.1%``; 100% and 0% only where that is exact; a dash for none."""
    if rate is None:
        return "-"
    if rate in (0, 100):
        return f"{rate:.0f}%"
    return f"{min(99.9, max(0.1, rate)):.1f}%"


def shown(cell: Cell, kind: Kind, timezone: str) -> str:
    """A cell as people read it; a dash for nothing."""
    if cell is None or cell == "":
        return "-"
    if isinstance(cell, datetime):
        return _wall(cell, timezone)
    if isinstance(cell, date):
        return cell.isoformat()
    if kind is Kind.PERCENT and isinstance(cell, int | float):
        return percent(cell)
    if kind is Kind.SECONDS and isinstance(cell, int | float):
        return length(cell)
    if kind is Kind.POSITION:
        return str(cell)
    return f"{cell:,}" if isinstance(cell, int | float) else one_line(cell)


def _wall(instant: datetime, timezone: str) -> str:
    """The time on the wall; with its offset where the clock shows that time twice."""
    wall = instant.astimezone(zone_info(timezone))
    told_apart = wall.replace(fold=0).utcoffset() == wall.replace(fold=1).utcoffset()
    return stamp(instant, timezone).rpartition(" ")[0] if told_apart else stamp(instant, timezone)


def heading(report: Report) -> str:
    """``Audit report: Morning digest``."""
    of = {
        ScopeKind.TASK: report.scope.name,
        ScopeKind.GUILD: f"guild {report.scope.id}",
        ScopeKind.SERVICE: "all guilds",
    }
    return f"Audit report: {one_line(of[report.scope.kind])}"


def period(report: Report) -> str:
    """``2026-10-01 00:00 +0200 to 2026-11-01 00:00 +0100; times are those of Europe/Berlin``."""
    span = f"{stamp(report.start, report.timezone)} to {stamp(report.end, report.timezone)}"
    return f"{span}; times are those of {report.timezone}"


def state_of(report: Report) -> str:
    """Whether the report is final."""
    if report.closed:
        return f"Closed: made from the log up to position {report.position}, and the same whenever it is made."
    known = stamp(report.as_of, report.timezone)
    return f"So far: the period is not closed. This was known at {known}, up to position {report.position} of the log."


_SEEN = {
    "operator": "",
    "manager": "Names of machines are masked.",
    "viewer": "People, targets, machines, and what was said are masked.",
}


def notes(report: Report) -> list[str]:
    """What a reader must know before any number."""
    alarm = report.account.alarm
    return [
        state_of(report),
        *([_SEEN[report.role]] if _SEEN[report.role] else []),
        *(["ALARM: the accounts do not add up, or the log cannot be read in full. See the findings."] if alarm else []),
        *([served_words(report.account)] if report.account.decided else []),
        *(f"{text[:1].upper()}{text[1:]}." for text in report.cut),
    ]


def served_words(account: Account) -> str:
    """``26 of 50 slots served.``: the success of runs says nothing of slots that had none."""
    return f"{account.served:,} of {account.decided:,} slots served."


# --- tables ---


def tables(report: Report) -> list[Table]:
    """Every table of a report, in the order in which it is read."""
    return [
        _rates(report.figures),
        _spreads(report.figures),
        *_models(report.figures),
        _accounts(report),
        _fates(report.account),
        _findings(report),
        _days(report),
        _outages(report),
        _causes(report),
        _places(report),
        _slowest(report),
        _changes(report),
        _runs(report),
        _deliveries(report.runs),
        _events(report),
        _kinds(report),
    ]


_POSITION = ("position", "position", Kind.POSITION)


def _columns(*columns: tuple[str, str] | tuple[str, str, Kind]) -> tuple[Column, ...]:
    return tuple(Column(*column) for column in columns)


def _numbers(*keys: str) -> list[tuple[str, str, Kind]]:
    return [(key, key.replace("_", " "), Kind.NUMBER) for key in keys]


def _rates(of: Figures) -> Table:
    rows = (
        ("runs", of.runs, of.executed, of.failed, of.skipped + of.unfinished + of.unreadable, of.run_rate),
        ("attempts", of.attempts, of.executed, of.attempts_failed,
         of.attempts - of.executed - of.attempts_failed, of.attempt_rate),
        ("deliveries", of.deliveries, of.delivered, of.undelivered, of.unknown + of.left_out, of.delivery_rate),
    )  # fmt: skip
    columns = _columns(
        ("of", "of"), *_numbers("total", "succeeded", "failed", "other"), ("success_percent", "success", Kind.PERCENT)
    )
    note = (
        "Other: skipped or unfinished runs, attempts interrupted or closed otherwise, deliveries of which nobody knows."
    )
    return Table("rates", "Success", columns, rows, note)


def _spread(what: str, of: Spread | None) -> tuple[Cell, ...]:
    return (what, 0, *[None] * 5) if of is None else (what, of.count, of.p50, of.p90, of.p95, of.p99, of.most)


def _spreads(of: Figures) -> Table:
    percentiles = (("p50", "half within"), ("p90", "90% within"), ("p95", "95% within"), ("p99", "99% within"))
    columns = _columns(
        ("of", "of"), ("runs", "runs", Kind.NUMBER),
        *((f"{key}_seconds", label, Kind.SECONDS) for key, label in percentiles),
        ("most_seconds", "at most", Kind.SECONDS),
    )  # fmt: skip
    rows = (_spread("lateness", of.lateness), _spread("duration", of.duration))
    note = "Lateness: from the slot to the first attempt. Duration: of the last attempt."
    return Table("spreads", "Lateness and duration", columns, rows, note)


def _models(of: Figures) -> list[Table]:
    """None where no language model was asked: a report of such a period has no word of them."""
    if not of.models:
        return []
    columns = _columns(("model", "model"), *_numbers("requests", "input_tokens", "output_tokens"), ("cost_usd", "USD"))
    rows = tuple(
        (one.model, one.requests, one.input_tokens, one.output_tokens, "" if one.cost is None else f"{one.cost:.6f}")
        for one in of.models
    )
    return [Table("models", "Language models", columns, rows, "Of runs of the period; no price, no cost.")]


def _account_cells(of: Account) -> tuple[Cell, ...]:
    unreadable = of.fates.get(Fate.UNREADABLE, 0)
    verdict = "wrong" if of.alarm else "ok" if of.proven else "unknown"
    return (
        of.implied, of.fates.get(Fate.EXECUTED, 0), of.fates.get(Fate.FAILED, 0), of.skipped, of.pending, unreadable,
        sum(of.manual.values()), verdict,
    )  # fmt: skip


def _accounts(report: Report) -> Table:
    columns = _columns(
        ("task", "task"), ("task_id", "id"), ("guild_id", "guild"), ("status", "status", Kind.STATE),
        ("schedule", "schedule"),
        *_numbers("implied", "executed", "failed", "skipped", "pending", "unreadable", "on_request"),
        ("adds_up", "adds up", Kind.STATE),
    )  # fmt: skip
    rows = [
        (one.name, one.task_id, one.guild_id, one.status, one.schedule, *_account_cells(one.account))
        for one in report.tasks
    ]
    if len(rows) > 1:
        rows.append(("all", "", "", "", "", *_account_cells(report.account)))
    note = "Implied slots = executed + failed + skipped + pending + unreadable. Runs on request are counted apart."
    return Table("accounts", "Accounts", columns, tuple(rows), note, "No tasks.")


def _fates(of: Account) -> Table:
    rows = tuple((fate.value, of.fates[fate]) for fate in Fate if of.fates.get(fate))
    return Table(
        "fates", "What became of the slots", _columns(("fate", "fate", Kind.STATE), *_numbers("slots")), rows,
        empty="No slots.",
    )  # fmt: skip


def _findings(report: Report) -> Table:
    rows = [
        (task.name, one.kind.value, "yes" if one.kind.alarm else "no", one.position, one.words)
        for task in report.tasks
        for one in task.account.findings
    ]
    rows += [
        (task.name, "sum", "yes", None, f"{task.account.implied} slots implied, {task.account.counted} accounted for")
        for task in report.tasks
        if not task.account.adds_up
    ]
    columns = _columns(("task", "task"), ("kind", "kind"), ("alarm", "alarm"), _POSITION, ("words", "finding"))
    return Table("findings", "Findings", columns, tuple(rows), empty="The accounts add up, and nothing is missing.")


def _days(report: Report) -> Table:
    columns = _columns(
        ("date", "day", Kind.DATE), *_numbers("slots", "executed", "failed", "missed", "skipped", "pending"),
        ("success_percent", "success", Kind.PERCENT), ("late_p50_seconds", "half within", Kind.SECONDS),
        ("late_p95_seconds", "95% within", Kind.SECONDS), ("late_most_seconds", "latest", Kind.SECONDS),
    )  # fmt: skip
    rows = tuple(
        (
            day.date, day.slots, day.executed, day.failed, day.missed, day.skipped, day.pending, day.rate,
            *((day.lateness.p50, day.lateness.p95, day.lateness.most) if day.lateness else (None, None, None)),
        )
        for day in report.days
    )  # fmt: skip
    note = "Success: executed slots among those that were executed, failed or missed. Lateness by the day of the slot."
    return Table("days", "Day by day", columns, rows, note, "No slots.")


def _outages(report: Report) -> Table:
    columns = _columns(
        ("since", "from", Kind.INSTANT), ("until", "to", Kind.INSTANT), ("seconds", "length", Kind.SECONDS)
    )
    rows = tuple((one.since, one.until, one.seconds) for one in report.outages)
    empty = "The log holds no process." if report.down_seconds is None else "Some process was up all the time."
    within = f" Within the period nothing was up for {length(report.down_seconds)}." if report.down_seconds else ""
    return Table("outages", "Longest outages", columns, rows, f"When no process was up, in full length.{within}", empty)


def _causes(report: Report) -> Table:
    columns = _columns(
        ("what", "what"), ("said", "said"), *_numbers("attempts", "tasks"), ("first", "first", Kind.INSTANT),
        ("last", "last", Kind.INSTANT),
    )  # fmt: skip
    rows = tuple((one.what, one.said, one.count, one.tasks, one.first, one.last) for one in report.causes)
    more = report.causes_total - len(report.causes)
    note = f"Numbers are shown as #. {more:,} rarer causes are left out." if more else "Numbers are shown as #."
    return Table("causes", "Top failure causes", columns, rows, note, "No attempt failed.")


def _places(report: Report) -> Table:
    columns = _columns(
        ("type", "type"), ("place", "destination"), *_numbers("delivered", "failed", "unknown", "skipped"),
        ("last_reason", "said last"),
    )  # fmt: skip
    rows = tuple(
        (one.type, one.place, one.delivered, one.failed, one.unknown, one.skipped, one.last_reason)
        for one in report.places
    )
    return Table("destinations", "Deliveries by destination", columns, rows, empty="Nothing was delivered.")


def _slowest(report: Report) -> Table:
    columns = _columns(
        ("task", "task"), ("slot", "slot or request", Kind.INSTANT), ("duration_seconds", "duration", Kind.SECONDS),
        *_numbers("attempts"), ("state", "state", Kind.STATE), ("run_id", "run"),
    )  # fmt: skip
    rows = tuple((one.task, one.at, one.duration, one.attempts, one.state, one.run_id) for one in report.slowest)
    return Table("slowest", "Slowest runs", columns, rows, empty="No run was closed.")


def _changes(report: Report) -> Table:
    columns = _columns(
        ("at", "at", Kind.INSTANT), ("subject", "of"), ("field", "field"), ("before", "before"), ("after", "after"),
        ("who", "who"), ("reason", "why"), _POSITION,
    )  # fmt: skip
    rows = tuple(
        (one.at, one.subject, one.field, one.before, one.after, one.who, one.reason, one.position)
        for one in report.changes
    )
    return Table("changes", "What was changed", columns, rows, empty="Nothing was edited.")


def _runs(report: Report) -> Table:
    columns = _columns(
        ("slot", "slot", Kind.INSTANT), ("requested_at", "asked for at", Kind.INSTANT), ("task", "task"),
        ("state", "state", Kind.STATE), ("lateness_seconds", "late", Kind.SECONDS),
        ("duration_seconds", "duration", Kind.SECONDS), *_numbers("attempts"), ("deliveries", "deliveries"),
        ("reason", "reason"), ("error", "said"), ("note", "note"), ("requested_by", "asked for by"),
        *_numbers("messages"), ("started_at", "started", Kind.INSTANT), ("closed_at", "closed", Kind.INSTANT),
        ("run_id", "run"), ("task_id", "task id"), ("guild_id", "guild"),
    )  # fmt: skip
    rows = tuple(
        (
            run.slot, run.requested_at, run.task, run.state, run.lateness, run.duration, run.attempts,
            "; ".join(_delivery(one) for one in run.deliveries), run.reason, run.error, run.note, run.requested_by,
            run.messages, run.started_at, run.closed_at, run.run_id, run.task_id, run.guild_id,
        )
        for run in report.runs
    )  # fmt: skip
    return Table("runs", "Runs", columns, rows, empty="Nothing ran.")


def _delivery(one: DeliveryLine) -> str:
    return f"{one.type} {one.place}: {one.status}" if one.place else f"{one.type}: {one.status}"


def _deliveries(runs: Iterable[RunLine]) -> Table:
    columns = _columns(
        ("run_id", "run"), ("task", "task"), ("slot", "slot or request", Kind.INSTANT), ("type", "type"),
        ("place", "destination"), ("status", "status", Kind.STATE), *_numbers("attempt"), ("at", "at", Kind.INSTANT),
        ("receipt", "receipt"), ("reason", "said"),
    )  # fmt: skip
    return Table("deliveries", "Deliveries", columns, tuple(_delivery_rows(runs)), empty="Nothing was delivered.")


def _delivery_rows(runs: Iterable[RunLine]) -> Iterator[tuple[Cell, ...]]:
    for run in runs:
        for one in run.deliveries:
            yield (
                run.run_id, run.task, run.at, one.type, one.place, one.status, one.attempt, one.at, one.receipt,
                one.reason,
            )  # fmt: skip


def _events(report: Report) -> Table:
    columns = _columns(
        _POSITION, ("at", "at", Kind.INSTANT), ("subject", "of"), ("event", "event", Kind.STATE),
        ("what", "what"), ("who", "who"), ("reason", "why"), ("task_id", "task id"), ("guild_id", "guild"),
    )  # fmt: skip
    rows = tuple(
        (one.position, one.at, one.subject, one.event, one.what, one.who, one.reason, one.task_id, one.guild_id)
        for one in report.events
    )
    note = "What every run does (started, delivery started, executed) stands with the runs."
    return Table("timeline", "Timeline", columns, rows, note, "Nothing happened.")


def _kinds(report: Report) -> Table:
    columns = _columns(("event", "event"), *_numbers("count"))
    return Table("events", "Events by kind", columns, tuple(report.kinds), empty="Nothing was written down.")
