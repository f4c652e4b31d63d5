"""Tasks as cards: one task whole, one after a change, many in a list. Pure: views in, plain data out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from adapters.discord_bot.cards import Button, Card, Entry, Reply, Tone, stamp
from adapters.discord_bot.texts import Marked, Words
from adapters.rendering import escape_markdown, one_line
from application.preview import Slot, next_slots
from application.views import TaskView
from domain.destination import Destination, DestinationType

__all__ = [
    "buttons_for",
    "changed",
    "channel_words",
    "destination_words",
    "local_words",
    "slot_lines",
    "task_card",
    "when_words",
]

Names = Callable[[str], str | None]
"""The name of a channel by its id, where it is known."""

_TONES = {"active": Tone.GOOD, "paused": Tone.CAREFUL, "disabled": Tone.BAD, "cancelled": Tone.BAD}


def changed(
    task: TaskView, words: Words, key: str, *, now: datetime, tone: Tone = Tone.GOOD, **values: object
) -> Reply:
    """A task right after a change: what was done, when it runs next, and what can be done now."""
    lines = [words(key, name=task.name, **values), when_words(task, words, now)]
    footer = words("task.id", id=task.task_id[:8])
    return Reply(
        (Card(words("task.title", name=task.name), "\n".join(lines), footer=footer, tone=tone),),
        (buttons_for(task, words),),
    )


def when_words(task: TaskView, words: Words, now: datetime) -> Marked:
    """When it runs next, or why it does not."""
    if task.next_run_time is not None:
        return words("task.next", at=Marked(stamp(task.next_run_time)), in_=Marked(stamp(task.next_run_time, "R")))
    if task.status == "paused" and task.paused_until is not None:
        return words("task.paused_until", at=Marked(stamp(task.paused_until)))
    key = f"task.{task.status}"
    return words(key, reason=task.status_reason or words.plain("task.no_reason"))


def buttons_for(task: TaskView, words: Words) -> tuple[Button, ...]:
    """What can be done with a task as it stands."""
    return ()


def slot_lines(slots: Sequence[Slot]) -> str:
    """Slots one below the other: in the reader's own time, how long until, and in the zone they are meant in."""
    return "\n".join(f"{stamp(s.utc)} · {stamp(s.utc, 'R')} · {local_words(s)}" for s in slots)


def local_words(slot: Slot) -> str:
    """``Mon 09:00 CET`` with what is odd about it."""
    told = f"{slot.local:%a %H:%M} {slot.abbreviation}"
    return f"{told} ({escape_markdown(slot.note)})" if slot.note else told


def channel_words(channel_id: str) -> str:
    """A channel as Discord shows it to who may see it; a channel mention pings nobody."""
    return f"<#{channel_id}>" if channel_id.isdigit() else escape_markdown(one_line(channel_id))


def destination_words(destination: Destination, words: Words) -> str:
    """Where a result goes, without any secret."""
    if destination.type is DestinationType.DISCORD_CHANNEL:
        told = channel_words(destination.target)
    elif destination.type is DestinationType.DISCORD_DM:
        told = words("destination.dm")
    else:
        place = destination.label or (destination.target if destination.type is not DestinationType.WEBHOOK else "")
        told = words("destination.other", kind=destination.type.value, place=place)
    return told if destination.enabled else words("destination.off", place=Marked(told))


def task_card(task: TaskView, words: Words, *, now: datetime, slots: int = 3) -> Card:
    """All of one task."""
    definition = task.definition
    coming = (
        next_slots(definition.schedule, after=max(now, task.accounted_until), count=slots) if task.is_active else ()
    )
    entries = [
        Entry(words("task.schedule"), f"{escape_markdown(task.schedule_in_words)}\n{escape_markdown(task.timezone)}"),
    ]
    if coming:
        entries.append(Entry(words("task.slots"), slot_lines(coming)))
    return Card(
        words("task.title", name=task.name),
        when_words(task, words, now),
        tuple(entries),
        words("task.id", id=task.task_id),
        _TONES.get(str(task.status), Tone.PLAIN),
    )
