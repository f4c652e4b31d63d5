"""What each kind of schedule computes, under every policy."""

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from domain.schedule import (
    FoldPolicy,
    GapPolicy,
    MonthEnd,
    Schedule,
    ScheduleType,
    between,
    count_between,
    describe,
    make_schedule,
    next_after,
    previous_before,
    rules_fingerprint,
    warnings_for,
)

NEW_YORK = "America/New_York"


def instant(text: str) -> datetime:
    """An instant written as ISO text, in UTC unless it says otherwise."""
    found = datetime.fromisoformat(text)
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found


def cron(text: str, timezone: str = "UTC", **fields: object) -> Schedule:
    """A custom schedule."""
    return make_schedule(type="custom", cron=text, timezone=timezone, **fields)


def slots(schedule: Schedule, after: str, count: int) -> list[str]:
    """The next slots as UTC text to the minute."""
    return [f"{slot:%Y-%m-%dT%H:%M}" for slot in between(schedule, instant(after), instant("9990-01-01"), count)]


# --- the numbered cases of the facts page


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("next_valid", ["2026-03-07T07:30", "2026-03-08T07:00", "2026-03-09T06:30"]),
        ("shift", ["2026-03-07T07:30", "2026-03-08T07:30", "2026-03-09T06:30"]),
        ("skip", ["2026-03-07T07:30", "2026-03-09T06:30", "2026-03-10T06:30"]),
    ],
)
def test_a_time_in_the_gap_follows_the_gap_policy(policy: str, expected: list[str]) -> None:
    """Case 1: 02:30 on 8 March 2026 does not exist in New York; it runs once, by the policy."""
    assert slots(cron("30 2 * * *", NEW_YORK, gap=policy), "2026-03-07", 3) == expected
    assert slots(make_schedule(type="daily", time="02:30", timezone=NEW_YORK, gap=policy), "2026-03-07", 3) == expected


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("first", ["2026-11-01T05:30", "2026-11-02T06:30"]),
        ("second", ["2026-11-01T06:30", "2026-11-02T06:30"]),
        ("both", ["2026-11-01T05:30", "2026-11-01T06:30"]),
    ],
)
def test_a_time_that_comes_twice_follows_the_fold_policy(policy: str, expected: list[str]) -> None:
    """Case 2: 01:30 on 1 November 2026 comes twice in New York; it runs once unless both are asked for."""
    assert slots(cron("30 1 * * *", NEW_YORK, fold=policy), "2026-11-01", 2) == expected
    assert slots(make_schedule(type="daily", time="1:30", timezone=NEW_YORK, fold=policy), "2026-11-01", 2) == expected


def test_a_rare_rule_does_not_jump_over_its_second_time() -> None:
    """A yearly time that comes twice is found from both sides, although its next local time is a year away."""
    second = cron("30 1 1 11 *", NEW_YORK, fold="second")
    assert slots(second, "2026-10-31", 1) == ["2026-11-01T06:30"]
    both = cron("30 1 1 11 *", NEW_YORK, fold="both")
    assert slots(both, "2026-11-01T05:30", 1) == ["2026-11-01T06:30"]
    first = cron("30 1 1 11 *", NEW_YORK)
    assert previous_before(first, instant("2026-11-01T08:00")) == instant("2026-11-01T05:30")


def test_a_starred_hour_loses_no_half_hour_in_a_fold() -> None:
    """Case 3: a rule for every half hour fires at every real half hour."""
    assert slots(cron("*/30 * * * *", NEW_YORK), "2026-11-01T04:30", 5) == [
        "2026-11-01T05:00",
        "2026-11-01T05:30",
        "2026-11-01T06:00",
        "2026-11-01T06:30",
        "2026-11-01T07:00",
    ]


def test_a_gap_at_midnight_does_not_drop_the_day() -> None:
    """Case 4: Cairo has no 00:00 on 24 April 2026; the day is served at 01:00."""
    assert slots(cron("0 0 * * *", "Africa/Cairo"), "2026-04-22T22:00", 2) == ["2026-04-23T22:00", "2026-04-24T21:00"]


