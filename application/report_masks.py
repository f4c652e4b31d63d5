"""What of a report each role sees. Masked before anything is rendered, so that no format can forget it.

An operator sees everything. Who manages the guild sees everything of it but the names of machines. Anybody else sees
what ran, and when, and how it went; people, targets, machines, and whatever somebody wrote or another side said (for
names and targets stand in that, too) are masked.
"""

from __future__ import annotations

from dataclasses import replace

from application.accounting import Account
from application.masking import MASK
from application.report import ChangeLine, DeliveryLine, EventLine, PlaceLine, Report, Role, RunLine
from domain.principal import Principal

__all__ = ["role_of", "seen_as"]

_NOBODY = {"system", "operator"}
"""Who acts without being a person: shown to all."""

_SHOWN_FIELDS = {
    "name", "task_type", "max_failures", "retry_delay_minutes", "time_range_hours", "overlap", "catch_up",
    "catch_up_window_seconds", "max_runs", "category_mode", "timezone", "schedule",
}  # fmt: skip
"""Fields whose values name neither people nor targets; so do those of the schedule."""


def role_of(principal: Principal, manages: bool) -> Role:
    """The role of a principal that may, or may not, change things in every guild that a report is about."""
    if not manages:
        return Role.VIEWER
    return Role.OPERATOR if principal.operates else Role.MANAGER


def seen_as(role: Role, report: Report) -> Report:
    """The report as that role may see it."""
    if role is Role.OPERATOR:
        return replace(report, role=role)
    machines = _Names("process")
    events = tuple(
        replace(line, subject=machines.of(line.subject)) if line.event.startswith("node ") else line
        for line in report.events
    )
    report = replace(report, role=role, events=events)
    return report if role is Role.MANAGER else _Viewer().seen(report)


class _Names:
    """Numbers in place of names, in the order in which they first come."""

    def __init__(self, kind: str) -> None:
        self._kind, self._numbers = kind, dict[str, int]()

    def of(self, name: str) -> str:
        """``person 2``: always the same for the same name in one report."""
        return f"{self._kind} {self._numbers.setdefault(name, len(self._numbers) + 1)}"


class _Viewer:
    """Masks one report."""

    def __init__(self) -> None:
        self._people, self._places = _Names("person"), _Names("place")

    def seen(self, report: Report) -> Report:
        """All of it."""
        return replace(
            report,
            account=_account(report.account),
            tasks=tuple(replace(line, account=_account(line.account)) for line in report.tasks),
            events=tuple(self._event(line) for line in report.events),
            changes=tuple(self._change(line) for line in report.changes),
            runs=tuple(self._run(run) for run in report.runs),
            slowest=tuple(self._run(run) for run in report.slowest),
            causes=tuple(replace(cause, said=MASK if cause.said else "") for cause in report.causes),
            places=tuple(self._line_of_place(line) for line in report.places),
        )

    def _who(self, who: str | None) -> str | None:
        return who if who is None or who in _NOBODY else self._people.of(who)

    def _event(self, line: EventLine) -> EventLine:
        return replace(line, who=self._who(line.who), reason=_said(line.reason))

    def _change(self, line: ChangeLine) -> ChangeLine:
        line = replace(line, who=self._who(line.who) or "", reason=_said(line.reason))
        if line.field in _SHOWN_FIELDS or line.field.startswith("schedule."):
            return line
        return replace(line, before=_said(line.before), after=_said(line.after))

    def _run(self, run: RunLine) -> RunLine:
        deliveries = tuple(self._delivery(one) for one in run.deliveries)
        asked = self._who(run.requested_by)
        return replace(run, requested_by=asked, error=_said(run.error), note=_said(run.note), deliveries=deliveries)

    def _delivery(self, line: DeliveryLine) -> DeliveryLine:
        # The destination's key is a hash of its target: whoever guesses the target could tell by it.
        place = self._places.of(line.type + line.place)
        return replace(line, destination="", place=place, receipt=_said(line.receipt), reason=_said(line.reason))

    def _line_of_place(self, line: PlaceLine) -> PlaceLine:
        return replace(line, place=self._places.of(line.type + line.place), last_reason=_said(line.last_reason))


def _said(text: str | None) -> str | None:
    return None if text is None else MASK


def _account(account: Account) -> Account:
    return replace(account, findings=tuple(replace(one, words=MASK) for one in account.findings))
