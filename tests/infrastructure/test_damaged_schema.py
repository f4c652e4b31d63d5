"""What SQLite says of a damaged schema may be no text: an error of Daybook's own comes out all the same."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import pytest

from application.tree import EventTree
from domain.errors import StoreError
from infrastructure.clock import SystemClock
from infrastructure.layout import CONTENT_FILE, LEAVES_FILE, LOG_FILE, READ_MODEL_FILE, VAULT_FILE
from infrastructure.read_only import read_stores
from infrastructure.reading import reading
from infrastructure.stores import open_folder
from tests.domain.task_parts import at, make
from tests.infrastructure.store_parts import created


def opened(folder: Path) -> None:
    """As a service does, with a look at everything."""
    with closing(open_folder(folder, node="n", now=at(0), environment={})) as stores:
        stores.writer.execute_now([created(make())])
        EventTree(stores.log, stores.leaves, SystemClock()).catch_up()
        assert stores.log.read(0, 10)
        stores.content.cache_get("x")


def looked_at(folder: Path) -> None:
    """As `daybook verify` does."""
    with read_stores(folder, environment={}) as stores:
        stores.log.check()
        stores.log.read(0, 10)
        stores.leaves.size()


def asked(folder: Path) -> None:
    """As `daybook tasks list` does."""
    with reading(str(folder), {}) as found:
        if found is not None:
            found.rows.tasks()


@pytest.mark.parametrize("how", [opened, looked_at, asked])
@pytest.mark.parametrize("file", [LOG_FILE, READ_MODEL_FILE, CONTENT_FILE, VAULT_FILE, LEAVES_FILE])
def test_a_schema_that_is_no_text_is_an_error_in_words(tmp_path: Path, file: str, how: Callable[[Path], None]) -> None:
    """The name of a table was overwritten, as SQLite quotes it in its error. What is derived is made anew."""
    opened(tmp_path)
    with closing(sqlite3.connect(tmp_path / file)) as database, database:
        database.execute("pragma writable_schema = on")
        database.execute("update sqlite_master set name = cast(x'f041' as text), sql = 'create table' where rowid = 1")
    (tmp_path / "readmodel.seal").unlink(missing_ok=True)
    with suppress(StoreError):
        how(tmp_path)
    if file in (READ_MODEL_FILE, LEAVES_FILE):
        opened(tmp_path)


@pytest.mark.parametrize("edit", [("fts5", "fts9"), ("trigram", "trigrxm"), ("columnsize", "columnsixe")])
def test_tables_that_can_neither_be_dropped_nor_made_are_made_in_a_new_file(
    tmp_path: Path, edit: tuple[str, str]
) -> None:
    """The index of names is of a kind that SQLite does not know any more, and the tables are to be made anew."""
    opened(tmp_path)
    with closing(sqlite3.connect(tmp_path / READ_MODEL_FILE)) as database, database:
        database.execute("delete from meta where name = 'fingerprint'")
        database.execute("pragma writable_schema = on")
        database.execute("update sqlite_master set sql = replace(sql, ?, ?) where name = 'names'", edit)
    (tmp_path / "readmodel.seal").unlink(missing_ok=True)
    with closing(open_folder(tmp_path, node="n", now=at(0), environment={})) as stores:
        assert len(stores.read_model.tasks()) == 1
