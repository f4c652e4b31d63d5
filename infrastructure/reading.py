"""The least that answers a question: the rows of a data folder, and its log only when that is asked.

Whoever only asks starts no service. Where something is to be done first - rows that are behind the log, a process that
died, a database that several machines share - there is nothing to read here, and a service is opened as ever.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from domain.errors import InvalidTimezone, NotFound, StoreError
from infrastructure.clock import SystemClock
from infrastructure.layout import LEAVES_FILE, LOG_FILE, READ_MODEL_FILE
from infrastructure.presence import holder, left_in_order
from infrastructure.row_reader import RowReader

if TYPE_CHECKING:
    from application.ports import Content, Leaves, Log
    from infrastructure.read_only import ReadStores

__all__ = ["Reading", "reading"]

_FOLDER, _ZONE = "DAYBOOK_DATA", "DAYBOOK_TIMEZONE"
_JUDGED = {"DAYBOOK_DATABASE_URL", "DAYBOOK_LOG_LEVEL"}
"""Settings that whoever reads needs, and that need more than a look."""


@dataclass(frozen=True)
class Reading:
    """What a question needs. ``log``, ``content`` and ``leaves`` are opened when they are first asked for something.

    ``served``: a service holds the folder, and keeps the rows at the end of the log.
    """

    rows: RowReader
    log: Log
    content: Content
    leaves: Leaves | None
    clock: SystemClock
    timezone: str
    served: bool


class _Deferred:
    """Stands for something until it is first asked for anything."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make

    @cached_property
    def _made(self) -> Any:
        return self._make()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._made, name)


@contextmanager
def reading(data: str | None, environment: Mapping[str, str] = os.environ) -> Iterator[Reading | None]:
    """The rows of the folder that is named, or that the environment names; None where it takes a service.

    Raises NotFound for a folder that is not there, StoreUnavailable where it cannot be read.
    """
    if (place := _place(data, environment)) is None:
        yield None
        return
    folder, zone = place
    if not folder.is_dir():
        raise NotFound("data folder", str(folder))
    with ExitStack() as opened:
        served = holder(folder) is not None
        if (rows := _current_rows(folder, served, opened)) is None:
            yield None
            return
        log, content, leaves = _behind(folder, environment, opened)
        yield Reading(rows, log, content, leaves, SystemClock(), zone, served)


def _place(data: str | None, environment: Mapping[str, str]) -> tuple[Path, str] | None:
    """Folder and zone, where neither they nor the settings beside them need to be judged."""
    ours = [(name.upper(), value) for name, value in environment.items() if name.upper().startswith("DAYBOOK_")]
    own = dict(ours)
    text, zone = data if data is not None else own.get(_FOLDER, "data"), own.get(_ZONE, "UTC")
    if not text.strip() or "\0" in text or len(own) < len(ours) or own.keys() & _JUDGED:
        return None
    if zone != "UTC":
        from domain.zone import zone_info

        try:
            zone_info(zone)
        except InvalidTimezone:
            return None
    return Path(text).expanduser(), zone


def _current_rows(folder: Path, served: bool, opened: ExitStack) -> RowReader | None:
    """The rows, where they are all there is to know: a service keeps them so, or they are at the end of the log."""
    if not served and not left_in_order(folder):
        return None
    rows = RowReader(folder / READ_MODEL_FILE)
    opened.callback(rows.close)
    return rows if not rows.stale and (served or _is_at_end(rows, folder / LOG_FILE)) else None


def _is_at_end(rows: RowReader, log: Path) -> bool:
    try:
        with closing(sqlite3.connect(f"{log.resolve().as_uri()}?mode=ro", uri=True, timeout=10)) as connection:
            (last,) = connection.execute("select max(rowid) from stored_events").fetchone()
        return rows.position() == (last or 0)
    except (sqlite3.Error, UnicodeDecodeError, StoreError):
        return False


def _behind(folder: Path, environment: Mapping[str, str], opened: ExitStack) -> tuple[Log, Content, Leaves | None]:
    def open_stores() -> ReadStores:
        from infrastructure.read_only import read_stores

        return opened.enter_context(read_stores(folder, environment=environment))

    stores = _Deferred(open_stores)
    leaves = cast("Leaves", _Deferred(lambda: stores.leaves)) if (folder / LEAVES_FILE).exists() else None
    return cast("Log", _Deferred(lambda: stores.log)), cast("Content", _Deferred(lambda: stores.content)), leaves
