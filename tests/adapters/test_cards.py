"""Cards for webhooks: whatever a summary holds, they are within the limits and harmless."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.rendering import units
from adapters.rendering.cards import (
    JSON_BYTES,
    SLACK_BLOCKS,
    SLACK_HEADER,
    SLACK_SECTION,
    SLACK_TEXT,
    TEAMS_BYTES,
    discord_payload,
    json_payload,
    slack_payload,
    teams_payload,
)
from domain.summary import ChannelNote, Point, Summary

NOON = datetime(2026, 3, 29, 12, 0, tzinfo=UTC)
CARDS = [slack_payload, discord_payload, teams_payload, json_payload]
HOSTILE = [
    "@everyone", "@here", "<@&1>", "<@1>", "<#1>", "<!channel>", "<!here|x>", "<at>Bob</at>", "@\u200beveryone",
    "[bank](https://evil.test)", "<https://evil.test|bank>", "```unclosed", "\u202etxt.exe", "Z" + "\u0301" * 4000,
    "x" * 1999 + "\U0001f600", "<script>alert(1)</script>", "{{7*7}}", "\ud800", "\x1b[2J\x00", "&<>" * 2000,
    "a\\" * 3000,
    "\U0001f1e9\U0001f1ea" * 3000, "\n" * 5000, "`" * 3001, "\u2028\u2029",
]  # fmt: skip

texts = st.one_of(
    st.text(max_size=80),
    st.sampled_from(HOSTILE),
    st.builds(str.__mul__, st.sampled_from([*HOSTILE, "word ", "&", "<", '"', "\u20ac"]), st.integers(1, 60)).map(
        lambda text: text[:8_000]
    ),
)
points = st.builds(
    Point, text=texts, author=texts, url=st.none() | texts | st.just("https://discord.com/channels/1/2/3?a=b&c=d|e")
)
summaries = st.builds(
    Summary,
    id=st.just("s"),
    title=texts,
    summary_text=texts,
    key_points=st.lists(points, max_size=15).map(tuple),
    action_items=st.lists(points, max_size=8).map(tuple),
    technical_terms=st.lists(texts, max_size=8).map(tuple),
    participants=st.lists(st.tuples(texts, st.integers(0, 10**9)), max_size=12).map(tuple),
    message_count=st.integers(0, 10**9),
    start_time=st.just(NOON),
    end_time=st.just(NOON + timedelta(hours=1)),
    created_at=st.none() | st.just(NOON),
    engine=st.sampled_from(["extractive", "host", ""]),
    notice=texts,
    channels=st.lists(st.builds(ChannelNote, channel_id=texts, name=texts, note=texts), max_size=12).map(tuple),
    embed=st.none() | st.fixed_dictionaries({"title": texts, "description": texts}),
)


def all_texts(value: Any) -> Iterator[str]:
    """Every text of a payload."""
    if isinstance(value, dict):
        for item in value.values():
            yield from all_texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from all_texts(item)
    elif isinstance(value, str):
        yield value


def encoded(payload: dict[str, Any]) -> bytes:
    """A payload as it is sent; what cannot be encoded fails here."""
    return json.dumps(payload, ensure_ascii=False, allow_nan=False).encode()


@given(summaries, texts)
def test_slack_gets_what_slack_takes(summary: Summary, name: str) -> None:
    """At most 50 blocks, 150 in the header, 3000 in a section and none empty, all encodable."""
    payload = slack_payload(summary, task_name=name, run_id="run-1")
    encoded(payload)
    header, *sections, context = payload["blocks"]
    assert len(payload["blocks"]) <= SLACK_BLOCKS
    assert 1 <= units(header["text"]["text"]) <= SLACK_HEADER
    assert header["text"]["type"] == "plain_text"
    for block in sections:
        assert block["type"] == "section"
        assert block["text"]["verbatim"] is True
        assert 1 <= units(block["text"]["text"]) <= SLACK_SECTION
    assert context["type"] == "context"
    assert 1 <= len(payload["text"]) <= SLACK_TEXT


@given(summaries)
def test_slack_links_are_ours_only(summary: Summary) -> None:
    """No angle bracket but around our links to messages: no mention, no masked link can be written by others."""
    for text in all_texts(slack_payload(summary)["blocks"][1:]):
        assert re.fullmatch(r"(?s)[^<>]*(<https?://[^\s<>|]+\|message>[^<>]*)*", text)


@given(summaries, texts)
def test_discord_gets_what_discord_takes(summary: Summary, name: str) -> None:
    """At most 10 embeds, 6000 characters over all of them, and nobody is mentioned."""
    payload = discord_payload(summary, task_name=name, run_id="run-1")
    encoded(payload)
    embeds = payload["embeds"]
    assert 1 <= len(embeds) <= 10
    assert payload["allowed_mentions"] == {"parse": []}
    total = 0
    for embed in embeds:
        fields = embed.get("fields", [])
        assert len(fields) <= 25
        assert all(1 <= units(f["name"]) <= 256 and 1 <= units(f["value"]) <= 1024 for f in fields)
        assert units(embed.get("title", "")) <= 256
        assert units(embed.get("description", "")) <= 4096
        assert units(embed.get("footer", {}).get("text", "")) <= 2048
        parts = [embed.get("title", ""), embed.get("description", ""), embed.get("footer", {}).get("text", "")]
        total += sum(map(units, parts)) + sum(units(f["name"]) + units(f["value"]) for f in fields)
    assert total <= 6000


@given(summaries, texts)
def test_teams_gets_what_teams_takes(summary: Summary, name: str) -> None:
    """One Adaptive Card, the whole message at most 20 KB, no empty text."""
    payload = teams_payload(summary, task_name=name, run_id="run-1")
    assert len(json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()) <= TEAMS_BYTES
    [attachment] = payload["attachments"]
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    assert attachment["content"]["type"] == "AdaptiveCard"
    body = attachment["content"]["body"]
    assert len(body) >= 2
    assert all(block["type"] == "TextBlock" and block["text"] for block in body)
    assert "entities" not in attachment["content"]["msteams"]


@given(summaries, texts)
def test_json_is_a_small_event_of_harmless_texts(summary: Summary, name: str) -> None:
    """Type, timestamp and data; at most 250 KB; equal in every try."""
    payload = json_payload(summary, task_name=name, run_id="run-1", task_id="t", guild_id="42", slot=NOON)
    assert len(json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()) <= JSON_BYTES
    assert payload["type"] == "summary.created"
    assert datetime.fromisoformat(payload["timestamp"]) == NOON
    assert payload["data"]["summary"]["message_count"] == summary.message_count
    assert payload == json_payload(summary, task_name=name, run_id="run-1", task_id="t", guild_id="42", slot=NOON)


STRAY = ["``` `](http://evil `", "` `<#1>` `", "``` `<@1>`", "``` `[bank](https://evil.test)`"]
"""Whoever takes an escaped backtick for the beginning of code sees the code after it as text."""


@pytest.mark.parametrize("card", CARDS)
@pytest.mark.parametrize("stray", STRAY)
def test_code_after_a_stray_backtick_is_harmless_too(card: Callable[..., dict[str, Any]], stray: str) -> None:
    """No mention and no masked link, wherever a reader thinks that code begins."""
    point = Point(text=stray, author=stray, url=stray)
    summary = Summary(
        id="s", title=stray, summary_text=stray, key_points=(point,), notice=stray, start_time=NOON, end_time=NOON
    )
    for text in all_texts(card(summary, task_name=stray)):
        assert not re.search(r"(?<!\\)<[@#]|(?<!\\)\]\(https?://evil", text)


@pytest.mark.parametrize("card", CARDS)
@given(summary=summaries)
def test_no_card_mentions_hides_or_steers(card: Callable[..., dict[str, Any]], summary: Summary) -> None:
    """No mention of everyone, no user or role, no masked link to elsewhere, no control and no reversed text."""
    for shown in all_texts(card(summary, task_name="@everyone [bank](https://evil.test)")):
        text = re.sub(r"`[^`\n]*`", "", shown)  # in inline code nothing is a mention or a link
        assert not re.search(r"@everyone|@here", text, re.IGNORECASE)
        assert not re.search(r"(?<!\\)<[@#]", text)
        assert not re.search(r"(?<!\\)\]\((?!https://discord\.com/channels/)https?://evil", text)
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\ud800-\udfff]", text)


@pytest.mark.parametrize("card", CARDS)
@pytest.mark.parametrize("hostile", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_words_in_every_place_still_make_a_card(card: Callable[..., dict[str, Any]], hostile: str) -> None:
    """What cannot be shown is shortened, never refused; the honest words beside it are still there."""
    summary = Summary(
        id="s",
        title=hostile,
        summary_text=f"The harvest festival moves. {hostile}",
        key_points=tuple(Point(text=hostile, author=hostile, url=hostile) for _ in range(100)),
        participants=tuple((hostile, number) for number in range(100)),
        start_time=NOON,
        end_time=NOON,
    )
    assert "The harvest festival moves" in encoded(card(summary, task_name=hostile, run_id=hostile)).decode()


def test_a_long_summary_says_that_it_was_shortened() -> None:
    """Nobody takes a part for the whole."""
    long = Summary(
        id="s",
        summary_text="word " * 40_000,
        key_points=tuple(Point(text="point " * 60) for _ in range(900)),
        start_time=NOON,
        end_time=NOON,
    )
    for card in (slack_payload, discord_payload, teams_payload):
        assert "shortened" in encoded(card(long)).decode()
    data = json_payload(long)["data"]
    assert data["shortened"] is True
    assert len(data["summary"]["key_points"]) >= 100
    assert (
        json_payload(long.model_copy(update={"summary_text": "short", "key_points": ()}))["data"]["shortened"] is False
    )


def test_points_link_to_their_messages() -> None:
    """In every card a reader finds the way to what was said."""
    url = "https://discord.com/channels/1/2/3"
    summary = Summary(
        id="s", summary_text="x", key_points=(Point(text="p", author="Ann", url=url),), start_time=NOON, end_time=NOON
    )
    assert f"<{url}|message>" in encoded(slack_payload(summary)).decode()
    assert f"[message]({url})" in encoded(discord_payload(summary)).decode()
    assert f"[message]({url})" in encoded(teams_payload(summary)).decode()
    assert json_payload(summary)["data"]["summary"]["key_points"][0] == {"text": "p", "author": "Ann", "url": url}


def test_times_are_those_of_the_task_and_json_is_in_utc() -> None:
    """People read wall-clock time of the task's zone; programs read UTC."""
    summary = Summary(id="s", summary_text="x", start_time=NOON, end_time=NOON, created_at=NOON)
    assert "14:00 (Europe/Berlin)" in encoded(slack_payload(summary, timezone="Europe/Berlin")).decode()
    assert "14:00" in encoded(teams_payload(summary, timezone="Europe/Berlin")).decode()
    assert json_payload(summary, timezone="Europe/Berlin")["timestamp"] == "2026-03-29T12:00:00Z"


