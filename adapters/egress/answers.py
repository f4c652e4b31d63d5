"""What an HTTP answer means for a delivery: the one place where answers are classified. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from adapters.egress.hosts import LONGEST_WAIT, Health
from adapters.rendering import cut, one_line
from domain.errors import DeliveryFailed

__all__ = ["Response", "excerpt", "health_of", "judged", "retry_after_seconds", "status_of"]

TRANSIENT_STATUSES = frozenset({408, 425, 429})
"""Beside 5xx. Every other 4xx says that the request itself is wrong here, and will be next time."""

AMBIGUOUS_STATUSES = frozenset({504, 524})
"""A gateway that waited in vain: the request went out, and what became of it behind the gateway is not known."""

HOST_STATUSES = frozenset({502, 503, 504, *range(520, 528), 530})
"""What is said of a host: by what stands in front of it, in its place, or by itself as a whole. 520 to 530 are
Cloudflare's words for an origin that does not answer. Any other status was made behind the path that was asked for."""

_EXCERPT_CHARACTERS = 200
_MASK = "[masked]"
_ANSWERED = re.compile(r"\S+ answered (?P<status>[0-9]{3})\b")
_SECONDS = re.compile(r"(?P<whole>[0-9]{1,9})(?:\.[0-9]{1,9})?")


@dataclass(frozen=True, slots=True)
class Response:
    """An answer: its status, its headers by lower-case name, and the start of its text. The repr shows the status."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    text: str = field(default="", repr=False)


def judged(response: Response, host: str, now: datetime, secrets: Iterable[str] = ()) -> DeliveryFailed | None:
    """None for 2xx, else the failure: permanent or transient, with what the other side asked for and said.

    ``secrets`` are taken out of what it said.
    """
    status = response.status
    if 200 <= status < 300:
        return None
    said = excerpt(response.text, secrets)
    reason = f"{host} answered {status}" + (f": {said}" if said else "")
    if 300 <= status < 400:
        return DeliveryFailed(f"{host} answered {status}, a redirect; redirects are not followed", permanent=True)
    if status in TRANSIENT_STATUSES or 500 <= status < 600:
        wait = retry_after_seconds(response.headers.get("retry-after"), now)
        return DeliveryFailed(reason, ambiguous=status in AMBIGUOUS_STATUSES, retry_after_seconds=wait)
    if 400 <= status < 500:
        return DeliveryFailed(reason, permanent=True)
    return DeliveryFailed(f"{host} answered {status}, which is no answer of HTTP", ambiguous=True)


def status_of(failure: DeliveryFailed) -> int | None:
    """The status of the answer that a failure of ``judged`` is about; None where there was no answer."""
    found = _ANSWERED.match(failure.reason)
    return int(found["status"]) if found else None


def health_of(status: int) -> Health:
    """What an answer shows of the host: somebody is there, even if only to ask us to wait, or to fail at this path."""
    return Health.FAILING if status in HOST_STATUSES or not 200 <= status < 600 else Health.UP


def retry_after_seconds(value: str | None, now: datetime) -> float | None:
    """Seconds asked for by a Retry-After header (a number or a date), from 0 to 6 hours; None when it says nothing."""
    text = (value or "").strip()
    most = LONGEST_WAIT.total_seconds()
    if re.fullmatch(r"[0-9]{10,}(\.[0-9]*)?", text):
        return most
    if _SECONDS.fullmatch(text):
        return min(float(text), most)
    if not text or len(text) > 64:
        return None
    try:
        instant = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    instant = instant if instant.tzinfo is not None else instant.replace(tzinfo=UTC)
    return min(max(0.0, (instant - now).total_seconds()), most)


def excerpt(text: str, secrets: Iterable[str] = ()) -> str:
    """The start of what the other side said, on one line, without the secrets that it may echo."""
    said = one_line(text)  # first: a control inside a secret must not hide it from the mask
    for secret in secrets:
        said = said.replace(secret, _MASK)
    return cut(said, _EXCERPT_CHARACTERS)
