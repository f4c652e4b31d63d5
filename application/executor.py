"""Doing one attempt: collect, summarize, deliver; or clean up; or a custom operation. Decides nothing about retries."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from application.failures import classify, is_quiet
from application.ports import (
    Clock,
    Content,
    DeliveryChannel,
    DeliveryRequest,
    MessageProcessor,
    SummarizationEngine,
)
from application.work import CustomRun, Done, Failure, Outcome, Quiet, Work
from domain.definition import TaskDefinition, TaskType
from domain.destination import DeliveryOutcome, DeliveryStatus, Destination, DestinationType, delivery_key
from domain.errors import (
    ChannelInaccessible,
    DeliveryFailed,
    InsufficientContent,
    InvalidDestination,
    InvalidInput,
    OperationUnknown,
)
from domain.summary import ChannelNote, Summary, SummaryContext

__all__ = ["Executor", "Handler"]

Handler = Callable[[CustomRun], Awaitable[None]]
Cleaner = Callable[[Work], Awaitable[Done]]


class Executor:
    """Performs attempts with what the host plugged in. Never raises but for cancellation: errors become a Failure."""

    def __init__(
        self,
        *,
        engine: SummarizationEngine | None,
        processor: MessageProcessor | None,
        channels: Mapping[DestinationType, DeliveryChannel],
        clock: Clock,
        delivery_deadline: timedelta = timedelta(seconds=60),
    ) -> None:
        self._engine, self._processor, self._channels, self._clock = engine, processor, dict(channels), clock
        self._delivery_deadline = delivery_deadline
        self._handlers: dict[str, Handler] = {}
        self._content: Content | None = None
        self._cleaner: Cleaner | None = None
        self._wanted: Callable[[Work], bool] = lambda work: True

    def bind(self, content: Content, cleaner: Cleaner, wanted: Callable[[Work], bool]) -> None:
        """Connect to the stores of a scheduler. ``wanted`` says whether a run may still send."""
        self._content, self._cleaner, self._wanted = content, cleaner, wanted

    def register_operation(self, name: str, handler: Handler) -> None:
        """Make a custom operation known to this process. Only nodes that know it claim its tasks."""
        if not name or len(name) > 100:
            raise InvalidInput("operation", name, "is not a name", "give 1 to 100 characters")
        self._handlers[name] = handler

    @property
    def operations(self) -> tuple[str, ...]:
        """The custom operations that this process can do."""
        return tuple(self._handlers)

    def check_destination(self, destination: Destination, guild_id: str) -> None:
        """Refuse (InvalidDestination) what nothing here can deliver to."""
        channel = self._channels.get(destination.type)
        if channel is None:
            known = ", ".join(sorted(kind.value for kind in self._channels)) or "none"
            raise InvalidDestination(
                "destinations", destination.type.value, "has no delivery here", f"available are: {known}"
            )
        channel.check(destination, guild_id)

    async def perform(self, work: Work) -> Outcome:
        """Do one attempt, within its deadline."""
        seconds_left = (work.attempt.deadline - self._clock.now()).total_seconds()
        try:
            async with asyncio.timeout(max(0.0, seconds_left)):
                return await self._operation(work)
        except Exception as error:
            return Quiet(str(error)) if is_quiet(error) else classify(error)

    async def _operation(self, work: Work) -> Outcome:
        match work.definition.task_type:
            case TaskType.SUMMARY:
                return await self._summary(work)
            case TaskType.CLEANUP:
                if self._cleaner is None:
                    raise OperationUnknown("cleanup")
                return await self._cleaner(work)
            case TaskType.CUSTOM:
                return await self._custom(work)

    async def _custom(self, work: Work) -> Outcome:
        definition, attempt = work.definition, work.attempt
        handler = self._handlers.get(definition.operation or "")
        if handler is None:
            raise OperationUnknown(definition.operation or "")
        await handler(
            CustomRun(
                task=definition,
                task_id=work.task_id,
                run_id=attempt.run,
                parameters=dict(definition.parameters),
                slot=attempt.slot,
                attempt=attempt.attempt,
                deadline=attempt.deadline,
            )
        )
        return Done()

    # --- summaries ---

    async def _summary(self, work: Work) -> Outcome:
        content = self._content
        made = await asyncio.to_thread(content.summary_of_run, work.attempt.run) if content is not None else None
        summary = made if made is not None else await self.summarize(work)
        if made is None and content is not None:
            now = self._clock.now()
            await asyncio.to_thread(content.save_summary, work.attempt.run, summary, now)
            detail = {"channels": [note.model_dump() for note in summary.channels], "engine": summary.engine}
            await asyncio.to_thread(content.save_run_detail, work.attempt.run, work.guild_id, detail, now)
        if not self._wanted(work):
            return Failure("cancelled", "the task was cancelled before anything was sent", permanent=True)
        left = [d for d in work.destinations if d.key not in work.attempt.delivered]
        results = await asyncio.gather(*(self._deliver(work, destination, summary) for destination in left))
        return Done(
            outcomes=tuple(outcome for outcome, _ in results),
            summary=summary,
            messages=summary.message_count,
            note=summary.notice or None,
            retry_after_seconds=max((wait for _, wait in results), default=0),
        )

    async def summarize(self, work: Work) -> Summary:
        """Collect the messages of all channels of a task and make one summary of them. Delivers nothing."""
        if self._engine is None or self._processor is None:
            raise OperationUnknown("summary")
        definition = work.definition
        messages, notes = await self._collect(self._processor, work)
        least = max(1, definition.summary_options.min_messages)
        if len(messages) < least:
            raise InsufficientContent(len(messages), least)
        messages.sort(key=lambda message: message.timestamp)
        start, end = work.attempt.since, work.attempt.instant
        context = SummaryContext(
            channel_name=", ".join(note.name for note in notes if note.name),
            start_time=start,
            end_time=end,
            total_participants=len({message.author_id for message in messages}),
            time_span_hours=(end - start).total_seconds() / 3600,
        )
        result = await self._engine.summarize_messages(
            messages, definition.summary_options, context, definition.all_channel_ids[0], definition.guild_id
        )
        return self._finished(result, work, notes)

    async def _collect(self, processor: MessageProcessor, work: Work) -> tuple[list[Any], list[ChannelNote]]:
        """The messages of all channels, and what is to be said of each.

        A quiet or inaccessible channel does not fail the others; when none can be read, ChannelInaccessible is raised.
        """
        definition, attempt = work.definition, work.attempt
        messages: list[Any] = []
        notes: list[ChannelNote] = []
        inaccessible: list[ChannelInaccessible] = []
        for channel_id in definition.all_channel_ids:
            note, found = "", []  # type: str, list[Any]
            try:
                found = await processor.process_channel_messages(
                    channel_id, attempt.since, attempt.instant, definition.summary_options
                )
            except ChannelInaccessible as error:
                inaccessible.append(error)
                note = error.reason
            except Exception as error:
                if not is_quiet(error):
                    raise
                note = str(error)
            messages.extend(found)
            name = await _channel_name(processor, channel_id)
            notes.append(ChannelNote(channel_id=channel_id, name=name, message_count=len(found), note=note))
        if inaccessible and len(inaccessible) == len(notes):
            raise inaccessible[0]
        return messages, notes

    def _finished(self, result: Any, work: Work, notes: Sequence[ChannelNote]) -> Summary:
        """What an engine returned as a Summary; a host's own object is read by its documented attributes."""
        definition = work.definition
        summary = result if isinstance(result, Summary) else _adopted(result, work)
        left_out = [f"{note.name or note.channel_id}: {note.note}" for note in notes if note.note and len(notes) > 1]
        notice = "; ".join(part for part in (summary.notice, *left_out) if part)
        return summary.model_copy(
            update={
                "guild_id": definition.guild_id,
                "channel_id": definition.all_channel_ids[0],
                "title": _title(definition, work, [note.name for note in notes if note.name])
                or summary.title
                or definition.name,
                "created_at": self._clock.now(),
                "channels": tuple(notes),
                "notice": notice,
            }
        )

    # --- delivery ---

    async def _deliver(self, work: Work, destination: Destination, summary: Summary) -> tuple[DeliveryOutcome, float]:
        """One result to one destination; whatever happens becomes an outcome, with the wait that was asked for."""
        channel = self._channels.get(destination.type)
        status, receipt, reason, permanent, wait = DeliveryStatus.DELIVERED, None, None, False, 0.0
        try:
            if channel is None:
                raise DeliveryFailed(f"nothing here delivers to {destination.type}", permanent=True)
            async with asyncio.timeout(self._delivery_deadline.total_seconds()):
                receipt = await channel.deliver(_request(work, destination, summary))
        except DeliveryFailed as error:
            ambiguous = error.ambiguous and channel is not None and not channel.deduplicates
            status = DeliveryStatus.UNKNOWN if ambiguous else DeliveryStatus.FAILED
            # An unknown delivery is not sent again by itself where that could make a second one.
            reason, permanent, wait = error.reason, error.permanent or ambiguous, error.retry_after_seconds or 0.0
        except TimeoutError:
            safe = channel is not None and channel.deduplicates
            status = DeliveryStatus.FAILED if safe else DeliveryStatus.UNKNOWN
            reason = f"no answer within {self._delivery_deadline.total_seconds():.0f} s"
            permanent = not safe
        except InvalidInput as error:
            status, reason, permanent = DeliveryStatus.FAILED, str(error), True
        except Exception as error:
            status, reason = DeliveryStatus.FAILED, f"{type(error).__name__}: {error}"
        outcome = DeliveryOutcome(
            destination=destination.key,
            type=destination.type,
            status=status,
            receipt=receipt,
            reason=reason,
            permanent=permanent,
            at=self._clock.now(),
        )
        return outcome, wait


