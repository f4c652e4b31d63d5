"""What a summary is made of, how it is asked for, and what comes out."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from domain.choice import Choice

__all__ = ["ChannelNote", "Message", "Point", "Summary", "SummaryContext", "SummaryLength", "SummaryOptions", "Usage"]


class SummaryLength(Choice):
    """How long a summary is."""

    BRIEF = "brief"
    DETAILED = "detailed"
    COMPREHENSIVE = "comprehensive"


class SummaryOptions(BaseModel):
    """How a summary is made.

    Bots are left out unless ``include_bots``; what this bot itself posted, its earlier summaries above all, unless
    ``include_own`` as well. ``include_threads``: what was said in the threads of a channel belongs to it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    summary_length: SummaryLength = SummaryLength.DETAILED
    perspective: str = Field(default="general", max_length=100)
    include_bots: bool = False
    include_own: bool = False
    include_threads: bool = True
    include_attachments: bool = True
    excluded_users: tuple[str, ...] = ()
    min_messages: int = Field(default=5, ge=0, le=100_000)
    summarization_model: str | None = None
    temperature: float = Field(default=0.3, ge=0, le=2)
    max_tokens: int = Field(default=8000, ge=1, le=1_000_000)
    extract_action_items: bool = True
    extract_technical_terms: bool = True
    extract_key_points: bool = True
    include_participant_analysis: bool = True


class Message(BaseModel):
    """One message of a channel, whatever it came from.

    ``reply_to`` is the id of the message this one answers; ``reactions`` counts all reactions;
    ``attachments`` are file names; ``url`` opens the message where it was written.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    channel_id: str
    author_id: str
    author_name: str
    timestamp: AwareDatetime
    content: str = ""
    is_bot: bool = False
    reply_to: str | None = None
    reactions: int = 0
    attachments: tuple[str, ...] = ()
    url: str | None = None


class SummaryContext(BaseModel):
    """What an engine is told beside the messages: names and the span that was asked for (aware UTC).

    By the ``deadline`` the attempt must have ended, deliveries included; it is no part of what is summarized, and is
    left out where a context is written down.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    channel_name: str = ""
    guild_name: str = ""
    start_time: AwareDatetime
    end_time: AwareDatetime
    total_participants: int = 0
    time_span_hours: float = 0
    deadline: AwareDatetime | None = Field(default=None, exclude=True)


class Point(BaseModel):
    """One line of a summary, with who said it and where to read it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str
    author: str = ""
    url: str | None = None
    message_id: str | None = None


class ChannelNote(BaseModel):
    """What became of one channel of a run: summarised, quiet, or inaccessible with the reason."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    channel_id: str
    name: str = ""
    message_count: int = 0
    note: str = ""


class Usage(BaseModel):
    """What a language model was asked for a summary: requests that it answered, tokens read and written.

    ``cost`` is in US dollars, by the prices that the operator set; None without prices. ``estimated``: the endpoint did
    not count all of it, Daybook did.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float | None = None
    estimated: bool = False

    @property
    def words(self) -> str:
        """One line for people."""
        about = "about " if self.estimated else ""
        requests = f"{self.requests:,} request" + ("" if self.requests == 1 else "s")
        cost = f", {self.cost:.4f} USD" if self.cost is not None else ""
        return f"{self.model}: {requests}, {about}{self.input_tokens:,} tokens in, {self.output_tokens:,} out{cost}"

    def __add__(self, other: Usage) -> Usage:
        """Both together; the cost is known where both are."""
        known = self.cost is not None and other.cost is not None
        return Usage(
            model=self.model if self.model == other.model else f"{self.model}, {other.model}",
            requests=self.requests + other.requests,
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cost=(self.cost or 0) + (other.cost or 0) if known else None,
            estimated=self.estimated or other.estimated,
        )


class Summary(BaseModel):
    """One finished summary: what the engines return, what is stored as content, what is rendered.

    An engine that renders itself fills ``markdown`` and ``embed``; rendering then uses these as they are.
    ``notice`` tells readers something about how it was made (an engine that fell back, a channel left out); ``usage``
    is what a language model was asked for it, also where another engine made it in the end.
    With ``parts`` it is the summary of a run that has one for each channel: each part is delivered by itself.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    guild_id: str = ""
    channel_id: str = ""
    title: str = ""
    summary_text: str
    key_points: tuple[Point, ...] = ()
    action_items: tuple[Point, ...] = ()
    technical_terms: tuple[str, ...] = ()
    participants: tuple[tuple[str, int], ...] = ()
    message_count: int = 0
    start_time: AwareDatetime
    end_time: AwareDatetime
    created_at: AwareDatetime | None = None
    engine: str = ""
    notice: str = ""
    channels: tuple[ChannelNote, ...] = ()
    markdown: str | None = None
    embed: dict[str, Any] | None = None
    parts: tuple[Summary, ...] = ()
    usage: Usage | None = None

    @property
    def span(self) -> tuple[datetime, datetime]:
        """The first and the last instant that was looked at (aware UTC)."""
        return self.start_time, self.end_time
