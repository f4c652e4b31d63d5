"""What every log promises, over every implementation."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from application.ports import SNAPSHOT_EVENTS, Append, Log, Recorded
from domain.errors import Conflict, EventUnreadable, PayloadErased, StoreUnavailable
from domain.event import Event
from infrastructure import snapshots
from infrastructure.snapshots import MOST_KEPT
from tests.contracts.log_parts import (
    GUILD,
    NOON,
    Moved,
    Noted,
    Place,
    TinyVault,
    Total,
    append_until_killed,
    note,
    positions_of,
    race,
    total,
)

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


def events_of(recorded: list[Recorded] | tuple[Recorded, ...]) -> list[Event]:
    """The events, all of which must be readable."""
    events = [entry.event for entry in recorded]
    assert not [event for event in events if isinstance(event, EventUnreadable)]
    return [event for event in events if isinstance(event, Event)]


def texts_of(log: Log, stream_id: UUID) -> list[str]:
    """The texts noted in one stream."""
    return [event.text for event in events_of(log.stream(stream_id)) if isinstance(event, Noted)]


# --- appending and reading


def test_a_new_log_is_empty(log: Log) -> None:
    """Nothing was written, so every question has the empty answer."""
    stream_id = uuid4()
    assert (log.last_position(), log.read(0, 10), log.heads([stream_id])) == (0, [], {})
    assert (log.load([stream_id]), log.stream(stream_id), log.append([])) == ({}, [], [])


def test_appended_events_are_read_back_as_they_were(log: Log) -> None:
    """What is read equals what was written, in order, as append returned it."""
    first, second = uuid4(), uuid4()
    appends = [note(first, 1, ["a", "b"]), note(second, 1, ["c"], guild_id="guild-2")]
    stored = log.append(appends)
    assert stored == log.rows(0, 10)
    positions = positions_of(stored)
    assert len(positions) == 3
    assert positions == sorted(set(positions))
    assert positions[0] >= 1
    recorded = log.read(0, 10)
    assert [entry.position for entry in recorded] == positions
    assert events_of(recorded) == [*appends[0].events, *appends[1].events]
    assert log.last_position() == positions[-1]


def test_every_kind_of_value_survives_the_log(log: Log) -> None:
    """Instants to the microsecond and in UTC, nested parameters, None, and text of any script."""
    stream_id = uuid4()
    zoned = datetime(2026, 3, 29, 1, 59, 59, 999_999, tzinfo=timezone(timedelta(hours=5, minutes=45)))
    parameters = {"a": None, "b": [1, 2.5, "x"], "ключ": {"深": "\u0000\U0001f600"}}
    moved = Moved(originator_id=stream_id, originator_version=1, timestamp=NOON, to=zoned, parameters=parameters)
    log.append([Append(stream_id, GUILD, [moved])])
    (event,) = events_of(log.stream(stream_id))
    assert event == moved
    assert isinstance(event, Moved)
    assert event.to.tzinfo is UTC


@pytest.mark.parametrize("text", ["é" * 524_288, "日記\u0000\n\t\"'\\", "\U0001f600" * 10, "' OR 1=1 --"])
def test_texts_of_any_size_and_script_come_back(log: Log, text: str) -> None:
    """A payload of one megabyte and texts that quoting could spoil are stored like any other."""
    stream_id = uuid4()
    log.append([note(stream_id, 1, [text, "after"])])
    assert texts_of(log, stream_id) == [text, "after"]


def test_reading_goes_on_page_by_page(log: Log) -> None:
    """read() returns at most limit events, the next ones after the last position, until there are none."""
    streams = [uuid4() for _ in range(5)]
    for version in range(1, 6):
        log.append([note(stream_id, version, [f"{version}"]) for stream_id in streams])
    everything, position = [], 0
    while page := log.read(position, 7):
        assert len(page) <= 7
        everything += page
        position = page[-1].position
    assert everything == log.read(0, 100)
    assert len(everything) == 25
    assert log.read(log.last_position(), 10) == []
    assert log.read(0, 0) == []


def test_tidying_up_changes_nothing(log: Log) -> None:
    """Whatever is carried back meanwhile, or made ready for more: each event stands where it stood, and the next goes
    on behind it.
    """
    stream_id = uuid4()
    for version in range(1, 2_101, 300):
        log.append([note(stream_id, version, [f"{version + more}" for more in range(300)])])
        log.keep_room()
        log.tidy_up(2_000 if version > 1_000 else 0)
    assert log.heads([stream_id]) == {stream_id: 2_100}
    assert [position for position, _ in log.stream(stream_id)] == sorted(one.position for one in log.read(0, 3_000))
    assert positions_of(log.append([note(stream_id, 2_101, ["more"])])) == [log.last_position()]


def test_a_stream_is_read_from_a_version_and_up_to_a_limit(log: Log) -> None:
    """stream() begins after the version asked for and stops at the limit."""
    stream_id = uuid4()
    log.append([note(stream_id, 1, list("abcdef")), note(uuid4(), 1, ["other"])])
    assert texts_of(log, stream_id) == list("abcdef")
    part = events_of(log.stream(stream_id, after_version=2, limit=3))
    assert [event.originator_version for event in part] == [3, 4, 5]
    assert log.stream(stream_id, after_version=6) == []


def test_heads_are_the_last_versions_of_the_streams_that_exist(log: Log) -> None:
    """heads() leaves unknown streams out and answers for any number of streams."""
    streams = [uuid4() for _ in range(2500)]
    log.append([note(stream_id, 1, ["x"] * (1 + index % 2)) for index, stream_id in enumerate(streams)])
    expected = {stream_id: 1 + index % 2 for index, stream_id in enumerate(streams)}
    assert log.heads([*streams, uuid4(), streams[0]]) == expected
    loaded = log.load([*streams, uuid4(), streams[0]])
    assert {stream_id: len(found.events) for stream_id, found in loaded.items()} == expected


def test_the_next_event_behind_a_number_is_found_for_many_streams_at_once(log: Log) -> None:
    """Nothing for streams that end there, or that do not exist; and past what may be missing in between."""
    first, second, nobody = uuid4(), uuid4(), uuid4()
    one, _, three, four = positions_of(log.append([note(first, 1, ["a", "b", "c"]), note(second, 1, ["d"])]))
    assert log.following({first: 0, second: 0, nobody: 0}) == {first: (1, one), second: (1, four)}
    assert log.following({first: 2, second: 1}) == {first: (3, three)}
    assert log.following({}) == {}


def test_a_batch_may_extend_one_stream_more_than_once(log: Log) -> None:
    """Commands of one task committed together are appends that follow one another."""
    stream_id = uuid4()
    log.append([note(stream_id, 1, ["a"]), note(uuid4(), 1, ["x"]), note(stream_id, 2, ["b", "c"])])
    assert texts_of(log, stream_id) == ["a", "b", "c"]


# --- refusals


def test_a_conflict_names_every_stale_stream_and_writes_nothing(log: Log) -> None:
    """One stale stream refuses the whole batch, and the error says which ones to decide again."""
    known, behind, ahead, fresh = (uuid4() for _ in range(4))
    log.append([note(known, 1, ["a"]), note(behind, 1, ["a", "b"])])
    before = log.last_position()
    with pytest.raises(Conflict) as caught:
        log.append([note(fresh, 1, ["x"]), note(behind, 2, ["x"]), note(known, 2, ["x"]), note(ahead, 2, ["x"])])
    assert set(caught.value.stream_ids) == {behind, ahead}
    assert log.last_position() == before
    assert log.heads([known, behind, ahead, fresh]) == {known: 1, behind: 2}
    log.append([note(fresh, 1, ["x"]), note(behind, 3, ["x"])])
    assert log.heads([fresh, behind]) == {fresh: 1, behind: 3}


@pytest.mark.parametrize("place_of_it", [0, 150, -1])
@pytest.mark.parametrize("new", [False, True])
def test_one_event_of_hundreds_that_is_taken_takes_all_of_them_back(
    log: Log, place: Place, place_of_it: int, new: bool
) -> None:
    """Wherever it stands among them. Of streams that begin nobody looks first: the insertion fails at that row."""
    streams = [uuid4() for _ in range(300)]
    if not new:
        log.append([note(stream_id, 1, ["a"]) for stream_id in streams])
    version, taken = (1 if new else 2), streams[place_of_it]
    other = place.open()
    other.append([note(taken, version, ["b"])])
    other.close()
    before = log.last_position()
    with pytest.raises(Conflict) as caught:
        log.append([note(stream_id, version, ["x"]) for stream_id in streams])
    assert set(caught.value.stream_ids) == {taken}
    assert (log.last_position(), log.heads(streams[1:2])) == (before, {} if new else {streams[1]: 1})
    log.append([note(stream_id, version, ["x"]) for stream_id in streams if stream_id != taken])
    assert log.last_position() > before


def test_an_append_after_a_gap_is_a_conflict(log: Log) -> None:
    """A version beyond the next one would make the stream unloadable, so it is refused like a stale one."""
    stream_id = uuid4()
    log.append([note(stream_id, 1, ["a"])])
    with pytest.raises(Conflict):
        log.append([note(stream_id, 3, ["c"])])
    assert texts_of(log, stream_id) == ["a"]


def test_broken_appends_are_programming_errors(log: Log) -> None:
    """Gaps inside an append, events of other streams, version 0 and empty appends never reach the store."""
    stream_id, other = uuid4(), uuid4()
    one, three = note(stream_id, 1, ["a"]).events[0], note(stream_id, 3, ["c"]).events[0]
    broken = [
        [Append(stream_id, GUILD, [one, three])],
        [Append(other, GUILD, [one])],
        [Append(stream_id, GUILD, [])],
        [note(stream_id, 0, ["zero"])],
        [note(stream_id, 1, ["a"]), note(stream_id, 3, ["c"])],
    ]
    for appends in broken:
        with pytest.raises(ValueError, match="stream"):
            log.append(appends)
    assert log.last_position() == 0


def test_positions_grow_and_are_never_used_again(log: Log, place: Place) -> None:
    """Neither a refused batch nor reopening the log hands a position out twice."""
    stream_id = uuid4()
    seen = positions_of(log.append([note(stream_id, 1, ["a", "b"])]))
    with pytest.raises(Conflict):
        log.append([note(stream_id, 2, ["x"] * 3)])
    seen += positions_of(log.append([note(stream_id, 3, ["c"])]))
    again = place.open()
    seen += positions_of(again.append([note(stream_id, 4, ["d"])]))
    again.close()
    seen += positions_of(log.append([note(stream_id, 5, ["e"])]))
    assert seen == sorted(set(seen))
    assert [entry.position for entry in log.read(0, 100)] == seen


# --- several at once


def test_two_processes_on_the_same_streams_have_one_winner_each(place: Place, log: Log) -> None:
    """Of two processes that claim the same version exactly one succeeds; the other one gets a Conflict."""
    streams = [uuid4() for _ in range(200)]
    barrier = SPAWN.Barrier(2)
    processes, pipes = [], []
    for owner in ("one", "two"):
        receiving, sending = SPAWN.Pipe(duplex=False)
        process = SPAWN.Process(target=race, args=(place, streams, owner, barrier, sending))
        process.start()
        processes.append(process)
        pipes.append(receiving)
    won = {owner: pipe.recv() for owner, pipe in zip(("one", "two"), pipes, strict=True)}
    for process in processes:
        process.join()
    assert sorted(won["one"] + won["two"]) == sorted(streams)
    for owner, stream_ids in won.items():
        assert all(texts_of(log, stream_id) == [owner] for stream_id in stream_ids)
    positions = [entry.position for entry in log.read(0, 1000)]
    assert len(positions) == 200
    assert positions == sorted(set(positions))


def test_a_killed_process_leaves_whole_batches_and_everything_acknowledged(place: Place, log: Log) -> None:
    """After kill -9 in the middle of appending, acknowledged batches are there and no batch is there in part."""
    for kill_after in (1, 7, 23):
        streams = [uuid4() for _ in range(20)]
        receiving, sending = SPAWN.Pipe(duplex=False)
        process = SPAWN.Process(target=append_until_killed, args=(place, streams, sending))
        process.start()
        sending.close()
        acknowledged = 0
        while acknowledged < kill_after:
            acknowledged = receiving.recv()
        process.kill()
        process.join()
        try:
            while True:
                acknowledged = receiving.recv()
        except EOFError:
            pass
        again = place.open()
        heads = set(again.heads(streams).values())
        assert len(heads) == 1, "a batch was written in part"
        (head,) = heads
        assert head in (acknowledged, acknowledged + 2)
        assert texts_of(again, streams[-1]) == [f"{version}" for version in range(1, head + 1)]
        again.append([note(stream_id, head + 1, ["on"]) for stream_id in streams])
        again.close()


def test_threads_read_while_another_one_writes(log: Log) -> None:
    """Readers of any thread see whole batches only, in order of position, while appends go on."""
    streams = [uuid4() for _ in range(3)]

    def write() -> None:
        for version in range(1, 101):
            log.append([note(stream_id, version, [f"{version}"]) for stream_id in streams])

    def follow() -> list[Recorded]:
        seen: list[Recorded] = []
        while len(seen) < 300:
            page = log.read(seen[-1].position if seen else 0, 50)
            seen += page
            assert len(set(log.heads(streams).values())) <= 1, "a batch was seen in part"
        return seen

    with ThreadPoolExecutor(5) as threads:
        followers = [threads.submit(follow) for _ in range(4)]
        threads.submit(write).result()
        everything = log.read(0, 1000)
        assert all(follower.result() == everything for follower in followers)


def test_the_token_tells_when_another_process_may_have_committed(log: Log, place: Place) -> None:
    """last_foreign_change() rests while nothing is committed and differs after a commit through another log."""
    before = log.last_foreign_change()
    assert log.last_foreign_change() == before
    other = place.open()
    other.append([note(uuid4(), 1, ["a"])])
    other.close()
    assert log.last_foreign_change() != before


# --- what cannot be read


def test_rows_that_cannot_be_read_do_not_stop_reading(log: Log, place: Place) -> None:
    """Damaged, relabelled, swapped and unknown rows stand in the log as errors; their neighbors are read."""
    stream_id = uuid4()
    name = place.stream_name(stream_id)
    log.append([note(stream_id, 1, list("abcdefg"))])
    at = "WHERE originator_id = ? AND originator_version = ?"
    assert place.damage(f"UPDATE stored_events SET topic = 'test.log.nobody' {at}", name, 2) == 1
    assert place.damage(f"UPDATE stored_events SET topic = '{Moved.topic}' {at}", name, 3) == 1
    assert place.damage(f"UPDATE stored_events SET state = ? {at}", b"", name, 4) == 1
    assert place.damage(f"UPDATE stored_events SET state = ? {at}", b"\x01" * 200, name, 5) == 1
    copied = f"(SELECT state FROM stored_events {at})"
    assert place.damage(f"UPDATE stored_events SET state = {copied} {at}", name, 7, name, 6) == 1
    for recorded in (log.read(0, 100), log.stream(stream_id), list(log.load([stream_id])[stream_id].events)):
        assert [isinstance(entry.event, EventUnreadable) for entry in recorded] == [False, *[True] * 5, False]
        broken = [entry.event for entry in recorded if isinstance(entry.event, EventUnreadable)]
        assert [error.version for error in broken] == [2, 3, 4, 5, 6]
        assert {error.stream_id for error in broken} == {str(stream_id)}
    log.append([note(stream_id, 8, ["h"])])


def test_erased_payloads_count_and_the_others_are_read(place: Place) -> None:
    """Destroying a guild's key makes its payloads unreadable at once, in a log that had read them before."""
    vault = TinyVault()
    log = place.open(vault=vault)
    gone, kept = uuid4(), uuid4()
    log.append([note(gone, 1, ["a", "b"], guild_id="gone"), note(kept, 1, ["c"], guild_id="kept")])
    assert len(events_of(log.read(0, 10))) == 3
    vault.destroy_keys("gone")
    recorded = log.read(0, 10)
    assert [type(entry.event) for entry in recorded] == [PayloadErased, PayloadErased, Noted]
    assert log.heads([gone, kept]) == {gone: 2, kept: 1}
    log.close()


