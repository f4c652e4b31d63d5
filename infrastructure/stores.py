"""Opening all stores of one data folder, or of one PostgreSQL database, as one thing that can be closed."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache, partial
from hashlib import blake2b
from pathlib import Path
from typing import TypedDict

from application.ports import Content, Log, Presence, Spill, Vault
from application.row_sources import source
from domain.errors import StoreCut, StoreError, StoreInUse, StoreUnavailable
from infrastructure.clock import SystemClock
from infrastructure.complete_log import CompleteLog
from infrastructure.content import SqliteContent
from infrastructure.disk_map import DiskMap
from infrastructure.layout import CONTENT_FILE, LEAVES_FILE, LEDGER_FILE, LOG_FILE, READ_MODEL_FILE, VAULT_FILE
from infrastructure.leaf_file import LeafFile
from infrastructure.ledger import FileLedger
from infrastructure.mapper import EventMapper
from infrastructure.masterkey import load_master_key
from infrastructure.presence import FolderPresence
from infrastructure.read_model import SqliteReadModel
from infrastructure.rebuild import catch_up, cores
from infrastructure.rotation import settle_rotation
from infrastructure.rows_apart import RowsApart
from infrastructure.sqlite_log import SqliteLog
from infrastructure.sqlite_vault import SqliteVault
from infrastructure.vault import SqlVault, WrongKey
from infrastructure.writer import LogWriter

__all__ = ["Opening", "Progress", "Stores", "open_folder", "open_postgres", "snapshot_fingerprint", "write_whole"]

Progress = Callable[[int, int], None]

_SNAPSHOT_SOURCES = (
    "domain.definition",
    "domain.destination",
    "domain.incidents",
    "domain.runs",
    "domain.schedule",
    "domain.schedule_kinds",
    "domain.summary",
    "domain.task_events",
    "domain.task_kinds",
    "domain.task_snapshot",
    "domain.task_state",
)
"""They say what a state holds, and what it is where a snapshot leaves it out."""


class Opening(TypedDict, total=False):
    """How stores are opened: beside a service if need be (``companion``), with ``progress`` (position, end).

    ``anew``: rows and kept states are forgotten first, and made of what the log holds now.
    """

    companion: bool
    anew: bool
    progress: Progress | None


@lru_cache(maxsize=1)
def snapshot_fingerprint() -> str:
    """A hash of the code that snapshots depend on: other code's snapshots are not used."""
    return blake2b("".join(source(name) for name in _SNAPSHOT_SOURCES).encode(), digest_size=8).hexdigest()


@dataclass(slots=True)
class Stores:
    """Every store of a process.

    A ``companion`` appends beside the service that holds the folder, and only reads its rows.
    """

    folder: Path
    log: Log
    read_model: SqliteReadModel
    content: Content
    vault: Vault
    presence: Presence
    ledger: FileLedger
    leaves: LeafFile
    writer: LogWriter
    companion: bool = False
    found_dead: list[tuple[str, datetime]] = field(default_factory=list)
    _closing: ExitStack = field(default_factory=ExitStack)

    @property
    def spill(self) -> Spill:
        """Makes mappings that hold more than fits into memory."""
        return DiskMap

    def close(self) -> None:
        """Write what waits and release everything. Idempotent."""
        self._closing.close()


def open_folder(
    folder: Path,
    *,
    node: str,
    now: datetime,
    companion: bool = False,
    anew: bool = False,
    environment: Mapping[str, str] = os.environ,
    progress: Progress | None = None,
) -> Stores:
    """Open the stores of a data folder, making what is missing.

    Raises StoreInUse when another process holds it, unless ``companion`` allows to work beside that one.
    """
    with ExitStack() as opened:
        presence, found, beside = _joined(folder, node, now, companion, opened)
        if not beside:
            settle_rotation(folder, lambda key: _opens(lambda: SqliteVault(folder / VAULT_FILE, key)))
        vault = SqliteVault(folder / VAULT_FILE, load_master_key(folder, environment))
        opened.callback(vault.close)
        log = SqliteLog(folder / LOG_FILE, EventMapper(vault), fingerprint=snapshot_fingerprint())
        opened.callback(log.close)
        content = SqliteContent(folder / CONTENT_FILE)
        opened.callback(content.close)
        return _stores(folder, log, content, vault, presence, found, beside, anew, progress, opened)


