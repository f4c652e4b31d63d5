"""Work that outlasts whoever asked for it."""

from __future__ import annotations

import asyncio

import pytest

from application.lasting import Lasting


async def test_whoever_waits_gets_what_the_work_comes_to() -> None:
    """A result, or the error."""

    async def broken() -> None:
        raise OSError("no")

    assert await Lasting().carry_through(asyncio.sleep(0, "done")) == "done"
    with pytest.raises(OSError, match="no"):
        await Lasting().carry_through(broken())


async def test_who_is_cancelled_stops_waiting_and_the_work_goes_on() -> None:
    """Its end can be waited for; there is nothing to wait for then."""
    lasting, begun, release, ended = Lasting(), asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        await release.wait()
        ended.set()

    asked = asyncio.create_task(lasting.carry_through(work()))
    await begun.wait()
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert not ended.is_set()
    asyncio.get_running_loop().call_soon(release.set)
    await asyncio.wait_for(lasting.done(), 10)
    assert ended.is_set()
    await asyncio.wait_for(lasting.done(), 10)
