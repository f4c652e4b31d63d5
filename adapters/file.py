"""Results as files: one folder per guild, written whole or not at all, and nowhere else."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import re
import secrets
import stat
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from threading import Lock

from adapters.rendering import Renderer, json_document
from application.ports import DeliveryRequest
from domain.destination import Destination, DestinationType
from domain.errors import DeliveryFailed, InvalidDestination, shown
from domain.event import utc

__all__ = ["FileDelivery"]

_EXTENSIONS = {"embed": "md", "markdown": "md", "text": "txt", "json": "json", "html": "html"}

_COMPONENT = re.compile(r"[^\W_][\w -]*(?:\.[\w-]+)*")
_DEVICES = frozenset({"con", "prn", "aux", "nul", *(f"{name}{n}" for name in ("com", "lpt") for n in range(10))})
_MAX_COMPONENT_BYTES = 100
_MAX_DEPTH = 8
_SLUG_BYTES = 60

_TEMPORARY = re.compile(r"\.daybook-[0-9a-f]{16}\.tmp")
_LEFTOVER_SECONDS = 3600.0
"""A temporary file older than this belongs to a writer that was killed."""
_FOLDERS_REMEMBERED = 1000
_WRITERS = 4

_PERMANENT = frozenset(
    {errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.ELOOP, errno.EISDIR, errno.ENAMETOOLONG, errno.EMLINK}
)
"""Errors that waiting does not mend. A full disk, an I/O error or too many open files may pass."""

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class FileDelivery:
    """Writes each result to ``<root>/<guild>/<target>/<task>-<slot>-<key>.<extension>``.

    The name is made from the run, so that a retry replaces the file with its equal. A file appears whole: it is written
    beside its place, made durable, and renamed. No link is followed below ``root``, so nothing is written outside it.
    The receipt is the path below ``root``. ``templates`` may hold other templates than the packaged ones.
    """

    type = DestinationType.FILE

    def __init__(self, root: Path, templates: Path | None = None) -> None:
        self._root = Path(root)
        renderer = Renderer(templates)
        self._renderers: dict[str, Callable[..., str]] = {
            "md": renderer.markdown,
            "txt": renderer.text,
            "json": json_document,
            "html": renderer.html,
        }
        self._threads = ThreadPoolExecutor(_WRITERS, thread_name_prefix="daybook-file")
        self._swept: OrderedDict[tuple[str, ...], float] = OrderedDict()

    def remembers(self, destination: Destination) -> timedelta:
        """For ever: the name of the file is made from the key."""
        return timedelta.max

    def check(self, destination: Destination, guild_id: str) -> None:
        """Refuse a target that is no plain path below the guild's folder, and a format that no file is written in."""
        _components(destination.target, guild_id)
        if destination.format not in _EXTENSIONS:
            raise InvalidDestination(
                "format", destination.format, "is not written to files", f"use one of {', '.join(sorted(_EXTENSIONS))}"
            )

    async def deliver(self, request: DeliveryRequest) -> str:
        """Write the result; returns its path below the root. Raises DeliveryFailed.

        When this is cancelled before the file has its name, the file never gets it.
        """
        try:
            self.check(request.destination, request.guild_id)
        except InvalidDestination as error:
            raise DeliveryFailed(str(error), permanent=True) from error
        writing = _Writing(self._root, _components(request.destination.target, request.guild_id), file_name(request))
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._threads, self._write, writing, request)
        finally:
            writing.abandon()

    def close(self) -> None:
        """Wait for what is being written. Idempotent; nothing can be delivered afterwards."""
        self._threads.shutdown()

    def results_of(self, guild_id: str, wanted: Callable[[str], bool] | None = None) -> int:
        """How many files of a guild there are; of those alone whose text is ``wanted``."""
        return sum(1 for _ in self._files(guild_id, wanted, None))

    def erase_results(
        self, guild_id: str, wanted: Callable[[str], bool] | None = None, *, until: datetime | None = None
    ) -> int:
        """Delete them, those written after ``until`` excepted; returns how many there were."""
        count = 0
        for folder, name in self._files(guild_id, wanted, until):
            with contextlib.suppress(FileNotFoundError):  # somebody else has deleted it meanwhile
                os.unlink(name, dir_fd=folder)
                count += 1
        return count

    def _files(
        self, guild_id: str, wanted: Callable[[str], bool] | None, until: datetime | None
    ) -> Iterator[tuple[int, str]]:
        """(descriptor of the folder, name) of the guild's files. No link is followed."""
        if _problem(guild_id):
            return  # nothing was ever written for such a guild
        top = self._root / guild_id
        for _, _, names, folder in os.fwalk(top, follow_symlinks=False) if top.is_dir() else ():
            for name in names:
                with contextlib.suppress(FileNotFoundError):  # what is being written gets its name at its end
                    if _is_meant(folder, name, wanted, until):
                        yield folder, name

    def _write(self, writing: _Writing, request: DeliveryRequest) -> str:
        extension = _EXTENSIONS[request.destination.format]
        text = self._renderers[extension](
            request.summary, timezone=request.timezone, task_name=request.task_name, run_id=request.run_id
        )
        try:
            return writing.run(text.encode("utf-8", "replace"), sweep=self._is_time_to_sweep(writing.folders))
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise DeliveryFailed(
                f"file {shown(writing.receipt)} could not be written: {reason}", permanent=error.errno in _PERMANENT
            ) from error

    def _is_time_to_sweep(self, folders: tuple[str, ...]) -> bool:
        """Whether leftovers are looked for now: once an hour per folder, since a folder may hold very many files."""
        now = time.monotonic()
        last = self._swept.get(folders)
        if last is not None and now - last < _LEFTOVER_SECONDS:
            return False
        self._swept[folders] = now
        while len(self._swept) > _FOLDERS_REMEMBERED:
            self._swept.popitem(last=False)
        return True


