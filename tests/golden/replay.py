"""Reads golden histories and says what follows from them: a program of its own, so that its surroundings can differ.

``python -m tests.golden.replay [CLOCK]`` prints the answers to every history as JSON. CLOCK is the instant that this
process takes for the present; nothing in the answers may depend on it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import time_machine

import application.projections  # the log's kinds of events are known once this is  # noqa: F401
from application.accounting import account
from application.history import fields_of
from application.ports import Recorded
from application.why import why
from domain.errors import EventUnreadable, PayloadErased
from domain.event import EVENT_TYPES, Event
from domain.node import NodeEvent

__all__ = ["FOLDER", "answers", "documents", "events_of", "plain_event"]

FOLDER = Path(__file__).parent
_PLACE = {"originator_id", "originator_version"}


def documents() -> dict[str, dict[str, Any]]:
    """Every golden history by its name."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.json"))}


def plain_event(position: int, event: Event | EventUnreadable) -> dict[str, Any]:
    """An event as a golden file has it: its payload is the log's, in clear."""
    if isinstance(event, EventUnreadable):
        return {"position": position, "topic": event.topic, "stream": event.stream_id, "erased": event.version}
    payload = event.model_dump(mode="json", exclude=_PLACE, exclude_none=True)
    return {
        "position": position,
        "topic": event.topic,
        "stream": str(event.originator_id),
        "version": event.originator_version,
        "schema": event.schema_version,
        "payload": payload,
    }


def events_of(value: Iterable[dict[str, Any]]) -> list[Recorded]:
    """The events of a golden file, by the code of today."""
    found = []
    for one in value:
        stream = UUID(one["stream"])
        if "erased" in one:
            found.append(Recorded(one["position"], PayloadErased(stream, one["erased"], one["topic"])))
            continue
        kind = EVENT_TYPES[one["topic"]]
        payload = one["payload"]
        if one["schema"] != kind.schema_version:
            payload = kind.upcast(dict(payload), one["schema"])
        text = json.dumps({**payload, "originator_id": str(stream), "originator_version": one["version"]})
        found.append(Recorded(one["position"], kind.model_validate_json(text)))
    return found


def answers(document: dict[str, Any]) -> dict[str, Any]:
    """What follows from a history: the state, the account, and why of each instant that is asked for."""
    recorded = events_of(document["events"])
    events = [one for one in recorded if not isinstance(one.event, NodeEvent)]
    nodes = [one for one in recorded if isinstance(one.event, NodeEvent)]
    now = datetime.fromisoformat(document["now"])
    total = account(events, now=now)
    return {
        "state": _state(events),
        "account": {
            "implied": total.implied,
            "fates": {fate.value: count for fate, count in sorted(total.fates.items())},
            "manual": dict(sorted(total.manual.items())),
            "findings": [[finding.kind.value, finding.words] for finding in total.findings],
            "adds_up": total.adds_up,
        },
        "why": {instant: _why(events, nodes, datetime.fromisoformat(instant), now) for instant in document["asked"]},
    }


def _state(events: list[Recorded]) -> dict[str, Any]:
    task: Any = None
    for _, event in events:
        if isinstance(event, EventUnreadable):
            return {"unreadable": str(event)}
        task = event.mutate(task)
    fields: dict[str, Any] = fields_of(task)
    return fields


def _why(events: list[Recorded], nodes: list[Recorded], instant: datetime, now: datetime) -> dict[str, Any]:
    found = why(events, nodes, instant, now=now)
    return {
        "reason": found.reason.value,
        "answer": found.answer,
        "slot": found.slot.isoformat() if found.slot else None,
        "fate": found.fate.value if found.fate else None,
        "evidence": [[one.position, one.at.isoformat() if one.at else None, one.words] for one in found.evidence],
    }


def main(clock: str | None) -> None:
    """Print all answers."""
    traveller = time_machine.travel(datetime.fromisoformat(clock), tick=False) if clock else None
    if traveller is not None:
        traveller.start()
    found = {name: answers(document) for name, document in documents().items()}
    if traveller is not None:
        traveller.stop()
    sys.stdout.write(json.dumps(found, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
