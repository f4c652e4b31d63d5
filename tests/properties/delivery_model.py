"""What deliveries, failures and notices should come to, by plain arithmetic on what the test itself did."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from domain.destination import DeliveryStatus, Destination, DestinationType, UnknownPolicy

__all__ = ["MEMORY", "Act", "DeliveryModel", "RunModel", "expected_status"]

Act = str
"""What the other side does with one send: ok, busy, refused, lost (taken, but the answer is lost), or vanished; shut:
nothing is sent, as the host is left alone for now."""

MEMORY = {
    DestinationType.FILE: timedelta.max,
    DestinationType.DISCORD_CHANNEL: timedelta(minutes=2),
    DestinationType.WEBHOOK: timedelta(0),
}
"""How long each kind knows a key again."""

CRASHES, LONGEST, POSTPONEMENTS, UNTOLD = 3, timedelta(hours=6), 6, 20


def expected_status(type: DestinationType, acts: tuple[Act, Act]) -> tuple[DeliveryStatus, bool]:
    """What two acts of the other side come to (the second is for a second try), and whether it is for good."""
    first, second = acts
    if first == "ok":
        return DeliveryStatus.DELIVERED, False
    if first in ("busy", "refused", "shut"):
        return DeliveryStatus.FAILED, first == "refused"
    if type is DestinationType.FILE:
        return DeliveryStatus.FAILED, False
    if type is DestinationType.DISCORD_CHANNEL and second == "ok":
        return DeliveryStatus.DELIVERED, False
    return DeliveryStatus.UNKNOWN, False


@dataclass
class RunModel:
    """One run that is open."""

    manual: bool
    attempts: int = 0
    failures: int = 0
    crashes: int = 0
    postponed: int = 0
    due_at: datetime | None = None
    sent_at: datetime | None = None
    delivered: set[str] = field(default_factory=set)
    doubtful: set[str] = field(default_factory=set)
    not_before: dict[str, datetime] = field(default_factory=dict)

    def holds(self, place: Destination, now: datetime, started_at: datetime) -> bool:
        """Whether a result that may be there already is left alone."""
        if place.key not in self.doubtful:
            return False
        if place.on_unknown is not None:
            return place.on_unknown is UnknownPolicy.HOLD
        return MEMORY[place.type] <= now - (self.sent_at or started_at)


@dataclass
class DeliveryModel:
    """One task: counts by hand, the trouble that people know of, and what they were told."""

    max_failures: int
    retry_delay: timedelta
    status: str = "active"
    failures: int = 0
    refused: set[str] = field(default_factory=set)
    runs: dict[str, RunModel] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    in_trouble: bool = False
    known: bool = False
    to_tell: str | None = None
    told: list[str] = field(default_factory=list)
    untold: list[str] = field(default_factory=list)

    def fails(
        self,
        name: str,
        now: datetime,
        *,
        transient: bool,
        wait: float = 0,
        jitter: float = 0,
        nowhere: bool = False,
        unsent: bool = False,
        doubt: bool = False,
    ) -> None:
        """An attempt failed: it counts once; the run waits for its retry or is closed; the task may be given up.

        Of a run that somebody asked for people are told when it is closed; so of one that leaves a ``doubt`` in trouble
        that they have heard of.
        When nothing was sent and it is to be tried again, it counts as postponed instead, a few times.
        """
        run, knew = self.runs[name], self.in_trouble
        self.counts["failed_attempts"] += 1
        goes_on = run.manual or self.status == "active"
        postponed = unsent and transient and goes_on and run.postponed < POSTPONEMENTS
        if postponed:
            run.postponed += 1
        else:
            run.failures += 1
            self.failures += not run.manual
        if not run.manual and not self.in_trouble:
            self.in_trouble, self.known, self.to_tell = True, False, "failing"
        counted = run.failures if run.manual else self.failures
        if postponed or (transient and goes_on and counted < self.max_failures):
            doubled = self.retry_delay
            for _ in range(run.failures + run.postponed - 1):
                doubled = min(doubled * 2, LONGEST)
            run.due_at = now + max(doubled, timedelta(seconds=wait)) * (1 + jitter)
        else:
            self.counts["failed"] += 1
            del self.runs[name]
            if run.manual or (doubt and knew):
                self.untold = [*self.untold, name][-UNTOLD:]
        if self.status == "active" and (nowhere or (not postponed and self.failures >= self.max_failures)):
            self.disabled()

    def disabled(self) -> None:
        """The task is given up; what waits for a slot is closed."""
        self.status, self.in_trouble, self.to_tell = "disabled", True, "disabled"
        self.close_waiting()

    def close_waiting(self) -> None:
        """Runs of slots that wait are closed as skipped."""
        for name in [name for name, run in self.runs.items() if not run.manual and run.due_at is not None]:
            self.skips(name)

    def succeeds(self, name: str) -> None:
        """Every destination has the result."""
        self.counts["executed"] += 1
        if not self.runs.pop(name).manual:
            self.failures = 0
            if self.in_trouble:
                self.to_tell = "recovered" if self.known else None
                self.in_trouble = self.known = False

    def skips(self, name: str) -> None:
        """A run is closed without a result."""
        self.counts["skipped"] += 1
        del self.runs[name]

    def dies(self, name: str, now: datetime, *, crash: bool, doubt: bool) -> None:
        """The process ended under the run: no failure, but the third crash is one."""
        run = self.runs[name]
        if crash and run.crashes + 1 >= CRASHES:
            self.fails(name, now, transient=False, doubt=doubt)
            return
        if self.status != "active" and not run.manual:
            self.skips(name)
            return
        run.crashes += crash
        run.due_at = now
        self.counts["interruptions"] += 1

    @property
    def due(self) -> str | None:
        """What people are to be told next."""
        return self.to_tell or ("run_failed" if self.untold else None)

    def tell(self) -> str:
        """People are told what is due, and of every single run with it."""
        said, self.untold = self.due, []
        assert said is not None
        self.told.append(said)
        if self.to_tell is not None:
            self.known, self.to_tell = self.to_tell != "recovered", None
        return said
