"""Rendering: what people read says what the summary says, harms nobody, and fits."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

import discord
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from adapters.rendering import (
    DiscordMessage,
    clean,
    disarm,
    discord_messages,
    embeds,
    escape_markdown,
    json_document,
    markdown_document,
    safe_url,
    split_text,
    text_document,
    units,
)
from adapters.rendering.splitting import cut
from domain.summary import ChannelNote, Point, Summary

START = datetime(2026, 3, 28, 8, 0, tzinfo=UTC)
END = datetime(2026, 3, 29, 8, 0, tzinfo=UTC)
HOSTILE = [
    "@everyone",
    "@here",
    "<@&1>",
    "<@123456>",
    "[bank](https://evil.test)",
    "```py\nprint(1)",
    "safe \u202egnp.exe",
    "Z" + "\u0301" * 4000,
    "x" * 1999 + "😀",
    "<script>alert(1)</script>",
    "\x1b[2J\x1b]0;owned\x07",
    "\ud800",
    "| a | b |",
    "# heading",
    "**" * 50 + "__~~||",
]


def a_summary(**changes: Any) -> Summary:
    values: dict[str, Any] = {
        "id": "s1",
        "title": "Daily digest of #general",
        "summary_text": "3 people wrote 12 messages. Most discussed: parser.",
        "key_points": (
            Point(text="The parser rewrite lands on Friday.", author="Ana", url="https://discord.com/channels/1/2/3"),
            Point(text="Nobody objects to `tokenize_all`."),
        ),
        "action_items": (Point(text="I'll write the migration guide", author="Bo_b"),),
        "technical_terms": ("tokenize_all", "AST"),
        "participants": (("Ana", 7), ("Bo_b", 5)),
        "message_count": 12,
        "start_time": START,
        "end_time": END,
        "engine": "extractive",
        "channels": (
            ChannelNote(channel_id="2", name="general", message_count=12),
            ChannelNote(channel_id="9", note="quiet"),
        ),
        "notice": "The model was away; this was made without it.",
    }
    return Summary(**(values | changes))


def hostile_summary(text: str, engine: str = "extractive") -> Summary:
    return a_summary(
        title=text,
        summary_text=text,
        key_points=(Point(text=text, author=text, url="https://discord.com/channels/1/2/3"),) * 3,
        action_items=(Point(text=text, author=text),),
        technical_terms=(text,),
        participants=((text, 1),),
        channels=(ChannelNote(channel_id="1", name=text, note=text),),
        notice=text,
        engine=engine,
    )


def embed_size(embed: dict[str, Any]) -> int:
    texts = [embed.get("title", ""), embed.get("description", ""), embed.get("footer", {}).get("text", "")]
    texts += [embed.get("author", {}).get("name", "")]
    texts += [field[key] for field in embed.get("fields", []) for key in ("name", "value")]
    return sum(units(text) for text in texts)


def assert_within_limits(message: DiscordMessage) -> None:
    if message.content is not None:
        assert message.content.strip()
        assert units(message.content) <= 2000
        return
    embed = message.embed
    assert embed is not None
    assert units(embed.get("title", "")) <= 256
    assert units(embed.get("description", "")) <= 4096
    assert units(embed.get("footer", {}).get("text", "")) <= 2048
    fields = embed.get("fields", [])
    assert len(fields) <= 25
    for field in fields:
        assert field["name"].strip()
        assert units(field["name"]) <= 256
        assert field["value"].strip()
        assert units(field["value"]) <= 1024
    assert embed_size(embed) <= 6000
    discord.Embed.from_dict(embed)


# --- documents -----------------------------------------------------------


def test_the_markdown_document_holds_everything_a_summary_knows() -> None:
    """Title, span in the task's zone, overview, points with author and link, people, channels, notice and run id."""
    text = markdown_document(a_summary(), timezone="Europe/Berlin", run_id="run-7")
    assert text.startswith("# Daily digest of #general\n")
    assert "2026-03-28 09:00 to 2026-03-29 10:00 (Europe/Berlin) · 12 messages · 2 people" in text
    assert "- The parser rewrite lands on Friday. (**Ana** · [message](https://discord.com/channels/1/2/3))" in text
    assert "- [ ] I'll write the migration guide (**Bo_b**)" in text
    assert "| Bo_b | 5 |" in text
    assert "- channel 9: quiet" in text
    assert "> The model was away" in text
    assert "Run `run-7`" in text


