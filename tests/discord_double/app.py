"""The server as a whole, and real discord.py clients that are pointed at it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import discord
import discord.gateway
import discord.http
import yarl
from aiohttp import web

from tests.discord_double.commands import Commands
from tests.discord_double.faults import Faults
from tests.discord_double.gateway import Gateway
from tests.discord_double.interactions import Interactions
from tests.discord_double.rates import Rates
from tests.discord_double.rest import Rest
from tests.discord_double.wire import PREFIX, Wire
from tests.discord_double.world import World

__all__ = ["DiscordDouble", "discord_double", "hurried"]


class DiscordDouble:
    """Discord on a port of this machine: its ``world``, its ``gateway``, its ``wire``."""

    def __init__(self, world: World | None = None) -> None:
        self.world = world if world is not None else World()
        self.wire = Wire(self.world)
        self.gateway = Gateway(self.world)
        self.rest = Rest(self.world, self.wire)
        self.commands = Commands(self.world, self.wire)
        self.interactions = Interactions(self.world, self.wire, self.gateway, self.commands)
        self.wire.app.router.add_get("/gateway", self.gateway.handle)
        self.wire.close_routes()
        self._runner = web.AppRunner(self.wire.app, shutdown_timeout=1)
        self.port = 0

    @property
    def faults(self) -> Faults:
        """The script of what goes wrong."""
        return self.wire.faults

    @property
    def rates(self) -> Rates:
        """The rate limits."""
        return self.wire.rates

    async def start(self) -> None:
        """Listen on a free port of loopback."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        [(_, self.port)] = [address[:2] for address in self._runner.addresses]
        self.gateway.url = f"ws://127.0.0.1:{self.port}/gateway"

    async def stop(self) -> None:
        """Let go of what hangs, close every connection, stop listening."""
        self.faults.release()
        await self.gateway.close()
        await self._runner.cleanup()

    @contextmanager
    def patched(self) -> Iterator[None]:
        """Point discord.py here: its base address and its gateway are class attributes, restored at the end."""
        base, gateway = discord.http.Route.BASE, discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY
        discord.http.Route.BASE = f"http://127.0.0.1:{self.port}{PREFIX}"
        discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(self.gateway.url)
        try:
            yield
        finally:
            discord.http.Route.BASE = base
            discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = gateway

    @asynccontextmanager
    async def rest_client(self, **options: Any) -> AsyncIterator[discord.Client]:
        """A client that is logged in and has no gateway."""
        client = _client(**options)
        try:
            await client.login(self.world.token)
            yield client
        finally:
            await client.close()

    @asynccontextmanager
    async def connected(self, client: discord.Client | None = None, **options: Any) -> AsyncIterator[discord.Client]:
        """A client (or a Bot of yours) that is logged in, connected and ready."""
        client = client if client is not None else _client(**options)
        tasks: list[asyncio.Task[None]] = []
        try:
            await client.login(self.world.token)
            tasks = [asyncio.create_task(client.connect()), asyncio.create_task(client.wait_until_ready())]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if tasks[0].done():
                await tasks[0]  # it ended before it was ready: say why
            yield client
        finally:
            await client.close()
            for task in tasks:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task


def _client(**options: Any) -> discord.Client:
    intents = options.pop("intents", None) or discord.Intents(guilds=True, messages=True, message_content=True)
    return discord.Client(intents=intents, guild_ready_timeout=0.0, max_messages=None, **options)


@contextmanager
def hurried() -> Iterator[list[float]]:
    """Let discord.py's HTTP client sleep in no time, as it does for seconds between its tries; yields the lengths."""
    slept: list[float] = []

    async def sleep(seconds: float, result: object = None) -> object:
        slept.append(seconds)
        await asyncio.sleep(0)
        return result

    hurry = SimpleNamespace(**{name: getattr(asyncio, name) for name in dir(asyncio) if not name.startswith("__")})
    hurry.sleep = sleep
    with patch.object(discord.http, "asyncio", hurry):
        yield slept


@asynccontextmanager
async def discord_double(world: World | None = None) -> AsyncIterator[DiscordDouble]:
    """A running double that discord.py is pointed at until the end."""
    double = DiscordDouble(world)
    await double.start()
    try:
        with double.patched():
            yield double
    finally:
        await double.stop()
