"""Brings the rows of this process after the log: when nothing else comes for a moment, or somebody reads them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from threading import Condition, RLock, Thread
from time import monotonic

from application.ports import Change, Log, Recorded
from infrastructure.read_model import SqliteReadModel

__all__ = ["Projector"]

MOST_UNSEEN = 2_000
"""Rows follow at the latest after this many events."""

UNSEEN_SECONDS = 0.05
"""Rows follow after this time at the latest. What begins and ends within it is written once."""

IDLE_SECONDS = 0.003
"""Rows that others wait for follow after this time without another command: a caller with many has the next ready."""

_log = logging.getLogger(__name__)


class Projector:
    """The events that were committed and have no rows yet, and the thread that writes these beside the log.

    Thread-safe: whoever reads lets the rows follow itself. ``read_model`` is None in a process that only appends.
    ``overtaken`` is told of all events that are read again.
    """

    def __init__(
        self, log: Log, read_model: SqliteReadModel | None, overtaken: Callable[[Sequence[Recorded]], None]
    ) -> None:
        self._log, self._read_model, self._overtaken = log, read_model, overtaken
        self._unseen: list[Recorded] = []
        self._since = self._last = 0.0
        self.others = 0
        """How many events of others this process has come across."""
        self._showing = self._awaited = self._closed = False
        self._one_at_a_time, self._more = RLock(), Condition()
        self.on_change: Callable[[Change], None] | None = None
        self._thread = Thread(target=self._follow, name="daybook-rows", daemon=True)
        if read_model is not None:
            self._thread.start()

    def add(self, recorded: Sequence[Recorded], awaited: bool) -> None:
        """These were committed. Rows that are ``awaited`` follow as soon as no more comes."""
        if self._read_model is None or not recorded:
            return
        with self._more:
            self._last = monotonic()
            if not self._unseen:
                self._since, self._awaited = self._last, awaited
                self._more.notify()
            elif awaited and not self._awaited:
                self._awaited = True
                self._more.notify()
            self._unseen.extend(recorded)

    def keep_up(self) -> None:
        """Let the rows follow now where very many have yet to: the log must not run away from them."""
        if len(self._unseen) >= MOST_UNSEEN:
            self.show()

    def close(self) -> None:
        """Let all rows follow, and end the thread."""
        with self._more:
            self._closed = True
            self._more.notify()
        if self._read_model is not None:
            self._thread.join()
        self.show()

    def _follow(self) -> None:
        while True:
            with self._more:
                while not self._closed and (left := self._seconds_left()) != 0:
                    self._more.wait(left)
                if self._closed:
                    return
            self.show()

    def _seconds_left(self) -> float | None:
        """How long the rows may still wait; None when none does."""
        if not self._unseen:
            return None
        until = self._since + UNSEEN_SECONDS
        if self._awaited:
            until = min(until, self._last + IDLE_SECONDS)
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
        try:
            known = self._read_model.position()
            if (recorded[0].position, recorded[-1].position) == (known + 1, known + len(recorded)):
                self._read_model.apply(recorded)
            else:  # others have written in between, or another thread has read these from the log
                self._read_model.catch_up(self._log, seen=self._overtaken)
                self.others += max(0, self._read_model.position() - known - len(recorded))
        except Exception:
            # The log has it; the rows follow with the next commit or poll.
            _log.exception("read_model_behind", extra={"position": recorded[-1].position})

    def prepare(self, task_ids: Sequence[str]) -> None:
        """Have the rows of these tasks in memory before they change."""
        if self._read_model is not None:
            with self._one_at_a_time:
                self._read_model.prepare(task_ids)

    def catch_up(self) -> int:
        """Let the rows follow to the end of the log; returns how many events others had written."""
        assert self._read_model is not None
        with self._one_at_a_time:
            self.show()
            before = self._read_model.position()
            self._read_model.catch_up(self._log, seen=self._overtaken)
            if seen := self._read_model.position() - before:
                self._tell()
            self.others += seen
        return seen

    def _tell(self) -> None:
        if self.on_change is not None and self._read_model is not None:
            try:
                self.on_change(Change(self._read_model.position(), self._read_model.taken_due()))
            except Exception:  # a listener's trouble is not the writer's
                _log.exception("change_not_told")
