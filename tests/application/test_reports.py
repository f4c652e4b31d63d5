"""What a report tells of a history, to whom, and over which period."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from adapters.rendering.reports import table_names
from application import report_sums
from application.fates import Fate, FindingKind
from application.ports import Recorded
from application.report import (
    FORMAT,
    MOST_LISTED_EVENTS,
    MOST_LISTED_RUNS,
    MOST_LISTED_TASKS,
    Cause,
    ChangeLine,
    Day,
    DeliveryLine,
    EventLine,
    Figures,
    ModelLine,
    Outage,
    PlaceLine,
    Report,
    Role,
    RunLine,
    ScopeKind,
    Spread,
    TaskLine,
)
from application.report_period import period_in_words
from application.tallies import tally_of
from domain.errors import EventUnreadable, InvalidInput, InvalidTimezone, NotFound, PayloadErased, TaskNotFound
from domain.event import Event
from domain.guild import Guild
from domain.guild_imports import HistoryImported
from domain.principal import Permission, Principal
from domain.task_erasure import Erased, Tally
from tests.application.report_parts import (
    CANARIES,
    END,
    MANAGER,
    START_OF_PERIOD,
    VIEWER,
    Logged,
    everything,
    node,
    scripted,
)
from tests.docs_pages import ROOT
from tests.domain.task_parts import at, claim, done, events, make

DIGEST, BACKUP, OTHER = (str(UUID(int=number)) for number in (7, 8, 9))


# --- what it tells ---


def test_runs_tell_slot_lateness_duration_attempts_and_every_destination() -> None:
    """A retried run counts once, with two attempts; a delivery by its last outcome."""
    made = scripted().report(START_OF_PERIOD, END)
    runs = {(run.task_id, run.slot): run for run in made.runs}
    retried = runs[BACKUP, at(1.5)]
    assert (retried.state, retried.attempts, retried.lateness, retried.duration) == ("executed", 2, 1.0, 360.0)
    digest = runs[DIGEST, at(0.5)]
    assert [(one.type, one.status, one.place) for one in digest.deliveries] == [
        ("file", "delivered", "canary-place"), ("email", "unknown", "canary-place@example.org"),
    ]  # fmt: skip
    assert Counter(run.state for run in made.runs) == {"executed": 11, "failed": 2, "skipped": 1, "running": 1}
    [asked] = [run for run in made.runs if run.slot is None]
    assert (asked.requested_by, asked.requested_at, asked.lateness) == ("person:canary-ann", at(8.7), None)


def test_the_timeline_says_who_and_why_and_changes_say_what_it_was_before() -> None:
    """Names are those of the time."""
    made = scripted().report(START_OF_PERIOD, END)
    [paused] = [line for line in made.events if line.event == "paused"]
    assert (paused.who, paused.reason, paused.subject) == ("person:canary-ann", "canary-said", "Digest of #general")
    renamed = [change for change in made.changes if change.field == "name"]
    assert [(one.before, one.after, one.who, one.reason) for one in renamed] == [
        ("Backup", "Backup by day", "operator", "too often")
    ]
    assert {line.subject for line in made.events if line.task_id == BACKUP} == {"Backup", "Backup by day"}
    assert [line.position for line in made.events] == sorted(line.position for line in made.events)


def test_an_outage_has_its_whole_length_and_counts_within_the_period_only() -> None:
    """Also one that began before the period and became known only in it, and one that is not over."""
    log = Logged().merge(node("a", at(0), at(30), seen=at(10)), node("b", at(30), at(50)), events(make()))
    both = log.report(at(0), at(60), now=at(60))
    assert [(one.since, one.until, one.seconds) for one in both.outages] == [
        (at(10), at(30), 20 * 3600.0), (at(50), None, 10 * 3600.0),
    ]  # fmt: skip
    assert (both.down_seconds, both.watched_seconds) == (30 * 3600.0, 60 * 3600.0)
    second = log.report(at(24), at(40))
    assert [one.seconds for one in second.outages] == [20 * 3600.0]
    assert (second.down_seconds, second.up_rate) == (6 * 3600.0, 62.5)
    assert Logged().merge(events(make())).report(at(0), at(60)).down_seconds is None


def test_causes_that_differ_by_a_number_fall_together() -> None:
    """The most frequent first."""
    task = make(max_failures=99)
    for hour in range(6):
        attempt = claim(task, at(0.5 + hour))
        error = f"timeout after {hour * 7} s" if hour % 3 else "no answer"
        task.fail(
            attempt.run, attempt.attempt, attempt.owner, now=at(0.6 + hour), what="s", error=error, permanent=True
        )
    made = Logged().merge(events(task)).report(at(0), at(24))
    assert [(one.said, one.count, one.tasks) for one in made.causes] == [
        ("timeout after # s", 4, 1), ("no answer", 2, 1),
    ]  # fmt: skip
    assert made.figures.run_rate == 0


def test_an_open_period_says_how_far_it_is_known() -> None:
    """Nothing at or after its end was written: more may come."""
    log = Logged().merge(events(make()))
    made = log.report(at(0), at(24), now=at(5))
    assert (made.closed, made.as_of, made.position) == (False, at(5), 1)
    assert (made.account.pending, sum(day.pending for day in made.days)) == (5, 5)
    over = log.report(at(0), at(24), now=at(48))
    assert (over.closed, over.as_of) == (False, at(24))


def test_adjacent_periods_share_no_slot_and_lose_none() -> None:
    """Their accounts and their events sum to those of both."""
    log = scripted()
    log.append(*node("late", END))
    cut = at(2.5)
    parts = [log.report(START_OF_PERIOD, cut), log.report(cut, END)]
    whole = log.report(START_OF_PERIOD, END)
    assert sum(part.figures.runs for part in parts) == whole.figures.runs
    assert sum(part.account.implied for part in parts) == whole.account.implied
    assert sum((Counter(dict(part.kinds)) for part in parts), Counter()) == Counter(dict(whole.kinds))


def test_lists_are_cut_openly_and_numbers_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first ones are listed, whatever order they are read in."""
    whole = scripted().report(START_OF_PERIOD, END)
    monkeypatch.setattr(report_sums, "MOST_LISTED_RUNS", 3)
    monkeypatch.setattr(report_sums, "MOST_LISTED_EVENTS", 2)
    made = scripted().report(START_OF_PERIOD, END)
    assert (made.runs, made.events, made.changes) == (whole.runs[:3], whole.events[:2], whole.changes[:2])
    assert (made.figures, made.days, made.runs_total) == (whole.figures, whole.days, whole.runs_total)
    assert f"the first 3 of {whole.runs_total} runs are listed; all numbers count all of them" in made.cut
    for name in ("terminal", "markdown", "html", "json"):
        assert f"irst 3 of {whole.runs_total} runs" in str(everything(made)[name])


