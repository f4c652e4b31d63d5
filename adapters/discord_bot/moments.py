"""Instants and times as people type them into an option."""

from __future__ import annotations

from datetime import datetime, timedelta

from domain.draft import parse_duration
from domain.errors import InvalidInput
from domain.event import utc
from domain.phrases import parse_phrase
from domain.zone import zone_info

__all__ = ["moment"]

_REMEDY = 'write "tomorrow at 9:00", "2026-12-24 18:00", or a length such as 3d'


def moment(field: str, text: str, *, zone: str, now: datetime) -> datetime:
    """The instant (aware UTC) that is meant: a date with or without a time, ``tomorrow at 9``, or a length from now.

    What is written without an offset is wall-clock time in ``zone``; a date alone is its beginning.
    Raises InvalidInput.
    """
    typed = text.strip()
    try:
        return now + parse_duration(field, typed)
    except (InvalidInput, OverflowError):
        pass
    try:
        written = datetime.fromisoformat(typed)
        return utc(written if written.tzinfo is not None else written.replace(tzinfo=zone_info(zone)))
    except (ValueError, OverflowError):
        pass
    try:
        said = parse_phrase(f"once on {typed}", now=now - timedelta(microseconds=1), default_timezone=zone)
    except InvalidInput as error:
        raise InvalidInput(field, text, "is not understood as an instant", _REMEDY) from error
    if said.at is None:
        raise InvalidInput(field, text, "is not one instant", _REMEDY)
    return utc(said.at)
