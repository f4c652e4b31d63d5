"""The other stores: content, the vault, and who is alive."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from domain.summary import Summary

__all__ = ["Content", "ContentCounts", "ErasedGuild", "Ledger", "Presence", "Spill", "Vault", "VaultCounts"]

Spill = Callable[[], MutableMapping[bytes, bytes]]
"""Makes an empty mapping that holds more than fits into memory, in the order in which it comes, until it is let go."""


@dataclass(frozen=True, slots=True)
class ContentCounts:
    """How many items of each kind a deletion took away."""

    summaries: int = 0
    run_details: int = 0
    cached: int = 0

    @property
    def total(self) -> int:
        """All kinds together."""
        return self.summaries + self.run_details + self.cached


@dataclass(frozen=True, slots=True)
class VaultCounts:
    """How much of a guild is, or was, in the vault."""

    keys: int = 0
    secrets: int = 0
    people: int = 0


@dataclass(frozen=True, slots=True)
class ErasedGuild:
    """A guild that was erased at an instant (aware UTC), and the ids of the data keys that were destroyed."""

    guild_id: str
    at: datetime
    keys: tuple[str, ...]
    by: str


class Ledger(Protocol):
    """Which guilds were erased, kept beside the stores: it stays when older copies of them are put back."""

    def entries(self) -> list[ErasedGuild]:
        """All of them, the oldest first. Raises StoreError when it cannot be read."""
        ...

    def add(self, erased: ErasedGuild) -> None:
        """One more, durable when this returns; one that is there already changes nothing."""
        ...


class Content(Protocol):
    """Summaries, run details and caches: personal data that people may want deleted. Thread-safe."""

    def save_summary(self, run_id: str, summary: Summary, at: datetime) -> None:
        """Keep the summary made by a run, replacing an earlier one of the same run."""
        ...

    def summary_of_run(self, run_id: str) -> Summary | None:
        """The summary that a run made, if it is (still) there."""
        ...

    def summary(self, summary_id: str) -> Summary | None:
        """A summary by its own id."""
        ...

    def save_run_detail(self, run_id: str, guild_id: str, detail: Mapping[str, Any], at: datetime) -> None:
        """Keep what is worth knowing of a run but does not belong into the log (JSON values only)."""
        ...

    def run_detail(self, run_id: str) -> dict[str, Any] | None:
        """What was kept of a run."""
        ...

    def cache_put(self, key: str, guild_id: str, value: Mapping[str, Any], at: datetime) -> None:
        """Keep a value that can be made again (JSON values only)."""
        ...

    def cache_get(self, key: str) -> dict[str, Any] | None:
        """A cached value."""
        ...

    def delete_before(
        self,
        cutoff: datetime,
        *,
        guild_id: str | None,
        summaries: bool = True,
        run_details: bool = True,
        cached: bool = True,
        dry_run: bool = False,
    ) -> ContentCounts:
        """Delete what was kept before ``cutoff`` (strictly), of one guild or (None) of all, and say how many."""
        ...

    def runs_with(self, guild_id: str, wanted: Callable[[str], bool]) -> list[str]:
        """The runs of a guild in whose summary or detail a text is ``wanted``; what is corrupt is asked as it is."""
        ...

    def delete_runs(self, guild_id: str, run_ids: Sequence[str], until: datetime) -> ContentCounts:
        """Delete what was kept of these runs of a guild through ``until``, and everything cached by then."""
        ...

    def close(self) -> None:
        """Release files and connections. Idempotent."""
        ...


class Vault(Protocol):
    """Data keys, secrets and references to people; encrypted under the master key. Thread-safe.

    A vault whose master key does not fit what is stored raises StoreUnavailable when it is opened.
    """

    def data_key(self, guild_id: str) -> tuple[bytes, bytes]:
        """The (key id of 8 bytes, AES-256 key) that seals new payloads of a guild; made when first asked for."""
        ...

    def data_keys(self, guild_ids: Iterable[str]) -> dict[str, tuple[bytes, bytes]]:
        """The same for several guilds, at the price of one."""
        ...

    def key_by_id(self, key_id: bytes) -> bytes | None:
        """The AES-256 key of this id; None when it was destroyed or never existed."""
        ...

    def keys_by_id(self, key_ids: Iterable[bytes]) -> dict[bytes, bytes | None]:
        """The same for several ids, at the price of one."""
        ...

    def destroy_keys(self, guild_id: str) -> int:
        """Destroy all data keys of a guild for good and say how many; what they sealed is unreadable from now on."""
        ...

    def key_ids(self, guild_id: str) -> list[str]:
        """The ids (hexadecimal) of all data keys that a guild ever had, destroyed ones among them."""
        ...

    def destroyed_keys(self) -> dict[str, str]:
        """By the id (hexadecimal) of each data key that was destroyed, whose it was."""
        ...

    def key_owners(self) -> dict[bytes, str]:
        """By the id of each data key, destroyed ones among them, whose it is."""
        ...

    def kept_of(self, guild_id: str) -> VaultCounts:
        """How much there is of a guild."""
        ...

    def erase_guild(self, guild_id: str, keys: Sequence[str] | None = None) -> VaultCounts:
        """Destroy a guild's data keys, secrets and references to people for good, and say how many.

        With ``keys`` (ids) nothing is done unless one of these is still there.
        """
        ...

    def put_secret(self, guild_id: str, secret: str) -> str:
        """Keep a secret and return its reference (``secret:`` and 16 hexadecimal digits), which may stand in events."""
        ...

    def secret(self, guild_id: str, reference: str) -> str | None:
        """The secret behind a reference of this guild; None when there is none."""
        ...

    def delete_secret(self, guild_id: str, reference: str) -> bool:
        """Forget a secret; False when there was none."""
        ...

    def secret_references(self) -> list[tuple[str, str]]:
        """(guild id, reference) of every secret."""
        ...

    def person_reference(self, guild_id: str, user_id: str) -> str:
        """The stable reference (``person:`` and 12 hexadecimal digits) of a person in a guild.

        It is made when it is first asked for.
        """
        ...

    def person(self, guild_id: str, reference: str) -> str | None:
        """The user id behind a reference; None when it was erased."""
        ...

    def forget_person(self, guild_id: str, user_id: str) -> bool:
        """Erase the link between a person and the reference."""
        ...

    def known_person(self, guild_id: str, user_id: str) -> str | None:
        """The reference of a person in a guild, if there is one; none is made."""
        ...

    def forget_reference(self, guild_id: str, reference: str) -> bool:
        """The same by the reference."""
        ...

    def close(self) -> None:
        """Release files and connections. Idempotent."""
        ...


class Presence(Protocol):
    """Which nodes are alive. On one folder that is the lock of the operating system; on PostgreSQL a short lease."""

    def join(self, node: str, now: datetime) -> list[tuple[str, datetime]]:
        """Announce this node; returns nodes found dead, each with the instant it was last seen alive (UTC).

        They are found again by others until this node's first beat, which says that their end is written down.
        Raises StoreInUse where only one node may hold the store.
        """
        ...

    def beat(self, node: str, now: datetime) -> list[tuple[str, datetime]]:
        """Say that this node is alive; returns nodes newly found dead.

        Raises LeaseLost when others count it as dead, StoreUnavailable when it cannot be said.
        """
        ...

    def dead(self, nodes: Sequence[str], now: datetime) -> list[str]:
        """Those of ``nodes`` that are certainly not running any more."""
        ...

    def leave(self, node: str | None = None) -> None:
        """Take this node off, cleanly; whatever name it joined under last, where none is given. Idempotent."""
        ...