# --- snapshots


def folded(log: Log, stream_id: UUID) -> list[str]:
    """The texts of a stream by way of its snapshot."""
    loaded = log.load([stream_id])[stream_id]
    texts = list(loaded.snapshot.texts) if isinstance(loaded.snapshot, Total) else []
    return texts + [event.text for event in events_of(list(loaded.events)) if isinstance(event, Noted)]


def test_a_snapshot_and_the_tail_equal_the_whole_stream(place: Place) -> None:
    """Loading takes the newest snapshot and only the events after it, and comes to the same."""
    log = place.open(fingerprint="now")
    streams = [uuid4() for _ in range(4)]
    log.append([note(stream_id, 1, list("abcd")) for stream_id in streams])
    log.save_snapshots([total(streams[0], 2, list("ab")), total(streams[1], 4, list("abcd"))])
    log.save_snapshots([total(streams[0], 3, list("abc"))])
    log.save_snapshots([])
    assert all(folded(log, stream_id) == list("abcd") for stream_id in streams)
    loaded = log.load(streams)
    assert [len(loaded[stream_id].events) for stream_id in streams] == [1, 0, 4, 4]
    assert loaded[streams[0]].snapshot == total(streams[0], 3, list("abc"))[1]
    assert loaded[streams[2]].snapshot is None
    log.close()


