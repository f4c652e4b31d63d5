"""Messages from DiscordChatExporter JSON exports, of any version: one file per channel, or several parts of one."""

from __future__ import annotations

import asyncio
import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from adapters.archive.files import ArchiveFiles, LoadedChannel
from adapters.archive.reading import Header, Row
from domain.errors import ChannelInaccessible, FetchFailed, InvalidImport, InvalidInput
from domain.event import epoch_microseconds, from_epoch_microseconds, utc
from domain.summary import Message, SummaryOptions

__all__ = ["ArchiveCategory", "ArchiveChannel", "ArchiveProcessor", "latest", "sample_path"]

_MAX_SUGGESTIONS = 3
_MENTION = re.compile(r"<(?:(?P<kind>@[!&]?|#)(?P<id>\d{1,20})|a?(?P<emoji>:\w{1,64}:)\d{1,20})>")


@dataclass(frozen=True, slots=True)
class ArchiveChannel:
    """One channel of an archive. ``first`` and ``last``: when its outermost messages were sent (aware UTC, shifted)."""

    id: str
    name: str
    guild_id: str
    guild_name: str
    message_count: int
    first: datetime | None
    last: datetime | None


class ArchiveCategory(NamedTuple):
    """A category of channels of an archive."""

    id: str
    name: str
    guild_id: str


class ArchiveProcessor:
    """Serves the messages of DiscordChatExporter JSON exports.

    ``paths`` is a file, a folder (every export below it), or several of them. ``shift`` is added to every instant, so
    that an old conversation can play now. Nothing is read before it is needed; a file is read again when it changed.
    Notices of the system (joins, pins, calls) are left out. Thread-safe.

    The synchronous methods block while files are read; a broken one raises InvalidImport with its path and the place.
    """

    def __init__(self, paths: Path | Sequence[Path], *, shift: timedelta = timedelta()) -> None:
        self._files = ArchiveFiles((paths,) if isinstance(paths, Path) else tuple(paths))
        self._shift = shift // timedelta(microseconds=1)

    def shifted(self, shift: timedelta) -> ArchiveProcessor:
        """The same archive with another shift; what was read is shared."""
        other = ArchiveProcessor((), shift=shift)
        other._files = self._files
        return other

    def channels(self) -> list[ArchiveChannel]:
        """All channels, by guild and name."""
        found = [self._described(channel) for channel in self._files.channels()]
        return sorted(found, key=lambda channel: (channel.guild_name, channel.name, channel.id))

    def find_channel(self, text: str) -> ArchiveChannel:
        """The channel with this id or name ("general" and "#general" alike, in any case).

        Raises ChannelInaccessible when there is none (near names are suggested), or several of that name.
        """
        return self._described(self._loaded(text, self._files.headers()))

    def latest(self) -> datetime | None:
        """When the last message of all was sent (aware UTC, shifted); None for an archive without messages."""
        return max((channel.last for channel in self.channels() if channel.last), default=None)

    async def channel_name(self, channel_id: str) -> str | None:
        """The name of a channel, as in the export; None where there is none (application.ports.ChannelNames)."""
        try:
            return (await asyncio.to_thread(self.find_channel, channel_id)).name
        except (ChannelInaccessible, InvalidImport):
            return None

    async def process_channel_messages(
        self,
        channel_id: str,
        start_time: datetime,
        end_time: datetime,
        options: SummaryOptions,
        limit: int | None = None,
    ) -> list[Message]:
        """See application.ports.MessageProcessor; ``channel_id`` may be a name, as in ``find_channel``.

        Raises ChannelInaccessible, and FetchFailed when a file of the channel is broken.
        """
        start, end = (
            _aware(name, instant) - self._shift
            for name, instant in (("start_time", start_time), ("end_time", end_time))
        )
        if limit is not None and limit < 0:
            raise InvalidInput("limit", limit, "is negative", "a number from 0 on is right, or None for all")
        try:
            return await asyncio.to_thread(self._messages, channel_id, start, end, options, limit)
        except InvalidImport as error:
            raise FetchFailed(channel_id, str(error)) from error

    def _messages(
        self, channel_id: str, start: int, end: int, options: SummaryOptions, limit: int | None
    ) -> list[Message]:
        headers = self._files.headers()
        channels = [self._loaded(channel_id, headers)]
        if options.include_threads and not channels[0].header.is_thread:
            threads = _held_by(channels[0].header.channel_id, headers, threads=True)
            channels += [self._loaded(thread, headers) for thread in threads]
        names = {key: header.channel_name for key, header in headers.items()}
        chosen: list[tuple[Row, LoadedChannel]] = []
        for channel in channels:
            chosen += [(row, channel) for row in _newest(channel, start, end, options, limit)]
        chosen.sort(key=lambda each: each[0].order)
        readable = {channel.header.channel_id: _Readable(channel.names, names) for channel in channels}
        return [
            self._message(row, channel.header, readable[channel.header.channel_id], options.include_attachments)
            for row, channel in (chosen if limit is None else chosen[max(0, len(chosen) - limit) :])
        ]

    async def channels_of(self, category_id: str) -> list[str]:
        """The ids of a category's channels by name (application.ports.CategoryChannels); it may be named itself.

        Raises ChannelInaccessible, and FetchFailed when a file of the archive is broken.
        """
        try:
            headers = await asyncio.to_thread(self._files.headers)
        except InvalidImport as error:
            raise FetchFailed(category_id, str(error)) from error
        return _held_by(_category(category_id, headers), headers, threads=False)

    def find_category(self, text: str) -> ArchiveCategory:
        """The category with this id or name. Raises ChannelInaccessible."""
        headers = self._files.headers()
        found = _category(text, headers)
        header = next(each for each in headers.values() if each.parent_id == found and not each.is_thread)
        return ArchiveCategory(found, header.parent_name, header.guild_id)

    def _message(self, row: Row, header: Header, readable: _Readable, with_attachments: bool) -> Message:
        guild = header.guild_id if header.guild_id not in ("", "0") else "@me"
        return Message(
            id=row.id,
            channel_id=header.channel_id,
            author_id=row.author.id,
            author_name=row.author.name,
            timestamp=from_epoch_microseconds(row.at + self._shift),
            content=readable.text(row.content),
            is_bot=row.author.is_bot,
            reply_to=row.reply_to,
            reactions=row.reactions,
            attachments=row.attachments if with_attachments else (),
            url=f"https://discord.com/channels/{guild}/{header.channel_id}/{row.id}",
        )

    def _loaded(self, text: str, headers: Mapping[str, Header]) -> LoadedChannel:
        channel = self._files.channel(_resolve(text, headers))
        if channel is None:
            raise ChannelInaccessible(text, "its export was just removed")
        return channel

    def _described(self, channel: LoadedChannel) -> ArchiveChannel:
        header, rows = channel.header, channel.rows
        return ArchiveChannel(
            id=header.channel_id,
            name=header.channel_name,
            guild_id=header.guild_id,
            guild_name=header.guild_name,
            message_count=len(rows),
            first=from_epoch_microseconds(rows[0].at + self._shift) if rows else None,
            last=from_epoch_microseconds(rows[-1].at + self._shift) if rows else None,
        )


