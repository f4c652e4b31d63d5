"""The file of an export with history: one line a header, one line an event, one line at the end that vouches for all.

Every line is a JSON object. Events stand in the order of the log, decoded and under their full names, so that another
store can seal them with its own keys, and a person can read them. The last line holds the SHA-256 of all lines before
it: a file that is torn, cut or edited is noticed before anything is written.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any, NamedTuple
from uuid import UUID

from pydantic import ValidationError
from pydantic_core import from_json, to_json

from domain.errors import EventUnreadable, InvalidImport, PayloadErased
from domain.event import EVENT_TYPES, Event, short_name, utc

__all__ = [
    "EVERYTHING",
    "FORMAT",
    "LONGEST_LINE_BYTES",
    "EventLine",
    "Header",
    "HistoryReader",
    "HistoryWriter",
    "Scope",
    "is_history",
    "is_id",
]

FORMAT = "daybook-history/1"

LONGEST_LINE_BYTES = 16 * 1024 * 1024
"""No line of a file is longer; one event is a few hundred bytes."""

_PLACE = {"originator_id", "originator_version"}


class Scope(NamedTuple):
    """What an export holds: one task, one guild, or (both None) everything."""

    task_id: str | None = None
    guild_id: str | None = None

    def as_json(self) -> dict[str, Any]:
        """As the header says it."""
        if self.task_id is not None:
            return {"task": self.task_id}
        return {"all": True} if self.guild_id is None else {"guild": self.guild_id}


EVERYTHING = Scope()


class Header(NamedTuple):
    """The first line. ``expected_events`` is about how many follow: for progress, not for proof."""

    scope: Scope
    exported_at: datetime
    expected_tasks: int
    expected_events: int


class EventLine(NamedTuple):
    """One event of the file and the number of its line."""

    number: int
    event: Event


class HistoryWriter:
    """Events to the lines of a file. What cannot be read in the source is left out by stream, and the file says so."""

    def __init__(self, header: Header) -> None:
        self._header = header
        self._hash = sha256()
        self.events = 0
        self.tasks: set[UUID] = set()
        self.left_out: dict[str, str] = {}
        self.lost: set[str] = set()

    def lines(self, events: Iterable[Event | EventUnreadable]) -> Iterator[bytes]:
        """All lines, each with its line feed."""
        header = self._header
        yield self._counted(
            {
                "format": FORMAT,
                "exported_at": header.exported_at,
                "scope": header.scope.as_json(),
                "expected": {"tasks": header.expected_tasks, "events": header.expected_events},
            }
        )
        for event in events:
            if isinstance(event, EventUnreadable):
                if event.stream_id not in self.left_out:
                    self.left_out[event.stream_id] = str(event)
                    if not isinstance(event, PayloadErased):
                        self.lost.add(event.stream_id)
                    yield self._counted({"left_out": event.stream_id, "reason": str(event)})
            elif str(event.originator_id) not in self.left_out:
                yield self._counted(_line_of(event))
                self.events += 1
                if event.topic == "task.created":
                    self.tasks.add(event.originator_id)
        tasks = sum(1 for stream in self.tasks if str(stream) not in self.left_out)
        end = {"tasks": tasks, "events": self.events, "left_out": len(self.left_out)}
        yield to_json({"end": {**end, "sha256": self._hash.hexdigest()}}) + b"\n"

    def _counted(self, line: Mapping[str, Any]) -> bytes:
        text = to_json(line, timedelta_mode="iso8601") + b"\n"
        self._hash.update(text)
        return text


def _line_of(event: Event) -> dict[str, Any]:
    # In Python's values first: the log's own JSON has instants as numbers and short names, this one is for people.
    payload = event.__pydantic_serializer__.to_python(event, exclude=_PLACE, exclude_none=True, by_alias=False)
    return {
        "stream": event.originator_id,
        "version": event.originator_version,
        "topic": event.topic,
        "schema": event.schema_version,
        "event": payload,
    }


def is_history(first_line: bytes) -> bool:
    """Whether a file that begins so is an export with history, of whatever version."""
    try:
        header = json.loads(first_line)
    except ValueError:
        return False
    return isinstance(header, dict) and str(header.get("format", "")).startswith("daybook-history/")


def is_id(text: str) -> bool:
    """Whether a text is the id of a stream; that of a damaged row may be anything."""
    try:
        UUID(text)
    except ValueError:
        return False
    return True


@dataclass
class HistoryReader:
    """The lines of a file to events. Raises InvalidImport, which names the line, for anything that is not as written.

    ``header`` is there after ``begin``; ``digest``, ``left_out`` and the counts when ``events`` has come to its end.
    """

    lines: Iterator[bytes]
    header: Header = field(init=False)
    digest: str = ""
    left_out: dict[str, str] = field(default_factory=dict)
    count: int = 0
    _number: int = 0

    def begin(self) -> Header:
        """Read the first line."""
        self._hash = sha256()
        line = next(self.lines, b"")
        if not line:
            raise InvalidImport("file", "", "is empty", "give a file that `daybook export --history` wrote")
        self._number = 1
        header = self._object(line)
        self._hash.update(line)
        if (format := header.get("format")) != FORMAT:
            raise InvalidImport(
                "line 1", format, "is no format that this program reads", f"it reads {FORMAT}; a newer one may help"
            )
        try:
            expected, scope = header["expected"], header["scope"]
            self.header = Header(
                Scope(scope.get("task"), scope.get("guild")),
                utc(datetime.fromisoformat(header["exported_at"])),
                int(expected["tasks"]),
                int(expected["events"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InvalidImport("line 1", type(error).__name__, "is not a header of an export") from None
        return self.header

    def events(self) -> Iterator[EventLine]:
        """Every event in its order; the file is proven whole only when this has ended."""
        for line in self.lines:
            self._number += 1
            entry = self._object(line)
            if "end" in entry:
                self._check_end(entry["end"])
                return
            self._hash.update(line)
            if "left_out" in entry:
                self.left_out[str(entry["left_out"])] = str(entry.get("reason", ""))
                continue
            event = self._event(entry)
            self.count += 1
            yield EventLine(self._number, event)
        raise self._torn()

    def _torn(self) -> InvalidImport:
        return InvalidImport(
            f"line {self._number}", "", "is not the end of the file: it was cut off", "copy or export it again"
        )

    def _object(self, line: bytes) -> dict[str, Any]:
        if len(line) > LONGEST_LINE_BYTES:
            raise InvalidImport(self._place, len(line), "bytes are too many", f"at most {LONGEST_LINE_BYTES} a line")
        if not line.endswith(b"\n"):
            raise self._torn()
        try:
            entry = from_json(line, allow_inf_nan=False)
        except ValueError as error:
            raise InvalidImport(self._place, "", f"is not JSON: {error}", "copy or export the file again") from None
        if not isinstance(entry, dict):
            raise InvalidImport(self._place, type(entry).__name__, "is not an object", "each line is one")
        return entry

    @property
    def _place(self) -> str:
        return f"line {self._number}"

    def _event(self, entry: Mapping[str, Any]) -> Event:
        try:
            topic, schema, payload = entry["topic"], int(entry["schema"]), entry["event"]
            stream, version = UUID(str(entry["stream"])), int(entry["version"])
        except (KeyError, TypeError, ValueError):
            raise InvalidImport(self._place, "", "is not an event: stream, version, topic, schema, event") from None
        kind = EVENT_TYPES.get(str(topic))
        if kind is None or not isinstance(payload, dict):
            raise InvalidImport(f"{self._place}.topic", topic, "is unknown to this program", "a newer one may help")
        if not 0 < schema <= kind.schema_version:
            raise InvalidImport(f"{self._place}.schema", schema, "is unknown to this program", "a newer one may help")
        named = {short_name(name): value for name, value in payload.items()}
        try:
            if schema != kind.schema_version:
                named = kind.upcast(named, schema)
            place = {"originator_id": stream, "originator_version": version}
            return kind.__pydantic_validator__.validate_json(to_json({**named, **place}))  # type: ignore[no-any-return]
        except ValidationError as error:
            first = error.errors(include_input=False, include_context=False, include_url=False)[0]
            where = ".".join(str(part) for part in ("event", *first["loc"]))
            raise InvalidImport(f"{self._place}.{where}", topic, f"cannot be read: {first['msg']}") from None
        except Exception as error:
            # A payload that no program wrote may break an upcaster or a validator in any way.
            raise InvalidImport(self._place, topic, f"cannot be read: {type(error).__name__}") from error

    def _check_end(self, end: Any) -> None:
        self.digest = self._hash.hexdigest()
        if not isinstance(end, dict) or end.get("sha256") != self.digest:
            raise InvalidImport(
                self._place, "", "does not vouch for the lines before it: they were changed", "export the file again"
            )
        if end.get("events") != self.count or end.get("left_out") != len(self.left_out):
            raise InvalidImport(self._place, end.get("events"), f"events are promised, {self.count} are there")
        if next(self.lines, b""):
            raise InvalidImport(f"line {self._number + 1}", "", "follows the end", "remove it, or export again")
