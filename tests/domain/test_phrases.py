"""Phrases are read as the page says, refused at the right word, and said back."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from domain import phrases
from domain.errors import InvalidInput, InvalidSchedule, InvalidTimezone
from domain.phrases import parse_phrase, say
from domain.schedule import Schedule, describe, make_schedule, next_after
from domain.schedule_kinds import FoldPolicy, GapPolicy, HolidayPolicy, MonthEnd, ScheduleType
from tests.docs_pages import ROOT, blocks, section, table

PAGE = ROOT / "docs" / "reference" / "schedule-phrases.md"
NOW = datetime(2026, 11, 23, 7, 2, tzinfo=UTC)


def read(text: str, zone: str = "UTC") -> Schedule:
    """The phrase as it is understood on the page's Monday."""
    return parse_phrase(text, now=NOW, default_timezone=zone)


# --- the page


@pytest.mark.parametrize("row", table(section(PAGE, "## Examples")), ids=lambda row: row[0])
def test_a_phrase_of_the_page_is_understood_as_it_says(row: list[str]) -> None:
    """The words it is echoed with, and the next slot."""
    schedule = read(row[0].strip("`"))
    assert say(schedule) == row[1].strip("`")
    assert f"{next_after(schedule, NOW):%Y-%m-%d %H:%MZ}" == row[2]
    assert read(say(schedule)) == schedule


@pytest.mark.parametrize("row", table(section(PAGE, "## What is refused")), ids=lambda row: row[0])
def test_a_refusal_of_the_page_is_what_is_answered(row: list[str]) -> None:
    """The word, and what would be right."""
    with pytest.raises(InvalidInput) as caught:
        read(row[0].strip("`"))
    assert str(caught.value) == row[1]


def test_the_grammar_of_the_page_is_that_of_the_code() -> None:
    """One grammar, shown twice."""
    (shown,) = [block.text for block in blocks(PAGE) if block.language == "text"]
    assert shown.strip() in (phrases.__doc__ or "")


def test_every_kind_and_policy_is_on_the_page() -> None:
    """What a schedule can be can be typed."""
    seen = [read(row[0].strip("`")) for row in table(section(PAGE, "## Examples"))]
    assert {schedule.type for schedule in seen} == set(ScheduleType)
    assert {schedule.month_end for schedule in seen} == set(MonthEnd)
    assert GapPolicy.SKIP in {schedule.gap for schedule in seen}
    assert FoldPolicy.BOTH in {schedule.fold for schedule in seen}
    assert HolidayPolicy.NEXT in {schedule.on_holiday for schedule in seen}


# --- reading


@pytest.mark.parametrize("text", ["9", "9:00", "9am", "9 am", "09:00", "9AM", "09:00:00"])
def test_one_time_is_written_in_many_ways(text: str) -> None:
    """All of them are nine in the morning."""
    assert read(f"Every DAY  at {text}").time == "09:00"


@pytest.mark.parametrize(
    ("text", "time"),
    [("noon", "12:00"), ("midnight", "00:00"), ("12am", "00:00"), ("12pm", "12:00"), ("9:30 pm", "21:30")],
)
def test_named_and_halved_times_are_of_a_day(text: str, time: str) -> None:
    """Noon, midnight, and the two twelves."""
    assert read(f"daily at {text}").time == time


def test_a_schedule_without_a_zone_is_in_the_default_one() -> None:
    """Of the task's guild or service; further rules are in the zone of the first."""
    assert read("every day at 9", "Asia/Tokyo").timezone == "Asia/Tokyo"
    both = read("every day at 9 in europe/berlin; every saturday at 12", "Asia/Tokyo")
    assert [both.timezone, both.also[0].timezone] == ["Europe/Berlin", "Europe/Berlin"]


def test_a_zone_is_found_in_any_case_and_with_blanks() -> None:
    """New York is spelled with a blank by everybody but the database."""
    assert read("daily in america/new york at 9").timezone == "America/New_York"
    assert read("daily in america/new_york, at 9").time == "09:00"


def test_an_interval_counts_from_its_anchor() -> None:
    """A date and a time name it; a weekday finds it; the three that have a name keep it."""
    anchored = read("every 2 weeks from 2026-01-05 at 10:00 in Europe/Berlin")
    assert (anchored.every, anchored.anchor) == (timedelta(weeks=2), datetime(2026, 1, 5, 9, tzinfo=UTC))
    assert read("every 2 weeks on friday at 10").anchor == datetime(2026, 11, 27, 10, tzinfo=UTC)
    assert read("every 4 hours").type is ScheduleType.EVERY_4_HOURS
    assert read("every 4 hours from 2026-11-23 at 01:00").type is ScheduleType.INTERVAL
    assert read("every 30 minutes", "Asia/Kolkata").anchor == datetime(2026, 11, 22, 18, 30, tzinfo=UTC)


