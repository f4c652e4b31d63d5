"""Young garbage is collected when nobody waits, in processes that are Daybook's own."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep

import pytest

from infrastructure import writer
from infrastructure.process import collect_garbage_less_often, collect_young_garbage
from tests.domain.task_parts import make
from tests.infrastructure.store_parts import opened

LONG = 30.0


@pytest.fixture(autouse=True)
def _usual_collector() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


def collections() -> int:
    return int(gc.get_stats()[0]["collections"])


def test_a_process_of_others_is_left_alone() -> None:
    """Its host has its own idea of when to collect."""
    gc.set_threshold(10**9, 10, 10)
    kept = [[] for _ in range(5_000)]  # type: ignore[var-annotated]
    before = collections()
    collect_young_garbage()
    assert (collections(), len(kept)) == (before, 5_000)


def test_little_is_not_worth_it() -> None:
    """A service that has nothing to do does not look again and again."""
    collect_garbage_less_often()
    gc.collect(0)
    before = collections()
    collect_young_garbage()
    assert collections() == before


def test_the_writer_collects_when_no_command_has_come_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a burst left behind is not looked through in the middle of the next one."""
    monkeypatch.setattr(writer, "IDLE_SECONDS", 0.01)
    collect_garbage_less_often()
    gc.collect(0)
    with opened(tmp_path) as store:
        kept = [[] for _ in range(5_000)]  # type: ignore[var-annotated]
        before, give_up = collections(), monotonic() + LONG
        store.put(make())
        while collections() == before and monotonic() < give_up:
            sleep(0.005)
        assert collections() > before
    assert len(kept) == 5_000
