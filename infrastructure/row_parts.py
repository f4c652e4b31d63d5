"""Read models of some guilds each, put together into one of all."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from application.erased_rows import SPENT, SUMS
from application.rows import DeliveryRow, FormerNameRow, GuildRow, NodeRow, RunRow, SkipRow, TaskRow, TextRow
from domain.task_erasure import ERASED
from infrastructure.task_names import index_new_names

__all__ = ["put_together"]

_WITHOUT_LIKE = (TaskRow, TextRow, FormerNameRow, RunRow, DeliveryRow, SkipRow, NodeRow)
"""Tables of which two parts never have the same row."""

_ADDED = {"tasks", *SUMS, *SPENT}
"""What a guild's row adds up. All the rest of it comes from the guild's own stream, which is in one part alone: in
others, where a task's guild is known from an erasure only, it is as in a new row.
"""


def _guild_column(name: str) -> str:
    if name in _ADDED:
        return f"{name} = {name} + excluded.{name}"
    if name == "settings":
        return "settings = iif(settings = '{}', excluded.settings, settings)"
    return f"{name} = max({name}, excluded.{name})"


_GUILDS = ", ".join(_guild_column(f.name) for f in fields(GuildRow) if f.name not in GuildRow.key)
_MERGES = (
    *(f"insert into {kind.table} select * from part.{kind.table}" for kind in _WITHOUT_LIKE),
    f"insert into guilds select * from part.guilds where true on conflict (guild_id) do update set {_GUILDS}",
    "insert or replace into faults select * from part.faults",
    """insert into heads select * from part.heads where true on conflict (stream) do update
       set version = max(version, excluded.version)""",
    """insert into times select * from part.times where true on conflict (stretch) do update
       set earliest = min(earliest, excluded.earliest), latest = max(latest, excluded.latest)""",
)
_FORGET_ERASED = f"""
delete from faults where exists (
    select 1 from tasks join texts using (task_id)
    where task_id = faults.stream and schedule = '{ERASED}' and tasks.version > faults.version)"""
"""A part forgets what it knows of an erased task. A damaged event of that task may have been in another part, as nobody
knew yet whose it was."""


def put_together(connection: sqlite3.Connection, parts: Sequence[Path]) -> None:
    """Fill the tables, which are empty, with the rows of all parts. Each table of each part is a transaction."""
    for part in parts:
        connection.execute("attach ? as part", (f"{part.resolve().as_uri()}?mode=ro",))
        try:
            for statement in _MERGES:
                connection.execute(statement)
        finally:
            connection.execute("detach part")
    connection.execute(_FORGET_ERASED)
    index_new_names(connection)
