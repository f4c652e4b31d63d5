"""What people ask the past, as far as they may see it: why, the accounts, and how things were."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from application.history import Change, Moment, TaskThen, node_events
from application.past import Difference, ServiceThen
from application.ports import Clock, Log, Recorded
from application.queries import MOST_LISTED, Queries
from application.views import TaskView
from domain.errors import EventUnreadable
from domain.guild import guild_stream
from domain.node import node_stream
from domain.principal import SYSTEM, Principal

if TYPE_CHECKING:
    # A command asks one question, and loads no more than it takes to answer it.
    from application.accounting import Account
    from application.evidence import Explanation
    from application.fates import SlotFate

__all__ = ["Audit"]

_PAGE = 1000
_NOBODY = UUID(int=0)


class Audit:
    """Questions about the past. Tasks of guilds that the principal may not see are not found."""

    def __init__(self, queries: Queries, log: Log, clock: Clock) -> None:
        self._queries, self._log, self._clock = queries, log, clock

    def why(self, task_id: str, instant: datetime | None = None, *, principal: Principal = SYSTEM) -> Explanation:
        """Why a task did, or did not, run at an instant (aware). Raises TaskNotFound.

        None is the slot that waits, else the last one, else the next; of a task that is over, the present.
        """
        from application.why import why

        events = self._events(task_id, principal)
        nodes = [*node_events(self._log, self._nodes()), *self._of_nobody()]
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
        from application.accounting import account

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
        from application.accounting import slot_fates
        from application.chronicle import chronicle

        book = chronicle(self._events(task_id, principal))
        return slot_fates(book, now=now or self._clock.now(), start=start, end=end, limit=limit)

    def as_of(self, moment: Moment, tasks: Sequence[str], *, principal: Principal = SYSTEM) -> list[TaskThen]:
        """These tasks as they were at an instant or a position; those that did not exist yet are left out."""
        views = [self._queries.task(task_id, principal=principal) for task_id in tasks]
        past = self._queries.past
        return past.tasks(past.where(moment), {view.task_id: view.version for view in views})

    def service_as_of(
        self, moment: Moment, *, guild_id: str | None = None, principal: Principal = SYSTEM
    ) -> ServiceThen:
        """One guild, or all that the principal may see, as it was: tasks, settings and, for all guilds, processes."""
        past = self._queries.past
        where = past.where(moment)
        whole = guild_id is None and principal.guild_id is None
        return ServiceThen(
            where.last,
            past.tasks(where, {task.task_id: task.version for task in self.tasks(guild_id, principal=principal)}),
            past.guilds(where, self._guilds(guild_id, principal)),
            past.nodes(moment, self._nodes()) if whole else [],
            len(self._of_nobody()),
        )

    def difference(self, task_id: str, before: Moment, after: Moment, *, principal: Principal = SYSTEM) -> list[Change]:
        """What differs between two moments of a task, by whom and why. Raises TaskNotFound, EventUnreadable."""
        past = self._queries.past
        task = self._queries.task(task_id, principal=principal)
        for found in past.differences(*past.between(before, after), {UUID(task.task_id): task.version}):
            if found.blocked is not None:
                raise found.blocked
            return found.changes
        return []

    def differences(
        self,
        before: Moment,
        after: Moment,
        *,
        task_id: str | None = None,
        guild_id: str | None = None,
        principal: Principal = SYSTEM,
    ) -> list[tuple[str, Difference]]:
        """The same of a task, a guild, or all that the principal may see, each with the name of whose it is.

        What cannot be read stands there as what blocks it, also where nobody knows whose it is. Raises TaskNotFound.
        """
        past = self._queries.past
        if task_id is not None:
            task = self._queries.task(task_id, principal=principal)
            found = past.differences(*past.between(before, after), {UUID(task.task_id): task.version})
            return [(task.name, one) for one in found]
        guilds = self._guilds(guild_id, principal)
        named = {guild_stream(guild): f"guild {guild}" if guild else "service" for guild in guilds}
        tasks = self.tasks(guild_id, principal=principal)
        named |= {UUID(task.task_id): task.name for task in tasks}
        heads = past.guild_heads(guilds) | {UUID(task.task_id): task.version for task in tasks}
        found = past.differences(*past.between(before, after), heads)
        of_nobody = [one.event for one in self._of_nobody() if isinstance(one.event, EventUnreadable)]
        unknown = [("of nobody known", Difference(_NOBODY, [], event)) for event in of_nobody]
        return [(named[one.stream_id], one) for one in found] + unknown

    def tasks(self, guild_id: str | None = None, *, principal: Principal = SYSTEM) -> list[TaskView]:
        """Every task there ever was, of one guild or of all that the principal may see."""
        found: list[TaskView] = []
        while page := self._queries.tasks(
            guild_id=guild_id, archived=True, limit=_PAGE, offset=len(found), principal=principal
        ):
            found.extend(page)
        return found

    def check_guild(self, guild_id: str, *, principal: Principal = SYSTEM) -> None:
        """Raises NotFound for a guild that the principal may not see, or of which nothing was ever written."""
        self._queries.check_guild(guild_id, principal=principal)

    def _of_nobody(self) -> list[Recorded]:
        """Events that cannot be read, or are missing, of no task, guild or process that the rows know.

        Any of these may be one that should be known: when the rows were made anew there was nothing to know it by.
        """
        if not (unreadable := self._queries.unreadable()):
            return []
        known = {task.task_id for task in self.tasks()}
        known |= {str(guild_stream(guild)) for guild in self._guilds(None, SYSTEM)}
        known |= {str(node_stream(node)) for node in self._nodes()}
        return [
            Recorded(0, EventUnreadable(fault["stream"], fault["version"], fault["topic"], fault["reason"]))
            for fault in self._queries.faults()
            if fault["stream"] in unreadable.keys() - known
        ]

    def _nodes(self) -> list[str]:
        return [node.node for node in self._queries.nodes(limit=MOST_LISTED)]

    def _guilds(self, guild_id: str | None, principal: Principal) -> list[str]:
        """The guilds that are asked for and may be seen; the service's own (the empty id) only with all others."""
        if guild_id is not None:
            self.check_guild(guild_id, principal=principal)
            return [guild_id]
        own = [""] if principal.guild_id is None else []
        return own + [guild.guild_id for guild in self._queries.guilds(principal=principal)]

    def _events(self, task_id: str, principal: Principal) -> list[Recorded]:
        return self._queries.events(task_id, principal=principal)
