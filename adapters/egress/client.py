"""The guarded HTTP client. aiohttp is imported when the first request goes out."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
import zlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from adapters.egress.addresses import REFUSED, EgressPolicy, Target
from adapters.egress.answers import Response, health_of, judged
from adapters.egress.gates import HostGates
from adapters.egress.hosts import Admission, Health, HostView
from application.ports import Clock
from domain.errors import DeliveryFailed, InvalidDestination

if TYPE_CHECKING:
    import ssl

    import aiohttp
    from aiohttp.abc import AbstractResolver

__all__ = ["Egress", "EgressLimits"]

_SHARE_OF_DEADLINE = 0.8
_UNASKED_WAIT_SECONDS = 60.0
"""How long a route is left alone after a 429 that names no time."""


@dataclass(frozen=True, slots=True)
class EgressLimits:
    """What one request may cost.

    Seconds for all of it (waiting for a free place included), for connecting, and for the body of an answer whose
    status is known; bytes of a request and of an answer's text.
    """

    total_seconds: float = 30
    connect_seconds: float = 10
    answer_seconds: float = 5
    request_bytes: int = 1_048_576
    answer_bytes: int = 65_536

    @classmethod
    def within(cls, deadline: timedelta) -> EgressLimits:
        """The usual limits, or stricter ones that end before ``deadline`` does: whoever waits for the request is to
        hear from it what happened."""
        usual = cls()
        total = min(usual.total_seconds, deadline.total_seconds() * _SHARE_OF_DEADLINE)
        return cls(total, min(usual.connect_seconds, total / 2), min(usual.answer_seconds, total / 4))


class _AddressRefused(OSError):
    """Raised instead of connecting. Equal text for every address, so that aiohttp keeps it as it is."""

    def __init__(self) -> None:
        super().__init__(errno.EACCES, "refused")


@dataclass(slots=True)
class _Exchange:
    """How far a request came, told while it is under way: whoever interrupts it must know what was sent."""

    admission: Admission | None = None
    connected: bool = False
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    data: bytearray = field(default_factory=bytearray)


class Egress:
    """Sends requests to addresses that users gave, and nowhere but where ``policy`` allows.

    Redirects are not followed, cookies and proxies of the environment not used, and a connection serves one request,
    so that no request dies on a connection the other side had closed already. ``resolver`` and ``ssl_context`` are for
    tests and for operators with a certificate authority of their own. Use it on one event loop.
    """

    def __init__(
        self,
        clock: Clock,
        policy: EgressPolicy | None = None,
        *,
        limits: EgressLimits | None = None,
        gates: HostGates | None = None,
        ssl_context: ssl.SSLContext | None = None,
        resolver: AbstractResolver | None = None,
    ) -> None:
        self.policy = policy or EgressPolicy()
        self._clock, self._limits, self.gates = clock, limits or EgressLimits(), gates or HostGates(clock)
        self._ssl, self._resolver = ssl_context, resolver
        self._sessions: dict[bool, aiohttp.ClientSession] = {}
        self._closed = False

    def now(self) -> datetime:
        """The present instant of the clock given (aware, UTC)."""
        return self._clock.now()

    def check(self, url: str) -> Target:
        """The URL taken apart; InvalidDestination, which never shows it, when no request may go there. No I/O."""
        return self.policy.target(url)

    def states(self) -> dict[str, HostView]:
        """What is known of each host that is not simply fine, by host (and port, where it is not the usual one)."""
        return self.gates.states()

    async def close(self) -> None:
        """Close all connections; requests after that fail. Idempotent."""
        self._closed = True
        sessions, self._sessions = list(self._sessions.values()), {}
        for session in sessions:
            await session.close()
        if self._resolver is not None:
            await self._resolver.close()

    async def post_json(
        self, url: str, body: bytes, headers: Mapping[str, str] | None = None, *, hide: Iterable[str] = ()
    ) -> Response:
        """POST a JSON text and return the answer, which is a 2xx. Raises DeliveryFailed for everything else.

        ``hide`` names further secrets, beside those of the URL, that no error may show should the answer echo them.
        """
        target = self._checked(url, body)
        exchange = _Exchange()
        error: Exception | None = None
        place = self.gates.place(target.authority, target.route)
        try:
            async with asyncio.timeout(self._limits.total_seconds), place:
                exchange.admission = self.gates.admit(target.authority, target.route)
                await self._exchange(target, body, headers or {}, exchange)
        except DeliveryFailed:
            raise
        except Exception as caught:
            error = caught
        finally:
            # Also for a request that was cancelled: its turn as a probe must not be lost.
            if exchange.admission is not None:
                health, trouble = _seen(target.authority, exchange, error)
                self.gates.finished(target.authority, exchange.admission, health, trouble)
        # Raised here and not while the error is handled: what aiohttp raises may hold the URL.
        return self._answer(target, exchange, error, (*target.secrets, *hide))

    # --- before ---

    def _checked(self, url: str, body: bytes) -> Target:
        try:
            target = self.policy.target(url)
        except InvalidDestination as refusal:
            raise DeliveryFailed(str(refusal), permanent=True) from None
        if self._closed:
            raise DeliveryFailed("the client is closed: this process is stopping")
        if len(body) > self._limits.request_bytes:
            problem = f"a request of {len(body):,} bytes is too large; at most {self._limits.request_bytes:,}"
            raise DeliveryFailed(problem, permanent=True)
        return target

    # --- on the wire ---

    async def _exchange(self, target: Target, body: bytes, headers: Mapping[str, str], exchange: _Exchange) -> None:
        import yarl

        session = self._session(target.trusted)
        request = {"Content-Type": "application/json", "Accept-Encoding": "identity", **headers}
        response = await session.post(
            yarl.URL(target.url, encoded=True),
            data=body,
            headers=request,
            allow_redirects=False,
            trace_request_ctx=exchange,
        )
        try:
            exchange.headers = {name.lower(): value for name, value in response.headers.items()}
            exchange.status = response.status
            # The status is the answer: a body that drips, breaks off or never ends changes nothing any more.
            with suppress(TimeoutError, OSError, _client_error()):
                async with asyncio.timeout(self._limits.answer_seconds):
                    while len(exchange.data) < self._limits.answer_bytes:
                        chunk = await response.content.read(self._limits.answer_bytes - len(exchange.data))
                        if not chunk:
                            break
                        exchange.data += chunk
        finally:
            response.close()

    def _session(self, trusted: bool) -> aiohttp.ClientSession:
        if trusted not in self._sessions:
            import aiohttp

            from adapters.egress.names import OwnThreadsResolver

            self._resolver = self._resolver or OwnThreadsResolver()
            connector = aiohttp.TCPConnector(
                socket_factory=partial(_guarded_socket, partial(self.policy.permits, named=trusted)),
                resolver=self._resolver,
                use_dns_cache=False,
                limit=0,  # those per host and route suffice: hosts that hang together must not use up what others need
                force_close=True,
                ssl=self._ssl or True,
            )
            trace = aiohttp.TraceConfig()
            trace.on_connection_create_end.append(_mark_connected)
            self._sessions[trusted] = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                auto_decompress=False,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._limits.connect_seconds),
                headers={"User-Agent": "Daybook"},
                trace_configs=[trace],
            )
        return self._sessions[trusted]

    # --- after ---

    def _answer(self, target: Target, exchange: _Exchange, error: Exception | None, secrets: Iterable[str]) -> Response:
        now = self.now()
        if exchange.status is None:
            raise _broken_off(target.authority, exchange, error)
        text = _text(bytes(exchange.data), exchange.headers.get("content-encoding", ""), self._limits.answer_bytes)
        response = Response(exchange.status, exchange.headers, text)
        failure = judged(response, target.authority, now, secrets)
        if failure is None:
            return response
        wait = failure.retry_after_seconds
        if wait is None and response.status == 429:
            wait = _UNASKED_WAIT_SECONDS
        if wait is not None:
            self.gates.slow_down(target.authority, target.route, wait, f"it answered {response.status}")
        raise failure


def _guarded_socket(permits: Callable[[Any], bool], info: tuple[Any, ...]) -> socket.socket:
    """The socket for one address, which is final: aiohttp connects to this very one next."""
    family, kind, protocol, _, address = info
    if family not in (socket.AF_INET, socket.AF_INET6) or not permits(ipaddress.ip_address(address[0])):
        raise _AddressRefused
    return socket.socket(family, kind, protocol)


async def _mark_connected(session: aiohttp.ClientSession, context: Any, params: Any) -> None:
    context.trace_request_ctx.connected = True


def _client_error() -> type[Exception]:
    import aiohttp

    return aiohttp.ClientError


def _seen(host: str, exchange: _Exchange, error: Exception | None) -> tuple[Health, str | None]:
    """What a request showed of the host, and in words why it is failing."""
    if exchange.status is not None:
        return health_of(exchange.status), f"it answered {exchange.status}"
    if isinstance(error, OSError | _client_error()) and not _is_refused(error):  # a TimeoutError is an OSError
        return Health.FAILING, _broken_off(host, exchange, error).reason.removeprefix(f"{host}: ")
    return Health.UNKNOWN, None  # cancelled, or never tried: nothing was seen of the host


def _is_refused(error: Exception) -> bool:
    return isinstance(getattr(error, "os_error", error), _AddressRefused)


def _broken_off(host: str, exchange: _Exchange, error: Exception | None) -> DeliveryFailed:
    """A request without an answer. Before the connection stood nothing was sent; afterwards all may have been."""
    import aiohttp

    if error is not None and _is_refused(error):
        return DeliveryFailed(f"target: the host {REFUSED}", permanent=True)
    if exchange.connected:
        what = "timed out" if isinstance(error, TimeoutError) else "broke off or was not understood"
        return DeliveryFailed(f"{host}: the answer {what}; whether the request was taken is not known", ambiguous=True)
    if exchange.admission is None:
        return DeliveryFailed(f"{host}: other requests to it took too long; this one was not sent", postponed=True)
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return DeliveryFailed(f"{host}: the name could not be resolved")
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
        return DeliveryFailed(f"{host}: no secure connection; its certificate is not valid, or it does not speak TLS")
    if isinstance(error, TimeoutError):
        return DeliveryFailed(f"{host}: no connection in time")
    if isinstance(error, OSError | aiohttp.ClientError):
        return DeliveryFailed(f"{host}: no connection")
    return DeliveryFailed(f"{host}: the request could not be made ({type(error).__name__})", permanent=True)


def _text(data: bytes, encoding: str, limit: int) -> str:
    """The start of an answer as text: never more than ``limit`` bytes of it, however small it was packed."""
    if encoding.strip().lower() in ("gzip", "x-gzip", "deflate"):
        try:
            data = zlib.decompressobj(wbits=47).decompress(data, limit)
        except zlib.error:
            return ""
    elif encoding.strip().lower() not in ("", "identity"):
        return ""
    return data.decode("utf-8", "replace")