def test_snapshots_of_other_code_or_that_are_damaged_are_not_used(place: Place) -> None:
    """A snapshot is a cache: with a foreign fingerprint or broken bytes the whole stream is read instead."""
    log = place.open(fingerprint="now")
    foreign, damaged, unknown = uuid4(), uuid4(), uuid4()
    log.append([note(stream_id, 1, list("abc")) for stream_id in (foreign, damaged, unknown)])
    log.save_snapshots(
        [total(foreign, 3, ["wrong"], "before"), total(damaged, 3, ["wrong"]), total(unknown, 3, ["wrong"])]
    )
    place.damage("UPDATE snapshots SET state = ? WHERE originator_id = ?", b"\x01" * 99, place.stream_name(damaged))
    place.damage("UPDATE snapshots SET topic = 'no' WHERE originator_id = ?", place.stream_name(unknown))
    for stream_id in (foreign, damaged, unknown):
        assert log.load([stream_id])[stream_id].snapshot is None
        assert folded(log, stream_id) == list("abc")
    log.save_snapshots([total(stream_id, 3, list("abc")) for stream_id in (foreign, damaged, unknown)])
    assert all(loaded.snapshot for loaded in log.load([foreign, damaged, unknown]).values())
    log.close()


def test_a_stream_is_loaded_as_it_was_at_any_position(place: Place) -> None:
    """Each stream at a position of its own, from the last snapshot before that and no further."""
    log = place.open(fingerprint="now")
    one, two, none = uuid4(), uuid4(), uuid4()
    positions = positions_of(log.append([note(one, 1, list("abcdef"))]))
    other = positions_of(log.append([note(two, 1, list("xyz"))]))
    log.save_snapshots([total(one, 2, list("ab")), total(one, 4, list("abcd")), total(two, 3, list("xyz"))])
    for number, position in enumerate(positions, 1):
        loaded = log.load_at({one: position, two: other[0], none: other[-1]})
        assert set(loaded) == {one, two}
        found = loaded[one]
        texts = list(found.snapshot.texts) if isinstance(found.snapshot, Total) else []
        assert texts == list("abcdef")[: number // 2 * 2 if number < 5 else 4]
        assert found.snapshot_position == (positions[len(texts) - 1] if texts else 0)
        assert [entry.position for entry in found.events] == positions[len(texts) : number]
        assert loaded[two].snapshot is None
        assert [entry.position for entry in loaded[two].events] == other[:1]
    assert log.load_at({one: positions[0] - 1, none: 10**9}) == {}
    assert log.load_at({}) == {}
    assert log.load([one])[one].snapshot == total(one, 4, list("abcd"))[1]
    log.close()


def test_a_snapshot_that_cannot_be_used_gives_way_to_the_one_before_it(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Damaged, another code's, or of an event that is gone: the state is made from what came before."""
    monkeypatch.setattr(snapshots, "SNAPSHOT_EVENTS", 1)
    log = place.open(fingerprint="now")
    stream_id = uuid4()
    positions = positions_of(log.append([note(stream_id, 1, list("abcdef"))]))
    log.save_snapshots([total(stream_id, version, list("abcdef")[:version]) for version in (2, 3, 5, 6)])
    log.save_snapshots([total(stream_id, 4, ["wrong"], "before")])
    name = place.stream_name(stream_id)
    where = "WHERE originator_id = ? AND originator_version = ?"
    place.damage(f"UPDATE snapshots SET state = ? {where}", b"\x01" * 99, name, 5)
    place.damage(f"DELETE FROM stored_events {where}", name, 6)
    found = log.load_at({stream_id: positions[-1]})[stream_id]
    assert found.snapshot == total(stream_id, 3, list("abc"))[1]
    assert [entry.position for entry in found.events] == positions[3:5]
    log.close()


def test_of_snapshots_that_lie_close_the_first_and_the_newest_stay(place: Place) -> None:
    """Reading starts close to the end, and what was taken in between takes no room."""
    log, stream_id = place.open(fingerprint="now"), uuid4()
    for version in (10, 20, 30, SNAPSHOT_EVENTS, SNAPSHOT_EVENTS + 10, SNAPSHOT_EVENTS + 20):
        log.save_snapshots([total(stream_id, version, ["x"])])
    kept = [snapshot.originator_version for snapshot in log.snapshots(stream_id)]
    assert kept == [10, SNAPSHOT_EVENTS, SNAPSHOT_EVENTS + 20]
    log.close()


def test_snapshots_of_a_long_stream_lie_evenly_over_its_life(place: Place) -> None:
    """However many are saved, a bounded number stays: the first, the newest, and those between."""
    log = place.open(fingerprint="now")
    stream_id = uuid4()
    count = 40 * MOST_KEPT
    positions = positions_of(log.append([note(stream_id, 1, ["x"] * count)]))
    versions = range(20, count + 1, 20)
    for version in versions:
        log.save_snapshots([total(stream_id, version, ["x"])])
    kept = []
    position = positions[-1]
    while (found := log.load_at({stream_id: position})[stream_id]).snapshot is not None:
        kept.append(found.snapshot.originator_version)
        position = found.snapshot_position - 1
    assert kept[0] == count
    assert kept[-1] == 20
    assert MOST_KEPT // 4 <= len(kept) <= MOST_KEPT
    assert max(newer - older for older, newer in pairwise(reversed(kept))) <= 2 * count // (MOST_KEPT // 4)
    log.close()


def test_all_usable_snapshots_of_a_stream_are_listed_and_can_be_dropped(place: Place) -> None:
    """The oldest first; another code's and those of other streams are not among them. The store finds no fault."""
    log = place.open(fingerprint="now")
    one, two = uuid4(), uuid4()
    log.append([note(one, 1, list("abc")), note(two, 1, ["x"])])
    log.save_snapshots([total(one, 3, list("abc")), total(one, 1, ["a"]), total(two, 1, ["x"])])
    log.save_snapshots([total(one, 2, ["wrong"], "before")])
    assert log.snapshots(one) == [total(one, 1, ["a"])[1], total(one, 3, list("abc"))[1]]
    log.drop_snapshots()
    assert log.snapshots(one) == log.snapshots(two) == []
    assert folded(log, one) == list("abc")
    assert log.check() == []
    log.close()


def test_rows_are_read_as_they_are_stored(log: Log, place: Place) -> None:
    """Whether they can be opened or not, and page by page."""
    stream_id = uuid4()
    positions = positions_of(log.append([note(stream_id, 1, list("abc"))]))
    state = b"\x01" * 40
    where = "WHERE originator_id = ? AND originator_version = ?"
    place.damage(f"UPDATE stored_events SET topic = 'x', state = ? {where}", state, place.stream_name(stream_id), 2)
    rows = log.rows(0, 10)
    assert [row[:3] for row in rows] == [(p, stream_id.hex, v) for v, p in enumerate(positions, 1)]
    assert rows[1] == (positions[1], stream_id.hex, 2, "x", state)
    assert rows[0].topic == Noted.topic
    assert log.rows(positions[0], 1) == rows[1:2]
    assert log.rows(0, 0) == log.rows(positions[-1], 5) == []


# --- the end


def test_a_closed_log_says_so(log: Log) -> None:
    """close() may be called again; everything else is refused as unavailable."""
    log.close()
    log.close()
    stream_id = uuid4()
    for attempt in (
        lambda: log.append([note(stream_id, 1, ["a"])]),
        lambda: log.read(0, 1),
        lambda: log.heads([stream_id]),
        lambda: log.load([stream_id]),
        log.last_position,
        log.last_foreign_change,
    ):
        with pytest.raises(StoreUnavailable):
            attempt()


def test_a_reopened_log_holds_what_was_appended(log: Log, place: Place) -> None:
    """Another log on the same place reads the same events at the same positions."""
    stream_id = uuid4()
    log.append([note(stream_id, 1, ["a", "b"])])
    written = log.read(0, 10)
    log.close()
    again = place.open()
    assert again.read(0, 10) == written
    again.close()


# --- any interleaving


CALLS = st.lists(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(-1, 1), st.integers(1, 3)),
        min_size=1,
        max_size=3,
        unique_by=lambda call: call[0],
    ),
    max_size=12,
)


