"""The mapping on the disk does what a dictionary does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import StoreUnavailable
from infrastructure.disk_map import DiskMap

keys = st.binary(max_size=3)


@given(st.lists(st.tuples(keys, st.none() | st.binary(max_size=40)), max_size=60))
def test_a_mapping_on_the_disk_is_like_one_in_memory(steps: list[tuple[bytes, bytes | None]]) -> None:
    """Whatever is put and taken away: the same values, in the same order."""
    there: dict[bytes, bytes] = {}
    made = DiskMap()
    for key, value in steps:
        if value is not None:
            there[key] = made[key] = value
        else:
            assert made.pop(key, None) == there.pop(key, None)
    assert list(made.items()) == list(there.items())
    assert len(made) == len(there)
    assert all(made.get(key) == there.get(key) for key, _ in steps)


def test_values_may_change_while_the_keys_are_gone_through() -> None:
    """Every key comes once, however many there are."""
    made = DiskMap()
    for number in range(2_500):
        made[number.to_bytes(2, "big")] = b""
    for key in made:
        made[key] = key
    assert list(made) == [number.to_bytes(2, "big") for number in range(2_500)]
    assert all(key == value for key, value in made.items())


def test_a_disk_that_takes_no_more_is_named() -> None:
    """What goes wrong comes out as an error of ours; what is not there does so as in any mapping."""
    made = DiskMap()
    with pytest.raises(KeyError):
        made[b"b"]
    with pytest.raises(KeyError):
        del made[b"b"]
    made._connection.execute("PRAGMA max_page_count = 5")
    with pytest.raises(StoreUnavailable, match="nothing was written"):
        made.update((bytes([number]), bytes(4_000)) for number in range(100))


def test_nothing_is_left_in_the_folder_of_temporary_files() -> None:
    """The file has no name."""
    made = DiskMap()
    made[b"a"] = bytes(10_000_000)
    [(_, name, file)] = made._connection.execute("PRAGMA database_list").fetchall()
    assert (name, file) == ("main", "")
