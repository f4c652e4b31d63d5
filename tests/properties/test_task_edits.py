"""Whatever is edited, and whenever the process ends: a slot runs once at most, and none is lost.

The aggregate alone, with schedules of all kinds; the stores have a machine of their own (test_task_machine).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from domain.definition import CatchUp, OverlapPolicy
from domain.draft import revised
from domain.errors import InvalidInput, NotDue, Refused
from domain.runs import Attempt
from domain.schedule import Schedule, count_between, make_schedule, next_after
from domain.task import ScheduledTask, state
from domain.task_events import Created, Resumed, Revised, Skipped, Started
from domain.task_snapshot import snapshot_of

BEGIN = datetime(2026, 3, 6, 22, 10, tzinfo=UTC)
"""Two days before the clocks of New York change."""

ZONES = ["UTC", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Pacific/Apia"]
SCHEDULES: list[dict[str, Any]] = [
    {"type": "hourly"},
    {"type": "fifteen-minutes"},
    {"type": "daily", "time": "02:30"},
    {"type": "daily", "time": "02:30", "gap": "skip", "fold": "both"},
    {"type": "daily", "time": "09:00", "also": [{"type": "daily", "time": "17:00"}, {"type": "hourly"}]},
    {"type": "daily", "time": "09:00", "business_days": True, "holidays": "US-NY", "on_holiday": "next"},
    {"type": "daily", "time": "09:00", "end": BEGIN + timedelta(days=4)},
    {"type": "daily", "time": "09:00", "start": BEGIN + timedelta(days=4), "spread": timedelta(hours=3)},
    {"type": "weekly", "days": [0, 6], "time": "01:30"},
    {"type": "monthly", "day_of_month": 31},
    {"type": "interval", "every": timedelta(minutes=20), "anchor": BEGIN},
    {"type": "interval", "every": timedelta(hours=7, seconds=1), "anchor": BEGIN + timedelta(hours=2)},
    {"type": "interval", "every": timedelta(days=2), "anchor": BEGIN - timedelta(hours=3)},
    {"type": "custom", "cron": "H/20 1-3,22 * * *"},
    {"type": "custom", "cron": "* * * * *"},
    {"type": "once", "at": BEGIN + timedelta(days=3)},
]
schedules = st.builds(
    lambda fields, zone: make_schedule(**fields, timezone=zone), st.sampled_from(SCHEDULES), st.sampled_from(ZONES)
)
policies = st.fixed_dictionaries(
    {
        "overlap": st.sampled_from(OverlapPolicy),
        "catch_up": st.sampled_from(CatchUp),
        "catch_up_window_seconds": st.sampled_from([0, 3600]),
        "max_runs": st.sampled_from([None, None, None, 4]),
    }
)
waits = st.sampled_from([timedelta(seconds=s) for s in (0, 1, 59, 301, 1200, 3600, 5 * 3600, 86_400, 9 * 86_400)])
steps = st.lists(
    st.tuples(
        waits,
        st.one_of(
            st.tuples(st.just("schedule"), schedules),
            st.tuples(st.just("zone"), st.sampled_from(ZONES)),
            st.tuples(st.just("time"), st.sampled_from(["02:30", "09:00", "23:59"])),
            st.tuples(st.sampled_from(["serve", "serve", "claim", "close", "restart", "pause", "skip"]), st.none()),
            st.tuples(st.sampled_from(["resume", "resume and catch up", "backfill"]), st.none()),
        ),
    ),
    max_size=25,
)


@dataclass
class Life:
    """A task, and all that was written of it."""

    task: ScheduledTask
    now: datetime = BEGIN
    events: list[Any] = field(default_factory=list)
    open: list[Attempt] = field(default_factory=list)
    commits: list[int] = field(default_factory=list)
    """How many events were written after each act: a store never holds a part of one."""

    def do(self, name: str, value: Any) -> None:
        """One step; what the task refuses changes nothing."""
        try:
            self._do(name, value)
        except (InvalidInput, Refused):
            assert not self.task.pending_events, "a refused command writes nothing"
        self.events += self.task.collect_events()
        self._commit()

    def _commit(self) -> None:
        self.commits.append(len(self.events) + len(self.task.pending_events))

    def _do(self, name: str, value: Any) -> None:
        task, now = self.task, self.now
        match name:
            case "schedule" | "zone" | "time":
                field_of = {"schedule": "schedule", "zone": "timezone", "time": "schedule_time"}[name]
                task.revise(revised(task.definition, {field_of: value}, now=now), now=now, by="p")
            case "claim" | "serve":
                self._claim(close=name == "serve")
            case "close":
                self._close()
            case "restart":
                self._restart()
            case "pause":
                task.pause(now=now, by="p")
            case "resume" | "resume and catch up":
                task.resume(now=now, by="p", catch_up=name != "resume")
            case "skip":
                task.request_skip(2, now=now, by="p")
            case "backfill":
                task.request_backfill(now - timedelta(hours=3), now, f"at {now}", now=now, by="p")

    def _claim(self, *, close: bool) -> None:
        for _ in range(300):
            try:
                attempt = self.task.claim(now=self.now, node="n", deadline=timedelta(minutes=15))
            except NotDue:
                return
            if attempt is not None:
                self.open = [run for run in self.open if run.run not in attempt.gives_up] + [attempt]
            if close:
                self._close()
        raise AssertionError("what is due comes to an end")

    def _close(self) -> None:
        for attempt in self.open:
            self.task.conclude(attempt.run, attempt.attempt, attempt.owner, now=self.now)
        self.open = []

    def _restart(self) -> None:
        """The process ends here; the next one has the log, or a snapshot of it."""
        written = [*self.events, *self.task.pending_events]
        loaded = state(written)
        assert loaded is not None
        assert snapshot_of(loaded, fingerprint="") == snapshot_of(self.task, fingerprint="")
        self.events += self.task.collect_events()
        self.task = snapshot_of(loaded, fingerprint="").restore()


@given(schedules, policies, steps)
def test_after_any_edit_a_slot_runs_once_at_most_and_none_is_lost(
    schedule: Schedule, given_policies: dict[str, Any], taken: list[tuple[timedelta, tuple[str, Any]]]
) -> None:
    """Edits of zone and schedule, pauses, backfills, claims and restarts at random instants."""
    task = ScheduledTask(
        id=UUID(int=7), now=BEGIN, name="t", guild_id="1", task_type="custom", operation="o", schedule=schedule,
        **given_policies,
    )  # fmt: skip
    life = Life(task)
    life.events += task.collect_events()
    for wait, (name, value) in taken:
        life.now += wait
        life.do(name, value)
    life.do("restart", None)
    check_runs(life.events)
    check_accounts(life.events)


def check_runs(events: list[Any]) -> None:
    """Runs of slots never go back in time, so no instant has two."""
    slots = [event.slot for event in events if isinstance(event, Started) and event.slot and event.attempt == 1]
    assert all(earlier < later for earlier, later in pairwise(slots))


def check_accounts(events: list[Any]) -> None:
    """Between two edits, every slot of the schedule was started or skipped, and the next one was decided rightly."""
    schedule: Schedule | None = None
    accounted, counted, begun = BEGIN, 0, BEGIN
    for event in events:
        match event:
            case Created() | Revised():
                if schedule is not None:
                    assert counted == count_between(schedule, begun, accounted)
                changed = schedule is None or event.definition.schedule != schedule
                schedule = event.definition.schedule
                begun = accounted = event.timestamp if isinstance(event, Created) else event.accounted_until
                counted = 0
                assert not changed or begun >= event.timestamp
            case Resumed():
                # What passed in the pause was skipped, or is left to the catch-up policy.
                assert event.accounted_until >= accounted
                assert count_between(schedule, accounted, event.accounted_until) == 0  # type: ignore[arg-type]
                accounted = event.accounted_until
            case Started(slot=slot, attempt=1) if slot is not None:
                counted, accounted = counted + 1, slot
            case Skipped(last=last) if last is not None:
                counted, accounted = counted + (event.count or 0), last
            case _:
                continue
        following = getattr(event, "next_slot", None)
        assert schedule is not None
        assert following is None or following == next_after(schedule, accounted)
    assert schedule is not None
    assert counted == count_between(schedule, begun, accounted)
