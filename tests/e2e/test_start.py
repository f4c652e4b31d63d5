"""What a command does not load: the start of the command line stays short because of what it leaves alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import daybook

ROOT = Path(__file__).parents[2]
_LOADED = """
import json, sys
import daybook
try:
    daybook.main()
except SystemExit as ended:
    assert not ended.code, ended.code
finally:
    print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""


def started(*arguments: str) -> tuple[str, set[str]]:
    """What the command says, and the modules that it has in memory as it ends."""
    command = [sys.executable, "-c", _LOADED, *arguments]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    return ended.stdout, set(json.loads(ended.stderr.splitlines()[-1]))


def test_the_version_is_told_without_loading_commands_stores_or_models() -> None:
    """``daybook --version`` needs none of the libraries that take long to import."""
    heavy = {"typer", "rich", "pydantic", "eventsourcing", "cryptography", "sqlite3", "sqlite_utils", "holidays"}
    heavy |= {"discord", "aiohttp", "apscheduler", "pydantic_settings", "application.service", "domain.task"}
    said, loaded = started("--version")
    assert said == f"daybook {daybook.__version__}\n"
    assert loaded & heavy == set()


async def test_a_list_of_tasks_is_shown_without_loading_what_talks_to_the_world(tmp_path: Path) -> None:
    """``daybook tasks list`` needs no client of Discord, HTTP, or mail, and nothing that summarizes or renders."""
    service = daybook.TaskScheduler(persistence=daybook.TaskPersistence(tmp_path, environment={}))
    await service.schedule_task(
        daybook.ScheduledTask(name="Hello", guild_id="1", channel_id="2", schedule_time="09:00",
                              schedule_type=daybook.ScheduleType.DAILY,
                              destinations=[daybook.Destination(type=daybook.DestinationType.FILE, target="here")])
    )  # fmt: skip
    await service.stop()
    said, loaded = started("tasks", "list", "--data", str(tmp_path))
    assert "Hello" in said
    heavy = {"discord", "aiohttp", "aiosmtplib", "holidays", "sumy", "nltk", "jinja2", "prometheus_client", "psycopg"}
    assert loaded & heavy == set()


def test_every_public_name_is_there_when_it_is_asked_for() -> None:
    """Names that are imported late are the same objects each time, and what there is not is said to be missing."""
    for name in daybook.__all__:
        assert getattr(daybook, name) is getattr(daybook, name)
    assert not hasattr(daybook, "NoSuchName")
