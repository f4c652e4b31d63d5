"""``python -m tests.golden``: write the golden histories that are not there yet; ``--anew NAME`` answers one again.

A file that is there is a promise: its events were written by code of its day, and must give the same answers for ever.
Answers are written again only where one was wrong, or said too little, by name, and the change of the file is then read
like a change of code. Events are never written again.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from application.ports import Recorded
from application.tallies import tally_of
from domain.errors import PayloadErased
from domain.task_erasure import Erased
from tests.application.why_parts import History, history_of, moment
from tests.golden.histories import TOLD, Told
from tests.golden.replay import FOLDER, answers, plain_event


def document_of(told: Told) -> dict[str, Any]:
    """A history with its questions, and the answers of today."""
    history = history_of(told.steps)
    recorded = _erased(history) if told.erased else history.recorded
    document = {
        "about": told.about,
        "now": moment(told.now).isoformat(),
        "asked": [moment(text).isoformat() for text in told.asked],
        "events": [plain_event(*one) for one in (*recorded, *history.recorded_nodes)],
    }
    return {**document, "answers": answers(document)}


def _erased(history: History) -> list[Recorded]:
    """The same after the erasure of its guild: nothing is readable but the numbers at the end."""
    before = history.recorded
    end = Erased(
        originator_id=history.task.id,
        originator_version=history.task.version + 1,
        timestamp=history.now,
        guild_id="1",
        by="operator",
        tally=tally_of(before, now=history.now),
    )
    gone = [
        Recorded(one.position, PayloadErased(end.originator_id, number, one.event.topic))
        for number, one in enumerate(before, 1)
    ]
    return [*gone, Recorded(len(gone) + 1, end)]


def main(arguments: list[str]) -> None:
    """Write what is missing, and the answers of what is named after ``--anew``."""
    anew = arguments[1:] if arguments[:1] == ["--anew"] else []
    if unknown := [name for name in anew if name not in TOLD]:
        sys.exit(f"unknown: {', '.join(unknown)}; there are {', '.join(TOLD)}")
    for name, told in TOLD.items():
        path = FOLDER / f"{name}.json"
        if path.exists() and name not in anew:
            continue
        document = json.loads(path.read_text(encoding="utf-8")) if path.exists() else document_of(told)
        document["answers"] = answers(document)
        path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        sys.stdout.write(f"wrote {path.name}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
