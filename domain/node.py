"""A running process's own small stream, so that the log knows when nothing was up."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import ClassVar
from uuid import NAMESPACE_OID, UUID, uuid5

from eventsourcing.domain import BaseAggregate, CanInitAggregate

from domain.errors import Refused
from domain.event import Event, Text, Utc

__all__ = ["Node", "NodeLearned", "NodeLost", "NodeStarted", "NodeStopped", "node_stream"]

_NAMESPACE = uuid5(NAMESPACE_OID, "daybook.node")


def node_stream(name: str) -> UUID:
    """The stream of a node."""
    return uuid5(_NAMESPACE, name)


class NodeEvent(Event):
    """A fact of one node."""

    def apply(self, node: Node) -> None:
        """Move the state of the node."""


class NodeStarted(NodeEvent, CanInitAggregate[UUID]):
    """A process began to serve. ``rules`` spells out the calendar rules that it decides by.

    ``operations`` are the custom operations that it knew: it claims no others. Older events do not say (None).
    """

    topic: ClassVar[str] = "node.started"
    originator_topic: ClassVar[str] = "node"  # type: ignore[misc]  # the class is known by the topic, not by a path

    node: str
    host: str
    pid: int
    version: str
    rules: str
    operations: tuple[Text, ...] | None = None

    def mutate(self, aggregate: None) -> Node:  # type: ignore[override]
        """The node as it begins."""
        node = Node.__new__(Node)
        node.__base_init__(self.originator_id, self.originator_version, self.timestamp)
        node.name, node.ended_at = self.node, None
        return node


class NodeLearned(NodeEvent):
    """The process came to know other custom operations while it served: all that it knows from here on."""

    topic: ClassVar[str] = "node.learned"

    node: str
    operations: tuple[Text, ...]


class NodeStopped(NodeEvent):
    """The process ended its work in good order."""

    topic: ClassVar[str] = "node.stopped"

    node: str
    interrupted_runs: int = 0

    def apply(self, node: Node) -> None:
        node.ended_at = self.timestamp


class NodeLost(NodeEvent):
    """Another process found this one dead. It was last seen alive at ``last_seen``."""

    topic: ClassVar[str] = "node.lost"

    node: str
    last_seen: Utc
    noticed_by: str

    def apply(self, node: Node) -> None:
        node.ended_at = self.last_seen


class Node(BaseAggregate[UUID]):
    """One running process, from start to end."""

    Event = NodeEvent
    NodeStarted = NodeStarted

    guild_id = ""
    name: str
    ended_at: datetime | None

    @classmethod
    def start(
        cls,
        name: str,
        *,
        now: datetime,
        host: str,
        pid: int,
        version: str,
        rules: str,
        operations: Iterable[str] | None = None,
    ) -> Node:
        """A node that begins to serve, and the custom operations that it knows."""
        started = NodeStarted(
            originator_id=node_stream(name),
            originator_version=1,
            timestamp=now,
            node=name,
            host=host,
            pid=pid,
            version=version,
            rules=rules,
            operations=tuple(sorted(operations)) if operations is not None else None,
        )
        node = started.mutate(None)
        node.pending_events.append(started)
        return node

    def learn(self, operations: Iterable[str], *, now: datetime) -> None:
        """Know these custom operations from here on."""
        self._check_running()
        self.trigger_event(NodeLearned, timestamp=now, node=self.name, operations=tuple(sorted(operations)))

    def stop(self, *, now: datetime, interrupted_runs: int = 0) -> None:
        """End in good order."""
        self._check_running()
        self.trigger_event(NodeStopped, timestamp=now, node=self.name, interrupted_runs=interrupted_runs)

    def lose(self, *, now: datetime, last_seen: datetime, noticed_by: str) -> None:
        """Write down that the process is dead."""
        self._check_running()
        self.trigger_event(NodeLost, timestamp=now, node=self.name, last_seen=last_seen, noticed_by=noticed_by)

    def _check_running(self) -> None:
        if self.ended_at is not None:
            raise Refused(self.name, "has ended already")
