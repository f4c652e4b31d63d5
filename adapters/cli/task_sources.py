"""What a task summarizes, as it is written in options: channels, a category, what is left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from application.local import chosen_archive
from domain.errors import ChannelInaccessible, InvalidInput

if TYPE_CHECKING:
    from adapters.cli.host import Archive, Category, Channel
    from adapters.cli.store import Session

__all__ = ["Sources", "archive_path"]


async def archive_path(session: Session) -> Path | None:
    """The archive of local mode: the one given, or the one the service last used; None for the sample."""
    if session.settings.archive is not None:
        return session.settings.archive
    found = await chosen_archive(session.service.stores.writer, session.now)
    return None if found is None or found[0] == "sample" else Path(found[0])


@dataclass(frozen=True, slots=True)
class Sources:
    """What was written; ``category`` and ``each`` are None where nothing was."""

    channels: Sequence[str] = ()
    category: str | None = None
    excluded: Sequence[str] = ()
    each: bool | None = None

    async def fields(self, session: Session, guild: str | None) -> tuple[dict[str, Any], str | None]:
        """The fields of a task that they mean, and the guild. Raises ChannelInaccessible, InvalidInput."""
        found: dict[str, Any] = {}
        if self.each is not None:
            found["category_mode"] = "individual" if self.each else "combined"
        if self.category == "":
            found["category_id"] = None
        written = [*self.channels, *([self.category] if self.category else []), *self.excluded]
        archive = None
        if written and not (guild and all(text.isdigit() for text in written)):
            archive = session.host.archive(await archive_path(session))
        if self.channels:
            ids, guild = _ids(archive, "--channel", self.channels, guild)
            found |= {"channel_id": ids[0], "channel_ids": tuple(ids[1:])}
        if self.category:
            found["category_id"], guild = _id(archive, "--category", self.category, guild)
        if self.excluded:
            ids, guild = _ids(archive, "--without", self.excluded, guild)
            found["excluded_channel_ids"] = tuple(ids)
        return found, guild


def _ids(archive: Archive | None, option: str, texts: Sequence[str], guild: str | None) -> tuple[list[str], str | None]:
    ids = []
    for text in texts:
        found, guild = _id(archive, option, text, guild)
        ids.append(found)
    return ids, guild


def _id(archive: Archive | None, option: str, text: str, guild: str | None) -> tuple[str, str | None]:
    """The id of what was given by id or by name, and its guild. Ids of a known guild need not be in the archive."""
    if archive is None:
        return text, guild
    try:
        found: Channel | Category = (archive.find_category if option == "--category" else archive.find_channel)(text)
    except ChannelInaccessible:
        if guild is None or not text.isdigit():
            raise
        return text, guild
    if guild not in (None, found.guild_id):
        raise InvalidInput(option, text, f"is of guild {found.guild_id}", "name channels of one guild")
    return found.id, found.guild_id
