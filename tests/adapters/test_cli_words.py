"""What the commands say: what is wrong in the words it was written in, what to do, and nothing cut that is copied."""

from __future__ import annotations

import asyncio
import io
import re
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

import daybook
from adapters.cli import show
from adapters.cli.live import LiveView
from adapters.cli.store import opened
from domain.errors import StoreInUse
from infrastructure.presence import FolderPresence
from tests.adapters.cli_runner import Daybook
from tests.doubles import EARLY


@pytest.fixture
def cli(tmp_path: Path) -> Daybook:
    """The command line on an empty folder."""
    return Daybook(tmp_path / "data")


SAID = [
    (("--every", "0m"), "every: '0 s' is too short"),
    (("--every", "30s"), "every: '30 s' is too short"),
    (("--at", "2020-02-03T04:05"), "'once on 2020-02-03 at 04:05 in UTC' has no slot in the future"),
    (("--to", ""), "discord_channel (with DISCORD_TOKEN)"),
    (("--to", "pigeon"), "email (with DAYBOOK_SMTP_HOST)"),
    (("every 3rd friday",), 'did you mean "on the 3rd friday of every month"?'),
    (("every third Fri at 9:00",), 'did you mean "on the third fri of every month"?'),
    (("every last sunday",), 'did you mean "on the last sunday of every month"?'),
]


@pytest.mark.parametrize(("options", "said"), SAID, ids=lambda value: str(value)[:30])
def test_what_is_wrong_is_said_in_the_words_it_was_written_in(
    cli: Daybook, options: tuple[str, ...], said: str
) -> None:
    """No class names and no machine's way of writing lengths; a remedy that works."""
    refused = cli("tasks", "add", "x", *options, "--channel", "general")
    assert refused.code == 2
    assert said in refused.err


@pytest.mark.parametrize("phrase", ["on the 3rd friday of every month", "on the last sunday of every month"])
def test_the_phrase_that_is_offered_is_understood(cli: Daybook, phrase: str) -> None:
    """A suggestion that is refused itself would be no help."""
    assert cli("preview", phrase).code == 0


def test_an_unknown_channel_is_not_found(cli: Daybook) -> None:
    """Exit code 3, as everywhere, and the nearest names."""
    ended = cli("summarize", "generl")
    assert ended.code == 3
    assert "did you mean #general" in ended.err


def test_a_guild_that_nothing_is_known_of_is_set_with_a_warning(cli: Daybook) -> None:
    """A digit too many in an id is noticed; a guild that is known is not remarked on."""
    first = cli("guild", "set", "4242", "--timezone", "Europe/Berlin")
    assert first.code == 0
    assert "nothing was known of guild 4242 until now; is the id right?" in first.err
    assert cli("guild", "set", "4242", "--timezone", "Asia/Tokyo").err == ""


def test_the_history_names_a_run_in_a_few_digits(cli: Daybook) -> None:
    """People tell runs apart by the beginning, as `daybook runs` shows it; programs get the whole id."""
    task_id = cli.add("One")
    assert cli("tasks", "run", task_id).code == 0
    assert re.findall(r"\b(?=[0-9]*[a-f])[0-9a-f]{16,}", cli("history", task_id).out) == []
    run = next(event["run"] for event in cli("history", task_id, "--json").json if event.get("run"))
    assert len(run) >= 16
    assert f"run {run[:10]}" in cli("history", task_id).out
    assert run[:10] in cli("runs").out


def test_who_holds_a_folder_is_told_with_seconds(tmp_path: Path) -> None:
    """Nobody needs microseconds to find a process; the zone is named."""
    folder = tmp_path / "data"
    Daybook(folder).add("One")
    presence = FolderPresence(folder)
    presence.join("node-1", EARLY + timedelta(microseconds=123_456))
    try:
        with pytest.raises(StoreInUse) as refusal:
            FolderPresence(folder).join("node-2", EARLY)
        cli = Daybook(folder)
        told = [str(refusal.value), cli("doctor").out, cli("rebuild").err]
    finally:
        presence.leave("node-1")
    for text in told:
        assert f"since {EARLY:%Y-%m-%d %H:%M:%S} UTC" in text
        assert ".123456" not in text
    assert "stop that process" in told[2]


async def test_the_live_view_names_the_zone_of_what_ran_and_cuts_no_file_name(tmp_path: Path) -> None:
    """At 80 columns: times of several zones say which, and the name of a file is folded, to be copied."""
    folder = tmp_path / "data"
    cli = Daybook(folder)
    for zone in ("Asia/Tokyo", "America/New_York"):
        added = await asyncio.to_thread(
            cli, "tasks", "add", f"A rather long name of a digest in {zone}", "every day at 9:00", "--timezone", zone,
            "--channel", "general", "--to", "file", "--json",
        )  # fmt: skip
        assert (await asyncio.to_thread(cli, "tasks", "run", added.json["task_id"])).code == 0
    written = [path.name for path in (folder / "summaries").rglob("*.md")]
    assert len(written) == 2
    out = io.StringIO()
    async with opened(daybook._CommandLine(), {"data": str(folder)}) as session:
        view = LiveView(Console(file=out, width=80, height=40), "1", session.service, folder, "sample")
        view._console.print(view._drawn())
        assert len(view._ran(session.now, 3).rows) == 1  # what is folded counts for as many lines as it takes
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert any(" JST " in line for line in lines)
    assert any(re.search(r" E[SD]T ", line) for line in lines)
    [head] = [number for number, line in enumerate(lines) if line.startswith("ran ")]
    column = lines[head].index("delivered to")
    shown = "".join(line[column:].strip() for line in lines[head + 1 :])
    assert [name for name in written if name not in shown] == []


def test_a_table_that_must_fit_folds_its_last_column_only() -> None:
    """Names are cut, what is copied is not, and no line is too long."""
    rows = [("executed", "a name that is far too long for its column", "9" * 100)]
    out = io.StringIO()
    Console(file=out, width=60).print(show.table(("ran", "task", "delivered to"), rows, fit=60))
    assert max(map(len, out.getvalue().splitlines())) <= 60
    assert out.getvalue().count("9") == 100
    assert "…" in out.getvalue()


CELLS = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(
    ["-", "executed", "12", "日本", "a\nb", "a\tb"]
)


@given(rows=st.lists(st.tuples(CELLS, CELLS, CELLS), max_size=4), right=st.sampled_from([(), ("b",), ("a", "c")]))
def test_whole_lines_are_what_rich_would_have_drawn(rows: list[tuple[str, str, str]], right: tuple[str, ...]) -> None:
    """A table in a pipe is drawn without rich where no letter is wider than another; nobody can tell."""
    sheet = show.table(("a", "b", "c"), rows, right=right)
    if (lines := sheet.lines()) is None:
        return
    out = io.StringIO()
    Console(file=out, width=100_000, no_color=True, soft_wrap=True, highlight=False).print(sheet)
    assert lines == [line.rstrip() for line in out.getvalue().splitlines()]
