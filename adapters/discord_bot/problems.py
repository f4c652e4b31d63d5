"""What went wrong, in words that say what to do. The one place where errors become answers."""

from __future__ import annotations

import secrets

import discord
import structlog
from discord import app_commands

from adapters.discord_bot.cards import Card, Reply, Tone
from adapters.discord_bot.texts import Marked, Words
from domain.errors import (
    DaybookError,
    Forbidden,
    InvalidInput,
    NotFound,
    ProcessingError,
    QuotaExceeded,
    Refused,
    StoreError,
    TaskEnded,
    TaskNotFound,
    shown,
)

__all__ = ["Expired", "problem"]

_log = structlog.get_logger(__name__)


class Expired(DaybookError):
    """What a button is about is not there any more: it was done or dropped, is a day old, or is somebody else's."""


def problem(error: BaseException, words: Words) -> Reply:
    """The answer to an error. What nobody foresaw is logged with a reference that the answer names."""
    while isinstance(error, app_commands.CommandInvokeError | app_commands.TransformerError) and error.__cause__:
        error = error.__cause__
    return Reply((Card(words("problems.title"), _words_of(error, words), tone=Tone.BAD),))


def _words_of(error: BaseException, words: Words) -> Marked:
    if isinstance(error, InvalidInput):
        return _of_input(error, words)
    if isinstance(error, QuotaExceeded):
        return words("problems.quota", problem=words.told(error.problem), remedy=words.told(error.remedy))
    if isinstance(error, Refused) and not isinstance(error, TaskEnded):
        return words("problems.refused", reason=words.told(error.reason))
    for kind, key in _KINDS:
        if isinstance(error, kind):
            return words(key, reason=words.told(str(error)))
    reference = secrets.token_hex(4)
    _log.error("interaction_failed", reference=reference, exc_info=error)
    return words("problems.unforeseen", reference=reference)


def _of_input(error: InvalidInput, words: Words) -> Marked:
    value = shown(error.value) if error.value not in (None, "") else ""
    key = "problems.invalid" if value else "problems.missing"
    told = words(key, field=error.field, value=value, problem=words.told(error.problem))
    if not error.remedy:
        return told
    return Marked(told + "\n" + words("problems.remedy", remedy=words.told(error.remedy)))


_KINDS: tuple[tuple[type[BaseException], str], ...] = (
    (Expired, "problems.expired"),
    (TaskNotFound, "problems.no_task"),
    (NotFound, "problems.not_found"),
    (TaskEnded, "problems.ended"),
    (Forbidden, "problems.forbidden"),
    (StoreError, "problems.store"),
    (ProcessingError, "problems.processing"),
    (DaybookError, "problems.other"),
    (app_commands.NoPrivateMessage, "problems.server_only"),
    (app_commands.CommandSignatureMismatch, "problems.outdated"),
    (app_commands.CommandNotFound, "problems.outdated"),
    (app_commands.CheckFailure, "problems.forbidden"),
    (discord.Forbidden, "problems.discord_forbidden"),
    (discord.HTTPException, "problems.discord"),
)
