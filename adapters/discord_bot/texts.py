"""Every text of the bot, in every language: one file a language under ``locales``, English is the source.

A language file is TOML with the keys of ``en.toml``. Placeholders stand in braces. Values that are put in are escaped,
unless they are Marked. Discord's client asks for command descriptions through discord.py's Translator; answers are
made in the language of the person who asked. What a language does not say is said in English.

Schedules are said by the domain with the words of a file (``[said]``, in English those of the domain itself).
Sentences that the application makes and the log keeps (reasons, refusals, answers of ``why``) are English; ``sayings``
finds them in the language's file under ``locales/told``.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import discord
from discord import app_commands
from discord.app_commands import locale_str

from adapters.discord_bot.sayings import Sayings
from adapters.rendering import cut, escape_markdown, one_line
from domain.errors import InvalidInput
from domain.phrases import parse_phrase
from domain.schedule import Schedule
from domain.schedule_words import ENGLISH, describe

__all__ = ["SOURCE", "LanguageFiles", "Marked", "Words", "languages", "locale_of", "said", "words_for"]

SOURCE = "en"
_FOLDER = Path(__file__).parent / "locales"
_EXTRA = "daybook"
_LONGEST_VALUE = 300
_ANY_INSTANT = datetime(2000, 1, 1, tzinfo=UTC)
"""What a schedule in the log says whole needs no present instant."""


class Marked(str):
    """Text that is Markdown already, and harmless."""

    __slots__ = ()


class Words:
    """The texts of one language."""

    def __init__(self, language: str, texts: Mapping[str, str]) -> None:
        self.language, self._texts = language, texts

    def __call__(self, key: str, /, **values: Any) -> Marked:
        """The text of a key with values put in. Raises KeyError for a key that is nowhere."""
        return Marked(self.plain(key, **{name: _harmless(value) for name, value in values.items()}))

    def plain(self, key: str, /, **values: Any) -> str:
        """The same where Markdown means nothing: labels, choices, titles of forms. Nothing is escaped."""
        text = self._texts.get(key)
        return (text if text is not None else languages()[SOURCE][key]).format(**values)

    def schedule(self, schedule: Schedule) -> str:
        """A schedule in words. Nothing is escaped."""
        return describe(schedule, _spoken(self.language))

    def told(self, sentence: str) -> str:
        """What the application says in English, in this language; what is not in its file stays English."""
        return _sayings(self.language)(sentence)

    def weekday(self, local: datetime) -> str:
        """The day of a local time, in two or three letters."""
        return self.plain("dates.weekdays").split()[local.weekday()]

    def listed(self, names: Sequence[str]) -> str:
        """Names one after the other, each in this language where it is told in its file."""
        return ", ".join(self.told(name) for name in names)

    def knows(self, key: str) -> bool:
        """Whether there is a text of this key."""
        return key in self._texts or key in languages()[SOURCE]


def _harmless(value: Any) -> str:
    if isinstance(value, Marked):
        return value
    return escape_markdown(cut(one_line(str(value)), _LONGEST_VALUE))


@cache
def languages() -> Mapping[str, Mapping[str, str]]:
    """The texts of every language by its tag (``de``, ``pt-BR``), flat: ``pause.options.until``."""
    english = {f"said.{key}": text for key, text in ENGLISH.items()}
    files = {path.stem: _read(path) for path in sorted(_FOLDER.glob("*.toml"))}
    return {tag: (english if tag == SOURCE else {}) | texts for tag, texts in files.items()}


def _read(path: Path) -> dict[str, str]:
    return _flat(tomllib.loads(path.read_text(encoding="utf-8")))


@cache
def _spoken(language: str) -> Mapping[str, str]:
    """The words of schedules in a language, English where it has none."""
    return {key: languages()[language].get(f"said.{key}", text) for key, text in ENGLISH.items()}


@cache
def _sayings(language: str) -> Sayings:
    path = _FOLDER / "told" / f"{language}.toml"
    return Sayings(_read(path) if path.exists() else {}, lambda text: _schedule_in(text, language))


def _schedule_in(text: str, language: str) -> str:
    """A schedule that the log says in English, in this language. Anything else as it is."""
    try:
        schedule = parse_phrase(text, now=_ANY_INSTANT, longest=_LONGEST_VALUE * 10)
    except InvalidInput:
        return text
    return describe(schedule, _spoken(language)) if describe(schedule) == text else text


def _flat(table: Mapping[str, Any], before: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in table.items():
        found |= _flat(value, f"{before}{key}.") if isinstance(value, Mapping) else {before + key: str(value)}
    return found


def locale_of(locale: discord.Locale | str) -> str:
    """The language file that fits a locale of Discord best: ``en-GB`` is served in English."""
    tag = str(locale)
    if tag in languages():
        return tag
    base = tag.partition("-")[0]
    return next((known for known in languages() if known.partition("-")[0] == base), SOURCE)


def words_for(locale: discord.Locale | str) -> Words:
    """The words for a person whose client speaks this language."""
    tag = locale_of(locale)
    return Words(tag, languages()[tag])


def said(key: str) -> locale_str:
    """A text as discord.py translates it when the tree is synced."""
    return locale_str(languages()[SOURCE][key], **{_EXTRA: key})


class LanguageFiles(app_commands.Translator):
    """Hands the texts of the language files to discord.py; other texts go to the translator that was there before."""

    def __init__(self, before: app_commands.Translator | None = None) -> None:
        self.before = before

    async def load(self) -> None:
        """Load the translator that was there before; files are read when they are first asked for."""
        if self.before is not None:
            await self.before.load()

    async def unload(self) -> None:
        """Unload the translator that was there before."""
        if self.before is not None:
            await self.before.unload()

    async def translate(
        self, string: locale_str, locale: discord.Locale, context: app_commands.TranslationContextTypes
    ) -> str | None:
        """The text in this language; None where it has no file or no such text."""
        key = string.extras.get(_EXTRA)
        if key is None:
            return await self.before.translate(string, locale, context) if self.before is not None else None
        tag = locale_of(locale)
        if tag == SOURCE:
            return None  # the English text is what stands there anyway
        return languages()[tag].get(key)
