"""Whether events stand where they were written: the leaves say which event each position held.

What seals an event is bound to its stream and its number, and not to its position. Whoever asks what came before a
position relies on that, and so asks the leaves about the events on both sides of it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from uuid import UUID

from application.ports import Leaves, Standing
from domain.errors import EventMoved, StoreError

__all__ = ["Placement"]

_log = logging.getLogger(__name__)


class Placement:
    """Holds positions of events against the leaves, as far as there are any."""

    def __init__(self, leaves: Leaves | None) -> None:
        self._leaves = leaves

    def moved(self, stands: Mapping[UUID, Iterable[Standing]]) -> dict[UUID, EventMoved]:
        """By stream, the first of these events that stands where another one was written, or none.

        Leaves that cannot be read say nothing: they are no part of the log, and `verify` tells of them.
        """
        asked = {stream_id: [one for one in events if one.position] for stream_id, events in stands.items()}
        if self._leaves is None or not any(asked.values()):
            return {}
        try:
            last = self._leaves.last()
            end = last.position if last is not None else 0
            written = self._leaves.at({one.position for events in asked.values() for one in events})
        except StoreError as error:
            _log.warning("positions_not_checked", extra={"reason": str(error)})
            return {}
        found: dict[UUID, EventMoved] = {}
        for stream_id, events in asked.items():
            for version, position in events:
                leaf = written.get(position)
                if position <= end and (leaf is None or leaf[1:3] != (stream_id.hex, version)):
                    found.setdefault(stream_id, EventMoved(stream_id, version, position))
        return found
