"""A server's settings as people see them, before and after a change. Pure."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from adapters.discord_bot.cards import Button, Card, Entry, Reply, Tone, press, stamp
from adapters.discord_bot.task_cards import destination_words
from adapters.discord_bot.texts import Marked, Words
from adapters.rendering import cut
from application.allowance import QuotaUse
from application.evidence import length
from domain.guild import GuildSettings

__all__ = ["settings_reply"]

MOST_ROLES = 20


def settings_reply(
    before: GuildSettings,
    after: GuildSettings,
    use: QuotaUse,
    words: Words,
    *,
    service_zone: str,
    id: str | None,
    said: str = "",
    tone: Tone = Tone.PLAIN,
) -> Reply:
    """The settings in force and, where ``after`` differs, what they become; ``id`` is that of what is proposed."""
    entries = []
    for key, show in _shown(words, service_zone):
        old, new = show(before), show(after)
        change = words("edit.change", before=Marked(cut(old, 400)), after=Marked(cut(new, 400)))
        entries.append(Entry(words(key), new if old == new else change))
    used = words(
        "settings.use", tasks=_of(use.tasks, use.quotas.max_tasks), runs=_of(use.runs_today, use.quotas.runs_per_day)
    )
    until = words("settings.until", at=Marked(stamp(use.day_ends, "t")))
    entries.append(Entry(words("settings.in_force"), f"{used}\n{_interval(words, use)}\n{until}"))
    text = said or words("settings.not_yet" if id is not None else "settings.how")
    card = Card(words("settings.title"), text, tuple(entries), tone=Tone.CAREFUL if id is not None else tone)
    if id is None:
        return Reply((card,))
    row = (
        Button(words.plain("buttons.save"), press("settings-save", id), "success"),
        Button(words.plain("buttons.discard"), press("settings-drop", id)),
    )
    return Reply((card,), (row,))


def _shown(words: Words, service_zone: str) -> list[tuple[str, Callable[[GuildSettings], str]]]:
    """What is shown of settings, each with the key of its name."""

    def zone(one: GuildSettings) -> str:
        return (
            words("settings.zone_own", zone=one.timezone)
            if one.timezone
            else (words("settings.zone_service", zone=service_zone))
        )

    def notices(one: GuildSettings) -> str:
        told = [destination_words(each, words) for each in one.failure_notices[:10]]
        return "\n".join(told) or words("settings.nobody")

    def managers(one: GuildSettings) -> str:
        roles = [f"`{role}`" for role in one.managers[:MOST_ROLES]]
        if len(one.managers) > MOST_ROLES:
            roles.append(f"+ {len(one.managers) - MOST_ROLES}")
        return ", ".join([words("settings.manage_server"), *roles])

    def limits(one: GuildSettings) -> str:
        gap = one.shortest_interval_seconds
        return "\n".join(
            (
                words("settings.max_tasks", count=_limit(one.max_tasks)),
                words("settings.runs_per_day", count=_limit(one.runs_per_day)),
                words("settings.shortest", length="-" if gap is None else length(timedelta(seconds=gap))),
            )
        )

    def kept(one: GuildSettings) -> str:
        days = one.retention
        return "\n".join(
            (
                words("settings.summaries", days=_limit(days.summaries_days)),
                words("settings.run_details", days=_limit(days.run_details_days)),
            )
        )

    return [
        ("settings.zone", zone),
        ("settings.notices", notices),
        ("settings.managers", managers),
        ("settings.limits", limits),
        ("settings.kept", kept),
    ]


def _interval(words: Words, use: QuotaUse) -> str:
    gap = use.quotas.shortest_interval_seconds
    return words("settings.shortest", length="-" if gap is None else length(timedelta(seconds=gap)))


def _limit(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"


def _of(used: int, limit: int | None) -> str:
    return str(used) if limit is None else f"{used} / {limit}"
