"""HTML: the page says what the summary says, obeys nothing that was typed, loads nothing, and can be edited."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.rendering import Renderer, html_document
from adapters.rendering.html import SUMMARY_TEMPLATE
from domain.errors import DeliveryFailed
from domain.summary import ChannelNote, Point, Summary

START = datetime(2026, 3, 28, 8, 0, tzinfo=UTC)
END = datetime(2026, 3, 29, 8, 0, tzinfo=UTC)
LINK = "https://discord.com/channels/1/2/3"
HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "{{7*7}} {% for x in range(9) %} {{ self }}",
    "[bank](https://evil.test)",
    "[x](javascript:alert(1)) <javascript:alert(1)>",
    "![pixel](https://evil.test/p.png)",
    "[a]: https://evil.test\n\n[a]",
    "`` ` <b>x</b>",
    "```html\n<script>alert(1)</script>",
    "</style></title><style>*{display:none}</style>",
    "&lt;script&gt; &#60;b&#62;",
    "safe \u202egnp.exe",
    "Z" + "\u0301" * 4000,
    "x" * 5000,
    "\x1b[2J\0\ud800\u2028",
]
VOID = {"meta", "br", "hr", "link", "img", "input"}


class Page(HTMLParser):
    """A page as a browser takes it: tags, attributes, visible text; unbalanced tags are an error."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element begins."""
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """An element ends: the one that was opened last."""
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Text, as far as readers see it."""
        if not {"style", "title"} & set(self._open):
            self.texts.append(data)

    @property
    def text(self) -> str:
        """What is read, white space as one space."""
        return " ".join("".join(self.texts).split())

    @property
    def links(self) -> list[str]:
        """Where links lead."""
        return [value for _, name, value in self.attributes if name in ("href", "src", "action", "background")]


def a_summary(**changes: Any) -> Summary:
    values: dict[str, Any] = {
        "id": "s1",
        "title": "Daily digest of #general",
        "summary_text": "3 people wrote 12 messages. Most discussed: parser.",
        "key_points": (
            Point(text="The parser rewrite lands on Friday.", author="Ana", url=LINK),
            Point(text="Nobody objects to `tokenize_all`."),
        ),
        "action_items": (Point(text="I'll write the migration guide", author="Bo_b"),),
        "technical_terms": ("tokenize_all", "AST"),
        "participants": (("Ana", 7), ("Bo_b", 5)),
        "message_count": 12,
        "start_time": START,
        "end_time": END,
        "created_at": END,
        "engine": "extractive",
        "channels": (
            ChannelNote(channel_id="2", name="general", message_count=12),
            ChannelNote(channel_id="9", note="quiet"),
        ),
        "notice": "The model was away; this was made without it.",
    }
    return Summary(**(values | changes))


def hostile_summary(text: str, engine: str) -> Summary:
    return a_summary(
        title=text,
        summary_text=text,
        key_points=(Point(text=text, author=text, url=LINK), Point(text=text, author=text, url=text)),
        action_items=(Point(text=text, author=text, url="javascript:alert(1)"),),
        technical_terms=(text,),
        participants=((text, 1),),
        channels=(ChannelNote(channel_id="1", name=text, note=text), ChannelNote(channel_id=text)),
        notice=text,
        engine=engine,
    )


# --- what the page says ----------------------------------------------------------------------------------------------


def test_the_page_holds_everything_that_the_embed_shows() -> None:
    """Title, span in the task's zone, overview, points with author and link, people, channels, notice, footer."""
    page = Page(html_document(a_summary(), timezone="Europe/Berlin", run_id="run-7"))
    for words in (
        "Daily digest of #general",
        "2026-03-28 09:00 to 2026-03-29 10:00 (Europe/Berlin) · 12 messages · 2 people",
        "The model was away; this was made without it.",
        "3 people wrote 12 messages. Most discussed: parser.",
        "The parser rewrite lands on Friday. — Ana · message",
        "Nobody objects to tokenize_all .".replace(" .", "."),
        "I'll write the migration guide — Bo_b",
        "Technical terms tokenize_all AST",
        "Ana (7), Bo_b (5)",
        "#general: 12 messages",
        "channel 9: quiet",
        "Run run-7 · made 2026-03-29 10:00 (Europe/Berlin) · by the extractive engine",
    ):
        assert words in page.text
    assert page.links == [LINK]


def test_empty_parts_leave_no_headings() -> None:
    """A section that has nothing to say is not there."""
    bare = Summary(id="s", summary_text="Nobody wrote.", start_time=START, end_time=END)
    page = Page(html_document(bare, task_name="Morning news"))
    assert page.tags["h2"] == 0
    assert page.tags["ul"] == 0
    assert page.text == "Morning news 2026-03-28 08:00 to 2026-03-29 08:00 (UTC) · 0 messages Nobody wrote."


