"""Finding a task whose past is asked for: by its id, its name of today, or a name that it had before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adapters.cli import show
from domain.errors import InvalidInput, TaskNotFound

if TYPE_CHECKING:
    from application.history import Moment
    from application.queries import Queries
    from application.views import TaskView

__all__ = ["find_ever"]


def find_ever(queries: Queries, text: str, *, guild_id: str | None = None, moment: Moment | None = None) -> TaskView:
    """A task by its id or its name of today, else by a former name; that it was renamed is then told.

    Where several had the name, the one that had it at the ``moment`` is meant. Raises TaskNotFound, or InvalidInput
    when several fit.
    """
    try:
        return queries.find_task(text, guild_id=guild_id)
    except TaskNotFound:
        fitting = queries.tasks_once_named(text, guild_id=guild_id)
        if not fitting:
            raise
    if len(fitting) > 1 and moment is not None:
        fitting = _named_then(queries, fitting, text, moment) or fitting
    if len(fitting) > 1:
        which = ", ".join(f"{one.task_id} (now {show.plain(one.name)})" for one in fitting[:5])
        raise InvalidInput("task", text, f"was the name of {len(fitting)} tasks", f"say which by id: {which}")
    [found] = fitting
    show.note(f"note: the task was renamed since: {show.plain(text)} is now {show.plain(found.name)}")
    return found


def _named_then(queries: Queries, tasks: list[TaskView], text: str, moment: Moment) -> list[TaskView]:
    """Those of them that had this name at the moment."""
    past = queries.past
    then = past.tasks(past.where(moment), {task.task_id: task.version for task in tasks})
    named = {one.task_id for one in then if one.task is not None and one.task.name.casefold() == text.casefold()}
    return [task for task in tasks if task.task_id in named]
