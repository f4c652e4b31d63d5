"""The engine against a brute-force walk over every minute, and the properties that all schedules have.

DAYBOOK_ORACLE_EXAMPLES says how many random examples each property gets; DAYBOOK_ORACLE_YEARS how many years of
transitions of every zone are walked (from 2020 on; 11 for all of them).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from domain.errors import InvalidSchedule
from domain.holiday import holiday_calendar
from domain.schedule import Schedule, between, count_between, make_schedule, next_after, previous_before
from domain.zone import zone, zone_info, zone_names
from tests.properties import wall_oracle as oracle

EXAMPLES = int(os.environ.get("DAYBOOK_ORACLE_EXAMPLES", "100"))
YEARS = int(os.environ.get("DAYBOOK_ORACLE_YEARS", "1"))
thorough = settings(
    max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow], database=None
)

GAPS, FOLDS = ("next_valid", "shift", "skip"), ("first", "second", "both")

# Zones with every kind of oddity: half-hour shifts, midnight gaps, two folds a year, a skipped day, none at all.
ZONES = (
    *(
        "UTC",
        "America/New_York",
        "Europe/Berlin",
        "Europe/London",
        "Australia/Lord_Howe",
        "Africa/Cairo",
        "Asia/Beirut",
    ),
    *("America/Santiago", "Africa/Casablanca", "Europe/Dublin", "Asia/Kathmandu", "Pacific/Apia", "America/St_Johns"),
    *("Asia/Gaza", "Antarctica/Troll", "Pacific/Chatham", "America/Asuncion", "Asia/Tehran", "America/Havana"),
)


@lru_cache(maxsize=1024)
def transitions(name: str, first_year: int, last_year: int) -> tuple[int, ...]:
    """The minutes at which a zone changes its offset, found by asking for it every six hours."""
    info = zone_info(name)

    def offset(minute: int) -> timedelta | None:
        return oracle.instant_of(minute).astimezone(info).utcoffset()

    found, end = [], oracle.minute_of(datetime(last_year + 1, 1, 1, tzinfo=UTC))
    low = oracle.minute_of(datetime(first_year, 1, 1, tzinfo=UTC))
    while low < end:
        high = low + 360
        if offset(low) != offset(high):
            found.append(next(m for m in range(low + 1, high + 1) if offset(m) != offset(m - 1)))
        low = high
    return tuple(found)


@st.composite
def windows(draw: st.DrawFn) -> tuple[str, int, int]:
    """A zone and a window of a few days, most of the time around one of the zone's transitions."""
    name = draw(st.sampled_from(ZONES))
    year = draw(st.sampled_from([2011, 2022, 2023, 2026, 2029]))
    known = transitions(name, year, year)
    if known and draw(st.integers(0, 4)) > 0:
        first = draw(st.sampled_from(list(known))) - draw(st.sampled_from([300, 1440, 2000]))
    else:
        first = oracle.minute_of(datetime(year, 1, 1, tzinfo=UTC)) + draw(st.integers(0, 360)) * 1440
    return name, first, first + draw(st.sampled_from([600, 2880, 5760]))


def cron_field(low: int, high: int, names: tuple[str, ...] = ()) -> st.SearchStrategy[str]:
    """One field of a cron expression, numbers kept low enough for the rule to have slots in a short window."""
    number = st.integers(low, high)
    value = number.map(str) | st.sampled_from(names) if names else number.map(str)
    pair = st.tuples(number, number).map(sorted)
    step = st.integers(1, high + 1)
    term = st.one_of(
        value,
        st.just("*"),
        step.map(lambda n: f"*/{n}"),
        pair.map(lambda p: f"{p[0]}-{p[1]}"),
        st.tuples(pair, step).map(lambda t: f"{t[0][0]}-{t[0][1]}/{t[1]}"),
        st.tuples(number, step).map(lambda t: f"{t[0]}/{t[1]}"),
    )
    return st.lists(term, min_size=1, max_size=3).map(",".join)


