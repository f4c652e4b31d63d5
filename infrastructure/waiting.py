"""What the writer's queue holds: commands that wait, and the callers to wake."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from application.ports import Command

__all__ = ["Group", "Waiting", "new_streams", "wake"]


class Group:
    """Commands handed over together, and the one future of their caller: waking a caller costs, so it is done once.

    Those of a ``whole`` group are written together or not at all.
    """

    __slots__ = ("future", "loop", "outcomes", "remaining", "whole")

    def __init__(self, size: int, loop: asyncio.AbstractEventLoop | None, whole: bool = False) -> None:
        self.loop, self.remaining, self.whole = loop, size, whole
        self.outcomes: list[Any] = [None] * size
        self.future: asyncio.Future[list[Any]] | Future[list[Any]] = loop.create_future() if loop else Future()


@dataclass(slots=True)
class Waiting:
    """One command, its stream as a number, its place in its group, and how often it was decided."""

    command: Command
    group: Group
    index: int
    decisions: int = 0
    outcome: Any = None
    refusal: Exception | None = None
    settled: bool = False
    stream: int = field(init=False)

    def __post_init__(self) -> None:
        self.stream = self.command.stream_id.int


def wake(groups: Sequence[Group]) -> None:
    """Hand the outcomes to the callers that still wait."""
    for group in groups:
        if not group.future.done():
            group.future.set_result(group.outcomes)


def new_streams(batch: Sequence[Waiting]) -> set[int]:
    """Streams that a first command creates. One that was overtaken looks first."""
    first: dict[int, Waiting] = {}
    for waiting in batch:
        first.setdefault(waiting.stream, waiting)
    return {
        stream
        for stream, waiting in first.items()
        if waiting.command.create is not None and not waiting.command.or_create and not waiting.decisions
    }
