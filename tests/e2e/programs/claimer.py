"""One of several processes that claim the same tasks on one log, as fast as it can, through LogWriter itself.

Each claimed attempt is closed again; what was won is written to stdout as one JSON list of [run, attempt].
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from application.ports import Command
from domain.errors import NotDue, StaleAttempt
from domain.runs import Attempt
from domain.task import ScheduledTask
from infrastructure.mapper import EventMapper
from infrastructure.masterkey import load_master_key
from infrastructure.sqlite_log import SqliteLog
from infrastructure.sqlite_vault import SqliteVault
from infrastructure.stores import snapshot_fingerprint
from infrastructure.writer import LogWriter

STEP = timedelta(minutes=1)


def claim_all(folder: Path, node: str, start: datetime, rounds: int) -> None:
    """Race for every slot of every task, one minute after the other, on a clock that all processes share."""
    vault = SqliteVault(folder / "vault.db", load_master_key(folder, {}))
    fingerprint = snapshot_fingerprint()
    log = SqliteLog(folder / "log.db", EventMapper(vault), fingerprint=fingerprint, busy_timeout_seconds=60)
    writer = LogWriter(log, None, fingerprint=fingerprint)
    ids = [UUID(line) for line in (folder / "tasks.txt").read_text().split()]
    won: list[tuple[str, int]] = []
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    for round in range(1, rounds + 1):
        now = start + round * STEP

        def claim(task: ScheduledTask, now: datetime = now) -> Attempt | None:
            return task.claim(now=now, node=node, deadline=STEP)

        outcomes = writer.execute_now([Command(task_id, claim) for task_id in ids])
        mine = []
        for task_id, outcome in zip(ids, outcomes, strict=True):
            if isinstance(outcome, Attempt):
                mine.append((task_id, outcome))
                won.append((outcome.run, outcome.attempt))
            elif isinstance(outcome, BaseException) and not isinstance(outcome, NotDue):
                raise outcome
        closing = [Command(task_id, lambda task, a=a, now=now: _close(task, a, now)) for task_id, a in mine]  # type: ignore[misc]
        for outcome in writer.execute_now(closing):
            if isinstance(outcome, BaseException) and not isinstance(outcome, StaleAttempt):
                raise outcome
    writer.close()
    log.close()
    vault.close()
    sys.stdout.write(json.dumps(won) + "\n")


def _close(task: ScheduledTask, attempt: Attempt, now: datetime) -> None:
    task.conclude(attempt.run, attempt.attempt, attempt.owner, now=now)


if __name__ == "__main__":
    claim_all(Path(sys.argv[1]), sys.argv[2], datetime.fromisoformat(sys.argv[3]).astimezone(UTC), int(sys.argv[4]))
