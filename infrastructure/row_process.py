"""A process that makes rows: it is given rows of the log as they are stored, and projects them into a file.

It is a program of its own, and no copy of the process that begins it: threads of that one do not matter then, and its
main module is not run again. The two speak over pipes, in values that ``marshal`` knows; no key stands in a command
line or an environment, and none is kept for longer than a batch where live rows are kept. It ends when nobody speaks to
it any more.
"""

from __future__ import annotations

import gc
import marshal
import os
import select
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, NamedTuple, Protocol, Self, cast

from application.ports import Recorded, Vault
from domain.errors import EventsMissing, EventUnreadable, StoreError
from infrastructure.row_writer import Told, position
from infrastructure.write_ahead import MOST_PAGES, WriteAhead

__all__ = ["START_SECONDS", "Batch", "LiveRows", "PartRows", "RowProcess", "RowsLost", "main"]

SILENCE_SECONDS = 5.0
"""A process that keeps live rows and says nothing for so long is given up: whoever reads waits for it, perhaps the
event loop, which has to say that it is alive within its lease.
"""

START_SECONDS = 30.0
"""So long it may take to start: nobody waits for that."""

_LENGTH_BYTES = 8
_WORTH_CARRYING_BACK = 1_000  # events: some 8 MB where each task is on pages of its own
_IDLE_SECONDS = 1.0  # after this time without a word a burst is over, or pauses: there is time to carry it back
_PAGES_OF_TASK = 2.5  # so many are written when it runs: its row twice, and its run's
_ENDED_SECONDS = 2
_PASSED_ON = {"PATH", "HOME", "LANG", "LANGUAGE", "TMPDIR", "SQLITE_TMPDIR", "SYSTEMROOT"} | {
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "LD_AUDIT",
}
_BEGINNINGS_PASSED_ON = ("PYTHON", "LC_", "DYLD_")
"""Variables that Python, the loader and SQLite look at. Others may hold secrets."""


class Batch(NamedTuple):
    """Rows for one process. ``missing`` is (position, stream, first, last) of events that are not there; ``shared``
    rows are another part's, and concern all; ``keys`` are those that seal the rows, None where one was destroyed: of a
    part, those that were not named before. ``after`` is where the file is to stand, if anybody knows.
    """

    rows: list[tuple[Any, ...]]
    keys: dict[bytes, bytes | None]
    missing: list[tuple[int, str, int, int]]
    shared: list[tuple[Any, ...]]
    after: int | None = None


class RowsLost(StoreError):
    """A process that makes rows could not be started, ended without a word, or stumbled."""


