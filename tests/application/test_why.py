"""Every row of the decision table is what the program answers."""

from __future__ import annotations

import re

import pytest

from application.evidence import Reason
from application.ports import Recorded
from application.why import why
from domain.errors import EventUnreadable
from tests.application.why_parts import Row, history_of, moment, rows

_RUN = re.compile(r"run [0-9a-f]{20,24}")


@pytest.mark.parametrize("row", rows(), ids=lambda row: f"{row.reason}: {row.history}")
def test_a_row_of_the_decision_table_is_what_the_program_answers(row: Row) -> None:
    """The reason, what the accounts say, and the words."""
    history = history_of(row.history)
    found = why(history.recorded, history.recorded_nodes, moment(row.asked), now=history.now)
    said = (found.reason.value, found.fate.value if found.fate is not None else "-", _RUN.sub("run R", found.answer))
    assert said == (row.reason, row.fate, row.answer)


@pytest.mark.parametrize("row", rows(), ids=lambda row: f"{row.reason}: {row.history}")
def test_the_evidence_stands_in_the_log(row: Row) -> None:
    """Each piece of it names an event that is there, at the instant that the event says."""
    history = history_of(row.history)
    written = dict([*history.recorded, *history.recorded_nodes])
    found = why(history.recorded, history.recorded_nodes, moment(row.asked), now=history.now)
    for one in found.evidence:
        assert one.words
        if one.position is not None:
            event = written[one.position]
            assert isinstance(event, EventUnreadable) or one.at is not None


@pytest.mark.parametrize("row", rows(), ids=lambda row: f"{row.reason}: {row.history}")
def test_every_answer_names_an_event_that_it_rests_on(row: Row) -> None:
    """What is to come and what the calendar leaves out, too: the event that brought the rule."""
    history = history_of(row.history)
    found = why(history.recorded, history.recorded_nodes, moment(row.asked), now=history.now)
    assert any(one.position is not None for one in found.evidence), found


def test_the_table_has_a_row_for_every_reason() -> None:
    """But for one that nothing writes yet."""
    assert {row.reason for row in rows()} == {reason.value for reason in Reason} - {Reason.EXCLUDED.value}


def test_a_whole_minute_stands_for_the_slot_within_it() -> None:
    """Schedules that are spread have slots at odd seconds."""
    history = history_of("08:30 make type=daily time=11:00 spread=2; 12:50 serve; 12:55 now")
    found = why(history.recorded, [], moment("12:47"), now=history.now)
    assert (found.instant, found.slot, found.reason) == (moment("12:47"), moment("12:47:23"), Reason.EXECUTED)


def test_a_process_whose_events_cannot_be_read_is_named() -> None:
    """Whether it was up is then not known."""
    history = history_of("08:30 make type=hourly catch_up=skip; 08:31 up n1; 10:20 claim; 10:30 now")
    [(position, event)] = history.recorded_nodes
    broken = EventUnreadable(event.originator_id, 1, event.topic, "damaged")  # type: ignore[union-attr]
    found = why(history.recorded, [history.recorded_nodes[0]._replace(event=broken)], moment("09:00"), now=history.now)
    assert found.reason is Reason.MISSED
    assert found.evidence[-1].position == position
    assert "unreadable" in found.evidence[-1].words
    assert not found.whole
    assert found.answer.endswith("when processes were up is not wholly known")


@pytest.mark.parametrize("row", rows(), ids=lambda row: f"{row.reason}: {row.history}")
def test_an_answer_without_one_of_the_events_is_the_same_or_says_that_it_may_be_otherwise(row: Row) -> None:
    """Whichever event of the task, or of a process, cannot be read."""
    history = history_of(row.history)
    told = why(history.recorded, history.recorded_nodes, moment(row.asked), now=history.now)
    recorded = [*history.recorded, *history.recorded_nodes]
    for place, (position, event) in enumerate(recorded):
        if isinstance(event, EventUnreadable):
            continue
        broken = EventUnreadable(event.originator_id, event.originator_version, event.topic, "damaged")
        seen = [*recorded[:place], Recorded(position, broken), *recorded[place + 1 :]]
        events, nodes = seen[: len(history.events)], seen[len(history.events) :]
        found = why(events, nodes, moment(row.asked), now=history.now)
        if found.whole:
            assert (found.reason, found.answer) == (told.reason, told.answer), event.topic
        else:
            unknown = found.reason in (Reason.UNREADABLE, Reason.LOST)
            assert unknown or position in {one.position for one in found.evidence}, event.topic


def test_a_run_on_request_does_not_hide_that_the_schedule_cannot_be_read() -> None:
    """There may have been a slot in that minute as well."""
    history = history_of("08:30 make type=hourly; 08:30 erased; 09:20 request; 09:30 now")
    assert why(history.recorded, [], moment("09:20"), now=history.now).reason is Reason.ERASED
