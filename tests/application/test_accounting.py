"""The accounts of a task: what they count, what they leave out, and when they raise an alarm."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from application.accounting import Account, account, slot_fates, summed
from application.fates import Fate, FindingKind
from application.ports import Recorded
from domain.errors import EventUnreadable, PayloadErased
from domain.task import ScheduledTask
from domain.task_events import Replanned, Skipped, SkipReason
from tests.domain.task_parts import START, at, changed, claim, done, events, failed, make


def recorded(task: ScheduledTask, broken: dict[int, EventUnreadable] | None = None) -> list[Recorded]:
    """The task's events as the log holds them; those of some versions unreadable."""
    return [Recorded(number, (broken or {}).get(number, event)) for number, event in enumerate(events(task), 1)]


def unreadable(task: ScheduledTask, number: int, kind: type[EventUnreadable] = EventUnreadable) -> EventUnreadable:
    """The event of that number as one that cannot be read."""
    event: Any = events(task)[number - 1]
    if kind is PayloadErased:
        return PayloadErased(task.id, number, event.topic)
    return EventUnreadable(task.id, number, event.topic, "damaged", event.timestamp)


def served(hours: int = 3) -> ScheduledTask:
    """An hourly task that ran so many slots."""
    task = make()
    for hour in range(hours):
        done(task, claim(task, at(0.5 + hour)), at(0.6 + hour))
    return task


def test_every_kind_of_fate_is_counted_apart() -> None:
    """Executed, failed, quiet, paused, requested, missed, under way, due, and ahead."""
    task = make(max_failures=9)
    done(task, claim(task, at(0.5)), at(0.6))
    failed(task, claim(task, at(1.5)), at(1.6), permanent=True)
    quiet = claim(task, at(2.5))
    task.skip_run(quiet.run, quiet.attempt, quiet.owner, now=at(2.6), reason=SkipReason.QUIET)
    task.pause(now=at(3), by="p")
    task.resume(now=at(5), by="p")
    task.request_skip(1, now=at(5.1), by="p")
    claim(task, at(9.5))
    found = account(recorded(task), now=at(10.6), end=at(12.6))
    assert found.fates == {
        Fate.EXECUTED: 1, Fate.FAILED: 1, Fate.QUIET: 1, Fate.PAUSED: 2, Fate.REQUESTED: 1, Fate.MISSED: 3,
        Fate.OPEN: 1, Fate.DUE: 1, Fate.AHEAD: 2,
    }  # fmt: skip
    assert (found.implied, found.counted, found.skipped, found.pending) == (13, 13, 7, 4)
    assert found.proven
    assert not found.alarm


def test_runs_on_request_and_backfills_are_counted_apart() -> None:
    """They have no slot: a slot that was missed stays missed, though it was made good later."""
    task = make(catch_up="skip")
    task.claim(now=at(2), node="n", deadline=timedelta(minutes=1))
    task.request_backfill(at(0), at(1), "again", now=at(2), by="p")
    done(task, claim(task, at(2)), at(2.1))
    found = account(recorded(task), now=at(2.2))
    assert found.fates == {Fate.MISSED: 2}
    assert found.manual == {"executed": 1}


def test_what_is_asked_for_as_the_task_is_made_counts() -> None:
    """An import, for one, does both at the same instant."""
    task = make()
    task.request_run("q", now=START, by="p")
    assert account(recorded(task), now=at(0.1)).manual == {"open": 1}


def test_an_edit_ends_the_account_of_one_rule_and_begins_that_of_the_next() -> None:
    """Both rules are counted, each for its own time."""
    task = served(2)
    task.revise(changed(task, schedule_type="fifteen-minutes"), now=at(1.6), by="p")
    found = account(recorded(task), now=at(2.6))
    assert found.fates == {Fate.EXECUTED: 2, Fate.DUE: 4}
    assert found.proven


def test_slots_are_named_with_the_event_that_decided_them() -> None:
    """The one that closed the run, not the one that started it."""
    task = served(1)
    [slot] = slot_fates(recorded(task), now=at(1))
    assert (slot.slot, slot.fate, slot.position, slot.decided_at) == (at(0.5), Fate.EXECUTED, 3, at(0.6))


@pytest.mark.parametrize("number", [1, 2, 4, 6, 8])
def test_a_missing_event_raises_an_alarm(number: int) -> None:
    """Whatever it said, its number is missing."""
    task = served(4)
    whole = recorded(task)
    assert not account(whole, now=at(4)).alarm
    found = account([one for one in whole if one.position != number], now=at(4))
    assert found.alarm
    assert FindingKind.GAP in {finding.kind for finding in found.findings}


