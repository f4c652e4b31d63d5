"""Whatever a task goes through, its accounts add up, and agree with the tables."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from application.accounting import account, slot_fates
from application.chronicle import chronicle, implies
from application.evidence import Reason
from application.fates import Fate
from application.history import fields_of, state_at
from application.ports import Recorded
from application.projections import project
from application.rows import RowsInMemory, TaskRow
from application.views import TaskMetadata
from application.why import why
from domain.claiming import plan_slots
from domain.definition import CatchUp
from domain.errors import EventUnreadable, PayloadErased
from domain.node import Node
from domain.schedule import Schedule, between, next_after
from domain.task import state
from domain.task_events import Cancelled, Completed, Created, Revised, Skipped, SkipReason, Started
from tests.properties.lives import FullLife, lives
from tests.properties.test_task_edits import BEGIN, schedules

AHEAD = timedelta(hours=30)
MOST_SLOTS = 3000
_NEIGHBOR = re.compile(r"the one (before|after) is (\S+ \S+ [+-]\d{4})")
_MOVED_TO = re.compile(r"moved to (\S+ \S+ [+-]\d{4}) by")


@given(lives)
def test_the_accounts_of_any_life_add_up_and_agree_with_the_table(life: FullLife) -> None:
    """Executed, failed, skipped and pending slots are those that the calendar implied; sums equal the task's row."""
    book = chronicle(life.recorded)
    whole = account(book, now=life.now, end=life.now + timedelta(days=4000))
    assert whole.proven, whole.findings
    rows = RowsInMemory()
    for event in life.events:
        project(event, rows)
    row = rows.get(TaskRow, str(life.task.id))
    assert row is not None
    manual = Counter(whole.manual)
    ranges = [event.count or 0 for event in life.events if isinstance(event, Skipped) and event.run is None]
    started = sum(isinstance(e, Started) and e.attempt == 1 and e.slot is not None for e in life.events)
    assert row.executed == whole.fates.get(Fate.EXECUTED, 0) + manual["executed"]
    assert row.failed == whole.fates.get(Fate.FAILED, 0) + manual["failed"]
    assert row.slots_skipped == sum(ranges)
    assert row.slots_skipped + row.skipped == whole.skipped + manual["skipped"]
    assert row.slots_started == started
    metadata = TaskMetadata.of(row)
    assert (metadata.slots_served, metadata.slots_decided) == (whole.served, whole.decided)
    closed = whole.fates.get(Fate.EXECUTED, 0) + whole.fates.get(Fate.FAILED, 0) + whole.skipped - sum(ranges)
    assert started == closed + whole.fates.get(Fate.OPEN, 0)


@given(lives, st.lists(st.integers(0, 1_000_000), min_size=1, max_size=5))
def test_the_accounts_of_parts_of_a_time_sum_to_that_of_the_whole(life: FullLife, cuts: list[int]) -> None:
    """Every slot is in one part, wherever the cuts fall."""
    book = chronicle(life.recorded)
    begin, end = life.events[0].timestamp, life.now + AHEAD
    at = sorted({begin, end, *(begin + (end - begin) * cut / 1_000_000 for cut in cuts)})
    parts = [account(book, now=life.now, start=a, end=b) for a, b in pairwise(at)]
    whole = account(book, now=life.now, start=begin, end=end)
    assert all(part.proven for part in parts), [part.findings for part in parts]
    assert sum((Counter(part.fates) for part in parts), Counter()) == Counter(whole.fates)


@given(lives)
def test_every_slot_is_named_once_and_the_names_sum_to_the_account(life: FullLife) -> None:
    """The list of slots and the sums are the same thing."""
    book = chronicle(life.recorded)
    end = min(life.now + AHEAD, life.events[0].timestamp + timedelta(days=2))
    whole = account(book, now=life.now, end=end)
    named = slot_fates(book, now=life.now, end=end, limit=1_000_000)
    assert len({one.slot for one in named}) == len(named)
    assert Counter(one.fate for one in named) == Counter(whole.fates)


_PROCESSES = st.lists(
    st.tuples(st.integers(-100, 5000), st.integers(1, 3000), st.sampled_from([None, (), ("x",), ("o", "x")])),
    max_size=3,
)


