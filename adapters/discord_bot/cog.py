"""The cog: the commands in a bot's tree, the presses, and the life of the service that they are served by."""

from __future__ import annotations

import asyncio
from typing import Any

import discord
import structlog
from discord.ext import commands

from adapters.discord_bot.catalog import schedule_group
from adapters.discord_bot.desk import Desk
from adapters.discord_bot.host import Service
from adapters.discord_bot.results import ATTRIBUTE, view_below
from adapters.discord_bot.syncing import sync_if_changed
from adapters.discord_bot.texts import LanguageFiles

__all__ = ["DaybookCog"]

_log = structlog.get_logger(__name__)
LAST_WORDS_SECONDS = 3.0
"""How long a stop waits for answers that are on their way."""

_PRESSES = (discord.InteractionType.component, discord.InteractionType.modal_submit)


class DaybookCog(commands.Cog, name="Daybook"):
    """Serves ``/schedule`` in a bot.

    With ``owns_service`` the service starts as the cog is added (in ``setup_hook``, before the gateway) and stops as it
    is removed (in ``close``): once each, however often the gateway connects in between.
    """

    def __init__(self, bot: commands.Bot, service: Service, *, owns_service: bool = True) -> None:
        self.bot, self.service, self._owns_service = bot, service, owns_service
        self.desk = Desk(service)
        self.group = schedule_group(self.desk)
        self._translator: LanguageFiles | None = None

    async def cog_load(self) -> None:
        """Start the service, then offer the commands. Where the bot does not take them the service is stopped again."""
        try:
            await (self.service.start() if self._owns_service else self.service.open())
            self.desk.serving = True
            self.bot.tree.add_command(self.group)
            self._translator = LanguageFiles(self.bot.tree.translator)
            await self.bot.tree.set_translator(self._translator)
        except BaseException:  # what is not added is not unloaded either
            await self._take_away()
            raise
        vars(self.bot)[ATTRIBUTE] = view_below

    async def cog_unload(self) -> None:
        """Take the commands away, let runs end, stop the service; who still waits is answered, with what came of it."""
        await self._take_away()
        vars(self.bot).pop(ATTRIBUTE, None)
        await self.desk.finished(within_seconds=LAST_WORDS_SECONDS)

    async def _take_away(self) -> None:
        self.desk.serving = False
        if self.bot.tree.get_command(self.group.name) is self.group:  # the bot may have one of its own of this name
            self.bot.tree.remove_command(self.group.name)
        if self._translator is not None and self.bot.tree.translator is self._translator:
            await self.bot.tree.set_translator(self._translator.before)
        if self._owns_service:
            await self.service.stop()

    async def sync(self) -> bool:
        """Send the tree of the bot to Discord if it changed since it was sent last; says whether."""
        return await sync_if_changed(self.bot.tree, _Kept(self.service))

    @commands.Cog.listener("on_interaction")
    async def on_pressed(self, interaction: discord.Interaction[Any]) -> None:
        """Serve presses and forms; commands come through the tree."""
        if interaction.type in _PRESSES:
            await self.desk.pressed(interaction)


class _Kept:
    """The memory of the tree, in the content store: nodes that share a log send it once."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def recall(self, key: str) -> dict[str, Any] | None:
        return await asyncio.to_thread(self._service.stores.content.cache_get, key)

    async def keep(self, key: str, value: dict[str, Any]) -> None:
        at = self._service.clock.now()
        await asyncio.to_thread(self._service.stores.content.cache_put, key, "", value, at)
