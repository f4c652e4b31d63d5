"""Opening, starting and stopping a scheduler: one at a time, each to its end, whoever stops waiting for it."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from application.calls import SchedulerCalls

if TYPE_CHECKING:
    from datetime import datetime

    from application.service import Service

__all__ = ["Lifecycle"]


class Openable(Protocol):
    """As much of the stores as their opening and closing takes."""

    companion: bool
    found_dead: list[tuple[str, datetime]]

    def close(self) -> None: ...


S = TypeVar("S", bound=Openable)


class Lifecycle(SchedulerCalls, Generic[S]):
    """The life of a service and its stores. Whoever is cancelled here only stops waiting: stores that nobody knows of
    would stay open, and runs that a stop left in the middle would be done again.

    ``_stores`` are there from the end of the recovery until they are closed: also while a stop lets runs end, since
    these may ask and command.
    """

    def __init__(self) -> None:
        import asyncio

        from application.lasting import Lasting

        self._one_at_a_time, self._lasting = asyncio.Lock(), Lasting()
        self._stores: S | None = None

    @abstractmethod
    def _opened(self, how: Any) -> S:
        """The stores; blocks. None stands for the usual. Raises StoreInUse, StoreCut, StoreUnavailable."""

    @abstractmethod
    def _wired(self, stores: S) -> Service:
        """The service on these stores."""

    @abstractmethod
    async def _ended(self) -> None:
        """What is closed before the stores are."""

    async def _open(self, how: Any) -> None:
        if self._stores is None:
            await self._lasting.carry_through(self._open_once(how))

    async def _open_once(self, how: Any) -> S:
        async with self._one_at_a_time:
            return await self._now_open(how)

    async def _now_open(self, how: Any = None) -> S:
        import asyncio

        if self._stores is not None:
            return self._stores
        stores = await asyncio.to_thread(self._opened, how)
        try:
            self._service = self._wired(stores)
            if not stores.companion:
                await self._service.recover(stores.found_dead)
        except BaseException:
            await self._close(stores)
            raise
        self._stores = stores
        return stores

    async def start(self) -> None:
        """Open the stores and run what is due from now on. What fails half-way is stopped and closed again."""
        await self._lasting.carry_through(self._start_once())

    async def _start_once(self) -> None:
        async with self._one_at_a_time:
            stores = await self._now_open()
            if self.dispatcher.running:
                return
            try:
                await self.dispatcher.start()
            except BaseException:
                await self._end(stores)
                raise

    async def stop(self) -> None:
        """Stop claiming, let runs and erasures end (at most 30 s), interrupt the rest, close the stores.

        Idempotent. It goes on when whoever waits for it is cancelled, and then interrupts the runs at once.
        """
        import asyncio

        try:
            await self._lasting.carry_through(self._stop_once())
        except asyncio.CancelledError:
            if self._stores is not None:
                self.dispatcher.interrupt()
            raise

    async def _stop_once(self) -> None:
        async with self._one_at_a_time:
            if self._stores is not None:
                await self._end(self._stores)

    async def _end(self, stores: S) -> None:
        try:
            await self._service.stop()
        finally:
            await self._close(stores)

    async def _close(self, stores: S) -> None:
        import asyncio

        self._stores = None
        try:
            await self._ended()
        finally:
            await asyncio.to_thread(stores.close)
