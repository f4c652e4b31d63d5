"""The writer: what shares a transaction, what fails alone, and what an acknowledgement is worth."""

from __future__ import annotations

import asyncio
import multiprocessing
import threading
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep
from typing import Any, cast
from uuid import UUID, uuid4

import pytest

from application.ports import Append, Change, Command, StoredRow
from application.rows import TaskRow
from domain.errors import (
    AppendUnknown,
    Conflict,
    EventUnreadable,
    NotDue,
    NotFound,
    Refused,
    StoreError,
    StoreUnavailable,
)
from domain.event import Snapshot
from domain.guild import Guild, GuildSettings, guild_stream
from domain.runs import Attempt, TaskStatus
from domain.task import ScheduledTask
from domain.task_events import Paused
from domain.task_snapshot import snapshot_of
from infrastructure import stream_cache, writer
from infrastructure.mapper import EventMapper
from infrastructure.sqlite_log import SqliteLog
from infrastructure.stream_cache import StreamCache
from infrastructure.writer import LogWriter
from tests.contracts.log_parts import Place, TinyVault
from tests.domain.task_parts import DEADLINE, START, at, make
from tests.infrastructure.store_parts import FINGERPRINT, Store, created, opened


class MoodyLog:
    """A real log that can be told to fail, and that counts its appends."""

    def __init__(self, folder: Path) -> None:
        self.real = SqliteLog(folder / "log.db", EventMapper(TinyVault()), fingerprint=FINGERPRINT)  # type: ignore[arg-type]
        self.appends: list[int] = []
        self.before: list[BaseException] = []
        self.after: list[BaseException] = []
        self.loads: list[BaseException] = []
        self.loaded: list[UUID] = []

    def append(self, appends: Any) -> list[StoredRow]:
        self.appends.append(len(appends))
        if self.before:
            raise self.before.pop(0)
        stored = self.real.append(appends)
        if self.after:
            raise self.after.pop(0)
        return stored

    def load(self, stream_ids: Any) -> Any:
        if self.loads:
            raise self.loads.pop(0)
        self.loaded += stream_ids
        return self.real.load(stream_ids)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


@pytest.fixture
def log(tmp_path: Path) -> MoodyLog:
    """The log under the store."""
    return MoodyLog(tmp_path)


@pytest.fixture
def store(tmp_path: Path, log: MoodyLog) -> Iterator[Store]:
    """A writer with its read model."""
    with opened(tmp_path, log=log) as store:
        yield store


def paused(task_id: UUID, minute: int = 0) -> Command:
    """Pause a task."""
    return Command(task_id, lambda task: task.pause(now=at(0, minutes=minute), by="p"))


def claimed(task_id: UUID, node: str = "n1") -> Command:
    """Claim what is due at half past."""
    return Command(task_id, lambda task: task.claim(now=at(0.5), node=node, deadline=DEADLINE))


def half_way(task: ScheduledTask) -> None:
    """A command that decides something and is then refused."""
    task.pause(now=at(0.1), by="p")
    raise Refused(task.id, "half-way")


# --- one transaction --------------------------------------------------------------------------------------------------


def test_what_waits_together_is_committed_together(store: Store, log: MoodyLog) -> None:
    """A thousand commands in one call are one append."""
    outcomes = store.writer.execute_now([created(make()) for _ in range(1000)])
    assert outcomes == [None] * 1000
    assert log.appends == [1000]


async def test_callers_that_come_while_it_writes_share_the_next_commit(store: Store, log: MoodyLog) -> None:
    """Group commit: however many callers wait, they wait for one transaction."""
    gate = store.hold()
    calls = [asyncio.ensure_future(store.writer.execute(created(make()))) for _ in range(50)]
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(*calls)
    assert log.appends == [50]


async def test_callers_of_one_turn_of_the_loop_share_a_commit(store: Store, log: MoodyLog) -> None:
    """Nobody has to keep the writer busy for it: what is asked for in one turn is handed over at its end."""
    await asyncio.gather(*[store.writer.execute(created(make())) for _ in range(50)])
    assert log.appends == [50]


async def test_what_comes_from_elsewhere_waits_for_what_was_asked_before(store: Store) -> None:
    """First come, first served: a caller without a loop is not served before one whose turn has yet to end."""
    task = make()
    asked = asyncio.ensure_future(store.writer.execute(created(task)))
    asyncio.get_running_loop().call_soon(lambda: store.do(task.id, lambda task: task.pause(now=at(0), by="p")))
    assert await asked is None
    assert store.replayed(task.id).status is TaskStatus.PAUSED


