"""Has the rows of a service made by another process while very much is written: on another core, beside the log.

Most services have little to write, and need no second process for it. One is begun when a burst is seen or foreseen,
takes over as soon as it is ready, and is ended when the burst has been over for a while. Whatever goes wrong with it,
the service makes its rows itself again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock, Thread
from time import monotonic

from application.ports import Log, StoredRow, Vault
from domain.errors import StoreError
from infrastructure.mapper import key_id_of
from infrastructure.row_process import START_SECONDS, Batch, RowProcess, RowsLost
from infrastructure.row_writer import Told

__all__ = ["Burst", "RowsApart", "paged", "pages"]

PAGE_EVENTS = 4_000
"""So many events at most are in one transaction of the rows."""

MOST_FORESEEN = 10_000
FORESEEN_SECONDS = 10.0
"""Rows of so many tasks at most are read before the process takes over: the last that were named, with no pause of this
length between them.
"""

_log = logging.getLogger(__name__)


class Burst:
    """Whether so much is written that a second process is worth its start. Instants are seconds of one clock.

    A level that events raise, and that sinks by ``SINKS`` a second: it stands high where more than that come for a
    while.
    """

    SINKS = 400.0
    HIGH = 3_000.0
    QUIET_SECONDS = 60.0
    LASTS_SECONDS = 1.0

    def __init__(self) -> None:
        self._level, self._at, self._high_at = 0.0, 0.0, float("-inf")

    def add(self, events: int, now: float) -> bool:
        """So many events have come, or will in a moment; returns whether there is a burst."""
        self._level = max(0.0, self._level - (now - self._at) * self.SINKS) + events
        self._at = now
        if self._level >= self.HIGH:
            self._level, self._high_at = self.HIGH, now
        return self._high_at == now

    def lasts(self, now: float) -> bool:
        """Whether there was one a moment ago."""
        return now - self._high_at < self.LASTS_SECONDS

    def over_at(self) -> float:
        """When the last one will have been over for long, if no other comes."""
        return self._high_at + self.QUIET_SECONDS


class RowsApart:
    """The second process, if there is one. One thread at a time has work done by it; ``add`` is for any thread."""

    def __init__(self, path: Path, vault: Vault) -> None:
        self._path, self._vault = path, vault
        self._burst, self._lock = Burst(), Lock()
        self._begun: RowProcess | None = None
        self._ready = self._closed = False
        self._ready_at = self._not_before = float("-inf")
        self._starting: Thread | None = None
        self._foreseen: list[str] = []
        self._foreseen_at = float("-inf")

    # --- its life ---

    def add(self, events: int) -> None:
        """So many events were written, or tasks will change soon; in a burst the process is begun. Never fails."""
        now = monotonic()
        with self._lock:
            wanted = self._burst.add(events, now) and now >= self._not_before and not self._closed
            if not wanted or self._starting is not None:
                return
            starting = Thread(target=self._start, name="daybook-apart", daemon=True)
            try:
                starting.start()
            except RuntimeError:  # there are as many threads as there may be
                self._not_before = now + self._burst.QUIET_SECONDS
            else:
                self._starting = starting

    def foresee(self, task_ids: Sequence[str]) -> None:
        """These tasks will change soon. A process that is begun for it has their rows in memory when it takes over."""
        now = monotonic()
        with self._lock:
            if now - self._foreseen_at > FORESEEN_SECONDS:
                self._foreseen = []
            self._foreseen, self._foreseen_at = [*self._foreseen, *task_ids][-MOST_FORESEEN:], now
        self.add(len(task_ids))

    def _start(self) -> None:
        process = None
        try:
            process = RowProcess(self._path, part=False)
            with self._lock:
                self._begun = process
                if self._closed:
                    process.kill()
            process.begun()
            process.prepare(self._foreseen, START_SECONDS)
        except Exception as error:
            self._given_up(process, error)
            return
        with self._lock:
            self._ready, self._ready_at = True, monotonic()

    @property
    def process(self) -> RowProcess | None:
        """The process where it is ready. As long as there is one, nobody else may write rows."""
        with self._lock:
            return self._begun if self._ready else None

    @property
    def in_burst(self) -> bool:
        """Whether the process is there, and a burst that it was begun for goes on."""
        with self._lock:
            return self._ready and self._burst.lasts(monotonic())

    def _given_up(self, process: RowProcess | None, error: Exception) -> None:
        """It is of no use any more: it is gone when this returns, and another is begun with a later burst at most."""
        if process is not None:
            process.end()
        with self._lock:
            self._begun, self._starting, self._ready = None, None, False
            self._not_before = monotonic() + self._burst.QUIET_SECONDS
            closed = self._closed
        if not closed:
            _log.warning("this process makes its rows itself", extra={"reason": str(error)})

    def seconds_left(self) -> float | None:
        """How long it is still kept at least, if nothing comes; None where there is none."""
        with self._lock:
            if self._starting is None:
                return None
            if not self._ready:
                return self._burst.QUIET_SECONDS
            over_at = max(self._burst.over_at(), self._ready_at + self._burst.QUIET_SECONDS)
            return max(0.0, over_at - monotonic())

    def end_when_over(self) -> None:
        """End it where the burst has been over for long."""
        if (process := self.process) is not None and self.seconds_left() == 0:
            self._finish(process)

    def _finish(self, process: RowProcess) -> None:
        try:
            process.finish()
        except RowsLost as error:
            self._given_up(process, error)
            return
        process.end()
        with self._lock:
            self._begun, self._starting, self._ready = None, None, False

    def close(self) -> None:
        """End it for good."""
        with self._lock:
            self._closed, starting = True, self._starting
            if self._begun is not None and not self._ready:
                self._begun.kill()
        if starting is not None:
            starting.join()
        if (process := self.process) is not None:
            self._finish(process)

    # --- its work ---

    @contextmanager
    def at_work(self) -> Iterator[RowProcess | None]:
        """The process, if there is one. Where anything goes wrong with what it is asked, it is gone, and so is that.

        Raises RowsLost then.
        """
        process = self.process
        try:
            yield process
        except StoreError as error:
            if process is None:
                raise
            self._given_up(process, error)
            raise RowsLost(str(error)) from error
        except BaseException as error:
            if process is not None:
                self._given_up(process, RowsLost(type(error).__name__))
            raise

    def make(self, process: RowProcess, rows: Sequence[StoredRow], after: int) -> Told:
        """Have rows made of what follows a position in the log."""
        keys = self._vault.keys_by_id({key_id_of(row.state) for row in rows})
        return process.make(Batch([tuple(row) for row in rows], keys, [], [], after))


def paged(rows: Sequence[StoredRow]) -> Iterator[Sequence[StoredRow]]:
    """These, a transaction's worth at a time."""
    return (rows[at : at + PAGE_EVENTS] for at in range(0, len(rows), PAGE_EVENTS))


def pages(log: Log, after: int, until: int) -> Iterator[list[StoredRow]]:
    """What the log has between two positions, a transaction's worth at a time."""
    while after < until:
        page = [row for row in log.rows(after, min(PAGE_EVENTS, until - after)) if row.position <= until]
        if not page:
            return
        yield page
        after = page[-1].position
