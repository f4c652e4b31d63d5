"""The application of one process, put together from its ports."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import cached_property
from time import monotonic
from typing import TYPE_CHECKING, Any

from application.access import Access
from application.allowance import Allowance
from application.dispatcher import Dispatcher
from application.erasure import Erasure
from application.executor import Executor
from application.heads import KEEP_UP_SECONDS, PUBLISH_HEAD, HeadPublisher
from application.limits import Limits
from application.node_record import NodeIdentity
from application.notices import Notices
from application.ports import Clock, Content, Leaves, Ledger, Log, Presence, ReadModel, Spill, Timer, Vault, Writer
from application.queries import Queries
from application.scheduler import Scheduler
from application.secret_sweep import SWEEP_SECONDS, SecretSweep
from application.secret_targets import SecretTargets

if TYPE_CHECKING:
    from application.reports import Reports
    from application.transfer import Transfer

__all__ = ["Service", "no_stats"]


class Service:
    """Queries, commands and the loop of a node, over the same stores."""

    def __init__(
        self,
        *,
        log: Log,
        writer: Writer,
        read_model: ReadModel,
        content: Content,
        vault: Vault,
        presence: Presence,
        ledger: Ledger,
        leaves: Leaves,
        spill: Spill,
        timer: Timer,
        clock: Clock,
        executor: Executor,
        node: NodeIdentity,
        limits: Limits,
        default_timezone: str,
    ) -> None:
        self.queries = Queries(read_model, log, content, leaves)
        allowance = Allowance(read_model, limits.quotas)
        self.dispatcher = Dispatcher(
            writer=writer,
            read_model=read_model,
            log=log,
            timer=timer,
            clock=clock,
            presence=presence,
            executor=executor,
            notices=Notices(
                writer=writer, read_model=read_model, queries=self.queries, deliverer=executor.deliverer, clock=clock
            ),
            node=node,
            limits=limits,
            allowance=allowance,
        )
        self.commands = Scheduler(
            writer=writer,
            queries=self.queries,
            content=content,
            clock=clock,
            executor=executor,
            dispatcher=self.dispatcher,
            targets=SecretTargets(vault),
            access=Access(self.queries, vault),
            allowance=allowance,
            default_timezone=default_timezone,
            retention=limits.retention,
        )
        self._log, self._writer, self._vault, self._spill, self._clock = log, writer, vault, spill, clock
        runner = self.dispatcher.runner
        self.erasure = Erasure(
            log=log,
            writer=writer,
            read_model=read_model,
            content=content,
            vault=vault,
            clock=clock,
            ledger=ledger,
            keepers=executor.deliverer.keepers,
            abandon=runner.abandon,
        )
        timer.every("secrets", SWEEP_SECONDS, SecretSweep(vault, self.queries, writer, clock).run)
        publisher = HeadPublisher(log, leaves, clock, lambda: writer.idle)
        executor.register_maker(PUBLISH_HEAD, publisher.publish)
        timer.every("leaves", KEEP_UP_SECONDS, publisher.keep_up)
        executor.bind(content, self.commands.cleaner.clean_up_for, runner.wanted, runner.announce)

    @cached_property
    def transfer(self) -> Transfer:
        """Tasks and histories as files, both ways; loaded when it is first asked for."""
        from application.transfer import Transfer

        return Transfer(
            self.commands,
            self.queries,
            self._clock,
            log=self._log,
            writer=self._writer,
            vault=self._vault,
            spill=self._spill,
        )

    @cached_property
    def reports(self) -> Reports:
        """Audit reports; loaded when they are first asked for."""
        from application.reports import Reports

        return Reports(self.queries, self._log, self._clock)

    async def recover(self, found_dead: Sequence[tuple[str, datetime]]) -> None:
        """Before anything else: repeat what was erased, and take over what the dead left behind."""
        await self.erasure.resume()
        await self.dispatcher.recover(found_dead)

    async def stop(self) -> None:
        """Let runs and erasures that are under way come to their end, for a while. Idempotent."""
        begun = monotonic()
        await self.dispatcher.stop()
        await self.erasure.done(max(0.0, self.dispatcher.limits.drain.total_seconds() - (monotonic() - begun)))

    def stats(self) -> dict[str, Any]:
        """Counts of tasks by status, what runs now, and the next 100 runs at most."""
        counts = self.queries.counts()
        return no_stats() | {
            "active_tasks": counts.get("active", 0),
            "paused_tasks": counts.get("paused", 0),
            "disabled_tasks": counts.get("disabled", 0),
            "total_tasks": sum(counts.values()),
            "active_runs": self.dispatcher.active_runs,
            "next_run_times": [
                {"task_id": task_id, "name": name, "next_run": slot}
                for task_id, name, slot in self.queries.upcoming(100)
            ],
        }


def no_stats() -> dict[str, Any]:
    """What ``stats`` says before anything is open."""
    counts = dict.fromkeys(("active_tasks", "paused_tasks", "disabled_tasks", "total_tasks", "active_runs"), 0)
    return {**counts, "next_run_times": []}