def test_several_commands_on_one_stream_are_decided_in_order(store: Store, log: MoodyLog) -> None:
    """Each sees what the one before it did, and all are one append."""
    task = make()
    outcomes = store.writer.execute_now(
        [created(task), paused(task.id), Command(task.id, lambda t: t.status), paused(task.id)]
    )
    assert outcomes[:3] == [None, None, TaskStatus.PAUSED]
    assert isinstance(outcomes[3], Refused)
    assert log.appends == [1]
    assert store.replayed(task.id).version == 2


def test_nothing_to_do_is_nothing_written(store: Store, log: MoodyLog) -> None:
    """No commands, and commands that decide nothing, write nothing."""
    task_id = store.put(make())
    assert store.writer.execute_now([]) == []
    assert store.do(task_id, lambda task: task.name) == "hourly"
    assert log.appends == [1]


async def test_what_is_executed_together_is_written_whole_or_not_at_all(store: Store, log: MoodyLog) -> None:
    """One refusal undoes the others of its group, in memory too, and stands where its command did."""
    first, second, fresh = store.put(make()), store.put(make()), make()
    store.do(second, lambda task: task.pause(now=at(0), by="p"))
    refused = await store.writer.execute_together([paused(first), created(fresh), paused(second), paused(first, 1)])
    assert refused[:2] == [None, None]
    assert isinstance(refused[2], Refused)
    assert [store.replayed(i).version for i in (first, second)] == [1, 2]
    assert store.rows.get(TaskRow, str(fresh.id)) is None
    assert store.do(first, lambda task: task.status) == TaskStatus.ACTIVE
    log.appends.clear()
    assert await store.writer.execute_together([paused(first), created(fresh)]) == [None, None]
    assert log.appends == [2]
    assert store.rows.get(TaskRow, str(first)).status == "paused"
    assert await store.writer.execute_together([]) == []


async def test_a_refused_group_undoes_nothing_of_those_beside_it(store: Store, log: MoodyLog) -> None:
    """What waits before and behind it on the same tasks is written, each group in a transaction of its own."""
    first, second = store.put(make()), store.put(make())
    log.appends.clear()
    gate = store.hold()
    calls = [
        asyncio.ensure_future(store.writer.execute(Command(first, lambda t: t.request_run("a", now=at(0), by="p")))),
        asyncio.ensure_future(store.writer.execute_together([paused(first), Command(second, half_way)])),
        asyncio.ensure_future(store.writer.execute(Command(first, lambda t: t.request_run("b", now=at(0), by="p")))),
        asyncio.ensure_future(store.writer.execute_together([paused(first), paused(second)])),
    ]
    await asyncio.sleep(0)
    gate.set()
    _, refused, _, done = await asyncio.gather(*calls)
    assert [type(outcome) for outcome in refused] == [type(None), Refused]
    assert done == [None, None]
    assert log.appends == [1, 1, 2]
    assert [store.replayed(i).status for i in (first, second)] == [TaskStatus.PAUSED] * 2
    assert len(store.replayed(first).open_runs) == 2


def test_a_group_that_others_overtook_is_decided_again_whole(tmp_path: Path, store: Store) -> None:
    """A conflict on one of its streams, or a refusal on an old state of it, repeats all of it."""
    first, second = store.put(make()), store.put(make())
    with opened(tmp_path, companion=True) as companion:
        companion.do(second, lambda task: task.request_run("a", now=at(0), by="p"))
        assert store.writer.execute_now([paused(first), paused(second)], together=True) == [None, None]
        companion.do(first, lambda task: task.resume(now=at(0.1), by="p"))
        outcomes = store.writer.execute_now([paused(first, 10), Command(second, lambda t: t.status)], together=True)
    assert outcomes == [None, TaskStatus.PAUSED]
    assert [type(event).__name__ for event in store.events(first)] == ["Created", "Paused", "Resumed", "Paused"]
    assert len(store.events(second)) == 3


@pytest.mark.parametrize("error", [StoreUnavailable("full"), RuntimeError("a bug")])
def test_a_group_fails_whole_when_the_store_does(store: Store, log: MoodyLog, error: Exception) -> None:
    """Neither a full disk nor a bug leaves half of it."""
    first, second = store.put(make()), store.put(make())
    log.before.append(error)
    assert store.writer.execute_now([paused(first), paused(second)], together=True) == [error, error]
    assert [store.replayed(i).version for i in (first, second)] == [1, 1]
    assert store.writer.execute_now([paused(first), paused(second)], together=True) == [None, None]


async def test_no_commands_are_no_wait(store: Store) -> None:
    """An empty call is answered at once."""
    assert await store.writer.execute_many([]) == []


