"""An audit report as one JSON document. docs/reference/report-format.md describes it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from enum import Enum
from typing import Any

from application.accounting import Account
from application.report import FORMAT, Day, Figures, Report

__all__ = ["json_parts", "json_report", "report_document"]

_INDENT = 2


def json_report(report: Report) -> str:
    """The document as text."""
    return "".join(json_parts(report))


def json_parts(report: Report) -> Iterator[str]:
    """The same text in parts, line by line of its lists: as a whole it takes several times its length."""
    values = {one.name: getattr(report, one.name) for one in fields(report)}
    for number, (name, value) in enumerate(({"format": FORMAT} | values | _derived(report)).items()):
        yield ("," if number else "{") + f"\n  {json.dumps(name)}: "
        if not isinstance(value, tuple) or not value:
            yield _written(value, within=1)
            continue
        for place, line in enumerate(value):
            yield ("," if place else "[") + "\n    " + _written(line, within=2)
        yield "\n  ]"
    yield "\n}\n"


def _written(value: Any, *, within: int) -> str:
    text = json.dumps(_plain(value), ensure_ascii=False, indent=_INDENT)
    return text.replace("\n", "\n" + " " * within * _INDENT)  # JSON has no line feed in a text


def report_document(report: Report) -> dict[str, Any]:
    """The report as JSON values: instants in ISO 8601 (UTC), lengths in seconds, rates from 0 to 100."""
    return {"format": FORMAT, **_plain(report)}


def _plain(value: Any) -> Any:
    if isinstance(value, Account):
        return _account(value)
    if is_dataclass(value):
        names = [one.name for one in fields(value) if not _is_left_out(value, one.name)]
        return {name: _plain(getattr(value, name)) for name in names} | _derived(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, tuple):
        return [_plain(inner) for inner in value]
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def _is_left_out(value: Any, name: str) -> bool:
    """Language models stand in reports of periods in which one was asked: others stay the same to the last byte."""
    return isinstance(value, Figures) and name == "models" and not value.models


def _derived(value: Any) -> dict[str, Any]:
    match value:
        case Figures():
            rates = {
                "run_rate": value.run_rate,
                "attempt_rate": value.attempt_rate,
                "delivery_rate": value.delivery_rate,
            }
            return {"runs": value.runs, "deliveries": value.deliveries, **rates}
        case Day():
            return {"slots": value.slots, "rate": value.rate}
        case Report():
            return {"kinds": dict(value.kinds), "up_rate": value.up_rate, "cut": list(value.cut)}
    return {}


def _account(account: Account) -> dict[str, Any]:
    return {
        "implied": account.implied,
        "counted": account.counted,
        "fates": {fate.value: count for fate, count in account.fates.items()},
        "pending": account.pending,
        "skipped": account.skipped,
        "served": account.served,
        "decided": account.decided,
        "on_request": account.manual,
        "adds_up": account.adds_up,
        "proven": account.proven,
        "alarm": account.alarm,
        "findings": [
            {"kind": one.kind.value, "alarm": one.kind.alarm, "position": one.position, "words": one.words}
            for one in account.findings
        ],
    }
