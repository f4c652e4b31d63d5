"""Destinations as people look after them: which there are, how each fares, and whether a message gets there."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Any

from application.ports import DeliveryRequest
from application.queries import ALIVE, Queries
from application.views import DeliveryView, TaskView
from domain.destination import Destination, DestinationType, delivery_key, place_of
from domain.principal import SYSTEM, Principal
from domain.summary import Summary

__all__ = ["DestinationView", "delivered_elsewhere", "destination_views", "left_to_others", "trial_request"]

RUNS_LOOKED_AT = 20
"""How many of a task's last runs are looked through for the last delivery to a destination."""

TASKS_LOOKED_AT = 1_000
"""So many tasks, those that are due next, are looked through for destinations that a process does not deliver to."""

_CONNECTED = "one that is connected to Discord (your bot, or `daybook run` with DISCORD_TOKEN)"
_DELIVERED_BY = {
    DestinationType.DISCORD_CHANNEL: _CONNECTED,
    DestinationType.DISCORD_DM: _CONNECTED,
    DestinationType.EMAIL: "one that has a mail server (DAYBOOK_SMTP_HOST)",
}


def delivered_elsewhere(kind: DestinationType) -> str:
    """That this process has no delivery for a kind of destination, and which process has."""
    return f"{kind} is not delivered to by this process, but by {_DELIVERED_BY.get(kind, 'another one')}"


def left_to_others(
    queries: Queries, undelivered: Callable[[Iterable[Destination]], Iterable[DestinationType]]
) -> str | None:
    """How many active tasks have destinations that this process does not deliver to, and what to do; None for none.

    Only those that are due next are looked at, so that this takes no longer where there are very many.
    """
    ahead = queries.definitions_ahead(TASKS_LOOKED_AT)
    kinds = Counter(kind for definition, disabled in ahead for kind in undelivered(_in_use(definition, disabled)))
    if not kinds:
        return None
    told = "; ".join(
        f"{'1 has' if count == 1 else f'{count} have'} destinations of the kind {kind}, which this process does not "
        f"deliver to: start {_DELIVERED_BY.get(kind, 'another one')}, or their results wait"
        for kind, count in kinds.items()
    )
    many = len(ahead) == TASKS_LOOKED_AT
    return f"of the {f'{TASKS_LOOKED_AT} tasks that are due next' if many else 'active tasks'} {told}"


def _in_use(definition: str, disabled: frozenset[str]) -> list[Destination]:
    """The destinations that a task delivers to."""
    places = [Destination.model_validate(place) for place in json.loads(definition).get("destinations", ())]
    return [place for place in places if place.enabled and place.key not in disabled]


@dataclass(frozen=True, slots=True)
class DestinationView:
    """One destination of one task. ``state``: on, off (not enabled) or disabled (it refused for good)."""

    task: TaskView
    destination: Destination
    state: str
    last: DeliveryView | None

    def to_dict(self) -> dict[str, Any]:
        """The same for programs. A secret target is shown by its label and its reference only."""
        return {
            "task_id": self.task.task_id,
            "task": self.task.name,
            "guild_id": self.task.guild_id,
            "key": self.destination.key,
            **self.destination.model_dump(mode="json"),
            "state": self.state,
            "last": self.last.to_dict() if self.last is not None else None,
        }


def destination_views(
    queries: Queries, *, guild_id: str | None = None, limit: int = 1000, principal: Principal = SYSTEM
) -> list[DestinationView]:
    """The destinations of the first ``limit`` tasks (by name) that have not ended, with their last deliveries."""
    tasks = queries.tasks(guild_id=guild_id, statuses=ALIVE, limit=limit, principal=principal)
    return [view for task in tasks if task.definition.destinations for view in _views_of(task, queries)]


def _views_of(task: TaskView, queries: Queries) -> list[DestinationView]:
    last: dict[str, DeliveryView] = {}
    for run in queries.runs(task_id=task.task_id, limit=RUNS_LOOKED_AT):
        for delivery in run.deliveries:
            place = place_of(delivery.destination)
            known = last.get(place)
            if known is None or delivery.at > known.at:
                last[place] = delivery
    return [
        DestinationView(task, place, _state(task, place), last.get(place.key)) for place in task.definition.destinations
    ]


def _state(task: TaskView, place: Destination) -> str:
    if not place.enabled:
        return "off"
    return "disabled" if place.key in task.disabled_destinations else "on"


def trial_request(destination: Destination, guild_id: str, *, now: datetime, timezone: str) -> DeliveryRequest:
    """A message that says it is a test. Each has a key of its own, so that each is really sent."""
    run = "test-" + blake2b(f"{guild_id}{destination.key}{now.isoformat()}".encode(), digest_size=6).hexdigest()
    summary = Summary(
        id=run,
        guild_id=guild_id,
        title="Test of a destination",
        summary_text="This is a test. Whoever reads it sees that results can arrive here; there is nothing to do.",
        start_time=now,
        end_time=now,
        created_at=now,
        engine="test",
    )
    return DeliveryRequest(
        key=delivery_key(run, destination.key),
        run_id=run,
        task_id=run,
        task_name="Test",
        guild_id=guild_id,
        destination=destination,
        summary=summary,
        slot=now,
        timezone=timezone,
    )
