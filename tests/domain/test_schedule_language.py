"""The rarer parts of the schedule language: several rules, hashes, spread, bounds, days off, words."""

from __future__ import annotations

import copy
import pickle
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from domain.errors import InvalidSchedule
from domain.schedule import (
    Schedule,
    between,
    count_between,
    describe,
    make_schedule,
    next_after,
    previous_before,
    warnings_for,
)

START = datetime(2026, 1, 1, tzinfo=UTC)
YEAR, NOON, SECOND = timedelta(days=365), timedelta(hours=12), timedelta(seconds=1)


def slots(schedule: Schedule, count: int) -> list[str]:
    """The first slots of 2026 as UTC text."""
    return [f"{slot:%m-%d %H:%M}" for slot in between(schedule, START, START + 10 * YEAR, count)]


# --- several rules


def test_several_rules_are_one_schedule() -> None:
    """Slots of all rules in order; what two of them name is one."""
    schedule = make_schedule(
        type="weekly",
        days=[0],
        time="09:00",
        also=[{"type": "weekly", "days": [2], "time": "17:00"}, {"type": "weekly", "days": [0, 4], "time": "09:00"}],
    )
    assert slots(schedule, 4) == ["01-02 09:00", "01-05 09:00", "01-07 17:00", "01-09 09:00"]
    assert count_between(schedule, START, START + timedelta(days=28)) == 12
    friday = datetime(2026, 1, 9, 9, tzinfo=UTC)
    assert previous_before(schedule, friday) == datetime(2026, 1, 7, 17, tzinfo=UTC)


def test_rules_of_different_zones_are_counted_once_where_they_meet() -> None:
    """09:00 in London and 10:00 in Berlin are the same instant, 09:00 in Berlin is not."""
    schedule = make_schedule(
        type="daily",
        time="09:00",
        timezone="Europe/London",
        also=[
            {"type": "daily", "time": "10:00", "timezone": "Europe/Berlin"},
            {"type": "daily", "time": "09:00", "timezone": "Europe/Berlin"},
        ],
    )
    assert count_between(schedule, START, START + YEAR) == 2 * 365
    assert len(between(schedule, START, START + YEAR)) == 2 * 365


def test_further_rules_share_the_zone_and_key_unless_they_say_otherwise() -> None:
    """A list of times is written with its zone once."""
    schedule = make_schedule(type="daily", timezone="Asia/Tokyo", key="k", also=[{"type": "hourly"}])
    assert (schedule.also[0].timezone, schedule.also[0].key) == ("Asia/Tokyo", "k")
    given = make_schedule(type="daily", also=[make_schedule(type="hourly", timezone="Asia/Tokyo")])
    assert given.also[0].timezone == "Asia/Tokyo"


# --- hashes


def test_h_is_stable_for_a_key_and_spreads_over_keys() -> None:
    """The same task has the same minute for ever; a hundred tasks have many."""
    first = {slots(make_schedule(type="custom", cron="H H * * *", key=f"task {n}"), 1)[0] for n in range(100)}
    again = {slots(make_schedule(type="custom", cron="H H * * *", key=f"task {n}"), 1)[0] for n in range(100)}
    assert first == again
    assert len(first) > 90
    assert slots(make_schedule(type="custom", cron="H H * * *", key="example"), 1) == ["01-01 01:36"]


@pytest.mark.parametrize(
    ("text", "minutes", "per_hour"),
    [("H * * * *", range(60), 1), ("H/15 * * * *", range(60), 4), ("H(0-29)/10 * * * *", range(30), 3)],
)
def test_h_keeps_to_its_range_and_step(text: str, minutes: range, per_hour: int) -> None:
    """A step starts at a minute of the task's own and goes on through the range."""
    for key in ("a", "b", "c", "d"):
        schedule = make_schedule(type="custom", cron=text, key=key)
        found = between(schedule, START - timedelta(minutes=1), START + timedelta(minutes=59))
        assert len(found) == per_hour
        assert all(slot.minute in minutes for slot in found)


def test_h_days_exist_in_every_month() -> None:
    """A hashed day of the month is never one that some month lacks."""
    for key in map(str, range(40)):
        schedule = make_schedule(type="custom", cron="0 0 H * *", key=key)
        assert count_between(schedule, START - timedelta(days=1), START + YEAR - timedelta(days=1)) == 12


