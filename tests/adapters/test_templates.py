"""Templates that people edit: one view in all formats, nothing breaks out, limits hold, nobody's result is lost."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from adapters.rendering import Renderer, markdown_document, units
from adapters.rendering.html import HTML
from adapters.rendering.renderer import packaged_renderer
from adapters.rendering.slack import SLACK, SLACK_BLOCKS, SLACK_HEADER, SLACK_SECTION, SLACK_TEXT
from adapters.rendering.teams import TEAMS_BYTES
from adapters.rendering.templates import TEMPLATES, Templates, packaged_text
from adapters.rendering.words import CARD_MARKDOWN, MARKDOWN, PLAIN, TEAMS_MARKDOWN, summary_words
from domain.errors import DeliveryFailed
from domain.summary import ChannelNote, Point, Summary

START = datetime(2026, 3, 28, 8, 0, tzinfo=UTC)
END = datetime(2026, 3, 29, 8, 0, tzinfo=UTC)
DETAILS = {"timezone": "Europe/Berlin", "task_name": "Morning news", "run_id": "run-7"}
Format = Callable[[Renderer, Summary], str]

FORMATS: dict[str, Format] = {
    "summary.md.j2": lambda renderer, summary: renderer.markdown(summary, **DETAILS),
    "summary.txt.j2": lambda renderer, summary: renderer.text(summary, **DETAILS),
    "summary.html.j2": lambda renderer, summary: renderer.html(summary, **DETAILS),
    "discord.json.j2": lambda renderer, summary: _joined(renderer.embeds(summary, **DETAILS)),
    "slack.json.j2": lambda renderer, summary: _joined(renderer.slack(summary, **DETAILS)["blocks"]),
    "teams.json.j2": lambda renderer, summary: _joined(renderer.teams(summary, **DETAILS)),
}


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, str):
        yield value


def _joined(value: Any) -> str:
    return "\n".join(_texts(value))


def a_summary(**changes: Any) -> Summary:
    values: dict[str, Any] = {
        "id": "s1",
        "title": "Daily digest",
        "summary_text": "3 people wrote 12 messages.",
        "key_points": (Point(text="The parser lands.", author="Ana", url="https://discord.com/channels/1/2/3"),),
        "action_items": (Point(text="Write the guide", author="Bob"),),
        "technical_terms": ("parser",),
        "participants": (("Ana", 7), ("Bob", 5)),
        "message_count": 12,
        "start_time": START,
        "end_time": END,
        "created_at": END,
        "engine": "extractive",
        "channels": (ChannelNote(channel_id="9", note="inaccessible"),),
    }
    return Summary(**(values | changes))


# --- the same facts everywhere ---------------------------------------------------------------------------------------

words = st.text("abcdefghijklmnopqrstuvwxyz", min_size=4, max_size=12)
sentences = st.lists(words, min_size=1, max_size=8).map(" ".join)
links = st.none() | words.map(lambda word: f"https://discord.com/channels/1/2/{word}")
points = st.lists(st.builds(Point, text=sentences, author=words | st.just(""), url=links), max_size=12).map(tuple)
summaries = st.builds(
    a_summary,
    title=sentences,
    summary_text=sentences,
    key_points=points,
    action_items=points,
    technical_terms=st.lists(words, max_size=10).map(tuple),
    participants=st.lists(st.tuples(words, st.integers(1, 999_999)), max_size=30).map(tuple),
    message_count=st.integers(0, 999_999),
    notice=sentences | st.just(""),
    engine=st.sampled_from(["extractive", "model"]),
    channels=st.lists(
        st.builds(ChannelNote, channel_id=words, name=words | st.just(""), note=sentences), max_size=10
    ).map(tuple),
)


@given(summaries)
def test_every_format_shows_the_same_facts(summary: Summary) -> None:
    """Title, period, overview, points with author and source, terms, people, and what is wrong with a channel."""
    facts = [summary.title, "2026-03-28 09:00 to 2026-03-29 10:00 (Europe/Berlin)", summary.summary_text]
    facts += [summary.notice, f"{summary.message_count:,} message", "run-7"]
    for point in (*summary.key_points, *summary.action_items):
        facts += [point.text, point.author, point.url or ""]
    facts += summary.technical_terms
    facts += [name for name, _ in summary.participants] + [f"{count:,}" for _, count in summary.participants]
    for note in summary.channels:
        facts += [note.name or note.channel_id, note.note]
    for name, shown in FORMATS.items():
        text = shown(packaged_renderer(), summary)
        assert [fact for fact in facts if fact not in text] == [], name


@given(summaries)
def test_the_parts_stand_in_the_same_order_everywhere(summary: Summary) -> None:
    """Whoever reads two formats finds the same parts in the same order."""
    headings = ["Key points", "Action items", "Technical terms", "Participants", "Channels"]
    orders = set()
    for shown in FORMATS.values():
        text = shown(packaged_renderer(), summary)
        found = [(text.index(heading), heading) for heading in headings if heading in text]
        orders.add(tuple(heading for _, heading in sorted(found)))
    assert len(orders) == 1
    [order] = orders
    assert sorted(order, key=headings.index) == list(order)


@given(summaries)
def test_every_template_is_given_the_same_names(summary: Summary) -> None:
    """What is documented for one template holds for all."""
    shapes = {
        json.dumps(_shape(summary_words(summary, markup, timezone="UTC", run_id="r")))
        for markup in (MARKDOWN, CARD_MARKDOWN, TEAMS_MARKDOWN, PLAIN, SLACK, HTML)
    }
    assert len(shapes) == 1


def _shape(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _shape(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_shape(item) for item in value]
    return "text" if isinstance(value, str) else type(value).__name__


# --- what people typed cannot break out ------------------------------------------------------------------------------

HOSTILE = ['"', '"}', '\\"', "\\", '", "everyone": "', "\u2028\n\r\t", "{{ 7*7 }}", "</script>", "\ud800", "],", "},"]


@given(st.text(max_size=60) | st.lists(st.sampled_from(HOSTILE), max_size=6).map("".join))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_text_breaks_out_of_json(tmp_path: Path, text: str) -> None:
    """However a JSON template prints a text, it is one string of the result, to the letter."""
    (tmp_path / "discord.json.j2").write_text(
        '{"a": {{ t }}, "b": {{ t | tojson }}, "c": {{ t | safe }}, "d": {{ "x" ~ t }}, "e": [{{ t | e }},],'
        ' "f": {{ {"k": t} }}, {% set made %}{{ t }}{% endset %} "g": {{ made }},}'
    )
    made = Templates(tmp_path).json("discord.json.j2", {"t": text})
    assert set(made) == set("abcdefg")
    assert made["a"] == made["b"] == text
    assert made["d"] == "x" + text
    assert made["f"] == {"k": text}
    assert isinstance(made["c"], str)
    assert isinstance(made["g"], str)
    assert len(made["e"]) == 1


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_words_of_people_are_no_template(name: str) -> None:
    """Template code in a message is shown, not run."""
    summary = a_summary(title="{{ 7*7 }}{% for x in y %}", summary_text="{{ 6*7 }}")
    text = FORMATS[name](packaged_renderer(), summary)
    assert "49" not in text
    assert "42" not in text


# --- limits hold whatever a template makes ---------------------------------------------------------------------------

LONG = "{{ ('long words of a template ' ~ title ~ ' ') * TIMES }}"


@given(st.integers(0, 300), st.integers(0, 40), st.sampled_from(["model", "extractive"]))
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_edited_embed_exceeds_the_limits_of_discord(tmp_path: Path, times: int, fields: int, engine: str) -> None:
    """Titles, descriptions, fields and footers of any length are cut or continued."""
    long = LONG.replace("TIMES", str(times))
    field = '{"name": LONG, "value": LONG, "inline": true}, {"name": "x", "value": [LONG, LONG]},'
    template = (
        '{"title": LONG, "description": LONG, "author": {"name": LONG}, "footer": {"text": LONG}, "fields": ['
        "{% for x in range(COUNT) %}" + field + "{% endfor %}{}, 7]}"
    )
    (tmp_path / "discord.json.j2").write_text(template.replace("LONG", long).replace("COUNT", str(fields)))
    messages = Renderer(tmp_path).discord_messages(a_summary(engine=engine), **DETAILS)
    assert 1 <= len(messages) <= 10
    for embed in [message.embed or {} for message in messages]:
        assert units(embed.get("title", "")) <= 256
        assert units(embed.get("description", "")) <= 4096
        assert units(embed.get("author", {}).get("name", "")) <= 256
        assert units(embed.get("footer", {}).get("text", "")) <= 2048
        assert len(embed.get("fields", [])) <= 25
        assert all(units(f["name"]) <= 256 and 1 <= units(f["value"]) <= 1024 for f in embed.get("fields", []))
        assert sum(map(units, _texts({k: embed.get(k) for k in ("title", "description", "author", "footer")}))) + sum(
            units(f["name"]) + units(f["value"]) for f in embed.get("fields", [])
        ) <= 6000  # fmt: skip


@given(st.integers(0, 2000), st.integers(0, 90), st.sampled_from(["&lt;", "<!channel> ", "& ", "\u20ac"]))
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_edited_blocks_exceed_the_limits_of_slack(tmp_path: Path, times: int, count: int, text: str) -> None:
    """At most 50 blocks, texts within theirs, and no mention even where a template writes one."""
    long = f'{{{{ "x" ~ ("{text}" * {times}) }}}}'
    part = f'{{"type": "mrkdwn", "text": {long}}}'
    (tmp_path / "slack.json.j2").write_text(
        f'{{"text": {long}, "blocks": [{{"type": "header", "text": {{"type": "plain_text", "text": {long}}}}},'
        f"{{% for x in range({count}) %}}"
        f'{{"type": "section", "text": {part}}}, {{"type": "section", "fields": [{part} {f", {part}" * 12}]}},'
        f'{{"type": "section", "text": {{"type": "mrkdwn", "text": [{long}, {long}]}}}}, {{"type": "divider"}},'
        f'{{% endfor %}} {{"type": "context", "elements": [{part}]}}]}}'
    )
    made = Renderer(tmp_path).slack(a_summary())
    assert 1 <= len(made["blocks"]) <= SLACK_BLOCKS
    assert len(made["text"]) <= SLACK_TEXT
    assert made["blocks"][-1]["type"] == "context"
    for block in made["blocks"]:
        limit = SLACK_HEADER if block["type"] == "header" else SLACK_SECTION
        assert units(block.get("text", {}).get("text", "")) <= limit
        assert all(1 <= units(item["text"]) <= 2000 for item in block.get("fields", ()))
        assert len(block.get("fields", ())) <= 10
    shown = _joined(made["blocks"][1:])
    assert "<!" not in shown
    assert "&l" not in shown.replace("&lt;", "")


@given(st.integers(0, 900), st.integers(0, 90))
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_edited_card_exceeds_the_limit_of_teams(tmp_path: Path, times: int, count: int) -> None:
    """The whole message stays below 20 KB, and its last block is kept."""
    block = '{"type": "TextBlock", "text": LONG}'.replace("LONG", LONG.replace("TIMES", str(times)))
    template = (
        '{"type": "AdaptiveCard", "body": [{% for x in range(COUNT) %}BLOCK, {"type": "Container", "items": [BLOCK]},'
        '{% endfor %} {"type": "TextBlock", "text": "the end"}]}'
    )
    (tmp_path / "teams.json.j2").write_text(template.replace("BLOCK", block).replace("COUNT", str(count)))
    made = Renderer(tmp_path).teams(a_summary())
    assert len(json.dumps(made, ensure_ascii=False, separators=(",", ":")).encode()) <= TEAMS_BYTES
    assert made["attachments"][0]["content"]["body"][-1]["text"] == "the end"


# --- a mistake costs nobody a result ---------------------------------------------------------------------------------

BROKEN = {
    "{{ titel }}": "line 1: 'titel' is undefined",
    "\n{% if %}": "line 2: Expected an expression",
    "x\n{{ ''.__class__.__mro__ }}": "line 2: access to attribute '__class__'",
    "x\n{% include 'other.j2' %}": "line 2: no template 'other.j2'",
    " \n ": "it makes nothing",
}
BROKEN_JSON = {
    "{": "what it makes is no JSON: Expecting property name enclosed in double quotes (line 1 of the result)",
    '{"title": "{{ title }}"}': "what it makes is no JSON: Expecting ',' delimiter",
    '{"title": 1, "title": 2}': "'title' stands twice",
    '{"title": NaN}': "NaN is no number",
    "[" * 100_000: "what it makes is no JSON",
    "[]": "it makes no",
    "{}": "it makes",
    '{"title": {{ facts.append }}}': "access to attribute 'append'",
}


def cases() -> Iterator[tuple[str, str, str]]:
    for name in TEMPLATES:
        for text, told in (BROKEN | BROKEN_JSON if ".json." in name else BROKEN).items():
            if text.strip() or name == "summary.md.j2":
                yield name, text, told


@pytest.mark.parametrize(("name", "text", "told"), list(cases()), ids=lambda value: value[:24])
def test_a_broken_template_is_named_and_the_built_in_look_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, text: str, told: str
) -> None:
    """The result arrives with all of its facts and a notice; the log says file and line, once, and no path."""
    (tmp_path / name).write_text(text, encoding="utf-8")
    renderer = Renderer(tmp_path)
    with pytest.raises(DeliveryFailed, match=re.escape(told)) as failure:
        renderer.check(name, a_summary())
    assert failure.value.permanent
    assert failure.value.reason.startswith(f"template {name}")
    with caplog.at_level(logging.ERROR):
        shown = [FORMATS[name](renderer, a_summary(notice="A channel was away.")) for _ in range(2)]
    assert shown[0] == shown[1]
    notice = re.sub(r"\\", "", shown[0])
    for fact in ("Daily digest", "The parser lands.", "A channel was away.", f"The template {name}", "is broken"):
        assert fact in notice
    [record] = caplog.records
    assert told in record.getMessage()
    assert str(tmp_path) not in record.getMessage() + shown[0]


def test_the_other_formats_keep_their_templates_when_one_is_broken(tmp_path: Path) -> None:
    """Only what is broken falls back."""
    (tmp_path / "discord.json.j2").write_text("{{ nothing }}")
    (tmp_path / "summary.md.j2").write_text("mine: {{ title }}")
    renderer = Renderer(tmp_path)
    assert renderer.markdown(a_summary()) == "mine: Daily digest\n"
    assert "is broken" in str(renderer.embeds(a_summary()))
    assert renderer.text(a_summary()) == packaged_renderer().text(a_summary())


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_copy_of_a_packaged_template_makes_the_same(tmp_path: Path, name: str) -> None:
    """Whoever exports the templates and changes nothing sees no difference."""
    (tmp_path / name).write_text(packaged_text(name), encoding="utf-8")
    summary = a_summary(notice="Something.", engine="model")
    assert FORMATS[name](Renderer(tmp_path), summary) == FORMATS[name](packaged_renderer(), summary)


def test_a_file_that_is_no_text_is_a_broken_template(tmp_path: Path) -> None:
    """Neither bytes nor a folder in the template's place stop a result."""
    (tmp_path / "summary.md.j2").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "summary.txt.j2").mkdir()
    renderer = Renderer(tmp_path)
    assert "is broken" in renderer.markdown(a_summary())
    assert "Daily digest" in renderer.text(a_summary())


def test_the_markdown_document_is_good_markdown() -> None:
    """Headings, lists and the table are what they seem, with one blank line between blocks."""
    text = markdown_document(a_summary(notice="A notice."), **DETAILS)
    assert "\n\n\n" not in text
    html = MarkdownIt("commonmark").enable("table").render(text)
    assert html.count("<h2>") == 5
    assert html.count("<table>") == 1
    assert html.count("<blockquote>") == 1
