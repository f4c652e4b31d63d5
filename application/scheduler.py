"""Commands of people: schedule, edit, pause, resume, skip, run now, cancel; settings and cleanup of guilds."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID, uuid4

from application.access import Access
from application.allowance import Allowance, QuotaUse
from application.cleanup import Cleaner, Cleanup
from application.destinations import trial_request
from application.dispatcher import Dispatcher
from application.executor import Executor
from application.failures import classify, is_quiet
from application.lasting import Lasting
from application.masking import said
from application.placing import check_placing, misplaced, placing, too_full
from application.ports import Clock, Command, Content, ContentCounts, Writer
from application.queries import Queries, stream_id_of
from application.rehearsal import DEADLINE, rehearsal
from application.secret_targets import SecretTargets
from application.views import TaskView
from application.work import Failure, Quiet, TaskExecutionResult
from domain.definition import TaskDefinition, TaskType
from domain.destination import DeliveryOutcome, Destination, DestinationType
from domain.draft import revised
from domain.errors import DaybookError, InvalidInput, NotFound, OperationUnknown, QuotaExceeded, TaskNotFound
from domain.event import stream_text, utc
from domain.guild import Guild, GuildSettings, guild_stream
from domain.identity import time_ordered_id
from domain.principal import SYSTEM, Principal
from domain.quotas import check_interval
from domain.retention import KEPT, Retention
from domain.runs import run_id
from domain.schedule import next_after
from domain.summary import Summary
from domain.task import ScheduledTask, begun

__all__ = ["Cleanup", "Scheduler"]

T = TypeVar("T")

_log = logging.getLogger(__name__)


class Scheduler:
    """Every command takes a principal and is checked against the task's guild inside the decision itself."""

    def __init__(
        self,
        *,
        writer: Writer,
        queries: Queries,
        content: Content,
        clock: Clock,
        executor: Executor,
        dispatcher: Dispatcher,
        targets: SecretTargets,
        access: Access,
        allowance: Allowance,
        default_timezone: str = "UTC",
        retention: Retention = KEPT,
    ) -> None:
        self._writer, self._queries, self._content, self._clock = writer, queries, content, clock
        self._targets, self.access, self._allowance = targets, access, allowance
        self._executor, self._dispatcher, self._default_timezone = executor, dispatcher, default_timezone
        self._lasting, self.cleaner = Lasting(), Cleaner(writer, queries, content, clock, access, retention)

    # --- tasks ---

    async def schedule(self, task: ScheduledTask, *, principal: Principal = SYSTEM, elsewhere: bool = False) -> str:
        """Make a constructed task durable, beginning now; returns its id.

        With ``elsewhere`` it may have destinations that only another process delivers to; see ``undelivered``.
        Raises InvalidInput, NotFound (the guild is not the principal's), Forbidden, and QuotaExceeded.
        """
        self.access.check_manages(task.guild_id, principal)
        now, (settings, quotas) = self._clock.now(), self._allowance.terms(task.guild_id)
        zone = settings.timezone or self._default_timezone

        def prepare(definition: TaskDefinition) -> TaskDefinition:
            self._check_runnable(definition, principal, elsewhere)
            check_interval(quotas, definition.schedule, definition.guild_id, now=now)
            return self._targets.seal(definition)

        created = task.settle(
            now=now, default_timezone=zone, by=principal.reference, for_others=principal.operates, prepare=prepare
        )
        creation = Command(task.id, lambda task: None, create=lambda: begun(created))
        if quotas.max_tasks is None:
            await self._writer.execute(creation)
        else:
            await self._admitted(task, creation, now, principal)
        task.begin(created)
        return stream_text(task.id)

    async def _admitted(self, task: ScheduledTask, creation: Command, now: datetime, principal: Principal) -> None:
        """Write a new task with its place among the guild's: both, or neither."""
        admission = self._allowance.admission(task.guild_id, [stream_text(task.id)], now=now, by=principal.reference)
        commands = [creation] if admission is None else [admission, creation]
        for outcome in await self._writer.execute_together(commands):
            if isinstance(outcome, BaseException):
                raise outcome

    async def revise(
        self,
        task_id: str,
        changes: Mapping[str, Any],
        *,
        principal: Principal = SYSTEM,
        reason: str | None = None,
        elsewhere: bool = False,
    ) -> None:
        """Change some fields of a task, named as when it was made; ``elsewhere`` as in ``schedule``.

        Raises InvalidInput, TaskNotFound, Forbidden, Refused, and QuotaExceeded.
        """
        now = self._clock.now()
        guild_id = self._queries.task(task_id, principal=principal).guild_id
        self.access.check_manages(guild_id, principal)  # before anything secret is kept
        changes = self._checked_changes(guild_id, changes, elsewhere)

        def decide(task: ScheduledTask) -> None:
            definition = revised(task.definition, changes, now=now)
            self.check(definition, principal, elsewhere=elsewhere)
            if definition.schedule != task.definition.schedule:
                self._allowance.check_schedule(guild_id, definition.schedule, now)
            task.revise(definition, now=now, by=principal.reference, reason=reason)

        await self._on(task_id, principal, decide)

    async def keep_secret(
        self, guild_id: str, destination: Destination, *, principal: Principal = SYSTEM
    ) -> Destination:
        """A destination whose secret target is in the vault, to be used in a task soon: after an hour it is forgotten.

        Raises InvalidDestination, NotFound, Forbidden; what it says shows nothing of the secret.
        """
        self.access.check_manages(guild_id, principal)
        self._executor.check_destination(destination, guild_id)
        [sealed] = await asyncio.to_thread(self._targets.seal_all, guild_id, [destination])
        return sealed

    def missing_secrets(self, definition: TaskDefinition) -> list[str]:
        """The labels of enabled destinations of a definition whose secret is not in the vault (any more)."""
        return self._targets.missing(definition)

    def _checked_changes(self, guild_id: str, changes: Mapping[str, Any], elsewhere: bool) -> dict[str, Any]:
        """The changes without secrets; a secret that nothing may be sent to is refused before it is kept."""
        for destination in changes.get("destinations") or ():
            if isinstance(destination, Destination) and destination.enabled:
                self._executor.check_destination(destination, guild_id, elsewhere=elsewhere)
        return self._targets.seal_changes(guild_id, changes)

    async def pause(
        self,
        task_id: str,
        *,
        principal: Principal = SYSTEM,
        reason: str | None = None,
        until: datetime | None = None,
    ) -> None:
        """Stop a task's schedule, for good or until an instant (aware)."""
        now = self._clock.now()
        await self._on(
            task_id, principal, lambda task: task.pause(now=now, by=principal.reference, reason=reason, until=until)
        )

    async def resume(
        self, task_id: str, *, principal: Principal = SYSTEM, reason: str | None = None, catch_up: bool = False
    ) -> None:
        """Let a paused or disabled task go on. Raises TaskNotFound, Forbidden, Refused, and QuotaExceeded."""
        now = self._clock.now()

        def go_on(task: ScheduledTask) -> None:
            task.resume(now=now, by=principal.reference, reason=reason, catch_up=catch_up)
            self._allowance.check_going_on(task.guild_id, task.definition.schedule, now)

        await self._on(task_id, principal, go_on)

    async def cancel(self, task_id: str, *, principal: Principal = SYSTEM, reason: str | None = None) -> None:
        """End a task for good; what it is doing is given up and sends nothing new."""
        now = self._clock.now()

        async def end() -> None:
            await self._on(task_id, principal, lambda task: task.cancel(now=now, by=principal.reference, reason=reason))
            self._dispatcher.runner.abandon(str(stream_id_of(task_id)))

        await self._lasting.carry_through(end())

    async def skip_next(
        self, task_id: str, count: int = 1, *, principal: Principal = SYSTEM, reason: str | None = None
    ) -> list[datetime]:
        """Leave out the next slots; returns them (aware UTC)."""
        now = self._clock.now()
        return await self._on(
            task_id,
            principal,
            lambda task: task.request_skip(count, now=now, by=principal.reference, reason=reason),
        )

    async def request_run(
        self,
        task_id: str,
        *,
        principal: Principal = SYSTEM,
        reason: str | None = None,
        request: str | None = None,
    ) -> str:
        """Ask for a run now, by whichever node is up; returns the run's id. The same ``request`` asks once.

        Raises TaskNotFound, Forbidden, Refused, and QuotaExceeded when the guild has had its runs of the day.
        """
        now, name = self._clock.now(), request or uuid4().hex[:12]
        run = run_id(stream_id_of(task_id), None, name)

        def ask(task: ScheduledTask) -> str:
            # Asked inside the decision, where the rows are those of everything decided before.
            if request is not None and self._queries.has_run(run, principal=principal):
                return run
            self._allowance.check_request(task.guild_id, now)
            return task.request_run(name, now=now, by=principal.reference, reason=reason)

        return await self._on(task_id, principal, ask)

    async def backfill(
        self,
        task_id: str,
        start: datetime,
        end: datetime,
        *,
        principal: Principal = SYSTEM,
        reason: str | None = None,
        request: str | None = None,
    ) -> list[str]:
        """Ask for a run of every past slot from ``start`` to ``end`` (aware), one after the other; returns their ids.

        At most 100 slots. The same ``request`` asks once while its runs are open. Raises QuotaExceeded for more than
        the guild has left of its day.
        """
        now, name = self._clock.now(), request or f"backfill {uuid4().hex[:8]}"
        first, last = utc(start, "start"), utc(end, "end")

        def ask(task: ScheduledTask) -> list[str]:
            runs = task.request_backfill(first, last, name, now=now, by=principal.reference, reason=reason)
            self._allowance.check_request(task.guild_id, now, len(runs))
            return runs

        return await self._on(task_id, principal, ask)

    def _check_known(self, definition: TaskDefinition) -> None:
        operation = definition.custom_operation
        if operation is not None and operation not in self._dispatcher.runner.operations:
            raise OperationUnknown(operation)

    async def run_now(
        self,
        task_id: str,
        *,
        principal: Principal = SYSTEM,
        reason: str | None = None,
        show: Callable[[TaskExecutionResult], Awaitable[bool]] | None = None,
    ) -> TaskExecutionResult:
        """Run a task in this process now and wait for what comes of its first attempt.

        Whoever waits has been told by this, and the guild is not told of a failure beside. ``show`` passes it on to
        somebody who is elsewhere, and says whether they got it; where they did not, the guild is told.
        Raises TaskNotFound, Forbidden, Refused, QuotaExceeded when the guild has had its runs of the day, and
        OperationUnknown where this process does not know the task's operation: then nothing is written.
        """
        now, name = self._clock.now(), uuid4().hex[:12]

        def request(task: ScheduledTask) -> str:
            self.access.check_task(task, task_id, principal)
            self._check_known(task.definition)
            self._allowance.check_request(task.guild_id, now)
            return task.request_run(name, now=now, by=principal.reference, reason=reason)

        try:
            future = await self._dispatcher.run_request(stream_id_of(task_id), request)
        except NotFound:
            raise TaskNotFound(str(task_id)) from None
        run = run_id(stream_id_of(task_id), None, name)
        with self._dispatcher.answering(run):
            result = await future
            if (show is None or await show(result)) and not result.success:
                await self._record_answered(task_id, run)
        return result

    async def _record_answered(self, task_id: str, run: str) -> None:
        now = self._clock.now()
        command = Command(stream_id_of(task_id), lambda task: task.record_answered(run, now=now))
        try:
            await self._writer.execute(command)
        except DaybookError:
            _log.exception("that the end of run %s was told could not be recorded; it is told again", run)

    async def rehearse(self, task_id: str, *, principal: Principal = SYSTEM) -> Summary | Quiet | Failure:
        """What a run would make of the messages up to now; nothing is delivered, kept or written down.

        For who may change the task, while the guild has runs of its day left: an engine may cost money. It takes 10
        minutes at most. Raises TaskNotFound, Forbidden, QuotaExceeded, InvalidInput.
        """
        task, now = self._queries.task(task_id, principal=principal), self._clock.now()
        self.access.check_manages(task.guild_id, principal)
        self._allowance.check_request(task.guild_id, now)
        last = self._queries.runs(task_id=task.task_id, states=["executed"], limit=1, principal=principal)
        work = rehearsal(task, last[0] if last else None, now=now)
        try:
            async with asyncio.timeout(DEADLINE.total_seconds()):
                return await self._executor.summarize(work)
        except Exception as error:
            return Quiet(said(error)) if is_quiet(error) else classify(error)

    async def _on(self, task_id: str, principal: Principal, verb: Callable[[ScheduledTask], T]) -> T:
        def decide(task: ScheduledTask) -> T:
            self.access.check_task(task, task_id, principal)
            return verb(task)

        try:
            result: T = await self._writer.execute(Command(stream_id_of(task_id), decide))
        except NotFound:
            raise TaskNotFound(str(task_id)) from None
        return result

    def undelivered(self, destinations: Iterable[Destination]) -> tuple[DestinationType, ...]:
        """The kinds among these destinations that only another process delivers to."""
        return self._executor.deliverer.undelivered(destinations)

    def check(self, definition: TaskDefinition, principal: Principal, *, elsewhere: bool = False) -> None:
        """Refuse (InvalidInput, Forbidden) what could be stored but not run here, or nowhere with ``elsewhere``."""
        self._check_runnable(definition, principal, elsewhere)
        if next_after(definition.schedule, self._clock.now()) is None:
            raise InvalidInput(
                "schedule", definition.schedule.type.value, "has no slot in the future", "choose a time to come"
            )

    def _check_runnable(self, definition: TaskDefinition, principal: Principal, elsewhere: bool) -> None:
        for destination in definition.destinations:
            if destination.enabled:
                self._executor.check_destination(destination, definition.guild_id, elsewhere=elsewhere)
        self._executor.check_source(definition)
        if definition.task_type is TaskType.CLEANUP:
            Cleanup.of(definition, principal)

    async def put_in_place(
        self,
        tasks: Sequence[tuple[TaskDefinition, UUID | None, bool | datetime, TaskView | None]],
        *,
        principal: Principal = SYSTEM,
        places: Sequence[str] = (),
    ) -> None:
        """Write checked (definition, id, paused, existing task) entries in one transaction: all of them, or none.

        ``existing`` has not ended. Raises InvalidImport with the place (of ``places``) of what a task refused, and
        QuotaExceeded for more tasks than a guild may have.
        """
        now, by = self._clock.now(), principal.reference
        ids = [
            UUID(existing.task_id) if existing else task_id or time_ordered_id(now, uuid4())
            for _, task_id, _, existing in tasks
        ]
        commands, new = [], defaultdict[str, list[str]](list)
        for id, (definition, _, paused, existing) in zip(ids, tasks, strict=True):
            if existing is None:
                new[definition.guild_id].append(str(id))
            commands.append(placing(self._targets.seal(definition), id, paused, existing, now, by, self._allowance))
        counted = (self._allowance.admission(guild_id, added, now=now, by=by) for guild_id, added in new.items())
        admissions = [admission for admission in counted if admission is not None]
        for index, outcome in enumerate(await self._writer.execute_together([*admissions, *commands])):
            if isinstance(outcome, BaseException):
                if (index := index - len(admissions)) < 0:
                    raise too_full(outcome) if isinstance(outcome, QuotaExceeded) else outcome
                raise misplaced(places[index] if places else f"tasks[{index}]", tasks[index][0].name, outcome)

    def check_in_place(self, definition: TaskDefinition, paused: bool, existing: TaskView | None) -> None:
        """Refuse (QuotaExceeded) what ``put_in_place`` would refuse for the limits of the guild, but for its room."""
        check_placing(definition, paused, existing, self._clock.now(), self._allowance)

    def check_room(self, guild_id: str, more: int) -> None:
        """Refuse (QuotaExceeded, with the guild) more new tasks than the guild may have."""
        try:
            self._allowance.check_room(guild_id, more)
        except QuotaExceeded as error:
            raise too_full(error) from error

    # --- guilds ---

    async def change_settings(self, guild_id: str, settings: GuildSettings, *, principal: Principal = SYSTEM) -> None:
        """Replace a guild's settings. Raises InvalidInput, NotFound, Forbidden, Refused.

        A guild's own limits may be stricter than what the operator allows it, not looser; ``granted`` is the operator's
        to change.
        """
        self.access.check_governs(guild_id, principal)
        for destination in settings.failure_notices:
            self._executor.check_destination(destination, guild_id)
        sealed = self._targets.seal_all(guild_id, settings.failure_notices)
        settings = settings.model_copy(update={"failure_notices": sealed})
        now = self._clock.now()

        def change(guild: Guild) -> None:
            self.access.check_settings(guild.settings, settings, self._allowance.default, principal)
            guild.change_settings(settings, now=now, by=principal.reference)

        command = Command(
            guild_stream(guild_id),
            change,
            create=lambda: Guild.open(guild_id, now=now),
            or_create=True,
        )
        await self._writer.execute(command)

    def check_settings(self, guild_id: str, settings: GuildSettings, principal: Principal) -> None:
        """Refuse (InvalidInput, NotFound, Forbidden) settings that ``change_settings`` would refuse."""
        self.access.check_governs(guild_id, principal)
        for destination in settings.failure_notices:
            self._executor.check_destination(destination, guild_id)
        before = self._queries.settings(guild_id)
        self.access.check_settings(before, settings, self._allowance.default, principal)

    def quota_use(self, guild_id: str, *, principal: Principal = SYSTEM) -> QuotaUse:
        """The limits in force in a guild, and what of them is used up. Raises NotFound for another guild."""
        if not principal.sees(guild_id):
            raise NotFound("guild", guild_id)
        return self._allowance.use(guild_id, self._clock.now())

    async def test_destination(
        self, guild_id: str, destination: Destination, *, principal: Principal = SYSTEM
    ) -> tuple[DeliveryOutcome, float]:
        """Send a test message now, outside of any task; nothing is written down.

        Returns what became of it, and the wait in seconds that the other side asked for. Raises InvalidDestination.
        """
        self.access.check_manages(guild_id, principal)
        self._executor.check_destination(destination, guild_id)
        zone = self._queries.settings(guild_id).timezone or self._default_timezone
        request = trial_request(destination, guild_id, now=self._clock.now(), timezone=zone)
        return await self._executor.deliverer.send(destination, request)

    # --- cleanup ---

    async def clean_up(self, cleanup: Cleanup, *, principal: Principal = SYSTEM) -> ContentCounts:
        """Delete old content and write the cut-off into the log; see application.cleanup."""
        return await self.cleaner.clean_up(cleanup, principal=principal)
