"""The tree of RFC 6962: its vectors, its examples, and that no proof shows what is not so."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.merkle import (
    EMPTY_ROOT,
    Roots,
    consistency_proof,
    inclusion_proof,
    leaf_entry,
    leaf_hash,
    node_hash,
    root,
    verify_consistency,
    verify_inclusion,
)

INPUTS = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
"""The vectors of the reference implementation of Certificate Transparency: the roots of the first 0 to 8 inputs."""

LEAVES = [leaf_hash(bytes.fromhex(text)) for text in INPUTS]


def known(leaves: list[bytes]):  # type: ignore[no-untyped-def]
    """Only single leaves are known."""
    return lambda start, end: leaves[start] if end - start == 1 else None


@pytest.mark.parametrize("size", range(9))
def test_roots_are_those_of_the_vectors(size: int) -> None:
    """Computed as a whole, and leaf by leaf."""
    assert root(known(LEAVES), 0, size).hex() == ROOTS[size]
    assert Roots(LEAVES[:size]).root().hex() == ROOTS[size]


def test_proofs_are_those_of_the_vectors() -> None:
    """Of the first and the sixth of eight inputs."""
    assert [step.hex() for step in inclusion_proof(known(LEAVES), 0, 8)] == [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ]
    assert [step.hex() for step in inclusion_proof(known(LEAVES), 5, 8)] == [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]


def test_proofs_are_those_of_the_example_of_the_rfc() -> None:
    """Section 2.1.3 names the nodes of a tree over seven leaves."""
    d = LEAVES[:7]
    a, b, c, e, f, j = d[0], d[1], d[2], d[3], d[4], d[6]
    g, h, i = node_hash(a, b), node_hash(c, e), node_hash(f, d[5])
    k, left = node_hash(i, j), node_hash(g, h)
    tree = known(d)
    assert inclusion_proof(tree, 0, 7) == [b, h, k]
    assert inclusion_proof(tree, 3, 7) == [c, g, k]
    assert inclusion_proof(tree, 4, 7) == [d[5], j, left]
    assert inclusion_proof(tree, 6, 7) == [i, left]
    assert consistency_proof(tree, 3, 7) == [c, e, g, k]
    assert consistency_proof(tree, 4, 7) == [k]
    assert consistency_proof(tree, 6, 7) == [i, j, left]
    assert consistency_proof(tree, 0, 7) == consistency_proof(tree, 7, 7) == []


def test_what_is_no_part_cannot_be_proven() -> None:
    """Whoever asks for it made a mistake."""
    with pytest.raises(ValueError, match="leaf 7"):
        inclusion_proof(known(LEAVES), 7, 7)
    with pytest.raises(ValueError, match="no beginning"):
        consistency_proof(known(LEAVES), 8, 7)


@given(st.data())
def test_every_proof_holds_and_no_other_does(data: st.DataObject) -> None:
    """For trees of any size; with anything in it changed, a proof fails."""
    size = data.draw(st.integers(1, 200))
    leaves = [leaf_hash(number.to_bytes(2, "big")) for number in range(size)]
    tree, head = known(leaves), Roots(leaves).root()
    index, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(0, size))
    proof = inclusion_proof(tree, index, size)
    assert verify_inclusion(leaves[index], index, size, proof, head)
    old_root = root(tree, 0, old)
    chain = consistency_proof(tree, old, size)
    assert verify_consistency(old, size, old_root, head, chain)
    bad = leaf_hash(b"another")
    assert not verify_inclusion(bad, index, size, proof, head)
    assert not verify_inclusion(leaves[index], index, size, proof, bad)
    assert not verify_inclusion(leaves[index], index, size, [*proof, bad], head)
    assert not verify_inclusion(leaves[index], size, size, proof, head)
    other = data.draw(st.integers(0, size - 1).filter(lambda number: number != index)) if size > 1 else -1
    assert not verify_inclusion(leaves[index], other, size, proof, head)
    for place in range(len(proof)):
        assert not verify_inclusion(leaves[index], index, size, [*proof[:place], bad, *proof[place + 1 :]], head)
        assert not verify_inclusion(leaves[index], index, size, proof[:place], head)
    assert not verify_consistency(old, size, bad, head, chain)
    if old:  # of nothing, everything is a continuation
        assert not verify_consistency(old, size, old_root, bad, chain)
    assert not verify_consistency(old, size, old_root, head, [*chain, bad])
    assert not verify_consistency(size + 1, size, old_root, head, chain)
    for place in range(len(chain)):
        assert not verify_consistency(old, size, old_root, head, [*chain[:place], bad, *chain[place + 1 :]])
        assert not verify_consistency(old, size, old_root, head, chain[:place])


def test_a_tree_over_nothing_has_the_root_of_nothing() -> None:
    """As the RFC says."""
    assert root(known([]), 0, 0) == Roots().root() == EMPTY_ROOT


FIELDS = st.tuples(
    st.integers(0, 2**63),
    st.uuids().map(lambda one: one.hex),
    st.integers(0, 2**63),
    st.text(max_size=9),
    st.binary(max_size=9),
)


@given(FIELDS, FIELDS)
def test_different_events_are_different_leaves(
    first: tuple[int, str, int, str, bytes], second: tuple[int, str, int, str, bytes]
) -> None:
    """Nothing can be moved from one column into the next."""
    assert (leaf_entry(*first) == leaf_entry(*second)) == (first == second)


@pytest.mark.parametrize(
    "row",
    [
        (1, "00" * 16, 1, "t", "state"),
        (1, "00" * 16, 1, "t", None),
        (1, "00" * 16, 1, None, b"state"),
        (1, "00" * 16, "1", "t", b"state"),
        (1, "00" * 16, -1, "t", b"state"),
        (1, "00" * 16, None, "t", b"state"),
        (1, "0" * 31, 1, "t", b"state"),
        (1, "0A" * 16, 1, "t", b"state"),
        (1, "  " + "00" * 15, 1, "t", b"state"),
        (1, None, 1, "t", b"state"),
        (1, "00" * 16, 1, "\udcff", b"state"),
        (2**70, "00" * 16, 1, "t", b"state"),
    ],
)
def test_a_damaged_row_is_a_leaf_that_no_event_has(row: tuple[int, str, int, str, bytes]) -> None:
    """It can be hashed, and never in place of a sound one."""
    sound = leaf_entry(1, "00" * 16, 1, "t", b"state")
    assert leaf_entry(*row).startswith(b"daybook damaged row\n")
    assert not sound.startswith(leaf_entry(*row)[:16])
