"""Conditions of the read model's queries."""

from __future__ import annotations

import json
from collections.abc import Sequence

from application.ports import Exclusions

__all__ = ["excluding", "marks"]


def excluding(exclude: Exclusions) -> tuple[str, list[str]]:
    """The SQL that leaves out what a node does not want to hear of, and its values."""
    conditions, values = [], []
    if exclude.tasks:
        conditions.append("and task_id not in (select value from json_each(?))")
        values.append(json.dumps(list(exclude.tasks)))
    if exclude.guilds:
        conditions.append("and guild_id not in (select value from json_each(?))")
        values.append(json.dumps(list(exclude.guilds)))
    if exclude.operations is not None:
        conditions.append("and (task_type <> 'custom' or operation in (select value from json_each(?)))")
        values.append(json.dumps(list(exclude.operations)))
    return " ".join(conditions), values


def marks(values: Sequence[object]) -> str:
    """A question mark for each value."""
    return ", ".join("?" * len(values))
