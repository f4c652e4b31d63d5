"""An older version meets what a newer one wrote: its task stops and says why, all others go on, an upgrade mends it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, ClassVar
from uuid import UUID

import pytest

from application.ports import Append
from domain.errors import EventUnreadable
from domain.event import EVENT_TYPES
from domain.task import ScheduledTask
from domain.task_events import Paused, TaskEvent
from tests.e2e.machine import HOUR, Machine, until


class _Hibernated(TaskEvent):
    """A kind of event that only a newer version knows."""

    topic: ClassVar[str] = "task.hibernated"

    def apply(self, task: ScheduledTask) -> None:
        """Nothing moves."""


del EVENT_TYPES["task.hibernated"]


@pytest.fixture
def upgraded() -> Iterator[Any]:
    """Makes this program know the newer kind, until the test ends."""
    yield lambda: EVENT_TYPES.__setitem__("task.hibernated", _Hibernated)
    EVENT_TYPES.pop("task.hibernated", None)


def written_by_a_newer_version(machine: Machine, task_id: str, kind: type[TaskEvent], **fields: Any) -> None:
    """The next event of the task, as another process with a newer version appends it."""
    log = machine.scheduler.stores.log
    stream = UUID(task_id)
    event = kind(
        originator_id=stream,
        originator_version=log.heads([stream])[stream] + 1,
        timestamp=machine.clock.now(),
        **fields,
    )
    log.append([Append(stream, "42", [event])])


async def test_an_event_of_a_newer_version_stops_its_own_task(
    machine: Machine, upgraded: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """It is not run, it can be seen, commands say what to do, every other task runs; after the upgrade it goes on."""
    stopped = await machine.task(name="stopped", parameters={"name": "stopped"})
    other = await machine.task(name="other")
    written_by_a_newer_version(machine, stopped, _Hibernated)
    await machine.timer.check()
    for _ in range(2):
        machine.clock.move(HOUR)
        await machine.timer.check()
        await until(lambda: not machine.is_busy())
    said = [record for record in caplog.messages if "is left alone, its history cannot be read" in record]
    assert len(said) == 1, "once, although it is tried again and again"
    queries = machine.scheduler.queries
    assert queries.task(other).metadata.execution_count == 2
    assert queries.task(stopped).metadata.execution_count == 0
    assert queries.task(stopped).name == "stopped"
    [fault] = queries.faults()
    assert (fault["stream"], fault["topic"]) == (stopped, "task.hibernated")
    with pytest.raises(EventUnreadable, match="a newer version of this program wrote it; this one needs an upgrade"):
        await machine.scheduler.pause_task(stopped)
    await machine.scheduler.stop()
    upgraded()
    await machine.boot()
    # A version that knows more makes its rows by other code, so it makes them anew; here the code is the same.
    machine.scheduler.stores.read_model.reset()
    machine.scheduler.stores.read_model.catch_up(machine.scheduler.stores.log)
    assert machine.scheduler.queries.faults() == []
    await machine.wait(timedelta(minutes=61))
    assert machine.scheduler.queries.task(stopped).metadata.execution_count >= 1
    machine.counts()  # and every slot is accounted for


async def test_a_newer_layout_of_a_known_event_stops_its_own_task(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same where the kind is known and its layout is newer than this program."""
    stopped, other = await machine.task(name="stopped"), await machine.task(name="other")
    with monkeypatch.context() as newer:
        newer.setattr(Paused, "schema_version", 2)
        written_by_a_newer_version(machine, stopped, Paused, by="somebody")
    await machine.timer.check()
    with pytest.raises(EventUnreadable, match="schema version 2, this program knows 1: it needs an upgrade"):
        await machine.scheduler.cancel_task(stopped)
    machine.clock.move(HOUR)
    await machine.timer.check()
    await until(lambda: machine.scheduler.queries.task(other).metadata.execution_count == 1)
    assert machine.scheduler.queries.task(stopped).metadata.execution_count == 0
