"""The bot as a whole: one service whatever the gateway does, deliveries by REST, a clean end, a tree sent once."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import discord
import pytest
from discord import app_commands
from discord.ext import commands

import daybook
from adapters.discord_bot import DaybookBot, catalog
from adapters.discord_bot import bot as bot_module
from adapters.discord_bot.bot import pause_before
from domain.errors import InvalidInput
from tests.discord_double import hurried
from tests.docs_pages import ROOT, blocks
from tests.doubles import HandTimer, HostEngine, HostMessages
from tests.e2e.machine import until
from tests.e2e.town import Town, shown_text, town_of

MINUTE = timedelta(minutes=1)


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    async with town_of(tmp_path / "data") as made:
        yield made


def nodes(town: Town) -> list[str]:
    """Every process that ever served."""
    return [node.node for node in town.scheduler.queries.nodes()]


# --- an engine that waits ---------------------------------------------------------------------------------------------


class Slow(HostEngine):
    """Says that it has begun, and waits until it may go on."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.go_on = asyncio.Event(), asyncio.Event()

    async def summarize_messages(self, *given: Any, **more: Any) -> Any:
        self.begun.set()
        await self.go_on.wait()
        return await super().summarize_messages(*given, **more)


# --- one life -------------------------------------------------------------------------------------------------------


async def test_there_is_one_scheduler_however_often_the_gateway_connects(town: Town) -> None:
    """A new session calls ``on_ready`` again; the service neither stops nor starts a second time."""
    async with town.bot() as bot:
        gateway, scheduler, dispatcher = town.double.gateway, town.scheduler, town.scheduler.dispatcher
        ready: list[int] = []

        @bot.listen("on_ready")
        async def count() -> None:
            ready.append(1)

        with hurried():
            gateway.reconnect()
            await gateway.until(lambda: gateway.resumes == 1)
            gateway.invalidate()
            await gateway.until(lambda: gateway.identifies == 2)
            await until(lambda: len(ready) == 1)
        assert town.scheduler is scheduler
        assert scheduler.dispatcher is dispatcher
        assert scheduler.running
        assert len(nodes(town)) == 1


async def test_a_slot_is_served_while_the_gateway_is_down(town: Town) -> None:
    """The connection is gone and every new one is refused: history and delivery go by REST."""
    async with town.bot():
        await town.task(schedule_time=(town.clock.now() + 10 * MINUTE).strftime("%H:%M"))
        gateway = town.double.gateway
        gateway.refuse(503, times=1_000_000)
        gateway.drop()
        await gateway.until(lambda: not any(session.outgoing for session in gateway.sessions.values()))
        town.chatter(town.square)
        said = len(town.square.messages)
        await town.wait(11 * MINUTE)
        assert len(town.square.messages) == said + 1
        assert town.square.messages[-1].embeds[0]["title"] == "Daily digest"


async def test_a_close_lets_a_run_end_and_its_result_arrive(town: Town) -> None:
    """Closing waits for what is going on, while Discord can still be spoken to."""

    town.engine = Slow()
    async with town.bot() as bot:
        id = await town.task(destinations=[{"type": "discord_channel", "target": str(town.hall.id)}])
        town.chatter(town.square)
        running = asyncio.create_task(town.scheduler.run_task_now(id))
        await town.engine.begun.wait()
        closing = asyncio.create_task(bot.close())
        await until(lambda: not town.scheduler.dispatcher.running)
        town.engine.go_on.set()
        await closing
        assert (await running).success
    assert len(town.hall.messages) == 1


async def test_who_waits_while_the_bot_closes_is_told_what_came_of_it(town: Town) -> None:
    """A run that was asked for ends within the drain, and its answer is shown before Discord is left."""
    town.engine = Slow()
    async with town.bot() as bot:
        id = await town.task(destinations=[{"type": "discord_channel", "target": str(town.hall.id)}])
        town.chatter(town.square)
        asked = town.interact(town.ann, "schedule run", task=id)
        message = await asked.shown()
        await town.engine.begun.wait()
        assert "Running" in shown_text(message)
        closing = asyncio.create_task(bot.close())
        await until(lambda: not town.scheduler.dispatcher.running)
        town.engine.go_on.set()
        await closing
    assert "were summarized" in shown_text(message)


