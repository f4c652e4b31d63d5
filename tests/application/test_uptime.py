"""Who was up, and which custom operations each knew."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from application.ports import Recorded
from application.uptime import unknown_to, uptime
from domain.node import Node
from tests.domain.task_parts import START

HOURS = st.integers(0, 12)
KNOWN = st.sampled_from([None, (), ("x",), ("o",), ("o", "x")])
LIVES = st.lists(
    st.tuples(HOURS, st.integers(0, 6), KNOWN, st.none() | st.tuples(st.integers(0, 6), KNOWN)), max_size=4
)


def at(hour: float) -> datetime:
    """So many hours after the start."""
    return START + timedelta(hours=hour)


def recorded(lives: list[Any]) -> list[Recorded]:
    """The events of processes: (start, length or 0 for one that goes on, what it knows, (later, what it learns))."""
    events: list[Any] = []
    for number, (begin, lasts, known, later) in enumerate(lives):
        node = Node.start(f"n{number}", now=at(begin), host="h", pid=1, version="1", rules="r", operations=known)
        if later is not None and later[1] is not None and (not lasts or later[0] <= lasts):
            node.learn(later[1], now=at(begin + later[0]))
        if lasts:
            node.stop(now=at(begin + lasts))
        events += node.collect_events()
    events.sort(key=lambda event: (event.timestamp, event.originator_version))
    return [Recorded(position, event) for position, event in enumerate(events, 1)]


def knowing(lives: list[Any], hour: float) -> set[tuple[str, ...] | None]:
    """What those that are up in the middle of an hour know then, by the plain meaning of their lives."""
    found = set()
    for begin, lasts, known, later in lives:
        if begin <= hour and (not lasts or hour < begin + lasts):
            learned = later is not None and later[1] is not None and begin + later[0] <= hour
            learned = learned and (not lasts or later[0] <= lasts)
            found.add(tuple(sorted(later[1])) if learned else known)
    return found


@given(LIVES, HOURS, st.integers(1, 12))
def test_an_operation_was_unknown_where_some_process_was_up_and_none_of_them_knew_it(
    lives: list[Any], since: int, lasts: int
) -> None:
    """Hour by hour from the slot until one knew it, or to the end; where one does not say what it knows, nobody can."""
    found = unknown_to(uptime(recorded(lives)), "o", at(since), at(since + lasts), "UTC")
    until_known = []
    for hour in range(since, since + lasts):
        known = knowing(lives, hour + 0.5)
        if any(one is not None and "o" in one for one in known):
            break
        until_known.append(known)
    expected = any(until_known) and not any(None in known for known in until_known)
    assert (found is not None) == expected
    if found is not None:
        positions = {one.position for one in found[1]}
        assert positions <= {one.position for one in recorded(lives)}
        assert positions


@given(LIVES, HOURS, st.integers(0, 12))
def test_every_process_that_is_named_as_not_knowing_was_up_then(lives: list[Any], since: int, lasts: int) -> None:
    """And said what it knew."""
    found = unknown_to(uptime(recorded(lives)), "o", at(since), at(since + lasts), "UTC")
    if found is None:
        return
    events: dict[int, Any] = dict(recorded(lives))
    for one in found[1]:
        event = events[one.position or 0]
        assert one.at == event.timestamp <= at(since + lasts)
        assert event.node in one.words
