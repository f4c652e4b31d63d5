"""People are told of trouble once an incident, through the real service on a real folder."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from adapters.email_delivery import SmtpServer
from application.ports import Command, DeliveryRequest
from daybook import (
    CustomRun,
    Destination,
    DestinationType,
    GuildSettings,
    TaskExecutionResult,
    TaskExecutor,
    TaskType,
)
from domain.destination import UnknownPolicy
from domain.errors import DeliveryFailed, StoreUnavailable
from domain.event import Event
from domain.task_events import Disabled, Executed, Failed, Noticed
from tests.adapters.smtp_servers import mail_server
from tests.doubles import HostEngine, HostMessages
from tests.e2e.machine import HOUR, Machine

MINUTE = timedelta(minutes=1)


class Letters:
    """A delivery channel that keeps the titles of what people were told, and may be out of order."""

    type = DestinationType.CONSOLE

    def __init__(self) -> None:
        self.titles: list[str] = []
        self.texts: list[str] = []
        self.instants: list[datetime] = []
        self.asked = 0
        self.broken = False

    def remembers(self, destination: Destination) -> timedelta:
        return timedelta.max

    def check(self, destination: Destination, guild_id: str) -> None:
        """Every place is fine here."""

    async def deliver(self, request: DeliveryRequest) -> str:
        self.asked += 1
        if self.broken:
            raise DeliveryFailed("the pen is dry")
        self.titles.append(request.summary.title)
        self.texts.append(request.summary.summary_text)
        self.instants.append(request.summary.end_time)
        return f"letter {len(self.titles)}"


class Trouble(Machine):
    """A machine whose hourly work fails while ``failing``, and whose guild wants to be told."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.letters = Letters()
        self.failing = True
        self.executor = TaskExecutor(delivery_channels=[self.letters])
        self.executor.register_operation("note", self._work)

    async def _work(self, run: CustomRun) -> None:
        if self.failing:
            raise RuntimeError("the oven is cold")

    async def ask_to_be_told(self) -> None:
        settings = GuildSettings(failure_notices=(Destination(type=DestinationType.CONSOLE, target="owner"),))
        await self.scheduler.commands.change_settings("42", settings)

    async def settled(self) -> None:
        await super().settled()
        await self.scheduler.dispatcher.notices.close()


@pytest.fixture
async def trouble(tmp_path: Path) -> AsyncIterator[Trouble]:
    machine = Trouble(tmp_path / "data")
    await machine.boot()
    await machine.ask_to_be_told()
    yield machine
    await machine.scheduler.stop()


async def test_an_incident_is_told_at_its_beginning_when_it_is_given_up_and_when_it_is_over(trouble: Trouble) -> None:
    """Three failed attempts make two letters; the next success makes one more."""
    task_id = await trouble.task(max_failures=3)
    await trouble.wait(HOUR + 30 * MINUTE)
    assert trouble.letters.titles == ["Hourly is failing", "Hourly was disabled"]
    trouble.failing = False
    await trouble.scheduler.resume_task(task_id)
    await trouble.wait(3 * HOUR)
    assert trouble.letters.titles == ["Hourly is failing", "Hourly was disabled", "Hourly works again"]
    events = [r.event for r in trouble.scheduler.queries.history(task_id) if isinstance(r.event, Event)]
    happened = {type(event): event.timestamp for event in reversed(events)}  # the first of each
    assert trouble.letters.instants == [happened[kind] for kind in (Failed, Disabled, Executed)]
    trouble.counts()


