"""Parts for the tests of logs: events, a vault without files, and places where a log can be opened again."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, ClassVar
from uuid import UUID

from pydantic import Field

from application.ports import Append, Log, StoredRow
from domain.event import Event, Snapshot, Utc
from infrastructure.mapper import EventMapper
from infrastructure.sqlite_log import SqliteLog

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
GUILD = "guild-1"


class Noted(Event):
    """Something was noted."""

    topic: ClassVar[str] = "test.log.noted"

    text: str
    number: int | None = None


class Moved(Event):
    """Something got another time."""

    topic: ClassVar[str] = "test.log.moved"

    to: Utc
    parameters: dict[str, Any] = Field(default_factory=dict)


class Total(Snapshot):
    """All texts noted so far."""

    topic: ClassVar[str] = "test.log.total"

    texts: tuple[str, ...]


class TinyVault:
    """Keys made from names, the same in every process; a destroyed one is gone in this vault."""

    def __init__(self) -> None:
        self.destroyed: set[bytes] = set()
        self.questions = 0

    def data_key(self, guild_id: str) -> tuple[bytes, bytes]:
        key_id = sha256(guild_id.encode()).digest()[:8]
        return key_id, sha256(key_id).digest()

    def data_keys(self, guild_ids: Iterable[str]) -> dict[str, tuple[bytes, bytes]]:
        return {guild_id: self.data_key(guild_id) for guild_id in guild_ids}

    def key_by_id(self, key_id: bytes) -> bytes | None:
        self.questions += 1
        return None if key_id in self.destroyed else sha256(key_id).digest()

    def keys_by_id(self, key_ids: Iterable[bytes]) -> dict[bytes, bytes | None]:
        return {key_id: self.key_by_id(key_id) for key_id in key_ids}

    def destroy_keys(self, guild_id: str) -> int:
        self.destroyed.add(self.data_key(guild_id)[0])
        return 1


@dataclass(frozen=True)
class Place:
    """Where a log is kept; every process can open it from this."""

    kind: str
    url: str

    def open(self, *, fingerprint: str = "", vault: TinyVault | None = None) -> Log:
        mapper = EventMapper(vault or TinyVault())  # type: ignore[arg-type]
        if self.kind == "sqlite":
            return SqliteLog(self.url, mapper, fingerprint=fingerprint, busy_timeout_seconds=60)
        from infrastructure.postgres_log import PostgresLog

        return PostgresLog(self.url, mapper, fingerprint=fingerprint)

    def damage(self, statement: str, *parameters: object) -> int:
        """Change the store behind the log's back ("?" marks a parameter); returns how many rows were changed."""
        if self.kind == "sqlite":
            connection = sqlite3.connect(self.url, isolation_level=None)
            try:
                return connection.execute(statement, parameters).rowcount
            finally:
                connection.close()
        import psycopg

        with psycopg.connect(self.url, autocommit=True) as postgres:
            return postgres.execute(statement.replace("?", "%s").encode(), parameters).rowcount

    def stream_name(self, stream_id: UUID) -> object:
        """The stream's id as the store keeps it."""
        return stream_id.hex if self.kind == "sqlite" else stream_id


def noted(stream_id: UUID, version: int, text: str = "") -> Noted:
    """One event."""
    return Noted(
        originator_id=stream_id,
        originator_version=version,
        timestamp=NOON + timedelta(seconds=version),
        text=text or f"{version}",
    )


def total(stream_id: UUID, version: int, texts: list[str], fingerprint: str = "now") -> tuple[str, Total]:
    """A snapshot of the texts noted so far."""
    snapshot = Total(
        originator_id=stream_id,
        originator_version=version,
        timestamp=NOON,
        fingerprint=fingerprint,
        texts=tuple(texts),
    )
    return GUILD, snapshot


def positions_of(rows: Sequence[StoredRow]) -> list[int]:
    """Where what was appended stands."""
    return [row.position for row in rows]


def note(stream_id: UUID, first_version: int, texts: Sequence[str], guild_id: str = GUILD) -> Append:
    """An append of one event for each text."""
    events = [noted(stream_id, version, text) for version, text in enumerate(texts, first_version)]
    return Append(stream_id, guild_id, events)


def append_until_killed(place: Place, stream_ids: Sequence[UUID], acknowledged: Any) -> None:
    """Append batches over all streams for ever, reporting each version that was acknowledged (runs in a process)."""
    log = place.open()
    version = 1
    while True:
        log.append([note(stream_id, version, [f"{version}", f"{version + 1}"]) for stream_id in stream_ids])
        acknowledged.send(version + 1)
        version += 2


def race(place: Place, stream_ids: Sequence[UUID], owner: str, barrier: Any, won: Any) -> None:
    """Claim version 1 of each stream against other processes; reports the streams won (runs in a process)."""
    from domain.errors import Conflict

    log = place.open()
    mine: list[UUID] = []
    barrier.wait()
    for stream_id in stream_ids:
        try:
            log.append([note(stream_id, 1, [owner])])
        except Conflict:
            continue
        mine.append(stream_id)
    won.send(mine)
    log.close()
