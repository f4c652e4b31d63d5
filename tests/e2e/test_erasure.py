"""Erasing a guild and a person: what goes, what stays, and that nothing brings it back."""

from __future__ import annotations

import asyncio
import inspect
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from application.audit import Audit
from application.evidence import Reason
from application.fates import Fate
from application.rows import GuildRow
from daybook import DatabaseTaskPersistence, TaskPersistence, TaskScheduler
from domain.errors import EventUnreadable, Forbidden, InvalidInput, NotFound, PayloadErased, StoreError
from domain.guild import GuildSettings
from domain.principal import Permission, Principal
from domain.summary import Summary
from domain.task_erasure import Erased as TaskErased
from infrastructure.read_model import SqliteReadModel
from tests.doubles import EARLY, HandClock, HandTimer
from tests.e2e.machine import HOUR, Machine, until

PERSON = "80351110224678912"
NAME = "Zebulon Quatermain"
SECRET_NAME = "Plans of the Seventh Circle"


@pytest.fixture
async def machine(tmp_path: Path) -> Any:
    """A running service with two guilds, each with a history of eight hours."""
    machine = Machine(tmp_path)
    await machine.boot()
    for guild in ("42", "7"):
        await machine.scheduler.commands.change_settings(guild, GuildSettings(timezone="Europe/Berlin"))
        await machine.task(guild_id=guild, name=f"{SECRET_NAME} {guild}")
        other = await machine.task(guild_id=guild, name=f"other {guild}", schedule_time="10:00", schedule_type="daily")
        await machine.scheduler.pause_task(other)
        keep(machine.scheduler, guild, "r1")
    await machine.wait(8 * HOUR)
    yield machine
    await machine.scheduler.stop()


def keep(scheduler: TaskScheduler, guild: str, run: str, text: str = "quiet words", author: str = "") -> None:
    """A summary of this run, a detail, and something cached."""
    now = scheduler.clock.now()
    content = scheduler.stores.content
    summary = Summary(id=run, guild_id=guild, channel_id="1", summary_text=text, start_time=now, end_time=now)
    if author:
        summary = summary.model_copy(update={"participants": ((author, 3),)})
    content.save_summary(f"{guild}-{run}", summary, now)
    people = {PERSON: author} if author else {}
    content.save_run_detail(f"{guild}-{run}", guild, {"people": people}, now)
    content.cache_put(f"{guild}-{run}", guild, {"text": text}, now)


def reopened(machine: Machine, folder: Path | None = None) -> TaskScheduler:
    """A service on this folder (or a copy of it) at the same instant, which does not claim."""
    clock = HandClock(machine.clock.now())
    persistence = TaskPersistence(folder or machine.folder, environment={})
    return TaskScheduler(machine.executor, persistence, clock=clock, timer=HandTimer(clock))


def rebuilt(scheduler: TaskScheduler, folder: Path) -> tuple[dict[str, Any], list[Any]]:
    """All rows, and the faults, as a new read model has them."""
    fresh = SqliteReadModel(folder / "fresh.db")
    try:
        fresh.catch_up(scheduler.stores.log)
        return fresh.dump(), fresh.faults()
    finally:
        fresh.close()
        (folder / "fresh.db").unlink()


def about(rows: dict[str, list[Any]], guild: str) -> dict[str, list[Any]]:
    """The rows that have to do with one guild."""
    return {name: [row for row in table if guild in row] for name, table in rows.items()}


def raw(folder: Path) -> bytes:
    """Every byte of the folder."""
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


