"""Boot: from the start of the process to armed for the next due job, over a store that is there; resident memory."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path

from tests.benchmarks.contestant import Place
from tests.benchmarks.contestants import contestant
from tests.benchmarks.row import Figures, Row, Size
from tests.benchmarks.watching import family_memory_mb

__all__ = ["ROW", "measure", "prepare"]

ROW = Row(
    "boot",
    "a process starts over 100,000 tasks, a million events, warm rows",
    sizes={
        "tiny": {"stored": 300, "few": 100},
        "small": {"stored": 5_000, "few": 1_000},
        "full": {"stored": 100_000, "few": 1_000},
    },
    contestants=("daybook", "daybook-discord", "apscheduler-wal", "huey"),
    rivals=("apscheduler-wal",),
    seconds=20,
    prepared=True,
)
_FOLDERS = ("stored", "few")


def prepare(name: str, size: Size, place: Place) -> None:
    """Have two stores, one of few jobs."""
    for which in _FOLDERS:
        inner = Place(place.folder / which, place.cache)
        inner.folder.mkdir()
        asyncio.run(contestant(name, inner, lambda number: None).fill(size[which]))


def measure(name: str, size: Size, place: Place) -> Figures:
    """Start processes: one over each store, and one that only imports what these did."""
    found = _booted(name, Place(place.folder / "stored", place.cache))
    few = _booted(name, Place(place.folder / "few", place.cache))
    modules = found.pop("modules")
    return {
        **found,
        "few_seconds": few["seconds"],
        "memory_for_tasks_mb": found["memory_mb"] - few["memory_mb"],
        "import_seconds": _process("import", json.dumps(modules))["seconds"],
    }


def _booted(name: str, place: Place) -> dict[str, float]:
    return _process("boot", name, str(place.folder), str(place.cache))


def _process(*arguments: str) -> dict[str, float]:
    """What a process says of itself, which is told when it was started: this clock is the same in all processes."""
    command = [sys.executable, "-m", __name__, str(time.monotonic()), *arguments]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    answer: dict[str, float] = json.loads(said.splitlines()[-1])
    return answer


async def _boot(begun: float, name: str, folder: str, cache: str) -> dict[str, object]:
    one = contestant(name, Place(Path(folder), Path(cache)), lambda number: None)
    await one.start()
    seconds = time.monotonic() - begun
    modules = [name for name in sys.modules if name != "__main__"]
    found = {"seconds": seconds, "memory_mb": family_memory_mb(), "modules": modules}
    await one.stop()
    return found


def _import(begun: float, modules: str) -> dict[str, object]:
    """The modules that a started one had, without doing anything with them."""
    from contextlib import suppress
    from importlib import import_module

    for name in json.loads(modules):
        with suppress(ImportError):  # some are made at run time
            import_module(name)
    return {"seconds": time.monotonic() - begun}


if __name__ == "__main__":
    _begun, _what, *_given = sys.argv[1:]
    if _what == "boot":
        print(json.dumps(asyncio.run(_boot(float(_begun), *_given))))
    else:
        print(json.dumps(_import(float(_begun), *_given)))
