"""The page of the double of Discord names tests that there are, and its pictures show what a message says."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from tests.discord_double import Message, World
from tests.discord_double.picture import page
from tests.docs_pages import ROOT

README = ROOT / "tests" / "discord_double" / "README.md"
TESTS = ROOT / "tests" / "e2e" / "test_discord_double.py"


def test_every_rule_of_the_double_has_a_test_of_the_double() -> None:
    """Each row of the page names one, and it exists."""
    rows = [line for line in README.read_text("utf-8").splitlines() if line.startswith("| ") and "| test |" not in line]
    there = set(re.findall(r"^(?:async )?def (test_\w+)", TESTS.read_text("utf-8"), re.MULTILINE))
    assert len(rows) > 20
    for row in rows:
        named = re.findall(r"`(test_\w+)`", row)
        assert named, row
        assert set(named) <= there, row


def test_a_picture_shows_a_message_as_a_person_sees_it() -> None:
    """Times in the viewer's zone, names in place of ids, markup that was escaped as it was typed, and no live HTML."""
    world = World()
    guild = world.add_guild("Village")
    square = world.add_channel(guild, "square")
    now = datetime(2026, 11, 23, 12, tzinfo=UTC)
    at = int(now.timestamp()) + 7200
    message = Message(1, square.id, world.add_user("ann"), f"<#{square.id}> <t:{at}:F> <t:{at}:R> <script>", flags=64)
    message.embeds = [
        {"title": r"5 \* 3", "description": "**bold** [message](<https://a.example/1>)", "color": 0xFF},
        {"fields": [{"name": "n", "value": "`v`", "inline": True}], "footer": {"text": "<b>"}},
    ]
    message.components = [{"type": 1, "components": [{"type": 2, "style": 4, "label": "End", "disabled": True}]}]
    shown = page(world, message, now)
    for expected in (
        "#square</span>",
        "Monday, 23 November 2026 14:00",
        "in 2 hours",
        "&lt;script&gt;",
        "5 * 3",
        "<b>bold</b> <a>message</a>",
        "#0000ff",
        "<code>v</code>",
        "&lt;b&gt;",
        '<div class="danger off">End</div>',
        "Only you can see this",
    ):
        assert expected in shown
    assert "<script>" not in shown
    assert "https://" not in shown
