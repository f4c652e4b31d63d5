"""What the application says in English is found in every language that has a file of such sentences."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from itertools import product
from string import Formatter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.discord_bot.sayings import Sayings
from adapters.discord_bot.texts import languages, words_for
from domain.schedule import Schedule
from domain.schedule_words import ENGLISH, describe
from tests.docs_pages import ROOT
from tests.properties.test_schedule_oracle import schedules

TOLD = ROOT / "adapters" / "discord_bot" / "locales" / "told"
LANGUAGES = sorted(path.stem for path in TOLD.glob("*.toml"))

SENTENCES = {
    **{name: (2, 3) for name in ("InvalidInput", "InvalidSchedule", "InvalidDestination", "InvalidTimezone")},
    **{name: (1,) for name in ("Refused", "NotDue", "TaskEnded", "StaleAttempt", "Failure", "ChannelInaccessible")},
    **{name: (1,) for name in ("FetchFailed", "SourceUnavailable")},
    **{name: (0,) for name in ("DeliveryFailed", "Quiet")},
    "QuotaExceeded": (4, 5),
    "_refuse": (1, 2),
    "_invalid": (0, 1),
}
"""Where the sentences stand among the arguments of what is raised or returned."""

SAID_TO_PEOPLE = tuple(
    f"{package}/{name}"
    for package, names in {
        "domain": "compiling cron definition destination draft guild holiday phrase_rules phrase_words phrases quotas "
        "retention schedule schedule_checks task task_runs task_state zone",
        "application": "access allowance collecting executor preview queries runner",
        "adapters/discord_bot": "create draft_card draft_changes drafting edit export looking_back moments places "
        "preview settings typed_schedule",
        "adapters": "discord_delivery discord_history webhook egress/addresses email_delivery/address",
    }.items()
    for name in names.split()
)
"""The modules whose refusals and reasons people on Discord meet."""


def sayings(language: str) -> Sayings:
    """The sentences of a language."""
    return Sayings(tomllib.loads((TOLD / f"{language}.toml").read_text("utf-8")))


def sentences(module: str) -> Iterator[str]:
    """What a module may say, with something in the place of what varies."""
    for node in ast.walk(ast.parse((ROOT / f"{module}.py").read_text("utf-8"))):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", None))
            for place in SENTENCES.get(str(name), ()):
                if place < len(node.args):
                    yield from _said(node.args[place])


def _said(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        parts = [[value.value] if isinstance(value, ast.Constant) else ["7", "paused"] for value in node.values]
        if any(isinstance(value, ast.Constant) and str(value.value).strip(" ;") for value in node.values):
            yield "|".join("".join(map(str, each)) for each in product(*parts))
    elif isinstance(node, ast.IfExp):
        yield from _said(node.body)
        yield from _said(node.orelse)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_refusal_and_reason_is_said_in_the_language(language: str) -> None:
    """Read from the code, so that a sentence that is added or changed is missed here first."""
    known = sayings(language)
    every = {text for module in SAID_TO_PEOPLE for text in sentences(module) if text}
    assert len(every) > 100
    assert sorted(text for text in every if not any(known.knows(one) for one in text.split("|"))) == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_sentence_varies_where_the_english_one_does(language: str) -> None:
    """No placeholder is lost, and none is added."""
    table = tomllib.loads((TOLD / f"{language}.toml").read_text("utf-8"))
    differing = {english: own for english, own in table.items() if _names(own) != _names(english)}
    assert differing == {}


def _names(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def test_a_sentence_within_a_sentence_is_said_too() -> None:
    """Where its name begins with a capital letter; what people wrote stays as it is."""
    known = Sayings({"is {State}": "ist {State}", "paused": "pausiert", "by {who}": "von {who}"})
    assert known("is paused") == "ist pausiert"
    assert known("by paused") == "von paused"
    assert known("is by somebody") == "ist von somebody"
    assert known("unheard of") == "unheard of"
    assert Sayings({})("is paused") == "is paused"


@given(st.text(max_size=200))
def test_any_text_can_be_looked_for(text: str) -> None:
    """What is no sentence comes back as it was."""
    known = sayings(LANGUAGES[0])
    assert known(text) == text or known.knows(text)


@given(schedules())
def test_every_schedule_is_said_in_every_language(schedule: Schedule) -> None:
    """Whatever its kind, bounds and policies; in English as the domain says it."""
    for language in languages():
        words = words_for(language)
        told = words.schedule(schedule)
        assert told
        assert (told == describe(schedule)) is (language == "en")


def test_the_words_of_schedules_have_the_same_placeholders() -> None:
    """A language may order them as it likes."""
    for language in languages():
        texts = {key: languages()[language][f"said.{key}"] for key in ENGLISH}
        assert {key: _names(text) for key, text in texts.items()} == {k: _names(t) for k, t in ENGLISH.items()}
