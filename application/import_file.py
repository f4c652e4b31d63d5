"""Files with the definitions of tasks, ours and the predecessor's, read into tasks. Pure: nothing is looked up.

What is wrong with one task is a value, so that a dry run can name every mistake at once; what is wrong with the whole
file is raised.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from application.predecessor import translated
from domain.definition import TaskDefinition, check_complete, check_definition
from domain.draft import define
from domain.errors import InvalidImport, InvalidInput
from domain.event import utc

__all__ = [
    "FORMAT",
    "LARGEST_IMPORT_BYTES",
    "MOST_IMPORTED",
    "Entry",
    "ImportedTask",
    "entries_of",
    "entries_of_files",
    "parse_entries",
    "parse_import",
]

LARGEST_IMPORT_BYTES = 64 * 1024 * 1024
MOST_IMPORTED = 100_000
DEEPEST = 20
FORMAT = "daybook-tasks/1"

_NOT_DEFINITION = {
    "id",
    "status",
    "is_active",
    "paused_until",
    "last_run",
    "run_count",
    "failure_count",
    "channel_name",
    "guild_name",
}


@dataclass(frozen=True, slots=True)
class ImportedTask:
    """One task of an import file, checked. ``given_id`` is the text that stands in the file where it is no id of ours.

    ``paused_until`` (aware UTC) is when its pause ends by itself. Without ``created_at`` in the file it is not
    ``anchored``: its schedule counts from the moment of the import. Of a task of the predecessor ``dropped`` names
    fields that meant nothing, and ``lost`` says what has no counterpart here.
    """

    id: UUID | None
    definition: TaskDefinition
    paused: bool
    place: str = ""
    given_id: str | None = None
    paused_until: datetime | None = None
    anchored: bool = True
    dropped: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()


class Entry(NamedTuple):
    """Where something stands in a file (or which file of a folder it is), and what it is."""

    place: str
    value: Any


def parse_import(text: bytes, *, now: datetime, default_timezone: str = "UTC") -> list[ImportedTask]:
    """All tasks of an export file, ours or the predecessor's. Raises InvalidImport that names the first bad place."""
    tasks = []
    for task in parse_entries(entries_of(text), now=now, default_timezone=default_timezone):
        if isinstance(task, InvalidImport):
            raise task
        tasks.append(task)
    return tasks


def entries_of(text: bytes) -> list[Entry]:
    """The tasks of one file as they stand there. Raises InvalidImport for a file that is no export."""
    document = _document(text)
    if isinstance(document, dict):
        _check_format(document)
    tasks = document.get("tasks") if isinstance(document, dict) else None
    if not isinstance(tasks, list):
        raise InvalidImport("file", type(document).__name__, "has no list of tasks", 'expected {"tasks": [...]}')
    return _few_enough([Entry(f"tasks[{index}]", entry) for index, entry in enumerate(tasks)])


def entries_of_files(files: Iterable[tuple[str, bytes | InvalidImport]]) -> list[Entry]:
    """The tasks of a folder with a file for each, as the predecessor kept them. A broken file stands as its error."""
    entries: list[Entry] = []
    for name, text in files:
        if isinstance(text, InvalidImport):
            entries.append(Entry(name, text))
            continue
        try:
            document = _document(text)
            if isinstance(document, dict):
                _check_format(document)
        except InvalidImport as error:
            problem = f"{error.field} {error.problem}" if text else "is empty: it was torn when it was written"
            mend = error.remedy if error.field == "format" else "mend it from a backup"
            remedy = f"{mend}, take it out of the folder, or leave out what is broken"
            entries.append(Entry(name, InvalidImport(name, error.value, problem, remedy)))
            continue
        if isinstance(document, dict) and isinstance(document.get("tasks"), list):
            entries += [Entry(f"{name}: tasks[{i}]", entry) for i, entry in enumerate(document["tasks"])]
        else:
            entries.append(Entry(name, document))
    return _few_enough(entries)


def _check_format(document: Mapping[str, Any]) -> None:
    """Refuse a file that says that it is laid out in another way. The predecessor's say nothing."""
    given = document.get("format")
    if given is None or given == FORMAT:
        return
    name, _, version = str(given).partition("/")
    if name == FORMAT.partition("/")[0] and version.isascii() and version.isdigit() and int(version) > 1:
        raise InvalidImport("format", given, "was written by a newer Daybook", f"upgrade this one; it reads {FORMAT}")
    raise InvalidImport("format", given, "is not known", f"give a file of the format {FORMAT}")


def _few_enough(entries: list[Entry]) -> list[Entry]:
    if len(entries) > MOST_IMPORTED:
        raise InvalidImport("tasks", len(entries), "are too many", f"at most {MOST_IMPORTED}")
    return entries


