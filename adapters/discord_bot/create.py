"""``/schedule create``: say what, when and where to; see what will come of it; confirm, adjust, or leave it."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from discord.app_commands import Range, Transform, autocomplete, choices

from adapters.discord_bot.cards import Reply
from adapters.discord_bot.choices import day_choices, time_choices
from adapters.discord_bot.desk import Asked, Command, Desk
from adapters.discord_bot.draft_changes import CHAT_FORMATS, MODES, with_channels
from adapters.discord_bot.drafting import shown
from adapters.discord_bot.drafts import Draft
from adapters.discord_bot.places import (
    CategoryOption,
    Place,
    PlaceOption,
    category_of,
    check_may_read,
    check_may_send,
    place_here,
)
from adapters.discord_bot.typed_schedule import FREQUENCIES, schedule_said, suggested_name
from domain.destination import Destination, DestinationType
from domain.draft import define
from domain.errors import InvalidInput
from domain.phrases import LONGEST_PHRASE
from domain.summary import SummaryLength

__all__ = ["create"]


def create(desk: Desk) -> Command:
    """The command. What its preview offers is in ``drafting``."""

    @desk.command("create")
    @autocomplete(day=day_choices, time=time_choices, zone=desk.zones())
    @choices(
        frequency=desk.choices("create.frequencies", FREQUENCIES),
        length=desk.choices("create.lengths", [length.value for length in SummaryLength]),
        format=desk.choices("create.formats", CHAT_FORMATS),
        each=desk.choices("create.modes", MODES),
    )
    async def answer(
        asked: Asked,
        channel: Transform[Place, PlaceOption] | None = None,
        category: Transform[Place, CategoryOption] | None = None,
        when: Range[str, 1, LONGEST_PHRASE] | None = None,
        frequency: str | None = None,
        day: Range[str, 1, 100] | None = None,
        time: Range[str, 1, 20] | None = None,
        zone: str | None = None,
        deliver_to: Transform[Place, PlaceOption] | None = None,
        to_me: bool = False,
        length: str = SummaryLength.DETAILED.value,
        name: Range[str, 1, 100] | None = None,
        format: str = "embed",
        each: str = MODES[0],
        min_messages: Range[int, 0, 100_000] | None = None,
    ) -> Reply:
        if channel is not None and category is not None:
            raise InvalidInput("category", category.name, "has no place beside a channel", "choose one of the two")
        here = channel if channel is not None else place_here(asked.interaction)
        source = category if category is not None else here
        schedule = schedule_said(when, frequency=frequency, day=day, time=time, zone=zone or asked.zone, now=asked.now)
        options: dict[str, Any] = {"summary_length": length}
        if min_messages is not None:
            options["min_messages"] = min_messages
        fields: dict[str, Any] = {
            "name": name or suggested_name(source.name, schedule),
            "guild_id": asked.guild_id,
            "schedule": schedule,
            "destinations": _destinations(asked, deliver_to, here, to_me, format),
            "summary_options": options,
            "category_mode": each,
        }
        if category is not None:
            fields |= category_of(asked.interaction.guild, category, asked.interaction.user)
        else:
            check_may_read(here)
            fields |= with_channels([here.id])
        id, by = uuid4(), asked.principal.reference
        after = define(fields, now=asked.now).keyed(str(id))
        return await shown(asked, Draft(id=id, guild_id=asked.guild_id, by=by, at=asked.now, after=after))

    return answer


def _destinations(
    asked: Asked, chosen: Place | None, default: Place, to_me: bool, format: str
) -> tuple[Destination, ...]:
    """The channel that was chosen, and the person's own direct messages; the default where nothing was chosen."""
    channels = [chosen] if chosen is not None else [] if to_me else [default]
    for place in channels:
        check_may_send(place)
    made = [Destination(type=DestinationType.DISCORD_CHANNEL, target=each.id, format=format) for each in channels]
    if to_me:
        made.append(Destination(type=DestinationType.DISCORD_DM, target=str(asked.interaction.user.id), format=format))
    return tuple(made)
