"""Summaries, run details and caches in one SQLite file, deletable by retention."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from application.ports import ContentCounts
from domain.errors import InvalidInput, StoreError, shown
from domain.event import epoch_microseconds, utc
from domain.summary import Summary
from infrastructure.sqlitefile import SqliteFile

if TYPE_CHECKING:
    from sqlite_utils import Database

__all__ = ["SqliteContent", "decoded_object", "decoded_summary", "encoded_object", "texts_of"]

_SCHEMA = """
CREATE TABLE summaries (run_id TEXT PRIMARY KEY, id TEXT NOT NULL, guild_id TEXT NOT NULL, channel_id TEXT NOT NULL,
                        created_at INTEGER NOT NULL, body TEXT NOT NULL);
CREATE INDEX summaries_by_id ON summaries (id, created_at);
CREATE INDEX summaries_by_age ON summaries (created_at, guild_id);
CREATE TABLE run_details (run_id TEXT PRIMARY KEY, guild_id TEXT NOT NULL,
                          created_at INTEGER NOT NULL, body TEXT NOT NULL);
CREATE INDEX run_details_by_age ON run_details (created_at, guild_id);
CREATE TABLE cached (key TEXT PRIMARY KEY, guild_id TEXT NOT NULL, created_at INTEGER NOT NULL, body TEXT NOT NULL);
CREATE INDEX cached_by_age ON cached (created_at, guild_id)
"""


_CHECK_LENGTH = 8


class SqliteContent:
    """The Content port on one SQLite file, with sqlite-utils. ``created_at`` is in microseconds since 1970, UTC."""

    def __init__(self, path: str | Path, *, read_only: bool = False) -> None:
        """Open or make the file. Raises StoreUnavailable, or StoreError for a file that is no content store."""
        self._file = SqliteFile(Path(path), schema=_SCHEMA, schema_version=1, read_only=read_only)

    @cached_property
    def _db(self) -> Database:
        from sqlite_utils import Database  # imported when it is used: most commands read no content and start faster

        # Plugins that someone installed for the sqlite-utils command have no business in this process.
        return Database(self._file.connection, execute_plugins=False)

    def __repr__(self) -> str:
        return f"SqliteContent({str(self._file.path)!r})"

    def save_summary(self, run_id: str, summary: Summary, at: datetime) -> None:
        """Keep the summary made by a run, replacing an earlier one of the same run."""
        row = {
            "run_id": run_id,
            "id": summary.id,
            "guild_id": summary.guild_id,
            "channel_id": summary.channel_id,
            "created_at": epoch_microseconds(utc(at)),
            "body": _checked(run_id, summary.model_dump_json()),
        }
        # The log is about to name this summary: it must be there after a power cut too.
        self._put("summaries", row, durable=True)

    def summary_of_run(self, run_id: str) -> Summary | None:
        """The summary that a run made, if it is (still) there. Raises StoreError naming a row that cannot be read."""
        what = f"the summary of run {shown(run_id)}"
        body = self._body("SELECT run_id, CAST(body AS BLOB) FROM summaries WHERE run_id = ?", run_id, what)
        return None if body is None else decoded_summary(body, what)

    def summary(self, summary_id: str) -> Summary | None:
        """A summary by its own id; the newest one where a host's engine used an id twice."""
        what = f"summary {shown(summary_id)}"
        statement = (
            "SELECT run_id, CAST(body AS BLOB) FROM summaries WHERE id = ? ORDER BY created_at DESC, run_id LIMIT 1"
        )
        body = self._body(statement, summary_id, what)
        return None if body is None else decoded_summary(body, what)

    def save_run_detail(self, run_id: str, guild_id: str, detail: Mapping[str, Any], at: datetime) -> None:
        """Keep what is worth knowing of a run, replacing what was kept. Raises InvalidInput for what is not JSON."""
        body = _checked(run_id, encoded_object("run detail", detail))
        row = {"run_id": run_id, "guild_id": guild_id, "created_at": epoch_microseconds(utc(at)), "body": body}
        self._put("run_details", row, durable=False)

    def run_detail(self, run_id: str) -> dict[str, Any] | None:
        """What was kept of a run. Raises StoreError naming a row that cannot be read."""
        what = f"the detail of run {shown(run_id)}"
        body = self._body("SELECT run_id, CAST(body AS BLOB) FROM run_details WHERE run_id = ?", run_id, what)
        return None if body is None else decoded_object(body, what)

    def cache_put(self, key: str, guild_id: str, value: Mapping[str, Any], at: datetime) -> None:
        """Keep a value that can be made again. Raises InvalidInput for what is not JSON."""
        body = _checked(key, encoded_object("cached value", value))
        row = {"key": key, "guild_id": guild_id, "created_at": epoch_microseconds(utc(at)), "body": body}
        self._put("cached", row, durable=False)

    def cache_get(self, key: str) -> dict[str, Any] | None:
        """A cached value. Raises StoreError naming a row that cannot be read."""
        what = f"cached value {shown(key)}"
        body = self._body("SELECT key, CAST(body AS BLOB) FROM cached WHERE key = ?", key, what)
        return None if body is None else decoded_object(body, what)

    def delete_before(
        self,
        cutoff: datetime,
        *,
        guild_id: str | None,
        summaries: bool = True,
        run_details: bool = True,
        cached: bool = True,
        dry_run: bool = False,
    ) -> ContentCounts:
        """Delete what was kept before ``cutoff`` (strictly), of one guild or (None) of all, in one transaction."""
        where, parameters = "created_at < ?", [epoch_microseconds(utc(cutoff)), guild_id]
        where, parameters = (where, parameters[:1]) if guild_id is None else (where + " AND guild_id = ?", parameters)
        wanted = {"summaries": summaries, "run_details": run_details, "cached": cached}
        counts: dict[str, int] = {}
        with self._file.writing():
            for name in (name for name, asked in wanted.items() if asked):
                table = self._db.table(name)
                counts[name] = table.count_where(where, parameters)
                if counts[name] and not dry_run:
                    table.delete_where(where, parameters)
        if counts and any(counts.values()) and not dry_run:
            self._file.scrub()
        return ContentCounts(**counts)

    def runs_with(self, guild_id: str, wanted: Callable[[str], bool]) -> list[str]:
        """The runs of a guild in whose summary or detail a text is ``wanted``; what is corrupt is asked as it is."""
        found: dict[str, None] = {}
        for table in ("summaries", "run_details"):
            with self._file.reading():
                rows = self._db.execute(
                    f"SELECT run_id, CAST(body AS BLOB) FROM {table} WHERE guild_id = ? ORDER BY created_at", [guild_id]
                ).fetchall()
            found.update((run_id, None) for run_id, body in rows if any(map(wanted, texts_of(_parted(body)[0]))))
        return list(found)

    def delete_runs(self, guild_id: str, run_ids: Sequence[str], until: datetime) -> ContentCounts:
        """Delete what was kept of these runs of a guild through ``until``, and everything cached by then."""
        own = "guild_id = ? AND created_at <= ?"
        values = [guild_id, epoch_microseconds(utc(until))]
        listed = "run_id IN (SELECT value FROM json_each(?))"
        counts = {}
        with self._file.writing():
            for table in ("summaries", "run_details"):
                gone = self._db.execute(f"DELETE FROM {table} WHERE {own} AND {listed}", [*values, json.dumps(run_ids)])
                counts[table] = gone.rowcount
            counts["cached"] = self._db.execute(f"DELETE FROM cached WHERE {own}", values).rowcount
        if any(counts.values()):
            self._file.scrub()
        return ContentCounts(**counts)

    def close(self) -> None:
        """Release the file. Idempotent."""
        self._file.close()

    def _put(self, table: str, row: dict[str, Any], *, durable: bool) -> None:
        # Not Table.insert: it looks the table up anew in every call, which costs ten times what the row does.
        statement = f"INSERT OR REPLACE INTO {table} ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})"
        with self._file.writing(durable=durable):
            self._db.execute(statement, list(row.values()))

    def _body(self, sql: str, key: str, what: str) -> bytes | None:
        with self._file.reading():
            # As bytes: text that is not UTF-8 must be found by the decoder, which can name the row.
            row = self._db.execute(sql, [key]).fetchone()
        if row is None:
            return None
        body, check = _parted(row[1])
        if check is not None and check != _check(str(row[0]), body):
            raise StoreError(f"{what} is corrupt: not what was kept; it can be deleted, other rows are not affected")
        return body


