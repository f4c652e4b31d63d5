"""Publishing heads: the tree kept up behind the log, and its head as a result that any destination can be given.

What was published is noted in the log, sealed as all of it: the file of leaves may be lost, and the heads are not.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from application.ports import Clock, Head, Leaves, Log, Recorded, StoredRow
from application.tree import EventTree, head_document
from application.work import Work
from domain.errors import StoreError
from domain.event import utc
from domain.guild_imports import HistoryImported
from domain.summary import Summary
from domain.task_events import Created, Executed, Revised

__all__ = ["KEEP_UP_SECONDS", "PUBLISH_HEAD", "HeadPublisher", "heads_in", "known_heads", "published_heads"]

PUBLISH_HEAD = "publish-head"
"""The operation of a custom task that publishes the head of the log."""

KEEP_UP_SECONDS = 5
MOST_AT_ONCE = 5_000
"""So many leaves are made at most for each ring, a tenth of a second of work: what is due goes first."""

MOST_PUT_OFF = 11
"""So many rings in a row at most find no time for leaves: they are made once a minute then."""

_PAGE = 1000
_NOTE = re.compile(r"\bhead (\d{1,18}) ([0-9a-f]{64})(?: at position (\d{1,18}))?")

_log = logging.getLogger(__name__)


class HeadPublisher:
    """Keeps the tree of one process up, and makes its heads."""

    def __init__(self, log: Log, leaves: Leaves, clock: Clock, idle: Callable[[], bool]) -> None:
        self._log, self._leaves, self._clock, self._idle = log, leaves, clock, idle
        self._tree = EventTree(log, leaves, clock)
        self._put_off = 0

    async def keep_up(self) -> None:
        """Append leaves for what was written meanwhile; where much is being written, later, but not for long.

        Trouble is logged: it must not stop a service.
        """
        if not self._idle() and self._put_off < MOST_PUT_OFF:
            self._put_off += 1
            return
        rings, self._put_off = self._put_off + 1, 0
        try:
            await asyncio.to_thread(self._tree.catch_up, most=MOST_AT_ONCE * rings)
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
            notice=f"head {document['size']} {document['root']} at position {document['head_position']}",
        )

    def _document(self) -> dict[str, Any]:
        self._tree.catch_up()
        head = self._tree.head()
        before = [one for one in self._heads() if one.size <= head.size]
        document: dict[str, Any] = {"kind": "head", **head_document(head)}
        if before:
            proof = self._tree.consistency(before[-1].size)
            # Of the earlier head as it was given to others: where the log was changed since, the proof does not hold.
            document |= {"old_size": before[-1].size, "old_root": before[-1].root.hex(), "proof": proof["proof"]}
        self._leaves.add_head(head)
        return document

    def _heads(self) -> list[Head]:
        """Those that were given to others; where the file of leaves was lost, as the log says."""
        if heads := self._leaves.heads():
            return heads
        for head in (published := published_heads(self._log)):
            self._leaves.add_head(head)
        return published


def known_heads(log: Log, leaves: Leaves | None, given: Iterable[Head] = ()) -> list[Head]:
    """Every head there is to compare the log with: shown, published, and ``given`` by whoever kept them elsewhere.

    Those that stand in a file of leaves, or a log, that cannot be read are left out.
    """
    shown = _read(leaves.heads) if leaves is not None else []
    known = {(head.size, head.root): head for head in (*_read(lambda: published_heads(log)), *shown, *given)}
    return sorted(known.values(), key=lambda head: head.size)


def _read(heads: Callable[[], list[Head]]) -> list[Head]:
    try:
        return heads()
    except StoreError as error:
        _log.warning("heads_not_read", extra={"reason": str(error)})
        return []


def published_heads(log: Log) -> list[Head]:
    """The heads that the log itself notes as published, the smallest first.

    Those from before the last import of a history are left out: they may be of the log that it came from. Every later
    head vouches for what stands before it.
    """
    created: dict[UUID, int] = {}
    publishing: set[UUID] = set()
    imported = 0
    for row in _rows(log):
        if row.topic == HistoryImported.topic:
            imported = row.position
        elif row.topic not in (Created.topic, Revised.topic) or (stream_id := _stream_of(row)) is None:
            continue
        elif row.topic == Created.topic:
            created[stream_id] = row.position
        elif stream_id not in publishing and _publishes(_event(log, stream_id, row.version)):
            publishing.add(stream_id)
    publishing |= _created_to_publish(log, created)
    heads = {(head.size, head.root): head for stream_id in publishing for head in _noted(log, stream_id, imported)}
    return sorted(heads.values(), key=lambda head: head.size)


def _rows(log: Log) -> Iterator[StoredRow]:
    position = 0
    while page := log.rows(position, _PAGE):
        yield from page
        position = page[-1].position


def _created_to_publish(log: Log, created: Mapping[UUID, int]) -> set[UUID]:
    """The streams that publish heads from their first event on, which stands at this position."""
    found: set[UUID] = set()
    streams = list(created)
    for start in range(0, len(streams), _PAGE):
        page = streams[start : start + _PAGE]
        try:
            # Of a stream that was just created one event is loaded: many take one query.
            loaded = log.load_at({stream_id: created[stream_id] for stream_id in page})
            first = {stream_id: then.events or _event(log, stream_id, 1) for stream_id, then in loaded.items()}
            found |= {stream_id for stream_id, events in first.items() if _publishes(events)}
        except StoreError:  # one that is damaged must not hide the others
            found |= {stream_id for stream_id in page if _publishes(_event(log, stream_id, 1))}
    return found


def _event(log: Log, stream_id: UUID, version: int) -> Sequence[Recorded]:
    try:
        return log.stream(stream_id, after_version=version - 1, limit=1)
    except StoreError:
        return ()  # a damaged row, of which `verify` tells


def _stream_of(row: StoredRow) -> UUID | None:
    try:
        return UUID(hex=row.stream) if row.version > 0 else None
    except (ValueError, TypeError, AttributeError):
        return None


def _publishes(events: Sequence[Recorded]) -> bool:
    """Whether one of these defines a task that publishes heads."""
    defined = (getattr(one.event, "definition", None) for one in events)
    return any(getattr(definition, "operation", None) == PUBLISH_HEAD for definition in defined)


def _noted(log: Log, stream_id: UUID, after: int) -> Iterator[Head]:
    for position, event in log.stream(stream_id):
        if position > after and isinstance(event, Executed) and (noted := _NOTE.search(event.note or "")):
            size, root, last = noted.groups()
            # Positions are the numbers of events, but for gaps on PostgreSQL: older notes do not say more.
            yield Head(int(size), bytes.fromhex(root), int(last or size), event.timestamp)


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
