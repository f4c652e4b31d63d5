"""What must hold of Daybook's store after a measurement: a figure of a store that is wrong is no figure."""

from __future__ import annotations

from uuid import UUID

from domain.errors import EventUnreadable
from domain.task_events import Executed, TaskEvent
from infrastructure.stores import Stores
from tests.e2e.evidence import check_accounting, check_rows

__all__ = ["check_rebuilt", "check_touched"]

_READ_EVENTS = 10_000


def check_touched(stores: Stores, since: int, runs: int) -> None:
    """Every slot of the tasks that something happened to after a position is accounted for; so many were executed.

    Their rows say what their events say.
    """
    log, position, executed = stores.log, since, 0
    touched: set[UUID] = set()
    while chunk := log.read(position, _READ_EVENTS):
        position = chunk[-1].position
        for _, event in chunk:
            assert not isinstance(event, EventUnreadable), event
            if isinstance(event, TaskEvent):
                touched.add(event.originator_id)
                executed += isinstance(event, Executed)
    assert executed == runs, f"{executed:,} runs were executed, not {runs:,}"
    streams = {stream_id: [event for _, event in log.stream(stream_id)] for stream_id in touched}
    for stream_id, stream in streams.items():
        counts = check_accounting(stream)
        assert counts["pending"] == counts["running"] == 0, f"{stream_id} has open runs"
    check_rows(streams, stores.read_model)


def check_rebuilt(stores: Stores) -> None:
    """A read model made anew from the whole log equals the live one."""
    assert (differing := stores.read_model.differing(stores.log)) == {}, f"rebuilt rows differ: {differing}"
