"""The leaves of the tree over the log: what is kept to prove events, and to find the ones that were tampered with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

__all__ = ["Head", "Leaf", "Leaves"]


class Leaf(NamedTuple):
    """One event in the tree: where it stood when it was first seen, and what was hashed of it."""

    position: int
    stream: str
    version: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Head:
    """The whole log up to a position in one hash: the root over its first ``size`` events (``at``: aware UTC)."""

    size: int
    root: bytes
    position: int
    at: datetime


class Leaves(Protocol):
    """Leaves in the order of the log. Disposable: made anew from the log, but then they are those of the log as it is.

    Thread-safe. Several processes may append: what is there already is not written twice.
    """

    def size(self) -> int:
        """How many there are."""
        ...

    def last(self) -> Leaf | None:
        """The newest."""
        ...

    def append(self, first: int, leaves: Sequence[Leaf]) -> int:
        """Write leaves from number ``first`` on; where others were quicker nothing is written. Returns the new size."""
        ...

    def read(self, start: int, limit: int) -> list[Leaf]:
        """At most ``limit`` leaves from number ``start`` on (numbers start at 0)."""
        ...

    def at(self, positions: Iterable[int]) -> dict[int, Leaf]:
        """The leaves that stand for these positions; where none does there is none."""
        ...

    def index(self, position: int) -> int | None:
        """The number of the leaf that stands for a position."""
        ...

    def whole(self, start: int, end: int) -> bytes | None:
        """The hash of the tree over these leaves, where it is kept."""
        ...

    def made_at(self) -> datetime:
        """Since when these leaves are kept (aware UTC): what was changed before that, they do not show."""
        ...

    def heads(self) -> list[Head]:
        """The heads that were given to others, the oldest first."""
        ...

    def add_head(self, head: Head) -> None:
        """Remember a head that is given to others."""
        ...

    def close(self) -> None:
        """Release the file. Idempotent."""
        ...
