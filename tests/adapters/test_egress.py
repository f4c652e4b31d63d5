"""The guarded HTTP client against a hostile world on loopback."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import traceback
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from hypothesis import given
from hypothesis import strategies as st

from adapters.egress import (
    Egress,
    EgressLimits,
    EgressPolicy,
    HostGates,
    Phase,
    Places,
    is_public,
    retry_after_seconds,
)
from domain.errors import DeliveryFailed, InvalidDestination
from tests.doubles import HandClock
from tests.hostile_world import (
    Act,
    HostileWorld,
    answer,
    client_context,
    cut,
    cut_within,
    drip,
    endless,
    garbage,
    gzip_bomb,
    hang,
    hold,
    huge_headers,
    redirect,
)

NOW = datetime(2026, 3, 29, 7, 0, tzinfo=UTC)
CANARY = "t0ken-c4nary-8d1f"
ANY_PORT = range(1, 65536)

# Every URL of the group "bad inputs worth a test", and its brothers.
BAD_URLS = [
    "http://127.0.0.1/",
    "http://2130706433/",
    "http://0x7f.1/",
    "http://127.1/",
    "http://0177.0.0.1/",
    "http://[::1]/",
    "http://[::ffff:169.254.169.254]/",
    "http://[64:ff9b::7f00:1]/",
    "http://[2002:7f00:1::]/",
    "http://\u2460\u2461\u2466.\u24ea.\u24ea.\u2460/",
    "http://127\u30020\u30020\u30021/",
    "http://localhost./",
    "http://169.254.169.254/latest/meta-data/",
    "http://100.64.0.1/",
    "https://good.example@127.0.0.1/",
    "https://good.example\\@127.0.0.1/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:6379/_x",
    "https://x.test:22/",
    "https://x.test/%0d%0aX:y",
]
REFUSED_HOSTS = [
    "127.0.0.1", "2130706433", "0x7f.1", "0x7f000001", "127.1", "0177.0.0.1", "0", "0.0.0.0", "[::1]", "[::]",
    "[::ffff:169.254.169.254]", "[::ffff:127.0.0.1]", "[::127.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]",
    "[fec0::1]", "[fe80::1]", "[fd00:ec2::254]", "[ff02::1]", "[2001:db8::1]", "[2001::1]", "localhost", "localhost.",
    "api.localhost", "printer.local", "metadata.google.internal", "metadata", "169.254.169.254", "100.64.0.1",
    "10.0.0.1", "172.16.0.1", "192.168.1.1", "192.0.0.192", "168.63.129.16", "224.0.0.1", "255.255.255.255",
    "240.0.0.1", "198.18.0.1",
]  # fmt: skip
REFUSED_ADDRESSES = [
    "127.0.0.1", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::",
    "fec0::1", "fe80::1", "fd00:ec2::254", "ff02::1", "2001:db8::1", "169.254.169.254", "100.64.0.1", "10.0.0.1",
    "172.16.0.1", "192.168.1.1", "168.63.129.16", "224.0.0.1", "240.0.0.1", "255.255.255.255",
]  # fmt: skip
PUBLIC = ["1.1.1.1", "8.8.8.8", "93.184.215.14", "2606:4700::1111", "2a00:1450:4001:81b::200e"]


class Names(AbstractResolver):
    """A name service that says what it is told to; every question gets the next answer, the last one again."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked += 1
        addresses = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=0,
            )
            for address in addresses
        ]

    async def close(self) -> None:
        """Nothing is held."""


_MADE: list[Egress] = []


@pytest.fixture(autouse=True)
async def _closed() -> AsyncIterator[None]:
    yield
    while _MADE:
        await _MADE.pop().close()


@pytest.fixture
async def world() -> AsyncIterator[HostileWorld]:
    async with HostileWorld() as made:
        yield made


def an_egress(world: HostileWorld | None = None, clock: HandClock | None = None, **options: Any) -> Egress:
    if world is not None:
        options.setdefault("policy", EgressPolicy(["127.0.0.1"], ports=ANY_PORT, plain_http=True))
    options.setdefault("limits", EgressLimits(total_seconds=10, answer_seconds=0.3))
    clock = clock or HandClock(NOW)
    made = Egress(clock, gates=HostGates(clock, places=options.pop("places", None)), **options)
    _MADE.append(made)
    return made