def test_a_document_without_a_title_is_named_by_its_task() -> None:
    """The task's name stands in for a title."""
    assert markdown_document(a_summary(title=""), task_name="Morning news").startswith("# Morning news\n")


def test_empty_parts_leave_no_headings() -> None:
    """A section that has nothing to say is not there."""
    bare = a_summary(key_points=(), action_items=(), technical_terms=(), participants=(), channels=(), notice="")
    assert "##" not in markdown_document(bare)
    assert "Key points" not in text_document(bare)


def test_an_unknown_zone_is_shown_as_utc() -> None:
    """A summary is rendered even when its zone cannot be loaded any more."""
    for zone in ("America", "Mars/Base", "../../etc/passwd", "UTC\0", "A" * 5000):
        assert "2026-03-28 08:00 to 2026-03-29 08:00 (UTC)" in markdown_document(a_summary(), timezone=zone)


def test_an_engines_own_markdown_is_used_as_it_is_but_mentions_nobody() -> None:
    """What an engine rendered stays, with its links; only mentions are broken up."""
    own = "## Mine\n\n- **point** [1](https://discord.com/channels/1/2/3) @everyone <@5>"
    text = markdown_document(a_summary(markdown=own))
    assert "- **point** [1](https://discord.com/channels/1/2/3)" in text
    assert "@everyone" not in text
    assert "<@5>" not in text


def test_names_cannot_change_the_document() -> None:
    """Markdown and HTML in what people typed is shown, not obeyed."""
    for text in HOSTILE:
        html = MarkdownIt("commonmark").enable("table").render(markdown_document(hostile_summary(text)))
        assert "<script" not in html
        assert 'href="https://evil.test"' not in html
        assert html.count("<h1>") == 1
        assert html.count("<table>") == 1
        assert "<pre>" not in html


def test_an_open_fence_in_an_engines_prose_does_not_swallow_the_rest() -> None:
    """A code fence that an engine forgot to close ends with its own text."""
    html = MarkdownIt("commonmark").render(markdown_document(hostile_summary("see\n```py\nx = 1", engine="model")))
    assert "<h2>Key points</h2>" in html


def test_the_json_document_is_read_back_as_the_summary() -> None:
    """Nothing of a summary is lost in JSON."""
    data = json.loads(json_document(a_summary(), timezone="Asia/Tokyo", task_name="t", run_id="r"))
    assert data["run_id"] == "r"
    assert Summary.model_validate(data["summary"]) == a_summary()


def test_json_survives_lone_surrogates() -> None:
    """A half character does not stop a file from being written."""
    assert json_document(a_summary(title="\ud800")).encode()


def test_plain_text_has_no_control_characters() -> None:
    """What is printed cannot steer a terminal."""
    for text in HOSTILE:
        shown = text_document(hostile_summary(text))
        assert not [c for c in shown if (ord(c) < 32 and c != "\n") or 127 <= ord(c) < 160 or c in "\u202e\u2028"]


# --- safety -----------------------------------------------------------


@pytest.mark.parametrize("text", ["@everyone", "@HERE", "<@1>", "<@!1>", "<@&1>", "<#1>", "</ban:12>", "<id:home>"])
def test_no_mention_survives(text: str) -> None:
    """Every way to mention is broken up by both treatments."""
    assert text not in disarm(f"hey {text}!")
    assert text not in escape_markdown(f"hey {text}!")


def test_masked_links_are_disarmed_except_to_discord_messages() -> None:
    """A link shows where it leads, unless it leads to a message of Discord."""
    assert "](" not in disarm("[bank](https://evil.test)")
    assert "](" not in disarm("[bank](https://evil.test/https://discord.com/channels/1/2)")
    assert disarm("[1](https://discord.com/channels/1/2/3)") == "[1](https://discord.com/channels/1/2/3)"


def test_links_and_inline_code_stay_readable_when_escaped() -> None:
    """Escaping leaves addresses, code and snake_case alone."""
    text = "run `pip install x_y` see https://example.org/a_b_c and snake_case"
    assert escape_markdown(text) == text
    assert escape_markdown("*bold* _it_ #1\n# no\n1. one") == "\\*bold\\* \\_it\\_ #1\n\\# no\n1\\. one"