async def test_an_erased_guild_is_unreadable_and_its_numbers_stay(machine: Machine, tmp_path: Path) -> None:
    """Its tasks end, every event of it is erased, counts are what they were, and a rebuild says the same."""
    scheduler = machine.scheduler
    tasks = [task.task_id for task in scheduler.queries.tasks(guild_id="42")]
    before = scheduler.queries.guild("42")
    found = await scheduler.erasure.erase_guild("42")
    assert (found.tasks, found.alive, found.summaries, found.keys) == (2, 2, 1, 1)
    after = scheduler.queries.guild("42")
    assert (after.tasks, after.executed, after.failed) == (before.tasks, before.executed, before.failed)
    assert after.executed == 8
    assert after.settings == GuildSettings()
    for task_id in tasks:
        view = scheduler.queries.task(task_id)
        assert (view.name, view.status.value, view.archived) == ("[erased]", "cancelled", True)
        events = [event for _, event in scheduler.queries.history(task_id)]
        assert all(isinstance(event, PayloadErased) for event in events[:-1])
        assert isinstance(events[-1], TaskErased)
        with pytest.raises(StoreError, match="erased"):
            await scheduler.resume_task(task_id)
    assert scheduler.queries.tasks(guild_id="42") == []
    assert scheduler.queries.runs(guild_id="42") == []
    assert scheduler.stores.content.summary_of_run("42-r1") is None
    assert scheduler.stores.content.summary_of_run("7-r1") is not None
    assert rebuilt(scheduler, tmp_path) == (scheduler.stores.read_model.dump(), [])


async def test_rows_are_those_of_the_log_where_persons_were_erased_before_their_guild(
    machine: Machine, tmp_path: Path
) -> None:
    """Nobody can read any more that the persons were erased; the next opening still knows that something was."""
    scheduler = machine.scheduler
    for author in (PERSON, f"{PERSON}1"):
        scheduler.stores.vault.person_reference("42", author)
        [found] = await scheduler.erasure.erase_person(author, guild_id="42")
        assert found.reference
    await scheduler.erasure.erase_guild("42")
    assert rebuilt(scheduler, tmp_path) == (scheduler.stores.read_model.dump(), [])
    row = scheduler.stores.read_model.get(GuildRow, "42")
    assert isinstance(row, GuildRow)
    assert row.erasures
    scheduler.stores.vault.person_reference("42", PERSON)
    await scheduler.erasure.erase_person(PERSON, guild_id="42")
    assert rebuilt(scheduler, tmp_path) == (scheduler.stores.read_model.dump(), [])


async def test_an_erased_guild_does_nothing_any_more_and_the_others_do(machine: Machine) -> None:
    """Slots of the guild come and go; nothing is written, nothing runs; the other guild's run."""
    await machine.scheduler.erasure.erase_guild("42")
    machine.slots.clear()
    await machine.wait(3 * HOUR)
    assert len(machine.slots) == 3
    assert machine.scheduler.queries.guild("42").executed == 8
    assert machine.scheduler.queries.guild("7").executed == 11


async def test_the_account_of_an_erased_task_is_what_it_was(machine: Machine) -> None:
    """Slots by fate are the same before and after, with a finding that says from what they are known."""
    scheduler = machine.scheduler
    audit = Audit(scheduler.queries, scheduler.stores.log, scheduler.clock)
    before = {task.task_id: audit.account(task.task_id) for task in scheduler.queries.tasks(guild_id="42")}
    await scheduler.erasure.erase_guild("42")
    for task_id, account in before.items():
        now = audit.account(task_id)
        # What was due and not decided yet is decided by the end of the task.
        decided = Counter({fate: count for fate, count in account.fates.items() if not fate.pending})
        assert now.implied == account.implied
        assert Counter(now.fates) >= decided
        assert now.manual == account.manual
        assert now.adds_up
        assert not now.alarm
        part = audit.account(task_id, start=EARLY + HOUR, end=EARLY + 3 * HOUR)
        assert part.counted == 0
        assert not account.fates or "cannot be divided" in part.findings[-1].words
        assert audit.why(task_id, EARLY + HOUR).reason is Reason.ERASED
        assert [one.known for one in audit.as_of(scheduler.clock.now(), [task_id])] == [False]


