"""Erasing a guild, or a person: on request, for good, and again whenever older copies of the stores come back.

Every step can be repeated, and the first one is a fact in the log: whoever opens the stores after a crash goes on.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import UUID

from application.erasure_counts import GuildErasure, PersonErasure
from application.lasting import Lasting
from application.ports import (
    Append,
    Clock,
    Command,
    Content,
    ContentCounts,
    ErasedGuild,
    KeepsResults,
    Ledger,
    Log,
    ReadModel,
    Recorded,
    Vault,
    Writer,
)
from application.rows import GuildRow, TaskRow
from application.tallies import erased_at_end, tally_of
from domain.errors import Conflict, EventUnreadable, Forbidden, InvalidInput, NotFound, PayloadErased
from domain.event import Event
from domain.guild import Guild, guild_stream
from domain.guild_erasure import Erased, ErasureRequested, PersonErased
from domain.principal import SYSTEM, Principal
from domain.task_erasure import ERASED
from domain.task_erasure import Erased as TaskErased

__all__ = ["Erasure"]

PAGE = 1000
MOST_RUNS_AT_ONCE = 2000
SHORTEST_NAME = 2
Mentions = Callable[[str], bool]

_TASKS = "task."
"""How the topics of a task's events begin."""
_TRIES = 20
_ALL = 1 << 31
_log = logging.getLogger(__name__)