def test_an_engines_markdown_becomes_html_below_the_headings_of_the_page() -> None:
    """Headings, lists, code, quotes, tables and bare links of a model's prose are shown as such."""
    prose = "# Big\n\n- **one**\n\n> said\n\n```py\nx = 1\n```\n\n|a|b|\n|-|-|\n|1|2|\n\nsee https://x.test/a_b, ok"
    html = html_document(a_summary(summary_text=prose, engine="model"))
    page = Page(html)
    assert page.tags["h1"] == 1
    assert '<h3 dir="auto">Big</h3>' in html
    assert "<strong>one</strong>" in html
    assert page.tags["blockquote"] == page.tags["table"] == page.tags["pre"] == 1
    assert "https://x.test/a_b" in page.links


def test_an_engines_own_markdown_is_the_page() -> None:
    """An engine that renders itself is shown as it wrote, with what readers must know beside it."""
    own = f"# Mine\n\n- **point** [1]({LINK})\n\n[bad](javascript:alert(1)) ![pixel](https://evil.test/p.png)"
    html = html_document(a_summary(markdown=own))
    page = Page(html)
    assert page.tags["h1"] == 1
    assert "Mine" in page.text
    assert "Daily digest" not in page.text
    assert "channel 9: quiet" in page.text
    assert "#general" not in page.text
    assert "The model was away" in page.text
    assert page.links[0] == LINK
    assert not [link for link in page.links if link.startswith("javascript")]
    assert page.tags["img"] == 0


def test_quotations_are_shown_to_the_letter() -> None:
    """What people typed is not taken for Markdown where the engine only quotes."""
    page = Page(html_document(a_summary(summary_text="2 * 3 * 4 _x_ # no\n# neither <b> &amp; https://x.test/a_b")))
    assert "2 * 3 * 4 _x_ # no # neither <b> &amp; https://x.test/a_b" in page.text


def test_discords_timestamps_are_spelled_out() -> None:
    """A time in Discord's notation is read in the task's zone; an impossible one stays as it is."""
    text = f"at <t:{int(END.timestamp())}:f> and <t:999999999999:R>"
    page = Page(html_document(a_summary(summary_text=text, engine="model"), timezone="Asia/Tokyo"))
    assert "at 2026-03-29 17:00 (Asia/Tokyo) and <t:999999999999:R>" in page.text


def test_text_finds_its_own_direction() -> None:
    """Titles, points and paragraphs take the direction of their script, and names do not turn their surroundings."""
    html = html_document(a_summary(title="שלום", key_points=(Point(text="שלום", author="דנה"),), engine="model"))
    assert html.count('dir="auto"') >= 4
    assert "<bdi>דנה</bdi>" in html


def test_an_unknown_zone_is_shown_as_utc() -> None:
    """A summary is rendered even when its zone cannot be loaded any more."""
    for zone in ("America", "Mars/Base", "../../etc/passwd", "UTC\0", "A" * 5000):
        assert "(UTC)" in html_document(a_summary(), timezone=zone)


# --- what the page never does ----------------------------------------------------------------------------------------


def assert_harmless(html: str) -> None:
    page = Page(html)
    assert not {"script", "img", "svg", "iframe", "object", "form", "input", "link", "base"} & set(page.tags)
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert not [link for link in page.links if not link.startswith(("https://", "http://"))]
    assert page.tags["style"] == page.tags["title"] == page.tags["body"] == 1
    assert "url(" not in html
    assert "@import" not in html
    assert not [c for c in html if (ord(c) < 32 and c not in "\n\t") or 127 <= ord(c) < 160 or c in "\u202e\u2028"]
    html.encode()


@pytest.mark.parametrize("engine", ["extractive", "model"])
@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_that_was_typed_becomes_part_of_the_page(text: str, engine: str) -> None:
    """Tags, handlers, template code and addresses are shown, not obeyed; no link hides where it leads."""
    html = html_document(hostile_summary(text, engine), task_name=text, run_id=text)
    assert_harmless(html)
    page = Page(html)
    assert page.tags["h1"] == 1
    assert "49" not in page.text
    assert set(re.findall(r'href="[^"]*evil\.test[^"]*"[^>]*>([^<]*)', html)) <= {"https://evil.test"}


@pytest.mark.parametrize("text", HOSTILE)
def test_an_engines_own_markdown_cannot_smuggle_html(text: str) -> None:
    """Markdown of an engine may link, but neither run nor load anything."""
    assert_harmless(html_document(a_summary(markdown=text)))


@given(st.text(max_size=400), st.sampled_from(["extractive", "model"]))
def test_every_summary_makes_a_well_formed_harmless_page(text: str, engine: str) -> None:
    """No text unbalances the page."""
    assert_harmless(html_document(hostile_summary(text, engine).model_copy(update={"markdown": None})))
    assert_harmless(html_document(a_summary(markdown=text)))


def test_the_page_forbids_itself_to_load_anything() -> None:
    """Even where something slipped through, the browser is told not to run or load it."""
    assert "default-src 'none'; style-src 'unsafe-inline'" in html_document(a_summary())


