"""What dead processes left behind, and what new calendar rules move: written down before anything is claimed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Container, Iterable, Sequence
from datetime import datetime
from time import monotonic
from typing import Any
from uuid import UUID

from application.ports import Clock, Command, Log, Presence, ReadModel, Writer
from application.rows import RunRow
from application.signs_of_life import last_signs
from domain.errors import Refused, StaleAttempt
from domain.event import from_epoch_microseconds
from domain.node import node_stream
from domain.schedule import rules_fingerprint
from domain.task import ScheduledTask
from domain.task_events import InterruptionReason

__all__ = ["Recovery"]

PAGE = 1000

UNDONE_SECONDS = 20.0
"""A run that this node holds and does not do is open by mistake after so long."""

_log = logging.getLogger(__name__)


class Recovery:
    """The knowledge of one node about the others. ``node`` is its own name."""

    def __init__(
        self, *, writer: Writer, read_model: ReadModel, log: Log, presence: Presence, clock: Clock, node: str
    ) -> None:
        self._writer, self._rows, self._log = writer, read_model, log
        self._presence, self._clock, self.node = presence, clock, node
        self._undone: dict[tuple[str, int], float] = {}
        self._told: set[UUID] = set()
        self.aside: Callable[..., Awaitable[Any]] = asyncio.to_thread

    async def recover(self, found_dead: Sequence[tuple[str, datetime]], doing: Iterable[str] = ()) -> None:
        """Write down which nodes died, and make what they held due again; but for the runs that this node is doing."""
        if await self._bury(found_dead) and found_dead:
            await self._bury(await self.aside(self._presence.beat, self.node, self._clock.now()))
        await self._take_over(self._rows.running(), set(doing))

    async def _bury(self, dead: Iterable[tuple[str, datetime]]) -> bool:
        """Whether all of it is written down."""
        now, me = self._clock.now(), self.node

        def lose(last_seen: datetime) -> Callable[[Any], None]:
            return lambda node: node.lose(now=now, last_seen=last_seen, noticed_by=me)

        lost = dict(dead)
        lost |= await self._unseen(now, known=lost)
        commands = [Command(node_stream(name), lose(last_seen)) for name, last_seen in lost.items()]
        outcomes = await self._writer.execute_many(commands)
        failed = [o for o in outcomes if isinstance(o, BaseException) and not isinstance(o, Refused | LookupError)]
        for outcome in failed:
            _log.error("a dead node could not be written down: %r", outcome)
        return not failed

    async def _unseen(self, now: datetime, known: Container[str]) -> dict[str, datetime]:
        """The dead of whom nobody knows when they were last seen, each with the last instant that is certain.

        A backup holds the log and not the presence, so what was restored knows no more than what each node wrote. That
        is a bound from below: an outage may be told as longer than it was by one pause between runs, and no more.
        """
        started = {
            row.node: from_epoch_microseconds(row.started_at)
            for row in self._rows.nodes(running_only=True)
            if row.node != self.node and row.node not in known and self._presence.dead([row.node], now)
        }
        signs = await self.aside(last_signs, self._log, started) if started else {}
        # A clock may have been set back meanwhile: nobody was last seen before the start.
        return {node: max(at, signs.get(node, at)) for node, at in started.items()}

    async def heal(self, doing: Callable[[], Iterable[str]]) -> None:
        """Make due again what is open and nobody does: a node died and it could not be taken over then, or a claim was
        written although this node was told that nobody knows. ``doing`` says which runs it is doing itself.
        """
        open_runs = await self.aside(self._rows.running)
        at, known = monotonic(), set(doing())
        mine = {(run.run_id, run.attempt) for run in open_runs if run.owner == self.node and run.run_id not in known}
        # What was just claimed, or has just ended, looks the same for a moment.
        self._undone = {attempt: self._undone.get(attempt, at) for attempt in mine}
        undone = {attempt for attempt, since in self._undone.items() if at - since >= UNDONE_SECONDS}
        await self._take_over(open_runs, known, undone)

    async def _take_over(
        self, open_runs: Sequence[RunRow], doing: set[str], undone: Container[tuple[str, int]] = ()
    ) -> None:
        """Record as interrupted what dead processes held, and what is ``undone``; it is due at once."""
        now, me = self._clock.now(), self.node
        running = [row for row in open_runs if row.run_id not in doing]
        owners = sorted({row.owner for row in running if row.owner and row.owner != me})
        dead = set(await self.aside(self._presence.dead, owners, now)) if owners else set()

        def interrupt(run: str, attempt: int, owner: str) -> Callable[[ScheduledTask], None]:
            return lambda task: task.interrupt(
                run, attempt, owner, now=now, cause=InterruptionReason.CRASH, noticed_by=me
            )

        commands = [
            Command(UUID(row.task_id), interrupt(row.run_id, row.attempt, row.owner))
            for row in running
            if row.owner and (row.owner in dead or (row.run_id, row.attempt) in undone)
        ]
        outcomes = await self._writer.execute_many(commands)
        for command, outcome in zip(commands, outcomes, strict=True):
            if not isinstance(outcome, BaseException) or isinstance(outcome, StaleAttempt):
                self._told.discard(command.stream_id)
            elif command.stream_id not in self._told:  # it is tried again at every look, and said once
                self._told.add(command.stream_id)
                _log.error("an attempt that nobody does could not be taken over: %r", outcome)

    async def replan(self, now: datetime) -> None:
        """The calendar rules changed since the last start: plan the future of every task again."""
        rules = rules_fingerprint()
        ids: list[UUID] = []
        while page := self._rows.tasks(statuses=("active", "paused", "disabled"), limit=PAGE, offset=len(ids)):
            ids += [UUID(row.task_id) for row, _ in page]
        # Only then: a task that is over under the new rules leaves these pages, and others would move up unseen.
        for start in range(0, len(ids), PAGE):
            await self._writer.execute_many(
                [Command(id, lambda task: task.replan(now=now, rules=rules)) for id in ids[start : start + PAGE]]
            )
