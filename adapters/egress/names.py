"""Names to addresses, in threads of its own: a name service that hangs must not hold up the threads of anybody else.

Imports aiohttp, and is therefore itself imported when the first request goes out.
"""

from __future__ import annotations

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor

from aiohttp.abc import AbstractResolver, ResolveResult

__all__ = ["OwnThreadsResolver"]

_MOST_AT_ONCE = 32


class OwnThreadsResolver(AbstractResolver):
    """Asks the system, as everything does, but not in the event loop's shared threads."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_MOST_AT_ONCE, thread_name_prefix="daybook-names")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of a name. Raises OSError."""

        def look_up() -> list[ResolveResult]:
            found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
            return [
                ResolveResult(hostname=host, host=str(address[0]), port=port, family=kind, proto=protocol, flags=0)
                for kind, _, protocol, _, address in found
                if len(address) == 2 or not address[3]  # an address of one interface (scope) is never public
            ]

        return await asyncio.get_running_loop().run_in_executor(self._threads, look_up)

    async def close(self) -> None:
        """Let the threads go, without waiting for a name service that does not answer."""
        self._threads.shutdown(wait=False, cancel_futures=True)