class _Readable:
    """Turns mentions into the names that the archive knows; the others stay as they are."""

    def __init__(self, names: Mapping[str, str], channels: Mapping[str, str]) -> None:
        self._names, self._channels = names, channels

    def text(self, content: str) -> str:
        return _MENTION.sub(self._name, content) if "<" in content else content

    def _name(self, mention: re.Match[str]) -> str:
        kind, id = mention["kind"], mention["id"]
        if mention["emoji"]:
            return mention["emoji"]
        if kind == "#":
            return f"#{self._channels[id]}" if id in self._channels else mention[0]
        name = self._names.get(("&" if kind == "@&" else "@") + id)
        return f"@{name}" if name else mention[0]


def _newest(channel: LoadedChannel, start: int, end: int, options: SummaryOptions, limit: int | None) -> list[Row]:
    """What is wanted of a channel, the newest first."""
    excluded = frozenset(options.excluded_users)
    chosen: list[Row] = []
    for index in reversed(channel.between(start, end)):
        if limit is not None and len(chosen) >= limit:
            break
        row = channel.rows[index]
        if row.author.id not in excluded and (options.include_bots or not row.author.is_bot):
            chosen.append(row)
    return chosen


def _held_by(parent_id: str, headers: Mapping[str, Header], *, threads: bool) -> list[str]:
    """The ids of the channels of a category, or of the threads of a channel, by name."""
    found = [header for header in headers.values() if header.parent_id == parent_id and header.is_thread is threads]
    return [header.channel_id for header in sorted(found, key=lambda each: (each.channel_name, each.channel_id))]


def _category(text: str, headers: Mapping[str, Header]) -> str:
    """The id of the category that ``text`` names, by id or by name."""
    known = {header.parent_id: header.parent_name for header in headers.values() if not header.is_thread}
    known.pop("", None)
    if text in known:
        return text
    wanted = text.strip().casefold()
    found = [id for id, name in known.items() if name.casefold() == wanted]
    if len(found) == 1:
        return found[0]
    if found:
        raise ChannelInaccessible(text, f"several categories are called so; give the id: {', '.join(found[:10])}")
    hint = f"; it knows {', '.join(sorted(known.values())[:_MAX_SUGGESTIONS])}" if known else ""
    raise ChannelInaccessible(text, f"the archive has no such category{hint}")


def _aware(name: str, instant: datetime) -> int:
    try:
        return epoch_microseconds(utc(instant))
    except ValueError:
        raise InvalidInput(name, instant.isoformat(), "has no time zone", "give it one, such as UTC") from None


def _resolve(text: str, headers: Mapping[str, Header]) -> str:
    """The id of the channel that ``text`` names, by id or by name."""
    if text in headers:
        return text
    wanted = text.strip().removeprefix("#").casefold()
    if wanted in headers:
        return wanted
    found = [header for header in headers.values() if header.channel_name.casefold() == wanted]
    if len(found) == 1:
        return found[0].channel_id
    if found:
        ids = ", ".join(f"{header.channel_id} ({header.guild_name})" for header in found[:10])
        raise ChannelInaccessible(text, f"several channels are called so; give the id: {ids}")
    names = {header.channel_name.casefold(): header.channel_name for header in headers.values()}
    near = difflib.get_close_matches(wanted[:100], names, _MAX_SUGGESTIONS) or sorted(names)[:_MAX_SUGGESTIONS]
    hint = "did you mean " + " or ".join(f"#{names[name]}" for name in near) + "?" if near else "the archive is empty"
    raise ChannelInaccessible(text, f"the archive has no such channel; {hint}")


def latest(paths: Path | Sequence[Path]) -> datetime:
    """When the last message of an archive was sent (aware UTC). Raises InvalidImport for one without messages."""
    found = ArchiveProcessor(paths).latest()
    if found is None:
        raise InvalidImport("archive", str(paths), "holds no messages", "name a DiscordChatExporter JSON export")
    return found


def sample_path() -> Path:
    """The folder of the sample archive that comes with Daybook: three channels of one invented community."""
    return Path(str(resources.files("adapters") / "sample"))
