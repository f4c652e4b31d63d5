"""One process of a rebuild: it is given rows of the log as they are stored, and projects them into a file of its own.

It is a program of its own, and no copy of the process that begins it: threads of that one do not matter then, and its
main module is not run again. The two speak over pipes, in values that ``marshal`` knows; no key stands in a command
line or an environment.
"""

from __future__ import annotations

import gc
import marshal
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, NamedTuple, Self, cast

from application.ports import Recorded, Vault
from domain.errors import EventsMissing, EventUnreadable, StoreError

__all__ = ["Batch", "PartLost", "PartProcess", "PartRows", "main"]

_LENGTH_BYTES = 8
_ENDED_SECONDS = 10


class Batch(NamedTuple):
    """Rows for one part. ``missing`` is (position, stream, first, last) of events that are not there; ``shared`` rows
    are another part's, and concern all; ``keys`` are those that were not named before, None where one was destroyed.
    """

    rows: list[tuple[Any, ...]]
    missing: list[tuple[int, str, int, int]]
    shared: list[tuple[Any, ...]]
    keys: dict[bytes, bytes | None]


class PartLost(StoreError):
    """A process of a rebuild could not be started, ended without a word, or stumbled."""


class PartProcess:
    """The process that makes the part at ``path``. A context: it is gone at the end, whatever happens."""

    def __init__(self, path: Path) -> None:
        code = f"import sys; sys.path[:] = {sys.path!r}; from infrastructure.rebuild_process import main; main()"
        try:
            # In a session of its own: an interrupt at the keyboard is for the one that began it.
            self._process = subprocess.Popen(
                [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
            )
        except OSError as error:
            raise PartLost(f"cannot start {sys.executable or 'Python'}: {error.strerror}") from error
        self._unanswered = 0
        self._send(str(path))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):
                cast(IO[bytes], pipe).close()
        self._process.wait()

    def kill(self) -> None:
        """Whoever waits for it learns that it is gone."""
        self._process.kill()

    def hand(self, batch: Batch) -> None:
        """Give it this, and wait for what it was given before: it is never without work. Raises what that led to."""
        self._send(tuple(batch))
        if self._unanswered > 1:
            self._answer()

    def finish(self) -> None:
        """Wait until all is in its file, and it has closed that."""
        self._send(())
        while self._unanswered:
            self._answer()

    def _send(self, message: Any) -> None:
        self._unanswered += 1
        try:
            _write(cast(IO[bytes], self._process.stdin), message)
        except OSError as error:
            self._unanswered -= 1
            raise self._lost() from error

    def _answer(self) -> None:
        trouble = _read(cast(IO[bytes], self._process.stdout))
        if trouble is None:
            raise self._lost()
        self._unanswered -= 1
        if trouble:
            raise PartLost(f"a process that made rows stumbled: {trouble}")

    def _lost(self) -> PartLost:
        try:
            code = self._process.wait(_ENDED_SECONDS)
        except subprocess.TimeoutExpired:
            return PartLost("a process that made rows says nothing any more")
        return PartLost(f"a process that made rows ended with {code}")


def main() -> None:
    """Make rows of what comes over standard input, until it ends."""
    reading, writing = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what anybody prints is no answer
    gc.disable()  # see infrastructure.read_model
    part: PartRows | None = None
    while (message := _read(reading)) is not None:
        try:
            if part is None:
                part = PartRows(Path(message))
            elif message == ():
                part.close()
            else:
                part.add(Batch(*message))
            trouble = ""
        except Exception as error:  # of others than our own the text may say what was in an event
            trouble = str(error) if isinstance(error, StoreError) else type(error).__name__
        try:
            _write(writing, trouble)
        except OSError:
            return  # nobody listens any more


class PartRows:
    """The rows of one part, made in the file at ``path``."""

    def __init__(self, path: Path) -> None:
        from infrastructure.mapper import EventMapper
        from infrastructure.read_model import SqliteReadModel

        self._keys = _Keys()
        self._mapper = EventMapper(cast(Vault, self._keys))
        self._rows = SqliteReadModel(path, part=True)

    def add(self, batch: Batch) -> None:
        """Project these rows. What cannot be read is a fault, as everywhere; any other error ends the part."""
        self._keys.known.update(batch.keys)
        events = self._mapper.recorded(cast(Any, batch.rows))
        if batch.missing or batch.shared:
            missing = [Recorded(at, EventsMissing(stream, first, last)) for at, stream, first, last in batch.missing]
            shared = self._mapper.recorded(cast(Any, batch.shared))
            readable = [one for one in shared if not isinstance(one.event, EventUnreadable)]
            events = sorted((*missing, *events, *readable), key=lambda one: one.position)
        self._rows.apply(events)

    def close(self) -> None:
        """Everything is in the file."""
        self._rows.write_out()
        self._rows.close()


class _Keys:
    """The keys of this part's guilds (as much of application.ports.Vault as opening needs)."""

    def __init__(self) -> None:
        self.known: dict[bytes, bytes | None] = {}

    def key_by_id(self, key_id: bytes) -> bytes | None:
        return self.known.get(key_id)


def _write(pipe: IO[bytes], message: Any) -> None:
    data = marshal.dumps(message)
    pipe.write(len(data).to_bytes(_LENGTH_BYTES, "big"))
    pipe.write(data)
    pipe.flush()


def _read(pipe: IO[bytes]) -> Any:
    """The next message; None where there is none any more."""
    try:
        length = pipe.read(_LENGTH_BYTES)
        if len(length) < _LENGTH_BYTES:
            return None
        data = pipe.read(int.from_bytes(length, "big"))
        return marshal.loads(data)
    except (EOFError, ValueError, OSError):  # it died while it spoke, or was closed
        return None
