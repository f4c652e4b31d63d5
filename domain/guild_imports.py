"""What a guild's stream says of history that came out of a file."""

from __future__ import annotations

from typing import ClassVar

from domain.event import Utc
from domain.guild import GuildEvent

__all__ = ["HistoryImported"]


class HistoryImported(GuildEvent):
    """Streams of this guild were written from an export file, in the transaction that this event ends.

    ``digest`` is the SHA-256 of the file's lines before its last one; ``exported_at`` is when it was made, and
    ``source_guild`` whose history it was. ``tasks`` and ``events`` are how many were written; they keep the instants
    and the actors that the file says, so that whoever trusts them trusts the file.
    """

    topic: ClassVar[str] = "guild.history_imported"

    guild_id: str
    source_guild: str
    digest: str
    exported_at: Utc
    tasks: int
    events: int
    new_ids: bool
    by: str
