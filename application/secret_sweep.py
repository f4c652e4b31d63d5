"""Secrets that nothing refers to any more are taken out of the vault: replaced URLs, those of tasks that have ended.

A secret is kept before the command that refers to it is committed, and the command may be refused, or its process may
die in between. So nobody can say at once that a secret is not wanted; a sweep says it later, and repeats after a crash
whatever it did not come to.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime, timedelta

from application.ports import Clock, Vault, Writer
from application.queries import Queries
from application.secret_targets import REFERENCE
from domain.destination import Destination
from domain.errors import StoreError

__all__ = ["GRACE", "SWEEP_SECONDS", "SecretSweep"]

SWEEP_SECONDS = 600.0
"""How often it is looked."""

GRACE = timedelta(hours=1)
"""A secret goes when no look found a reference to it for this long: far longer than a command is on its way."""

_log = logging.getLogger(__name__)

Place = tuple[str, str]
"""A guild's id and a reference."""


class SecretSweep:
    """Looks at every secret of the vault, and at every task that has not ended and every guild's settings."""

    def __init__(self, vault: Vault, queries: Queries, writer: Writer, clock: Clock) -> None:
        self._vault, self._queries, self._writer, self._clock = vault, queries, writer, clock
        self._unused_since: dict[Place, datetime] = {}
        self._looking = asyncio.Lock()

    async def run(self) -> None:
        """One look; deletes what was unused at every look for the whole of the grace. Never raises StoreError."""
        try:
            # One look at a time: a timer that checks while a look is under way, after a clock jump, begins another.
            async with self._looking:
                await self._writer.catch_up()
                await asyncio.to_thread(self._look)
        except StoreError as error:
            _log.warning("secrets that are not used any more are looked for later: %s", error)

    def _look(self) -> None:
        kept = set(self._vault.secret_references())
        if not kept:
            self._unused_since = {}
            return
        if self._queries.faults():
            # What cannot be read may refer to anything.
            _log.warning("the log holds events that cannot be read; no secret is taken out of the vault")
            return
        now = self._clock.now()
        unused = kept - self._used({guild_id for guild_id, _ in kept})
        self._unused_since = {place: self._unused_since.get(place, now) for place in unused}
        for place, since in list(self._unused_since.items()):
            if now - since >= GRACE:
                self._vault.delete_secret(*place)
                del self._unused_since[place]
                _log.info("%s of guild %s was not used any more and is deleted", place[1], place[0])

    def _used(self, guilds: set[str]) -> set[Place]:
        """The references of these guilds that a task which has not ended, or a guild's settings, still hold."""
        return {
            (guild_id, destination.target)
            for guild_id in guilds
            for destination in self._destinations(guild_id)
            if REFERENCE.fullmatch(destination.target)
        }

    def _destinations(self, guild_id: str) -> list[Destination]:
        tasks = self._queries.alive_tasks(guild_id=guild_id)
        return [
            *(destination for task in tasks for destination in task.definition.destinations),
            *self._queries.settings(guild_id).failure_notices,
        ]
