"""``/schedule history``: what became of a task's runs, page by page, the newest first."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from discord.app_commands import autocomplete, choices

from adapters.discord_bot.cards import Button, Card, Entry, Reply, press, stamp
from adapters.discord_bot.desk import Asked, Command, Desk
from adapters.discord_bot.task_cards import destination_words
from adapters.discord_bot.texts import Marked, Words
from adapters.rendering import cut
from application.evidence import length
from application.views import DeliveryView, RunView, SkipView, TaskView
from domain.destination import place_of

__all__ = ["history"]

PAGE = 5
MOST_SKIPS, MOST_DELIVERIES = 3, 6
LAST_PAGE = 1_000_000
ALL = "all"
STATES = ("executed", "failed", "skipped", "running", ALL)
_ENDED = ("active", "paused", "disabled", "cancelled", "completed")
_ON_TIME = timedelta(seconds=1)


def history(desk: Desk) -> Command:
    """The command, the button of the same effect, and its pages."""

    @desk.command("history")
    @autocomplete(task=desk.tasks(*_ENDED))
    @choices(state=desk.choices("history.filters", STATES))
    async def answer(asked: Asked, task: str, state: str = ALL) -> Reply:
        return _page(asked, asked.find(task), 0, state)

    async def turned(asked: Asked, number: str, state: str, task_id: str) -> Reply:
        task = asked.queries.task(task_id, principal=asked.principal)
        return _page(asked, task, min(int(number), LAST_PAGE), state)

    desk.on("history", turned)
    return answer


def _page(asked: Asked, task: TaskView, number: int, state: str) -> Reply:
    runs = asked.queries.runs(
        task_id=task.task_id,
        states=() if state == ALL else (state,),
        limit=PAGE + 1,
        offset=number * PAGE,
        principal=asked.principal,
    )
    if not runs and number:
        return _page(asked, task, 0, state)
    first = number == 0 and state in (ALL, "skipped")
    skips = asked.queries.skips(task.task_id, limit=MOST_SKIPS, principal=asked.principal) if first else []
    return history_page(task, runs, skips, asked.words, number=number, state=state)


def history_page(
    task: TaskView, runs: Sequence[RunView], skips: Sequence[SkipView], words: Words, *, number: int, state: str
) -> Reply:
    """One page; ``runs`` has one more where there is another page. Pure."""
    places = {each.key: destination_words(each, words) for each in task.definition.destinations}
    entries = [_entry(run, places, words) for run in runs[:PAGE]]
    if skips:
        lines = [_skip(each, words) for each in skips]
        entries.append(Entry(words("history.not_run"), "\n".join(lines)))
    paged = number > 0 or len(runs) > PAGE
    meta = task.metadata
    counts = words(
        "task.counts",
        executed=meta.execution_count - meta.failure_count,
        failed=meta.failure_count,
        skipped=meta.skipped_runs,
        left_out=meta.skipped_slots,
    )
    text = counts if runs else f"{counts}\n{words('history.none')}"
    footer = words("list.page", number=number + 1) if paged else ""
    card = Card(words("history.title", name=task.name), text, tuple(entries), footer)
    return Reply((card,), (_buttons(task, words, number, state, more=len(runs) > PAGE),) if paged else ())


def _buttons(task: TaskView, words: Words, number: int, state: str, *, more: bool) -> tuple[Button, ...]:
    back, on = (press("history", to, state, task.task_id) for to in (number - 1, number + 1))
    return (
        Button(words.plain("buttons.back"), back, disabled=number == 0),
        Button(words.plain("buttons.on"), on, disabled=not more),
    )


def _entry(run: RunView, places: dict[str, str], words: Words) -> Entry:
    """One run: which slot it was for, how late it began, what came of it, and where that went."""
    key = f"run.states.{run.state}"
    what = words(key) if words.knows(key) else run.state
    at = run.slot or run.requested_at or run.started_at
    when = Marked(stamp(at, "f") if at is not None else "")
    lines: list[str] = [words("history.slot" if run.slot is not None else "history.requested", when=when)]
    facts = []
    if run.lateness_seconds is not None and timedelta(seconds=run.lateness_seconds) >= _ON_TIME:
        facts.append(words("history.late", length=length(timedelta(seconds=run.lateness_seconds))))
    elif run.slot is not None and run.started_at is not None:
        facts.append(words("history.on_time"))
    if run.duration_seconds is not None:
        facts.append(words("history.took", length=length(timedelta(seconds=run.duration_seconds))))
    if run.attempt > 1:
        facts.append(words("history.attempts", count=run.attempt))
    if run.messages is not None:
        facts.append(words("history.messages", count=run.messages))
    if facts:
        lines.append(" · ".join(facts))
    if reason := run.error or run.reason or run.note:
        lines.append(words("history.reason", reason=cut(words.told(reason), 200)))
    lines += [_delivery(each, places, words) for each in run.deliveries[:MOST_DELIVERIES]]
    if len(run.deliveries) > MOST_DELIVERIES:
        lines.append(f"+ {len(run.deliveries) - MOST_DELIVERIES}")
    return Entry(what, "\n".join(lines))


def _delivery(each: DeliveryView, places: dict[str, str], words: Words) -> str:
    place = Marked(
        places.get(place_of(each.destination))
        or words("history.former", kind=words.plain(f"destination.kinds.{each.type}"))
    )
    if each.status == "delivered":
        return words("run.delivered", place=place)
    return words("run.not_delivered", place=place, reason=cut(words.told(each.reason or each.status), 100))


def _skip(skip: SkipView, words: Words) -> str:
    first, last = (Marked(stamp(at, "f")) for at in (skip.first, skip.last))
    key = "history.skip" if skip.count == 1 else "history.skips"
    known = f"history.because.{skip.reason}"
    reason = words(known) if words.knows(known) else skip.reason
    return words(key, first=first, last=last, count=skip.count, reason=reason)