async def test_a_notice_whose_record_is_delayed_is_sent_once(trouble: Trouble, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was sent is known here until the store takes it, however often it is looked at meanwhile."""
    task_id = await trouble.task(max_failures=3)
    writer = trouble.scheduler.stores.writer

    async def full(command: Command) -> Any:
        raise StoreUnavailable("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(writer, "execute", full)
        await trouble.wait(HOUR)
        for _ in range(5):
            await trouble.jump(timedelta(seconds=30))
        assert trouble.letters.titles == ["Hourly is failing"]
    for _ in range(3):
        await trouble.jump(timedelta(seconds=40))
    history = [record.event for record in trouble.scheduler.queries.history(task_id)]
    assert len([event for event in history if isinstance(event, Noticed)]) == 1
    assert trouble.letters.titles == ["Hourly is failing"]


async def test_a_second_incident_is_told_again(trouble: Trouble) -> None:
    """After a recovery, trouble is news."""
    await trouble.task(max_failures=10)
    for failing in (True, False, True):
        trouble.failing = failing
        await trouble.wait(HOUR)
    assert trouble.letters.titles == ["Hourly is failing", "Hourly works again", "Hourly is failing"]


async def test_a_restart_tells_nobody_twice_and_forgets_nobody(trouble: Trouble) -> None:
    """What people were told is in the log; what they were not told is told after the restart."""
    await trouble.task(max_failures=10, retry_delay_minutes=600)
    trouble.letters.broken = True
    await trouble.wait(HOUR)
    assert trouble.letters.titles == []
    await trouble.scheduler.stop()
    trouble.letters.broken = False
    await trouble.boot()
    assert trouble.letters.titles == ["Hourly is failing"]
    await trouble.scheduler.stop()
    await trouble.boot()
    await trouble.jump(MINUTE)
    assert trouble.letters.titles == ["Hourly is failing"]


async def test_a_notice_that_nobody_takes_is_given_up_and_written_down(trouble: Trouble) -> None:
    """The log says that people could not be told, and why."""
    task_id = await trouble.task(max_failures=10, retry_delay_minutes=600)
    trouble.letters.broken = True
    await trouble.wait(HOUR)
    for _ in range(8):
        await trouble.jump(65 * MINUTE)
    [noticed] = [r.event for r in trouble.scheduler.queries.history(task_id) if isinstance(r.event, Noticed)]
    assert [outcome.reason for outcome in noticed.deliveries] == ["the pen is dry"]


async def test_a_notice_outlasts_an_outage_of_its_place_however_busy_the_service_is(trouble: Trouble) -> None:
    """Every run that ends makes the service look; a notice that fails waits longer each time, and is not used up."""
    task_id = await trouble.task(max_failures=10, retry_delay_minutes=600)
    trouble.letters.broken = True
    await trouble.wait(HOUR)
    for _ in range(30):
        await trouble.scheduler.dispatcher.notices.tell_all()
    assert trouble.letters.asked == 1
    for _ in range(10):
        await trouble.jump(MINUTE)
    assert trouble.letters.asked == 4  # at once, and 1, 3 and 7 minutes later
    trouble.letters.broken = False
    await trouble.jump(10 * MINUTE)
    assert trouble.letters.titles == ["Hourly is failing"]
    history = trouble.scheduler.queries.history(task_id)
    [noticed] = [record.event for record in history if isinstance(record.event, Noticed)]
    assert [outcome.status for outcome in noticed.deliveries] == ["delivered"]


async def test_a_guild_that_did_not_ask_is_not_told(tmp_path: Path) -> None:
    """Without places to tell, nothing is sent and nothing is written."""
    machine = Trouble(tmp_path / "data")
    await machine.boot()
    task_id = await machine.task()
    await machine.wait(HOUR)
    topics = {r.event.topic for r in machine.scheduler.queries.history(task_id)}
    assert machine.letters.titles == []
    assert "task.noticed" not in topics
    await machine.scheduler.stop()


async def test_trouble_is_not_told_at_the_place_that_failed(trouble: Trouble) -> None:
    """A summary whose only destination is the owner's own place says nothing there about that place."""
    settings = GuildSettings(failure_notices=(Destination(type=DestinationType.CONSOLE, target="same"),))
    await trouble.scheduler.commands.change_settings("42", settings)
    place = Destination(type=DestinationType.CONSOLE, target="same")
    notices = trouble.scheduler.dispatcher.notices
    task_id = await trouble.task(destinations=[place])
    view = await trouble.scheduler.get_task_status(task_id)
    assert notices.places(view, failed={place.key}) == []
    assert notices.places(view, failed=set()) == list(settings.failure_notices)


async def test_trouble_is_told_by_email_once_an_incident(tmp_path: Path) -> None:
    """A real mail server gets one message at the beginning and one at the end, and nothing for the attempts between."""
    async with mail_server() as inbox:
        machine = Trouble(tmp_path / "data")
        server = SmtpServer(host="127.0.0.1", port=inbox.port, security="none", sender="daybook@example.org")
        machine.executor = TaskExecutor(mail_server=server)
        machine.executor.register_operation("note", machine._work)
        await machine.boot()
        place = Destination(type=DestinationType.EMAIL, target="owner@example.org", format="html")
        await machine.scheduler.commands.change_settings("42", GuildSettings(failure_notices=(place,)))
        await machine.task(max_failures=10)
        await machine.wait(HOUR + 30 * MINUTE)
        machine.failing = False
        await machine.wait(2 * HOUR)
        subjects = [message.message["Subject"] for message in inbox.messages]
        assert [subject.partition(" \u00b7 ")[0] for subject in subjects] == ["Hourly is failing", "Hourly works again"]
        assert all(message.recipients == ["owner@example.org"] for message in inbox.messages)
        assert "the oven is cold" in inbox.messages[0].text()
        await machine.scheduler.stop()


async def test_a_stop_closes_the_channels_that_were_made_here_and_a_start_makes_new_ones(tmp_path: Path) -> None:
    """A host's own channel is left alone; after a restart everything delivers again."""
    machine = Trouble(tmp_path / "data")
    closed: list[str] = []
    machine.letters.close = lambda: closed.append("letters")  # type: ignore[attr-defined]
    for _ in range(2):
        await machine.boot()
        made = list(machine.executor._made)
        place = Destination(type=DestinationType.FILE, format="text")
        outcome, _ = await machine.scheduler.commands.test_destination("42", place)
        assert outcome.status == "delivered"
        await machine.scheduler.stop()
        for channel in made:
            if channel.type is DestinationType.FILE:
                assert channel._threads._shutdown  # type: ignore[attr-defined]
    assert closed == []


# --- runs that somebody asked for ---


async def test_a_run_on_request_that_fails_for_good_is_told_once_and_not_per_attempt(trouble: Trouble) -> None:
    """Two attempts fail, one letter; the schedule knows of no trouble, and its count of failures stays."""
    task_id = await trouble.task(max_failures=2, schedule_type="daily", schedule_time="23:00")
    await trouble.scheduler.commands.request_run(task_id)
    await trouble.scheduler.dispatcher._wake()
    await trouble.settled()
    assert trouble.letters.titles == []
    await trouble.wait(HOUR)
    assert trouble.letters.titles == ["Hourly: a run failed"]
    assert "the oven is cold" in trouble.letters.texts[0]
    assert f"daybook tasks run {task_id}" in trouble.letters.texts[0], "tasks of one minute begin alike"
    *_, last = [r.event for r in trouble.scheduler.queries.history(task_id) if isinstance(r.event, Failed)]
    assert trouble.letters.instants == [last.timestamp]
    status = await trouble.scheduler.get_task_status(task_id)
    assert (status.status, status.consecutive_failures) == ("active", 0)
    await trouble.wait(HOUR)
    assert len(trouble.letters.titles) == 1


async def test_whoever_waited_for_a_run_has_been_told_and_nobody_else_is(trouble: Trouble) -> None:
    """The answer is the notice: the log says that it was given, and no letter goes out, also after a restart."""
    task_id = await trouble.task(max_failures=1)
    result = await trouble.scheduler.run_task_now(task_id)
    assert not result.success
    await trouble.scheduler.stop()
    await trouble.boot()
    [noticed] = [r.event for r in trouble.scheduler.queries.history(task_id) if isinstance(r.event, Noticed)]
    assert (noticed.kind, noticed.runs, noticed.deliveries) == ("run_failed", (result.run_id,), ())
    assert trouble.letters.titles == []


@pytest.mark.parametrize("got_it", [True, False])
async def test_where_the_answer_does_not_arrive_the_guild_is_told(trouble: Trouble, got_it: bool) -> None:
    """Somebody presses a button and is gone before the run ends: what failed is told in the usual way."""
    task_id = await trouble.task(max_failures=1)

    async def show(result: TaskExecutionResult) -> bool:
        assert not result.success
        return got_it

    await trouble.scheduler.commands.run_now(task_id, show=show)
    await trouble.settled()
    assert trouble.letters.titles == ([] if got_it else ["Hourly: a run failed"])


async def test_of_a_backfill_people_hear_at_its_first_failure_and_at_its_end(trouble: Trouble) -> None:
    """Four runs of past slots fail: one letter at once, and one for the three others."""
    trouble.failing = False
    task_id = await trouble.task(max_failures=1)
    await trouble.wait(4 * HOUR)
    trouble.failing = True
    end = trouble.clock.now()
    runs = await trouble.scheduler.commands.backfill(task_id, end - 3.5 * HOUR, end)
    await trouble.scheduler.dispatcher._wake()
    await trouble.settled()
    assert trouble.letters.titles == ["Hourly: a run failed", f"Hourly: {len(runs) - 1} runs failed"]
    assert len(runs) == 4


class Doubtful(Letters):
    """It never says whether it took a result; and a second one is noticed by readers."""

    def remembers(self, destination: Destination) -> timedelta:
        return timedelta(0)

    async def deliver(self, request: DeliveryRequest) -> str:
        if request.destination.target != "owner":
            raise DeliveryFailed("the line went dead", ambiguous=True)
        return await super().deliver(request)


async def test_a_held_doubt_of_a_run_on_request_is_told_elsewhere(tmp_path: Path) -> None:
    """A result may have arrived or not, and is not sent again: a person has to look, so a person is told."""
    machine = Trouble(tmp_path / "data")
    machine.letters = Doubtful()
    machine.executor = TaskExecutor(HostEngine(), HostMessages(), delivery_channels=[machine.letters])
    await machine.boot()
    await machine.ask_to_be_told()
    place = Destination(type=DestinationType.CONSOLE, target="readers", on_unknown=UnknownPolicy.HOLD)
    task_id = await machine.task(task_type=TaskType.SUMMARY, operation=None, channel_id="7", destinations=[place])
    await machine.scheduler.commands.request_run(task_id)
    await machine.scheduler.dispatcher._wake()
    await machine.settled()
    assert machine.letters.titles == ["Hourly: a run failed"]
    assert "Whether it arrived (console) is not known" in machine.letters.texts[0]
    await machine.wait(HOUR)  # the slot's own run is in doubt as well, and begins the trouble of the schedule
    assert machine.letters.titles == ["Hourly: a run failed", "Hourly is failing"]
    await machine.wait(HOUR)  # people know of the trouble; but of this doubt they do not
    assert machine.letters.titles[2:] == ["Hourly: a run failed"]
    machine.counts()
    await machine.scheduler.stop()
