"""Rows follow what was acknowledged: at once where somebody reads them, else within a moment."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from uuid import UUID

import pytest

from application.ports import Command
from application.rows import RunRow, TaskRow
from domain.runs import Attempt
from infrastructure import projector
from tests.domain.task_parts import DEADLINE, at, done, make
from tests.infrastructure.store_parts import Store, opened

LONG = 60.0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened(tmp_path) as made:
        yield made


def claiming(task_id: UUID, hour: int = 1, *, awaited: bool = False) -> Command:
    """A claim of the slot of this hour."""
    return Command(task_id, lambda task: task.claim(now=at(hour), node="n1", deadline=DEADLINE), awaited=awaited)


def claimed(store: Store, command: Command) -> Attempt:
    [attempt] = store.writer.execute_now([command])
    assert isinstance(attempt, Attempt), attempt
    return attempt


def row(store: Store, task_id: UUID) -> TaskRow:
    """The row as everybody sees it, who waits for what was acknowledged."""
    found = store.rows.get(TaskRow, str(task_id))
    assert isinstance(found, TaskRow)
    return found


def lagging(store: Store, task_id: UUID) -> TaskRow:
    """The row as it stands."""
    found = lagging_or_none(store, task_id)
    assert found is not None
    return found


def lagging_or_none(store: Store, task_id: UUID) -> TaskRow | None:
    """The row as it stands, if there is one."""
    found: TaskRow | None = store.rows.lagging().get(TaskRow, str(task_id))
    return found


def wait_for_rows(store: Store, task_id: UUID) -> None:
    """Until the row has an attempt, without asking for it."""
    give_up = monotonic() + LONG
    while lagging(store, task_id).attempts == 0 and monotonic() < give_up:
        sleep(0.001)


def slowed(store: Store, monkeypatch: pytest.MonkeyPatch) -> tuple[threading.Event, threading.Event]:
    """Two events: somebody has begun to write rows, and may go on with it."""
    apply, begun, go = store.rows.apply, threading.Event(), threading.Event()

    def slowly(*given: Any) -> None:
        begun.set()
        go.wait(LONG)
        apply(*given)

    monkeypatch.setattr(store.rows, "apply", slowly)
    return begun, go


def test_a_claim_is_durable_before_its_rows_are_there(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever claimed may begin; the rows have not moved yet, and do when somebody asks."""
    monkeypatch.setattr(projector, "UNSEEN_SECONDS", LONG)
    task_id = store.put(make())
    store.see_others()
    attempt = claimed(store, claiming(task_id))
    assert store.replayed(task_id).open_runs.keys() == {attempt.run}
    assert lagging(store, task_id).attempts == 0
    assert row(store, task_id).attempts == 1
    assert lagging(store, task_id).attempts == 1
    assert store.rows.get(RunRow, attempt.run).state == "running"


def test_its_rows_follow_by_themselves(store: Store) -> None:
    """Nothing else has to happen for them."""
    task_id = store.put(make())
    told: list[int] = []
    store.see_others()
    store.writer.tell(lambda change: told.append(row(store, task_id).attempts))
    claimed(store, claiming(task_id))
    give_up = monotonic() + LONG
    while not told and monotonic() < give_up:
        sleep(0.001)
    assert told == [1]


def test_what_begins_and_ends_meanwhile_is_written_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows are then those that each event by itself would have made."""
    monkeypatch.setattr(projector, "UNSEEN_SECONDS", LONG)
    applied: list[int] = []
    apply = store.rows.apply

    def counted(recorded: Any, *after: Any) -> None:
        applied.append(len(recorded))
        apply(recorded, *after)

    monkeypatch.setattr(store.rows, "apply", counted)
    task_id = store.put(make())
    store.see_others()
    applied.clear()
    attempt = claimed(store, claiming(task_id))
    store.do(task_id, lambda task: done(task, attempt, at(1.1)))
    store.see_others()
    assert applied == [2]
    assert (row(store, task_id).executed, row(store, task_id).open_runs) == (1, "")
    assert store.rows.differing(store.log) == {}


def test_they_follow_after_so_many_events_however_soon(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A burst of claims does not keep its rows waiting without end."""
    monkeypatch.setattr(projector, "UNSEEN_SECONDS", LONG)
    monkeypatch.setattr(projector, "MOST_UNSEEN", 3)
    tasks = [store.put(make()) for _ in range(3)]
    store.see_others()
    for task_id in tasks[:2]:
        claimed(store, claiming(task_id))
    assert [lagging(store, task_id).attempts for task_id in tasks] == [0, 0, 0]
    claimed(store, claiming(tasks[2]))
    wait_for_rows(store, tasks[2])
    assert [lagging(store, task_id).attempts for task_id in tasks] == [1, 1, 1]


