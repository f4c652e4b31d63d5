"""The page of Discord's commands says what the tree says: nothing is missing, nothing is left over."""

from __future__ import annotations

import re
from typing import Any

from adapters.discord_bot.catalog import schedule_group
from adapters.discord_bot.desk import Desk
from tests.docs_pages import ROOT, section, table

PAGE = ROOT / "docs" / "reference" / "discord-commands.md"


def test_every_command_with_its_options_is_on_the_page() -> None:
    """Compared with the commands as they are registered, options in their order."""
    service: Any = None  # the commands are made, and not used
    tree = {
        command.name: [option.name for option in command.parameters]
        for command in schedule_group(Desk(service)).commands
        if not hasattr(command, "commands")
    }
    text = PAGE.read_text(encoding="utf-8")
    headings = re.findall(r"^## (/schedule .+)$", text, re.MULTILINE)
    shown = {
        heading.removeprefix("/schedule "): [row[0].strip("`") for row in table(section(PAGE, f"## {heading}"))]
        for heading in headings
    }
    assert shown == tree
