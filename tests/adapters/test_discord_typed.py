"""What people type into options: schedules put together of choices, instants, completions. Pure parts."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import product
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.discord_bot.choices import matching
from adapters.discord_bot.draft_card import CATEGORY, MAIN, adjust_form, draft_reply, mail_form, webhook_form
from adapters.discord_bot.draft_changes import format_of_url, webhooks_of, with_webhooks
from adapters.discord_bot.drafts import KEPT_FOR, MOST_OF_ONE, Draft, Drafts, Proposal
from adapters.discord_bot.drawing import drawn, modal_of
from adapters.discord_bot.moments import moment
from adapters.discord_bot.problems import Expired
from adapters.discord_bot.texts import words_for
from adapters.discord_bot.typed_schedule import FREQUENCIES, phrase_of, schedule_said, suggested_name
from domain.definition import LONGEST_NAME_CHARACTERS
from domain.destination import Destination, DestinationType
from domain.draft import define, revised
from domain.errors import InvalidInput
from domain.phrases import parse_phrase
from domain.schedule import next_after
from domain.zone import zone_names
from tests.discord_double.limits import check_message, check_modal
from tests.doubles import HandClock

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)  # a Monday
LATER = NOON + timedelta(days=1)
DAILY = parse_phrase("every day", now=NOON)


def draft(**changes: Any) -> Draft:
    """A draft of ann's of a new task."""
    fields: dict[str, Any] = {"name": "Digest", "guild_id": "42", "schedule": DAILY, "channel_id": "1"}
    after = define(fields | changes, now=NOON)
    return Draft(id=uuid4(), guild_id="42", by="person:7", at=NOON, after=after)


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


class Kept:
    """A service of which only the content store and the clock are asked."""

    def __init__(self) -> None:
        self.clock, self.rows = HandClock(NOON), dict[str, Any]()
        self.stores: Any = SimpleNamespace(content=self)

    def cache_put(self, key: str, guild_id: str, value: Any, at: datetime) -> None:
        """Keep it, as JSON like the store."""
        self.rows[key] = json.loads(json.dumps(value))

    def cache_get(self, key: str) -> Any:
        """What is kept."""
        return self.rows.get(key)


async def test_a_draft_is_its_makers_alone_and_old_ones_go() -> None:
    """Another person, another guild and an old draft look the same; a restart forgets none."""
    service: Any = Kept()
    drafts, first = Drafts(service), draft()
    await drafts.put(first)
    asked: dict[str, Any] = {"guild_id": "42", "by": "person:7", "now": NOON}
    assert await Drafts(service).get(Draft, str(first.id), **asked) == first
    for other in ({"by": "person:8"}, {"guild_id": "43"}, {"now": NOON + KEPT_FOR * 1.01}):
        with pytest.raises(Expired):
            await drafts.get(Draft, str(first.id), **(asked | other))
    for kind, id in ((Proposal, str(first.id)), (Draft, "no id"), (Draft, str(uuid4()))):
        with pytest.raises(Expired):
            await drafts.get(kind, id, **asked)
    for _ in range(200):
        await drafts.put(draft())
    assert len(service.rows) == MOST_OF_ONE
    with drafts.confirming(first), pytest.raises(Expired), drafts.confirming(first):
        pass


@given(st.lists(st.uuids(version=4), min_size=1, max_size=2 * MOST_OF_ONE, unique=True), st.integers(0, 99))
async def test_what_a_person_was_shown_last_is_kept_whatever_its_number(ids: list[UUID], pick: int) -> None:
    """One makes room when it is done; else only the oldest does, for the seventeenth."""
    service: Any = Kept()
    drafts, asked = Drafts(service), {"guild_id": "42", "by": "person:7", "now": NOON}
    shown = [draft().model_copy(update={"id": id, "at": NOON + timedelta(seconds=n)}) for n, id in enumerate(ids)]
    for each in shown:
        await drafts.put(each)
    done = shown[-MOST_OF_ONE:][pick % min(len(shown), MOST_OF_ONE)]
    await drafts.drop(done)
    for each in shown:
        if each in shown[-MOST_OF_ONE:] and each is not done:
            assert await drafts.get(Draft, str(each.id), **asked) == each  # type: ignore[arg-type]
        else:
            with pytest.raises(Expired):
                await drafts.get(Draft, str(each.id), **asked)  # type: ignore[arg-type]


