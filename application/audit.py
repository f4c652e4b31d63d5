"""What people ask the past, as far as they may see it: why, the accounts, and how things were."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from application.accounting import Account, SlotFate, account, slot_fates
from application.chronicle import chronicle
from application.evidence import Explanation
from application.history import Change, Moment, TaskThen, as_of, difference, node_events
from application.ports import Clock, Log, Recorded
from application.queries import MOST_LISTED, Queries
from application.views import TaskView
from application.why import why
from domain.principal import SYSTEM, Principal

__all__ = ["Audit"]

_PAGE = 1000


class Audit:
    """Questions about the past. Tasks of guilds that the principal may not see are not found."""

    def __init__(self, queries: Queries, log: Log, clock: Clock) -> None:
        self._queries, self._log, self._clock = queries, log, clock

    def why(self, task_id: str, instant: datetime, *, principal: Principal = SYSTEM) -> Explanation:
        """Why a task did, or did not, run at an instant (aware). Raises TaskNotFound."""
        events = self._events(task_id, principal)
        nodes = node_events(self._log, [node.node for node in self._queries.nodes(limit=MOST_LISTED)])
        return why(events, nodes, instant, now=self._clock.now())

    def account(
        self,
        task_id: str,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        now: datetime | None = None,
        principal: Principal = SYSTEM,
    ) -> Account:
        """The account of a task's slots with ``start`` <= slot < ``end``, as of ``now``. Raises TaskNotFound."""
        return account(self._events(task_id, principal), now=now or self._clock.now(), start=start, end=end)

    def slots(
        self,
        task_id: str,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        now: datetime | None = None,
        limit: int = MOST_LISTED,
        principal: Principal = SYSTEM,
    ) -> list[SlotFate]:
        """Every slot of that period with its fate, the first ``limit`` of them. Raises TaskNotFound."""
        book = chronicle(self._events(task_id, principal))
        return slot_fates(book, now=now or self._clock.now(), start=start, end=end, limit=limit)

    def as_of(self, moment: Moment, tasks: Sequence[str], *, principal: Principal = SYSTEM) -> list[TaskThen]:
        """These tasks as they were at an instant or a position; those that did not exist yet are left out."""
        seen = [self._queries.task(task_id, principal=principal).task_id for task_id in tasks]
        return as_of(self._log, seen, moment)

    def difference(self, task_id: str, before: Moment, after: Moment, *, principal: Principal = SYSTEM) -> list[Change]:
        """What differs between two moments of a task, by whom and why. Raises TaskNotFound, EventUnreadable."""
        return difference(self._events(task_id, principal), before, after)

    def tasks(self, guild_id: str | None = None, *, principal: Principal = SYSTEM) -> list[TaskView]:
        """Every task there ever was, of one guild or of all that the principal may see."""
        found: list[TaskView] = []
        while page := self._queries.tasks(
            guild_id=guild_id, archived=True, limit=_PAGE, offset=len(found), principal=principal
        ):
            found.extend(page)
        return found

    def _events(self, task_id: str, principal: Principal) -> list[Recorded]:
        return self._log.stream(UUID(self._queries.task(task_id, principal=principal).task_id))