class Erasure:
    """Erases, and repeats what was erased. ``abandon`` gives up what this process does for a task."""

    def __init__(
        self,
        *,
        log: Log,
        writer: Writer,
        read_model: ReadModel,
        content: Content,
        vault: Vault,
        clock: Clock,
        ledger: Ledger,
        keepers: Sequence[KeepsResults] = (),
        abandon: Callable[[str], None] = lambda task_id: None,
    ) -> None:
        self._log, self._writer, self._rows, self._content = log, writer, read_model, content
        self._vault, self._clock, self._ledger, self._keepers = vault, clock, ledger, keepers
        self._abandon, self._lasting = abandon, Lasting()

    # --- guilds ---

    async def plan_guild(self, guild_id: str, *, principal: Principal = SYSTEM) -> GuildErasure:
        """What an erasure of this guild would take away. Raises NotFound, Forbidden, InvalidInput."""
        _check(guild_id, principal)
        return await asyncio.to_thread(self._planned, guild_id)

    async def erase_guild(self, guild_id: str, *, principal: Principal = SYSTEM) -> GuildErasure:
        """Erase all of a guild, for good. Says what went; raises NotFound, Forbidden, InvalidInput."""
        found = await self.plan_guild(guild_id, principal=principal)
        row = self._rows.get(GuildRow, guild_id)
        if found.nothing and not (isinstance(row, GuildRow) and row.erasing):
            raise NotFound("guild", guild_id)
        await self._lasting.carry_through(self._erase_guild(guild_id, principal.reference))
        return found

    async def done(self, within_seconds: float | None = None) -> None:
        """Until every erasure that was begun here has come to its end, whether anybody waits for it or not; for so long
        at most: that of a guild is finished at the next opening.
        """
        await self._lasting.done(within_seconds)

    async def resume(self) -> None:
        """At the opening of the stores: finish what was begun, and erase again what older copies brought back."""
        for row in self._rows.guilds():
            if row.erasing:
                _log.warning("the erasure of guild %s was begun and not finished; it goes on", row.guild_id)
                await self._finish(row.guild_id, SYSTEM.reference)
        written: dict[str, set[str]] = {}
        for row in self._rows.guilds():
            if row.erasures:
                keys = written[row.guild_id] = await asyncio.to_thread(self._repeat, row.guild_id)
                if keys:
                    await self._end_leftovers(row.guild_id)
        entries = await asyncio.to_thread(self._ledger.entries)
        for entry in entries:
            known = written.setdefault(entry.guild_id, set())
            new = set(entry.keys) - known
            if new & set(await asyncio.to_thread(self._vault.key_ids, entry.guild_id)):
                _log.warning("guild %s was erased at %s, and this log is older: again", entry.guild_id, entry.at)
                await self._erase_guild(entry.guild_id, entry.by, entry.keys)
                known.update(entry.keys)
        await self._end_unknown(written, {key: entry.guild_id for entry in entries for key in entry.keys})

    async def _erase_guild(self, guild_id: str, by: str, keys: Iterable[str] = ()) -> None:
        await asyncio.to_thread(self._request, guild_id, by)
        await self._finish(guild_id, by, keys)

    async def _end_unknown(self, written: Mapping[str, set[str]], listed: Mapping[str, str]) -> None:
        """Streams that have no rows, as the log is older than an erasure and the vault is not.

        Nothing but the key that sealed them tells whose they were. ``written`` are the destroyed keys that this log
        names, by guild; ``listed`` says of those in the list of erasures whose they were.
        """
        if not (streams := self._rows.unreadable()):
            return
        named = {key: guild for guild, keys in written.items() for key in keys}
        owners = {**await asyncio.to_thread(self._vault.destroyed_keys), **listed, **named}
        found = await asyncio.to_thread(self._sealed_with, owners, streams)
        for guild_id, sealed in found.items():
            keys = {error.key_id for error in sealed}
            if not keys <= written.get(guild_id, set()):
                _log.warning("the keys of guild %s were destroyed, and this log is older: it is erased again", guild_id)
                await self._erase_guild(guild_id, SYSTEM.reference, keys)
            for error in sealed:
                if error.topic.startswith(_TASKS):
                    await asyncio.to_thread(self._erase_task, UUID(error.stream_id), guild_id, SYSTEM.reference)
        if found:
            await self._writer.catch_up()

    def _sealed_with(self, owners: Mapping[str, str], streams: Iterable[str]) -> dict[str, list[PayloadErased]]:
        """By guild, the first events of those of these streams that are sealed with its keys.

        All events of a task are, or the stream is left alone: a damaged row may bear any key.
        """
        found: dict[str, list[PayloadErased]] = {}
        for stream in streams:
            with suppress(ValueError):  # the stream of a damaged row may be anything
                events = self._log.stream(UUID(stream))
                first = events[0].event if events else None
                if not isinstance(first, PayloadErased):
                    continue
                keys = {getattr(one.event, "key_id", "") for one in events if first.topic.startswith(_TASKS)}
                guilds = {owners.get(key) for key in keys or {first.key_id}}
                if len(guilds) == 1 and (guild_id := guilds.pop()) is not None:
                    found.setdefault(guild_id, []).append(first)
        return found

    def _planned(self, guild_id: str) -> GuildErasure:
        tasks = self._tasks(guild_id)
        kept = self._vault.kept_of(guild_id)
        content = self._content.delete_before(_AFTER_ALL, guild_id=guild_id, dry_run=True)
        return GuildErasure(
            guild_id,
            tasks=len(tasks),
            alive=sum(1 for task in tasks if task.status in ("active", "paused", "disabled")),
            files=sum(keeper.results_of(guild_id) for keeper in self._keepers),
            **asdict(content),
            **asdict(kept),
        )

    def _request(self, guild_id: str, by: str) -> None:
        """The point of no return."""
        self._vault.data_key(guild_id)  # there is at least one key, by which an older vault will be known
        self._append_to_guild(
            guild_id,
            lambda events: None if _erasing(events) else ErasureRequested,
            by=by,
        )

    async def _finish(self, guild_id: str, by: str, keys: Iterable[str] = ()) -> None:
        await self._writer.catch_up()
        count = await self._end_tasks(guild_id, by)
        while True:
            await asyncio.to_thread(self._destroy, guild_id)
            more = await self._end_tasks(guild_id, by)  # made by another process, which did not know yet
            if not more:
                break
            count += more
        destroyed = tuple(sorted({*keys, *await asyncio.to_thread(self._vault.key_ids, guild_id)}))
        await asyncio.to_thread(
            self._append_to_guild,
            guild_id,
            lambda events: Erased if _erasing(events) else None,
            by=by,
            keys=destroyed,
            tasks=count,
        )
        await self._writer.catch_up()
        await asyncio.to_thread(self._repeat, guild_id)

    def _destroy(self, guild_id: str) -> None:
        """Everything outside of the log; the keys last, because without them nobody can say what is left."""
        self._content.delete_before(_AFTER_ALL, guild_id=guild_id)
        for keeper in self._keepers:
            keeper.erase_results(guild_id)
        self._vault.erase_guild(guild_id)

    def _repeat(self, guild_id: str) -> set[str]:
        """Erase again what the log says was erased, of stores that are older than it; returns the destroyed keys."""
        keys: set[str] = set()
        for _, event in self._log.stream(guild_stream(guild_id)):
            if isinstance(event, Erased):
                keys.update(event.keys)
                self._ledger.add(ErasedGuild(guild_id, event.timestamp, event.keys, event.by))
                if any(asdict(self._vault.erase_guild(guild_id, event.keys)).values()):
                    _log.warning("the vault was older than the erasure of guild %s; it was erased again", guild_id)
                # Where the guild has not come back, whatever there is was written by runs that were just ending.
                gone = _AFTER_ALL if not self._tasks(guild_id) else event.timestamp + _INSTANT
                self._content.delete_before(gone, guild_id=guild_id)
                for keeper in self._keepers:
                    keeper.erase_results(guild_id, until=event.timestamp)
            elif isinstance(event, PersonErased):
                self._forget(event)
        return keys

    # --- tasks ---

    async def _end_tasks(self, guild_id: str, by: str) -> int:
        """End every task of the guild and leave its numbers; returns how many there were."""
        tasks = await asyncio.to_thread(self._tasks, guild_id)
        now, reason = self._clock.now(), "the guild is erased"
        done = 0
        for start in range(0, len(tasks), PAGE):
            ids = [UUID(task.task_id) for task in tasks[start : start + PAGE]]
            ends = [Command(id, lambda task: task.end(now=now, by=by, reason=reason)) for id in ids]
            for id, outcome in zip(ids, await self._writer.execute_many(ends), strict=True):
                if isinstance(outcome, BaseException) and not isinstance(outcome, EventUnreadable):
                    raise outcome
                self._abandon(str(id))
            for id in ids:
                done += await asyncio.to_thread(self._erase_task, id, guild_id, by)
        if done:
            await self._writer.catch_up()
        return done

    async def _end_leftovers(self, guild_id: str) -> None:
        """Tasks of an erased guild that nobody can read, because a node wrote them with a key that was just dying."""
        left = await asyncio.to_thread(self._tasks, guild_id)
        for task in left:
            first = await asyncio.to_thread(self._log.stream, UUID(task.task_id), limit=1)
            if first and isinstance(first[0].event, PayloadErased):
                await asyncio.to_thread(self._erase_task, UUID(task.task_id), guild_id, SYSTEM.reference)
        if left:
            await self._writer.catch_up()

    def _erase_task(self, task_id: UUID, guild_id: str, by: str) -> int:
        for _ in range(_TRIES):
            events = self._log.stream(task_id)
            if not events or erased_at_end(events) is not None:
                return 0
            now = self._clock.now()
            event = TaskErased(
                originator_id=task_id,
                originator_version=_version(events[-1]) + 1,
                timestamp=now,
                guild_id=guild_id,
                by=by,
                tally=tally_of(events, now=now),
            )
            try:
                # Not through the writer: no state is needed, and a stream that nobody can read must end, too.
                self._log.append([Append(task_id, "", [event])])
            except Conflict:
                continue
            return 1
        raise Conflict([task_id])

    def _tasks(self, guild_id: str) -> list[TaskRow]:
        """The tasks of a guild that are not erased yet, ended and hidden ones among them."""
        found: list[TaskRow] = []
        offset = 0
        while page := self._rows.tasks(guild_id=guild_id, archived=True, limit=PAGE, offset=offset):
            offset += len(page)
            found += [row for row, _ in page if row.task_type or row.name != ERASED]  # no task is without a type
        return found

    def _append_to_guild(
        self, guild_id: str, kind: Callable[[Sequence[Recorded]], Callable[..., Event] | None], **what: Any
    ) -> None:
        """Append the event that is wanted after these events, under the service's key."""
        stream = guild_stream(guild_id)
        for _ in range(_TRIES):
            events = self._log.stream(stream)
            wanted = kind(events)
            if wanted is None:
                return
            version = _version(events[-1]) + 1 if events else 1
            event = wanted(
                originator_id=stream, originator_version=version, timestamp=self._clock.now(), guild_id=guild_id, **what
            )
            try:
                self._log.append([Append(stream, "", [event])])
            except Conflict:
                continue
            return
        raise Conflict([stream])

    # --- persons ---

    async def plan_person(
        self, user_id: str, *, guild_id: str | None = None, names: Sequence[str] = (), principal: Principal = SYSTEM
    ) -> list[PersonErasure]:
        """What an erasure of this person would take away, by guild. ``names`` are what the person is called there.

        Raises InvalidInput, NotFound, Forbidden.
        """
        _check_names(user_id, names)
        guilds = self._guilds(guild_id, principal)
        return [(await asyncio.to_thread(self._planned_person, guild, user_id, names))[0] for guild in guilds]

    async def erase_person(
        self, user_id: str, *, guild_id: str | None = None, names: Sequence[str] = (), principal: Principal = SYSTEM
    ) -> list[PersonErasure]:
        """Delete what is kept of a person, and the way from the references in events to the person; says what went."""
        _check_names(user_id, names)
        guilds = self._guilds(guild_id, principal)
        return await self._lasting.carry_through(self._erase_person_in(guilds, user_id, names, principal.reference))

    async def _erase_person_in(
        self, guilds: Sequence[str], user_id: str, names: Sequence[str], by: str
    ) -> list[PersonErasure]:
        done = []
        for guild_id in guilds:
            found, mentions = await asyncio.to_thread(self._planned_person, guild_id, user_id, names)
            done.append(found if found.nothing else await self._erase_person(found, user_id, mentions, by))
        return done

    def _planned_person(self, guild_id: str, user_id: str, names: Sequence[str]) -> tuple[PersonErasure, Mentions]:
        known = {*names}
        for run in self._content.runs_with(guild_id, _mentions([user_id])):
            name = ((self._content.run_detail(run) or {}).get("people") or {}).get(user_id)
            if isinstance(name, str) and len(name.strip()) >= SHORTEST_NAME:
                known.add(name)
        mentions = _mentions([user_id, *sorted(known)])
        found = PersonErasure(
            guild_id,
            runs=tuple(self._content.runs_with(guild_id, mentions)),
            reference=self._vault.known_person(guild_id, user_id) is not None,
            files=sum(keeper.results_of(guild_id, mentions) for keeper in self._keepers),
            named_in=tuple(
                row.task_id
                for row, text in self._rows.tasks(guild_id=guild_id, archived=True, limit=_ALL)
                if mentions(text.definition)
            ),
        )
        return found, mentions

    async def _erase_person(self, found: PersonErasure, user_id: str, mentions: Mentions, by: str) -> PersonErasure:
        guild_id, now = found.guild_id, self._clock.now()
        files = 0
        for keeper in self._keepers:  # first: what the person is called may be known from the details of runs alone
            files += await asyncio.to_thread(keeper.erase_results, guild_id, mentions)
        reference = await asyncio.to_thread(self._vault.known_person, guild_id, user_id)
        summaries = run_details = cached = 0
        for start in range(0, max(1, len(found.runs)), MOST_RUNS_AT_ONCE):
            runs = found.runs[start : start + MOST_RUNS_AT_ONCE]
            event = await self._writer.execute(_erasing_person(guild_id, reference, runs, now, by))
            gone = await asyncio.to_thread(self._forget, event)
            summaries, run_details = summaries + gone.summaries, run_details + gone.run_details
            cached += gone.cached
        return replace(found, files=files, summaries=summaries, run_details=run_details, cached=cached)

    def _forget(self, event: PersonErased) -> ContentCounts:
        """What follows from the event; done again at every opening, for stores that are older than it."""
        if event.reference is not None:
            self._vault.forget_reference(event.guild_id, event.reference)
        return self._content.delete_runs(event.guild_id, event.runs, event.timestamp)

    def _guilds(self, guild_id: str | None, principal: Principal) -> list[str]:
        if guild_id is not None:
            _check(guild_id, principal)
            return [guild_id]
        if principal.guild_id is not None:
            raise Forbidden("only the operator erases a person everywhere; name the guild")
        return [row.guild_id for row in self._rows.guilds() if row.guild_id]


