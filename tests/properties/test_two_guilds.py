"""Whatever one guild does through any command, button, menu or autocomplete, it sees and touches nothing of the other.

The commands are read from the tree and their options filled in by kind, so a command that is added is tried as well.
"""

from __future__ import annotations

import asyncio
import json
import random
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.discord_double import Message
from tests.e2e.evidence import all_events
from tests.e2e.town import Town, shown_text, town_of

GUESSED, SECRET = "Zebra", "Quokka"
"""A name that the other guild guessed, and what stands in all that it did not: names, reasons, messages."""

STRING, INTEGER, BOOLEAN, CHANNEL, ROLE, NUMBER = 3, 4, 5, 7, 8, 10


@settings(max_examples=8)
@given(st.integers(0, 2**32))
def test_a_guild_sees_and_touches_nothing_of_another(seed: int) -> None:
    """Every command, with every way to name the other guild's task, and every button of the other guild forged."""
    asyncio.run(_attack(random.Random(seed)))


async def _attack(chance: random.Random) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with town_of(Path(folder) / "data") as town, town.bot():
            names, forgeable = await _secrets(town)
            own = await town.task("Mine", guild=town.other)
            names.append(own)
            await _counts_nothing_of_others(town)
            before = _of_the_village(town)
            said = len(town.square.messages), len(town.hall.messages)
            [schedule] = town.double.commands.registered()
            for command in schedule["options"]:
                for _ in range(2):
                    await _use(town, command, names, chance)
                await _type(town, command, chance)
            await _forge(town, forgeable, own)
            await town.settled()
            for interaction in town.double.interactions.made:
                if interaction.user is town.eve:
                    shown = json.dumps([_seen(interaction), interaction.choices, interaction.modal])
                    assert SECRET not in shown
                    assert str(town.square.id) not in shown
            assert _of_the_village(town) == before
            assert (len(town.square.messages), len(town.hall.messages)) == said


async def _secrets(town: Town) -> tuple[list[str], list[str]]:
    """Tasks, a run and drafts of the village; how they can be named, and the custom ids of all that ann was shown."""
    town.chatter(town.square)
    first, second = await town.task(GUESSED), await town.task(f"{SECRET} paused")
    for _ in range(7):
        await town.scheduler.run_task_now(first)
    await town.scheduler.pause_task(second, reason=SECRET)
    shown = [
        await town.slash(town.ann, "schedule show", task=first),
        await town.slash(town.ann, "schedule show", task=second),
        await town.slash(town.ann, "schedule list"),
        await town.slash(town.ann, "schedule cancel", task=first),
        await town.slash(town.ann, "schedule create", channel=town.square, frequency="daily", name=f"{SECRET} draft"),
        await town.slash(town.ann, "schedule edit", task=first, name=f"{SECRET} edit"),
        await town.slash(town.ann, "schedule history", task=first),
        await town.slash(town.ann, "schedule settings", max_tasks=77),
        town.square.messages[-1],  # the summary, with its buttons
    ]
    assert len(_ids(shown[-1])) == 4
    run = town.scheduler.queries.runs(task_id=first)[0]
    names = [first, second, first[:8], GUESSED, run.run_id, str(town.guild.id)]
    return names, [id for message in shown for id in _ids(message)]


def _ids(message: Message) -> list[str]:
    return [item["custom_id"] for row in message.components for item in row["components"] if "custom_id" in item]


def _of_the_village(town: Town) -> list[Any]:
    """All that the log holds of the village."""
    own = {task.task_id for task in town.scheduler.queries.tasks(guild_id=str(town.other.id), archived=True)}
    nodes = {"node.started", "node.stopped"}
    return [
        (str(event.originator_id), event.originator_version)
        for event in all_events(town.scheduler.stores.log)
        if str(event.originator_id) not in own
        and type(event).topic not in nodes
        and getattr(event, "guild_id", None) != str(town.other.id)
    ]


async def _use(town: Town, command: dict[str, Any], names: list[str], chance: random.Random) -> None:
    """Use a command with options filled in by kind; what names a task names the other guild's."""
    if command["type"] != 1:
        return
    options = command.get("options") or []
    given = {
        option["name"]: _value(town, option, names, chance)
        for option in options
        if option.get("required") or chance.random() < 0.4
    }
    asked = await town.interact(town.eve, f"schedule {command['name']}", **given).done()
    if asked.original is not None and (offered := _pressable(asked.original)):
        await town.double.interactions.press(town.eve, asked.original, chance.choice(offered)).done()


def _pressable(message: Message) -> list[str]:
    """The custom ids of the buttons that can be pressed."""
    items = [item for row in message.components for item in row["components"]]
    return [item["custom_id"] for item in items if item["type"] == 2 and not item.get("disabled")]


async def _counts_nothing_of_others(town: Town) -> None:
    """Sums and limits are those of one's own guild: it has one task, and no run."""
    assert "1 Active\n" in shown_text(await town.slash(town.eve, "schedule stats"))
    assert "0 executed, 0 failed, 0 skipped" in shown_text(await town.slash(town.eve, "schedule stats"))
    assert "Tasks: 1\nRuns today: 0" in shown_text(await town.slash(town.eve, "schedule settings"))


def _value(town: Town, option: dict[str, Any], names: list[str], chance: random.Random) -> Any:
    if option.get("choices"):
        return chance.choice(option["choices"])["value"]
    if option["type"] == CHANNEL:
        return town.field
    if option["type"] == ROLE:
        return chance.choice([*town.other.roles.values()])
    if option["type"] == BOOLEAN:
        return chance.random() < 0.5
    if option["type"] in (INTEGER, NUMBER):
        return option.get("min_value") or 1
    foreign = chance.choice(names)
    return foreign[: option.get("max_length", 100)]


async def _type(town: Town, command: dict[str, Any], chance: random.Random) -> None:
    for option in command.get("options") or []:
        if option.get("autocomplete"):
            text = chance.choice(["", GUESSED, SECRET[:2].lower(), "a"])
            path = f"schedule {command['name']}"
            await town.double.interactions.type(
                town.eve, town.field, path, option["name"], **{option["name"]: text}
            ).answered()


async def _forge(town: Town, forgeable: list[str], own: str) -> None:
    """Press what ann was shown, under a message of one's own that was made to carry its custom ids."""
    for id in forgeable:
        message = await town.slash(town.eve, "schedule show", task=own)
        message.components = [{"type": 1, "components": [{"type": 2, "style": 2, "label": "x", "custom_id": id}]}]
        await town.double.interactions.press(town.eve, message, id).done()


def _seen(interaction: Any) -> list[Any]:
    """All that a person was shown by an answer."""
    messages = [interaction.original, *interaction.followups]
    return [[each.content, each.embeds, each.components] for each in messages if each is not None]