async def failure_of(egress: Egress, url: str) -> DeliveryFailed:
    """What a request to the URL fails with."""
    with pytest.raises(DeliveryFailed) as failure:
        await egress.post_json(url, b"{}")
    return failure.value


# --- where to -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", BAD_URLS)
async def test_a_bad_url_is_refused_without_being_shown(url: str) -> None:
    """Each URL of the group is refused before any I/O, and the error quotes nothing of it."""
    egress = an_egress()
    with pytest.raises(InvalidDestination) as refusal:
        egress.check(url)
    assert refusal.value.field == "target"
    assert refusal.value.remedy
    assert url not in "".join(traceback.format_exception(refusal.value))
    failure = await failure_of(egress, url)
    assert failure.permanent
    assert not failure.ambiguous
    assert egress._sessions == {}


def test_every_refused_address_is_refused_with_the_same_words() -> None:
    """Whoever tries addresses one after the other learns nothing from the differences."""
    policy, errors = EgressPolicy(), set()
    for host in REFUSED_HOSTS:
        with pytest.raises(InvalidDestination) as refusal:
            policy.target(f"https://{host}/hook")
        errors.add(str(refusal.value))
    assert len(errors) == 1


@pytest.mark.parametrize(
    "url",
    [
        "", "x", "//x.test/", "https://", "https:///x", "https://x.test:99999/", "https://x.test:x/", "https://[::1/",
        "https://a..b.test/", "https://-a.test/", "https://" + "a" * 64 + ".test/", "https://x.test/" + "a" * 2100,
        "https://x.test/a b", "https://x.test/\x00", "https://x.test/\ud800", "https://b\u00fccher.test/", "https://u:p@x.test/",
        "https://x.test/%00", "http://x.test/", "HTTPS://127.0.0.1/", "https://[fe80::1%25eth0]/", "https://x.test./",
    ],
)  # fmt: skip
def test_a_url_that_cannot_be_meant_is_refused(url: str) -> None:
    """What is not https to a possible host at an allowed port ends in one kind of error."""
    with pytest.raises(InvalidDestination):
        EgressPolicy().target(url)


@given(st.text(max_size=60) | st.from_regex(r"https?://[^ ]{0,40}", fullmatch=True))
def test_any_text_is_taken_apart_or_refused(text: str) -> None:
    """No text makes the check fail in another way, and what passes is https to the host that will be asked."""
    try:
        target = EgressPolicy().target(text)
    except InvalidDestination:
        return
    assert target.scheme == "https"
    assert EgressPolicy().target(target.url) == target


@given(st.integers(0, 2**32 - 1).map(IPv4Address))
def test_an_ipv4_address_is_judged_alike_in_every_dress(address: IPv4Address) -> None:
    """Mapped into IPv6 it is itself; wrapped for a translator or a tunnel it is always refused."""
    assert is_public(IPv6Address(f"::ffff:{address}")) == is_public(address)
    assert not is_public(IPv6Address(f"64:ff9b::{address}"))
    assert not is_public(IPv6Address(f"::{address}"))
    assert not is_public(IPv6Address(int(IPv6Address("2002::")) | int(address) << 80))
    if address.is_private or address.is_multicast or address.is_reserved or address.is_link_local:
        assert not is_public(address)


@given(st.integers(0, 2**128 - 1).map(IPv6Address))
def test_only_the_global_range_of_ipv6_is_public(address: IPv6Address) -> None:
    """Beyond 2000::/3 nothing is public, whatever a version of Python thinks of it."""
    if is_public(address) and address.ipv4_mapped is None:
        assert address.exploded[0] in "23"


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_public(address: str) -> None:
    """The guard does not guard everything away."""
    assert is_public(ip_address(address))
    host = f"[{address}]" if ":" in address else address
    assert EgressPolicy().target(f"https://{host}/x").host == address


