"""The bot that ``daybook run`` is when it has a token: gateway, commands, timers and deliveries in one event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import aiohttp
import discord
import structlog
from discord.ext import commands

from adapters.discord_bot.cog import DaybookCog
from adapters.discord_bot.host import Service
from adapters.egress import bounded_answers
from domain.errors import InvalidInput, StoreUnavailable

__all__ = ["LONGEST_WAIT_SECONDS", "DaybookBot", "pause_before"]

_log = structlog.get_logger(__name__)

LONGEST_WAIT_SECONDS = 30.0
"""The longest 429 that the library sleeps through (it takes no less). A longer one is told to whoever sends, at once: a
delivery has a deadline, and is tried again when Discord says so."""

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 5.0, 300.0

LOGIN_SECONDS = 2.0
"""How long the service waits for Discord to know the token. The library asks a Discord in trouble again for 25 s."""

discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = False  # it never speaks


class _Unreachable(Exception):
    """Discord did not answer as the bot logged in."""


def pause_before(attempt: int) -> float:
    """Seconds before logging in is tried again, for the first time (1), the second: 5, 10, 20, at most 300."""
    return float(min(FIRST_PAUSE_SECONDS * 2 ** min(attempt - 1, 10), LONGEST_PAUSE_SECONDS))


class DaybookBot(commands.Bot):
    """A bot that needs to know of guilds and channels only: history is read, and results are sent, by REST.

    No privileged intent is asked for at the gateway. For the text of messages the application still needs the Message
    Content Intent, which is switched on in Discord's developer portal and holds for REST as well.
    """

    def __init__(self, service: Callable[[discord.Client], Service], **options: Any) -> None:
        settings: dict[str, Any] = {
            "intents": discord.Intents(guilds=True),
            "allowed_mentions": discord.AllowedMentions.none(),
            "max_ratelimit_timeout": LONGEST_WAIT_SECONDS,
            "max_messages": None,
            "http_trace": bounded_answers(),
            "chunk_guilds_at_startup": False,
            "help_command": None,
        }
        super().__init__(commands.when_mentioned, **(settings | options))
        self.service: Service = service(self)
        self._cog: DaybookCog | None = None
        self._beginning = asyncio.Lock()
        self._token = ""
        self._first: asyncio.Task[None] | None = None
        self._leaving = asyncio.Event()

    async def setup_hook(self) -> None:
        """Start the service, if it has not begun yet, and offer the commands: between login and first connection."""
        cog = await self._begin()
        try:
            await cog.sync()
        except (discord.DiscordException, aiohttp.ClientError, OSError) as error:
            # What is scheduled matters more; the commands that are registered go on working.
            _log.error("commands_not_synced", error=str(error)[:300])

    async def _begin(self) -> DaybookCog:
        """Start the service: once, whoever asks first."""
        async with self._beginning:
            return await self._begin_once()

    async def _begin_once(self) -> DaybookCog:
        if self._cog is None:
            cog = DaybookCog(self, self.service)
            self.tree.error(cog.desk.failed)
            try:
                await self.add_cog(cog)
            except OSError as error:  # or it would be taken for one of the network
                raise StoreUnavailable(f"the service cannot start: {type(error).__name__}: {error}"[:300]) from error
            self._cog = cog
        return self._cog

    async def close(self) -> None:
        """Let runs end, stop the service, leave Discord. Deliveries go on until the service has stopped."""
        self._leaving.set()
        if self._first is not None:
            self._first.cancel()
            await asyncio.gather(self._first, return_exceptions=True)
        await super().close()

    async def open(self, token: str) -> None:
        """Log in, and start the service. Where Discord does not answer soon, the service starts all the same: timers
        ring, and what does not need Discord is done; ``stay`` goes on logging in.

        Raises InvalidInput for a token that is refused, before anything was started; StoreUnavailable.
        """
        self._token = token
        self._first = asyncio.create_task(self._log_in(token))
        await asyncio.wait((self._first,), timeout=LOGIN_SECONDS)
        if not self._first.done():
            await self._begin()  # it may still be tried, or already be sending the commands
            return
        try:
            await self._first
        except _Unreachable:
            await self._begin()  # ``stay`` says why, and tries again

    async def _log_in(self, token: str) -> None:
        try:
            await self.login(token)
        except discord.LoginFailure:
            raise InvalidInput(
                "DISCORD_TOKEN",
                "(hidden)",
                "is refused by Discord",
                "copy it anew from the Bot page of your application, where it can also be reset",
            ) from None
        except (aiohttp.ClientError, TimeoutError, OSError, discord.HTTPException) as error:
            # Every login makes a session of its own. What wants to send meanwhile finds a closed one, and tries later.
            await self.http.close()
            self.http.connector = discord.utils.MISSING
            raise _Unreachable(f"{type(error).__name__}: {error}"[:300]) from error

    async def _reached(self) -> bool:
        """Log in, as often as it takes; False when the bot is closed before."""
        attempt, trying = 0, self._first
        while trying is not None:
            leaving = asyncio.create_task(self._leaving.wait())
            await asyncio.wait((trying, leaving), return_when=asyncio.FIRST_COMPLETED)
            leaving.cancel()
            if self._leaving.is_set():
                trying.cancel()
                await asyncio.gather(trying, return_exceptions=True)
                return False
            try:
                await trying
            except _Unreachable as error:
                attempt += 1
                _log.error("discord_unreachable", error=str(error), next_try_seconds=pause_before(attempt))
            else:
                if attempt:
                    _log.info("discord_reached", attempts=attempt)
                return True
            if await self._leaves_within(pause_before(attempt)):
                return False
            trying = asyncio.create_task(self._log_in(self._token))
        return True

    async def _leaves_within(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self._leaving.wait(), seconds)
        except TimeoutError:
            return False
        return True

    async def stay(self) -> None:
        """Stay connected until the bot is closed: log in if that is still to be done, connect as often as it takes.

        Raises InvalidInput where connecting anew is no use.
        """
        if not await self._reached():
            return
        try:
            await self.connect(reconnect=True)
        except (discord.LoginFailure, discord.ConnectionClosed, discord.PrivilegedIntentsRequired) as error:
            raise InvalidInput(
                "DISCORD_TOKEN",
                "(hidden)",
                f"is not served by Discord's gateway any more: {error}"[:300],
                "copy it anew",
            ) from error

    @property
    def presence(self) -> str:
        """Who it is on Discord, for people who watch."""
        return f"Discord as {self.user}" if self.user is not None else "Discord, which cannot be reached yet"
