"""Tasks of a category: which channels it holds is asked when a run begins; one summary of all, or one for each."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from application.executor import Executor
from application.work import Done, Failure, Outcome, Quiet, Work
from daybook import (
    Destination,
    DestinationType,
    ScheduledTask,
    ScheduleType,
    SummaryOptions,
    TaskExecutor,
    TaskPersistence,
    TaskScheduler,
)
from domain.destination import DeliveryOutcome, DeliveryStatus, place_of
from domain.errors import ChannelInaccessible, DeliveryFailed, FetchFailed, InvalidInput, StoreUnavailable
from domain.summary import Message
from tests.application.test_executor import Places
from tests.domain.task_parts import at, claim, summary_task
from tests.doubles import EARLY, HandClock, HandTimer, HostEngine, HostMessages

CATEGORY = "900"


class Village:
    """A source of messages with one category; ``said`` is how much each channel says in any span."""

    def __init__(self, **said: int | Exception) -> None:
        self.said: dict[str, Any] = {name.removeprefix("c"): count for name, count in said.items()}
        self.within: list[str] | Exception = list(self.said)
        self.threads: dict[str, str] = {}
        self.guild: str | None = None

    def for_guild(self, guild_id: str) -> Village:
        self.guild = guild_id
        return self

    async def channels_of(self, category_id: str) -> Sequence[str]:
        assert category_id == CATEGORY
        if isinstance(self.within, Exception):
            raise self.within
        return self.within

    async def channel_name(self, channel_id: str) -> str | None:
        return f"name-{channel_id}"

    async def process_channel_messages(
        self, channel_id: str, start_time: datetime, end_time: datetime, options: Any, limit: int | None = None
    ) -> list[Message]:
        count = self.said[channel_id]
        if isinstance(count, Exception):
            raise count
        where = self.threads.get(channel_id, channel_id)
        return [
            Message(
                id=f"{channel_id}{n}", channel_id=where if n % 2 else channel_id, author_id=f"{n % 3}",
                author_name=f"author {n % 3}", timestamp=start_time + timedelta(seconds=n), content=f"{n}",
            )
            for n in range(count)
        ]  # fmt: skip


@pytest.fixture
def clock() -> HandClock:
    """It stands at half past."""
    return HandClock(at(0.5))


def executor(clock: HandClock, village: Any, places: Places | None = None, engine: Any = None) -> Executor:
    """An executor with this source."""
    return Executor(
        engine=engine or HostEngine(),
        processor=village,
        channels={DestinationType.FILE: places or Places()},
        clock=clock,
    )


def of_category(*targets: str, **fields: Any) -> ScheduledTask:
    """A task of the category."""
    return summary_task(*(targets or ("a",)), **{"channel_id": "", "category_id": CATEGORY, **fields})


def work_of(task: ScheduledTask, instant: float = 0.5) -> Work:
    """Its attempt that is due."""
    attempt = claim(task, at(instant))
    return Work(str(task.id), task.definition, task.destinations, attempt)


def done(outcome: Outcome) -> Done:
    """The outcome, which is good."""
    assert isinstance(outcome, Done), outcome
    return outcome


# --- which channels -------------------------------------------------------------------------------------------------


async def test_a_category_is_resolved_when_the_run_begins(clock: HandClock) -> None:
    """A channel that came since is in, one that left is not; one summary of all of them."""
    village = Village(c1=6, c2=6, c3=6)
    village.within = ["1", "2"]
    first = done(await executor(clock, village).perform(work_of(of_category())))
    village.within = ["2", "3"]
    second = done(await executor(clock, village).perform(work_of(of_category())))
    for outcome, channels in ((first, ["1", "2"]), (second, ["2", "3"])):
        assert outcome.summary is not None
        assert [note.channel_id for note in outcome.summary.channels] == channels
        assert (outcome.messages, outcome.summary.channel_id, outcome.summary.parts) == (12, channels[0], ())
    assert village.guild == "1"


async def test_excluded_channels_and_threads_are_left_out(clock: HandClock) -> None:
    """Also of a category; a thread that is excluded takes its messages along, not those of its channel."""
    village = Village(c1=6, c2=6, c3=6)
    village.threads = {"1": "77"}
    task = of_category(excluded_channel_ids=["2", "77"])
    outcome = done(await executor(clock, village).perform(work_of(task)))
    assert outcome.summary is not None
    assert [(note.channel_id, note.message_count) for note in outcome.summary.channels] == [("1", 3), ("3", 6)]


async def test_channels_that_are_named_and_in_the_category_are_read_once(clock: HandClock) -> None:
    """Those of the task come first."""
    outcome = done(
        await executor(clock, Village(c1=5, c2=5)).perform(work_of(of_category(channel_id="2", channel_ids=["2"])))
    )
    assert outcome.messages == 10
    assert outcome.summary is not None
    assert [note.channel_id for note in outcome.summary.channels] == ["2", "1"]


async def test_what_is_quiet_and_what_cannot_be_read_is_named(clock: HandClock) -> None:
    """Each with its reason, in what people read."""
    village = Village(c1=8, c2=0, c3=ChannelInaccessible("3", "the bot lacks the permission View Channel there"))
    outcome = done(await executor(clock, village).perform(work_of(of_category())))
    assert outcome.summary is not None
    assert outcome.summary.notice == (
        "name-2: nothing was said; name-3: the bot lacks the permission View Channel there"
    )


async def test_a_category_that_is_gone_fails_for_good_unless_channels_are_left(clock: HandClock) -> None:
    """Like a channel. A passing trouble is tried again."""
    village = Village(c1=8)
    village.within = ChannelInaccessible(CATEGORY, "it does not exist")
    outcome = await executor(clock, village).perform(work_of(of_category()))
    assert isinstance(outcome, Failure)
    assert (outcome.permanent, "it does not exist" in outcome.error) == (True, True)
    summary = done(await executor(clock, village).perform(work_of(of_category(channel_id="1")))).summary
    assert summary is not None
    assert summary.notice == f"{CATEGORY}: it does not exist"
    village.within = FetchFailed(CATEGORY, "Discord answered 500")
    outcome = await executor(clock, village).perform(work_of(of_category()))
    assert isinstance(outcome, Failure)
    assert not outcome.permanent


async def test_an_empty_category_is_quiet(clock: HandClock) -> None:
    """Nobody said anything anywhere."""
    for mode in ("combined", "individual"):
        assert isinstance(await executor(clock, Village()).perform(work_of(of_category(category_mode=mode))), Quiet)


async def test_a_source_without_categories_is_found_out_when_the_task_is_made(tmp_path: Path) -> None:
    """Not at nine in the morning. A run of a task that was made elsewhere fails, and says why."""
    scheduler = TaskScheduler(
        TaskExecutor(HostEngine(), HostMessages()), TaskPersistence(tmp_path, environment={}), clock=HandClock(EARLY)
    )
    place = Destination(type=DestinationType.FILE, format="markdown")
    fields: dict[str, Any] = {
        "name": "a",
        "guild_id": "1",
        "schedule_type": ScheduleType.DAILY,
        "destinations": [place],
    }
    try:
        with pytest.raises(InvalidInput, match="knows no categories"):
            await scheduler.schedule_task(ScheduledTask(**fields, category_id=CATEGORY))
        await scheduler.schedule_task(ScheduledTask(**fields, channel_id="1"))
    finally:
        await scheduler.stop()
    outcome = await executor(HandClock(at(0.5)), HostMessages()).perform(work_of(of_category()))
    assert isinstance(outcome, Failure)
    assert "knows no categories" in outcome.error


# --- one summary for each -------------------------------------------------------------------------------------------


async def test_individual_mode_makes_one_summary_of_each_channel_and_delivers_each(clock: HandClock) -> None:
    """Defect 31: individual mode overwrote the channel list. The task's own channels and the category's all count."""
    places, engine = Places(), HostEngine()
    task = of_category("a", "b", channel_id="5", category_mode="individual")
    before = task.definition
    village = Village(c1=6, c2=7, c3=2, c5=8)
    village.within = ["1", "2", "3"]
    outcome = done(await executor(clock, village, places, engine).perform(work_of(task)))
    assert engine.calls == 3
    assert task.definition == before
    got = [(request.destination.target, request.summary.channel_id) for request in places.got]
    assert [channel for target, channel in got if target == "a"] == ["5", "1", "2"]
    assert [channel for target, channel in got if target == "b"] == ["5", "1", "2"]
    assert len({request.key for request in places.got}) == 6
    assert [request.summary.title for request in places.got][:1] == ["hourly: #name-5"]
    assert len({outcome.destination for outcome in outcome.outcomes}) == 6
    assert {place_of(each.destination) for each in outcome.outcomes} == {d.key for d in task.destinations}
    assert outcome.summary is not None
    assert (outcome.messages, len(outcome.summary.parts)) == (21, 3)
    assert outcome.summary.notice == "name-3: 2 messages, the task asks for at least 5"
    assert [part.notice for part in outcome.summary.parts] == [outcome.summary.notice, "", ""]


async def test_channels_of_their_own_can_have_a_summary_each_without_a_category(clock: HandClock) -> None:
    """The mode is about the summaries, whatever the channels come from."""
    places = Places()
    task = summary_task("a", channel_id="1", channel_ids=["2"], category_mode="individual")
    done(await executor(clock, Village(c1=6, c2=6), places).perform(work_of(task)))
    assert [request.summary.channel_id for request in places.got] == ["1", "2"]


async def test_all_quiet_is_quiet_even_where_all_together_are_enough(clock: HandClock) -> None:
    """Each is asked for by itself."""
    outcome = await executor(clock, Village(c1=4, c2=4)).perform(work_of(of_category(category_mode="individual")))
    assert isinstance(outcome, Quiet)
    assert "4 messages" in outcome.note


async def test_an_engine_that_fails_for_one_channel_fails_the_attempt(clock: HandClock) -> None:
    """Its own error is what is written down, and it is tried again."""
    engine = HostEngine(errors=[FetchFailed("1", "the model is away")])
    outcome = await executor(clock, Village(c1=6, c2=6), engine=engine).perform(
        work_of(of_category(category_mode="individual"))
    )
    assert isinstance(outcome, Failure)
    assert (outcome.error, outcome.permanent) == ("channel '1': the model is away", False)


def conclude(task: ScheduledTask, work: Work, outcome: Done, now: datetime) -> None:
    """Write down what became of it."""
    attempt = work.attempt
    task.conclude(attempt.run, attempt.attempt, attempt.owner, now=now, outcomes=outcome.outcomes, summary="s")


class Flaky(Places):
    """Takes as many as it is told to, then fails so."""

    def __init__(self, takes: int, error: Exception) -> None:
        super().__init__()
        self.left, self.failure, self.tried = takes, error, 0

    async def deliver(self, request: Any) -> str:
        self.tried += 1
        if self.left == 0:
            raise self.failure
        self.left -= 1
        return await super().deliver(request)


async def test_a_retry_delivers_only_the_parts_that_are_missing(clock: HandClock) -> None:
    """With the keys of before, and nothing beyond the first that did not arrive was tried."""
    places = Flaky(2, DeliveryFailed("busy"))
    village, task = Village(c1=6, c2=6, c3=6, c4=6), of_category(category_mode="individual")
    work = work_of(task)
    doing = executor(clock, village, places)
    first = done(await doing.perform(work))
    assert [each.status.value for each in first.outcomes] == ["delivered", "delivered", "failed", "failed"]
    assert places.tried == 3
    conclude(task, work, first, clock.now())
    run = task.open_runs[work.attempt.run]
    assert run.due_at is not None
    clock.instant, places.left = run.due_at, 9
    again = Work(str(task.id), task.definition, task.destinations, claim(task, clock.now()))
    second = done(await doing.perform(again))
    assert [request.summary.channel_id for request in places.got] == ["1", "2", "3", "4"]
    assert len({request.key for request in places.got}) == 4
    conclude(task, again, second, clock.now())
    assert not task.open_runs
    assert task.consecutive_failures == 0


async def test_a_place_that_refuses_for_good_is_asked_once_and_disabled(clock: HandClock) -> None:
    """Not once for every part: Discord bans who keeps asking."""
    places, task = Flaky(1, DeliveryFailed("forbidden", permanent=True)), of_category(category_mode="individual")
    work = work_of(task)
    outcome = done(await executor(clock, Village(c1=6, c2=6, c3=6, c4=6), places).perform(work))
    assert [each.status.value for each in outcome.outcomes] == ["delivered", "failed", "skipped", "skipped"]
    assert places.tried == 2
    conclude(task, work, outcome, clock.now())
    assert task.disabled_destinations == {task.definition.destinations[0].key}
    assert not task.is_active


async def test_a_part_of_which_nobody_knows_is_held_and_the_others_go_on(clock: HandClock) -> None:
    """Each part is written down before it is sent, so a crash leaves one in doubt, not all that follow."""
    places, task = Places(), of_category(category_mode="individual")
    announced: list[str] = []

    async def announce(work: Work, names: Sequence[str]) -> None:
        announced.extend(names)
        task.start_delivery(
            work.attempt.run, work.attempt.attempt, work.attempt.owner, now=clock.now(), destinations=names
        )

    work = work_of(task)
    doing = executor(clock, Village(c1=6, c2=6, c3=6), places)
    summary = await doing.summarize(work)
    progress: list[DeliveryOutcome] = []
    await doing.deliverer.deliver(work, summary, announce, progress)
    assert announced == [each.destination for each in progress]
    # The process died before any of it was recorded, and while the third was not even announced.
    lost = of_category(category_mode="individual")
    work = work_of(lost)
    for name in announced[:2]:
        lost.start_delivery(work.attempt.run, 1, work.attempt.owner, now=clock.now(), destinations=[name])
    lost.interrupt(work.attempt.run, 1, work.attempt.owner, now=clock.now(), cause="crash", noticed_by="n2")  # type: ignore[arg-type]
    again = Work(str(lost.id), lost.definition, lost.destinations, claim(lost, clock.now()))
    places.got.clear()
    progress = []
    await doing.deliverer.deliver(again, summary, None, progress)
    assert [request.summary.channel_id for request in places.got] == ["3"]
    assert sorted(each.status.value for each in progress) == ["delivered", "unknown", "unknown"]


async def test_parts_that_cannot_be_announced_are_left_for_the_retry(clock: HandClock) -> None:
    """A full disk between two parts does not make anybody forget the part that arrived."""

    async def announce(work: Work, names: Sequence[str]) -> None:
        if len(asked) == 1:
            raise StoreUnavailable("the disk is full")
        asked.append(names)

    asked: list[Sequence[str]] = []
    places, work = Places(), work_of(of_category(category_mode="individual"))
    doing = executor(clock, Village(c1=6, c2=6, c3=6), places)
    progress: list[DeliveryOutcome] = []
    await doing.deliverer.deliver(work, await doing.summarize(work), announce, progress)
    assert [each.status for each in progress] == [DeliveryStatus.DELIVERED, *[DeliveryStatus.FAILED] * 2]
    assert progress[1].reason == "the disk is full"
    assert len(places.got) == 1


async def test_parts_whose_time_has_not_come_by_the_deadline_wait_for_the_retry(clock: HandClock) -> None:
    """A run ends in time however many channels there are."""

    class Slow(Places):
        async def deliver(self, request: Any) -> str:
            clock.move(timedelta(minutes=10))
            return await super().deliver(request)

    places, work = Slow(), work_of(of_category(category_mode="individual"))
    outcome = done(await executor(clock, Village(c1=6, c2=6, c3=6, c4=6), places).perform(work))
    assert len(places.got) == 2
    assert [each.status.value for each in outcome.outcomes] == ["delivered", "delivered", "failed", "failed"]
    assert "time of this attempt was over" in (outcome.outcomes[2].reason or "")


async def test_parts_reach_files_of_their_own_and_stay_after_a_restart(tmp_path: Path) -> None:
    """Through the real stores: three channels, three files, one run whose summary holds them all."""
    clock = HandClock(EARLY)
    village = Village(c1=6, c2=6, c3=6)
    scheduler = TaskScheduler(
        TaskExecutor(HostEngine(), village),
        TaskPersistence(tmp_path, environment={}),
        clock=clock,
        timer=HandTimer(clock),
    )
    task = ScheduledTask(
        name="Each", guild_id="1", category_id=CATEGORY, category_mode="individual", schedule_type=ScheduleType.DAILY,
        schedule_time="09:00", summary_options=SummaryOptions(min_messages=1), now=EARLY,
        destinations=[Destination(type=DestinationType.FILE, format="markdown")],
    )  # fmt: skip
    task_id = await scheduler.schedule_task(task)
    result = await scheduler.run_task_now(task_id)
    assert result.success
    written = sorted(path.read_text(encoding="utf-8") for path in (tmp_path / "summaries").rglob("*.md"))
    assert len(written) == 3
    await scheduler.stop()
    await scheduler.open()
    [run] = scheduler.queries.runs(task_id=task_id)
    assert sorted(delivery.status for delivery in run.deliveries) == ["delivered"] * 3
    kept = scheduler.queries.summary(run.run_id)
    assert kept is not None
    assert [part.channel_id for part in kept.parts] == ["1", "2", "3"]
    await scheduler.stop()
