"""What people were shown and have not confirmed yet. It is kept with the data, so that a restart forgets none of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID, uuid4

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from adapters.discord_bot.problems import Expired
from domain.definition import TaskDefinition
from domain.event import Utc
from domain.guild import GuildSettings
from domain.task import ScheduledTask

if TYPE_CHECKING:
    from adapters.discord_bot.host import Service

__all__ = ["KEPT_FOR", "MOST_OF_ONE", "Draft", "Drafts", "Farewell", "KeptT", "Proposal", "Unconfirmed"]

KEPT_FOR = timedelta(days=1)
"""For how long something may be confirmed. Discord shows it no longer than until a client restarts, as a rule."""

MOST_OF_ONE = 16
"""How many one person has in a guild at most; one more takes the place of the oldest."""


class Unconfirmed(BaseModel):
    """Something that one person was shown: in which guild, by the vault's reference, when (aware UTC)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: UUID = Field(default_factory=uuid4)
    guild_id: str
    by: str
    at: Utc


class Draft(Unconfirmed):
    """A task as it shall be. A new one's id is the draft's own; ``before`` is what a change was made on.

    Secrets of destinations are in the vault already; a draft holds references to them.
    """

    task_id: str | None = None
    before: TaskDefinition | None = None
    after: TaskDefinition

    @property
    def changes(self) -> dict[str, object]:
        """What is different from before, by the fields of a definition."""
        before = self.before
        if before is None:
            return {}
        names = TaskDefinition.model_fields
        return {name: getattr(self.after, name) for name in names if getattr(self.after, name) != getattr(before, name)}

    def new_task(self, now: datetime) -> ScheduledTask:
        """The task that is made of a draft of a new one. Raises InvalidInput."""
        return ScheduledTask.define(self.after, id=self.id, now=now)


class Proposal(Unconfirmed):
    """Settings of a guild as they shall be, and those that they were proposed on."""

    before: GuildSettings
    after: GuildSettings


class Farewell(Unconfirmed):
    """A task that shall end, and why."""

    task_id: str
    reason: str


KeptT = TypeVar("KeptT", bound=Unconfirmed)


class Drafts:
    """Keeps them in the content store, beside caches: whatever process is asked later finds them."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._confirming: set[UUID] = set()
        self._placing = asyncio.Lock()

    async def put(self, kept: Unconfirmed) -> None:
        """Keep it, in place of the one with its id."""
        await self._store(kept, {"kind": type(kept).__name__, "kept": kept.model_dump(mode="json")})

    async def get(self, kind: type[KeptT], id: str, *, guild_id: str, by: str, now: datetime) -> KeptT:
        """What this person was shown in this guild. Raises Expired for others' as for unknown ones and old ones."""
        try:
            _, found = await asyncio.to_thread(self._place_of, by, guild_id, UUID(id))
            if found is None or found.get("kind") != kind.__name__:
                raise Expired(f"nothing is kept as {id}")
            kept = kind.model_validate(found["kept"])
        except (ValueError, ValidationError) as error:
            raise Expired(f"{id} cannot be read") from error
        if (str(kept.id), kept.guild_id, kept.by) != (id, guild_id, by) or now - kept.at > KEPT_FOR:
            raise Expired(f"nothing is kept as {id}")
        return kept

    async def drop(self, kept: Unconfirmed) -> None:
        """Forget it."""
        await self._store(kept, {})

    @contextmanager
    def confirming(self, kept: Unconfirmed) -> Iterator[None]:
        """While it is done. Raises Expired for whoever confirms it a second time meanwhile: people press twice."""
        if kept.id in self._confirming:
            raise Expired(f"{kept.id} is being done")
        self._confirming.add(kept.id)
        try:
            yield
        finally:
            self._confirming.discard(kept.id)

    async def _store(self, kept: Unconfirmed, value: Mapping[str, object]) -> None:
        at = self._service.clock.now()
        async with self._placing:  # two at once would choose the same place
            key, _ = await asyncio.to_thread(self._place_of, kept.by, kept.guild_id, kept.id)
            await asyncio.to_thread(self._service.stores.content.cache_put, key, kept.guild_id, value, at)

    def _place_of(self, by: str, guild_id: str, id: UUID) -> tuple[str, Mapping[str, Any] | None]:
        """Where this one stands, and what stands there; else where it would be put: a free place, or the oldest's."""
        free, oldest = None, ("", "")
        for n in range(MOST_OF_ONE):
            key = f"unconfirmed:{guild_id}:{by}:{(id.int + n) % MOST_OF_ONE}"
            found = self._service.stores.content.cache_get(key)
            kept = (found or {}).get("kept")
            if not isinstance(kept, dict):
                free = free or key
                if found is None:  # nothing was ever put behind it
                    break
            elif kept.get("id") == str(id):
                return key, found
            elif not oldest[1] or str(kept.get("at")) < oldest[1]:
                oldest = key, str(kept.get("at"))
        return free or oldest[0], None
