"""A Merkle tree as RFC 6962 defines it, and how an event becomes a leaf of it. Pure arithmetic over hashes.

The tree over n leaves splits at the largest power of two below n. Leaves and inner nodes are hashed with different
prefixes, so that neither can be passed off as the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256

__all__ = [
    "EMPTY_ROOT",
    "Roots",
    "consistency_proof",
    "inclusion_proof",
    "leaf_entry",
    "leaf_hash",
    "node_hash",
    "root",
    "verify_consistency",
    "verify_inclusion",
]

EMPTY_ROOT = sha256(b"").digest()

Known = Callable[[int, int], bytes | None]
"""The hash of the tree over the leaves from one number up to, and without, another; None where it must be computed.

That of a single leaf must be known.
"""


def leaf_entry(position: int, stream: str, version: int, topic: str, state: bytes) -> bytes:
    """What is hashed of an event: every column as it is stored, so that no key is needed to prove or to check it.

    ``daybook event 1\\n``, the position in 8 bytes, the stream's id in 16, the version in 8, the topic and the sealed
    state each after its length in 4; numbers are big-endian. Columns of a damaged row may hold anything: such a row
    becomes an entry that no sound row has.
    """
    try:
        if not isinstance(state, bytes):
            raise TypeError("not sealed")
        named = topic.encode()
        return b"".join(
            (
                b"daybook event 1\n",
                position.to_bytes(8, "big"),
                _stream_bytes(stream),
                version.to_bytes(8, "big"),
                len(named).to_bytes(4, "big"),
                named,
                len(state).to_bytes(4, "big"),
                state,
            )
        )
    except (AttributeError, OverflowError, TypeError, ValueError):
        return b"daybook damaged row\n" + repr((position, stream, version, topic, state)).encode("utf-8", "replace")


def _stream_bytes(stream: str) -> bytes:
    raw = bytes.fromhex(stream)
    if len(raw) != 16 or raw.hex() != stream:
        raise ValueError("not the id of a stream")
    return raw


def leaf_hash(entry: bytes) -> bytes:
    """The hash of a leaf."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node."""
    return sha256(b"\x01" + left + right).digest()


def root(known: Known, start: int, end: int) -> bytes:
    """The hash of the tree over the leaves ``start`` up to, and without, ``end``."""
    if start == end:
        return EMPTY_ROOT
    found = known(start, end)
    if found is not None:
        return found
    middle = start + _split(end - start)
    return node_hash(root(known, start, middle), root(known, middle, end))


def _split(size: int) -> int:
    """The largest power of two below ``size``."""
    return 1 << ((size - 1).bit_length() - 1)


def inclusion_proof(known: Known, index: int, size: int) -> list[bytes]:
    """The hashes that lead from the leaf number ``index`` to the root of the first ``size`` leaves."""
    if not 0 <= index < size:
        raise ValueError(f"leaf {index} is not among the first {size}")
    proof, start, end = [], 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            proof.append(root(known, middle, end))
            end = middle
        else:
            proof.append(root(known, start, middle))
            start = middle
    return proof[::-1]


def consistency_proof(known: Known, old: int, new: int) -> list[bytes]:
    """The hashes that show the first ``old`` leaves to be the beginning of the first ``new``."""
    if not 0 <= old <= new:
        raise ValueError(f"{old} leaves are no beginning of {new}")
    if old in (0, new):
        return []
    proof, start, end, whole = [], 0, new, True
    while old != end:
        middle = start + _split(end - start)
        if old <= middle:
            proof.append(root(known, middle, end))
            end = middle
        else:
            proof.append(root(known, start, middle))
            start, whole = middle, False
    return [*([] if whole else [root(known, start, end)]), *reversed(proof)]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], head: bytes) -> bool:
    """Whether the proof leads from the leaf to the root (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    first, last, found = index, size - 1, leaf
    for step in proof:
        if last == 0:
            return False
        if first & 1 or first == last:
            found = node_hash(step, found)
            while not first & 1 and first:
                first, last = first >> 1, last >> 1
        else:
            found = node_hash(found, step)
        first, last = first >> 1, last >> 1
    return last == 0 and found == head


def verify_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether the proof shows the old tree to be the beginning of the new one (RFC 9162, 2.1.4.2)."""
    if not 0 <= old <= new:
        return False
    if old == new:
        return not proof and old_root == new_root
    if old == 0:
        return not proof and old_root == EMPTY_ROOT
    steps = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    if not steps:
        return False
    first, last = old - 1, new - 1
    while first & 1:
        first, last = first >> 1, last >> 1
    before = after = steps[0]
    for step in steps[1:]:
        if last == 0:
            return False
        if first & 1 or first == last:
            before, after = node_hash(step, before), node_hash(step, after)
            while not first & 1 and first:
                first, last = first >> 1, last >> 1
        else:
            after = node_hash(after, step)
        first, last = first >> 1, last >> 1
    return last == 0 and before == old_root and after == new_root


class Roots:
    """The roots of a growing list of leaves, in memory that grows with its logarithm."""

    def __init__(self, leaves: Iterable[bytes] = ()) -> None:
        self.size = 0
        self._whole: list[bytes] = []
        for leaf in leaves:
            self.add(leaf)

    def add(self, leaf: bytes) -> None:
        """One leaf more."""
        self._whole.append(leaf)
        self.size += 1
        size = self.size
        while not size & 1:
            right = self._whole.pop()
            self._whole[-1] = node_hash(self._whole[-1], right)
            size >>= 1

    def root(self) -> bytes:
        """The root of all leaves so far."""
        if not self._whole:
            return EMPTY_ROOT
        found = self._whole[-1]
        for left in reversed(self._whole[:-1]):
            found = node_hash(left, found)
        return found
