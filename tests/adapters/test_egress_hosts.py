"""The state of a host: breaker and slowed routes, against a plain model, under any clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from adapters.egress import Breaker, BreakerRules, Health, HostGate, Phase
from adapters.egress.hosts import LONGEST_WAIT, Admission

NOW = datetime(2026, 3, 29, 7, 0, tzinfo=UTC)
RULES = BreakerRules(failures_to_open=3, cool_down=timedelta(seconds=60))


def failing(times: int) -> HostGate:
    """A gate after so many failures in a row."""
    gate = HostGate(RULES)
    for _ in range(times):
        gate.finished(gate.admit("r", NOW), Health.FAILING, NOW)
    return gate


def test_failures_that_are_not_in_a_row_open_nothing() -> None:
    """A sign of life starts the count again."""
    gate = failing(2)
    gate.finished(gate.admit("r", NOW), Health.UP, NOW)
    for _ in range(2):
        gate.finished(gate.admit("r", NOW), Health.FAILING, NOW)
    assert gate.view(NOW).phase is Phase.CLOSED
    assert gate.view(NOW).consecutive_failures == 2


def test_exactly_one_probe_passes_a_half_open_breaker() -> None:
    """The others wait until the probe has ended."""
    gate, later = failing(3), NOW + timedelta(seconds=60)
    probe = gate.admit("r", later)
    assert probe == Admission(True, probe=1)
    assert [gate.admit("r", later).allowed for _ in range(5)] == [False] * 5
    gate.finished(probe, Health.UNKNOWN, later)
    assert gate.admit("r", later).probe == 2


def test_a_late_failure_does_not_prolong_the_opening() -> None:
    """Requests that were on their way when the breaker opened count once, not as probes."""
    gate = HostGate(RULES)
    admissions = [gate.admit("r", NOW) for _ in range(6)]
    for number, admission in enumerate(admissions):
        gate.finished(admission, Health.FAILING, NOW + timedelta(seconds=number))
    assert gate.view(NOW + timedelta(seconds=61)).phase is Phase.OPEN
    assert gate.view(NOW + timedelta(seconds=62)).phase is Phase.HALF_OPEN


def test_a_clock_that_goes_back_locks_no_host_out() -> None:
    """An opening or a wait never lasts longer than it can, whatever the clock does."""
    gate = failing(3)
    gate.slow_down("slow", NOW, 1e9)
    yesterday = NOW - timedelta(days=1)
    assert gate.view(yesterday).phase is Phase.HALF_OPEN
    assert gate.admit("slow", yesterday).allowed


@pytest.mark.parametrize("seconds", [-5, 0])
def test_a_wait_of_nothing_is_no_wait(seconds: float) -> None:
    """Retry-After: 0 slows nothing down."""
    gate = HostGate(RULES)
    gate.slow_down("r", NOW, seconds)
    assert gate.admit("r", NOW).allowed


def test_a_shorter_wait_does_not_replace_a_longer_one() -> None:
    """Two answers that arrive together: the longer wait counts."""
    gate = HostGate(RULES)
    gate.slow_down("r", NOW, 100)
    gate.slow_down("r", NOW, 10)
    assert gate.admit("r", NOW + timedelta(seconds=99)).wait == timedelta(seconds=1)


def test_the_routes_remembered_are_bounded() -> None:
    """A host with a hundred thousand webhooks does not fill the memory."""
    gate = HostGate(RULES)
    for number in range(1_500):
        gate.slow_down(str(number), NOW, 60)
    assert gate.view(NOW).slowed_routes == 1_000


class HostLife(RuleBasedStateMachine):
    """Random requests, endings, waits and clocks; the model counts what the gate must know."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = HostGate(RULES)
        self.now = NOW
        self.flying: list[tuple[Admission, bool]] = []
        self.failures = 0
        self.opened_at: datetime | None = None
        self.slowed: dict[str, datetime] = {}

    def is_open(self) -> bool:
        return self.opened_at is not None and self.now < self.opened_at + RULES.cool_down

    def is_slowed(self, route: str) -> bool:
        return self.slowed.get(route, self.now) > self.now

    @rule(route=st.sampled_from("ab"))
    def ask(self, route: str) -> None:
        probing = any(is_probe for _, is_probe in self.flying)
        expected = not self.is_slowed(route) and not self.is_open() and not (self.opened_at is not None and probing)
        admission = self.gate.admit(route, self.now)
        assert admission.allowed == expected
        assert bool(admission.probe) == (expected and self.opened_at is not None)
        if expected:
            self.flying.append((admission, self.opened_at is not None))
        else:
            assert timedelta(0) < admission.wait <= LONGEST_WAIT
            assert admission.reason

    @precondition(lambda self: self.flying)
    @rule(data=st.data(), health=st.sampled_from(Health))
    def end(self, data: st.DataObject, health: Health) -> None:
        admission, is_probe = self.flying.pop(data.draw(st.integers(0, len(self.flying) - 1)))
        self.gate.finished(admission, health, self.now)
        if health is Health.UP:
            self.failures, self.opened_at = 0, None
            # A sign of life closes the breaker: a probe that is still under way is a request like any other then.
            self.flying = [(other, False) for other, _ in self.flying]
        elif health is Health.FAILING:
            self.failures += 1
            if is_probe or (self.opened_at is None and self.failures >= RULES.failures_to_open):
                self.opened_at = self.now

    @rule(route=st.sampled_from("ab"), seconds=st.floats(-10, 100_000))
    def slow(self, route: str, seconds: float) -> None:
        self.gate.slow_down(route, self.now, seconds)
        until = self.now + min(timedelta(seconds=max(0.0, seconds)), LONGEST_WAIT)
        self.slowed[route] = max(self.slowed.get(route, self.now), until)

    @rule(seconds=st.integers(0, 120))
    def wait(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @invariant()
    def the_view_tells_the_truth(self) -> None:
        view = self.gate.view(self.now)
        phase = Phase.CLOSED if self.opened_at is None else Phase.OPEN if self.is_open() else Phase.HALF_OPEN
        assert (view.phase, view.in_flight, view.consecutive_failures) == (phase, len(self.flying), self.failures)
        assert view.slowed_routes == sum(self.is_slowed(route) for route in "ab")
        assert (view.open_until is not None) == (phase is Phase.OPEN)


TestHostLife = HostLife.TestCase


def test_a_breaker_is_a_value() -> None:
    """Steps return new values; the old one stays what it was."""
    before = Breaker()
    after = before.finished(Admission(True), Health.FAILING, NOW, RULES)
    assert before == Breaker()
    assert after.failures == 1