hours = st.sampled_from(["0", "1", "2", "3", "0,2", "1-3", "23", "23,0", "*", "*/2", "0-23/2", "2/3"]) | cron_field(
    0, 23
)
crons = st.tuples(
    cron_field(0, 59),
    hours,
    st.just("*") | cron_field(1, 31),
    st.just("*") | cron_field(1, 12, tuple(oracle.NAMES[3])),
    st.just("*") | cron_field(0, 7, tuple(oracle.NAMES[4])),
).map(" ".join)
times = st.sampled_from(("00:00", "00:30", "01:30", "02:00", "02:30", "03:00", "09:00", "23:45")) | st.times().map(
    lambda t: f"{t:%H:%M}"
)


def check(schedule: Schedule, first: int, last: int, expected: list[datetime]) -> None:
    """All ways of asking give the expected slots."""
    start, end = oracle.instant_of(first), oracle.instant_of(last)
    assert between(schedule, start, end, 100_000) == expected
    assert count_between(schedule, start, end) == len(expected)
    backwards, at = [], previous_before(schedule, end + timedelta(microseconds=1))
    while at is not None and at > start:
        backwards.append(at)
        at = previous_before(schedule, at)
    assert backwards[::-1] == expected


@thorough
@given(crons, windows(), st.sampled_from(GAPS), st.sampled_from(FOLDS))
@example("30 2 * * *", ("America/New_York", 29547000, 29551000), "shift", "both")
@example("0,30 1-3 * * *", ("Australia/Lord_Howe", 29587000, 29590000), "shift", "second")
@example("30 1 1 11 *", ("America/New_York", 29890000, 29893000), "skip", "second")
@example("30 1 1 11 *", ("America/New_York", 29890000, 29893000), "skip", "first")
def test_cron_agrees_with_the_walk(text: str, window: tuple[str, int, int], gap: str, fold: str) -> None:
    """Random expressions, zones and policies."""
    name, first, last = window
    try:
        schedule = make_schedule(type="custom", cron=text, timezone=name, gap=gap, fold=fold)
    except InvalidSchedule:
        assume(False)
    matches, real = oracle.cron_rule(text)
    last = min(last, first + 6000)
    check(schedule, first, last, oracle.slots(matches, zone_info(name), first, last, gap=gap, fold=fold, real=real))


@thorough
@given(
    st.sampled_from(("daily", "weekly", "monthly", "last day", "nth", "days", "yearly")),
    times,
    windows(),
    st.sampled_from(GAPS),
    st.sampled_from(FOLDS),
    st.data(),
)
def test_plain_kinds_agree_with_the_walk(
    kind: str, time: str, window: tuple[str, int, int], gap: str, fold: str, data: st.DataObject
) -> None:
    """Random kinds, times, zones and policies, some dates excluded."""
    name, first, last = window
    near = oracle.date_of(first + 1440)
    exclude = data.draw(st.lists(st.integers(-2, 6).map(lambda n: near + timedelta(days=n)), max_size=2))
    fields, matches = plain_kind(kind, near, data)
    anchor = fields.pop("wall_anchor", None)
    if anchor is not None:
        local = datetime.combine(anchor, datetime.strptime(time, "%H:%M").time(), zone_info(name))  # noqa: DTZ007
        fields["anchor"] = local.astimezone(UTC)
        assume(fields["anchor"].astimezone(zone_info(name)).replace(tzinfo=None) == local.replace(tzinfo=None))
    schedule = make_schedule(**fields, time=time, timezone=name, gap=gap, fold=fold, exclude=exclude)
    rule = oracle.at_time(time, lambda day: day not in exclude and matches(day))
    check(schedule, first, last, oracle.slots(rule, zone_info(name), first, last, gap=gap, fold=fold))


def month_length(day: date) -> int:
    """The number of days of the day's month."""
    return ((day.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)).day


