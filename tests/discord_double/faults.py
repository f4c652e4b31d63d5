"""What goes wrong, by script: the next requests to a route are answered otherwise, late, or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from fnmatch import fnmatchcase

from tests.hostile_world import Act

__all__ = ["Fault", "FaultKind", "Faults"]


class FaultKind(Enum):
    """How a request goes wrong."""

    ANSWER = "answered with an error; nothing is done"
    CUT_BEFORE = "the connection breaks; nothing was done"
    CUT_AFTER = "the connection breaks after everything was done"
    HANG_BEFORE = "no answer until the faults are released; nothing is done before that"
    HANG_AFTER = "everything is done, and no answer comes until the faults are released"
    ACT = "an act of the hostile world takes the place of the answer"


@dataclass
class Fault:
    """One scripted fault for a method and a path pattern ("/channels/*/messages"), ``times`` requests long."""

    kind: FaultKind
    method: str
    path: str
    times: int = 1
    status: int = 500
    code: int = 0
    message: str = "scripted"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | None = None
    """The raw body in place of Discord's JSON, as text/html."""
    retry_after: float | None = None
    scope: str = "user"
    act: Act | None = None
    applied: bool = False

    def matches(self, method: str, path: str) -> bool:
        """Whether it is for this request."""
        return self.times > 0 and method == self.method and fnmatchcase(path, self.path)


class Faults:
    """The script. ``taken`` holds what was played, in order."""

    def __init__(self) -> None:
        self.script: list[Fault] = []
        self.taken: list[Fault] = []
        self._released = asyncio.Event()
        self._hanging = asyncio.Semaphore(0)

    def answer(
        self,
        method: str,
        path: str,
        status: int,
        code: int = 0,
        message: str = "scripted",
        *,
        times: int = 1,
        body: str | None = None,
    ) -> Fault:
        """The next requests are refused with a status and a code, or with a raw ``body``."""
        return self._add(Fault(FaultKind.ANSWER, method, path, times, status, code, message, body=body))

    def rate_limit(
        self, method: str, path: str, retry_after_seconds: float, *, times: int = 1, scope: str = "user"
    ) -> Fault:
        """The next requests get 429; ``scope`` is "user", "shared" or "global"."""
        fault = Fault(FaultKind.ANSWER, method, path, times, 429, 0, "You are being rate limited.")
        fault.retry_after, fault.scope = retry_after_seconds, scope
        return self._add(fault)

    def cut(self, method: str, path: str, *, applied: bool, times: int = 1) -> Fault:
        """The connection breaks, before or after the request was done."""
        return self._add(Fault(FaultKind.CUT_AFTER if applied else FaultKind.CUT_BEFORE, method, path, times))

    def hang(self, method: str, path: str, *, applied: bool = False, times: int = 1) -> Fault:
        """No answer until ``release``."""
        return self._add(Fault(FaultKind.HANG_AFTER if applied else FaultKind.HANG_BEFORE, method, path, times))

    def play(self, method: str, path: str, act: Act, *, applied: bool = False, times: int = 1) -> Fault:
        """In place of the next answers an act of the hostile world has the connection, before or after all was done."""
        return self._add(Fault(FaultKind.ACT, method, path, times, act=act, applied=applied))

    def _add(self, fault: Fault) -> Fault:
        self.script.append(fault)
        return fault

    def take(self, method: str, path: str) -> Fault | None:
        """The fault of this request, if there is one; it has one time less from now on."""
        for fault in self.script:
            if fault.matches(method, path):
                fault.times -= 1
                self.taken.append(fault)
                return fault
        return None

    def clear(self) -> None:
        """Nothing goes wrong from now on; requests that hang stay hanging."""
        self.script.clear()

    async def hold(self) -> None:
        """Hang, until released."""
        self._hanging.release()
        await self._released.wait()

    async def hanging(self) -> None:
        """Wait until a request hangs; every call counts one."""
        await self._hanging.acquire()

    def release(self) -> None:
        """Let all that hangs go on, now and later."""
        self._released.set()
