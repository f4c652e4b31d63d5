"""Two guilds on one bot: whatever one does through any command, button, menu, form or autocomplete, and whatever it
forges of the other's, it sees and touches nothing of the other.

The commands are read from the tree and their options filled in by kind, so a command that is added is tried as well.
"""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from domain import task_events as facts
from tests.discord_double import Channel, ChannelType, Guild, Interaction, Message, User
from tests.e2e.evidence import all_events
from tests.e2e.town import shown_text, town_of

STRING, INTEGER, BOOLEAN, CHANNEL, ROLE, NUMBER = 3, 4, 5, 7, 8, 10
BUTTON, MENU, CHANNEL_MENU, TEXT_INPUT = 2, 3, 8, 4
PHRASES = (
    "every day at 9",
    "every 15 minutes",
    "every weekday at 9:00 in Europe/Berlin",
    "tomorrow",
    "yesterday",
    "3d",
)
MOST_KEPT = 40
WITHOUT_SHRINKING = (Phase.explicit, Phase.reuse, Phase.generate)
"""A step takes milliseconds of real sockets: a failure is told as it was found."""


T = TypeVar("T")
sides, others = st.sampled_from(["village", "elsewhere"]), {"village": "elsewhere", "elsewhere": "village"}

ANSWERING = ("discord.py: on_interaction", "CommandTree-invoker")
"""How discord.py names the tasks in which the bot does what somebody pressed or typed."""


@dataclass
class Side:
    """One guild, with who manages it. ``secret`` stands in all that the other guild did not guess."""

    guild: Guild
    user: User
    home: Channel
    guessed: str
    secret: str
    channels: list[Channel] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    forms: list[Interaction] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    """Ids of its tasks and runs, which the other guild may have come by."""

    def everything(self) -> list[int]:
        """How many messages stand in its channels."""
        return [len(channel.messages) for channel in self.channels]


