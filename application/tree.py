"""The Merkle tree over the log: heads, and proofs that need nothing but the head to be checked.

Leaves are appended behind the log, never on the way of a commit. They hash what is stored, sealed as it is: an event of
an erased guild still has its leaf, and every proof holds.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from functools import lru_cache
from typing import Any
from uuid import UUID

from application.ports import Clock, Head, Leaf, Leaves, Log, StoredRow
from domain.errors import InvalidInput, NotFound, StoreError
from domain.merkle import consistency_proof, inclusion_proof, leaf_entry, leaf_hash, root

__all__ = ["EventTree", "head_document", "leaf_of"]

_PAGE = 1024
_NOBODY = "00" * 16

Progress = Callable[[int, int], None]


def leaf_of(row: StoredRow) -> Leaf:
    """The leaf of a row. A row that cannot be an event has one too, which names no stream."""
    hashed = leaf_hash(leaf_entry(*row))
    try:
        sound = UUID(hex=row.stream).hex == row.stream and 0 <= row.version < 2**63
    except (AttributeError, TypeError, ValueError):
        sound = False
    return Leaf(row.position, row.stream, row.version, hashed) if sound else Leaf(row.position, _NOBODY, 0, hashed)


class EventTree:
    """The tree over one log. Raises StoreError where the log no longer holds what the newest leaf says."""

    def __init__(self, log: Log, leaves: Leaves, clock: Clock) -> None:
        self._log, self._leaves, self._clock = log, leaves, clock

    def catch_up(self, progress: Progress | None = None, *, most: int | None = None) -> int:
        """Append leaves for all that the log has more, or about so many of them; returns how many there are.

        Positions may have gaps; an event that appears behind the newest leaf later on is none that the log wrote.
        """
        last, size = self._leaves.last(), self._leaves.size()
        if last is not None:
            self._check(last)
        position, end = (last.position if last is not None else 0), self._log.last_position()
        begun = size
        while (most is None or size - begun < most) and (rows := self._log.rows(position, _PAGE)):
            new = self._leaves.append(size, [leaf_of(row) for row in rows])
            if new != size + len(rows):  # another process was quicker: go on where it has come to
                newest = self._leaves.last()
                size, position = new, newest.position if newest is not None else 0
                continue
            size, position = new, rows[-1].position
            if progress is not None:
                progress(position, max(end, position))
        return size

    def _check(self, last: Leaf) -> None:
        found = self._log.rows(last.position - 1, 1)
        if not found or leaf_of(found[0]) != last:
            raise StoreError(
                f"the log does not hold event {last.version} of stream {UUID(last.stream)} at position {last.position} "
                "as it did; `daybook audit verify` says what was changed"
            )

    def head(self, size: int | None = None) -> Head:
        """The head over the first ``size`` leaves (all, if none is given). Raises InvalidInput."""
        there = self._leaves.size()
        size = there if size is None else size
        if not 0 <= size <= there:
            raise InvalidInput("size", size, "is no size that the tree has had", f"give 0 to {there}")
        position = self._leaves.read(size - 1, 1)[0].position if size else 0
        return Head(size, root(self._known(), 0, size), position, self._clock.now())

    def inclusion(self, position: int) -> dict[str, Any]:
        """The event at a position, with all that shows it to be in the log. JSON values. Raises NotFound."""
        index = self._leaves.index(position)
        rows = self._log.rows(position - 1, 1) if index is not None else []
        if index is None or not rows or rows[0].position != position:
            raise NotFound("event", f"at position {position}")
        row, head = rows[0], self.head()
        return {
            "kind": "inclusion",
            **head_document(head),
            "index": index,
            "position": row.position,
            "stream": str(UUID(hex=row.stream)),
            "version": row.version,
            "topic": row.topic,
            "state": b64encode(row.state).decode(),
            "leaf": leaf_hash(leaf_entry(*row)).hex(),
            "proof": [step.hex() for step in inclusion_proof(self._known(), index, head.size)],
        }

    def consistency(self, old_size: int) -> dict[str, Any]:
        """What shows the log of an earlier head to be the beginning of today's. JSON values. Raises InvalidInput."""
        old, head = self.head(old_size), self.head()
        return {
            "kind": "consistency",
            **head_document(head),
            "old_size": old.size,
            "old_root": old.root.hex(),
            "proof": [step.hex() for step in consistency_proof(self._known(), old.size, head.size)],
        }

    def _known(self) -> Callable[[int, int], bytes | None]:
        @lru_cache(maxsize=8)
        def block(number: int) -> list[Leaf]:
            return self._leaves.read(number * _PAGE, _PAGE)

        def known(start: int, end: int) -> bytes | None:
            if end - start == 1:
                return block(start // _PAGE)[start % _PAGE].hash
            return self._leaves.whole(start, end)

        return known


def head_document(head: Head) -> dict[str, Any]:
    """A head as it is printed and published. JSON values."""
    return {"size": head.size, "root": head.root.hex(), "head_position": head.position, "at": head.at.isoformat()}
