"""``/schedule stats``: how runs went, of one task or of the whole server, and which come next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from discord.app_commands import autocomplete

from adapters.discord_bot.cards import Card, Entry, Reply, Tone, stamp
from adapters.discord_bot.desk import Asked, Command, Desk
from adapters.discord_bot.task_cards import slot_lines, when_words
from adapters.discord_bot.texts import Marked, Words
from adapters.rendering import cut
from application.evidence import length
from application.preview import next_slots
from application.views import GuildView, TaskMetadata, TaskView
from domain.runs import TaskStatus

__all__ = ["guild_stats", "stats", "task_stats"]

COMING = 5


def stats(desk: Desk) -> Command:
    """The command."""

    @desk.command("stats")
    @autocomplete(task=desk.tasks("active", "paused", "disabled", "cancelled", "completed"))
    async def answer(asked: Asked, task: str | None = None) -> Reply:
        if task is not None:
            return task_stats(asked.find(task), asked.words, now=asked.now)
        guild = asked.queries.guild(asked.guild_id, principal=asked.principal)
        counts = asked.queries.counts(guild_id=asked.guild_id, principal=asked.principal)
        coming = asked.queries.upcoming(COMING, guild_id=asked.guild_id, principal=asked.principal)
        return guild_stats(guild, counts, coming, asked.words)

    return answer


def task_stats(task: TaskView, words: Words, *, now: datetime) -> Reply:
    """How one task went. A task that is paused has all but coming runs. Pure."""
    meta = task.metadata
    entries = _entries(meta, words)
    if task.is_active and (coming := next_slots(task.definition.schedule, after=task.slots_after(now), count=COMING)):
        entries.append(Entry(words("task.slots"), slot_lines(coming, words)))
    last = words("stats.last", when=Marked(stamp(meta.last_executed))) if meta.last_executed else words("stats.never")
    text = f"{when_words(task, words)}\n{last}"
    return Reply((Card(words("stats.title", name=task.name), text, tuple(entries)),))


def guild_stats(
    guild: GuildView, counts: Mapping[str, int], coming: Sequence[tuple[str, str, datetime]], words: Words
) -> Reply:
    """How all tasks of a server went. Pure."""
    told = [
        words("stats.status", count=counts[status.value], status=words.plain(f"list.filters.{status.value}"))
        for status in TaskStatus
        if counts.get(status.value)
    ]
    entries = [Entry(words("stats.tasks"), " · ".join(told) or words("stats.no_tasks")), *_entries(guild, words)]
    if coming:
        lines = [
            words("stats.coming", name=cut(name, 80), at=Marked(stamp(slot)), in_=Marked(stamp(slot, "R")))
            for _, name, slot in coming[:COMING]
        ]
        entries.append(Entry(words("task.slots"), "\n".join(lines)))
    return Reply((Card(words("stats.guild"), "", tuple(entries), tone=Tone.PLAIN),))


def _entries(sums: TaskMetadata | GuildView, words: Words) -> list[Entry]:
    if isinstance(sums, TaskMetadata):
        executed, failed = sums.execution_count - sums.failure_count, sums.failure_count
    else:
        executed, failed = sums.executed, sums.failed
    closed = executed + failed
    rate = words("stats.percent", percent=f"{100 * executed / closed:.1f}") if closed else words("stats.never")
    counts = words(
        "task.counts", executed=executed, failed=failed, skipped=sums.skipped_runs, left_out=sums.skipped_slots
    )
    attempts = words(
        "stats.attempts", attempts=sums.attempts, failed=sums.failed_attempts, interrupted=sums.interruptions
    )
    entries = [Entry(words("stats.rate"), rate, inline=True)]
    if executed:
        took = length(timedelta(seconds=sums.average_duration_seconds))
        entries.append(Entry(words("stats.average"), took, inline=True))
    entries.append(Entry(words("stats.runs"), f"{counts}\n{attempts}"))
    if sums.input_tokens or sums.output_tokens:
        spent = words(
            "stats.spent",
            read=f"{sums.input_tokens:,}",
            written=f"{sums.output_tokens:,}",
            cost=f"{sums.cost:.4f}",
        )
        entries.append(Entry(words("stats.model"), spent))
    return entries