def test_what_is_left_open_is_todays() -> None:
    """A week without a day has the writer's weekday, in the writer's zone."""
    assert read("every week at 9").days == (0,)
    assert read("every week at 9", "Pacific/Honolulu").days == (6,)
    assert read("monthly").day_of_month == 23
    assert (read("yearly").month, read("yearly").day_of_month) == (11, 23)


def test_a_date_as_a_bound_is_a_whole_day() -> None:
    """Until includes the day that is named, and starting begins with it."""
    schedule = read("every 6 hours from 2026-12-01 at 00:00 starting 2026-12-02 until 2026-12-03 in Europe/Berlin")
    assert schedule.start == datetime(2026, 12, 1, 23, tzinfo=UTC)
    assert schedule.end == datetime(2026, 12, 3, 23, tzinfo=UTC) - timedelta(microseconds=1)


def test_days_off_are_said_in_one_part_or_several() -> None:
    """Weekends, holidays and dates, in any order."""
    schedule = read("every day at 9 except weekends, except holidays in us-ny and 2026-12-24, 2026-12-28 to 2026-12-30")
    assert (schedule.business_days, schedule.holidays) == (True, "US-NY")
    assert schedule.exclude == (date(2026, 12, 24), *(date(2026, 12, day) for day in (28, 29, 30)))


@pytest.mark.parametrize(
    ("text", "word", "remedy"),
    [
        ("every funday at 9", "funday", '"sunday"'),
        ("evry day at 9", "evry", '"every"'),
        ("every day att 9", "att", '"at"'),
        ("every day at 9 untill 2026-12-31", "untill", '"until"'),
        ("on the 32nd of every month", "32nd", "such as the 31st"),
        ("on the 31st of evry month", "evry", '"every"'),
        ("every year on 29 Febuary", "Febuary", '"february"'),
        ("every 2 fortnights", "fortnights", "minutes, hours"),
        ("once on 2026-13-01", "2026-13-01", "2026-12-24"),
        ("every day at 9 at 10", "at", "expected"),
        ("every day at 13pm", "13pm", "such as 9"),
        ("every day skip if the our does not exist", "our", '"hour"'),
        ("every day at 1:30, both times when the hour comes twice", "when", '"if"'),
    ],
)
def test_the_word_that_is_not_understood_is_named(text: str, word: str, remedy: str) -> None:
    """With the nearest one, or with what belongs there."""
    with pytest.raises(InvalidSchedule) as caught:
        read(text)
    assert (caught.value.value, remedy in str(caught.value)) == (word, True)


def test_a_zone_that_is_none_is_refused_with_the_nearest() -> None:
    """A city finds its zone."""
    with pytest.raises(InvalidTimezone, match='"Europe/Berlin"'):
        read("every day at 9 in Berlin")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "ends too early"),
        ("every " + "day " * 100, "at most 300"),
        ("every 30 seconds", "too short"),
        ("every 2 weeks from 0001-01-01 in Asia/Tokyo", "out of range"),
        ("daily until 9999-12-31", "out of range"),
        ("cron 0 0 30 2 *", "never"),
        ("hourly at 9", "has no place"),
        ("daily at 9:00:30", "has seconds"),
        ("every day until 2020-01-01 starting 2026-01-01", "before the start"),
        ("daily except 2026-01-01 to 2036-01-01", "at most 1000"),
    ],
)
def test_what_no_schedule_can_be_is_refused(text: str, said: str) -> None:
    """Whatever is wrong with it."""
    with pytest.raises(InvalidSchedule, match=said):
        read(text)


def test_only_text_is_a_phrase() -> None:
    """Anything else is refused like a phrase that is none."""
    with pytest.raises(InvalidSchedule, match="is not a phrase"):
        parse_phrase(9, now=NOW)  # type: ignore[arg-type]


# --- saying


def test_saying_is_describing() -> None:
    """There is one way to say a schedule."""
    schedule = make_schedule(type="monthly", day_of_month=31)
    assert say(schedule) == describe(schedule) == "on the 31st of every month at 09:00 in UTC"


def test_a_time_that_a_clock_change_repeats_is_said_as_an_instant() -> None:
    """01:30 would be two instants."""
    schedule = make_schedule(type="once", at=datetime(2026, 11, 1, 6, 30, tzinfo=UTC), timezone="America/New_York")
    assert say(schedule) == "once on 2026-11-01T06:30:00Z in America/New_York"
    assert read(say(schedule)) == schedule
