"""Doing one attempt: collect, summarize, deliver; or clean up; or a custom operation. Decides nothing about retries."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, TypeVar

from application.collecting import collect
from application.deliverer import Announce, Deliverer
from application.failures import classify, is_quiet
from application.masking import said
from application.ports import (
    CategoryChannels,
    Clock,
    Content,
    DeliveryChannel,
    MessageProcessor,
    SummarizationEngine,
)
from application.summarizing import Summarizer
from application.work import CustomRun, Done, Failure, Outcome, Quiet, Work
from domain.definition import TaskDefinition, TaskType
from domain.destination import DeliveryOutcome, Destination, DestinationType
from domain.errors import InvalidInput, OperationUnknown
from domain.summary import Summary, Usage

__all__ = ["OVERTIME_SECONDS", "Executor", "Handler", "Maker"]

T = TypeVar("T")

_DONE = Done()

OVERTIME_SECONDS = 5.0
"""How long work may take to notice that its deadline has passed."""

Handler = Callable[[CustomRun], Awaitable[None]]
Maker = Callable[[Work], Awaitable[Summary]]
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
        self._engine, self._processor, self._clock = engine, processor, clock
        self.deliverer = Deliverer(channels, clock, delivery_deadline)
        self._disk = ThreadPoolExecutor(2, thread_name_prefix="daybook-content")
        self._handlers: dict[str, Handler] = {}
        self._makers: dict[str, Maker] = {}
        self._content: Content | None = None
        self._cleaner: Cleaner | None = None
        self._wanted: Callable[[Work], bool] = lambda work: True
        self._announce: Announce | None = None

    def bind(self, content: Content, cleaner: Cleaner, wanted: Callable[[Work], bool], announce: Announce) -> None:
        """Connect to the stores of a scheduler.

        ``wanted`` says whether a run may still send, ``announce`` writes down what is about to be sent.
        """
        self._content, self._cleaner, self._wanted, self._announce = content, cleaner, wanted, announce

    async def _on_disk(self, call: Callable[..., T], *arguments: Any) -> T:
        """A call of the content store, on threads of its own: a host may keep the common ones busy."""
        return await asyncio.get_running_loop().run_in_executor(self._disk, call, *arguments)

    def register_operation(self, name: str, handler: Handler) -> None:
        """Make a custom operation known to this process. Only nodes that know it claim its tasks."""
        if not name or len(name) > 100:
            raise InvalidInput("operation", name, "is not a name", "give 1 to 100 characters")
        self._handlers[name] = handler

    def register_maker(self, name: str, maker: Maker) -> None:
        """Make an operation known whose result is kept and delivered as a summary is."""
        self._makers[name] = maker

    @property
    def operations(self) -> tuple[str, ...]:
        """The custom operations that this process can do."""
        return (*self._handlers, *self._makers)

    def check_destination(self, destination: Destination, guild_id: str, *, elsewhere: bool = False) -> None:
        """Refuse (InvalidDestination) what nothing here can deliver to, or nothing anywhere with ``elsewhere``."""
        self.deliverer.check(destination, guild_id, elsewhere=elsewhere)

    def check_source(self, definition: TaskDefinition) -> None:
        """Refuse (InvalidInput) a category where the source of messages knows none. Without a source, nothing."""
        if definition.category_id and self._processor is not None and not isinstance(self._processor, CategoryChannels):
            raise InvalidInput(
                "category_id",
                definition.category_id,
                "cannot be read: the source of messages knows no categories",
                "name the channels in channel_ids",
            )

    def overtime_seconds(self, work: Work) -> float:
        """How far beyond its deadline an attempt is cut off: at once, but for deliveries that began in time."""
        if not self._delivers(work):
            return 0.0
        return OVERTIME_SECONDS + 2 * self.deliverer.deadline.total_seconds()

    async def perform(self, work: Work, progress: list[DeliveryOutcome] | None = None) -> Outcome:
        """Do one attempt. ``progress`` takes the deliveries that are settled, as they come.

        A summary is made within the deadline; whoever has it performed watches over what came of it, and all else.
        """
        try:
            match work.definition.task_type:
                case _ if self._delivers(work):
                    return await self._summary(work, progress if progress is not None else [])
                case TaskType.CLEANUP:
                    if self._cleaner is None:
                        raise OperationUnknown("cleanup")
                    return await self._cleaner(work)
                case _:
                    return await self._custom(work)
        except Exception as error:
            return Quiet(said(error)) if is_quiet(error) else classify(error)

    def _delivers(self, work: Work) -> bool:
        definition = work.definition
        made = definition.task_type is TaskType.CUSTOM and definition.operation in self._makers
        return made or definition.task_type is TaskType.SUMMARY

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
                slot=attempt.slot or attempt.until,
                attempt=attempt.attempt,
                deadline=attempt.deadline,
            )
        )
        return _DONE

    # --- summaries ---

    async def _summary(self, work: Work, progress: list[DeliveryOutcome]) -> Outcome:
        seconds_left = max(0.0, (work.attempt.deadline - self._clock.now()).total_seconds())
        if not work.destinations:
            return Failure("delivery", "no destination is left to deliver to", permanent=True)
        async with asyncio.timeout(seconds_left):
            summary, usage = await self._made(work)
        if not self._wanted(work):
            return Failure("cancelled", "the task was cancelled before anything was sent", permanent=True)
        # Deliveries have deadlines of their own: cutting them off together would leave all of them in doubt.
        outcomes = await self.deliverer.deliver(work, summary, self._announce, progress, self._wanted)
        return Done(
            outcomes=outcomes, summary=summary, messages=summary.message_count, note=_note(summary), usage=usage
        )

    async def _made(self, work: Work) -> tuple[Summary, Usage | None]:
        """The summary of this run: the one that an earlier attempt made, or a new one, kept before it is sent.

        With it what a language model was asked for now: an earlier attempt has told what it spent.
        """
        content = self._content
        made = await self._on_disk(content.summary_of_run, work.attempt.run) if content is not None else None
        if made is not None:
            return made, None
        summary, people = await self._summarized(work)
        if content is not None and self._wanted(work):  # nothing is kept of a task that was erased meanwhile
            now = self._clock.now()
            await self._on_disk(content.save_summary, work.attempt.run, summary, now)
            channels = [note.model_dump() for note in summary.channels]
            usage = summary.usage.model_dump() if summary.usage is not None else None
            detail = {"channels": channels, "engine": summary.engine, "people": people, "usage": usage}
            await self._on_disk(content.save_run_detail, work.attempt.run, work.guild_id, detail, now)
        return summary, summary.usage

    async def summarize(self, work: Work) -> Summary:
        """Collect the messages of all channels of a task and make one summary of them. Delivers nothing."""
        return (await self._summarized(work))[0]

    async def _summarized(self, work: Work) -> tuple[Summary, dict[str, str]]:
        """The summary, and the names of those who wrote by the ids of their accounts: by these they can be erased."""
        if work.definition.task_type is TaskType.CUSTOM:
            return await self._makers[work.definition.operation or ""](work), {}
        if self._engine is None or self._processor is None:
            raise OperationUnknown("summary")
        channels = await collect(self._processor, work)
        messages = [message for channel in channels for message in channel.messages]
        people = {str(message.author_id): str(getattr(message, "author_name", "")) for message in messages}
        return await Summarizer(self._engine, self._clock).summarize(work, channels), people


def _note(summary: Summary) -> str | None:
    """What the run remembers of its summary: what readers were told, and what a language model was asked for it."""
    usage = summary.usage.words if summary.usage is not None else ""
    return said("; ".join(part for part in (usage, summary.notice) if part)) or None