@pytest.mark.parametrize("weekday", ["0", "7", "sun", "SUN"])
def test_sunday_is_0_and_7(weekday: str) -> None:
    """Case 5: the days of the week are those of crontab(5)."""
    assert slots(cron(f"0 0 * * {weekday}"), "2026-01-01", 1) == ["2026-01-04T00:00"]


def test_weekday_names_and_ranges_are_understood() -> None:
    """Case 5: mon-fri is Monday to Friday, fri-sun ends with Sunday."""
    assert slots(cron("0 9 * * mon-fri"), "2026-01-02T09:00", 1) == ["2026-01-05T09:00"]
    assert slots(cron("0 9 * * fri-sun"), "2026-01-04T09:00", 1) == ["2026-01-09T09:00"]
    assert slots(cron("0 9 * * mon-sun"), "2026-01-03T09:00", 2) == ["2026-01-04T09:00", "2026-01-05T09:00"]
    assert slots(cron("0 9 * * 1"), "2026-01-01", 1) == ["2026-01-05T09:00"]


def test_two_day_fields_match_either_day() -> None:
    """Case 6: the 13th or a Friday."""
    expected = ["2026-01-02T00:00", "2026-01-09T00:00", "2026-01-13T00:00", "2026-01-16T00:00"]
    assert slots(cron("0 0 13 * 5"), "2026-01-01", 4) == expected


def test_a_starred_day_field_makes_both_match() -> None:
    """The star exception: odd days that are Mondays."""
    assert slots(cron("0 0 */2 * 1"), "2026-01-01", 3) == ["2026-01-05T00:00", "2026-01-19T00:00", "2026-02-09T00:00"]


def test_monthly_on_the_31st_is_clamped_without_drift() -> None:
    """Case 7: short months run on their last day, long ones on the 31st again."""
    schedule = make_schedule(type="monthly", day_of_month=31, time="00:00")
    expected = ["2026-01-31T00:00", "2026-02-28T00:00", "2026-03-31T00:00", "2026-04-30T00:00"]
    assert slots(schedule, "2026-01-01", 4) == expected
    skipping = make_schedule(type="monthly", day_of_month=31, time="00:00", month_end="skip")
    assert slots(skipping, "2026-01-01", 3) == ["2026-01-31T00:00", "2026-03-31T00:00", "2026-05-31T00:00"]


def test_29_february_waits_for_leap_years() -> None:
    """Case 8: the next is in 2028; 2100 has none."""
    assert slots(cron("0 0 29 2 *"), "2026-01-01", 1) == ["2028-02-29T00:00"]
    assert slots(cron("0 0 29 2 *"), "2096-03-01", 1) == ["2104-02-29T00:00"]


def test_a_step_that_does_not_divide_the_hour_restarts_each_hour_and_warns() -> None:
    """Case 10: */45 is :00 and :45, and making it says so."""
    schedule = cron("*/45 * * * *")
    assert slots(schedule, "2026-01-01", 3) == ["2026-01-01T00:45", "2026-01-01T01:00", "2026-01-01T01:45"]
    assert warnings_for(schedule) == ["every 45 minutes restarts each hour: it runs at :00, :45"]
    assert warnings_for(cron("*/15 * * * *")) == []


def test_every_two_weeks_stays_on_its_grid() -> None:
    """Case 10: biweekly from 5 January."""
    schedule = make_schedule(type="interval", every=timedelta(weeks=2), anchor=instant("2026-01-05T09:00"))
    assert slots(schedule, "2026-01-05T09:00", 2) == ["2026-01-19T09:00", "2026-02-02T09:00"]


def test_the_slots_of_two_weeks_are_counted() -> None:
    """Case 12: a 5-minute task has 4,032 slots in 14 days: one to run and 4,031 to account for."""
    schedule = make_schedule(type="interval", every=timedelta(minutes=5))
    assert count_between(schedule, instant("2026-01-01"), instant("2026-01-15")) == 4032
    assert count_between(cron("*/5 * * * *", NEW_YORK), instant("2026-01-01"), instant("2026-01-15")) == 4032


def test_intervals_are_anchored_and_never_counted_from_the_question() -> None:
    """Case 14: a weekly interval fires on day 7 however often it is asked for in between."""
    schedule = make_schedule(type="interval", every=timedelta(days=7), anchor=instant("2026-01-05T09:00"))
    for day in range(5, 12):
        assert next_after(schedule, instant(f"2026-01-{day:02}T09:00")) == instant("2026-01-12T09:00")


