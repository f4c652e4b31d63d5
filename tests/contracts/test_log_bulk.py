"""What every log promises of very many events at once: all of them or none, whoever looks, whoever dies."""

from __future__ import annotations

import multiprocessing
import tracemalloc
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from application.ports import Append, Log
from domain.errors import Conflict, EventUnreadable, StoreUnavailable
from tests.contracts.log_parts import GUILD, Place, note, noted, positions_of

SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A fresh place for one log."""
    if request.param == "sqlite":
        return Place("sqlite", str(tmp_path / "log.db"))
    pytest.importorskip("psycopg_pool", reason="the PostgreSQL log needs psycopg-pool")
    fresh: Callable[[], str] = request.getfixturevalue("postgres_url")
    return Place("postgres", fresh())


@pytest.fixture
def log(place: Place) -> Iterator[Log]:
    """An empty log."""
    log = place.open()
    yield log
    log.close()


def in_turn(streams: list[UUID], events: int) -> Iterator[Append]:
    """Events of several streams, one of each in turn, as an import brings them."""
    for number in range(events):
        stream = streams[number % len(streams)]
        yield Append(stream, GUILD, (noted(stream, number // len(streams) + 1),))


def test_everything_is_there_in_its_order(log: Log) -> None:
    """More than a chunk, over several streams and in small pieces; what was there before stays in front."""
    before, streams = uuid4(), [uuid4() for _ in range(3)]
    log.append([note(before, 1, ["first"])])
    assert log.append_all(in_turn(streams, 2_500)) == 2_500
    found = log.read(0, 5_000)
    assert len(found) == 2_501
    expected = [(one.stream_id, one.events[0].originator_version) for one in in_turn(streams, 2_500)]
    assert [(r.event.originator_id, r.event.originator_version) for r in found[1:]] == expected  # type: ignore[union-attr]
    assert not [r for r in found if isinstance(r.event, EventUnreadable)]
    assert positions_of(log.append([note(streams[0], 835, ["goes on"])])) == [log.last_position()]


def test_nothing_is_nothing(log: Log) -> None:
    """An empty import writes nothing."""
    assert log.append_all(iter(())) == 0
    assert log.last_position() == 0


def test_a_stream_that_is_there_already_keeps_all_of_it_out(log: Log) -> None:
    """The streams in the way are named; one that goes on at its head is not in the way."""
    there, ahead, fresh = uuid4(), uuid4(), uuid4()
    log.append([note(there, 1, ["here"]), note(ahead, 1, ["here"])])
    with pytest.raises(Conflict) as caught:
        log.append_all([note(fresh, 1, ["a"]), note(there, 1, ["b"]), note(ahead, 2, ["c"])])
    assert caught.value.stream_ids == (there,)
    assert log.last_position() == 2
    assert not log.heads([fresh])
    assert log.append_all([note(fresh, 1, ["a"]), note(ahead, 2, ["c"])]) == 2


@pytest.mark.parametrize("versions", [(1, 3), (0, 1), (1, 2, 2)])
def test_versions_that_do_not_follow_one_another_are_refused(log: Log, versions: tuple[int, ...]) -> None:
    """A gap, a zero and a doubled version: nothing is written."""
    stream = uuid4()
    with pytest.raises(ValueError, match=str(stream)):
        log.append_all(Append(stream, GUILD, (noted(stream, version),)) for version in versions)
    assert log.last_position() == 0


def test_trouble_on_the_way_writes_nothing(log: Log) -> None:
    """What brings the events may fail at any of them."""

    def torn() -> Iterator[Append]:
        yield from islice(in_turn([uuid4()], 5_000), 1_500)
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="gone"):
        log.append_all(torn())
    assert log.last_position() == 0
    log.append([note(uuid4(), 1, ["goes on"])])


def test_others_write_while_it_is_made_ready(log: Log, place: Place) -> None:
    """The log is held only for the moment in which everything is copied."""
    other, between = place.open(), uuid4()

    def slowly() -> Iterator[Append]:
        yield from in_turn([uuid4()], 1_200)
        other.append([note(between, 1, ["meanwhile"])])
        assert other.last_position() == 1

    assert log.append_all(slowly()) == 1_200
    other.close()
    assert log.heads([between]) == {between: 1}
    assert len(log.read(0, 5_000)) == 1_201


def test_a_closed_log_takes_nothing(log: Log) -> None:
    """As with every other write."""
    log.close()
    with pytest.raises(StoreUnavailable):
        log.append_all(in_turn([uuid4()], 3))


def append_slowly(place: Place, stream: UUID, at: int, reached: Any) -> None:
    """Write 3,000 events at once; says when it has come to number ``at`` and waits there (runs in a process)."""

    def slowly() -> Iterator[Append]:
        for number, append in enumerate(in_turn([stream], 3_000)):
            if number == at:
                reached.send(number)
                reached.recv()
            yield append
        if at == 3_000:
            reached.send(at)
            reached.recv()

    place.open().append_all(slowly())


@pytest.mark.parametrize("at", [1, 1_500, 3_000])
def test_a_kill_on_the_way_leaves_nothing(place: Place, log: Log, at: int) -> None:
    """SIGKILL at the first event, in the middle, and when everything is staged: the log is as before, and usable."""
    stream = uuid4()
    log.append([note(uuid4(), 1, ["before"])])
    here, there = SPAWN.Pipe()
    process = SPAWN.Process(target=append_slowly, args=(place, stream, at, there))
    process.start()
    assert here.poll(60)
    assert here.recv() == at
    process.kill()
    process.join()
    assert log.last_position() == 1
    assert log.append_all(in_turn([stream], 1_000)) == 1_000


def test_memory_does_not_grow_with_the_number_of_events(log: Log) -> None:
    """Ten times the events take about the same memory."""

    def peak(events: int) -> int:
        tracemalloc.start()
        try:
            assert log.append_all(in_turn([uuid4()], events)) == events
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(1_000)
    assert peak(20_000) < 1.5 * peak(2_000)
