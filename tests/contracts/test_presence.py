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

import pytest

from application.ports import Presence
from domain.errors import StoreInUse, StoreUnavailable
from infrastructure.presence import FolderPresence, holder

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
ROOT = Path(__file__).parents[2]

Open = Callable[[], Presence]


@pytest.fixture
def open_presence(tmp_path: Path) -> Open:
    """Opens the presence of one store as often as it is called, as several processes would."""
    return lambda: FolderPresence(tmp_path)


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


def test_a_beat_without_a_lease_is_refused(open_presence: Open) -> None:
    """A node that never joined, or left, or is not the one that joined, cannot say it is alive."""
    presence = open_presence()
    with pytest.raises(StoreUnavailable):
        presence.beat("n1", NOON)
    presence.join("n1", NOON)
    with pytest.raises(StoreUnavailable):
        presence.beat("n2", NOON)
    presence.leave("n1")
    with pytest.raises(StoreUnavailable):
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


# --- the folder alone ---

HOLDER = """
import sys
from datetime import datetime
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
    assert NOON.isoformat() in caught.value.holder
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
    with pytest.raises(StoreUnavailable, match=re.escape("daybook.lock was removed or replaced")):
        presence.beat("n1", NOON)


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
