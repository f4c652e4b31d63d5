"""Webhooks in every format, against a hostile world on loopback that plays the other side."""

from __future__ import annotations

import base64
import json
import logging
import traceback
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from standardwebhooks import Webhook, WebhookVerificationError

from adapters.egress import Egress, EgressLimits, EgressPolicy
from adapters.webhook import FORMATS, WebhookDelivery
from application.ports import DeliveryRequest
from domain.destination import Destination, DestinationType, delivery_key
from domain.errors import DeliveryFailed, InvalidDestination, StoreUnavailable
from domain.summary import Point, Summary
from tests.doubles import HandClock
from tests.hostile_world import (
    Act,
    HostileWorld,
    Received,
    answer,
    cut,
    cut_within,
    drip,
    endless,
    garbage,
    gzip_bomb,
    hang,
    huge_headers,
    redirect,
)

NOW = datetime(2026, 3, 29, 7, 0, tzinfo=UTC)
GUILD = "42"
REFERENCE = "secret:0123456789abcdef"
CANARY = "c4nary-t0ken-5f2e"
PATH = f"/api/webhooks/1184200000000001024/{CANARY}"
KEYS = ["whsec_" + base64.b64encode(bytes([n]) * 32).decode() for n in (7, 8)]
WORDS = "The harvest festival moves to Saturday"

BAD_URLS = [
    "http://127.0.0.1/", "http://2130706433/", "http://0x7f.1/", "http://127.1/", "http://0177.0.0.1/", "http://[::1]/",
    "http://[::ffff:169.254.169.254]/", "http://[64:ff9b::7f00:1]/", "http://[2002:7f00:1::]/",
    "http://\u2460\u2461\u2466.\u24ea.\u24ea.\u2460/", "http://127\u30020\u30020\u30021/", "http://localhost./",
    "http://169.254.169.254/latest/meta-data/", "http://100.64.0.1/", "https://good.example@127.0.0.1/",
    "https://good.example\\@127.0.0.1/", "file:///etc/passwd", "gopher://127.0.0.1:6379/_x", "https://x.test:22/",
    "https://x.test/%0d%0aX:y", "https://discord.com.evil.test/api/webhooks/1/x", "secret:nothex", "secret:", "",
]  # fmt: skip


class Vault:
    """The secrets of guilds, as the application hands them in."""

    def __init__(self) -> None:
        self.secrets: dict[tuple[str, str], str] = {}
        self.error: Exception | None = None

    def __call__(self, guild_id: str, reference: str) -> str | None:
        if self.error is not None:
            raise self.error
        return self.secrets.get((guild_id, reference))


class Side:
    """Everything of one test: the world, its clock, the vault, the channel."""

    def __init__(self, world: HostileWorld) -> None:
        self.world, self.clock, self.vault = world, HandClock(NOW), Vault()
        policy = EgressPolicy([f"127.0.0.1:{world.port}"], plain_http=True)
        self.egress = Egress(self.clock, policy, limits=EgressLimits(total_seconds=1.5, answer_seconds=0.3))
        self.channel = WebhookDelivery(self.egress, self.vault)

    def request(self, format: str = "json", *, secret: Any = None, **destination: Any) -> DeliveryRequest:
        """A request whose URL stands in the vault, or (target given) in the destination."""
        if "target" not in destination:
            known = secret if secret is not None else self.world.url(PATH)
            self.vault.secrets[GUILD, REFERENCE] = known if isinstance(known, str) else json.dumps(known)
            destination["target"] = REFERENCE
        where = Destination(type=DestinationType.WEBHOOK, format=format, **destination)
        summary = Summary(
            id="s",
            summary_text=WORDS,
            key_points=(Point(text="Bring chairs", author="Ann", url="https://discord.com/channels/1/2/3"),),
            message_count=3,
            start_time=NOW - timedelta(hours=1),
            end_time=NOW,
            created_at=NOW,
        )
        return DeliveryRequest(
            key=delivery_key("run-1", where.key),
            run_id="run-1",
            task_id="task-1",
            task_name="Digest",
            guild_id=GUILD,
            destination=where,
            summary=summary,
            slot=NOW,
            timezone="Europe/Berlin",
        )

    async def failure(self, request: DeliveryRequest) -> DeliveryFailed:
        """What a delivery fails with."""
        with pytest.raises(DeliveryFailed) as failure:
            await self.channel.deliver(request)
        return failure.value


