"""Every module that has kinds of events or of kept states: whoever reads a log must know all of them."""

from domain import guild, guild_erasure, guild_imports, node, task_erasure, task_events, task_snapshot

__all__ = ["guild", "guild_erasure", "guild_imports", "node", "task_erasure", "task_events", "task_snapshot"]
