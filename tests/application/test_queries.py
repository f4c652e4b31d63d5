"""Questions: what is found, what a principal may see, and what an odd question comes to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from application.queries import Queries, TaskStatistics, stream_id_of
from domain.errors import InvalidInput, NotFound, RunNotFound, TaskNotFound
from domain.principal import Permission, Principal
from tests.domain.task_parts import DEADLINE, at, make
from tests.infrastructure.store_parts import Store, opened

ONE = Principal(reference="person:1", guild_id="1", permissions=frozenset(Permission))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store."""
    with opened(tmp_path) as store:
        yield store


@pytest.fixture
def queries(store: Store) -> Queries:
    """Questions to it."""
    return Queries(store.rows, store.log, None)  # type: ignore[arg-type]


@pytest.mark.parametrize("task_id", ["", "x", "../etc", "0" * 31, "\x00", "💥", None, 5])
def test_an_id_that_cannot_be_one_is_not_found(task_id: object) -> None:
    """Like any other id that is not there."""
    with pytest.raises(TaskNotFound):
        stream_id_of(task_id)  # type: ignore[arg-type]


def test_a_task_is_found_by_id_prefix_or_name(store: Store, queries: Queries) -> None:
    """Defect list: autocomplete of ids was missed; four characters of one are enough here."""
    task_id = str(store.put(make(id="0190a1b2-c3d4-7e5f-8a6b-9c0d1e2f3a4b", name="Morning")))
    store.put(make(id="0190ffff-c3d4-7e5f-8a6b-9c0d1e2f3a4b", name="Evening"))
    for text in (task_id, "0190a", "MORNING", task_id.upper()):
        assert queries.find_task(text).task_id == task_id
    with pytest.raises(InvalidInput, match=f"fits 2 tasks.*{task_id}"):  # whole: what is asked for must tell them apart
        queries.find_task("0190")
    for text in ("019", "nothing", ""):
        with pytest.raises(TaskNotFound):
            queries.find_task(text)


def test_a_guild_sees_only_its_own(store: Store, queries: Queries) -> None:
    """Defect 35: delete had no guild check. Another guild's task, run, history and sums are not found."""
    mine, theirs = store.put(make()), store.put(make(guild_id="2"))
    run = store.do(theirs, lambda task: task.request_run("r", now=at(0), by="p"))
    assert [t.task_id for t in queries.tasks(principal=ONE)] == [str(mine)]
    assert [t for t, *_ in queries.upcoming(principal=ONE)] == [str(mine)]
    assert queries.counts(principal=ONE) == {"active": 1}
    assert queries.runs(principal=ONE) == []
    assert [g.guild_id for g in queries.guilds(principal=ONE)] == ["1"]
    for ask in (queries.task, queries.metadata, queries.skips, queries.history, queries.find_task):
        with pytest.raises(TaskNotFound):
            ask(str(theirs), principal=ONE)
    with pytest.raises(TaskNotFound):
        queries.runs(task_id=str(theirs), principal=ONE)
    for ask_run in (queries.run, queries.summary):
        with pytest.raises(RunNotFound):
            ask_run(run, principal=ONE)
    for guild_id in ("2", "3"):
        with pytest.raises(NotFound):
            queries.guild(guild_id, principal=ONE)
        with pytest.raises(NotFound):
            queries.tasks(guild_id=guild_id, principal=ONE)


def test_a_guild_without_a_history_has_defaults(queries: Queries) -> None:
    """Asking is no error."""
    view = queries.guild("9")
    assert (view.tasks, view.success_rate, view.settings.timezone) == (0, 0, None)


def test_history_is_the_last_of_the_log(store: Store, queries: Queries) -> None:
    """Oldest first, bounded."""
    task_id = store.put(make())
    for number in range(5):
        store.do(task_id, lambda task, n=number: task.request_run(f"{n}", now=at(0), by="p"))  # type: ignore[misc]
    assert [r.event.originator_version for r in queries.history(str(task_id), limit=2)] == [5, 6]  # type: ignore[union-attr]
    assert len(queries.history(str(task_id), limit=10**9)) == 6
    assert queries.tasks(limit=-1) == []


def test_statistics_are_a_mapping_over_all_tasks(store: Store, queries: Queries) -> None:
    """Read when they are asked for; an unknown key is a KeyError, whatever it looks like."""
    statistics = TaskStatistics(queries)
    assert len(statistics) == 0
    task_id = str(store.put(make()))
    assert list(statistics) == [task_id]
    assert len(statistics) == 1
    assert statistics[task_id].execution_count == 0
    for key in ("x", "0190a1b2-c3d4-7e5f-8a6b-9c0d1e2f3a4b"):
        assert key not in statistics


def test_what_is_running_and_overdue_is_seen(store: Store, queries: Queries) -> None:
    """What doctor asks."""
    task_id, late = store.put(make()), store.put(make())
    store.do(task_id, lambda task: task.claim(now=at(0.5), node="n1", deadline=DEADLINE))
    assert [(r.task_id, r.owner) for r in queries.running()] == [(str(task_id), "n1")]
    assert queries.overdue(at(0.6)) == [(str(late), at(0.5))]
    assert queries.faults() == []
    assert queries.nodes() == []


def test_a_view_reads_like_a_mapping(store: Store, queries: Queries) -> None:
    """Defect 34 and 36: what existing code reads from a status is there, for a paused task too."""
    task_id = str(store.put(make()))
    view = queries.task(task_id)
    assert view["next_run_time"] == at(0.5)
    assert view["metadata"]["success_rate"] == 0
    assert set(view) == set(view.to_dict())
    assert len(view) == len(view.to_dict())
    store.do(stream_id_of(task_id), lambda task: task.pause(now=at(0.1), by="p"))
    assert queries.task(task_id)["next_run_time"] is None
    with pytest.raises(KeyError):
        view["nonsense"]
