"""The tree over a log, on every store: proofs hold, whatever is tampered with is named, erasure breaks nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from application.ports import Head, StoredRow
from application.tampering import Tampering, Verdict, verify_log
from application.tree import EventTree, leaf_of
from domain.errors import InvalidInput, NotFound, StoreError
from domain.merkle import Roots, verify_consistency, verify_inclusion
from infrastructure.leaf_file import LeafFile
from infrastructure.mapper import EventMapper
from infrastructure.sqlite_log import SqliteLog
from tests.contracts.log_parts import NOON, Place, TinyVault, note, positions_of
from tests.doubles import HandClock


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A fresh place for one log."""
    if request.param == "sqlite":
        return Place("sqlite", str(tmp_path / "log.db"))
    pytest.importorskip("psycopg_pool", reason="the PostgreSQL log needs psycopg-pool")
    fresh: Callable[[], str] = request.getfixturevalue("postgres_url")
    return Place("postgres", fresh())


@pytest.fixture
def leaves(tmp_path: Path) -> Iterator[LeafFile]:
    """An empty file of leaves."""
    made = LeafFile(tmp_path / "leaves.db", HandClock(NOON))
    yield made
    made.close()


def gap(place: Place) -> None:
    """Use up a position for nothing, as a transaction that is rolled back does on PostgreSQL."""
    if place.kind == "postgres":
        place.damage("SELECT nextval(pg_get_serial_sequence('public.stored_events', 'notification_id'))")


def test_every_event_is_proven_and_every_size_goes_on_in_the_next(place: Place, leaves: LeafFile) -> None:
    """Whatever gaps the positions have, and in however many steps the tree has grown."""
    log = place.open()
    tree = EventTree(log, leaves, HandClock(NOON))
    stream_id = uuid4()
    positions, heads = [], [tree.head()]
    for version in range(1, 40, 3):
        positions += positions_of(log.append([note(stream_id, version, ["a", "b", "c"])]))
        gap(place)
        assert tree.catch_up() == len(positions)
        heads.append(tree.head())
    assert place.kind == "sqlite" or positions[-1] > len(positions)
    assert heads[-1].root == Roots(leaf_of(row).hash for row in log.rows(0, 100)).root()
    for index, position in enumerate(positions):
        proof = tree.inclusion(position)
        assert (proof["index"], proof["version"], proof["stream"]) == (index, index + 1, str(stream_id))
        steps = [bytes.fromhex(step) for step in proof["proof"]]
        assert verify_inclusion(bytes.fromhex(proof["leaf"]), index, len(positions), steps, heads[-1].root)
    for head in heads:
        proof = tree.consistency(head.size)
        steps = [bytes.fromhex(step) for step in proof["proof"]]
        assert verify_consistency(head.size, len(positions), head.root, heads[-1].root, steps)
    assert verify_log(log, leaves, heads).intact
    with pytest.raises(NotFound):
        tree.inclusion(positions[-1] + 1)
    with pytest.raises(InvalidInput):
        tree.consistency(len(positions) + 1)
    log.close()


def test_an_erased_guild_leaves_every_proof_as_it_was(place: Place, leaves: LeafFile) -> None:
    """Leaves hash what is sealed; no key is needed."""
    vault = TinyVault()
    log = place.open(vault=vault)
    tree = EventTree(log, leaves, HandClock(NOON))
    log.append([note(uuid4(), 1, ["a"], guild_id="gone"), note(uuid4(), 1, ["b"])])
    tree.catch_up()
    before, proof = tree.head(), tree.inclusion(log.rows(0, 1)[0].position)
    vault.destroy_keys("gone")
    tree.catch_up()
    assert (tree.head(), tree.inclusion(log.rows(0, 1)[0].position)) == (before, proof)
    assert verify_log(log, leaves, [before]).intact
    log.close()


