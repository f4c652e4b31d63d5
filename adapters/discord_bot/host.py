"""What the bot is handed by the program that it belongs to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from application.ports import Clock, Content, Log, Vault
    from application.queries import Queries
    from application.scheduler import Scheduler

__all__ = ["OpenStores", "Service"]


class OpenStores(Protocol):
    """The stores of an open service, as far as the bot asks them."""

    @property
    def vault(self) -> Vault: ...
    @property
    def content(self) -> Content: ...
    @property
    def log(self) -> Log: ...


class Service(Protocol):
    """A scheduler. The parts exist once it is open."""

    timezone: str
    clock: Clock

    @property
    def commands(self) -> Scheduler: ...
    @property
    def queries(self) -> Queries: ...
    @property
    def stores(self) -> OpenStores: ...
    @property
    def running(self) -> bool: ...
    async def open(self) -> None: ...
    async def start(self) -> None: ...
    async def stop(self) -> None: ...
