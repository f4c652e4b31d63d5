"""A bound on what Discord, or whoever answers in its place, can make a client of discord.py read.

The library reads every answer to its end, however long it is. Its only opening for this is a trace of aiohttp: that is
told of an answer when its head is there, before the body is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import aiohttp

__all__ = ["MOST_ANSWER_BYTES", "bounded_answers"]

MOST_ANSWER_BYTES = 16 * 1024**2
"""Unpacked. A hundred messages with everything that Discord allows in them are below this."""


class _Bounded:
    """The body of an answer, which breaks off where it is too long."""

    def __init__(self, body: aiohttp.StreamReader, most_bytes: int) -> None:
        self._body, self._most_bytes = body, most_bytes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._body, name)

    async def read(self, n: int = -1) -> bytes:
        """As much as was asked for, or all. Raises ClientPayloadError for more than is allowed."""
        import aiohttp

        if n >= 0:
            return await self._body.read(n)
        read = bytearray()
        while chunk := await self._body.readany():
            read += chunk
            if len(read) > self._most_bytes:
                raise aiohttp.ClientPayloadError(f"the answer is longer than {self._most_bytes:,} bytes")
        return bytes(read)


def bounded_answers(most_bytes: int = MOST_ANSWER_BYTES) -> aiohttp.TraceConfig:
    """What a client is given as ``http_trace``, so that no answer takes more memory than this."""
    import aiohttp

    async def bound(session: aiohttp.ClientSession, context: Any, params: aiohttp.TraceRequestEndParams) -> None:
        params.response.content = _Bounded(params.response.content, most_bytes)  # type: ignore[assignment]

    trace = aiohttp.TraceConfig()
    trace.on_request_end.append(bound)
    return trace
