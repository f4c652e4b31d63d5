"""``/schedule settings``: what this server decides for all its tasks; shown, and changed after a confirmation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import discord
from discord.app_commands import Range, Transform, autocomplete, choices

from adapters.discord_bot.cards import Card, Reply, Tone
from adapters.discord_bot.desk import Asked, Command, Desk
from adapters.discord_bot.drafts import Proposal
from adapters.discord_bot.places import Place, PlaceOption, check_may_send
from adapters.discord_bot.settings_card import settings_reply
from domain.destination import Destination, DestinationType
from domain.draft import parse_duration
from domain.errors import InvalidInput
from domain.guild import GuildSettings
from domain.retention import LONGEST_DAYS, Retention

__all__ = ["settings"]

MOST_TASKS, MOST_RUNS = 1_000_000, 100_000_000

_RESETS: dict[str, Callable[[GuildSettings], dict[str, Any]]] = {
    "zone": lambda now: {"timezone": None},
    "notices": lambda now: {"failure_notices": ()},
    "managers": lambda now: {"managers": ()},
    "max_tasks": lambda now: {"max_tasks": None},
    "shortest_interval": lambda now: {"shortest_interval_seconds": None},
    "runs_per_day": lambda now: {"runs_per_day": None},
    "retention": lambda now: {"retention": Retention(cached_days=now.retention.cached_days)},
}
"""What can be given back to the default."""


def settings(desk: Desk) -> Command:
    """The command, and the two answers to what it proposes."""

    @desk.command("settings")
    @autocomplete(zone=desk.zones())
    @choices(reset=desk.choices("settings.resets", _RESETS))
    async def answer(
        asked: Asked,
        zone: str | None = None,
        notices: Transform[Place, PlaceOption] | None = None,
        add_manager: discord.Role | None = None,
        remove_manager: discord.Role | None = None,
        max_tasks: Range[int, 0, MOST_TASKS] | None = None,
        shortest_interval: Range[str, 1, 20] | None = None,
        runs_per_day: Range[int, 0, MOST_RUNS] | None = None,
        keep_summaries: Range[int, 0, LONGEST_DAYS] | None = None,
        keep_runs: Range[int, 0, LONGEST_DAYS] | None = None,
        reset: str | None = None,
    ) -> Reply:
        before = asked.queries.guild(asked.guild_id, principal=asked.principal).settings
        changes = _RESETS[reset](before) if reset in _RESETS else {}
        changes |= _given(
            timezone=zone,
            max_tasks=max_tasks,
            runs_per_day=runs_per_day,
            shortest_interval_seconds=_seconds(shortest_interval),
        )
        if notices is not None:
            check_may_send(notices)
            changes["failure_notices"] = _notices(before, notices.id)
        if add_manager is not None or remove_manager is not None:
            changes["managers"] = _managers(before, add_manager, remove_manager, asked.guild_id)
        if kept := _given(summaries_days=keep_summaries, run_details_days=keep_runs):
            changes["retention"] = before.retention.model_copy(update=kept)
        return await _shown(asked, before.model_copy(update=changes))

    desk.on("settings-save", _save)
    desk.on("settings-drop", _drop)
    return answer


async def _shown(asked: Asked, after: GuildSettings, said: str = "") -> Reply:
    """The settings as they are; where some are to change, what they become, to be confirmed."""
    before = asked.queries.guild(asked.guild_id, principal=asked.principal).settings
    if after == before:
        return _drawn(asked, before, before, said=said)
    asked.commands.check_settings(asked.guild_id, after, asked.principal)
    by = asked.principal.reference
    proposal = Proposal(guild_id=asked.guild_id, by=by, at=asked.now, before=before, after=after)
    await asked.desk.drafts.put(proposal)
    return _drawn(asked, before, after, id=str(proposal.id), said=said)


async def _save(asked: Asked, id: str) -> Reply:
    """Do it, unless somebody changed the settings since they were shown: then show what would come of it now."""
    proposal = await asked.unconfirmed(Proposal, id)
    with asked.desk.drafts.confirming(proposal):
        now = asked.queries.settings(asked.guild_id)
        if now != proposal.before:
            await asked.desk.drafts.drop(proposal)
            return await _shown(asked, _rebased(proposal, now), asked.words("settings.changed_meanwhile"))
        await asked.commands.change_settings(asked.guild_id, proposal.after, principal=asked.principal)
        await asked.desk.drafts.drop(proposal)
    now = asked.queries.settings(asked.guild_id)
    return _drawn(asked, now, now, said=asked.words("settings.done"), tone=Tone.GOOD)


async def _drop(asked: Asked, id: str) -> Reply:
    """Forget it."""
    await asked.desk.drafts.drop(await asked.unconfirmed(Proposal, id))
    return Reply((Card(asked.words("settings.dropped")),))


def _drawn(asked: Asked, before: GuildSettings, after: GuildSettings, **how: Any) -> Reply:
    use = asked.commands.quota_use(asked.guild_id, principal=asked.principal)
    zone = asked.desk.service.timezone
    return settings_reply(before, after, use, asked.words, service_zone=zone, **{"id": None, **how})


def _rebased(proposal: Proposal, now: GuildSettings) -> GuildSettings:
    """The settings of now with the fields that were to change."""
    wanted = {name: value for name, value in proposal.after if value != getattr(proposal.before, name)}
    return now.model_copy(update=wanted)


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _seconds(text: str | None) -> float | None:
    return None if text is None else parse_duration("shortest_interval", text).total_seconds()


def _notices(before: GuildSettings, channel_id: str) -> tuple[Destination, ...]:
    """This channel in place of other channels of Discord; what else is told stays so."""
    others = [each for each in before.failure_notices if each.type is not DestinationType.DISCORD_CHANNEL]
    return (Destination(type=DestinationType.DISCORD_CHANNEL, target=channel_id), *others)


def _managers(
    before: GuildSettings, add: discord.Role | None, remove: discord.Role | None, guild_id: str
) -> tuple[str, ...]:
    if add is not None and str(add.id) == guild_id:
        raise InvalidInput("add_manager", "@everyone", "is no role of its own", "choose a role that few people have")
    roles = dict.fromkeys(before.managers)
    if add is not None:
        roles[str(add.id)] = None
    if remove is not None:
        roles.pop(str(remove.id), None)
    return tuple(roles)