@pytest.fixture
async def side() -> AsyncIterator[Side]:
    async with HostileWorld() as world:
        made = Side(world)
        yield made
        await made.egress.close()


def body_of(received: Received) -> Any:
    """The JSON that arrived."""
    return json.loads(received.body)


# --- what arrives ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", FORMATS)
async def test_each_format_arrives_as_its_service_takes_it(side: Side, format: str) -> None:
    """One POST of JSON with the words of the summary; the receipt says how it was answered."""
    receipt = await side.channel.deliver(side.request(format))
    assert receipt == "HTTP 200"
    [received] = side.world.requests
    assert (received.method, received.headers["content-type"]) == ("POST", "application/json")
    assert WORDS in received.body.decode()
    body = body_of(received)
    assert {"json": "data", "slack": "blocks", "discord": "embeds", "teams": "attachments"}[format] in body


async def test_discord_is_asked_to_wait_and_its_message_is_the_receipt(side: Side) -> None:
    """The answer holds the message; the thread is the one that the URL or the secret names."""
    side.world.script(PATH, answer(200, json.dumps({"id": "1184200000000009999", "content": CANARY})))
    receipt = await side.channel.deliver(side.request("discord"))
    assert receipt == "HTTP 200, message 1184200000000009999"
    await side.channel.deliver(side.request("discord", target=side.world.url(PATH) + "?thread_id=77&wait=false"))
    await side.channel.deliver(side.request("discord", secret={"url": side.world.url(PATH), "thread_id": "88"}))
    assert [received.path for received in side.world.requests] == [
        f"{PATH}?wait=true",
        f"{PATH}?wait=true&thread_id=77",
        f"{PATH}?wait=true&thread_id=88",
    ]
    assert body_of(side.world.requests[0])["allowed_mentions"] == {"parse": []}


@pytest.mark.parametrize(
    "body", ["", "ok", "[]", '{"id": 5}', '{"id": "1\\n2"}', '{"id": "' + CANARY + '"}', "[" * 60_000]
)
async def test_an_answer_without_a_message_id_is_only_a_status(side: Side, body: str) -> None:
    """Nothing of what the other side says but a number gets into the receipt."""
    side.world.script(PATH, answer(202, body))
    assert await side.channel.deliver(side.request("teams")) == "HTTP 202"


async def test_json_is_signed_so_that_the_reference_library_accepts_it(side: Side) -> None:
    """webhook-id is the key; every secret of a rotation verifies; another secret and another body do not."""
    request = side.request("json", secret={"url": side.world.url(PATH), "signing_secrets": KEYS})
    await side.channel.deliver(request)
    [received] = side.world.requests
    assert received.headers["webhook-id"] == request.key
    headers = dict(received.headers)
    with time_machine.travel(NOW, tick=False):
        for key in KEYS:
            assert Webhook(key).verify(received.body, headers)["data"]["run_id"] == "run-1"
        with pytest.raises(WebhookVerificationError):
            Webhook("whsec_" + base64.b64encode(b"x" * 32).decode()).verify(received.body, headers)
        with pytest.raises(WebhookVerificationError):
            Webhook(KEYS[0]).verify(received.body + b" ", headers)


async def test_a_retry_has_the_same_id_and_body_and_a_new_timestamp(side: Side) -> None:
    """The receiver can leave out what it has already, and still refuse old replays."""
    side.world.script(PATH, answer(500), answer(200))
    request = side.request("json", secret={"url": side.world.url(PATH), "signing_secret": KEYS[0]})
    await side.failure(request)
    side.clock.move(timedelta(minutes=5))
    await side.channel.deliver(request)
    first, second = side.world.requests
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    assert int(second.headers["webhook-timestamp"]) - int(first.headers["webhook-timestamp"]) == 300
    assert first.headers["webhook-signature"] != second.headers["webhook-signature"]


async def test_json_without_a_signing_secret_is_sent_unsigned(side: Side) -> None:
    """Id and timestamp are there all the same."""
    await side.channel.deliver(side.request("json"))
    [received] = side.world.requests
    assert "webhook-signature" not in received.headers
    assert received.headers["webhook-timestamp"] == str(int(NOW.timestamp()))


def test_only_json_receivers_know_a_key_again(side: Side) -> None:
    """What may have arrived is sent again only where that leaves one result."""
    promised = {format: side.channel.remembers(side.request(format).destination) for format in FORMATS}
    never = timedelta(0)
    assert promised == {"json": timedelta.max, "slack": never, "discord": never, "teams": never}


