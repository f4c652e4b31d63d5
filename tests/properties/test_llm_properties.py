"""Whatever people write and a model answers: nothing is lost, budgets hold, citations are real, nobody is pinged."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.summarizers.lines import read_lines
from adapters.summarizers.llm.apis import APIS, Ask, Unreadable
from adapters.summarizers.llm.chunking import estimated_tokens, fence_of, numbered, packed
from adapters.summarizers.llm.harmless import addresses_of, harmless
from adapters.summarizers.llm.prompts import SIZES, summary_prompt
from adapters.summarizers.llm.replies import SCHEMA, Checked, Cited, WrongForm, as_partial, checked
from domain.summary import Message, SummaryContext, SummaryLength, SummaryOptions
from tests.llm_double.parts import START

LONGEST = 4_000
CAPACITY = 5_600
"""Room for a message of the greatest length in a script of four bytes a character, and for what stands around it."""

TEXTS = st.lists(
    st.text(max_size=400) | st.sampled_from(["🌻" * LONGEST, "漢" * LONGEST, "x" * LONGEST, ""]), max_size=30
)


@given(TEXTS, st.integers(1, 2_000))
def test_every_text_is_in_exactly_one_part_and_no_part_is_too_large(texts: list[str], capacity: int) -> None:
    """In their order; only a text that is too large alone exceeds the capacity, and has the part for itself."""
    parts = packed(texts, capacity)
    assert [index for part in parts for index in part] == list(range(len(texts)))
    for part in parts:
        assert len(part) == 1 or sum(estimated_tokens(texts[index] + "\n") for index in part) <= capacity
    if texts:
        assert estimated_tokens("\n".join(texts)) <= sum(estimated_tokens(text + "\n") for text in texts)


@given(TEXTS)
def test_every_message_that_says_something_becomes_one_line_that_fits(texts: list[str]) -> None:
    """With its number, and nothing else on its line."""
    messages = [
        Message(id=f"{n:04}", channel_id="1", author_id="7", author_name="ann", timestamp=START + timedelta(seconds=n),
                content=text) for n, text in enumerate(texts)
    ]  # fmt: skip
    told = numbered(read_lines(messages), {}, attachments=True)
    assert [one.line.id for one in told] == [f"{n:04}" for n, text in enumerate(texts) if text.strip()]
    assert [one.number for one in told] == list(range(1, len(told) + 1))
    for one in told:
        assert len(one.text.splitlines()) == 1
        assert one.text.startswith(f"[{one.number}] 2026-")
        assert estimated_tokens(one.text + "\n") <= CAPACITY


@given(st.lists(st.text(max_size=200), min_size=1, max_size=8))
def test_no_text_leaves_the_fence(texts: list[str]) -> None:
    """The fence stands at two places, whatever the messages are, and no message holds it."""
    context = SummaryContext(channel_name="<<<general>>>", start_time=START, end_time=START)
    lines = [" ".join(text.split()) for text in texts]
    fence = fence_of(lines)
    prompt = summary_prompt(lines, context, fence)
    assert prompt.count(fence) == 2


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=10), inner, max_size=5),
    max_leaves=15,
)
NUMBERS = st.lists(st.integers(-5, 60) | st.booleans(), max_size=8)
LINES = st.lists(st.fixed_dictionaries({"text": st.text(max_size=80), "sources": NUMBERS}), max_size=25)
REPLIES = JSON | st.fixed_dictionaries(
    {"overview": st.text(max_size=300), "key_points": LINES, "action_items": LINES,
     "technical_terms": st.lists(st.text(max_size=90), max_size=40)}
)  # fmt: skip


@given(REPLIES, st.sets(st.integers(1, 40)), st.sampled_from(SummaryLength))
def test_an_answer_is_of_the_form_with_real_citations_or_refused(
    content: Any, valid: set[int], length: SummaryLength
) -> None:
    """No other outcome, no other error; what was dropped is counted."""
    size = SIZES[length]
    try:
        reply = checked(content, valid, SummaryOptions(), size, frozenset())
    except WrongForm:
        return
    assert reply.overview
    assert reply.sources <= valid
    assert all(point.sources and point.text for point in (*reply.key_points, *reply.action_items))
    assert len(reply.key_points) <= size.points
    assert len(reply.action_items) <= size.actions
    cited = [set(line["sources"]) for line in (*content["key_points"], *content["action_items"])]
    assert reply.strays == sum(len(numbers - valid) for numbers in cited)


CITED = st.builds(
    Cited, st.text(min_size=1, max_size=300), st.lists(st.integers(1, 9_999), min_size=1, max_size=5).map(tuple)
)


@given(
    st.builds(Checked, st.text(min_size=1, max_size=6_000) | st.just("🌻" * 6_000),
              st.lists(CITED, max_size=15).map(tuple),
              st.lists(CITED, max_size=15).map(tuple), st.lists(st.text(max_size=60), max_size=25).map(tuple)),
    st.integers(200, 4_000),
)  # fmt: skip
def test_the_summary_of_a_part_fits_and_cites_what_stands_in_it(reply: Checked, tokens: int) -> None:
    """Two of them always fit into one request, so that reducing comes to an end."""
    partial = as_partial(reply, tokens)
    assert estimated_tokens(partial.text) <= tokens
    assert partial.numbers <= reply.sources
    assert all(re.search(rf"\b{number}\b", partial.text) for number in partial.numbers)


PIECES = st.sampled_from(
    ["@", "everyone", "here", "<@", "<@&", "<#", "123", ">", "[", "]", "(", ")", "](", "!", "https://", "evil.example",
     "/x", "http://ok.example/a", "www.", "javascript:", " ", "a", "\u200b", "\u202e", "\n", "`", "|", "<", "id:",
     "</x:1>", "\uff20"]
)  # fmt: skip
KNOWN = frozenset({"http://ok.example/a"})


@given(st.lists(PIECES | st.text(max_size=5), max_size=40).map("".join))
def test_what_is_made_harmless_mentions_nobody_and_links_only_to_what_people_wrote(text: str) -> None:
    """However the pieces are put together, and also when it is made harmless again."""
    made = harmless(text, KNOWN)
    bare = made.replace("http://ok.example/a", "")
    assert not re.search(r"@(everyone|here)|<[@#]|<id:|</\w+:\d", made, re.IGNORECASE)
    assert not re.search(r"\]\s*\(", made)
    assert "evil.example/" not in bare
    assert not re.search(r"\w{2,}://\S", bare)
    assert harmless(made, KNOWN) == made
    assert addresses_of([made]) <= KNOWN


DEEP = {
    "links": "[" * 1_500 + "x" + "](y)" * 1_500,
    "open": "<@" * 3_000,
    "channels": "<" * 1_500 + "#1>" * 1_500,
}


@pytest.mark.parametrize("deep", DEEP.values(), ids=DEEP)
def test_nesting_however_deep_costs_a_bounded_number_of_passes(deep: str) -> None:
    """What is still not harmless then loses every sign that could harm."""
    made = harmless(deep, KNOWN)
    assert not re.search(r"@|<#|\]\s*\(", made)
    assert harmless(made, KNOWN) == made


@pytest.mark.parametrize("api", APIS.values(), ids=list(APIS))
@given(JSON)
def test_any_answer_of_an_endpoint_is_read_or_unreadable(api: Any, document: Any) -> None:
    """No other error comes of what a server makes up."""
    for wrapped in (
        document,
        {"choices": [{"message": document}], "usage": document},
        {"content": [document, {"text": document}]},
    ):
        try:
            answer = api.read(wrapped)
        except Unreadable:
            continue
        assert isinstance(answer.said, str)


def test_the_schema_is_one_that_strict_endpoints_take() -> None:
    """Every object names all of its properties as required and forbids others."""
    objects = [SCHEMA, *SCHEMA["$defs"].values()]
    for one in objects:
        assert one["additionalProperties"] is False
        assert set(one["required"]) == set(one["properties"])
    assert Ask("m", "s", "u", SCHEMA, 1).turns == [{"role": "user", "content": "u"}]