async def test_the_day_of_the_erasure_is_accounted_for_until_then(machine: Machine) -> None:
    """From its midnight through the erasure every slot is counted; those left out in advance are told of, and are
    counted where the whole day is asked for. A period that ends before says how much it leaves out.
    """
    scheduler = machine.scheduler
    audit = Audit(scheduler.queries, scheduler.stores.log, scheduler.clock)
    [task_id] = [task.task_id for task in scheduler.queries.tasks(guild_id="42") if task.name == f"{SECRET_NAME} 42"]
    await scheduler.commands.skip_next(task_id, 2)
    midnight, now = EARLY.replace(hour=0), scheduler.clock.now()
    assert now - midnight < timedelta(hours=22)
    before = audit.account(task_id, start=midnight)
    day = audit.account(task_id, start=midnight, end=midnight + timedelta(days=1), now=midnight + timedelta(days=1))
    await scheduler.erasure.erase_guild("42")
    found = audit.account(task_id, start=midnight)
    decided = Counter({fate: count for fate, count in before.fates.items() if not fate.pending})
    assert found.implied == before.implied
    assert Counter(found.fates) >= decided
    left_out = f"the 2 slots of {now:%Y-%m-%d} after the erasure cannot be divided, and are left out"
    part = audit.account(task_id, start=midnight, end=now + 2 * HOUR)
    assert (len(found.findings), part.fates, part.findings[-1].words) == (1, found.fates, left_out)
    whole = audit.account(task_id, start=midnight, end=midnight + timedelta(days=1))
    assert whole.fates[Fate.REQUESTED] == day.fates[Fate.REQUESTED] == 2
    assert len(whole.findings) == 1
    early = audit.account(task_id, start=midnight, end=now - HOUR)
    assert early.counted == 0
    assert f"the {found.implied} slots of {now:%Y-%m-%d} cannot be divided" in early.findings[1].words


async def test_reports_over_closed_days_keep_their_counts_and_the_name_leads_to_the_id(machine: Machine) -> None:
    """What was counted stays counted; events keep their places; who asks by the former name is told how to ask."""
    await machine.wait(40 * HOUR)
    scheduler, start = machine.scheduler, EARLY.replace(hour=0)
    end = start + timedelta(days=1)
    [task_id] = [task.task_id for task in scheduler.queries.tasks(guild_id="42") if task.name == f"{SECRET_NAME} 42"]
    before = scheduler.reports.make(start, end, task_id=task_id)
    assert before.closed
    assert before.figures.executed > 8
    other = scheduler.reports.make(start, end, guild_id="7")
    await scheduler.erasure.erase_guild("42")
    after = scheduler.reports.make(start, end, task_id=task_id)
    assert (after.account.fates, after.account.manual) == (before.account.fates, before.account.manual)
    assert [(day.date, day.executed, day.slots) for day in after.days] == [
        (day.date, day.executed, day.slots) for day in before.days
    ]
    assert (after.kinds, after.figures.executed, after.figures.attempts) == (
        before.kinds, before.figures.executed, before.figures.attempts,
    )  # fmt: skip
    assert [(line.position, line.event) for line in after.events] == [
        (line.position, line.event) for line in before.events
    ]
    assert SECRET_NAME not in str(after)
    assert scheduler.reports.make(start, end, guild_id="7") == other
    await machine.wait(2 * HOUR)
    assert scheduler.reports.make(start, end, task_id=task_id) == after
    with pytest.raises(NotFound, match="2 tasks were erased, and their names with them"):
        scheduler.queries.find_task(f"{SECRET_NAME} 42")
    assert scheduler.queries.find_task(task_id[:23]).task_id == task_id
    stranger = Principal(reference="x", guild_id="7")
    with pytest.raises(NotFound, match=r"^no task '[^;]*$"):
        scheduler.queries.find_task(f"{SECRET_NAME} 42", principal=stranger)


