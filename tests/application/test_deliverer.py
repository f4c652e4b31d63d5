"""One delivery and what it comes to, with an other side that does what it is told."""

from __future__ import annotations

from datetime import timedelta

import pytest

from application.deliverer import Deliverer
from application.destinations import trial_request
from application.ports import DeliveryRequest
from domain.destination import DeliveryStatus, Destination, DestinationType
from domain.errors import DeliveryFailed
from tests.doubles import EARLY, HandClock

PLACE = Destination(type=DestinationType.DISCORD_CHANNEL, target="5")
LOST = DeliveryFailed("the answer is lost", ambiguous=True)


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
