"""When a failed attempt is tried again. Returns decisions; performs nothing."""

from __future__ import annotations

from datetime import timedelta

__all__ = ["CRASHES_THAT_FAIL", "LONGEST_DELAY", "MOST_POSTPONEMENTS", "retry_delay"]

LONGEST_DELAY = timedelta(hours=6)
"""No retry waits longer than this, however many came before it."""

CRASHES_THAT_FAIL = 3
"""A run whose process died this often under it is taken to be the cause, and fails."""

MOST_POSTPONEMENTS = 6
"""How often a run may find its destinations left alone, so that nothing was sent, before that counts as a failure."""


def retry_delay(failed_attempts: int, base: timedelta) -> timedelta:
    """How long to wait after the nth failed attempt (n from 1): base x 2^(n-1), at most LONGEST_DELAY.

    With a base of 5 minutes: 5, 10, 20 minutes.
    """
    factor = 1 << min(failed_attempts - 1, 20)
    return min(base * factor, LONGEST_DELAY)
