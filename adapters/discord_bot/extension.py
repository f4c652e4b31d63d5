"""Daybook in a bot of somebody else: ``await bot.load_extension("daybook")``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from discord.ext import commands

from adapters.discord_bot.cog import DaybookCog
from adapters.discord_bot.host import Service

__all__ = ["attach", "configure", "configured", "detach"]

_ATTRIBUTE = "daybook_parts"


def configure(bot: commands.Bot, parts: Mapping[str, Any]) -> None:
    """Remember what the extension shall use: on the bot, for discord.py executes the module of an extension anew."""
    vars(bot)[_ATTRIBUTE] = dict(parts)


def configured(bot: commands.Bot) -> dict[str, Any]:
    """What was remembered on the bot; nothing if nothing was."""
    return dict(vars(bot).get(_ATTRIBUTE, {}))


async def attach(bot: commands.Bot, service: Service, *, owns_service: bool) -> None:
    """Add the cog. The tree is the bot's own: it is not synced here."""
    await bot.add_cog(DaybookCog(bot, service, owns_service=owns_service))


async def detach(bot: commands.Bot) -> None:
    """Remove the cog, which stops a service that is its own."""
    await bot.remove_cog(DaybookCog.__cog_name__)