@pytest.mark.parametrize("function", [next_after, previous_before])
def test_a_naive_instant_is_refused(function) -> None:  # type: ignore[no-untyped-def]
    """Case 21: nobody can say which instant a naive datetime is."""
    with pytest.raises(ValueError, match="naive"):
        function(make_schedule(type="daily"), datetime(2026, 1, 1))  # noqa: DTZ001


# --- kinds


def test_once_has_exactly_one_slot() -> None:
    """A once schedule is due at its instant, to the microsecond, and never again."""
    at = datetime(2026, 5, 1, 12, 0, 0, 500_000, tzinfo=UTC)
    schedule = make_schedule(type="once", at=at)
    assert next_after(schedule, at - timedelta(microseconds=1)) == at
    assert next_after(schedule, at) is None
    assert previous_before(schedule, at) is None
    assert previous_before(schedule, at + timedelta(microseconds=1)) == at
    assert count_between(schedule, at - timedelta(days=1), at) == 1


def test_weekly_takes_several_days() -> None:
    """0 is Monday."""
    schedule = make_schedule(type="weekly", days=[4, 0, 2, 2], time="09:00")
    assert schedule.days == (0, 2, 4)
    assert slots(schedule, "2026-01-05", 3) == ["2026-01-05T09:00", "2026-01-07T09:00", "2026-01-09T09:00"]


def test_weekly_without_days_takes_the_anchors_local_weekday() -> None:
    """23:30 UTC on a Monday is a Tuesday in Berlin."""
    schedule = make_schedule(type="weekly", timezone="Europe/Berlin", anchor=instant("2026-01-05T23:30"))
    assert slots(schedule, "2026-01-05T23:30", 1) == ["2026-01-06T08:00"]


def test_half_weekly_is_monday_and_thursday_unless_told() -> None:
    """Two weekdays by default, others by choice."""
    schedule = make_schedule(type="half-weekly")
    assert slots(schedule, "2026-01-01T10:00", 2) == ["2026-01-05T09:00", "2026-01-08T09:00"]
    assert slots(make_schedule(type="half-weekly", days=(1, 5)), "2026-01-01T10:00", 2) == [
        "2026-01-03T09:00",
        "2026-01-06T09:00",
    ]


def test_monthly_without_a_day_takes_the_anchors_local_day() -> None:
    """The day of the month on which the task was made, where it was made."""
    schedule = make_schedule(type="monthly", timezone="Asia/Tokyo", anchor=instant("2026-01-30T20:00"))
    assert slots(schedule, "2026-02-01", 2) == ["2026-02-28T00:00", "2026-03-31T00:00"]


def test_the_predecessors_frequencies_exist_by_name() -> None:
    """Fifteen minutes, hourly and every four hours keep to the wall clock."""
    assert slots(make_schedule(type="fifteen-minutes"), "2026-01-01T00:01", 2) == [
        "2026-01-01T00:15",
        "2026-01-01T00:30",
    ]
    assert slots(make_schedule(type="hourly"), "2026-01-01T00:01", 2) == ["2026-01-01T01:00", "2026-01-01T02:00"]
    assert slots(make_schedule(type="every-4-hours"), "2026-01-01T00:01", 2) == ["2026-01-01T04:00", "2026-01-01T08:00"]


def test_an_interval_of_whole_days_keeps_its_local_time_and_a_shorter_one_its_length() -> None:
    """Over the spring change, a day is 23 hours on the wall clock while 12 hours stay 12 hours."""
    anchor = instant("2026-03-07T14:00")  # 09:00 in New York
    days = make_schedule(type="interval", every=timedelta(days=1), anchor=anchor, timezone=NEW_YORK)
    assert slots(days, "2026-03-07T14:00", 2) == ["2026-03-08T13:00", "2026-03-09T13:00"]
    hours = make_schedule(type="interval", every=timedelta(hours=12), anchor=anchor, timezone=NEW_YORK)
    assert slots(hours, "2026-03-07T14:00", 2) == ["2026-03-08T02:00", "2026-03-08T14:00"]


