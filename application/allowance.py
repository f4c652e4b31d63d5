"""What a guild may still use: its quotas, decided where they cannot be raced.

Tasks are counted in the guild's own stream, in the transaction that makes them: of two nodes that count at the same
time one is stale, and counts again. Runs are counted by the order of the log itself: each is the nth of its guild's
day, and one beyond the limit is closed before it has done anything. So no look at rows has to be the newest: rows that
lag behind only let a run be claimed that is then turned away.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from application.guild_view import settings_of
from application.ports import Command, ReadModel
from application.rows import GuildRow, RunRow, TaskRow
from application.work import Work
from domain.errors import QuotaExceeded
from domain.guild import Guild, GuildSettings, guild_stream, too_many_tasks
from domain.quotas import UNLIMITED, Quotas, check_interval, day_of
from domain.runs import TaskStatus
from domain.schedule import Schedule

__all__ = ["Allowance", "QuotaUse"]

_ENDED = [status.value for status in TaskStatus if status.ended]


@dataclass(frozen=True, slots=True)
class QuotaUse:
    """The limits in force in a guild, and what of them is used up; ``day_ends`` is when runs count from 0 again."""

    quotas: Quotas
    tasks: int
    runs_today: int
    day_ends: datetime


class Allowance:
    """The quotas of all guilds. ``default`` is what every guild may that the operator granted nothing else."""

    def __init__(self, rows: ReadModel, default: Quotas = UNLIMITED) -> None:
        self._rows, self.default = rows, default
        self._limited: set[str] = set()

    def terms(self, guild_id: str) -> tuple[GuildSettings, Quotas]:
        """A guild's settings, and the limits in force in it."""
        return _terms(self._settings([guild_id])[guild_id], self.default)

    def quotas(self, guild_id: str) -> Quotas:
        """The limits in force in a guild."""
        return self.terms(guild_id)[1]

    def use(self, guild_id: str, now: datetime) -> QuotaUse:
        """The limits of a guild and what is used up of them."""
        row = self._guild(guild_id)
        quotas = _terms(row.settings, self.default)[1]
        ends = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=day_of(now) + 1)
        return QuotaUse(quotas, self._alive(guild_id), _runs_today(row, now), ends)

    # --- tasks ---

    def check_schedule(self, guild_id: str, schedule: Schedule, now: datetime) -> None:
        """Refuse (QuotaExceeded) a schedule that comes too often."""
        check_interval(self.quotas(guild_id), schedule, guild_id, now=now)

    def check_going_on(self, guild_id: str, schedule: Schedule, now: datetime) -> None:
        """Refuse (QuotaExceeded) that a task goes on which the guild might not make now."""
        quotas = self.quotas(guild_id)
        if quotas.max_tasks is not None and (alive := self._alive(guild_id)) > quotas.max_tasks:
            raise too_many_tasks(guild_id, quotas.max_tasks, alive)
        check_interval(quotas, schedule, guild_id, now=now)

    def check_room(self, guild_id: str, more: int) -> None:
        """Refuse (QuotaExceeded) more new tasks than the guild may have, as far as the rows know."""
        limit, alive = self.quotas(guild_id).max_tasks, self._alive(guild_id)
        if limit is not None and more and alive + more > limit:
            raise too_many_tasks(guild_id, limit, alive, more)

    def admission(self, guild_id: str, tasks: Sequence[str], *, now: datetime, by: str) -> Command | None:
        """The command that counts new tasks of a guild, to be written together with them. None where nothing limits."""
        if self.quotas(guild_id).max_tasks is None:
            return None

        def admit(guild: Guild) -> None:
            # Before the count: rows that a service writes in between are then counted twice, and never not at all.
            unknown = {task for task in guild.admitted if self._unknown(task)}.__contains__
            guild.admit(tasks, alive=self._alive(guild_id), unknown=unknown, default=self.default, now=now, by=by)

        return Command(guild_stream(guild_id), admit, create=lambda: Guild.open(guild_id, now=now), or_create=True)

    def _alive(self, guild_id: str) -> int:
        counts = self._rows.counts(guild_id)
        return sum(count for status, count in counts.items() if status not in _ENDED)

    def _unknown(self, task_id: str) -> bool:
        return self._rows.get(TaskRow, task_id) is None

    # --- runs ---

    def check_request(self, guild_id: str, now: datetime, more: int = 1) -> None:
        """Refuse (QuotaExceeded) runs that are asked for when the guild has had those of its day."""
        limit = self._runs_per_day(guild_id, self._settings([guild_id])[guild_id])
        if limit is None or _runs_today(row := self._guild(guild_id), now) + more <= limit:
            return
        wanted = f", and {more} were asked for" if more > 1 else ""
        raise QuotaExceeded(
            guild_id,
            "runs_per_day",
            limit,
            _runs_today(row, now),
            f"this guild has had {_runs_today(row, now)} of the {limit} runs that it may have a day{wanted}",
            "try again after midnight UTC, or ask the operator for more",
        )

    def used_up(self, guild_ids: Iterable[str], now: datetime) -> dict[str, str]:
        """Why no run may begin now, of each of these guilds where that is so."""
        found = {}
        for guild_id, settings in self._settings(guild_ids).items():
            limit = self._runs_per_day(guild_id, settings)
            if limit is not None and _runs_today(self._guild(guild_id), now) >= limit:
                found[guild_id] = _note(limit)
        return found

    def beyond(self, work: Work) -> str | None:
        """Why a run that was claimed may not be done: by the order of the log it is one too many of its day.

        A run that has sent something already goes on.
        """
        if work.guild_id not in self._limited or work.attempt.delivered or work.attempt.sent_at is not None:
            return None
        limit = self._runs_per_day(work.guild_id, self._settings([work.guild_id])[work.guild_id])
        if limit is None:
            return None
        run = self._rows.get(RunRow, work.attempt.run)
        return _note(limit) if run is not None and run.ordinal is not None and run.ordinal > limit else None

    def _runs_per_day(self, guild_id: str, settings: str) -> int | None:
        limit = _terms(settings, self.default)[1].runs_per_day
        (self._limited.discard if limit is None else self._limited.add)(guild_id)
        return limit

    def _settings(self, guild_ids: Iterable[str]) -> dict[str, str]:
        return self._rows.settings(set(guild_ids))

    def _guild(self, guild_id: str) -> GuildRow:
        row = self._rows.get(GuildRow, guild_id)
        return row if isinstance(row, GuildRow) else GuildRow(guild_id=guild_id)


@lru_cache(maxsize=1024)
def _terms(settings: str, default: Quotas) -> tuple[GuildSettings, Quotas]:
    """Most guilds have the same."""
    found = settings_of(settings)
    return found, found.quotas(default)


def _runs_today(row: GuildRow, now: datetime) -> int:
    return row.runs_today if row.day >= day_of(now) else 0


def _note(limit: int) -> str:
    return f"the guild may have {limit} runs a day, and has had them (midnight to midnight UTC)"
