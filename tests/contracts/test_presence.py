"""What every Presence does: says which nodes are alive, finds those that died, and lets go of a clean leaver."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO

import psycopg
import pytest

from application.ports import Presence
from domain.errors import LeaseLost, StoreInUse, StoreUnavailable
from infrastructure.postgres_stores import PostgresPresence
from infrastructure.presence import FolderPresence, holder

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
ROOT = Path(__file__).parents[2]

Open = Callable[[], Presence]


@pytest.fixture(params=["folder", "postgres"])
def open_presence(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Opens the presence of one store as often as it is called, as several processes would."""
    if request.param == "folder":
        yield lambda: FolderPresence(tmp_path)
    else:
        with Leases(request.getfixturevalue("postgres_url")()) as leases:
            yield leases.open


class Leases:
    """Openings of one PostgreSQL store, and the means to let time pass there."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.opened: list[PostgresPresence] = []

    def __enter__(self) -> Leases:
        return self

    def __exit__(self, *_: object) -> None:
        for presence in self.opened:
            presence.close()

    def open(self) -> PostgresPresence:
        """One more opening."""
        self.opened.append(PostgresPresence(self.url))
        return self.opened[-1]

    def joined(self, node: str) -> PostgresPresence:
        """An opening that has joined."""
        presence = self.open()
        presence.join(node, NOON)
        return presence

    def let_run_out(self, *nodes: str) -> None:
        """Move the last beat of these nodes a minute into the past."""
        with psycopg.connect(self.url) as raw:
            raw.execute(
                "UPDATE presence_nodes SET seen_at = seen_at - interval '1 minute' WHERE node = ANY(%s)", [list(nodes)]
            )


@pytest.fixture
def leases(postgres_url: Callable[[], str]) -> Iterator[Leases]:
    """A new PostgreSQL store."""
    with Leases(postgres_url()) as leases:
        yield leases


def test_a_first_node_finds_nobody_dead(open_presence: Open) -> None:
    """On a new store nobody is dead, and a beat finds nobody either."""
    presence = open_presence()
    assert presence.join("n1", NOON) == []
    assert presence.beat("n1", NOON + SECOND) == []
    presence.leave("n1")


def test_joining_twice_changes_nothing(open_presence: Open) -> None:
    """The same node may say twice that it is there."""
    presence = open_presence()
    presence.join("n1", NOON)
    assert presence.join("n1", NOON + SECOND) == []
    assert presence.dead(["n1"], NOON) == []
    presence.leave("n1")


def test_a_node_that_left_is_not_found_dead(open_presence: Open) -> None:
    """A clean end is no death: the next node finds nobody, but what the first one had is free."""
    first, second = open_presence(), open_presence()
    first.join("n1", NOON)
    first.leave("n1")
    first.leave("n1")
    assert second.join("n2", NOON + SECOND) == []
    assert second.dead(["n1", "n2"], NOON + SECOND) == ["n1"]
    second.leave("n2")


def test_a_node_may_come_back_after_leaving(open_presence: Open) -> None:
    """The same object joins again after it left."""
    presence = open_presence()
    for _ in range(3):
        assert presence.join("n1", NOON) == []
        presence.beat("n1", NOON)
        presence.leave("n1")


def test_who_leaves_without_a_name_leaves_under_the_last_one(open_presence: Open) -> None:
    """A node that came back under another name is not left behind under it."""
    presence = open_presence()
    presence.leave()
    presence.join("n1", NOON)
    presence.leave("n1")
    presence.join("n1~2", NOON)
    presence.leave("n1")
    presence.beat("n1~2", NOON)
    presence.leave()
    with pytest.raises(LeaseLost):
        presence.beat("n1~2", NOON)


def test_a_beat_without_a_lease_is_refused(open_presence: Open) -> None:
    """A node that never joined, or left, or is not the one that joined, cannot say it is alive."""
    presence = open_presence()
    with pytest.raises(LeaseLost):
        presence.beat("n1", NOON)
    presence.join("n1", NOON)
    with pytest.raises(LeaseLost):
        presence.beat("n2", NOON)
    presence.leave("n1")
    with pytest.raises(LeaseLost):
        presence.beat("n1", NOON)


def test_a_stranger_leaving_takes_nothing_away(open_presence: Open) -> None:
    """Only the node itself can leave."""
    presence = open_presence()
    presence.join("n1", NOON)
    presence.leave("n2")
    assert presence.beat("n1", NOON) == []
    presence.leave("n1")


def test_own_and_unknown_nodes_are_told_apart(open_presence: Open) -> None:
    """This node is alive; nodes that nobody knows are not running."""
    presence = open_presence()
    presence.join("n1", NOON)
    assert presence.dead(["x", "n1", "y"], NOON) == ["x", "y"]
    assert presence.dead([], NOON) == []
    presence.leave("n1")


def test_a_naive_instant_is_refused(open_presence: Open) -> None:
    """A datetime without a zone names no instant."""
    presence = open_presence()
    with pytest.raises(ValueError, match="naive"):
        presence.join("n1", NOON.replace(tzinfo=None))
    assert presence.join("n1", NOON) == []
    with pytest.raises(ValueError, match="naive"):
        presence.beat("n1", NOON.replace(tzinfo=None))
    presence.leave("n1")


# --- PostgreSQL alone ---


def names(found: list[tuple[str, datetime]]) -> list[str]:
    """The nodes without their instants."""
    return [node for node, _ in found]


def test_many_nodes_live_side_by_side(leases: Leases) -> None:
    """On PostgreSQL any number of nodes join, and none takes another for dead."""
    nodes = {f"n{number}": leases.joined(f"n{number}") for number in range(4)}
    for node, presence in nodes.items():
        assert presence.beat(node, NOON) == []
        assert presence.dead([*nodes, "stranger"], NOON) == ["stranger"]


def test_a_lease_that_ran_out_is_found_once(leases: Leases) -> None:
    """A node that stopped beating is told to one living node, with the instant of its last beat."""
    first, second = leases.joined("n1"), leases.joined("n2")
    leases.joined("victim")
    leases.let_run_out("victim")
    ((node, seen),) = first.beat("n1", NOON)
    assert node == "victim"
    assert seen.tzinfo is UTC
    assert timedelta(seconds=50) < datetime.now(UTC) - seen < timedelta(minutes=10)
    assert second.beat("n2", NOON) == []
    assert first.beat("n1", NOON) == []
    assert second.dead(["victim", "n1"], NOON) == ["victim"]


def test_a_joining_node_learns_of_the_dead(leases: Leases) -> None:
    """The first node after a crash of all finds them all, the longest dead first."""
    leases.joined("a")
    leases.joined("b")
    leases.let_run_out("b")
    leases.let_run_out("a", "b")
    assert names(leases.open().join("c", NOON)) == ["b", "a"]


def test_local_clocks_do_not_count(leases: Leases) -> None:
    """A node whose clock is days off neither dies of it nor kills others."""
    first, second = leases.joined("n1"), leases.joined("n2")
    assert first.beat("n1", NOON + timedelta(days=300)) == []
    assert second.beat("n2", NOON - timedelta(days=300)) == []
    assert first.dead(["n2"], NOON + timedelta(days=300)) == []


@pytest.mark.parametrize("by", ["beat", "dead"])
def test_a_node_taken_for_dead_cannot_beat_again(leases: Leases, by: str) -> None:
    """Fencing: once another node was told, by a beat or by asking, the late node gets an error instead of a lease."""
    first, late = leases.joined("n1"), leases.joined("late")
    leases.let_run_out("late")
    assert (names(first.beat("n1", NOON)) if by == "beat" else first.dead(["late"], NOON)) == ["late"]
    for _ in range(2):
        with pytest.raises(LeaseLost, match="lost"):
            late.beat("late", NOON)
    if by == "dead":
        assert names(first.beat("n1", NOON)) == ["late"]
    first.beat("n1", NOON)
    with pytest.raises(LeaseLost, match="lost"):
        late.beat("late", NOON)


def test_a_late_beat_that_nobody_missed_is_in_time(leases: Leases) -> None:
    """A process that was stopped for a minute goes on when no other node has taken it for dead."""
    late = leases.joined("late")
    leases.let_run_out("late")
    assert late.beat("late", NOON) == []
    assert leases.joined("n2").dead(["late"], NOON) == []


def test_what_a_dying_node_was_told_is_told_again(leases: Leases) -> None:
    """A finder that dies or leaves before its next beat passes its finds on to another one."""
    finder, other = leases.joined("finder"), leases.joined("other")
    leases.joined("victim")
    leases.let_run_out("victim")
    assert names(finder.beat("finder", NOON)) == ["victim"]
    leases.let_run_out("finder")
    assert names(other.beat("other", NOON)) == ["finder"]
    assert names(leases.open().join("third", NOON)) == ["victim"]
    assert other.beat("other", NOON) == []


def test_what_was_told_to_one_that_lived_on_is_settled(leases: Leases) -> None:
    """A find is not told again once its finder has beaten after it, even if that one dies later; dead stays dead."""
    finder, other = leases.joined("finder"), leases.joined("other")
    leases.joined("victim")
    leases.let_run_out("victim")
    assert names(finder.beat("finder", NOON)) == ["victim"]
    assert finder.beat("finder", NOON) == []
    leases.let_run_out("finder")
    assert names(other.beat("other", NOON)) == ["finder"]
    assert other.beat("other", NOON) == []
    assert other.dead(["victim", "finder", "other"], NOON) == ["victim", "finder"]


def test_a_name_is_good_for_one_start_only(leases: Leases) -> None:
    """A name that is taken, by a living or a dead node, is refused; one that left is free."""
    first = leases.joined("n1")
    with pytest.raises(StoreInUse, match="n1"):
        leases.open().join("n1", NOON)
    with pytest.raises(StoreInUse):
        first.join("n2", NOON)
    leases.let_run_out("n1")
    with pytest.raises(StoreInUse, match="n1"):
        leases.open().join("n1", NOON)
    first.leave("n1")
    assert leases.open().join("n1", NOON) == []


def test_each_death_is_told_once_however_many_ask(leases: Leases) -> None:
    """Nodes that beat at the same time share the dead among them without a double."""
    nodes = [(f"n{number}", leases.joined(f"n{number}")) for number in range(4)]
    victims = [f"v{number}" for number in range(8)]
    for victim in victims:
        leases.joined(victim)
    leases.let_run_out(*victims)
    with ThreadPoolExecutor(4) as pool:
        found = [node for told in pool.map(lambda one: one[1].beat(one[0], NOON), nodes) for node in names(told)]
    assert sorted(found) == victims


def test_leaving_without_the_database_is_no_error(leases: Leases) -> None:
    """A node that stops while the connection is gone stops all the same; its lease just runs out."""
    presence = leases.joined("n1")
    presence.close()
    presence.leave("n1")
    presence.leave("n1")
    leases.let_run_out("n1")
    assert names(leases.open().join("n2", NOON)) == ["n1"]


@pytest.mark.parametrize("lease_seconds", [0, -1, float("nan"), 1e9])
def test_a_lease_has_a_sane_length(lease_seconds: float) -> None:
    """A lease that never or always runs out is refused before anything is connected."""
    with pytest.raises(ValueError, match="lease_seconds"):
        PostgresPresence("postgresql://127.0.0.1:1/x", lease_seconds)


# --- the folder alone ---

HOLDER = """
import sys
from datetime import datetime
from infrastructure.postgres_stores import PostgresPresence
from infrastructure.presence import FolderPresence
presence = FolderPresence(sys.argv[1])
presence.join("victim", datetime.fromisoformat(sys.argv[2]))
if sys.argv[3]:
    presence.beat("victim", datetime.fromisoformat(sys.argv[3]))
{then}
print("ready", flush=True)
sys.stdin.read()
"""
NOTHING = "pass"
FORK = """
import os, time
child = os.fork()
if child == 0:
    sys.stdin.read()
    time.sleep(600)
