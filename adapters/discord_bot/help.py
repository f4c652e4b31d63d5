"""``/schedule help``: what there is to type, from the commands themselves."""

from __future__ import annotations

from adapters.discord_bot.cards import Card, Reply
from adapters.discord_bot.desk import Asked, Command, Desk
from adapters.discord_bot.texts import Marked

__all__ = ["help_command"]


def help_command(desk: Desk) -> Command:
    """The command."""

    @desk.command("help")
    async def answer(asked: Asked) -> Reply:
        words = asked.words
        lines = [
            words("help.line", command=Marked(f"`/schedule {name}`"), does=words.plain(f"{name}.description"))
            for name in desk.names
        ]
        text = "\n".join([words("help.about", zone=asked.zone), "", *lines, "", words("help.phrases")])
        return Reply((Card(words("help.title"), text),))

    return answer
