"""What people are told with every answer while events cannot be read: that it may not be the whole truth."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adapters.cli import show

if TYPE_CHECKING:
    from application.queries import Queries

__all__ = ["warn_of_the_unreadable"]


def warn_of_the_unreadable(queries: Queries) -> None:
    """Say on standard error how much cannot be read or is missing, if anything."""
    if not (unreadable := queries.unreadable()):
        return
    count, streams = sum(unreadable.values()), len(unreadable)
    events = "1 event cannot be read, or is missing" if count == 1 else f"{count} events cannot be read, or are missing"
    of = f" (of {streams} streams)" if streams > 1 else ""
    show.note(f"warning: {events}{of}: this is what the others say. `daybook verify` says which, and what to do")