def plain_kind(kind: str, near: date, data: st.DataObject) -> tuple[dict[str, Any], Callable[[date], bool]]:
    """Fields of a schedule, and a slow statement of which dates they mean."""
    if kind == "daily":
        return {"type": "daily"}, lambda day: True
    if kind == "weekly":
        days = data.draw(st.sets(st.integers(0, 6), min_size=1))
        return {"type": "weekly", "days": sorted(days)}, lambda day: day.weekday() in days
    if kind == "last day":
        return {"type": "monthly", "day_of_month": -1}, lambda day: day.day == month_length(day)
    if kind == "nth":
        weekday, nth = near.weekday(), data.draw(st.sampled_from((1, 2, 3, 4, 5, -1)))

        def is_nth(day: date) -> bool:
            if day.weekday() != weekday:
                return False
            return day.day + 7 > month_length(day) if nth == -1 else (day.day + 6) // 7 == nth

        return {"type": "monthly", "week_of_month": nth, "days": [weekday]}, is_nth
    if kind == "days":
        step, back = data.draw(st.integers(1, 20)), data.draw(st.integers(-3, 400))
        origin = near - timedelta(days=back)
        fields: dict[str, Any] = {"type": "interval", "every": timedelta(days=step), "wall_anchor": origin}
        return fields, lambda day: day >= origin and (day - origin).days % step == 0
    day_of_month, clamp = data.draw(st.integers(1, 31)), data.draw(st.booleans())
    month = data.draw(st.sampled_from((near.month, 2))) if kind == "yearly" else None

    def on_day(day: date) -> bool:
        wanted = min(day_of_month, month_length(day)) if clamp else day_of_month
        return day.day == wanted and month in (None, day.month)

    extra = {"month": month} if month else {}
    assume(clamp or month is None or day_of_month <= 29 or month != 2)  # 30 February is refused
    policy = "clamp" if clamp else "skip"
    return {"type": kind, "day_of_month": day_of_month, "month_end": policy, **extra}, on_day


@thorough
@given(st.integers(1, 3000), windows(), st.integers(-5000, 5000), st.booleans(), st.data())
def test_short_intervals_agree_with_the_walk(
    every: int, window: tuple[str, int, int], before: int, weekdays_only: bool, data: st.DataObject
) -> None:
    """Elapsed time from the anchor on, whatever the zone does; days off are left out by local date."""
    assume(every % 1440)
    name, first, last = window
    origin = first - before
    exclude = data.draw(
        st.lists(st.integers(0, 4).map(lambda n: oracle.date_of(first) + timedelta(days=n)), max_size=2)
    )
    schedule = make_schedule(
        type="interval",
        every=timedelta(minutes=every),
        anchor=oracle.instant_of(origin),
        timezone=name,
        exclude=exclude,
        business_days=weekdays_only,
    )

    def allowed(wall: int) -> bool:
        day = oracle.date_of(wall)
        return day not in exclude and not (weekdays_only and day.weekday() > 4)

    real = range(first + 1, last + 1)
    local = oracle.walls(zone_info(name), first + 1, last)
    grid = [minute for minute in real if minute >= origin and (minute - origin) % every == 0]
    expected = [oracle.instant_of(minute) for minute in grid if allowed(local[minute - first - 1])]
    check(schedule, first, last, expected)


