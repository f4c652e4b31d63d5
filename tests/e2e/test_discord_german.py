"""A session in German: nothing that a person is shown is in English, but for what people and other services said."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.discord_double import ChannelType, Permission
from tests.e2e.town import Town, button, embed_text, town_of

DAY = timedelta(days=1)
ENGLISH = re.compile(
    r"\b(?:the|is|are|were|has|have|had|not|of|and|it|its|for|to|with|by|at|from|that|this|no|every|give|choose|"
    r"write|use|say|run|runs|ran|task|tasks|channel|messages|nothing|failed|skipped|executed|paused|day|days)\b",
    re.IGNORECASE,
)
TYPED_IN_ENGLISH = re.compile(
    r"^\*\*\w+\*\*|`[^`]*`|\"[^\"]*\"|<[#@:t][^>]*>|https?://\S+|person:\w+|tippe when: every weekday at 9:00"
    r"|View Channel|Read Message History|Send Messages|Manage Server|Message Content Intent"
)
"""What is typed as it stands (options, commands, phrases), what Discord shows in its words, and its permissions."""

TYPED = ("every day at 2:30 in Europe/Berlin", "every weekday at 9:00 in Europe/Berlin")
"""What a person asked a preview of, which is its title; and what a form shows as an example of what can be typed."""

WHAT_ZONES_ARE_CALLED = re.compile(r"\b[A-Z][A-Za-z_]+/[A-Za-z_/]+\b")


async def ran(town: Town, id: str) -> None:
    """Run a task, until what came of it has taken the place of the progress."""
    await town.interact(town.ann, "schedule run", task=id).until(lambda each: each.edits > 0)


async def session(town: Town) -> None:
    """Every command, most buttons and forms, mistakes, refusals, quiet and failed runs, and questions about them."""
    ann, say = town.ann, town.slash
    press, submit = town.double.interactions.press, town.double.interactions.submit
    await say(ann, "schedule help")
    await say(ann, "schedule list")
    await say(ann, "schedule stats")
    for wrong in (
        {},
        {"when": "every wensday"},
        {"when": "every day", "time": "9:00"},
        {"frequency": "hourly", "time": "9:00"},
        {"frequency": "once"},
        {"frequency": "once", "day": "2020-01-01"},
        {"frequency": "daily", "zone": "Europe/Berln"},
        {"frequency": "daily", "name": "x\x07"},
    ):
        await say(ann, "schedule create", channel=town.square, **wrong)
    category = town.double.world.add_channel(town.guild, "Felder", type=ChannelType.CATEGORY)
    await town.double.gateway.settle()
    phrase = "every month on the 31st at 2:30 in Europe/Berlin"
    made = await say(
        ann, "schedule create", category=category, when=phrase, name="Ernte", deliver_to=town.hall, to_me=True
    )
    for label in ("Kategorie…", "◀ Übersicht", "Mir nicht schreiben", "Mir schreiben"):
        await town.press(ann, made, label)
    for label, typed in (("E-Mail…", {"mail": "ann@example.org"}), ("Webhook…", {"url": "ftp://x.example/secret"})):
        opened = await press(ann, made, button(made, label)).answered()
        await submit(opened, **typed).done()
    opened = await press(ann, made, button(made, "Anpassen")).answered()
    await submit(opened, when="every day at 9 in Europe/Berlin", least="2").done()
    await press(ann, made, button(made, "Kanäle, die zusammengefasst werden"), [town.square]).done()
    await town.press(ann, made, "Anlegen")
    id = town.only_task().task_id
    await say(ann, "schedule preview", task=id, count=25)
    await say(ann, "schedule preview", when="every day at 2:30 in Europe/Berlin", count=25)
    await say(ann, "schedule preview")
    await town.interact(ann, "schedule preview", task=id, summary=True).done()
    await town.settled()
    await ran(town, id)
    town.chatter(town.square)
    await ran(town, id)
    town.double.world.deny(town.square, Permission.VIEW_CHANNEL)
    await town.double.gateway.settle()
    await ran(town, id)
    edit = await say(ann, "schedule edit", task=id, when="every weekday at 10", name="Mühle")
    await town.press(ann, edit, "Speichern")
    await say(ann, "schedule skip", task=id, count=2, reason="Ferien")
    await say(ann, "schedule pause", task=id, until="3d", reason="Ferien")
    await say(ann, "schedule pause", task=id)
    await town.wait(4 * DAY)
    for state in ("all", "failed", "skipped"):
        await say(ann, "schedule history", task=id, state=state)
    for when in ("yesterday", "today", "1h ago", "2020-01-01", "tomorrow at 10", "when pigs fly"):
        await say(ann, "schedule why", task=id, when=when)
    await say(ann, "schedule resume", task=id)
    for command in ("show", "stats", "list", "export"):
        await say(ann, f"schedule {command}", **({"task": id} if command != "list" else {}))
    await say(ann, "schedule settings")
    for changed in ({"zone": "Europe/Berlin", "max_tasks": 7}, {"shortest_interval": "1h"}, {"zone": "Nowhere"}):
        await say(ann, "schedule settings", **changed)
    summary = next(message for message in town.hall.messages if message.components)
    await town.press(town.bob, summary, "Pause")  # he may look, and no more
    await say(ann, "schedule show", task="Quokka")
    for command, option in (("show", "task"), ("create", "time"), ("why", "when")):
        await town.typed(ann, f"schedule {command}", option, **{option: ""})
    end = await say(ann, "schedule cancel", task=id, reason="Ferien")
    await town.press(ann, end, "Ja, endgültig beenden")
    await say(ann, "schedule resume", task=id)


def shown_on(town: Town) -> Iterator[str]:
    """Every text that the bot sent in answer to people: messages as they stood in between, forms, what is offered."""
    for request in town.double.wire.requests:
        if request.path.startswith(("/interactions/", "/webhooks/")) and request.payload:
            yield from _texts(request.payload.get("data") or request.payload)


def _texts(data: dict[str, Any]) -> Iterator[str]:
    yield from (
        str(data.get(name) or "") for name in ("content", "title", "label", "placeholder", "name", "description")
    )
    yield from (embed_text(embed) for embed in data.get("embeds") or ())
    for inner in ("components", "options", "choices"):
        for each in data.get(inner) or ():
            yield from _texts(each)


def english_in(text: str) -> list[str]:
    """The lines that have English words, apart from what has to be English."""
    for typed in TYPED:
        text = text.replace(typed, "")
    lines = (WHAT_ZONES_ARE_CALLED.sub("", TYPED_IN_ENGLISH.sub("", line)) for line in text.splitlines())
    return [line for line in lines if ENGLISH.search(line)]


def test_english_is_recognized() -> None:
    """A check that finds nothing must be able to find something."""
    assert english_in("Paused by the farmer")
    assert english_in("every day at 9:00 in Europe/Berlin")
    assert english_in("`every day`\nNächste Läufe, <t:1:F>") == []


async def test_a_session_in_german_shows_nothing_in_english(tmp_path: Path) -> None:
    """The words of every message, button, menu and form that it meets are those of the language's files."""
    async with town_of(tmp_path) as town, town.bot():
        town.double.interactions.locales = {town.ann.id: "de", town.bob.id: "de"}
        await session(town)
        texts = set(shown_on(town))
        assert len(texts) > 100
        assert sorted({line for text in texts for line in english_in(text)}) == []