@pytest.mark.parametrize("address", REFUSED_ADDRESSES)
async def test_a_name_that_leads_to_a_refused_address_is_not_connected_to(address: str) -> None:
    """The guard sees the address at the moment of connecting; the error is the same for all."""
    egress = an_egress(resolver=Names([address]))
    failure = await failure_of(egress, "https://hooks.example.com/x")
    assert failure.permanent
    assert not failure.ambiguous
    assert str(failure) == "target: the host leads to an address that requests may not go to"
    assert egress.states() == {}


async def test_a_name_that_rebinds_reaches_nothing(world: HostileWorld) -> None:
    """The second answer of the name service is judged like the first: no connection arrives."""
    names = Names(["127.0.0.1"], ["127.0.0.1", "::1"], ["127.0.0.1"])
    egress = an_egress(resolver=names, policy=EgressPolicy(ports=ANY_PORT))
    for _ in range(3):
        assert (await failure_of(egress, f"https://rebind.example.com:{world.port}/")).permanent
    assert names.asked == 3
    assert world.accepted == 0


async def test_the_socket_guard_stops_a_literal_that_slipped_through(
    world: HostileWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """aiohttp asks no resolver for literals: the socket factory alone must stop them."""
    egress = an_egress(policy=EgressPolicy(ports=ANY_PORT))
    open_policy = EgressPolicy(["127.0.0.1"], ports=ANY_PORT, plain_http=True)
    monkeypatch.setattr(egress.policy, "target", lambda url: replace(open_policy.target(url), trusted=False))
    for url in (world.url(), world.url(host="[::ffff:127.0.0.1]")):
        assert (await failure_of(egress, url)).permanent
    assert world.accepted == 0


async def test_a_redirect_is_not_followed(world: HostileWorld) -> None:
    """Not to a private address, not anywhere: it is a permanent failure that does not say where it led."""
    egress = an_egress(world)
    for status in (301, 302, 303, 307, 308):
        url = world.script("/from", redirect(world.url(f"/{CANARY}"), status))
        failure = await failure_of(egress, url)
        assert failure.permanent
        assert CANARY not in str(failure)
    assert {received.path for received in world.requests} == {"/from"}


async def test_an_operator_can_allow_an_internal_host_by_name(world: HostileWorld) -> None:
    """A named host may be at a private address, at its own port, by http where that is allowed too."""
    policy = EgressPolicy([f"hooks.intranet:{world.port}"], plain_http=True)
    egress = an_egress(policy=policy, resolver=Names(["127.0.0.1"]))
    response = await egress.post_json(world.url(host="hooks.intranet"), b"{}")
    assert response.status == 200
    assert (await failure_of(egress, world.url(host="other.intranet"))).permanent
    assert (await failure_of(egress, f"http://hooks.intranet:{world.port + 1}/")).permanent


@pytest.mark.parametrize(
    "address", ["169.254.169.254", "fd00:ec2::254", "100.100.100.200", "224.0.0.1", "64:ff9b::7f00:1"]
)
async def test_a_named_host_does_not_open_the_metadata_service(address: str) -> None:
    """What a name may be at does not include link-local, metadata, multicast and translated addresses."""
    egress = an_egress(policy=EgressPolicy(["hooks.intranet"]), resolver=Names([address]))
    assert (await failure_of(egress, "https://hooks.intranet/")).permanent


def test_an_allowed_network_allows_its_addresses_and_no_others() -> None:
    """Networks count for literals and for what names lead to."""
    policy = EgressPolicy(["10.1.0.0/16", "fd12::/32"])
    assert policy.target("https://10.1.2.3/").trusted
    assert policy.permits(ip_address("::ffff:10.1.2.3"))
    assert policy.permits(ip_address("fd12::1"))
    assert not policy.permits(ip_address("10.2.0.1"))
    with pytest.raises(InvalidDestination):
        policy.target("https://10.2.0.1/")


@pytest.mark.parametrize("entry", ["", "10.1.0.5/16", "https://x.test/", "a b", "x.test:", "*.x.test"])
def test_an_allowed_host_that_is_none_is_refused_at_the_start(entry: str) -> None:
    """A slip in the settings is told with examples, not found out by an attacker."""
    with pytest.raises(ValueError, match=r"neither a host name nor a network; write hooks\.intranet"):
        EgressPolicy([entry])


# --- what an answer means -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_every_2xx_is_an_answer(world: HostileWorld, status: int) -> None:
    """The answer comes back with status, headers and text."""
    egress = an_egress(world)
    url = world.script("/hook", answer(status, b"" if status == 204 else b"thanks", X_Id="7"))
    response = await egress.post_json(url, b'{"a":1}', {"X-Mine": "1"})
    assert (response.status, response.headers["x-id"]) == (status, "7")
    assert response.text == ("" if status == 204 else "thanks")
    [received] = world.requests
    assert (received.method, received.body) == ("POST", b'{"a":1}')
    assert received.headers["x-mine"] == "1"
    assert received.headers["content-type"] == "application/json"


@pytest.mark.parametrize("status", [300, 304, 400, 401, 402, 403, 404, 405, 406, 409, 410, 413, 422, 451])
async def test_permanent_statuses_are_permanent(world: HostileWorld, status: int) -> None:
    """Sending the same again cannot help; nothing was taken."""
    egress = an_egress(world)
    failure = await failure_of(egress, world.script("/hook", answer(status, b"" if status == 304 else b"no such hook")))
    assert failure.permanent
    assert not failure.ambiguous
    assert str(status) in str(failure)
    if status >= 400:
        assert "no such hook" in str(failure)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 507, 599])
