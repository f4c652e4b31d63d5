"""How what became of an attempt is written into its task: the aggregate's command for each kind of outcome."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from application.work import Done, Failure, Outcome, OverQuota, Quiet
from domain.destination import DeliveryOutcome
from domain.runs import Attempt
from domain.task import ScheduledTask
from domain.task_events import SkipReason

__all__ = ["record"]


def record(
    task: ScheduledTask,
    attempt: Attempt,
    outcome: Outcome,
    now: datetime,
    jitter: float,
    settled: Sequence[DeliveryOutcome],
) -> None:
    """Close the attempt by its outcome; ``settled`` is what was delivered before a failure. Raises StaleAttempt."""
    run, number, owner = attempt.run, attempt.attempt, attempt.owner
    match outcome:
        case Done():
            task.conclude(
                run,
                number,
                owner,
                now=now,
                outcomes=outcome.outcomes,
                summary=outcome.summary.id if outcome.summary is not None else None,
                messages=outcome.messages,
                note=outcome.note,
                usage=outcome.usage,
                jitter=jitter,
            )
        case Quiet():
            task.skip_run(run, number, owner, now=now, reason=SkipReason.QUIET, note=outcome.note)
        case OverQuota():
            task.skip_run(run, number, owner, now=now, reason=SkipReason.QUOTA, note=outcome.note)
        case Failure():
            task.fail(
                run,
                number,
                owner,
                now=now,
                what=outcome.what,
                error=outcome.error,
                permanent=outcome.permanent,
                retry_after_seconds=outcome.retry_after_seconds,
                jitter=jitter,
                unsent=outcome.unbegun,
                outcomes=settled,
            )
