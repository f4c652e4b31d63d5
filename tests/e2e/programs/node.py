"""A node on a PostgreSQL log: custom runs once a minute of its fast clock, each attempt written down before it is done.

Prints {"ready": node}; with HOLD=1 every run waits for ever, so that a kill leaves attempts behind.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from daybook import CustomRun, DatabaseTaskPersistence, TaskExecutor, TaskScheduler
from tests.e2e.programs.service import FastClock, FastTimer, recorder, say


async def serve(url: str, folder: Path, attempts: Path, origin: float, factor: float, hold: bool) -> None:
    """Run until SIGTERM."""
    clock = FastClock(origin, factor)
    record = recorder(attempts)

    async def work(run: CustomRun) -> None:
        await record(run)
        if hold:
            await asyncio.Event().wait()

    executor = TaskExecutor()
    executor.register_operation("record", work)
    persistence = DatabaseTaskPersistence(url, folder, environment=os.environ)
    scheduler = TaskScheduler(executor, persistence, clock=clock, timer=FastTimer(clock), node=folder.name)
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    await scheduler.start()
    say(ready=scheduler.node)
    await stopping.wait()
    await scheduler.stop()


if __name__ == "__main__":
    url, folder, attempts, origin, factor, hold = sys.argv[1:7]
    asyncio.run(serve(url, Path(folder), Path(attempts), float(origin), float(factor), hold == "hold"))