def test_spread_delays_all_slots_by_one_stable_part_of_the_window() -> None:
    """Every day at the same time, within the window, different for another task."""
    delays: set[timedelta] = set()
    for key in ("a", "b", "c", "d", "e"):
        schedule = make_schedule(type="daily", time="09:00", spread=timedelta(minutes=30), key=key)
        found = between(schedule, START, START + timedelta(days=20))
        of_days = {slot - START - timedelta(days=n, hours=9) for n, slot in enumerate(found)}
        assert len(of_days) == 1
        assert timedelta() <= min(of_days) < timedelta(minutes=30)
        delays |= of_days
    assert len(delays) > 1


# --- bounds and days off


def test_slots_at_the_bounds_count() -> None:
    """Start and end are both part of the schedule, for every way of asking."""
    start, end = START + timedelta(hours=9), START + timedelta(days=2, hours=9)
    schedule = make_schedule(type="daily", start=start, end=end)
    assert between(schedule, START - YEAR, START + YEAR) == [start, start + timedelta(days=1), end]
    assert count_between(schedule, START - YEAR, START + YEAR) == 3
    assert next_after(schedule, START - YEAR) == start
    assert next_after(schedule, end) is None
    assert previous_before(schedule, START + YEAR) == end
    assert previous_before(schedule, start) is None


def test_an_excluded_date_is_local() -> None:
    """22:00 in New York on 2 January is 3 January in UTC."""
    schedule = make_schedule(type="daily", time="22:00", timezone="America/New_York", exclude=[date(2026, 1, 2)])
    assert slots(schedule, 3) == ["01-01 03:00", "01-02 03:00", "01-04 03:00"]


def test_weekends_are_those_of_the_calendars_country() -> None:
    """Israel works on Sundays and not on Fridays."""
    schedule = make_schedule(type="daily", business_days=True, holidays="IL", time="09:00")
    days = {slot.weekday() for slot in between(schedule, START, START + timedelta(days=60))}
    assert days == {6, 0, 1, 2, 3}


# --- refusals

REFUSED: dict[str, dict[str, Any]] = {
    "end before start": {"type": "daily", "start": START + YEAR, "end": START},
    "no slot within its bounds": {
        "type": "daily",
        "start": START + timedelta(hours=10),
        "end": START + timedelta(hours=11),
    },
    "always excluded": {"type": "yearly", "month": 12, "day_of_month": 25, "holidays": "US"},
    "once on a day off": {"type": "once", "at": datetime(2026, 1, 3, tzinfo=UTC), "business_days": True},
    "moving an instant": {"type": "interval", "every": timedelta(hours=5), "business_days": True, "on_holiday": "next"},
    "a rule within a rule": {"type": "daily", "also": [{"type": "daily", "also": [{"type": "daily"}]}]},
    "too many rules": {"type": "daily", "also": [{"type": "daily"}] * 20},
    "a rule that is none": {"type": "daily", "also": ["daily"]},
    "a wrong rule": {"type": "daily", "also": [{"type": "daily", "time": "25:00"}]},
    "month 13": {"type": "yearly", "month": 13},
    "week 6": {"type": "monthly", "week_of_month": 6},
    "30 February": {"type": "yearly", "month": 2, "day_of_month": 30, "month_end": "skip"},
    "a spread of days": {"type": "daily", "spread": timedelta(days=2)},
    "a negative spread": {"type": "daily", "spread": timedelta(seconds=-1)},
    "a date with a time": {"type": "daily", "exclude": [START]},
    "a calendar of nowhere": {"type": "daily", "holidays": "ZZ"},
    "a region of nowhere": {"type": "daily", "holidays": "US-ZZ"},
    "business days as text": {"type": "daily", "business_days": "yes"},
    "a step of H beyond its range": {"type": "custom", "cron": "H/61 * * * *"},
    "a range of H beyond the hour": {"type": "custom", "cron": "H(10-70) * * * *"},
    "a naive bound": {"type": "daily", "start": datetime(2026, 1, 1)},  # noqa: DTZ001
}


