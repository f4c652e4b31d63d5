"""What changed between two moments, as people read it and for programs: field by field, and command by command."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from adapters.cli import show
from adapters.cli.times import stamp
from domain.identity import short_id
from domain.task_erasure import ERASED

if TYPE_CHECKING:
    from application.history import Change
    from application.past import Difference
    from application.past_commands import Command

__all__ = ["differences_list", "print_differences", "value_words"]

LONGEST_VALUE = 300
"""A text that somebody wrote is cut here; it is whole in what programs are told."""

MOST_COMMANDS = 20
"""So many commands on one task or guild are shown, the last ones."""

_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)")

Named = Sequence[tuple[str, "Difference"]]


# --- for programs ---


def differences_list(found: Named) -> list[dict[str, Any]]:
    """One for each field that differs, then one for each task and guild with the commands, then what was erased."""
    changes = [_change_dict(name, one, change) for name, one in found for change in one.changes]
    commands = [_commands_dict(name, one) for name, one in found if one.commands or one.begun]
    return changes + commands + [_erased_dict(name, one) for name, one in found if one.erased]


def _change_dict(name: str, one: Difference, change: Change) -> dict[str, Any]:
    steps = [
        {"position": s.position, "at": s.at.isoformat(), "event": s.topic, "by": s.by, "reason": s.reason}
        for s in change.steps
    ]
    return {
        "stream": str(one.stream_id),
        "name": name,
        "field": change.name,
        "before": change.before,
        "after": change.after,
        "steps": steps,
    }


def _commands_dict(name: str, one: Difference) -> dict[str, Any]:
    commands = [
        {"position": c.position, "at": c.at.isoformat(), "event": c.topic, "what": c.what, "by": c.by,
         "reason": c.reason}
        for c in one.commands
    ]  # fmt: skip
    return {
        "stream": str(one.stream_id),
        "name": name,
        "existed_before": not one.begun,
        "commands": commands,
        "commands_left_out": one.left_out,
    }


def _erased_dict(name: str, one: Difference) -> dict[str, Any]:
    return {"stream": str(one.stream_id), "name": name, "erased": True, "events": one.events}


# --- for people ---


def print_differences(found: Named, zone: str) -> None:
    """What differs in the end, by whom and why; then every command in between, also one that another undid."""
    rows = [row for name, one in found for row in _rows(name, one, zone)]
    commands = [row for name, one in found for row in _command_rows(name, one, zone)]
    if not rows and not commands:
        show.line("Nothing changed.")
        return
    if rows:
        show.display(show.table(("whose", "field", "before", "after", "at", "by event", "who", "why"), rows))
    else:
        show.line("No field differs.")
    if commands:
        show.line()
        show.line("Commands in between:")
        show.display(show.table(("whose", "at", "what", "", "who", "why"), commands))


def _rows(name: str, one: Difference, zone: str) -> Iterator[tuple[Any, ...]]:
    if one.erased:
        events = "1 event" if one.events == 1 else f"{one.events} events"
        whose = short_id(str(one.stream_id)) if name == ERASED else show.plain(name)
        yield (whose, ERASED, "-", "-", "-", events, ERASED, ERASED)
        return
    if one.begun and one.schedule is not None:
        yield _begun(name, one, zone)
        return
    told = False
    for change in one.changes:
        if change.name.startswith("schedule.") and one.schedule is not None:
            if told:
                continue  # the words say all of it in one line
            told = True
            before, after = one.schedule
            yield (show.plain(name), "schedule", show.plain(before or "-"), show.plain(after), *_who(change, zone))
        elif not one.begun or not _empty(change.after):
            values = (value_words(change.name, value, zone) for value in (change.before, change.after))
            yield (show.plain(name), change.name, *values, *_who(change, zone))


def _begun(name: str, one: Difference, zone: str) -> tuple[Any, ...]:
    """A task that did not exist before: one line, for all of it is new."""
    last = {change.name: change for change in one.changes}
    status = last["status"].after if "status" in last else ""
    schedule = one.schedule[1] if one.schedule is not None else ""
    made = last["created_on"] if "created_on" in last else one.changes[0]
    return (
        show.plain(name), "all", "did not exist", show.plain(f"{status}: {schedule}"), *_who(made, zone),
    )  # fmt: skip


def _who(change: Change, zone: str) -> tuple[str, str, str, str]:
    """At, by which event, who and why: of the last event that changed it; how many others did before is said."""
    if not change.steps:
        return ("-", "-", "-", "-")
    last, others = change.steps[-1], len(change.steps) - 1
    event = _event(last.topic) + (f" (and {others} before)" if others else "")
    people = dict.fromkeys(step.by for step in reversed(change.steps) if step.by)
    return (stamp(last.at, zone), event, ", ".join(people) or "-", show.plain(last.reason or "-"))


def _command_rows(name: str, one: Difference, zone: str) -> Iterator[tuple[str, ...]]:
    shown = one.commands[-MOST_COMMANDS:]
    if more := one.left_out + len(one.commands) - len(shown):
        yield (show.plain(name), "-", f"and {more} more before", "", "-", "-")
    for command in shown:
        yield _command_row(name, command, zone)


def _command_row(name: str, command: Command, zone: str) -> tuple[str, ...]:
    return (
        show.plain(name), stamp(command.at, zone), _event(command.topic), _cut(show.plain(command.what)),
        show.plain(command.by), show.plain(command.reason or "-"),
    )  # fmt: skip


def _event(topic: str) -> str:
    return topic.removeprefix("task.").replace("_", " ").replace(".", " ")


# --- values ---


def value_words(name: str, value: Any, zone: str) -> str:
    """A field as people read it: instants in the zone, lists and parts by name, a dash for what is not there."""
    if name == "incident" and value:
        return _incident(value, zone)
    if name == "open_runs" and value:
        runs = ", ".join(str(run)[:10] for run in list(value)[:3])
        return f"{len(value)}: {runs}" + (" and more" if len(value) > 3 else "")
    return _cut(show.plain(_said(value, zone)))


def _incident(incident: tuple[str | None, bool, str | None], zone: str) -> str:
    """The trouble of a task: since when, and what people were told of it, or are to be told."""
    since, told, due = incident
    if since is None and due is None:
        return "-"
    news = f"{due.replace('_', ' ')} is still to be told" if due else f"people were {'' if told else 'not '}told"
    return f"{f'since {_said(since, zone)}' if since else 'over'}; {news}"


def _said(value: Any, zone: str) -> str:
    if _empty(value) and value is not False and value != 0:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        if "type" in value and "target" in value:
            return _place(value)
        return ", ".join(f"{name} {_said(inner, zone)}" for name, inner in value.items() if not _empty(inner)) or "-"
    if isinstance(value, list):
        return ("; " if any(isinstance(one, dict) for one in value) else ", ").join(_said(one, zone) for one in value)
    if isinstance(value, str) and _INSTANT.fullmatch(value):
        return stamp(datetime.fromisoformat(value), zone)
    return str(value)


def _place(place: dict[str, Any]) -> str:
    target = place.get("label") or place["target"]
    return f"{place['type']}{f':{target}' if target else ''}" + ("" if place.get("enabled", True) else " (off)")


def _empty(value: Any) -> bool:
    return value in (None, "", [], {}, 0)


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 1] + "…"