@thorough
@given(
    st.sampled_from(("US-NY", "DE", "IL", "JP", None)),
    st.booleans(),
    st.sampled_from(("skip", "next", "previous")),
    st.sampled_from(("daily", "weekly", "monthly")),
    st.integers(2020, 2029),
    st.integers(1, 31),
)
def test_days_off_agree_with_a_walk_over_dates(
    calendar: str | None, business: bool, policy: str, kind: str, year: int, number: int
) -> None:
    """Each date of a rule stays, goes, or moves to the nearest business day; dates that meet are one."""
    assume(calendar or business)
    fields: dict[str, Any] = {"type": kind, "holidays": calendar, "business_days": business, "on_holiday": policy}
    fields |= {"days": [number % 7]} if kind == "weekly" else {}
    fields |= {"day_of_month": number} if kind == "monthly" else {}
    known = holiday_calendar(calendar) if calendar else None
    weekend = known.weekend if known else {5, 6}
    numbered: dict[str, Callable[[date], bool]] = {
        "daily": lambda day: True,
        "weekly": lambda day: day.weekday() == number % 7,
        "monthly": lambda day: day.day == min(number, month_length(day)),
    }

    def holiday(day: date) -> bool:
        return known is not None and (day - date(1970, 1, 1)).days in known.days(day.year)

    found, step = set(), {"skip": 0, "next": 1, "previous": -1}[policy]
    for day in (date(year, 1, 1) + timedelta(days=n) for n in range(-40, 400)):
        if not numbered[kind](day):
            continue
        if holiday(day) or (business and day.weekday() in weekend):
            if not step:
                continue
            day += timedelta(days=step)
            while holiday(day) or day.weekday() in weekend:
                day += timedelta(days=step)
        found.add(day)
    first = oracle.minute_of(datetime(year, 1, 1, tzinfo=UTC))
    if kind == "weekly" and business and not step and number % 7 in weekend:
        with pytest.raises(InvalidSchedule, match="can never run"):
            make_schedule(**fields)
        return
    schedule = make_schedule(**fields, time="12:00")
    expected = [datetime(d.year, d.month, d.day, 12, tzinfo=UTC) for d in sorted(found) if d.year == year]
    check(schedule, first, oracle.minute_of(datetime(year + 1, 1, 1, tzinfo=UTC)), expected)


# --- every zone


def distinct_zones() -> list[str]:
    """One name for each set of rules in the database."""
    seen: dict[bytes, str] = {}
    for name in sorted(zone_names()):
        place = files("tzdata") / "zoneinfo"
        for part in name.split("/"):
            place = place / part
        seen.setdefault(place.read_bytes(), name)
    return sorted(seen.values())


