"""Where people of Discord are served: makes commands, knows what buttons and forms do, acknowledges, answers, explains.

Every command and every press goes the same way: acknowledged at once (Discord waits 3 s), done by a handler that
returns plain data, answered. Whatever a handler raises becomes words. What could not be acknowledged is not done.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from functools import wraps
from typing import Any

import discord
import structlog
from discord import app_commands

from adapters.discord_bot.cards import PREFIX, Form, Reply
from adapters.discord_bot.choices import Completer, task_choices, zone_choices
from adapters.discord_bot.drafts import Drafts, KeptT
from adapters.discord_bot.drawing import drawn, modal_of
from adapters.discord_bot.host import Service
from adapters.discord_bot.principals import principal_of
from adapters.discord_bot.problems import problem
from adapters.discord_bot.texts import Words, said, words_for
from application.audit import Audit
from application.queries import Queries
from application.scheduler import Scheduler
from application.views import TaskView
from domain.errors import DaybookError, StoreUnavailable
from domain.principal import Principal

__all__ = ["Answers", "Asked", "Command", "Desk"]

Command = app_commands.Command[Any, ..., Any]
Answer = Reply | None
Handler = Callable[..., Awaitable[Answer | Form]]
_ACCEPTS_LATE = (10062, 10015, 50027)
"""Unknown interaction, unknown webhook, token that ended: nobody waits for the answer any more."""

_log = structlog.get_logger(__name__)


class Answers(Enum):
    """How a press is answered: its message is changed, or who pressed is told apart, or a form is opened."""

    UPDATE = "update"
    APART = "apart"
    FORM = "form"


@dataclass(frozen=True, slots=True)
class Asked:
    """One question of one person: who, in which language, about what."""

    desk: Desk
    interaction: discord.Interaction[Any]
    principal: Principal
    words: Words
    now: datetime

    @property
    def guild_id(self) -> str:
        """The guild that it is asked in."""
        return str(self.interaction.guild_id)

    @property
    def commands(self) -> Scheduler:
        """What may be asked for."""
        return self.desk.service.commands

    @property
    def queries(self) -> Queries:
        """What is and what was."""
        return self.desk.service.queries

    @property
    def audit(self) -> Audit:
        """What was, and why, from the log."""
        return Audit(self.queries, self.desk.service.stores.log, self.desk.service.clock)

    @property
    def zone(self) -> str:
        """The zone of tasks of this guild that name none."""
        return self.queries.settings(self.guild_id).timezone or self.desk.service.timezone

    def find(self, task: str) -> TaskView:
        """The task that was chosen (its id), or whose exact name was typed. Raises TaskNotFound, InvalidInput."""
        return self.queries.find_task(task, principal=self.principal)

    def channel_name(self, channel_id: str) -> str | None:
        """The name of a channel of this guild, as far as it is known."""
        guild = self.interaction.guild
        channel = guild.get_channel_or_thread(int(channel_id)) if guild is not None and channel_id.isdigit() else None
        return channel.name if channel is not None else None

    async def unconfirmed(self, kind: type[KeptT], id: str) -> KeptT:
        """What this person was shown and has not confirmed yet. Raises Expired."""
        by = self.principal.reference
        return await self.desk.drafts.get(kind, id, guild_id=self.guild_id, by=by, now=self.now)

    async def tell(self, reply: Reply) -> bool:
        """Show how far it has come, in the place of what was shown before; says whether Discord took it."""
        return await self.desk.deliver(self.interaction, reply)


class Desk:
    """Serves one bot with one service."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.drafts = Drafts(service)
        self.serving = False
        """Whether the service is open. What comes before and after is answered with words, and does nothing."""
        self._at_work: set[asyncio.Task[Any]] = set()
        self.names: list[str] = []
        """The names of the commands, in order."""
        self._handlers: dict[str, tuple[Handler, Answers]] = {}

    # --- making commands ---

    def command(self, name: str, *, public: bool = False) -> Callable[[Callable[..., Awaitable[Answer]]], Command]:
        """A decorator that makes a subcommand of a callback ``(asked, option, ...) -> Reply``.

        None in place of a Reply: all has been told already. So it is with handlers of presses.
        Its texts are ``NAME.description`` and, for each option, ``NAME.options.OPTION`` or ``options.OPTION``.
        """

        def make(callback: Callable[..., Awaitable[Answer]]) -> Command:
            self.names.append(name)
            signature = inspect.signature(callback, eval_str=True)
            options = list(signature.parameters)[1:]

            @app_commands.describe(**{option: said(_key_of_option(name, option)) for option in options})
            @wraps(callback)
            async def serve(interaction: discord.Interaction[Any], **given: Any) -> None:
                await self._serve_command(interaction, callback, given, public)

            serve.__signature__ = signature  # type: ignore[attr-defined]  # evaluated where its names are known
            return app_commands.Command(name=name, description=said(f"{name}.description"), callback=serve)

        return make

    def tasks(self, *statuses: str) -> Completer:
        """Completes names of tasks, of these statuses where some are named; of the guild that it is typed in."""
        complete = task_choices(self.service, statuses)

        async def while_serving(interaction: discord.Interaction[Any], current: str) -> list[app_commands.Choice[str]]:
            return await complete(interaction, current) if self.serving else []

        return while_serving

    def zones(self) -> Completer:
        """Completes IANA time zones."""
        return zone_choices(self.service)

    def choices(self, key: str, values: Iterable[str]) -> list[app_commands.Choice[str]]:
        """Fixed choices whose texts are ``KEY.VALUE``."""
        return [app_commands.Choice(name=said(f"{key}.{value}"), value=value) for value in values]

    def on(self, what: str, handler: Handler, answers: Answers = Answers.UPDATE) -> None:
        """What happens when something with the custom id ``press(what, ...)`` is pressed, chosen or submitted.

        The handler is called with an Asked and the arguments of the custom id as texts. With FORM it returns a Form.
        """
        self._handlers[what] = (handler, answers)

    # --- serving ---

    async def finished(self, within_seconds: float) -> None:
        """Wait until what is being answered has been answered, so long at most."""
        if others := self._at_work - {asyncio.current_task()}:
            await asyncio.wait(others, timeout=within_seconds)

    @contextmanager
    def _working(self) -> Iterator[None]:
        task = asyncio.current_task()
        assert task is not None
        self._at_work.add(task)
        try:
            yield
        finally:
            self._at_work.discard(task)

    async def asked(self, interaction: discord.Interaction[Any]) -> Asked:
        """The question of an interaction. Raises Forbidden outside of a guild, StoreUnavailable while not serving."""
        if not self.serving:
            raise StoreUnavailable("the service is stopping")
        principal = await principal_of(self.service, interaction)
        return Asked(self, interaction, principal, words_for(interaction.locale), self.service.clock.now())

    async def _serve_command(
        self,
        interaction: discord.Interaction[Any],
        callback: Callable[..., Awaitable[Answer]],
        given: dict[str, Any],
        public: bool,
    ) -> None:
        with self._working():
            if not await _acknowledged(interaction, interaction.response.defer(ephemeral=not public, thinking=True)):
                return
            try:
                reply = await callback(await self.asked(interaction), **given)
            except Exception as error:
                reply = problem(error, words_for(interaction.locale))
            if reply is not None:
                await self.deliver(interaction, reply)

    async def pressed(self, interaction: discord.Interaction[Any]) -> None:
        """Serve a press, a choice in a menu or a form; those of others are left alone."""
        data: Any = interaction.data or {}
        prefix, _, rest = str(data.get("custom_id", "")).partition(":")
        if prefix == PREFIX:
            with self._working():
                await self._serve_press(interaction, rest)

    async def _serve_press(self, interaction: discord.Interaction[Any], rest: str) -> None:
        what, *arguments = rest.split(":")
        handler, answers = self._handlers.get(what, (_unknown, Answers.APART))
        if answers is Answers.FORM:
            await self._open_form(interaction, handler, arguments)
            return
        apart = answers is Answers.APART or interaction.message is None
        deferred = interaction.response.defer(ephemeral=apart, thinking=apart)
        if not await _acknowledged(interaction, deferred):
            return
        try:
            reply = await handler(await self.asked(interaction), *arguments)
        except Exception as error:
            await self._explain(interaction, error, apart)
            return
        assert not isinstance(reply, Form)
        if reply is not None:
            await self.deliver(interaction, reply)

    async def _open_form(self, interaction: discord.Interaction[Any], handler: Handler, arguments: list[str]) -> None:
        """A form must be the first answer, so what makes it only reads what is at hand."""
        try:
            form = await handler(await self.asked(interaction), *arguments)
        except Exception as error:
            told = drawn(problem(error, words_for(interaction.locale)))
            await _acknowledged(interaction, interaction.response.send_message(ephemeral=True, **told))
            return
        assert isinstance(form, Form)
        await _acknowledged(interaction, interaction.response.send_modal(modal_of(form)))

    async def _explain(self, interaction: discord.Interaction[Any], error: Exception, apart: bool) -> None:
        """Say what went wrong: beside the message that was pressed, which stays as it is."""
        reply = problem(error, words_for(interaction.locale))
        if apart:
            await self.deliver(interaction, reply)
        else:
            await _answered(interaction, interaction.followup.send(ephemeral=True, **drawn(reply)))

    async def deliver(self, interaction: discord.Interaction[Any], reply: Reply) -> bool:
        """Show an answer in the place of what was shown before; says whether Discord took it."""
        return await _answered(interaction, interaction.edit_original_response(**drawn(reply, editing=True)))

    async def failed(self, interaction: discord.Interaction[Any], error: app_commands.AppCommandError) -> None:
        """Answer an error that discord.py met before a handler began (``tree.error``)."""
        reply = problem(error, words_for(interaction.locale))
        if interaction.response.is_done():
            await self.deliver(interaction, reply)
        else:
            await _acknowledged(interaction, interaction.response.send_message(ephemeral=True, **drawn(reply)))


async def _unknown(asked: Asked, *arguments: str) -> Reply:
    raise DaybookError(asked.words.plain("problems.outdated"))


def _key_of_option(command: str, option: str) -> str:
    own = f"{command}.options.{option}"
    return own if words_for("en").knows(own) else f"options.{option}"


async def _acknowledged(interaction: discord.Interaction[Any], sent: Awaitable[Any]) -> bool:
    """Whether Discord took the first answer. Where it came too late nobody is there any more, and nothing is done."""
    try:
        await sent
    except discord.HTTPException as error:
        _log.warning("interaction_not_acknowledged", code=error.code, status=error.status, kind=str(interaction.type))
        return False
    return True


async def _answered(interaction: discord.Interaction[Any], sent: Awaitable[Any]) -> bool:
    """Send an answer; one that nobody waits for any more is given up, and so is one that Discord refuses."""
    try:
        await sent
    except discord.HTTPException as error:
        level = _log.info if error.code in _ACCEPTS_LATE else _log.warning
        level("interaction_answer_not_shown", code=error.code, status=error.status, kind=str(interaction.type))
        return False
    return True
