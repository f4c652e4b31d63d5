"""What is offered while somebody types: tasks by name, time zones, times of day, days."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Sequence
from datetime import datetime
from typing import Any

import discord
from discord.app_commands import Choice

from adapters.discord_bot.host import Service
from adapters.discord_bot.principals import reader_of
from adapters.discord_bot.texts import Words, words_for
from adapters.rendering import cut, one_line
from application.queries import ALIVE
from application.views import TaskView
from domain.zone import zone_info, zone_names

__all__ = ["Completer", "day_choices", "matching", "task_choices", "time_choices", "zone_choices"]

Completer = Callable[[discord.Interaction[Any], str], Coroutine[Any, Any, list[Choice[str]]]]
MOST, LONGEST = 25, 100
_POPULAR = (
    "UTC", "Europe/London", "Europe/Berlin", "Europe/Paris", "Europe/Madrid", "Europe/Istanbul", "Africa/Lagos",
    "America/New_York", "America/Chicago", "America/Denver", "America/Los_Angeles", "America/Toronto",
    "America/Sao_Paulo", "America/Mexico_City", "Asia/Kolkata", "Asia/Dubai", "Asia/Singapore", "Asia/Shanghai",
    "Asia/Tokyo", "Asia/Seoul", "Asia/Manila", "Australia/Sydney", "Australia/Perth", "Pacific/Auckland",
)  # fmt: skip
_HOURS = (9, 8, 7, 6, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 0, 1, 2, 3, 4, 5)
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def task_choices(service: Service, statuses: Sequence[str] = ()) -> Completer:
    """Completes the names of the tasks of the guild that it is typed in, and of no other; the value is the id."""

    async def complete(interaction: discord.Interaction[Any], current: str) -> list[Choice[str]]:
        if interaction.guild_id is None:
            return []
        found = service.queries.tasks(
            principal=reader_of(interaction),
            statuses=statuses or ALIVE,
            name_contains=current.strip(),
            limit=MOST,
        )
        words = words_for(interaction.locale)
        return [Choice(name=_told(task, words), value=task.task_id) for task in found]

    return complete


def _told(task: TaskView, words: Words) -> str:
    told = f"{one_line(task.name)} · {words.schedule(task.definition.schedule)}"
    if not task.is_active:
        told = f"{told} · {words.plain(f'list.filters.{task.status}')}"
    return cut(told, LONGEST) or task.task_id


def zone_choices(service: Service) -> Completer:
    """Completes zones by any part of their names, with the time that it is there."""

    async def complete(interaction: discord.Interaction[Any], current: str) -> list[Choice[str]]:
        now = service.clock.now()
        return [Choice(name=_zone_told(name, now), value=name) for name in matching(current, _POPULAR, zone_names())]

    return complete


def _zone_told(name: str, now: datetime) -> str:
    local = now.astimezone(zone_info(name))
    offset = f"{local:%z}"
    return cut(f"{name} · {local:%H:%M} · UTC{offset[:3]}:{offset[3:5]}", LONGEST)


def matching(current: str, first: Sequence[str], everything: Iterable[str]) -> list[str]:
    """Names that contain what was typed, the best first: at the start of a part, well known, alphabetical."""
    wanted = current.strip().casefold().replace(" ", "_")
    if not wanted:
        return list(first[:MOST])
    known = {name: number for number, name in enumerate(first)}
    found = [name for name in {*first, *everything} if wanted in name.casefold()]

    def rank(name: str) -> tuple[bool, int, str]:
        starts = any(part.startswith(wanted) for part in [name.casefold(), *name.casefold().split("/")])
        return (not starts, known.get(name, len(known)), name)

    return sorted(found, key=rank)[:MOST]


async def time_choices(interaction: discord.Interaction[Any], current: str) -> list[Choice[str]]:
    """Times of day: whole hours, and what was typed in between (``9:3`` offers 09:30)."""
    typed = current.strip().lower()
    times = [f"{hour:02}:{minute:02}" for minute in (0, 30, 15, 45) for hour in _HOURS]
    if not typed:
        return [Choice(name=time, value=time) for time in times[: len(_HOURS)]]
    found = [time for time in times if time.startswith(typed) or time.lstrip("0").startswith(typed)]
    own = [current.strip()[:LONGEST]] if not found else []
    return [Choice(name=time, value=time) for time in [*found, *own][:MOST]]


async def day_choices(interaction: discord.Interaction[Any], current: str) -> list[Choice[str]]:
    """Days that fit the frequency that was chosen: weekdays, days of the month, or the next dates."""
    typed = current.strip().lower()
    frequency = getattr(interaction.namespace, "frequency", None)
    found = [day for day in _days_for(frequency) if typed in day.lower()]
    own = [current.strip()[:LONGEST]] if typed and not found else []
    return [Choice(name=day, value=day) for day in [*found, *own][:MOST]]


def _days_for(frequency: str | None) -> list[str]:
    if frequency == "monthly":
        return [*(f"the {_ordinal(day)}" for day in (1, 15)), "the last day", "the first monday", "the last friday",
                *(f"the {_ordinal(day)}" for day in range(2, 32) if day != 15)]  # fmt: skip
    if frequency == "half-weekly":
        return ["monday and thursday", "tuesday and friday", "wednesday and sunday", "monday and friday"]
    if frequency == "once":
        return ["today", "tomorrow"]
    return list(_WEEKDAYS)


def _ordinal(day: int) -> str:
    if 10 <= day % 100 <= 20:
        return f"{day}th"
    return f"{day}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(day % 10, 'th') }"
