"""Asking an endpoint: within a budget and a deadline, again where that helps, and in words why it did not work."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime

from adapters.egress import Egress, status_of
from adapters.summarizers.llm.apis import Answer, Ask, Dialect, Unreadable
from adapters.summarizers.llm.chunking import estimated_tokens
from adapters.summarizers.llm.config import ModelConfig
from domain.errors import DeliveryFailed
from domain.summary import Usage

__all__ = ["Client", "Pause", "Spent", "Trouble"]

MOST_REPEATS = 2
"""How often a request that failed is sent again."""

_MOST_DIALECTS = 4
_CUSHION_SECONDS = 0.05
_REFUSED = {401, 403}
_MISUNDERSTOOD = {400, 422}

Pause = Callable[[float], Awaitable[None]]
_log = logging.getLogger("daybook.engine")


class Trouble(Exception):
    """The model cannot be used for this summary; the text says why, for everybody who reads the summary."""


@dataclass(slots=True)
class Spent:
    """What one summary has used so far. Requests under way count with their estimates."""

    most_input: int
    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    reserved: int = 0
    estimated: bool = False

    def reserve(self, tokens: int) -> None:
        """Set tokens aside for a request. Raises Trouble where they are more than are left."""
        if self.input_tokens + self.reserved + tokens > self.most_input:
            raise Trouble(f"the budget of {self.most_input:,} tokens for one summary was used up")
        self.reserved += tokens

    def settle(self, reserved: int, answer: Answer | None) -> None:
        """End a request: with what the endpoint counted, else with the estimate; None where it answered nothing."""
        self.reserved -= reserved
        if answer is None:
            return
        self.requests += 1
        self.estimated = self.estimated or answer.input_tokens is None or answer.output_tokens is None
        self.input_tokens += reserved if answer.input_tokens is None else answer.input_tokens
        said = estimated_tokens(answer.said) if answer.output_tokens is None else answer.output_tokens
        self.output_tokens += said

    def usage(self, config: ModelConfig, model: str) -> Usage | None:
        """What is recorded; None where nothing was answered."""
        if not self.requests:
            return None
        cost = config.cost(model, self.input_tokens, self.output_tokens)
        return Usage(
            model=model,
            requests=self.requests,
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            cost=None if cost is None else round(cost, 6),
            estimated=self.estimated,
        )


@dataclass(slots=True)
class Client:
    """Asks one endpoint for one summary. ``places`` limits requests at once; ``dialects`` is kept between summaries."""

    config: ModelConfig
    egress: Egress
    places: asyncio.Semaphore
    pause: Pause
    ends_at: datetime
    spent: Spent
    dialects: dict[str, Dialect] = field(default_factory=dict)

    async def ask(self, ask: Ask) -> Answer:
        """The answer. Raises Trouble; DeliveryFailed never."""
        repeats = dialects = 0
        while True:
            dialect = self.dialects.get(ask.model) or self.config.api.dialect(self.config.url)
            try:
                return await self._once(ask, dialect)
            except DeliveryFailed as failure:
                status = status_of(failure)
                other = dialect.without(failure.reason) if status in _MISUNDERSTOOD else None
                if other is not None and dialects < _MOST_DIALECTS:
                    dialects += 1
                    self.dialects[ask.model] = other
                    continue
                wait = self._wait(failure, repeats)
                _log.warning("language model: %s%s", failure.reason, "" if wait is None else f"; again in {wait:.1f} s")
                if wait is None:
                    raise Trouble(_words(failure, status)) from None
            repeats += 1
            await self.pause(wait)

    async def _once(self, ask: Ask, dialect: Dialect) -> Answer:
        body = json.dumps(self.config.api.body(ask, dialect), ensure_ascii=False).encode("utf-8", "replace")
        reserved, answer = estimated_tokens(ask.text), None
        self.spent.reserve(reserved)
        try:
            async with self.places:
                headers = self.config.api.headers(self.config.secret)
                hide = [self.config.secret] if self.config.secret else []
                response = await self.egress.post_json(self.config.url, body, headers, hide=hide)
            answer = self.config.api.read(json.loads(response.text))
        except (Unreadable, ValueError, RecursionError):
            answer = Answer(None, "")  # it read what it was sent, and has to be paid
            raise Trouble("its endpoint answered something that cannot be read") from None
        finally:
            self.spent.settle(reserved, answer)
        return answer

    def _wait(self, failure: DeliveryFailed, repeats: int) -> float | None:
        """Seconds until it makes sense to ask again; None where it makes none, or no time is left for it."""
        if failure.permanent or repeats >= MOST_REPEATS:
            return None
        wait = failure.retry_after_seconds if failure.retry_after_seconds is not None else float(2**repeats)
        left = (self.ends_at - self.egress.now()).total_seconds()
        return wait + _CUSHION_SECONDS if wait < left / 2 else None


def _words(failure: DeliveryFailed, status: int | None) -> str:
    """Why, without the host and what it said: these words are read by everybody who reads the summary."""
    if status is None:
        if failure.postponed:
            return "its endpoint is left alone for now, as it failed too often or asked to wait"
        return "its endpoint did not answer" if failure.ambiguous else "its endpoint could not be reached"
    if status in _REFUSED:
        return f"its endpoint refused the key ({status})"
    if status == 404:
        return "its endpoint knows no such model or address (404)"
    if status == 429:
        return "its endpoint asked to wait (429)"
    return f"its endpoint answered {status}"


async def rest(seconds: float) -> None:
    """Wait before asking again."""
    await asyncio.sleep(seconds)
