"""The service as a process of its own: started, asked by other processes, stopped by signals."""

from __future__ import annotations

import json
import os
import pty
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = "import daybook; daybook.main()"
SLOW_PROGRAM = """
import asyncio, daybook
from adapters.cli import main

class Slow(daybook._CommandLine):
    def engine(self, at_once=2, fields=None):
        return SlowEngine(super().engine())

class SlowEngine:
    def __init__(self, engine):
        self.engine = engine
    async def summarize_messages(self, *arguments):
        print("summarizing", flush=True)
        await asyncio.sleep(SECONDS)
        return await self.engine.summarize_messages(*arguments)

main(Slow())
"""


def environment(folder: Path, **more: str) -> dict[str, str]:
    """What the processes see; nothing of ours but what is named here."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DAYBOOK_", "DISCORD_"))}
    return {**kept, "PYTHONPATH": str(ROOT), "DAYBOOK_DATA": str(folder), "PYTHONUNBUFFERED": "1", **more}


@dataclass
class Service:
    """A running ``daybook run``."""

    process: subprocess.Popen[str]
    folder: Path
    first_words: str = ""

    def lines_until(self, text: str) -> list[str]:
        """What it says, up to and including the first line with this text."""
        assert self.process.stdout is not None
        said = []
        for line in self.process.stdout:
            said.append(line)
            if text in line:
                return said
        raise AssertionError(f"it ended without saying {text!r}: {''.join(said)}")

    def end(self, *signals: signal.Signals) -> tuple[int, str]:
        """Send these signals; its exit code and last words."""
        for number in signals:
            self.process.send_signal(number)
        rest, _ = self.process.communicate(timeout=60)
        return self.process.returncode, rest

    def cli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Another process on the same folder."""
        return run(self.folder, *arguments)

    def json(self, *arguments: str) -> Any:
        """What another process says in JSON."""
        ended = self.cli(*arguments, "--json")
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout)


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """``daybook`` once, in a process of its own."""
    command = [sys.executable, "-c", PROGRAM, *arguments]
    return subprocess.run(command, env=environment(folder), capture_output=True, text=True, check=False, timeout=60)


_STARTED: list[subprocess.Popen[Any]] = []


@pytest.fixture(autouse=True, scope="module")
def _no_process_outlives_the_tests() -> Iterator[None]:
    yield
    for process in _STARTED:
        if process.poll() is None:
            process.kill()
        process.communicate()


