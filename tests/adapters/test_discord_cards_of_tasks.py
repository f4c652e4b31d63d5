"""Edits, histories, explanations, sums and settings fit into Discord, whatever they are made of. Pure parts."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.discord_bot.cards import Reply
from adapters.discord_bot.draft_card import adjust_form, draft_reply
from adapters.discord_bot.draft_changes import with_targets
from adapters.discord_bot.drafting import changed_draft
from adapters.discord_bot.drafts import Draft
from adapters.discord_bot.drawing import drawn, modal_of
from adapters.discord_bot.history import history_page
from adapters.discord_bot.listing import list_page
from adapters.discord_bot.looking_back import LocalDay, looked_back
from adapters.discord_bot.preview import schedule_card
from adapters.discord_bot.settings_card import settings_reply
from adapters.discord_bot.stats import guild_stats, task_stats
from adapters.discord_bot.task_cards import task_card
from adapters.discord_bot.texts import languages, words_for
from adapters.discord_bot.why import explained
from application.allowance import QuotaUse
from application.evidence import Evidence, Explanation, Reason
from application.preview import preview
from application.rows import DeliveryRow, GuildRow, RunRow, TaskRow, TextRow
from application.views import GuildView, RunView, SkipView, TaskView
from domain.definition import TaskDefinition
from domain.destination import Destination, DestinationType
from domain.errors import InvalidInput
from domain.event import epoch_microseconds
from domain.guild import GuildSettings
from domain.phrases import parse_phrase
from domain.quotas import Quotas
from domain.runs import TaskStatus
from tests.discord_double.limits import check_message, check_modal

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)  # a Wednesday
TASK, OTHER = "0b0e6f4e-5a3c-4c7e-9a54-0c1c5f3f6a01", "0b0e6f4e-5a3c-4c7e-9a54-0c1c5f3f6a02"
PHRASES = st.sampled_from(
    [
        "every day at 9",
        "every 15 minutes",
        "every month on the 31st",
        "once on tomorrow",
        "cron H H * * * in Asia/Tokyo",
    ]
)
NASTY = st.one_of(
    st.text(max_size=120),
    st.sampled_from(["", "@everyone", "<@1>", "[x](https://evil.example)", "x" * 3000, "𝄞" * 900]),
)
NAMES = st.text(min_size=1, max_size=100)
IDS = st.integers(1, 2**63 - 1).map(str)
CHANNELS = st.lists(IDS, max_size=40, unique=True)


def definition_of(name: str, phrase: str, channels: list[str]) -> TaskDefinition:
    """A task that reads and tells these channels."""
    return TaskDefinition(
        name=name,
        guild_id="42",
        schedule=parse_phrase(phrase, now=NOON).model_copy(update={"key": TASK}),
        channel_id=channels[0] if channels else "",
        channel_ids=tuple(channels[1:]),
        destinations=tuple(Destination(type=DestinationType.DISCORD_CHANNEL, target=id) for id in channels),
    )


def task_of(definition: TaskDefinition, status: str = "active", **fields: Any) -> TaskView:
    """The task as the read model has it."""
    row = TaskRow(
        task_id=TASK,
        guild_id="42",
        name=definition.name,
        status=status,
        created_at=epoch_microseconds(NOON),
        accounted_until=epoch_microseconds(NOON),
        **fields,
    )
    return TaskView.of(row, TextRow(task_id=TASK, definition=definition.model_dump_json(), status_reason="@here" * 90))


def test_a_task_whose_events_cannot_all_be_read_is_marked() -> None:
    """On its card, and in a list."""
    definition = definition_of("Daily", "every day at 9:00", ["1"])
    whole, text = task_of(definition), TextRow(task_id=TASK, definition=definition.model_dump_json())
    for language in languages():
        words = words_for(language)
        mark = str(words("task.unreadable", count=3))
        assert "3" in mark
        for task, marked in ((whole, False), (TaskView.of(whole.row, text, unreadable=3), True)):
            assert (mark in task_card(task, words, now=NOON).text) is marked
            assert ("❓" in list_page([task], words, 0, "alive", "").cards[0].text) is marked


def check(reply: Reply) -> None:
    """Discord takes it."""
    made = drawn(reply)
    sent: dict[str, Any] = {"embeds": [embed.to_dict() for embed in made["embeds"]], "content": made.get("content")}
    check_message(sent | ({"components": made["view"].to_components()} if "view" in made else {}))


@given(NAMES, PHRASES, PHRASES, CHANNELS, CHANNELS, st.sampled_from(sorted(languages())))
async def test_every_edit_is_one_that_discord_takes(
    name: str, before: str, after: str, channels: list[str], targets: list[str], language: str
) -> None:
    """However many channels and whatever names; its form as well."""
    words = words_for(language)
    definition = definition_of(name, before, channels)
    changes = {"name": name[::-1], "schedule": parse_phrase(after, now=NOON), **with_targets(definition, targets)}
    begun = Draft(
        id=UUID(OTHER), guild_id="42", by="person:7", at=NOON, task_id=TASK, before=definition, after=definition
    )
    edit = changed_draft(begun, changes, NOON)
    assert set(edit.changes) <= {"name", "schedule", "destinations"}
    lacking = {id: ["View Channel", "Send Messages"] for id in channels}
    check(draft_reply(edit, words, now=NOON, lacking=lacking))
    check_modal(modal_of(adjust_form(edit, words)).to_dict())


def test_an_edit_keeps_what_is_no_channel_of_discord() -> None:
    """A switched-off channel that is chosen is switched on; a new one looks like the first."""
    mail = Destination(type=DestinationType.EMAIL, target="a@example.org")
    off = Destination(type=DestinationType.DISCORD_CHANNEL, target="1", format="text", enabled=False)
    definition = definition_of("n", "every day", []).model_copy(update={"destinations": (off, mail)})
    changed = with_targets(definition, ["1", "2"])["destinations"]
    assert [(each.target, each.format, each.enabled) for each in changed] == [
        ("1", "text", True),
        ("2", "text", True),
        ("a@example.org", "embed", True),
    ]
    assert with_targets(definition, [])["destinations"] == (mail,)


@given(
    NAMES,
    st.lists(st.tuples(st.sampled_from(["executed", "failed", "skipped", "running"]), NASTY), max_size=6),
    st.lists(st.tuples(IDS, NASTY), max_size=9),
    st.sampled_from(sorted(languages())),
)
async def test_every_history_is_one_that_discord_takes(
    name: str, runs: list[tuple[str, str]], deliveries: list[tuple[str, str]], language: str
) -> None:
    """Whatever runs say of themselves, and wherever they went."""
    at = epoch_microseconds(NOON)
    sent = [
        DeliveryRow(run_id="r", destination=id, type="webhook", status="failed", reason=reason, attempt=1, at=at)
        for id, reason in deliveries
    ]
    views = [
        RunView.of(
            RunRow(run_id="r", task_id=TASK, guild_id="42", slot=at, state=state, attempt=2, error=error, duration=5),
            sent,
        )
        for state, error in runs
    ]
    skips = [SkipView(TASK, NOON, NOON, 3, error, NOON) for _, error in runs]
    task = task_of(definition_of(name, "every day", ["1"]))
    check(history_page(task, views, skips, words_for(language), number=3, state="executed"))


@given(
    NAMES,
    st.sampled_from(list(Reason)),
    NASTY,
    st.lists(st.tuples(NASTY, st.none() | st.integers(1, 10**9)), max_size=30),
    st.integers(1, 7),
    st.sampled_from(sorted(languages())),
)
async def test_every_explanation_is_one_that_discord_takes(
    name: str, reason: Reason, answer: str, proofs: list[tuple[str, int | None]], count: int, language: str
) -> None:
    """Every reason, however much evidence there is, for one slot or those of a day."""
    evidence = tuple(Evidence(position, NOON if position else None, words) for words, position in proofs)
    found = Explanation(TASK, NOON, reason, answer, NOON, None, evidence)
    check(explained(task_of(definition_of(name, "every day", ["1"])), [found] * count, words_for(language)))


@given(NAMES, PHRASES, st.sampled_from(list(TaskStatus)), st.integers(0, 50), st.integers(0, 50))
async def test_every_sum_is_one_that_discord_takes(
    name: str, phrase: str, status: TaskStatus, executed: int, failed: int
) -> None:
    """In every state of a task, paused among them, with and without a run."""
    task = task_of(definition_of(name, phrase, ["1"]), status, executed=executed, failed=failed, next_slot=None)
    guild = GuildView.of(GuildRow(guild_id="42", executed=executed, failed=failed))
    for language in languages():
        words = words_for(language)
        check(task_stats(task, words, now=NOON))
        check(guild_stats(guild, {status.value: 3}, [(TASK, name, NOON)] * 9, words))


@given(NAMES, PHRASES, st.integers(1, 25))
async def test_every_preview_of_a_schedule_is_one_that_discord_takes(name: str, phrase: str, count: int) -> None:
    """With as many runs as may be asked for."""
    schedule = parse_phrase(phrase, now=NOON)
    ahead = preview(schedule, after=NOON, count=count)
    check(Reply((schedule_card(name, schedule, ahead, words_for("de")),)))


@given(CHANNELS, CHANNELS, st.none() | st.integers(0, 10**6), st.sampled_from(sorted(languages())))
async def test_all_settings_are_such_that_discord_takes_them(
    managers: list[str], notices: list[str], limit: int | None, language: str
) -> None:
    """However many roles and places."""
    places = tuple(Destination(type=DestinationType.DISCORD_CHANNEL, target=id) for id in notices)
    after = GuildSettings(timezone="Asia/Tokyo", managers=tuple(managers), failure_notices=places, max_tasks=limit)
    use = QuotaUse(Quotas(max_tasks=limit, shortest_interval_seconds=limit), 3, 4, NOON)
    words = words_for(language)
    check(settings_reply(GuildSettings(), after, use, words, service_zone="UTC", id=OTHER))
    check(settings_reply(after, after, use, words, service_zone="UTC", id=None))


# --- looking back ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("now", NOON),
        ("3h ago", NOON - timedelta(hours=3)),
        ("2 d ago", NOON - timedelta(days=2)),
        ("yesterday", LocalDay(date(2026, 3, 3), "Europe/Berlin")),
        ("Yesterday at 9", datetime(2026, 3, 3, 8, tzinfo=UTC)),
        ("monday at 9:30", datetime(2026, 3, 2, 8, 30, tzinfo=UTC)),
        ("last mon", LocalDay(date(2026, 3, 2), "Europe/Berlin")),
        ("wednesday", LocalDay(date(2026, 3, 4), "Europe/Berlin")),
        ("2026-02-01", LocalDay(date(2026, 2, 1), "Europe/Berlin")),
        ("2026-02-01 09:00", datetime(2026, 2, 1, 8, tzinfo=UTC)),
        ("2026-02-01T09:00Z", datetime(2026, 2, 1, 9, tzinfo=UTC)),
        ("9:15", datetime(2026, 3, 4, 8, 15, tzinfo=UTC)),
        ("tomorrow at noon", datetime(2026, 3, 5, 11, tzinfo=UTC)),
    ],
)
def test_an_instant_of_the_past_is_meant_in_the_zone_of_the_task(text: str, meant: datetime | LocalDay) -> None:
    """Days whole, times of day on them; a weekday is the last one."""
    assert looked_back("when", text, zone="Europe/Berlin", now=NOON) == meant


@given(
    st.one_of(
        st.text(max_size=40),
        st.from_regex(r"(last |on )?[a-z]{2,9} at .{1,9}|\d{1,9} ?[a-z]{1,3} ago|(0001|9999)-(01|12)-(01|31)( at 9)?"),
    )
)
def test_whatever_is_typed_to_look_back_is_meant_or_clearly_refused(text: str) -> None:
    """An aware instant, a day, or InvalidInput."""
    said = None
    with suppress(InvalidInput):
        said = looked_back("when", text, zone="Asia/Kolkata", now=NOON)
    if isinstance(said, LocalDay):
        assert said.start < said.at("12:00") < said.end
    else:
        assert said is None or said.tzinfo is not None


def test_a_day_is_as_long_as_it_is_there() -> None:
    """23 hours when the clock goes forward."""
    day = LocalDay(date(2026, 3, 29), "Europe/Berlin")
    assert day.end - day.start == timedelta(hours=23)
