"""Errors of a run, classified once: whether trying again can help, and what to call it."""

from __future__ import annotations

from application.masking import said, seconds_asked
from application.work import Failure
from domain.errors import (
    DeliveryFailed,
    InsufficientContent,
    InvalidInput,
    ProcessingError,
    SourceRateLimited,
    SourceUnavailable,
)

__all__ = ["classify", "is_quiet"]


def is_quiet(error: BaseException) -> bool:
    """Whether the error says that there were too few messages; a host's own class counts by its two attributes."""
    return isinstance(error, InsufficientContent) or (
        hasattr(error, "message_count") and hasattr(error, "min_required")
    )


def classify(error: BaseException) -> Failure:
    """What an error of collecting, summarizing or a custom operation means for the attempt.

    Its text is written down for ever and shown to many: secrets are masked, and it is at most 1,000 characters.
    """
    text = said(error)
    if isinstance(error, TimeoutError):
        return Failure("deadline", text or "the attempt took longer than its deadline")
    if isinstance(error, SourceRateLimited):
        return Failure("source", text, retry_after_seconds=seconds_asked(error.retry_after_seconds))
    if isinstance(error, ProcessingError):
        return Failure("source", text, permanent=error.permanent, unbegun=isinstance(error, SourceUnavailable))
    if isinstance(error, DeliveryFailed):
        return Failure("delivery", text, error.permanent, seconds_asked(error.retry_after_seconds))
    if isinstance(error, InvalidInput):
        return Failure("input", text, permanent=True)
    return Failure("error", said(f"{type(error).__name__}: {text}") if text else type(error).__name__)