_INSTANT = timedelta(microseconds=1)
_AFTER_ALL = datetime.fromisoformat("9999-01-01T00:00:00+00:00")


def _erasing_person(guild_id: str, reference: str | None, runs: Sequence[str], now: datetime, by: str) -> Command:
    def decide(guild: Guild) -> PersonErased:
        guild.trigger_event(
            PersonErased, timestamp=now, guild_id=guild_id, reference=reference, runs=tuple(runs), by=by
        )
        return cast(PersonErased, guild.pending_events[-1])

    return Command(guild_stream(guild_id), decide, create=lambda: Guild.open(guild_id, now=now), or_create=True)


def _check(guild_id: str, principal: Principal) -> None:
    if not guild_id:
        raise InvalidInput("guild", guild_id, "is the service itself", "name a guild")
    if not principal.sees(guild_id):
        raise NotFound("guild", guild_id)
    if not principal.manages(guild_id):
        raise Forbidden(f"{principal.reference} may look at tasks but not erase them")


def _check_names(user_id: str, names: Sequence[str]) -> None:
    for field, word in (("person", user_id), *(("name", name) for name in names)):
        if len(word.strip()) < SHORTEST_NAME:
            raise InvalidInput(field, word, "is too short", f"give {SHORTEST_NAME} or more characters")


def _mentions(words: Iterable[str]) -> Mentions:
    """Whether a text holds one of these as words of its own, in any case."""
    pattern = re.compile("|".join(rf"(?<!\w){re.escape(word.strip())}(?!\w)" for word in words), re.IGNORECASE)
    return lambda text: pattern.search(text) is not None


def _erasing(events: Sequence[Recorded]) -> bool:
    last = next((e for _, e in reversed(events) if isinstance(e, Erased | ErasureRequested)), None)
    return isinstance(last, ErasureRequested)


def _version(one: Recorded) -> int:
    event = one.event
    return event.version if isinstance(event, EventUnreadable) else event.originator_version
