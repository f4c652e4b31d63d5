"""Every kind of event through the log's format and back: exact to the microsecond, under names that never change."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from inspect import get_annotations
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

import daybook
from domain import guild, guild_erasure, guild_imports, node, task_erasure, task_events
from domain.definition import CatchUp, OverlapPolicy, TaskDefinition, TaskType
from domain.destination import DeliveryOutcome, DeliveryStatus, Destination, DestinationType, UnknownPolicy
from domain.event import EVENT_TYPES, SNAPSHOT_TYPES, Event, epoch_microseconds, from_epoch_microseconds, utc
from domain.guild import GuildSettings
from domain.incidents import NoticeKind
from domain.runs import OpenRun, TaskStatus
from domain.schedule import FoldPolicy, GapPolicy, HolidayPolicy, MonthEnd, Schedule, ScheduleType
from domain.summary import SummaryLength, SummaryOptions, Usage
from domain.task_events import InterruptionReason, SkipReason
from domain.task_snapshot import TaskSnapshot
from infrastructure.mapper import EventMapper
from tests.contracts.log_parts import TinyVault

TOPICS = [
    "guild.archive_chosen",
    "guild.content_deleted",
    "guild.erased",
    "guild.erasure_requested",
    "guild.history_imported",
    "guild.opened",
    "guild.person_erased",
    "guild.settings_changed",
    "guild.tasks_admitted",
    "node.learned",
    "node.lost",
    "node.started",
    "node.stopped",
    "task.cancelled",
    "task.completed",
    "task.created",
    "task.delivered_late",
    "task.delivery_started",
    "task.disabled",
    "task.erased",
    "task.executed",
    "task.failed",
    "task.interrupted",
    "task.noticed",
    "task.paused",
    "task.replanned",
    "task.requested",
    "task.resumed",
    "task.revised",
    "task.skip_requested",
    "task.skipped",
    "task.started",
]
"""Written into every log there is. Topics are added to this list, and none is ever changed or taken away."""

MAPPER = EventMapper(TinyVault())  # type: ignore[arg-type]
LAST = epoch_microseconds(datetime(2200, 1, 1, tzinfo=UTC))

instants = st.integers(0, LAST).map(from_epoch_microseconds)
texts = st.text(st.characters(codec="utf-8"), max_size=20)
ids = st.text("0123456789abcdef", min_size=1, max_size=20)
counts = st.integers(0, 2**53)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**80), 2**80) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


def optional(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A value, or None."""
    return st.none() | strategy