def _checked(key: str, body: str) -> str:
    """The body with a check value behind it: there is no second copy, and damage must not pass for what was kept."""
    return f"{body}\n{_check(key, body.encode())}"


def _check(key: str, body: bytes) -> str:
    return f"{zlib.crc32(body, zlib.crc32(key.encode())):08x}"


def _parted(stored: object) -> tuple[bytes, str | None]:
    """The body and its check value; None where it was kept before there were any."""
    raw = bytes(stored) if isinstance(stored, bytes) else b""
    body, newline, check = raw.rpartition(b"\n")
    if not newline or len(check) != _CHECK_LENGTH:
        return raw, None
    return body, check.decode("ascii", "replace")


def encoded_object(field: str, value: Mapping[str, Any]) -> str:
    """A mapping as JSON in ASCII. Raises InvalidInput for anything that JSON cannot say."""
    try:
        return json.dumps(dict(value), allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInput(field, type(value).__name__, f"is not JSON: {error}", "use JSON values only") from error


def decoded_object(body: bytes, what: str) -> dict[str, Any]:
    """The mapping of ``encoded_object``. Raises StoreError naming ``what`` when it is corrupt."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        # Not chained: the message of the decoder may quote what people wrote.
        raise StoreError(f"{what} is corrupt: not JSON; it can be deleted, other rows are not affected") from None
    if not isinstance(value, dict):
        raise StoreError(f"{what} is corrupt: not a JSON object; it can be deleted, other rows are not affected")
    return value


def texts_of(body: bytes) -> Iterator[str]:
    """Every text in stored JSON, names of fields among them; what is no JSON comes as one text."""
    try:
        waiting = [json.loads(body)]
    except (ValueError, RecursionError):
        yield body.decode("utf-8", "replace")
        return
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += [*value, *value.values()]
        elif isinstance(value, list):
            waiting += value
        else:
            yield str(value)


def decoded_summary(body: bytes, what: str) -> Summary:
    """The summary of a stored row. Raises StoreError naming ``what`` when it is corrupt."""
    try:
        return Summary.model_validate_json(body)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in problem['loc']) or 'body'}: {problem['type']}"
            for problem in error.errors(include_input=False, include_url=False)[:3]
        )
    raise StoreError(f"{what} is corrupt ({problems}); it can be deleted, other rows are not affected")