def test_tampering_is_named_on_every_store(place: Place, leaves: LeafFile) -> None:
    """Changed, removed, relabelled; and nothing else is."""
    log = place.open()
    tree = EventTree(log, leaves, HandClock(NOON))
    stream_id = uuid4()
    positions = positions_of(log.append([note(stream_id, 1, list("abcdefgh"))]))
    tree.catch_up()
    head = tree.head()
    name, where = place.stream_name(stream_id), "WHERE originator_id = ? AND originator_version = ?"
    place.damage(f"UPDATE stored_events SET topic = 'x' {where}", name, 2)
    place.damage(f"UPDATE stored_events SET state = ? {where}", b"\x01" * 50, name, 4)
    place.damage(f"DELETE FROM stored_events {where}", name, 6)
    place.damage(f"UPDATE stored_events SET originator_version = 99 {where}", name, 7)
    verdict = verify_log(log, leaves, [head])
    assert not verdict.intact
    assert [(one.kind, one.position, one.version) for one in verdict.findings] == [
        (Tampering.CHANGED, positions[1], 2),
        (Tampering.CHANGED, positions[3], 4),
        (Tampering.REMOVED, positions[5], 6),
        (Tampering.REPLACED, positions[6], 7),
    ]
    assert verdict.broken == (head,)
    log.close()


def test_a_row_before_the_first_position_is_found_and_named(place: Place, leaves: LeafFile) -> None:
    """Its stream would be read with it, although the log itself begins at position 1."""
    log = place.open()
    stream_id = uuid4()
    log.append([note(stream_id, 1, list("abc"))])
    EventTree(log, leaves, HandClock(NOON)).catch_up()
    head = EventTree(log, leaves, HandClock(NOON)).head()
    number = "rowid" if place.kind == "sqlite" else "notification_id"
    columns = "originator_id, originator_version, topic, state"
    place.damage(
        f"INSERT INTO stored_events ({number}, {columns}) SELECT -5, originator_id, 4, topic, state "
        "FROM stored_events WHERE originator_version = 3"
    )
    assert len(log.stream(stream_id)) == 4
    verdict = verify_log(log, leaves, [head])
    assert [(one.kind, one.position, one.version) for one in verdict.findings] == [(Tampering.INSERTED, -5, 4)]
    assert verdict.broken == (head,)
    log.close()


def test_a_log_whose_end_was_changed_makes_no_head(place: Place, leaves: LeafFile) -> None:
    """What is published must be true."""
    log = place.open()
    tree = EventTree(log, leaves, HandClock(NOON))
    stream_id = uuid4()
    log.append([note(stream_id, 1, list("abc"))])
    tree.catch_up()
    place.damage("UPDATE stored_events SET topic = 'x' WHERE originator_version = 3")
    with pytest.raises(StoreError, match=f"event 3 of stream {stream_id}"):
        tree.catch_up()
    log.close()


# --- any tampering, on SQLite

ACTS = st.lists(
    st.tuples(
        st.sampled_from(["flip", "topic", "delete", "swap", "insert", "version", "stream", "position", "text"]),
        st.integers(0, 10_000),
        st.integers(0, 10_000),
    ),
    min_size=1,
    max_size=3,
)


def tampered(path: str, act: str, first: int, second: int) -> None:
    """Do one thing to the rows of a log. What SQLite itself refuses is not done."""
    with closing(sqlite3.connect(path)) as log:
        rows = log.execute("select rowid, * from stored_events order by rowid").fetchall()
        one, two = rows[first % len(rows)], rows[second % len(rows)]
        state = bytearray(one[4] if isinstance(one[4], bytes) else b"xyz")
        state[second % len(state)] ^= 1 + second % 255
        statement: tuple[str, tuple[Any, ...]] = {
            "flip": ("update stored_events set state = ? where rowid = ?", (bytes(state), one[0])),
            "topic": ("update stored_events set topic = topic || 'x' where rowid = ?", (one[0],)),
            "delete": ("delete from stored_events where rowid = ?", (one[0],)),
            "insert": ("insert into stored_events values (?, ?, ?, ?)", (one[1], second + 1000, one[3], one[4])),
            "version": ("update stored_events set originator_version = ? where rowid = ?", (second + 100, one[0])),
            "stream": ("update stored_events set originator_id = ? where rowid = ?", (UUID(int=second).hex, one[0])),
            "position": ("update stored_events set rowid = ? where rowid = ?", (second + 1, one[0])),
            "text": ("update stored_events set state = hex(state) where rowid = ?", (one[0],)),
            "swap": ("", ()),
        }[act]
        with log:
            if act == "swap":
                for state_of, place in ((two, one), (one, two)):
                    log.execute("update stored_events set state = ? where rowid = ?", (state_of[4], place[0]))
            else:
                try:
                    log.execute(*statement)
                except sqlite3.IntegrityError:
                    return


