"""Who asks: from an interaction to a principal of its guild."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from domain.errors import Forbidden
from domain.principal import Permission, Principal

if TYPE_CHECKING:
    import discord

    from adapters.discord_bot.host import Service

__all__ = ["principal_of", "reader_of"]


def reader_of(interaction: discord.Interaction[Any]) -> Principal:
    """Who types: sees the guild of the interaction and changes nothing. No reference to the person is made."""
    return Principal(reference="member", guild_id=_guild(interaction), permissions=frozenset({Permission.VIEW}))


def roles_of(interaction: discord.Interaction[Any]) -> frozenset[str]:
    """The roles of who asks, as ids; @everyone is none of them."""
    guild_id = interaction.guild_id
    return frozenset(str(role.id) for role in getattr(interaction.user, "roles", ()) if role.id != guild_id)


async def principal_of(service: Service, interaction: discord.Interaction[Any]) -> Principal:
    """Who asks, by the vault's reference. Manage Server lets change; everybody who is shown a command may look.

    ``default_member_permissions`` of a command only hint: a guild may show it to anybody. What a person may do is taken
    from the interaction, which Discord signed off a moment ago, and checked by the application again.
    """
    guild_id = _guild(interaction)
    reference = await asyncio.to_thread(service.stores.vault.person_reference, guild_id, str(interaction.user.id))
    granted = interaction.permissions
    may_manage = granted.manage_guild or granted.administrator
    permissions = frozenset(Permission) if may_manage else frozenset({Permission.VIEW})
    return Principal(
        reference=reference,
        guild_id=guild_id,
        permissions=permissions,
        user_id=str(interaction.user.id),
        role_ids=roles_of(interaction),
    )


def _guild(interaction: discord.Interaction[Any]) -> str:
    if interaction.guild_id is None:
        raise Forbidden("commands work in a server only")
    return str(interaction.guild_id)
