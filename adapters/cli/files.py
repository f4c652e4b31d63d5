"""Files that commands read and write: whole or not at all, compressed where the name says so, line by line."""

from __future__ import annotations

import gzip
import io
import os
import shutil
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, cast

from domain.errors import InvalidImport, InvalidInput

__all__ = ["Source", "json_files", "read_file", "write_lines", "write_whole"]

_GZIP = b"\x1f\x8b"
_LONGEST_LINE_BYTES = 16 * 1024 * 1024
_LARGEST_BYTES = 64 * 1024 * 1024
_LARGEST_TASK_BYTES = 4 * 1024 * 1024


class Source:
    """A file to be imported, or standard input, which is kept aside so that it can be read twice."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._kept: IO[bytes] | None = None
        if name == "-":
            self._kept = tempfile.TemporaryFile()  # noqa: SIM115 (it lives as long as this source)
            shutil.copyfileobj(sys.stdin.buffer, self._kept)

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return self._kept is None and Path(self.name).is_dir()

    def close(self) -> None:
        """Let go of what was kept aside. Idempotent."""
        if self._kept is not None:
            self._kept.close()

    def first_line(self) -> bytes:
        """The beginning, as far as the first line feed. Raises InvalidInput, InvalidImport."""
        return next(self.lines(), b"")

    def lines(self) -> Iterator[bytes]:
        """Every line with its line feed, from the beginning. Raises InvalidInput, InvalidImport."""
        with self._opened() as file:
            while line := file.readline(_LONGEST_LINE_BYTES + 1):
                yield line

    def whole(self) -> bytes:
        """All of it, as far as an import file may be large. Raises InvalidInput, InvalidImport."""
        with self._opened() as file:
            return file.read(_LARGEST_BYTES + 1)

    @contextmanager
    def _opened(self) -> Iterator[IO[bytes]]:
        try:
            raw = self._raw()
            try:
                packed = raw.read(2) == _GZIP
                raw.seek(0)
                yield cast("IO[bytes]", gzip.GzipFile(fileobj=raw)) if packed else raw
            finally:
                if raw is not self._kept:
                    raw.close()
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            problem = f"cannot be unpacked: {error}"
            raise InvalidImport("file", self.name, problem, "copy or export it again") from None
        except OSError as error:
            raise InvalidInput("FILE", self.name, f"cannot be read: {error.strerror}", "name one that exists") from None

    def _raw(self) -> IO[bytes]:
        if self._kept is not None:
            self._kept.seek(0)
            return self._kept
        return Path(self.name).open("rb")


def json_files(folder: Path) -> list[tuple[str, bytes | InvalidImport]]:
    """The (name, text) of every ``.json`` file right in a folder, by name. Raises InvalidInput.

    One that cannot be read stands as its error; folders in it are none of its files.
    """
    try:
        paths = [path for path in sorted(folder.iterdir()) if path.suffix == ".json" and not path.is_dir()]
    except OSError as error:
        raise InvalidInput("FILE", str(folder), f"cannot be read: {error.strerror}", "name a folder to read") from None
    found = [(path.name, _text_of(path)) for path in paths]
    if not found:
        raise InvalidInput("FILE", str(folder), "holds no .json files", "name the folder that the tasks are in")
    return found


def _text_of(path: Path) -> bytes | InvalidImport:
    try:
        with path.open("rb") as file:
            return file.read(_LARGEST_TASK_BYTES)
    except OSError as error:
        remedy = "make it readable, take it out of the folder, or leave out what is broken"
        return InvalidImport(path.name, str(path), f"cannot be read: {error.strerror}", remedy)


def read_file(name: str) -> bytes:
    """The bytes of a file, or of standard input. Raises InvalidInput."""
    if name == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise InvalidInput("FILE", name, f"cannot be read: {error.strerror}", "name a file that exists") from None


def write_whole(path: Path, text: str) -> None:
    """Replace a file by a complete new one, or leave it as it was. Raises InvalidInput."""
    write_lines(path, [text.encode()])


def write_lines(path: Path, lines: Iterable[bytes]) -> None:
    """The same, line by line; packed where the name ends in ``.gz``. Raises InvalidInput, and what ``lines`` raises."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            with _packing(path, file) as target:
                for line in lines:
                    target(line)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise InvalidInput("FILE", str(path), f"cannot be written: {error.strerror}", "name another file") from None
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextmanager
def _packing(path: Path, file: IO[bytes]) -> Iterator[Callable[[bytes], object]]:
    if path.suffix != ".gz":
        yield file.write
        return
    # Neither the time nor the name: the same content is the same file.
    with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed, io.BufferedWriter(packed) as buffered:
        yield buffered.write
