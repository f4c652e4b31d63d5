"""What queries answer with about a guild."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from application.damaged_rows import naming_damage
from application.rows import GuildRow

if TYPE_CHECKING:
    from domain.guild import GuildSettings

__all__ = ["GuildView", "settings_of"]


@dataclass(frozen=True, slots=True)
class GuildView:
    """A guild: settings, and sums over its tasks."""

    guild_id: str
    settings: GuildSettings
    tasks: int
    executed: int
    failed: int
    skipped_runs: int
    skipped_slots: int
    attempts: int
    failed_attempts: int
    interruptions: int
    average_duration_seconds: float
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0.0

    @property
    def success_rate(self) -> float:
        """The share of closed runs that succeeded, 0 to 100; 0 before the first."""
        closed = self.executed + self.failed
        return 100 * self.executed / closed if closed else 0.0

    def to_dict(self) -> dict[str, Any]:
        """The same for programs."""
        plain = {name: getattr(self, name) for name in self.__slots__ if name != "settings"}
        return {**plain, "success_rate": self.success_rate, "settings": self.settings.model_dump(mode="json")}

    @classmethod
    @naming_damage
    def of(cls, row: GuildRow) -> GuildView:
        """From its row."""
        return cls(
            guild_id=row.guild_id,
            settings=settings_of(row.settings),
            tasks=row.tasks,
            executed=row.executed,
            failed=row.failed,
            skipped_runs=row.skipped,
            skipped_slots=row.slots_skipped,
            attempts=row.attempts,
            failed_attempts=row.failed_attempts,
            interruptions=row.interruptions,
            average_duration_seconds=row.duration_total / row.executed / 1_000_000 if row.executed else 0.0,
            input_tokens=row.input_tokens,
            output_tokens=row.output_tokens,
            cost=row.cost / 1_000_000,
        )


@naming_damage
@lru_cache(maxsize=1024)
def settings_of(text: str) -> GuildSettings:
    """Settings as a row holds them; most guilds have the same ones."""
    from domain.guild import GuildSettings

    return GuildSettings.model_validate_json(text)