@given(calls=CALLS)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_interleaving_of_appends_equals_a_dictionary_of_lists(
    log: Log, calls: list[list[tuple[int, int, int]]]
) -> None:
    """Appends over four streams, some of them stale or ahead, leave what the simplest model holds."""
    streams = [uuid4() for _ in range(4)]
    model: dict[UUID, list[Event]] = {stream_id: [] for stream_id in streams}
    order: list[Event] = []
    start = log.last_position()
    for batch in calls:
        appends, stale = [], set()
        for index, offset, count in batch:
            first = max(1, len(model[streams[index]]) + 1 + offset)
            appends.append(note(streams[index], first, ["x"] * count))
            if first != len(model[streams[index]]) + 1:
                stale.add(streams[index])
        if stale:
            with pytest.raises(Conflict) as caught:
                log.append(appends)
            assert set(caught.value.stream_ids) == stale
            continue
        assert len(log.append(appends)) == sum(len(append.events) for append in appends)
        for append in appends:
            model[append.stream_id] += append.events
            order += append.events
    assert events_of(log.read(start, 1000)) == order
    assert log.heads(streams) == {stream_id: len(events) for stream_id, events in model.items() if events}
    loaded = log.load(streams)
    for stream_id, events in model.items():
        assert events_of(log.stream(stream_id)) == events
        assert events_of(list(loaded[stream_id].events) if stream_id in loaded else []) == events
