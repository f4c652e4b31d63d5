"""What the writer's queue holds: commands that wait, and the callers to wake."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from itertools import groupby
from queue import Empty, SimpleQueue
from threading import Lock
from typing import Any

from application.ports import Command
from domain.errors import StoreError

__all__ = ["Group", "Waiting", "Work", "WorkQueue", "new_streams", "parts", "wake"]


class Group:
    """Commands handed over together, and the one future of their caller: waking a caller costs, so it is done once.

    Those of a ``whole`` group are written together or not at all.
    """

    __slots__ = ("future", "loop", "outcomes", "remaining", "whole")

    def __init__(self, size: int, loop: asyncio.AbstractEventLoop | None, whole: bool = False) -> None:
        self.loop, self.remaining, self.whole = loop, size, whole
        self.outcomes: list[Any] = [None] * size
        self.future: asyncio.Future[list[Any]] | Future[list[Any]] = loop.create_future() if loop else Future()


class Waiting:
    """One command, its stream as a number, its place in its group, and how often it was decided."""

    __slots__ = ("command", "decisions", "group", "index", "outcome", "refusal", "settled", "stream")

    def __init__(self, command: Command, group: Group, index: int) -> None:
        self.command, self.group, self.index = command, group, index
        self.stream = command.stream_id.int
        self.decisions = 0
        self.outcome: Any = None
        self.refusal: Exception | None = None
        self.settled = False


Work = list[Waiting] | Callable[[], None] | None
"""Commands, or a call to be made between two batches; None is the end."""


class WorkQueue:
    """What the writer is to do: put here from any thread, taken by the writer's alone. First come, first served.

    What callers of an event loop ask for in the same turn of it is handed over at its end, together: they would wait
    for one another anyway, and so one transaction serves all of them and the writer begins once.
    """

    def __init__(self) -> None:
        self._queue: SimpleQueue[Work] = SimpleQueue()
        self._asked: dict[asyncio.AbstractEventLoop, list[Waiting]] = {}
        self._gate = Lock()
        self._ended = False

    def ask(self, commands: Sequence[Command], loop: asyncio.AbstractEventLoop | None, whole: bool = False) -> Group:
        """Have these decided on for a caller in this event loop, or in none. Raises StoreError after the end."""
        group = Group(len(commands), loop, whole)
        waiting = [Waiting(command, group, index) for index, command in enumerate(commands)]
        if loop is None:
            self.put(waiting)
            return group
        with self._gate:
            self._check_open()
            if (asked := self._asked.get(loop)) is not None:
                asked.extend(waiting)
            else:
                self._asked[loop] = waiting
                loop.call_soon(self._turn_ended)
        return group

    def put(self, work: Work) -> None:
        """Have this done next. Raises StoreError after the end."""
        with self._gate:
            self._check_open()
            self._hand_over()
            self._queue.put(work)

    def end(self) -> None:
        """Nothing more comes. Idempotent."""
        with self._gate:
            if not self._ended:
                self._hand_over()
                self._queue.put(None)
                self._ended = True

    def take(self, seconds: float | None = None) -> Work:
        """What comes next, waiting for it (``seconds`` at most); no commands where nothing does by then."""
        try:
            return self._queue.get(timeout=seconds)
        except Empty:
            return []

    def _turn_ended(self) -> None:
        with self._gate:
            self._hand_over()

    def _hand_over(self) -> None:
        asked, self._asked = self._asked, {}
        for waiting in asked.values():
            self._queue.put(waiting)

    def _check_open(self) -> None:
        if self._ended:  # whatever is behind the end in the queue would never be answered
            raise StoreError("the store is closed")


def parts(batch: list[Waiting]) -> Iterator[list[Waiting]]:
    """What shares a transaction: commands that are written together have one of their own."""
    # A list, as wherever every command of a burst comes by: a generator takes twice as long.
    if any([waiting.group.whole for waiting in batch]):
        for _, part in groupby(batch, lambda waiting: waiting.group if waiting.group.whole else None):
            yield list(part)
    else:
        yield batch


def wake(groups: Sequence[Group]) -> None:
    """Hand the outcomes to the callers that still wait."""
    for group in groups:
        if not group.future.done():
            group.future.set_result(group.outcomes)


def new_streams(batch: Sequence[Waiting]) -> set[int]:
    """Streams that a first command creates. One that was overtaken looks first."""
    if all([waiting.command.create is None for waiting in batch]):
        return set()
    first: dict[int, Waiting] = {}
    for waiting in batch:
        first.setdefault(waiting.stream, waiting)
    return {
        stream
        for stream, waiting in first.items()
        if waiting.command.create is not None and not waiting.command.or_create and not waiting.decisions
    }
