"""Daybook: recurring work for Discord communities, with a log that answers for every slot.

This module is the face: every public name, and the one place that wires the application to storage and the world.
"""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.assembly import Shipped
from application.lifecycle import Lifecycle
from domain.errors import DaybookError, StoreError
from domain.principal import OPERATOR, SYSTEM, Permission, Principal
from infrastructure.process import collect_garbage_less_often
from infrastructure.surroundings import Surroundings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from datetime import datetime, timedelta
    from typing import Unpack

    from adapters.discord_bot import DaybookBot
    from adapters.egress import Egress, EgressPolicy
    from adapters.email_delivery import SmtpServer
    from application.executor import Executor, Handler
    from application.limits import Limits
    from application.ports import Clock, DeliveryChannel, MessageProcessor, SummarizationEngine, Timer
    from application.service import Service
    from application.views import RunView, TaskMetadata, TaskView
    from application.work import CleanupTask, CustomRun, SummaryTask, TaskExecutionResult
    from domain.definition import CatchUp, OverlapPolicy, TaskDefinition, TaskType
    from domain.destination import DeliveryOutcome, DeliveryStatus, Destination, DestinationType
    from domain.guild import GuildSettings
    from domain.schedule import Schedule, ScheduleType
    from domain.summary import Message, Summary, SummaryContext, SummaryLength, SummaryOptions
    from domain.task import ScheduledTask
    from infrastructure.settings import Settings
    from infrastructure.stores import Opening, Progress, Stores

__version__ = "0.1.0"

__all__ = [
    "OPERATOR", "SYSTEM", "CatchUp", "CleanupTask", "CustomRun", "DatabaseTaskPersistence", "DaybookError",
    "DeliveryOutcome", "DeliveryStatus", "Destination", "DestinationType", "GuildSettings", "Message",
    "OverlapPolicy", "Permission", "Principal", "RunView", "Schedule", "ScheduleType", "ScheduledTask", "Summary",
    "SummaryContext", "SummaryLength", "SummaryOptions", "SummaryTask", "TaskDefinition", "TaskExecutionResult",
    "TaskExecutor", "TaskMetadata", "TaskPersistence", "TaskScheduler", "TaskType", "TaskView", "configure", "main",
    "setup", "teardown",
]  # fmt: skip


# Where the names are that are only looked up when somebody asks: what needs none of them starts without them.
_ELSEWHERE = {
    "application.limits": ("Limits",),
    "application.views": ("RunView", "TaskMetadata", "TaskView"),
    "application.work": ("CleanupTask", "CustomRun", "SummaryTask", "TaskExecutionResult"),
    "domain.definition": ("CatchUp", "OverlapPolicy", "TaskDefinition", "TaskType"),
    "domain.destination": ("DeliveryOutcome", "DeliveryStatus", "Destination", "DestinationType"),
    "domain.guild": ("GuildSettings",),
    "domain.schedule": ("Schedule", "ScheduleType"),
    "domain.summary": ("Message", "Summary", "SummaryContext", "SummaryLength", "SummaryOptions"),
    "domain.task": ("ScheduledTask",),
}

