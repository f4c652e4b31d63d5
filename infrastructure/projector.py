"""Brings the rows of this process after the log: when nothing else comes for a moment, or somebody reads them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from threading import Condition, RLock, Thread
from time import monotonic

from application.ports import Change, Log, Recorded, StoredRow
from infrastructure.read_model import SqliteReadModel
from infrastructure.row_process import RowsLost
from infrastructure.row_writer import RowsMoved
from infrastructure.rows_apart import RowsApart, paged, pages
from infrastructure.stream_cache import Head, heads_of, heads_of_rows

__all__ = ["Projector"]

MOST_UNSEEN = 4_000
"""Rows follow at the latest after this many events."""

UNSEEN_SECONDS = 0.2
"""Rows follow after this time at the latest. What begins and ends within it is written once."""

IDLE_SECONDS = 0.003
"""Rows that others wait for follow after this time without another command: a caller with many has the next ready."""

BURST_UNSEEN_SECONDS, BURST_IDLE_SECONDS = 0.1, 0.01
"""The same in a burst, where a second process makes the rows, whether anybody waits for them or not: so it always has
work, and the last ones are there as soon as a burst ends.
"""

_log = logging.getLogger(__name__)


class Projector:
    """The events that were committed and have no rows yet, and the thread that writes these beside the log.

    Thread-safe: whoever reads lets the rows follow itself. ``read_model`` is None in a process that only appends.
    ``overtaken`` is told of all events that are read again. In a burst another process makes the rows (``apart``).
    """

    def __init__(
        self,
        log: Log,
        read_model: SqliteReadModel | None,
        overtaken: Callable[[list[Head]], None],
        apart: RowsApart | None = None,
    ) -> None:
        self._log, self._read_model, self._overtaken, self._apart = log, read_model, overtaken, apart
        self._lagging = read_model.lagging() if read_model is not None else None
        self._unseen: list[Recorded] = []
        self._stored: list[StoredRow] = []
        self._since = self._last = 0.0
        self.others = 0
        """How many events of others this process has come across."""
        self._showing = self._awaited = self._closed = False
        self._one_at_a_time, self._more = RLock(), Condition()
        self.on_change: Callable[[Change], None] | None = None
        self._thread = Thread(target=self._follow, name="daybook-rows", daemon=True)
        if read_model is not None:
            self._thread.start()

    def add(self, recorded: Sequence[Recorded], stored: Sequence[StoredRow], awaited: bool) -> None:
        """These were committed; ``stored`` is how, as far as it is known.

        Rows that are ``awaited`` follow as soon as no more comes.
        """
        if self._read_model is None or not recorded:
            return
        with self._more:
            self._last = monotonic()
            if not self._unseen:
                self._since, self._awaited = self._last, awaited
                self._more.notify_all()
            elif awaited and not self._awaited:
                self._awaited = True
                self._more.notify_all()
            self._unseen.extend(recorded)
            if self._apart is not None:
                self._stored.extend(stored)
        if self._apart is not None:
            self._apart.add(len(recorded))

    def keep_up(self) -> None:
        """Wait where very many rows have yet to follow, until somebody is at them: the log must not run away."""
        if self._read_model is None or len(self._unseen) < MOST_UNSEEN:
            return
        with self._more:
            self._more.notify_all()
            while len(self._unseen) >= MOST_UNSEEN and self._thread.is_alive():
                self._more.wait(1.0)

    def close(self) -> None:
        """Let all rows follow, and end the thread."""
        with self._more:
            self._closed = True
            self._more.notify_all()
        if self._read_model is not None:
            self._thread.join()
        self.show()
        if self._apart is not None:
            with self._one_at_a_time:
                self._apart.close()

    def _follow(self) -> None:
        while True:
            with self._more:
                while not self._closed and (left := self._seconds_left()) != 0:
                    self._more.wait(left)
                if self._closed:
                    return
            self.show()
            if self._apart is not None and self._apart.seconds_left() == 0:
                with self._one_at_a_time:
                    self._apart.end_when_over()

    def _seconds_left(self) -> float | None:
        """How long the rows may still wait, or the other process be kept; None when none is."""
        if not self._unseen:
            return self._apart.seconds_left() if self._apart is not None else None
        if len(self._unseen) >= MOST_UNSEEN:
            return 0.0
        in_burst = self._apart is not None and self._apart.in_burst
        unseen, idle = (BURST_UNSEEN_SECONDS, BURST_IDLE_SECONDS) if in_burst else (UNSEEN_SECONDS, IDLE_SECONDS)
        until = self._since + unseen
        if self._awaited or in_burst:
            until = min(until, self._last + idle)
        return max(0.0, until - monotonic())

    def show(self) -> None:
        """Let the rows follow that do not yet, and tell of it; waits where another thread is at it."""
        if not self._unseen and not self._showing:
            return
        with self._one_at_a_time:
            if self._showing or not self._unseen:  # this thread is at it, and reads; or another has done it
                return
            self._showing = True
            try:
                self._show()
            finally:
                self._showing = False
            self._tell()

    def _show(self) -> None:
        assert self._read_model is not None
        with self._more:
            recorded, self._unseen = self._unseen, []
            stored, self._stored = self._stored, []
            self._more.notify_all()
        try:
            known, until = self._stands_at(), recorded[-1].position
            if (recorded[0].position, until) == (known + 1, known + len(recorded)):
                handed = paged(stored) if len(stored) == len(recorded) else pages(self._log, known, until)
                if not self._brought(known, handed) and not self._applied(recorded, known):
                    self._read_model.catch_up(self._log, end=until)
            else:  # others have written in between, or another thread has read these from the log
                self.others += max(0, self._read_on(known, until) - len(recorded))
        except Exception:
            # The log has it; the rows follow with the next commit or poll.
            _log.exception("read_model_behind", extra={"position": recorded[-1].position})

    def _stands_at(self) -> int:
        """Where the rows stand, whether more follow or not."""
        assert self._lagging is not None
        return self._lagging.position()

    def _applied(self, recorded: Sequence[Recorded], known: int) -> bool:
        assert self._read_model is not None
        try:
            self._read_model.apply(recorded, known)
        except RowsMoved:  # by what a process that was killed left behind
            self._read_model.doubt()
            return False
        return True

    def _read_on(self, known: int, until: int) -> int:
        """Let the rows follow what the log has between two positions; returns how many events that were."""
        assert self._read_model is not None
        count = 0

        def seen(heads: list[Head]) -> None:
            nonlocal count
            count += len(heads)
            self._overtaken(heads)

        if not self._brought(known, pages(self._log, known, until), seen):
            self._read_model.catch_up(self._log, end=until, seen=lambda recorded: seen(heads_of(recorded)))
        return count

    def _brought(
        self, known: int, rows: Iterable[Sequence[StoredRow]], seen: Callable[[list[Head]], None] | None = None
    ) -> bool:
        """Have the process that is there for bursts bring the rows; False where there is none, or it fails.

        What it fails at, it may have done without a word.
        """
        if self._apart is None or self._read_model is None:
            return False
        try:
            with self._apart.at_work() as process:
                if process is None:
                    return False
                self._read_model.hand_over()
                for page in rows:
                    self._read_model.heed(self._apart.make(process, page, known))
                    known = page[-1].position
                    if seen is not None:
                        seen(heads_of_rows(page))
        except RowsLost:
            self._read_model.doubt()
            self.others += seen is not None  # what it wrote last may have been theirs
            return False
        return True

    def prepare(self, task_ids: Sequence[str]) -> None:
        """Have the rows of these tasks in memory before they change."""
        if self._read_model is None:
            return
        with self._one_at_a_time:
            if self._apart is None:
                self._read_model.prepare(task_ids)
                return
            with suppress(RowsLost), self._apart.at_work() as process:
                (process or self._read_model).prepare(task_ids)
        self._apart.foresee(task_ids)
        with self._more:
            self._more.notify_all()  # it is to be ended again if nothing comes

    def catch_up(self, until: int) -> int:
        """Let the rows follow to a position; returns how many events others had written up to it.

        Nobody in this process may have committed before it what was not added yet.
        """
        assert self._read_model is not None
        with self._one_at_a_time:
            self.show()
            before = self._stands_at()
            seen = self._read_on(before, until)
            self.others += seen
            if self._stands_at() != before:
                self._tell()
        return seen

    def _tell(self) -> None:
        if self.on_change is not None and self._read_model is not None:
            try:
                # Where they stand now. To ask what brings them first would come back here as long as more is written.
                self.on_change(Change(self._stands_at(), self._read_model.taken_due()))
            except Exception:  # a listener's trouble is not the writer's
                _log.exception("change_not_told")
