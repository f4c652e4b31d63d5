"""Handing one result to every destination that still lacks it: each has a deadline, and none waits for another."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from application.masking import said, seconds_asked
from application.ports import Clock, DeliveryChannel, DeliveryRequest, KeepsResults
from application.work import Work
from domain.destination import (
    DeliveryOutcome,
    DeliveryStatus,
    Destination,
    DestinationType,
    UnknownPolicy,
    check_target,
    delivery_key,
    part_key,
)
from domain.errors import DaybookError, DeliveryFailed, InvalidDestination, InvalidInput
from domain.summary import Summary

__all__ = ["Announce", "Deliverer", "Wanted"]

Announce = Callable[[Work, Sequence[str]], Awaitable[None]]
"""Makes durable that these destinations are about to be sent to. Raises when nothing may be sent any more."""


Wanted = Callable[[Work], bool]
"""Whether a run may still send: not when its task was cancelled meanwhile."""

FOREVER = timedelta.max
"""What a destination remembers that can be sent to any number of times with the same key."""

LEAST_LEFT = 0.05
"""The share of the deadline that must be left for a second try to make sense."""


@dataclass(frozen=True, slots=True, eq=False)
class Parcel:
    """What goes to one destination: a result, or one part of it. ``name`` is what it is known by in the log."""

    destination: Destination
    name: str
    summary: Summary


class Deliverer:
    """The delivery channels of this process. ``deadline`` bounds each delivery, a second try of it included."""

    def __init__(
        self,
        channels: Mapping[DestinationType, DeliveryChannel],
        clock: Clock,
        deadline: timedelta = timedelta(seconds=60),
    ) -> None:
        self._channels, self._clock, self.deadline = dict(channels), clock, deadline

    @property
    def keepers(self) -> tuple[KeepsResults, ...]:
        """The channels whose results stay on this machine."""
        return tuple(channel for channel in self._channels.values() if isinstance(channel, KeepsResults))

    def undelivered(self, destinations: Iterable[Destination]) -> tuple[DestinationType, ...]:
        """The kinds of enabled destinations that this process has no delivery for, each once."""
        kinds = dict.fromkeys(one.type for one in destinations if one.enabled)
        return tuple(kind for kind in kinds if kind not in self._channels)

    def check(self, destination: Destination, guild_id: str, *, elsewhere: bool = False) -> None:
        """Refuse (InvalidDestination) what nothing here can deliver to.

        With ``elsewhere`` another process may be the one that delivers: of a kind without delivery here only the target
        is looked at.
        """
        channel = self._channels.get(destination.type)
        if channel is None and elsewhere:
            check_target(destination)
            return
        if channel is None:
            known = ", ".join(sorted(kind.value for kind in self._channels)) or "none"
            raise InvalidDestination(
                "destinations", destination.type.value, "has no delivery here", f"available are: {known}"
            )
        channel.check(destination, guild_id)

    async def deliver(
        self,
        work: Work,
        summary: Summary,
        announce: Announce | None,
        progress: list[DeliveryOutcome],
        wanted: Wanted = lambda work: True,
    ) -> tuple[DeliveryOutcome, ...]:
        """Deliver to whom it is still owed. Outcomes stand in ``progress`` as soon as they are known.

        A destination that may have the result already is sent to again only where its policy says so: what is held
        waits for nothing. One that asked to wait for longer than this attempt did is left for its own time.
        """
        attempt, sending, now = work.attempt, list[list[Parcel]](), self._clock.now()
        for destination in work.destinations:
            owed = [p for p in _parcels(destination, summary) if p.name not in attempt.delivered]
            holds = self._policy(destination, work) is UnknownPolicy.HOLD
            held = [p for p in owed if holds and p.name in attempt.unknown]
            progress.extend(self._held(parcel) for parcel in held)
            left = [p for p in owed if p not in held]
            if (until := attempt.not_before.get(destination.key, now)) > now:
                progress.extend(self._left_alone(parcel, until) for parcel in left)
            elif left:
                sending.append(left)
        doubtful = [parcels[0].name for parcels in sending if self._memory(parcels[0].destination) < FOREVER]
        if announce is not None and doubtful:
            await announce(work, doubtful)
        await asyncio.gather(*(self._deliver(work, parcels, announce, progress, wanted) for parcels in sending))
        return tuple(progress)

    async def _deliver(
        self,
        work: Work,
        parcels: Sequence[Parcel],
        announce: Announce | None,
        progress: list[DeliveryOutcome],
        wanted: Wanted,
    ) -> None:
        """The parts of one destination in their order, up to the first that does not arrive."""
        for number, parcel in enumerate(parcels):
            if number and (problem := await self._hindrance(work, parcel, announce, wanted)):
                progress.extend(self._unsent(left, problem) for left in parcels[number:])
                return
            outcome, _ = await self.send(parcel.destination, _request(work, parcel))
            progress.append(outcome.model_copy(update={"destination": parcel.name}))
            if outcome.status is not DeliveryStatus.DELIVERED:
                gone = outcome.status is DeliveryStatus.FAILED and outcome.permanent
                status = DeliveryStatus.SKIPPED if gone else DeliveryStatus.FAILED
                progress.extend(
                    self._unsent(left, "an earlier part did not arrive", status) for left in parcels[number + 1 :]
                )
                return

    async def _hindrance(self, work: Work, parcel: Parcel, announce: Announce | None, wanted: Wanted) -> str | None:
        """Why a further part is not sent now. What is about to be sent is made durable before, as for the first."""
        if not wanted(work):
            return "the task was cancelled before its turn"
        if self._clock.now() >= work.attempt.deadline:
            return "the time of this attempt was over before its turn"
        if announce is None or self._memory(parcel.destination) == FOREVER:
            return None
        try:
            await announce(work, [parcel.name])
        except DaybookError as error:  # what was sent before must not be forgotten over this
            return said(error)
        return None

    async def send(self, destination: Destination, request: DeliveryRequest) -> tuple[DeliveryOutcome, float]:
        """One delivery: whatever happens becomes an outcome, with the wait in seconds that the other side asked for."""
        loop = asyncio.get_running_loop()
        seconds = self.deadline.total_seconds()
        ends = loop.time() + seconds
        outcome, wait = await self._try(destination, request, seconds)
        left = ends - loop.time()
        knows_again = timedelta(0) < self._memory(destination)
        if outcome.status is DeliveryStatus.UNKNOWN and knows_again and left > seconds * LEAST_LEFT:
            # The other side still knows the key: asking again now settles it, later would not.
            again, wait = await self._try(destination, request, left)
            outcome = _settled(outcome, again)
        return outcome, wait

    async def _try(
        self, destination: Destination, request: DeliveryRequest, seconds: float
    ) -> tuple[DeliveryOutcome, float]:
        # What is remembered for ever can simply be sent again; elsewhere a lost answer leaves us in doubt.
        doubt = DeliveryStatus.FAILED if self._memory(destination) == FOREVER else DeliveryStatus.UNKNOWN
        wait, receipt = 0.0, None
        status, reason, permanent, unsent = DeliveryStatus.DELIVERED, None, False, False
        try:
            channel = self._channels.get(destination.type)
            if channel is None:
                # Another process may: nothing is wrong with the destination, so it is not given up.
                raise DeliveryFailed(f"this process does not deliver to {destination.type}", postponed=True)
            async with asyncio.timeout(seconds):
                receipt = await channel.deliver(request)
        except DeliveryFailed as error:
            status = doubt if error.ambiguous else DeliveryStatus.FAILED
            reason, permanent, wait = error.reason, error.permanent, seconds_asked(error.retry_after_seconds)
            unsent = error.postponed
        except TimeoutError:
            status, reason = doubt, f"no answer within {seconds:.0f} s"
        except InvalidInput as error:
            status, reason, permanent = DeliveryStatus.FAILED, said(error), True
        except Exception as error:  # nobody knows how far it came
            status, reason = doubt, f"{type(error).__name__}: {said(error)}"
        outcome = self._outcome(destination, status, receipt, reason, permanent, unsent)
        if wait and not permanent:
            outcome = outcome.model_copy(update={"not_before": outcome.at + timedelta(seconds=wait)})
        return outcome, wait

    def _held(self, parcel: Parcel) -> DeliveryOutcome:
        reason = "it may have arrived in an earlier attempt; it is held instead of being sent twice"
        return self._unsent(parcel, reason, DeliveryStatus.UNKNOWN)

    def _left_alone(self, parcel: Parcel, until: datetime) -> DeliveryOutcome:
        reason = f"it asked to wait until {until:%Y-%m-%d %H:%M:%S} UTC"
        return self._unsent(parcel, reason).model_copy(update={"not_before": until})

    def _unsent(self, parcel: Parcel, reason: str, status: DeliveryStatus = DeliveryStatus.FAILED) -> DeliveryOutcome:
        outcome = self._outcome(parcel.destination, status, None, reason, False, True)
        return outcome.model_copy(update={"destination": parcel.name})

    def _outcome(
        self,
        destination: Destination,
        status: DeliveryStatus,
        receipt: str | None,
        reason: str | None,
        permanent: bool,
        unsent: bool,
    ) -> DeliveryOutcome:
        return DeliveryOutcome(
            destination=destination.key,
            type=destination.type,
            status=status,
            # What the other side says is written down for ever: without secrets, and not without end.
            receipt=said(receipt) if receipt is not None else None,
            reason=said(reason) if reason is not None else None,
            permanent=permanent,
            unsent=unsent or None,
            at=self._clock.now(),
        )

    def _policy(self, destination: Destination, work: Work) -> UnknownPolicy:
        if destination.on_unknown is not None:
            return destination.on_unknown
        if destination.type is DestinationType.CONSOLE:
            return UnknownPolicy.RESEND  # a second print does no harm
        sent_at = work.attempt.sent_at or work.attempt.started_at
        remembered = self._memory(destination) > self._clock.now() - sent_at
        return UnknownPolicy.RESEND if remembered else UnknownPolicy.HOLD

    def _memory(self, destination: Destination) -> timedelta:
        """How long the other side knows a key again; zero: it does not."""
        channel = self._channels.get(destination.type)
        return channel.remembers(destination) if channel is not None else timedelta(0)


def _settled(first: DeliveryOutcome, again: DeliveryOutcome) -> DeliveryOutcome:
    """What a doubt and a second try come to. A failure of the second says nothing of the first, which may be there."""
    if again.status is DeliveryStatus.DELIVERED:
        return again
    reason = said(f"{first.reason}; asked again: {again.reason}")
    return first.model_copy(update={"reason": reason, "at": again.at, "not_before": again.not_before})


def _parcels(destination: Destination, summary: Summary) -> list[Parcel]:
    if not summary.parts:
        return [Parcel(destination, destination.key, summary)]
    return [Parcel(destination, part_key(destination.key, part.channel_id), part) for part in summary.parts]


def _request(work: Work, parcel: Parcel) -> DeliveryRequest:
    return DeliveryRequest(
        key=delivery_key(work.attempt.run, parcel.name),
        run_id=work.attempt.run,
        task_id=work.task_id,
        task_name=work.definition.name,
        guild_id=work.guild_id,
        destination=parcel.destination,
        summary=parcel.summary,
        slot=work.attempt.instant,
        timezone=work.definition.schedule.timezone,
        first_sent_at=work.attempt.sent_at,
    )
