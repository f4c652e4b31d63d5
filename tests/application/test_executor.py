"""Doing one attempt: what becomes of channels, engines, handlers and deliveries that misbehave."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from application.executor import Executor
from application.ports import DeliveryRequest
from application.work import CustomRun, Done, Failure, Quiet, TaskExecutionResult, Work
from domain.definition import TaskType
from domain.destination import DeliveryStatus, Destination, DestinationType
from domain.errors import (
    ChannelInaccessible,
    DeliveryFailed,
    FetchFailed,
    InsufficientContent,
    InvalidDestination,
    InvalidInput,
    SourceRateLimited,
    SourceUnavailable,
)
from domain.summary import Summary
from domain.task import ScheduledTask
from tests.domain.task_parts import at, claim, make, summary_task
from tests.doubles import HandClock, HostEngine, HostMessage, HostMessages
from tests.doubles import Quiet as HostQuiet


class Channels(HostMessages):
    """A source in which some channels misbehave."""

    def __init__(self, **errors: Exception) -> None:
        super().__init__(count=5)
        self.errors = errors

    async def process_channel_messages(self, channel_id: str, *args: Any, **more: Any) -> list[HostMessage]:
        if (error := self.errors.get(f"c{channel_id}")) is not None:
            raise error
        return await super().process_channel_messages(channel_id, *args, **more)


class Places:
    """A delivery channel that records, and fails where it is told to."""

    type = DestinationType.FILE

    def __init__(self, **errors: Exception) -> None:
        self.errors, self.got = errors, list[DeliveryRequest]()
        self.hangs: set[str] = set()

    def remembers(self, destination: Destination) -> timedelta:
        return timedelta(0)

    def check(self, destination: Destination, guild_id: str) -> None:
        if destination.target == "forbidden":
            raise InvalidDestination("target", destination.target, "is forbidden")

    async def deliver(self, request: DeliveryRequest) -> str:
        target = request.destination.target
        if target in self.hangs:
            await asyncio.Event().wait()
        if (error := self.errors.get(target)) is not None:
            raise error
        self.got.append(request)
        return f"receipt of {target}"


@pytest.fixture
def clock() -> HandClock:
    """It stands at half past."""
    return HandClock(at(0.5))


def executor(clock: HandClock, source: Any = None, places: Any = None, engine: Any = None, **more: Any) -> Executor:
    """An executor with these parts."""
    return Executor(
        engine=engine or HostEngine(),
        processor=source or Channels(),
        channels={DestinationType.FILE: places or Places()},
        clock=clock,
        **more,
    )


def work_of(task: ScheduledTask) -> Work:
    """Its first attempt."""
    attempt = claim(task, at(0.5))
    return Work(str(task.id), task.definition, task.destinations, attempt)


def channels(*ids: str, targets: Sequence[str] = ("a",), **fields: Any) -> ScheduledTask:
    """A summary of several channels."""
    return summary_task(*targets, channel_id=ids[0], channel_ids=list(ids), **fields)


async def test_one_result_goes_to_every_destination(clock: HandClock) -> None:
    """Each request carries the run, the slot and a key of its own."""
    places = Places()
    work = work_of(channels("1", targets=("a", "b")))
    done = await executor(clock, places=places).perform(work)
    assert isinstance(done, Done)
    assert [o.status for o in done.outcomes] == [DeliveryStatus.DELIVERED] * 2
    assert len({request.key for request in places.got}) == 2
    assert {request.slot for request in places.got} == {work.attempt.slot}
    assert TaskExecutionResult.of("t", "r", done, 1).success


async def test_one_quiet_channel_does_not_fail_the_others(clock: HandClock) -> None:
    """Defect 25: one quiet channel failed a whole multi-channel summary. It is named in the result."""
    for error in (InsufficientContent(1, 5), HostQuiet(1, 5), ChannelInaccessible("2", "gone")):
        done = await executor(clock, Channels(c2=error)).perform(work_of(channels("1", "2", "3")))
        assert isinstance(done, Done)
        assert done.messages == 10
        assert done.summary is not None
        assert [note.message_count for note in done.summary.channels] == [5, 0, 5]
        assert "2" in done.summary.notice


async def test_too_few_messages_are_quiet_however_the_host_says_it(clock: HandClock) -> None:
    """Defect 24: a quiet channel counted as a failure; also when the host's text does not begin with a number."""

    class Insufficient(Exception):
        message_count, min_required = 2, 5

    for source in (Channels(c1=InsufficientContent(2, 5)), Channels(c1=Insufficient("Insufficient messages: 2 < 5"))):
        assert isinstance(await executor(clock, source).perform(work_of(channels("1"))), Quiet)
    assert isinstance(await executor(clock).perform(work_of(channels("1", summary_options={"min_messages": 6}))), Quiet)


