"""The stable calls of a scheduler: each opens the stores if need be, and hands over to the commands or the queries."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from domain.principal import SYSTEM, Principal

if TYPE_CHECKING:
    from datetime import datetime

    from application.dispatcher import Dispatcher
    from application.erasure import Erasure
    from application.queries import Queries
    from application.report import Report
    from application.reports import Reports
    from application.scheduler import Scheduler
    from application.service import Service
    from application.transfer import Transfer
    from application.views import TaskView
    from application.work import TaskExecutionResult
    from domain.task import ScheduledTask

__all__ = ["SchedulerCalls"]


_PARTS = ("commands", "queries", "reports", "transfer", "erasure", "dispatcher")


class SchedulerCalls(ABC):
    """What hosts call. The parts of its service are there once ``open`` has returned."""

    commands: Scheduler
    queries: Queries
    reports: Reports
    transfer: Transfer
    erasure: Erasure
    dispatcher: Dispatcher
    timezone: str
    _service: Service

    if not TYPE_CHECKING:  # A type checker reads the names above, and still complains of others.

        def __getattr__(self, name: str) -> Any:
            """A part of the service; some are loaded when they are first asked for."""
            if name in _PARTS:
                return getattr(self._service, name)
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @abstractmethod
    async def open(self) -> None:
        """Open the stores. Idempotent."""

    async def schedule_task(self, task: ScheduledTask, *, principal: Principal = SYSTEM) -> str:
        """Validate a task and make it durable; returns its id. Its slots count from now on. Raises InvalidInput."""
        await self.open()
        return await self.commands.schedule(task, principal=principal)

    async def get_scheduled_tasks(
        self, guild_id: str | None = None, *, principal: Principal = SYSTEM
    ) -> list[TaskView]:
        """The tasks that have not ended, of one guild or all, by name."""
        await self.open()
        return self.queries.alive_tasks(guild_id=guild_id, principal=principal)

    async def get_task_status(self, task_id: str, *, principal: Principal = SYSTEM) -> TaskView:
        """One task as it stands; also a mapping with ``next_run_time``, ``metadata`` and more. Raises TaskNotFound."""
        await self.open()
        return self.queries.task(task_id, principal=principal)

    async def pause_task(
        self,
        task_id: str,
        *,
        principal: Principal = SYSTEM,
        reason: str | None = None,
        until: datetime | None = None,
    ) -> None:
        """Stop a task's schedule. Raises TaskNotFound, Refused."""
        await self.open()
        await self.commands.pause(task_id, principal=principal, reason=reason, until=until)

    async def resume_task(
        self,
        task_id: str,
        *,
        principal: Principal = SYSTEM,
        reason: str | None = None,
        catch_up: bool = False,
    ) -> None:
        """Let a paused or disabled task go on. Raises TaskNotFound, Refused."""
        await self.open()
        await self.commands.resume(task_id, principal=principal, reason=reason, catch_up=catch_up)

    async def cancel_task(self, task_id: str, *, principal: Principal = SYSTEM, reason: str | None = None) -> None:
        """End a task for good. Raises TaskNotFound, Refused."""
        await self.open()
        await self.commands.cancel(task_id, principal=principal, reason=reason)

    async def update_task(
        self, task_id: str, *, principal: Principal = SYSTEM, reason: str | None = None, **changes: Any
    ) -> None:
        """Change fields of a task, named as in ``ScheduledTask(...)``. Raises InvalidInput, TaskNotFound, Refused."""
        await self.open()
        await self.commands.revise(task_id, changes, principal=principal, reason=reason)

    async def run_task_now(
        self, task_id: str, *, principal: Principal = SYSTEM, reason: str | None = None
    ) -> TaskExecutionResult:
        """Run a task in this process now, whatever its schedule says, and wait for what comes of its first attempt."""
        await self.open()
        return await self.commands.run_now(task_id, principal=principal, reason=reason)

    async def report(
        self,
        start: datetime,
        end: datetime,
        *,
        task_id: str | None = None,
        guild_id: str | None = None,
        timezone: str | None = None,
        every_task: bool = False,
        principal: Principal = SYSTEM,
    ) -> Report:
        """The audit report of a task, of a guild, or of all, over ``start`` <= instant < ``end`` (both aware).

        Days are those of ``timezone``, by default the scheduler's. Of more than a thousand tasks those with the most
        trouble are listed, unless ``every_task`` is wanted. What the principal may not see is masked. It is made
        from the log in a thread of its own. Raises InvalidInput, InvalidTimezone, NotFound.
        """
        await self.open()
        import asyncio

        return await asyncio.to_thread(
            self.reports.make,
            start,
            end,
            task_id=task_id,
            guild_id=guild_id,
            timezone=timezone or self.timezone,
            every_task=every_task,
            principal=principal,
        )
