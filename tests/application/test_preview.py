"""A preview says what a schedule will do: slots, odd hours, calendar months, and what an edit moves."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from application.preview import calendar, compare, next_slots, preview
from domain.errors import InvalidInput
from domain.schedule import Schedule, count_between, make_schedule
from domain.zone import zone_info

NEW_YORK = "America/New_York"


def at(text: str) -> datetime:
    """An instant of 2026 in UTC, ``03-07T00:00``."""
    return datetime.fromisoformat(f"2026-{text}+00:00")


def night(**fields: object) -> Schedule:
    """Half past two in New York, which has no such time on 8 March."""
    return make_schedule(**{"type": "custom", "cron": "30 2 * * *", "timezone": NEW_YORK, **fields})


def test_slots_are_shown_in_utc_and_in_the_zone() -> None:
    """With the offset that holds then, and a note where the clock makes a slot odd."""
    slots = preview(night(), after=at("03-07T00:00"), count=3).slots
    assert [slot.to_dict()["utc"] for slot in slots] == [
        "2026-03-07T07:30:00Z",
        "2026-03-08T07:00:00Z",
        "2026-03-09T06:30:00Z",
    ]
    assert [slot.to_dict()["local"] for slot in slots] == [
        "2026-03-07T02:30:00-05:00",
        "2026-03-08T03:00:00-04:00",
        "2026-03-09T02:30:00-04:00",
    ]
    assert [slot.abbreviation for slot in slots] == ["EST", "EDT", "EDT"]
    assert [slot.offset for slot in slots] == ["-05:00", "-04:00", "-04:00"]
    assert [slot.note for slot in slots] == [
        None,
        "on 8 March 2026 02:30 does not exist in America/New_York: runs at 03:00",
        None,
    ]


def test_what_is_to_come_within_a_year_is_told_beforehand() -> None:
    """Beyond the slots that are shown."""
    seen = preview(night(), after=at("04-01T00:00"), count=1)
    assert seen.notes == ("on 14 March 2027 02:30 does not exist in America/New_York: runs at 03:00",)


def test_a_slot_of_a_repeated_hour_says_which_one_it_is() -> None:
    """Half past one comes twice on 1 November."""
    schedule = make_schedule(type="daily", time="01:30", timezone=NEW_YORK, fold="both")
    seen = preview(schedule, after=at("10-31T12:00"), count=3)
    assert [slot.abbreviation for slot in seen.slots] == ["EDT", "EST", "EST"]
    assert [bool(slot.note) for slot in seen.slots] == [True, True, False]


def test_a_slot_that_moved_off_a_holiday_says_so() -> None:
    """It names the day it came from."""
    schedule = make_schedule(type="monthly", day_of_month=1, holidays="DE", on_holiday="next")
    seen = preview(schedule, after=at("04-15T00:00"), count=2)
    assert [slot.note for slot in seen.slots] == ["1 May 2026 is a day off, Labor Day: runs on 4 May 2026", None]


def test_warnings_are_about_the_rule_and_its_end() -> None:
    """Steps that restart, and slots that run out."""
    assert preview(make_schedule(type="custom", cron="*/45 * * * *"), after=at("01-01T00:00")).warnings == (
        "every 45 minutes restarts each hour: it runs at :00, :45",
    )
    once = make_schedule(type="once", at=at("05-01T12:00"))
    assert preview(once, after=at("01-01T00:00"), count=2).warnings == ("it ends: there are no more slots than these",)
    assert preview(once, after=at("06-01T00:00")).warnings == ("it has no slot in this time",)


def test_a_range_is_previewed_up_to_its_end() -> None:
    """And no slot after it."""
    seen = preview(make_schedule(type="daily"), after=at("01-01T00:00"), count=100, until=at("01-04T00:00"))
    assert (len(seen.slots), seen.warnings) == (3, ())


def test_a_holiday_is_told_and_a_weekend_is_not() -> None:
    """A business day is no Saturday, which surprises nobody."""
    schedule = make_schedule(type="daily", business_days=True, holidays="US-NY", timezone=NEW_YORK, also=[])
    assert preview(schedule, after=at("11-23T00:00")).notes[:2] == (
        "26 November 2026 is a day off, Thanksgiving Day: does not run",
        "25 December 2026 is a day off, Christmas Day: does not run",
    )


def test_what_is_hashed_from_a_task_is_told_where_there_is_none() -> None:
    """The preview of a phrase cannot know the task's own minute."""
    hashed = make_schedule(type="custom", cron="H 9 * * *")
    assert "hashed from the task's id" in preview(hashed, after=at("01-01T00:00")).warnings[0]
    keyed = make_schedule(type="custom", cron="H 9 * * *", key="a task")
    assert preview(keyed, after=at("01-01T00:00")).warnings == ()


@pytest.mark.parametrize("count", [0, 1001])
def test_a_preview_is_bounded(count: int) -> None:
    """Nobody reads more than a thousand slots."""
    with pytest.raises(InvalidInput, match="1 to 1000"):
        preview(make_schedule(type="daily"), after=at("01-01T00:00"), count=count)


