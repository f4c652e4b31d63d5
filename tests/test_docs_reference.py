"""The reference pages say what the code says: nothing is missing, nothing is left over."""

from __future__ import annotations

import inspect
import re
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest

import daybook
from application.dispatcher import CHECK_SECONDS
from application.limits import Limits
from application.ports import SNAPSHOT_EVENTS
from application.queries import MOST_LISTED
from application.transfer import LARGEST_IMPORT_BYTES, MOST_IMPORTED
from domain import errors
from domain.claiming import LONGEST_LOOK_BACK
from domain.definition import LONGEST_NAME_CHARACTERS, MOST_CHANNELS, MOST_DESTINATIONS, TaskDefinition
from domain.draft import SCHEDULE_FIELDS
from domain.event import EVENT_TYPES
from domain.retry import LONGEST_DELAY
from infrastructure.settings import settings_table
from infrastructure.stream_cache import CACHED_STREAMS
from infrastructure.writer import MOST_COMMANDS
from tests.docs_pages import ROOT, section, table

REFERENCE = ROOT / "docs" / "reference"
EVENTS, ERRORS = REFERENCE / "events.md", REFERENCE / "errors.md"
API, SETTINGS = REFERENCE / "python-api.md", REFERENCE / "settings.md"
_COMMON = {"originator_id", "originator_version", "timestamp"}
_OUR_EVENTS = {topic: kind for topic, kind in EVENT_TYPES.items() if kind.__module__.startswith("domain.")}


def plain(cell: str) -> str:
    """A cell without its backticks."""
    return cell.strip("`")


