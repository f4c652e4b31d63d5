"""Instants and lengths of time as people read them."""

from __future__ import annotations

from datetime import datetime, timedelta

from domain.zone import zone_info

__all__ = ["local", "relative", "seconds", "stamp"]

_UNITS = ((129_600, "d", 86_400), (5_400, "h", 3_600), (60, "min", 60))
_NEAR = timedelta(days=6)


def relative(instant: datetime, now: datetime) -> str:
    """``in 3 h``, ``12 s ago``, ``now``: one unit, the largest of which there is more than one and a half."""
    away = (instant - now).total_seconds()
    size = abs(away)
    if size < 1:
        return "now"
    text = _length(size)
    return f"in {text}" if away > 0 else f"{text} ago"


def _length(size: float) -> str:
    for least, unit, length in _UNITS:
        if size >= least:
            return f"{size / length:.0f} {unit}"
    return f"{size:.0f} s"


def local(instant: datetime, zone: str, now: datetime) -> str:
    """The time on the wall in that zone: ``Tue 09:00`` within a week, ``2026-12-24 09:00`` otherwise."""
    wall = instant.astimezone(zone_info(zone))
    near = abs(instant - now) < _NEAR
    time = f"{wall:%H:%M}" if wall.second == 0 else f"{wall:%H:%M:%S}"
    return f"{wall:%a} {time}" if near else f"{wall:%Y-%m-%d} {time}"


def stamp(instant: datetime, zone: str) -> str:
    """Date, time and offset in that zone, to the second: ``2026-11-24 09:00:00 +0100``."""
    return f"{instant.astimezone(zone_info(zone)):%Y-%m-%d %H:%M:%S %z}"


def seconds(length: float | None) -> str:
    """``0.31 s``, ``12 s``, ``3 min``; a dash for what is not known."""
    if length is None:
        return "-"
    if abs(length) < 0.0005:
        return "0 s"
    if abs(length) < 1:
        return f"{length:.3f}".rstrip("0") + " s"
    return f"{length:.1f} s" if abs(length) < 60 else _length(abs(length))
