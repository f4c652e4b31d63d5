"""The gateway: HELLO, IDENTIFY, READY, GUILD_CREATE, heartbeats, RECONNECT, RESUME, INVALID_SESSION, events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from secrets import token_hex
from typing import Any

from aiohttp import WSMsgType, web

from tests.discord_double.payloads import (
    application_json,
    channel_json,
    guild_json,
    member_json,
    message_json,
    role_json,
    user_json,
)
from tests.discord_double.permissions import permissions_in
from tests.discord_double.world import Channel, Guild, Member, Role, World

__all__ = ["Gateway", "Op", "Session"]

Json = dict[str, Any]


class Op(IntEnum):
    """The opcodes of Discord's gateway."""

    DISPATCH = 0
    HEARTBEAT = 1
    IDENTIFY = 2
    RESUME = 6
    RECONNECT = 7
    REQUEST_MEMBERS = 8
    INVALID_SESSION = 9
    HELLO = 10
    HEARTBEAT_ACK = 11


_GUILDS, _MEMBERS, _GUILD_MESSAGES, _DIRECT_MESSAGES = 1, 1 << 1, 1 << 9, 1 << 12
_BAD_TOKEN, _NOT_AUTHENTICATED = 4004, 4003
_CHUNK = 1000


@dataclass
class Session:
    """One session: what was dispatched to it, and the queue of the connection that it has now, if any."""

    id: str
    intents: int
    events: list[Json] = field(default_factory=list)
    outgoing: asyncio.Queue[Json | int | None] | None = None

    def dispatch(self, event: str, data: Any) -> None:
        """Send an event, or keep it until the session is resumed."""
        made = {"op": Op.DISPATCH, "t": event, "s": len(self.events) + 1, "d": data}
        self.events.append(made)
        if self.outgoing is not None:
            self.outgoing.put_nowait(made)


