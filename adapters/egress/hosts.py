"""When a host is left alone: a circuit breaker per host, and a not-before instant per route. No I/O, no clock."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

__all__ = ["LONGEST_WAIT", "Admission", "Breaker", "BreakerRules", "Health", "HostGate", "HostView", "Phase"]

LONGEST_WAIT = timedelta(hours=6)
"""What a host may ask for at most."""

_MOST_ROUTES = 1_000


class Phase(StrEnum):
    """Closed: requests pass. Open: none passes. Half open: one may pass, to see whether the host is back."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Health(StrEnum):
    """What one request showed of the host itself. Unknown: it was given up before it could show anything."""

    UP = "up"
    FAILING = "failing"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class BreakerRules:
    """Consecutive failures that open a breaker, and how long it then stays open."""

    failures_to_open: int = 5
    cool_down: timedelta = timedelta(seconds=60)


class Admission(NamedTuple):
    """Whether a request may go out now; as the probe of this number (0: no probe); or after how long to ask again."""

    allowed: bool
    probe: int = 0
    wait: timedelta = timedelta(0)
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Breaker:
    """One host's breaker, as a value: every step returns the next one.

    ``since`` is when the failures in a row began. ``probe`` is the number of the probe under way (0: none), ``probes``
    the number of the last one: a probe that was overtaken by events is a request like any other.
    """

    failures: int = 0
    since: datetime | None = None
    open_until: datetime | None = None
    probe: int = 0
    probes: int = 0

    def phase(self, now: datetime, rules: BreakerRules) -> Phase:
        """The phase at an instant. An opening that ends later than it can (the clock went back) counts as over."""
        if self.open_until is None:
            return Phase.CLOSED
        left = self.open_until - now
        return Phase.OPEN if timedelta(0) < left <= rules.cool_down else Phase.HALF_OPEN

    def admit(self, now: datetime, rules: BreakerRules) -> tuple[Breaker, Admission]:
        """Let a request pass, let it pass as the one probe, or name the wait."""
        phase = self.phase(now, rules)
        if phase is Phase.CLOSED:
            return self, Admission(True)
        if phase is Phase.OPEN and self.open_until is not None:
            return self, Admission(False, wait=self.open_until - now, reason="it failed too often in a row")
        if self.probe:
            return self, Admission(
                False, wait=rules.cool_down, reason="it failed too often in a row; a probe is under way"
            )
        number = self.probes + 1
        return replace(self, probe=number, probes=number), Admission(True, probe=number)

    def finished(self, admission: Admission, health: Health, now: datetime, rules: BreakerRules) -> Breaker:
        """What an ended request leaves behind.

        Any sign of life closes; a failed probe opens anew; a request that was admitted before the breaker opened does
        not prolong the opening.
        """
        probed = admission.probe != 0 and admission.probe == self.probe
        if health is Health.UP:
            return Breaker(probes=self.probes)
        if health is Health.UNKNOWN:
            return replace(self, probe=0) if probed else self
        failing = replace(self, failures=self.failures + 1, since=self.since or now)
        if probed or (self.open_until is None and failing.failures >= rules.failures_to_open):
            return replace(failing, open_until=now + rules.cool_down, probe=0)
        return failing


@dataclass(frozen=True, slots=True)
class HostView:
    """A host as people are shown it.

    ``since`` is when its failures in a row began, ``last_error`` what was last said of them or of a wish to wait.
    ``open_until`` is set while it is left alone; ``slowed_routes`` counts the routes that asked to wait, until
    ``slowed_until`` at the latest (instants in UTC).
    """

    phase: Phase
    consecutive_failures: int
    open_until: datetime | None
    in_flight: int
    slowed_routes: int
    slowed_until: datetime | None
    since: datetime | None = None
    last_error: str | None = None

    @property
    def next_try(self) -> datetime | None:
        """From when on all of the host may be asked again; None: from now on."""
        return self.open_until or self.slowed_until

    @property
    def in_trouble(self) -> bool:
        """Whether there is more to say of it than that it is being asked something."""
        return bool(self.consecutive_failures or self.slowed_routes)

    def to_dict(self) -> dict[str, Any]:
        """What does not change from one request to the next, for programs; instants as ISO text."""
        names = ("phase", "consecutive_failures", "since", "last_error", "next_try", "slowed_routes")
        return {name: _plain(getattr(self, name)) for name in names}


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


class HostGate:
    """All that is remembered of one host: its breaker, its routes that asked to wait, its requests on the way."""

    def __init__(self, rules: BreakerRules) -> None:
        self._rules = rules
        self.breaker = Breaker()
        self.in_flight = 0
        self._trouble: str | None = None
        self._wish: str | None = None
        self._not_before: dict[str, datetime] = {}

    def admit(self, route: str, now: datetime) -> Admission:
        """Count a request as on its way, or say why not yet. Every admitted one is ended by ``finished``."""
        wait = self._not_before.get(route, now) - now
        if timedelta(0) < wait <= LONGEST_WAIT:
            return Admission(False, wait=wait, reason="it asked to wait")
        self._not_before.pop(route, None)
        self.breaker, admission = self.breaker.admit(now, self._rules)
        self.in_flight += admission.allowed
        return admission

    def finished(self, admission: Admission, health: Health, now: datetime, error: str | None = None) -> None:
        """End an admitted request; ``error`` says in words why the host is failing."""
        self.in_flight -= 1
        if health is Health.FAILING:
            self._trouble = error
        self.breaker = self.breaker.finished(admission, health, now, self._rules)

    def slow_down(self, route: str, now: datetime, seconds: float, why: str | None = None) -> None:
        """Leave one route alone for a while, at most 6 hours; an earlier and longer wait stays."""
        self._wish = why
        until = now + min(timedelta(seconds=max(0.0, seconds)), LONGEST_WAIT)
        self._not_before = {r: at for r, at in self._not_before.items() if now < at <= now + LONGEST_WAIT}
        if until > self._not_before.get(route, now) and (
            route in self._not_before or len(self._not_before) < _MOST_ROUTES
        ):
            self._not_before[route] = until

    def is_idle(self, now: datetime) -> bool:
        """Whether forgetting this host would change nothing."""
        return not (self.in_flight or self.breaker.failures or self._slowed(now))

    def view(self, now: datetime) -> HostView:
        """What is known at an instant."""
        slowed = self._slowed(now)
        phase = self.breaker.phase(now, self._rules)
        return HostView(
            phase=phase,
            consecutive_failures=self.breaker.failures,
            open_until=self.breaker.open_until if phase is Phase.OPEN else None,
            in_flight=self.in_flight,
            slowed_routes=len(slowed),
            slowed_until=max(slowed, default=None),
            since=self.breaker.since,
            last_error=self._trouble if self.breaker.failures else self._wish if slowed else None,
        )

    def _slowed(self, now: datetime) -> list[datetime]:
        return [at for at in self._not_before.values() if now < at <= now + LONGEST_WAIT]