def test_an_engines_own_embed_hides_no_link_either() -> None:
    """What an engine rendered itself is disarmed like everything else; links to messages stay."""
    text = "[bank](https://evil.test) [message](https://discord.com/channels/1/2/3) @everyone"
    embed = {"title": text, "description": text, "fields": [{"name": "n", "value": text}], "url": "https://x.test/a"}
    summary = Summary(id="s", summary_text="x", start_time=NOON, end_time=NOON, embed=embed)
    [shown] = discord_payload(summary)["embeds"]
    for part in (shown["title"], shown["description"], shown["fields"][0]["value"]):
        assert "](https://evil" not in part
        assert "](https://discord.com/channels/1/2/3)" in part
        assert "@everyone" not in part
    assert shown["url"] == "https://x.test/a"


@pytest.mark.parametrize("blank", ["", " ", "\n", "\x00", "\u202e"], ids=range(5))
def test_blank_parts_leave_no_empty_block(blank: str) -> None:
    """Slack and Teams refuse a message with an empty text in it."""
    summary = Summary(
        id="s",
        title=blank,
        summary_text=blank,
        key_points=(Point(text=blank, author=blank, url=blank),),
        technical_terms=(blank,),
        participants=((blank, 1),),
        channels=(ChannelNote(channel_id=blank, name=blank, note=blank),),
        notice=blank,
        start_time=NOON,
        end_time=NOON,
    )
    assert all(b["text"].strip() for b in teams_payload(summary)["attachments"][0]["content"]["body"])
    assert all(b["text"]["text"].strip() for b in slack_payload(summary)["blocks"] if "text" in b)


def test_a_notice_of_trouble_is_told_from_a_summary() -> None:
    """A program that receives both can tell them apart by their type."""
    notice = Summary(id="s", summary_text="It failed.", start_time=NOON, end_time=NOON, engine="notice")
    assert json_payload(notice)["type"] == "notice.created"