async def test_a_task_none_of_whose_channels_can_be_read_fails_for_good(clock: HandClock) -> None:
    """That is not quiet: somebody has to look after it."""
    gone = {"c1": ChannelInaccessible("1", "gone"), "c2": ChannelInaccessible("2", "gone")}
    failure = await executor(clock, Channels(**gone)).perform(work_of(channels("1", "2")))
    assert isinstance(failure, Failure)
    assert failure.permanent
    half = await executor(clock, Channels(c1=gone["c1"], c2=HostQuiet(0, 5))).perform(work_of(channels("1", "2")))
    assert isinstance(half, Quiet)


@pytest.mark.parametrize(
    ("error", "permanent", "wait"),
    [
        (FetchFailed("1", "502"), False, 0),
        (SourceRateLimited(90), False, 90),
        (InvalidInput("x", 1, "is wrong"), True, 0),
        (ValueError("a bug"), False, 0),
        (TimeoutError(), False, 0),
        (ConnectionResetError(), False, 0),
    ],
)
async def test_errors_keep_what_they_said(clock: HandClock, error: Exception, permanent: bool, wait: float) -> None:
    """Defect 27: error classes called with the wrong signature lost the real error in a TypeError."""
    failure = await executor(clock, Channels(c1=error)).perform(work_of(channels("1")))
    assert isinstance(failure, Failure)
    assert (failure.permanent, failure.retry_after_seconds) == (permanent, wait)
    assert "TypeError" not in failure.error
    assert str(error) in failure.error
    assert failure.error


async def test_only_a_source_that_is_away_leaves_the_attempt_unbegun(clock: HandClock) -> None:
    """What postpones a run is that nothing could be tried, not that something failed."""
    errors = {SourceUnavailable("1", "Discord answered 503"): True, FetchFailed("1", "a bug"): False}
    for error, unbegun in errors.items():
        failure = await executor(clock, Channels(c1=error)).perform(work_of(channels("1")))
        assert isinstance(failure, Failure)
        assert (failure.unbegun, failure.permanent) == (unbegun, False)


async def test_an_engine_that_breaks_is_a_failure(clock: HandClock) -> None:
    """Nothing is delivered."""
    places = Places()
    failure = await executor(clock, places=places, engine=HostEngine(errors=[RuntimeError("no tokens")])).perform(
        work_of(channels("1"))
    )
    assert failure == Failure("error", "RuntimeError: no tokens")
    assert places.got == []


async def test_the_documented_constructor_runs(clock: HandClock) -> None:
    """Defect 26: the documented constructor crashed every run; without an engine the failure says what is missing."""
    bare = Executor(engine=None, processor=None, channels={}, clock=clock)
    failure = await bare.perform(work_of(channels("1")))
    assert isinstance(failure, Failure)
    assert "summary" in failure.error


