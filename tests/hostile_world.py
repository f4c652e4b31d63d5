"""A world on loopback that does to an HTTP client what the real one does on its worst days, by script.

``world.script(path, *acts)`` says what happens to the requests for a path: one act per request, the last one for all
that follow. ``world.at_accept(*acts)`` acts before anything is read. What arrived is in ``world.requests``.
"""

from __future__ import annotations

import asyncio
import gzip
import ipaddress
import socket
import ssl
import tempfile
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from types import TracebackType

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

__all__ = [
    "Act",
    "HostileWorld",
    "Received",
    "answer",
    "client_context",
    "cut",
    "cut_within",
    "drip",
    "endless",
    "garbage",
    "gzip_bomb",
    "hang",
    "hold",
    "huge_headers",
    "redirect",
]


@dataclass(frozen=True)
class Received:
    """One request as it arrived; header names in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


Act = Callable[[asyncio.StreamWriter, Received], Awaitable[None]]


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} Whatever", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def answer(status: int = 200, body: bytes | str = b"ok", **headers: str) -> Act:
    """A plain answer; underscores in header names become hyphens."""
    data = body.encode() if isinstance(body, str) else body
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    async def act(writer: asyncio.StreamWriter, received: Received) -> None:
        writer.write(_head(status, {"Content-Length": str(len(data)), "Connection": "close"} | named) + data)

    return act


def redirect(to: str, status: int = 302) -> Act:
    """An answer that wants the client elsewhere."""
    return answer(status, b"", Location=to)


async def hang(writer: asyncio.StreamWriter, received: Received) -> None:
    """Take the request and never answer."""
    await asyncio.Event().wait()


def hold(until: asyncio.Event, then: Act) -> Act:
    """Take the request, answer when the event is set."""

    async def act(writer: asyncio.StreamWriter, received: Received) -> None:
        await until.wait()
        await then(writer, received)

    return act


async def cut(writer: asyncio.StreamWriter, received: Received) -> None:
    """Cut the connection without a word, with a reset."""
    raw: socket.socket = writer.get_extra_info("socket")
    if raw is not None:
        with suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    writer.transport.abort()


def cut_within(status: int = 200) -> Act:
    """Promise a long body, send the start of it, cut."""

    async def act(writer: asyncio.StreamWriter, received: Received) -> None:
        writer.write(_head(status, {"Content-Length": "1000"}) + b"the start of")
        await writer.drain()
        writer.close()

    return act


def drip(status: int | None = 200) -> Act:
    """A byte now and then, for ever: of the body, or (None) of the head, which then never ends."""

    async def act(writer: asyncio.StreamWriter, received: Received) -> None:
        writer.write(b"HTTP/1.1 200 O" if status is None else _head(status, {"Transfer-Encoding": "chunked"}))
        while True:
            writer.write(b"K" if status is None else b"1\r\nx\r\n")
            await writer.drain()
            await asyncio.sleep(0.01)

    return act


def endless(status: int = 200) -> Act:
    """A body without an end, as fast as it is taken."""

    async def act(writer: asyncio.StreamWriter, received: Received) -> None:
        writer.write(_head(status, {"Transfer-Encoding": "chunked"}))
        chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
        while True:
            writer.write(chunk)
            await writer.drain()

    return act


async def garbage(writer: asyncio.StreamWriter, received: Received) -> None:
    """Not HTTP."""
    writer.write(b"\x16\x03\x01 SSH-2.0-nothing \xff\xfe\r\n\r\n" * 20)


def gzip_bomb(status: int = 200, megabytes: int = 50) -> Act:
    """A small answer that is large once unpacked."""
    return answer(status, _bomb(megabytes), Content_Encoding="gzip")


@cache
def _bomb(megabytes: int) -> bytes:
    return gzip.compress(b"\0" * (megabytes << 20), 9)


async def huge_headers(writer: asyncio.StreamWriter, received: Received) -> None:
    """A head of 50 MB, or as much of it as is taken."""
    writer.write(b"HTTP/1.1 200 OK\r\n")
    for number in range(800):
        writer.write(b"X-%d: " % number + b"h" * 65_536 + b"\r\n")
        await writer.drain()
    writer.write(b"Content-Length: 0\r\n\r\n")


class HostileWorld:
    """The server. ``tls`` makes it speak HTTPS with a certificate for ``localhost`` and 127.0.0.1."""

    def __init__(self, *, tls: bool = False) -> None:
        self.requests: list[Received] = []
        self.accepted = 0
        self.port = 0
        self._tls = tls
        self._scripts: dict[str, deque[Act]] = defaultdict(lambda: deque([answer()]))
        self._at_accept: deque[Act] = deque()
        self._arrivals = asyncio.Condition()
        self._closed_door: socket.socket | None = None

    async def __aenter__(self) -> HostileWorld:
        context = _server_context() if self._tls else None
        self._handlers: set[asyncio.Task[None]] = set()
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, ssl=context)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in list(self._handlers):
            task.cancel()
        await asyncio.gather(*self._handlers, return_exceptions=True)
        await self._server.wait_closed()
        if self._closed_door is not None:
            self._closed_door.close()

    def url(self, path: str = "/hook", host: str = "127.0.0.1") -> str:
        """The address of a path of this world."""
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}{path}"

    @property
    def refusing_port(self) -> int:
        """A port that belongs to this world and refuses connections."""
        if self._closed_door is None:
            self._closed_door = socket.socket()
            self._closed_door.bind(("127.0.0.1", 0))
        port: int = self._closed_door.getsockname()[1]
        return port

    def script(self, path: str, *acts: Act) -> str:
        """What happens at a path from now on; its URL."""
        self._scripts[path] = deque(acts)
        return self.url(path)

    def at_accept(self, *acts: Act) -> None:
        """What happens to the next connections before a byte of them is read."""
        self._at_accept.extend(acts)

    async def arrived(self, count: int) -> None:
        """Wait until so many requests have arrived in all."""
        async with self._arrivals:
            await self._arrivals.wait_for(lambda: len(self.requests) >= count)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._handlers.add(task)
        self.accepted += 1
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                await self._serve(reader, writer)
                await writer.drain()
        except asyncio.CancelledError:
            pass  # the world ends: its connections with it, and asyncio need not complain of them
        finally:
            self._handlers.discard(task)
            writer.close()
            with suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._at_accept:
            await self._at_accept.popleft()(writer, Received("", "", {}, b""))
            return
        received = await _read(reader)
        async with self._arrivals:
            self.requests.append(received)
            self._arrivals.notify_all()
        acts = self._scripts[received.path.partition("?")[0]]
        await (acts.popleft() if len(acts) > 1 else acts[0])(writer, received)


async def _read(reader: asyncio.StreamReader) -> Received:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, path, _ = head[0].split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    return Received(method, path, headers, await reader.readexactly(int(headers.get("content-length", "0"))))


# --- certificates ---------------------------------------------------------------------------------------------------


@cache
def _certificate() -> tuple[bytes, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    names = [
        x509.DNSName("localhost"),
        x509.DNSName("hooks.intranet"),
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
    ]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM), private


@cache
def _server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "pair.pem"
        place.write_bytes(b"".join(_certificate()))
        context.load_cert_chain(place)
    return context


@cache
def client_context() -> ssl.SSLContext:
    """A client's context that trusts this world's certificate and no other."""
    return ssl.create_default_context(cadata=_certificate()[0].decode())