def _processes(spans: list[tuple[int, int, tuple[str, ...] | None]]) -> list[Recorded]:
    """Processes that were up (from which minute on, for how long), and what each knew."""
    events: list[Any] = []
    for number, (begin, lasts, known) in enumerate(spans):
        since, until = _up_between(begin, lasts)
        node = Node.start(f"n{number}", now=since, host="h", pid=1, version="1", rules="r", operations=known)
        node.stop(now=until)
        events += node.collect_events()
    return [Recorded(position, event) for position, event in enumerate(sorted(events, key=_when), 1_000_000)]


def _up_between(begin: int, lasts: int) -> tuple[datetime, datetime]:
    since = BEGIN + timedelta(minutes=begin)
    return since, since + timedelta(minutes=lasts)


def _when(event: Any) -> tuple[datetime, int]:
    return event.timestamp, event.originator_version


@given(lives, st.lists(st.integers(0, 1_000_000), min_size=1, max_size=20), _PROCESSES)
def test_every_instant_has_one_explanation_and_it_agrees_with_the_accounts(
    life: FullLife, shares: list[int], spans: list[tuple[int, int, tuple[str, ...] | None]]
) -> None:
    """A slot is explained as what it is accounted as; an instant that is no slot has no account."""
    nodes = _processes(spans)
    book = chronicle(life.recorded)
    begin = life.events[0].timestamp - timedelta(hours=2)
    end = life.now + AHEAD
    named = {one.slot: one for one in slot_fates(book, now=life.now, end=end, limit=1_000_000)}
    slots = list(named)
    picked = {slots[share % len(slots)] for share in shares} if slots else set()
    for instant in sorted(picked | {begin + (end - begin) * share / 1_000_000 for share in shares}):
        found = why(book, nodes, instant, now=life.now)
        assert found.reason not in (Reason.LOST, Reason.UNREADABLE), found
        if found.reason is Reason.OPERATION_UNKNOWN:
            assert found.fate is Fate.DUE
            assert found.slot is not None
            up = [("o" in (known or ()), *_up_between(begin, lasts)) for begin, lasts, known in spans]
            assert not any(knew and since <= found.slot < until for knew, since, until in up), found
            assert any(since <= life.now and until > found.slot for _, since, until in up), found
        assert found.answer
        if found.reason is Reason.NEVER_DUE:
            _check_neighbors(found.answer, instant, sorted(slots), end)
        if instant in named:
            assert found.evidence, found
            assert (found.slot, found.fate) == (instant, named[instant].fate), found
            assert found.fate is not None
            assert why(book, [], instant, now=life.now).fate is found.fate
            if not found.fate.pending:
                assert named[instant].position in {one.position for one in found.evidence}, found
        elif found.slot is None:
            assert found.fate is None
        else:
            assert found.slot in named, found
            assert timedelta() < found.slot - instant < timedelta(minutes=1)


def _left_alone(life: FullLife, last: Schedule, wait: timedelta) -> FullLife:
    """The life goes on: nobody serves it for a time, and then slots are served as they come."""
    life.do("resume", None)
    life.do("schedule", last)
    life.do("limit", None)
    life.now += wait
    for step in ("serve", "on time", "on time", "on time"):
        life.do(step, None)
    return life


_LEFT_ALONE = st.builds(_left_alone, lives, schedules, st.sampled_from([timedelta(hours=5), timedelta(hours=40)]))


@given(st.one_of(lives, _LEFT_ALONE))
def test_a_slot_is_called_coalesced_only_where_the_claim_that_left_it_out_ran_another_for_it(life: FullLife) -> None:
    """And out of the reach of the policy only where no claim at that instant would have run it, or one for it.

    What the claim decides is asked of the aggregate as it stood then, not of the events that came after.
    """
    book = chronicle(life.recorded)
    for decision in [one for one in book.decisions if one.skip is SkipReason.MISSED]:
        before, event = state(life.events[: decision.fact.position - 1]), decision.fact.event
        assert before is not None
        plan = plan_slots(
            before.definition, next_slot=decision.first, buffered_until=before.buffered_until,
            busy=any(not run.manual for run in before.open_runs.values()), now=event.timestamp,
        )  # fmt: skip
        last_ones = before.definition.catch_up is CatchUp.RUN_LAST
        written = next(end for end in life.commits if end >= decision.fact.position)
        started = [one for one in life.events[decision.fact.position : written] if isinstance(one, Started)]
        found = why(book, [], decision.first, now=life.now)
        assert (found.reason is Reason.COALESCED) is (last_ones and bool(started)), found
        if found.reason is Reason.COALESCED:
            assert [one.slot for one in started] == [plan.start]
            assert f"coalesced into run {started[0].run} of" in found.answer
        elif last_ones:
            left_alone = plan.start is None and plan.skipped is not None and plan.skipped.reason is SkipReason.MISSED
            assert ("does not reach back" in found.answer) is left_alone, found


