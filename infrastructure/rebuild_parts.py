"""All rows made anew from a long log on every core: each process makes those of some guilds, in a file of its own.

One process reads the log in order and hands out what it read, as it is stored; the others open, decode and project it
with the very code that keeps live rows (``infrastructure.row_process``). Rows of one guild never depend on those of
another, so the files are put together at the end, and only then does the read model say how far it has come: whatever
dies before leaves a read model that knows nothing, which the next start makes anew.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from shutil import rmtree
from typing import Any

from application.ports import Recorded, StoredRow, Vault
from domain.guild import ContentDeleted, guild_stream
from infrastructure.complete_log import CompleteLog
from infrastructure.mapper import key_id_of
from infrastructure.read_model import SqliteReadModel, without_collections
from infrastructure.row_process import Batch, RowProcess

__all__ = ["Shares", "rebuild_in_parts"]

PAGE_EVENTS = 4_000
"""So many rows are handed out at a time: what has yet to be done stays small, whatever the log is like."""

_BATCHES_AHEAD = 2


def rebuild_in_parts(
    read_model: SqliteReadModel,
    log: CompleteLog,
    vault: Vault,
    count: int,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Fill a read model that knows nothing with all that the log had when this began, by so many processes.

    Raises RowsLost, and then nothing has changed; StoreCut, StoreUnavailable.
    """
    with without_collections(), ExitStack() as opened:
        folder = opened.enter_context(_folder(read_model.parts))
        parts = [opened.enter_context(_Part.begun(folder / f"{number}.db")) for number in range(count)]
        end = log.last_position()
        shares = Shares(vault, count)
        position = 0
        while position < end and (page := _until(end, log.rows(position, PAGE_EVENTS))):
            position = page[-1].position
            for part, batch in zip(parts, shares.batches(page), strict=True):
                part.hand(position, batch)
            if progress is not None:
                progress(min(part.position for part in parts), end)
        for part in parts:
            part.finish()
        if progress is not None:
            progress(position, end)
        read_model.put_together([part.path for part in parts], position)


def _until(end: int, page: list[StoredRow | Recorded]) -> list[StoredRow | Recorded]:
    """Of what came later the keys may not be known."""
    return page if page and page[-1].position <= end else [one for one in page if one.position <= end]


@contextmanager
def _folder(folder: Path) -> Iterator[Path]:
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        rmtree(folder, ignore_errors=True)


class _Part:
    """One of the processes, which is given a little more than it has done."""

    def __init__(self, path: Path, process: RowProcess) -> None:
        self.path, self.position = path, 0
        self._process, self._thread = process, ThreadPoolExecutor(1, "rebuild")
        self._pending: deque[tuple[int, Future[None]]] = deque()

    @classmethod
    @contextmanager
    def begun(cls, path: Path) -> Iterator[_Part]:
        with RowProcess(path, part=True) as process:
            part = cls(path, process)
            try:
                yield part
            finally:
                process.kill()
                part._thread.shutdown()

    def hand(self, position: int, batch: Batch) -> None:
        """Waits while it has enough to do. Raises what it stumbled over."""
        if len(self._pending) >= _BATCHES_AHEAD:
            self._wait()
        self._pending.append((position, self._thread.submit(self._process.hand, batch)))

    def finish(self) -> None:
        """Wait for all of its rows to be in its file; it is gone then, and its memory with it."""
        while self._pending:
            self._wait()
        self._process.finish()
        self._process.end()

    def _wait(self) -> None:
        position, done = self._pending.popleft()
        done.result()
        self.position = position


class Shares:
    """Which part gets which rows of the log, before anybody has opened them.

    A row names the key that seals it, a key is of a guild, and a guild is of one part: of that which had the fewest
    rows when its first one came. What is sealed with the service's key since its guild was erased, or is damaged, goes
    with the rest of its stream; where nobody knows of any, to the service's own part. Deletions of content concern the
    rows of all guilds.
    """

    def __init__(self, vault: Vault, parts: int) -> None:
        self._vault = vault
        self._guild_of_key = {key: guild for key, guild in vault.key_owners().items() if guild}
        self._guild_of_stream: dict[Any, str] = {
            guild_stream(guild).hex: guild for guild in self._guild_of_key.values()
        }
        self._part_of_guild = {"": 0}
        self._given = [0] * parts
        self._keys: list[set[bytes]] = [set() for _ in range(parts)]

    def batches(self, page: Sequence[StoredRow | Recorded]) -> list[Batch]:
        """These rows, for each part its own."""
        batches = [Batch([], {}, [], []) for _ in self._given]
        missing: list[Any] = []
        for row in page:
            if isinstance(row, Recorded):
                missing.append((row.position, row.event.stream_id, row.event.version, row.event.last))  # type: ignore[union-attr]
                continue
            key_id = key_id_of(row.state)
            number = self._part_of(row, key_id)
            self._given[number] += 1
            batches[number].rows.append(tuple(row))
            self._tell_key(number, key_id, batches[number])
            if missing:  # right before it, and of the same stream
                batches[number].missing.extend(missing)
                missing.clear()
            if row.topic == ContentDeleted.topic:
                for other, batch in enumerate(batches):
                    if other != number:
                        batch.shared.append(tuple(row))
                        self._tell_key(other, key_id, batch)
        return batches

    def _part_of(self, row: StoredRow, key_id: bytes) -> int:
        guild = self._guild_of_key.get(key_id)
        if guild is None:
            guild = self._guild_of_stream.get(row.stream, "")
        else:
            guild = self._guild_of_stream.setdefault(row.stream, guild)
        part = self._part_of_guild.get(guild)
        if part is None:
            part = self._part_of_guild[guild] = self._given.index(min(self._given))
        return part

    def _tell_key(self, number: int, key_id: bytes, batch: Batch) -> None:
        if key_id not in (known := self._keys[number]):
            known.add(key_id)
            batch.keys[key_id] = self._vault.key_by_id(key_id)
