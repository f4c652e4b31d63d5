"""What a preview says beforehand about clock changes and days off."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from domain.holiday import Calendar
from domain.schedule import make_schedule, notes_between

NEW_YORK = "America/New_York"


def notes(since: str, until: str, **fields: Any) -> list[str]:
    """The notes of a schedule between two dates."""
    start, end = (datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (since, until))
    return notes_between(make_schedule(**fields), start, end)


@pytest.mark.parametrize(
    ("gap", "ending"), [("next_valid", "runs at 03:00"), ("shift", "runs at 03:30"), ("skip", "does not run")]
)
def test_a_missing_time_is_announced_with_what_happens_instead(gap: str, ending: str) -> None:
    """The date, the time, the zone, and the policy's answer."""
    found = notes("2027-03-01", "2027-04-01", type="custom", cron="30 2 * * *", timezone=NEW_YORK, gap=gap)
    assert found == [f"on 14 March 2027 02:30 does not exist in {NEW_YORK}: {ending}"]


@pytest.mark.parametrize(
    ("fold", "ending"), [("first", "the first time"), ("second", "the second time"), ("both", "both times")]
)
def test_a_repeated_time_is_announced_with_which_one_counts(fold: str, ending: str) -> None:
    """A fold is odd as well."""
    found = notes("2026-10-01", "2026-12-01", type="daily", time="01:30", timezone=NEW_YORK, fold=fold)
    assert found == [f"on 1 November 2026 01:30 comes twice in {NEW_YORK}: runs {ending}"]


def test_a_slot_pushed_into_another_day_is_announced_with_its_date() -> None:
    """Samoa left out a whole day."""
    found = notes("2011-12-20", "2012-01-05", type="daily", timezone="Pacific/Apia")
    assert found == ["on 30 December 2011 09:00 does not exist in Pacific/Apia: runs at 00:00 on 31 December 2011"]


def test_a_day_off_is_announced_with_where_its_slot_goes() -> None:
    """Christmas Day 2026 is a Friday."""
    fields: dict[str, Any] = {"type": "weekly", "days": [4], "holidays": "US", "exclude": []}
    moving = notes("2026-12-20", "2026-12-31", **fields, on_holiday="next")
    assert moving == ["25 December 2026 is a day off, Christmas Day: runs on 28 December 2026"]
    assert notes("2026-12-20", "2026-12-31", **fields) == ["25 December 2026 is a day off, Christmas Day: does not run"]


def test_a_holiday_is_called_the_same_wherever_the_process_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """In English, where its calendar has that, whatever language the environment asks for; a weekend has no name."""
    for language in ("de", "en_US", "th"):
        monkeypatch.setenv("LANGUAGE", language)
        calendar = Calendar("DE", None)
        assert calendar.name_of(date(2026, 10, 3)) == "German Unity Day"
        assert calendar.name_of(date(2026, 10, 4)) is None
    assert Calendar("NYSE", None).name_of(date(2026, 12, 25)) == "Christmas Day"


def test_nothing_is_said_about_ordinary_weeks_and_rules_that_fire_all_day() -> None:
    """A rule for every half hour has no odd times, and most weeks have none for any rule."""
    assert notes("2027-03-01", "2027-04-01", type="custom", cron="*/30 * * * *", timezone=NEW_YORK) == []
    assert notes("2027-03-01", "2027-04-01", type="hourly", timezone=NEW_YORK) == []
    assert notes("2027-04-01", "2027-05-01", type="daily", time="02:30", timezone=NEW_YORK) == []
    assert notes("2027-04-01", "2027-03-01", type="daily", time="02:30", timezone=NEW_YORK) == []


def test_every_rule_of_a_schedule_is_looked_at_within_its_bounds() -> None:
    """Notes of several rules come together; a rule that has ended has none."""
    end = datetime(2027, 3, 10, tzinfo=UTC)
    ended = {"type": "daily", "time": "02:15", "end": end}
    found = notes("2027-03-01", "2027-04-01", type="daily", time="02:30", timezone=NEW_YORK, also=[ended])
    assert found == [f"on 14 March 2027 02:30 does not exist in {NEW_YORK}: runs at 03:00"]
