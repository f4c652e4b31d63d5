"""Tasks that were asked for and not yet confirmed. Pure, but for the shelf that holds them while people decide."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar
from uuid import UUID

from adapters.discord_bot.problems import Expired
from adapters.rendering import cut, one_line
from domain.destination import Destination, DestinationType
from domain.errors import InvalidInput
from domain.phrases import parse_phrase, say
from domain.schedule import Schedule
from domain.summary import SummaryLength
from domain.task import ScheduledTask

__all__ = ["FREQUENCIES", "Draft", "Drafts", "phrase_of", "schedule_said", "suggested_name"]

FREQUENCIES = (
    "daily",
    "weekdays",
    "weekly",
    "half-weekly",
    "monthly",
    "hourly",
    "every-4-hours",
    "fifteen-minutes",
    "once",
)
"""What ``frequency`` offers. The names are those of the kinds of schedule, and ``weekdays``."""

_HEADS = {
    "daily": "every day",
    "weekdays": "every weekday",
    "hourly": "every hour",
    "every-4-hours": "every 4 hours",
    "fifteen-minutes": "every 15 minutes",
}
_OF_THE_CLOCK = ("hourly", "every-4-hours", "fifteen-minutes")
MOST_DRAFTS = 1000


@dataclass(frozen=True, slots=True)
class Draft:
    """A task as it was asked for. Its id is the one that the task will have."""

    id: UUID
    guild_id: str
    user_id: str
    name: str
    schedule: Schedule
    channels: tuple[str, ...]
    targets: tuple[str, ...]
    format: str = "embed"
    length: str = SummaryLength.DETAILED.value
    min_messages: int | None = None

    def task(self, now: datetime) -> ScheduledTask:
        """The task that is made of it. Raises InvalidInput."""
        options: dict[str, Any] = {"summary_length": self.length}
        if self.min_messages is not None:
            options["min_messages"] = self.min_messages
        return ScheduledTask(
            id=self.id,
            now=now,
            name=self.name,
            guild_id=self.guild_id,
            schedule=self.schedule,
            channel_id=self.channels[0] if self.channels else "",
            channel_ids=self.channels[1:],
            destinations=[
                Destination(type=DestinationType.DISCORD_CHANNEL, target=target, format=self.format)
                for target in self.targets
            ],
            summary_options=options,
        )

    def changed(self, **fields: Any) -> Draft:
        """The same with some fields changed."""
        return replace(self, **fields)


class Unconfirmed(Protocol):
    """What a person was shown and has not confirmed yet."""

    @property
    def id(self) -> UUID: ...
    @property
    def guild_id(self) -> str: ...
    @property
    def user_id(self) -> str: ...


DraftT = TypeVar("DraftT", bound=Unconfirmed)


class Drafts(Generic[DraftT]):
    """The drafts of one process: at most 1,000, the oldest go. A restart forgets them, and people are told so."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, DraftT] = OrderedDict()

    def put(self, draft: DraftT) -> None:
        """Keep a draft, in place of the one with its id."""
        self._kept[str(draft.id)] = draft
        self._kept.move_to_end(str(draft.id))
        while len(self._kept) > MOST_DRAFTS:
            self._kept.popitem(last=False)

    def get(self, id: str, *, guild_id: str, user_id: str) -> DraftT:
        """The draft of this person in this guild. Raises Expired for others' as for unknown ones."""
        draft = self._kept.get(id)
        if draft is None or (draft.guild_id, draft.user_id) != (guild_id, user_id):
            raise Expired(f"no draft {id}")
        return draft

    def drop(self, id: str) -> None:
        """Forget a draft."""
        self._kept.pop(id, None)


def phrase_of(frequency: str | None, day: str | None, time: str | None) -> str:
    """The phrase that the options say together. Raises InvalidInput for options that do not go together."""
    if frequency is None:
        raise InvalidInput(
            "when", None, "is not said", 'choose a frequency, or type when: "every weekday at 9:00 in Europe/Berlin"'
        )
    if frequency in _OF_THE_CLOCK:
        for field, value in (("day", day), ("time", time)):
            if value:
                raise InvalidInput(field, value, f"has no place beside {frequency}", "leave it out")
        return _HEADS[frequency]
    if frequency in _HEADS and day:
        raise InvalidInput("day", day, f"has no place beside {frequency}", "choose weekly or monthly, or leave it out")
    if frequency == "once" and not day:
        raise InvalidInput("day", None, "is not said", "say on which day it runs once: tomorrow, 2026-12-24")
    heads = {
        "weekly": f"every {day or 'monday'}",
        "half-weekly": f"half-weekly on {day or 'monday and thursday'}",
        "monthly": f"every month on {day or 'the 1st'}",
        "once": f"once on {day}",
    }
    return f"{_HEADS.get(frequency) or heads[frequency]} at {time or '9:00'}"


def schedule_said(
    when: str | None, *, frequency: str | None, day: str | None, time: str | None, zone: str, now: datetime
) -> Schedule:
    """The schedule of the options of ``create``. Raises InvalidInput for what is said twice, or not understood."""
    if when is not None:
        for field, value in (("frequency", frequency), ("day", day), ("time", time)):
            if value is not None:
                raise InvalidInput(field, value, "says again what the phrase says", "give one of the two")
        return parse_phrase(when, now=now, default_timezone=zone)
    return parse_phrase(phrase_of(frequency, day, time), now=now, default_timezone=zone)


def suggested_name(channel: str, schedule: Schedule) -> str:
    """``#square, every day at 09:00``: what a task is called that was given no name."""
    said = say(schedule).replace(f" in {schedule.timezone}", "")
    return cut(f"#{one_line(channel)}, {said}", 100)
