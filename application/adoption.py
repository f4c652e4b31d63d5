"""Results of an engine, checked before anything is written down: a fact that no store can hold would stay for ever."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from application.masking import said
from application.work import Work
from domain.errors import shown
from domain.event import utc
from domain.summary import Summary

__all__ = ["MOST_COUNTED", "adopted"]

MOST_COUNTED = 10**9
"""No count of messages is larger than this: it fits every store and every reader's number."""

_MOST_PARTICIPANTS = 10_000
_LONGEST_NAME = 200
_LONGEST_TEXT = 1_000_000


def adopted(result: Any, work: Work) -> Summary:
    """What an engine returned as a Summary; a host's own object is read by its documented attributes.

    Raises ValueError, which says what was wrong with it. The notice is masked and bounded.
    """
    summary = result if isinstance(result, Summary) else _read(result, work)
    return summary.model_copy(
        update={
            "id": _text("id", summary.id, _LONGEST_NAME),
            "summary_text": _text("summary_text", summary.summary_text, _LONGEST_TEXT),
            "markdown": None if summary.markdown is None else _text("markdown", summary.markdown, _LONGEST_TEXT),
            "engine": summary.engine[:_LONGEST_NAME],
            "message_count": _count("message_count", summary.message_count),
            "participants": tuple(
                (name[:_LONGEST_NAME], _count("participants", count))
                for name, count in summary.participants[:_MOST_PARTICIPANTS]
            ),
            "notice": said(summary.notice),
        }
    )


def _read(result: Any, work: Work) -> Summary:
    markdown = getattr(result, "to_markdown", None)
    embed = getattr(result, "to_embed_dict", None)
    participants = getattr(result, "participants", None) or ()
    return Summary(
        id=str(_given(result, "id")),
        summary_text=str(_given(result, "summary_text")),
        message_count=_count("message_count", getattr(result, "message_count", 0) or 0),
        participants=tuple(_participant(p) for p in list(participants)[:_MOST_PARTICIPANTS]),
        start_time=_instant(result, "start_time", work.attempt.since),
        end_time=_instant(result, "end_time", work.attempt.instant),
        engine=type(result).__name__,
        markdown=markdown() if callable(markdown) else None,
        embed=embed() if callable(embed) else None,
    )


def _given(result: Any, name: str) -> Any:
    value = getattr(result, name, None)
    if value is None:
        raise ValueError(f"the engine's result ({type(result).__name__}) has no {name}")
    return value


def _instant(result: Any, name: str, otherwise: datetime) -> datetime:
    value = getattr(result, name, None)
    if value is None:
        return otherwise
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise ValueError(f"the engine's {name} is {shown(value)}; an aware datetime is right")
    return utc(value)


def _count(name: str, value: Any) -> int:
    try:
        count = int(value)
    except (TypeError, ValueError, OverflowError):
        count = -1
    if not 0 <= count <= MOST_COUNTED:
        raise ValueError(f"the engine's {name} is {shown(value)}; a whole number from 0 to {MOST_COUNTED:,} is right")
    return count


def _text(name: str, value: str, longest: int) -> str:
    if len(value) > longest:
        raise ValueError(f"the engine's {name} has {len(value):,} characters; at most {longest:,} are right")
    return value


def _participant(participant: Any) -> tuple[str, int]:
    if isinstance(participant, str):
        return participant, 0
    if isinstance(participant, Sequence) and len(participant) == 2:
        return str(participant[0]), _count("participants", participant[1])
    name = getattr(participant, "display_name", None) or getattr(participant, "name", None) or str(participant)
    return str(name), _count("participants", getattr(participant, "message_count", 0) or 0)
