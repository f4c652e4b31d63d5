"""Opening the stores only to look: nothing is written, nothing is made, and nobody who died is noticed.

For whoever examines a store as it is, and for questions that need no process of their own on the folder.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from application.ports import Content, Log, Vault
from domain.errors import NotFound
from infrastructure.clock import SystemClock
from infrastructure.content import SqliteContent
from infrastructure.layout import CONTENT_FILE, LEAVES_FILE, LEDGER_FILE, LOG_FILE, READ_MODEL_FILE, VAULT_FILE
from infrastructure.leaf_file import LeafFile
from infrastructure.ledger import FileLedger
from infrastructure.mapper import EventMapper
from infrastructure.read_model import SqliteReadModel
from infrastructure.rotation import present_keys
from infrastructure.sqlite_log import SqliteLog
from infrastructure.sqlite_vault import SqliteVault
from infrastructure.stores import snapshot_fingerprint
from infrastructure.vault import SqlVault, WrongKey

__all__ = ["ReadStores", "read_stores"]


@dataclass(frozen=True, slots=True)
class ReadStores:
    """What there is to read. A service may be at work on the same stores.

    ``read_model.stale``: its rows are not there, or were made by another version, so that they cannot be read.
    """

    folder: Path
    log: Log
    read_model: SqliteReadModel
    content: Content
    vault: Vault
    leaves: LeafFile

    @property
    def has_rows(self) -> bool:
        """Whether there are tables at all; after a restore there are none until a start makes them."""
        return (self.folder / READ_MODEL_FILE).exists()

    @property
    def has_leaves(self) -> bool:
        """Whether leaves are kept; without, ``leaves`` cannot be read."""
        return self.leaves.path.exists()

    def destroyed_keys(self) -> frozenset[str]:
        """The ids of the data keys that were destroyed, as the vault and the list of erasures say."""
        listed = (key for entry in FileLedger(self.folder / LEDGER_FILE).entries() for key in entry.keys)
        return frozenset((*self.vault.destroyed_keys(), *listed))


@contextmanager
def read_stores(
    folder: Path, url: str | None = None, *, environment: Mapping[str, str] = os.environ
) -> Iterator[ReadStores]:
    """The stores of a data folder, or of the PostgreSQL database at ``url`` with this node's folder.

    Raises NotFound where there is no store, StoreUnavailable for one that cannot be read.
    """
    with ExitStack() as opened:
        vault, log, content = (
            _on_files(folder, environment, opened) if url is None else _on_postgres(url, folder, environment, opened)
        )
        read_model = SqliteReadModel(folder / READ_MODEL_FILE, writable=False)
        opened.callback(read_model.close)
        leaves = LeafFile(folder / LEAVES_FILE, SystemClock(), read_only=True)
        opened.callback(leaves.close)
        yield ReadStores(folder, log, read_model, content, vault, leaves)


def _on_files(folder: Path, environment: Mapping[str, str], opened: ExitStack) -> tuple[SqlVault, Log, Content]:
    if not (folder / LOG_FILE).exists():
        raise NotFound("store", str(folder))
    vault = _vault(folder, environment, lambda key: SqliteVault(folder / VAULT_FILE, key, read_only=True))
    opened.callback(vault.close)
    log = SqliteLog(folder / LOG_FILE, EventMapper(vault), fingerprint=snapshot_fingerprint(), read_only=True)
    opened.callback(log.close)
    content = SqliteContent(folder / CONTENT_FILE, read_only=True)
    opened.callback(content.close)
    return vault, log, content


def _on_postgres(
    url: str, folder: Path, environment: Mapping[str, str], opened: ExitStack
) -> tuple[SqlVault, Log, Content]:
    from infrastructure.postgres_log import PostgresLog
    from infrastructure.postgres_stores import PostgresContent, PostgresVault

    vault = _vault(folder, environment, lambda key: PostgresVault(url, key, read_only=True))
    opened.callback(vault.close)
    log = PostgresLog(url, EventMapper(vault), fingerprint=snapshot_fingerprint(), read_only=True)
    opened.callback(log.close)
    content = PostgresContent(url, read_only=True)
    opened.callback(content.close)
    return vault, log, content


def _vault(folder: Path, environment: Mapping[str, str], made: Callable[[bytes], SqlVault]) -> SqlVault:
    key, *others = present_keys(folder, environment)
    try:
        return made(key)
    except WrongKey:
        if not others:
            raise
    return made(others[0])
