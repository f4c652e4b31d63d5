"""What people type into options: schedules put together of choices, instants, completions. Pure parts."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.discord_bot.choices import matching
from adapters.discord_bot.draft_card import draft_reply
from adapters.discord_bot.drafts import (
    FREQUENCIES,
    MOST_DRAFTS,
    Draft,
    Drafts,
    phrase_of,
    schedule_said,
    suggested_name,
)
from adapters.discord_bot.drawing import drawn
from adapters.discord_bot.moments import moment
from adapters.discord_bot.problems import Expired
from adapters.discord_bot.texts import words_for
from domain.definition import LONGEST_NAME_CHARACTERS
from domain.errors import InvalidInput
from domain.phrases import parse_phrase
from domain.schedule import next_after
from domain.zone import zone_names
from tests.discord_double.limits import check_message

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)  # a Monday
LATER = NOON + timedelta(days=1)
DAILY = parse_phrase("every day", now=NOON)


def draft(**changes: Any) -> Draft:
    """A draft of ann's."""
    fields: dict[str, Any] = {"name": "Digest", "schedule": DAILY, "channels": ("1",), "targets": ("2",)}
    fields |= {"id": uuid4(), "guild_id": "42", "user_id": "7"}
    return Draft(**(fields | changes))


@pytest.mark.parametrize("frequency", FREQUENCIES)
def test_every_frequency_says_a_schedule(frequency: str) -> None:
    """Each choice is a phrase that is understood, with the day where it needs one."""
    day = "tomorrow" if frequency == "once" else None
    said = schedule_said(None, frequency=frequency, day=day, time=None, zone="Europe/Berlin", now=NOON)
    assert said.timezone == "Europe/Berlin"


@given(st.sampled_from(FREQUENCIES), st.none() | st.text(max_size=30), st.none() | st.text(max_size=10))
def test_whatever_is_typed_is_a_schedule_or_a_clear_refusal(frequency: str, day: str | None, time: str | None) -> None:
    """No text of an option ends in anything but a schedule of the zone, or InvalidInput."""
    said = None
    with suppress(InvalidInput):
        said = schedule_said(None, frequency=frequency, day=day, time=time, zone="UTC", now=NOON)
    assert said is None or (next_after(said, NOON) or LATER) > NOON


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("3d", NOON + timedelta(days=3)),
        ("90m", NOON + timedelta(minutes=90)),
        ("2026-12-24 18:00", datetime(2026, 12, 24, 17, tzinfo=UTC)),
        ("2026-12-24T18:00Z", datetime(2026, 12, 24, 18, tzinfo=UTC)),
        ("2026-12-24", datetime(2026, 12, 23, 23, tzinfo=UTC)),
        ("tomorrow at 9", datetime(2026, 3, 3, 8, tzinfo=UTC)),
    ],
)
def test_an_instant_is_meant_in_the_zone_of_the_task(text: str, instant: datetime) -> None:
    """Lengths count from now; what has an offset keeps it."""
    assert moment("until", text, zone="Europe/Berlin", now=NOON) == instant


@given(st.text(max_size=40))
def test_whatever_is_typed_for_an_instant_is_one_or_a_clear_refusal(text: str) -> None:
    """An aware instant, or InvalidInput."""
    said = None
    with suppress(InvalidInput):
        said = moment("until", text, zone="Asia/Kolkata", now=NOON)
    assert said is None or said.tzinfo is not None


def test_a_phrase_and_choices_beside_it_are_refused() -> None:
    """Nobody has to guess which of the two counted."""
    with pytest.raises(InvalidInput, match="says again"):
        schedule_said("every day", frequency="daily", day=None, time=None, zone="UTC", now=NOON)
    with pytest.raises(InvalidInput, match="choose a frequency"):
        phrase_of(None, None, None)


@given(st.text(min_size=1, max_size=200))
def test_a_suggested_name_is_one_that_a_task_may_have(channel: str) -> None:
    """Within the limit, whatever the channel is called."""
    assert 0 < len(suggested_name(channel, DAILY)) <= LONGEST_NAME_CHARACTERS


def test_a_draft_is_its_makers_alone_and_old_ones_go() -> None:
    """Another person, another guild and an old draft look the same."""
    drafts = Drafts[Draft]()
    first = draft()
    drafts.put(first)
    assert drafts.get(str(first.id), guild_id="42", user_id="7") is first
    for guild, user in (("42", "8"), ("43", "7")):
        with pytest.raises(Expired):
            drafts.get(str(first.id), guild_id=guild, user_id=user)
    for _ in range(MOST_DRAFTS):
        drafts.put(draft())
    with pytest.raises(Expired):
        drafts.get(str(first.id), guild_id="42", user_id="7")


@given(
    st.text(max_size=100),
    st.lists(st.integers(1, 2**63 - 1).map(str), min_size=1, max_size=50, unique=True),
    st.sampled_from(["every day", "every 15 minutes", "cron H H * * *", "every month on the 31st", "once on tomorrow"]),
)
async def test_every_preview_is_one_that_discord_takes(name: str, channels: list[str], phrase: str) -> None:
    """However many channels, whatever the name; in every language."""
    made = draft(name=name, channels=tuple(channels), targets=tuple(channels), schedule=parse_phrase(phrase, now=NOON))
    lacking = {id: ["View Channel", "Send Messages"] for id in channels}
    for language in ("en", "de"):
        shown = drawn(draft_reply(made, words_for(language), now=NOON, lacking=lacking))
        check_message(
            {"embeds": [each.to_dict() for each in shown["embeds"]], "components": shown["view"].to_components()}
        )


@pytest.mark.parametrize(
    ("typed", "first"),
    [("berlin", "Europe/Berlin"), ("new york", "America/New_York"), ("UTC", "UTC"), ("tok", "Asia/Tokyo")],
)
def test_a_zone_is_found_by_what_people_call_it(typed: str, first: str) -> None:
    """The well-known one comes first."""
    assert matching(typed, ("UTC", "America/New_York", "Asia/Tokyo"), zone_names())[0] == first
    assert len(matching("a", (), zone_names())) == 25