@pytest.mark.parametrize(
    "text",
    ["x" * 3_000_000, "] " * 300_000, "`a" * 300_000, "# \n" * 100_000, "[" * 100_000, "*a_" * 100_000, "> " * 9999],
)
def test_a_huge_text_makes_a_page_that_mail_clients_take(text: str) -> None:
    """A page stays small, and the work stays small with it."""
    for changes in ({"summary_text": text, "engine": "model"}, {"summary_text": text}, {"markdown": text}):
        assert len(html_document(a_summary(**changes))) < 1_000_000


def test_long_lists_are_cut_and_say_so() -> None:
    """Of very many people the first hundred are named and the rest counted."""
    html = html_document(a_summary(participants=tuple((f"p{n}", 1) for n in range(1_500))))
    assert "and 1,400 more" in Page(html).text


# --- templates that people edit --------------------------------------------------------------------------------------


def written(folder: Path, text: str, name: str = SUMMARY_TEMPLATE) -> Renderer:
    (folder / name).write_text(text, encoding="utf-8")
    return Renderer(folder)


def test_a_template_in_the_operators_folder_takes_the_place_of_the_packaged_one(tmp_path: Path) -> None:
    """The folder overrides; everything that is printed is escaped there as well."""
    renderer = written(tmp_path, "<p>{{ title }}|{{ span }}</p>")
    assert renderer.html(a_summary(title="<b>x</b>")).startswith("<p>&lt;b&gt;x&lt;/b&gt;|2026-03-28 08:00")


def test_a_folder_without_the_template_leaves_the_packaged_one(tmp_path: Path) -> None:
    """An empty or missing folder changes nothing."""
    for folder in (tmp_path, tmp_path / "missing"):
        assert Renderer(folder).html(a_summary()) == html_document(a_summary())


def test_the_packaged_template_can_be_copied_and_edited(tmp_path: Path) -> None:
    """A copy of the packaged file works as it is."""
    packaged = Path(__file__).parents[2] / "adapters" / "templates" / SUMMARY_TEMPLATE
    renderer = written(tmp_path, packaged.read_text(encoding="utf-8").replace("Key points", "Points"))
    renderer.check(SUMMARY_TEMPLATE, a_summary())
    assert renderer.html(a_summary(title="T")).startswith("<!DOCTYPE html>")


def test_an_edited_template_is_read_again(tmp_path: Path) -> None:
    """Nobody has to restart the service to see what was edited."""
    renderer = written(tmp_path, "one")
    assert renderer.html(a_summary()) == "one"
    (tmp_path / SUMMARY_TEMPLATE).write_text("two")
    os.utime(tmp_path / SUMMARY_TEMPLATE, (1, 1))
    assert renderer.html(a_summary()) == "two"


BROKEN = [
    ("a\n{{ titel }}", "line 2: 'titel' is undefined"),
    ("a\n\n{% if %}", "line 3: Expected an expression"),
    ("{{ title", "line 1: "),
    ("x\n{{ 1 / 0 }}", "line 2: division by zero"),
    ("x\n{{ ''.__class__.__mro__ }}", "line 2: access to attribute '__class__'"),
    ("x\n{{ facts.append(1) }}", "line 2: access to attribute 'append'"),
    ("x\n{% include 'other.j2' %}", "line 2: no template 'other.j2'"),
    ("x\n{% include '../../../etc/passwd' %}", "line 2: no template"),
    ("{% for x in range(999999999) %}x{% endfor %}", "line 1: Range too big"),
    ("{% for x in range(99999) %}{{ 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx' }}{% endfor %}", "makes more than"),
    ("x\n{{ title | nofilter }}", "line 2: No filter named 'nofilter'"),
]


@pytest.mark.parametrize(("text", "told"), BROKEN)
def test_a_broken_template_is_named_with_the_line(tmp_path: Path, text: str, told: str) -> None:
    """The error says file, line and problem, is permanent, and names no path of the machine."""
    renderer = written(tmp_path, text)
    with pytest.raises(DeliveryFailed, match=re.escape(told)) as failure:
        renderer.check(SUMMARY_TEMPLATE, a_summary())
    assert failure.value.permanent
    assert not failure.value.ambiguous
    assert failure.value.reason.startswith(f"template {SUMMARY_TEMPLATE}")
    assert str(tmp_path) not in failure.value.reason


def test_a_broken_part_is_named_instead_of_the_page_that_includes_it(tmp_path: Path) -> None:
    """The file to be mended is the one that is named."""
    (tmp_path / "part.j2").write_text("\n\n{{ nothing }}")
    renderer = written(tmp_path, "{% include 'part.j2' %}")
    with pytest.raises(DeliveryFailed, match=r"template part\.j2, line 3: 'nothing' is undefined"):
        renderer.check(SUMMARY_TEMPLATE, a_summary())


def test_the_renderer_loads_its_libraries_only_when_it_renders() -> None:
    """A process that renders nothing never imports Jinja."""
    code = (
        "import sys, adapters.file, adapters.rendering as rendering; rendering.Renderer(); "
        "print([name for name in ('jinja2', 'markdown_it', 'markupsafe') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    assert done.stdout.strip() == "[]"
