"""The tutorial of the Discord bot does what it says, command by command, with a real client."""

from __future__ import annotations

import re
from pathlib import Path

from tests.docs_pages import ROOT
from tests.e2e.town import town_of
from tests.e2e.tutorial import LARGEST, PAGE, play

_PICTURE = re.compile(r"!\[[^\]]+\]\(([\w-]+\.png)\)")


async def test_the_tutorial_is_true_from_the_first_command_to_the_last(tmp_path: Path) -> None:
    """A preview, a summary at once, one at 18:00 in Berlin, none while paused, and the reason for that."""
    async with town_of(tmp_path / "data") as town:
        played = await play(town)
        preview = played.shown["schedule create"]
        assert "18:00" in preview
        assert "Europe/Berlin" in preview
        assert played.ran_at is not None
        assert "paused" in played.shown["schedule why"].lower()
        assert "nobody is here in August" in played.shown["schedule why"]
        assert played.task is not None
        assert played.task.status == "active"
        assert played.task.timezone == "Europe/Berlin"
        assert set(played.pictures) == set(_PICTURE.findall(PAGE.read_text("utf-8")))


def test_the_pictures_of_the_tutorial_are_there_and_small() -> None:
    """PNG files below 100 kB; ``python -m tests.e2e.tutorial`` makes them."""
    for name in _PICTURE.findall(PAGE.read_text("utf-8")):
        picture = (ROOT / "docs" / "tutorial" / name).read_bytes()
        assert picture.startswith(b"\x89PNG")
        assert len(picture) < LARGEST