def test_an_interval_begins_at_its_anchor() -> None:
    """The anchor is the first slot; there is none before it."""
    for every in (timedelta(days=2), timedelta(hours=5)):
        schedule = make_schedule(type="interval", every=every, anchor=instant("2026-01-05T09:00"))
        assert next_after(schedule, instant("2020-01-01")) == instant("2026-01-05T09:00")
        assert previous_before(schedule, instant("2026-01-05T09:00")) is None


def test_slots_that_a_gap_pushes_together_are_one() -> None:
    """02:00 and 02:30 do not exist on 8 March 2026: both become 03:00, which is a slot of its own too."""
    schedule = cron("0,30 2,3 * * *", NEW_YORK)
    assert slots(schedule, "2026-03-08T05:00", 2) == ["2026-03-08T07:00", "2026-03-08T07:30"]
    assert count_between(schedule, instant("2026-03-08T05:00"), instant("2026-03-09T05:00")) == 2


def test_a_day_that_a_zone_left_out_is_served_at_its_end() -> None:
    """Samoa had no 30 December 2011."""
    schedule = make_schedule(type="daily", timezone="Pacific/Apia")
    assert slots(schedule, "2011-12-29T00:00", 3) == ["2011-12-29T19:00", "2011-12-30T10:00", "2011-12-30T19:00"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0 0 L * *", ["2026-01-31T00:00", "2026-02-28T00:00"]),
        ("0 0 LW * *", ["2026-01-30T00:00", "2026-02-27T00:00"]),
        ("0 0 * * 5L", ["2026-01-30T00:00", "2026-02-27T00:00"]),
        ("0 0 * * 5#3", ["2026-01-16T00:00", "2026-02-20T00:00"]),
        ("0 0 * * fri#3", ["2026-01-16T00:00", "2026-02-20T00:00"]),
        ("2-2/4 * * * *", ["2026-01-01T00:02", "2026-01-01T01:02"]),
        ("0 0 1 jan,jul *", ["2026-07-01T00:00", "2027-01-01T00:00"]),
        ("@hourly", ["2026-01-01T01:00", "2026-01-01T02:00"]),
        ("@daily", ["2026-01-02T00:00", "2026-01-03T00:00"]),
        ("@midnight", ["2026-01-02T00:00", "2026-01-03T00:00"]),
        ("@weekly", ["2026-01-04T00:00", "2026-01-11T00:00"]),
        ("@monthly", ["2026-02-01T00:00", "2026-03-01T00:00"]),
        ("@yearly", ["2027-01-01T00:00", "2028-01-01T00:00"]),
        ("@ANNUALLY", ["2027-01-01T00:00", "2028-01-01T00:00"]),
    ],
)
def test_the_cron_dialect_is_vixies_with_nicknames(text: str, expected: list[str]) -> None:
    """Names, L, #, one-value ranges with a step, nicknames."""
    assert slots(cron(text), "2026-01-01", 2) == expected


# --- asking


def test_previous_before_is_strict_and_undoes_next_after() -> None:
    """The slot before the next slot is never after the instant that was asked about."""
    schedule = make_schedule(type="daily", timezone=NEW_YORK)
    asked = instant("2026-06-01T13:00")  # a slot itself
    after = next_after(schedule, asked)
    assert after == instant("2026-06-02T13:00")
    assert previous_before(schedule, after) == asked
    assert previous_before(schedule, asked) == instant("2026-05-31T13:00")


def test_an_instant_of_any_zone_may_be_asked_about() -> None:
    """The answer is in UTC."""
    asked = datetime(2026, 1, 1, 5, 0, tzinfo=timezone(timedelta(hours=-5)))
    found = next_after(make_schedule(type="daily"), asked)
    assert found == instant("2026-01-02T09:00")
    assert found is not None
    assert found.tzinfo is UTC