async def test_transient_statuses_are_transient_with_the_wait_asked_for(world: HostileWorld, status: int) -> None:
    """Retry-After is handed on, as seconds or as a date."""
    later = format_datetime(NOW + timedelta(minutes=7), usegmt=True)
    asked = {"/none": {}, "/seconds": {"Retry_After": "42"}, "/date": {"Retry_After": later}}
    expected = {"/none": None, "/seconds": 42, "/date": 420}
    for path, headers in asked.items():
        egress = an_egress(world)
        failure = await failure_of(egress, world.script(path, answer(status, b"busy", **headers)))
        assert (failure.permanent, failure.ambiguous) == (False, False)
        assert failure.retry_after_seconds == expected[path]


@pytest.mark.parametrize("status", [504, 524, 600, 999])
async def test_a_gateway_that_waited_in_vain_leaves_it_open(world: HostileWorld, status: int) -> None:
    """The request went out, and nobody can say what became of it."""
    egress = an_egress(world)
    failure = await failure_of(egress, world.script("/hook", answer(status)))
    assert (failure.permanent, failure.ambiguous) == (False, True)


@given(st.text(max_size=40) | st.from_regex(r"[0-9]{1,30}(\.[0-9]{0,5})?", fullmatch=True))
def test_any_retry_after_is_a_sane_wait_or_none(value: str) -> None:
    """Between nothing and six hours, whatever the header says."""
    wait = retry_after_seconds(value, NOW)
    assert wait is None or 0 <= wait <= 6 * 3600


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0", 0), ("1.5", 1.5), ("  30 ", 30), ("999999999", 21600), ("9" * 400, 21600), ("-5", None), ("nan", None),
        ("inf", None), ("soon", None), ("", None), (None, None), ("Sun, 29 Mar 2026 06:00:00 GMT", 0),
        ("Sun, 29 Mar 2026 07:00:10 GMT", 10), ("Sun, 29 Mar 2026 09:00:10 +0200", 10),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 21600),
    ],
)  # fmt: skip
def test_retry_after_is_understood(value: str | None, expected: float | None) -> None:
    """Numbers and dates; a date that is past means now; too long means six hours."""
    assert retry_after_seconds(value, NOW) == expected


# --- the wire -------------------------------------------------------------------------------------------------------


async def test_a_refused_connection_is_transient_and_sent_nothing(world: HostileWorld) -> None:
    """Nobody listens: certainly not delivered, worth another try."""
    egress = an_egress(world)
    failure = await failure_of(egress, f"http://127.0.0.1:{world.refusing_port}/hook")
    assert (failure.permanent, failure.ambiguous) == (False, False)