def test_a_slot_that_no_event_decided_raises_an_alarm_though_the_numbers_fit() -> None:
    """What the next event decides must be what the one before promised, and the calendar counts for itself."""
    task = served(3)
    forged = [one for one in recorded(task) if one.position not in (4, 5)]
    renumbered: list[Any] = [one.event for one in forged]
    forged = [
        Recorded(number, event.model_copy(update={"originator_version": number}))
        for number, event in enumerate(renumbered, 1)
    ]
    found = account(forged, now=at(3))
    assert {finding.kind for finding in found.findings} == {FindingKind.CHAIN, FindingKind.LOST}
    assert (found.implied, found.counted) == (3, 2)
    assert found.alarm


def test_a_range_that_says_a_wrong_count_is_named() -> None:
    """The event that is wrong is found."""
    task = make(catch_up="skip")
    task.claim(now=at(4), node="n", deadline=timedelta(minutes=1))
    forged = [
        Recorded(p, e.model_copy(update={"count": 7}) if isinstance(e, Skipped) else e) for p, e in recorded(task)
    ]
    found = account(forged, now=at(4))
    [first, *_] = found.findings
    assert (first.kind, first.words, first.position) == (FindingKind.COUNT, "event 2 says 7 slots, there are 4", 2)
    assert found.alarm


def test_what_unreadable_events_decided_is_unknown_and_not_guessed() -> None:
    """The slots are counted as such, and the event is named."""
    task = served(4)
    found = account(recorded(task, {4: unreadable(task, 4)}), now=at(3.6))
    assert found.fates == {Fate.EXECUTED: 3, Fate.UNREADABLE: 1}
    assert found.alarm
    assert found.findings[0].words == "event 4 (task.started) is unreadable: damaged"


def test_a_run_whose_end_may_be_unreadable_is_not_said_to_be_under_way() -> None:
    """Nobody can know whether it is."""
    task = served(1)
    assert account(recorded(task, {3: unreadable(task, 3)}), now=at(1)).fates == {Fate.UNREADABLE: 1}


def test_a_schedule_that_cannot_be_read_is_named() -> None:
    """What was decided under it counts; what it implied is not known."""
    task = served(2)
    found = account(recorded(task, {1: unreadable(task, 1)}), now=at(1.6), start=START)
    assert found.fates[Fate.EXECUTED] == 2
    assert any("is not known: it stands in event 1 (task.created)" in f.words for f in found.findings)
    assert found.alarm


def test_erased_events_are_named_but_are_no_alarm() -> None:
    """They were destroyed on purpose; what they said cannot be proven any more."""
    task = served(2)
    erased = {number: unreadable(task, number, PayloadErased) for number in range(1, len(events(task)) + 1)}
    found = account(recorded(task, erased), now=at(2), start=START)
    assert not found.alarm
    assert not found.proven
    assert {finding.kind for finding in found.findings} == {FindingKind.ERASED}


def test_new_rules_are_no_alarm_where_they_moved_the_past() -> None:
    """A slot that was decided by the rules of then stays as it was decided."""
    task = served(2)
    old = [
        Recorded(
            p,
            e.model_copy(update={"rules": "tz2020"})
            if getattr(e, "rules", None) and not isinstance(e, EventUnreadable)
            else e,
        )
        for p, e in recorded(task)
        if p not in (4, 5)
    ]
    kinds = {finding.kind for finding in account(old, now=at(1.6)).findings}
    assert FindingKind.RULES not in kinds  # nothing was decided after the hole, and the slot is still due
    replanned = Replanned(
        originator_id=task.id, originator_version=6, timestamp=at(1.7), previous=at(2.5), next_slot=at(4.5), rules="new"
    )
    found = account([*recorded(task), Recorded(6, replanned)], now=at(5))
    assert found.fates == {Fate.EXECUTED: 2, Fate.DUE: 1}
    assert {finding.kind for finding in found.findings} == {FindingKind.RULES}
    assert not found.alarm


def test_accounts_of_several_tasks_are_summed() -> None:
    """An alarm of one is an alarm of the whole."""
    good, bad = served(2), served(3)
    accounts = [
        account(recorded(good), now=at(3)),
        account([one for one in recorded(bad) if one.position != 4], now=at(3)),
    ]
    whole = summed(accounts, now=at(3), end=at(3))
    assert whole.implied == accounts[0].implied + accounts[1].implied
    assert whole.alarm


def test_an_account_that_does_not_add_up_is_an_alarm_by_itself() -> None:
    """Whether or not anything was found."""
    found = account(recorded(served()), now=at(3))
    assert isinstance(found, Account)
    assert replace(found, implied=found.implied + 1).alarm
