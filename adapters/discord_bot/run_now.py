"""``/schedule run``: run a task now, whatever its schedule says, and tell what came of it."""

from __future__ import annotations

from discord.app_commands import Range, autocomplete

from adapters.discord_bot.cards import Button, Card, Reply, Tone, press
from adapters.discord_bot.desk import Answers, Asked, Command, Desk
from adapters.discord_bot.task_cards import destination_words
from adapters.discord_bot.texts import Marked, Words
from application.views import TaskView
from application.work import TaskExecutionResult
from domain.destination import DeliveryOutcome, DeliveryStatus

__all__ = ["run"]


def run(desk: Desk) -> Command:
    """The command, and the button of the same effect; it answers apart, for a run may take minutes."""

    @desk.command("run")
    @autocomplete(task=desk.tasks())
    async def answer(asked: Asked, task: str, reason: Range[str, 1, 200] | None = None) -> None:
        await _run(asked, asked.find(task), reason)

    async def pressed(asked: Asked, task_id: str) -> None:
        await _run(asked, asked.queries.task(task_id, principal=asked.principal), None)

    desk.on("run", pressed, Answers.APART)
    return answer


async def _run(asked: Asked, task: TaskView, reason: str | None) -> None:
    """Run it, and show what came of it: where Discord does not take that any more, the guild is told of a failure."""

    async def show(result: TaskExecutionResult) -> bool:
        return await asked.tell(outcome(task, result, asked.words))

    asked.commands.access.check_manages(task.guild_id, asked.principal)
    await asked.tell(Reply((Card(asked.words("task.title", name=task.name), asked.words("run.going_on")),)))
    await asked.commands.run_now(task.task_id, principal=asked.principal, reason=reason, show=show)


def outcome(task: TaskView, result: TaskExecutionResult, words: Words) -> Reply:
    """What came of a run. Pure."""
    lines = [_headline(result, words)]
    places = {destination.key: destination_words(destination, words) for destination in task.definition.destinations}
    lines += [_delivery(each, places.get(each.destination, each.type.value), words) for each in result.delivery_results]
    tone = Tone.GOOD if result.success else Tone.PLAIN if result.skipped or result.interrupted else Tone.BAD
    footer = words("run.id", id=result.run_id) if result.run_id else ""
    card = Card(words("task.title", name=task.name), "\n".join(lines), footer=footer, tone=tone)
    return Reply((card,), ((Button(words.plain("buttons.show"), press("show", task.task_id)),),))


def _headline(result: TaskExecutionResult, words: Words) -> str:
    reason = words.told(result.error_message or "")
    if result.skipped:
        return words("run.quiet", reason=reason)
    if result.interrupted:
        return words("run.interrupted", reason=reason)
    if not result.success:
        return words("run.failed", reason=reason)
    if result.summary_result is not None:
        count = getattr(result.summary_result, "message_count", 0)
        return words("run.summarized", count=count, seconds=f"{result.execution_time_seconds:.1f}")
    return words("run.done", seconds=f"{result.execution_time_seconds:.1f}")


def _delivery(each: DeliveryOutcome, place: str, words: Words) -> str:
    if each.status is DeliveryStatus.DELIVERED:
        return words("run.delivered", place=Marked(place))
    return words("run.not_delivered", place=Marked(place), reason=words.told(each.reason or each.status.value))
