"""What a task's definition says in rows: whoever lists tasks need not read definitions."""

from __future__ import annotations

from contextlib import suppress
from functools import lru_cache

from application.rows import Rows, TextRow
from domain.definition import TaskDefinition
from domain.schedule import Schedule
from domain.schedule_words import describe

__all__ = ["described", "text_of"]


def described(row: TextRow, definition: TaskDefinition) -> TextRow:
    """The row, with the definition, its zone and its schedule in words."""
    # Without what is so by default, which is most: rows of code with other defaults are made anew.
    row.definition, row.timezone = definition.model_dump_json(exclude_defaults=True), definition.schedule.timezone
    row.schedule = ""
    with suppress(Exception):  # a rule that no longer makes sense has no words, and its task is listed all the same
        row.schedule = _in_words(definition.schedule.rule)
    return row


@lru_cache(maxsize=1024)
def _in_words(schedule: Schedule) -> str:
    return describe(schedule)


def text_of(stream: str, rows: Rows) -> TextRow:
    """The texts of a task, about to be changed."""
    row = rows.get(TextRow, stream) or TextRow(task_id=stream)
    rows.put(row)
    return row
