"""Commands that only ask: they read the rows as they stand, and open a service only where that has to act first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from adapters.cli import show
from application.queries import Queries

if TYPE_CHECKING:
    from adapters.cli.host import Host
    from adapters.cli.store import Session
    from application.ports import Clock, Log

__all__ = ["Reader", "on_rows", "warn_of_the_unreadable"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Reader:
    """What a question may ask. ``beside``: another process holds the store and does the work."""

    queries: Queries
    log: Log
    clock: Clock
    timezone: str
    beside: bool

    @property
    def now(self) -> datetime:
        """The present instant (aware UTC)."""
        return self.clock.now()


def on_rows(ctx: Any, work: Callable[[Reader], T], *, data: str | None) -> T:
    """Answer a question with what the rows say. Raises NotFound for no store, StoreUnavailable for a broken one."""
    host: Host = ctx.obj
    with host.reading(data) as found:
        if found is not None:
            queries = Queries(found.rows, found.log, found.content, found.leaves)
            warn_of_the_unreadable(queries)
            return work(Reader(queries, found.log, found.clock, found.timezone, found.served))
    return _on_service(ctx, work, data)


def _on_service(ctx: Any, work: Callable[[Reader], T], data: str | None) -> T:
    from adapters.cli.store import on_store

    async def ask(session: Session) -> T:
        service = session.service
        return work(Reader(service.queries, service.stores.log, service.clock, service.timezone, session.beside))

    return on_store(ctx, ask, data=data)


def warn_of_the_unreadable(queries: Queries) -> None:
    """Say on standard error how much cannot be read or is missing, if anything."""
    if not (unreadable := queries.unreadable()):
        return
    count, streams = sum(unreadable.values()), len(unreadable)
    events = "1 event cannot be read, or is missing" if count == 1 else f"{count} events cannot be read, or are missing"
    of = f" (of {streams} streams)" if streams > 1 else ""
    show.note(f"warning: {events}{of}: this is what the others say. `daybook verify` says which, and what to do")
