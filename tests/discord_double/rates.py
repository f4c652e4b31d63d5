"""Rate limits: a bucket per route and major parameter, told by headers and enforced by 429."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from hashlib import blake2b
from time import monotonic

__all__ = ["Bucket", "Rates", "Standing"]

_MAJOR = re.compile(r"^/(channels|guilds|webhooks)/(\d+)")


@dataclass
class Bucket:
    """The limit of the routes that match: so many requests in a window of seconds, per channel, guild or webhook."""

    method: str
    path: str
    limit: int
    window_seconds: float


@dataclass
class Standing:
    """Where a request stands in its bucket. ``allowed`` is false for one too many."""

    allowed: bool
    limit: int
    remaining: int
    reset_after_seconds: float
    reset_at: float
    name: str

    def headers(self) -> dict[str, str]:
        """The headers that tell of it."""
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": f"{self.reset_at:.3f}",
            "X-RateLimit-Reset-After": f"{self.reset_after_seconds:.3f}",
            "X-RateLimit-Bucket": self.name,
        }


class Rates:
    """The buckets. The default is wide, so that tests wait for nothing; ``set`` narrows routes."""

    def __init__(self) -> None:
        self._buckets: list[Bucket] = []
        self._used: dict[str, tuple[float, int]] = {}

    def set(self, method: str, path: str, limit: int, window_seconds: float) -> None:
        """Narrow the routes that match ("/channels/*/messages")."""
        self._buckets.insert(0, Bucket(method, path, limit, window_seconds))

    def use(self, method: str, path: str, epoch_seconds: float) -> Standing:
        """Count one request (``epoch_seconds``: now, for the header of the reset)."""
        bucket = next((each for each in self._buckets if each.method == method and fnmatchcase(path, each.path)), None)
        limit, window = (bucket.limit, bucket.window_seconds) if bucket else (1000, 1.0)
        major = _MAJOR.match(path)
        shape = method + " " + re.sub(r"\d{5,}|(?<=/)\d+(?=/|$)", "#", path)
        name = blake2b(shape.encode(), digest_size=8).hexdigest()
        key = f"{name}:{major[2] if major else ''}"
        now = monotonic()
        start, used = self._used.get(key, (now, 0))
        if now - start >= window:
            start, used = now, 0
        reset_after = max(0.0, start + window - now)
        if used < limit:
            self._used[key] = start, used + 1
        return Standing(used < limit, limit, max(0, limit - used - 1), reset_after, epoch_seconds + reset_after, name)
