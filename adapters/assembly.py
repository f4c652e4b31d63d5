"""What ships with Daybook, made from what a host or the settings say: delivery channels, sources of messages, engines.

The one module of the adapters that knows the others; it is for the composition root, and nothing else imports it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from adapters.archive import ArchiveProcessor
    from adapters.discord_bot import DaybookBot
    from adapters.egress import Egress, EgressPolicy
    from adapters.email_delivery import SmtpServer
    from application.ports import Clock, DeliveryChannel, MessageProcessor, SummarizationEngine

__all__ = ["ChannelParts", "Shipped", "discord_bot", "extend", "mail_server", "shipped_channels"]


@dataclass(frozen=True)
class ChannelParts:
    """What the channels that ship with Daybook are made of; what is None is not offered."""

    egress_policy: EgressPolicy | None = None
    mail_server: SmtpServer | None = None
    templates: Path | None = None
    discord_client: Any = None


def shipped_channels(
    parts: ChannelParts,
    *,
    clock: Clock,
    files: Path,
    secret: Callable[[str, str], str | None],
    deadline: timedelta,
) -> tuple[list[DeliveryChannel], Egress]:
    """The channels of one opening, and the guarded client of their requests. ``files`` is the root of file targets.

    Every channel ends by itself before the ``deadline`` of a delivery, and all learn of hosts in trouble together.
    """
    from adapters.console import ConsoleDelivery
    from adapters.egress import Egress, EgressLimits, HostGates
    from adapters.file import FileDelivery
    from adapters.webhook import WebhookDelivery

    gates = HostGates(clock)
    egress = Egress(clock, parts.egress_policy, limits=EgressLimits.within(deadline), gates=gates)
    channels: list[DeliveryChannel] = [
        FileDelivery(files, parts.templates),
        ConsoleDelivery(sys.stdout, parts.templates),
        WebhookDelivery(egress, secret, parts.templates),
    ]
    if parts.mail_server is not None:
        from adapters.email_delivery import EmailDelivery

        mail = EmailDelivery(parts.mail_server, clock, parts.templates, gates=gates, deadline=deadline)
        channels.append(mail)
    if parts.discord_client is not None:
        from adapters.discord_delivery import DiscordChannelDelivery, DiscordDirectDelivery

        for kind in (DiscordChannelDelivery, DiscordDirectDelivery):
            channels.append(kind(parts.discord_client, clock.now, parts.templates, gates=gates, deadline=deadline))
    return channels, egress


def mail_server(prefix: str, fields: Mapping[str, Any] | None) -> SmtpServer | None:
    """The mail server that settings name, if they do; ``prefix`` is how people write them. Raises InvalidInput."""
    if fields is None:
        return None
    from adapters.email_delivery import configured_server

    return configured_server(prefix, **fields)


class Shipped:
    """The half of the command line's host that is about what ships with Daybook (adapters.cli.host.Host)."""

    def archive(self, path: Path | None) -> ArchiveProcessor:
        """Messages of an exported archive; None: of the sample."""
        from adapters.archive import ArchiveProcessor, sample_path

        return ArchiveProcessor(path if path is not None else sample_path())

    def engine(self, at_once: int = 2, fields: Mapping[str, Any] | None = None) -> SummarizationEngine:
        """The engine that needs nothing from outside, or the language model that settings name. Raises InvalidInput."""
        if fields is None:
            from adapters.summarizers import ExtractiveEngine

            return ExtractiveEngine(at_once)
        from adapters.summarizers.llm import ModelEngine, configured_model

        config = configured_model("DAYBOOK_ENGINE_", **{k: v for k, v in fields.items() if k != "clock"})
        return ModelEngine(config, fields["clock"], at_once=at_once)

    def discord(self, token: str) -> AbstractAsyncContextManager[Any]:
        """A client of Discord that is logged in, for what needs no gateway."""
        from adapters.discord_client import rest_client

        return rest_client(token)


def discord_bot(service: Callable[[Any, MessageProcessor], Any]) -> DaybookBot:
    """The bot of ``daybook run``; ``service`` makes a scheduler on its client and a source of messages."""
    from adapters.discord_bot import DaybookBot
    from adapters.discord_history import DiscordHistory

    return DaybookBot(lambda client: service(client, DiscordHistory(client)))


async def extend(bot: Any, host: Any) -> None:
    """Add Daybook to somebody else's bot, with what ``configure`` said: a scheduler, or the parts of one."""
    from adapters.discord_bot import attach, configured
    from adapters.discord_history import DiscordHistory

    parts = configured(bot)
    scheduler, engine, processor = (parts.pop(name, None) for name in ("scheduler", "engine", "processor"))
    if scheduler is not None:
        await attach(bot, scheduler, owns_service=False)
        return
    messages = processor if processor is not None else DiscordHistory(bot)
    await attach(bot, host.service(host.settings(**parts), messages, bot, engine), owns_service=True)