class RowProcess:
    """The process that makes rows in the file at ``path``. A context: it is gone at the end, whatever happens.

    It makes a ``part`` of a rebuild, in a file of its own, and may take its time; or keeps the live rows of a file that
    is there. After any trouble it is of no use any more.
    """

    def __init__(self, path: Path, *, part: bool) -> None:
        code = f"import sys; sys.path[:] = {sys.path!r}; from infrastructure.row_process import main; main()"
        given = {
            name: value
            for name, value in os.environ.items()
            if name in _PASSED_ON or name.startswith(_BEGINNINGS_PASSED_ON)
        }
        try:
            # In a session of its own: an interrupt at the keyboard is for the one that began it.
            self._process = subprocess.Popen(
                [sys.executable or "", "-c", code],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,
                env=given,
            )
        except OSError as error:
            raise RowsLost(f"cannot start {sys.executable or 'Python'}: {error.strerror}") from error
        self._seconds = None if part else SILENCE_SECONDS
        self._unanswered = 0
        try:
            with self._or_lost():
                for pipe in self._pipes():
                    os.set_blocking(pipe.fileno(), False)
                self._send((str(path), part))
        except BaseException:
            self.end()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """End it, whatever it does, and wait until it is gone. Idempotent."""
        self.kill()
        for pipe in self._pipes():
            with suppress(OSError):
                pipe.close()
        self._process.wait()

    def kill(self) -> None:
        """Whoever waits for it learns that it is gone."""
        self._process.kill()

    def hand(self, batch: Batch) -> None:
        """Give it this, and wait for what it was given before: it is never without work. Raises what that led to."""
        with self._or_lost():
            self._send(tuple(batch))
            if self._unanswered > 1:
                self._answer()

    def make(self, batch: Batch) -> Told:
        """Have these rows made, and wait for them. Raises RowsLost."""
        with self._or_lost():
            self._send(tuple(batch))
            return self._answered()

    def prepare(self, task_ids: Sequence[str], seconds: float | None = None) -> None:
        """Have it read the rows of these tasks, which will soon change. It may take so long. Raises RowsLost."""
        with self._or_lost():
            self._send(list(task_ids))
            self._answer(seconds)

    def begun(self) -> None:
        """Wait for it to have opened its file. Raises RowsLost."""
        with self._or_lost():
            self._answer(START_SECONDS)

    def finish(self) -> None:
        """Wait until all is in its file, and it has closed that. Raises RowsLost."""
        with self._or_lost():
            self._send(())
            self._answered()

    def _pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        return cast(IO[bytes], self._process.stdin), cast(IO[bytes], self._process.stdout)

    @contextmanager
    def _or_lost(self) -> Iterator[None]:
        """Whatever goes wrong, it is killed: an answer that was not read would be taken for the next one's."""
        try:
            yield
        except RowsLost:
            self.kill()
            raise
        except Exception as error:
            self.kill()
            raise RowsLost(f"speaking with a process that makes rows failed: {type(error).__name__}") from error
        except BaseException:
            self.kill()
            raise

    def _send(self, message: Any) -> None:
        pipe = self._pipes()[0].fileno()
        left = memoryview(_framed(message))
        while left:
            self._wait_for(pipe, select.POLLOUT, self._seconds)
            try:
                left = left[os.write(pipe, left) :]
            except BlockingIOError:
                continue
            except OSError as error:
                raise self._lost() from error
        self._unanswered += 1

    def _answered(self) -> Told:
        told = Told()
        while self._unanswered:
            told = self._answer()
        return told

    def _answer(self, seconds: float | None = None) -> Told:
        seconds = seconds or self._seconds
        length = int.from_bytes(self._received(_LENGTH_BYTES, seconds), "big")
        trouble, due, settings = marshal.loads(self._received(length, seconds))
        self._unanswered -= 1
        if trouble:
            raise RowsLost(f"a process that made rows stumbled: {trouble}")
        return Told(due, settings)

    def _received(self, count: int, seconds: float | None) -> bytes:
        pipe, found = self._pipes()[1].fileno(), bytearray()
        while len(found) < count:
            self._wait_for(pipe, select.POLLIN, seconds)
            more = os.read(pipe, count - len(found))
            if not more:
                raise self._lost()
            found += more
        return bytes(found)

    def _wait_for(self, pipe: int, event: int, seconds: float | None) -> None:
        waiting = select.poll()
        waiting.register(pipe, event)
        if not waiting.poll(None if seconds is None else seconds * 1000):
            raise RowsLost(f"a process that made rows said nothing for {seconds:g} s")

    def _lost(self) -> RowsLost:
        try:
            code = self._process.wait(_ENDED_SECONDS)
        except subprocess.TimeoutExpired:
            return RowsLost("a process that made rows says nothing any more")
        return RowsLost(f"a process that made rows ended with {code}")


class Rows(Protocol):
    """What makes the rows in such a process."""

    def add(self, batch: Batch) -> Told: ...
    def prepare(self, task_ids: Sequence[str]) -> None: ...
    def tidy_up(self) -> None: ...
    def close(self) -> None: ...


def main() -> None:
    """Make rows of what comes over standard input, until it ends."""
    for number in (signal.SIGTERM, signal.SIGINT):  # whoever ends all processes of a service: that one ends this one
        signal.signal(number, signal.SIG_IGN)
    reading, writing = os.fdopen(os.dup(0), "rb", buffering=0), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what anybody prints is no answer
    rows: Rows | None = None
    while True:
        if rows is not None and not select.select([reading], [], [], _IDLE_SECONDS)[0]:
            rows.tidy_up()
        if (message := _read(reading)) is None:
            return
        told, trouble = Told(), ""
        try:
            if rows is None:
                rows = _opened(*message)
            else:
                told = _done(rows, message)
        except Exception as error:  # of others than our own the text may say what was in an event
            trouble = str(error) if isinstance(error, StoreError) else type(error).__name__
        try:
            _write(writing, (trouble, told.due, dict(told.settings)))
        except OSError:
            return  # nobody listens any more


def _opened(path: str, part: bool) -> Rows:
    if not part:
        from infrastructure.process import collect_garbage_less_often

        collect_garbage_less_often()
        return LiveRows(Path(path))
    gc.disable()  # see infrastructure.read_model
    return PartRows(Path(path))


def _done(rows: Rows, message: Any) -> Told:
    if message == ():
        rows.close()
    elif isinstance(message, list):
        rows.prepare(message)
    else:
        return rows.add(Batch(*message))
    return Told()


