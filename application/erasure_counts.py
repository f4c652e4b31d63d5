"""What an erasure takes away, in numbers."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

__all__ = ["GuildErasure", "PersonErasure"]


@dataclass(frozen=True, slots=True)
class GuildErasure:
    """What of a guild goes, or went. ``alive`` are those of its tasks that have not ended."""

    guild_id: str
    tasks: int = 0
    alive: int = 0
    summaries: int = 0
    run_details: int = 0
    cached: int = 0
    keys: int = 0
    secrets: int = 0
    people: int = 0
    files: int = 0

    @property
    def nothing(self) -> bool:
        """Whether there is nothing to erase."""
        return not any(getattr(self, f.name) for f in fields(self) if f.name != "guild_id")

    def to_dict(self) -> dict[str, Any]:
        """The same for programs."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class PersonErasure:
    """What of a person goes, or went, in one guild.

    ``named_in`` are the ids of tasks whose definition names the person: that goes only with the guild, or by an edit.
    """

    guild_id: str
    runs: tuple[str, ...] = ()
    summaries: int = 0
    run_details: int = 0
    cached: int = 0
    reference: bool = False
    files: int = 0
    named_in: tuple[str, ...] = ()

    @property
    def nothing(self) -> bool:
        """Whether nothing of the person is kept here."""
        return not (self.runs or self.reference or self.files)

    def to_dict(self) -> dict[str, Any]:
        """The same for programs."""
        return asdict(self)
