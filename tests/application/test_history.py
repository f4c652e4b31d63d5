"""The past as it was, at any instant or position, and what changed between two of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from application.history import Change, Moment, difference, fields_of, state_at, then
from application.past import Past
from application.past_commands import MOST_COMMANDS
from application.ports import Loaded, Recorded
from domain.errors import EventUnreadable
from domain.runs import TaskStatus
from domain.task import ScheduledTask, state
from domain.task_snapshot import snapshot_of
from tests.domain.task_parts import at, changed, claim, done, events, make
from tests.infrastructure.store_parts import opened


def lived() -> ScheduledTask:
    """A task that ran, was paused, edited, and resumed."""
    task = make()
    done(task, claim(task, at(0.5)), at(0.6))
    task.pause(now=at(1), by="ann", reason="moving")
    task.revise(changed(task, name="weekly"), now=at(2), by="bob", reason="clearer")
    task.resume(now=at(3), by="ann")
    return task


def recorded(task: ScheduledTask) -> list[Recorded]:
    """Its events as the log holds them."""
    return [Recorded(10 * number, event) for number, event in enumerate(events(task), 1)]


def changes_of(stream: list[Recorded], before: Moment, after: Moment) -> list[Change]:
    """What differs between two moments of a stream."""
    first, last = sorted((then(stream, before), then(stream, after)), key=len)
    return difference("x", Loaded(events=first), last[len(first) :]).changes


def test_the_state_of_an_instant_is_that_of_the_events_up_to_it() -> None:
    """At every instant, and at every position."""
    task = lived()
    for number, event in enumerate(events(task), 1):
        expected = state(events(task)[:number])
        assert expected is not None
        by_position = state_at(str(task.id), recorded(task), 10 * number)
        assert by_position.task is not None
        assert snapshot_of(by_position.task, fingerprint="") == snapshot_of(expected, fingerprint="")
        assert (by_position.position, by_position.at) == (10 * number, event.timestamp)
    found = state_at(str(task.id), recorded(task), at(1.5))
    assert found.task is not None
    assert (found.task.status, found.task.name) == (TaskStatus.PAUSED, "hourly")


def test_before_its_first_event_a_task_was_not_there() -> None:
    """Neither a state nor a guess."""
    found = state_at("x", recorded(lived()), at(-1))
    assert (found.task, found.position, found.fields, found.known) == (None, 0, {}, True)


def test_a_difference_says_field_by_field_who_changed_what_and_why() -> None:
    """Only what differs in the end is listed, with each event that moved it."""
    task = lived()
    changes = {change.name: change for change in changes_of(recorded(task), at(0.7), at(2.5))}
    assert set(changes) == {"status", "definition.name"}
    assert (changes["status"].before, changes["status"].after) == ("active", "paused")
    [step] = changes["definition.name"].steps
    assert (step.at, step.topic, step.by, step.reason) == (at(2), "task.revised", "bob", "clearer")
    whole = {change.name: change for change in changes_of(recorded(task), at(3.5), at(0.7))}
    assert "status" not in whole  # paused and resumed: the same again; and the order of the moments does not matter
    assert whole["definition.name"].after == "weekly"


def test_a_difference_tells_every_command_in_between() -> None:
    """Also what was undone again: in order, each with who, what and why; the last hundred, and how many were before."""
    task = lived()
    stream = recorded(task)
    found = difference("x", Loaded(events=stream[:3]), stream[3:])
    assert [(one.topic, one.what, one.by, one.reason) for one in found.commands] == [
        ("task.paused", "", "ann", "moving"),
        ("task.revised", "name: hourly -> weekly", "bob", "clearer"),
        ("task.resumed", "", "ann", None),
    ]
    assert (found.left_out, found.schedule) == (0, None)
    for number in range(MOST_COMMANDS):
        task.request_run(f"r{number}", now=at(4), by="ann")
    more = recorded(task)
    found = difference("x", Loaded(events=more[:3]), more[3:])
    assert (len(found.commands), found.left_out) == (MOST_COMMANDS, 3)


def test_a_difference_from_before_the_task_names_who_made_it() -> None:
    """Everything is new."""
    task = lived()
    changes = changes_of(recorded(task), at(-1), at(0))
    assert {change.before for change in changes if change.before is not None} == set()
    assert {step.topic for change in changes for step in change.steps} == {"task.created"}


def test_nothing_is_guessed_beyond_an_event_that_cannot_be_read() -> None:
    """It is named; the state before it is given as what it is."""
    task = lived()
    one: Any = events(task)[3]
    broken = EventUnreadable(task.id, 4, one.topic, "damaged", one.timestamp)
    stream = [r._replace(event=broken) if r.position == 40 else r for r in recorded(task)]
    found = state_at(str(task.id), stream, at(3))
    assert (found.known, found.blocked, found.position) == (False, broken, 30)
    assert found.task is not None
    assert found.task.is_active
    assert state_at(str(task.id), stream, at(0.7)).known
    with pytest.raises(EventUnreadable, match="damaged"):
        changes_of(stream, at(0), at(3))


def test_a_history_with_a_missing_event_is_known_up_to_there() -> None:
    """The next one does not apply, and is named."""
    found = state_at("x", [one for one in recorded(lived()) if one.position != 40], at(9))
    assert found.position == 30
    assert found.blocked is not None
    assert "does not apply" in str(found.blocked)


def test_an_event_of_a_clock_that_was_set_back_belongs_to_what_stands_before_it() -> None:
    """The order of the log is the order of what happened."""
    task = make()
    task.pause(now=at(2), by="ann")
    task.resume(now=at(1), by="ann")
    found = state_at(str(task.id), recorded(task), at(1))
    assert found.task is not None
    assert (found.position, found.task.status) == (40, TaskStatus.ACTIVE)


def test_an_event_of_unknown_time_belongs_to_the_one_before_it() -> None:
    """Whether it happened by then, nobody knows: so the state is not known either."""
    stream = recorded(lived())
    broken = [
        r._replace(event=EventUnreadable("x", 4, "task.paused", "damaged")) if r.position == 40 else r for r in stream
    ]
    assert len(then(broken, at(0.7))) == 4
    assert not state_at("x", broken, at(0.7)).known
    assert state_at("x", broken, at(0.55)).known
    assert not state_at("x", broken, at(2)).known


def test_a_store_tells_the_state_of_several_tasks(tmp_path: Path) -> None:
    """Those that did not exist yet are left out."""
    first, second = make(), make(now=at(2), name="later")
    first.pause(now=at(1), by="ann")
    with opened(tmp_path) as store:
        for task in (first, second):
            store.put(task)
        ids = [str(first.id), str(second.id)]
        past, heads = Past(store.log, store.rows), {str(first.id): 2, str(second.id): 1}
        assert [one.task_id for one in past.tasks(past.where(at(1)), heads)] == ids[:1]
        assert [one.fields["status"] for one in past.tasks(past.where(at(3)), heads)] == ["paused", "active"]
        last = past.where(store.log.last_position())
        assert [one.fields for one in past.tasks(last, heads)] == [
            one.fields for one in past.tasks(past.where(at(9)), heads)
        ]


def test_fields_are_plain_values_with_the_definition_spelled_out() -> None:
    """So that programs can read them."""
    fields = fields_of(make())
    assert fields["schedule.type"] == "hourly"
    assert fields["definition.guild_id"] == "1"
    assert fields["next_slot"] == fields_of(make())["next_slot"]