@pytest.mark.parametrize("ends", [False, True])
async def test_a_run_that_was_interrupted_is_not_told_as_failed(town: Town, ends: bool) -> None:
    """Who waits reads that it is done again, and the next start does it; or that its task was cancelled meanwhile."""
    town.engine = Slow()
    async with town.bot():
        id = await town.task(destinations=[{"type": "discord_channel", "target": str(town.hall.id)}])
        town.chatter(town.square)
        message = await town.slash(town.ann, "schedule run", task=id)
        await town.engine.begun.wait()
        if ends:
            await town.scheduler.cancel_task(id)
        else:
            town.scheduler.dispatcher.interrupt()
        await until(lambda: "did not come to its end" in shown_text(message))
        assert ("done again" in shown_text(message)) is not ends
        assert ("was cancelled" in shown_text(message)) is ends
        assert "failed" not in shown_text(message)
        assert town.hall.messages == []
        town.engine.go_on.set()
        town.engine = HostEngine()
    async with town.bot():
        await until(lambda: ends or bool(town.hall.messages))
        assert len(town.hall.messages) == (not ends)


async def test_the_next_process_goes_on_where_the_last_one_ended(town: Town) -> None:
    """A slot that came while nothing ran is served by the next start, within the catch-up window."""
    async with town.bot():
        await town.task(schedule_time=(town.clock.now() + 10 * MINUTE).strftime("%H:%M"))
    town.chatter(town.square)
    town.clock.move(20 * MINUTE)
    town.double.world.pass_time(20 * MINUTE)
    async with town.bot():
        await until(lambda: bool(town.square.messages[-1].embeds))
        assert len(nodes(town)) == 2


# --- what it asks of Discord ----------------------------------------------------------------------------------------


async def test_it_asks_for_no_privileged_intent_and_mentions_nobody(town: Town) -> None:
    """Guilds are all that the gateway is asked for."""
    async with town.bot() as bot:
        [session] = town.double.gateway.sessions.values()
        assert session.intents == discord.Intents(guilds=True).value
        assert bot.allowed_mentions is not None
        assert not bot.allowed_mentions.to_dict()["parse"]
        assert bot.http.max_ratelimit_timeout is not None