@given(st.text())
def test_disarming_twice_changes_nothing_more(text: str) -> None:
    """disarm and clean are idempotent."""
    assert disarm(disarm(text)) == disarm(text)
    assert clean(clean(text)) == clean(text)


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "file:///etc/passwd",
        "https://good.example@127.0.0.1/",
        "https://x.test/ y",
        "https://x.test\\@y",
        "http://",
        "//x.test",
        "https://[::1",
        "x" * 600,
        "",
        None,
    ],
)
def test_only_plain_web_addresses_become_links(url: str | None) -> None:
    """Everything but http(s) with a host and no user part is left out."""
    assert safe_url(url) is None


def test_an_address_cannot_leave_its_link() -> None:
    """Parentheses and angle brackets in an address are percent-encoded."""
    assert safe_url("https://x.test/a)b(<c>") == "https://x.test/a%29b%28%3Cc%3E"


# --- splitting -----------------------------------------------------------

chunks = st.lists(
    st.sampled_from(
        ["```", "```py\n", "\n", " ", "word", "é", "e\u0301", "👩‍👩‍👧", "🇩🇪", "日本語", "x" * 37, "`", "\\", "\ud83d"]
    ),
    max_size=120,
).map("".join)


def squeezed(text: str) -> str:
    return "".join(text.replace("`", "").replace("py", "").split())


@given(chunks, st.integers(40, 120))
@example("word👩‍👩‍👧```" + "x" * 37, 40)
def test_parts_fit_are_never_blank_and_lose_nothing(text: str, limit: int) -> None:
    """Every part is within the limit and has balanced fences; together they say what the text said."""
    parts = split_text(text, limit, max_parts=10_000)
    for part in parts:
        assert units(part) <= limit
        assert part.strip()
        assert part.count("```") % 2 == 0
    assert squeezed("".join(parts)) == squeezed(text) or not squeezed(text)


@given(st.lists(st.sampled_from(["👩‍👩‍👧", "🇩🇪", "e\u0301\u0302", "👍🏽", "x", "☺️"]), min_size=1, max_size=80))
def test_no_character_is_torn_apart(characters: list[str]) -> None:
    """A cut never falls into an emoji sequence, a flag or a letter with its accents."""
    parts = split_text("".join(characters), 40, max_parts=1000)
    starts = {0}
    position = 0
    for character in characters:
        position += len(character)
        starts.add(position)
    position = 0
    for part in parts:
        assert position in starts
        position += len(part)


def test_a_reopened_fence_keeps_its_language() -> None:
    """Code that needs two parts is code in both, in the same language."""
    parts = split_text("```python\n" + "\n".join(f"line_{n} = {n}" for n in range(40)) + "\n```\nend", 200)
    assert len(parts) > 2
    assert all(part.startswith("```python\n") for part in parts)
    assert parts[-1].endswith("end")


def test_a_text_without_end_is_shortened_and_says_so() -> None:
    """No delivery floods a channel."""
    parts = split_text("```\n" + "word " * 20_000, 2000)
    assert len(parts) == 10
    assert parts[-1].endswith("*(shortened)*")
    assert all(units(part) <= 2000 and part.count("```") % 2 == 0 for part in parts)


@pytest.mark.parametrize("text", ["\n" * 300_000, "x" * 3_000_000, "] " * 300_000, "`a" * 300_000, "# \n" * 100_000])
def test_a_huge_text_is_rendered_without_trouble(text: str) -> None:
    """Work grows with the text, not with its square."""
    for engine in ("extractive", "model"):
        assert len(discord_messages(a_summary(summary_text=text, engine=engine), "markdown")) <= 10
        assert discord_messages(a_summary(summary_text=text, engine=engine))


# --- Discord -----------------------------------------------------------


def test_a_usual_summary_is_one_embed() -> None:
    """Title, overview, fields and footer are in one embed that discord.py takes."""
    (message,) = discord_messages(a_summary(), timezone="Europe/Berlin", run_id="run-7")
    assert_within_limits(message)
    assert message.embed is not None
    names = [field["name"] for field in message.embed["fields"]]
    assert names == ["Note", "Key points", "Action items", "Technical terms", "Participants", "Channels", "Period"]
    assert message.embed["footer"]["text"] == "12 messages · run run-7"
    assert f"<t:{int(START.timestamp())}:f>" in message.embed["fields"][-1]["value"]


