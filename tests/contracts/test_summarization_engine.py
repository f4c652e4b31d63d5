"""What every summarization engine promises, whoever wrote it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from adapters.summarizers import ExtractiveEngine
from application.ports import SummarizationEngine
from domain.errors import InsufficientContent
from domain.summary import Message, Summary, SummaryContext, SummaryOptions
from tests.llm_double import LlmDouble
from tests.llm_double.parts import APIS, engine_on

START = datetime(2026, 3, 27, 8, tzinfo=UTC)
CONTEXT = SummaryContext(channel_name="general", start_time=START, end_time=START + timedelta(days=1))


def messages() -> list[Message]:
    return [
        Message(
            id=str(n),
            channel_id="1",
            author_id=str(n % 4),
            author_name=f"person {n % 4}",
            timestamp=START + timedelta(minutes=n),
            content=f"Sentence number {n} about the garden, the weather and the harvest of week {n % 5}.",
        )
        for n in range(30)
    ]


@pytest.fixture(params=["extractive", *APIS])
async def engine(request: pytest.FixtureRequest) -> AsyncIterator[SummarizationEngine]:
    if request.param == "extractive":
        yield ExtractiveEngine()
        return
    async with LlmDouble() as double:
        yield engine_on(double, request.param)


async def test_it_is_an_engine(engine: SummarizationEngine) -> None:
    """It has the method that the port asks for."""
    assert isinstance(engine, SummarizationEngine)


async def test_the_summary_covers_the_span_that_was_asked_for(engine: SummarizationEngine) -> None:
    """Span, place, count and text are filled."""
    summary = await engine.summarize_messages(messages(), SummaryOptions(), CONTEXT, "11", "22")
    assert isinstance(summary, Summary)
    assert (summary.start_time, summary.end_time) == (CONTEXT.start_time, CONTEXT.end_time)
    assert (summary.channel_id, summary.guild_id) == ("11", "22")
    assert summary.message_count == 30
    assert summary.summary_text
    assert summary.id
    assert len(summary.participants) == 4


async def test_nothing_to_summarize_is_insufficient_content(engine: SummarizationEngine) -> None:
    """An empty list is quiet, not a failure."""
    with pytest.raises(InsufficientContent):
        await engine.summarize_messages([], SummaryOptions(), CONTEXT)


async def test_it_keeps_its_summary_storable(engine: SummarizationEngine) -> None:
    """What comes out can be written as JSON and read back."""
    summary = await engine.summarize_messages(messages(), SummaryOptions(), CONTEXT)
    assert Summary.model_validate_json(summary.model_dump_json()) == summary


async def test_the_messages_are_left_as_they_were(engine: SummarizationEngine) -> None:
    """An engine changes nothing of its input."""
    given = messages()
    await engine.summarize_messages(given, SummaryOptions(), CONTEXT)
    assert given == messages()
