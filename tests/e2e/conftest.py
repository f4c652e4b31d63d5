"""The service as a whole: each test that takes ``persistence`` runs on a SQLite folder and on PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from daybook import DatabaseTaskPersistence, TaskExecutor, TaskPersistence, TaskScheduler
from tests.contracts.postgres import postgres_server, postgres_url
from tests.doubles import HostBot, HostEngine, HostMessages
from tests.e2e.machine import Machine

__all__ = ["postgres_server", "postgres_url"]

GUILD = "42"


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], TaskPersistence]:
    """Makes a TaskPersistence on the same store with every call."""
    if request.param == "sqlite":
        return lambda: TaskPersistence(storage_path=tmp_path / "tasks", environment={})
    url = request.getfixturevalue("postgres_url")()
    return lambda: DatabaseTaskPersistence(database_url=url, storage_path=tmp_path / "tasks", environment={})


@pytest.fixture
def engine() -> HostEngine:
    return HostEngine()


@pytest.fixture
def messages() -> HostMessages:
    return HostMessages()


@pytest.fixture
def bot() -> HostBot:
    return HostBot(GUILD)


@pytest.fixture
def executor(engine: HostEngine, messages: HostMessages, bot: HostBot) -> TaskExecutor:
    return TaskExecutor(summarization_engine=engine, message_processor=messages, discord_client=bot)


@pytest.fixture
def persistence(place: Callable[[], TaskPersistence]) -> TaskPersistence:
    return place()


@pytest.fixture
async def scheduler(executor: TaskExecutor, persistence: TaskPersistence) -> AsyncIterator[TaskScheduler]:
    """A started scheduler, stopped after the test."""
    made = TaskScheduler(task_executor=executor, persistence=persistence, timezone="UTC")
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def machine(tmp_path: Path) -> AsyncIterator[Machine]:
    made = Machine(tmp_path)
    await made.boot()
    yield made
    await made.scheduler.stop()
