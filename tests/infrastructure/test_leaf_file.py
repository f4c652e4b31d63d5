"""The file of the leaves: what is appended is read back, by any number of processes, and damage costs nothing else."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from application.ports import Head, Leaf
from domain.errors import StoreUnavailable
from domain.merkle import Roots, leaf_hash
from infrastructure.leaf_file import TILE, LeafFile
from tests.contracts.log_parts import NOON
from tests.doubles import HandClock


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the file is."""
    return tmp_path / "leaves.db"


@pytest.fixture
def file(path: Path) -> Iterator[LeafFile]:
    """An empty file."""
    made = LeafFile(path, HandClock(NOON))
    yield made
    made.close()


def leaves(count: int, first: int = 0) -> list[Leaf]:
    """Leaves of positions with gaps."""
    return [
        Leaf(3 * number + 1, f"{number % 7:032x}", number, leaf_hash(number.to_bytes(4, "big")))
        for number in range(first, first + count)
    ]


@given(st.lists(st.integers(1, 600), min_size=1, max_size=6))
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_leaves_come_back_however_they_were_appended(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int]
) -> None:
    """In order, from any number on, by position; and full rows know their hash."""
    file = LeafFile(tmp_path_factory.mktemp("leaves") / "leaves.db", HandClock(NOON))
    whole = leaves(sum(sizes))
    begun = 0
    for size in sizes:
        assert file.append(begun, whole[begun : begun + size]) == begun + size
        begun += size
    assert file.size() == len(whole)
    assert file.last() == whole[-1]
    assert file.read(0, 10_000) == whole
    for start in (0, 1, TILE - 1, TILE, len(whole) // 2, len(whole)):
        assert file.read(start, 300) == whole[start : start + 300]
    for number in (0, len(whole) // 2, len(whole) - 1):
        assert file.index(whole[number].position) == number
        assert file.index(whole[number].position + 1) is None
        assert file.whole(number, number + 1) == whole[number].hash
    assert file.index(0) is None
    for start in range(0, len(whole) + TILE, TILE):
        part = whole[start : start + TILE]
        expected = Roots(leaf.hash for leaf in part).root() if len(part) == TILE else None
        assert file.whole(start, start + TILE) == expected
    file.close()


def test_a_new_file_is_empty(file: LeafFile) -> None:
    """And says since when it is kept."""
    assert (file.size(), file.last(), file.read(0, 9), file.heads()) == (0, None, [], [])
    assert file.made_at() == NOON


def test_what_another_process_has_appended_is_not_written_twice(file: LeafFile, path: Path) -> None:
    """Whoever comes second is told how far it is."""
    other = LeafFile(path, HandClock(NOON))
    assert other.append(0, leaves(5)) == 5
    assert file.append(0, leaves(3)) == 5
    assert file.append(9, leaves(3, 9)) == 5
    assert file.append(5, leaves(2, 5)) == 7
    assert file.read(0, 10) == leaves(7)
    other.close()


def test_heads_are_remembered_across_a_restart(file: LeafFile, path: Path) -> None:
    """With their instants."""
    heads = [Head(1, b"a" * 32, 1, NOON), Head(5, b"b" * 32, 9, NOON)]
    for head in reversed(heads):
        file.add_head(head)
    file.close()
    again = LeafFile(path, HandClock(NOON))
    assert again.heads() == heads
    again.close()


def test_a_file_that_is_none_is_made_anew(path: Path) -> None:
    """It is disposable, and says since when it is kept."""
    path.write_bytes(b"no database at all, but long enough to be looked at" * 100)
    file = LeafFile(path, HandClock(NOON))
    assert file.append(0, leaves(3)) == 3
    assert file.made_at() == NOON
    file.close()


def test_the_file_of_a_newer_version_is_made_anew(path: Path) -> None:
    """Its layout is not known here."""
    with closing(sqlite3.connect(path)) as newer:
        newer.execute("pragma user_version = 99")
        newer.execute("create table tiles (x)")
        newer.commit()
    file = LeafFile(path, HandClock(NOON))
    assert file.size() == 0
    file.close()


def test_a_closed_file_says_so(file: LeafFile) -> None:
    """Whether it was opened before or not."""
    file.close()
    file.close()
    with pytest.raises(StoreUnavailable):
        file.size()