_KNOWN_LATER = re.compile(
    r"( to \S+ \S+ [+-]\d{4}|, and it is not resumed yet|, and is to go on at \S+ \S+ [+-]\d{4}"
    r"|until \S+ \S+ [+-]\d{4}|and is not closed yet)(?=, with|, and nothing had|; no process|; p asked|$)"
)
_GONE_ON = re.compile(r", and (?:resumed|cancelled) by \S+ at \S+ \S+ [+-]\d{4}")
_ASKED_AGAIN = re.compile(r"; p asked for it again.*$")
_OPEN = (Reason.RUNNING, Reason.RETRYING)


@given(st.one_of(lives, _LEFT_ALONE), st.lists(st.integers(0, 1_000_000), min_size=1, max_size=5), _PROCESSES)
def test_the_answer_about_a_slot_that_is_decided_and_closed_stays_what_it_was(
    life: FullLife, shares: list[int], spans: list[tuple[int, int, tuple[str, ...] | None]]
) -> None:
    """Asked after every act that follows: only ends of what was under way, and requests, come to be known later."""
    nodes = _processes(spans)
    whole = chronicle(life.recorded)
    if not whole.decisions:
        return
    picked = [whole.decisions[share % len(whole.decisions)] for share in shares]
    told: dict[datetime, tuple[Reason, Fate | None, str]] = {}
    for end in sorted(set(life.commits)):
        seen = life.recorded[:end]
        asked = {slot for one in picked if one.fact.position <= end for slot in (one.first, one.last)}
        book = chronicle(seen) if asked else whole
        for slot in asked:
            found = why(book, nodes, slot, now=seen[-1].event.timestamp)  # type: ignore[union-attr]
            if found.reason in _OPEN:
                assert slot not in told, found
                continue
            answer = _KNOWN_LATER.sub(" [end]", _ASKED_AGAIN.sub("", _GONE_ON.sub("", found.answer)))
            answer = answer.replace("it is not to run", "it did not run", 1)  # left out in advance
            assert told.setdefault(slot, (found.reason, found.fate, answer)) == (found.reason, found.fate, answer)


def _check_neighbors(answer: str, instant: datetime, slots: list[datetime], end: datetime) -> None:
    """The slots that an answer names are those next to the instant; it names none where there was none."""
    said = {side: datetime.fromisoformat(at) for side, at in _NEIGHBOR.findall(answer)}
    before = max((slot for slot in slots if slot < instant), default=None)
    after = min((slot for slot in slots if slot > instant), default=None)
    assert said.get("before") == (before.replace(microsecond=0) if before else None), answer
    if after is not None or said.get("after", end) < end:
        assert said.get("after") == (after.replace(microsecond=0) if after else None), answer


def _accounted(event: Created | Revised) -> datetime:
    """From when on its rule plans: not before slots that were skipped in advance."""
    return event.accounted_until if isinstance(event, Revised) else event.timestamp


