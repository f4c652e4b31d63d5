"""A PostgreSQL store through its own tools: pg_dump beside a writer, pg_restore into another database."""

from __future__ import annotations

import inspect
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from domain.errors import EventUnreadable, InvalidInput
from infrastructure.mapper import EventMapper
from infrastructure.postgres_log import PostgresLog
from infrastructure.postgres_stores import PostgresVault
from tests.contracts.log_parts import note

KEY = b"k" * 32


@pytest.fixture
def tools(postgres_server: Any) -> Path:
    """The folder of the newest of the server's own programs: pg_dump refuses a server that is newer than itself."""
    package = Path(inspect.getfile(type(postgres_server))).parent
    return max(package.glob("pginstall*/bin"), key=lambda folder: int(folder.parent.name[len("pginstall") :] or 0))


def log_at(url: str, key: bytes = KEY) -> tuple[PostgresVault, PostgresLog]:
    """Vault and log of a database."""
    vault = PostgresVault(url, key)
    return vault, PostgresLog(url, EventMapper(vault))


def call(program: Path, *arguments: str) -> None:
    """Run one of the tools; what it says is shown when it fails."""
    ended = subprocess.run([program, *arguments], capture_output=True, text=True, check=False, timeout=120)
    assert ended.returncode == 0, ended.stderr


def test_a_dump_taken_beside_a_writer_is_a_whole_store_of_one_instant(
    postgres_url: Callable[[], str], tools: Path, tmp_path: Path
) -> None:
    """Log, vault and content in one snapshot: every event opens, versions have no gap, and positions go on."""
    url, stream = postgres_url(), uuid4()
    vault, log = log_at(url)
    log.append([note(stream, 1, ["first"])])
    stop, written = threading.Event(), [1]

    def write() -> None:
        while not stop.is_set():
            log.append([note(stream, written[0] + 1, ["more"]), note(uuid4(), 1, ["new"], f"guild-{written[0]}")])
            written[0] += 1

    writer = threading.Thread(target=write)
    writer.start()
    acknowledged = written[0]
    try:
        call(tools / "pg_dump", "--format=custom", f"--file={tmp_path / 'store.dump'}", url)
    finally:
        stop.set()
        writer.join()
        log.close()
        vault.close()
    elsewhere = postgres_url()
    call(tools / "pg_restore", "--no-owner", f"--dbname={elsewhere}", str(tmp_path / "store.dump"))
    vault, log = log_at(elsewhere)
    events: list[Any] = [one.event for one in log.read(0, 1_000_000)]
    assert not [event for event in events if isinstance(event, EventUnreadable)]
    versions = [event.originator_version for event in events if event.originator_id == stream]
    assert versions == list(range(1, len(versions) + 1))
    assert len(versions) >= acknowledged
    last = log.last_position()
    assert log.append([note(UUID(int=1), 1, ["goes on"])])[0].position > last
    log.close()
    vault.close()


def test_a_restored_vault_wants_the_master_key_that_it_was_made_with(
    postgres_url: Callable[[], str], tools: Path, tmp_path: Path
) -> None:
    """The key is in no dump."""
    url, elsewhere = postgres_url(), postgres_url()
    vault, log = log_at(url)
    log.append([note(uuid4(), 1, ["first"])])
    log.close()
    vault.close()
    dump = tmp_path / "store.dump"
    call(tools / "pg_dump", "--format=custom", f"--file={dump}", url)
    assert KEY not in dump.read_bytes()
    call(tools / "pg_restore", "--no-owner", f"--dbname={elsewhere}", str(dump))
    with pytest.raises(Exception, match="master key does not fit") as caught:
        log_at(elsewhere, b"x" * 32)
    assert not isinstance(caught.value, InvalidInput)
