"""What every delivery channel promises: file, console, Discord channel, webhooks of every format, e-mail."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from adapters.console import ConsoleDelivery
from adapters.discord_delivery import DiscordChannelDelivery
from adapters.egress import Egress, EgressPolicy
from adapters.email_delivery import EmailDelivery, SmtpServer
from adapters.file import FileDelivery
from adapters.webhook import WebhookDelivery
from application.ports import DeliveryChannel, DeliveryRequest
from domain.destination import Destination, DestinationType, delivery_key
from domain.errors import DeliveryFailed, InvalidDestination
from domain.summary import Point, Summary
from tests.adapters.smtp_servers import mail_server
from tests.doubles import HandClock
from tests.hostile_world import HostileWorld

SLOT = datetime(2026, 3, 29, 7, 0, tzinfo=UTC)
WORDS = "The harvest festival moves to Saturday"
HOSTILE = "@everyone <@&1> [bank](https://evil.test) \x1b[2J \u202e ``` " + "Z\u0301" * 500 + " \ud800"


@dataclass
class Case:
    """A channel, a target that it takes, and what its readers see: one text per result.

    ``formats`` says what stands for a usual format where the channel has formats of its own.
    """

    channel: DeliveryChannel
    target: str
    results: Callable[[], list[str]]
    formats: Mapping[str, str] = field(default_factory=dict)


class _Messages:
    """The other side of Discord: a channel of guild 42 that keeps one message per nonce."""

    def __init__(self) -> None:
        self.guild = SimpleNamespace(id=42)
        self.by_nonce: dict[str, str] = {}

    async def send(self, content: str | None = None, *, embed: Any = None, nonce: str, **_: Any) -> SimpleNamespace:
        self.by_nonce.setdefault(nonce, content if embed is None else str(embed.to_dict()))  # type: ignore[arg-type]
        return SimpleNamespace(id=list(self.by_nonce).index(nonce) + 1)

    def get_channel(self, id: int, /) -> Any:
        return self

    async def fetch_channel(self, channel_id: int, /) -> Any:
        return self


def _file(folder: Path) -> Case:
    def results() -> list[str]:
        return [path.read_text(encoding="utf-8") for path in sorted(folder.rglob("*")) if path.is_file()]

    return Case(FileDelivery(folder), "news", results)


def _file_html(folder: Path) -> Case:
    case = _file(folder)
    case.formats = dict.fromkeys(("embed", "markdown", "text"), "html")
    return case


def _console(folder: Path) -> Case:
    stream = io.StringIO()
    return Case(ConsoleDelivery(stream), "", lambda: [stream.getvalue()] if stream.getvalue() else [])


def _discord(folder: Path) -> Case:
    messages = _Messages()
    return Case(DiscordChannelDelivery(messages), "1184200000000001024", lambda: list(messages.by_nonce.values()))


def _webhook(format: str) -> Callable[[Path], AbstractAsyncContextManager[Case]]:
    @asynccontextmanager
    async def made(folder: Path) -> AsyncIterator[Case]:
        async with HostileWorld() as world:
            egress = Egress(HandClock(SLOT), EgressPolicy([f"127.0.0.1:{world.port}"], plain_http=True))
            channel = WebhookDelivery(egress, lambda guild_id, reference: None)

            def results() -> list[str]:
                # The receiver of Standard Webhooks leaves out what it has already.
                arrived = {
                    received.headers.get("webhook-id", str(n)): received for n, received in enumerate(world.requests)
                }
                return ["\n".join(_texts(json.loads(received.body))) for received in arrived.values()]

            formats = dict.fromkeys(("embed", "markdown", "text"), format)
            yield Case(channel, world.url("/api/webhooks/1184200000000001024/token"), results, formats)
            await egress.close()

    return made


@asynccontextmanager
async def _email(folder: Path) -> AsyncIterator[Case]:
    async with mail_server() as inbox:
        server = SmtpServer(host="127.0.0.1", port=inbox.port, security="none", sender="daybook@sender.example")
        channel = EmailDelivery(server, HandClock(SLOT))

        def results() -> list[str]:
            return ["\n".join(str(part.get_content()) for part in mail.parts) for mail in inbox.messages]

        yield Case(channel, "ana@example.org", results)
        await channel.close()


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)


_WEBHOOKS = {f"webhook-{format}": _webhook(format) for format in ("json", "slack", "discord", "teams")}


_CASES = {
    "file": _file,
    "file-html": _file_html,
    "console": _console,
    "discord": _discord,
    "email": _email,
    **_WEBHOOKS,
}


@pytest.fixture(params=_CASES.values(), ids=list(_CASES))
async def case(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Case]:
    made: Case | AbstractAsyncContextManager[Case] = request.param(tmp_path)
    if isinstance(made, Case):
        yield made
    else:
        async with made as entered:
            yield entered


def a_request(case: Case, run: str = "run-1", text: str = WORDS, **destination: Any) -> DeliveryRequest:
    format = destination.pop("format", "embed")
    format = case.formats.get(format, format)
    where = Destination(**({"type": case.channel.type, "target": case.target, "format": format} | destination))
    return DeliveryRequest(
        key=delivery_key(run, where.key),
        run_id=run,
        task_id="t",
        task_name=f"Digest {text[:50]}",
        guild_id="42",
        destination=where,
        summary=Summary(
            id="s",
            summary_text=text,
            key_points=(Point(text=text, author=text[:80], url="https://discord.com/channels/1/2/3"),),
            message_count=3,
            start_time=SLOT,
            end_time=SLOT,
        ),
        slot=SLOT,
        timezone="Europe/Berlin",
    )


def test_it_names_its_kind(case: Case) -> None:
    """type and remembers are what the port says they are."""
    assert isinstance(case.channel.type, DestinationType)
    assert case.channel.remembers(a_request(case).destination) >= timedelta(0)


def test_a_good_destination_passes_the_check(case: Case) -> None:
    """check returns nothing for what can be delivered to."""
    case.channel.check(a_request(case).destination, "42")


@pytest.mark.parametrize("format", ["", "hologram", "EMBED", "../x"])
def test_an_unknown_format_is_refused_with_a_remedy(case: Case, format: str) -> None:
    """The error names the field and what would be right."""
    with pytest.raises(InvalidDestination) as refusal:
        case.channel.check(a_request(case, format=format).destination, "42")
    assert refusal.value.field == "format"
    assert refusal.value.remedy


async def test_what_the_check_refuses_is_not_delivered(case: Case) -> None:
    """A destination that became impossible fails for good instead of doing something else."""
    with pytest.raises(DeliveryFailed) as failure:
        await case.channel.deliver(a_request(case, format="hologram"))
    assert failure.value.permanent
    assert not failure.value.ambiguous
    assert case.results() == []


@pytest.mark.parametrize("format", ["embed", "markdown", "text"])
async def test_a_delivered_result_can_be_read_and_has_a_receipt(case: Case, format: str) -> None:
    """The words of the summary are there, and the receipt is a text to be kept in the log."""
    receipt = await case.channel.deliver(a_request(case, format=format))
    assert receipt
    assert WORDS in "".join(case.results())


async def test_the_same_key_leaves_one_result_where_that_is_promised(case: Case) -> None:
    """Sending again after a crash doubles nothing where the channel says it deduplicates."""
    receipts = [await case.channel.deliver(a_request(case)) for _ in range(3)]
    if case.channel.remembers(a_request(case).destination) > timedelta(0):
        assert len(case.results()) == 1
        assert len(set(receipts)) == 1


async def test_another_run_is_another_result(case: Case) -> None:
    """Results of different runs stand beside each other."""
    await case.channel.deliver(a_request(case, "run-1", "apples were counted"))
    await case.channel.deliver(a_request(case, "run-2", "pears were counted"))
    shown = "".join(case.results())
    assert "apples were counted" in shown
    assert "pears were counted" in shown


@pytest.mark.parametrize("format", ["embed", "markdown", "text"])
async def test_hostile_text_is_delivered_harmless(case: Case, format: str) -> None:
    """What people typed neither stops a delivery nor mentions anybody nor steers a terminal."""
    await case.channel.deliver(a_request(case, text=HOSTILE, format=format))
    shown = "".join(case.results())
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    if case.channel.type in (DestinationType.DISCORD_CHANNEL, DestinationType.WEBHOOK):
        assert "@everyone" not in shown