async def test_deliveries_fail_alone(clock: HandClock) -> None:
    """A destination that breaks, refuses or hangs takes nothing from the others."""
    places = Places(b=DeliveryFailed("404", permanent=True), c=RuntimeError("bug"))
    places.hangs = {"d"}
    slow = executor(clock, places=places, delivery_deadline=timedelta(seconds=0.05))
    done = await slow.perform(work_of(channels("1", targets=("a", "b", "c", "d"))))
    assert isinstance(done, Done)
    found = {request.destination.target for request in places.got}
    assert found == {"a"}
    by_key = {o.destination: o for o in done.outcomes}
    a, b, c, d = (by_key[x.key] for x in channels("1", targets=("a", "b", "c", "d")).destinations)
    assert (a.status, a.receipt) == (DeliveryStatus.DELIVERED, "receipt of a")
    assert (b.status, b.permanent, b.reason) == (DeliveryStatus.FAILED, True, "404")
    assert c.status is DeliveryStatus.UNKNOWN
    assert d.status is DeliveryStatus.UNKNOWN
    assert not TaskExecutionResult.of("t", "r", done, 1).success


async def test_a_custom_operation_is_given_its_run(clock: HandClock) -> None:
    """Task, parameters, slot and attempt."""
    runs: list[CustomRun] = []

    async def handler(run: CustomRun) -> None:
        runs.append(run)

    busy = executor(clock)
    busy.register_operation("noop", handler)
    task = make(parameters={"n": 1})
    assert isinstance(await busy.perform(work_of(task)), Done)
    [run] = runs
    assert (run.parameters, run.slot, run.attempt, run.task.name) == ({"n": 1}, at(0.5), 1, "hourly")
    run.parameters["n"] = 2
    assert task.definition.parameters == {"n": 1}


async def test_an_operation_that_nobody_registered_fails_for_good(clock: HandClock) -> None:
    """The failure names it."""
    failure = await executor(clock).perform(work_of(make()))
    assert isinstance(failure, Failure)
    assert failure.permanent
    assert "noop" in failure.error


@pytest.mark.parametrize("name", ["", "x" * 101])
def test_an_operation_needs_a_name(name: str) -> None:
    """One to a hundred characters."""
    with pytest.raises(InvalidInput):
        executor(HandClock(at(0))).register_operation(name, None)  # type: ignore[arg-type]


def test_destinations_are_checked_by_their_own_kind() -> None:
    """Defect 29: e-mail and file were skipped in silence. What nothing here delivers to is refused by name."""
    checks = executor(HandClock(at(0)))
    checks.check_destination(Destination(type=DestinationType.FILE), "1")
    with pytest.raises(InvalidDestination, match="email"):
        checks.check_destination(Destination(type=DestinationType.EMAIL, target="a@example.org"), "1")
    with pytest.raises(InvalidDestination, match="forbidden"):
        checks.check_destination(Destination(type=DestinationType.FILE, target="forbidden"), "1")


async def test_a_title_is_filled_by_replacement_alone(clock: HandClock) -> None:
    """A template is a person's text: it reaches into no object."""
    task = channels("1", title_template="{name} {date} {0.__class__} {name!r} %s")
    done = await executor(clock).perform(work_of(task))
    assert isinstance(done, Done)
    assert done.summary is not None
    assert done.summary.title == "hourly 2026-03-02 {0.__class__} {name!r} %s"
    assert TaskType.SUMMARY is task.definition.task_type


SECRETS = [
    "https://discord.com/api/webhooks/1234/TOKENOFTHEHOOK failed",
    "connect postgresql://daybook:hunterspassword@db/x",
    "Authorization: Bot TOKENOFTHEHOOK",
]