def started(folder: Path, *arguments: str, program: str = PROGRAM, more: Mapping[str, str] | None = None) -> Service:
    """A service whose start was seen."""
    process = subprocess.Popen(
        [sys.executable, "-c", program, "run", *arguments],
        env=environment(folder, **(more or {})),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    _STARTED.append(process)
    service = Service(process, folder)
    service.first_words = "".join(service.lines_until("serving"))
    return service


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service without examples, for the tests that only talk to it."""
    running = started(tmp_path_factory.mktemp("service") / "data", "--no-examples")
    yield running
    code, rest = running.end(signal.SIGTERM)
    assert code == 0, rest


def test_a_start_says_which_destinations_it_leaves_to_other_processes(tmp_path: Path) -> None:
    """Without a token nothing goes to Discord: one line says so before the first result waits, and what to do."""
    folder = tmp_path / "data"
    for name in ("One", "Two"):
        place = ("--to", "discord_channel:345678901234567890")
        added = run(folder, "tasks", "add", name, "--channel", "general", "--every", "1d", *place)
        assert added.returncode == 0, added.stderr
    service = started(folder, "--no-examples")
    [said] = [line for line in service.lines_until("discord_channel") if "discord_channel" in line]
    assert "of the active tasks 2 have destinations of the kind discord_channel" in said
    assert "DISCORD_TOKEN" in said
    code, rest = service.end(signal.SIGTERM)
    assert (code, "discord_channel" in rest) == (0, False)
    for name in ("One", "Two"):
        assert run(folder, "tasks", "pause", name).returncode == 0
    quiet = started(folder, "--no-examples")
    code, rest = quiet.end(signal.SIGTERM)
    assert (code, "discord_channel" in quiet.first_words + rest) == (0, False)


def test_a_fresh_folder_serves_the_examples_and_ends_by_sigterm(tmp_path: Path) -> None:
    """The first example runs at once and lands in a file; SIGTERM ends it with exit code 0; a restart goes on."""
    service = started(tmp_path / "data")
    said = service.lines_until("executed")
    assert "#general, every minute" in said[-1]
    [file] = (tmp_path / "data" / "summaries").rglob("*.md")
    assert file.name in said[-1]
    before = service.json("tasks", "list")
    assert [task["name"] for task in before] == [
        "#development, every day",
        "#general, every minute",
        "#support, every week",
    ]
    code, rest = service.end(signal.SIGTERM)
    assert code == 0
    assert "Stopped after" in rest
    assert "1 executed" in rest
    assert "Traceback" not in rest
    history = service.json("history", "#general, every minute")
    again = started(tmp_path / "data")
    assert {task["task_id"] for task in again.json("tasks", "list")} == {task["task_id"] for task in before}
    later = again.json("history", "#general, every minute")
    assert later[: len(history)] == history
    assert again.end(signal.SIGINT)[0] == 0


def test_a_second_service_on_the_folder_is_refused_and_told_who_holds_it(service: Service) -> None:
    """Exit code 1, one line, with the process to look for."""
    second = service.cli("run", "--no-live")
    assert second.returncode == 1
    assert second.stderr.startswith("error: ")
    assert f"process {service.process.pid}" in second.stderr
    assert "Traceback" not in second.stdout + second.stderr


def test_what_is_typed_beside_a_service_takes_effect_in_it(service: Service) -> None:
    """A command is seen by the next one, and the service itself does the work that was asked for."""
    added = service.json("tasks", "add", "Beside", "--channel", "general", "--hours", "100")
    assert service.json("tasks", "show", "Beside")["status"] == "active"
    ran = service.json("tasks", "run", "Beside")
    assert ran["state"] == "executed"
    last = service.json("history", "Beside")[-1]
    assert (last["topic"], f"-{service.process.pid}-" in last["owner"]) == ("task.executed", True)
    assert service.cli("tasks", "pause", "Beside").returncode == 0
    assert service.json("tasks", "show", added["task_id"])["status"] == "paused"
    refused = service.cli("tasks", "pause", "Beside")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert service.json("tasks", "resume", "Beside")["status"] == "active"


def test_a_run_that_fails_in_the_service_is_told_by_the_command(service: Service) -> None:
    """Whoever asked for it is told why, with exit code 1."""
    assert service.cli("tasks", "add", "Nowhere", "--guild", "1", "--channel", "42").returncode == 0
    failed = service.cli("tasks", "run", "Nowhere")
    assert failed.returncode == 1
    assert "the archive has no such channel" in failed.stdout


def test_a_rebuild_beside_a_service_is_refused(service: Service) -> None:
    """Two processes must not write one read model."""
    refused = service.cli("rebuild")
    assert refused.returncode == 1
    assert f"process {service.process.pid}" in refused.stderr


def test_a_doctor_sees_the_service(service: Service) -> None:
    """It is healthy, and named."""
    found = {one["check"]: one for one in service.json("doctor")}
    assert str(service.process.pid) in found["service"]["finding"]
    assert found["due"]["state"] == "ok"


def test_json_logs_are_objects_on_lines_of_their_own(tmp_path: Path) -> None:
    """For programs that read the log of a service."""
    service = started(tmp_path, "--json-logs", "--no-examples")
    _, rest = service.end(signal.SIGTERM)
    lines = [json.loads(line) for line in rest.splitlines()]
    assert lines
    assert all({"event", "level", "timestamp"} <= set(line) for line in lines)


def beside_a_frozen_service(service: Service) -> subprocess.Popen[str]:
    """A command that waits for a service that does not move; what it writes is in the log already."""
    service.process.send_signal(signal.SIGSTOP)
    before = written(service.folder)
    added = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "tasks", "add", "Patient", "--channel", "general"],
        env=environment(service.folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    _STARTED.append(added)
    while written(service.folder) == before:
        assert added.poll() is None
    return added


def written(folder: Path) -> int:
    """How many events the log holds."""
    with closing(sqlite3.connect(folder / "log.db", timeout=30)) as log:
        (count,) = log.execute("select count(*) from stored_events").fetchone()
    return int(count)


def test_a_command_takes_the_store_itself_when_the_service_dies_meanwhile(tmp_path: Path) -> None:
    """Who waits for a service that was killed finishes the work alone, and says what came of it."""
    service = started(tmp_path, "--no-examples")
    added = beside_a_frozen_service(service)
    service.process.kill()
    out, err = added.communicate(timeout=60)
    assert added.returncode == 0, err
    assert out.startswith("scheduled: Patient")
    assert [task["name"] for task in service.json("tasks", "list")] == ["Patient"]


def test_a_service_that_hangs_is_told_and_what_was_written_is_kept(tmp_path: Path) -> None:
    """The command does not wait for ever: it says that the task is written down, and the service sees it later."""
    service = started(tmp_path, "--no-examples")
    added = beside_a_frozen_service(service)
    out, err = added.communicate(timeout=60)
    assert (added.returncode, out) == (0, "")
    assert "written down" in err
    service.process.send_signal(signal.SIGCONT)
    assert service.end(signal.SIGTERM)[0] == 0
    assert [task["name"] for task in service.json("tasks", "list")] == ["Patient"]


def slow(folder: Path, seconds: float) -> Service:
    """A service that is making a summary, for so long."""
    service = started(folder, "--no-examples", program=SLOW_PROGRAM.replace("SECONDS", str(seconds)))
    assert service.cli("tasks", "add", "Slow", "--channel", "general", "--hours", "100").returncode == 0
    asked = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "tasks", "run", "Slow"],
        env=environment(folder),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    service.lines_until("summarizing")
    asked.kill()
    asked.wait()
    return service


def test_a_stop_lets_a_run_come_to_its_end(tmp_path: Path) -> None:
    """SIGTERM waits for what is being done, and it is recorded as done."""
    service = slow(tmp_path, 1)
    code, rest = service.end(signal.SIGTERM)
    assert code == 0, rest
    assert "waiting for 1 run" in rest
    [run] = service.json("runs", "Slow")
    assert run["state"] == "executed"


def test_a_second_signal_interrupts_at_once_and_it_is_recorded(tmp_path: Path) -> None:
    """Whoever cannot wait is obeyed; the run is interrupted, not failed, and is due again."""
    service = slow(tmp_path, 1000)
    service.process.send_signal(signal.SIGINT)
    service.lines_until("waiting for 1 run")
    code, rest = service.end(signal.SIGINT)
    assert code == 0, rest
    assert "1 interrupted" in rest
    topics = {event["topic"]: event for event in service.json("history", "Slow")}
    assert topics["task.interrupted"]["cause"] == "shutdown"
    assert "task.failed" not in topics


def test_a_terminal_shows_a_live_view_without_an_alternate_screen(tmp_path: Path) -> None:
    """What is due is drawn where people scroll back to, and Ctrl-C leaves what was done on the screen."""
    leader, follower = pty.openpty()
    with closing(os.fdopen(leader, "rb", buffering=0)) as screen:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, "run"],
            env=environment(tmp_path, TERM="xterm", COLUMNS="120", LINES="40"),
            stdin=follower,
            stdout=follower,
            stderr=follower,
        )
        os.close(follower)
        seen = read_until(screen, b"every minute")
        process.send_signal(signal.SIGINT)
        seen += read_until(screen, b"Stopped after")
        assert process.wait(60) == 0
    assert b"in " in seen
    assert b"Ctrl-C stops" in seen
    assert b"\x1b[?1049h" not in seen


def read_until(screen: Any, text: bytes) -> bytes:
    """What a terminal is sent, until this text was in it."""
    seen = b""
    while text not in seen:
        chunk = screen.read(65_536)
        assert chunk, seen
        seen += chunk
    return bytes(seen)
