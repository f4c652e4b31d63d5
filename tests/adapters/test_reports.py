"""Reports in every format: what they say, and what names in them cannot do."""

from __future__ import annotations

import csv
import io
import json
import re
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser
from typing import Any
from zipfile import ZipFile

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from adapters.cli.report_view import report_text
from adapters.rendering import reports
from application.report import FORMAT, Report, ScopeKind, spread_of
from domain.errors import InvalidInput
from tests.adapters.report_goldens import FOLDER, goldens
from tests.application.report_parts import END, START_OF_PERIOD, everything, scripted

HOSTILE = (
    "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "</style><script>x</script>", "{{ 7*7 }}",
    "[click](javascript:alert(1))", "![x](https://evil.example/x.png)", "a | b | c\n# heading\n| d |", "`code | code`",
    "=HYPERLINK(\"https://evil.example\",\"x\")", "+1+1", "-1+1", "@SUM(A1)", "\t=1+1", "\r=1", "\n=1", " =1",
    "\uff1dcmd()", "\uff0b1", "\uff0d1", " \uff20SUM(A1)",
    "\x1b[31mred\x1b[0m", "\u202egnp.exe", "@everyone <@1234>", "&lt;script&gt;", "\ud800",
)  # fmt: skip


@pytest.fixture(scope="module")
def whole() -> Report:
    """The report of the history in which everything happens."""
    return scripted().report(START_OF_PERIOD, END, timezone="Europe/Berlin")


def hostile(text: str) -> Report:
    """A report in which every text that somebody wrote is this one."""
    made = scripted().report(START_OF_PERIOD, END)
    return replace(
        made,
        scope=replace(made.scope, kind=ScopeKind.TASK, name=text),
        tasks=tuple(replace(one, name=text, schedule=text) for one in made.tasks),
        runs=tuple(
            replace(
                one, task=text, error=text, note=text, requested_by=text,
                deliveries=tuple(replace(d, place=text, receipt=text, reason=text) for d in one.deliveries),
            )
            for one in made.runs
        ),
        slowest=tuple(replace(one, task=text) for one in made.slowest),
        events=tuple(replace(one, subject=text, who=text, reason=text, what=text) for one in made.events),
        changes=tuple(replace(one, subject=text, before=text, after=text, who=text) for one in made.changes),
        causes=tuple(replace(one, what=text, said=text) for one in made.causes),
        places=tuple(replace(one, place=text, last_reason=text) for one in made.places),
    )  # fmt: skip