def parse_entries(
    entries: Sequence[Entry], *, now: datetime, default_timezone: str
) -> list[ImportedTask | InvalidImport]:
    """Each entry as a checked task, or as what is wrong with it, with its place."""
    found: list[ImportedTask | InvalidImport] = []
    first: dict[str, str] = {}
    for entry in entries:
        task = _checked(entry, now, default_timezone)
        if isinstance(task, ImportedTask) and (id := str(task.id or task.given_id or "")):
            if id in first:
                given = f"stands twice in what is imported: also at {first[id]}"
                task = InvalidImport(f"{entry.place}.id", id, given, "give each task once")
            else:
                first[id] = entry.place
        found.append(task)
    return found


def _checked(entry: Entry, now: datetime, default_timezone: str) -> ImportedTask | InvalidImport:
    place, value = entry
    if isinstance(value, InvalidImport):
        return value
    if not isinstance(value, dict):
        return InvalidImport(place, type(value).__name__, "is not an object", "each task is an object")
    try:
        return _task(place, value, now, default_timezone)
    except InvalidInput as error:
        named = InvalidImport(f"{place}.{error.field}", error.value, error.problem, error.remedy)
        named.__cause__ = error
        return named


def _document(text: bytes) -> Any:
    if len(text) > LARGEST_IMPORT_BYTES:
        raise InvalidImport("file", len(text), "bytes are too many", f"at most {LARGEST_IMPORT_BYTES}")
    if not text.strip():
        raise InvalidImport("line 1, column 1", "", "the file is empty", "give a file that `export` wrote")
    try:
        decoded = text.decode("utf-8-sig")
        return json.loads(decoded, object_pairs_hook=_without_duplicates, parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise InvalidImport(f"byte {error.start}", "", "is not UTF-8", "save the file as UTF-8") from None
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise InvalidImport(place, "", f"is not JSON: {error.msg}", "give a file that `export` wrote") from None
    except RecursionError:
        raise InvalidImport("file", "", "is nested too deeply", f"at most {DEEPEST} levels") from None


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidImport(f"key {twice}", twice, "stands twice in one object", "keep one of them")
    return result


def _no_constant(name: str) -> Any:
    raise InvalidImport("number", name, "is not JSON", "use ordinary numbers")


def _task(place: str, entry: Mapping[str, Any], now: datetime, default_timezone: str) -> ImportedTask:
    fields = {key: value for key, value in entry.items() if key not in _NOT_DEFINITION}
    anchored = isinstance(fields.get("schedule"), dict) or fields.get("created_at") is not None
    dropped, lost = tuple[str, ...](), tuple[str, ...]()
    if isinstance(fields.get("schedule"), dict):
        definition = _own(fields)
    else:
        fields, dropped, lost = translated(fields)
        definition = _predecessor(fields, now, default_timezone)
    check_definition(definition)
    check_complete(definition)
    # A task that was disabled comes back paused: whether it would still fail is not known here.
    active = entry.get("is_active", True) and entry.get("status") not in ("paused", "disabled")
    until = None
    if not active and entry.get("paused_until") is not None:
        until = utc(_instant("paused_until", str(entry["paused_until"])), "paused_until")
    id, given = _id(entry.get("id"))
    # A pause that has ended meanwhile is over.
    paused = not active and (until is None or until > now)
    return ImportedTask(id, definition, paused, place, given, until if paused else None, anchored, dropped, lost)


def _own(fields: dict[str, Any]) -> TaskDefinition:
    try:
        return TaskDefinition.model_validate_json(json.dumps(fields))
    except ValueError as error:
        raise _first_of(error) from None


def _predecessor(fields: dict[str, Any], now: datetime, default_timezone: str) -> TaskDefinition:
    for name in ("next_run", "created_at"):
        if isinstance(fields.get(name), str):
            fields[name] = _instant(name, fields[name])
    if fields.get("schedule_type") != "once":
        fields.pop("next_run", None)
    fields["timezone"] = fields.get("timezone") or default_timezone
    return define(fields, now=now)


def _instant(name: str, text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput(name, text, "is not a date and time", "write ISO 8601, 2026-11-23T09:00:00Z") from None


def _id(value: Any) -> tuple[UUID | None, str | None]:
    # An id of the file only ever becomes a UUID: never a path, never anybody else's text.
    try:
        return UUID(str(value)), None
    except ValueError:
        return None, None if value is None or value == "" else str(value)


def _first_of(error: ValueError) -> InvalidInput:
    errors = getattr(error, "errors", None)
    if callable(errors) and (first := next(iter(errors()), None)):
        place = ".".join(str(part) for part in first["loc"]) or "task"
        return InvalidInput(place, first.get("input"), first["msg"])
    return InvalidInput("task", str(error), "cannot be read")
