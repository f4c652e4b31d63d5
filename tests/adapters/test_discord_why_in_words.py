"""Whatever `why` answers is said in every language that has a file of sentences, with its evidence."""

from __future__ import annotations

import re

import pytest

from adapters.discord_bot.texts import Words, words_for
from application.evidence import Explanation
from application.why import why
from tests.adapters.test_discord_sayings import LANGUAGES
from tests.application.why_parts import Row, history_of, moment, rows
from tests.e2e.test_discord_german import ENGLISH

QUOTED = re.compile(
    r"\((?:moving house|enough of it|better so|bank holiday|for the board|newer rules)[^)]*\)|no answer|\(\w+\.\w+\)"
)
"""What people and services said, which stays as they said it, and topics of events."""


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


def left_in_english(words: Words, sentence: str) -> list[str]:
    """What of it people do not understand who read no English."""
    return ENGLISH.findall(QUOTED.sub("", words.told(sentence)))