print(child, flush=True)
"""
EXEC = (
    "import subprocess; print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']).pid, flush=True)"
)


class Held:
    """A process that holds the folder, and is killed at the end."""

    def __init__(self, folder: Path, beat: datetime | None = None, then: str = NOTHING) -> None:
        arguments = [str(folder), NOON.isoformat(), beat.isoformat() if beat else ""]
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLDER.format(then=then), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        self.lines = [] if then == NOTHING else [self._line()]
        assert self._line() == "ready"

    def _line(self) -> str:
        out: IO[str] | None = self.process.stdout
        assert out is not None
        return out.readline().strip()

    def kill(self) -> None:
        """SIGKILL, and wait until the process is gone."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


@pytest.fixture
def hold(tmp_path: Path) -> Iterator[Callable[..., Held]]:
    """Starts holders of the folder, and ends those that a test left."""
    started: list[Held] = []

    def start(**arguments: object) -> Held:
        started.append(Held(tmp_path, **arguments))  # type: ignore[arg-type]
        return started[-1]

    yield start
    for held in started:
        held.kill()


def test_a_second_process_is_told_who_holds_the_folder(tmp_path: Path, hold: Callable[..., Held]) -> None:
    """While a process lives nobody else joins; the error names its pid and since when, and it goes on undisturbed."""
    held = hold()
    with pytest.raises(StoreInUse) as caught:
        FolderPresence(tmp_path).join("n2", NOON + SECOND)
    assert f"process {held.process.pid} " in caught.value.holder
    assert "node victim" in caught.value.holder
    assert f"since {NOON:%Y-%m-%d %H:%M:%S} UTC" in caught.value.holder
    found = holder(tmp_path)
    assert found is not None
    assert found["node"] == "victim"


