"""Plays the tutorial of the Discord bot as it is printed: each of its commands is typed, in order, into a town.

Run as ``python -m tests.e2e.tutorial`` it makes the tutorial's pictures anew, with a Chromium on the PATH.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from application.views import TaskView
from tests.discord_double import Message
from tests.discord_double.picture import page
from tests.docs_pages import ROOT, blocks
from tests.e2e.town import Town, shown_text, town_of

__all__ = ["PAGE", "Played", "play", "typed_on_the_page"]

PAGE = ROOT / "docs" / "tutorial" / "from-an-empty-server.md"
LARGEST = 100_000
ZONE = ZoneInfo("Europe/Berlin")
CHAT = (
    "The old oak at the meadow came down in the storm. Shall we plant a new one?",
    "Yes! An oak again, or something that grows faster?",
    "An oak. We decided last year that the meadow stays a place for oaks.",
    "Agreed. Who has a spade, and who can fetch the tree on Saturday?",
    "I have two spades. Saturday at ten works for me.",
    "Then I fetch the tree on Friday evening and leave it in the hall.",
    "Do we need to ask the council before we dig?",
    "I will ask them tomorrow and write here what they say.",
)
DAY = timedelta(days=1)
_OPTION = re.compile(r"(?:^|\s)(\w+): ")


@dataclass(slots=True)
class Played:
    """What came of it: what was shown after each step, and the pictures as pages of HTML, by file name."""

    shown: dict[str, str] = field(default_factory=dict)
    pictures: dict[str, str] = field(default_factory=dict)
    ran_at: datetime | None = None
    task: TaskView | None = None


def typed_on_the_page() -> list[tuple[str, dict[str, str]]]:
    """The commands of the page, in order: ``("schedule run", {"task": "Evening digest"})``."""
    typed = []
    for block in blocks(PAGE):
        if block.language == "discord":
            line = block.text.strip()
            path, *rest = _OPTION.split(line)
            typed.append((path.strip().removeprefix("/"), dict(zip(rest[::2], rest[1::2], strict=True))))
    return typed


async def play(town: Town) -> Played:
    """From a bot that has just come into a server with ``#general`` to a task that goes on after a pause."""
    played = Played()
    commands = iter(typed_on_the_page())
    town.square.name = "general"

    async def next_command() -> Message:
        path, options = next(commands)
        given: dict[str, Any] = {**options}
        if "channel" in given:
            assert given["channel"] == "#general"
            given["channel"] = town.square
        made = town.interact(town.ann, path, **given)
        shown = await made.shown()
        await town.settled()
        played.shown[path] = shown_text(shown)  # a press may change it
        return shown

    def picture(name: str, message: Message) -> None:
        played.pictures[name] = page(town.double.world, message, town.clock.now().astimezone(ZONE))

    async with town.bot():
        _talk(town)
        preview = await next_command()
        picture("task-preview.png", preview)
        await town.press(town.ann, preview, "Create")

        said = len(town.square.messages)
        told = await next_command()
        await _until(lambda: "summarized" in shown_text(told))
        assert len(town.square.messages) == said + 1
        picture("first-summary.png", town.square.messages[-1])

        slot = town.only_task().next_run_time
        assert slot is not None
        _talk(town)
        await town.wait(slot - town.clock.now() - timedelta(minutes=1))
        _talk(town)
        before = len(town.square.messages)
        await town.wait(timedelta(minutes=2))
        assert len(town.square.messages) == before + 1
        played.ran_at = slot

        await next_command()
        await town.wait(DAY)
        assert len(town.square.messages) == before + 1
        await town.wait(DAY / 2)
        picture("why-not.png", await next_command())
        await next_command()
        played.task = town.only_task()
    assert next(commands, None) is None, "the page has a command that nobody plays"
    return played


def _talk(town: Town) -> None:
    """People talked in the minutes before now."""
    for number, text in enumerate(CHAT):
        at = town.clock.now() - timedelta(minutes=len(CHAT) - number)
        town.double.world.say(town.square, (town.ann, town.bob)[number % 2], text, at=at)


async def _until(holds: Any) -> None:
    async def wait() -> None:
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.001)

    await asyncio.wait_for(wait(), 30)


# --- pictures -------------------------------------------------------------------------------------------------------


def photograph(html: str, path: Path, chromium: str) -> None:
    """Write a page as a PNG, as high as it needs."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "page.html")
        # The page says its own height: it is measured first, and then photographed.
        source.write_text(html + "<script>document.title=document.querySelector('main').scrollHeight</script>", "utf-8")
        common = [
            chromium,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            f"--user-data-dir={folder}/u",
        ]
        dom = subprocess.run(
            [*common, "--window-size=600,400", "--dump-dom", source.as_uri()],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        measured = re.search(r"<title>(\d+)</title>", dom)
        assert measured is not None, "the page was not measured"
        subprocess.run(
            [*common, f"--window-size=600,{measured[1]}", f"--screenshot={path}", source.as_uri()],
            check=True,
            capture_output=True,
        )
    assert path.stat().st_size < LARGEST, f"{path} is too large"


async def _pictures() -> dict[str, str]:
    with tempfile.TemporaryDirectory() as folder:
        async with town_of(Path(folder) / "data") as town:
            # Whatever the present is, the pictures are of an afternoon in Berlin.
            noon = town.clock.now().astimezone(ZONE).replace(hour=15, minute=0, second=0, microsecond=0)
            ahead = (noon.astimezone(UTC) - town.clock.now()) % DAY
            town.clock.move(ahead)
            town.double.world.pass_time(ahead)
            return (await play(town)).pictures


if __name__ == "__main__":
    found = shutil.which("chromium")
    assert found is not None, "there is no chromium on the PATH"
    for name, html in asyncio.run(_pictures()).items():
        photograph(html, PAGE.parent / name, found)
        print(PAGE.parent / name)