@given(lives, schedules, st.sampled_from(["go on", "cancel", "use up"]))
def test_a_slot_is_called_moved_only_where_an_edit_took_it_away_from_a_task_that_went_on(
    life: FullLife, last: Schedule, end: str
) -> None:
    """It names another instant, which the rule after the edit implies; that of a task that had ended is not moved."""
    life.do("schedule", last)
    if end == "use up":
        life.do("limit", 1)
        life.now += timedelta(days=1)
        life.do("serve", None)
    elif end == "cancel" and not life.task.status.ended:
        life.task.cancel(now=life.now, by="p")
        life.events += life.task.collect_events()
    book = chronicle(life.recorded)
    edits = {position: event for position, event in life.recorded if isinstance(event, Created | Revised)}
    ended = [event.timestamp for event in life.events if isinstance(event, Cancelled | Completed)]
    rules = [(event.timestamp, event.definition.schedule) for event in edits.values()]
    for (_, old), (edited, _) in pairwise(rules):
        until = life.now + timedelta(days=3)
        for slot in [*between(old, edited, until, 4), *between(old, max(edited, life.now), until, 4)]:
            found = why(book, [], slot, now=life.now)
            assert found.reason is not Reason.LOST, found
            if found.reason is not Reason.MOVED:
                continue
            assert not any(over < slot for over in ended), found
            in_force = [e.definition.schedule for e in edits.values() if _accounted(e) < slot][-1]
            named = [edits[one.position] for one in found.evidence if one.position in edits]
            assert named[-1].definition.schedule == in_force, found
            assert not implies(in_force, slot), found
            to = _MOVED_TO.search(found.answer)
            if to is None:
                assert "dropped" in found.answer
                assert next_after(in_force, slot) is None
            else:
                target = datetime.fromisoformat(to[1])
                assert target > slot
                assert implies(in_force, target), found


@given(lives, st.integers(0, 1_000_000))
def test_the_state_at_any_position_is_that_of_a_replay_up_to_it(life: FullLife, share: int) -> None:
    """And the end of the history is where the task stands now."""
    position = 1 + share % len(life.events)
    then = state_at(str(life.task.id), life.recorded, position)
    assert then.fields == fields_of(state(life.events[:position]))
    assert state_at(str(life.task.id), life.recorded, len(life.events)).fields == fields_of(life.task)


@given(lives, st.lists(st.integers(0, 1_000_000), min_size=1, max_size=3), st.booleans())
def test_a_damaged_history_answers_the_truth_or_says_that_it_cannot_be_known(
    life: FullLife, damaged: list[int], erased: bool
) -> None:
    """Unreadable and erased events are named, and nothing is guessed over them."""
    numbers = {share % len(life.events) for share in damaged}
    broken: list[Recorded] = []
    for number, (position, event) in enumerate(life.recorded):
        where = life.task.id, number + 1, life.events[number].topic
        error = PayloadErased(*where) if erased else EventUnreadable(*where, "damaged", life.events[number].timestamp)
        broken.append(Recorded(position, error if number in numbers else event))
    book = chronicle(broken)
    found = account(book, now=life.now)
    assert not found.proven
    assert found.alarm is not erased
    assert {one.position for one in found.findings} >= {number + 1 for number in numbers}
    truth = {one.slot: one.fate for one in slot_fates(life.recorded, now=life.now, limit=200)}
    for slot, fate in truth.items():
        told = why(book, [], slot, now=life.now)
        unknown = told.reason in (Reason.UNREADABLE, Reason.ERASED)
        assert unknown or told.fate is fate, told
    named = slot_fates(book, now=life.now, start=life.events[0].timestamp, limit=200)
    for one in named:
        assert one.fate in (Fate.UNREADABLE, truth.get(one.slot, one.fate)), one


_ANSWERS = """
from application.accounting import account, slot_fates
from application.history import fields_of, state_at
from application.why import why
from tests.application.why_parts import history_of, moment, rows
for row in rows():
    history = history_of(row.history)
    print(why(history.recorded, history.recorded_nodes, moment(row.asked), now=history.now))
    print(account(history.recorded, now=history.now), slot_fates(history.recorded, now=history.now))
    print(state_at("x", history.recorded, history.now).fields)
"""


def test_answers_are_the_same_in_another_zone_and_under_another_hash_seed() -> None:
    """Every history of the decision table, replayed in two processes."""
    said = []
    for zone, seed in (("UTC", "1"), ("Pacific/Apia", "77")):
        environment = os.environ | {"TZ": zone, "PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", _ANSWERS], env=environment, capture_output=True, text=True, check=True,
            cwd=Path(__file__).parents[2],
        )  # fmt: skip
        said.append(done.stdout)
    assert len(said[0]) > 10_000
    assert said[0] == said[1]