@pytest.mark.parametrize("part", range(8))
def test_every_zone_agrees_with_the_walk_around_its_transitions(part: int) -> None:
    """A fixed time inside the change, one beside it, and sub-daily rules, in all zones, under all policies."""
    for number, name in enumerate(distinct_zones()[part::8]):
        info = zone_info(name)
        first_year = 2020 if YEARS >= 11 else 2020 + (number + part) % (12 - YEARS)
        for transition in transitions(name, first_year, first_year + YEARS - 1):
            first, last = transition - 1500, transition + 1500
            before, after = oracle.walls(info, transition - 1, transition)
            inside = min(before, after) + 1 + max(1, abs(after - before - 1) // 2)
            for wall in (inside, max(before, after)):
                time = f"{wall % 1440 // 60:02}:{wall % 60:02}"
                rule = oracle.at_time(time, lambda day: True)
                for gap, fold in zip(GAPS, FOLDS, strict=True):
                    schedule = make_schedule(type="daily", time=time, timezone=name, gap=gap, fold=fold)
                    check(schedule, first, last, oracle.slots(rule, info, first, last, gap=gap, fold=fold))
            for kind, text in (("fifteen-minutes", "*/15 * * * *"), ("every-4-hours", "0 */4 * * *")):
                matches, real = oracle.cron_rule(text)
                expected = oracle.slots(matches, info, first, last, real=real)
                check(make_schedule(type=kind, timezone=name), first, last, expected)


@thorough
@given(st.sampled_from(sorted(zone_names())), st.datetimes(datetime(1850, 1, 1), datetime(2150, 1, 1)))  # noqa: DTZ001
def test_periods_have_the_offset_of_the_database(name: str, naive: datetime) -> None:
    """The compiled zone and the standard library never disagree, in any year."""
    instant = naive.replace(tzinfo=UTC, microsecond=0)
    second = int((instant - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds())
    period = zone(name).period_at(second)
    offset = instant.astimezone(zone_info(name)).utcoffset()
    assert offset is not None
    assert period.offset == offset.total_seconds()
    assert period.start <= second < period.end


# --- properties of all schedules

instants = st.datetimes(datetime(2010, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
policies = st.fixed_dictionaries(
    {"timezone": st.sampled_from(ZONES), "gap": st.sampled_from(GAPS), "fold": st.sampled_from(FOLDS)}
)


def rules(policies: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """Fields of one rule of any kind, under some policies."""
    weekdays = st.lists(st.integers(0, 6), min_size=1, max_size=3)
    kinds = st.one_of(
        st.fixed_dictionaries({"type": st.just("custom"), "cron": crons}),
        st.fixed_dictionaries({"type": st.sampled_from(("daily", "hourly", "half-weekly")), "time": times}),
        st.fixed_dictionaries({"type": st.just("weekly"), "days": weekdays, "time": times}),
        st.fixed_dictionaries(
            {
                "type": st.sampled_from(("monthly", "quarterly", "yearly")),
                "day_of_month": st.integers(1, 31),
                "time": times,
            }
        ),
        st.fixed_dictionaries({"type": st.just("monthly"), "week_of_month": st.integers(1, 5), "days": weekdays}),
        st.fixed_dictionaries(
            {
                "type": st.just("interval"),
                "every": st.integers(1, 50_000).map(lambda n: timedelta(minutes=n)),
                "anchor": instants,
            }
        ),
    )
    extras = st.fixed_dictionaries(
        {},
        optional={
            "business_days": st.booleans(),
            "holidays": st.sampled_from(("DE", "US-NY")),
            "spread": st.integers(0, 3600).map(lambda n: timedelta(seconds=n)),
            "key": st.sampled_from(("a", "b")),
            "start": instants,
            "end": instants,
            "exclude": st.lists(st.dates(date(2010, 1, 1), date(2040, 1, 1)), max_size=3),
        },
    )
    return st.tuples(kinds, policies, extras).map(lambda parts: {**parts[0], **parts[1], **parts[2]})


@st.composite
def schedules(draw: st.DrawFn) -> Schedule:
    """Any schedule that can run, of one to three rules."""
    fields = draw(rules(policies))
    alike = {name: fields[name] for name in ("timezone", "gap", "fold")}
    others = rules(st.just(alike)) | rules(policies)
    try:
        return make_schedule(**fields, also=draw(st.lists(others, max_size=2) | st.just([])))
    except InvalidSchedule:
        assume(False)
        raise


@thorough
@given(schedules(), instants)
def test_slots_increase_strictly_and_every_question_agrees(schedule: Schedule, asked: datetime) -> None:
    """next_after climbs, previous_before undoes it, between repeats it, count_between counts it."""
    walked, at = [], asked
    for _ in range(20):
        following = next_after(schedule, at)
        if following is None:
            break
        assert following > at
        back = previous_before(schedule, following)
        assert back is None or back <= at
        assert previous_before(schedule, following + timedelta(microseconds=1)) == following
        walked.append(following)
        at = following
    assert between(schedule, asked, at, 20) == walked
    assert count_between(schedule, asked, at) == len(walked)
    assert count_between(schedule, asked, asked) == 0


@thorough
@given(schedules(), instants, st.timedeltas(timedelta(), timedelta(days=3)))
def test_a_restart_at_any_instant_loses_no_slot(schedule: Schedule, asked: datetime, down: timedelta) -> None:
    """Slots before and slots after any instant are all the slots, none of them twice."""
    middle, end = asked + down, asked + timedelta(days=4)
    before, after = between(schedule, asked, middle, 10_000), between(schedule, middle, end, 10_000)
    assert before + after == between(schedule, asked, end, 20_000)
    assert count_between(schedule, asked, middle) + count_between(schedule, middle, end) == len(before + after)


@thorough
@given(schedules(), schedules(), instants, instants)
def test_an_edit_gives_at_most_one_run_per_slot(
    old: Schedule, new: Schedule, since: datetime, edited: datetime
) -> None:
    """The old rule is served up to the edit and the new one after it, so nothing is served twice (case 19)."""
    first = min(since, edited)
    served = between(old, first, edited, 50) if first < edited else []
    following = next_after(new, edited)
    assert following is None or not served or following > served[-1]


@thorough
@given(schedules())
def test_any_schedule_survives_json(schedule: Schedule) -> None:
    """What is read back is equal and computes the same slots."""
    again = Schedule.model_validate_json(schedule.model_dump_json())
    assert again == schedule
    since = datetime(2026, 1, 1, tzinfo=UTC)
    assert next_after(again, since) == next_after(schedule, since)