class TwoGuilds(RuleBasedStateMachine):
    """Both guilds use the bot, and each is the other's attacker."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.Runner()
        self.stack = AsyncExitStack()
        self.folder = tempfile.TemporaryDirectory()
        self.sides: dict[str, Side] = {}
        self.run(self._open())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Let the bot, Discord and people go on until this is done."""
        return self.loop.run(asyncio.wait_for(work, 60))

    async def _open(self) -> None:
        self.town = town = await self.stack.enter_async_context(town_of(Path(self.folder.name) / "data"))
        await self.stack.enter_async_context(town.bot())
        people = (
            (town.guild, town.ann, town.square, "Zebra", "Quokka"),
            (town.other, town.eve, town.field, "Ibis", "Yak"),
        )
        for name, (guild, user, home, guessed, secret) in zip(("village", "elsewhere"), people, strict=True):
            side = self.sides[name] = Side(guild, user, home, guessed, secret)
            world = town.double.world
            category = world.add_channel(guild, f"{secret} hill", type=ChannelType.CATEGORY)
            side.channels = [home, category, world.add_channel(guild, f"{secret}-den", parent=category)]
            await town.double.gateway.settle()
            for number in range(6):
                world.say(side.home, user, f"The {secret} eats at the well, number {number}. Shall we feed it?")
            first = await self._task(side, guessed)
            await self._task(side, f"{secret} garden")
            await town.scheduler.run_task_now(first)
            self._note(side)
        [self.tree] = town.double.commands.registered()

    async def _task(self, side: Side, name: str) -> str:
        return await self.town.task(name, guild=side.guild, schedule_time="09:00")

    def teardown(self) -> None:
        """The bot leaves."""
        self.run(self.stack.aclose())
        self.loop.close()
        self.folder.cleanup()

    # --- what people do

    @rule(name=sides, data=st.data())
    def use(self, name: str, data: st.DataObject) -> None:
        """A command, with options filled in by kind; what names a task may name the other guild's."""
        command = data.draw(st.sampled_from([each for each in self.tree["options"] if each["type"] == 1]))
        given = {
            option["name"]: self._value(name, option, data)
            for option in command.get("options") or []
            if option.get("required") or data.draw(st.integers(0, 3)) == 0
        }
        self._act(name, lambda: self.town.interact(self.sides[name].user, f"schedule {command['name']}", **given))

    @rule(name=sides, data=st.data())
    def type(self, name: str, data: st.DataObject) -> None:
        """Something into an option that completes, beside a task that may be the other's."""
        completing = [
            (command, option)
            for command in self.tree["options"]
            for option in command.get("options") or []
            if option.get("autocomplete")
        ]
        command, option = data.draw(st.sampled_from(completing))
        typed = {option["name"]: data.draw(st.sampled_from(["", "a", *self._guesses(name)]))}
        if any(each["name"] == "task" for each in command["options"]):
            typed.setdefault("task", data.draw(st.sampled_from(self._guesses(name))))
        self._act(name, lambda: self._typed(name, command["name"], option["name"], typed))

    @precondition(lambda self: any(side.messages for side in self.sides.values()))
    @rule(name=sides, forged=st.booleans(), data=st.data())
    def press(self, name: str, forged: bool, data: st.DataObject) -> None:
        """A button or menu of what was shown to oneself; or one of the other's, under a message of one's own."""
        side, owner = self.sides[name], self.sides[others[name] if forged else name]
        items = [(message, item) for message in owner.messages for item in _items(message)]
        if not items or not side.messages:
            return
        message, item = data.draw(st.sampled_from(items))
        if forged:
            message, item = data.draw(st.sampled_from(side.messages)), _without_words(item)
            message.components = [{"type": 1, "components": [item]}]
        values = self._chosen(name, item, data)
        self._act(name, lambda: self.town.double.interactions.press(side.user, message, item["custom_id"], values))

    @precondition(lambda self: any(side.forms for side in self.sides.values()))
    @rule(name=sides, forged=st.booleans(), data=st.data())
    def submit(self, name: str, forged: bool, data: st.DataObject) -> None:
        """A form that was opened; or one of one's own that carries the custom id of the other's."""
        own, theirs = self.sides[name].forms, self.sides[others[name]].forms
        if not own or (forged and not theirs):
            return
        form = data.draw(st.sampled_from(own))
        assert form.modal is not None
        if forged:
            stolen = data.draw(st.sampled_from(theirs)).modal
            assert stolen is not None
            form.modal = {**form.modal, "custom_id": stolen["custom_id"]}
        boxes = [item for row in form.modal["components"] for item in row["components"] if item["type"] == TEXT_INPUT]
        texts = {box["custom_id"]: data.draw(self._texts(name, box)) for box in boxes if data.draw(st.booleans())}
        typed = {id: text for id, text in texts.items() if text}
        self._act(name, lambda: self.town.double.interactions.submit(form, **typed))

    @rule(hours=st.integers(1, 30))
    def wait(self, hours: int) -> None:
        """Time passes, and what comes due is done: each guild's in its own channels."""
        self.run(self.town.wait(timedelta(hours=hours)))
        self._check_channels()

    # --- filling in

    def _guesses(self, name: str) -> list[str]:
        """How a guild may name what is the other's, or its own."""
        own, other = self.sides[name], self.sides[others[name]]
        return [*other.names[-6:], other.guessed, str(other.guild.id), *own.names[:3]]

    def _value(self, name: str, option: dict[str, Any], data: st.DataObject) -> Any:
        if option.get("choices"):
            return data.draw(st.sampled_from(option["choices"]))["value"]
        if option["type"] == CHANNEL:
            kinds = option.get("channel_types") or []
            return data.draw(st.sampled_from([each for each in self.sides[name].channels if each.type in kinds]))
        if option["type"] == ROLE:
            return data.draw(st.sampled_from([*self.sides[name].guild.roles.values()]))
        if option["type"] == BOOLEAN:
            return data.draw(st.booleans())
        if option["type"] in (INTEGER, NUMBER):
            return data.draw(st.sampled_from([option.get("min_value") or 1, min(option.get("max_value") or 9, 9)]))
        texts = self._guesses(name) if option["name"] == "task" else [*PHRASES, *self._guesses(name)]
        text: str = data.draw(st.sampled_from(texts))
        return text[: option.get("max_length", 100)]

    def _chosen(self, name: str, item: dict[str, Any], data: st.DataObject) -> list[Any] | None:
        if item["type"] == MENU:
            return [data.draw(st.sampled_from(item["options"]))["value"]]
        if item["type"] == CHANNEL_MENU:
            kinds = item.get("channel_types") or []
            return [data.draw(st.sampled_from([each for each in self.sides[name].channels if each.type in kinds]))]
        return None

    def _texts(self, name: str, box: dict[str, Any]) -> st.SearchStrategy[str]:
        most = box.get("max_length", 100)
        return st.sampled_from([*PHRASES, "5", "Europe/Berlin", *self._guesses(name)]).map(lambda text: text[:most])

    # --- doing and checking

    def _typed(self, name: str, command: str, focused: str, typed: dict[str, str]) -> Interaction:
        side = self.sides[name]
        return self.town.double.interactions.type(side.user, side.home, f"schedule {command}", focused, **typed)

    def _act(self, name: str, begin: Any) -> None:
        self.run(self._acted(name, begin))

    async def _acted(self, name: str, begin: Any) -> None:
        side, other = self.sides[name], self.sides[others[name]]
        written, theirs = len(self._events()), other.everything()
        made: Interaction = await begin().done()
        if answering := [task for task in asyncio.all_tasks() if task.get_name() in ANSWERING]:
            await asyncio.wait(answering)  # of a run they see at once that it is going on; it is asked for after that
        await self.town.settled()
        assert made.refusals == [], "Discord takes every answer, in time"
        assert other.secret not in json.dumps([_seen(made), made.choices, made.modal]), _seen(made)
        assert other.everything() == theirs
        # What somebody did: a run or a notice of the other guild may come to its end meanwhile.
        done = [event for event in self._events()[written:] if getattr(event, "by", None) is not None]
        touched = {self._guild_of(event) for event in done}
        assert touched <= {str(side.guild.id), None}, touched
        shown = [made.original, *made.followups]
        side.messages = [*side.messages, *(each for each in shown if each is not None and _items(each))][-MOST_KEPT:]
        if made.modal is not None:
            side.forms.append(made)
        self._note(side)
        self._check_channels()

    def _note(self, side: Side) -> None:
        """What there is of a guild now: summaries with buttons in its channels, ids that others may come by."""
        queries = self.town.scheduler.queries
        tasks = queries.tasks(guild_id=str(side.guild.id), archived=True, limit=20)
        runs = [run.run_id for task in tasks for run in queries.runs(task_id=task.task_id, limit=1)]
        side.names = [*(task.task_id for task in tasks), *runs]
        public = [each for channel in side.channels for each in channel.messages[-2:] if _items(each)]
        side.messages += [each for each in public if each not in side.messages]

    def _check_channels(self) -> None:
        for name, side in self.sides.items():
            other = self.sides[others[name]]
            said = [message for channel in other.channels for message in channel.messages]
            assert not [each for each in said if side.secret in shown_text(each)]

    def _events(self) -> list[Any]:
        return all_events(self.town.scheduler.stores.log)

    def _guild_of(self, event: Any) -> str | None:
        """The guild that an event is about; None for those of processes."""
        if isinstance(event, facts.TaskEvent):
            return self.town.scheduler.queries.task(str(event.originator_id)).guild_id
        return getattr(event, "guild_id", None)


