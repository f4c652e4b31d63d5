"""The commands that there are: each a function in a module of its own, from the Desk to the command."""

from __future__ import annotations

from collections.abc import Callable

import discord
from discord import app_commands

from adapters.discord_bot import (
    cancel,
    create,
    drafting,
    edit,
    export,
    help,
    history,
    listing,
    pause,
    preview,
    results,
    resume,
    run_now,
    settings,
    show,
    skip,
    stats,
    why,
)
from adapters.discord_bot.desk import Command, Desk
from adapters.discord_bot.texts import said

__all__ = ["COMMANDS", "GROUP", "schedule_group"]

GROUP = "schedule"

COMMANDS: tuple[Callable[[Desk], Command], ...] = (
    create.create,
    listing.list_tasks,
    show.show,
    edit.edit,
    preview.preview,
    pause.pause,
    resume.resume,
    skip.skip,
    run_now.run,
    cancel.cancel,
    history.history,
    why.why,
    stats.stats,
    export.export,
    settings.settings,
    help.help_command,
)
"""In the order in which Discord lists them. Discord takes 25 at most."""


def schedule_group(desk: Desk) -> app_commands.Group:
    """``/schedule`` with everything below it: in servers only, and shown to those who may manage the server.

    That is what Discord shows; an administrator of a server can show it to others. What they may do is decided by the
    application for each question.
    """
    group = app_commands.Group(
        name=GROUP,
        description=said("schedule.description"),
        guild_only=True,
        default_permissions=discord.Permissions(manage_guild=True),
    )
    for make in COMMANDS:
        group.add_command(make(desk))
    drafting.serve_drafts(desk)
    results.serve_results(desk)
    group.error(desk.failed)
    return group
