"""What people change of a task in a form or a menu, as fields of its definition. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from domain.definition import TaskDefinition
from domain.destination import Destination, DestinationType
from domain.errors import InvalidInput

__all__ = [
    "CHAT_FORMATS",
    "MODES",
    "WEBHOOK_FORMATS",
    "adds_places",
    "format_of_url",
    "has_direct",
    "mails_of",
    "webhooks_of",
    "with_category",
    "with_channels",
    "with_direct",
    "with_excluded",
    "with_mails",
    "with_mode",
    "with_options",
    "with_targets",
    "with_webhooks",
]

Changes = dict[str, Any]

MODES = ("combined", "individual")
CHAT_FORMATS = ("embed", "markdown", "text")
WEBHOOK_FORMATS = ("json", "slack", "discord", "teams")
_HOSTS = {"slack": ("hooks.slack.com/",), "discord": ("discord.com/api/", "discordapp.com/api/")}
_TEAMS = (".webhook.office.com/", ".logic.azure.com", ".api.powerplatform.com")


# --- sources


def with_channels(ids: Sequence[str]) -> Changes:
    """These channels are summarized, in place of those before and of a category."""
    if not ids:
        return {}
    return {"channel_id": ids[0], "channel_ids": tuple(ids[1:]), "category_id": None, "excluded_channel_ids": ()}


def with_category(id: str) -> Changes:
    """The channels of this category are summarized, in place of what was before."""
    return {"channel_id": "", "channel_ids": (), "category_id": id, "excluded_channel_ids": ()}


def with_excluded(ids: Sequence[str]) -> Changes:
    """These channels of the category are left out."""
    return {"excluded_channel_ids": tuple(ids)}


def with_mode(mode: str) -> Changes:
    """One summary of all channels (``combined``), or one for each (``individual``). Raises InvalidInput."""
    if mode not in MODES:
        raise InvalidInput("each", mode, "is no way to summarize", f"choose one of {', '.join(MODES)}")
    return {"category_mode": mode}


def with_options(before: TaskDefinition, **options: Any) -> Changes:
    """How a summary is made; options that are None stay as they are."""
    given = {name: value for name, value in options.items() if value is not None}
    if not given:
        return {}
    return {"summary_options": {**before.summary_options.model_dump(), **given}}


# --- destinations


def with_targets(before: TaskDefinition, ids: Sequence[str], format: str | None = None) -> Changes:
    """Results go to these channels; destinations outside of Discord's channels stay."""
    known = {each.target: each for each in _of(before, DestinationType.DISCORD_CHANNEL)}
    shape = format or next((each.format for each in known.values()), "embed")
    chosen = [
        known[id].model_copy(update={"enabled": True})
        if id in known
        else Destination(type=DestinationType.DISCORD_CHANNEL, target=id, format=shape)
        for id in ids
    ]
    return _replaced(before, DestinationType.DISCORD_CHANNEL, chosen)


def adds_places(before: TaskDefinition, after: TaskDefinition) -> bool:
    """Whether results go somewhere where they did not go before."""

    def places(definition: TaskDefinition) -> set[tuple[DestinationType, str]]:
        return {(each.type, each.target) for each in definition.destinations if each.enabled}

    return not places(after) <= places(before)


def has_direct(definition: TaskDefinition, user_id: str) -> bool:
    """Whether results are sent to this person."""
    direct = _of(definition, DestinationType.DISCORD_DM)
    return any(each.target == user_id and each.enabled for each in direct)


def with_direct(before: TaskDefinition, user_id: str, wanted: bool, format: str = "embed") -> Changes:
    """Results are sent to this person, or not any more; what others are sent stays."""
    others = [each for each in _of(before, DestinationType.DISCORD_DM) if each.target != user_id]
    own = Destination(type=DestinationType.DISCORD_DM, target=user_id, format=format)
    return _replaced(before, DestinationType.DISCORD_DM, [*others, own] if wanted else others)


def mails_of(definition: TaskDefinition) -> list[str]:
    """The addresses that results are sent to."""
    return [each.target for each in _of(definition, DestinationType.EMAIL)]


def with_mails(before: TaskDefinition, addresses: Iterable[str]) -> Changes:
    """Results are sent to these addresses and no others."""
    known = {each.target: each for each in _of(before, DestinationType.EMAIL)}
    wanted = dict.fromkeys(address.strip() for address in addresses if address.strip())
    chosen = [known.get(one) or Destination(type=DestinationType.EMAIL, target=one, format="html") for one in wanted]
    return _replaced(before, DestinationType.EMAIL, chosen)


def webhooks_of(definition: TaskDefinition) -> list[str]:
    """What people see of the webhooks that results are sent to: their labels, never their addresses."""
    return [each.label or "webhook" for each in _of(definition, DestinationType.WEBHOOK)]


def with_webhooks(before: TaskDefinition, kept: Iterable[str], added: Destination | None) -> Changes:
    """Of the webhooks those stay whose label is kept; one is added."""
    labels = {label.strip() for label in kept}
    chosen = [each for each in _of(before, DestinationType.WEBHOOK) if (each.label or "webhook") in labels]
    if added is not None:
        taken = {each.label for each in chosen}
        names = [added.label, *(f"{added.label} ({number})" for number in range(2, 99))]
        chosen.append(added.model_copy(update={"label": next(name for name in names if name not in taken)}))
    return _replaced(before, DestinationType.WEBHOOK, chosen)


def format_of_url(url: str) -> str:
    """What the service behind an address reads, by what is known of its host; else JSON."""
    place = url.strip().lower().partition("://")[2]
    for format, hosts in _HOSTS.items():
        if place.startswith(hosts):
            return format
    return "teams" if any(host in place.partition("?")[0] for host in _TEAMS) else "json"


def _of(definition: TaskDefinition, kind: DestinationType) -> list[Destination]:
    return [each for each in definition.destinations if each.type is kind]


def _replaced(before: TaskDefinition, kind: DestinationType, own: Sequence[Destination]) -> Changes:
    """The destinations with those of one kind replaced; channels come first."""
    others = [each for each in before.destinations if each.type is not kind]
    first = kind is DestinationType.DISCORD_CHANNEL
    return {"destinations": (*own, *others) if first else (*others, *own)}
