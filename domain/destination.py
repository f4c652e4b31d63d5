"""Where a result goes, and what became of one delivery."""

from __future__ import annotations

from functools import cached_property
from hashlib import blake2b

from pydantic import BaseModel, ConfigDict

from domain.choice import Choice
from domain.errors import InvalidDestination
from domain.event import Text, Utc

__all__ = [
    "DeliveryOutcome",
    "DeliveryStatus",
    "Destination",
    "DestinationType",
    "UnknownPolicy",
    "check_target",
    "delivery_key",
    "part_key",
    "place_of",
]

MOST_DIGITS_OF_AN_ID = 20


class DestinationType(Choice):
    """The kinds of destination."""

    DISCORD_CHANNEL = "discord_channel"
    DISCORD_DM = "discord_dm"
    WEBHOOK = "webhook"
    EMAIL = "email"
    FILE = "file"
    CONSOLE = "console"


class UnknownPolicy(Choice):
    """What happens to a delivery of which nobody knows whether it arrived.

    ``resend``: it is sent again with the same key. ``hold``: it is left, and people are told.
    """

    RESEND = "resend"
    HOLD = "hold"


class Destination(BaseModel):
    """One place that a result is delivered to.

    ``target`` is a channel id, an address, a path below the guild's folder (may be empty), or a vault reference;
    ``format`` is what it is rendered to there ("embed", "markdown", "html", "json", "text").
    A destination that is not ``enabled`` is kept but skipped. ``on_unknown`` None leaves the choice to the kind: send
    again where the other side knows a key again, hold elsewhere. ``label`` is what people see of a secret target.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: DestinationType
    target: str = ""
    format: str = "embed"
    enabled: bool = True
    on_unknown: UnknownPolicy | None = None
    label: str | None = None

    @cached_property
    def key(self) -> str:
        """A stable name of the place itself, 12 hexadecimal digits: equal type, target and format, equal key."""
        return blake2b(
            f"{self.type}\0{self.target}\0{self.format}".encode("utf-8", "surrogatepass"), digest_size=6
        ).hexdigest()


def check_target(destination: Destination) -> None:
    """Refuse (InvalidDestination) a target that no process could deliver to, whatever it is connected to."""
    kind, target = destination.type, destination.target
    if kind in (DestinationType.DISCORD_CHANNEL, DestinationType.DISCORD_DM):
        if not (target.isascii() and target.isdigit() and len(target) <= MOST_DIGITS_OF_AN_ID):
            remedy = "give the number that Discord shows as its id, of 17 to 20 digits"
            raise InvalidDestination("target", target, "is not an id of Discord", remedy)
    elif kind is DestinationType.EMAIL and not all(target.rpartition("@")):
        raise InvalidDestination("target", target, "is not an e-mail address", "give one plain address")


class DeliveryStatus(Choice):
    """What became of one delivery. UNKNOWN: it was sent, and whether it arrived cannot be told."""

    DELIVERED = "delivered"
    FAILED = "failed"
    UNKNOWN = "unknown"
    SKIPPED = "skipped"


class DeliveryOutcome(BaseModel):
    """One delivery of one result to one destination, as it is written into the log.

    ``destination`` is the destination's key; of a result in parts, with ``/`` and the part. ``receipt`` is the other
    side's evidence (message id, status, path); ``reason`` what it said instead. ``permanent`` tells a failure that is
    not retried; ``unsent`` that this attempt sent nothing there: the host is left alone for now (failed), or an earlier
    doubt is held (unknown). ``not_before`` is when the other side may be asked again, where it said so (aware UTC).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    destination: str
    type: DestinationType
    status: DeliveryStatus
    receipt: Text | None = None
    reason: Text | None = None
    permanent: bool = False
    unsent: bool | None = None
    not_before: Utc | None = None
    at: Utc


def part_key(destination_key: str, part: str) -> str:
    """The name of one part of a result (a channel's) at one destination, beside the destination's own key."""
    return f"{destination_key}/{part}"


def place_of(name: str) -> str:
    """The key of the destination that a delivery went to: of the whole result, or of a part."""
    return name.partition("/")[0]


def delivery_key(run_id: str, destination_key: str) -> str:
    """The idempotency key of one delivery, equal in every try of it: 24 hexadecimal digits.

    24 characters fit Discord's limit of 25 for a nonce.
    """
    return blake2b(f"{run_id}\0{destination_key}".encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