class Page(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remember it."""
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remember it."""
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        """Close what was opened last."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Remember what is read."""
        self.words.append(data)


def test_a_scripted_history_makes_the_files_that_are_kept(whole: Report) -> None:
    """Every format, byte for byte; ``python -m tests.adapters.report_goldens`` writes them anew."""
    made = goldens()
    assert sorted(made) == sorted(path.name for path in FOLDER.iterdir())
    for name, text in made.items():
        assert text.encode() == (FOLDER / name).read_bytes(), name


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_no_name_becomes_a_part_of_the_page(text: str) -> None:
    """It is shown as it is written, without what steers a browser."""
    harmless, page = Page(reports.html_report(hostile("harmless"))), Page(reports.html_report(hostile(text)))
    assert page.open == []
    assert [tag for tag, _ in page.tags] == [tag for tag, _ in harmless.tags]
    assert [sorted(attributes) for _, attributes in page.tags] == [sorted(one) for _, one in harmless.tags]


def test_the_page_loads_nothing_runs_nothing_and_allows_only_its_own_style(whole: Report) -> None:
    """It opens under the strictest policy: no script, no style attribute, no address of anything."""
    text = reports.html_report(whole)
    page = Page(text)
    assert not {tag for tag, _ in page.tags} & {
        "script",
        "link",
        "img",
        "iframe",
        "object",
        "a",
        "form",
        "image",
        "use",
    }
    names = {name for _, attributes in page.tags for name in attributes}
    assert not {name for name in names if name.startswith("on") or name in ("style", "src", "href", "xlink:href")}
    assert "url(" not in text
    assert "@import" not in text
    [style] = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    [policy] = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
    digest = b64encode(sha256(style.encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'"


def test_every_chart_has_a_name_a_description_and_its_numbers_in_a_table(whole: Report) -> None:
    """Whoever cannot see a chart reads the same in words."""
    page = Page(reports.html_report(whole))
    charts = [attributes for tag, attributes in page.tags if tag == "svg" and attributes.get("role") == "img"]
    ids = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    assert len(charts) == 3
    for chart in charts:
        assert set(str(chart["aria-labelledby"]).split()) <= ids
    words = " ".join(page.words)
    for day in whole.days:
        assert f"{day.date}" in words
    assert [a["lang"] for tag, a in page.tags if tag == "html"] == ["en"]
    assert "prefers-color-scheme: dark" in reports.html_report(whole)


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_no_cell_of_a_csv_file_is_a_formula(text: str) -> None:
    """Texts that a spreadsheet would compute begin with an apostrophe; numbers stay numbers."""
    with ZipFile(io.BytesIO(reports.csv_archive(hostile(text)))) as archive:
        for name in archive.namelist():
            for row in csv.reader(io.StringIO(archive.read(name).decode(), newline="")):
                for cell in row:
                    assert not cell.lstrip().startswith(("=", "+", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")), name
                    assert not cell.startswith(("\t", "\r", "\n")), (name, cell)
                    assert re.fullmatch(r"-[0-9.e-]+", cell) or not cell.lstrip().startswith("-"), (name, cell)


@given(st.text())
def test_whatever_stands_in_a_csv_file_is_read_back(text: str) -> None:
    """Line ends, quotes and commas do not break a table."""
    made = hostile(text.encode("utf-8", "replace").decode())
    rows = list(csv.reader(io.StringIO(reports.csv_report(made, "timeline"), newline="")))
    assert {len(row) for row in rows} == {9}
    assert len(rows) == 1 + len(made.events)


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_no_name_becomes_markdown(text: str) -> None:
    """Tables keep their columns, and nothing is a link, a picture or HTML."""

    def shape(markdown: str) -> list[str]:
        tokens = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).parse(markdown)
        kinds = [inner.type for token in tokens for inner in [token, *(token.children or ())]]
        return [kind for kind in kinds if kind not in ("text", "text_special", "softbreak")]

    assert shape(reports.markdown_report(hostile(text))) == shape(reports.markdown_report(hostile("harmless")))


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_no_name_steers_a_terminal(text: str) -> None:
    """Neither colors nor directions, nor lines of its own."""
    said = report_text(hostile(text), 200)
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f\u202e\ud800]", said)
    assert "heading" not in [line.strip("# ") for line in said.splitlines()]


def test_json_says_its_version_and_everything_that_is_known(whole: Report) -> None:
    """The document is what the report is."""
    document = json.loads(reports.json_report(whole))
    at_once = json.dumps(reports.report_document(whole), ensure_ascii=False, indent=2) + "\n"
    assert "".join(reports.json_parts(whole)) == at_once, "in parts it is the same text"
    assert document["format"] == FORMAT
    assert document["closed"] is True
    assert document["account"]["implied"] == whole.account.implied
    assert document["figures"]["run_rate"] == whole.figures.run_rate
    assert len(document["runs"]) == whole.runs_total
    assert document["runs"][0]["deliveries"][0]["status"] == "delivered"
    assert document["kinds"]["task.started"] == whole.figures.attempts
    assert document["up_rate"] == whole.up_rate


def test_a_table_that_is_not_there_is_named_with_those_that_are(whole: Report) -> None:
    """One that is there comes alone."""
    with pytest.raises(InvalidInput, match="runs"):
        reports.csv_report(whole, "nonsense")
    assert reports.csv_report(whole, "fates").startswith("fate,slots\r\n")


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_a_terminal_is_never_too_narrow(whole: Report, width: int) -> None:
    """No line is longer than the terminal is wide."""
    assert max(map(len, report_text(whole, width).splitlines())) <= width


def test_a_report_of_nothing_says_so_in_every_format() -> None:
    """Before anything was written."""
    empty = scripted().upto(0).report(START_OF_PERIOD, END)
    for name, text in everything(empty).items():
        assert text, name
    said: Any = everything(empty)["terminal"]
    assert "No slots." in said
    assert "So far" in said


def test_many_years_are_drawn_in_bounded_space(whole: Report) -> None:
    """A page of ten years has no bar for each day, and a terminal no line."""
    first = whole.days[0]
    days = tuple(replace(first, date=first.date.fromordinal(first.date.toordinal() + n)) for n in range(3660))
    long = replace(whole, days=days)
    bars = reports.html_report(long).count('class="executed"')
    assert bars < 200
    assert len(report_text(long, 80).splitlines()) < 500


def test_percentiles_are_values_that_occurred() -> None:
    """The smallest one that so many percent do not exceed."""
    found = spread_of([float(n) for n in range(100, 0, -1)])
    assert found is not None
    assert (found.p50, found.p90, found.p95, found.p99, found.most) == (50, 90, 95, 99, 100)
    one = spread_of([7.0])
    assert one is not None
    assert (one.p50, one.p99, one.most) == (7, 7, 7)
    assert spread_of([]) is None