def difference(before: list[StoredRow], after: list[StoredRow], covered: int) -> set[int]:
    """The positions at which rows differ, as far as leaves go."""
    old, new = ({row.position: row for row in rows} for rows in (before, after))
    return {at for at in old.keys() | new.keys() if old.get(at) != new.get(at) and at <= covered}


@given(st.integers(1, 40), ACTS, st.booleans())
@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
def test_whatever_is_done_to_rows_is_found_and_named(
    tmp_path_factory: pytest.TempPathFactory, count: int, acts: list[tuple[str, int, int]], forged: bool
) -> None:
    """Every position that differs is named, and no other; and with the leaves forged as well, the heads still tell."""
    folder = tmp_path_factory.mktemp("tampered")
    log = SqliteLog(folder / "log.db", EventMapper(TinyVault()))  # type: ignore[arg-type]
    leaves = LeafFile(folder / "leaves.db", HandClock(NOON))
    tree = EventTree(log, leaves, HandClock(NOON))
    streams = [UUID(int=number) for number in range(1, 4)]
    heads = []
    for number in range(count):
        log.append([note(streams[number % 3], number // 3 + 1, [f"{number}"])])
        if number % 5 == 4 or number == count - 1:
            tree.catch_up()
            heads.append(tree.head())
    before = log.rows(0, 1000)
    for act in acts:
        if log.rows(0, 1):
            tampered(str(folder / "log.db"), *act)
    changed = difference(before, log.rows(0, 1000), covered=heads[-1].position)
    if forged:
        leaves.close()
        for path in folder.glob("leaves.db*"):
            path.unlink()
        leaves = LeafFile(folder / "leaves.db", HandClock(NOON))
        EventTree(log, leaves, HandClock(NOON)).catch_up()
    verdict = verify_log(log, leaves, heads)
    assert verdict.intact == (not changed)
    if forged and changed:
        assert_range(verdict, heads, min(changed))
    elif not forged:
        assert_named(verdict, before, log.rows(0, 1000), changed)
    leaves.close()
    log.close()


def assert_range(verdict: Verdict, heads: list[Head], first: int) -> None:
    """The heads before the change hold, those after it do not, and the range begins behind the last that does.

    Of heads over more events than are left it is said that the end is missing.
    """
    assert list(verdict.held) == [head for head in heads if head.position < first]
    assert list(verdict.broken) == [head for head in heads if head.position >= first]
    shorter = [head for head in verdict.broken if head.size <= verdict.rows]
    kinds = {one.kind: one for one in verdict.findings}
    assert len(kinds) == len(verdict.findings)
    assert kinds.keys() == {
        *([Tampering.HEAD] if shorter else []),
        *([Tampering.END] if len(shorter) < len(verdict.broken) else []),
    }
    if shorter:
        assert kinds[Tampering.HEAD].position == (verdict.held[-1].position + 1 if verdict.held else 1)
    assert verdict.tampered == bool(shorter)


def assert_named(verdict: Verdict, before: list[StoredRow], after: list[StoredRow], changed: set[int]) -> None:
    """Whatever stood at a position that differs is named, or what stands there now."""
    old, new = ({row.position: row for row in rows} for rows in (before, after))
    named = {one.position for one in verdict.findings}
    named |= {
        position for one in verdict.findings if one.kind is Tampering.MOVED
        for position, row in new.items() if (row.stream, row.version) == (one.stream, one.version)
    }  # fmt: skip
    assert changed <= named
    assert {one.position for one in verdict.findings} <= changed
    for one in verdict.findings:
        stood = old.get(one.position) or new[one.position]
        assert (one.stream, one.version) == (stood.stream, stood.version) or one.version == 0