@pytest.mark.parametrize("folds", [(0, 1), (1, 0)])
def test_the_two_hours_of_one_clock_time_have_answers_of_their_own(folds: tuple[int, int]) -> None:
    """Python takes them for equal, so what was answered to one must not be remembered of the other."""
    berlin = ZoneInfo("Europe/Berlin")
    hourly = make_schedule(type="interval", every=timedelta(hours=1), anchor=instant(f"2026-01-01T00:0{folds[0]}"))
    for fold in folds:
        asked = datetime(2026, 10, 25, 2, 30, fold=fold, tzinfo=berlin)
        slot, before = next_after(hourly, asked), previous_before(hourly, asked)
        assert slot is not None
        assert before is not None
        assert before < asked.astimezone(UTC) < slot <= asked.astimezone(UTC) + timedelta(hours=1)


def test_there_is_nothing_after_the_end_of_time() -> None:
    """Searches end where datetimes end, without an error."""
    last, first = datetime.max.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC)
    grid = make_schedule(type="interval", every=timedelta(hours=5), anchor=instant("2026-01-01"))
    assert next_after(grid, last) is None
    assert between(grid, last - timedelta(hours=1), last) == []
    assert previous_before(grid, first) is None
    for schedule in (make_schedule(type="daily", timezone=NEW_YORK), make_schedule(type="monthly"), cron("0 0 29 2 *")):
        assert next_after(schedule, last) is None
        assert previous_before(schedule, first) is None
        assert next_after(schedule, first) is not None
        assert previous_before(schedule, last) is not None


def test_between_has_a_limit() -> None:
    """A long range does not make a long list."""
    assert len(between(cron("* * * * *"), instant("2026-01-01"), instant("2036-01-01"), 7)) == 7
    assert between(cron("* * * * *"), instant("2026-01-02"), instant("2026-01-01")) == []


# --- keeping


def test_a_schedule_survives_json_exactly() -> None:
    """What is written into the log comes back equal."""
    schedule = Schedule(
        type=ScheduleType.INTERVAL,
        every=timedelta(days=14),
        anchor=instant("2026-01-05T09:00:00.123456"),
        timezone="Europe/Berlin",
        gap=GapPolicy.SHIFT,
        fold=FoldPolicy.SECOND,
        month_end=MonthEnd.SKIP,
    )
    assert Schedule.model_validate_json(schedule.model_dump_json()) == schedule


def test_a_changed_copy_computes_the_changed_rule() -> None:
    """A copy does not carry the old rule's compiled form along."""
    schedule = make_schedule(type="daily", time="09:00")
    assert slots(schedule, "2026-01-01", 1) == ["2026-01-01T09:00"]
    assert slots(schedule.model_copy(update={"time": "10:00"}), "2026-01-01", 1) == ["2026-01-01T10:00"]


def test_old_schedules_load_even_when_they_would_be_refused_today() -> None:
    """Loading checks structure alone: the calendar is judged when slots are computed."""
    assert (
        Schedule(type=ScheduleType.CUSTOM, cron="0 0 30 2 *", timezone="Atlantis/Capital").timezone
        == "Atlantis/Capital"
    )


def test_the_fingerprint_names_every_rule_set() -> None:
    """Zone data, cron and holidays, each with its version."""
    names = [part.rstrip("0123456789.") for part in rules_fingerprint().split()]
    assert names == ["tz", "cronsim", "holidays"]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"type": "daily", "timezone": "Europe/Berlin"}, "every day at 09:00 in Europe/Berlin"),
        ({"type": "weekly", "days": (0, 2, 4)}, "every Monday, Wednesday and Friday at 09:00 in UTC"),
        ({"type": "half-weekly"}, "half-weekly on Monday and Thursday at 09:00 in UTC"),
        ({"type": "monthly", "day_of_month": 31}, "on the 31st of every month at 09:00 in UTC"),
        ({"type": "interval", "every": timedelta(minutes=90)}, "every 90 minutes from 1970-01-01 at 00:00 in UTC"),
        ({"type": "hourly"}, "every hour in UTC"),
        ({"type": "custom", "cron": "0 9 * * 1"}, "cron 0 9 * * 1 in UTC"),
        ({"type": "once", "at": datetime(2026, 5, 1, 12, tzinfo=UTC)}, "once on 2026-05-01 at 12:00 in UTC"),
    ],
)
def test_a_schedule_can_be_said_in_words(fields: dict[str, object], words: str) -> None:
    """Each kind has a sentence of its own."""
    assert describe(make_schedule(**fields)) == words
