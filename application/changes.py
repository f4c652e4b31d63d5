"""Changes of rows on their way from any thread to the event loop: one call for all that came meanwhile."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from application.ports import Change

__all__ = ["gathered"]


def gathered(changed: Callable[[Change], None]) -> Callable[[Change], None]:
    """What may be called from any thread with a change: the running loop calls ``changed`` once for all of them."""
    loop, pending, changes = asyncio.get_running_loop(), False, deque[Change]()

    def tell() -> None:
        nonlocal pending
        pending = False
        found = [changes.popleft() for _ in range(len(changes))]
        if not found:  # the call before has taken what this one was made for
            return
        dues = [change.due for change in found if change.due is not None]
        changed(Change(max(change.position for change in found), min(dues, default=None)))

    def notify(change: Change) -> None:
        nonlocal pending
        changes.append(change)
        if not pending and not loop.is_closed():
            pending = True
            loop.call_soon_threadsafe(tell)

    return notify
