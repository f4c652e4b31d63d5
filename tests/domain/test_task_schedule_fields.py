"""Every part of the schedule language is reached from the public names, and belongs to its task."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from domain.draft import SCHEDULE_FIELDS, define, revised
from domain.errors import InvalidInput, InvalidSchedule
from domain.schedule import Schedule, ScheduleType, between
from domain.task import ScheduledTask, state
from domain.task_events import Created

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FIRST, SECOND = UUID(int=1), UUID(int=2)

EVERY_FIELD: dict[str, Any] = {
    "schedule_type": "yearly",
    "schedule_time": "10:30",
    "schedule_days": [0, 4],
    "week_of_month": -1,
    "month": 3,
    "timezone": "Europe/Berlin",
    "created_at": datetime(2026, 1, 1, 12, tzinfo=UTC),
    "gap": "shift",
    "fold": "both",
    "month_end": "skip",
    "business_days": True,
    "holidays": "DE",
    "on_holiday": "next",
    "exclude": ["2026-03-27", date(2027, 3, 26)],
    "start": datetime(2026, 2, 1, tzinfo=UTC),
    "end": datetime(2030, 2, 1, tzinfo=UTC),
    "spread": "30m",
    "also": [{"schedule_type": "monthly", "day_of_month": -1, "schedule_time": "8:00"}],
}


def task(*, id: UUID = FIRST, now: datetime = NOW, **fields: Any) -> ScheduledTask:
    """A task that could run."""
    return ScheduledTask(id=id, now=now, name="t", guild_id="1", task_type="custom", operation="o", **fields)


def upcoming(made: ScheduledTask, count: int = 3) -> list[str]:
    """The next slots as UTC text."""
    found = between(made.definition.schedule, NOW, NOW + timedelta(days=3650), count)
    return [f"{slot:%m-%d %H:%M:%S}" for slot in found]


def test_every_field_of_a_schedule_has_a_public_name() -> None:
    """Nothing that the engine can do is out of reach; the key is the task's own."""
    assert set(SCHEDULE_FIELDS.values()) == set(Schedule.model_fields) - {"key"}


def test_the_public_names_fill_the_whole_schedule() -> None:
    """Texts become lengths, dates and instants; a further rule is in the zone of the first."""
    schedule = define(EVERY_FIELD, now=NOW).schedule
    assert (schedule.week_of_month, schedule.month, schedule.days) == (-1, 3, (0, 4))
    assert (schedule.business_days, schedule.holidays, schedule.on_holiday) == (True, "DE", "next")
    assert schedule.exclude == (date(2026, 3, 27), date(2027, 3, 26))
    assert schedule.spread == timedelta(minutes=30)
    assert [(rule.day_of_month, rule.time, rule.timezone) for rule in schedule.also] == [(-1, "08:00", "Europe/Berlin")]


@pytest.mark.parametrize("field", [name for name in EVERY_FIELD if name != "schedule_type"])
def test_revising_one_field_keeps_the_others(field: str) -> None:
    """An edit changes what it names."""
    changed: dict[str, Any] = {
        "schedule_time": "11:00",
        "schedule_days": [1],
        "week_of_month": 2,
        "month": 4,
        "timezone": "Asia/Tokyo",
        "created_at": datetime(2026, 1, 2, tzinfo=UTC),
        "gap": "skip",
        "fold": "second",
        "month_end": "clamp",
        "business_days": False,
        "holidays": "FR",
        "on_holiday": "previous",
        "exclude": [],
        "start": datetime(2026, 2, 2, tzinfo=UTC),
        "end": None,
        "spread": timedelta(minutes=5),
        "also": (),
    }
    before = define({"name": "t", "guild_id": "1", **EVERY_FIELD}, now=NOW)
    after = revised(before, {field: changed[field]}, now=NOW + timedelta(days=9))
    different = {
        name for name in Schedule.model_fields if getattr(before.schedule, name) != getattr(after.schedule, name)
    }
    # Rules in the zone of the first one move along with it.
    assert different == ({"timezone", "also"} if field == "timezone" else {SCHEDULE_FIELDS[field]})


