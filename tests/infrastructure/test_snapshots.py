"""Kept states are looked up through an index, which may be damaged like anything else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from infrastructure.mapper import EventMapper
from infrastructure.snapshots import snapshots_at
from tests.contracts.log_parts import TinyVault


@pytest.mark.parametrize("other", ["b" * 32, "019cad8\udce6ac", b"\xf0", None])
def test_a_row_of_another_stream_is_passed_over(other: Any) -> None:
    """A stream without a kept state is read from its beginning; nothing is asked for twice."""
    asked = []

    def ask(streams: Sequence[tuple[str, int, int]]) -> list[Any]:
        asked.append(list(streams))
        return [(other, 50, "task.snapshot", b"x" * 60, 99)]

    mapper = EventMapper(TinyVault())  # type: ignore[arg-type]
    assert snapshots_at(ask, mapper, "code", {"a" * 32: 100}) == {}
    assert len(asked) == 1
