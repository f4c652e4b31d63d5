"""Engines on the double, and chat to summarize."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import SecretStr

from adapters.summarizers.llm import ModelEngine, configured_model
from domain.summary import Message, SummaryContext
from infrastructure.clock import SystemClock
from tests.llm_double.server import KEY, LlmDouble

__all__ = ["APIS", "CONTEXT", "MODEL", "START", "engine_on", "said"]

APIS = ("openai", "anthropic")
MODEL = "model-1"
START = datetime(2026, 3, 27, 8, tzinfo=UTC)
CONTEXT = SummaryContext(channel_name="general", start_time=START, end_time=START + timedelta(days=1))


async def _at_once(seconds: float) -> None:
    """Ask again without a rest."""


def engine_on(
    double: LlmDouble | str, api: str, *, clock: Any = None, at_once: int = 2, pause: Any = _at_once, **changes: Any
) -> ModelEngine:
    """An engine that asks the double (or the address)."""
    url = double if isinstance(double, str) else double.url("/v1")
    fields: dict[str, Any] = {
        "api": api,
        "url": url,
        "model": MODEL,
        "api_key": SecretStr(KEY),
        "timeout_seconds": 20.0,
    }
    config = configured_model("DAYBOOK_ENGINE_", **(fields | changes))
    return ModelEngine(config, clock or SystemClock(), at_once=at_once, pause=pause)


def said(*texts: str) -> list[Message]:
    """These words as messages of four people, a minute apart."""
    return [
        Message(
            id=f"id-{n}",
            channel_id="1",
            author_id=str(n % 4),
            author_name=f"person {n % 4}",
            timestamp=START + timedelta(minutes=n),
            content=text,
            url=f"https://discord.com/channels/1/1/{n}",
        )
        for n, text in enumerate(texts)
    ]
