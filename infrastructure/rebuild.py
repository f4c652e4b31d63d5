"""Bringing the rows to the end of the log as a store is opened: by this process, or a long log by one on every core."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable

from application.ports import Vault
from infrastructure.complete_log import CompleteLog
from infrastructure.read_model import SqliteReadModel

__all__ = ["catch_up", "cores"]

WORTH_EVENTS = 100_000
"""With fewer events processes would take longer to start than they spare."""

MOST_PARTS = 4
"""One process reads for all of them, and puts their rows together."""

_log = logging.getLogger(__name__)


def catch_up(
    read_model: SqliteReadModel,
    log: Callable[[int], CompleteLog],
    vault: Vault,
    *,
    progress: Callable[[int, int], None] | None = None,
    parts: int | None = None,
) -> None:
    """Project all that the log has more; ``log`` is given the position behind which it is read.

    Where all rows are to be made, and there are many, so many processes make them (``parts``; by itself, one for each
    core). Whatever goes wrong with those, this process makes the rows alone. Raises StoreCut, StoreUnavailable.
    """
    parts = min(cores(), MOST_PARTS) if parts is None else parts
    if parts > 1 and read_model.position() == 0 and log(0).last_position() >= WORTH_EVENTS:
        from infrastructure.rebuild_parts import rebuild_in_parts
        from infrastructure.row_process import RowsLost

        try:
            rebuild_in_parts(read_model, log(0), vault, parts, progress)
        except RowsLost as error:
            _log.warning("one process alone makes the rows", extra={"reason": str(error)})
    read_model.catch_up(log(read_model.position()), progress=progress)


def cores() -> int:
    """How many processors this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on Linux
        return os.cpu_count() or 1
