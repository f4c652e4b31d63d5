"""The bot that ``daybook run`` is when it has a token: gateway, commands, timers and deliveries in one event loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import aiohttp
import discord
import structlog
from discord.ext import commands

from adapters.discord_bot.cog import DaybookCog
from adapters.discord_bot.host import Service
from domain.errors import InvalidInput, StoreUnavailable

__all__ = ["LONGEST_WAIT_SECONDS", "DaybookBot"]

_log = structlog.get_logger(__name__)

LONGEST_WAIT_SECONDS = 30.0
"""The longest 429 that the library sleeps through (it takes no less). A longer one is told to whoever sends, at once: a
delivery has a deadline, and is tried again when Discord says so."""

discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = False  # it never speaks


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
            "chunk_guilds_at_startup": False,
            "help_command": None,
        }
        super().__init__(commands.when_mentioned, **(settings | options))
        self.service: Service = service(self)

    async def setup_hook(self) -> None:
        """Start the service and offer the commands: once, between login and the first connection."""
        cog = DaybookCog(self, self.service)
        self.tree.error(cog.desk.failed)
        await self.add_cog(cog)
        try:
            await cog.sync()
        except (discord.DiscordException, aiohttp.ClientError, OSError) as error:
            # What is scheduled matters more; the commands that are registered go on working.
            _log.error("commands_not_synced", error=str(error)[:300])

    async def close(self) -> None:
        """Let runs end, stop the service, leave Discord. Deliveries go on until the service has stopped."""
        await super().close()

    async def open(self, token: str) -> None:
        """Log in, which starts the service. Raises InvalidInput for a token that is refused, StoreUnavailable."""
        try:
            await self.login(token)
        except discord.LoginFailure:
            raise InvalidInput(
                "DISCORD_TOKEN",
                "(hidden)",
                "is refused by Discord",
                "copy it anew from the Bot page of your application, where it can also be reset",
            ) from None
        except (aiohttp.ClientError, OSError, discord.HTTPException) as error:
            raise StoreUnavailable(f"Discord cannot be reached: {type(error).__name__}: {error}"[:300]) from error

    async def stay(self) -> None:
        """Stay connected until the bot is closed; connects anew as often as it takes.

        Raises InvalidInput where connecting anew is no use.
        """
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
        return f"Discord as {self.user}"
