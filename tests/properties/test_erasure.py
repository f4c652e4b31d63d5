"""Erasing one guild changes no answer about any other, and leaves the numbers of its own as they were."""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections import Counter
from datetime import datetime, timedelta
from itertools import takewhile
from pathlib import Path
from typing import Any
from uuid import UUID

from hypothesis import example, given, settings
from hypothesis import strategies as st

from application.accounting import account, slot_fates
from application.chronicle import INSTANT
from application.erasure import Erasure
from application.history import fields_of, instant_of, state_at
from application.ports import Append, Recorded
from application.projections import project
from application.report_days import Days, Period
from application.report_sums import Sums
from application.report_task import read_task
from application.rows import RowsInMemory, TaskRow
from application.tallies import tally_of
from application.views import TaskMetadata
from application.why import why
from domain.errors import PayloadErased
from domain.event import Event
from domain.task_erasure import Erased
from infrastructure.read_model import SqliteReadModel
from infrastructure.stores import Stores, open_folder
from tests.domain.task_parts import START
from tests.doubles import HandClock
from tests.properties.lives import FullLife, lives

KEY = {"DAYBOOK_MASTER_KEY": "cd" * 32}
GUILDS = ("42", "7", "8")
PERSONS = st.lists(st.tuples(st.sampled_from(GUILDS), st.sampled_from(["person 1", "person 2"])), max_size=4)


def of_guild(life: FullLife, number: int) -> tuple[UUID, str, list[Event]]:
    """The same life, as a task of its own in one of the guilds."""
    task_id, guild = UUID(int=100 + number), GUILDS[number % len(GUILDS)]
    events = []
    for event in life.events:
        changes: dict[str, Any] = {"originator_id": task_id}
        if (definition := getattr(event, "definition", None)) is not None:
            changes["definition"] = definition.model_copy(update={"guild_id": guild, "name": f"task {number}"})
        if (run := getattr(event, "run", None)) is not None:
            changes["run"] = f"{number}{run}"  # the ids of runs are made from the task's
        events.append(event.model_copy(update=changes))
    return task_id, guild, events


def told(stores: Stores, task_id: UUID, life: FullLife) -> Any:
    """All that can be asked of a task: its account, why of some instants, and how it stood half-way and at the end."""
    events = stores.log.stream(task_id)
    half = life.events[0].timestamp + (life.now - life.events[0].timestamp) / 2
    return (
        [event for _, event in events],
        account(events, now=life.now),
        [why(events, [], instant, now=life.now) for instant in (half, life.now, life.now + timedelta(hours=1))],
        [fields_of(state_at(str(task_id), events, instant).task) for instant in (half, life.now)],
    )


def rows_of(stores: Stores, guild: str) -> dict[str, list[Any]]:
    """Every row of a guild."""
    ids = {row[0].task_id for row in stores.read_model.tasks(guild_id=guild, archived=True)}
    return {
        table: [row for row in rows if guild in row or ids & set(map(str, row))]
        for table, rows in stores.read_model.dump().items()
    }


def erasure(stores: Stores, clock: HandClock) -> Erasure:
    """What erases on these stores."""
    return Erasure(
        log=stores.log,
        writer=stores.writer,
        read_model=stores.read_model,
        content=stores.content,
        vault=stores.vault,
        clock=clock,
        ledger=stores.ledger,
    )


def erase_persons(stores: Stores, clock: HandClock, persons: list[tuple[str, str]]) -> None:
    """Erase these persons, each of whom is known in the guild."""
    for guild, person in persons:
        stores.vault.person_reference(guild, person)
        [found] = asyncio.run(erasure(stores, clock).erase_person(person, guild_id=guild))
        assert not found.nothing


@settings(max_examples=8)
@given(st.lists(lives, min_size=2, max_size=4), PERSONS, PERSONS)
@example([], [("42", "person 1")], [])
def test_erasing_one_guild_changes_no_answer_about_any_other(
    histories: list[FullLife], earlier: list[tuple[str, str]], later: list[tuple[str, str]]
) -> None:
    """Events, accounts, reasons, states and rows of all other guilds are the same before, after, and when rebuilt.

    Persons were erased before, and are afterwards, in any of the guilds.
    """
    now = max((life.now for life in histories), default=START)
    with tempfile.TemporaryDirectory() as folder:
        stores = open_folder(Path(folder), node="n", now=now, environment=KEY)
        try:
            tasks = [of_guild(life, number) for number, life in enumerate(histories)]
            for task_id, guild, events in tasks:
                stores.log.append([Append(task_id, guild, events)])
            stores.read_model.catch_up(stores.log)
            erase_persons(stores, HandClock(now), earlier)
            others = [(task, life) for task, life in zip(tasks, histories, strict=True) if task[1] != "42"]
            before = [told(stores, task[0], life) for task, life in others]
            rows = {guild: rows_of(stores, guild) for guild in GUILDS[1:]}
            asyncio.run(erasure(stores, HandClock(now)).erase_guild("42"))
            stores.read_model.catch_up(stores.log)
            assert [told(stores, task[0], life) for task, life in others] == before
            assert {guild: rows_of(stores, guild) for guild in GUILDS[1:]} == rows
            erase_persons(stores, HandClock(now), later)
            stores.read_model.catch_up(stores.log)
            fresh = SqliteReadModel(Path(folder) / "fresh.db")
            fresh.catch_up(stores.log)
            assert fresh.dump() == stores.read_model.dump()
            assert fresh.faults() == stores.read_model.faults() == []
            fresh.close()
        finally:
            stores.close()