def test_a_preview_asks_for_aware_instants() -> None:
    """A naive one names no instant."""
    with pytest.raises(ValueError, match="naive"):
        preview(make_schedule(type="daily"), after=datetime(2026, 1, 1))  # noqa: DTZ001 - what is refused


# --- the calendar


def test_a_month_shows_the_slots_of_each_local_day() -> None:
    """A weekly task in Tokyo has its slots on Tokyo's days."""
    schedule = make_schedule(type="weekly", days=[0], time="08:00", timezone="Asia/Tokyo")
    (month,) = calendar(schedule, first=date(2026, 3, 17))
    assert (month.name, len(month.days), month.slots) == ("March 2026", 31, 5)
    assert [day.day.day for day in month.days if day.slots] == [2, 9, 16, 23, 30]
    assert month.days[1].first == time(8)


@given(
    st.sampled_from(["UTC", "America/New_York", "Africa/Cairo", "Pacific/Apia", "Australia/Lord_Howe"]),
    st.dates(date(2011, 1, 1), date(2030, 12, 31)),
    st.sampled_from(["*/30 * * * *", "0 0 * * *", "30 1 * * *", "30 2 * * 0"]),
)
def test_the_days_of_a_month_have_all_its_slots(zone: str, first: date, cron: str) -> None:
    """Whatever the clock does at midnight, no slot is lost between two days or counted in both."""
    schedule = make_schedule(type="custom", cron=cron, timezone=zone)
    (month,) = calendar(schedule, first=first)
    start = datetime(first.year, first.month, 1, tzinfo=zone_info(zone)).astimezone(UTC)
    following = date(month.days[-1].day.year, month.days[-1].day.month, month.days[-1].day.day) + timedelta(days=1)
    end = datetime(following.year, following.month, 1, tzinfo=zone_info(zone)).astimezone(UTC)
    instant = timedelta(microseconds=1)
    assert month.slots == count_between(schedule, start - instant, end - instant)


def test_several_months_follow_each_other_over_the_year() -> None:
    """December is followed by January."""
    assert [month.name for month in calendar(make_schedule(type="daily"), first=date(2026, 12, 5), months=2)] == [
        "December 2026",
        "January 2027",
    ]
    with pytest.raises(InvalidInput):
        calendar(make_schedule(type="daily"), first=date(2026, 12, 5), months=25)


# --- edits


def test_a_calendar_does_not_count_what_was_left_out() -> None:
    """After the first and up to the second instant there are no slots; a day has the first of those that remain."""
    hourly = make_schedule(type="custom", cron="45 * * * *")
    (month,) = calendar(hourly, first=date(2026, 3, 17), left_out=(at("03-10T22:00"), at("03-12T02:45")))
    days = {day.day.day: (day.slots, day.first) for day in month.days}
    assert [days[number] for number in (9, 10, 11, 12)] == [
        (24, time(0, 45)),
        (22, time(0, 45)),
        (0, None),
        (21, time(3, 45)),
    ]


def test_an_edit_shows_slots_before_and_after_side_by_side() -> None:
    """What moves within its day stands together."""
    before = make_schedule(type="weekly", days=[0, 2], time="09:00")
    after = make_schedule(type="weekly", days=[0, 4], time="09:00")
    moves = compare(before, after, now=at("01-01T00:00"), count=4)
    assert [(move.kind, (move.before or move.after).local.day) for move in moves] == [  # type: ignore[union-attr]
        ("new", 2),
        ("same", 5),
        ("dropped", 7),
        ("new", 9),
        ("same", 12),
    ]


def test_a_change_of_the_hour_or_the_zone_moves_every_slot() -> None:
    """Each new slot stands beside the one of its day."""
    before = make_schedule(type="daily", time="09:00")
    moves = compare(before, make_schedule(type="daily", time="18:00"), now=at("01-01T00:00"), count=3)
    assert {move.kind for move in moves} == {"moved"}
    moves = compare(before, make_schedule(type="daily", time="09:00", timezone=NEW_YORK), now=at("01-01T00:00"))
    assert {move.kind for move in moves} <= {"moved", "dropped"}
    assert moves[0].to_dict()["change"] == "moved"


def test_slots_beyond_those_that_are_compared_are_not_taken_for_moved_ones() -> None:
    """Of a rule with more than a thousand slots a day not all are looked at, and of the other one no more."""
    before = make_schedule(type="interval", every=timedelta(minutes=1), anchor=at("01-01T00:00"))
    after = make_schedule(type="interval", every=timedelta(minutes=2), anchor=at("01-01T00:00"))
    for moves, changed in (
        (compare(before, after, now=at("01-01T00:00"), count=5), "dropped"),
        (compare(after, before, now=at("01-01T00:00"), count=5), "new"),
    ):
        assert {move.kind for move in moves} == {"same", changed}
        assert len(moves) == 1000


def test_an_edit_that_changes_nothing_moves_nothing() -> None:
    """The same instants are the same slots, however the rule is written."""
    daily = make_schedule(type="daily", time="09:00")
    assert {m.kind for m in compare(daily, make_schedule(type="custom", cron="0 9 * * *"), now=at("01-01T00:00"))} == {
        "same"
    }
    assert [slot.utc.hour for slot in next_slots(daily, after=at("01-01T00:00"))] == [9, 9, 9]
