"""Deleting what is old: content of the kinds that are asked for, with the cut-off and the counts in the log."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import timedelta

from application.access import Access
from application.ports import Clock, Command, Content, ContentCounts, Writer
from application.queries import Queries
from application.work import Done, Work
from domain.definition import TaskDefinition
from domain.errors import Forbidden, InvalidInput
from domain.guild import Guild, guild_stream
from domain.principal import SYSTEM, Principal
from domain.retention import LONGEST_DAYS, Retention

__all__ = ["Cleaner", "Cleanup"]

_ONE_TIME = {"retention_days", "delete_summaries", "delete_logs", "delete_cached_data"}


class Cleanup:
    """What a cleanup takes away: everything of the chosen kinds that is older than ``retention_days``.

    ``by_guild``: each kind is kept as long as the guild's settings say instead, or else the operator's.
    """

    __slots__ = ("by_guild", "delete_cached_data", "delete_logs", "delete_summaries", "guild_id", "retention_days")

    def __init__(
        self,
        guild_id: str | None,
        retention_days: float = 90,
        delete_summaries: bool = True,
        delete_logs: bool = True,
        delete_cached_data: bool = True,
        *,
        by_guild: bool = False,
    ) -> None:
        if isinstance(retention_days, bool):
            raise InvalidInput("retention_days", retention_days, "is not a number", "give days, 0 to 36500")
        if not 0 <= retention_days <= LONGEST_DAYS:
            raise InvalidInput("retention_days", retention_days, "is out of range", "give days, 0 to 36500")
        self.guild_id, self.retention_days = guild_id, retention_days
        self.delete_summaries, self.delete_logs = delete_summaries, delete_logs
        self.delete_cached_data, self.by_guild = delete_cached_data, by_guild

    @property
    def retention(self) -> Retention:
        """How long each kind is kept, where one number says it; kinds that are not asked for are not deleted."""
        days = self.retention_days
        return Retention(
            summaries_days=days if self.delete_summaries else None,
            run_details_days=days if self.delete_logs else None,
            cached_days=days if self.delete_cached_data else None,
        )

    @classmethod
    def of(cls, definition: TaskDefinition, principal: Principal) -> Cleanup:
        """From the parameters of a CLEANUP task. ``all_guilds`` is the operator's alone."""
        parameters = dict(definition.parameters)
        everywhere = bool(parameters.pop("all_guilds", False))
        if everywhere and principal.guild_id is not None:
            raise Forbidden("only the operator cleans up all guilds at once")
        known = _ONE_TIME | {"by_guild"}
        if unknown := sorted(set(parameters) - known):
            raise InvalidInput(
                f"parameters.{unknown[0]}", parameters[unknown[0]], "is unknown", f"known: {sorted(known)}"
            )
        if not isinstance(days := parameters.get("retention_days", 90), int | float):
            raise InvalidInput("parameters.retention_days", days, "is not a number", "give days, 0 to 36500")
        if parameters.get("by_guild") and (others := sorted(set(parameters) & _ONE_TIME)):
            raise InvalidInput(f"parameters.{others[0]}", parameters[others[0]], "contradicts by_guild", "give one")
        return cls(None if everywhere else definition.guild_id, **parameters)  # type: ignore[arg-type]


class Cleaner:
    """Deletes by retention. ``default`` is what the operator says for guilds that say nothing."""

    def __init__(
        self, writer: Writer, queries: Queries, content: Content, clock: Clock, access: Access, default: Retention
    ) -> None:
        self._writer, self._queries, self._content, self._clock = writer, queries, content, clock
        self._access, self._default = access, default

    async def clean_up(self, cleanup: Cleanup, *, principal: Principal = SYSTEM) -> ContentCounts:
        """Delete old content, hide ended tasks, and write the cut-offs into the log; says how much was deleted.

        Raises NotFound, Forbidden.
        """
        if cleanup.guild_id is not None:
            self._access.check_manages(cleanup.guild_id, principal)
        elif principal.guild_id is not None:
            raise Forbidden("only the operator cleans up all guilds at once")
        if not cleanup.by_guild:
            return await self._delete(cleanup.guild_id, cleanup.retention_days, _kinds(cleanup), principal, True)
        guilds = [cleanup.guild_id] if cleanup.guild_id is not None else [g.guild_id for g in self._queries.guilds()]
        counts = []
        for guild_id in guilds:
            for days, kinds in self.retention(guild_id).by_days().items():
                counts.append(await self._delete(guild_id, days, kinds, principal, "run_details" in kinds))
        return _summed(counts)

    def retention(self, guild_id: str) -> Retention:
        """How long things of a guild are kept: as its settings say, or else the operator's."""
        return self._queries.settings(guild_id).retention.or_else(self._default)

    async def clean_up_for(self, work: Work) -> Done:
        """The CLEANUP operation of a scheduled task."""
        counts = await self.clean_up(Cleanup.of(work.definition, SYSTEM))
        note = f"deleted {counts.summaries} summaries, {counts.run_details} run details, {counts.cached} cached"
        return Done(note=note, items_deleted=counts.total)

    async def _delete(
        self, guild_id: str | None, days: float, kinds: frozenset[str], principal: Principal, archives: bool
    ) -> ContentCounts:
        """Delete these kinds from before so many days, and write it down: rebuilding the rows repeats it."""
        now = self._clock.now()
        cutoff = now - timedelta(days=days)
        counts = await asyncio.to_thread(
            self._content.delete_before, cutoff, guild_id=guild_id, **{kind: kind in kinds for kind in _KINDS}
        )
        stream = guild_id or ""

        def record(guild: Guild) -> None:
            guild.record_deletion(
                now=now,
                scope=guild_id,
                cutoff=cutoff,
                summaries=counts.summaries,
                run_details=counts.run_details,
                cached=counts.cached,
                archives_tasks=archives,
                deletes_runs="run_details" in kinds,
                by=principal.reference,
            )

        create = lambda: Guild.open(stream, now=now)  # noqa: E731
        await self._writer.execute(Command(guild_stream(stream), record, create=create, or_create=True))
        return counts


_KINDS = ("summaries", "run_details", "cached")


def _kinds(cleanup: Cleanup) -> frozenset[str]:
    asked = zip(_KINDS, (cleanup.delete_summaries, cleanup.delete_logs, cleanup.delete_cached_data), strict=True)
    return frozenset(kind for kind, wanted in asked if wanted)


def _summed(counts: Iterable[ContentCounts]) -> ContentCounts:
    total = ContentCounts()
    for one in counts:
        total = ContentCounts(
            total.summaries + one.summaries, total.run_details + one.run_details, total.cached + one.cached
        )
    return total
