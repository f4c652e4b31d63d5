"""One conversation with the mail server, step by step, so that it is known how far a message came."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
import ssl
from base64 import b64encode
from typing import TYPE_CHECKING

from adapters.egress import Passage
from adapters.email_delivery.server import SmtpServer
from adapters.rendering import cut, one_line
from domain.errors import DeliveryFailed

if TYPE_CHECKING:
    from aiosmtplib import SMTP

__all__ = ["Dialogue"]

_LINE_ENDS = re.compile(rb"\r\n|\r|\n")
_LEADING_DOT = re.compile(rb"^\.", re.MULTILINE)
_ADDRESS = re.compile(r"[^\s<>,;:()\[\]\"@]{1,200}@[^\s<>,;:()\"]{1,255}")
_ENCODED = re.compile(r"[A-Za-z0-9+/=]{24,}")
_WAIT = re.compile(
    r"(?:retry|again|wait|back|after|in)\D{0,20}?(?P<number>\d{1,5})\s{0,3}(?P<unit>s|m|h)(?:ec|econds?|ecs|in|inutes?|ins"
    r"|ours?|rs?)?\b",
    re.IGNORECASE,
)
_SECONDS = {"s": 1, "m": 60, "h": 3600}
_LONGEST_WAIT_SECONDS = 86_400.0
_SAID_LIMIT = 200
_GOODBYE_SECONDS = 2.0
_GO_AHEAD, _DONE, _CLOSING = 354, range(200, 300), 421
_LOGIN_CODES = frozenset({530, 534, 535, 538})
"""A login is asked for, or refused: whatever the step, that is between the operator and the server."""
_RELAY = re.compile(r"\brelay", re.IGNORECASE)
"""How servers say that they send on for those alone whom they know: usually a login is missing."""
_SETTINGS_OF_STEP = {
    "connecting": "DAYBOOK_SMTP_HOST, DAYBOOK_SMTP_PORT or DAYBOOK_SMTP_SECURITY",
    "logging in": "DAYBOOK_SMTP_USERNAME or DAYBOOK_SMTP_PASSWORD",
    "naming the sender": "DAYBOOK_SMTP_SENDER, or the login it belongs to",
}
"""The steps before a recipient is named, and what is wrong when the server says no for good to one of them."""


class Dialogue:
    """One connection that carries one message. ``in_doubt``: the whole message is on its way and was not answered.
    ``operators_fault``: the server refuses the operator, and not the recipient or the message.

    The way to the message takes ``seconds`` at most; ``passage`` is told what all of it shows of the server.
    """

    def __init__(
        self, server: SmtpServer, domain: str, tls_context: ssl.SSLContext, seconds: float, passage: Passage
    ) -> None:
        from aiosmtplib import SMTP

        self._server, self._seconds, self._passage = server, seconds, passage
        self._step = "connecting"
        self.in_doubt = self.operators_fault = False
        self._smtp: SMTP = SMTP(
            hostname=server.host,
            port=server.port,
            local_hostname=domain,  # the machine's own name is nobody's business
            timeout=seconds,
            use_tls=server.security == "tls",
            start_tls=server.security == "starttls",  # refused rather than left out where it is not offered
            tls_context=tls_context,
        )

    async def send(self, message: bytes, sender: str, recipient: str, *, until: float) -> str:
        """Hand the message in; returns what the server said to it, ``until`` this time of the event loop at most.

        Raises DeliveryFailed, without a cause or context: what a server says may hold addresses and passwords, and is
        only shown with these taken out.
        """
        try:
            said = await self._send(message, sender, recipient, until)
            self._passage.up()
            return said
        except Exception as error:
            failure = self._failure(error)
            # A server that refuses the operator refuses everything: it is left alone, and shown, until that is mended.
            refuses_all = self.operators_fault and self._step in _SETTINGS_OF_STEP
            if _is_there(error) and not refuses_all:
                self._passage.up()
            else:
                self._passage.failing(failure.reason)
        raise failure

    async def _send(self, message: bytes, sender: str, recipient: str, until: float) -> str:
        async with asyncio.timeout(self._seconds):
            await self._smtp.connect()
            await self._smtp.ehlo()  # without falling back to the HELO of old: noise must not pass for a server
            if self._server.username is not None and self._server.password is not None:
                self._step = "logging in"
                await self._smtp.login(self._server.username, self._server.password.get_secret_value())
            self._step = "naming the sender"
            await self._smtp.mail(sender)
            self._step = "naming the recipient"
            await self._smtp.rcpt(recipient)
            self._step = "handing in the message"
            await self._begin_data()
        return await self._data(message, until)

    async def _begin_data(self) -> None:
        from aiosmtplib import SMTPDataError

        response = await self._smtp.execute_command(b"DATA")
        if response.code != _GO_AHEAD:
            raise SMTPDataError(response.code, response.message)

    async def _data(self, message: bytes, until: float) -> str:
        from aiosmtplib import SMTPDataError, SMTPServerDisconnected

        protocol = self._smtp.protocol
        if protocol is None:
            raise SMTPServerDisconnected("Connection lost")
        self._step = "waiting for the answer to the message"
        protocol.write(_stuffed(message))
        self.in_doubt = True
        self._seconds = min(self._server.timeout_seconds, max(0.0, until - asyncio.get_running_loop().time()))
        response = await protocol.read_response(timeout=self._seconds)
        self.in_doubt = not (_is_refusal(response.code) or response.code in _DONE)
        if response.code not in _DONE:
            raise SMTPDataError(response.code, response.message)
        return self._said(response.message)

    async def say_goodbye(self) -> None:
        """End in good manners, without waiting for long."""
        with contextlib.suppress(Exception):
            await self._smtp.quit(timeout=_GOODBYE_SECONDS)
        self._smtp.close()

    def hang_up(self) -> None:
        """End at once: what was not yet handed to the network is never sent."""
        transport = self._smtp.transport
        if isinstance(transport, asyncio.WriteTransport):
            transport.abort()
        self._smtp.close()

    # --- what an error means ---

    def _failure(self, error: Exception) -> DeliveryFailed:
        from aiosmtplib import SMTPResponseException, SMTPServerDisconnected, SMTPTimeoutError

        if certificate := _certificate_problem(error):
            return self._operators(f"the certificate of the mail server is not trusted: {certificate}")
        if isinstance(error, SMTPResponseException):
            return self._refusal(error.code, error.message)
        if isinstance(error, SMTPTimeoutError | TimeoutError):
            return self._failed(f"the mail server did not answer within {self._seconds:.3g} s")
        if isinstance(error, SMTPServerDisconnected):
            return self._failed("the mail server closed the connection")
        if isinstance(error, OSError):
            return self._failed(f"the mail server could not be reached{_why(error)}")
        return self._other(error)

    def _other(self, error: Exception) -> DeliveryFailed:
        from aiosmtplib import SMTPException

        if isinstance(error, SMTPException) and self._step in _SETTINGS_OF_STEP:  # no STARTTLS, no logins
            return self._operators(self._said(error.message))
        return self._failed(self._said(error.message if isinstance(error, SMTPException) else type(error).__name__))

    def _refusal(self, code: int, message: str) -> DeliveryFailed:
        said = self._said(message)
        if not _is_refusal(code):
            return self._failed(f"the mail server's answer was not understood: {said}")
        reason = f"the mail server answered {code}" + (f": {said}" if said else "")
        if code < 500:
            return self._failed(reason, wait=_wait(message))
        if code in _LOGIN_CODES or self._step in _SETTINGS_OF_STEP or _RELAY.search(message):
            if self._step == "logging in":
                reason = f"the mail server refused the user name or the password; {reason}"
            return self._operators(reason, login=code in _LOGIN_CODES)
        return self._failed(reason, permanent=True)

    def _operators(self, reason: str, *, login: bool = False) -> DeliveryFailed:
        """What only the operator can mend: nothing was sent, and nothing is wrong with the destination."""
        self.operators_fault = True
        settings = _SETTINGS_OF_STEP.get("logging in" if login else self._step, _SETTINGS_OF_STEP["logging in"])
        return DeliveryFailed(f"{reason} (while {self._step}); the operator has to mend {settings}", postponed=True)

    def _failed(self, reason: str, *, permanent: bool = False, wait: float | None = None) -> DeliveryFailed:
        return DeliveryFailed(
            f"{reason} (while {self._step})",
            permanent=permanent,
            ambiguous=self.in_doubt,
            retry_after_seconds=wait,
        )

    def _said(self, text: str) -> str:
        """What the server said, on one line, without addresses and without what could be a password."""
        text = one_line(text)
        password = self._server.password
        for secret in _spellings(self._server.username or "", password.get_secret_value() if password else ""):
            text = text.replace(secret, "(hidden)")
        return cut(_ADDRESS.sub("(address)", _ENCODED.sub("(hidden)", text)), _SAID_LIMIT)


def _is_there(error: Exception) -> bool:
    """Whether a server that works said so itself: a refusal is a sign of life, but for that of a server that ends."""
    from aiosmtplib import SMTPResponseException

    return isinstance(error, SMTPResponseException) and _is_refusal(error.code) and error.code != _CLOSING


def _is_refusal(code: int) -> bool:
    """Whether it is an answer that says no; anything but this or a yes is noise."""
    return 400 <= code < 600


def _spellings(username: str, password: str) -> list[str]:
    """The password and the user name as they may be echoed: as they are, or as they went over the wire."""
    sent = [text.encode() for text in (f"\0{username}\0{password}", password, username) if text.strip("\0")]
    encoded = [b64encode(text).decode() for text in sent]
    return [text for text in (*encoded, password, username) if text]


def _why(error: OSError) -> str:
    """The operating system's word for it, without the address: that is the operator's business."""
    cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
    if isinstance(cause, socket.gaierror):
        return ": its name is not known"
    return f": {os.strerror(cause.errno)}" if cause.errno else ""


def _stuffed(message: bytes) -> bytes:
    """The message as it goes over the wire: CRLF, a dot before each leading dot, and the dot that ends it."""
    lines = _LINE_ENDS.sub(b"\r\n", message)
    if not lines.endswith(b"\r\n"):
        lines += b"\r\n"
    return _LEADING_DOT.sub(b"..", lines) + b".\r\n"


def _certificate_problem(error: BaseException | None) -> str | None:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return one_line(error.verify_message)
        if isinstance(error, ssl.SSLError):
            return one_line(error.reason or "the encryption could not be set up")
        error = error.__cause__
    return None


def _wait(text: str) -> float | None:
    """How long a server asks to wait, as far as it says so in words ("try again in 5 minutes")."""
    match = _WAIT.search(text[:1000])
    if match is None:
        return None
    return min(int(match["number"]) * float(_SECONDS[match["unit"].lower()]), _LONGEST_WAIT_SECONDS)
