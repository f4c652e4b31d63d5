"""Who may ask what of the past."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from application.audit import Audit
from application.evidence import Reason
from application.fates import Fate
from application.ports import Command
from application.queries import Queries
from domain.errors import NotFound, TaskNotFound
from domain.node import Node
from domain.principal import Principal
from domain.task import ScheduledTask
from tests.domain.task_parts import at, make
from tests.doubles import HandClock
from tests.infrastructure.store_parts import Store, opened

MINE = Principal(reference="person:1", guild_id="1")
OTHER = Principal(reference="person:2", guild_id="2")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty store."""
    with opened(tmp_path) as made:
        yield made


@pytest.fixture
def audit(store: Store) -> Audit:
    """The past of that store, asked at half past eleven."""
    return Audit(Queries(store.rows, store.log, None), store.log, HandClock(at(3)))  # type: ignore[arg-type]


@pytest.fixture
def task(store: Store) -> ScheduledTask:
    """An hourly task of guild 1, paused since the beginning."""
    made = make()
    made.pause(now=at(0.2), by="ann", reason="moving")
    store.put(made)
    return made


def test_members_of_the_guild_get_answers(audit: Audit, task: ScheduledTask) -> None:
    """All of them from the log."""
    task_id = str(task.id)
    assert audit.why(task_id, at(1.5), principal=MINE).reason is Reason.PAUSED
    assert audit.account(task_id, principal=MINE).fates == {Fate.DUE: 3}
    assert [one.slot for one in audit.slots(task_id, principal=MINE)] == [at(0.5), at(1.5), at(2.5)]
    [then] = audit.as_of(at(0.1), [task_id], principal=MINE)
    assert then.fields["status"] == "active"
    assert [change.name for change in audit.difference(task_id, at(0.1), at(2), principal=MINE)] == ["status"]
    assert [one.task_id for one in audit.tasks(principal=MINE)] == [task_id]


def test_to_others_the_task_does_not_exist(audit: Audit, task: ScheduledTask) -> None:
    """Whatever they ask."""
    task_id = str(task.id)
    for ask in (
        lambda: audit.why(task_id, at(1.5), principal=OTHER),
        lambda: audit.account(task_id, principal=OTHER),
        lambda: audit.slots(task_id, principal=OTHER),
        lambda: audit.as_of(at(1), [task_id], principal=OTHER),
        lambda: audit.difference(task_id, at(0), at(1), principal=OTHER),
    ):
        with pytest.raises(TaskNotFound):
            ask()
    assert audit.tasks(principal=OTHER) == []
    with pytest.raises(NotFound):
        audit.tasks("1", principal=OTHER)


def test_the_log_says_when_no_process_was_up(audit: Audit, store: Store) -> None:
    """The streams of the nodes are read with the task's."""
    task = make(catch_up="skip")
    store.put(task)
    for name, begun, ended in (("a", at(0), at(0.2)), ("b", at(2.2), None)):
        node = Node.start(name, now=begun, host="h", pid=1, version="1", rules="r")
        if ended is not None:
            node.stop(now=ended)
        [outcome] = store.writer.execute_now([_written(list(node.collect_events()))])
        assert outcome is None
    store.do(task.id, lambda one: one.claim(now=at(2.2), node="b", deadline=at(1) - at(0)))
    found = audit.why(str(task.id), at(0.5))
    assert found.reason is Reason.MISSED
    assert "no process was up from 2026-03-02 08:42 +0000 to 2026-03-02 10:42 +0000" in found.answer


def _written(events: list[Any]) -> Command:
    def create() -> Node:
        node = None
        for event in events:
            node = event.mutate(node)
        assert isinstance(node, Node)
        node.pending_events.extend(events)
        return node

    return Command(events[0].originator_id, lambda fresh: None, create=create)
