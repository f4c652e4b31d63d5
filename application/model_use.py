"""What runs asked of language models, summed in rows."""

from __future__ import annotations

from application.erased_rows import guild_row
from application.rows import Rows, RunRow, TaskRow
from domain.task_events import Executed, Failed

__all__ = ["spent"]


def spent(event: Executed | Failed, task: TaskRow, run: RunRow, rows: Rows) -> None:
    """Add up what an attempt asked of a language model: in its run, its task and its guild."""
    if (usage := event.usage) is None:
        return
    cost = round(usage.cost * 1_000_000) if usage.cost is not None else None
    run.model = usage.model
    run.input_tokens = (run.input_tokens or 0) + usage.input_tokens
    run.output_tokens = (run.output_tokens or 0) + usage.output_tokens
    run.cost = run.cost if cost is None else (run.cost or 0) + cost
    for sums in (task, guild_row(task.guild_id, rows)):
        sums.input_tokens += usage.input_tokens
        sums.output_tokens += usage.output_tokens
        sums.cost += cost or 0
