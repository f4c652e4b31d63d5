"""Who may do what: asked by every command, inside the decision itself."""

from __future__ import annotations

from collections.abc import Iterable

from application.ports import Vault
from application.queries import Queries
from domain.errors import Forbidden, InvalidInput, NotFound, TaskNotFound
from domain.guild import GuildSettings
from domain.principal import Permission, Principal
from domain.quotas import Quotas
from domain.task import ScheduledTask

__all__ = ["Access"]


class Access:
    """The rules: another guild's things are not found; a guild's own may be seen by all who ask, and changed by few."""

    def __init__(self, queries: Queries, vault: Vault) -> None:
        self._queries, self._vault = queries, vault

    def member(
        self, guild_id: str, user_id: str, *, role_ids: Iterable[str] = (), may_manage_server: bool = False
    ) -> Principal:
        """The principal that a member of a guild is. Events will know it by a reference that can be erased.

        ``may_manage_server`` is Discord's permission as the interaction tells it, not as anybody claims it.
        """
        manage = {Permission.MANAGE} if may_manage_server else set()
        return Principal(
            reference=self._vault.person_reference(guild_id, user_id),
            guild_id=guild_id,
            user_id=user_id,
            role_ids=frozenset(role_ids),
            permissions=frozenset({Permission.VIEW, *manage}),
        )

    def manages(self, guild_id: str, principal: Principal) -> bool:
        """Whether a principal may change tasks of a guild, itself or by one of its roles."""
        if not principal.role_ids or principal.governs(guild_id):
            return principal.manages(guild_id)
        return principal.manages(guild_id, self._queries.settings(guild_id).managers)

    def check_manages(self, guild_id: str, principal: Principal) -> None:
        """Refuse (NotFound, Forbidden) who may not change tasks of this guild."""
        if not principal.sees(guild_id):
            raise NotFound("guild", guild_id)
        if not self.manages(guild_id, principal):
            raise Forbidden(
                f"{principal.reference} may look at tasks but not change them; that takes Manage Server, or a role "
                "that the guild's settings name"
            )

    def check_task(self, task: ScheduledTask, task_id: str, principal: Principal) -> None:
        """The same for a task; one of another guild is not found."""
        if not principal.sees(task.guild_id):
            raise TaskNotFound(str(task_id))
        self.check_manages(task.guild_id, principal)

    def check_governs(self, guild_id: str, principal: Principal) -> None:
        """Refuse (NotFound, Forbidden) who may not change the settings of this guild."""
        if not principal.sees(guild_id):
            raise NotFound("guild", guild_id)
        if not principal.governs(guild_id):
            raise Forbidden(f"{principal.reference} may not change this guild's settings; that takes Manage Server")

    @staticmethod
    def check_settings(before: GuildSettings, after: GuildSettings, default: Quotas, principal: Principal) -> None:
        """Refuse what only the operator decides: a guild's own limits may be stricter than what it may, not looser."""
        after.check()
        if principal.operates:
            return
        if after.granted != before.granted:
            raise Forbidden("what a guild may have is granted by the operator; a guild can set stricter limits")
        may = before.granted.or_else(default)
        if (name := after.own_quotas.looser_than(may)) is not None:
            word = "least" if name == "shortest_interval_seconds" else "most"
            raise InvalidInput(
                name,
                getattr(after, name),
                "is more than the operator allows this guild",
                f"give {getattr(may, name):g} at {word}",
            )