@pytest.mark.parametrize("text", SECRETS)
async def test_no_secret_in_what_a_host_says_is_written_down(clock: HandClock, text: str) -> None:
    """Errors of handlers, sources and engines, reasons, receipts and notices: all are masked before they are facts."""

    async def handler(run: CustomRun) -> None:
        raise RuntimeError(text)

    class Chatty(Places):
        async def deliver(self, request: DeliveryRequest) -> str:
            await super().deliver(request)
            return text

    busy = executor(clock)
    busy.register_operation("noop", handler)
    places = Chatty(b=DeliveryFailed(text), c=RuntimeError(text), d=InvalidInput("target", text, "is wrong"))
    inaccessible = Channels(c2=ChannelInaccessible("2", text), c3=HostQuiet(1, 5))
    delivered = await executor(clock, inaccessible, places).perform(
        work_of(channels("1", "2", "3", targets=("a", "b", "c", "d")))
    )
    assert isinstance(delivered, Done)
    assert delivered.summary is not None
    said_by_all = [
        await busy.perform(work_of(make())),
        await executor(clock, Channels(c1=FetchFailed("1", text))).perform(work_of(channels("1"))),
        await executor(clock, engine=HostEngine(errors=[TimeoutError(text)])).perform(work_of(channels("1"))),
        delivered.outcomes,
        delivered.note,
        delivered.summary.notice,
        delivered.summary.channels,
        TaskExecutionResult.of("t", "r", delivered, 1).error_message,
    ]
    for thing in said_by_all:
        assert "[masked]" in str(thing)
        assert not re.search("TOKENOFTHEHOOK|hunterspassword", str(thing))


async def test_what_a_host_says_without_end_is_shortened(clock: HandClock) -> None:
    """At most 1,000 characters, masked before they are cut; a wait that makes no sense is none."""
    text = "x" * 990 + " https://discord.com/api/webhooks/1234/" + "T" * 60 + "y" * 100_000
    failure = await executor(clock, Channels(c1=ValueError(text))).perform(work_of(channels("1")))
    assert isinstance(failure, Failure)
    assert len(failure.error) == 1000
    assert "TT" not in failure.error
    for wait, expected in ((float("nan"), 0), (float("inf"), 86_400), (-5, 0), (90, 90)):
        failure = await executor(clock, Channels(c1=SourceRateLimited(wait))).perform(work_of(channels("1")))
        assert isinstance(failure, Failure)
        assert failure.retry_after_seconds == expected


@pytest.mark.parametrize(
    "change",
    [
        {"message_count": 2**70},
        {"message_count": -1},
        {"message_count": "many"},
        {"message_count": float("inf")},
        {"participants": (("a", 2**70),)},
        {"id": "x" * 201},
        {"id": None},
        {"summary_text": "x" * 1_000_001},
        {"start_time": at(0).replace(tzinfo=None)},
        {"end_time": "yesterday"},
    ],
    ids=lambda change: next(iter(change)),
)
async def test_an_engine_whose_result_no_store_could_hold_has_failed(clock: HandClock, change: dict[str, Any]) -> None:
    """It is refused before there is a fact, which would stay in the log for ever; the field is named."""

    class Wrong(HostEngine):
        async def summarize_messages(self, *args: Any, **more: Any) -> Any:
            return replace(await super().summarize_messages(*args, **more), **change)

    places = Places()
    failure = await executor(clock, places=places, engine=Wrong()).perform(work_of(channels("1")))
    assert isinstance(failure, Failure)
    assert next(iter(change)) in failure.error
    assert places.got == []


async def test_a_summary_of_an_engine_of_ours_is_bounded_too(clock: HandClock) -> None:
    """A Summary that an engine builds itself: counts and participants are checked like those of others."""
    for change in ({"message_count": 2**70}, {"participants": (("a", -1),)}):

        class Own(HostEngine):
            async def summarize_messages(self, *args: Any, change: dict[str, Any] = change, **more: Any) -> Any:
                return Summary(id="s", summary_text="t", start_time=at(0), end_time=at(0.5)).model_copy(update=change)

        failure = await executor(clock, engine=Own()).perform(work_of(channels("1")))
        assert isinstance(failure, Failure)
        assert next(iter(change)) in failure.error