def test_the_tasks_with_the_most_trouble_are_listed_unless_every_one_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Those that lost the most slots, in the order in which they were made; the sums are of all of them."""
    whole = scripted().report(START_OF_PERIOD, END)
    assert len(whole.tasks) == whole.tasks_total > 2
    monkeypatch.setattr(report_sums, "MOST_LISTED_TASKS", 2)
    monkeypatch.setattr(report_sums, "_ACCOUNTS_AT_ONCE", 2)
    made = scripted().report(START_OF_PERIOD, END)

    def trouble(line: TaskLine) -> tuple[bool, int, int]:
        fates = line.account.fates
        lost = fates.get(Fate.FAILED, 0) + fates.get(Fate.MISSED, 0)
        return line.account.alarm, lost, line.figures.attempts_failed

    listed = {line.task_id for line in made.tasks}
    assert made.tasks == tuple(line for line in whole.tasks if line.task_id in listed)
    assert len(made.tasks) == 2
    least = min(map(trouble, made.tasks))
    assert all(trouble(line) <= least for line in whole.tasks if line.task_id not in listed)
    assert replace(made, tasks=whole.tasks) == whole, "nothing else is another"
    said = f"the 2 of {whole.tasks_total} tasks with the most trouble are listed; all numbers count all of them"
    assert said in made.cut
    for name in ("terminal", "markdown", "html", "json"):
        assert said[1:30] in str(everything(made)[name])
    assert scripted().report(START_OF_PERIOD, END, every_task=True) == whole


def test_a_long_history_before_the_period_changes_nothing() -> None:
    """What is forgotten while reading is not missed."""
    task = make()
    for hour in range(1200):
        done(task, claim(task, at(0.5 + hour)), at(0.6 + hour))
    made = Logged().merge(events(task)).report(at(1190), at(1200))
    assert (made.figures.executed, made.account.implied, made.account.proven) == (10, 10, True)
    assert made.tasks[0].name == "hourly"


def test_an_imported_history_counts_at_its_own_time() -> None:
    """It stands in the log task by task, and not in the order of its instants."""
    tasks = [make(name=name) for name in ("one", "two")]
    for task in tasks:
        for hour in range(4):
            done(task, claim(task, at(0.5 + hour)), at(0.6 + hour))
    guild = Guild.open("1", now=at(50))
    guild.trigger_event(
        HistoryImported, timestamp=at(50), guild_id="1", source_guild="1", digest="d", exported_at=at(49), tasks=2,
        events=18, new_ids=False, by="operator",
    )  # fmt: skip
    log = Logged()
    log.append(*events(tasks[0]), *events(tasks[1]), *guild.pending_events)
    for guild_id in (None, "1"):
        made = log.report(at(0), at(2), guild_id=guild_id)
        assert (made.closed, [one.figures.executed for one in made.tasks]) == (True, [2, 2])
    log.append(*node("set back", at(1)))
    assert log.report(at(0), at(2), task_id=str(tasks[1].id)).figures.executed == 2


# --- what cannot be read ---


def broken(log: Logged, numbers: set[int], *, erased: bool) -> Logged:
    """The same log with events that cannot be read."""

    def error(one: Recorded) -> EventUnreadable:
        event = one.event
        assert isinstance(event, Event)
        where = event.originator_id, event.originator_version, event.topic
        return PayloadErased(*where) if erased else EventUnreadable(*where, "damaged", event.timestamp)

    records = [Recorded(one.position, error(one) if one.position in numbers else one.event) for one in log.records]
    return Logged(records, log.records)


def test_what_cannot_be_read_is_an_alarm_and_stands_in_the_timeline() -> None:
    """Nothing is guessed."""
    log = scripted()
    numbers = {one.position for one in log.records if getattr(one.event, "topic", "") == "task.paused"}
    made = broken(log, numbers, erased=False).report(START_OF_PERIOD, END)
    assert made.account.alarm
    assert [line.position for line in made.events if "cannot be read" in line.what] == sorted(numbers)
    assert "ALARM" in str(everything(made)["terminal"])


def test_a_task_whose_events_are_erased_has_no_name_and_no_alarm() -> None:
    """The other tasks are what they were."""
    log = scripted()
    numbers = {one.position for one in log.records if getattr(one.event, "originator_id", None) == UUID(DIGEST)}
    made = broken(log, numbers, erased=True).report(START_OF_PERIOD, END)
    whole = log.report(START_OF_PERIOD, END)
    assert [task.name for task in made.tasks] == ["[erased]", *(task.name for task in whole.tasks[1:])]
    assert made.tasks[1:] == whole.tasks[1:]
    assert {finding.kind for finding in made.tasks[0].account.findings} == {FindingKind.ERASED}
    assert not made.account.alarm


def test_of_an_erased_task_the_counts_that_it_left_are_told() -> None:
    """The erasure comes later than the period, and is all that can be read."""
    log = scripted()
    digest = [one for one in log.records if getattr(one.event, "originator_id", None) == UUID(DIGEST)]
    slots = {"2026-03": {"executed": 3, "paused": 4}}
    tally = Tally(created_at=at(0), slots=slots, manual={"2026-03": {"executed": 1}})
    log.append(
        Erased(
            originator_id=UUID(DIGEST), originator_version=len(digest) + 1, timestamp=END + timedelta(days=40),
            guild_id="1", by="operator", tally=tally,
        )
    )  # fmt: skip
    made = broken(log, {one.position for one in digest}, erased=True).report(START_OF_PERIOD, END + timedelta(days=30))
    assert made.tasks[0].name == "[erased]"
    assert (made.tasks[0].account.counted, made.tasks[0].account.manual) == (7, {"executed": 1})
    assert not any(line.event == "erased" for line in made.events)


def erased_digest(log: Logged, *, later: timedelta = timedelta(days=40)) -> Logged:
    """The log after the erasure of a task that had lived through the period."""
    digest = [one for one in log.records if getattr(one.event, "originator_id", None) == UUID(DIGEST)]
    when = END + later
    erasure = Erased(
        originator_id=UUID(DIGEST), originator_version=len(digest) + 1, timestamp=when, guild_id="1", by="operator",
        tally=tally_of(digest, now=when),
    )  # fmt: skip
    log.append(erasure)
    return broken(log, {one.position for one in digest}, erased=True)


def test_an_erasure_leaves_days_figures_and_the_timeline_without_what_people_wrote() -> None:
    """A closed period counts what it counted, day by day; every event keeps its place, and says that it was erased."""
    before = scripted().report(START_OF_PERIOD, END, task_id=DIGEST)
    log = erased_digest(scripted())
    after = log.report(START_OF_PERIOD, END, task_id=DIGEST)
    assert after.account.fates == before.account.fates
    assert after.account.manual == before.account.manual
    assert after.days
    assert after.days == tuple(replace(day, lateness=None) for day in before.days)
    assert after.kinds == before.kinds
    own = [line for line in before.events if line.task_id]
    told = [line for line in after.events if line.task_id]
    assert own
    assert [(line.position, line.event) for line in told] == [(line.position, line.event) for line in own]
    for line in told:
        assert (line.at, line.who, line.reason, line.subject) == (None, "[erased]", "[erased]", "[erased]")
        assert re.fullmatch(r"\[erased\], on 2026-03-0[23] \(UTC\)", line.what)
    for name in ("executed", "failed", "on_request", "attempts", "attempts_failed", "attempts_interrupted"):
        assert getattr(after.figures, name) == getattr(before.figures, name), name
    assert after.figures.run_rate == before.figures.run_rate
    assert (after.runs, after.causes, after.places, after.changes) == ((), (), (), ())
    assert not after.account.alarm


def test_the_report_of_an_erased_task_is_the_same_bytes_from_then_on() -> None:
    """In every format and to every role, whatever is written later."""
    log = erased_digest(scripted())
    made = {role: everything(log.report(START_OF_PERIOD, END, principal=role)) for role in (MANAGER, VIEWER)}
    log.append(*Guild.open("9", now=END + timedelta(days=90)).pending_events)
    for role, then in made.items():
        assert everything(log.report(START_OF_PERIOD, END, principal=role)) == then
    assert not any(canary in str(made[VIEWER]) for canary in CANARIES)


def test_of_a_day_that_a_report_takes_in_partly_nothing_is_counted() -> None:
    """A finding says how many slots were left out."""
    log = erased_digest(scripted())
    whole = log.report(START_OF_PERIOD, END, task_id=DIGEST)
    part = log.report(START_OF_PERIOD + timedelta(hours=12), END, task_id=DIGEST)
    assert part.days == whole.days[1:]
    assert part.account.counted == sum(day.slots for day in whole.days[1:])
    assert "2026-03-02 cannot be divided, and are left out" in part.account.findings[-1].words
    assert all("2026-03-03" in line.what for line in part.events if line.task_id)


def test_a_tally_places_what_could_not_be_read_beside_what_could() -> None:
    """Each event has a day, and no day goes back."""
    log = scripted()
    digest = [one for one in log.records if getattr(one.event, "originator_id", None) == UUID(DIGEST)]
    some = broken(log, {digest[0].position, digest[3].position}, erased=False)
    tally = tally_of(some.stream(UUID(DIGEST)), now=END)
    assert sum(tally.events.values()) == len(digest)
    assert list(tally.events) == sorted(tally.events)
    assert tally.events == tally_of(digest, now=END).events


# --- who sees what ---


def test_each_role_sees_what_it_may() -> None:
    """The operator everything, the manager its guild without machines, others neither people nor targets."""
    log = scripted()
    seen = {name: str(everything(log.report(START_OF_PERIOD, END, principal=who))) for name, who in {
        "manager": MANAGER, "viewer": VIEWER, "all": Principal(reference="x"),
    }.items()}  # fmt: skip
    operator = str(everything(log.report(START_OF_PERIOD, END)))
    assert {canary for canary in CANARIES if canary not in operator} == set()
    assert {canary for canary in CANARIES if canary not in seen["manager"]} == {"canary-machine"}
    assert "Of another guild" not in seen["manager"]
    for name in ("viewer", "all"):
        assert [canary for canary in CANARIES if canary in seen[name]] == [], name
    assert "person 1" in seen["viewer"]
    assert "place 1" in seen["viewer"]


def test_a_viewer_finds_no_target_by_its_key() -> None:
    """The key of a destination is a hash that can be guessed."""
    log = scripted()
    whole = log.report(START_OF_PERIOD, END)
    keys = {one.destination for run in whole.runs for one in run.deliveries}
    viewer = everything(log.report(START_OF_PERIOD, END, principal=VIEWER))
    assert keys
    assert not any(key in str(text) for key in keys for text in viewer.values())


def test_masks_take_no_number_away() -> None:
    """All roles read the same counts of the same guild."""
    log = scripted()
    made = [log.report(START_OF_PERIOD, END, guild_id="1"), *(
        log.report(START_OF_PERIOD, END, principal=who) for who in (MANAGER, VIEWER)
    )]  # fmt: skip
    assert [one.role for one in made] == [Role.OPERATOR, Role.MANAGER, Role.VIEWER]
    for one in made[1:]:
        assert (one.figures, one.days, one.kinds, one.runs_total) == (
            made[0].figures, made[0].days, made[0].kinds, made[0].runs_total,
        )  # fmt: skip
        assert [cause.count for cause in one.causes] == [cause.count for cause in made[0].causes]


def test_what_belongs_to_another_guild_is_not_found() -> None:
    """Neither its tasks nor itself."""
    log = scripted()
    with pytest.raises(TaskNotFound):
        log.report(START_OF_PERIOD, END, task_id=OTHER, principal=MANAGER)
    with pytest.raises(TaskNotFound):
        log.report(START_OF_PERIOD, END, task_id=OTHER, principal=VIEWER)
    with pytest.raises(NotFound):
        log.report(START_OF_PERIOD, END, guild_id="2", principal=MANAGER)
    with pytest.raises(NotFound):
        log.report(START_OF_PERIOD, END, guild_id="777")
    with pytest.raises(NotFound):
        log.report(START_OF_PERIOD, END, task_id=OTHER, guild_id="1")


def test_the_scope_is_a_task_a_guild_or_all() -> None:
    """A principal of a guild gets that guild where it asks for all."""
    log = scripted()
    assert log.report(START_OF_PERIOD, END, task_id=BACKUP).scope.name == "Backup by day"
    assert [t.task_id for t in log.report(START_OF_PERIOD, END, guild_id="1").tasks] == [DIGEST, BACKUP]
    assert [t.task_id for t in log.report(START_OF_PERIOD, END).tasks] == [DIGEST, BACKUP, OTHER]
    assert log.report(START_OF_PERIOD, END, principal=MANAGER).scope.kind is ScopeKind.GUILD
    everywhere = Principal(reference="y", permissions=frozenset({Permission.VIEW}))
    assert log.report(START_OF_PERIOD, END, principal=everywhere).scope.kind is ScopeKind.SERVICE


# --- periods ---


@pytest.mark.parametrize(
    ("start", "end", "said"),
    [
        (at(1), at(1), "is not after the start"),
        (at(2), at(1), "is not after the start"),
        (at(0), at(0, days=3661), "is not within ten years"),
    ],
    ids=["empty", "backward", "too long"],
)
def test_a_period_that_is_none_is_refused(start: datetime, end: datetime, said: str) -> None:
    """The error says what is wrong."""
    with pytest.raises(InvalidInput, match=said):
        scripted().report(start, end)


def test_naive_instants_and_unknown_zones_are_refused() -> None:
    """Nobody can say which instant they are."""
    with pytest.raises(InvalidInput):
        scripted().report(datetime(2026, 3, 1), END)  # noqa: DTZ001
    with pytest.raises(InvalidTimezone):
        scripted().report(START_OF_PERIOD, END, timezone="Mars/Olympus")


def test_days_are_those_of_the_zone_also_when_the_clock_changes() -> None:
    """A day of 23 hours has 23 hourly slots."""
    begin = datetime(2026, 3, 7, 5, tzinfo=UTC)
    task = make(now=begin - timedelta(minutes=30), timezone="America/New_York")
    log = Logged().merge(events(task))
    start, end = period_in_words("2026-W10", "America/New_York", begin)
    made = log.report(start, end, timezone="America/New_York")
    assert [(str(day.date), day.slots) for day in made.days][-2:] == [("2026-03-07", 24), ("2026-03-08", 23)]


@pytest.mark.parametrize(
    ("words", "first", "after"),
    [
        ("2026", "2026-01-01", "2027-01-01"),
        ("2026-Q4", "2026-10-01", "2027-01-01"),
        ("2026-12", "2026-12-01", "2027-01-01"),
        ("2026-W53", "2026-12-28", "2027-01-04"),
        ("2026-W44", "2026-10-26", "2026-11-02"),
        ("2026-10-31", "2026-10-31", "2026-11-01"),
        ("Today", "2026-11-23", "2026-11-24"),
        ("yesterday", "2026-11-22", "2026-11-23"),
        ("this week", "2026-11-23", "2026-11-30"),
        ("last  week", "2026-11-16", "2026-11-23"),
        ("this month", "2026-11-01", "2026-12-01"),
        ("last month", "2026-10-01", "2026-11-01"),
        ("last quarter", "2026-07-01", "2026-10-01"),
        ("this year", "2026-01-01", "2027-01-01"),
        ("last year", "2025-01-01", "2026-01-01"),
        ("last 7 days", "2026-11-16", "2026-11-23"),
    ],
)
def test_periods_can_be_said_in_words(words: str, first: str, after: str) -> None:
    """From midnight to midnight in the zone."""
    now = datetime(2026, 11, 22, 23, 30, tzinfo=UTC)  # in Berlin it is the 23rd already
    zone = "Europe/Berlin"
    expected = [period_in_words(day, zone, now)[0] for day in (first, after)]
    assert list(period_in_words(words, zone, now)) == expected
    assert expected[0].tzinfo is UTC


@pytest.mark.parametrize(
    "words", ["", "soon", "2026-13", "2026-W54", "2026-Q5", "2026-02-30", "last decade", "last 0 days x"]
)
def test_other_words_are_refused_with_those_that_are_known(words: str) -> None:
    """Never guessed."""
    with pytest.raises(InvalidInput, match="last week, month"):
        period_in_words(words, "UTC", datetime(2026, 11, 22, tzinfo=UTC))


# --- the pages about it ---


def test_the_pages_say_every_field_and_every_limit() -> None:
    """A program that reads the document finds each field described; a number must not drift from the code."""
    page = (ROOT / "docs" / "reference" / "report-format.md").read_text(encoding="utf-8")
    described = set(re.findall(r"`([a-z0-9_]+)`", page))
    for kind in (
        Report,
        Figures,
        ModelLine,
        Day,
        RunLine,
        DeliveryLine,
        EventLine,
        ChangeLine,
        Outage,
        Cause,
        PlaceLine,
        Spread,
    ):
        assert {one.name for one in fields(kind)} <= described, kind
    how_to = (ROOT / "docs" / "how-to" / "read-an-audit-report.md").read_text(encoding="utf-8")
    assert MOST_LISTED_RUNS == MOST_LISTED_EVENTS
    assert f"the first {MOST_LISTED_RUNS:,} runs, events and changes are listed" in how_to
    assert f"{MOST_LISTED_TASKS:,} tasks" in how_to
    assert set(table_names(scripted().report(START_OF_PERIOD, END))) <= described
    assert FORMAT in page
