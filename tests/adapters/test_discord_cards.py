"""What the bot shows fits into Discord whatever it is made of: limits, mentions, links, Markdown."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.discord_bot.cards import (
    Button,
    Card,
    ChannelMenu,
    Entry,
    Form,
    Input,
    Menu,
    Option,
    Reply,
    fitted,
    press,
    stamp,
)
from adapters.discord_bot.drawing import drawn, modal_of
from adapters.discord_bot.texts import Marked, Words, languages, words_for
from tests.discord_double.errors import ApiError
from tests.discord_double.limits import check_message, check_modal

NASTY = st.sampled_from(
    ["", " ", "\u200b", "@everyone", "<@1>", "<@&2>", "<#3>", "[x](https://evil.example)", "**", "`", "```", "_", "||",
     "\n" * 50, "𝄞" * 300, "x" * 5000, "\u202e", "e\u0301" * 900, "<t:1:F>", "{name}", "\\", "# ", "> ", "- "]
)  # fmt: skip


class Shown(str):
    """A text of any length that stands short in the report of a failure."""

    __slots__ = ()

    def __repr__(self) -> str:
        return super().__repr__() if len(self) < 60 else f"{str(self[:40])!r}... of {len(self)}"


TEXTS = st.lists(st.one_of(st.text(max_size=40), NASTY), max_size=6).map("".join).map(Shown)
ENTRIES = st.builds(Entry, TEXTS, TEXTS, st.booleans())
CARDS = st.builds(Card, TEXTS, TEXTS, st.lists(ENTRIES, max_size=30).map(tuple), TEXTS)
IDS = st.uuids().map(lambda id: press("pause", id))
OPTIONS = st.builds(Option, TEXTS, st.uuids().map(str), TEXTS)
ITEMS = st.one_of(
    st.builds(Button, TEXTS, IDS, st.sampled_from(["primary", "danger", "secondary", "success"]), st.booleans()),
)
ROWS = st.one_of(
    st.lists(ITEMS, max_size=7, unique_by=lambda item: item.id).map(tuple),
    st.builds(Menu, IDS, st.lists(OPTIONS, max_size=40).map(tuple), TEXTS).map(lambda menu: (menu,)),
    st.builds(ChannelMenu, IDS, TEXTS).map(lambda menu: (menu,)),
)
REPLIES = st.builds(Reply, st.lists(CARDS, max_size=12).map(tuple), st.lists(ROWS, max_size=7).map(tuple), TEXTS)
PINGS = re.compile(r"@everyone|@here|<@[!&]?\d")
MASKED = re.compile(r"(?<!\\)\]\(")


def payload(reply: Reply) -> dict[str, Any]:
    """A reply as discord.py sends it."""
    made = drawn(reply)
    sent: dict[str, Any] = {"embeds": [embed.to_dict() for embed in made["embeds"]], "content": made.get("content")}
    return sent | ({"components": made["view"].to_components()} if "view" in made else {})


async def test_the_last_card_gives_up_its_footer_before_a_message_is_too_long() -> None:
    """6,000 characters are those of all embeds together, titles and footers among them."""
    cards = [Card("t" * 256, "x" * 4096), Card("t" * 256, "y" * 1000), *[Card("t" * 256, footer="f" * 500)] * 3]
    check_message(payload(Reply(tuple(cards))))


async def test_no_custom_id_stands_twice_in_a_message() -> None:
    """Discord refuses the whole message for it; the first is shown."""
    id = press("pause", "1")
    rows = ((Button("a", id), Button("b", id)), (Menu(id, (Option("c", "c"),)),), (Button("d", "", url="https://a.b"),))
    sent = payload(Reply((Card("t"),), rows))
    check_message(sent)
    assert [item["label"] for row in sent["components"] for item in row["components"]] == ["a", "d"]


@given(REPLIES)
async def test_whatever_is_to_be_shown_discord_takes_it(reply: Reply) -> None:
    """No limit is passed, nothing is blank where Discord wants a text; only a reply of nothing at all is refused."""
    sent = payload(reply)
    if not (sent["content"] or sent["embeds"] or sent.get("components")):
        with pytest.raises(ApiError):
            check_message(sent)
    else:
        check_message(sent)


@given(REPLIES)
def test_nothing_that_is_shown_mentions_anybody_or_hides_a_link(reply: Reply) -> None:
    """Even a text that nobody escaped."""
    for card in fitted(reply).cards:
        for text in (card.title, card.text, card.footer, *(t for e in card.entries for t in (e.name, e.value))):
            assert not PINGS.search(text)
            assert not MASKED.search(text)


@given(REPLIES)
def test_fitting_twice_changes_nothing(reply: Reply) -> None:
    """What fits is left as it is."""
    once = fitted(reply)
    assert fitted(once) == once


@given(st.lists(st.builds(Input, st.uuids().map(str), TEXTS, TEXTS, TEXTS, st.booleans(), st.integers(-5, 9000)),
                min_size=1, max_size=7), TEXTS)  # fmt: skip
async def test_whatever_form_is_to_be_opened_discord_takes_it(inputs: list[Input], title: str) -> None:
    """Title, labels, values and their number are within the limits."""
    check_modal(modal_of(Form(press("adjust", "1"), title, tuple(inputs))).to_dict())


@given(TEXTS, st.sampled_from(sorted(languages())))
def test_a_value_in_a_sentence_stays_what_was_typed(name: str, language: str) -> None:
    """Markdown of a name is escaped, so it neither ends the bold of the sentence nor begins a link.

    Inside of a span of code Discord reads no other Markdown.
    """
    said = words_for(language)("pause.done", name=name)
    assert not PINGS.search(said)
    assert not MASKED.search(said)
    inside = said[said.index("**") + 2 : said.rindex("**")]
    assert "**" not in re.sub(r"`+[^`]+`+", "", inside).replace("\\*", "")


def test_markup_of_our_own_is_left_alone() -> None:
    """Timestamps and the names of channels are shown as such; a channel's name pings nobody."""
    at = Marked(stamp(datetime(2026, 3, 2, 12, tzinfo=UTC)))
    words = Words("en", {"x": "{at}"})
    assert words("x", at=at) == "<t:1772452800:F>"
    [card] = fitted(Reply((Card("t", f"{at} in <#123>"),))).cards
    assert card.text == "<t:1772452800:F> in <#123>"


def test_a_custom_id_is_never_too_long() -> None:
    """It would be refused by Discord with the whole message; here it is an error of the program."""
    with pytest.raises(ValueError, match="more than 100"):
        press("list", "x" * 100)