def test_another_kind_forgets_what_belonged_to_the_old_one() -> None:
    """Zone, days off and bounds stay; the nth weekday and the month mean nothing to a daily task."""
    before = define({"name": "t", "guild_id": "1", **EVERY_FIELD}, now=NOW)
    schedule = revised(before, {"schedule_type": "daily"}, now=NOW).schedule
    assert (schedule.week_of_month, schedule.month, schedule.days) == (None, None, ())
    assert (schedule.timezone, schedule.holidays, schedule.time) == ("Europe/Berlin", "DE", "10:30")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"exclude": ["2026-13-01"]}, "write dates as 2026-12-24"),
        ({"spread": "soon"}, "is not a duration"),
        ({"also": [{"when": "later"}]}, "is not a field of a further rule"),
        ({"also": [{"also": []}]}, "is not a field of a further rule"),
        ({"also": ["daily"]}, "is not a rule"),
        ({"interval": "59s", "schedule_type": "interval"}, "is too short"),
        ({"also": [{"schedule_type": "interval", "interval": "30s"}]}, "is too short"),
        ({"start": datetime(2026, 2, 2)}, "has no time zone"),  # noqa: DTZ001 - what is refused
    ],
)
def test_what_a_schedule_cannot_be_is_refused_by_name(fields: dict[str, Any], said: str) -> None:
    """Nothing runs oftener than once a minute, and every text is read or refused."""
    with pytest.raises(InvalidInput, match=said):
        define(fields, now=NOW)


def test_two_tasks_with_the_same_hashed_cron_have_minutes_of_their_own() -> None:
    """H spreads over tasks, and a task keeps its minute."""
    fields: dict[str, Any] = {"schedule_type": "custom", "cron_expression": "H H * * *"}
    assert upcoming(task(id=FIRST, **fields)) != upcoming(task(id=SECOND, **fields))
    assert upcoming(task(id=FIRST, **fields)) == upcoming(task(id=FIRST, **fields))


def test_spread_is_of_the_task_for_every_rule_of_it() -> None:
    """Also the further rules of a schedule are hashed from the task's id."""
    made = task(also=[{"schedule_type": "custom", "cron_expression": "H 12 * * *"}], spread="1h")
    assert made.definition.schedule.key == str(FIRST)
    assert [rule.key for rule in made.definition.schedule.also] == [str(FIRST)]


def test_a_task_of_a_finished_definition_is_keyed_by_its_own_id() -> None:
    """An import under a new id takes a minute of its own, and does not keep another task's."""
    there = task(id=FIRST, schedule_type="custom", cron_expression="H H * * *")
    here = ScheduledTask.define(there.definition, id=SECOND, now=NOW)
    assert here.definition.schedule.key == str(SECOND)
    assert upcoming(here) != upcoming(there)


def test_editing_a_task_keeps_its_minute() -> None:
    """The key stays when a schedule is revised, in whatever way it is handed in."""
    made = task(schedule_type="custom", cron_expression="H 9 * * *")
    minute = upcoming(made)[0][-5:]
    made.revise(revised(made.definition, {"cron_expression": "H 10 * * *"}, now=NOW), now=NOW, by="u")
    assert upcoming(made)[0][-5:] == minute
    whole = Schedule(type=ScheduleType.CUSTOM, cron="H 11 * * *")
    made.revise(revised(made.definition, {"schedule": whole}, now=NOW), now=NOW, by="u")
    assert upcoming(made)[0][-5:] == minute


def keyless(**fields: Any) -> ScheduledTask:
    """A task as it was written before schedules had keys."""
    definition = define({"name": "t", "guild_id": "1", "task_type": "custom", "operation": "o", **fields}, now=NOW)
    created = Created(
        originator_id=FIRST, originator_version=1, timestamp=NOW, definition=definition, by="u", rules="r"
    )
    loaded = state([created])
    assert loaded is not None
    return loaded


def test_a_task_from_before_there_were_keys_keeps_its_slots_until_its_schedule_changes() -> None:
    """Loading adds nothing, a new name moves nothing, and a new schedule is keyed."""
    old = keyless(schedule_type="custom", cron_expression="H 9 * * *")
    before = upcoming(old)
    assert old.definition.schedule.key == ""
    old.revise(revised(old.definition, {"name": "renamed"}, now=NOW), now=NOW, by="u")
    assert (old.definition.schedule.key, upcoming(old)) == ("", before)
    old.revise(revised(old.definition, {"cron_expression": "H 10 * * *"}, now=NOW), now=NOW, by="u")
    assert old.definition.schedule.key == str(FIRST)


def test_a_schedule_that_never_runs_is_refused_with_the_fields_it_has() -> None:
    """Bounds that leave no slot are an error when they are written."""
    with pytest.raises(InvalidSchedule, match="can never run"):
        define({"exclude": ["2026-01-02"], "start": NOW, "end": NOW + timedelta(hours=1)}, now=NOW)
