"""The hosts that results go to: each has a gate and places, in one register for webhooks, mail servers and Discord."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from adapters.egress.hosts import Admission, BreakerRules, Health, HostGate, HostView
from application.ports import Clock
from domain.errors import DeliveryFailed

__all__ = ["HostGates", "Passage", "Places"]

_MOST_HOSTS = 2_000


class Places(NamedTuple):
    """Requests at once per host and, within a host that many people share, per route (a path, a channel): a webhook
    that hangs must not hold up its neighbors."""

    per_host: int = 32
    per_route: int = 2


@dataclass(slots=True)
class _Line:
    """Where requests wait for a free place."""

    places: asyncio.Semaphore
    users: int = 0


@dataclass(slots=True)
class _Host:
    gate: HostGate
    line: _Line
    routes: dict[str, _Line] = field(default_factory=dict)


@dataclass(slots=True)
class Passage:
    """One request on its way: who makes it says here what it showed of the host. Nothing, if it is given up."""

    health: Health = Health.UNKNOWN
    error: str | None = None

    def up(self) -> None:
        """The host is there."""
        self.health, self.error = Health.UP, None

    def failing(self, error: str) -> None:
        """The host is in trouble; ``error`` says so in words, without secrets."""
        self.health, self.error = Health.FAILING, error


class HostGates:
    """The gate of every host that this process talks to, by its name (and port, where it is not the usual one).

    Use it on one event loop. It learns from this process's requests alone.
    """

    def __init__(self, clock: Clock, rules: BreakerRules | None = None, places: Places | None = None) -> None:
        self._clock, self._rules, self._places = clock, rules or BreakerRules(), places or Places()
        self._hosts: dict[str, _Host] = {}
        self._beside: HostGates | None = None

    def show(self, beside: HostGates | None) -> None:
        """Tell of other gates' hosts with one's own: of an engine's, which keeps its requests apart."""
        self._beside = beside

    def states(self) -> dict[str, HostView]:
        """What is known of each host that is not simply fine."""
        now = self._clock.now()
        others = self._beside.states() if self._beside is not None else {}
        own = {name: host.gate.view(now) for name, host in self._hosts.items() if not host.gate.is_idle(now)}
        return others | own

    def trouble(self) -> dict[str, dict[str, Any]]:
        """The hosts in trouble, for programs."""
        return {name: view.to_dict() for name, view in self.states().items() if view.in_trouble}

    @asynccontextmanager
    async def place(self, host: str, route: str) -> AsyncIterator[None]:
        """A place at the route, then one at the host: who waits for a busy route takes none from the others."""
        at = self._host(host)
        own = at.routes.setdefault(route, _Line(asyncio.Semaphore(self._places.per_route)))
        own.users += 1
        at.line.users += 1
        try:
            async with own.places, at.line.places:
                yield
        finally:
            at.line.users -= 1
            own.users -= 1
            if not own.users:
                del at.routes[route]

    def admit(self, host: str, route: str) -> Admission:
        """Let a request out; it is ended by ``finished``. Raises DeliveryFailed (postponed) while it must wait."""
        admission = self._host(host).gate.admit(route, self._clock.now())
        if not admission.allowed:
            reason = f"{host} is left alone for now: {admission.reason}"
            raise DeliveryFailed(reason, retry_after_seconds=admission.wait.total_seconds(), postponed=True)
        return admission

    def finished(self, host: str, admission: Admission, health: Health, error: str | None = None) -> None:
        """End a request that was let out."""
        self._host(host).gate.finished(admission, health, self._clock.now(), error)

    @contextmanager
    def passing(self, host: str, route: str) -> Iterator[Passage]:
        """Let a request out for as long as it takes. Raises DeliveryFailed (postponed) while it must wait."""
        admission, passage = self.admit(host, route), Passage()
        try:
            yield passage
        finally:
            # Also for a request that was cancelled: its turn as a probe must not be lost.
            self.finished(host, admission, passage.health, passage.error)

    def slow_down(self, host: str, route: str, seconds: float, why: str | None = None) -> None:
        """Leave one route of a host alone for a while, as it asked."""
        self._host(host).gate.slow_down(route, self._clock.now(), seconds, why)

    def _host(self, name: str) -> _Host:
        if name not in self._hosts:
            if len(self._hosts) >= _MOST_HOSTS:
                self._forget_hosts(self._clock.now())
            line = _Line(asyncio.Semaphore(self._places.per_host))
            self._hosts[name] = _Host(HostGate(self._rules), line)
        return self._hosts[name]

    def _forget_hosts(self, now: datetime) -> None:
        """Forget the hosts that are fine; where all are in trouble, the half that has been here longest."""
        unused = [name for name, host in self._hosts.items() if not host.line.users and not host.gate.in_flight]
        idle = [name for name in unused if self._hosts[name].gate.is_idle(now)]
        for name in idle or unused[: _MOST_HOSTS // 2]:
            del self._hosts[name]