destinations = st.builds(
    Destination,
    type=st.sampled_from(DestinationType),
    target=texts,
    format=st.sampled_from(["embed", "markdown"]),
    on_unknown=optional(st.sampled_from(UnknownPolicy)),
    label=optional(texts),
    enabled=st.booleans(),
)
outcomes = st.builds(
    DeliveryOutcome,
    destination=ids,
    type=st.sampled_from(DestinationType),
    status=st.sampled_from(DeliveryStatus),
    receipt=optional(texts),
    reason=optional(texts),
    permanent=st.booleans(),
    at=instants,
)
durations = st.integers(1, 400 * 86_400 * 1_000_000).map(lambda us: timedelta(microseconds=us))
schedules = st.builds(
    Schedule,
    type=st.sampled_from(ScheduleType),
    time=st.sampled_from(["00:00", "09:30", "23:59"]),
    days=st.lists(st.integers(0, 6), max_size=3).map(tuple),
    cron=optional(st.just("*/5 * * * *")),
    every=optional(durations),
    day_of_month=optional(st.integers(-1, 31)),
    anchor=optional(instants),
    at=optional(instants),
    timezone=st.sampled_from(["UTC", "America/New_York"]),
    gap=st.sampled_from(GapPolicy),
    fold=st.sampled_from(FoldPolicy),
    month_end=st.sampled_from(MonthEnd),
    on_holiday=st.sampled_from(HolidayPolicy),
    exclude=st.lists(st.dates(date(1970, 1, 1), date(2200, 1, 1)), max_size=2).map(tuple),
    start=optional(instants),
    end=optional(instants),
    spread=optional(durations),
)
definitions = st.builds(
    TaskDefinition,
    name=texts,
    guild_id=ids,
    schedule=schedules,
    task_type=st.sampled_from(TaskType),
    operation=optional(texts),
    parameters=st.dictionaries(texts, json_values, max_size=3),
    channel_ids=st.lists(ids, max_size=2).map(tuple),
    destinations=st.lists(destinations, max_size=2).map(tuple),
    summary_options=st.builds(
        SummaryOptions,
        summary_length=st.sampled_from(SummaryLength),
        temperature=st.floats(0, 2),
        min_messages=st.just(3),
    ),
    retry_delay_minutes=st.floats(0, 1e9),
    time_range_hours=optional(st.floats(0, 1e6)),
    title_template=optional(texts),
    overlap=st.sampled_from(OverlapPolicy),
    catch_up=st.sampled_from(CatchUp),
    max_runs=optional(st.integers(1, 10)),
)
BY_TYPE: dict[Any, st.SearchStrategy[Any]] = {
    "Tally": st.builds(
        task_erasure.Tally,
        created_at=st.none() | st.just(datetime(2026, 3, 2, 8, 30, 0, 123456, tzinfo=UTC)),
        executed=st.integers(0, 1 << 40),
        duration_total=st.integers(0, 1 << 60),
        slots=st.dictionaries(
            st.just("2026-11"), st.dictionaries(st.sampled_from(["executed", "paused"]), st.integers(1))
        ),
    ),
    "Usage": st.builds(
        Usage,
        model=st.text(max_size=20),
        requests=st.integers(0, 99),
        input_tokens=st.integers(0, 1 << 40),
        output_tokens=st.integers(0, 1 << 40),
        cost=st.none() | st.floats(0, 1e6),
        estimated=st.booleans(),
    ),
    "UUID": st.uuids(),
    "str": texts,
    "Text": texts,
    "int": counts,
    "bool": st.booleans(),
    "Utc": instants,
    "TaskDefinition": definitions,
    "GuildSettings": st.builds(
        GuildSettings, timezone=optional(texts), failure_notices=st.lists(destinations, max_size=2).map(tuple)
    ),
    "SkipReason": st.sampled_from(SkipReason),
    "InterruptionReason": st.sampled_from(InterruptionReason),
    "TaskStatus": st.sampled_from(TaskStatus),
    "NoticeKind": st.sampled_from(NoticeKind),
    "tuple[Utc | None, bool, NoticeKind | None]": st.tuples(
        optional(instants), st.booleans(), optional(st.sampled_from(NoticeKind))
    ),
    "tuple[DeliveryOutcome, ...]": st.lists(outcomes, max_size=3).map(tuple),
    "tuple[Text, ...]": st.lists(texts, max_size=3).map(tuple),
    "tuple[str, ...]": st.lists(texts, max_size=3).map(tuple),
    "set[str]": st.sets(texts, max_size=3),
    "dict[str, KeptRun]": st.dictionaries(
        ids,
        st.builds(
            OpenRun,
            run=ids,
            slot=optional(instants),
            request=optional(texts),
            attempt=st.integers(0, 9),
            owner=optional(texts),
            begun_at=optional(instants),
            started_at=optional(instants),
            deadline=optional(instants),
            since=optional(instants),
            until=optional(instants),
            due_at=optional(instants),
            delivered=st.lists(ids, max_size=2).map(tuple),
            sending=st.lists(ids, max_size=2).map(tuple),
            unknown=st.lists(ids, max_size=2).map(tuple),
            sent_at=optional(instants),
            failures=st.integers(0, 9),
            crashes=st.integers(0, 9),
            postponed=st.integers(0, 9),
            not_before=st.dictionaries(ids, instants, max_size=2),
        ),
        max_size=3,
    ),
}


def built(cls: type[BaseModel]) -> st.SearchStrategy[Any]:
    """Instances of an event class with anything in its fields. A field of a type unknown here fails loudly."""
    fields: dict[str, st.SearchStrategy[Any]] = {}
    annotations = {k: v for base in reversed(cls.__mro__) for k, v in get_annotations(base).items()}
    for name in cls.model_fields:
        spelled = str(annotations[name])
        inner = BY_TYPE[spelled.removesuffix(" | None")]
        fields[name] = optional(inner) if spelled.endswith("| None") else inner
    fields["originator_version"] = st.integers(1, 2**31)
    return st.fixed_dictionaries(fields).map(lambda values: cls(**values))


def ours() -> list[str]:
    """The topics that the project's own modules registered (tests make events of their own)."""
    modules = [module.__name__ for module in (task_events, task_erasure, guild, guild_erasure, guild_imports, node)]
    return sorted(topic for topic, cls in EVENT_TYPES.items() if cls.__module__ in modules)


def test_topics_are_what_they_always_were() -> None:
    """A topic that is renamed makes every log unreadable."""
    assert ours() == TOPICS
    assert [t for t, cls in SNAPSHOT_TYPES.items() if cls.__module__.startswith("domain.")] == ["task.snapshot"]


def test_every_kind_of_event_is_on_the_list() -> None:
    """No module of the project defines an event that this suite does not know."""
    assert daybook.__name__
    strangers = [t for t, cls in EVENT_TYPES.items() if not cls.__module__.startswith("tests.")]
    assert sorted(strangers) == TOPICS


def test_topics_are_short_and_no_module_paths() -> None:
    """Code may move; a topic may not."""
    for topic in TOPICS:
        cls = EVENT_TYPES[topic]
        assert len(topic) <= 24
        assert cls.__module__ not in topic
        assert cls.__name__ not in topic
        assert ":" not in topic


