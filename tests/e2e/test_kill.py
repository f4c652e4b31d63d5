"""A real service, killed with SIGKILL at random moments again and again: nothing is lost, doubled or left half-done."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from domain import node
from domain import task_events as facts
from domain.task import ScheduledTask, state
from infrastructure.stores import Stores, open_folder
from tests.e2e.evidence import (
    all_events,
    check_accounting,
    check_rebuild,
    check_rows,
    check_snapshots,
    task_streams,
)

pytestmark = pytest.mark.timeout(300)

ROOT = Path(__file__).resolve().parent.parent.parent
KILLS = int(os.environ.get("DAYBOOK_TEST_KILLS", "50"))
SEED = int(os.environ.get("DAYBOOK_TEST_SEED", "20261123"))
FACTOR = 600
"""A minute of the service's clock is a tenth of a second."""


class Service:
    """One process of the program under test."""

    def __init__(self, folder: Path, origin: float, seed: int) -> None:
        arguments = [str(folder), str(origin), str(FACTOR), str(seed)]
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "tests.e2e.programs.service", *arguments],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.said: list[dict[str, Any]] = []

    def wait_until_ready(self) -> None:
        """Return when it serves. What it says before is kept."""
        while "ready" not in self._hear():
            pass

    def wait_for_commands(self, count: int) -> None:
        """Return when it acknowledged ``count`` more commands: its life is measured in work, not in seconds."""
        while count > 0:
            count -= "ack" in self._hear()

    def _hear(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the service ended: {self.errors()}"
        self.said.append(json.loads(line))
        return self.said[-1]

    def errors(self) -> str:
        """Its standard error."""
        assert self.process.stderr is not None
        return self.process.stderr.read().decode()

    def end(self, number: signal.Signals) -> int:
        """Signal it, wait for its end, and read all that it said; returns the exit code."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=60)
        self.said.extend(json.loads(line) for line in out.splitlines() if line.endswith(b"}"))
        assert b"Traceback" not in err, err.decode()
        return self.process.returncode


@dataclass
class Aftermath:
    """The store after all kills and one clean end, with all that was acknowledged on the way."""

    folder: Path
    scratch: Path
    stores: Stores
    events: list[Any]
    acknowledged: list[dict[str, Any]]
    kills: int
    last_exit: int
    last_node: str
    ready: Counter[str] = field(default_factory=Counter)


def _killed(folder: Path, acknowledged: list[dict[str, Any]], ready: Counter[str]) -> tuple[int, str, int]:
    chance, origin, boot_seconds = random.Random(SEED), time.time(), 1.0
    for kill in range(1, KILLS + 1):
        begun = time.monotonic()
        service = Service(folder, origin, kill)
        moment = "running" if kill == 1 else chance.choice(("boot", "running", "running", "stopping"))
        if moment == "boot":
            time.sleep(chance.uniform(0.4, 1.0) * boot_seconds)
        else:
            service.wait_until_ready()
            boot_seconds = time.monotonic() - begun
            service.wait_for_commands(chance.randint(0, 20))
            time.sleep(chance.uniform(0, 0.05))
        if moment == "stopping":
            service.process.send_signal(signal.SIGTERM)
            time.sleep(chance.uniform(0, 0.05))
        service.end(signal.SIGKILL)
        acknowledged.extend(said for said in service.said if "ack" in said)
        ready[moment] += any("ready" in said for said in service.said)
    last = Service(folder, origin, 0)
    last.wait_until_ready()
    node_name = last.said[-1]["ready"]
    time.sleep(1)
    code = last.end(signal.SIGTERM)
    acknowledged.extend(said for said in last.said if "ack" in said)
    return code, node_name, KILLS


@pytest.fixture(scope="module")
def aftermath(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aftermath]:
    folder, scratch = tmp_path_factory.mktemp("killed"), tmp_path_factory.mktemp("scratch")
    acknowledged: list[dict[str, Any]] = []
    ready: Counter[str] = Counter()
    code, node_name, kills = _killed(folder, acknowledged, ready)
    stores = open_folder(folder, node="afterwards", now=datetime.now(UTC), environment={})
    yield Aftermath(folder, scratch, stores, all_events(stores.log), acknowledged, kills, code, node_name, ready)
    stores.close()


def test_the_kills_hit_a_service_at_work(aftermath: Aftermath) -> None:
    """The test is worth something: it was killed often enough, with commands, runs and crashed attempts behind it."""
    assert aftermath.kills >= 50
    assert len(aftermath.acknowledged) > 5 * aftermath.kills
    crashed = [e for e in aftermath.events if isinstance(e, facts.Interrupted) and e.cause == "crash"]
    assert len(crashed) > aftermath.kills // 5
    assert sum(isinstance(e, facts.Executed) for e in aftermath.events) > 10 * aftermath.kills


def test_every_acknowledged_command_is_in_the_log(aftermath: Aftermath) -> None:
    """Promise 1: what was said to be done, was done for good."""
    there: dict[str, set[Any]] = {
        "once": {e.definition.name for e in aftermath.events if isinstance(e, facts.Created)},
        "request": {e.request for e in aftermath.events if isinstance(e, facts.Requested)},
        "rename": {e.definition.name for e in aftermath.events if isinstance(e, facts.Revised)},
        "pause": {e.reason for e in aftermath.events if isinstance(e, facts.Paused)},
        "resume": {e.reason for e in aftermath.events if isinstance(e, facts.Resumed)},
        "skip": {e.reason for e in aftermath.events if isinstance(e, facts.SkipRequested)},
    }
    lost = [said for said in aftermath.acknowledged if said["key"] not in there[said["ack"]]]
    assert lost == []


def test_no_attempt_was_started_twice(aftermath: Aftermath) -> None:
    """Promise 2: over all processes, each (run, attempt) reached its handler once at most, and was claimed before."""
    lines = (aftermath.folder / "attempts.txt").read_text().splitlines()
    attempts = Counter(tuple(line.split()[:2]) for line in lines)
    assert [attempt for attempt, count in attempts.items() if count > 1] == []
    claimed = {(e.run, str(e.attempt)) for e in aftermath.events if isinstance(e, facts.Started)}
    assert set(attempts) <= claimed
    summaries = {e.run for e in aftermath.events if isinstance(e, facts.Executed) and e.summary is not None}
    done = {
        (e.run, str(e.attempt)) for e in aftermath.events if isinstance(e, facts.Executed) and e.run not in summaries
    }
    assert done <= set(attempts)


def test_every_slot_is_accounted_for(aftermath: Aftermath) -> None:
    """Promise 3: executed, failed, skipped and pending add up to what the schedule implies, for each task."""
    total: Counter[str] = Counter()
    for stream in task_streams(aftermath.events).values():
        total += check_accounting(stream)
    assert total["executed"] > 0
    assert total["skipped"] > 0
    assert total["running"] == 0  # the last process ended in good order


def test_crashed_attempts_ran_again(aftermath: Aftermath) -> None:
    """A run that a kill interrupted was started again, or crashed too often, or was closed by its policy."""
    for stream in task_streams(aftermath.events).values():
        for index, event in enumerate(stream):
            if isinstance(event, facts.Interrupted):
                later = [e for e in stream[index + 1 :] if getattr(e, "run", None) == event.run]
                waits = event.run in _final(stream).open_runs
                assert later or waits, f"run {event.run} was forgotten after its crash"
                if later and isinstance(later[0], facts.Started):
                    assert later[0].attempt == event.attempt + 1


def test_rows_rebuilt_rows_and_snapshots_agree(aftermath: Aftermath) -> None:
    """Promise 4: the live read model equals a rebuilt one, and snapshots equal full replays."""
    streams = task_streams(aftermath.events)
    check_rows(streams, aftermath.stores.read_model)
    check_rebuild(aftermath.stores.log, aftermath.stores.read_model, aftermath.scratch)
    assert check_snapshots(aftermath.stores.log, streams) > 0
    assert aftermath.stores.read_model.faults() == []


def test_no_summary_is_torn_doubled_or_half_visible(aftermath: Aftermath) -> None:
    """One whole file for each delivered run, and nothing else that a reader would see."""
    found = sorted((aftermath.folder / "summaries").rglob("*"))
    visible = [path for path in found if path.is_file() and not path.name.startswith(".")]
    receipts = [
        outcome.receipt
        for event in aftermath.events
        if isinstance(event, facts.Executed | facts.Failed) and event.deliveries
        for outcome in event.deliveries
        if outcome.receipt is not None
    ]
    assert receipts
    assert len(set(receipts)) == len(receipts)
    names = {path.relative_to(aftermath.folder / "summaries").as_posix() for path in visible}
    assert set(receipts) <= names
    by_key = Counter(path.stem.rsplit("-", 1)[-1] for path in visible)
    assert [key for key, count in by_key.items() if count > 1] == []
    for path in visible:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".json":
            assert json.loads(text)["run_id"]
        else:
            assert "Run " in text.splitlines()[-1]


def test_sigterm_ends_in_good_order(aftermath: Aftermath) -> None:
    """Promise 9: the drain leaves nothing running, the node's end is in the log, and the exit code is 0."""
    assert aftermath.last_exit == 0
    ended = [e for e in aftermath.events if isinstance(e, node.NodeStopped) and e.node == aftermath.last_node]
    assert len(ended) == 1
    assert ended[0].interrupted_runs == 0
    assert aftermath.stores.read_model.running() == []


def test_every_death_is_written_down(aftermath: Aftermath) -> None:
    """Each process that was killed while it served shows in the log as lost."""
    started = {e.node for e in aftermath.events if isinstance(e, node.NodeStarted)}
    ended = {e.node for e in aftermath.events if isinstance(e, node.NodeStopped | node.NodeLost)}
    assert started == ended


def _final(stream: list[Any]) -> ScheduledTask:
    task = state(stream)
    assert task is not None
    return task