if not TYPE_CHECKING:  # A type checker reads the imports above, and still complains of names that are not there.

    def __getattr__(name: str) -> Any:
        """Import a public name when it is first asked for, and keep it."""
        from importlib import import_module

        for module, names in _ELSEWHERE.items():
            if name in names:
                return globals().setdefault(name, getattr(import_module(module), name))
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class TaskPersistence:
    """Everything in one folder: the log, the vault, content and read models on SQLite. The default."""

    def __init__(self, storage_path: str | Path = "./data", *, environment: Mapping[str, str] | None = None) -> None:
        self.folder = Path(storage_path)
        self._environment = environment if environment is not None else os.environ
        self._scheduler: TaskScheduler | None = None

    def open(self, node: str, now: datetime, **how: Unpack[Opening]) -> Stores:
        """Open the stores. Raises StoreInUse, StoreUnavailable."""
        from infrastructure.stores import open_folder

        return open_folder(self.folder, node=node, now=now, environment=self._environment, **how)

    def bind(self, scheduler: TaskScheduler) -> None:
        """Remember whose stores these are."""
        self._scheduler = scheduler

    async def export_tasks(self, path: str | Path) -> int:
        """Write all tasks that have not ended into a JSON file, whole or not at all. Returns how many."""
        import asyncio
        import json

        from infrastructure.stores import write_whole

        async with self._open() as scheduler:
            document = scheduler.transfer.export_tasks(principal=OPERATOR)
        text = json.dumps(document, ensure_ascii=False, indent=2)
        await asyncio.to_thread(write_whole, Path(path), text)
        return int(document["task_count"])

    async def import_tasks(self, path: str | Path) -> int:
        """Put the tasks of an export file in place; returns how many. A broken file changes nothing (InvalidImport)."""
        from asyncio import to_thread

        text = await to_thread(Path(path).read_bytes)
        async with self._open() as scheduler:
            return await scheduler.transfer.import_tasks(text, principal=OPERATOR, default_timezone=scheduler.timezone)

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[TaskScheduler]:
        """The scheduler that these stores belong to; without one the stores are open for the moment only."""
        if self._scheduler is not None:
            await self._scheduler.open()
            yield self._scheduler
            return
        alone = TaskScheduler(task_executor=TaskExecutor(), persistence=self)
        self._scheduler = None
        try:
            await alone.open()
            yield alone
        finally:
            await alone.stop()