async def test_an_acknowledged_command_is_visible(store: Store) -> None:
    """When a call returns, its rows are there."""
    task = make()
    await store.writer.execute(created(task))
    assert store.rows.get(TaskRow, str(task.id)).name == "hourly"
    await store.writer.execute(paused(task.id))
    assert store.rows.get(TaskRow, str(task.id)).status == "paused"


# --- refusals ---------------------------------------------------------------------------------------------------------


def test_a_refused_command_fails_alone(store: Store) -> None:
    """Those that share its transaction are written."""
    first, second = store.put(make()), store.put(make())
    outcomes = store.writer.execute_now(
        [
            paused(first),
            Command(second, lambda task: task.resume(now=at(0), by="p")),
            Command(uuid4(), lambda task: None),
            created(make(id=first)),
            paused(second),
        ]
    )
    assert [type(o) for o in outcomes] == [type(None), Refused, NotFound, Refused, type(None)]
    assert [store.replayed(i).status for i in (first, second)] == [TaskStatus.PAUSED] * 2


async def test_the_error_of_a_single_command_is_raised(store: Store) -> None:
    """execute raises what execute_many returns."""
    with pytest.raises(NotFound):
        await store.writer.execute(Command(uuid4(), lambda task: None))


def test_a_refusal_half_way_leaves_no_events(store: Store) -> None:
    """What a command decided before it was refused is not written, and what others decided is."""
    task_id = store.put(make())
    version = store.replayed(task_id).version
    outcomes = store.writer.execute_now(
        [
            Command(task_id, lambda task: task.request_run("a", now=at(0), by="p")),
            Command(task_id, half_way),
            Command(task_id, lambda task: (task.status, len(task.open_runs))),
            Command(task_id, lambda task: task.request_run("b", now=at(0), by="p")),
        ]
    )
    assert isinstance(outcomes[1], Refused)
    assert outcomes[2] == (TaskStatus.ACTIVE, 1)
    task = store.replayed(task_id)
    assert (task.version, task.status, len(task.open_runs)) == (version + 2, TaskStatus.ACTIVE, 2)
    cached = store.cached(task_id)
    assert snapshot_of(cached, fingerprint="") == snapshot_of(task, fingerprint="")


def test_a_refusal_half_way_of_a_new_task_writes_nothing(store: Store) -> None:
    """Neither the task nor what was done to it exists afterwards; but a task made before in the same breath does."""
    task = make()
    command = created(task)
    [outcome] = store.writer.execute_now([Command(task.id, half_way, create=command.create)])
    assert isinstance(outcome, Refused)
    assert store.log.last_position() == 0
    outcomes = store.writer.execute_now([command, Command(task.id, half_way), paused(task.id)])
    assert [type(o) for o in outcomes] == [type(None), Refused, type(None)]
    assert store.replayed(task.id).version == 2


def test_a_refusal_half_way_whose_stream_cannot_be_read_again_writes_nothing_of_it(store: Store, log: MoodyLog) -> None:
    """Rather than writing events of a refused command, the others on that stream are told to try again."""
    task_id, other = store.put(make()), store.put(make())
    log.loads.append(StoreUnavailable("no more files"))
    outcomes = store.writer.execute_now(
        [
            Command(task_id, lambda task: task.request_run("a", now=at(0), by="p")),
            Command(task_id, half_way),
            Command(task_id, lambda task: task.request_run("b", now=at(0), by="p")),
            paused(other),
        ]
    )
    assert [type(o) for o in outcomes] == [StoreError, Refused, StoreError, type(None)]
    assert store.replayed(task_id).version == 1
    assert store.do(task_id, lambda task: task.status) is TaskStatus.ACTIVE


def test_an_event_that_cannot_be_written_fails_its_command_alone(store: Store) -> None:
    """A lone surrogate reaches no file; those that share the transaction must not pay for it."""
    task_id, other = store.put(make()), store.put(make())
    outcomes = store.writer.execute_now(
        [
            paused(other),
            Command(task_id, lambda task: task.pause(now=at(0), by="\ud800")),
            Command(task_id, lambda task: task.request_run("a", now=at(0), by="p")),
        ]
    )
    assert outcomes[0] is None
    assert isinstance(outcomes[1], ValueError)
    assert isinstance(outcomes[2], str)
    assert store.replayed(other).status is TaskStatus.PAUSED
    assert store.replayed(task_id).status is TaskStatus.ACTIVE