async def _channel_name(processor: MessageProcessor, channel_id: str) -> str:
    ask = getattr(processor, "channel_name", None)
    return (await ask(channel_id) or "") if ask is not None else ""


def _request(work: Work, destination: Destination, summary: Summary) -> DeliveryRequest:
    return DeliveryRequest(
        key=delivery_key(work.attempt.run, destination.key),
        run_id=work.attempt.run,
        task_id=work.task_id,
        task_name=work.definition.name,
        guild_id=work.guild_id,
        destination=destination,
        summary=summary,
        slot=work.attempt.instant,
        timezone=work.definition.schedule.timezone,
    )


def _title(definition: TaskDefinition, work: Work, names: Sequence[str]) -> str:
    template = definition.title_template
    if not template:
        return ""
    # Plain replacement: a template is a person's text, and str.format would reach into objects.
    words = {
        "{name}": definition.name,
        "{date}": f"{work.attempt.instant:%Y-%m-%d}",
        "{channel}": definition.channel_id,
    }
    for word, value in words.items():
        template = template.replace(word, value)
    return template


def _adopted(result: Any, work: Work) -> Summary:
    markdown = getattr(result, "to_markdown", None)
    embed = getattr(result, "to_embed_dict", None)
    participants = getattr(result, "participants", None) or ()
    return Summary(
        id=str(result.id),
        summary_text=str(result.summary_text),
        message_count=int(getattr(result, "message_count", 0) or 0),
        participants=tuple(_participant(p) for p in participants),
        start_time=getattr(result, "start_time", None) or work.attempt.since,
        end_time=getattr(result, "end_time", None) or work.attempt.instant,
        engine=type(result).__name__,
        markdown=markdown() if callable(markdown) else None,
        embed=embed() if callable(embed) else None,
    )


def _participant(participant: Any) -> tuple[str, int]:
    if isinstance(participant, str):
        return participant, 0
    if isinstance(participant, Sequence) and len(participant) == 2:
        return str(participant[0]), int(participant[1])
    name = getattr(participant, "display_name", None) or getattr(participant, "name", None) or str(participant)
    return str(name), int(getattr(participant, "message_count", 0) or 0)
