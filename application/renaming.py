"""The history of a task under another id, or in another guild: the same facts, with every name in them changed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from hashlib import blake2b
from typing import Any
from uuid import UUID

from domain import task_events as facts
from domain.event import Event
from domain.runs import run_id

__all__ = ["Renaming"]

_RUN_BYTES = 10


class Renaming:
    """Renames the events of one task, in their order.

    The ids of runs are made from the task's id: a copy has its own, or the rows of two tasks would be one. The key of
    the schedule stays, so that every slot stays where it was. ``open_runs`` are the new ids, by the old ones, of runs
    that the events so far have not closed.
    """

    def __init__(
        self, source: UUID, target: UUID, guild_id: str | None, open_runs: Mapping[str, str] | None = None
    ) -> None:
        self._source, self._target, self._guild_id = source, target, guild_id
        self.open_runs = dict(open_runs or {})

    def __call__(self, event: Event) -> Event:
        """The event as it stands in the other stream."""
        changes: dict[str, Any] = {}
        if self._target != self._source:
            changes["originator_id"] = self._target
            if (run := getattr(event, "run", None)) is not None:
                changes["run"] = self._run(event, run)
        if self._guild_id is not None and isinstance(event, facts.Created | facts.Revised):
            changes["definition"] = event.definition.model_copy(update={"guild_id": self._guild_id})
        return event.model_copy(update=changes) if changes else event

    def _run(self, event: Event, run: str) -> str:
        if isinstance(event, facts.Requested | facts.Started):
            slot: datetime | None = getattr(event, "slot", None)
            if slot is not None or event.request is not None:
                self.open_runs[run] = run_id(self._target, slot, event.request)
        named = self.open_runs.get(run) or self._unknown(run)
        if isinstance(event, facts.Executed | facts.Skipped) or (
            isinstance(event, facts.Failed) and event.retry_at is None
        ):
            self.open_runs.pop(run, None)  # closed: only open ones are kept in mind
        return named

    def _unknown(self, run: str) -> str:
        """A run of which the beginning is not in sight still gets one name of its own."""
        return blake2b(self._target.bytes + run.encode(), digest_size=_RUN_BYTES).hexdigest()
