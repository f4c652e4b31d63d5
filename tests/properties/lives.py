"""Random lives of one task, driven on the aggregate: every command of people and nodes, in any order."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from hypothesis import strategies as st

from application.ports import Recorded
from domain.definition import TaskDefinition
from domain.destination import DeliveryOutcome, DeliveryStatus, DestinationType
from domain.draft import revised
from domain.errors import NotDue
from domain.runs import Attempt
from domain.schedule import Schedule
from domain.task import ScheduledTask
from domain.task_events import InterruptionReason, SkipReason, Started
from tests.properties.test_task_edits import BEGIN, Life, policies, schedules, waits
from tests.properties.test_task_edits import steps as edits

__all__ = ["FullLife", "Step", "live", "lives"]

Step = tuple[timedelta, tuple[str, Any]]
_ENDS = ["fail", "fail for good", "quiet", "crash", "shut down"]
_MORE = st.lists(
    st.tuples(
        waits,
        st.one_of(
            st.tuples(st.sampled_from(["serve", "serve", "claim", "claim", "close"]), st.none()),
            st.tuples(st.sampled_from(["claim", *_ENDS]), st.none()),
            st.tuples(
                st.sampled_from(["request", "pause a while", "late", "resume", "resume and catch up"]), st.none()
            ),
            st.tuples(st.just("limit"), st.sampled_from([None, 1, 3, 50])),
            st.tuples(st.just("overlap"), st.sampled_from(["skip", "buffer_one", "buffer_all", "cancel_other"])),
            st.tuples(st.sampled_from(["skip", "cancel", "schedule"]), st.none()),
        ),
    ),
    min_size=6,
    max_size=30,
)


@dataclass
class FullLife(Life):
    """A life in which runs also fail, stay quiet and are interrupted, and a task may end."""

    requests: int = 0

    def _do(self, name: str, value: Any) -> None:
        task, now = self.task, self.now
        match name:
            case "fail" | "fail for good":
                self._end(
                    lambda a: task.fail(
                        a.run, a.attempt, a.owner, now=now, what="source", error="no answer",
                        permanent=name == "fail for good",
                    )
                )  # fmt: skip
            case "quiet":
                self._end(lambda a: task.skip_run(a.run, a.attempt, a.owner, now=now, reason=SkipReason.QUIET))
            case "crash" | "shut down":
                cause = InterruptionReason.CRASH if name == "crash" else InterruptionReason.SHUTDOWN
                self._end(lambda a: task.interrupt(a.run, a.attempt, a.owner, now=now, cause=cause, noticed_by="m"))
            case "on time":
                if task.next_slot is not None:
                    self.now = max(now, min(task.next_slot, now + timedelta(days=40)))
                self._claim(close=True)
            case "late":
                outcome = DeliveryOutcome(
                    destination="d", type=DestinationType.EMAIL, status=DeliveryStatus.DELIVERED, at=now
                )
                for started in [event for event in self.events if isinstance(event, Started)][-2:]:
                    task.record_late(started.run, started.attempt, started.owner, now=now, outcomes=[outcome])
            case "request":
                self.requests += 1
                task.request_run(f"r{self.requests}", now=now, by="p", reason="wanted")
            case "pause a while":
                task.pause(now=now, by="p", reason="quiet days", until=now + timedelta(hours=30))
            case "limit":
                task.revise(_with(task.definition, max_runs=value, name=f"Limit {value}"), now=now, by="p")
            case "overlap":
                task.revise(revised(task.definition, {"overlap": value}, now=now), now=now, by="p")
            case "cancel":
                if self.requests >= 2:
                    task.cancel(now=now, by="p", reason="enough")
            case "schedule" if value is None:
                pass
            case _:
                super()._do(name, value)

    def _end(self, verb: Any) -> None:
        attempts, self.open = self.open, []
        for attempt in attempts:
            if _is_open(self.task, attempt):
                verb(attempt)

    def _claim(self, *, close: bool) -> None:
        with suppress(NotDue):
            for _ in range(20):  # a task that buffers all its slots may have thousands that are due
                attempt = self.task.claim(now=self.now, node="n", deadline=timedelta(minutes=15))
                self._commit()
                if attempt is not None:
                    self.open = [run for run in self.open if run.run not in attempt.gives_up] + [attempt]
                if close:
                    self._close()
                    self._commit()

    def _close(self) -> None:
        self.open = [attempt for attempt in self.open if _is_open(self.task, attempt)]
        super()._close()

    @property
    def recorded(self) -> list[Recorded]:
        """The whole life as the log holds it."""
        return [Recorded(position, event) for position, event in enumerate(self.events, 1)]


def _is_open(task: ScheduledTask, attempt: Attempt) -> bool:
    run = task.open_runs.get(attempt.run)
    return run is not None and run.attempt == attempt.attempt and run.owner == attempt.owner


def _with(definition: TaskDefinition, **changes: Any) -> TaskDefinition:
    return definition.model_copy(update=changes)


def live(schedule: Schedule, given: dict[str, Any], steps: list[Step]) -> FullLife:
    """A life of these steps."""
    task = ScheduledTask(
        id=UUID(int=7), now=BEGIN, name="t", guild_id="1", task_type="custom", operation="o", schedule=schedule, **given
    )
    life = FullLife(task)
    life.events += task.collect_events()
    for wait, (name, value) in steps:
        life.now += wait
        life.do(name, value)
    return life


def _mixed(first: list[Any], second: list[Any]) -> list[Any]:
    """Both lists in turn, three steps of the second to one of the first."""
    turns: list[Any] = []
    for number, step in enumerate(second):
        turns += [step, *(first[number // 3 : number // 3 + 1] if number % 3 == 0 else [])]
    return turns


lives = st.builds(live, schedules, policies, st.builds(_mixed, edits, _MORE))
