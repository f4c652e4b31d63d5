"""Time zones: which exist, and in which stretches of time each keeps one offset.

Zone data comes from the tzdata package and never from the operating system, so that all machines agree on every slot
and one version number says which rules were used.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from functools import lru_cache
from importlib.resources import files
from typing import NamedTuple
from zoneinfo import ZoneInfo

from domain.errors import InvalidTimezone

__all__ = ["Period", "Zone", "zone", "zone_info", "zone_names", "zone_version"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CHUNK_SECONDS = 1 << 25  # about 388 days
_PROBE_SECONDS = 24 * 3600  # no zone ever changed its offset twice within two days (a test looks at all of them)
_FIRST = -62135596800 + 3 * 86400  # three days inside what datetime can hold, so that local times never leave it
_LAST = 253402300799 - 3 * 86400
_REMEDY = 'name a zone of the IANA database, such as "Europe/Berlin" or "UTC"'


class Period(NamedTuple):
    """A stretch of time with one offset: ``start`` <= instant < ``end`` in seconds since 1970, offsets in seconds east.

    ``before`` and ``after`` are the offsets of the neighboring stretches; equal to ``offset`` where nothing changes.
    """

    start: int
    end: int
    offset: int
    before: int
    after: int


@lru_cache(maxsize=1)
def zone_names() -> frozenset[str]:
    """Every name that the zone database knows, links included."""
    return frozenset((files("tzdata") / "zones").read_text(encoding="utf-8").split())


@lru_cache(maxsize=1)
def zone_version() -> str:
    """The version of the zone data, such as "2026.6"."""
    from importlib.metadata import version

    return version("tzdata")


@lru_cache(maxsize=1024)
def _load(name: str) -> ZoneInfo:
    place = files("tzdata") / "zoneinfo"
    for part in name.split("/"):
        place = place / part
    with place.open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


def zone_info(name: object) -> ZoneInfo:
    """The zone of this IANA name. Raises InvalidTimezone.

    Only names that the database itself lists ever reach the file system.
    """
    if not isinstance(name, str) or len(name) > 100 or name not in zone_names():
        raise InvalidTimezone("timezone", name, "is not a time zone", _remedy(name))
    return _load(name)


def _remedy(name: object) -> str:
    if not isinstance(name, str) or not 0 < len(name) <= 100:
        return _REMEDY
    by_lower_case = {known.lower(): known for known in zone_names()}
    for text in (name, name.replace(" ", "_"), name.rsplit("/", 1)[-1].replace(" ", "_")):
        close = get_close_matches(text.lower(), by_lower_case, n=1, cutoff=0.75)
        if close:
            return f'did you mean "{by_lower_case[close[0]]}"?'
        ends = [known for known in sorted(zone_names()) if known.lower().endswith("/" + text.lower())]
        if ends:
            return f'did you mean "{ends[0]}"?'
    return _REMEDY


class Zone:
    """The offsets of one zone as whole seconds, found once per year or so and kept."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.info = zone_info(name)
        self._chunks: dict[int, tuple[Period, ...]] = {}

    def offset_at(self, second: int) -> int:
        """Seconds east of Greenwich at this second since 1970."""
        instant = _EPOCH + timedelta(seconds=min(max(second, _FIRST), _LAST))
        offset = instant.astimezone(self.info).utcoffset()
        assert offset is not None
        return round(offset.total_seconds())

    def period_at(self, second: int) -> Period:
        """The stretch that holds this second since 1970."""
        number = second // _CHUNK_SECONDS
        chunk = self._chunks.get(number)
        if chunk is None:
            chunk = self._chunks[number] = self._build(number)
        for period in chunk:
            if second < period.end:
                return period
        raise AssertionError("a chunk covers its whole time")

    def _build(self, number: int) -> tuple[Period, ...]:
        first, last = number * _CHUNK_SECONDS, (number + 1) * _CHUNK_SECONDS
        starts, offsets = [first], [self.offset_at(first)]
        at = first
        while at < last - 1:
            ahead = min(at + _PROBE_SECONDS, last - 1)
            if (offset := self.offset_at(ahead)) != offsets[-1]:
                starts.append(self._change_between(at, ahead))
                offsets.append(offset)
            at = ahead
        ends, around = [*starts[1:], last], [self.offset_at(first - 1), *offsets, self.offset_at(last)]
        return tuple(
            Period(start, end, around[i + 1], around[i], around[i + 2])
            for i, (start, end) in enumerate(zip(starts, ends, strict=True))
        )

    def _change_between(self, low: int, high: int) -> int:
        old = self.offset_at(low)
        while high - low > 1:
            middle = (low + high) // 2
            if self.offset_at(middle) == old:
                low = middle
            else:
                high = middle
        return high


@lru_cache(maxsize=1024)
def zone(name: str) -> Zone:
    """The compiled zone of this IANA name. Raises InvalidTimezone."""
    return Zone(name)
