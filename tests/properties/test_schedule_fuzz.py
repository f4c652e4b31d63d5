"""Whatever is typed as a schedule gives a schedule that can be asked, or an error that says what is wrong."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.errors import InvalidInput
from domain.schedule import Schedule, count_between, describe, make_schedule, next_after, previous_before, warnings_for

EXAMPLES = int(os.environ.get("DAYBOOK_ORACLE_EXAMPLES", "200"))
many = settings(
    max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow], database=None
)
SINCE = datetime(2026, 1, 1, tzinfo=UTC)

cron_like = st.text("0123456789*/,-#lLwWhH() \t@monjafeb", max_size=110)
five_fields = st.lists(st.text("0123456789*/,-#LHhmonjan()", min_size=1, max_size=8), min_size=5, max_size=5).map(
    " ".join
)
anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.binary(max_size=5),
    st.timedeltas(),
    st.datetimes(),
    st.datetimes(timezones=st.just(UTC)),
    st.dates(),
    st.lists(st.integers(-1, 7) | st.dates() | st.text(max_size=3), max_size=3),
    st.dictionaries(st.text(max_size=4), st.integers(), max_size=2),
)


def try_out(**fields: Any) -> None:
    """Make the schedule; ask it everything, or read the refusal."""
    try:
        schedule = make_schedule(**fields)
    except InvalidInput as error:
        refusal = error
    else:
        check_answers(schedule)
        return
    assert refusal.field
    assert refusal.problem
    assert len(str(refusal)) < 600
    assert str(refusal).isprintable()


def check_answers(schedule: Schedule) -> None:
    """Every question has an answer."""
    following = next_after(schedule, SINCE)
    assert following is None or following > SINCE
    preceding = previous_before(schedule, SINCE)
    assert preceding is None or preceding < SINCE
    assert count_between(schedule, SINCE, SINCE + timedelta(days=400)) >= 0
    assert describe(schedule)
    assert all(warnings_for(schedule))


@many
@given(st.text(max_size=120) | cron_like | five_fields, st.sampled_from(("UTC", "America/New_York")))
def test_any_text_as_cron_is_a_schedule_or_a_refusal(text: str, zone: str) -> None:
    """No library's error gets through."""
    try_out(type="custom", cron=text, timezone=zone)


@many
@given(st.text(max_size=60) | st.text("/.AmericaUTCEtcGMT+-0\0\\", max_size=40))
def test_any_text_as_zone_is_a_zone_or_a_refusal(text: str) -> None:
    """Nothing that is typed becomes a path."""
    try_out(type="daily", timezone=text)


@many
@given(st.text(max_size=8) | st.text("0123456789:+- ", max_size=6))
def test_any_text_as_time_is_a_time_or_a_refusal(text: str) -> None:
    """Only "HH:MM" is a time."""
    try_out(type="daily", time=text)


@many
@given(st.text(max_size=14) | st.text("ABCDEUSNYB-_.", max_size=8))
def test_any_text_as_holidays_is_a_calendar_or_a_refusal(text: str) -> None:
    """Names of calendars are looked up, never imported or called."""
    try_out(type="daily", holidays=text)


FIELDS = (
    *(
        "type",
        "time",
        "days",
        "cron",
        "every",
        "day_of_month",
        "week_of_month",
        "month",
        "anchor",
        "at",
        "timezone",
        "gap",
    ),
    *(
        "fold",
        "month_end",
        "business_days",
        "holidays",
        "on_holiday",
        "exclude",
        "start",
        "end",
        "spread",
        "key",
        "also",
    ),
    "unknown",
)
KINDS = ("once", "daily", "weekly", "half-weekly", "monthly", "quarterly", "yearly", "interval", "custom", "hourly")


@many
@given(st.sampled_from(KINDS), st.dictionaries(st.sampled_from(FIELDS), anything, max_size=3))
def test_any_value_in_any_field_is_taken_or_refused(kind: str, fields: dict[str, Any]) -> None:
    """Wrong types are as welcome as wrong texts."""
    try_out(**{"type": kind, **fields})


HOSTILE = (
    *("0 0 30 2 *", "*/0 * * * *", "0-59/99999999999 * * * *", "1," * 20_000, "٣ * * * *", "*\u00a0* * * *"),
    *(
        "0 9 * * mon-fri;rm",
        "../../etc/passwd",
        "America",
        "A" * 5000,
        "UTC\0",
        "\ud800",
        "",
        " ",
        "\n",
        "H(0-99) * * * *",
    ),
)


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("field", ["cron", "timezone", "time", "holidays", "type", "key", "gap", "days", "exclude"])
def test_hostile_texts_are_refused_in_every_field(field: str, text: str) -> None:
    """The strings of the facts page's schedules-and-zones group, wherever a text goes."""
    try_out(**{"type": "custom" if field == "cron" else "daily", field: text})