@given(
    st.text(max_size=100),
    st.lists(st.integers(1, 2**63 - 1).map(str), min_size=1, max_size=50, unique=True),
    st.sampled_from(["every day", "every 15 minutes", "cron H H * * *", "every month on the 31st", "once on tomorrow"]),
)
async def test_every_preview_is_one_that_discord_takes(name: str, channels: list[str], phrase: str) -> None:
    """However many channels, whatever the name; in every language."""
    places = [Destination(type=DestinationType.DISCORD_CHANNEL, target=id) for id in channels]
    places += [Destination(type=DestinationType.WEBHOOK, target=f"secret:{n:016}", label=name) for n in range(9)]
    given = {"name": name, "schedule": parse_phrase(phrase, now=NOON), "destinations": tuple(places)}
    of_channels = draft(**given, channel_id=channels[0], channel_ids=tuple(channels[1:]))
    of_category = draft(**given, channel_id="", category_id="9", excluded_channel_ids=tuple(channels))
    lacking = {id: ["View Channel", "Send Messages"] for id in channels}
    for made, face, language in product((of_channels, of_category), (MAIN, CATEGORY), ("en", "de")):
        words = words_for(language)
        shown = drawn(draft_reply(made, words, now=NOON, lacking=lacking, face=face))
        check_message(
            {"embeds": [each.to_dict() for each in shown["embeds"]], "components": shown["view"].to_components()}
        )
        for form in (adjust_form(made, words), mail_form(made, words), webhook_form(made, words)):
            check_modal(modal_of(form).to_dict())


def test_what_a_service_reads_follows_from_its_address() -> None:
    """The well-known ones; all others read JSON."""
    known = {
        "https://hooks.slack.com/services/T/B/x": "slack",
        "https://discord.com/api/webhooks/1/token": "discord",
        "https://village.webhook.office.com/webhookb2/x": "teams",
        "https://prod-1.westeurope.logic.azure.com/workflows/x?sig=y": "teams",
        "https://example.org/hooks.slack.com/": "json",
        "": "json",
    }
    assert {url: format_of_url(url) for url in known} == known


@given(st.lists(st.sampled_from("abc"), max_size=4), st.sampled_from("abcd"))
def test_webhooks_are_told_apart_and_taken_away_by_their_labels(kept: list[str], label: str) -> None:
    """No two have one label, and what is not on the list is gone."""
    hooks = [Destination(type=DestinationType.WEBHOOK, target=f"secret:{x * 16}", label=x) for x in "abc"]
    mail = Destination(type=DestinationType.EMAIL, target="ann@example.org", format="html")
    before = draft(destinations=(*hooks, mail)).after
    added = Destination(type=DestinationType.WEBHOOK, target=f"secret:{'d' * 16}", label=label)
    after = revised(before, with_webhooks(before, kept, added), now=NOON)
    labels = webhooks_of(after)
    assert len(set(labels)) == len(labels)
    assert set(labels) == {*kept, label if label not in kept else f"{label} (2)"}
    assert mail in after.destinations


@pytest.mark.parametrize(
    ("typed", "first"),
    [("berlin", "Europe/Berlin"), ("new york", "America/New_York"), ("UTC", "UTC"), ("tok", "Asia/Tokyo")],
)
def test_a_zone_is_found_by_what_people_call_it(typed: str, first: str) -> None:
    """The well-known one comes first."""
    assert matching(typed, ("UTC", "America/New_York", "Asia/Tokyo"), zone_names())[0] == first
    assert len(matching("a", (), zone_names())) == 25
