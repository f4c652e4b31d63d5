"""One delivery and what it comes to, with an other side that does what it is told."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from application.deliverer import Deliverer
from application.destinations import trial_request
from application.masking import MOST_SAID
from application.ports import DeliveryRequest
from application.work import Work
from domain.destination import DeliveryOutcome, DeliveryStatus, Destination, DestinationType
from domain.errors import DeliveryFailed
from domain.runs import Attempt
from domain.task import ScheduledTask
from tests.doubles import EARLY, HandClock

PLACE = Destination(type=DestinationType.DISCORD_CHANNEL, target="5")
LOST = DeliveryFailed("the answer is lost", ambiguous=True)
HANG = "(hang)"


class Scripted:
    """A channel whose other side remembers keys for two minutes; each try ends as the script says."""

    type = DestinationType.DISCORD_CHANNEL

    def __init__(self, *script: DeliveryFailed | str) -> None:
        self.script, self.keys = list(script), set[str]()

    def remembers(self, destination: Destination) -> timedelta:
        return timedelta(minutes=2)

    def check(self, destination: Destination, guild_id: str) -> None:
        """Every place is fine here."""

    async def deliver(self, request: DeliveryRequest) -> str:
        self.keys.add(request.key)
        ended = self.script.pop(0)
        if ended == HANG:
            await asyncio.Event().wait()
        if isinstance(ended, DeliveryFailed):
            raise ended
        return ended


@pytest.mark.parametrize(
    ("second", "status"),
    [
        ("message 7", DeliveryStatus.DELIVERED),
        (LOST, DeliveryStatus.UNKNOWN),
        (DeliveryFailed("busy", retry_after_seconds=600), DeliveryStatus.UNKNOWN),
        (DeliveryFailed("gone", permanent=True), DeliveryStatus.UNKNOWN),
    ],
    ids=["delivered", "lost again", "busy", "refused"],
)
async def test_a_second_try_that_fails_does_not_make_a_lost_answer_a_failure(
    second: DeliveryFailed | str, status: DeliveryStatus
) -> None:
    """The first may have arrived: called failed, it would be sent again when its key is long forgotten."""
    channel = Scripted(LOST, second)
    outcome, _ = await Deliverer({channel.type: channel}, HandClock(EARLY)).send(
        PLACE, trial_request(PLACE, "42", now=EARLY, timezone="UTC")
    )
    assert (outcome.status, outcome.permanent) == (status, False)
    assert channel.script == []
    assert len(channel.keys) == 1
    if status is DeliveryStatus.UNKNOWN:
        assert "the answer is lost" in str(outcome.reason)


async def sent(channel: Scripted, deadline: timedelta = timedelta(seconds=60)) -> DeliveryOutcome:
    """One delivery through a channel."""
    request = trial_request(PLACE, "42", now=EARLY, timezone="UTC")
    outcome, _ = await Deliverer({channel.type: channel}, HandClock(EARLY), deadline).send(PLACE, request)
    return outcome


async def test_a_try_that_used_up_the_deadline_is_not_followed_by_another() -> None:
    """One deadline bounds a delivery, and not each of its tries."""
    channel = Scripted(HANG, "message 7")
    outcome = await sent(channel, timedelta(seconds=0.05))
    assert (outcome.status, channel.script) == (DeliveryStatus.UNKNOWN, ["message 7"])


async def test_a_second_try_has_only_what_the_first_one_left() -> None:
    """It hangs, and is given up with the delivery, which stays in doubt for the reason of the first."""
    channel = Scripted(LOST, HANG)
    async with asyncio.timeout(10):
        outcome = await sent(channel, timedelta(seconds=0.05))
    assert (outcome.status, channel.script) == (DeliveryStatus.UNKNOWN, [])
    assert str(outcome.reason).startswith("the answer is lost; asked again: no answer within")


async def test_the_reasons_of_two_tries_are_written_down_within_the_bound_of_one() -> None:
    """Each may have a thousand characters, and so has what they come to together."""
    long = DeliveryFailed("x" * 5_000, ambiguous=True)
    outcome = await sent(Scripted(long, long))
    assert (outcome.status, len(str(outcome.reason))) == (DeliveryStatus.UNKNOWN, MOST_SAID)


async def test_what_is_held_in_doubt_stays_in_doubt_while_its_destination_asks_to_wait() -> None:
    """Called a failure that waits for its time, it would keep the run open, and the doubt would be out of sight."""
    channel, summary = Scripted(), trial_request(PLACE, "42", now=EARLY, timezone="UTC").summary
    task = ScheduledTask(
        name="Digest", guild_id="42", channel_id="7", schedule_type="hourly", destinations=[PLACE], now=EARLY
    )
    later = EARLY + timedelta(hours=1)
    attempt = Attempt(
        run="r",
        attempt=2,
        owner="n1",
        slot=EARLY,
        request=None,
        started_at=later,
        deadline=later + timedelta(minutes=15),
        since=EARLY,
        unknown=(PLACE.key,),
        sent_at=EARLY,
        not_before={PLACE.key: later + timedelta(hours=2)},
    )
    deliverer = Deliverer({channel.type: channel}, HandClock(later))
    [held] = await deliverer.deliver(Work("t", task.definition, (PLACE,), attempt), summary, None, [])
    assert (held.status, held.unsent, channel.keys) == (DeliveryStatus.UNKNOWN, True, set())
    [waits] = await deliverer.deliver(
        Work("t", task.definition, (PLACE,), attempt._replace(unknown=())), summary, None, []
    )
    assert (waits.status, waits.unsent, channel.keys) == (DeliveryStatus.FAILED, True, set())


async def test_an_outcome_says_when_nothing_was_sent() -> None:
    """A host that is left alone was not asked; one that refused was."""
    left_alone = await sent(Scripted(DeliveryFailed("left alone", postponed=True)))
    refused = await sent(Scripted(DeliveryFailed("busy")))
    assert (left_alone.status, left_alone.unsent) == (DeliveryStatus.FAILED, True)
    assert (refused.status, refused.unsent) == (DeliveryStatus.FAILED, None)
