"""A read model that is not as its last writer left it is not used."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infrastructure import seal
from infrastructure.row_reader import RowReader
from tests.domain.task_parts import make
from tests.infrastructure.store_parts import opened


@given(st.binary(min_size=1, max_size=5000), st.data())
def test_any_change_of_a_byte_and_any_change_of_length_breaks_a_seal(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, data: st.DataObject
) -> None:
    """And what is unchanged holds."""
    path = tmp_path_factory.mktemp("seal") / "file.db"
    path.write_bytes(content)
    assert seal.holds(path) is None
    seal.put_seal(path)
    assert seal.holds(path) is True
    changed = bytearray(content)
    if data.draw(st.booleans()):
        changed[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    else:
        del changed[data.draw(st.integers(0, len(content) - 1)) :]
    path.write_bytes(changed)
    assert seal.holds(path) is False
    path.unlink()
    assert seal.holds(path) is False
    seal.break_seal(path)
    assert seal.holds(path) is None


def test_a_damaged_read_model_is_made_anew_by_who_may_write_and_not_used_by_who_only_reads(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Here one letter of a name, which no check of SQLite finds."""
    with opened(tmp_path) as store:
        store.put(make(name="Morning"))
        before = store.rows.dump()
    path = tmp_path / "readmodel.db"
    raw = path.read_bytes()
    assert raw.count(b"Morning") >= 2
    path.write_bytes(raw.replace(b"Morning", b"Evening"))
    reader = RowReader(path)
    assert (reader.stale, reader.damaged) == (True, True)
    reader.close()
    with caplog.at_level(logging.WARNING), opened(tmp_path) as store:
        assert store.rows.dump() == before
    assert "damaged and is made anew" in caplog.text
    reader = RowReader(path)
    assert (reader.stale, reader.damaged) == (False, False)
    reader.close()


def test_a_read_model_whose_writer_lives_or_died_has_no_seal(tmp_path: Path) -> None:
    """It is read as it is; its indexes and pages are looked through when it is opened to write."""
    with opened(tmp_path) as store:
        store.put(make(name="Morning"))
        assert seal.holds(tmp_path / "readmodel.db") is None
        reader = RowReader(tmp_path / "readmodel.db")
        assert not reader.stale
        reader.close()
    assert seal.holds(tmp_path / "readmodel.db") is True


def test_an_index_that_was_damaged_after_its_writer_died_is_made_anew(tmp_path: Path) -> None:
    """SQLite itself finds that one."""
    with opened(tmp_path) as store:
        for number in range(3):
            store.put(make(name=f"Task {number}"))
        before = store.rows.dump()
    path = tmp_path / "readmodel.db"
    seal.break_seal(path)
    raw = bytearray(path.read_bytes())
    page = next(n for n in range(1, len(raw) // 4096) if raw[n * 4096] == 10 and b"Task" in raw[n * 4096 :][:4096])
    raw[page * 4096 + 8 : page * 4096 + 12] = b"\x00\x01\x00\x02"
    path.write_bytes(raw)
    with opened(tmp_path) as store:
        assert store.rows.dump() == before


def test_a_file_that_nobody_wrote_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A start must not take longer the more is stored; a copy, which has another time, is read and holds."""
    path, copied = tmp_path / "file.db", tmp_path / "copy.db"
    path.write_bytes(b"rows")
    seal.put_seal(path)
    copied.write_bytes(b"rows")
    copied.with_suffix(".seal").write_bytes(path.with_suffix(".seal").read_bytes())
    read: list[Path] = []
    summed = seal._sum_of

    def sum_of(which: Path) -> str:
        read.append(which)
        return summed(which)

    monkeypatch.setattr(seal, "_sum_of", sum_of)
    assert seal.holds(path) is True
    assert read == []
    assert seal.holds(copied) is True
    assert read == [copied]
