"""A log, its writer and its read model in one folder, opened as a service and as processes beside it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

from application.ports import Command, Recorded
from domain.errors import EventUnreadable
from domain.task import ScheduledTask, state
from infrastructure.mapper import EventMapper
from infrastructure.read_model import SqliteReadModel
from infrastructure.rows_apart import RowsApart
from infrastructure.sqlite_log import SqliteLog
from infrastructure.writer import LogWriter
from tests.contracts.log_parts import TinyVault

__all__ = ["Store", "created", "opened"]

FINGERPRINT = "tests"


class Store:
    """One process's view of a folder. A ``companion`` appends beside the one that keeps the rows.

    With ``apart`` another process makes them in a burst.
    """

    def __init__(self, folder: Path, *, companion: bool = False, log: Any = None, apart: bool = False) -> None:
        mapper = EventMapper(TinyVault())  # type: ignore[arg-type]
        path = folder / "log.db"
        self.log: Any = log if log is not None else SqliteLog(path, mapper, fingerprint=FINGERPRINT)
        self.rows = SqliteReadModel(folder / "readmodel.db", writable=not companion)
        if not companion:
            self.rows.catch_up(self.log)
        self.apart = RowsApart(self.rows.path, TinyVault()) if apart else None  # type: ignore[arg-type]
        rows = None if companion else self.rows
        self.writer = LogWriter(self.log, rows, fingerprint=FINGERPRINT, apart=self.apart)

    def do(self, task_id: UUID, decide: Callable[[Any], Any]) -> Any:
        """What one command came to; raises what it raised."""
        [outcome] = self.writer.execute_now([Command(task_id, decide)])
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def put(self, task: ScheduledTask) -> UUID:
        """Write a task that was just made."""
        [outcome] = self.writer.execute_now([created(task)])
        assert outcome is None, outcome
        return task.id

    def see_others(self) -> int:
        """Let the writer's thread look at what others wrote, and wait for it."""
        seen: list[int] = []
        probe = Command(UUID(int=0), lambda nothing: None)
        self.writer._queue.put(lambda: seen.append(self.writer._see_others()))
        self.writer.execute_now([probe])
        return seen[0]

    def hold(self) -> threading.Event:
        """Make the writer's thread wait until the returned event is set."""
        gate = threading.Event()

        def wait() -> None:
            gate.wait()

        self.writer._queue.put(wait)
        return gate

    def cached(self, task_id: UUID) -> Any:
        """The aggregate in the writer's memory, if it is there."""
        return self.writer._streams._cache.get(task_id.int)

    def events(self, stream_id: UUID) -> list[Any]:
        """Everything that was written about a stream."""
        return [event for _, event in self.log.stream(stream_id)]

    def replayed(self, stream_id: UUID) -> ScheduledTask:
        """The task as its events make it."""
        task = state(self.events(stream_id))
        assert task is not None
        return task

    def everything(self) -> list[Recorded]:
        """The whole log."""
        recorded: list[Recorded] = self.log.read(0, 1_000_000)
        assert not any(isinstance(event, EventUnreadable) for _, event in recorded)
        return recorded

    def close(self) -> None:
        """Release everything."""
        self.writer.close()
        self.rows.close()
        self.log.close()


def created(task: ScheduledTask) -> Command:
    """The command that writes a task that was just made."""
    events = list(task.pending_events)

    def create() -> ScheduledTask:
        fresh = state(events)
        assert fresh is not None
        fresh.pending_events.extend(events)
        return fresh

    return Command(task.id, lambda fresh: None, create=create)


@contextmanager
def opened(folder: Path, *, companion: bool = False, log: Any = None, apart: bool = False) -> Iterator[Store]:
    """A store that is closed in the end."""
    store = Store(folder, companion=companion, log=log, apart=apart)
    try:
        yield store
    finally:
        store.close()
