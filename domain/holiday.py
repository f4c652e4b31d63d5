"""Public holidays by calendar name: "DE", "US-NY", "NYSE"."""

from __future__ import annotations

import re
from datetime import date
from functools import lru_cache
from importlib.metadata import version
from typing import Any

from domain.errors import InvalidSchedule

__all__ = ["Calendar", "holiday_calendar", "holiday_version"]

_NAME = re.compile(r"([A-Z]{2,5})(?:-([A-Z0-9]{1,6}))?")
_ENGLISH = "en_US"
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_REMEDY = 'name a country or region, such as "DE", "DE-BY", "US-NY", or an exchange, such as "NYSE"'


class Calendar:
    """The public holidays of one place, as day numbers (days since 1970-01-01), and its weekend (0=Monday)."""

    def __init__(self, country: str, region: str | None) -> None:
        self._country, self._region = country, region
        self._years: dict[int, frozenset[int]] = {}
        self._names: dict[int, dict[date, str]] = {}
        self.weekend: frozenset[int] = frozenset(self._load(2026).weekend)

    def _load(self, year: int, language: str | None = None) -> Any:
        import holidays

        asked: dict[str, Any] = {"years": year, "expand": False, "language": language}
        try:
            return holidays.country_holidays(self._country, subdiv=self._region, **asked)
        except NotImplementedError:
            if self._region is not None:
                raise
            return holidays.financial_holidays(self._country, **asked)

    def days(self, year: int) -> frozenset[int]:
        """The holidays of a year; none for years that nothing is known of (as a rule before 1950 and after 2100)."""
        found = self._years.get(year)
        if found is None:
            dates = self._load(year) if 1900 <= year <= 2200 else ()
            found = self._years[year] = frozenset(day.toordinal() - _EPOCH_ORDINAL for day in dates if day.year == year)
        return found

    def name_of(self, day: date) -> str | None:
        """What a holiday is called in English, else in the place's own language; None for a day that is none."""
        if day.toordinal() - _EPOCH_ORDINAL not in self.days(day.year):
            return None
        if day.year not in self._names:
            found = self._load(day.year)
            # Left open, the language would be that of the environment.
            language = _ENGLISH if _ENGLISH in found.supported_languages else found.default_language
            self._names[day.year] = dict(self._load(day.year, language))
        return self._names[day.year].get(day)


def holiday_calendar(name: object) -> Calendar:
    """The calendar of this name. Raises InvalidSchedule."""
    match = _NAME.fullmatch(name.upper()) if isinstance(name, str) and len(name) <= 12 and name.isascii() else None
    if match is None:
        raise InvalidSchedule("holidays", name, "is not the name of a holiday calendar", _REMEDY)
    return _calendar(match[1], match[2], name)


@lru_cache(maxsize=256)
def _calendar(country: str, region: str | None, name: object) -> Calendar:
    try:
        return Calendar(country, region)
    except (NotImplementedError, AttributeError, TypeError, ValueError, ImportError):
        raise InvalidSchedule("holidays", name, "is not a known holiday calendar", _REMEDY) from None


@lru_cache(maxsize=1)
def holiday_version() -> str:
    """The version of the holiday data, such as "0.109"."""
    return version("holidays")
