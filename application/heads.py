"""Publishing heads: the tree kept up behind the log, and its head as a result that any destination can be given."""

from __future__ import annotations

import asyncio
import json
import logging
from datetime import datetime
from typing import Any

from application.ports import Clock, Head, Leaves, Log
from application.tree import EventTree, head_document
from application.work import Work
from domain.errors import StoreError
from domain.event import utc
from domain.summary import Summary

__all__ = ["KEEP_UP_SECONDS", "PUBLISH_HEAD", "HeadPublisher", "heads_in"]

PUBLISH_HEAD = "publish-head"
"""The operation of a custom task that publishes the head of the log."""

KEEP_UP_SECONDS = 20
MOST_AT_ONCE = 50_000
"""So many leaves are made at most at each ring: a burst of runs goes first."""

_log = logging.getLogger(__name__)


class HeadPublisher:
    """Keeps the tree of one process up, and makes its heads."""

    def __init__(self, log: Log, leaves: Leaves, clock: Clock) -> None:
        self._leaves, self._clock = leaves, clock
        self._tree = EventTree(log, leaves, clock)

    async def keep_up(self) -> None:
        """Append leaves for what was written meanwhile. Trouble is logged: it must not stop a service."""
        try:
            await asyncio.to_thread(self._tree.catch_up, most=MOST_AT_ONCE)
        except StoreError as error:
            _log.error("leaves_not_kept_up", extra={"reason": str(error)})

    async def publish(self, work: Work) -> Summary:
        """The head of all that is written now, and the proof that it goes on from the one before it."""
        document = await asyncio.to_thread(self._document)
        line = f"{document['size']} events, the last at position {document['head_position']}: root {document['root']}"
        text = json.dumps(document, separators=(",", ":"))
        return Summary(
            id=work.attempt.run,
            guild_id=work.guild_id,
            title=work.definition.name,
            summary_text=f"{line}\n\n{text}",
            markdown=f"**{line}**\n\n```json\n{text}\n```",
            start_time=work.attempt.since,
            end_time=work.attempt.instant,
            created_at=self._clock.now(),
            engine=PUBLISH_HEAD,
            notice=f"head {document['size']} {document['root']}",
        )

    def _document(self) -> dict[str, Any]:
        self._tree.catch_up()
        head = self._tree.head()
        before = [one for one in self._leaves.heads() if one.size <= head.size]
        document: dict[str, Any] = {"kind": "head", **head_document(head)}
        if before:
            proof = self._tree.consistency(before[-1].size)
            # Of the earlier head as it was given to others: where the log was changed since, the proof does not hold.
            document |= {"old_size": before[-1].size, "old_root": before[-1].root.hex(), "proof": proof["proof"]}
        self._leaves.add_head(head)
        return document


def heads_in(text: str) -> list[Head]:
    """Every head that a text holds: one that was printed, saved or published, in whatever surrounds it."""
    found: dict[tuple[int, bytes], Head] = {}
    _collect(text, found)
    return sorted(found.values(), key=lambda head: head.size)


def _collect(value: Any, found: dict[tuple[int, bytes], Head]) -> None:
    match value:
        case {"size": int(size), "root": str(root), "head_position": int(position), "at": str(at)}:
            try:
                head = Head(size, bytes.fromhex(root), position, utc(datetime.fromisoformat(at)))
            except ValueError:
                return
            found[size, head.root] = head
        case dict():
            for inner in value.values():
                _collect(inner, found)
        case list():
            for inner in value:
                _collect(inner, found)
        case str() if "{" in value:
            decoder, start = json.JSONDecoder(), value.find("{")
            while start >= 0:
                try:
                    inner, end = decoder.raw_decode(value, start)
                except ValueError:
                    end = start + 1
                else:
                    _collect(inner, found)
                start = value.find("{", end)
