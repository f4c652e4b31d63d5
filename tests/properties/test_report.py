"""Whatever happens, a report of a closed period stays as it is, and says the same numbers as the accounts."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID
from zipfile import ZipFile
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from adapters.rendering.reports import csv_archive, report_document
from application.accounting import account
from application.chronicle import chronicle
from application.fates import Fate
from application.report import Report
from domain.guild import Guild, GuildSettings
from tests.application.report_parts import Logged, everything, node
from tests.domain.task_parts import events, make
from tests.properties.lives import FullLife, lives

ZONES = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Pacific/Apia", "Australia/Lord_Howe"])
SHARES = st.integers(0, 1_000_000)


def part(life: FullLife, share: int) -> datetime:
    """An instant of a life."""
    begin: datetime = life.events[0].timestamp
    return begin + (life.now - begin) * share / 1_000_000


def logged(life: FullLife, *more: list[Any]) -> Logged:
    """The log of a life, and of processes beside it."""
    middle = part(life, 400_000)
    return Logged().merge(
        life.events,
        node("n1", life.events[0].timestamp, middle),
        node("n2", part(life, 600_000), life.now + timedelta(hours=1), seen=life.now),
        *more,
    )


def later(life: FullLife) -> list[Any]:
    """What may be written after everything else: another task, other settings, a new process, an edit."""
    now = life.now + timedelta(hours=2)
    guild = Guild.open("1", now=now)
    guild.change_settings(GuildSettings(timezone="Europe/Berlin"), now=now, by="person:late")
    renamed = life.task
    if not renamed.status.ended:
        definition = renamed.definition.model_copy(update={"name": "renamed later"})
        renamed.revise(definition, now=now, by="person:late", reason="later")
    made_later = make(id=UUID(int=99), now=now, name="made later")
    return [*renamed.collect_events(), *events(made_later), *guild.pending_events, *node("n3", now)]


@given(lives, SHARES, SHARES, ZONES, st.sampled_from(["task", "guild", "service"]))
def test_a_report_of_a_closed_period_is_the_same_bytes_whenever_it_is_made(
    life: FullLife, first: int, last: int, zone: str, scope: str
) -> None:
    """In every format, whatever is written later; also by a process whose clock is set back."""
    start, end = sorted((part(life, first), part(life, last)))
    end += timedelta(seconds=1)
    asked: dict[str, Any] = {"timezone": zone}
    asked |= {"task": {"task_id": str(life.task.id)}, "guild": {"guild_id": "1"}, "service": {}}[scope]
    log = logged(life)
    closing = next((n for n, one in enumerate(log.records, 1) if one.event.timestamp >= end), None)  # type: ignore[union-attr]
    if closing is None:
        log.append(*node("n9", end))
        closing = len(log.records)
    then = log.upto(closing).report(start, end, now=end, **asked)
    assert then.closed
    log.append(*later(life))
    log.append(*node("set back", start))
    now = log.report(start, end, now=end + timedelta(days=1000), **asked)
    assert now == then
    assert everything(now) == everything(then)


@given(lives, SHARES, SHARES, ZONES)
def test_the_numbers_of_a_report_are_those_of_the_accounts(life: FullLife, first: int, last: int, zone: str) -> None:
    """Its runs, its days and its tables sum to the account of the same period, in every format."""
    start, end = sorted((part(life, first), part(life, last)))
    end += timedelta(seconds=1)
    log = logged(life)
    log.append(*node("n9", max(end, life.now + timedelta(hours=3))))
    made = log.report(start, end, timezone=zone)
    known = [one for one in life.recorded if one.event.timestamp < end]  # type: ignore[union-attr]
    expected = account(known, now=end, start=start, end=end)
    assert made.account.fates == expected.fates
    assert (made.account.implied, made.account.manual) == (expected.implied, expected.manual)
    _check_sums(made)
    _check_formats(made)


@given(lives, SHARES, SHARES, st.integers(-1, 200), ZONES)
def test_a_report_of_an_open_period_adds_up_within_itself(
    life: FullLife, first: int, present: int, hours_left: int, zone: str
) -> None:
    """It counts what was by then, in every part, and nothing that is still to come; also where a clock is behind."""
    start, now = part(life, first), life.now if present % 2 else part(life, present)
    end = max(start, life.now) + timedelta(hours=1 + max(0, hours_left), seconds=1)
    made = logged(life).report(start, end, now=now, timezone=zone)
    assert not made.closed
    assert Fate.AHEAD not in made.account.fates
    assert made.account.adds_up
    known = account(life.recorded, now=now, start=start, end=max(start, now + timedelta(microseconds=1)))
    assert (made.account.fates, made.account.manual) == (known.fates, known.manual)
    assert all(day.date <= max(start, now).astimezone(ZoneInfo(zone)).date() for day in made.days)
    _check_sums(made)
    _check_formats(made)


def _check_sums(made: Report) -> None:
    fates, manual, figures = made.account.fates, Counter(made.account.manual), made.figures
    assert figures.executed == fates.get(Fate.EXECUTED, 0) + manual["executed"]
    assert figures.failed == fates.get(Fate.FAILED, 0) + manual["failed"]
    assert figures.on_request == manual.total()
    assert figures.runs == made.runs_total == len(made.runs)
    assert Counter(run.state for run in made.runs)["executed"] == figures.executed
    assert sum(run.attempts for run in made.runs) == figures.attempts
    days = made.days
    assert sum(day.executed for day in days) == fates.get(Fate.EXECUTED, 0)
    assert sum(day.failed for day in days) == fates.get(Fate.FAILED, 0)
    assert sum(day.missed for day in days) == fates.get(Fate.MISSED, 0)
    assert sum(day.skipped + day.missed for day in days) == made.account.skipped
    assert sum(day.pending for day in days) == made.account.pending
    assert sum(day.slots for day in days) == made.account.counted - fates.get(Fate.UNREADABLE, 0)
    assert sum((Counter(task.account.fates) for task in made.tasks), Counter()) == Counter(fates)
    assert sum(task.account.implied for task in made.tasks) == made.account.implied
    assert sum(task.figures.runs for task in made.tasks) == figures.runs
    assert figures.unfinished == fates.get(Fate.OPEN, 0) + manual["open"]
    assert sum(day.lateness.count for day in days if day.lateness) == (
        figures.lateness.count if figures.lateness else 0
    )
    assert sum(count for _, count in made.kinds) >= made.events_total == len(made.events)


def _check_formats(made: Report) -> None:
    with ZipFile(io.BytesIO(csv_archive(made))) as archive:
        files = {name: list(csv.DictReader(io.StringIO(archive.read(name).decode()))) for name in archive.namelist()}
    document = json.loads(json.dumps(report_document(made)))
    assert {row["fate"]: int(row["slots"]) for row in files["fates.csv"]} == document["account"]["fates"]
    rates = {row["of"]: row for row in files["rates.csv"]}
    assert int(rates["runs"]["succeeded"]) == document["figures"]["executed"]
    assert int(rates["attempts"]["total"]) == document["figures"]["attempts"]
    assert [row["run_id"] for row in files["runs.csv"]] == [run["run_id"] for run in document["runs"]]
    said = {name: text for name, text in everything(made).items() if name in ("markdown", "html", "terminal")}
    for name, text in said.items():
        assert isinstance(text, str)
        for fate, count in made.account.fates.items():
            assert f"{count:,}" in text, (name, fate)


@given(lives, SHARES, SHARES)
def test_an_account_needs_only_what_is_kept_of_a_long_history(life: FullLife, first: int, last: int) -> None:
    """What is forgotten concerns only the time before the period."""
    start, end = sorted((part(life, first), part(life, last)))
    whole = chronicle(life.recorded)
    book = chronicle(life.recorded, since=start)
    book.forget(start)
    assert account(book, now=end, start=start, end=end) == account(whole, now=end, start=start, end=end)
    assert len(book.decisions) <= len(whole.decisions)
