"""Mail servers on loopback: aiosmtpd, which takes mail in earnest, and one that misbehaves as it is told."""

from __future__ import annotations

import asyncio
import contextlib
import email
import email.policy
import ssl
import warnings
from base64 import b64encode
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

__all__ = ["Certificate", "Inbox", "ScriptedServer", "mail_server", "make_certificate", "scripted_server"]

USERNAME, PASSWORD = "daybook-user", "canaryCANARYpass9"


@dataclass(frozen=True)
class Certificate:
    """A certificate made for a test: what the server shows, and a client that trusts only it."""

    server: ssl.SSLContext
    client: ssl.SSLContext


def make_certificate(folder: Path, name: str = "127.0.0.1") -> Certificate:
    """A self-signed certificate for one name or address."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail")])
    alternative = x509.IPAddress(ip_address(name)) if name[0].isdigit() else x509.DNSName(name)
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    public, private = folder / f"{name}.pem", folder / f"{name}.key"
    public.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(public, private)
    return Certificate(server, ssl.create_default_context(cafile=str(public)))


# --- a server that works ---------------------------------------------------------------------------------------------


@dataclass
class Received:
    """One message as it arrived: the envelope, the bytes, and what the standard library makes of them."""

    sender: str
    recipients: list[str]
    raw: bytes
    encrypted: bool
    user: str | None

    @property
    def message(self) -> EmailMessage:
        """The parsed message."""
        parsed = email.message_from_bytes(self.raw, policy=email.policy.default)
        assert isinstance(parsed, EmailMessage)
        return parsed

    @property
    def parts(self) -> list[EmailMessage]:
        """The alternatives, or the message itself where there are none."""
        return [part for part in self.message.walk() if not part.is_multipart()]

    def text(self, subtype: str = "plain") -> str:
        """The decoded text of one alternative."""
        body = self.message.get_body((subtype,))
        assert body is not None
        content = body.get_content()
        assert isinstance(content, str)
        return content.replace("\r\n", "\n")


@dataclass
class Inbox:
    """What a server took, and where it listens."""

    port: int = 0
    messages: list[Received] = field(default_factory=list)

    @property
    def only(self) -> Received:
        """The one message that came."""
        (message,) = self.messages
        return message


class _Handler:
    """What aiosmtpd calls; it looks at every attribute, so there are no others."""

    def __init__(self, inbox: Inbox) -> None:
        self.inbox = inbox

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Keep a message."""
        login: Any = session.auth_data
        user = login.login.decode() if isinstance(login, LoginPassword) else None
        content = envelope.content
        assert isinstance(content, bytes)
        self.inbox.messages.append(
            Received(envelope.mail_from or "", list(envelope.rcpt_tos), content, session.ssl is not None, user)
        )
        return "250 2.0.0 Ok: queued as 4F3C2A"


def _authenticate(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
    good = isinstance(data, LoginPassword) and (data.login, data.password) == (USERNAME.encode(), PASSWORD.encode())
    return AuthResult(success=good, handled=False, auth_data=data)


@contextlib.asynccontextmanager
async def mail_server(
    certificate: Certificate | None = None, *, login: bool = False, implicit_tls: bool = False, **options: Any
) -> AsyncIterator[Inbox]:
    """aiosmtpd on a port of loopback: plain, with STARTTLS required where there is a certificate, or TLS at once."""
    inbox, loop, made = Inbox(), asyncio.get_running_loop(), []
    context = None if certificate is None or implicit_tls else certificate.server
    options = {
        "hostname": "mail.test",
        "loop": loop,
        "tls_context": context,
        "require_starttls": context is not None,
        **options,
    }
    if login:
        options |= {"auth_required": True, "auth_require_tls": not implicit_tls, "authenticator": _authenticate}

    def factory() -> SMTP:  # what it raises, asyncio swallows
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about logins without STARTTLS, which TLS at once does not need
            made.append(SMTP(_Handler(inbox), **options))
        return made[-1]

    tls = certificate.server if implicit_tls and certificate else None
    server = await loop.create_server(factory, "127.0.0.1", 0, ssl=tls)
    inbox.port = server.sockets[0].getsockname()[1]
    try:
        yield inbox
    finally:
        server.close()
        for protocol in made:
            if protocol.transport is not None:
                protocol.transport.close()
        await asyncio.sleep(0)


# --- a server that does not ------------------------------------------------------------------------------------------

GOOD = {
    "greeting": "220 mail.test ESMTP",
    "EHLO": "250-mail.test\r\n250-AUTH PLAIN LOGIN\r\n250 8BITMIME",
    "AUTH": "235 ok",
    "MAIL": "250 ok",
    "RCPT": "250 ok",
    "DATA": "354 go ahead",
    "message": "250 2.0.0 Ok: queued as 77",
    "QUIT": "221 bye",
    "HELO": "250 mail.test",
    "STARTTLS": "220 go ahead",
}
CUT, HANG = "(cut)", "(hang)"


@dataclass
class ScriptedServer:
    """Says at each step what it is told to; ``CUT`` closes the connection instead, ``HANG`` says nothing for ever."""

    script: dict[str, str] = field(default_factory=dict)
    port: int = 0
    commands: list[str] = field(default_factory=list)
    messages: list[bytes] = field(default_factory=list)
    open: int = 0
    most_open: int = 0
    idle: asyncio.Event = field(default_factory=asyncio.Event)
    reached: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.open += 1
        self.idle.clear()
        self.most_open = max(self.most_open, self.open)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await self._serve(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
            self.open -= 1
            if not self.open:
                self.idle.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not await self._say("greeting", reader, writer):
            return
        while line := await reader.readline():
            command = line.decode("ascii").rstrip("\r\n")
            self.commands.append(command)
            verb = command.split(" ")[0].upper()
            if not await self._say(verb, reader, writer):
                return
            if verb == "DATA" and self._answer("DATA").startswith("354"):
                self.messages.append(await reader.readuntil(b"\r\n.\r\n"))
                if not await self._say("message", reader, writer):
                    return
            if verb == "QUIT":
                return

    def _answer(self, step: str) -> str:
        return self.script.get(step, GOOD.get(step, "502 no"))

    async def _say(self, step: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        answer = self._answer(step)
        if answer == CUT:
            return False
        if answer == HANG:
            self.reached.set()
            await reader.read()  # until the other side has gone
            return False
        if step == "AUTH" and "{echo}" in answer:
            answer = answer.replace("{echo}", self.commands[-1].split(" ")[-1])
        writer.write(answer.encode("utf-8", "surrogateescape") + b"\r\n")
        await writer.drain()
        return True


@contextlib.asynccontextmanager
async def scripted_server(**script: str) -> AsyncIterator[ScriptedServer]:
    """A scripted server on a port of loopback."""
    scripted = ScriptedServer(script)
    server = await asyncio.start_server(scripted.serve, "127.0.0.1", 0, limit=10_000_000)
    scripted.port = server.sockets[0].getsockname()[1]
    try:
        yield scripted
    finally:
        server.close()
        if scripted.open:
            await scripted.idle.wait()


def encoded(text: str) -> str:
    """As logins go over the wire."""
    return b64encode(text.encode()).decode()
