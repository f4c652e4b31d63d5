"""Zones, their names and their data."""

from __future__ import annotations

import struct
from importlib.resources import files
from itertools import pairwise

import pytest

from domain.errors import InvalidTimezone
from domain.zone import zone, zone_info, zone_names, zone_version


def recorded_changes(data: bytes) -> tuple[int, ...]:
    """The seconds since 1970 at which a TZif file (RFC 9636) says that something changes, from its 64-bit block."""

    def counts(at: int) -> tuple[int, ...]:
        return struct.unpack(">6l", data[at + 20 : at + 44])

    utc, std, leap, times, kinds, letters = counts(0)
    second = 44 + times * 5 + kinds * 6 + letters + leap * 8 + std + utc
    number = counts(second)[3]
    return struct.unpack(f">{number}q", data[second + 44 : second + 44 + 8 * number])


def test_no_zone_changes_twice_within_two_days() -> None:
    """Zones are probed once a day; two changes within a day could hide from that."""
    close = {}
    for name in zone_names():
        place = files("tzdata") / "zoneinfo"
        for part in name.split("/"):
            place = place / part
        changes = [second for second in recorded_changes(place.read_bytes()) if second > -(1 << 40)]
        if any(later - earlier < 2 * 86_400 for earlier, later in pairwise(changes)):
            close[name] = changes
    assert close == {}


def test_a_change_is_found_to_the_second() -> None:
    """New York went to daylight time at 07:00 UTC on 8 March 2026."""
    change = 1_772_953_200
    before, after = zone("America/New_York").period_at(change - 1), zone("America/New_York").period_at(change)
    assert (before.end, before.offset, before.after) == (change, -18_000, -14_400)
    assert (after.start, after.offset, after.before) == (change, -14_400, -18_000)


def test_all_zones_of_the_database_load() -> None:
    """Every listed name has data of its own."""
    assert len(zone_names()) > 500
    assert {zone_info(name).key for name in zone_names()} == set(zone_names())


def test_the_version_is_that_of_the_package() -> None:
    """The package numbers its releases by year."""
    assert int(zone_version().split(".")[0]) >= 2025


@pytest.mark.parametrize(
    "name", ["America", "America/New_York/", "../UTC", "UTC\0", "utc", "zones", "tzdata.zi", None, b"UTC"]
)
def test_only_listed_names_reach_the_file_system(name: object) -> None:
    """Folders, other files and other spellings are no zones."""
    with pytest.raises(InvalidTimezone):
        zone_info(name)
