"""Tasks as cards: one task whole, one after a change, many in a list. Pure: views in, plain data out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from adapters.discord_bot.cards import Button, Card, Entry, Reply, Tone, press, stamp
from adapters.discord_bot.texts import Marked, Words
from adapters.rendering import cut, escape_markdown, one_line
from application.preview import Slot, next_slots
from application.views import RunView, TaskView
from domain.definition import TaskDefinition
from domain.destination import Destination, DestinationType
from domain.identity import short_id

__all__ = [
    "buttons_for",
    "changed",
    "channel_words",
    "destination_words",
    "local_words",
    "slot_lines",
    "source_lines",
    "task_card",
    "when_words",
]

MOST_LINES = 15

_TONES = {"active": Tone.GOOD, "paused": Tone.CAREFUL, "disabled": Tone.BAD, "cancelled": Tone.BAD}


def changed(
    task: TaskView, words: Words, key: str, *, now: datetime, tone: Tone = Tone.GOOD, **values: object
) -> Reply:
    """A task right after a change: what was done, when it runs next, and what can be done now."""
    lines = [words(key, name=task.name, **values), when_words(task, words)]
    footer = words("task.id", id=short_id(task.task_id))
    card = Card(words("task.title", name=task.name), "\n".join(lines), footer=footer, tone=tone)
    row = buttons_for(task, words)
    return Reply((card,), (row,) if row else ())


def when_words(task: TaskView, words: Words) -> Marked:
    """When it runs next, or why it does not; and whether events of it are missing that may say otherwise."""
    when = _when(task, words)
    if not task.unreadable:
        return when
    return Marked(f"{when}\n{words('task.unreadable', count=task.unreadable)}")


def _when(task: TaskView, words: Words) -> Marked:
    if task.next_run_time is not None:
        return words("task.next", at=Marked(stamp(task.next_run_time)), in_=Marked(stamp(task.next_run_time, "R")))
    reason = words.told(task.status_reason) if task.status_reason else words.plain("task.no_reason")
    if task.status == "paused" and task.paused_until is not None:
        return words("task.paused_until", at=Marked(stamp(task.paused_until)), reason=reason)
    return words(f"task.{task.status}", reason=reason)


def buttons_for(task: TaskView, words: Words) -> tuple[Button, ...]:
    """What can be done with a task as it stands; nothing with one that has ended."""
    if str(task.status) in ("cancelled", "completed"):
        return ()
    id = task.task_id
    if task.is_active:
        change: tuple[Button, ...] = (
            Button(words.plain("buttons.skip"), press("skip", id)),
            Button(words.plain("buttons.pause"), press("pause", id)),
        )
    else:
        change = (Button(words.plain("buttons.resume"), press("resume", id), "success"),)
    return (
        Button(words.plain("buttons.run"), press("run", id), "primary"),
        *change,
        Button(words.plain("buttons.cancel"), press("cancel", id), "danger"),
    )


def slot_lines(slots: Sequence[Slot], words: Words) -> str:
    """Slots one below the other: in the reader's own time, how long until, and in the zone they are meant in."""
    return "\n".join(f"{stamp(s.utc)} · {stamp(s.utc, 'R')} · {local_words(s, words)}" for s in slots)


def local_words(slot: Slot, words: Words) -> str:
    """``Mon 09:00 CET`` with what is odd about it."""
    told = f"{words.weekday(slot.local)} {slot.local:%H:%M} {slot.abbreviation}"
    return f"{told} ({escape_markdown(words.told(slot.note))})" if slot.note else told


def channel_words(channel_id: str) -> str:
    """A channel as Discord shows it to who may see it; a channel mention pings nobody."""
    return f"<#{channel_id}>" if channel_id.isdigit() else escape_markdown(one_line(channel_id))


def source_lines(definition: TaskDefinition, words: Words) -> str:
    """What a task summarizes: its channels, or a category with what is left out of it; and whether each by itself."""
    lines = _shortened(map(channel_words, definition.all_channel_ids))
    if definition.category_id:
        lines.append(words("task.category", category=Marked(channel_words(definition.category_id))))
        if definition.excluded_channel_ids:
            excluded = _shortened(map(channel_words, definition.excluded_channel_ids))
            lines.append(words("task.without", channels=Marked(", ".join(excluded))))
    if definition.category_mode == "individual":
        lines.append(words("task.individual"))
    return "\n".join(lines) or words("edit.none")


def destination_words(destination: Destination, words: Words) -> str:
    """Where a result goes, without any secret."""
    if destination.type is DestinationType.DISCORD_CHANNEL:
        told = channel_words(destination.target)
    elif destination.type is DestinationType.DISCORD_DM:
        told = words("destination.dm")
    else:
        place = destination.label or (destination.target if destination.type is not DestinationType.WEBHOOK else "")
        kind = words.plain(f"destination.kinds.{destination.type.value}")
        told = words("destination.other", kind=kind, place=place)
    return told if destination.enabled else words("destination.off", place=Marked(told))


def task_card(task: TaskView, words: Words, *, now: datetime, runs: Sequence[RunView] = (), slots: int = 3) -> Card:
    """All of one task, with its last runs."""
    definition = task.definition
    entries = []
    if definition.all_channel_ids or definition.category_id:
        entries.append(Entry(words("task.sources"), source_lines(definition, words), inline=True))
    if definition.destinations:
        entries.append(Entry(words("task.targets"), _lines(_destinations(task, words)), inline=True))
    entries.append(
        Entry(
            words("task.schedule"),
            f"{escape_markdown(words.schedule(definition.schedule))}\n{words('task.zone', zone=task.timezone)}",
        )
    )
    if task.is_active and (coming := next_slots(definition.schedule, after=task.slots_after(now), count=slots)):
        entries.append(Entry(words("task.slots"), slot_lines(coming, words)))
    if runs:
        entries.append(Entry(words("task.runs"), "\n".join(run_line(run, words) for run in runs)))
    meta = task.metadata
    counts = words(
        "task.counts",
        executed=meta.execution_count - meta.failure_count,
        failed=meta.failure_count,
        skipped=meta.skipped_runs,
        left_out=meta.skipped_slots,
    )
    tone = _TONES.get(str(task.status), Tone.PLAIN)
    text = f"{when_words(task, words)}\n{counts}"
    return Card(words("task.title", name=task.name), text, tuple(entries), words("task.id", id=task.task_id), tone)


def run_line(run: RunView, words: Words) -> str:
    """One run on one line: when, what became of it, and why."""
    at = run.slot or run.requested_at or run.started_at
    when = Marked(stamp(at, "f")) if at is not None else Marked("")
    what = words(f"run.states.{run.state}") if words.knows(f"run.states.{run.state}") else run.state
    reason = words.told(run.error or run.reason or run.note or "")
    if run.messages is not None and run.state == "executed":
        return words("run.line_messages", when=when, what=what, count=run.messages)
    return words("run.line_reason" if reason else "run.line", when=when, what=what, reason=cut(reason, 200))


def _destinations(task: TaskView, words: Words) -> Iterator[str]:
    for destination in task.definition.destinations:
        told = destination_words(destination, words)
        refused = destination.key in task.disabled_destinations
        yield words("destination.refused", place=Marked(told)) if refused else told


def _lines(texts: Iterable[str]) -> str:
    """One below the other."""
    return "\n".join(_shortened(texts))


def _shortened(texts: Iterable[str]) -> list[str]:
    """As many as an embed takes, and how many more there are."""
    every = list(texts)
    shown = every[:MOST_LINES]
    return [*shown, f"+ {len(every) - len(shown)}"] if len(every) > len(shown) else shown
