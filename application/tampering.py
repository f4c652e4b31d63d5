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
    END = "end"
    FOREIGN = "foreign"
    LEAVES = "leaves"


_NO_CHANGE = (Tampering.LEAVES, Tampering.END, Tampering.FOREIGN)


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
    """``events`` were compared with their leaves, ``new`` stand behind the last leaf; heads hold, or are broken.

    The log has ``rows`` events in all. Where a broken head has more, it may as well be of a newer log than this one.
    """

    events: int
    new: int
    held: tuple[Head, ...]
    broken: tuple[Head, ...]
    findings: tuple[Finding, ...]
    more: int = 0
    rows: int = 0

    @property
    def tampered(self) -> bool:
        """Whether events are not what they were. Some may be missing at the end, as in an older copy of the log."""
        return any(one.kind not in _NO_CHANGE for one in self.findings)

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
        self._count = self._new = self._rows = self._last = 0
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
            self._rows,
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
                self._rows, self._last = self._rows + 1, row.position
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
        # Where the leaves are those of a head, what they name is what was done since.
        unnamed = [one for one in broken if self._of_leaves.get(one.size) != one.root]
        if longer := [one for one in unnamed if one.size > self._rows]:
            self._findings.append(self._end_missing(longer[-1], held))
        within = [one for one in unnamed if one.size <= self._rows]
        covered = max((one.size for one in held), default=0)
        for head in within:
            if head.size > covered:
                self._findings.append(self._changed_before(head, held))
                break
            self._findings.append(self._foreign_head(head, next(one for one in held if one.size >= head.size)))

    def _end_missing(self, head: Head, held: Sequence[Head]) -> Finding:
        """A head over more events than there are."""
        ends = f"the log ends with event {self._rows} at position {self._last}" if self._rows else "the log is empty"
        gone = head.size - self._rows
        those = "1 event is" if gone == 1 else f"{gone} events are"
        until = "no other head says whether the rest is as it was"
        if held:
            until = f"{_head(held[-1])} holds, so up to position {held[-1].position} all is as it was"
        words = (
            f"{ends}, and {_head(head)} is over {head.size} events, the last at position {head.position}: {those} "
            f"missing at the end, or this is an older copy of that log, or another log; {until}"
        )
        return Finding(Tampering.END, words, self._last + 1)

    def _foreign_head(self, head: Head, held: Head) -> Finding:
        """A head over events over which another one holds as well."""
        words = (
            f"{_head(head)} is not of this log, for {_head(held)} holds, and is over the same events: it is of another "
            "log, or was changed itself"
        )
        return Finding(Tampering.FOREIGN, words, head.position)

    def _changed_before(self, head: Head, held: Sequence[Head]) -> Finding:
        """A head over as many events as there are, or fewer, but not over these."""
        first = held[-1].position + 1 if held else 1
        what = (
            f"the event at position {first} is not what it was"
            if first == head.position
            else f"something at positions {first} to {head.position} is not what it was"
        )
        words = f"{what} when {_head(head)} was made, or that head is of another log; {self._why_unnamed()}"
        return Finding(Tampering.HEAD, words, first)

    def _why_unnamed(self) -> str:
        if self._trouble is not None:
            return "the leaves here cannot be read to say what"
        if self._leaves is None:
            return "no leaves are kept here that could say what"
        try:
            return f"the leaves here are of {self._leaves.made_at():%Y-%m-%d %H:%M} +0000 and cannot say what"
        except StoreError:
            return "the leaves here cannot say what"

    def _leaf_file_wrong(self, head: Head) -> None:
        """The log is as it was then; so whatever differs from the leaves was changed in the file of the leaves."""
        self._findings = [one for one in self._findings if one.position > head.position]
        words = (
            f"{_head(head)} holds, so up to position {head.position} the log is as it was, and the file of its leaves "
            "is not: delete that file, it is made anew"
        )
        self._findings.append(Finding(Tampering.LEAVES, words, head.position))


def _head(head: Head) -> str:
    return f"the head of {head.at:%Y-%m-%d %H:%M} +0000 (size {head.size})"


def _named(row: StoredRow) -> _Identity:
    leaf = leaf_of(row)
    return _Identity(leaf.stream, leaf.version)


def _event(identity: _Identity) -> str:
    if not identity.version:
        return "a row that is no event"
    return f"event {identity.version} of stream {UUID(hex=identity.stream)}"