def test_a_topic_is_taken_once() -> None:
    """Two classes under one topic would read each other's events."""
    with pytest.raises(TypeError, match="taken by Created"):
        type("Impostor", (Event,), {"topic": "task.created", "__module__": __name__, "__annotations__": {}})


@pytest.mark.parametrize("topic", TOPICS)
def test_an_event_comes_back_as_it_was_written(topic: str) -> None:
    """Equal in every field, instants to the microsecond, from 1970 to 2200."""

    @given(built(EVENT_TYPES[topic]))
    def comes_back(event: Any) -> None:
        _, sealed = MAPPER.encode(event, "g")
        again = MAPPER.decode(event.originator_id, event.originator_version, topic, sealed)
        assert again == event
        assert again.timestamp.tzinfo is UTC

    comes_back()


@given(built(TaskSnapshot))
def test_a_snapshot_comes_back_as_it_was_written(snapshot: TaskSnapshot) -> None:
    """Also with its optional fields empty: an unreadable snapshot is a replay of the whole stream, for ever."""
    topic, sealed = MAPPER.encode_snapshot(snapshot, "g")
    assert MAPPER.decode_snapshot(snapshot.originator_id, snapshot.originator_version, topic, sealed) == snapshot


@pytest.mark.parametrize("year", [1970, 1999, 2026, 2038, 2109, 2110, 2150, 2199])
def test_neighboring_microseconds_stay_apart(year: int) -> None:
    """Instants are written as milliseconds with a fraction: a float tells a microsecond from the next until 2200."""
    start = epoch_microseconds(datetime(year, 12, 31, 23, 59, 59, tzinfo=UTC))
    seen = set()
    for us in range(start, start + 2000):
        event = task_events.Completed(
            originator_id=UUID(int=1), originator_version=1, timestamp=from_epoch_microseconds(us)
        )
        _, sealed = MAPPER.encode(event, "g")
        again = MAPPER.decode(event.originator_id, 1, event.topic, sealed)
        assert epoch_microseconds(again.timestamp) == us
        seen.add(again.timestamp)
    assert len(seen) == 2000


@given(st.datetimes(timezones=st.timezones()))
def test_instants_are_kept_in_utc(instant: datetime) -> None:
    """Whatever zone an instant comes in, the event holds UTC, and the same instant."""
    try:
        expected = utc(instant)
    except OverflowError:
        return  # on the first or last day of the calendar
    event = task_events.Completed(originator_id=UUID(int=1), originator_version=1, timestamp=instant)
    assert event.timestamp == expected  # not instant itself: Python finds a time in a gap equal to nothing
    assert event.timestamp.tzinfo is UTC


NAIVE: list[Callable[[datetime], Any]] = [
    lambda at: task_events.Completed(originator_id=UUID(int=1), originator_version=1, timestamp=at),
    lambda at: task_events.Paused(
        originator_id=UUID(int=1), originator_version=1, timestamp=datetime.now(UTC), by="p", until=at
    ),
    lambda at: Schedule(type=ScheduleType.ONCE, at=at),
    utc,
]


@pytest.mark.parametrize("make", NAIVE)
def test_a_naive_instant_never_becomes_part_of_an_event(make: Callable[[datetime], Any]) -> None:
    """Case 21: refused at every border."""
    with pytest.raises(ValueError, match=r"naive|timezone"):
        make(datetime(2026, 3, 2, 9))  # noqa: DTZ001


@given(st.text(max_size=30))
def test_what_others_said_can_always_be_written(text: str) -> None:
    """Errors and notes come from elsewhere, with lone surrogates in them; everything else stays as it is."""
    event = task_events.Failed(
        originator_id=UUID(int=1),
        originator_version=1,
        timestamp=datetime(2026, 3, 2, tzinfo=UTC),
        run="r",
        attempt=1,
        owner="n",
        what="error",
        error=text,
        permanent=False,
    )
    _, sealed = MAPPER.encode(event, "g")
    again = MAPPER.decode(event.originator_id, 1, event.topic, sealed)
    assert again == event
    assert again.error == "".join("?" if "\ud800" <= c <= "\udfff" else c for c in text)


def test_an_event_of_an_older_layout_is_brought_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    """Version 1 payloads of a class that is at version 2 go through its upcaster."""
    old = task_events.Disabled(
        originator_id=UUID(int=1), originator_version=3, timestamp=datetime(2026, 3, 2, tzinfo=UTC), reason="failed 3"
    )
    topic, sealed = MAPPER.encode(old, "g")
    monkeypatch.setattr(task_events.Disabled, "schema_version", 2)
    asked: list[int] = []

    def upcast(payload: dict[str, Any], schema_version: int) -> dict[str, Any]:
        asked.append(schema_version)
        return {**payload, "reason": payload["reason"].upper()}

    monkeypatch.setattr(task_events.Disabled, "upcast", upcast)
    again = MAPPER.decode(old.originator_id, 3, topic, sealed)
    assert asked == [1]
    assert again == old.model_copy(update={"reason": "FAILED 3"})