async def test_a_guild_may_come_back(machine: Machine, tmp_path: Path) -> None:
    """Settings and tasks are new ones under a new key; a restart keeps both, and what was erased stays so."""
    scheduler = machine.scheduler
    await scheduler.erasure.erase_guild("42")
    await scheduler.commands.change_settings("42", GuildSettings(timezone="Asia/Tokyo"))
    task_id = await machine.task(guild_id="42", name="new")
    machine.clock.move(timedelta(seconds=1))
    keep(scheduler, "42", "r2")
    secret = scheduler.stores.vault.put_secret("42", "a new secret")
    machine.clock.move(timedelta(seconds=1))
    rows = scheduler.stores.read_model.dump()
    await scheduler.stop()
    again = reopened(machine)
    await again.open()
    assert again.queries.settings("42").timezone == "Asia/Tokyo"
    assert again.queries.task(task_id).name == "new"
    assert again.stores.content.summary_of_run("42-r2") is not None
    assert again.stores.vault.secret("42", secret) == "a new secret"
    assert about(again.stores.read_model.dump(), "42") == about(rows, "42")
    assert rebuilt(again, tmp_path)[1] == []
    await again.stop()


@pytest.mark.parametrize(
    "older", ["vault.db", "content.db", "log.db vault.db content.db", "log.db", "log.db content.db"]
)
async def test_older_copies_that_are_put_back_are_erased_again(machine: Machine, older: str) -> None:
    """Whichever files are older: keys, secrets and content are gone again after the next opening."""
    scheduler, folder = machine.scheduler, machine.folder
    task_id = scheduler.queries.tasks(guild_id="42")[0].task_id
    secret = scheduler.stores.vault.put_secret("42", "an old secret")
    foreign = scheduler.stores.vault.put_secret("7", "another secret")
    await scheduler.stop()
    copies = machine.folder.parent / f"{machine.folder.name}-copies"
    shutil.copytree(folder, copies)
    again = reopened(machine)
    await again.open()
    await again.erasure.erase_guild("42")
    await again.stop()
    for name in older.split():
        for file in folder.glob(f"{name}*"):
            file.unlink()
        shutil.copy2(copies / name, folder / name)
    if "log.db" in older:
        (folder / "readmodel.db").unlink()  # whoever puts an older log back has to
    later = reopened(machine)
    await later.open()
    assert later.stores.vault.secret("42", secret) is None
    assert later.stores.vault.secret("7", foreign) == "another secret"
    assert later.stores.content.summary_of_run("42-r1") is None
    assert later.stores.content.summary_of_run("7-r1") is not None
    first = later.stores.log.stream(UUID(task_id))[0].event
    assert isinstance(first, PayloadErased)
    assert later.queries.tasks(guild_id="42") == []
    assert later.queries.guild("42").settings == GuildSettings()
    assert len(later.queries.tasks(guild_id="7")) == 2
    await later.stop()
    assert f"{SECRET_NAME} 42".encode() not in raw(folder)


async def test_a_damaged_row_that_bears_an_erased_key_ends_no_task_of_another_guild(machine: Machine) -> None:
    """The first event of a living task is overwritten by one of an erased guild: it is told, and nothing is written."""
    scheduler, folder = machine.scheduler, machine.folder
    gone = UUID(scheduler.queries.tasks(guild_id="42")[0].task_id)
    alive = next(UUID(task.task_id) for task in scheduler.queries.tasks(guild_id="7") if task.name != "other 7")
    await scheduler.stop()
    again = reopened(machine)
    await again.open()
    await again.erasure.erase_guild("42")
    count = len(again.stores.log.stream(alive))
    await again.stop()
    with closing(sqlite3.connect(folder / "log.db")) as database, database:
        where = "from stored_events where originator_id = ? and originator_version = 1"
        [(state,)] = database.execute(f"select state {where}", (gone.hex,)).fetchall()
        changed = database.execute(
            "update stored_events set state = ? where originator_id = ? and originator_version = 1", (state, alive.hex)
        )
        assert changed.rowcount == 1
    (folder / "readmodel.db").unlink()
    later = reopened(machine)
    await later.open()
    events = later.stores.log.stream(alive)
    assert isinstance(events[0].event, PayloadErased)
    assert len(events) == count
    assert not isinstance(events[-1].event, TaskErased)
    assert str(alive) in later.queries.unreadable()
    await later.stop()


class Killed(BaseException):
    """The process ends here."""


