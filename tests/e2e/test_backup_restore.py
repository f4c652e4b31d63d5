"""A backup of a service that runs and is written to, put back, and served again."""

from __future__ import annotations

import json
import shutil
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

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