def test_every_event_is_on_the_page() -> None:
    """The topics of the page are those of the log."""
    headings = re.findall(r"^### ([a-z_]+\.[a-z_]+)$", EVENTS.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(headings) == sorted(_OUR_EVENTS)


@pytest.mark.parametrize("topic", sorted(_OUR_EVENTS))
def test_every_field_of_an_event_is_on_the_page(topic: str) -> None:
    """A reader of the log finds each field explained, and none that does not exist."""
    fields = set(_OUR_EVENTS[topic].model_fields) - _COMMON
    assert {plain(row[0]) for row in table(section(EVENTS, f"### {topic}"))} == fields


def test_every_error_is_on_the_page_with_its_parents() -> None:
    """What a caller may catch is what the code raises."""
    shown = {plain(row[0]): set(re.findall(r"`(\w+)`", row[1])) for row in table(ERRORS.read_text(encoding="utf-8"))}
    real = {name: {base.__name__ for base in getattr(errors, name).__bases__} for name in errors.__all__}
    assert shown == real


def test_every_public_name_is_on_the_page() -> None:
    """The list of names is the list of the face."""
    rows = table(section(API, "## All names"))
    assert sorted(plain(row[0]) for row in rows) == sorted(daybook.__all__)


@pytest.mark.parametrize("name", [row for row in daybook.__all__ if isinstance(getattr(daybook, row), type)])
def test_the_values_of_every_choice_are_on_the_page(name: str) -> None:
    """Whoever writes a value finds it spelled out."""
    kind = getattr(daybook, name)
    meaning = {plain(row[0]): row[1] for row in table(section(API, "## All names"))}[name]
    if issubclass(kind, StrEnum):
        assert re.findall(r"`([a-z0-9_-]+)`", meaning)[: len(kind)] == [choice.value for choice in kind]
    assert meaning


@pytest.mark.parametrize(
    ("heading", "classes"),
    [
        ("## TaskScheduler", [daybook.TaskScheduler]),
        ("## TaskExecutor", [daybook.TaskExecutor]),
        (
            "## TaskPersistence and DatabaseTaskPersistence",
            [daybook.TaskPersistence, daybook.DatabaseTaskPersistence],
        ),
    ],
)
def test_every_public_call_is_on_the_page_with_its_parameters(heading: str, classes: list[type[Any]]) -> None:
    """A call that the page shows can be made as shown."""
    shown = [_call(row[0]) for row in table(section(API, heading))]
    assert sorted(shown) == sorted(call for kind in classes for call in _calls(kind))


def test_every_field_of_a_task_is_on_the_page() -> None:
    """The fields of the page are those that ScheduledTask(...) takes."""
    shown = [plain(row[0]) for row in table(section(API, "## The fields of a task"))]
    assert sorted(shown) == sorted({*TaskDefinition.model_fields, *SCHEDULE_FIELDS})


def test_every_setting_is_on_the_page() -> None:
    """The table of the page is the one that the settings print."""
    shown = [(plain(row[0]), plain(row[1]), row[2], row[3]) for row in table(SETTINGS.read_text(encoding="utf-8"))]
    assert shown == [tuple(row) for row in settings_table()]


def test_the_limits_of_the_page_are_those_of_the_code() -> None:
    """A number that people plan with must not drift from the code."""
    page = (ROOT / "docs" / "explanation" / "architecture.md").read_text(encoding="utf-8")
    bounds = dict(table(section(ROOT / "docs" / "explanation" / "architecture.md", "## Limits")))
    limits = Limits()
    assert bounds["runs at the same time"] == f"{limits.runs} per process, {limits.runs_per_guild} per guild"
    assert bounds["one attempt"] == f"{limits.attempt_deadline // timedelta(minutes=1)} minutes"
    assert bounds["a stop"] == f"{limits.drain // timedelta(seconds=1)} seconds for runs to end"
    assert f"at most {LONGEST_DELAY // timedelta(hours=1)} hours apart" in bounds["retries"]
    assert f"more than {LONGEST_LOOK_BACK.days} days" in bounds["look-back"]
    sizes = f"{LONGEST_NAME_CHARACTERS} characters, {MOST_CHANNELS}, {MOST_DESTINATIONS}"
    assert bounds["names, channels, destinations of a task"] == sizes
    assert bounds["an import"] == f"{LARGEST_IMPORT_BYTES // 2**20} MiB, {MOST_IMPORTED:,} tasks"
    assert bounds["rows that a query returns"] == f"{MOST_LISTED:,}"
    for said in (
        f"at most {MOST_COMMANDS:,}",
        f"streams are cached ({CACHED_STREAMS:,})",
        f"every {SNAPSHOT_EVENTS} events",
        f"every {CHECK_SECONDS}\nseconds",
    ):
        assert said in page


def test_every_proof_that_is_named_exists() -> None:
    """A promise is backed by tests that are there."""
    page = ROOT / "docs" / "explanation" / "promises.md"
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page.read_text(encoding="utf-8"))
    assert len(named) >= 40
    for path, test in named:
        assert _defines(ROOT / path, test), f"{path} has no {test}"


def _defines(path: Path, test: str) -> bool:
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return re.search(rf"^ *(?:async )?def {test}\(|^(?:class )?{test}\b", text, re.MULTILINE) is not None


def _call(cell: str) -> tuple[str, bool, tuple[str, ...]]:
    """(name, awaited, parameters) of a cell like ``await pause_task(task_id, reason)``."""
    match = re.fullmatch(r"(await )?(\w+)(?:\((.*)\))?", plain(cell))
    assert match is not None, cell
    given = match[3].split(", ") if match[3] else []
    return match[2], bool(match[1]), tuple(parameter.lstrip("*") for parameter in given)


def _calls(kind: type[Any]) -> list[tuple[str, bool, tuple[str, ...]]]:
    every = {name: value for base in reversed(kind.__mro__[:-1]) for name, value in vars(base).items()}
    own = {name: value for name, value in every.items() if not name.startswith("_")}
    calls = [(kind.__name__, False, _parameters(kind))]
    for name, value in own.items():
        if kind is daybook.DatabaseTaskPersistence:
            continue  # what it overrides is on the page already
        calls.append((name, inspect.iscoroutinefunction(value), () if isinstance(value, property) else _own(value)))
    return calls


def _own(method: Any) -> tuple[str, ...]:
    return _parameters(method)[1:]


def _parameters(function: Any) -> tuple[str, ...]:
    return tuple(inspect.signature(function).parameters)
