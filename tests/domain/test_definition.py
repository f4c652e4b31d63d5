"""What no task may be, and what a task must say to be scheduled: refused at the edge, with the place and the remedy."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from domain.definition import TaskDefinition, check_complete, check_definition
from domain.destination import Destination, DestinationType
from domain.draft import define, parse_duration, revised
from domain.errors import DaybookError, InvalidDestination, InvalidInput, InvalidSchedule, InvalidTimezone
from domain.frozen import but
from domain.schedule import Schedule, ScheduleType
from domain.summary import SummaryOptions
from tests.domain.task_parts import START, file_to

FIELDS: dict[str, Any] = {
    "name": "a",
    "guild_id": "1",
    "channel_id": "7",
    "schedule_type": "daily",
    "destinations": file_to("x"),
}


def checked(**fields: Any) -> TaskDefinition:
    """A definition that passed everything that is asked of a scheduled task."""
    definition = define({**FIELDS, **fields}, now=START)
    check_definition(definition)
    check_complete(definition)
    return definition


def nested(depth: int) -> dict[str, Any]:
    """Parameters within parameters."""
    parameters: dict[str, Any] = {}
    for _ in range(depth):
        parameters = {"x": parameters}
    return parameters


def text_fields(model: type[BaseModel]) -> Iterator[tuple[str, Any]]:
    """The fields of a model that hold text of any kind, each with a value that no file can hold."""
    for name, field in model.model_fields.items():
        if field.annotation in (str, str | None):
            yield name, "a\ud800"
        elif field.annotation == tuple[str, ...]:
            yield name, ("a\ud800",)


def test_no_text_of_a_definition_may_hold_what_cannot_be_written() -> None:
    """Wherever a lone surrogate stands, the task is refused before it is stored: no text is forgotten."""
    plain = checked()
    wrong = [plain.model_copy(update={name: text}) for name, text in text_fields(TaskDefinition)]
    for part, model in (("schedule", Schedule), ("summary_options", SummaryOptions)):
        before = getattr(plain, part)
        wrong += [plain.model_copy(update={part: but(before, **{name: text})}) for name, text in text_fields(model)]
    [place] = plain.destinations
    wrong += [
        plain.model_copy(update={"destinations": (but(place, **{name: text}),)})
        for name, text in text_fields(Destination)
    ]
    further = [but(plain.schedule, also=(but(plain.schedule, **{name: text}),)) for name, text in text_fields(Schedule)]
    wrong += [plain.model_copy(update={"schedule": schedule}) for schedule in further]
    assert len(wrong) >= 25
    for definition in wrong:
        with pytest.raises(InvalidInput):
            check_definition(definition)


def test_the_defaults_are_what_people_know() -> None:
    """Three failures, five minutes, daily at nine."""
    definition = checked()
    assert (definition.max_failures, definition.retry_delay_minutes) == (3, 5)
    assert definition.schedule.type is ScheduleType.DAILY
    assert definition.schedule.time == "09:00"
    assert definition.schedule.timezone == "UTC"


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"name": ""}, "name"),
        ({"name": "   "}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "x" * 500}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "a\ud800"}, "name"),
        ({"name": 5}, "name"),
        ({"title_template": "x" * 201}, "title_template"),
        ({"guild_id": ""}, "guild_id"),
        ({"guild_id": "1 2"}, "guild_id"),
        ({"guild_id": "é"}, "guild_id"),
        ({"channel_id": "x" * 65}, "channel_id"),
        ({"channel_id": ""}, "channel_id"),
        ({"channel_ids": ["a\x00"]}, "channel_ids[0]"),
        ({"channel_ids": [str(n) for n in range(51)]}, "channel_ids"),
        ({"excluded_channel_ids": ["7"]}, "channel_id"),
        ({"max_failures": 0}, "max_failures"),
        ({"max_failures": 101}, "max_failures"),
        ({"max_failures": "many"}, "max_failures"),
        ({"retry_delay_minutes": -1}, "retry_delay_minutes"),
        ({"retry_delay_minutes": float("nan")}, "retry_delay_minutes"),
        ({"time_range_hours": 0}, "time_range_hours"),
        ({"time_range_hours": float("inf")}, "time_range_hours"),
        ({"max_runs": 0}, "max_runs"),
        ({"catch_up_window_seconds": 10**9}, "catch_up_window_seconds"),
        ({"task_type": "custom"}, "operation"),
        ({"task_type": "nonsense"}, "task_type"),
        ({"parameters": {"x": "y" * 20_000}}, "parameters"),
        ({"parameters": {"x": float("nan")}}, "definition"),
        ({"parameters": {"x": float("inf")}}, "definition"),
        ({"parameters": {"x": [{"y": float("nan")}]}}, "definition"),
        ({"parameters": {"x": "\ud800"}}, "definition"),
        ({"parameters": {"\ud800": 1}}, "definition"),
        ({"parameters": nested(199)}, "definition"),
        ({"parameters": {"x": object()}}, "parameters"),
        ({"destinations": []}, "destinations"),
        ({"destinations": [Destination(type=DestinationType.FILE, enabled=False)]}, "destinations"),
        ({"destinations": file_to("a", "a")}, "destinations"),
        ({"destinations": file_to(*(str(n) for n in range(21)))}, "destinations"),
        ({"destinations": [{"type": "carrier_pigeon"}]}, "destinations.0.type"),
        ({"nonsense": 1}, "nonsense"),
        ({"schedule": "daily"}, "schedule"),
        ({"interval": "soon", "schedule_type": "interval"}, "interval"),
        ({"next_run": "tomorrow", "schedule_type": "once"}, "next_run"),
    ],
)
def test_what_is_wrong_is_named(fields: dict[str, Any], place: str) -> None:
    """The error says where, and nothing is half-made."""
    with pytest.raises(InvalidInput) as caught:
        checked(**fields)
    assert caught.value.field.startswith(place)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1200


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"timezone": "Mars/Olympus"}, InvalidTimezone),
        ({"schedule_time": "25:00"}, InvalidSchedule),
        ({"schedule_type": "weekly", "schedule_days": [7]}, InvalidSchedule),
        ({"schedule_type": "custom", "cron_expression": "0 0 30 2 *"}, InvalidSchedule),
        ({"schedule_type": "custom"}, InvalidSchedule),
        ({"schedule_type": "sometimes"}, InvalidSchedule),
        ({"destinations": []}, InvalidDestination),
    ],
)
def test_errors_are_of_the_kind_of_their_subject(fields: dict[str, Any], error: type[Exception]) -> None:
    """A program can tell a wrong zone from a wrong destination."""
    with pytest.raises(error):
        checked(**fields)


def test_naive_instants_are_wall_clock_time_in_the_tasks_zone() -> None:
    """As existing code writes next_run and created_at."""
    definition = checked(schedule_type="once", next_run=datetime(2026, 7, 1, 9), timezone="Europe/Berlin")  # noqa: DTZ001
    assert definition.schedule.at == datetime(2026, 7, 1, 7, tzinfo=UTC)


def test_all_channels_are_the_primary_first_and_each_once() -> None:
    """Without the excluded ones."""
    definition = checked(channel_ids=["8", "7", "9"], excluded_channel_ids=["9"])
    assert definition.all_channel_ids == ("7", "8")


def test_an_old_definition_that_makes_no_sense_today_still_loads() -> None:
    """Whether it makes sense is for the checks to say, not for the model."""
    text = (
        checked().model_dump_json().replace('"max_failures":3', '"max_failures":-9').replace('"name":"a"', '"name":""')
    )
    definition = TaskDefinition.model_validate_json(text)
    assert definition.max_failures == -9
    with pytest.raises(InvalidInput):
        check_definition(definition)


def test_a_change_keeps_all_other_fields() -> None:
    """Defect 5: persistence dropped fields. One change of the schedule keeps the others of it, too."""
    definition = checked(timezone="Asia/Tokyo", schedule_time="07:15", max_failures=7, overlap="allow_all")
    changed = revised(definition, {"name": "b"}, now=START)
    assert changed == definition.model_copy(update={"name": "b"})
    changed = revised(definition, {"schedule_time": "08:00"}, now=START)
    assert (changed.schedule.time, changed.schedule.timezone) == ("08:00", "Asia/Tokyo")
    assert changed.max_failures == 7


def test_another_kind_of_schedule_forgets_what_belonged_to_the_old_one() -> None:
    """Weekdays mean nothing to a cron expression."""
    definition = checked(schedule_type="weekly", schedule_days=[0, 3])
    changed = revised(definition, {"schedule_type": "custom", "cron_expression": "*/5 * * * *"}, now=START)
    assert changed.schedule.days == ()
    assert changed.schedule.cron == "*/5 * * * *"


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("90m", timedelta(minutes=90)),
        (" 4H ", timedelta(hours=4)),
        ("2w", timedelta(weeks=2)),
        ("5 min", timedelta(minutes=5)),
    ],
)
def test_durations_are_a_number_and_a_unit(text: str, length: timedelta) -> None:
    """s, m, min, h, d, w."""
    assert parse_duration("interval", text) == length


@given(st.text(max_size=20))
def test_any_text_is_a_duration_or_refused(text: str) -> None:
    """No other error comes out."""
    try:
        assert parse_duration("interval", text) >= timedelta(0)
    except InvalidInput:
        return


@given(
    st.dictionaries(
        st.sampled_from([*TaskDefinition.model_fields, *("schedule_type", "schedule_time", "timezone", "interval")]),
        st.none() | st.text(max_size=10) | st.integers() | st.floats() | st.lists(st.text(max_size=5), max_size=3),
        max_size=4,
    )
)
def test_whatever_is_written_into_the_fields_is_refused_or_makes_a_task(fields: dict[str, Any]) -> None:
    """Errors are Daybook's own, and what passes can be stored and read again."""
    try:
        definition = checked(**fields)
    except DaybookError:
        return
    assert TaskDefinition.model_validate_json(definition.model_dump_json()) == definition
    assert isinstance(definition.schedule, Schedule)


def test_a_category_is_enough_to_say_what_is_summarized() -> None:
    """Its channels are looked up when a run begins; what is no id is refused all the same."""
    definition = TaskDefinition(
        name="Category",
        guild_id="1",
        category_id="5",
        schedule=Schedule(type=ScheduleType.DAILY),
        destinations=(Destination(type=DestinationType.FILE, format="markdown"),),
    )
    check_complete(definition)
    with pytest.raises(InvalidInput, match="or which category"):
        check_complete(definition.model_copy(update={"category_id": None}))
    for wrong in (
        {"category_id": "a b"},
        {"excluded_channel_ids": ("7", "\n")},
        {"excluded_channel_ids": ("7",) * 501},
    ):
        with pytest.raises(InvalidInput):
            check_definition(definition.model_copy(update=wrong))
