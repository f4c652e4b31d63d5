"""Every schedule can be said in words that are read as the same schedule; any text is read or refused."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from domain.errors import InvalidInput, InvalidSchedule
from domain.phrases import parse_phrase, say
from domain.schedule import Schedule, between, make_schedule, next_after
from domain.schedule_kinds import FoldPolicy, GapPolicy, HolidayPolicy, MonthEnd, ScheduleType
from domain.schedule_words import plain

NOW = datetime(2026, 11, 23, 7, 2, tzinfo=UTC)
ANY_LENGTH = 100_000
"""A schedule may exclude a thousand dates; only what people type is kept short."""

zones = st.sampled_from(
    ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo", "Asia/Kolkata", "Pacific/Apia"]
)
instants = st.datetimes(datetime(1975, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds
folds = st.sampled_from([datetime(2026, 11, 1, 5, 30, tzinfo=UTC), datetime(2026, 11, 1, 6, 30, tzinfo=UTC)])
some_instants = instants | folds | instants.map(lambda at: at.replace(second=0, microsecond=0))
dates = st.dates(date(2026, 1, 1), date(2030, 1, 1))
crons = st.sampled_from(
    ["0 9 * * 1", "30 9 * * mon-fri", "*/20 8-18/2 1,15 * *", "0 0 L * *", "0 0 * * 5#3", "@weekly", "H H * * *"]
)
weekdays = st.sets(st.integers(0, 6), min_size=1, max_size=7)
lengths = st.timedeltas(timedelta(minutes=1), timedelta(days=3660)) | st.builds(
    lambda count, unit: count * unit,
    st.integers(1, 100),
    st.sampled_from([timedelta(minutes=1), timedelta(hours=1), timedelta(days=1), timedelta(weeks=1)]),
)
times = st.times().map(lambda at: f"{at:%H:%M}")


@st.composite
def rules(draw: st.DrawFn) -> dict[str, Any]:
    """The fields of one rule of any kind, under any policies."""
    kind = draw(st.sampled_from(ScheduleType))
    values: dict[str, Any] = {"type": kind, "timezone": draw(zones), "time": draw(times)}
    values |= draw(
        st.fixed_dictionaries(
            {},
            optional={
                "anchor": some_instants,
                "days": weekdays,
                "gap": st.sampled_from(GapPolicy),
                "fold": st.sampled_from(FoldPolicy),
                "month_end": st.sampled_from(MonthEnd),
                "business_days": st.booleans(),
                "holidays": st.sampled_from(["DE", "US-NY", "NYSE"]),
                "exclude": st.lists(dates, max_size=3)
                | dates.map(lambda first: [first + timedelta(days=day) for day in range(4)]),
                "start": some_instants,
                "end": some_instants | dates.map(lambda day: datetime.combine(day, datetime.max.time(), UTC)),
                "spread": st.timedeltas(timedelta(), timedelta(days=1)),
                "month": st.integers(1, 12),
                "day_of_month": st.integers(1, 31) | st.just(-1),
                "week_of_month": st.integers(1, 5) | st.just(-1),
                "on_holiday": st.sampled_from(HolidayPolicy),
            },
        )
    )
    values["cron"] = draw(crons) if kind is ScheduleType.CUSTOM else None
    values["every"] = draw(lengths) if kind is ScheduleType.INTERVAL else None
    values["at"] = draw(some_instants) if kind is ScheduleType.ONCE else None
    return values


def made(fields: dict[str, Any]) -> Schedule:
    """The schedule, where these fields are one."""
    try:
        return make_schedule(**fields)
    except InvalidSchedule as error:
        assume("can never run" not in error.problem)  # random bounds and days off may leave no slot
        assume(error.field not in ("end", "on_holiday"))
        raise


@given(rules(), st.lists(rules(), max_size=2), zones)
def test_what_is_said_of_a_schedule_is_read_as_that_schedule(
    first: dict[str, Any], more: list[dict[str, Any]], default: str
) -> None:
    """Of all kinds, under all policies, with further rules; whatever the reader's zone and date are."""
    schedule = made({**first, "also": [made(rule) for rule in more]})
    said = say(schedule)
    read = parse_phrase(said, now=NOW, default_timezone=default, longest=ANY_LENGTH)
    assert read == plain(schedule), said
    assert say(read) == said


@given(rules(), instants)
def test_the_plain_form_of_a_schedule_has_its_slots(fields: dict[str, Any], since: datetime) -> None:
    """What a schedule takes from its anchor may be written out, and what it does not use left out."""
    schedule = made({**fields, "key": ""})
    assert next_after(plain(schedule), since) == next_after(schedule, since)
    until = since + timedelta(days=400)
    assert between(plain(schedule), since, until, 20) == between(schedule, since, until, 20)


WORDS = [
    *("every", "each", "on", "once", "cron", "daily", "weekly", "monthly", "business", "day", "days", "weekday"),
    *("monday", "mondays", "and", ",", ";", "at", "9", "9:00", "25:00", "9pm", "noon", "in", "UTC", "Europe/Berlin"),
    *("New", "York", "from", "starting", "until", "2026-12-24", "2026-02-30", "tomorrow", "the", "last", "first"),
    *("31st", "of", "month", "quarter", "year", "29", "February", "2", "weeks", "90m", "1.5", "hours", "spread"),
    *("over", "except", "holidays", "DE", "weekends", "move", "to", "next", "skip", "shift", "if", "hour", "does"),
    *("not", "exist", "both", "times", "comes", "twice", "months", "without", "that", "*", "*/5", "@daily", "0"),
    *("99999999999", "'", '"', "1st", "2026-11-01T06:30Z", "9999-12-31", "0001-01-01"),
]


@given(st.lists(st.sampled_from(WORDS), max_size=40).map(" ".join) | st.text(max_size=400))
def test_any_text_is_read_or_refused_with_a_clear_error(text: str) -> None:
    """What is read can be said again; what is refused says where and what would be right, on one printable line."""
    try:
        schedule = parse_phrase(text, now=NOW)
    except InvalidInput as error:
        refusal = error
    else:
        assert parse_phrase(say(schedule), now=NOW, longest=ANY_LENGTH) == plain(schedule)
        return
    assert refusal.problem
    assert str(refusal).isprintable()
    assert len(str(refusal)) < 400