async def test_a_name_that_does_not_resolve_is_transient() -> None:
    """The name service may be back tomorrow."""

    class NoNames(Names):
        async def resolve(self, host: str, port: int = 0, family: Any = 0) -> list[ResolveResult]:
            raise OSError(-2, "Name or service not known")

    egress = an_egress(resolver=NoNames())
    failure = await failure_of(egress, "https://hooks.example.com/")
    assert (failure.permanent, failure.ambiguous) == (False, False)


async def test_cut_after_accept_is_ambiguous(world: HostileWorld) -> None:
    """Once the connection stood, all of the request may have been read."""
    egress = an_egress(world)
    world.at_accept(cut)
    failure = await failure_of(egress, world.url())
    assert (failure.permanent, failure.ambiguous) == (False, True)


@pytest.mark.parametrize("act", [cut, garbage, huge_headers], ids=["cut", "garbage", "huge headers"])
async def test_an_answer_that_is_none_is_ambiguous(world: HostileWorld, act: Act) -> None:
    """The request was taken in; what comes back tells nothing."""
    egress = an_egress(world)
    failure = await failure_of(egress, world.script("/hook", act))
    assert (failure.permanent, failure.ambiguous) == (False, True)
    assert len(world.requests) == 1


@pytest.mark.parametrize("act", [hang, drip(None)], ids=["hang", "drip of a head"])
async def test_no_answer_in_time_is_ambiguous(world: HostileWorld, act: Act) -> None:
    """The total deadline ends what never ends."""
    egress = an_egress(world, limits=EgressLimits(total_seconds=1))
    failure = await failure_of(egress, world.script("/hook", act))
    assert (failure.permanent, failure.ambiguous) == (False, True)
    assert "timed out" in str(failure)


@pytest.mark.parametrize(
    "act", [drip(200), endless(200), cut_within(200), gzip_bomb(200)], ids=["drip", "endless", "cut", "bomb"]
)
async def test_a_2xx_counts_whatever_happens_to_its_body(world: HostileWorld, act: Act) -> None:
    """The status is the answer; what is kept of the body has a limit, however small it was packed."""
    egress = an_egress(world)
    response = await egress.post_json(world.script("/hook", act), b"{}")
    assert response.status == 200
    assert len(response.text) <= EgressLimits().answer_bytes


@pytest.mark.parametrize(
    "act", [drip(500), endless(500), cut_within(500), gzip_bomb(500)], ids=["drip", "endless", "cut", "bomb"]
)
async def test_a_500_counts_whatever_happens_to_its_body(world: HostileWorld, act: Act) -> None:
    """Not ambiguous: the other side said that it did not work."""
    egress = an_egress(world)
    failure = await failure_of(egress, world.script("/hook", act))
    assert (failure.permanent, failure.ambiguous) == (False, False)
    assert len(str(failure)) < 300


async def test_a_gzip_bomb_is_unpacked_to_the_limit_and_no_further(world: HostileWorld) -> None:
    """64 KiB of 50 MB."""
    egress = an_egress(world)
    response = await egress.post_json(world.script("/hook", gzip_bomb()), b"{}")
    assert response.text == "\0" * EgressLimits().answer_bytes


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip", "deflate", "gzip, gzip"])
async def test_an_encoding_that_does_not_hold_what_it_says_is_no_text(world: HostileWorld, encoding: str) -> None:
    """A delivered result stays delivered when its answer cannot be read."""
    egress = an_egress(world)
    response = await egress.post_json(world.script("/hook", answer(200, b"plain", Content_Encoding=encoding)), b"{}")
    assert (response.status, response.text) == (200, "")


