"""A Discord server with people in it, and Daybook's bot on a machine whose clock the test sets.

async with town_of(tmp_path) as town:
    async with town.bot():
        message = await town.slash(town.ann, "schedule list")
    async with town.bot():      # the next process on the same folder
        ...
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import discord

from adapters.discord_bot import DaybookBot
from adapters.discord_history import DiscordHistory
from adapters.summarizers import ExtractiveEngine
from application.views import TaskView
from daybook import Destination, DestinationType, ScheduledTask, TaskExecutor, TaskPersistence, TaskScheduler
from domain.errors import StoreError
from tests.discord_double import Channel, DiscordDouble, Guild, Interaction, Message, Permission, User, discord_double
from tests.doubles import HandClock, HandTimer

__all__ = ["Town", "button", "choices", "embed_text", "shown_text", "town_of"]

STEP = timedelta(minutes=5)


class Town:
    """A village with a square and a hall, ann who manages the server, bob who does not, and another guild with eve."""

    def __init__(self, double: DiscordDouble, folder: Path) -> None:
        self.double, self.folder = double, folder
        world = double.world
        self.guild, self.other = world.add_guild("Village"), world.add_guild("Elsewhere")
        self.square, self.hall = (world.add_channel(self.guild, name) for name in ("square", "hall"))
        self.field = world.add_channel(self.other, "field")
        self.ann, self.bob, self.eve = (world.add_user(name) for name in ("ann", "bob", "eve"))
        self._member(self.guild, self.ann, manages=True)
        self._member(self.guild, self.bob)
        self._member(self.other, self.eve, manages=True)
        self.clock = HandClock(world.now().replace(microsecond=0))
        self.timer = HandTimer(self.clock)
        self.engine: Any = ExtractiveEngine(2)
        self.reach: dict[str, Any] = {}
        """What else the executor is made with: a mail server, hosts that may be reached."""
        self.client: DaybookBot | None = None

    def _member(self, guild: Guild, user: User, *, manages: bool = False) -> None:
        bits = Permission.MANAGE_GUILD if manages else Permission(0)
        role = self.double.world.add_role(guild, f"role of {user.name}", bits)
        self.double.world.add_member(guild, user, [role])

    # --- the bot ---

    @asynccontextmanager
    async def bot(self) -> AsyncIterator[DaybookBot]:
        """The bot, connected; closed at the end. Every time is a process of its own on the same folder."""
        self.timer = HandTimer(self.clock)
        client = DaybookBot(self.service, guild_ready_timeout=0.0)
        self.client = client
        async with self.double.connected(client):
            await self.double.gateway.settle()
            await self.settled()
            yield client
        self.client = None

    def service(self, client: discord.Client) -> TaskScheduler:
        """A scheduler on a client, with this machine's clock."""
        executor = TaskExecutor(self.engine, DiscordHistory(client), client, **self.reach)
        persistence = TaskPersistence(self.folder, environment={})
        return TaskScheduler(executor, persistence, clock=self.clock, timer=self.timer)

    @property
    def scheduler(self) -> TaskScheduler:
        """The scheduler of the bot that runs."""
        assert self.client is not None
        assert isinstance(self.client.service, TaskScheduler)
        return self.client.service

    async def wait(self, length: timedelta) -> None:
        """Time passes, here and at Discord, and what comes due is done."""
        end = self.clock.now() + length
        while self.clock.now() < end:
            step = min(STEP, end - self.clock.now())
            self.double.world.pass_time(step)
            await self.timer.advance(step)
            await self.settled()

    async def settled(self) -> None:
        """Until all that is due has been done, and everybody was told of it who is told of changes."""

        async def settle() -> None:
            while True:
                with suppress(StoreError):  # a process that died tells nobody
                    await self.scheduler.stores.writer.catch_up()
                await asyncio.sleep(0)
                if not self._is_busy():
                    return
                await asyncio.sleep(0.001)

        await asyncio.wait_for(settle(), 30)

    def _is_busy(self) -> bool:
        dispatcher: Any = self.scheduler.dispatcher
        claiming = dispatcher._pump is not None and not dispatcher._pump.done()
        return bool(dispatcher.active_runs or claiming or self.scheduler.queries.overdue(self.clock.now()))

    # --- people ---

    async def slash(self, user: User, path: str, /, **options: Any) -> Message:
        """Use a command where the user is at home, and wait for what answers it."""
        return await self.interact(user, path, **options).shown()

    def interact(self, user: User, path: str, /, **options: Any) -> Interaction:
        """Use a command where the user is at home."""
        return self.double.interactions.slash(user, self.home(user), path, **options)

    def home(self, user: User) -> Channel:
        """The channel where a user types."""
        return self.field if user is self.eve else self.square

    async def typed(self, user: User, path: str, focused: str, /, **options: Any) -> list[dict[str, Any]]:
        """What is offered while the user types."""
        made = await self.double.interactions.type(user, self.home(user), path, focused, **options).answered()
        return made.choices or []

    async def press(self, user: User, message: Message, label: str) -> Interaction:
        """Press the button with this label, and wait for what comes of it."""
        return await self.double.interactions.press(user, message, button(message, label)).done()

    def chatter(self, channel: Channel, count: int = 8) -> None:
        """People talked in the minutes before now."""
        for number in range(count):
            author = (self.ann, self.bob)[number % 2]
            at = self.clock.now() - timedelta(minutes=count - number)
            text = f"Shall we plant oak number {number}? Yes, we decided on the meadow."
            self.double.world.say(channel, author, text, at=at)

    # --- tasks ---

    async def task(self, name: str = "Daily digest", *, guild: Guild | None = None, **fields: Any) -> str:
        """A task that was made in some other way than by Discord."""
        home = self.field if guild is self.other else self.square
        given: dict[str, Any] = {
            "guild_id": str((guild or self.guild).id),
            "channel_id": str(home.id),
            "destinations": [Destination(type=DestinationType.DISCORD_CHANNEL, target=str(home.id))],
        }
        return await self.scheduler.schedule_task(ScheduledTask(now=self.clock.now(), name=name, **(given | fields)))

    def tasks(self) -> list[TaskView]:
        """All tasks that have not ended, of all guilds."""
        return self.scheduler.queries.alive_tasks()

    def only_task(self) -> TaskView:
        """The one task that there is."""
        [task] = self.tasks()
        return task


@asynccontextmanager
async def town_of(folder: Path) -> AsyncIterator[Town]:
    """A town on a double of its own."""
    async with discord_double() as double:
        yield Town(double, folder)


def button(message: Message, label: str) -> str:
    """The custom id of the button (or menu, by its placeholder) with this label."""
    found = {
        item.get("label") or item.get("placeholder"): item["custom_id"]
        for row in message.components
        for item in row["components"]
        if "custom_id" in item
    }
    assert label in found, f"no {label!r} among {sorted(found)}"
    return str(found[label])


def embed_text(embed: dict[str, Any]) -> str:
    """All that an embed says."""
    fields = [text for field in embed.get("fields", []) for text in (field["name"], field["value"])]
    return "\n".join(
        [embed.get("title", ""), embed.get("description", ""), *fields, embed.get("footer", {}).get("text", "")]
    )


def shown_text(message: Message) -> str:
    """All that a message says."""
    return "\n".join([message.content, *(embed_text(embed) for embed in message.embeds)])


def choices(offered: list[dict[str, Any]]) -> list[str]:
    """The names that are offered."""
    return [choice["name"] for choice in offered]