@pytest.mark.parametrize("format", ["embed", "markdown", "text"])
@pytest.mark.parametrize("engine", ["extractive", "model"])
def test_hostile_text_fits_every_limit_and_mentions_nobody(format: str, engine: str) -> None:
    """Whatever was typed, each message is one that Discord accepts, without a mention."""
    for text in HOSTILE:
        for message in discord_messages(hostile_summary(text, engine), format):
            assert_within_limits(message)
            shown = str(message)
            assert "@everyone" not in shown
            assert "<@&1>" not in shown
            assert "](https://evil.test)" not in re.sub("`[^`]*`|\\\\\\\\]", "", shown)


@given(
    st.text(max_size=9000),
    st.lists(st.tuples(st.text(max_size=1500), st.text(max_size=300)), max_size=15),
    st.sampled_from(["extractive", "model"]),
    st.sampled_from(["embed", "markdown", "text"]),
)
def test_every_summary_fits(text: str, points: list[tuple[str, str]], engine: str, format: str) -> None:
    """No summary makes a message that breaks a limit."""
    summary = a_summary(
        summary_text=text,
        title=text[:500],
        key_points=tuple(Point(text=said, author=who) for said, who in points),
        participants=tuple((who, n) for n, (_, who) in enumerate(points)),
        engine=engine,
    )
    messages = discord_messages(summary, format)
    assert 1 <= len(messages) <= 10
    for message in messages:
        assert_within_limits(message)


def test_a_long_summary_goes_on_in_further_embeds() -> None:
    """Points that exceed 6,000 characters are continued, none lost."""
    points = tuple(Point(text=f"point {n} " + "word " * 60, author="Ana") for n in range(40))
    messages = discord_messages(a_summary(key_points=points))
    assert len(messages) > 1
    shown = str(messages)
    assert all(f"point {n} " in shown for n in range(40))


def test_an_engines_own_embed_is_used() -> None:
    """Texts, color and fields of a given embed arrive unchanged when they fit."""
    own = {
        "title": "Mine",
        "description": "**bold** [1](https://discord.com/channels/1/2/3)",
        "color": 0x123456,
        "timestamp": END.isoformat(),
        "fields": [{"name": "A", "value": "1", "inline": True}],
        "footer": {"text": "foot"},
        "author": {"name": "engine"},
    }
    (embed,) = embeds(a_summary(embed=own, notice="", channels=()))
    assert embed == own


def test_what_readers_must_know_is_added_to_an_engines_own_rendering() -> None:
    """A notice and channels that were left out are told also where an engine renders itself."""
    (embed,) = embeds(a_summary(embed={"title": "Mine"}))
    assert [field["name"] for field in embed["fields"]] == ["Note", "Channels"]
    assert embed["fields"][1]["value"] == "- channel 9: quiet"
    text = markdown_document(a_summary(markdown="# Mine"))
    assert "> The model was away" in text
    assert "- channel 9: quiet" in text
    assert "#general" not in text


def test_an_engines_own_embed_is_made_to_fit() -> None:
    """A given embed beyond the limits is continued; what Discord would refuse is left out."""
    own = {
        "title": "T" * 400,
        "description": "@everyone " + "word " * 3000,
        "timestamp": "yesterday",
        "url": "javascript:alert(1)",
        "fields": [{"name": "", "value": "v" * 3000}, "nonsense", {"name": "n", "value": ""}] * 12,
        "image": {"url": "file:///etc/passwd"},
        "components": [1],
    }
    messages = discord_messages(a_summary(embed=own))
    assert 1 < len(messages) <= 10
    for message in messages:
        assert_within_limits(message)
    assert "@everyone" not in str(messages)


def test_an_empty_own_embed_still_says_what_it_is_about() -> None:
    """Discord refuses empty messages; the footer stays."""
    (embed,) = embeds(a_summary(embed={}, notice="", channels=()), run_id="r")
    assert embed == {"footer": {"text": "12 messages · run r"}}


@pytest.mark.parametrize("text", ["ab", "\U0001f600\U0001f600", "a \U0001f600"])
def test_a_cut_text_never_takes_more_than_there_is(text: str) -> None:
    """Where there is room for one unit, that is the ellipsis."""
    assert cut(text, 1) == "…"
    assert all(units(cut(text, limit)) <= limit for limit in range(1, 6))