def test_what_an_error_says_is_written_even_with_a_lone_surrogate(store: Store) -> None:
    """The failure of a run is recorded whatever text its error carries."""
    task_id = store.put(make())
    [attempt] = store.writer.execute_now([claimed(task_id)])
    store.do(
        task_id,
        lambda task: task.fail(attempt.run, 1, "n1", now=at(0.6), what="error", error="caf\udce9 é", permanent=True),
    )
    assert store.events(task_id)[-1].error == "caf? é"


def test_a_bug_in_a_command_reaches_its_caller_and_nobody_else(store: Store) -> None:
    """The thread goes on, and the others are served."""
    task_id = store.put(make())
    outcomes = store.writer.execute_now([Command(task_id, lambda task: 1 // 0), paused(task_id)])
    assert isinstance(outcomes[0], ZeroDivisionError)
    assert outcomes[1] is None
    assert store.do(task_id, lambda task: task.status) is TaskStatus.PAUSED


def zoned(zone: str) -> Command:
    """Guild 1 gets this time zone."""
    return Command(
        guild_stream("1"),
        lambda guild: guild.change_settings(GuildSettings(timezone=zone), now=START, by="p"),
        create=lambda: Guild.open("1", now=START),
        or_create=True,
    )


def test_settings_are_known_as_soon_as_they_are_acknowledged(tmp_path: Path, store: Store) -> None:
    """From memory, where they are asked for with every task: whoever changed them, and after the rows are made anew."""
    assert store.rows.settings(["1", "2"]) == {"1": "{}", "2": "{}"}
    for zone in ("Europe/Berlin", "Asia/Tokyo"):
        assert store.writer.execute_now([zoned(zone)]) == [None]
        assert zone in store.rows.settings(["1"])["1"]
    with opened(tmp_path, companion=True) as beside:
        assert beside.writer.execute_now([zoned("America/Lima")]) == [None]
        assert "Asia/Tokyo" in beside.rows.settings(["1"])["1"], "a companion reads the file"
    store.see_others()
    assert "America/Lima" in store.rows.settings(["1"])["1"]
    store.rows.reset()
    assert store.rows.settings(["1"]) == {"1": "{}"}
    store.rows.catch_up(store.log)
    assert "America/Lima" in store.rows.settings(["1"])["1"]


def test_a_stream_that_may_be_new_is_made_when_it_is_missing(store: Store) -> None:
    """or_create: the first command opens it, the next finds it."""
    outcomes = store.writer.execute_now([zoned("UTC"), zoned("Europe/Berlin"), zoned("Europe/Berlin")])
    assert [type(o) for o in outcomes] == [type(None), type(None), Refused]
    assert [type(e).__name__ for e in store.events(guild_stream("1"))] == [
        "GuildOpened",
        "SettingsChanged",
        "SettingsChanged",
    ]


# --- other writers ----------------------------------------------------------------------------------------------------


def test_a_command_on_stale_state_is_decided_again(tmp_path: Path, store: Store) -> None:
    """Another process was first: the command is taken out, decided on fresh state and written; the rest commits."""
    task_id, other = store.put(make()), store.put(make())
    with opened(tmp_path, companion=True) as companion:
        companion.do(task_id, lambda task: task.request_run("a", now=at(0), by="p"))
    seen: list[int] = []

    def pause(task: ScheduledTask) -> None:
        seen.append(task.version)
        task.pause(now=at(0), by="p")

    assert store.writer.execute_now([Command(task_id, pause), paused(other)]) == [None, None]
    assert seen == [1, 2]
    assert store.replayed(task_id).version == 3
    assert store.rows.get(TaskRow, str(task_id)).version == 3


def test_a_refusal_on_stale_state_is_decided_again(tmp_path: Path, store: Store) -> None:
    """A guard that says no must have looked at the present state, or people are told what is not so."""
    task_id = store.put(make())
    with opened(tmp_path, companion=True) as companion:
        companion.do(task_id, lambda task: task.pause(now=at(0), by="p"))
    store.do(task_id, lambda task: task.resume(now=at(0.1), by="p"))
    assert store.replayed(task_id).is_active


def test_an_outdated_permission_is_refused(tmp_path: Path, store: Store) -> None:
    """A command that the cached state would allow and the present one does not is refused."""
    task_id = store.put(make())
    with opened(tmp_path, companion=True) as companion:
        companion.do(task_id, lambda task: task.cancel(now=at(0), by="p"))
    with pytest.raises(Refused, match="is cancelled"):
        store.do(task_id, lambda task: task.pause(now=at(0.1), by="p"))


def test_what_others_wrote_is_seen_and_their_streams_are_read_anew(tmp_path: Path, store: Store) -> None:
    """Foreign commits reach the rows and evict the cache; one's own streams stay in it."""
    task_id, mine = store.put(make()), store.put(make())
    with opened(tmp_path, companion=True) as companion:
        companion.do(task_id, lambda task: task.pause(now=at(0), by="p"))
    assert store.see_others() == 1
    assert store.rows.get(TaskRow, str(task_id)).status == "paused"
    assert store.cached(task_id) is None
    assert store.cached(mine) is not None


async def test_catching_up_says_how_much_was_new(tmp_path: Path, store: Store) -> None:
    """The poll of the service: how many events others had written."""
    task_id = store.put(make())
    with opened(tmp_path, companion=True) as companion:
        companion.do(task_id, lambda task: task.pause(now=at(0), by="p"))
        assert await companion.writer.catch_up() == 0
    assert await store.writer.catch_up() == 1
    assert await store.writer.catch_up() == 0


def test_ones_own_commit_behind_a_foreign_one_shows_both(tmp_path: Path, store: Store) -> None:
    """Positions with a gap are filled from the log, so no foreign event is passed over."""
    first, second = store.put(make()), store.put(make())
    with opened(tmp_path, companion=True) as companion:
        companion.do(first, lambda task: task.pause(now=at(0), by="p"))
    store.do(second, lambda task: task.pause(now=at(0), by="p"))
    assert [store.rows.get(TaskRow, str(i)).status for i in (first, second)] == ["paused", "paused"]
    assert store.rows.position() == store.log.last_position()


def test_two_writers_on_one_file_never_both_win_a_slot(tmp_path: Path, store: Store) -> None:
    """Case 17: over threads with a log each, every slot has one owner."""
    ids = [store.put(make()) for _ in range(200)]
    with opened(tmp_path, companion=True) as other:
        won: dict[str, list[Any]] = {}

        def work(name: str, writer: LogWriter) -> None:
            won[name] = writer.execute_now([claimed(i, name) for i in ids])

        threads = [threading.Thread(target=work, args=args) for args in (("n1", store.writer), ("n2", other.writer))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for task_id, *outcomes in zip(ids, won["n1"], won["n2"], strict=True):
        owners = [o.owner for o in outcomes if isinstance(o, Attempt)]
        assert len(owners) == 1
        assert sum(isinstance(o, NotDue) for o in outcomes) == 1
        [run] = store.replayed(task_id).open_runs.values()
        assert run.owner == owners[0]


def claim_in_process(folder: str, ids: list[UUID], name: str, barrier: Any, results: Any) -> None:
    """Claim each task by itself, against the other processes (runs in a process)."""
    with opened(Path(folder), companion=True) as store:
        barrier.wait()
        won = [i for i in ids if isinstance(store.writer.execute_now([claimed(i, name)])[0], Attempt)]
        results.send(won)


def test_eight_processes_start_each_slot_exactly_once(tmp_path: Path, store: Store) -> None:
    """Case 16: 8 processes on one store."""
    ids = [store.put(make()) for _ in range(40)]
    context = multiprocessing.get_context("spawn")
    barrier, pipes, processes = context.Barrier(8), [], []
    for number in range(8):
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=claim_in_process, args=(str(tmp_path), ids, f"n{number}", barrier, theirs))
        process.start()
        pipes.append(ours)
        processes.append(process)
    won = [task_id for pipe in pipes for task_id in pipe.recv()]
    for process in processes:
        process.join()
    assert sorted(won) == sorted(ids)
    assert store.see_others() == len(ids)


def test_a_command_that_is_always_overtaken_gives_up(store: Store, log: MoodyLog) -> None:
    """Deciding again has an end: ten times, then the caller hears of the conflict."""
    task_id = store.put(make())
    log.before = [Conflict([task_id]) for _ in range(10)]
    with pytest.raises(Conflict):
        store.do(task_id, lambda task: task.pause(now=at(0), by="p"))
    assert store.replayed(task_id).version == 1
    store.do(task_id, lambda task: task.pause(now=at(0), by="p"))


def test_a_conflict_over_nothing_of_ours_is_an_error_and_no_endless_loop(store: Store, log: MoodyLog) -> None:
    """A log that names a stream that is not in the batch is broken; the caller is told."""
    task_id = store.put(make())
    stranger = uuid4()
    log.before = [Conflict([stranger]), Conflict([stranger])]
    with pytest.raises(Conflict):
        store.do(task_id, lambda task: task.pause(now=at(0), by="p"))


# --- a store that fails -----------------------------------------------------------------------------------------------


def test_an_append_of_unknown_outcome_that_was_written_counts(store: Store, log: MoodyLog) -> None:
    """The log is read again: exactly these events are there, so the command succeeded."""
    task_id = store.put(make())
    log.after = [AppendUnknown("lost the answer")]
    store.do(task_id, lambda task: task.pause(now=at(0), by="p"))
    assert store.rows.get(TaskRow, str(task_id)).status == "paused"
    assert store.replayed(task_id).version == 2


def test_an_append_of_unknown_outcome_that_was_not_written_fails(store: Store, log: MoodyLog) -> None:
    """Nothing is there: the caller may try again, and nothing was applied twice."""
    task_id = store.put(make())
    log.before = [AppendUnknown("lost the question")]
    with pytest.raises(StoreError, match="nothing was written"):
        store.do(task_id, lambda task: task.pause(now=at(0), by="p"))
    store.do(task_id, lambda task: task.pause(now=at(0.1), by="p"))
    assert store.replayed(task_id).version == 2


def test_an_append_that_stays_unknown_is_told_as_unknown(
    store: Store, log: MoodyLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the log cannot be read again either, nobody says "nothing was written"."""
    task_id = store.put(make())
    log.after = [AppendUnknown("lost")]

    def broken(*args: Any, **more: Any) -> Any:
        raise StoreUnavailable("gone")

    with monkeypatch.context() as patched:
        patched.setattr(log.real, "stream", broken)
        with pytest.raises(AppendUnknown):
            store.do(task_id, lambda task: task.pause(now=at(0), by="p"))
    assert store.do(task_id, lambda task: task.status) is TaskStatus.PAUSED


def test_a_failed_append_leaves_no_trace_in_memory(store: Store, log: MoodyLog) -> None:
    """After a full disk the next command is decided on what is stored; the refused of that batch keep their reason."""
    task_id = store.put(make())
    log.before = [StoreUnavailable("disk full")]
    outcomes = store.writer.execute_now(
        [paused(task_id), Command(uuid4(), lambda task: None), created(make()), paused(task_id)]
    )
    assert [type(o) for o in outcomes] == [StoreUnavailable, NotFound, StoreUnavailable, Refused]
    assert store.do(task_id, lambda task: (task.status, task.version)) == (TaskStatus.ACTIVE, 1)
    store.do(task_id, lambda task: task.pause(now=at(0), by="p"))


def test_a_read_model_that_fails_loses_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command is on disk and acknowledged; the rows follow with the next one."""
    task_id, other = store.put(make()), store.put(make())
    store.see_others()

    def broken(recorded: Any) -> None:
        raise StoreUnavailable("read model is locked")

    with monkeypatch.context() as patched:
        patched.setattr(store.rows, "apply", broken)
        store.do(task_id, lambda task: task.pause(now=at(0), by="p"))
        assert store.replayed(task_id).status is TaskStatus.PAUSED
        assert store.rows.get(TaskRow, str(task_id)).status == "active"
    store.do(other, lambda task: task.pause(now=at(0), by="p"))
    assert [store.rows.get(TaskRow, str(i)).status for i in (task_id, other)] == ["paused", "paused"]


def test_a_bug_in_a_projection_is_not_told_as_a_failed_command(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is durable has happened, whatever the rows make of it."""
    task_id = store.put(make())

    def broken(recorded: Any) -> None:
        raise KeyError("bug")

    with monkeypatch.context() as patched:
        patched.setattr(store.rows, "apply", broken)
        store.do(task_id, lambda task: task.pause(now=at(0), by="p"))
    store.see_others()
    assert store.rows.get(TaskRow, str(task_id)).status == "paused"


def test_an_unreadable_stream_stops_only_its_own_task(tmp_path: Path, store: Store) -> None:
    """Its commands say which event cannot be read; all others are served, in the same transaction."""
    broken, fine = store.put(make()), store.put(make())
    store.do(broken, lambda task: task.request_run("a", now=at(0), by="p"))
    Place("sqlite", str(tmp_path / "log.db")).damage(
        "UPDATE stored_events SET state = x'0102' WHERE originator_id = ? AND originator_version = 2", broken.hex
    )
    store.writer._streams.clear()
    outcomes = store.writer.execute_now([paused(broken), paused(fine)])
    assert isinstance(outcomes[0], EventUnreadable)
    assert (outcomes[0].version, outcomes[0].stream_id) == (2, str(broken))
    assert outcomes[1] is None


def test_a_stream_whose_events_do_not_fit_together_is_unreadable(store: Store, log: MoodyLog) -> None:
    """A stream that begins in the middle is named, not a crash."""
    task_id = uuid4()
    begun = Paused(originator_id=task_id, originator_version=1, timestamp=START, by="p")
    log.real.append([Append(task_id, "1", [begun])])
    [outcome] = store.writer.execute_now([paused(task_id)])
    assert isinstance(outcome, EventUnreadable)
    assert "does not apply" in str(outcome)


# --- memory and snapshots ---------------------------------------------------------------------------------------------


async def test_streams_can_be_loaded_before_they_are_wanted(store: Store, log: MoodyLog) -> None:
    """What was prepared is decided on without reading; a stream that does not exist harms nothing."""
    ids = [store.put(make()) for _ in range(3)]
    store.writer._streams.clear()
    assert await store.writer.prepare([*ids, uuid4()]) == 4
    log.loaded.clear()
    outcomes = await store.writer.execute_many([paused(i) for i in ids])
    assert outcomes == [None] * 3
    assert log.loaded == []
    assert await store.writer.prepare(ids) == 0


def test_the_cache_is_bounded(store: Store, log: MoodyLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """The streams that were changed last are kept; the others are loaded again when they are wanted."""
    monkeypatch.setattr(stream_cache, "CACHED_STREAMS", 3)
    ids = [store.put(make()) for _ in range(5)]
    assert [i for i in ids if store.cached(i) is not None] == ids[2:]
    log.loaded.clear()
    store.writer.execute_now([paused(i) for i in ids])
    assert log.loaded == ids[:2]
    assert [i for i in ids if store.cached(i) is not None] == ids[2:]


def test_a_snapshot_is_taken_and_used(store: Store, log: MoodyLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long stream is loaded from its snapshot on, also when the task never ran, paused or buffered."""
    monkeypatch.setattr(stream_cache, "SNAPSHOT_EVENTS", 10)
    task_id = store.put(make())
    for number in range(12):
        store.do(task_id, lambda task, n=number: task.request_run(f"r{n}", now=at(0), by="p"))  # type: ignore[misc]
    store.see_others()  # snapshots are taken after the answer
    loaded = log.real.load([task_id])[task_id]
    assert loaded.snapshot is not None
    assert loaded.snapshot.originator_version == 10
    assert len(loaded.events) == 3
    store.writer._streams.clear()
    value = store.do(task_id, lambda task: snapshot_of(task, fingerprint=""))
    assert value == snapshot_of(store.replayed(task_id), fingerprint="")


def test_the_next_snapshot_is_counted_from_the_last_one(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also across a restart: a task that was loaded from a snapshot is not snapshotted with every event."""
    monkeypatch.setattr(stream_cache, "SNAPSHOT_EVENTS", 5)
    task_id = store.put(make())
    for number in range(4):
        store.do(task_id, lambda task, n=number: task.request_run(f"r{n}", now=at(0), by="p"))  # type: ignore[misc]
    store.see_others()  # snapshots are taken after the answer
    with opened(tmp_path, companion=True) as other:
        for number in range(4):
            other.do(task_id, lambda task, n=number: task.request_run(f"q{n}", now=at(0), by="p"))  # type: ignore[misc]
        assert other.log.load([task_id])[task_id].snapshot.originator_version == 5
        other.do(task_id, lambda task: task.request_run("last", now=at(0), by="p"))
        other.see_others()
        assert other.log.load([task_id])[task_id].snapshot.originator_version == 10


def test_while_nothing_is_to_be_done_states_are_kept_sooner(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next process that wants a task reads little, although the task has not grown by much."""
    monkeypatch.setattr(writer, "IDLE_SECONDS", 0.0)
    monkeypatch.setattr(stream_cache, "IDLE_SNAPSHOT_EVENTS", 3)
    grown, young = store.put(make()), store.put(make())
    for number in range(3):
        store.do(grown, lambda task, n=number: task.request_run(f"r{n}", now=at(0), by="p"))  # type: ignore[misc]
    give_up = monotonic() + 60
    while not store.log.snapshots(grown) and monotonic() < give_up:
        sleep(0.001)
    assert store.log.snapshots(grown) in ([taken(store, grown, 3)], [taken(store, grown, 4)])
    assert store.log.snapshots(young) == []


def taken(store: Store, task_id: UUID, version: int) -> Snapshot:
    """The state of a task at a version, replayed."""
    task: Any = None
    for _, event in store.log.stream(task_id, limit=version):
        task = cast(Any, event).mutate(task)
    return snapshot_of(task, fingerprint=FINGERPRINT)


def test_a_state_that_others_have_moved_on_is_not_kept(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was erased meanwhile would stand there again."""
    monkeypatch.setattr(stream_cache, "IDLE_SNAPSHOT_EVENTS", 1)
    erased, other = store.put(make()), store.put(make())
    cache = StreamCache(store.log, FINGERPRINT)
    cache.prepare([erased, other])
    assert cache.has_grown()
    store.do(erased, lambda task: task.pause(now=at(0), by="p"))
    cache.take_idle_snapshots()
    assert not cache.has_grown()
    assert [len(store.log.snapshots(task_id)) for task_id in (erased, other)] == [0, 1]


def test_what_is_only_read_leaves_nothing_in_memory(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is known of snapshots is bounded by the streams that are kept, however many are asked about."""
    monkeypatch.setattr(stream_cache, "CACHED_STREAMS", 3)
    monkeypatch.setattr(stream_cache, "SNAPSHOT_EVENTS", 1)
    tasks = [make() for _ in range(20)]
    store.writer.execute_now([created(task) for task in tasks])
    store.writer.execute_now([Command(task.id, lambda task: task.status) for task in tasks])
    store.see_others()
    assert set(store.writer._streams._snapshot_versions) <= set(store.writer._streams._cache)


def test_a_snapshot_that_cannot_be_saved_costs_nothing(
    store: Store, log: MoodyLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The events are committed; a snapshot is a cache."""
    monkeypatch.setattr(stream_cache, "SNAPSHOT_EVENTS", 1)

    def broken(snapshots: Any) -> None:
        raise StoreUnavailable("disk full")

    monkeypatch.setattr(log.real, "save_snapshots", broken)
    task_id = store.put(make())
    assert store.replayed(task_id).version == 1


# --- being told, and the end ------------------------------------------------------------------------------------------


def test_changes_are_told_after_they_are_visible(tmp_path: Path, store: Store) -> None:
    """It comes with the rows, also of what others wrote, and not for a refusal."""
    told: list[int] = []
    store.writer.tell(lambda change: told.append(change.position))
    task_id = store.put(make())
    store.see_others()
    store.writer.execute_now([paused(task_id), paused(task_id)])
    store.see_others()
    store.writer.execute_now([paused(task_id)])
    store.see_others()
    assert told == [1, 2]
    with opened(tmp_path, companion=True) as companion:
        companion.do(task_id, lambda task: task.resume(now=at(0), by="p"))
    store.see_others()
    assert told == [1, 2, 3]


def test_a_listener_that_fails_harms_nobody(store: Store) -> None:
    """The command is done and acknowledged, and the writer goes on."""

    def broken(change: Change) -> None:
        raise RuntimeError("loop is closed")

    store.writer.tell(broken)
    task_id = store.put(make())
    store.do(task_id, lambda task: task.pause(now=at(0), by="p"))


def test_closing_writes_what_waits(tmp_path: Path, store: Store) -> None:
    """Whatever was handed over before is answered; what comes after is refused at once."""
    gate = store.hold()
    task = make()
    group = store.writer._queue.ask([created(task)], None)
    closing = threading.Thread(target=store.writer.close)
    closing.start()
    gate.set()
    closing.join()
    assert group.future.result() == [None]
    assert store.replayed(task.id).version == 1
    with pytest.raises(StoreError, match="closed"):
        store.put(make())
    store.writer.close()


async def test_closing_writes_what_was_asked_for_in_the_same_turn(store: Store) -> None:
    """Its caller is answered, although the turn of the loop has not ended."""
    asked = asyncio.ensure_future(store.writer.execute(created(make())))
    asyncio.get_running_loop().call_soon(store.writer.close)
    assert await asked is None
    assert store.log.last_position() == 1


async def test_no_command_is_left_unanswered_by_a_close(store: Store) -> None:
    """Commands and the end race from several threads: every one is either done or refused."""
    answers: list[Any] = []

    def call() -> None:
        for _ in range(50):
            try:
                answers.append(store.writer.execute_now([created(make())])[0])
            except StoreError as error:
                answers.append(error)

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    await asyncio.to_thread(store.writer.close)
    for thread in threads:
        thread.join()
    assert len(answers) == 200
    assert store.log.last_position() == sum(answer is None for answer in answers)


async def test_a_caller_that_gave_up_does_not_disturb_the_others(store: Store) -> None:
    """A cancelled call is written all the same, and the rest of the batch is answered."""
    gate = store.hold()
    first = asyncio.ensure_future(store.writer.execute(created(make())))
    second = asyncio.ensure_future(store.writer.execute(created(make())))
    await asyncio.sleep(0)
    first.cancel()
    gate.set()
    assert await second is None
    assert store.log.last_position() == 2
