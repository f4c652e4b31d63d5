"""The clock of the machine."""

from __future__ import annotations

from datetime import UTC, datetime

__all__ = ["SystemClock"]


class SystemClock:
    """Tells the machine's time (application.ports.Clock)."""

    def now(self) -> datetime:
        """The present instant (aware, UTC)."""
        return datetime.now(UTC)
