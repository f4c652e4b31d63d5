"""Opening the store for one command: alone, or beside the service that holds it, and then waiting for that one."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from adapters.cli import show
from adapters.cli.host import Host, ReadStores, Service, Settings
from adapters.cli.reading import warn_of_the_unreadable
from domain.errors import NotFound, StoreUnavailable

if TYPE_CHECKING:
    from datetime import datetime

    from application.ports import MessageProcessor
    from application.queries import Queries
    from application.scheduler import Scheduler

__all__ = ["Session", "log_when_needed", "looking", "on_store", "opened"]

T = TypeVar("T")
SETTLE_SECONDS = 5.0
LOOK_SECONDS = 0.05


@dataclass(slots=True)
class Session:
    """The open store of one command."""

    host: Host
    settings: Settings
    service: Service

    @property
    def queries(self) -> Queries:
        """What is and what was."""
        return self.service.queries

    @property
    def commands(self) -> Scheduler:
        """What may be asked for."""
        return self.service.commands

    @property
    def beside(self) -> bool:
        """Whether another process holds the store and does the work."""
        return self.service.stores.companion

    @property
    def now(self) -> datetime:
        """The present instant (aware UTC)."""
        return self.service.clock.now()

    async def settle(self) -> bool:
        """Wait until what was just written is seen by all who ask: the service takes it up within moments.

        Where that service ends meanwhile this process takes the store itself. False when the service hangs: then what
        was written is safe, but nobody sees it yet.
        """
        if not self.beside:
            return True
        wanted = self.service.stores.log.last_position()
        until = monotonic() + SETTLE_SECONDS
        while self.service.stores.read_model.position() < wanted:
            if self.host.holder(self.settings.data) is None:
                await self.service.stop()
                await self.service.open(companion=True)
                return await self.settle()
            if monotonic() > until:
                show.note("warning: it is written down, but the running service has not taken it up yet")
                return False
            await asyncio.sleep(LOOK_SECONDS)
        return True


def log_when_needed(host: Host, level: str) -> None:
    """Send log lines to standard error. What makes them beautiful is loaded with the first of them, if there is one."""
    root = logging.getLogger()
    root.handlers[:] = [_FirstLine(host, level)]
    root.setLevel(level.upper())


class _FirstLine(logging.Handler):
    def __init__(self, host: Host, level: str) -> None:
        super().__init__()
        self._host, self._wanted = host, level

    def emit(self, record: logging.LogRecord) -> None:
        self._host.configure_logging(self._wanted, "console", sys.stderr)
        logging.getLogger().handle(record)


@asynccontextmanager
async def opened(
    host: Host,
    given: dict[str, Any],
    *,
    creates: bool = False,
    messages: MessageProcessor | None = None,
    client: Any = None,
) -> AsyncIterator[Session]:
    """The store that the settings name. Only a command that ``creates`` something makes a folder that is missing.

    Raises NotFound for a folder that is not there, StoreUnavailable when it cannot be used.
    """
    settings = host.settings(**given)
    log_when_needed(host, "error" if settings.log_level == "error" else "warning")
    if not creates and settings.database_url is None and not settings.data.is_dir():
        raise NotFound("data folder", str(settings.data))
    service = host.service(settings, messages, client)
    try:
        await service.open(companion=True)
        if service.stores.companion and service.stores.read_model.stale:
            holder = host.holder(settings.data) or {}
            raise StoreUnavailable(
                f"{settings.data} is held by another version of this program, or by one that has just started "
                f"(process {holder.get('pid')}); try again, or restart that process"
            )
        warn_of_the_unreadable(service.queries)
        yield Session(host, settings, service)
    finally:
        await service.stop()


@contextmanager
def looking(host: Host, data: str | None) -> Iterator[ReadStores]:
    """The stores that the settings name, only to look: nothing is written, nobody who died is noticed.

    Raises NotFound for a folder that is not there, StoreUnavailable when it cannot be read.
    """
    settings = host.settings(data=data)
    log_when_needed(host, "error" if settings.log_level == "error" else "warning")
    if settings.database_url is None and not settings.data.is_dir():
        raise NotFound("data folder", str(settings.data))
    with host.read_stores(settings) as stores:
        yield stores


def on_store(
    ctx: typer.Context,
    work: Callable[[Session], Awaitable[T]],
    *,
    data: str | None,
    creates: bool = False,
    **given: Any,
) -> T:
    """Open the store, do the work with it, close it."""

    async def all_of_it() -> T:
        async with opened(ctx.obj, {"data": data, **given}, creates=creates) as session:
            return await work(session)

    return asyncio.run(all_of_it())
