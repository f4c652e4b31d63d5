"""Who asks. Every command and every query is made by a principal."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from domain.choice import Choice
from domain.errors import InvalidInput

__all__ = ["OPERATOR", "SYSTEM", "Permission", "Principal"]


class Permission(Choice):
    """What a principal may do in its guild. MANAGE is Discord's Manage Server: tasks and settings."""

    VIEW = "view"
    MANAGE = "manage"


@dataclass(frozen=True, kw_only=True)
class Principal:
    """Somebody, or the service itself.

    ``guild_id`` None means every guild (the service, the operator at the command line). ``reference`` is what events
    say: ``system``, ``operator``, or the vault's reference to a person, never a name or an account. ``user_id`` and
    ``role_ids`` are who it is in its guild; they are asked, and never written down. Raises InvalidInput for numbers in
    place of ids, and for permissions that there are not.
    """

    reference: str
    guild_id: str | None = None
    permissions: frozenset[Permission] = frozenset({Permission.VIEW})
    user_id: str | None = None
    role_ids: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        """Refuse what would silently see nothing, or everything."""
        given: list[tuple[str, Any]] = [("reference", self.reference), *(("role_ids", role) for role in self.role_ids)]
        given += [(name, getattr(self, name)) for name in ("guild_id", "user_id") if getattr(self, name) is not None]
        for field, text in given:
            if not isinstance(text, str):
                raise InvalidInput(field, text, "is no text", "ids are text, as in '123'")
        try:
            object.__setattr__(self, "permissions", frozenset(Permission(each) for each in self.permissions))
        except ValueError as error:
            raise InvalidInput("permissions", self.permissions, str(error)) from None
        object.__setattr__(self, "role_ids", frozenset(self.role_ids))

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
