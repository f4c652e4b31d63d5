"""The erasure of a guild, and of a person in it: facts that outlive what they erase.

The first two are sealed with the service's key, because the guild's own key is destroyed between them.
"""

from __future__ import annotations

from typing import ClassVar

from domain.guild import Guild, GuildEvent, GuildOpened, GuildSettings

__all__ = ["Erased", "ErasureRequested", "PersonErased"]


class _Surviving(GuildEvent):
    """Readable after everything before it has become unreadable: the guild begins anew with it."""

    begins_anew: ClassVar[bool] = True

    guild_id: str
    by: str

    def mutate(self, aggregate: Guild | None) -> Guild | None:  # type: ignore[override]
        """The guild after this; where nothing before can be read, a guild of which nothing else is known."""
        if aggregate is not None:
            moved_on: Guild = super().mutate(aggregate)
            return moved_on
        opened = GuildOpened(
            originator_id=self.originator_id,
            originator_version=self.originator_version,
            timestamp=self.timestamp,
            guild_id=self.guild_id,
        )
        guild = opened.mutate(None)
        self.apply(guild)
        return guild


class ErasureRequested(_Surviving):
    """Everything of the guild is to be erased. From here on there is no way back: whoever opens the store goes on."""

    topic: ClassVar[str] = "guild.erasure_requested"

    def apply(self, guild: Guild) -> None:
        guild.erasing = True


class Erased(_Surviving):
    """Everything of the guild was erased; ``keys`` are the ids of the data keys that were destroyed.

    A vault that still has one of them is older than this, and is erased again.
    """

    topic: ClassVar[str] = "guild.erased"

    keys: tuple[str, ...]
    tasks: int

    def apply(self, guild: Guild) -> None:
        guild.erasing = False
        guild.settings, guild.archive, guild.shifts, guild.admitted = GuildSettings(), None, {}, ()


class PersonErased(GuildEvent):
    """The content of these runs was deleted because a person is in it, and the reference leads to nobody any more.

    ``reference`` is None where the person never had one. Who it was is not said.
    """

    topic: ClassVar[str] = "guild.person_erased"

    guild_id: str
    reference: str | None = None
    runs: tuple[str, ...] = ()
    by: str
