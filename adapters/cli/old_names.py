"""Finding a task by the name that it had at the moment that is asked about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adapters.cli import show
from domain.errors import InvalidInput, TaskNotFound

if TYPE_CHECKING:
    from adapters.cli.reading import Reader
    from application.audit import Audit
    from application.history import Moment
    from application.views import TaskView

__all__ = ["find_then"]


def find_then(reader: Reader, audit: Audit, text: str, moment: Moment) -> TaskView:
    """A task by its id or its name of today, else by its name at that moment, which is then told.

    Raises TaskNotFound, or InvalidInput when several fit.
    """
    try:
        return reader.queries.find_task(text)
    except TaskNotFound:
        then = audit.service_as_of(moment).tasks
        named = [one.task_id for one in then if one.task is not None and one.task.definition.name == text]
        if not named:
            raise
    if len(named) > 1:
        ids = ", ".join(named[:5])
        raise InvalidInput("task", text, f"was the name of {len(named)} tasks then", f"say which by id: {ids}")
    found = reader.queries.task(named[0])
    show.note(f"note: the task was renamed since: {show.plain(text)} is now {show.plain(found.name)}")
    return found