def _is_meant(folder: int, name: str, wanted: Callable[[str], bool] | None, until: datetime | None) -> bool:
    found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    if until is not None and found.st_mtime > until.timestamp():
        return False
    return wanted is None or (stat.S_ISREG(found.st_mode) and wanted(_text_of(folder, name)))


def file_name(request: DeliveryRequest) -> str:
    """The name of the file for this result: readable, sorted by slot within a task, equal in every try.

    The slot is in UTC, to the second; the key keeps results apart that share task and slot.
    """
    # The title is kept with the summary, so that a task that is renamed between two tries still writes one file.
    title = request.summary.title or request.task_name
    slug = re.sub(r"[\W_]+", "-", title.casefold()).encode("utf-8", "replace")[:_SLUG_BYTES]
    readable = slug.decode("utf-8", "ignore").strip("-") or "task"
    slot = utc(request.slot).strftime("%Y%m%dT%H%M%SZ")
    key = request.key[:12] if re.fullmatch(r"[0-9a-f]{12,}", request.key) else _digest(request.key)
    return f"{readable}-{slot}-{key}.{_EXTENSIONS[request.destination.format]}"


def _digest(text: str) -> str:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()


def _components(target: str, guild_id: str) -> tuple[str, ...]:
    """The folders below the root, the guild's first. Raises InvalidDestination for everything but plain names."""
    remedy = 'use plain folder names below the guild\'s folder, like "news/daily", or nothing'
    parts = tuple(target.split("/")) if target else ()
    if len(parts) > _MAX_DEPTH:
        raise InvalidDestination("target", target, f"is deeper than {_MAX_DEPTH} folders", remedy)
    for part in parts:
        if problem := _problem(part):
            raise InvalidDestination("target", target, problem, remedy)
    if problem := _problem(guild_id):
        raise InvalidDestination("guild_id", guild_id, problem, "a guild id is a number")
    return (guild_id, *parts)


def _problem(component: str) -> str | None:
    if len(component.encode("utf-8", "replace")) > _MAX_COMPONENT_BYTES:
        return f"has a name longer than {_MAX_COMPONENT_BYTES} bytes"
    if not _COMPONENT.fullmatch(component) or component != component.strip():
        return "is not a path of plain names (letters, digits, space, '-', '_', dots inside)"
    if component.split(".")[0].casefold() in _DEVICES:
        return "is the name of a device"
    return None


class _Writing:
    """One file on its way: where it goes, and whether it is still wanted. Runs in a thread."""

    def __init__(self, root: Path, folders: tuple[str, ...], name: str) -> None:
        self._root, self.folders, self._name = root, folders, name
        self._lock, self._abandoned = Lock(), False

    @property
    def receipt(self) -> str:
        return "/".join((*self.folders, self._name))

    def abandon(self) -> None:
        """From now on the file does not appear any more if it has not yet."""
        with self._lock:
            self._abandoned = True

    def run(self, data: bytes, *, sweep: bool) -> str:
        with _opened(self._root, self.folders) as folder:
            if sweep:
                _remove_leftovers(folder)
            temporary = f".daybook-{secrets.token_hex(8)}.tmp"
            try:
                _write_durably(folder, temporary, data)
                with self._lock:
                    if self._abandoned:
                        raise DeliveryFailed(f"file {shown(self.receipt)} was abandoned before it was complete")
                    os.replace(temporary, self._name, src_dir_fd=folder, dst_dir_fd=folder)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(temporary, dir_fd=folder)
                raise
            os.fsync(folder)
        return self.receipt


@contextlib.contextmanager
def _opened(root: Path, folders: tuple[str, ...]) -> Iterator[int]:
    """A descriptor of the innermost folder, made if missing. Each step starts from the last and follows no link."""
    root.mkdir(parents=True, exist_ok=True)
    current = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in folders:
            try:
                inner = os.open(name, _FOLDER, dir_fd=current)
            except FileNotFoundError:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(name, dir_fd=current)
                    os.fsync(current)
                inner = os.open(name, _FOLDER, dir_fd=current)
            os.close(current)
            current = inner
        yield current
    finally:
        os.close(current)


def _text_of(folder: int, name: str) -> str:
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    with os.fdopen(descriptor, encoding="utf-8", errors="replace") as file:
        return file.read()


def _write_durably(folder: int, name: str, data: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(name, flags, 0o666, dir_fd=folder), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _remove_leftovers(folder: int) -> None:
    """Take away the temporary files of writers that were killed. Others' files are never touched."""
    oldest_kept = time.time() - _LEFTOVER_SECONDS
    for name in os.listdir(folder):
        if not _TEMPORARY.fullmatch(name):
            continue
        with contextlib.suppress(OSError):
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if stat.S_ISREG(found.st_mode) and found.st_mtime < oldest_kept:
                os.unlink(name, dir_fd=folder)
