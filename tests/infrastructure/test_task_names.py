"""The index of names: it finds what looking through all names would find, and keeps nothing of a name that is gone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from application.ports import Recorded
from application.rows import TaskRow
from domain.errors import StoreUnavailable
from domain.task_erasure import Erased, Tally
from infrastructure import task_names
from infrastructure.read_model import SqliteReadModel
from tests.domain.task_parts import at, make

LETTERS = "aAbB\u00df\u1e9eI\u0130\u0131\u017fsS\u00e4\u00c4e\u0301 \"'*%_^(-\\\u4e2d\U0001f600"
WORDS = st.text(LETTERS, min_size=1, max_size=9)
NAMES = st.lists(WORDS | st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1), min_size=1, max_size=12)


@pytest.fixture
def model(tmp_path: Path) -> Iterator[SqliteReadModel]:
    """An empty read model."""
    model = SqliteReadModel(tmp_path / "rows.db")
    yield model
    model.close()


def insert(model: SqliteReadModel, names: list[str], first: int = 0) -> None:
    """Tasks of these names, numbered."""
    for number, name in enumerate(names, first):
        model._connection.execute(
            "insert into tasks (task_id, name, status, archived) values (?, ?, 'active', 0)", (str(number), name)
        )
        model._connection.execute("insert into texts (task_id) values (?)", (str(number),))


def found(model: SqliteReadModel, text: str) -> list[str]:
    """Ids of tasks whose name holds the text."""
    return sorted(task.task_id for task, _ in model.tasks(name_contains=text))


@settings(deadline=None, max_examples=40)
@given(names=NAMES, more=NAMES, renamed=WORDS, asked=st.lists(WORDS, max_size=8), outside=st.integers(0, 6))
def test_the_index_finds_what_looking_through_all_names_finds(
    names: list[str], more: list[str], renamed: str, asked: list[str], outside: int
) -> None:
    """Whatever the letters and their case, renamed or new, in the index or not yet; by a part and by the whole."""
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patched:
        patched.setattr(task_names, "MOST_OUTSIDE", outside)
        model = SqliteReadModel(Path(folder) / "rows.db")
        insert(model, names)
        task_names.index_new_names(model._connection)
        insert(model, more, len(names))
        model._connection.execute("update tasks set name = ? where task_id = '0'", (renamed,))
        known = {str(number): name for number, name in enumerate([renamed, *names[1:], *more])}
        parts = [name[start : start + size] for name in known.values() for start in (0, 1, 3) for size in (1, 2, 3, 5)]
        for text in filter(None, {*asked, *parts, *known.values(), names[0]}):
            folded = text.casefold()
            assert found(model, text) == sorted(id for id, name in known.items() if folded in name.casefold())
            named = sorted(id for id, name in known.items() if folded == name.casefold())
            assert sorted(model.ids_named(text)) == named
        model.close()


def test_a_text_that_very_many_names_hold_finds_as_many_as_are_wanted(
    model: SqliteReadModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then the names are looked through in their order, and the pages follow one another."""
    monkeypatch.setattr(task_names, "MOST_FOUND", 3)
    monkeypatch.setattr(task_names, "_LONG", task_names._LONG.replace("limit 501", "limit 4"))
    insert(model, [f"task {number}" for number in range(9)])
    monkeypatch.setattr(task_names, "MOST_OUTSIDE", 0)
    task_names.index_new_names(model._connection)
    assert task_names.maybe_named(model._asked, "task") is None
    assert task_names.maybe_named(model._asked, "task 7") == "[8]"
    pages = [[t.task_id for t, _ in model.tasks(name_contains="TASK", limit=4, offset=start)] for start in (0, 4, 8)]
    assert pages == [["0", "1", "2", "3"], ["4", "5", "6", "7"], ["8"]]


@pytest.mark.parametrize("text", ["\0", "a\0", "abc\0def"])
def test_a_text_that_no_name_can_hold_finds_nothing(model: SqliteReadModel, text: str) -> None:
    """SQLite's texts end at such a character; the question is answered all the same."""
    insert(model, ["abc", "a"])
    assert found(model, text) == []


def test_of_an_erased_name_no_letter_is_left_in_the_file(
    model: SqliteReadModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither of the last name nor of one that it had before, in the index, its dictionary, or any page."""
    monkeypatch.setattr(task_names, "MOST_OUTSIDE", 0)
    task, others = make(name="QXZQXZ secret club"), [make(name=f"plain {number}") for number in range(30)]
    events = [event for one in (task, *others) for event in one.pending_events]
    model.apply([Recorded(position, event) for position, event in enumerate(events, 1)])
    assert b"zqx" in written(model)
    task.pending_events.clear()
    task.revise(task.definition.model_copy(update={"name": "WVJWVJ other club"}), now=at(0.1), by="p")
    events += task.pending_events
    model.apply([Recorded(len(events), event) for event in task.pending_events])
    assert found(model, "wvj") == [str(task.id)]
    assert b"vjw" in written(model)
    erased = Erased(
        originator_id=task.id,
        originator_version=task.version + 1,
        timestamp=at(1),
        guild_id=task.guild_id,
        by="p",
        tally=Tally(),
    )
    model.apply([Recorded(len(events) + 1, erased)])
    assert found(model, "wvj") == found(model, "qxz") == []
    assert model.ids_named(model.get(TaskRow, str(task.id)).name) == [str(task.id)]
    groups = {term for (term,) in model._asked("select distinct term from letters")}
    assert {"pla", "[er"} <= groups
    assert not groups & {"qxz", "xzq", "zqx", "wvj", "vjw", "jwv", "clu", "ecr"}
    assert not [letters for letters in (b"qxz", b"zqx", b"vjw", b"jwv") if letters in written(model)]


def written(model: SqliteReadModel) -> bytes:
    """All bytes of the file and its write-ahead log, in small letters."""
    log = model.path.with_name(model.path.name + "-wal")
    return (model.path.read_bytes() + (log.read_bytes() if log.exists() else b"")).lower()


@pytest.mark.parametrize(("known", "unknown"), [("using fts5 ", "using fts5000 "), ("'trigram'", "'tetragram'")])
def test_a_sqlite_that_cannot_keep_the_index_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: str, unknown: str
) -> None:
    """One that was built without full-text search, or is too old to know groups of three letters."""
    assert known in task_names._KEEP_NAMES[0]
    made = [statement.replace(known, unknown) for statement in task_names._KEEP_NAMES]
    monkeypatch.setattr(task_names, "_KEEP_NAMES", made)
    with pytest.raises(StoreUnavailable, match=r"no full-text search by trigrams: .*SQLite is 3\.34"):
        SqliteReadModel(tmp_path / "rows.db")