def steps_of(scheduler: TaskScheduler) -> list[tuple[Any, str]]:
    """Everything that an erasure calls outside of itself, where a process may die."""
    stores = scheduler.stores
    return [
        (stores.log, "append"),
        (stores.content, "delete_before"),
        (stores.vault, "erase_guild"),
        (stores.vault, "data_key"),
        (stores.ledger, "add"),
        (stores.writer, "execute_many"),
        (stores.writer, "catch_up"),
    ]


class _DiesAt:
    """Counts calls, and dies at one of them, before it is done or after. The dead do nothing any more."""

    def __init__(self, number: int | None, *, after: bool) -> None:
        self.number, self.after, self.count = number, after, 0

    def _dying(self) -> bool:
        """Whether this call is done, and is the last one. Raises Killed where it is not done."""
        self.count += 1
        if self.number is None or self.count < self.number:
            return False
        if self.count == self.number and self.after:
            return True
        raise Killed

    def around(self, call: Any) -> Any:
        """The same call, in which the process may die."""

        def blocking(*args: Any, **kwargs: Any) -> Any:
            dying = self._dying()
            result = call(*args, **kwargs)
            if dying:
                raise Killed
            return result

        async def eventually(*args: Any, **kwargs: Any) -> Any:
            dying = self._dying()
            result = await call(*args, **kwargs)
            if dying:
                raise Killed
            return result

        return eventually if inspect.iscoroutinefunction(call) else blocking


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_crash_at_any_step_is_finished_at_the_next_opening(
    machine: Machine, tmp_path: Path, after: bool
) -> None:
    """The process dies before or after each step. Once the request is written, the next opening completes it."""
    await machine.scheduler.stop()
    whole = _counts_after(await _erased_copy(machine, tmp_path / "whole", None, after))
    number = 0
    while True:
        number += 1
        folder = tmp_path / f"crash-{number}"
        again = await _erased_copy(machine, folder, number, after)
        if again is None:
            break
        row = again.stores.read_model.get(GuildRow, "42")
        if row.erasures == 0:
            assert not row.erasing, number
            assert again.stores.content.summary_of_run("42-r1") is not None
            await again.erasure.erase_guild("42")
        found = _counts_after(again)
        assert found == whole, number
        assert rebuilt(again, tmp_path) == (again.stores.read_model.dump(), []), number
        await again.stop()
    assert number > 10


def _counts_after(scheduler: TaskScheduler | None) -> Any:
    assert scheduler is not None
    row = scheduler.stores.read_model.get(GuildRow, "42")
    content = scheduler.stores.content
    assert content.summary_of_run("42-r1") is None
    assert content.summary_of_run("7-r1") is not None
    assert scheduler.stores.vault.kept_of("42").keys == 0
    assert [entry.guild_id for entry in scheduler.stores.ledger.entries()] == ["42"]
    for task in scheduler.stores.read_model.tasks(guild_id="42", archived=True):
        assert isinstance(scheduler.stores.log.stream(UUID(task[0].task_id))[-1].event, TaskErased)
        assert isinstance(scheduler.stores.log.stream(UUID(task[0].task_id))[-2].event, EventUnreadable)
    return (row.tasks, row.executed, row.slots_skipped, row.erasing, row.erasures)


async def _erased_copy(machine: Machine, folder: Path, number: int | None, after: bool) -> TaskScheduler | None:
    """The service after an erasure that died at this step, opened again; None when there is no such step."""
    shutil.copytree(machine.folder, folder, ignore=shutil.ignore_patterns("crash-*", "whole"))
    first = reopened(machine, folder)
    await first.open()
    death = _DiesAt(number, after=after)
    for owner, name in steps_of(first):
        setattr(owner, name, death.around(getattr(owner, name)))
    died = False
    try:
        await first.erasure.erase_guild("42")
    except Killed:
        died = True
    for owner, name in steps_of(first):
        delattr(owner, name)
    await first.stop()
    if not died and number is not None:
        return None
    again = reopened(machine, folder)
    await again.open()
    return again