def ended(life: FullLife) -> tuple[list[Recorded], Recorded]:
    """All that was recorded of a life that is over, and what its erasure leaves behind that."""
    life.task.end(now=life.now, by="p")
    life.events += life.task.collect_events()
    events = life.recorded
    erased = Erased(
        originator_id=life.task.id,
        originator_version=len(events) + 1,
        timestamp=life.now,
        guild_id="1",
        by="p",
        tally=tally_of(events, now=life.now),
    )
    return events, Recorded(len(events) + 1, erased)


@settings(max_examples=30)
@given(lives)
def test_the_numbers_that_an_erasure_leaves_are_those_of_the_account(life: FullLife) -> None:
    """For any life that is over: implied, fates and runs on request by month, summed, are what the events say."""
    events, end = ended(life)
    late = life.now + timedelta(days=4000)  # slots can be skipped in advance
    whole = account(events, now=life.now, end=late)
    erased = account([*events, end], now=life.now, end=late)
    assert Counter(erased.fates) == Counter(whole.fates)
    assert erased.implied == whole.implied
    rows = RowsInMemory()
    assert isinstance(end.event, Erased)
    project(end.event, rows)
    row = rows.get(TaskRow, str(life.task.id))
    assert row is not None
    metadata = TaskMetadata.of(row)
    assert (metadata.slots_served, metadata.slots_decided) == (whole.served, whole.decided)
    assert Counter(erased.manual) == Counter(whole.manual)
    assert erased.adds_up
    assert not erased.alarm


HOURS = st.sampled_from([-30, -24, -6, -1, 0, 1, 6, 24, 30])
LEFT_OUT = re.compile(
    r"the (?:(\d+) slots?)?(?: and )?(?:(\d+) runs? on request)? of \S+(?: after the erasure)? cannot"
)


@settings(max_examples=60)
@given(lives, HOURS, HOURS, st.integers(0, 3), st.booleans())
def test_an_account_of_an_erased_life_counts_what_lies_in_its_period_and_says_how_much_it_leaves_out(
    life: FullLife, begins: int, ends: int, days: int, whole: bool
) -> None:
    """Wherever the period begins and ends; the day of the erasure is counted where the period has it until then."""
    events, end = ended(life)
    midnight = life.now.replace(hour=0, minute=0, second=0, microsecond=0)
    start = midnight - timedelta(days=days) + timedelta(hours=0 if whole else begins)
    last = max(start, life.now + timedelta(hours=ends)) + INSTANT
    then = account(events, now=life.now, start=start, end=last)
    found = account([*events, end], now=life.now, start=start, end=last)
    assert Counter(found.fates) <= Counter(then.fates)
    assert Counter(found.manual) <= Counter(then.manual)
    words = [LEFT_OUT.match(finding.words) for finding in found.findings]
    slots, manual = (sum(int(match[n] or 0) for match in words if match) for n in (1, 2))
    assert found.counted + slots >= then.counted
    assert sum(found.manual.values()) + manual >= sum(then.manual.values())
    if whole and last > life.now:
        through = account(events, now=life.now, start=start, end=life.now + INSTANT)
        assert Counter(through.fates) <= Counter(found.fates)
        assert Counter(through.manual) == Counter(found.manual)


def until(events: list[Recorded], end: datetime) -> list[Recorded]:
    """The events before an instant."""
    return list(takewhile(lambda one: (instant_of(one) or end) < end, events))


@settings(max_examples=60)
@given(lives)
def test_what_was_known_at_the_end_of_a_day_is_known_after_an_erasure(life: FullLife) -> None:
    """A report that ends at midnight counts as pending what was decided later, erased or not.

    Slots that an edit did away with before anything was decided on them are in no number that is left.
    """
    (events, end), begun = ended(life), life.events[0].timestamp
    first = begun.replace(hour=0, minute=0, second=0, microsecond=0)
    days = (life.now - first).days
    decided = {
        one.slot for one in slot_fates(events, now=life.now, end=life.now + timedelta(days=4000), limit=1_000_000)
    }
    for day in sorted({1, 2, 3, days // 2, days} - {0}):
        midnight = first + timedelta(days=day)
        if midnight > life.now:
            continue
        known = until(events, midnight)
        then = slot_fates(known, now=midnight, end=midnight, limit=1_000_000)
        erased = account([*known, end], now=midnight, end=midnight)
        assert Counter(erased.fates) == Counter(one.fate for one in then if one.slot in decided), midnight
        assert Counter(erased.manual) == Counter(account(known, now=midnight, end=midnight).manual), midnight


@settings(max_examples=60)
@given(lives, st.integers(0, 3))
def test_a_report_has_the_same_events_at_the_same_positions_after_an_erasure(life: FullLife, later: int) -> None:
    """Over any whole days of the past: the same lines of the timeline, and as many of every kind."""
    (events, end), begun = ended(life), life.events[0].timestamp
    start = begun.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=later)
    topics = [(one.position, one.event.topic) for one in events]
    sealed = [Recorded(at, PayloadErased(life.task.id, number, topic)) for number, (at, topic) in enumerate(topics, 1)]
    for days in {1, 2, (life.now - start).days}:
        midnight = start + timedelta(days=days)
        if not start < midnight <= life.now:
            continue
        period = Period(start, midnight, "UTC", life.now, Days(start, midnight, "UTC"))
        before, after = Sums(), Sums()
        read_task(str(life.task.id), "1", events, period, before)
        read_task(str(life.task.id), "1", [*sealed, end], period, after)
        places = [[(line.position, line.event) for line in sums.events.lines] for sums in (before, after)]
        assert places[0] == places[1]
        assert before.kinds == after.kinds