@pytest.mark.parametrize("beat", [None, NOON + 7 * SECOND], ids=["before its first beat", "after a beat"])
def test_a_killed_holder_is_found_dead_with_its_last_instant(
    tmp_path: Path, hold: Callable[..., Held], beat: datetime | None
) -> None:
    """After kill -9 the folder is free at once, and the next node learns who died and when it was last seen."""
    hold(beat=beat).kill()
    assert holder(tmp_path) is None
    presence = FolderPresence(tmp_path)
    assert presence.join("n2", NOON + 60 * SECOND) == [("victim", beat or NOON)]
    assert presence.dead(["victim", "n2", "other"], NOON) == ["victim", "other"]
    presence.beat("n2", NOON + 61 * SECOND)
    presence.leave("n2")
    assert FolderPresence(tmp_path).join("n3", NOON) == []


def test_a_death_is_not_forgotten_when_its_finder_dies_too(tmp_path: Path, hold: Callable[..., Held]) -> None:
    """Nodes that die one after the other before their first beat are all found; a beat says that they were noted."""
    (tmp_path / "daybook.lock").write_text(json.dumps({"node": "old", "pid": 1, "started": NOON.isoformat()}))
    hold().kill()
    third = FolderPresence(tmp_path)
    assert third.join("n3", NOON + SECOND) == [("old", NOON), ("victim", NOON)]
    third.beat("n3", NOON + 2 * SECOND)
    _die(third)
    assert FolderPresence(tmp_path).join("n4", NOON + 3 * SECOND) == [("n3", NOON + 2 * SECOND)]


