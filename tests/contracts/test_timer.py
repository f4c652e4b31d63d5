"""What every timer promises: APScheduler's, and the one that tests ring by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from apscheduler.triggers.interval import IntervalTrigger

from adapters.apscheduler_timer import ApschedulerTimer, _first_ring
from application.ports import Timer
from tests.doubles import EARLY, HandClock, HandTimer

SOON = timedelta(milliseconds=20)


@dataclass
class Case:
    """A timer, its clock, and how time passes for it until something happened."""

    timer: Timer
    now: Callable[[], datetime]
    until: Callable[[asyncio.Event], Awaitable[None]]


def _real() -> Case:
    async def until(event: asyncio.Event) -> None:
        await event.wait()

    return Case(ApschedulerTimer(), lambda: datetime.now(UTC), until)


def _by_hand() -> Case:
    timer = HandTimer(HandClock(EARLY))

    async def until(event: asyncio.Event) -> None:
        while not event.is_set():
            await timer.advance(timedelta(milliseconds=5))

    return Case(timer, timer.clock.now, until)


@pytest.fixture(params=[_real, _by_hand], ids=["apscheduler", "by hand"])
def case(request: pytest.FixtureRequest) -> Case:
    made: Case = request.param()
    return made


class Bell:
    """A callback that counts its rings."""

    def __init__(self) -> None:
        self.rings = 0
        self.rung = asyncio.Event()

    async def __call__(self) -> None:
        self.rings += 1
        self.rung.set()


async def test_it_rings_once_at_the_instant(case: Case) -> None:
    """A wake-up rings, and is gone then."""
    bell, later = Bell(), Bell()
    case.timer.start()
    case.timer.wake_at(case.now() + SOON, bell)
    await case.until(bell.rung)
    case.timer.wake_at(case.now() + SOON, later)
    await case.until(later.rung)
    case.timer.stop()
    assert (bell.rings, later.rings) == (1, 1)


async def test_a_later_wake_up_replaces_an_earlier_one(case: Case) -> None:
    """There is one wake-up: the last that was armed."""
    first, second = Bell(), Bell()
    case.timer.start()
    case.timer.wake_at(case.now() + SOON, first)
    case.timer.wake_at(case.now() + 2 * SOON, second)
    await case.until(second.rung)
    case.timer.stop()
    assert (first.rings, second.rings) == (0, 1)


async def test_an_earlier_wake_up_replaces_a_later_one(case: Case) -> None:
    """Something that became due sooner rings sooner, and the later one is dropped."""
    late, early = Bell(), Bell()
    case.timer.start()
    case.timer.wake_at(case.now() + timedelta(hours=1), late)
    case.timer.wake_at(case.now() + SOON, early)
    await case.until(early.rung)
    case.timer.stop()
    assert (late.rings, early.rings) == (0, 1)


async def test_none_disarms(case: Case) -> None:
    """A disarmed wake-up does not ring while time passes."""
    bell, mark = Bell(), Bell()
    case.timer.start()
    case.timer.wake_at(case.now() + SOON, bell)
    case.timer.wake_at(None, bell)
    case.timer.wake_at(None, bell)
    case.timer.every("mark", 2 * SOON.total_seconds(), mark)
    await case.until(mark.rung)
    case.timer.stop()
    assert bell.rings == 0


@pytest.mark.parametrize("ago", [timedelta(0), timedelta(seconds=5), timedelta(days=400)])
async def test_the_past_rings_at_once(case: Case, ago: timedelta) -> None:
    """A ring that is late is not lost, however late."""
    bell = Bell()
    case.timer.start()
    case.timer.wake_at(case.now() - ago, bell)
    await case.until(bell.rung)
    case.timer.stop()
    assert bell.rings == 1


async def test_what_was_armed_before_the_start_rings_after_it(case: Case) -> None:
    """The order of arming and starting does not matter."""
    bell = Bell()
    case.timer.wake_at(case.now() - SOON, bell)
    case.timer.start()
    await case.until(bell.rung)
    case.timer.stop()
    assert bell.rings == 1


async def test_the_same_instant_can_be_armed_again_from_its_own_ring(case: Case) -> None:
    """What is still due after a ring rings again."""
    instant, again = case.now() - SOON, Bell()

    async def first() -> None:
        case.timer.wake_at(instant, again)

    case.timer.start()
    case.timer.wake_at(instant, first)
    await case.until(again.rung)
    case.timer.stop()
    assert again.rings == 1


async def test_periodic_rings_come_again_and_again(case: Case) -> None:
    """The clock of the checks does not stop after the first."""
    three = asyncio.Event()
    rings = 0

    async def count() -> None:
        nonlocal rings
        rings += 1
        if rings == 3:
            three.set()

    case.timer.start()
    case.timer.every("count", SOON.total_seconds(), count)
    await case.until(three)
    case.timer.stop()


async def test_a_periodic_callback_does_not_overlap_itself(case: Case) -> None:
    """While it runs, its rings are dropped; others go on."""
    release, mark = asyncio.Event(), asyncio.Event()
    running = most = marks = 0

    async def slow() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await release.wait()
        running -= 1

    async def count() -> None:
        nonlocal marks
        marks += 1
        if marks == 4:
            mark.set()

    case.timer.start()
    case.timer.every("slow", SOON.total_seconds(), slow)
    case.timer.every("count", SOON.total_seconds(), count)
    await case.until(mark)
    case.timer.stop()
    release.set()
    assert most == 1


async def test_a_failing_callback_stops_neither_its_next_ring_nor_others(case: Case) -> None:
    """An error in a check must not be the end of checking."""
    if isinstance(case.timer, HandTimer):
        pytest.skip("the one by hand shows errors to the test")
    twice, rings = asyncio.Event(), 0

    async def broken() -> None:
        nonlocal rings
        rings += 1
        if rings == 2:
            twice.set()
        raise OSError("no")

    case.timer.start()
    case.timer.every("broken", SOON.total_seconds(), broken)
    await case.until(twice)
    case.timer.stop()


async def test_stopping_is_idempotent_and_ends_the_ringing(case: Case) -> None:
    """Nothing rings after a stop, and a second stop does nothing."""
    bell = Bell()
    case.timer.start()
    case.timer.wake_at(case.now() + timedelta(hours=1), bell)
    case.timer.stop()
    case.timer.stop()
    case.timer.wake_at(case.now() - SOON, bell)
    for _ in range(20):
        await asyncio.sleep(0)
    assert bell.rings == 0


async def test_stopping_does_not_cancel_a_callback_that_runs(case: Case, caplog: pytest.LogCaptureFixture) -> None:
    """A check that is half-way comes to its end, and nobody is told of an error."""
    begun, release, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        begun.set()
        await release.wait()
        ended.set()

    case.timer.start()
    case.timer.every("slow", SOON.total_seconds(), slow)
    await case.until(begun)
    case.timer.stop()
    for _ in range(5):
        await asyncio.sleep(0)
    asyncio.get_running_loop().call_soon(release.set)
    await asyncio.wait_for(case.timer.done(), 10)
    assert ended.is_set()
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("interval_seconds", "rings"),
    [(5, ["08:00:05.25", "08:00:10.25", "08:00:15.25"]), (0.5, ["08:00:00.25", "08:00:00.75", "08:00:01.25"])],
)
def test_periodic_rings_come_between_the_whole_seconds(interval_seconds: float, rings: list[str]) -> None:
    """Slots are at whole seconds: what can wait does not take the interpreter from what is due then."""
    now, first = EARLY.replace(hour=8), _first_ring(EARLY.replace(hour=8), interval_seconds)
    trigger, seen, previous = IntervalTrigger(seconds=interval_seconds, start_date=first, timezone=UTC), [], None
    for _ in rings:
        previous = trigger.get_next_fire_time(previous, now)
        now = previous
        seen.append(f"{previous:%H:%M:%S.%f}".rstrip("0"))
    assert seen == rings
    assert _first_ring(now, SOON.total_seconds()) is None
