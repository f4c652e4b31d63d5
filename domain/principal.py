"""Who asks. Every command and every query is made by a principal."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

__all__ = ["OPERATOR", "SYSTEM", "Permission", "Principal"]


class Permission(StrEnum):
    """What a principal may do in its guild. MANAGE is Discord's Manage Server: tasks and settings."""

    VIEW = "view"
    MANAGE = "manage"


class Principal(BaseModel):
    """Somebody, or the service itself.

    ``guild_id`` None means every guild (the service, the operator at the command line). ``reference`` is what events
    say: ``system``, ``operator``, or the vault's reference to a person, never a name or an account. ``user_id`` and
    ``role_ids`` are who it is in its guild; they are asked, and never written down.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    reference: str
    guild_id: str | None = None
    permissions: frozenset[Permission] = frozenset({Permission.VIEW})
    user_id: str | None = None
    role_ids: frozenset[str] = frozenset()

    def sees(self, guild_id: str) -> bool:
        """Whether this principal may know of anything in the guild."""
        return self.guild_id is None or self.guild_id == guild_id

    def governs(self, guild_id: str) -> bool:
        """Whether this principal may change everything in the guild: its settings, and who manages its tasks."""
        return self.sees(guild_id) and Permission.MANAGE in self.permissions

    def manages(self, guild_id: str, managers: Iterable[str] = ()) -> bool:
        """Whether this principal may change tasks in the guild; ``managers`` are the roles that may."""
        if self.governs(guild_id):
            return True
        return self.sees(guild_id) and not self.role_ids.isdisjoint(managers)

    @property
    def operates(self) -> bool:
        """Whether this is who runs the service: bound to no guild, and allowed to change things."""
        return self.guild_id is None and Permission.MANAGE in self.permissions


SYSTEM = Principal(reference="system", permissions=frozenset(Permission))
"""The service itself: all guilds, everything."""

OPERATOR = Principal(reference="operator", permissions=frozenset(Permission))
"""The person at the command line of the machine: all guilds, everything."""