# --- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("url", BAD_URLS)
async def test_a_bad_url_is_refused_by_check_and_by_delivery(side: Side, url: str, format: str) -> None:
    """Statically, without I/O, permanently; behind a reference at the delivery."""
    request = side.request(format, target=url)
    with pytest.raises(InvalidDestination) as refusal:
        side.channel.check(request.destination, GUILD)
    assert refusal.value.field == "target"
    assert refusal.value.remedy
    for wrong in (request, side.request(format, secret=url)):
        failure = await side.failure(wrong)
        assert failure.permanent
        assert not failure.ambiguous
    assert side.world.accepted == 0


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/api/webhooks/1/x", "https://discord.com/", "https://discord.com/api/webhooks/1",
        "https://discord.com/api/webhooks/x/y", "https://discord.com/api/webhooks/1/x/slack",
        "https://evildiscord.com/api/webhooks/1/x",
        "https://discord.com/api/webhooks/1/x?thread_id=abc", "https://discord.com:8443.evil.test/api/webhooks/1/x",
    ],
)  # fmt: skip
def test_a_discord_webhook_is_at_discord_and_looks_like_one(side: Side, url: str) -> None:
    """A slip while copying, or a host that only looks like Discord, is told at once."""
    with pytest.raises(InvalidDestination):
        side.channel.check(Destination(type=DestinationType.WEBHOOK, target=url, format="discord"), GUILD)


@pytest.mark.parametrize(
    ("url", "format"),
    [
        ("https://discord.com/api/webhooks/1/x-Y_z", "discord"),
        ("https://ptb.discord.com/api/v10/webhooks/1/x", "discord"),
        ("https://discord.com/api/webhooks/1/x?thread_id=5", "discord"),
        ("https://hooks.slack.com/services/T/B/x", "slack"),
        ("https://prod-1.westeurope.logic.azure.com:443/workflows/a?sig=b%2Fc", "teams"),
        ("https://x.test/hook", "json"),
        (REFERENCE, "json"), (REFERENCE, "discord"),
    ],
)  # fmt: skip
def test_a_good_target_passes_the_check(side: Side, url: str, format: str) -> None:
    """What the services give out is accepted, and so is a reference."""
    side.channel.check(Destination(type=DestinationType.WEBHOOK, target=url, format=format), GUILD)


@pytest.mark.parametrize(
    "secret",
    [
        "{", "{}", '{"url": 5}', "[]", '{"url": "https://x.test/", "password": "' + CANARY + '"}', "[" * 15_000,
        "{" * 15_000, {"url": f"http://127.0.0.1/{CANARY}"}, f"http://x.test/{CANARY}",
        {"url": "https://x.test/", "signing_secret": CANARY},
        {"url": "https://x.test/", "signing_secret": "whsec_short"},
        {"url": "https://x.test/", "signing_secrets": KEYS * 3},
        {"url": "https://x.test/", "signing_secrets": {"a": 1}},
        {"url": "https://x.test/", "signing_secret": "whsec_" + base64.b64encode(b"x" * 65).decode()},
        {"url": "https://x.test/", "thread_id": CANARY},
    ],
)  # fmt: skip
async def test_a_broken_secret_is_told_without_quoting_it(side: Side, secret: Any) -> None:
    """Permanent, with what would be right; nothing is sent."""
    failure = await side.failure(side.request("json", secret=secret))
    assert failure.permanent
    assert CANARY not in str(failure)
    assert side.world.accepted == 0


async def test_blanks_around_a_pasted_url_do_no_harm(side: Side) -> None:
    """What people copy often ends with a line end."""
    assert await side.channel.deliver(side.request("json", secret=f" {side.world.url(PATH)}\n")) == "HTTP 200"


async def test_a_reference_of_another_guild_is_no_secret(side: Side) -> None:
    """The vault is asked as the request's guild: a foreign reference looks like none."""
    foreign = replace(side.request("json"), guild_id="43")
    assert (await side.failure(foreign)).permanent
    assert side.world.accepted == 0


async def test_a_vault_that_fails_is_transient(side: Side) -> None:
    """A locked store is no reason to give a destination up, and its error is not quoted."""
    request = side.request("json")
    side.vault.error = StoreUnavailable(f"locked while reading {CANARY}")
    failure = await side.failure(request)
    assert (failure.permanent, failure.ambiguous) == (False, False)
    assert CANARY not in str(failure)


