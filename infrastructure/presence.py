"""Which process holds a data folder: a lock of the operating system, and two small files that say whose it is."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import threading
import time
import weakref
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from domain.errors import LeaseLost, StoreInUse, StoreUnavailable
from domain.instants import utc

__all__ = ["FolderPresence", "holder", "left_in_order"]

_LOCK_NAME = "daybook.lock"
_SEEN_NAME = "daybook.seen"
_READ_BYTES = 65_536
_UNREPORTED_NODES = 100
# `holder` takes the lock for some microseconds when nobody has it; a service that starts right then tries again.
_LOCK_TRIES = 50
_LOCK_PAUSE_SECONDS = 0.01


class FolderPresence:
    """The Presence port on one folder: one process at a time.

    ``daybook.lock`` is locked (flock) as long as the process lives, however it ends, and says who it is.
    ``daybook.seen`` says when it was last seen. A lock that is free over a record without ``left`` is a node that died.
    """

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder)
        self._lock = threading.RLock()
        self._descriptor: int | None = None
        self._record: dict[str, Any] = {}
        _IN_THIS_PROCESS.add(self)

    def __repr__(self) -> str:
        return f"FolderPresence({str(self._folder)!r})"

    def join(self, node: str, now: datetime) -> list[tuple[str, datetime]]:
        """Take the folder; returns the node found dead, if any, with the instant it was last seen alive (UTC).

        A node found dead is found again by the next one when this one ends before its first beat. Raises StoreInUse
        when another process (or another node of this one) holds the folder, StoreUnavailable when it cannot be written.
        """
        seen = utc(now).isoformat()
        with self._lock:
            if self._descriptor is not None:
                if self._record.get("node") == node:
                    return []
                raise StoreInUse(self._folder, _described(self._record))
            descriptor = self._locked()
            try:
                previous = _read(descriptor)
                found = _found_dead(previous, _read_seen(self._folder))
                self._record = {
                    "node": node,
                    "pid": os.getpid(),
                    "host": socket.gethostname(),
                    "started": seen,
                    "seen": seen,
                    "found": [(name, at.isoformat()) for name, at in found],
                }
                _write(descriptor, self._record)
            except OSError as error:
                os.close(descriptor)
                raise StoreUnavailable(f"{self._folder / _LOCK_NAME} cannot be written: {error.strerror}") from error
            self._descriptor = descriptor
            return found

    def beat(self, node: str, now: datetime) -> list[tuple[str, datetime]]:
        """Say that this node is alive. Finds nobody else dead: one folder, one node.

        Raises LeaseLost when this node does not hold the folder, or its lock file was taken away.
        """
        seen = utc(now).isoformat()
        with self._lock:
            path = self._folder / _SEEN_NAME
            if self._descriptor is None or self._record.get("node") != node:
                raise LeaseLost(f"node {node} does not hold {self._folder}; join first")
            if not _is_at(self._descriptor, self._folder / _LOCK_NAME):
                raise LeaseLost(
                    f"{self._folder / _LOCK_NAME} was removed or replaced: another process may hold {self._folder}; "
                    "restart this one, and leave that file alone"
                )
            # A file of its own, replaced as a whole: a kill at any instant leaves the old instant or the new one.
            # Where it cannot be written (a full disk) the lock is still ours, so this is no reason to stop.
            temporary = path.with_name(f"{_SEEN_NAME}.tmp")
            with suppress(OSError):
                temporary.write_text(json.dumps({"node": node, "seen": seen}), encoding="utf-8")
                temporary.replace(path)
            return []

    def dead(self, nodes: Sequence[str], now: datetime) -> list[str]:
        """All of ``nodes`` but this one, as the lock is ours; none of them before this node has joined."""
        with self._lock:
            if self._descriptor is None or not _is_at(self._descriptor, self._folder / _LOCK_NAME):
                return []  # another process may hold the folder by now, as the next beat will tell
            return [node for node in nodes if node != self._record.get("node")]

    def leave(self, node: str | None = None) -> None:
        """Give the folder back, cleanly; whatever name it has been joined under, where none is given. Idempotent."""
        with self._lock:
            if self._descriptor is None or node not in (None, self._record.get("node")):
                return
            descriptor, self._descriptor = self._descriptor, None
            with suppress(OSError):  # A full disk must not keep the lock; the node then looks like a dead one.
                if _is_at(descriptor, self._folder / _LOCK_NAME):
                    _write(descriptor, self._record | {"left": True})
            os.close(descriptor)

    def _locked(self) -> int:
        """A descriptor that holds the lock of the file that is at the path now."""
        path = self._folder / _LOCK_NAME
        for remaining in reversed(range(_LOCK_TRIES)):
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
            except OSError as error:
                raise StoreUnavailable(f"{path} cannot be opened: {error.strerror}") from error
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _is_at(descriptor, path):
                    return descriptor
                os.close(descriptor)
            except BlockingIOError:
                record = _read(descriptor)
                os.close(descriptor)
                if remaining == 0:
                    raise StoreInUse(self._folder, _described(record)) from None
                time.sleep(_LOCK_PAUSE_SECONDS)
            except OSError as error:
                os.close(descriptor)
                raise StoreUnavailable(f"{path} cannot be locked: {error.strerror}; use a local file system") from error
        raise StoreUnavailable(f"{path} is being replaced again and again; leave that file alone")

    def _forget(self) -> None:
        """In a forked child: close the copy of the descriptor, which would keep the lock after the parent's death."""
        self._lock = threading.RLock()
        descriptor, self._descriptor, self._record = self._descriptor, None, {}
        if descriptor is not None:
            os.close(descriptor)


