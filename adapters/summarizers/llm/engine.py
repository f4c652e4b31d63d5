"""The engine that asks a language model: parts, then one summary of them; the extractive engine where that fails."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from hashlib import blake2b
from typing import Any, Literal
from urllib.parse import urlsplit

from adapters.egress import Egress, EgressLimits, HostGates, Places
from adapters.summarizers.extractive import ExtractiveEngine
from adapters.summarizers.lines import MAX_CONTENT_CHARACTERS, Line, heard, people_of
from adapters.summarizers.llm.apis import Ask, Dialect
from adapters.summarizers.llm.chunking import Numbered, estimated_tokens, fence_of, numbered, packed
from adapters.summarizers.llm.client import Client, Pause, Spent, Trouble, rest
from adapters.summarizers.llm.config import ModelConfig
from adapters.summarizers.llm.harmless import addresses_of
from adapters.summarizers.llm.prompts import SIZES, Size, complaint, reduce_prompt, summary_prompt, system_prompt
from adapters.summarizers.llm.replies import (
    SCHEMA,
    Checked,
    Partial,
    WrongForm,
    as_partial,
    checked,
    points_of,
    terms_of,
)
from application.ports import Clock, SummarizationEngine
from domain.summary import Summary, SummaryContext, SummaryOptions

__all__ = ["ModelEngine"]

_SHARE_OF_TIME = 0.8
"""What a model may use of the time until the attempt must have ended; the rest is for what follows."""

_SHARE_OF_ONE = 0.9
_FRAME_TOKENS = 200
"""The head of a prompt, its fences and its last line."""

_PROBE_TOKENS, _PROBE_SECONDS = 64, 15.0
_log = logging.getLogger("daybook.engine")


@dataclass(frozen=True, slots=True)
class _Job:
    """One summary on its way."""

    client: Client
    model: str
    options: SummaryOptions
    context: SummaryContext
    size: Size
    system: str
    messages: dict[int, Numbered]
    known: frozenset[str]
    fence: str
    capacity: int


class ModelEngine:
    """Asks a language model, and the extractive engine where that cannot be done: then the notice says why.

    ``fallback`` is another engine that makes domain.summary.Summary. At most ``at_once`` requests are under way at the
    same time. Use it on one event loop.
    """

    def __init__(
        self,
        config: ModelConfig,
        clock: Clock,
        *,
        at_once: int = 2,
        fallback: SummarizationEngine | None = None,
        pause: Pause = rest,
    ) -> None:
        self._config, self._clock, self._pause = config, clock, pause
        self._fallback = fallback if fallback is not None else ExtractiveEngine(at_once)
        self.gates = HostGates(clock, places=Places(at_once, at_once))
        """The endpoint's, apart from those of destinations: other places, and no deadline of a delivery."""
        self._places = asyncio.Semaphore(at_once)
        self._dialects: dict[str, Dialect] = {}

    @property
    def name(self) -> str:
        """What summaries of it are signed with."""
        return f"{self._config.api.name}/{self._config.model}"

    async def summarize_messages(
        self,
        messages: Sequence[Any],
        options: SummaryOptions,
        context: SummaryContext,
        channel_id: str = "",
        guild_id: str = "",
    ) -> Summary:
        """The summary of ``messages``. Raises InsufficientContent when nobody said anything, and no other error."""
        lines = await asyncio.to_thread(heard, messages, options)
        model = self._config.chosen(options.summarization_model)
        spent = Spent(self._config.max_input_tokens)
        try:
            reply, told = await self._asked(lines, options, context, model, spent)
        except Trouble as trouble:
            _log.warning("a summary is made without the language model: %s", trouble)
            made: Summary = await self._fallback.summarize_messages(messages, options, context, channel_id, guild_id)
            notice = f"Made without the language model, by quoting messages: {trouble}."
            return made.model_copy(
                update={"notice": _joined(notice, made.notice), "usage": spent.usage(self._config, model)}
            )
        people, size = people_of(lines), SIZES[options.summary_length]
        named, by_number = options.include_participant_analysis, {one.number: one for one in told}
        summary = Summary(
            id="-",
            guild_id=guild_id,
            channel_id=channel_id,
            summary_text=reply.overview,
            key_points=points_of(reply.key_points, by_number, name_people=named),
            action_items=points_of(reply.action_items, by_number, name_people=named),
            technical_terms=terms_of(reply.terms, [one.line.raw for one in told], size.terms),
            participants=tuple(people) if named else (),
            message_count=len(lines),
            start_time=context.start_time,
            end_time=context.end_time,
            engine=f"{self._config.api.name}/{model}",
            notice=self._remarks(reply, messages, options, model),
            usage=spent.usage(self._config, model),
        )
        return summary.model_copy(update={"id": _identity(summary, lines)})

    async def checked(self) -> tuple[Literal["ok", "warning"], str]:
        """Ask the endpoint for as little as it can answer, and say what came of it. Raises nothing."""
        where = f"{self.name} at {urlsplit(self._config.url).netloc}"
        words = 'Answer {"overview": "-", "key_points": [], "action_items": [], "technical_terms": []}'
        ask = Ask(self._config.model, "Answer with one JSON object.", words, SCHEMA, _PROBE_TOKENS)
        began = self._clock.now()
        seconds, spent = min(_PROBE_SECONDS, self._config.seconds), Spent(self._config.max_input_tokens)
        try:
            await self._within(seconds, spent, lambda client: client.ask(ask))
        except Trouble as trouble:
            return "warning", f"{where}: {trouble}; until then summaries are made by quoting messages"
        return "ok", f"{where} answered after {(self._clock.now() - began).total_seconds():.1f} s"

    # --- asking ---

    async def _asked(
        self, lines: list[Line], options: SummaryOptions, context: SummaryContext, model: str, spent: Spent
    ) -> tuple[Checked, list[Numbered]]:
        names = {line.author_id: line.author for line in lines}
        told = await asyncio.to_thread(numbered, lines, names, attachments=options.include_attachments)
        if not told:
            raise Trouble("there are no words in the messages")
        system = system_prompt(options)
        overhead = estimated_tokens(system + json.dumps(SCHEMA) + context.channel_name) + _FRAME_TOKENS
        capacity = self._config.request_tokens - overhead
        parts = await asyncio.to_thread(packed, [one.text for one in told], capacity)
        self._check_budget(told, len(parts), overhead, capacity, options)

        known = await asyncio.to_thread(addresses_of, [line.raw for line in lines])

        async def work(client: Client) -> Checked:
            job = _Job(
                client=client,
                model=model,
                options=options,
                context=context,
                size=SIZES[options.summary_length],
                system=system,
                messages={one.number: one for one in told},
                known=known,
                fence=fence_of(one.text for one in told),
                capacity=capacity,
            )
            return await _reduced(job, [[told[index] for index in part] for part in parts])

        return await self._within(self._seconds(context), spent, work), told

    def _check_budget(
        self, told: Sequence[Numbered], parts: int, overhead: int, capacity: int, options: SummaryOptions
    ) -> None:
        """Nothing is begun that could not be brought to its end: what was read by then would be paid for nothing."""
        needed = sum(estimated_tokens(one.text + "\n") for one in told) + parts * overhead
        if parts > 1:
            needed += parts * (overhead + min(capacity // 2, self._answer_tokens(options)))
        if needed > self._config.max_input_tokens:
            raise Trouble(
                f"{len(told):,} messages are about {needed:,} tokens, more than the {self._config.max_input_tokens:,} "
                "that one summary may use"
            )

    def _answer_tokens(self, options: SummaryOptions) -> int:
        return min(options.max_tokens, self._config.max_output_tokens)

    def _seconds(self, context: SummaryContext) -> float:
        if context.deadline is None:
            return self._config.seconds
        left = (context.deadline - self._clock.now()).total_seconds() * _SHARE_OF_TIME
        if left <= 0:
            raise Trouble("no time was left for it")
        return min(self._config.seconds, left)

    async def _within(self, seconds: float, spent: Spent, work: Any) -> Any:
        """Do the work with a client of its own, in this time. Raises Trouble."""
        one = seconds * _SHARE_OF_ONE  # less than all: a request that hangs is to be seen as the host's failure
        limits = EgressLimits(one, min(10.0, one / 2), one, 32 * 1024**2, 8 * 1024**2)
        egress = Egress(self._clock, self._config.policy, limits=limits, gates=self.gates)
        ends_at = self._clock.now() + timedelta(seconds=seconds)
        client = Client(self._config, egress, self._places, self._pause, ends_at, spent, self._dialects)
        try:
            async with asyncio.timeout(seconds):
                return await work(client)
        except TimeoutError:
            raise Trouble(f"it did not answer within {seconds:,.0f} s") from None
        except ExceptionGroup as group:
            raise _first(group) from None
        finally:
            await egress.close()

    def _remarks(self, reply: Checked, messages: Sequence[Any], options: SummaryOptions, model: str) -> str:
        """What readers are told of a summary that the model made."""
        remarks = []
        if options.summarization_model and options.summarization_model != model:
            remarks.append("The model that the task asks for is not offered here; another one was used.")
        if reply.strays:
            remarks.append(f"The language model named {_counted(reply.strays, 'message')} that do not exist.")
        if reply.unsupported:
            remarks.append(f"{_counted(reply.unsupported, 'point')} without a message to show for it was left out.")
        if cut := sum(len(str(getattr(one, "content", "") or "")) > MAX_CONTENT_CHARACTERS for one in messages):
            remarks.append(
                f"Of {_counted(cut, 'message')} only the first {MAX_CONTENT_CHARACTERS:,} characters were read."
            )
        return " ".join(remarks)


# --- map, then reduce ------------------------------------------------------------------------------------------------


async def _reduced(job: _Job, parts: Sequence[Sequence[Numbered]]) -> Checked:
    """One answer for all parts: of each part by itself, then of their answers, until one is left."""

    async def one(number: int, part: Sequence[Numbered]) -> Checked:
        prompt = summary_prompt([told.text for told in part], job.context, job.fence, number, len(parts))
        return await _answered(job, prompt, {told.number for told in part})

    async with asyncio.TaskGroup() as group:
        asking = [group.create_task(one(number, part)) for number, part in enumerate(parts, 1)]
    replies = [task.result() for task in asking]
    strays, unsupported = sum(r.strays for r in replies), sum(r.unsupported for r in replies)
    while len(replies) > 1:
        partials = [as_partial(reply, job.capacity // 2 - 1) for reply in replies]
        merged = []
        for together in packed([partial.text for partial in partials], job.capacity):
            if len(together) == 1:
                merged.append(replies[together[0]])
                continue
            reply = await _merged(job, [partials[index] for index in together])
            strays, unsupported = strays + reply.strays, unsupported + reply.unsupported
            merged.append(reply)
        replies = merged
    last = replies[0]
    return Checked(last.overview, last.key_points, last.action_items, last.terms, strays, unsupported)


async def _merged(job: _Job, partials: Sequence[Partial]) -> Checked:
    prompt = reduce_prompt([partial.text for partial in partials], job.fence)
    return await _answered(job, prompt, frozenset().union(*(partial.numbers for partial in partials)))


async def _answered(job: _Job, prompt: str, valid: Collection[int]) -> Checked:
    """A checked answer; where the first is of the wrong form, that of one more try. Raises Trouble."""
    most = min(job.options.max_tokens, job.client.config.max_output_tokens)
    ask = Ask(job.model, job.system, prompt, SCHEMA, most, job.options.temperature)
    problem = ""
    for _ in range(2):
        answer = await job.client.ask(ask)
        if answer.cut:
            raise Trouble(f"its answer did not fit into {most:,} tokens")
        try:
            return checked(answer.content, valid, job.options, job.size, job.known)
        except WrongForm as wrong:
            problem = str(wrong)
        ask = Ask(
            job.model,
            job.system,
            prompt,
            SCHEMA,
            most,
            job.options.temperature,
            answer.said[:8_000],
            complaint(problem),
        )
    _log.warning("language model: the answer is of the wrong form, also when asked again: %s", problem)
    raise Trouble("its answer was not of the form that was asked for")


def _first(group: BaseExceptionGroup[Any]) -> BaseException:
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


def _joined(*notices: str) -> str:
    return " ".join(notice for notice in notices if notice)


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def _identity(summary: Summary, lines: Sequence[Line]) -> str:
    """A name made from the messages and from what was said of them: the same model may say it otherwise next time."""
    digest = blake2b(digest_size=16)
    digest.update(summary.model_dump_json(exclude={"id"}).encode("utf-8", "replace"))
    for line in lines:
        digest.update(f"\0{line.id}".encode("utf-8", "replace"))
    return digest.hexdigest()
