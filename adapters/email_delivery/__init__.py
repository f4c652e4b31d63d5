"""Results as e-mail, through the mail server of the operator."""

from __future__ import annotations

import asyncio
import logging
import ssl
from datetime import timedelta
from pathlib import Path

from adapters.egress import HostGates
from adapters.email_delivery.address import address_domain, strict_address
from adapters.email_delivery.dialogue import Dialogue
from adapters.email_delivery.message import FORMATS, build_message, message_id
from adapters.email_delivery.server import SmtpServer, configured_server
from adapters.rendering import Renderer
from application.masking import remember_secret
from application.ports import Clock, DeliveryRequest
from domain.destination import Destination, DestinationType
from domain.errors import DeliveryFailed, InvalidDestination

__all__ = ["EmailDelivery", "SmtpServer", "configured_server", "strict_address"]

_SHARE_OF_DEADLINE = 0.9

_log = logging.getLogger("daybook.email")


class EmailDelivery:
    """Sends each result as one message to one address; the receipt is its Message-ID and what the server said.

    The Message-ID is made from the key, equal in every try. Mail servers do not deduplicate by it, so an answer that
    was lost leaves in doubt whether the message is on its way. Each message has a connection of its own, of which at
    most ``server.connections`` are open. A server that fails again and again is left alone for a while (``gates``).
    All of one delivery ends before ``deadline``, so that what came of it is known. ``templates`` may hold other
    templates; ``tls_context`` replaces the system's certificates.
    """

    type = DestinationType.EMAIL

    def __init__(
        self,
        server: SmtpServer,
        clock: Clock,
        templates: Path | None = None,
        *,
        gates: HostGates | None = None,
        deadline: timedelta = timedelta(seconds=60),
        tls_context: ssl.SSLContext | None = None,
    ) -> None:
        self._server, self._clock, self._tls_context = server, clock, tls_context
        self._gates, self._host = gates or HostGates(clock), f"{server.host}:{server.port}"
        self._seconds = deadline.total_seconds() * _SHARE_OF_DEADLINE
        self._sender = server.address
        if server.password is not None:
            remember_secret(server.password.get_secret_value())  # a server may quote it
        self._renderer = Renderer(templates)
        self._places = asyncio.Semaphore(server.connections)
        self._leaving: set[asyncio.Task[None]] = set()

    def remembers(self, destination: Destination) -> timedelta:
        """Not at all: a mail server takes a message again, whatever its Message-ID."""
        return timedelta(0)

    def check(self, destination: Destination, guild_id: str) -> None:
        """Refuse everything but one plain address, and a format that no message is written in."""
        strict_address(destination.target)
        if destination.format not in FORMATS:
            raise InvalidDestination(
                "format", destination.format, "is not sent by e-mail", f"use one of {', '.join(FORMATS)}"
            )

    async def deliver(self, request: DeliveryRequest) -> str:
        """Send the message; returns its Message-ID and the server's answer. Raises DeliveryFailed.

        When this is cancelled before the whole message was handed to the network, nothing arrives.
        """
        try:
            self.check(request.destination, request.guild_id)
        except InvalidDestination as error:
            raise DeliveryFailed(str(error), permanent=True) from error
        recipient = strict_address(request.destination.target)
        message = await asyncio.to_thread(self._message, request, recipient)
        said = await self._send(message, recipient)
        identity = message_id(request, address_domain(self._sender.addr_spec))
        return f"{identity} {said}".rstrip()

    async def close(self) -> None:
        """Wait (a few seconds at most) for connections that are saying goodbye. Idempotent."""
        while self._leaving:
            await asyncio.wait(self._leaving)

    def _message(self, request: DeliveryRequest, recipient: str) -> bytes:
        return build_message(
            request, sender=self._sender, recipient=recipient, renderer=self._renderer, now=self._clock.now()
        )

    async def _send(self, message: bytes, recipient: str) -> str:
        loop = asyncio.get_running_loop()
        ends = loop.time() + self._seconds
        await self._take_place()
        dialogue: Dialogue | None = None
        try:
            with self._gates.passing(self._host, "") as passage:
                domain = address_domain(self._sender.addr_spec)
                dialogue = Dialogue(self._server, domain, await self._context(), self._step_seconds, passage)
                said = await dialogue.send(message, self._sender.addr_spec, recipient, until=ends)
        except BaseException as error:
            if dialogue is not None:
                dialogue.hang_up()
                if dialogue.operators_fault:
                    _log.error("e-mail cannot be sent: %s", error)
            self._places.release()
            raise
        # The result is known: nothing that goes wrong with the goodbye, and no deadline, may take it away again.
        leaving = asyncio.create_task(self._leave(dialogue))
        self._leaving.add(leaving)
        leaving.add_done_callback(self._leaving.discard)
        return said

    async def _take_place(self) -> None:
        seconds = self._step_seconds
        try:
            async with asyncio.timeout(seconds):
                await self._places.acquire()
        except TimeoutError:
            reason = f"all {self._server.connections} connections to the mail server were busy for {seconds:g} s"
            raise DeliveryFailed(reason, postponed=True) from None

    @property
    def _step_seconds(self) -> float:
        """How long each may take: waiting for a connection, and the way to the message. The rest is for the answer."""
        return min(self._server.timeout_seconds, self._seconds / 3)

    async def _leave(self, dialogue: Dialogue) -> None:
        try:
            await dialogue.say_goodbye()
        finally:
            dialogue.hang_up()
            self._places.release()

    async def _context(self) -> ssl.SSLContext:
        if self._tls_context is None:
            self._tls_context = await asyncio.to_thread(ssl.create_default_context)
        return self._tls_context
