"""Whatever becomes of the files of a store: it is found, or refused, or does no harm. Never is a wrong answer given.

``make corrupt`` is the campaign of 2,000; otherwise a few cases are tried. A case is named by its number: the same
number does the same damage to the same store.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from application.audit import Audit
from application.evidence import Reason
from application.heads import known_heads
from application.ports import Head
from application.tampering import verify_log
from application.tree import EventTree
from application.verification import verify_store
from daybook import TaskExecutor, TaskPersistence, TaskScheduler
from domain.errors import DaybookError, EventUnreadable
from domain.guild import GuildSettings
from domain.summary import Summary
from infrastructure.task_names import fold_names
from tests.doubles import EARLY, HandClock
from tests.e2e.machine import HOUR, Machine

CASES = int(os.environ.get("DAYBOOK_CORRUPTIONS", "60"))
AGED = 0.4
"""In so many cases the tables are of another version, and are made anew from the damaged store."""
UNTIL = EARLY + 40 * HOUR
MOMENTS = (EARLY + 2 * HOUR, EARLY + 9.5 * HOUR, UNTIL)
POSITIONS = (7, 31, 90)

CAME = ("refused", "verify", "audit verify", "said so", "no harm", "wrong", "crash")
Answers = dict[str, Any]
UNKNOWN = "it says that it cannot know"


@dataclass
class Sound:
    """The store before anything happens to it: what it answers, and the heads that were kept elsewhere."""

    folder: Path
    answers: Answers = field(default_factory=dict)
    heads: list[Head] = field(default_factory=list)
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)


async def lived(folder: Path) -> None:
    """Three tasks of two guilds run for a day and a half; one is paused, one is edited, and kept states are taken."""
    machine = Machine(folder)
    await machine.boot()
    await machine.task(name="One")
    second = await machine.task(name="Two", guild_id="7")
    third = await machine.task(name="Three")
    await machine.scheduler.commands.change_settings("7", GuildSettings(timezone="Asia/Tokyo"))
    for hour in range(36):
        await machine.wait(HOUR)
        if hour == 5:
            await machine.scheduler.pause_task(second, reason="moving")
        if hour == 12:
            await machine.scheduler.resume_task(second)
        if hour == 20:
            await machine.scheduler.update_task(third, name="Third", reason="clearer")
    now = machine.clock.now()
    for run in machine.scheduler.queries.runs(limit=20):
        text = f"What was said before {run.slot}."
        summary = Summary(id=f"s-{run.run_id}", summary_text=text, start_time=now - HOUR, end_time=now)
        machine.scheduler.stores.content.save_summary(run.run_id, summary, now)
    await machine.scheduler.stop()


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sound]:
    """A store that has lived, with its answers."""
    store = Sound(tmp_path_factory.mktemp("sound") / "data")
    asyncio.run(lived(store.folder))
    asyncio.run(_kept_heads(store))
    store.answers = asyncio.run(asked(store.folder))
    assert UNKNOWN not in store.answers.values()
    assert asyncio.run(found(store.folder, store.heads)) == ""
    yield store
    print(table(store.outcomes))


def table(outcomes: Counter[tuple[str, str]]) -> str:
    """By file, what became of how many cases."""
    files = [*sorted({file for file, _ in outcomes}), "all"]
    for (_, came), count in list(outcomes.items()):
        outcomes["all", came] += count
    lines = [f"{'file':14}" + "".join(f"{name:>14}" for name in ("cases", *CAME))]
    for file in files:
        counts = [outcomes[file, came] for came in CAME]
        lines.append(f"{file:14}" + "".join(f"{count:14}" for count in (sum(counts), *counts)))
    return "\n".join(lines)


def opened(folder: Path) -> TaskScheduler:
    """The store as any command opens it."""
    return TaskScheduler(TaskExecutor(), TaskPersistence(folder, environment={}), clock=HandClock(UNTIL))


async def _kept_heads(store: Sound) -> None:
    scheduler = opened(store.folder)
    await scheduler.open()
    stores = scheduler.stores
    tree = EventTree(stores.log, stores.leaves, scheduler.clock)
    size = tree.catch_up()
    store.heads = [tree.head(part) for part in (size // 3, size)]
    await scheduler.stop()


async def asked(folder: Path) -> Answers:
    """What the store says to every kind of question; UNKNOWN where it says that it cannot say."""
    scheduler = opened(folder)
    answers: Answers = {}

    def ask(name: str, question: Any) -> None:
        try:
            answers[name] = question()
        except DaybookError:
            answers[name] = UNKNOWN

    def list_all(name: str, question: Any) -> None:
        """A list of rows is shown with the warning that events cannot be read or are missing, where any are."""
        ask(name, lambda: UNKNOWN if scheduler.queries.unreadable() else question())

    try:
        await scheduler.open()
        audit = Audit(scheduler.queries, scheduler.stores.log, scheduler.clock)
        tasks: list[Any] = []
        with suppress(DaybookError):
            tasks = audit.tasks()
        list_all("tasks", lambda: [(t.task_id, t.name, t.status, t.next_run_time) for t in audit.tasks()])
        for moment in (*MOMENTS, *POSITIONS):
            ask(f"as of {moment}", lambda moment=moment: _then(audit, moment))
        for moments in (MOMENTS[:2], POSITIONS[1:]):
            ask(f"changes between {moments}", lambda moments=moments: _changes(audit, *moments))
        for task in tasks:
            task_id = task.task_id
            ask(f"account {task_id}", lambda i=task_id: _account(audit, i))
            ask(f"slots {task_id}", lambda i=task_id: _slots(audit, i))
            ask(f"history {task_id}", lambda i=task_id: _history(scheduler, i))
            ask(f"why {task_id}", lambda i=task_id: _why(audit, i))
            list_all(f"skips {task_id}", lambda i=task_id: scheduler.queries.skips(i))
        list_all("views", scheduler.queries.tasks)
        list_all("runs", lambda: scheduler.queries.runs(limit=1000))
        list_all("guilds", scheduler.queries.guilds)
        list_all("nodes", lambda: [node for node in scheduler.queries.nodes() if node.node != scheduler.node])
        list_all("counts", scheduler.queries.counts)
        list_all("upcoming", scheduler.queries.upcoming)
        with suppress(DaybookError):
            for run in scheduler.queries.runs(limit=20):
                ask(f"summary {run.run_id}", lambda i=run.run_id: _summary(scheduler, i))
    except DaybookError:
        answers["open"] = UNKNOWN
    finally:
        with suppress(DaybookError):
            await scheduler.stop()
    return answers


def _then(audit: Audit, moment: Any) -> Any:
    service = audit.service_as_of(moment)
    states = {one.stream_id: one.fields for one in (*service.tasks, *service.guilds)}
    return (service.counts, states, [(n.node, n.up) for n in service.nodes]) if service.known else UNKNOWN


def _changes(audit: Audit, before: Any, after: Any) -> Any:
    found = audit.differences(before, after)
    # The name beside a change is the present one; a list that shows it warns of what cannot be read.
    return UNKNOWN if any(one.blocked is not None for _, one in found) else [one for _, one in found]


def _account(audit: Audit, task_id: str) -> Any:
    account = audit.account(task_id)
    return (account.implied, account.fates) if account.proven else UNKNOWN


def _slots(audit: Audit, task_id: str) -> Any:
    return [(s.slot, s.fate) for s in audit.slots(task_id)] if audit.account(task_id).proven else UNKNOWN


def _history(scheduler: TaskScheduler, task_id: str) -> Any:
    events = [one.event for one in scheduler.queries.history(task_id)]
    return UNKNOWN if any(isinstance(event, EventUnreadable) for event in events) else events


def _summary(scheduler: TaskScheduler, run_id: str) -> Any:
    kept = scheduler.queries.summary(run_id)
    return UNKNOWN if kept is None else kept  # none: that it is not there is said


def _why(audit: Audit, task_id: str) -> Any:
    explanation = audit.why(task_id, EARLY + 8 * HOUR)
    return explanation.answer if explanation.whole and explanation.reason is not Reason.LOST else UNKNOWN


async def found(folder: Path, heads: list[Head]) -> str:
    """How the damage is found: by being refused, by `verify`, or by `audit verify`. Empty when it is not."""
    scheduler = opened(folder)
    try:
        await scheduler.open()
        stores = scheduler.stores
        leaves = stores.leaves if stores.leaves.path.exists() else None
        if not verify_store(stores.log, stores.read_model, leaves=leaves, heads=known_heads(stores.log, leaves)).sound:
            return "verify"
        with suppress(DaybookError):
            EventTree(stores.log, stores.leaves, scheduler.clock).catch_up()
        verdict = verify_log(stores.log, stores.leaves, heads)
        return "" if verdict.intact and not verdict.findings else "audit verify"
    except DaybookError:
        return "refused"
    finally:
        with suppress(DaybookError):
            await scheduler.stop()


# --- the damage


def damaged(folder: Path, chance: random.Random) -> str:
    """Do one thing to one file; says what."""
    name = chance.choices(["log.db", "readmodel.db", "vault.db", "leaves.db", "content.db"], [12, 4, 2, 2, 3])[0]
    path = folder / name
    act: Any = chance.choice([_flip, _flip, _zero, _swap_pages, _truncate, _rows, _rows, _rows])
    if act is _rows:
        return f"{name}: {_rows(path, chance)}"
    raw = bytearray(path.read_bytes())
    act(raw, chance)
    path.write_bytes(raw)
    return f"{name}: {act.__name__.strip('_').replace('_', ' ')}"


def aged(folder: Path) -> None:
    """Let the tables be those of another version: the next start makes them anew."""
    damage = suppress(sqlite3.Error, UnicodeDecodeError)
    with damage, closing(sqlite3.connect(folder / "readmodel.db")) as database, database:
        database.execute("update meta set value = 'another' where name = 'fingerprint'")
    (folder / "readmodel.seal").unlink(missing_ok=True)


def _flip(raw: bytearray, chance: random.Random) -> None:
    for _ in range(chance.choice([1, 1, 2, 8])):
        raw[chance.randrange(len(raw))] ^= 1 << chance.randrange(8)


def _zero(raw: bytearray, chance: random.Random) -> None:
    begin, length = chance.randrange(len(raw)), chance.choice([1, 16, 512, 4096])
    raw[begin : begin + length] = bytes(len(raw[begin : begin + length]))


def _swap_pages(raw: bytearray, chance: random.Random) -> None:
    one, two = (4096 * chance.randrange(len(raw) // 4096) for _ in range(2))
    raw[one : one + 4096], raw[two : two + 4096] = raw[two : two + 4096], raw[one : one + 4096]


def _truncate(raw: bytearray, chance: random.Random) -> None:
    del raw[chance.choice([chance.randrange(len(raw)), 4096 * chance.randrange(len(raw) // 4096 + 1)]) :]


def _rows(path: Path, chance: random.Random) -> str:
    """Change rows as somebody would who has the file and SQLite, but not the keys."""
    with closing(sqlite3.connect(path)) as database, database:
        fold_names(database)  # triggers of the tables ask for it
        of_rows = "select name from sqlite_master where type = 'table' and sql not like 'create virtual%' order by 1"
        tables = [row[0] for row in database.execute(of_rows)]
        filled = [t for t in tables if database.execute(f"select count(*) from {t}").fetchone()[0]]
        table = "stored_events" if "stored_events" in filled and chance.random() < 0.8 else chance.choice(filled)
        columns = [row[1] for row in database.execute(f"pragma table_info({table})")]
        keys = [row[1] for row in database.execute(f"pragma table_info({table})") if row[5]] or columns[:1]
        rows = database.execute(f"select * from {table} order by {', '.join(keys)}").fetchall()
        one, two, column = chance.choice(rows), chance.choice(rows), chance.choice(columns)
        where = " and ".join(f"{key} is ?" for key in keys)
        key_of = {id(row): [row[columns.index(key)] for key in keys] for row in (one, two)}
        place = columns.index(column)
        act = chance.choice(["delete", "delete many", "swap", "change", "copy"])
        with suppress(sqlite3.IntegrityError):
            if act == "delete":
                database.execute(f"delete from {table} where {where}", key_of[id(one)])
            elif act == "delete many":
                for row in chance.sample(rows, chance.randrange(1, len(rows) + 1)):
                    database.execute(f"delete from {table} where {where}", [row[columns.index(key)] for key in keys])
            elif act == "copy":
                database.execute(f"update {table} set {column} = ? where {where}", [two[place], *key_of[id(one)]])
            elif act == "change":
                database.execute(
                    f"update {table} set {column} = ? where {where}", [_other(one[place], chance), *key_of[id(one)]]
                )
            else:
                for row, value in ((one, two[place]), (two, one[place])):
                    database.execute(f"update {table} set {column} = ? where {where}", [value, *key_of[id(row)]])
    return f"{act} in {table}" if table in ("stored_events", "snapshots") else f"{act} rows"


def _other(value: Any, chance: random.Random) -> Any:
    match value:
        case bytes() if value:
            changed = bytearray(value)
            changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
            return bytes(changed)
        case int():
            return value + chance.choice([-1, 1, 1000])
        case str() if value:
            place = chance.randrange(len(value))
            return value[:place] + chance.choice("0aZ{\u00e9") + value[place + 1 :]
    return chance.choice([None, 0, "x", b""])


@pytest.mark.parametrize("case", range(CASES))
def test_damage_is_found_or_refused_or_does_no_harm(tmp_path: Path, sound: Sound, case: int) -> None:
    """An answer that is given is the right one, or the damage is found by who asks for it."""
    folder = tmp_path / "data"
    shutil.copytree(sound.folder, folder)
    chance = random.Random(case)
    what = damaged(folder, chance)
    if chance.random() < AGED:
        aged(folder)
        what += ", tables of old"
    file = what.partition(":")[0]
    try:
        how = asyncio.run(found(_copied(folder), sound.heads))
        given = asyncio.run(asked(folder))
    except Exception:
        sound.outcomes[file, "crash"] += 1
        raise
    wrong = [name for name, answer in given.items() if answer not in (UNKNOWN, sound.answers.get(name))]
    if not wrong and UNKNOWN in given.values():
        how = how or "said so"
    sound.outcomes[file, "wrong" if wrong else how or "no harm"] += 1
    assert not wrong, f"{what}, found by {how or 'nobody'}: {wrong[:3]}"


def _copied(folder: Path) -> Path:
    """Opening a store may mend what can be made anew: each question gets the damage as it was."""
    other = folder.with_name("other")
    shutil.copytree(folder, other)
    return other
