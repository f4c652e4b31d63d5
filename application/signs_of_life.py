"""When the log shows that a process was alive, where no presence is known of it: in a restored backup, say."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime

from application.ports import Log, Recorded
from domain import task_events as facts
from domain.node import NodeStarted

__all__ = ["MOST_EVENTS", "last_signs", "signs_of_life"]

PAGE = 1000

MOST_EVENTS = 20_000
"""How many of the newest events are looked through: seconds at most, in a log of any size."""


def signs_of_life(events: Iterable[Recorded]) -> dict[str, datetime]:
    """By node the latest instant at which it wrote one of these events itself.

    Only what a node alone writes counts. Commands of people, slots skipped and cleanups come from whatever process has
    the store open; and an owner's attempt is also closed by others: as interrupted, as skipped when its task is over,
    or as failed by the last of its crashes.
    """
    found: dict[str, datetime] = {}
    for _, event in events:
        match event:
            case NodeStarted(node=node):
                pass
            case facts.Failed(what="crash"):
                continue
            case (
                facts.Started(owner=node)
                | facts.DeliveryStarted(owner=node)
                | facts.Executed(owner=node)
                | facts.Failed(owner=node)
            ):
                pass
            case _:
                continue
        found[node] = max(found.get(node, event.timestamp), event.timestamp)
    return found


def last_signs(log: Log, nodes: Collection[str]) -> dict[str, datetime]:
    """The last sign of life of each node, from the newest of the log's events back until all are found.

    Those without any among the newest MOST_EVENTS are left out.
    """
    found: dict[str, datetime] = {}
    end = log.last_position()
    oldest = max(0, end - MOST_EVENTS)
    while end > oldest and not found.keys() >= set(nodes):
        start = max(oldest, end - PAGE)
        page = [recorded for recorded in log.read(start, end - start) if recorded.position <= end]
        found = signs_of_life(page) | found  # what is newer stands
        end = start
    return {node: at for node, at in found.items() if node in nodes}