async def test_nothing_is_kept_or_taken_from_the_environment(
    world: HostileWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No cookies come back, no proxy is used, no connection is used twice."""
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{world.refusing_port}")
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{world.refusing_port}")
    policy = EgressPolicy([f"hooks.intranet:{world.port}"], plain_http=True)
    egress = an_egress(policy=policy, resolver=Names(["127.0.0.1"]))
    world.script("/hook", answer(200, b"ok", Set_Cookie="a=1", Connection="keep-alive"))
    url = world.url(host="hooks.intranet")
    await egress.post_json(url, b"{}")
    await egress.post_json(url, b"{}")
    assert [received.headers.get("cookie") for received in world.requests] == [None, None]
    assert world.accepted == 2


async def test_https_is_spoken_and_certificates_are_checked() -> None:
    """A trusted certificate is accepted; any other ends before anything is sent."""
    async with HostileWorld(tls=True) as world:
        trusting = an_egress(world, ssl_context=client_context())
        assert (await trusting.post_json(world.url(), b"{}")).status == 200
        careful = an_egress(world)
        failure = await failure_of(careful, world.url())
        assert (failure.permanent, failure.ambiguous) == (False, False)
        assert "certificate" in str(failure)
        assert len(world.requests) == 1


async def test_a_url_is_requested_as_it_is_written(world: HostileWorld) -> None:
    """A signature in a query loses its meaning when somebody encodes it anew."""
    egress = an_egress(world)
    await egress.post_json(world.url("/a%2Fb/%7Ec") + "?sig=b%2Fc%3D&x=%41+y", b"{}")
    assert world.requests[0].path == "/a%2Fb/%7Ec?sig=b%2Fc%3D&x=%41+y"


async def test_a_request_that_is_too_large_is_not_sent(world: HostileWorld) -> None:
    """Permanent: it will be as large next time."""
    egress = an_egress(world)
    with pytest.raises(DeliveryFailed, match="too large") as failure:
        await egress.post_json(world.url(), b"x" * (EgressLimits().request_bytes + 1))
    assert failure.value.permanent
    assert world.accepted == 0


async def test_a_header_that_would_inject_another_is_not_sent(world: HostileWorld) -> None:
    """A line end in a header ends the request, not the header."""
    egress = an_egress(world)
    with pytest.raises(DeliveryFailed) as failure:
        await egress.post_json(world.url(), b"{}", {"X-A": "1\r\nX-B: 2"})
    assert not failure.value.retry_after_seconds
    assert world.requests == []


async def test_a_closed_client_sends_nothing(world: HostileWorld) -> None:
    """Closing twice is fine; a request after that is a transient failure."""
    egress = an_egress(world)
    await egress.post_json(world.url(), b"{}")
    await egress.close()
    await egress.close()
    assert not (await failure_of(egress, world.url())).permanent
    assert len(world.requests) == 1


# --- hosts that are in trouble --------------------------------------------------------------------------------------


async def test_a_failing_host_is_left_alone_then_tried_once(world: HostileWorld) -> None:
    """The breaker opens after five failures in a row, lets one probe pass after a while, closes on success."""
    clock = HandClock(NOW)
    egress = an_egress(world, clock)
    url = world.script("/hook", *[answer(503)] * 6, answer(200))
    for _ in range(5):
        await failure_of(egress, url)
    [name] = egress.states()
    assert name == f"127.0.0.1:{world.port}"
    view = egress.states()[name]
    assert (view.phase, view.since, view.last_error) == (Phase.OPEN, NOW, "it answered 503")
    failure = await failure_of(egress, url)
    assert failure.retry_after_seconds == 60
    assert failure.postponed
    assert not failure.permanent
    assert len(world.requests) == 5
    clock.move(timedelta(seconds=60))
    assert egress.states()[name].phase is Phase.HALF_OPEN
    await failure_of(egress, url)  # the probe fails: open again
    await failure_of(egress, url)
    assert len(world.requests) == 6
    clock.move(timedelta(seconds=60))
    assert (await egress.post_json(url, b"{}")).status == 200
    assert egress.states() == {}


@pytest.mark.parametrize(
    ("status", "of_host"),
    [(404, False), (429, False), (500, False), (501, False), (507, False)]
    + [(status, True) for status in (502, 503, 504, 522, 530)],
)
async def test_an_error_of_one_path_is_not_held_against_its_host(
    world: HostileWorld, status: int, of_host: bool
) -> None:
    """A webhook that is broken answers 500 for ever, and its neighbors at a shared host are served all the while."""
    egress = an_egress(world)
    for number in range(6):
        await failure_of(egress, world.script(f"/hooks/broken{number}", answer(status)))
    other = world.script("/hooks/other", answer(200))
    if of_host:
        assert (await failure_of(egress, other)).postponed
    else:
        assert (await egress.post_json(other, b"{}")).status == 200


@pytest.mark.parametrize("headers", [{"Retry_After": "30"}, {}], ids=["asked", "not asked"])
async def test_a_429_slows_down_its_own_route_only(world: HostileWorld, headers: dict[str, str]) -> None:
    """Another webhook of the same host is not slowed, and the breaker of the host stays closed."""
    clock = HandClock(NOW)
    egress = an_egress(world, clock)
    busy = world.script("/hooks/1/busy", answer(429, b"slow down", **headers), answer(200))
    other = world.script("/hooks/2/other", answer(200))
    await failure_of(egress, busy)
    for _ in range(10):
        held_back = await failure_of(egress, busy + "?wait=true")
        assert held_back.retry_after_seconds == (30 if headers else 60)
    assert (await egress.post_json(other, b"{}")).status == 200
    assert len(world.requests) == 2
    [view] = egress.states().values()
    assert (view.phase, view.slowed_routes, view.last_error) == (Phase.CLOSED, 1, "it answered 429")
    assert "busy" not in repr(egress.states())
    clock.move(timedelta(seconds=60))
    assert (await egress.post_json(busy, b"{}")).status == 200


async def test_a_hanging_host_delays_no_other_and_takes_few_places() -> None:
    """While one host holds all the requests it may have, another answers at once; the rest of its own waits in line."""
    released = asyncio.Event()
    async with HostileWorld() as bad, HostileWorld() as good:
        egress = an_egress(bad, limits=EgressLimits(total_seconds=20), places=Places(3, 2))
        urls = [bad.script(path, hold(released, answer(200))) for path in ("/1", "/1", "/1", "/2", "/3")]
        stuck = [asyncio.create_task(egress.post_json(url, b"{}")) for url in urls]
        await bad.arrived(3)
        assert (await egress.post_json(good.url(), b"{}")).status == 200
        assert sorted(received.path for received in bad.requests) == ["/1", "/1", "/2"]
        released.set()
        assert [(await task).status for task in stuck] == [200] * 5
        assert not any(host.routes for host in egress.gates._hosts.values())


async def test_a_hanging_webhook_leaves_its_neighbors_at_the_same_host_alone(world: HostileWorld) -> None:
    """However many wait for one route of a shared host, another route is served at once."""
    released = asyncio.Event()
    egress = an_egress(world, limits=EgressLimits(total_seconds=20), places=Places(per_host=4))
    url = world.script("/hooks/hanging", hold(released, answer(200)))
    stuck = [asyncio.create_task(egress.post_json(url, b"{}")) for _ in range(10)]
    await world.arrived(2)
    assert (await egress.post_json(world.url("/hooks/other"), b"{}")).status == 200
    released.set()
    assert [(await task).status for task in stuck] == [200] * 10


async def test_names_are_looked_up_by_the_system_and_judged_like_all(world: HostileWorld) -> None:
    """The real name service of this machine knows where localhost is; the guard decides whether that will do."""
    allowed = an_egress(policy=EgressPolicy([f"localhost:{world.port}"], plain_http=True))
    assert (await allowed.post_json(world.url(host="localhost"), b"{}")).status == 200
    await allowed.close()
    with pytest.raises(InvalidDestination):
        an_egress().check(f"https://localhost:{world.port}/")


@given(st.floats(0.5, 3600))
def test_the_limits_end_before_the_deadline_of_whoever_waits(seconds: float) -> None:
    """A slow host gives a clear outcome, whatever deadline an operator sets; nothing is ever laxer than usual."""
    limits, usual = EgressLimits.within(timedelta(seconds=seconds)), EgressLimits()
    assert limits.connect_seconds < limits.total_seconds < seconds
    assert limits.answer_seconds < limits.total_seconds <= usual.total_seconds
    assert limits.connect_seconds <= usual.connect_seconds
    assert (limits.request_bytes, limits.answer_bytes) == (usual.request_bytes, usual.answer_bytes)
    if seconds >= 60:
        assert limits == usual


async def test_waiting_in_line_too_long_is_no_failure_of_the_host(world: HostileWorld) -> None:
    """Nothing was sent: transient, not ambiguous, and not counted against the host."""
    egress = an_egress(world, limits=EgressLimits(total_seconds=1), places=Places(per_route=1))
    await egress.post_json(world.script("/other", answer(200)), b"{}")  # what a first request makes takes its time
    url = world.script("/hook", hang)
    failures = await asyncio.gather(*(egress.post_json(url, b"{}") for _ in range(2)), return_exceptions=True)
    assert sorted(failure.ambiguous for failure in failures if isinstance(failure, DeliveryFailed)) == [False, True]
    assert sorted(failure.postponed for failure in failures if isinstance(failure, DeliveryFailed)) == [False, True]
    [view] = egress.states().values()
    assert (view.consecutive_failures, view.in_flight) == (1, 0)
    assert len(world.requests) == 2


async def test_a_cancelled_request_gives_back_its_place_and_its_turn(world: HostileWorld) -> None:
    """A probe that is cancelled (a shutdown, a deadline) does not leave the host untried for ever."""
    clock = HandClock(NOW)
    egress = an_egress(world, clock, limits=EgressLimits(total_seconds=20), places=Places(per_route=1))
    url = world.script("/hook", *[answer(503)] * 5, hang, answer(200))
    for _ in range(5):
        await failure_of(egress, url)
    clock.move(timedelta(minutes=2))
    probe = asyncio.create_task(egress.post_json(url, b"{}"))
    await world.arrived(6)
    probe.cancel()
    with pytest.raises(asyncio.CancelledError):
        await probe
    assert (await egress.post_json(url, b"{}")).status == 200


async def test_hosts_that_are_fine_are_forgotten(world: HostileWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is remembered of hosts has a bound."""
    monkeypatch.setattr("adapters.egress.gates._MOST_HOSTS", 10)
    egress = an_egress(world, resolver=Names(["127.0.0.1"]))
    for number in range(50):
        await failure_of(egress, f"https://h{number}.example.com/")
    assert len(egress.gates._hosts) <= 10


# --- secrets --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("act", [
    answer(200), answer(404, f"no hook /services/{CANARY}?token={CANARY}"), answer(500, CANARY[:4] + "\0" + CANARY[4:]),
    answer(301, b"", Location=f"https://x.test/{CANARY}"), answer(429, f'"\\/services\\/{CANARY}"', Retry_After="9"),
    cut, garbage, huge_headers,
])  # fmt: skip
async def test_no_part_of_a_url_and_no_hidden_word_is_ever_shown(world: HostileWorld, act: Act) -> None:
    """Not in errors, their chains and tracebacks, nor in what is shown of hosts, even when the answer echoes it."""
    egress = an_egress(world)
    url = world.script(f"/services/{CANARY}", act) + f"?token={CANARY}"
    shown = [repr(egress), repr(egress.check(url))]
    for target in (url, url.replace("127.0.0.1", "127.1"), url.replace("http:", "ftp:"), url + "\n"):
        try:
            shown.append(repr(await egress.post_json(target, b"{}", hide=[CANARY])))
        except DeliveryFailed as failure:
            while failure is not None:
                shown += [
                    str(failure),
                    repr(failure),
                    *map(str, failure.args),
                    "".join(traceback.format_exception(failure)),
                ]
                failure = failure.__cause__ or failure.__context__  # type: ignore[assignment]
    shown.append(repr(egress.states()))
    assert CANARY not in "".join(shown)


def test_importing_the_module_does_not_import_aiohttp() -> None:
    """Who only checks an address, or starts the command line, does not wait for an HTTP library."""
    code = "import sys, adapters.egress; sys.exit('aiohttp' in sys.modules or 'yarl' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
