"""How the read model's questions are answered: by an index, never by looking at every task or every run."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from application.ports import Exclusions
from application.rows import RunRow, TaskRow, TextRow
from infrastructure.read_model import SqliteReadModel

GROWING = ("tasks", "texts", "runs", "deliveries", "skips", "former_names")
"""Tables that grow with what is stored, and must not be read from end to end."""

QUESTIONS: dict[str, Callable[[SqliteReadModel], object]] = {
    "a task": lambda rows: rows.get(TaskRow, "a"),
    "a text": lambda rows: rows.get(TextRow, "a"),
    "a run": lambda rows: rows.get(RunRow, "a"),
    "a guild's tasks": lambda rows: rows.tasks(guild_id="1", limit=100),
    "a guild's tasks that are alive": lambda rows: rows.tasks(guild_id="1", statuses=("active", "paused"), limit=100),
    "a guild's tasks by a part of the name": lambda rows: rows.tasks(guild_id="1", name_contains="morn", limit=25),
    "all tasks by a part of the name": lambda rows: rows.tasks(name_contains="morn", limit=25),
    "all tasks by two letters of the name": lambda rows: rows.tasks(name_contains="mo", limit=25),
    "a task by name": lambda rows: rows.ids_named("Morning"),
    "a guild's task by name": lambda rows: rows.ids_named("Morning", "1"),
    "a task by a former name": lambda rows: rows.ids_once_named("Morning"),
    "a guild's task by a former name": lambda rows: rows.ids_once_named("Morning", "1"),
    "a task by the beginning of its id": lambda rows: rows.ids_beginning("abcd"),
    "what is due": lambda rows: rows.due(1, 100),
    "what is due of what this process does": lambda rows: rows.due(1, 9, Exclusions(("a",), ("1",), ("report",))),
    "when something is due": lambda rows: rows.next_due(),
    "what comes next": lambda rows: rows.upcoming(100),
    "definitions of what comes next": lambda rows: rows.definitions_ahead(100),
    "what comes next in a guild": lambda rows: rows.upcoming(100, "1"),
    "all runs": lambda rows: rows.runs(limit=20),
    "runs of a task": lambda rows: rows.runs(task_id="a", limit=20),
    "runs of a guild": lambda rows: rows.runs(guild_id="1", limit=20),
    "failed runs": lambda rows: rows.runs(states=("failed",), limit=20),
    "runs that are open": lambda rows: rows.runs(states=("running", "waiting"), limit=20),
    "executed runs": lambda rows: rows.runs(states=("executed",), limit=20),
    "runs that somebody holds": lambda rows: rows.running(),
    "deliveries": lambda rows: rows.deliveries(["a"]),
    "skips of a task": lambda rows: rows.skips("a"),
    "how many tasks there are": lambda rows: rows.counts(),
    "how many tasks a guild has": lambda rows: rows.counts("1"),
    "who is to be told": lambda rows: rows.to_be_told(10),
}
SORTED = {
    "all tasks by a part of the name",
    "all tasks by two letters of the name",
    "runs that are open",
    "what comes next in a guild",
    "deliveries",
    "how many tasks a guild has",
}
"""Where the few rows that were found are sorted afterwards."""


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> SqliteReadModel:
    """An empty read model: without numbers to go by SQLite plans as it does for a new store."""
    return SqliteReadModel(tmp_path_factory.mktemp("plans") / "readmodel.db")


def plan_of(rows: SqliteReadModel, ask: Callable[[SqliteReadModel], object]) -> list[str]:
    """What SQLite says it would do for a question."""
    plan: list[str] = []
    asked = rows._asked

    def explained(statement: str, values: Sequence[Any] = ()) -> list[Any]:
        plan.extend(row[3] for row in asked(f"explain query plan {statement}", values))
        return asked(statement, values)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(rows, "_asked", explained)
        ask(rows)
    return plan


@pytest.mark.parametrize("question", QUESTIONS)
def test_no_question_looks_at_everything(rows: SqliteReadModel, question: str) -> None:
    """What is asked for is found by an index, in its order; only the newest runs of all are the end of an index."""
    plan = plan_of(rows, QUESTIONS[question])
    assert plan
    scans = [step for step in plan if re.match(rf"SCAN ({'|'.join(GROWING)}|t|x)\b", step)]
    in_order = [step for step in scans if step == "SCAN runs USING INDEX runs_at"]
    assert scans == in_order
    assert ("USE TEMP B-TREE FOR" in " ".join(plan)) == (question in SORTED), plan


def test_totals_are_kept_through_every_change(tmp_path: Path) -> None:
    """SQLite counts along: new tasks, new states of one, and a state that nobody is in any more."""
    model = SqliteReadModel(tmp_path / "readmodel.db")
    write = model._connection.execute
    for number in range(3):
        write("insert into tasks (task_id, status) values (?, 'active')", (str(number),))
    write("update tasks set status = 'paused' where task_id = '1'")
    write("update tasks set status = 'active', name = 'x' where task_id = '2'")
    assert model.counts() == {"active": 2, "paused": 1}
    write("update tasks set status = 'disabled' where task_id = '1'")
    assert model.counts() == {"active": 2, "disabled": 1}
    model.close()
