"""A client of Discord for a moment: logged in, without a gateway, for whoever only sends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from adapters.egress import bounded_answers
from domain.errors import InvalidInput, StoreUnavailable

if TYPE_CHECKING:
    import discord

__all__ = ["rest_client"]

LONGEST_WAIT_SECONDS = 30.0
"""A rate limit that asks for more is an answer, not a reason to hang."""


@asynccontextmanager
async def rest_client(token: str) -> AsyncIterator[discord.Client]:
    """The client, closed at the end. Raises InvalidInput for a token that is refused, StoreUnavailable otherwise."""
    import aiohttp
    import discord

    client = discord.Client(
        intents=discord.Intents.none(), max_ratelimit_timeout=LONGEST_WAIT_SECONDS, http_trace=bounded_answers()
    )
    try:
        try:
            await client.login(token)
        except discord.LoginFailure:
            raise InvalidInput(
                "DISCORD_TOKEN",
                "(hidden)",
                "is refused by Discord",
                "copy it anew from the Bot page of your application, where it can also be reset",
            ) from None
        except (aiohttp.ClientError, TimeoutError, OSError, discord.HTTPException) as error:
            raise StoreUnavailable(f"Discord cannot be reached: {type(error).__name__}: {error}"[:300]) from error
        yield client
    finally:
        await client.close()
