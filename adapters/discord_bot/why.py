"""``/schedule why``: why a task did, or did not, run at an instant or on a day, with what the log says of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from zoneinfo import ZoneInfo

import discord
from discord.app_commands import Choice, Range, autocomplete

from adapters.discord_bot.cards import Card, Entry, Reply, Tone, stamp
from adapters.discord_bot.choices import LONGEST, MOST
from adapters.discord_bot.desk import Asked, Command, Desk
from adapters.discord_bot.looking_back import LocalDay, looked_back
from adapters.discord_bot.principals import reader_of
from adapters.discord_bot.texts import Marked, Words
from adapters.rendering import cut
from application.evidence import Evidence, Explanation, Reason
from application.views import TaskView
from domain.errors import DaybookError
from domain.identity import short_id
from domain.zone import zone_info

__all__ = ["explained", "why"]

MOST_SLOTS, MOST_EVIDENCE = 5, 8
_STATUSES = ("active", "paused", "disabled", "cancelled", "completed")
_GOOD = (Reason.EXECUTED, Reason.RUNNING)
_BAD = (Reason.FAILED, Reason.LOST, Reason.MISSED, Reason.UNREADABLE)


def why(desk: Desk) -> Command:
    """The command."""

    @desk.command("why")
    @autocomplete(task=desk.tasks(*_STATUSES), when=_instants(desk))
    async def answer(asked: Asked, task: str, when: Range[str, 1, 100]) -> Reply:
        found = asked.find(task)
        meant = looked_back("when", when, zone=found.timezone, now=asked.now)
        found_of = await asyncio.to_thread(_explanations, asked, found, meant)
        return explained(found, found_of, asked.words)

    return answer


def _explanations(asked: Asked, task: TaskView, meant: Any) -> list[Explanation]:
    """Those of an instant; of a day, those of its slots, and where it had none, why."""
    audit, who = asked.audit, asked.principal
    if not isinstance(meant, LocalDay):
        return [audit.why(task.task_id, meant, principal=who)]
    slots = audit.slots(task.task_id, start=meant.start, end=meant.end, limit=MOST_SLOTS, principal=who)
    instants = [each.slot for each in slots] or [meant.at(task.definition.schedule.time)]
    return [audit.why(task.task_id, each, principal=who) for each in instants]


def explained(task: TaskView, explanations: Sequence[Explanation], words: Words) -> Reply:
    """The answers, each with its evidence. Pure."""
    zone = zone_info(task.timezone)
    cards = tuple(_card(task, each, words, zone, alone=len(explanations) == 1) for each in explanations[:MOST_SLOTS])
    return Reply(cards)


def _card(task: TaskView, found: Explanation, words: Words, zone: ZoneInfo, *, alone: bool) -> Card:
    about = found.slot or found.instant
    at = words("why.at", when=Marked(stamp(about)), local=f"{about.astimezone(zone):%Y-%m-%d %H:%M %Z}")
    entries: tuple[Entry, ...] = ()
    shown = found.evidence[: MOST_EVIDENCE if alone else 3]
    if shown:
        lines = [_evidence(each, words) for each in shown]
        if len(found.evidence) > len(shown):
            lines.append(f"+ {len(found.evidence) - len(shown)}")
        entries = (Entry(words("why.evidence"), "\n".join(lines)),)
    tone = Tone.GOOD if found.reason in _GOOD else Tone.BAD if found.reason in _BAD else Tone.CAREFUL
    text = f"{at}\n**{words('why.answer', answer=_sentence(words.told(found.answer)))}**"
    return Card(words("why.title", name=task.name), text, entries, words("task.id", id=short_id(task.task_id)), tone)


def _sentence(answer: str) -> str:
    return cut(answer[:1].upper() + answer[1:], 300)


def _evidence(each: Evidence, words: Words) -> str:
    when = Marked(stamp(each.at, "f") if each.at is not None else "")
    told = cut(words.told(each.words), 150)
    if each.position is None:
        return words("why.line", when=when, words=told)
    return words("why.proof", when=when, words=told, position=each.position)


def _instants(desk: Desk) -> Any:
    """Completes instants with the task's last slots, run or not, in its own zone."""

    async def complete(interaction: discord.Interaction[Any], current: str) -> list[Choice[str]]:
        if not desk.serving or interaction.guild_id is None:
            return []
        offered = ["yesterday", "today"]
        with suppress(DaybookError):  # no task is chosen yet, or one that is not there
            offered += _last_slots(desk, interaction)
        typed = current.strip()
        found = [text for text in offered if typed.lower() in text]
        own = [typed[:LONGEST]] if typed and not found else []
        return [Choice(name=text, value=text) for text in [*found, *own][:MOST]]

    return complete


def _last_slots(desk: Desk, interaction: discord.Interaction[Any]) -> list[str]:
    queries, who = desk.service.queries, reader_of(interaction)
    task = queries.task(str(getattr(interaction.namespace, "task", "") or ""), principal=who)
    runs = queries.runs(task_id=task.task_id, limit=MOST, principal=who)
    skips = queries.skips(task.task_id, limit=MOST, principal=who)
    slots = {run.slot for run in runs if run.slot is not None} | {skip.last for skip in skips}
    zone = zone_info(task.timezone)
    told = [f"{slot.astimezone(zone):%Y-%m-%d %H:%M}" for slot in sorted(slots, reverse=True)]
    return list(dict.fromkeys(told))
