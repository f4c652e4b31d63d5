"""What was changed in the log behind Daybook's back: found by its heads, and named by its leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from application.ports import BEFORE_ALL, Head, Leaf, Leaves, Log, StoredRow
from application.tree import leaf_of
from domain.errors import StoreError
from domain.merkle import Roots

__all__ = ["Finding", "Tampering", "Verdict", "verify_log"]

_PAGE = 1024
MOST_NAMED = 10_000
"""So many findings are listed; the others are counted."""


class Tampering(StrEnum):
    """What was done."""

    CHANGED = "changed"
    REMOVED = "removed"
    INSERTED = "inserted"
    MOVED = "moved"
    REPLACED = "replaced"
    HEAD = "head"
    LEAVES = "leaves"


@dataclass(frozen=True, slots=True)
class Finding:
    """One event that is not what it was, or a range in which one is. ``stream`` is empty where it is unknown."""

    kind: Tampering
    words: str
    position: int
    stream: str = ""
    version: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """``events`` were compared with their leaves, ``new`` stand behind the last leaf; heads hold, or are broken."""

    events: int
    new: int
    held: tuple[Head, ...]
    broken: tuple[Head, ...]
    findings: tuple[Finding, ...]
    more: int = 0

    @property
    def intact(self) -> bool:
        """Whether the log is as it was. A leaf file that was damaged is a finding, and yet no change of the log."""
        return not self.broken and all(one.kind is Tampering.LEAVES for one in self.findings)


class _Identity(NamedTuple):
    stream: str
    version: int


def verify_log(
    log: Log, leaves: Leaves | None, heads: Sequence[Head], progress: Callable[[int, int], None] | None = None
) -> Verdict:
    """Compare every event with its leaf, where leaves are kept, and the log with every head that was published."""
    return _Comparison(log, leaves, heads, progress).verdict()


class _Comparison:
    def __init__(
        self, log: Log, leaves: Leaves | None, heads: Sequence[Head], progress: Callable[[int, int], None] | None
    ) -> None:
        self._log, self._leaves, self._progress = log, leaves, progress
        self._heads = sorted(heads, key=lambda head: head.size)
        self._trouble: StoreError | None = None
        self._size = self._leaf_count()
        self._findings: list[Finding] = []
        self._missing: dict[_Identity, Leaf] = {}
        self._foreign: dict[_Identity, StoredRow] = {}
        self._behind: dict[_Identity, StoredRow] = {}
        self._count = self._new = 0
        # Roots over what the log and what the leaf file hold, at the size of each head.
        self._of_log: dict[int, bytes] = {}
        self._of_leaves: dict[int, bytes] = {}

    def _leaf_count(self) -> int:
        if self._leaves is None:
            return 0
        try:
            return self._leaves.size()
        except StoreError as error:
            self._trouble = error
            return 0

    def verdict(self) -> Verdict:
        """Read both once, side by side."""
        self._compare()
        if self._trouble is None:
            self._name_moved()
        else:
            self._leaves, self._size, self._of_leaves = None, 0, {}
            words = f"the leaves cannot be read, and say nothing of this log: {self._trouble}"
            self._findings = [Finding(Tampering.LEAVES, words, 0)]
        held: list[Head] = []
        broken: list[Head] = []
        for head in self._heads:
            (held if self._of_log.get(head.size) == head.root else broken).append(head)
        self._judge_leaves(held, broken)
        found = sorted(self._findings, key=lambda one: (one.position, one.kind))
        return Verdict(
            self._count,
            self._new,
            tuple(held),
            tuple(broken),
            tuple(found[:MOST_NAMED]),
            max(len(found) - MOST_NAMED, 0),
        )

    # --- reading ---

    def _compare(self) -> None:
        sizes = {head.size for head in self._heads}
        in_log, in_leaves = Roots(), Roots()
        self._note(in_log, sizes, self._of_log)
        self._note(in_leaves, sizes, self._of_leaves)
        rows, leaves = self._all_rows(), self._all_leaves()
        row, leaf = next(rows, None), next(leaves, None)
        while row is not None or leaf is not None:
            if row is not None and (leaf is None or row.position <= leaf.position):
                in_log.add(leaf_of(row).hash)
                self._note(in_log, sizes, self._of_log)
            if leaf is not None and (row is None or leaf.position <= row.position):
                in_leaves.add(leaf.hash)
                self._note(in_leaves, sizes, self._of_leaves)
            row, leaf = self._matched(row, leaf, rows, leaves)

    def _matched(
        self, row: StoredRow | None, leaf: Leaf | None, rows: Iterator[StoredRow], leaves: Iterator[Leaf]
    ) -> tuple[StoredRow | None, Leaf | None]:
        """What comes next of both, after the one that stands first was looked at."""
        if row is None or (leaf is not None and leaf.position < row.position):
            assert leaf is not None
            self._missing[_Identity(leaf.stream, leaf.version)] = leaf
            return row, next(leaves, None)
        if leaf is None:
            self._new += 1
            if self._missing and len(self._behind) < MOST_NAMED:
                self._behind[_named(row)] = row
            return next(rows, None), None
        if row.position < leaf.position:
            self._foreign[_named(row)] = row
            return next(rows, None), leaf
        self._count += 1
        if leaf_of(row) != leaf:
            self._differs(row, leaf)
        return next(rows, None), next(leaves, None)

    def _differs(self, row: StoredRow, leaf: Leaf) -> None:
        stands, stood = _named(row), _Identity(leaf.stream, leaf.version)
        if stands == stood:
            words = f"{_event(stood)} at position {leaf.position} was changed"
            self._findings.append(Finding(Tampering.CHANGED, words, leaf.position, *stood))
            return
        self._missing[stood] = leaf
        self._foreign[stands] = row

    def _note(self, roots: Roots, sizes: set[int], noted: dict[int, bytes]) -> None:
        if roots.size in sizes:
            noted[roots.size] = roots.root()

    def _all_rows(self) -> Iterator[StoredRow]:
        position, end = BEFORE_ALL, self._log.last_position()
        while page := self._log.rows(position, _PAGE):
            yield from page
            position = page[-1].position
            if self._progress is not None:
                self._progress(position, max(end, position))

    def _all_leaves(self) -> Iterator[Leaf]:
        if self._leaves is None:
            return
        for start in range(0, self._size, _PAGE):
            try:
                page = self._leaves.read(start, min(_PAGE, self._size - start))
            except StoreError as error:
                self._trouble = error
                return
            yield from page

    # --- naming ---

    def _name_moved(self) -> None:
        """What is missing in one place and stands in another was moved; the rest was removed, inserted or replaced."""
        replaced = {row.position: identity for identity, row in self._foreign.items()}
        for stood, leaf in self._missing.items():
            row = self._foreign.get(stood) or self._behind.get(stood)
            if row is not None:
                changed = "" if leaf_of(row._replace(position=leaf.position)) == leaf else " and changed"
                words = f"{_event(stood)} was moved from position {leaf.position} to {row.position}{changed}"
                self._findings.append(Finding(Tampering.MOVED, words, leaf.position, *stood))
            elif (other := replaced.get(leaf.position)) is not None:
                words = f"{_event(stood)} at position {leaf.position} was replaced: {_event(other)} stands there"
                self._findings.append(Finding(Tampering.REPLACED, words, leaf.position, *stood))
            else:
                words = f"{_event(stood)} was removed from position {leaf.position}"
                self._findings.append(Finding(Tampering.REMOVED, words, leaf.position, *stood))
        taken = {leaf.position for leaf in self._missing.values()}
        for stands, row in self._foreign.items():
            if stands not in self._missing and row.position not in taken:
                words = f"{_event(stands)} was inserted at position {row.position}"
                self._findings.append(Finding(Tampering.INSERTED, words, row.position, *stands))

    def _judge_leaves(self, held: Sequence[Head], broken: Sequence[Head]) -> None:
        """Where a head and the leaves disagree, the leaves were changed as well: then only the range is known."""
        for head in held:
            if head.size <= self._size and self._of_leaves.get(head.size) != head.root:
                self._leaf_file_wrong(head)
                return
        for head in broken:
            if self._of_leaves.get(head.size) == head.root:
                continue  # the leaves are those of the head, so that what they name is what was done
            before = max((one for one in held if one.size < head.size), key=lambda one: one.size, default=None)
            first = before.position + 1 if before is not None else 1
            words = (
                f"something at positions {first} to {head.position} is not what it was when the head of "
                f"{head.at:%Y-%m-%d %H:%M} +0000 was published; {self._why_unnamed()}"
            )
            self._findings.append(Finding(Tampering.HEAD, words, first))
            return

    def _why_unnamed(self) -> str:
        if self._leaves is None:
            return "no leaves are kept here that could say what"
        try:
            return f"the leaves here are of {self._leaves.made_at():%Y-%m-%d %H:%M} +0000 and cannot say what"
        except StoreError:
            return "the leaves here cannot say what"

    def _leaf_file_wrong(self, head: Head) -> None:
        """The log is as published; so whatever differs from the leaves was changed in the file of the leaves."""
        self._findings = [one for one in self._findings if one.position > head.position]
        words = f"the log is as it was published, and the file of its leaves is not (up to position {head.position})"
        self._findings.append(Finding(Tampering.LEAVES, f"{words}; delete that file, it is made anew", head.position))


def _named(row: StoredRow) -> _Identity:
    leaf = leaf_of(row)
    return _Identity(leaf.stream, leaf.version)


def _event(identity: _Identity) -> str:
    if not identity.version:
        return "a row that is no event"
    return f"event {identity.version} of stream {UUID(hex=identity.stream)}"
