"""Whatever `why` answers is said in every language that has a file of sentences, with its evidence."""

from __future__ import annotations

import re

import pytest

from adapters.discord_bot.texts import Words, words_for
from application.evidence import Explanation
from application.ports import Recorded
from application.why import why
from domain.errors import EventsMissing, EventUnreadable
from domain.task_erasure import Erased, Tally
from tests.adapters.test_discord_sayings import LANGUAGES
from tests.application.why_parts import Row, history_of, moment, rows
from tests.e2e.test_discord_german import ENGLISH

QUOTED = re.compile(
    r"\((?:moving house|enough of it|better so|bank holiday|for the board|newer rules)[^)]*\)|no answer"
    r"|\((?:\w+\.\w+|missing)\)|Independence Day"
)
"""What people and services said, which stays as they said it, topics of events, and names of holidays."""


def explanation(row: Row) -> Explanation:
    """What the program answers to a row of the decision table."""
    history = history_of(row.history)
    return why(history.recorded, history.recorded_nodes, moment(row.asked), now=history.now)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("row", rows(), ids=lambda row: f"{row.reason}: {row.history}")
def test_every_row_of_the_decision_table_is_said_in_the_language(row: Row, language: str) -> None:
    """The answer and all evidence: no word of English is left but what people said."""
    words = words_for(language)
    found = explanation(row)
    for sentence in (found.answer, *(one.words for one in found.evidence)):
        assert left_in_english(words, sentence) == [], sentence


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_erasure_and_what_is_missing_are_said_in_the_language(language: str) -> None:
    """Beside the table: a task that was erased, one of which an event is gone, and a process that cannot be read."""
    words = words_for(language)
    lived = history_of("08:30 make type=hourly catch_up=skip; 08:31 up n1; 09:00 serve; 10:20 claim; 10:30 now")
    task, [node] = lived.recorded, lived.recorded_nodes
    end = Erased(
        originator_id=lived.task.id, originator_version=9, timestamp=lived.now, guild_id="1", by="ann", tally=Tally()
    )
    gone = Recorded(task[1].position, EventsMissing(lived.task.id, 2, 3))
    unread = node._replace(event=EventUnreadable(lived.task.id, 1, "node.started", "truncated"))
    for events, nodes, at in (
        ([*task, Recorded(99, end)], [], "09:00"),
        ([task[0], gone, *task[3:]], [], "09:00"),
        (task, [unread], "10:00"),
    ):
        found = why(events, nodes, moment(at), now=lived.now)
        for sentence in (found.answer, *(one.words for one in found.evidence)):
            assert left_in_english(words, sentence) == [], sentence


def left_in_english(words: Words, sentence: str) -> list[str]:
    """What of it people do not understand who read no English."""
    return ENGLISH.findall(QUOTED.sub("", words.told(sentence)))
