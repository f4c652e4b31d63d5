"""``/schedule list``: the tasks of this server, page by page."""

from __future__ import annotations

from discord.app_commands import Range, choices

from adapters.discord_bot.cards import Button, Card, Menu, Option, Reply, press, stamp
from adapters.discord_bot.desk import Asked, Command, Desk
from adapters.discord_bot.texts import Marked, Words
from adapters.rendering import cut, one_line
from application.queries import ALIVE
from application.views import TaskView
from domain.runs import TaskStatus

__all__ = ["list_page", "list_tasks"]

PAGE = 8
ALL, GOING_ON = "all", "alive"
FILTERS = (GOING_ON, *(status.value for status in TaskStatus), ALL)
LONGEST_FILTER = 30
_SIGNS = {"active": "▶", "paused": "⏸", "disabled": "⛔", "cancelled": "✖", "completed": "✔"}


def list_tasks(desk: Desk) -> Command:
    """The command, its pages, and the menu that opens one of the tasks."""

    @desk.command("list")
    @choices(status=desk.choices("list.filters", FILTERS))
    async def answer(asked: Asked, status: str = GOING_ON, name: Range[str, 1, LONGEST_FILTER] = "") -> Reply:
        return _page(asked, 0, status, name)

    async def turned(asked: Asked, number: str, status: str, *name: str) -> Reply:
        return _page(asked, int(number), status, ":".join(name))

    desk.on("list", turned)
    return answer


def _page(asked: Asked, number: int, status: str, name: str) -> Reply:
    statuses = ALIVE if status == GOING_ON else () if status == ALL else (status,)
    found = asked.queries.tasks(
        principal=asked.principal,
        statuses=statuses,
        name_contains=name,
        archived=status == ALL,
        limit=PAGE + 1,
        offset=number * PAGE,
    )
    if not found and number:
        return _page(asked, 0, status, name)
    return list_page(found, asked.words, number, status, name)


def list_page(found: list[TaskView], words: Words, number: int, status: str, name: str) -> Reply:
    """One page of a list; ``found`` has one task more where there is another page. Pure."""
    shown = found[:PAGE]
    if not shown:
        key = "list.none_found" if name or status != GOING_ON else "list.none"
        return Reply((Card(words("list.title"), words(key)),))
    lines = [_line(task, words) for task in shown]
    buttons = (
        Button(words.plain("buttons.back"), press("list", number - 1, status, name), disabled=number == 0),
        Button(words.plain("buttons.on"), press("list", number + 1, status, name), disabled=len(found) <= PAGE),
    )
    options = tuple(
        Option(
            cut(one_line(task.name), 100), task.task_id, cut(one_line(words.schedule(task.definition.schedule)), 100)
        )
        for task in shown
    )
    rows = ((Menu(press("open"), options, words.plain("list.open")),),)
    paged = number > 0 or len(found) > PAGE
    footer = words("list.page", number=number + 1) if paged else ""
    return Reply((Card(words("list.title"), "\n".join(lines), footer=footer),), (buttons, *rows) if paged else rows)


def _line(task: TaskView, words: Words) -> str:
    if task.next_run_time is not None:
        when = words("list.next", in_=Marked(stamp(task.next_run_time, "R")))
    else:
        when = words(f"list.filters.{task.status}")
    sign = Marked(_SIGNS[str(task.status)] + ("❓" if task.unreadable else ""))
    schedule = cut(words.schedule(task.definition.schedule), 120)
    return words("list.line", sign=sign, name=cut(task.name, 80), schedule=schedule, when=when)
