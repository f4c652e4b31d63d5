"""What a scheduler must offer to be measured here. Daybook and each peer beside it are implementations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

__all__ = ["GUILD_TASKS", "Contestant", "Job", "Place", "Ran"]

GUILD_TASKS = 100
"""How many jobs a guild (a customer, a tenant) has."""

Ran = Callable[[int], None]
"""What the work of every job is: to call this with its number, in any thread of this process."""


@dataclass(frozen=True, slots=True)
class Job:
    """Work that is due at an instant (aware UTC) for the first time, and then every ``every`` seconds."""

    number: int
    due: datetime
    every: int = 86_400

    @property
    def guild(self) -> int:
        """Whose work it is."""
        return self.number // GUILD_TASKS


@dataclass(frozen=True, slots=True)
class Place:
    """Where a contestant may work: ``folder`` is its own; ``cache`` is kept between repetitions.

    What costs more than the measurement itself is verified in a ``thorough`` repetition only.
    """

    folder: Path
    cache: Path
    thorough: bool = True


class Contestant(Protocol):
    """One scheduler in one process, made with a Place and a Ran. Everything durable is under the place's folder."""

    async def fill(self, stored: int) -> None:
        """Have jobs 0 to ``stored`` - 1 in the store, none due for days. Not measured; any bulk path will do."""
        ...

    async def plan(self, jobs: Sequence[Job]) -> None:
        """Move stored jobs to when these say (or add these). Nothing runs yet. Not measured, but must not take long."""
        ...

    async def start(self) -> None:
        """Open what is stored, and run what is due from now on."""
        ...

    async def add(self, job: Job) -> None:
        """One more job, by the call that users have for it; as durable as it gets when this returns."""
        ...

    async def pause(self, number: int) -> None:
        """Stop a job that is stored, durably."""
        ...

    async def resume(self, number: int) -> None:
        """Let it go on, durably."""
        ...

    def outstanding(self, jobs: Sequence[Job]) -> int:
        """Of jobs that all ran: how many are not yet written down as done, with their next time in the store."""
        ...

    async def stop(self) -> None:
        """Close the store."""
        ...

    async def verified(self, runs: int) -> Mapping[str, float]:
        """Check after ``stop`` that the store holds what it should after so many runs; AssertionError otherwise.

        Returns further figures about it, if it has any.
        """
        ...