async def test_the_tree_is_sent_only_when_it_changed(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over restarts, too; and again when the commands changed, or are not there any more."""
    for _ in range(3):
        async with town.bot():
            assert town.double.commands.syncs == 1
    monkeypatch.setattr(catalog, "COMMANDS", catalog.COMMANDS[:-1])
    async with town.bot():
        assert town.double.commands.syncs == 2
    town.double.commands.forget()
    async with town.bot():
        assert town.double.commands.syncs == 3
        assert [command["name"] for command in town.double.commands.registered()] == ["schedule"]


async def test_a_tree_that_discord_does_not_take_stops_nothing(town: Town) -> None:
    """What is scheduled runs all the same, and the next start sends the tree again."""
    for status, code in ((400, 30034), (403, 50001)):
        town.double.faults.answer("PUT", "/applications/*/commands", status, code)
        async with town.bot():
            assert town.scheduler.running
            assert town.double.commands.syncs == 0
    town.double.faults.rate_limit("PUT", "/applications/*/commands", 40_000)
    async with town.bot():
        assert town.scheduler.running
    async with town.bot():
        assert town.double.commands.syncs == 1


async def test_a_refused_token_is_a_clear_error_and_starts_nothing(town: Town) -> None:
    """It names the variable, and not the token."""
    bot = DaybookBot(town.service)
    with pytest.raises(InvalidInput, match="DISCORD_TOKEN") as refused:
        await bot.open("not-the-token")
    await bot.close()
    assert "not-the-token" not in str(refused.value)
    assert not town.folder.exists()


def unreached(town: Town, times: int) -> DaybookBot:
    """A bot of a process that begins while Discord answers 503 to whoever logs in, so many times."""
    town.timer = HandTimer(town.clock)
    town.client = DaybookBot(town.service, guild_ready_timeout=0.0)
    for _ in range(times):
        town.double.faults.answer("GET", "/users/@me", 503)
    return town.client


async def test_a_discord_that_cannot_be_reached_at_the_start_stops_no_timer(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service runs, slots are served and tried again, and the bot comes when Discord does."""
    monkeypatch.setattr(bot_module, "FIRST_PAUSE_SECONDS", 0.0)
    async with town.bot():
        await town.task(schedule_time=(town.clock.now() + 10 * MINUTE).strftime("%H:%M"))
    bot = unreached(town, times=3)
    await bot.open(town.double.world.token)
    assert town.scheduler.running
    assert bot.presence == "Discord, which cannot be reached yet"
    town.chatter(town.square)
    await town.wait(11 * MINUTE)
    [run] = town.scheduler.queries.runs(limit=5)
    assert (run.state, run.attempt) == ("waiting", 1), run
    assert town.only_task().consecutive_failures == 0, "that Discord is away is no failure of the task"
    assert not any(message.embeds for message in town.square.messages)

    staying = asyncio.create_task(bot.stay())
    await bot.wait_until_ready()
    await town.double.gateway.settle()
    assert bot.presence == f"Discord as {bot.user}"
    assert town.double.gateway.identifies == 2
    assert "Daily digest" in shown_text(await town.slash(town.ann, "schedule list"))
    await town.wait(10 * MINUTE)
    assert [message.embeds[0]["title"] for message in town.square.messages if message.embeds] == ["Daily digest"]
    assert len(nodes(town)) == 2
    await bot.close()
    await staying


async def test_a_discord_in_trouble_does_not_hold_up_the_service(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library asks again for 25 seconds where Discord answers 500. Timers do not wait for that."""
    monkeypatch.setattr(bot_module, "LOGIN_SECONDS", 0.05)
    bot = unreached(town, times=0)
    town.double.faults.answer("GET", "/users/@me", 500)
    await bot.open(town.double.world.token)
    assert town.scheduler.running
    assert bot.user is None
    staying = asyncio.create_task(bot.stay())
    await bot.wait_until_ready()
    await town.double.gateway.settle()
    assert "Nothing is scheduled" in shown_text(await town.slash(town.ann, "schedule list"))
    assert len(nodes(town)) == 1
    await bot.close()
    await staying


async def test_a_bot_that_waits_for_discord_is_closed_at_once(town: Town) -> None:
    """Between two tries, and in the middle of one."""
    for hangs in (False, True):
        bot = unreached(town, times=1)
        await bot.open(town.double.world.token)
        with pytest.MonkeyPatch.context() as patched:
            if hangs:
                patched.setattr(bot_module, "FIRST_PAUSE_SECONDS", 0.0)
                town.double.faults.hang("GET", "/users/@me")
            asked = len(town.double.wire.sent("GET", "/users/@me"))
            staying = asyncio.create_task(bot.stay())
            await until(lambda: len(town.double.wire.sent("GET", "/users/@me")) == asked + hangs)  # noqa: B023
            await bot.close()
            await staying
        town.double.faults.release()
        assert not town.scheduler.running


async def test_a_token_that_is_refused_once_discord_answers_ends_the_bot(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trying again would be no use."""
    monkeypatch.setattr(bot_module, "FIRST_PAUSE_SECONDS", 0.0)
    bot = unreached(town, times=1)
    await bot.open("not-the-token")
    with pytest.raises(InvalidInput, match="DISCORD_TOKEN"):
        await bot.stay()
    await bot.close()


def test_the_pauses_before_logging_in_again_grow_to_five_minutes() -> None:
    """Whoever waits for hours asks twelve times an hour."""
    assert [pause_before(attempt) for attempt in (1, 2, 3, 6, 7, 8, 1000)] == [5, 10, 20, 160, 300, 300, 300]


async def test_a_token_that_is_taken_back_ends_the_bot_with_an_error(town: Town) -> None:
    """Connecting anew would be no use."""
    bot = DaybookBot(town.service, guild_ready_timeout=0.0)
    await bot.open(town.double.world.token)
    staying = asyncio.create_task(bot.stay())
    await bot.wait_until_ready()
    town.double.gateway.drop(4004)
    with pytest.raises(InvalidInput, match="DISCORD_TOKEN"):
        await staying
    await bot.close()


# --- in somebody else's bot -----------------------------------------------------------------------------------------


@pytest.fixture
def module() -> Iterator[None]:
    """load_extension puts a module of its own in the place of the one that was imported."""
    before = sys.modules["daybook"]
    yield
    sys.modules["daybook"] = before


class Host(commands.Bot):
    """A bot with a command, and an engine and a processor that Daybook is to use."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            commands.when_mentioned,
            intents=discord.Intents(guilds=True),
            guild_ready_timeout=0.0,
            max_messages=None,
            help_command=None,
        )
        self.engine, self.messages, self.folder = HostEngine(), HostMessages(), folder

    async def setup_hook(self) -> None:
        """Load the extension."""
        self.tree.add_command(app_commands.Command(name="own", description="My own", callback=_own))
        daybook.configure(self, engine=self.engine, processor=self.messages, data=self.folder)
        await self.load_extension("daybook")


async def _own(interaction: discord.Interaction) -> None:
    await interaction.response.send_message("mine")


@pytest.mark.usefixtures("module")
async def test_a_host_loads_it_as_an_extension_with_its_own_parts(town: Town) -> None:
    """Its engine and its processor are used; its tree is its own to sync."""
    host = Host(town.folder)
    async with town.double.connected(host):
        await town.double.gateway.settle()
        assert town.double.commands.syncs == 0
        cog: Any = host.cogs["Daybook"]
        assert await cog.sync()
        assert not await cog.sync()
        assert {command["name"] for command in town.double.commands.registered()} == {"own", "schedule"}
        preview = await town.slash(
            town.ann, "schedule create", channel=town.square, deliver_to=town.hall, frequency="daily", name="Ours"
        )
        await town.press(town.ann, preview, "Create")
        asked = town.interact(town.ann, "schedule run", task="Ours")
        message = await asked.shown()
        await asked.until(lambda each: "summarized" in shown_text(each.original or message))
        assert len(town.hall.messages) == 1
        assert len(host.messages.asked) == 1
        service = cog.service
        await host.unload_extension("daybook")
        assert not service.running
        assert [command.name for command in host.tree.get_commands()] == ["own"]
        assert host.tree.translator is None


@pytest.mark.usefixtures("module")
async def test_a_host_with_a_command_of_that_name_keeps_it_and_no_service_goes_on_unseen(town: Town) -> None:
    """The extension is refused, and the folder is free for whoever opens it next."""
    host = Host(town.folder)

    async def setup_hook() -> None:
        host.tree.add_command(app_commands.Command(name="schedule", description="My own", callback=_own))
        daybook.configure(host, engine=host.engine, processor=host.messages, data=town.folder)
        with pytest.raises(commands.ExtensionFailed):
            await host.load_extension("daybook")

    host.setup_hook = setup_hook  # type: ignore[method-assign]
    async with town.double.connected(host):
        [command] = host.tree.get_commands()
        assert isinstance(command, app_commands.Command)
        assert command.description == "My own"
        assert (host.tree.translator, dict(host.cogs)) == (None, {})
        other = town.service(host)
        await other.start()
        await other.stop()


@pytest.mark.usefixtures("module")
async def test_a_host_that_has_a_scheduler_keeps_it(town: Town) -> None:
    """The cog uses it, and neither starts nor stops it."""
    host = Host(town.folder)
    scheduler = town.service(host)
    await scheduler.start()

    async def setup_hook() -> None:
        daybook.configure(host, scheduler=scheduler)
        await host.load_extension("daybook")

    host.setup_hook = setup_hook  # type: ignore[method-assign]
    async with town.double.connected(host):
        await host.cogs["Daybook"].sync()  # type: ignore[attr-defined]
        await town.double.gateway.settle()
        assert "Nothing is scheduled" in shown_text(await town.slash(town.ann, "schedule list"))
    assert scheduler.running
    await scheduler.stop()


@pytest.mark.usefixtures("module")
async def test_the_ten_lines_of_the_how_to_work(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """As they are printed: commands are there, and a run goes through the engine of the reader."""
    town.folder.mkdir()
    monkeypatch.chdir(town.folder)
    [block] = [each for each in blocks(ROOT / "docs" / "how-to" / "run-the-bot.md") if each.language == "python"]
    names: dict[str, Any] = {"__name__": "docs", "MyEngine": HostEngine, "MyMessages": HostMessages}
    exec(compile(block.text, "run-the-bot.md", "exec"), names)
    async with town.double.connected(names["bot"]):
        await town.double.gateway.settle()
        assert "Nothing is scheduled" in shown_text(await town.slash(town.ann, "schedule list"))
    assert (town.folder / "data").is_dir()


# --- as a process ---------------------------------------------------------------------------------------------------

PROGRAM = """
import sys
import discord.gateway, discord.http, yarl
discord.http.Route.BASE, gateway = sys.argv.pop(), sys.argv.pop()
discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(gateway)
import daybook
daybook.main()
"""


async def started(town: Town, token: str) -> asyncio.subprocess.Process:
    """``daybook run`` with a token, on the double."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DAYBOOK_", "DISCORD_"))}
    own = {"PYTHONPATH": str(ROOT), "DAYBOOK_DATA": str(town.folder), "DISCORD_TOKEN": token, "PYTHONUNBUFFERED": "1"}
    base, gateway = discord.http.Route.BASE, town.double.gateway.url
    pipe = SimpleNamespace(stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT)
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, "run", "--no-live", gateway, base, env=kept | own, **vars(pipe)
    )


async def test_daybook_run_with_a_token_is_the_bot_and_ends_cleanly(town: Town) -> None:
    """It serves commands, and SIGTERM ends it with exit code 0; the token is in no line."""
    process = await started(town, town.double.world.token)
    await town.double.gateway.until(lambda: town.double.gateway.identifies == 1)
    await town.double.gateway.settle()
    assert "Nothing is scheduled" in shown_text(await town.slash(town.ann, "schedule list"))
    process.send_signal(signal.SIGTERM)
    output, _ = await process.communicate()
    text = output.decode()
    assert process.returncode == 0, text
    assert "serving Discord as daybook" in text
    assert "Stopped after" in text
    assert town.double.world.token not in text


async def test_daybook_run_with_a_wrong_token_ends_with_one_clear_line(town: Town) -> None:
    """Exit code 1, what to do, and no traceback."""
    process = await started(town, "wrong-token")
    output, _ = await process.communicate()
    text = output.decode()
    assert process.returncode == 1
    assert "is refused by Discord" in text
    assert "Traceback" not in text
    assert "wrong-token" not in text