# --- a hostile world, for every format ------------------------------------------------------------------------------

PERMANENT, TRANSIENT, AMBIGUOUS, DELIVERED = "permanent", "transient", "ambiguous", "delivered"
HOSTILE: dict[str, tuple[Act, str]] = {
    "refused by 400": (answer(400, "invalid_payload"), PERMANENT),
    "forbidden": (answer(403), PERMANENT),
    "gone": (answer(410), PERMANENT),
    "redirect": (redirect("http://169.254.169.254/"), PERMANENT),
    "429": (answer(429), TRANSIENT),
    "429 with seconds": (answer(429, Retry_After="7"), TRANSIENT),
    "429 with a date": (answer(429, Retry_After="Sun, 29 Mar 2026 07:00:07 GMT"), TRANSIENT),
    "500": (answer(500, "oops"), TRANSIENT),
    "503": (answer(503), TRANSIENT),
    "cut": (cut, AMBIGUOUS),
    "hang": (hang, AMBIGUOUS),
    "slow drip of a head": (drip(None), AMBIGUOUS),
    "garbage": (garbage, AMBIGUOUS),
    "huge headers": (huge_headers, AMBIGUOUS),
    "gateway timeout": (answer(504), AMBIGUOUS),
    "slow drip of a body": (drip(200), DELIVERED),
    "endless body": (endless(200), DELIVERED),
    "cut within the body": (cut_within(200), DELIVERED),
    "gzip bomb": (gzip_bomb(200), DELIVERED),
}


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("name", HOSTILE)
async def test_every_format_survives_the_hostile_world(side: Side, name: str, format: str) -> None:
    """Each act has one outcome, exactly one request arrives per try, and no secret is told."""
    act, expected = HOSTILE[name]
    side.world.script(PATH, act)
    request = side.request(format, secret={"url": side.world.url(PATH), "signing_secret": KEYS[0]})
    failure: DeliveryFailed | None = None
    try:
        assert await side.channel.deliver(request) == "HTTP 200"
    except DeliveryFailed as caught:
        failure = caught
    if failure is None:
        outcome = DELIVERED
    else:
        outcome = PERMANENT if failure.permanent else AMBIGUOUS if failure.ambiguous else TRANSIENT
        assert failure.retry_after_seconds == (7 if " with " in name else None)
        assert CANARY not in "".join(traceback.format_exception(failure))
    assert outcome == expected
    assert len(side.world.requests) == 1


async def test_a_refused_connection_is_transient(side: Side) -> None:
    """Nobody there: surely not delivered."""
    policy = EgressPolicy(["127.0.0.1"], ports=range(1, 65536), plain_http=True)
    egress = Egress(side.clock, policy)
    url = f"http://127.0.0.1:{side.world.refusing_port}/x"
    with pytest.raises(DeliveryFailed) as failure:
        await WebhookDelivery(egress, side.vault).deliver(side.request("json", secret=url))
    assert (failure.value.permanent, failure.value.ambiguous) == (False, False)
    await egress.close()


async def test_no_secret_is_ever_shown(side: Side, caplog: pytest.LogCaptureFixture) -> None:
    """A canary in the URL and in the signing secret, an other side that echoes both: nowhere in what is said of it."""
    caplog.set_level(logging.DEBUG)
    secret_key = "whsec_" + base64.b64encode(CANARY.encode() * 2).decode()
    echo = json.dumps({"message": f"{PATH} {CANARY} {secret_key} {secret_key[6:]}", "id": CANARY})
    acts = [
        answer(200, echo),
        answer(404, echo),
        answer(429, echo),
        cut,
        answer(500, echo),
        redirect(side.world.url(PATH)),
    ]
    side.world.script(PATH, *acts)
    shown = [repr(side.channel), repr(side.egress)]
    for _ in acts:
        for format in ("json", "discord"):
            request = side.request(format, secret={"url": side.world.url(PATH), "signing_secret": secret_key})
            shown.append(repr(request))
            try:
                shown.append(await side.channel.deliver(request))
            except DeliveryFailed as failure:
                shown += [repr(failure), "".join(traceback.format_exception(failure)), repr(failure.__context__)]
    shown += [repr(side.egress.states()), caplog.text]
    told = "\n".join(shown)
    assert CANARY not in told
    assert secret_key[6:] not in told
