"""What a process says at its start of destinations that it does not deliver to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from application import destinations
from application.destinations import left_to_others
from application.queries import Queries
from domain.destination import DeliveryStatus, Destination, DestinationType
from tests.domain.task_parts import at, changed, claim, done, make, outcome, summary_task
from tests.infrastructure.store_parts import Store, opened

CHANNEL = Destination(type=DestinationType.DISCORD_CHANNEL, target="345678901234567890")
MAIL = Destination(type=DestinationType.EMAIL, target="a@example.org", format="html")
OFF = Destination(type=DestinationType.EMAIL, target="c@example.org", format="html", enabled=False)
OTHER = Destination(type=DestinationType.DISCORD_CHANNEL, target="345678901234567891")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store."""
    with opened(tmp_path) as store:
        yield store


@pytest.fixture
def queries(store: Store) -> Queries:
    """Questions to it."""
    return Queries(store.rows, store.log, None)  # type: ignore[arg-type]


def undelivered(places: Iterable[Destination]) -> list[DestinationType]:
    """As a process that delivers to files alone."""
    return list(dict.fromkeys(place.type for place in places if place.type is not DestinationType.FILE))


def test_where_everything_is_delivered_here_nothing_is_said(store: Store, queries: Queries) -> None:
    """Nor of destinations that are off, and of tasks that have ended or are paused."""
    assert left_to_others(queries, undelivered) is None
    store.put(summary_task("a"))
    store.put(make())
    store.put(summary_task(destinations=[OFF]))
    paused, over = store.put(summary_task(destinations=[CHANNEL])), store.put(summary_task(destinations=[CHANNEL]))
    store.do(paused, lambda task: task.pause(now=at(0), by="p"))
    store.do(over, lambda task: task.cancel(now=at(0), by="p"))
    assert left_to_others(queries, undelivered) is None


def test_a_destination_that_refused_for_good_is_none_that_waits(store: Store, queries: Queries) -> None:
    """It was disabled alone; another one of its kind counts."""
    task = summary_task(destinations=[MAIL, CHANNEL])
    refused = outcome(MAIL, DeliveryStatus.FAILED, permanent=True, now=at(0.6))
    done(task, claim(task, at(0.5)), at(0.6), [refused, outcome(CHANNEL, now=at(0.6))])
    task_id = store.put(task)
    said = left_to_others(queries, undelivered)
    assert said is not None
    assert "discord_channel" in said
    assert "email" not in said
    other = Destination(type=DestinationType.EMAIL, target="b@example.org", format="html")
    store.do(task_id, lambda task: task.revise(changed(task, destinations=[MAIL, other]), now=at(0.8), by="p"))
    said = left_to_others(queries, undelivered)
    assert said is not None
    assert said.startswith("of the active tasks 1 has destinations of the kind email")


def test_each_kind_is_named_with_the_number_of_its_tasks_and_what_to_do(
    store: Store, queries: Queries, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one line; of very many tasks only those that are due next are looked at, and it says so."""
    for places in ([CHANNEL], [CHANNEL, OTHER], [CHANNEL, MAIL]):
        store.put(summary_task(destinations=places))
    said = left_to_others(queries, undelivered)
    assert said == (
        "of the active tasks 3 have destinations of the kind discord_channel, which this process does not deliver to: "
        "start one that is connected to Discord (your bot, or `daybook run` with DISCORD_TOKEN), or their results wait"
        "; 1 has destinations of the kind email, which this process does not deliver to: "
        "start one that has a mail server (DAYBOOK_SMTP_HOST), or their results wait"
    )
    monkeypatch.setattr(destinations, "TASKS_LOOKED_AT", 2)
    said = left_to_others(queries, undelivered)
    assert said is not None
    assert said.startswith("of the 2 tasks that are due next 2 have destinations of the kind discord_channel")
