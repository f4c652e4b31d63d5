"""Many rows in one step are what many steps would have made, and fewer steps."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infrastructure.together import insert_together

VALUES = st.none() | st.integers(-(2**63), 2**63 - 1) | st.text() | st.binary()


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        yield connection


def made(rows: list[tuple[Any, ...]], *, together: bool) -> list[Any]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.execute("create table t (a, b)")
        statement = "insert into t values (?,?)"
        if together:
            insert_together(connection, statement, rows)
        else:
            connection.executemany(statement, rows)
        return connection.execute("select rowid, a, b from t order by rowid").fetchall()


@given(st.lists(st.tuples(VALUES, VALUES), max_size=12), st.sampled_from([1, 7, 70, 300]))
def test_rows_that_are_inserted_together_are_those_of_executemany_in_its_order(
    rows: list[tuple[Any, ...]], times: int
) -> None:
    """Whatever their number and their values are."""
    assert made(rows * times, together=True) == made(rows * times, together=False)


def test_a_thousand_rows_take_few_steps(connection: sqlite3.Connection) -> None:
    """Each statement is one step: it is run once for many rows."""
    connection.execute("create table t (a, b)")
    statements: list[str] = []
    connection.set_trace_callback(statements.append)
    insert_together(connection, "insert into t values (?, ?)", [(number, "x") for number in range(1_000)])
    assert len(statements) < 20


def test_the_last_of_rows_with_one_key_stays(connection: sqlite3.Connection) -> None:
    """What the statement says behind its values holds for every row, in turn."""
    connection.execute("create table t (a primary key, b)")
    statement = "insert into t (a, b) values (?, ?) on conflict (a) do update set b = excluded.b"
    insert_together(connection, statement, [(1, "first"), (2, "other"), (1, "last")])
    assert connection.execute("select a, b from t order by a").fetchall() == [(1, "last"), (2, "other")]


def test_rows_with_very_many_values_are_not_too_many_for_one_statement(connection: sqlite3.Connection) -> None:
    """As many as SQLite takes at most are in a statement."""
    columns = ", ".join(f"c{number}" for number in range(600))
    connection.execute(f"create table t ({columns})")
    insert_together(connection, f"insert into t values ({', '.join('?' * 600)})", [tuple(range(600))] * 300)
    assert connection.execute("select count(*), sum(c599) from t").fetchone() == (300, 300 * 599)