class DatabaseTaskPersistence(TaskPersistence):
    """The log, vault and content on PostgreSQL, shared by several machines.

    ``storage_path`` holds this node's own files.
    """

    def __init__(
        self,
        database_url: str,
        storage_path: str | Path = "./data",
        *,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(storage_path, environment=environment)
        self._url = database_url

    def __repr__(self) -> str:
        return f"DatabaseTaskPersistence(storage_path={str(self.folder)!r})"

    def open(self, node: str, now: datetime, **how: Unpack[Opening]) -> Stores:
        """Open the stores. Raises StoreUnavailable."""
        from infrastructure.stores import open_postgres

        return open_postgres(self._url, self.folder, node=node, now=now, environment=self._environment, **how)


class TaskExecutor:
    """What does the work: an engine, a source of messages, and the channels that results are delivered through."""

    def __init__(
        self,
        summarization_engine: SummarizationEngine | None = None,
        message_processor: MessageProcessor | None = None,
        discord_client: Any = None,
        *,
        delivery_channels: Sequence[DeliveryChannel] = (),
        egress_policy: EgressPolicy | None = None,
        mail_server: SmtpServer | None = None,
        templates: Path | None = None,
    ) -> None:
        self.summarization_engine, self.message_processor = summarization_engine, message_processor
        self.discord_client, self._channels = discord_client, tuple(delivery_channels)
        self.egress_policy, self.mail_server, self.templates = egress_policy, mail_server, templates
        self.egress: Egress | None = None
        self._made: list[DeliveryChannel] = []
        self._handlers: dict[str, Handler] = {}
        self._core: Executor | None = None
        self._scheduler: TaskScheduler | None = None

    def register_operation(self, name: str, handler: Handler) -> None:
        """Make a custom operation known: ``async def handler(run: CustomRun) -> None``."""
        self._handlers[name] = handler
        if self._core is not None:
            self._core.register_operation(name, handler)

    async def execute_summary_task(self, task: ScheduledTask | SummaryTask) -> TaskExecutionResult:
        """Run a scheduled task now, and wait for what comes of it. Raises TaskNotFound when it is not scheduled."""
        from application.work import SummaryTask

        scheduled = task.scheduled_task if isinstance(task, SummaryTask) else task
        return await (await self._bound()).run_task_now(str(scheduled.id))

    async def execute_cleanup_task(self, task: CleanupTask, *, principal: Principal = SYSTEM) -> TaskExecutionResult:
        """Delete old summaries, run details and caches; ``items_deleted`` says how many. Never touches the log."""
        from application.scheduler import Cleanup
        from application.work import TaskExecutionResult

        scheduler = await self._bound()
        before = scheduler.clock.now()
        counts = await scheduler.commands.clean_up(
            Cleanup(
                task.guild_id,
                task.retention_days,
                task.delete_summaries,
                task.delete_logs,
                task.delete_cached_data,
            ),
            principal=principal,
        )
        seconds = (scheduler.clock.now() - before).total_seconds()
        return TaskExecutionResult(task.task_id, True, items_deleted=counts.total, execution_time_seconds=seconds)

    def bind(self, scheduler: TaskScheduler) -> None:
        """Remember whose executor this is."""
        self._scheduler = scheduler

    def core(self, clock: Clock, stores: Stores, limits: Limits) -> Executor:
        """The executor of the application for one opening, with the channels that this process has."""
        from application.executor import Executor

        self._made = self._default_channels(clock, stores, limits.delivery_deadline)
        channels = {channel.type: channel for channel in (*self._made, *self._channels)}
        core = Executor(
            engine=self.summarization_engine,
            processor=self.message_processor,
            channels=channels,
            clock=clock,
            delivery_deadline=limits.delivery_deadline,
        )
        for name, handler in self._handlers.items():
            core.register_operation(name, handler)
        self._core = core
        return core

    def _default_channels(self, clock: Clock, stores: Stores, deadline: timedelta) -> list[DeliveryChannel]:
        from adapters.assembly import ChannelParts, shipped_channels

        parts = ChannelParts(self.egress_policy, self.mail_server, self.templates, self.discord_client)
        channels, self.egress = shipped_channels(
            parts, clock=clock, files=stores.folder / "summaries", secret=stores.vault.secret, deadline=deadline
        )
        self.egress.gates.show(getattr(self.summarization_engine, "gates", None))
        return channels

    async def close(self) -> None:
        """Close the channels that were made here, a few seconds at most; those that a host gave are the host's own."""
        from infrastructure.process import close_all

        await close_all([*self._made, self.egress])

    async def _bound(self) -> TaskScheduler:
        if self._scheduler is None:
            raise StoreError("this executor is bound to no scheduler; give it to a TaskScheduler first")
        await self._scheduler.open()
        return self._scheduler


class TaskScheduler(Lifecycle["Stores"]):
    """The service: commands, queries, and the loop that runs what is due."""

    def __init__(
        self,
        task_executor: TaskExecutor | None = None,
        persistence: TaskPersistence | None = None,
        timezone: str = "UTC",
        *,
        limits: Limits | None = None,
        clock: Clock | None = None,
        timer: Timer | None = None,
        node: str | None = None,
    ) -> None:
        import socket

        from application.limits import Limits
        from domain.zone import zone_info
        from infrastructure.clock import SystemClock

        zone_info(timezone)
        super().__init__()
        self.executor = task_executor if task_executor is not None else TaskExecutor()
        self.persistence = persistence if persistence is not None else TaskPersistence()
        self.timezone, self.limits = timezone, limits if limits is not None else Limits()
        self.clock: Clock = clock if clock is not None else SystemClock()
        self._timer, self._machine = timer, socket.gethostname()
        self._name = node if node is not None else f"{self._machine}-{os.getpid()}"
        self.node = self._fresh_node()
        self.persistence.bind(self)
        self.executor.bind(self)

    async def open(self, *, companion: bool = False, anew: bool = False, progress: Progress | None = None) -> None:
        """Open the stores without beginning to claim. Idempotent. Raises StoreInUse, StoreCut, StoreUnavailable."""
        await self._open({"companion": companion, "anew": anew, "progress": progress})

    def _opened(self, how: Opening | None) -> Stores:
        usual: Opening = {"companion": False, "anew": False, "progress": None}
        return self.persistence.open(self.node, self.clock.now(), **(how or usual))

    async def _ended(self) -> None:
        self.node = self._fresh_node()
        await self.executor.close()

    def _fresh_node(self) -> str:
        """Never the same twice: what an earlier life of this name left behind must be found orphaned."""
        return f"{self._name}-{os.urandom(3).hex()}"

    def _wired(self, stores: Stores) -> Service:
        from adapters.apscheduler_timer import ApschedulerTimer
        from application.node_record import NodeIdentity
        from application.service import Service
        from infrastructure.hosts_file import HostsFile

        service = Service(
            log=stores.log,
            writer=stores.writer,
            read_model=stores.read_model,
            content=stores.content,
            vault=stores.vault,
            presence=stores.presence,
            ledger=stores.ledger,
            leaves=stores.leaves,
            spill=stores.spill,
            timer=(timer := self._timer or ApschedulerTimer()),
            clock=self.clock,
            executor=self.executor.core(self.clock, stores, self.limits),
            node=NodeIdentity(self.node, self._machine, os.getpid(), __version__),
            limits=self.limits,
            default_timezone=self.timezone,
        )
        if self.executor.egress is not None and not stores.companion:
            timer.every("hosts", 5, HostsFile(stores.folder, self.node, self.executor.egress.gates.trouble).refresh)
        stores.writer.tell(service.dispatcher.notifier())
        return service

    @property
    def stores(self) -> Stores:
        """The open stores."""
        if self._stores is None:
            raise StoreError("the scheduler is not open; await start() first")
        return self._stores

    @property
    def running(self) -> bool:
        """Whether it runs what is due."""
        return self._stores is not None and self.dispatcher.running and not self.dispatcher.fenced

    def get_scheduler_stats(self) -> dict[str, Any]:
        """Counts of tasks, the next 100 runs at most, and ``hosts`` in trouble. Synchronous."""
        from application.service import no_stats

        stats = self._service.stats() if self._stores is not None else no_stats()
        hosts = self.executor.egress.states() if self._stores is not None and self.executor.egress is not None else {}
        return {"running": self.running, "node": self.node, "timezone": self.timezone, **stats, "hosts": hosts}

    @property
    def task_metadata(self) -> Mapping[str, TaskMetadata]:
        """Statistics by task id, read when they are asked for. Raises StoreError before ``start``."""
        from application.queries import TaskStatistics

        return TaskStatistics((self.stores, self.queries)[1])


class _CommandLine(Surroundings, Shipped):
    """What the command line is handed (adapters.cli.host.Host)."""

    version = __version__

    def service(
        self, settings: Settings, messages: MessageProcessor | None = None, client: Any = None, engine: Any = None
    ) -> TaskScheduler:
        from adapters.assembly import mail_server
        from adapters.egress import EgressPolicy

        if engine is None and messages is not None:
            engine = self.engine(settings.max_concurrent_summaries, self.engine_fields(settings))
        executor = TaskExecutor(
            engine,
            messages,
            client,
            egress_policy=EgressPolicy([host for host in settings.allowed_hosts.split(",") if host.strip()]),
            mail_server=mail_server("DAYBOOK_SMTP_", self.mail_fields(settings)),
            templates=settings.templates,
        )
        persistence = TaskPersistence(settings.data)
        if settings.database_url is not None:
            persistence = DatabaseTaskPersistence(settings.database_url.get_secret_value(), settings.data)
        return TaskScheduler(executor, persistence, settings.timezone, limits=self.limits(settings))

    def bot(self, settings: Settings) -> DaybookBot:
        from adapters.assembly import discord_bot

        return discord_bot(lambda client, messages: self.service(settings, messages, client))


def configure(bot: Any, *, scheduler: TaskScheduler | None = None, **parts: Any) -> None:
    """Say what the extension shall use in a bot: ``engine``, ``processor``, settings like ``data``; or a scheduler."""
    from adapters.discord_bot import configure as remember

    remember(bot, parts | ({"scheduler": scheduler} if scheduler is not None else {}))


async def setup(bot: Any) -> None:
    """``await bot.load_extension("daybook")``: the commands, and a service that lives as long as they do."""
    from adapters.assembly import extend

    await extend(bot, _CommandLine())


async def teardown(bot: Any) -> None:
    """Take the commands away and stop the service. Called by ``unload_extension`` and as the bot closes."""
    from adapters.discord_bot import detach

    await detach(bot)


def main() -> None:
    """The ``daybook`` command."""
    from adapters.cli import main as run_command_line

    collect_garbage_less_often()
    run_command_line(_CommandLine())