async def test_nothing_a_person_wrote_about_the_guild_is_left_in_any_file(machine: Machine) -> None:
    """Names of tasks, summaries and secrets: not one byte of them is in the folder once the service has stopped."""
    scheduler = machine.scheduler
    keep(scheduler, "42", "r9", text="a canary sang at dawn", author="Zebulon")
    await scheduler.erasure.erase_guild("42")
    await scheduler.stop()
    everything = raw(machine.folder)
    assert f"{SECRET_NAME} 42".encode() not in everything
    assert b"canary sang" not in everything
    assert f"{SECRET_NAME} 7".encode() in everything  # the other guild's, in the rows


async def test_nothing_is_left_while_the_service_runs_on(machine: Machine) -> None:
    """Write-ahead logs are emptied at once, not only when the service stops."""
    await machine.scheduler.erasure.erase_guild("42")
    assert f"{SECRET_NAME} 42".encode() not in raw(machine.folder)


async def test_what_may_be_erased_and_by_whom(machine: Machine) -> None:
    """A guild that was never there, the service itself, another's guild, one that may only look: nothing happens."""
    erasure = machine.scheduler.erasure
    position = machine.scheduler.stores.log.last_position()
    with pytest.raises(NotFound):
        await erasure.erase_guild("999")
    with pytest.raises(InvalidInput):
        await erasure.erase_guild("")
    stranger = Principal(reference="person:3", guild_id="7", permissions=frozenset(Permission))
    with pytest.raises(NotFound):
        await erasure.erase_guild("42", principal=stranger)
    with pytest.raises(Forbidden):
        await erasure.erase_guild("42", principal=Principal(reference="person:2", guild_id="42"))
    with pytest.raises(Forbidden):
        await erasure.erase_person(PERSON, principal=stranger)
    with pytest.raises(InvalidInput):
        await erasure.erase_person("1")
    assert machine.scheduler.stores.log.last_position() == position
    await erasure.erase_guild("42")
    with pytest.raises(NotFound):
        await erasure.erase_guild("42")


async def test_a_person_is_erased_and_the_rest_stays(machine: Machine) -> None:
    """Summaries that name the person go, found by the account's id and by the name it leads to; others stay."""
    stores = machine.scheduler.stores
    keep(machine.scheduler, "42", "by", author=NAME)
    keep(machine.scheduler, "42", "named", text=f"as {NAME.upper()}, said so")
    keep(machine.scheduler, "42", "like", text=f"{NAME}s are many")
    keep(machine.scheduler, "42", "mention", text=f"ask <@{PERSON}> tomorrow")
    reference = stores.vault.person_reference("42", PERSON)
    elsewhere = stores.vault.person_reference("7", PERSON)
    [found] = await machine.scheduler.erasure.erase_person(PERSON, guild_id="42")
    assert set(found.runs) == {"42-by", "42-named", "42-mention"}
    assert (found.summaries, found.reference) == (3, True)
    assert stores.vault.person("42", reference) is None
    assert stores.vault.person("7", elsewhere) == PERSON
    assert stores.vault.person_reference("42", PERSON) != reference
    assert stores.content.summary_of_run("42-like") is not None
    assert stores.content.summary_of_run("42-r1") is not None
    assert stores.content.cache_get("42-r1") is None  # what is cached can be made again


async def test_nothing_about_a_person_is_left_in_any_file(machine: Machine) -> None:
    """Neither the id nor the name is in the folder once the service has stopped, delivered files among it."""
    scheduler = machine.scheduler
    for guild in ("42", "7"):
        keep(scheduler, guild, "by", author=NAME)
        scheduler.stores.vault.person_reference(guild, PERSON)
        folder = machine.folder / "summaries" / guild / "news"
        folder.mkdir(parents=True)
        (folder / "one.md").write_text(f"{NAME} said hello")
        (folder / "two.md").write_text("nobody said hello")
    await scheduler.erasure.erase_person(PERSON)
    await scheduler.stop()
    everything = raw(machine.folder)
    assert NAME.encode() not in everything
    assert PERSON.encode() not in everything
    assert [path.name for path in (machine.folder / "summaries").rglob("*.md")] == ["two.md", "two.md"]