class PartRows:
    """The rows of one part of a rebuild, made in the file at ``path``."""

    def __init__(self, path: Path) -> None:
        from infrastructure.mapper import EventMapper
        from infrastructure.read_model import SqliteReadModel

        self._keys = _Keys()
        self._mapper = EventMapper(cast(Vault, self._keys))
        self._rows = SqliteReadModel(path, part=True)

    def add(self, batch: Batch) -> Told:
        """Project these rows. What cannot be read is a fault, as everywhere; any other error ends the part."""
        self._keys.known.update(batch.keys)
        events = self._mapper.recorded(cast(Any, batch.rows))
        if batch.missing or batch.shared:
            missing = [Recorded(at, EventsMissing(stream, first, last)) for at, stream, first, last in batch.missing]
            shared = self._mapper.recorded(cast(Any, batch.shared))
            readable = [one for one in shared if not isinstance(one.event, EventUnreadable)]
            events = sorted((*missing, *events, *readable), key=lambda one: one.position)
        self._rows.apply(events)
        return Told()

    def prepare(self, task_ids: Sequence[str]) -> None:
        """Every row comes by anyway."""

    def tidy_up(self) -> None:
        """Nobody else reads the file yet."""

    def close(self) -> None:
        """Everything is in the file."""
        self._rows.write_out()
        self._rows.close()


class LiveRows:
    """The rows of a service, kept in the file at ``path``, which that one has opened and goes on reading."""

    def __init__(self, path: Path) -> None:
        from infrastructure.mapper import EventMapper
        from infrastructure.row_file import connect_to_write
        from infrastructure.row_reader import fingerprint
        from infrastructure.row_writer import RowWriter

        self._keys = _Keys()
        self._mapper = EventMapper(cast(Vault, self._keys))
        self._connection = connect_to_write(path)
        self._connection.execute(f"pragma wal_autocheckpoint = {MOST_PAGES}").fetchone()
        # The program may have been replaced since the service began: other code must not go on with these rows.
        self._rows = RowWriter(path, lambda: self._connection, fingerprint=fingerprint())
        self._as_of: str | None = None  # the position that the rows in memory are of
        self._write_ahead, self._not_carried_back, self._foreseen = WriteAhead(path, synced=False), 0, 0

    def add(self, batch: Batch) -> Told:
        """Project these rows. Raises RowsMoved where the file does not stand where they go on."""
        if self._as_of != str(batch.after):  # the service wrote rows itself after these were read
            self._rows.forget()
        self._keys.known = batch.keys
        try:
            self._rows.apply(self._mapper.recorded(cast(Any, batch.rows)), batch.after)
        finally:
            self._keys.known = {}
        if batch.rows:
            self._as_of = str(batch.rows[-1][0])
            self._not_carried_back += len(batch.rows)
        return self._rows.taken()

    def prepare(self, task_ids: Sequence[str]) -> None:
        """Have the rows of these tasks in memory."""
        if self._as_of is None:
            self._as_of = position(self._connection)
        self._rows.prepare(task_ids)
        self._foreseen += len(task_ids)

    def tidy_up(self) -> None:
        """Carry a long write-ahead log back into the file, which in a burst would take as long as writing it did; and
        make room in it for the tasks whose rows were read ahead.

        On the connection that writes: SQLite before 3.51.3 may lose a commit where two carry back beside one another.
        """
        if self._not_carried_back >= _WORTH_CARRYING_BACK:
            with suppress(sqlite3.Error):  # what it could not do now a commit does
                _, pages, carried = self._connection.execute("pragma wal_checkpoint(passive)").fetchone()
                if carried == pages:  # else somebody reads what was before: it is tried again
                    self._not_carried_back = 0
        elif self._foreseen:  # one of both at a time: whoever speaks meanwhile is not kept waiting for long
            foreseen, self._foreseen = self._foreseen, 0
            with suppress(sqlite3.Error):
                self._write_ahead.make_room(self._connection, int(foreseen * _PAGES_OF_TASK))

    def close(self) -> None:
        """Everything is in the file, which the service goes on with, and mostly in no write-ahead log any more."""
        self._foreseen = 0
        self.tidy_up()
        self._connection.close()


class _Keys:
    """The keys of what is being opened (as much of application.ports.Vault as opening needs)."""

    def __init__(self) -> None:
        self.known: dict[bytes, bytes | None] = {}

    def key_by_id(self, key_id: bytes) -> bytes | None:
        return self.known.get(key_id)


def _framed(message: Any) -> bytes:
    data = marshal.dumps(message)
    return len(data).to_bytes(_LENGTH_BYTES, "big") + data


def _write(pipe: IO[bytes], message: Any) -> None:
    pipe.write(_framed(message))
    pipe.flush()


def _read(pipe: IO[bytes]) -> Any:
    """The next message; None where there is none any more."""
    try:
        length = int.from_bytes(_exactly(pipe, _LENGTH_BYTES), "big")
        return marshal.loads(_exactly(pipe, length))
    except (EOFError, ValueError, OSError):  # it died while it spoke, or was closed
        return None


def _exactly(pipe: IO[bytes], count: int) -> bytes:
    found = bytearray()
    while len(found) < count:
        if not (more := pipe.read(count - len(found))):
            raise EOFError
        found += more
    return bytes(found)
