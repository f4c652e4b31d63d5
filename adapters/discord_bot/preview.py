"""``/schedule preview``: the next runs with what is odd about them, and what a summary would say now."""

from __future__ import annotations

from discord.app_commands import Range, autocomplete

from adapters.discord_bot.cards import Card, Entry, Reply, Tone
from adapters.discord_bot.desk import Asked, Command, Desk
from adapters.discord_bot.places import check_may_read_all
from adapters.discord_bot.task_cards import slot_lines
from adapters.discord_bot.texts import Words
from adapters.rendering import discord_messages, escape_markdown
from application.preview import Preview
from application.preview import preview as slots_ahead
from application.views import TaskView
from application.work import Failure, Quiet
from domain.errors import InvalidInput
from domain.phrases import LONGEST_PHRASE, parse_phrase
from domain.schedule import Schedule
from domain.summary import Summary

__all__ = ["preview", "schedule_card", "summary_cards"]

MOST_SLOTS, SLOTS_IN_ENTRY = 25, 8


def preview(desk: Desk) -> Command:
    """The command."""

    @desk.command("preview")
    @autocomplete(task=desk.tasks(), zone=desk.zones())
    async def answer(
        asked: Asked,
        task: str | None = None,
        when: Range[str, 1, LONGEST_PHRASE] | None = None,
        zone: str | None = None,
        count: Range[int, 1, MOST_SLOTS] = 10,
        summary: bool = False,
    ) -> Reply:
        if (task is None) == (when is None):
            problem = "is not said" if task is None else "says again what the task says"
            raise InvalidInput("task", task, problem, "choose a task, or type when: every weekday at 9:00")
        if when is not None:
            return _of_a_phrase(asked, when, zone, count, summary)
        found = asked.find(str(task))
        if zone is not None:
            raise InvalidInput("zone", zone, "has no place beside a task", "change a task with /schedule edit")
        ahead = slots_ahead(found.definition.schedule, after=found.slots_after(asked.now), count=count)
        card = schedule_card(found.name, found.definition.schedule, ahead, asked.words)
        if not summary:
            return Reply((card,))
        # A preview of a summary is no way around Discord's permissions.
        check_may_read_all(asked.interaction.guild, found.definition, asked.interaction.user)
        asked.commands.access.check_manages(asked.guild_id, asked.principal)
        await asked.tell(Reply((card, Card(asked.words("preview.summary"), asked.words("preview.going_on")))))
        return Reply((card, *await _rehearsed(asked, found)))

    return answer


def _of_a_phrase(asked: Asked, when: str, zone: str | None, count: int, summary: bool) -> Reply:
    if summary:
        raise InvalidInput("summary", "", "needs a task", "choose a task beside it")
    schedule = parse_phrase(when, now=asked.now, default_timezone=zone or asked.zone)
    return Reply((schedule_card(when, schedule, slots_ahead(schedule, after=asked.now, count=count), asked.words),))


async def _rehearsed(asked: Asked, task: TaskView) -> tuple[Card, ...]:
    made = await asked.commands.rehearse(task.task_id, principal=asked.principal)
    title = asked.words("preview.summary")
    if isinstance(made, Quiet):
        return (Card(title, asked.words("preview.quiet", reason=asked.words.told(made.note)), tone=Tone.CAREFUL),)
    if isinstance(made, Failure):
        return (Card(title, asked.words("run.failed", reason=asked.words.told(made.error)), tone=Tone.BAD),)
    return summary_cards(made, task, asked.words)


def schedule_card(name: str, schedule: Schedule, ahead: Preview, words: Words) -> Card:
    """The coming slots, and what is to be known of them. Pure."""
    entries = [
        Entry(
            words("task.slots") if first == 0 else "\u200b",
            slot_lines(ahead.slots[first : first + SLOTS_IN_ENTRY], words),
        )
        for first in range(0, len(ahead.slots), SLOTS_IN_ENTRY)
    ]
    told = [f"⚠ {escape_markdown(words.told(text))}" for text in ahead.warnings]
    told += [f"• {escape_markdown(words.told(text))}" for text in ahead.notes]
    if told:
        entries.append(Entry(words("create.warnings"), "\n".join(told)))
    text = f"{escape_markdown(words.schedule(schedule))}\n{words('task.zone', zone=ahead.timezone)}"
    tone = Tone.CAREFUL if ahead.warnings else Tone.PLAIN
    return Card(words("preview.title", name=name), text, tuple(entries), tone=tone)


def summary_cards(summary: Summary, task: TaskView, words: Words) -> tuple[Card, ...]:
    """What a delivery would show, and that this is none. Pure."""
    zone = task.timezone
    cards = []
    for message in discord_messages(summary, "embed", timezone=zone, task_name=task.name, run_id="preview"):
        shown = message.embed or {"description": message.content or ""}
        entries = tuple(Entry(each["name"], each["value"]) for each in shown.get("fields", ()))
        title = shown.get("title") or words("preview.summary")
        cards.append(Card(title, shown.get("description") or "", entries, words("preview.not_sent")))
    return tuple(cards)
