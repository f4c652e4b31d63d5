"""What a process loads for what it is asked: counted in modules, for seconds depend on the machine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.adapters.cli_runner import Daybook

_RUN = """
import sys
sys.argv = ["daybook", *sys.argv[1:]]
import daybook
try:
    daybook.main()
finally:
    sys.stderr.write("\\n" + " ".join(sys.modules))
"""
NEVER_TO_ASK = {
    *("aiohttp", "aiosmtplib", "apscheduler", "discord", "holidays", "icalendar", "ijson", "jinja2", "markdown_it"),
    *("nltk", "prometheus_client", "psycopg", "sqlite_utils", "standardwebhooks", "structlog", "sumy"),
}
"""What no question needs: the world outside, other stores, what makes tables and what draws pages."""

ONLY_FOR_THE_LOG = {"cryptography", "cronsim", "eventsourcing", "pydantic", "pydantic_settings"}
"""What opening events and reading definitions take."""

OURS = ("adapters", "application", "domain", "infrastructure")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a task that has run."""
    cli = Daybook(tmp_path_factory.mktemp("weight") / "data")
    cli.add("Morning", "--time", "08:30", "--timezone", "Europe/Berlin")
    assert cli("tasks", "run", "Morning", "--json").code == 0
    return cli.folder


def loaded(folder: Path, *arguments: str) -> set[str]:
    """The modules that a process has loaded when it has done what its arguments ask for."""
    ended = subprocess.run(
        [sys.executable, "-c", _RUN, *arguments],
        env={"DAYBOOK_DATA": str(folder), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(ended.stderr.rpartition("\n")[2].split())


def packages(modules: set[str]) -> set[str]:
    """The names before the first dot."""
    return {name.partition(".")[0] for name in modules}


def test_telling_the_version_loads_next_to_nothing(folder: Path) -> None:
    """Neither the command line's own library, nor an event loop, nor a store."""
    found = packages(loaded(folder, "--version"))
    assert not found & {*NEVER_TO_ASK, *ONLY_FOR_THE_LOG, "asyncio", "logging", "rich", "sqlite3", "typer"}


@pytest.mark.parametrize("command", [("tasks", "list"), ("stats",), ("runs",)])
def test_a_list_is_read_from_rows_alone(folder: Path, command: tuple[str, ...]) -> None:
    """No event loop, no event, no key, no rich: what a list shows stands in the rows."""
    modules = loaded(folder, *command)
    assert not packages(modules) & {*NEVER_TO_ASK, *ONLY_FOR_THE_LOG, "asyncio", "rich"}
    assert "domain.task_events" not in modules


def test_a_list_loads_few_modules_of_ours(folder: Path) -> None:
    """Each of them was put here on purpose: a new one that is needed may raise the number."""
    ours = {name for name in loaded(folder, "tasks", "list") if name.partition(".")[0] in OURS}
    assert len(ours) <= 56, sorted(ours)


@pytest.mark.parametrize(
    "command",
    [
        ("tasks", "show", "Morning"),
        ("destinations", "list"),
        ("tasks", "list", "--json"),
        ("history", "Morning"),
        ("why", "Morning", "--at", "2020-01-01T08:30"),
        ("account", "Morning"),
        ("as-of", "2999-01-01T00:00", "Morning"),
        ("--help",),
        ("tasks", "add", "--help"),
    ],
)
def test_no_question_loads_the_world_outside(folder: Path, command: tuple[str, ...]) -> None:
    """Asking needs no network, no timer, no engine and no table to be made."""
    assert not packages(loaded(folder, *command)) & NEVER_TO_ASK


def test_only_the_command_asked_for_is_loaded(folder: Path) -> None:
    """The other commands' modules stay on the disk."""
    modules = loaded(folder, "stats")
    assert "adapters.cli.history" in modules
    assert not modules & {"adapters.cli.tasks", "adapters.cli.proof", "adapters.cli.transfer", "adapters.cli.upkeep"}