@pytest.mark.parametrize("then", [FORK, EXEC], ids=["fork", "exec"])
def test_a_child_process_does_not_keep_the_lock(tmp_path: Path, hold: Callable[..., Held], then: str) -> None:
    """The lock ends with the process that joined, even while its children live on."""
    held = hold(then=then)
    child = int(held.lines[0])
    try:
        held.kill()
        os.kill(child, 0)
        assert FolderPresence(tmp_path).join("n2", NOON) == [("victim", NOON)]
    finally:
        os.kill(child, signal.SIGKILL)


def test_one_process_cannot_hold_a_folder_twice(tmp_path: Path) -> None:
    """Two nodes in one process collide as two processes would, through one object or two."""
    first = FolderPresence(tmp_path)
    first.join("n1", NOON)
    for presence in (first, FolderPresence(tmp_path)):
        with pytest.raises(StoreInUse, match=f"process {os.getpid()}"):
            presence.join("n2", NOON)
    first.leave("n1")


def test_of_many_that_join_at_once_one_wins(tmp_path: Path) -> None:
    """A race for a free folder has exactly one winner."""
    presences = [FolderPresence(tmp_path) for _ in range(6)]
    barrier = threading.Barrier(6)

    def race(number: int) -> bool:
        barrier.wait()
        try:
            return presences[number].join(f"n{number}", NOON) == []
        except StoreInUse:
            return False

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(race, range(6))) == 1


def test_looking_does_not_disturb_a_join(tmp_path: Path) -> None:
    """However often tools look who holds the folder, a join succeeds and they see it."""
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            holder(tmp_path)

    with ThreadPoolExecutor(2) as pool:
        lookers = [pool.submit(look) for _ in range(2)]
        try:
            for number in range(30):
                presence = FolderPresence(tmp_path)
                assert presence.join(f"n{number}", NOON) == []
                presence.leave(f"n{number}")
        finally:
            done.set()
    assert [looker.result() for looker in lookers] == [None, None]