@pytest.mark.parametrize("older", ["vault.db", "content.db", "vault.db content.db"])
async def test_a_person_stays_erased_when_older_copies_are_put_back(machine: Machine, older: str) -> None:
    """The log says which runs and which reference: it is done again, and nothing else is."""
    scheduler, folder = machine.scheduler, machine.folder
    keep(scheduler, "42", "by", author=NAME)
    reference = scheduler.stores.vault.person_reference("42", PERSON)
    await scheduler.stop()
    copies = folder.parent / f"{folder.name}-copies"
    shutil.copytree(folder, copies)
    again = reopened(machine)
    await again.open()
    await again.erasure.erase_person(PERSON, guild_id="42")
    await again.stop()
    for name in older.split():
        for file in folder.glob(f"{name}*"):
            file.unlink()
        shutil.copy2(copies / name, folder / name)
    later = reopened(machine)
    await later.open()
    assert later.stores.vault.person("42", reference) is None
    assert later.stores.content.summary_of_run("42-by") is None
    assert later.stores.content.summary_of_run("42-r1") is not None
    await later.stop()


async def test_a_definition_that_names_a_person_is_told(machine: Machine) -> None:
    """What stands in a definition is not deleted behind people's backs; they are told which task to edit."""
    task_id = await machine.task(guild_id="42", name="for one", parameters={"whom": PERSON})
    [found] = await machine.scheduler.erasure.plan_person(PERSON, guild_id="42")
    assert found.named_in == (task_id,)
    assert found.nothing
    [done] = await machine.scheduler.erasure.erase_person(PERSON, guild_id="42")
    assert done == found


async def test_a_run_that_ends_after_the_erasure_leaves_nothing(machine: Machine) -> None:
    """What runs while its guild is erased is given up: no event, no retry of its record, no place taken."""
    machine.release = asyncio.Event()
    task_id = await machine.task(guild_id="9", name="slow")
    machine.clock.move(HOUR)
    await machine.timer.check()
    await until(lambda: bool(machine.scheduler.queries.running()))
    await machine.scheduler.erasure.erase_guild("9")
    machine.release.set()
    await until(lambda: not machine.is_busy())
    assert not machine.scheduler.dispatcher.runner._unrecorded
    last = machine.scheduler.stores.log.stream(UUID(task_id))[-1].event
    assert isinstance(last, TaskErased)
    assert last.tally.skipped + last.tally.slots_skipped > 0
    assert sum(sum(month.values()) for month in last.tally.slots.values()) == 1


async def test_every_node_learns_of_an_erasure(tmp_path: Path, postgres_url: Callable[[], str]) -> None:
    """Another machine on the same PostgreSQL: its rows are cleaned, its tasks do not run, its restart says the same."""
    url, machines = postgres_url(), []
    key = {"DAYBOOK_MASTER_KEY": "ab" * 32}
    for name in ("one", "two"):
        machine = Machine(tmp_path / name)
        machine.persistence = DatabaseTaskPersistence(url, tmp_path / name, environment=key)
        await machine.boot()
        machines.append(machine)
    one, two = machines
    task_id = await one.task(guild_id="42", name=SECRET_NAME)
    other = await one.task(guild_id="7", name="other")
    await two.timer.check()
    assert two.scheduler.queries.task(task_id).name == SECRET_NAME
    await one.scheduler.erasure.erase_guild("42")
    await two.timer.check()
    view = two.scheduler.queries.task(task_id)
    assert (view.name, view.status.value) == ("[erased]", "cancelled")
    assert two.scheduler.stores.read_model.dump() == one.scheduler.stores.read_model.dump()
    two.clock.move(2 * HOUR)
    await two.timer.check()
    await two.settled()
    assert two.scheduler.queries.guild("42").attempts == 0
    assert two.scheduler.queries.task(other).metadata.execution_count == 1
    assert rebuilt(two.scheduler, tmp_path) == (two.scheduler.stores.read_model.dump(), [])
    for machine in machines:
        await machine.scheduler.stop()
    assert SECRET_NAME.encode() not in raw(tmp_path)
