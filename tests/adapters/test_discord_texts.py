"""Every language says the same as English does, within the limits of Discord."""

from __future__ import annotations

import re
from string import Formatter
from typing import Any

import discord
import pytest
from discord.app_commands import TranslationContext, TranslationContextLocation, locale_str

from adapters.discord_bot.texts import SOURCE, LanguageFiles, languages, locale_of, said, words_for
from tests.discord_double.limits import units

LIMITS = (
    (re.compile(r"\.description$"), 100),
    (re.compile(r"(^|\.)options\."), 100),
    (re.compile(r"^create\.(lengths|formats|frequencies|modes)\.|\.(filters|resets)\."), 100),
    (re.compile(r"^buttons\."), 80),
    (re.compile(r"^forms\."), 45),
    (re.compile(r"^create\.choose_"), 150),
)


def placeholders(text: str) -> set[str]:
    """The names in braces."""
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


@pytest.mark.parametrize("language", sorted(languages()))
def test_a_language_is_complete_and_adds_nothing(language: str) -> None:
    """Its keys and their placeholders are those of English."""
    own, source = languages()[language], languages()[SOURCE]
    assert set(own) == set(source)
    assert {key: placeholders(own[key]) for key in own} == {key: placeholders(source[key]) for key in source}


@pytest.mark.parametrize("language", sorted(languages()))
def test_what_discord_limits_is_within_its_limits(language: str) -> None:
    """Descriptions, options, choices, buttons, forms."""
    too_long = {
        key: units(text)
        for key, text in languages()[language].items()
        for pattern, limit in LIMITS
        if pattern.search(key) and not 0 < units(text) <= limit
    }
    assert too_long == {}


@pytest.mark.parametrize("language", sorted(languages()))
def test_a_file_is_named_as_discord_names_the_language(language: str) -> None:
    """Otherwise Discord never asks for it."""
    assert language == SOURCE or language in {locale.value for locale in discord.Locale}


def test_a_locale_is_served_by_the_language_that_fits_best() -> None:
    """English in all its kinds, and in place of what there is no file of."""
    assert locale_of(discord.Locale.british_english) == "en"
    assert locale_of(discord.Locale.german) == "de"
    assert locale_of(discord.Locale.finnish) == "en"
    assert words_for("de").plain("buttons.create") == "Anlegen"


class Shouting(discord.app_commands.Translator):
    """A translator of a host."""

    async def translate(self, string: locale_str, locale: discord.Locale, context: object) -> str | None:
        """Its own texts, loudly."""
        return string.message.upper()


async def test_the_translator_of_a_host_goes_on_translating_its_own_texts() -> None:
    """Ours are taken from the files, all others from the one that was there before."""
    translator = LanguageFiles(Shouting())
    context: TranslationContext[Any, Any] = TranslationContext(TranslationContextLocation.other, None)
    german = discord.Locale.german
    assert await translator.translate(locale_str("hello"), german, context) == "HELLO"
    assert await translator.translate(said("help.description"), german, context) == "Was du mit /schedule tun kannst"
    assert await LanguageFiles().translate(locale_str("hello"), german, context) is None
