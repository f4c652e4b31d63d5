"""Errors of a run, classified once: whether trying again can help, and what to call it."""

from __future__ import annotations

from application.work import Failure
from domain.errors import DeliveryFailed, InsufficientContent, InvalidInput, ProcessingError, SourceRateLimited

__all__ = ["classify", "is_quiet"]


def is_quiet(error: BaseException) -> bool:
    """Whether the error says that there were too few messages; a host's own class counts by its two attributes."""
    return isinstance(error, InsufficientContent) or (
        hasattr(error, "message_count") and hasattr(error, "min_required")
    )


def classify(error: BaseException) -> Failure:
    """What an error of collecting, summarizing or a custom operation means for the attempt."""
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if isinstance(error, TimeoutError):
        return Failure("deadline", str(error) or "the attempt took longer than its deadline")
    if isinstance(error, SourceRateLimited):
        return Failure("source", str(error), retry_after_seconds=error.retry_after_seconds)
    if isinstance(error, ProcessingError):
        return Failure("source", str(error), permanent=error.permanent)
    if isinstance(error, DeliveryFailed):
        return Failure("delivery", str(error), error.permanent, error.retry_after_seconds or 0)
    if isinstance(error, InvalidInput):
        return Failure("input", str(error), permanent=True)
    return Failure("error", text)
