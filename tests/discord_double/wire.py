"""How requests come in and answers go out: tokens, faults, rate limits, JSON, and a record of every request."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, cast

from aiohttp import web

from tests.discord_double.errors import ApiError, unauthorized, unknown_route
from tests.discord_double.faults import Fault, FaultKind, Faults
from tests.discord_double.rates import Rates
from tests.discord_double.world import World
from tests.hostile_world import Act, Received

__all__ = ["PREFIX", "Call", "Handler", "Recorded", "Wire"]

PREFIX = "/api/v10"
_VIA = {"Via": "1.1 google"}  # its absence makes a client think that it was banned by the network in front of Discord
_MAX_BODY_BYTES = 64 * 1024 * 1024


@dataclass
class Call:
    """One request, taken apart: ids of the path as numbers, query, JSON, and the files of a multipart body."""

    method: str
    path: str
    ids: dict[str, str]
    query: dict[str, str]
    payload: Any = None
    files: list[tuple[str, bytes]] = field(default_factory=list)

    def id(self, name: str) -> int:
        """An id of the path."""
        return int(self.ids[name]) if self.ids[name].isdigit() else 0


@dataclass
class Recorded:
    """One request as it came in, and the status that it was answered with (None: it was not)."""

    method: str
    path: str
    query: dict[str, str]
    payload: Any = None
    status: int | None = None


Handler = Callable[[Call], Awaitable[Any]]
"""Answers with JSON, or None for 204; raises ApiError."""


class Wire:
    """The HTTP side of the double: ``routes`` are added to it, ``requests`` is what came in."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.faults = Faults()
        self.rates = Rates()
        self.requests: list[Recorded] = []
        self.app = web.Application(client_max_size=_MAX_BODY_BYTES)

    @property
    def invalid_requests(self) -> int:
        """Answers of 401, 403 and 429: 10,000 of them in 10 minutes ban an address from Discord."""
        return sum(recorded.status in (401, 403, 429) for recorded in self.requests)

    def route(self, method: str, path: str, handler: Handler, *, token_in_path: bool = False) -> None:
        """Answer requests to a path ("/channels/{channel}/messages") by a handler."""

        async def answer(request: web.Request) -> web.StreamResponse:
            return await self._answer(request, handler, token_in_path)

        self.app.router.add_route(method, PREFIX + path, answer)

    def close_routes(self) -> None:
        """Answer all other paths as Discord does."""

        async def nowhere(call: Call) -> Any:
            raise unknown_route()

        self.route("*", "/{rest:.*}", nowhere)

    def sent(self, method: str, pattern: str = "/channels/*/messages") -> list[Recorded]:
        """The recorded requests of a method to matching paths, in order."""
        probe = Fault(FaultKind.ANSWER, method, pattern)
        return [recorded for recorded in self.requests if probe.matches(recorded.method, recorded.path)]

    async def _answer(self, request: web.Request, handler: Handler, token_in_path: bool) -> web.StreamResponse:
        path = request.path.removeprefix(PREFIX)
        call = Call(request.method, path, dict(request.match_info), dict(request.query))
        await _read(request, call)
        recorded = Recorded(call.method, path, call.query, call.payload)
        self.requests.append(recorded)
        fault = self.faults.take(call.method, path)
        if fault is not None and fault.kind is FaultKind.CUT_BEFORE:
            return _cut(request)
        if fault is not None and fault.kind is FaultKind.HANG_BEFORE:
            await self.faults.hold()
        if fault is not None and fault.kind is FaultKind.ANSWER:
            response = _scripted(fault)
        elif fault is not None and fault.act is not None and not fault.applied:
            response = web.Response()
        else:
            response = await self._done(request, call, handler, token_in_path)
        if fault is not None and fault.kind is FaultKind.CUT_AFTER:
            return _cut(request)
        if fault is not None and fault.act is not None:
            return await _played(fault.act, request)
        if fault is not None and fault.kind is FaultKind.HANG_AFTER:
            await self.faults.hold()
        recorded.status = response.status
        return response

    async def _done(self, request: web.Request, call: Call, handler: Handler, token_in_path: bool) -> web.Response:
        try:
            if not token_in_path and request.headers.get("Authorization") != f"Bot {self.world.token}":
                raise unauthorized()
            standing = self.rates.use(call.method, call.path, self.world.now().timestamp())
            if not standing.allowed:
                return _rate_limited(standing.reset_after_seconds, "user", standing.headers())
            body = await handler(call)
        except ApiError as error:
            return _json(error.body(), error.status)
        if body is None:
            return web.Response(status=204, headers=_VIA | standing.headers())
        return _json(body, 200, standing.headers())


async def _read(request: web.Request, call: Call) -> None:
    """Take the body apart: JSON, or a multipart body with payload_json and files."""
    if request.content_type == "multipart/form-data":
        async for part in await request.multipart():
            name, data = getattr(part, "name", ""), bytes(await part.read())  # type: ignore[union-attr]
            if name == "payload_json":
                call.payload = json.loads(data)
            else:
                call.files.append((getattr(part, "filename", None) or "file", data))
        call.payload = call.payload or {}
    elif request.can_read_body:
        call.payload = json.loads(await request.read() or b"null")


def _json(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    # discord.py reads JSON only where the type is exactly this, without a charset.
    return web.Response(
        body=json.dumps(body).encode(), status=status, content_type="application/json", headers=_VIA | (headers or {})
    )


def _rate_limited(retry_after: float, scope: str, headers: dict[str, str] | None = None) -> web.Response:
    body = {"message": "You are being rate limited.", "retry_after": retry_after, "global": scope == "global"}
    more = {"Retry-After": str(max(1, round(retry_after))), "X-RateLimit-Scope": scope}
    return _json(body, 429, more | (headers or {}))


def _scripted(fault: Fault) -> web.Response:
    if fault.body is not None:
        return web.Response(text=fault.body, status=fault.status, content_type="text/html", headers=dict(fault.headers))
    if fault.retry_after is not None:
        return _rate_limited(fault.retry_after, fault.scope, dict(fault.headers))
    return _json(ApiError(fault.status, fault.code, fault.message).body(), fault.status, dict(fault.headers))


class _Connection:
    """The connection of a request, as an act of the hostile world writes to it."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        self.write, self.close, self.get_extra_info = transport.write, transport.close, transport.get_extra_info

    async def drain(self) -> None:
        while self.transport.get_write_buffer_size() and not self.transport.is_closing():  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        if self.transport.is_closing():
            raise ConnectionResetError


async def _played(act: Act, request: web.Request) -> web.Response:
    transport = request.transport
    if isinstance(transport, asyncio.Transport):
        with suppress(OSError):
            await act(
                cast(asyncio.StreamWriter, _Connection(transport)), Received(request.method, request.path, {}, b"")
            )
        transport.close()
    return web.Response(status=500)  # to nobody: the connection is gone


def _cut(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)
