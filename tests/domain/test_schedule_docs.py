"""The tables of docs/explanation/time-and-dst.md say what the engine does: every row is read and computed."""

from __future__ import annotations

import re
import shlex
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from domain.schedule import ScheduleType, between, make_schedule
from domain.schedule_kinds import FoldPolicy, GapPolicy, HolidayPolicy, MonthEnd
from domain.zone import zone_info

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "time-and-dst.md"
UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
END = datetime(9000, 1, 1, tzinfo=UTC)


def rows() -> list[list[str]]:
    """The cells of every table row that begins with a schedule."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    return [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines if line.startswith("| `type=")]


def fields(text: str) -> dict[str, Any]:
    """The fields of a schedule as the page writes them."""
    found: dict[str, Any] = dict(part.split("=", 1) for part in shlex.split(text.strip("`")))
    for name, value in found.items():
        if name in ("every", "spread"):
            found[name] = timedelta(**{UNITS[value[-1]]: int(value[:-1])})
        elif name in ("anchor", "at", "start", "end"):
            found[name] = datetime.fromisoformat(value)
        elif name == "days":
            found[name] = [int(day) for day in value.split(",")]
        elif name == "exclude":
            found[name] = [date.fromisoformat(day) for day in value.split(",")]
        elif name in ("day_of_month", "week_of_month", "month"):
            found[name] = int(value)
        elif name == "business_days":
            found[name] = value == "yes"
    return found


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_a_row_of_the_page_is_what_the_engine_computes(row: list[str]) -> None:
    """The slots after the instant of the second cell, in local time and in UTC."""
    schedule = make_schedule(**fields(row[0]))
    local, in_utc = row[2].split(", "), row[3].split(", ")
    slots = between(schedule, datetime.fromisoformat(row[1]), END, len(in_utc))
    zone = zone_info(schedule.timezone)
    assert [f"{slot:%Y-%m-%d %H:%MZ}" for slot in slots] == in_utc
    assert [f"{slot.astimezone(zone):%a %Y-%m-%d %H:%M}" for slot in slots] == local


def test_the_page_shows_every_kind_and_every_policy() -> None:
    """A kind or a policy that is added must be explained."""
    text = PAGE.read_text(encoding="utf-8")
    shown = set(re.findall(r"`type=([a-z0-9-]+)", text))
    assert shown == {kind.value for kind in ScheduleType}
    for policies in (GapPolicy, FoldPolicy, MonthEnd, HolidayPolicy):
        for policy in policies:
            assert f"`{policy.value}`" in text