class Gateway:
    """Accepts connections; ``identifies``, ``resumes``, ``heartbeats`` and ``refused`` count what happened."""

    def __init__(self, world: World, heartbeat_interval_ms: int = 41_250) -> None:
        self.world = world
        self.heartbeat_interval_ms = heartbeat_interval_ms
        self.url = ""  # where a session is resumed; set when the server listens
        self.sessions: dict[str, Session] = {}
        self.identifies = self.resumes = self.heartbeats = self.refused = 0
        self._refusals: list[int] = []
        self._connections: set[web.WebSocketResponse] = set()
        self._changed = asyncio.Event()
        world.listeners.append(self._told)

    # --- what a test does ---

    def refuse(self, status: int = 503, times: int = 1) -> None:
        """Answer the next connections with an HTTP status instead of opening them."""
        self._refusals += [status] * times

    def reconnect(self) -> None:
        """Ask every client to connect anew."""
        self._send_all({"op": Op.RECONNECT, "d": None})

    def invalidate(self, *, resumable: bool = False) -> None:
        """Tell every client that its session ended; what is not resumable is forgotten."""
        self._send_all({"op": Op.INVALID_SESSION, "d": resumable})
        if not resumable:
            self.sessions.clear()

    def drop(self, code: int = 4000) -> None:
        """Close every connection with a code."""
        self._send_all(code)

    async def settle(self) -> None:
        """Wait until every client has handled all that it was sent: it answers a request for a heartbeat in order."""
        connected = sum(session.outgoing is not None for session in self.sessions.values())
        expected = self.heartbeats + connected
        self._send_all({"op": Op.HEARTBEAT, "d": None})
        await self.until(lambda: self.heartbeats >= expected)

    async def until(self, happened: Callable[[], bool]) -> None:
        """Wait until something about the gateway holds; looked at whenever something happens at it."""
        while not happened():
            self._changed.clear()
            await self._changed.wait()

    def dispatch(self, event: str, data: Any) -> None:
        """Send an event to every session."""
        for session in self.sessions.values():
            session.dispatch(event, data)

    # --- the connection ---

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One connection, from its opening to its end."""
        if self._refusals:
            self.refused += 1
            self._changed.set()
            return web.Response(status=self._refusals.pop(0))
        socket = web.WebSocketResponse(autoping=True)
        await socket.prepare(request)
        outgoing: asyncio.Queue[Json | int | None] = asyncio.Queue()
        writer = asyncio.create_task(_write(socket, outgoing))
        outgoing.put_nowait({"op": Op.HELLO, "d": {"heartbeat_interval": self.heartbeat_interval_ms}})
        self._connections.add(socket)
        session: Session | None = None
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    session = self._received(json.loads(message.data), session, outgoing)
                    self._changed.set()
        finally:
            self._connections.discard(socket)
            if session is not None and session.outgoing is outgoing:
                session.outgoing = None
            outgoing.put_nowait(None)
            await writer
            self._changed.set()
        return socket

    async def close(self) -> None:
        """Close every connection, as when the server goes away."""
        for socket in list(self._connections):
            await socket.close(code=1001)

    def _received(
        self, message: Json, session: Session | None, outgoing: asyncio.Queue[Json | int | None]
    ) -> Session | None:
        op, data = message.get("op"), message.get("d")
        if op == Op.HEARTBEAT:
            self.heartbeats += 1
            outgoing.put_nowait({"op": Op.HEARTBEAT_ACK})
        elif op in (Op.IDENTIFY, Op.RESUME):
            assert isinstance(data, dict)
            if data["token"] != self.world.token:
                outgoing.put_nowait(_BAD_TOKEN)
            else:
                return self._identified(data, outgoing) if op == Op.IDENTIFY else self._resumed(data, outgoing)
        elif session is None:
            outgoing.put_nowait(_NOT_AUTHENTICATED)
        elif op == Op.REQUEST_MEMBERS:
            assert isinstance(data, dict)
            self._members(data, session)
        return session

    def _identified(self, data: Json, outgoing: asyncio.Queue[Json | int | None]) -> Session:
        self.identifies += 1
        session = Session(token_hex(8), int(data.get("intents", 0)), outgoing=outgoing)
        self.sessions[session.id] = session
        guilds = [guild for guild in self.world.guilds.values() if self.world.bot.id in guild.members]
        application = application_json(self.world)
        session.dispatch(
            "READY",
            {
                "v": 10,
                "user": user_json(self.world.bot),
                "guilds": [{"id": str(guild.id), "unavailable": True} for guild in guilds],
                "session_id": session.id,
                "resume_gateway_url": self.url,
                "application": {key: application[key] for key in ("id", "flags")},
                "private_channels": [],
            },
        )
        for guild in guilds:
            session.dispatch("GUILD_CREATE", guild_json(self.world, guild, full=True))
        return session

    def _resumed(self, data: Json, outgoing: asyncio.Queue[Json | int | None]) -> Session | None:
        session = self.sessions.get(str(data.get("session_id")))
        if session is None:
            outgoing.put_nowait({"op": Op.INVALID_SESSION, "d": False})
            return None
        self.resumes += 1
        for event in session.events[int(data.get("seq") or 0) :]:
            outgoing.put_nowait(event)
        session.outgoing = outgoing
        session.dispatch("RESUMED", {})
        return session

    def _members(self, data: Json, session: Session) -> None:
        guild = self.world.guilds[int(data["guild_id"])]
        wanted = {int(id) for id in data.get("user_ids") or ()}
        members = [member for member in guild.members.values() if not wanted or member.user.id in wanted]
        pages = [members[start : start + _CHUNK] for start in range(0, len(members), _CHUNK)] or [[]]
        for index, page in enumerate(pages):
            chunk: Json = {
                "guild_id": str(guild.id),
                "members": [member_json(member) for member in page],
                "chunk_index": index,
                "chunk_count": len(pages),
            }
            session.dispatch("GUILD_MEMBERS_CHUNK", chunk | ({"nonce": data["nonce"]} if "nonce" in data else {}))

    # --- events of the world ---

    def _told(self, event: str, channel: Channel | None, what: Any) -> None:
        if self.sessions and (told := self._event(event, channel, what)) is not None:
            needed, data = told
            for session in self.sessions.values():
                if session.intents & needed == needed:
                    session.dispatch(event, data)

    def _event(self, event: str, channel: Channel | None, what: Any) -> tuple[int, Any] | None:
        """The intents that an event needs, and its data; None where the bot is not told at all."""
        bot = self.world.bot
        if channel is None:
            guild, part = what
            own = isinstance(part, Member) and part.user is bot
            needed = _MEMBERS if isinstance(part, Member) and not own else _GUILDS
            return (needed, self._part(guild, part)) if bot.id in guild.members else None
        if isinstance(what, Channel):  # bots are told of all channels, and of the threads that they see
            seen = permissions_in(self.world, channel, bot.id) if channel.is_thread else True
            return (_GUILDS, channel_json(self.world, what)) if seen else None
        if not permissions_in(self.world, channel, bot.id):
            return None
        where = {"guild_id": str(channel.guild_id)} if channel.guild_id else {}
        needed = _GUILD_MESSAGES if channel.guild_id else _DIRECT_MESSAGES
        if event == "MESSAGE_DELETE":
            return needed, {"id": str(what.id), "channel_id": str(channel.id)} | where
        data = message_json(self.world, what, nonce=True) | where
        members = self.world.guilds[channel.guild_id].members if channel.guild_id else {}
        if what.author.id in members:
            data["member"] = {k: v for k, v in member_json(members[what.author.id]).items() if k != "user"}
        return needed, data

    def _part(self, guild: Guild, part: Guild | Role | Member) -> Json:
        if isinstance(part, Guild):
            return guild_json(self.world, guild, full=True)
        if isinstance(part, Role):
            return {"guild_id": str(guild.id), "role": role_json(part, len(guild.roles))}
        return member_json(part) | {"guild_id": str(guild.id)}

    def _send_all(self, what: Json | int) -> None:
        for session in self.sessions.values():
            if session.outgoing is not None:
                session.outgoing.put_nowait(what)


async def _write(socket: web.WebSocketResponse, outgoing: asyncio.Queue[Json | int | None]) -> None:
    """Send what is queued, in order: an object as text, a number as the code of a close; None ends it."""
    while (item := await outgoing.get()) is not None:
        if socket.closed:
            continue
        try:
            if isinstance(item, int):
                await socket.close(code=item)
            else:
                await socket.send_json(item)
        except ConnectionError:
            continue
