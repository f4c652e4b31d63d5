"""A backup of a service that runs and is written to, put back, and served again."""

from __future__ import annotations

import json
import shutil
import signal
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from domain.event import from_epoch_microseconds
from infrastructure.read_only import read_stores
from tests.e2e.test_cli_service import Service, run, started


@pytest.fixture
def services() -> Iterator[list[Service]]:
    """Services that are ended whatever happens."""
    running: list[Service] = []
    yield running
    for service in running:
        if service.process.poll() is None:
            service.process.kill()
            service.process.communicate()


def test_a_service_starts_from_the_backup_of_a_live_one(tmp_path: Path, services: list[Service]) -> None:
    """While it serves, and others add tasks: what was acknowledged before the backup is in it, whole and verified.

    The restored store equals its own rebuild, holds every task with its past, and a service goes on with it.
    """
    data, copy, back = tmp_path / "data", tmp_path / "copy", tmp_path / "back"
    live = started(data)
    services.append(live)
    live.lines_until("executed")
    before = {task["task_id"] for task in live.json("tasks", "list")}
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            live.cli("tasks", "add", f"Extra {number}", "--channel", "general", "--to", "file", "--type", "hourly")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        made = live.json("backup", str(copy), "--with-vault")
    finally:
        stop.set()
        writer.join()
    assert made["position"] > 0
    assert live.process.poll() is None, "the service goes on"
    code, said = live.end(signal.SIGTERM)
    assert code == 0, said

    back.mkdir()
    shutil.copy2(data / "master.key", back)
    restored = run(back, "restore", str(copy), "--json")
    assert restored.returncode == 0, restored.stderr
    assert json.loads(restored.stdout)["position"] == made["position"]
    rebuilt = run(back, "rebuild", "--check", "--json")
    assert rebuilt.returncode == 0, rebuilt.stdout + rebuilt.stderr
    assert json.loads(rebuilt.stdout)["events"] >= made["position"]

    again = started(back, "--no-examples")
    services.append(again)
    tasks = again.json("tasks", "list")
    assert before <= {task["task_id"] for task in tasks}
    general = next(task for task in tasks if task["name"] == "#general, every minute")
    assert again.json("runs", general["task_id"])[-1]["state"] == "executed", "its past is there"
    ran = again.cli("tasks", "run", general["task_id"])
    assert ran.returncode == 0, ran.stderr
    code, said = again.end(signal.SIGTERM)
    assert code == 0, said


def test_a_restored_log_says_that_its_process_was_up(tmp_path: Path, services: list[Service]) -> None:
    """Who made the backup was alive until its last run at least: no time in which it worked is told as an outage."""
    data, copy, back = tmp_path / "data", tmp_path / "copy", tmp_path / "back"
    live = started(data)
    services.append(live)
    live.lines_until("executed")
    live.json("backup", str(copy), "--with-vault")
    general = next(task for task in live.json("tasks", "list") if task["name"] == "#general, every minute")
    closed = datetime.fromisoformat(live.json("runs", general["task_id"])[-1]["closed_at"])
    assert live.end(signal.SIGTERM)[0] == 0

    back.mkdir()
    shutil.copy2(data / "master.key", back)
    restored = Service(live.process, back)
    assert restored.cli("restore", str(copy)).returncode == 0
    restored.json("tasks", "list")
    with read_stores(back, environment={}) as stores:
        [node] = [row for row in stores.read_model.nodes() if row.lost]
    assert node.ended_at is not None
    assert from_epoch_microseconds(node.ended_at) >= closed > from_epoch_microseconds(node.started_at)
    since = from_epoch_microseconds(node.started_at).isoformat()
    report = restored.cli("report", "--from", since, "--format", "json")
    assert report.returncode == 0, report.stderr
    told = json.loads(report.stdout)
    assert 0 < told["down_seconds"] < told["watched_seconds"]