def open_postgres(
    url: str,
    folder: Path,
    *,
    node: str,
    now: datetime,
    companion: bool = False,
    anew: bool = False,
    environment: Mapping[str, str] = os.environ,
    progress: Progress | None = None,
) -> Stores:
    """The same on a PostgreSQL database that several machines share.

    ``folder`` holds this node's read model and key.
    """
    from infrastructure.postgres_log import PostgresLog
    from infrastructure.postgres_stores import PostgresContent, PostgresPresence, PostgresVault

    with ExitStack() as opened:
        # The folder is this node's alone: two processes must not write one read model.
        _, _, beside = _joined(folder, node, now, companion, opened)
        if not beside:
            settle_rotation(folder, lambda key: _opens(lambda: PostgresVault(url, key)))
        vault = PostgresVault(url, load_master_key(folder, environment))
        opened.callback(vault.close)
        log = PostgresLog(url, EventMapper(vault), fingerprint=snapshot_fingerprint())
        opened.callback(log.close)
        content = PostgresContent(url)
        opened.callback(content.close)
        presence = PostgresPresence(url)
        opened.callback(presence.close)
        found = [] if beside else presence.join(node, now)
        opened.callback(presence.leave)  # under the name that it has by then
        return _stores(folder, log, content, vault, presence, found, beside, anew, progress, opened)


def _opens(vault: Callable[[], SqlVault]) -> bool:
    """Whether a vault opens with the key that it is given. Raises StoreUnavailable for what is no matter of keys."""
    try:
        vault().close()
    except WrongKey:
        return False
    return True


def _joined(
    folder: Path, node: str, now: datetime, companion: bool, opened: ExitStack
) -> tuple[FolderPresence, list[tuple[str, datetime]], bool]:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o750)
    except OSError as error:
        raise StoreUnavailable(f"cannot make the data folder {folder}: {error.strerror}; choose another") from error
    presence = FolderPresence(folder)
    try:
        found = presence.join(node, now)
    except StoreInUse:
        if not companion:
            raise
        return presence, [], True
    opened.callback(presence.leave)  # under the name that it has by then
    return presence, found, False


def _stores(
    folder: Path,
    log: Log,
    content: Content,
    vault: Vault,
    presence: Presence,
    found: list[tuple[str, datetime]],
    companion: bool,
    anew: bool,
    progress: Progress | None,
    opened: ExitStack,
) -> Stores:
    read_model = SqliteReadModel(folder / READ_MODEL_FILE, writable=not companion)
    opened.callback(read_model.close)
    leaves = LeafFile(folder / LEAVES_FILE, SystemClock())
    opened.callback(leaves.close)
    if not companion:
        if anew:
            _let_go_of_the_end(leaves, log)
            log.drop_snapshots()
            read_model.reset()
        else:
            _check_end(read_model, log)
        kept = leaves if leaves.path.exists() else None
        complete = partial(CompleteLog, log, folder, leaves=kept, accepted=anew)
        catch_up(read_model, complete, vault, progress=progress)
    apart = RowsApart(read_model.path, vault) if cores() > 1 and not companion else None
    writer = LogWriter(log, None if companion else read_model, fingerprint=snapshot_fingerprint(), apart=apart)
    opened.callback(writer.close)
    return Stores(
        folder,
        log,
        read_model,
        content,
        vault,
        presence,
        FileLedger(folder / LEDGER_FILE),
        leaves,
        writer,
        companion,
        found,
        _closing=opened.pop_all(),
    )


def _check_end(read_model: SqliteReadModel, log: Log) -> None:
    """What was acknowledged and is gone must be noticed before other events take its place."""
    if (read := read_model.read_before) > (end := log.last_position()):
        raise StoreCut(str(read_model.path.parent), end, read)


def _let_go_of_the_end(leaves: LeafFile, log: Log) -> None:
    """Where the log ends before its leaves do, and somebody wants to go on with what is left, others will stand there.

    Leaves that cannot be read stay: `daybook verify` says what to do about them.
    """
    with suppress(StoreError):
        last = leaves.last() if leaves.path.exists() else None
        if last is not None and last.position > log.last_position():
            leaves.set_aside()


def write_whole(path: Path, text: str) -> None:
    """Replace the file by a complete new one, or leave it as it was."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
