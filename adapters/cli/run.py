"""``daybook run``: the service in the foreground, from opening the store to a clean stop."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Mapping
from contextlib import ExitStack, redirect_stdout
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Self

from adapters.cli import show
from adapters.cli.host import Archive, Channel, Host, LogFormat, Service, Settings
from adapters.cli.live import AboveTheView, Lines, LiveView
from adapters.cli.times import seconds
from application.local import LocalChannel, LocalMessages, place_examples, recorded_shift
from domain.errors import DaybookError, InvalidImport

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["RunOptions", "archive_name", "serve"]

SAMPLE = "sample"
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_log = logging.getLogger("daybook.run")


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How the service shows itself."""

    live: bool
    json_logs: bool
    examples: bool


def archive_name(path: Path | None) -> str:
    """What an archive is called in the log: its full path, or ``sample``."""
    return SAMPLE if path is None else str(path.resolve())


def serve(host: Host, given: Mapping[str, Any], options: RunOptions) -> int:
    """Run the service until a signal; returns the exit code."""
    settings = host.settings(**given)
    live = options.live and sys.stdout.isatty() and settings.log_format != "json"
    lines: LogFormat = "console" if settings.log_format == "auto" else settings.log_format
    console = show.out() if live else None
    stream = AboveTheView(console) if console is not None else sys.stdout
    level = "warning" if live and settings.log_level == "info" else settings.log_level
    host.configure_logging(level, lines, stream)
    for name, meant in host.unknown_variables():
        show.note(f"warning: nothing reads {name}" + (f"; did you mean {meant}?" if meant else ""))
    token = settings.discord_token
    with redirect_stdout(stream):  # results that go to the console must not tear the view either
        if token is not None:
            return asyncio.run(_serve_bot(host, settings, token.get_secret_value(), console))
        return asyncio.run(_Serving(host, settings, options, console).serve())


class _Serving:
    """One run of the service in local mode."""

    def __init__(self, host: Host, settings: Settings, options: RunOptions, console: Console | None) -> None:
        self._host, self._settings, self._options, self._console = host, settings, options, console
        self._messages = LocalMessages()
        self._service: Service = host.service(settings, self._messages)

    async def serve(self) -> int:
        archive = self._host.archive(self._settings.archive)
        channels, latest = await asyncio.to_thread(_read, archive, self._settings.archive)
        await self._service.open()
        with _Watch(self._host, self._settings, self._console, self._service) as watch:
            try:
                await self._place(archive, channels, latest)
                await self._service.start()
                named = self._settings.archive
                source = f"{named if named is not None else 'the sample archive'}, {len(channels)} channels"
                await watch.until_asked(source, f"local mode: {source}")
            finally:
                await self._service.stop()
        return 0

    async def _place(self, archive: Archive, channels: list[Channel], latest: datetime) -> None:
        service, now = self._service, self._service.clock.now()
        shift = await recorded_shift(service.stores.writer, archive_name(self._settings.archive), latest, now)
        self._messages.archive = archive.shifted(shift)
        if self._options.examples:
            busiest = sorted(channels, key=lambda channel: -channel.message_count)
            await place_examples(
                service.commands,
                service.queries,
                [LocalChannel(c.id, c.name, c.guild_id) for c in busiest],
                now=now,
                timezone=service.timezone,
            )


async def _serve_bot(host: Host, settings: Settings, token: str, console: Console | None) -> int:
    """One run of the service as a bot: logging in starts it, and it lasts until a signal, or until Discord ends it."""
    bot = host.bot(settings)
    with _Watch(host, settings, console, bot.service) as watch:
        staying: asyncio.Task[None] | None = None
        try:
            opening = asyncio.create_task(bot.open(token))
            if await watch.before_asked(opening):
                staying = asyncio.create_task(bot.stay())
                await watch.until_asked(bot.presence, bot.presence, staying)
        finally:
            await bot.close()
    if staying is not None:
        await staying  # it ended because the bot was closed, or for a reason that people must be told
    return 0


class _Watch:
    """Hears signals, and shows what happens until one comes."""

    def __init__(self, host: Host, settings: Settings, console: Console | None, service: Service) -> None:
        self._host, self._settings, self._console, self._service = host, settings, console, service
        self._asked = asyncio.Event()
        self._draining = False

    def __enter__(self) -> Self:
        for number in _SIGNALS:
            asyncio.get_running_loop().add_signal_handler(number, self._signalled)
        return self

    def __exit__(self, *exc: object) -> None:
        for number in _SIGNALS:
            asyncio.get_running_loop().remove_signal_handler(number)

    async def before_asked(self, work: asyncio.Task[None]) -> bool:
        """Wait for some work, and return True; or give it up when somebody asks to stop before it is done."""
        asked = asyncio.create_task(self._asked.wait())
        await asyncio.wait((work, asked), return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        if work.done():
            await work
            return True
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        return False

    async def until_asked(self, source: str, head: str, other: asyncio.Task[None] | None = None) -> None:
        """Show what happens until a signal comes (or ``other`` ends), then let runs end and say what was done."""
        service, began = self._service, monotonic()
        before = _totals(service)
        with ExitStack() as shown:
            if self._console is not None:
                shown.enter_context(LiveView(self._console, self._host.version, service, self._settings.data, head))
            else:
                shown.enter_context(Lines(service, self._settings.data))
                _log.info("serving %s from %s as node %s", source, self._settings.data, service.node)
            await asyncio.to_thread(_tell_of_other_deliveries, service)
            asked = asyncio.create_task(self._asked.wait())
            await asyncio.wait([asked, *([other] if other is not None else [])], return_when=asyncio.FIRST_COMPLETED)
            asked.cancel()
        self._draining = True
        if running := service.dispatcher.active_runs:
            self._say(f"Stopping: waiting for {running} runs, 30 s at most. Ctrl-C again interrupts them.")
        await service.dispatcher.stop()
        done = {name: count - before.get(name, 0) for name, count in _totals(service).items()}
        told = ", ".join(f"{count} {name}" for name, count in done.items() if count) or "nothing was due"
        self._say(f"Stopped after {seconds(monotonic() - began)}: {told}. The next start goes on from here.")

    def _signalled(self) -> None:
        if self._draining:
            self._service.dispatcher.interrupt()
        self._asked.set()

    def _say(self, text: str) -> None:
        if self._console is not None:
            show.line(text)
        else:
            _log.info("%s", text)


def _tell_of_other_deliveries(service: Service) -> None:
    """Say what this process cannot deliver, before the first result waits for it. Trouble stops nothing."""
    from application.destinations import left_to_others

    try:
        left = left_to_others(service.queries, service.commands.undelivered)
    except (DaybookError, ValueError) as error:
        _log.warning("nobody knows which destinations are left to other processes: %s", error)
        return
    if left is not None:
        _log.warning("%s", left)


def _totals(service: Service) -> dict[str, int]:
    guilds = service.queries.guilds()
    return {
        "executed": sum(guild.executed for guild in guilds),
        "failed": sum(guild.failed for guild in guilds),
        "skipped": sum(guild.skipped_runs + guild.skipped_slots for guild in guilds),
        "interrupted": sum(guild.interruptions for guild in guilds),
    }


def _read(archive: Archive, path: Path | None) -> tuple[list[Channel], datetime]:
    channels = list(archive.channels())
    latest = max((channel.last for channel in channels if channel.last is not None), default=None)
    if latest is None:
        raise InvalidImport("archive", str(path), "holds no messages", "name a DiscordChatExporter JSON export")
    return channels, latest