def test_they_follow_before_others_are_looked_at(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What another process wrote behind a claim is seen with it, in the order of the log."""
    monkeypatch.setattr(projector, "UNSEEN_SECONDS", LONG)
    task_id, other = store.put(make()), store.put(make())
    claimed(store, claiming(task_id))
    with opened(tmp_path, companion=True) as beside:
        beside.do(other, lambda task: task.pause(now=at(0.5), by="ann"))
    assert store.see_others() == 1
    assert (row(store, task_id).attempts, row(store, other).status) == (1, "paused")
    assert store.rows.differing(store.log) == {}


def test_closing_leaves_no_rows_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever reads the file next finds it at the end of the log."""
    monkeypatch.setattr(projector, "UNSEEN_SECONDS", LONG)
    with opened(tmp_path) as store:
        task_id = store.put(make())
        claimed(store, claiming(task_id))
        store.writer.close()
        assert store.rows.position() == store.log.last_position()


def test_rows_that_are_awaited_follow_at_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """As soon as nothing else is to be written, and with them those that were not awaited."""
    monkeypatch.setattr(projector, "UNSEEN_SECONDS", LONG)
    task_id, other = store.put(make()), store.put(make())
    store.see_others()
    claimed(store, claiming(other))
    claimed(store, claiming(task_id, awaited=True))
    wait_for_rows(store, task_id)
    assert [lagging(store, each).attempts for each in (task_id, other)] == [1, 1]


def test_a_wrong_number_of_tasks_is_a_difference(store: Store) -> None:
    """SQLite counts the tasks by status; a state that nobody is in any more is none, and a wrong count is named."""
    task_id = store.put(make())
    store.do(task_id, lambda task: task.pause(now=at(0.5), by="ann"))
    store.do(task_id, lambda task: task.resume(now=at(0.6), by="ann"))
    assert store.rows.differing(store.log) == {}
    store.rows._connection.execute("update totals set tasks = 7 where status = 'active'")
    assert store.rows.differing(store.log) == {"totals": 1}


def test_nobody_reads_less_than_was_acknowledged(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of commands follow later, and yet a question right after the answer waits for them, from any thread."""
    task_id = store.put(make())
    store.see_others()
    _, slow = slowed(store, monkeypatch)
    store.do(task_id, lambda task: task.pause(now=at(0), by="ann"))
    with ThreadPoolExecutor() as pool:
        answers = [pool.submit(lambda: row(store, task_id).status) for _ in range(4)]
        assert [answer.done() for answer in answers] == [False] * 4
        slow.set()
        assert {answer.result(LONG) for answer in answers} == {"paused"}


def test_a_decision_sees_what_was_acknowledged_before(store: Store) -> None:
    """The writer asks for rows itself, where a command counts them."""
    task_id, other = store.put(make()), store.put(make())
    store.do(task_id, lambda task: task.pause(now=at(0), by="ann"))
    assert store.do(other, lambda task: row(store, task_id).status) == "paused"


def test_whoever_reads_waits_for_no_writer(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows of all that was acknowledged are brought by the reader itself, while the writer waits for a lock."""
    monkeypatch.setattr(projector, "UNSEEN_SECONDS", LONG)
    monkeypatch.setattr(projector, "IDLE_SECONDS", LONG)
    task_id = store.put(make())
    store.do(task_id, lambda task: task.pause(now=at(0), by="ann"))
    gate = store.hold()
    try:
        assert lagging_or_none(store, task_id) is None
        assert row(store, task_id).status == "paused"
    finally:
        gate.set()
    store.do(task_id, lambda task: task.resume(now=at(0.5), by="ann"))
    assert row(store, task_id).status == "active"
    assert store.rows.differing(store.log) == {}


def test_a_reader_that_finds_what_others_wrote_tells_the_writer(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its streams in memory are then read again, and a command is decided on what is there."""
    monkeypatch.setattr(projector, "UNSEEN_SECONDS", LONG)
    monkeypatch.setattr(projector, "IDLE_SECONDS", LONG)
    task_id, other = store.put(make()), store.put(make())
    store.see_others()
    with opened(tmp_path, companion=True) as beside:
        beside.do(task_id, lambda task: task.pause(now=at(0.5), by="ann"))
    store.do(other, lambda task: task.pause(now=at(0.6), by="ann"))
    assert [row(store, each).status for each in (task_id, other)] == ["paused", "paused"]
    store.see_others()
    assert store.cached(task_id) is None
    assert store.rows.differing(store.log) == {}


def test_many_readers_beside_a_busy_writer_see_what_was_answered(store: Store) -> None:
    """Rows are brought by one at a time, in the order of the log, whoever it is."""
    tasks = [store.put(make()) for _ in range(8)]

    def back_and_forth(task_id: UUID) -> list[str]:
        seen = []
        for turn in range(25):
            now = at(0.01 * turn)
            store.do(task_id, lambda task: task.pause(now=now, by="ann"))  # noqa: B023  # done before the next turn
            seen.append(row(store, task_id).status)
            store.do(task_id, lambda task: task.resume(now=now, by="ann"))  # noqa: B023
            seen.append(row(store, task_id).status)
        return seen

    with ThreadPoolExecutor(len(tasks)) as pool:
        for seen in pool.map(back_and_forth, tasks):
            assert seen == ["paused", "active"] * 25
    assert store.rows.differing(store.log) == {}


def test_commands_go_on_while_rows_are_written(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows have a thread of their own: one slow transaction of theirs keeps no command waiting."""
    tasks = [store.put(make()) for _ in range(2)]
    store.see_others()
    begun, go = slowed(store, monkeypatch)
    try:
        store.do(tasks[0], lambda task: task.pause(now=at(0), by="ann"))
        assert begun.wait(LONG)
        store.do(tasks[1], lambda task: task.pause(now=at(0), by="ann"))
        assert store.replayed(tasks[1]).status.value == "paused"
        assert lagging(store, tasks[0]).status == "active"
    finally:
        go.set()
    assert [row(store, each).status for each in tasks] == ["paused", "paused"]


def test_the_log_does_not_run_away_from_the_rows(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where very many rows have yet to follow, the writer waits until somebody is at them, before it goes on."""
    monkeypatch.setattr(projector, "UNSEEN_SECONDS", LONG)
    monkeypatch.setattr(projector, "IDLE_SECONDS", LONG)
    monkeypatch.setattr(projector, "MOST_UNSEEN", 5)
    begun, go = slowed(store, monkeypatch)
    with ThreadPoolExecutor(1) as pool:
        written = pool.submit(lambda: [store.put(make()) for _ in range(20)])
        assert begun.wait(LONG)
        while store.log.last_position() < 10:
            sleep(0.001)
        with pytest.raises(TimeoutError):
            written.result(0.2)
        assert (store.rows.lagging().position(), store.log.last_position()) == (0, 10)
        go.set()
        assert len(written.result(LONG)) == 20
    assert store.rows.position() == 20


def test_who_is_told_of_rows_does_not_wait_for_later_ones(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as more is written, each telling would wait for the next: a long burst ended in a RecursionError."""
    monkeypatch.setattr(projector, "UNSEEN_SECONDS", LONG)
    monkeypatch.setattr(projector, "IDLE_SECONDS", LONG)
    task_ids = [store.put(make()) for _ in range(4)]
    store.see_others()
    apply, depths, told = store.rows.apply, list[int](), list[int]()

    def followed_by_more(recorded: Any, *after: Any) -> None:
        depths.append(len(inspect.stack()))
        apply(recorded, *after)
        if task_ids:
            task_id = task_ids.pop()
            store.do(task_id, lambda task: task.pause(now=at(0), by="ann"))

    monkeypatch.setattr(store.rows, "apply", followed_by_more)
    store.writer.tell(lambda change: told.append(change.position))
    store.do(task_ids.pop(), lambda task: task.pause(now=at(0), by="ann"))
    store.rows.position()
    assert (told, len(depths)) == ([5], 1)
    while told[-1] < store.log.last_position():
        store.rows.position()
    assert (told, len(set(depths))) == ([5, 6, 7, 8], 1)


def test_what_was_read_from_the_log_meanwhile_is_not_shown_twice(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows may have come further than this writer told, and others may have written behind that: both count once."""
    monkeypatch.setattr(projector, "UNSEEN_SECONDS", LONG)
    monkeypatch.setattr(projector, "IDLE_SECONDS", LONG)
    first, second, other = store.put(make()), store.put(make()), store.put(make())
    store.see_others()
    claimed(store, claiming(first))
    store.rows.lagging().catch_up(store.log)  # as a thread does that finds it in the log before it is told
    with opened(tmp_path, companion=True) as beside:
        beside.do(other, lambda task: task.pause(now=at(0.5), by="ann"))
    claimed(store, claiming(second))
    assert (row(store, first).attempts, row(store, second).attempts, row(store, other).status) == (1, 1, "paused")
    assert store.rows.differing(store.log) == {}
