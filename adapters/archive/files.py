"""The files of an archive by channel: found, read when needed, read again when changed, each message counted once."""

from __future__ import annotations

import logging
import threading
from bisect import bisect_left
from collections import ChainMap, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

from adapters.archive.reading import Export, Header, NoExport, Row, read_export, read_header
from domain.errors import InvalidImport

__all__ = ["ArchiveFiles", "LoadedChannel"]

_log = logging.getLogger(__name__)

_MAX_FILES = 10_000


class _File:
    """One file as it was at ``stamp`` (modification time in ns, size); its messages are read when they are needed."""

    def __init__(self, path: Path, stamp: tuple[int, int], header: Header) -> None:
        self.path, self.stamp, self.header = path, stamp, header
        self._export: Export | None = None

    def export(self) -> Export:
        if self._export is None:
            with _readable(self.path):
                self._export = read_export(self.path, self.header.channel_id)
        return self._export


@dataclass(frozen=True)
class LoadedChannel:
    """The messages of one channel over all its files, in order, each once; and what mentions in them stand for."""

    files: tuple[_File, ...]
    rows: Sequence[Row]
    names: Mapping[str, str]

    @property
    def header(self) -> Header:
        """What the newest export says about the channel."""
        return self.files[-1].header

    def between(self, start: int, end: int) -> range:
        """The indices of the rows with start <= at < end (microseconds since 1970)."""
        at = attrgetter("at")
        return range(bisect_left(self.rows, start, key=at), bisect_left(self.rows, end, key=at))


class ArchiveFiles:
    """The exports at or below some paths. Thread-safe; blocks while it reads. Errors are InvalidImport."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths
        self._lock = threading.Lock()
        self._files: dict[Path, _File] = {}
        self._foreign: dict[Path, tuple[int, int]] = {}
        self._channels: dict[str, LoadedChannel] = {}

    def headers(self) -> dict[str, Header]:
        """What the newest export of each channel says about it, by channel id. Reads no messages."""
        with self._lock:
            return {channel_id: files[-1].header for channel_id, files in self._scan().items()}

    def channel(self, channel_id: str) -> LoadedChannel | None:
        """One channel with all its messages; None when no file holds it."""
        with self._lock:
            files = self._scan().get(channel_id)
            return self._load(channel_id, files) if files else None

    def channels(self) -> list[LoadedChannel]:
        """All channels with all their messages."""
        with self._lock:
            return [self._load(channel_id, files) for channel_id, files in self._scan().items()]

    def _scan(self) -> dict[str, list[_File]]:
        """The files of each channel, the newest export last. Only headers of new and changed files are read."""
        known, foreign = self._files, self._foreign
        self._files, self._foreign = {}, {}
        by_channel: dict[str, list[_File]] = defaultdict(list)
        for path, is_named in self._candidates():
            with _readable(path):
                stat = path.stat()
                stamp = (stat.st_mtime_ns, stat.st_size)
                file = known.get(path)
                if foreign.get(path) == stamp:
                    self._foreign[path] = stamp
                    continue
                if file is None or file.stamp != stamp:
                    try:
                        file = _File(path, stamp, read_header(path))
                    except NoExport as error:
                        if is_named:
                            raise
                        _log.warning("a file of the archive is skipped: %s", error)
                        self._foreign[path] = stamp
                        continue
            self._files[path] = file
            by_channel[file.header.channel_id].append(file)
        for files in by_channel.values():
            files.sort(key=lambda file: (file.header.exported_at, file.path))
        self._channels = {key: channel for key, channel in self._channels.items() if key in by_channel}
        return by_channel

    def _candidates(self) -> Iterator[tuple[Path, bool]]:
        """Every file to look at, once, and whether it was named itself (rather than its folder)."""
        found: dict[Path, bool] = {}
        for path in self._paths:
            with _readable(path):
                if not path.is_dir():
                    found[path] = True
                    continue
                for below in sorted(path.rglob("*.json")):
                    if below.is_file():
                        found.setdefault(below, False)
            if len(found) > _MAX_FILES:
                raise InvalidImport(
                    str(path), len(found), f"files are more than {_MAX_FILES:,}", "name smaller folders"
                )
        yield from found.items()

    def _load(self, channel_id: str, files: Sequence[_File]) -> LoadedChannel:
        known = self._channels.get(channel_id)
        if known and known.files == tuple(files):
            return known
        exports = [file.export() for file in files]
        names = ChainMap(*(export.names for export in reversed(exports)))
        self._channels[channel_id] = channel = LoadedChannel(tuple(files), _merged(exports), names)
        return channel


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise InvalidImport(
            str(path), path.name, f"cannot be read: {reason}", "name a readable file or folder"
        ) from error


def _merged(exports: Sequence[Export]) -> list[Row]:
    """The messages of all exports in order, each id once: what a later export says of a message wins."""
    if len(exports) == 1:
        return exports[0].rows
    by_id = {row.id: row for export in exports for row in export.rows}
    return sorted(by_id.values(), key=lambda row: row.order)