def holder(folder: str | Path) -> dict[str, Any] | None:
    """The process that holds the folder now (node, pid, host, started, seen; instants as ISO text), or None.

    Only looks: changes no file, and no process loses or misses the lock by it.
    """
    path = Path(folder) / _LOCK_NAME
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        record = _read(descriptor)
        seen = _read_seen(Path(folder))
        if seen.get("node") == record.get("node") and "seen" in seen:
            record["seen"] = seen["seen"]
        return {name: record.get(name) for name in ("node", "pid", "host", "started", "seen")}
    except OSError:
        return None
    else:
        return None
    finally:
        os.close(descriptor)


def left_in_order(folder: str | Path) -> bool:
    """Whether whoever held the folder last has left it, and nobody who died is still to be written down.

    Only looks. False while a process holds it.
    """
    path = Path(folder) / _LOCK_NAME
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return not _found_dead(_read(descriptor), _read_seen(Path(folder)))
    except OSError:
        return False
    finally:
        os.close(descriptor)


def _found_dead(previous: dict[str, Any], seen: dict[str, Any]) -> list[tuple[str, datetime]]:
    if not previous.get("node"):
        return []
    node = str(previous["node"])
    beaten = seen.get("node") == node
    found: dict[str, datetime] = {}
    # Those that the previous node had found and, ending before its first beat, may not have told anybody.
    with suppress(TypeError, ValueError):  # A record edited by hand must not keep the service from starting.
        for name, at in [] if beaten else previous.get("found", [])[-_UNREPORTED_NODES:]:
            if (instant := _instant(at)) is not None:
                found[str(name)] = instant
    instant = _instant(seen.get("seen") if beaten else previous.get("seen")) or _instant(previous.get("started"))
    if instant is not None and not previous.get("left"):
        found[node] = instant
    return list(found.items())


def _instant(text: object) -> datetime | None:
    try:
        return utc(datetime.fromisoformat(str(text)))
    except ValueError:
        return None


def _described(record: dict[str, Any]) -> str:
    if not record.get("pid") or record.get("left"):
        return "another process that has just started"
    started = _instant(record.get("started"))
    since = f" since {started:%Y-%m-%d %H:%M:%S} UTC" if started is not None else ""
    return f"process {record['pid']} on {record.get('host')} (node {record.get('node')}){since}"


def _read(descriptor: int) -> dict[str, Any]:
    return _parsed(os.pread(descriptor, _READ_BYTES, 0).decode("utf-8", "replace"))


def _read_seen(folder: Path) -> dict[str, Any]:
    try:
        return _parsed((folder / _SEEN_NAME).read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return {}


def _parsed(text: str) -> dict[str, Any]:
    # Only the first value: a kill between writing and truncating leaves the end of a longer record behind it.
    try:
        value, _ = json.JSONDecoder().raw_decode(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _write(descriptor: int, record: dict[str, Any]) -> None:
    data = json.dumps(record).encode()
    written = os.pwrite(descriptor, data, 0)
    os.ftruncate(descriptor, written)
    os.fsync(descriptor)


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        there = path.stat()
    except OSError:
        return False
    own = os.fstat(descriptor)
    return (own.st_dev, own.st_ino) == (there.st_dev, there.st_ino)


_IN_THIS_PROCESS: weakref.WeakSet[FolderPresence] = weakref.WeakSet()


def _forget_all() -> None:
    for presence in _IN_THIS_PROCESS:
        presence._forget()


os.register_at_fork(after_in_child=_forget_all)