def _items(message: Message) -> list[dict[str, Any]]:
    """What can be pressed or chosen from below a message."""
    items = [item for row in message.components for item in row["components"]]
    return [item for item in items if "custom_id" in item and not item.get("disabled")]


def _without_words(item: dict[str, Any]) -> dict[str, Any]:
    """What of a button or menu a press sends: the words on it would be shown by the test, and by nobody else."""
    kept = {key: value for key, value in item.items() if key not in ("label", "placeholder", "options")}
    if "options" in item:
        kept["options"] = [{"label": "-", "value": option["value"]} for option in item["options"]]
    return kept


def _seen(interaction: Interaction) -> list[Any]:
    """All that a person was shown by an answer."""
    messages = [interaction.original, *interaction.followups]
    return [[each.content, each.embeds, each.components] for each in messages if each is not None]


def test_a_guild_sees_and_touches_nothing_of_another() -> None:
    """Through the real commands, buttons, menus, forms and completions, over a real client; bounded for every day."""
    thorough = os.environ.get("DAYBOOK_GUILD_EXAMPLES")
    run_state_machine_as_test(
        TwoGuilds,
        settings=settings(
            max_examples=int(thorough or 6),
            stateful_step_count=50 if thorough else 30,
            deadline=None,
            phases=WITHOUT_SHRINKING,
        ),
    )


async def test_sums_and_limits_are_those_of_ones_own_guild(tmp_path: Path) -> None:
    """What others have and did counts nowhere."""
    async with town_of(tmp_path) as town, town.bot():
        town.chatter(town.square)
        id = await town.task("Zebra")
        await town.scheduler.run_task_now(id)
        await town.task("Mine", guild=town.other)
        assert "1 Active\n" in shown_text(await town.slash(town.eve, "schedule stats"))
        assert "0 executed, 0 failed, 0 without a result" in shown_text(await town.slash(town.eve, "schedule stats"))
        assert "Tasks: 1\nRuns today: 0" in shown_text(await town.slash(town.eve, "schedule settings"))
