"""What the application needs of the world, as Protocols. Each has one contract suite in tests/contracts.

Storage ports are synchronous: they are called by the writer's thread, or by queries that take well under a millisecond.
Ports that talk to others are asynchronous.
"""

from application.ports.commands import NOTHING, Aggregate, Change, Command, Exclusions, ReadModel, Writer
from application.ports.leaves import Head, Leaf, Leaves
from application.ports.log import (
    BEFORE_ALL,
    LAST_POSSIBLE,
    SNAPSHOT_EVENTS,
    Append,
    Loaded,
    Log,
    Recorded,
    Standing,
    StoredRow,
    Stretch,
)
from application.ports.stores import Content, ContentCounts, ErasedGuild, Ledger, Presence, Spill, Vault, VaultCounts
from application.ports.world import (
    CategoryChannels,
    ChannelNames,
    Clock,
    DeliveryChannel,
    DeliveryRequest,
    GuildBound,
    KeepsResults,
    MessageProcessor,
    SummarizationEngine,
    Timer,
)

__all__ = [
    "BEFORE_ALL",
    "LAST_POSSIBLE",
    "NOTHING",
    "SNAPSHOT_EVENTS",
    "Aggregate",
    "Append",
    "CategoryChannels",
    "Change",
    "ChannelNames",
    "Clock",
    "Command",
    "Content",
    "ContentCounts",
    "DeliveryChannel",
    "DeliveryRequest",
    "ErasedGuild",
    "Exclusions",
    "GuildBound",
    "Head",
    "KeepsResults",
    "Leaf",
    "Leaves",
    "Ledger",
    "Loaded",
    "Log",
    "MessageProcessor",
    "Presence",
    "ReadModel",
    "Recorded",
    "Spill",
    "Standing",
    "StoredRow",
    "Stretch",
    "SummarizationEngine",
    "Timer",
    "Vault",
    "VaultCounts",
    "Writer",
]