def test_looking_tells_who_and_when(tmp_path: Path) -> None:
    """A tool sees node, pid, host, start and last beat of a living holder; nothing before and after."""
    assert holder(tmp_path) is None
    assert holder(tmp_path / "nowhere") is None
    presence = FolderPresence(tmp_path)
    presence.join("n1", NOON)
    before = sorted((path.name, path.read_bytes()) for path in tmp_path.iterdir())
    found = holder(tmp_path)
    assert sorted((path.name, path.read_bytes()) for path in tmp_path.iterdir()) == before
    assert found is not None
    assert (found["node"], found["pid"], found["started"], found["seen"]) == (
        "n1",
        os.getpid(),
        NOON.isoformat(),
        NOON.isoformat(),
    )
    presence.beat("n1", NOON + 5 * SECOND)
    found = holder(tmp_path)
    assert found is not None
    assert found["seen"] == (NOON + 5 * SECOND).isoformat()
    presence.leave("n1")
    assert holder(tmp_path) is None


@pytest.mark.parametrize(
    "record",
    ["", "{", "[]", '{"node": 5}', '{"node": "x"}', '{"node": "x", "seen": "then", "found": 7}', "\x00" * 50],
)
def test_a_broken_record_keeps_nobody_from_starting(tmp_path: Path, record: str) -> None:
    """What stands in the files is only told, never needed: a half-written or edited record is passed over."""
    (tmp_path / "daybook.lock").write_text(record)
    (tmp_path / "daybook.seen").write_text(record)
    presence = FolderPresence(tmp_path)
    assert presence.join("n1", NOON) == []
    found = holder(tmp_path)
    assert found is not None
    assert found["node"] == "n1"
    presence.leave("n1")


def test_a_longer_record_behind_a_shorter_one_is_ignored(tmp_path: Path) -> None:
    """A kill between writing and truncating leaves the new record readable."""
    record = json.dumps({"node": "n0", "pid": 1, "started": NOON.isoformat(), "seen": NOON.isoformat()})
    (tmp_path / "daybook.lock").write_text(record + '"tail": "of an older one"}')
    assert FolderPresence(tmp_path).join("n1", NOON + SECOND) == [("n0", NOON)]


def test_a_lock_file_taken_away_ends_the_lease(tmp_path: Path) -> None:
    """When someone removes the lock file another process could join: the holder notices at its next beat."""
    presence = FolderPresence(tmp_path)
    presence.join("n1", NOON)
    (tmp_path / "daybook.lock").unlink()
    with pytest.raises(LeaseLost, match=re.escape("daybook.lock was removed or replaced")):
        presence.beat("n1", NOON)


def test_a_beat_that_cannot_be_written_keeps_the_lease(tmp_path: Path) -> None:
    """A full disk does not make a node stop that holds the lock: it only looks as if it was last seen earlier."""
    presence = FolderPresence(tmp_path)
    presence.join("n1", NOON)
    (tmp_path / "daybook.seen.tmp").mkdir()
    assert presence.beat("n1", NOON + SECOND) == []
    _die(presence)
    assert FolderPresence(tmp_path).join("n2", NOON + 2 * SECOND) == [("n1", NOON)]


def test_before_joining_nobody_is_known_to_be_dead(tmp_path: Path) -> None:
    """Without the lock nothing is certain."""
    assert FolderPresence(tmp_path).dead(["n1"], NOON) == []


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """A file in the way is a StoreUnavailable that names the place."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailable, match=r"daybook\.lock"):
        FolderPresence(tmp_path / "file").join("n1", NOON)


def _die(presence: FolderPresence) -> None:
    """What the end of a process does: the descriptor is closed, nothing is written."""
    descriptor, presence._descriptor = presence._descriptor, None
    assert descriptor is not None
    os.close(descriptor)


def test_nobody_is_dead_for_a_node_whose_lock_file_was_replaced(tmp_path: Path) -> None:
    """The folder may be another's by now, whose runs must not be taken over before the next beat tells."""
    first, second = FolderPresence(tmp_path), FolderPresence(tmp_path)
    first.join("n1", NOON)
    assert first.dead(["n0", "n1"], NOON) == ["n0"]
    (tmp_path / "daybook.lock").unlink()
    second.join("n2", NOON)
    assert first.dead(["n0", "n2"], NOON) == []
    assert second.dead(["n1"], NOON) == ["n1"]
    second.leave()
    first.leave()