@pytest.mark.parametrize("fields", REFUSED.values(), ids=REFUSED.keys())
def test_what_makes_no_sense_is_refused(fields: dict[str, Any]) -> None:
    """With the field and what is wrong with it."""
    with pytest.raises(InvalidSchedule) as caught:
        make_schedule(**fields)
    assert caught.value.problem
    assert caught.value.field


# --- words


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (
            {"type": "quarterly", "day_of_month": -1},
            "every quarter on the last day of January, April, July and October at 09:00",
        ),
        ({"type": "yearly", "month": 7, "day_of_month": 4}, "every year on 4 July at 09:00"),
        ({"type": "monthly", "week_of_month": 2, "days": [1]}, "on the second Tuesday of every month at 09:00"),
        ({"type": "monthly", "week_of_month": -1, "days": [4]}, "on the last Friday of every month at 09:00"),
        ({"type": "daily", "time": "9:30"}, "every day at 09:30"),
    ],
)
def test_the_rarer_kinds_can_be_said(fields: dict[str, Any], words: str) -> None:
    """Each in the zone it belongs to."""
    assert describe(make_schedule(**fields)) == words + " in UTC"


def test_everything_that_narrows_a_schedule_is_said() -> None:
    """Days off, excluded dates, bounds, spread and further rules."""
    schedule = make_schedule(
        type="daily",
        business_days=True,
        holidays="us-ny",
        on_holiday="next",
        exclude=[date(2026, 5, 1)],
        end=datetime(2026, 12, 31, tzinfo=UTC),
        spread=timedelta(hours=1),
        also=[{"type": "hourly", "timezone": "Asia/Tokyo"}],
    )
    assert describe(schedule) == (
        "every day at 09:00 in UTC, weekends and holidays in US-NY move to the next business day, except 2026-05-01, "
        "until 2026-12-31 at 00:00, spread over 1 hour; and every hour in Asia/Tokyo"
    )


def test_warnings_name_what_may_surprise() -> None:
    """Rare days, steps that restart, day fields that match either."""
    assert warnings_for(make_schedule(type="custom", cron="0 0 29 2 *")) == ["29 February exists only in leap years"]
    assert warnings_for(make_schedule(type="custom", cron="0 */5 * * *")) == [
        "every 5 hours restarts each day: it runs at 00:00, 05:00, 10:00, 15:00, 20:00"
    ]
    assert len(warnings_for(make_schedule(type="custom", cron="0 0 13 * 5"))) == 1
    assert len(warnings_for(make_schedule(type="custom", cron="0 0 31 * *"))) == 1
    assert warnings_for(make_schedule(type="monthly", day_of_month=31)) == [
        "in months without a day 31 it runs on the last day"
    ]
    assert warnings_for(make_schedule(type="daily", also=[{"type": "monthly", "week_of_month": 5, "days": [0]}])) == [
        "it runs only in months that have a fifth one"
    ]
    assert warnings_for(make_schedule(type="daily")) == []


def test_copies_and_pickles_are_equal_schedules() -> None:
    """The compiled form stays out of what is copied or sent."""
    schedule = make_schedule(type="daily", exclude=[date(2026, 1, 2)])
    next_after(schedule, START)
    for other in (copy.copy(schedule), copy.deepcopy(schedule), pickle.loads(pickle.dumps(schedule))):
        assert other == schedule
        assert vars(other).keys() == Schedule.model_fields.keys()


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "daily"},
        {"type": "interval", "every": timedelta(minutes=7), "anchor": START},
        {"type": "daily", "spread": timedelta(hours=1)},
        {"type": "custom", "cron": "H H * * *"},
        {"type": "daily", "also": [{"type": "daily", "time": "10:00", "spread": timedelta(hours=2)}]},
        {"type": "daily", "also": [{"type": "custom", "cron": "H * * * *"}]},
    ],
)
def test_another_key_gives_the_slots_of_that_key(fields: dict[str, Any]) -> None:
    """Whether the compiled form is taken along or not: nothing is left of the first key."""
    schedule = make_schedule(**fields, key="first")
    next_after(schedule, START)
    keyed = schedule.keyed("second")
    assert keyed == make_schedule(**fields, key="second")
    end = START + timedelta(days=9)
    assert between(keyed, START, end) == between(make_schedule(**fields, key="second"), START, end)
    assert keyed.keyed("second") is keyed
