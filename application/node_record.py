"""What a process writes down of itself: that it began, which custom operations it knows, and that it ended."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from application.ports import Command, Writer
from domain.errors import Refused
from domain.node import Node, node_stream
from domain.schedule import rules_fingerprint

__all__ = ["NodeIdentity", "NodeRecord"]


@dataclass(frozen=True, slots=True)
class NodeIdentity:
    """This process, as the log knows it."""

    name: str
    host: str
    pid: int
    version: str


class NodeRecord:
    """Writes the stream of this process. ``operations`` are those that the log says it knows: it claims no others."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self.operations: tuple[str, ...] = ()
        self._told: tuple[str, ...] = ()

    async def began(self, node: NodeIdentity, operations: Sequence[str], now: datetime) -> None:
        """It serves from now on."""
        known = tuple(operations)

        def begin() -> Node:
            return Node.start(
                node.name,
                now=now,
                host=node.host,
                pid=node.pid,
                version=node.version,
                rules=rules_fingerprint(),
                operations=known,
            )

        await self._writer.execute(Command(node_stream(node.name), lambda started: None, create=begin))
        self.operations = self._told = known

    async def knows(self, node: NodeIdentity, operations: Sequence[str], now: datetime) -> None:
        """What was registered since is written down before anything is claimed by it."""
        known = self._told = tuple(operations)
        if known == self.operations:
            return
        with suppress(Refused):  # others take this process for dead: it joins again, and says it then
            await self._writer.execute(Command(node_stream(node.name), lambda found: found.learn(known, now=now)))
            self.operations = known

    def expected(self, operations: Sequence[str]) -> tuple[str, ...]:
        """Those that it will claim when it next looks: of what was registered since, the log is told then."""
        now = tuple(operations)
        return self.operations if now == self._told else now

    async def ended(self, node: NodeIdentity, interrupted_runs: int, now: datetime) -> None:
        """It ended in good order; where others took it for dead, that stands."""
        stopped = Command(node_stream(node.name), lambda found: found.stop(now=now, interrupted_runs=interrupted_runs))
        await self._writer.execute_many([stopped])
