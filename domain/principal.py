"""Who asks. Every command and every query is made by a principal."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict

__all__ = ["OPERATOR", "SYSTEM", "Permission", "Principal"]


class Permission(StrEnum):
    """What a principal may do in its guild."""

    VIEW = "view"
    MANAGE = "manage"


class Principal(BaseModel):
    """Somebody, or the service itself.

    ``guild_id`` None means every guild (the service, the operator at the command line). ``reference`` is what events
    say: ``system``, ``operator``, or the vault's reference to a person, never a name or an account.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    reference: str
    guild_id: str | None = None
    permissions: frozenset[Permission] = frozenset({Permission.VIEW})

    def sees(self, guild_id: str) -> bool:
        """Whether this principal may know of anything in the guild."""
        return self.guild_id is None or self.guild_id == guild_id

    def manages(self, guild_id: str) -> bool:
        """Whether this principal may change things in the guild."""
        return self.sees(guild_id) and Permission.MANAGE in self.permissions


SYSTEM = Principal(reference="system", permissions=frozenset(Permission))
"""The service itself: all guilds, everything."""

OPERATOR = Principal(reference="operator", permissions=frozenset(Permission))
"""The person at the command line of the machine: all guilds, everything."""
