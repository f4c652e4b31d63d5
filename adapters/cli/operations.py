"""Custom tasks whose operation no process knows: nobody claims them, and they stay due."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adapters.cli import show
from domain.errors import OperationUnknown, Refused

if TYPE_CHECKING:
    from adapters.cli.store import Session
    from application.uptime import Up
    from application.views import TaskView

__all__ = ["Operations", "check_known", "warn_of_unknown"]

_MOST_NAMED, _LAST = 5, 20


class Operations:
    """Which custom operations this process and those that are up know, as the log says; where none is up, the last."""

    def __init__(self, session: Session, *, others_only: bool = False) -> None:
        from application.history import node_events
        from application.uptime import uptime

        queries = session.queries
        running = [node.node for node in queries.nodes(running_only=True)]
        asked = running or [node.node for node in queries.nodes(limit=_LAST)]
        self._own = () if others_only else session.service.dispatcher.runner.operations
        self._ups = uptime(node_events(session.service.stores.log, asked))
        self._all_told = len(self._ups) == len(asked) and all(up.known for up in self._ups)
        self._running = bool(running)

    def unknown(self, operation: str | None) -> bool:
        """Whether none of them knows it. A process of which the log does not say what it knows may know it."""
        if operation is None or operation in self._own or not self._all_told:
            return False
        return not any(operation in up.known[-1].operations for up in self._ups)

    @property
    def words(self) -> str:
        """Who is up, and what they know."""
        if self._running:
            return "; ".join(map(_known, self._ups[:_MOST_NAMED]))
        last = f"; the last one knew {_listed(self._ups[-1])}" if self._ups else ""
        return f"no process is up{last}"


def _known(up: Up) -> str:
    return f"{up.node} is up and knows {_listed(up)}"


def _listed(up: Up) -> str:
    return ", ".join(up.known[-1].operations) or "none"


def warn_of_unknown(session: Session, operation: str | None) -> None:
    """Say on standard error that nobody would run this operation. Another process that knows it may start yet."""
    if operation is None:
        return
    operations = Operations(session)
    if operations.unknown(operation):
        show.note(
            f"warning: no process knows the operation {show.plain(operation)} ({show.plain(operations.words)}): "
            "the task stays due until one that registers it is up"
        )


def check_known(session: Session, task: TaskView) -> None:
    """Refuse to ask for a run that nobody could do. Raises Refused for the processes that are up, OperationUnknown."""
    operation = task.definition.custom_operation
    if operation is None:
        return
    if not session.beside and operation not in session.service.dispatcher.runner.operations:
        raise OperationUnknown(operation)
    if session.beside and (others := Operations(session, others_only=True)).unknown(operation):
        raise Refused(task.task_id, f"no process knows its operation {operation} ({others.words}); register it first")
