"""Why something did not happen, or did not come to its end."""

from __future__ import annotations

from domain.choice import Choice

__all__ = ["InterruptionReason", "SkipReason"]


class SkipReason(Choice):
    """Why a slot did not run, or a started run was closed without a result."""

    QUIET = "quiet"
    OVERLAP = "overlap"
    PAUSED = "paused"
    DISABLED = "disabled"
    MISSED = "missed"
    EXCLUDED = "excluded"
    REQUESTED = "requested"
    CANCELLED = "cancelled"
    QUOTA = "quota"


class InterruptionReason(Choice):
    """Why an attempt ended without an outcome: its process died, drained, or lost its lease."""

    CRASH = "crash"
    SHUTDOWN = "shutdown"
    LEASE_LOST = "lease_lost"
