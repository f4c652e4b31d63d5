"""Data keys, secrets and references to people, encrypted under a master key, in a SQL database."""

from __future__ import annotations

import hashlib
import hmac
import os
import threading
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidTag

from application.ports import VaultCounts
from domain.errors import InvalidInput, StoreError, StoreUnavailable, shown
from infrastructure.blobs import blob_of
from infrastructure.masking import remember_secret
from infrastructure.masterkey import KEY_BYTES, MasterBox, bound, load_master_key

__all__ = ["VAULT_SCHEMA", "Execute", "Outcome", "SqlVault", "WrongKey", "load_master_key"]

_CACHED_KEYS = 4096
_COLLISION_TRIES = 8
_SECRET_BYTES = 16_384

VAULT_SCHEMA = """
CREATE TABLE IF NOT EXISTS vault_meta (name TEXT PRIMARY KEY, value {binary} NOT NULL);
CREATE TABLE IF NOT EXISTS vault_keys (key_id {binary} PRIMARY KEY, guild_id TEXT NOT NULL, wrapped {binary});
CREATE UNIQUE INDEX IF NOT EXISTS vault_keys_live ON vault_keys (guild_id) WHERE wrapped IS NOT NULL;
CREATE TABLE IF NOT EXISTS vault_secrets (guild_id TEXT, reference TEXT, sealed {binary} NOT NULL,
                                          PRIMARY KEY (guild_id, reference));
CREATE TABLE IF NOT EXISTS vault_people (guild_id TEXT, reference TEXT, lookup {binary} NOT NULL,
                                         sealed {binary} NOT NULL,
                                         PRIMARY KEY (guild_id, reference), UNIQUE (guild_id, lookup))
"""


class Outcome(NamedTuple):
    """What one statement gave: its rows, and how many rows it changed."""

    rows: Sequence[tuple[Any, ...]]
    changed: int


Execute = Callable[[str, tuple[Any, ...]], Outcome]
"""Runs one statement, with ``?`` for parameters."""


class WrongKey(StoreUnavailable):
    """The master key is not the one that a vault was made with."""


class SqlVault(ABC):
    """The Vault port over any SQL database that knows ON CONFLICT DO NOTHING; the subclasses bring the connection.

    Every row is sealed with AES-256-GCM, bound to its place, so that rows cannot be swapped. People are found again
    through an HMAC under a lookup key that lives in the vault; that key, sealed too, is also what tells a wrong master
    key from the right one. A destroyed data key leaves its row without the key, as a tombstone.
    """

    def __init__(self, master_key: bytes, place: str) -> None:
        self._place = place
        self._box = MasterBox(master_key)
        self._keys: OrderedDict[bytes, tuple[str, bytes]] = OrderedDict()
        self._live: OrderedDict[str, bytes] = OrderedDict()
        self._cache_lock = threading.RLock()
        self._sealed_lookup_key = self._first_lookup_key()
        try:
            self._lookup_key = self._box.open(self._sealed_lookup_key, "lookup key")
        except InvalidTag:
            raise WrongKey(_wrong_key(place)) from None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._place!r})"

    @abstractmethod
    def _transaction(self) -> AbstractContextManager[Execute]:
        """One durable transaction; errors come out as StoreError."""

    def _reading(self) -> AbstractContextManager[Execute]:
        """For one statement that reads."""
        return self._transaction()

    @abstractmethod
    def _changed_elsewhere(self) -> bool:
        """Whether another connection may have changed the vault since the last call. Cheap."""

    @abstractmethod
    def close(self) -> None:
        """Release files and connections. Idempotent."""

    def data_key(self, guild_id: str) -> tuple[bytes, bytes]:
        """The (key id of 8 bytes, AES-256 key) that seals new payloads of a guild; made when first asked for.

        It is on disk before it is returned. Cached; a key that another process destroyed is not given out again.
        """
        return self.data_keys([guild_id])[guild_id]

    def data_keys(self, guild_ids: Iterable[str]) -> dict[str, tuple[bytes, bytes]]:
        """The same for several guilds: whether another process changed the vault is asked once."""
        with self._cache_lock:
            self._drop_stale_cache()
            return {guild_id: self._data_key(guild_id) for guild_id in guild_ids}

    def _data_key(self, guild_id: str) -> tuple[bytes, bytes]:
        key_id = self._live.get(guild_id)
        if key_id is None or key_id not in self._keys:
            key_id = self._fetch_or_make_key(guild_id)
        self._live.move_to_end(guild_id)
        self._keys.move_to_end(key_id)
        return key_id, self._keys[key_id][1]

    def key_by_id(self, key_id: bytes) -> bytes | None:
        """The AES-256 key of this id; None when it was destroyed or never existed."""
        return self.keys_by_id([key_id])[key_id]

    def keys_by_id(self, key_ids: Iterable[bytes]) -> dict[bytes, bytes | None]:
        """The same for several ids: whether another process changed the vault is asked once."""
        with self._cache_lock:
            self._drop_stale_cache()
            return {key_id: self._key_by_id(key_id) for key_id in key_ids}

    def _key_by_id(self, key_id: bytes) -> bytes | None:
        if (cached := self._keys.get(key_id)) is not None:
            self._keys.move_to_end(key_id)
            return cached[1]
        with self._reading() as execute:
            rows = execute("SELECT guild_id, wrapped FROM vault_keys WHERE key_id = ?", (key_id,)).rows
            if not rows or rows[0][1] is None:
                return None
            guild_id, wrapped = rows[0]
            key = self._open(execute, wrapped, f"data key {key_id.hex()}", "data key", guild_id, key_id.hex())
        self._remember(guild_id, key_id, key)
        return key

    def destroy_keys(self, guild_id: str) -> int:
        """Destroy all data keys of a guild for good and say how many; a key asked for later is a new one.

        What other processes have in memory is dropped when they next ask for a key.
        """
        with self._cache_lock:
            with self._writing() as execute:
                count = execute(
                    "UPDATE vault_keys SET wrapped = NULL WHERE guild_id = ? AND wrapped IS NOT NULL", (guild_id,)
                ).changed
            self._live.pop(guild_id, None)
            for key_id in [key_id for key_id, (owner, _) in self._keys.items() if owner == guild_id]:
                del self._keys[key_id]
            self._scrub()
        return count

    def key_ids(self, guild_id: str) -> list[str]:
        """The ids (hexadecimal) of all data keys that a guild ever had, destroyed ones among them."""
        with self._reading() as execute:
            rows = execute("SELECT key_id FROM vault_keys WHERE guild_id = ? ORDER BY key_id", (guild_id,)).rows
        return [bytes(key_id).hex() for (key_id,) in rows]

    def destroyed_keys(self) -> dict[str, str]:
        """By the id (hexadecimal) of each data key that was destroyed, whose it was."""
        with self._reading() as execute:
            rows = execute("SELECT key_id, guild_id FROM vault_keys WHERE wrapped IS NULL", ()).rows
        return {bytes(key_id).hex(): guild_id for key_id, guild_id in rows}

    def key_owners(self) -> dict[bytes, str]:
        """By the id of each data key, destroyed ones among them, whose it is."""
        with self._reading() as execute:
            rows = execute("SELECT key_id, guild_id FROM vault_keys", ()).rows
        return {bytes(key_id): guild_id for key_id, guild_id in rows}

    def kept_of(self, guild_id: str) -> VaultCounts:
        """How much there is of a guild."""
        statement = (
            "SELECT (SELECT count(*) FROM vault_keys WHERE guild_id = ? AND wrapped IS NOT NULL),"
            " (SELECT count(*) FROM vault_secrets WHERE guild_id = ?),"
            " (SELECT count(*) FROM vault_people WHERE guild_id = ?)"
        )
        with self._reading() as execute:
            [(keys, secrets, people)] = execute(statement, (guild_id,) * 3).rows
        return VaultCounts(keys, secrets, people)

    def erase_guild(self, guild_id: str, keys: Sequence[str] | None = None) -> VaultCounts:
        """Destroy a guild's data keys, secrets and references to people for good, in one transaction.

        With ``keys`` (ids) nothing is done unless one of these is still there: then this vault is a copy from before
        they were destroyed, and so is everything of the guild in it.
        """
        with self._cache_lock:
            with self._writing() as execute:
                statement = "SELECT key_id FROM vault_keys WHERE guild_id = ? AND wrapped IS NOT NULL"
                live = [bytes(key_id) for (key_id,) in execute(statement, (guild_id,)).rows]
                if keys is not None and not {key_id.hex() for key_id in live} & set(keys):
                    return VaultCounts()
                for key_id in live:
                    execute("UPDATE vault_keys SET wrapped = NULL WHERE key_id = ?", (key_id,))
                secrets = execute("DELETE FROM vault_secrets WHERE guild_id = ?", (guild_id,)).changed
                people = execute("DELETE FROM vault_people WHERE guild_id = ?", (guild_id,)).changed
            self.forget_cached_keys()
            self._scrub()
        return VaultCounts(len(live), secrets, people)

    def forget_cached_keys(self) -> None:
        """Drop the keys in memory, so that the next call asks the store."""
        with self._cache_lock:
            self._keys.clear()
            self._live.clear()

    def put_secret(self, guild_id: str, secret: str) -> str:
        """Keep a secret and return its reference (``secret:`` and 16 hexadecimal digits), which may stand in events."""
        plain = _secret_bytes(secret)
        remember_secret(secret)
        with self._writing() as execute:
            for _ in range(_COLLISION_TRIES):
                reference = f"secret:{os.urandom(8).hex()}"
                sealed = self._box.seal(plain, "secret", guild_id, reference)
                statement = "INSERT INTO vault_secrets VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
                if execute(statement, (guild_id, reference, sealed)).changed:
                    return reference
        raise StoreError(f"{self._place}: no free reference was found for a secret of guild {shown(guild_id)}")

    def secret(self, guild_id: str, reference: str) -> str | None:
        """The secret behind a reference of this guild; None when there is none. StoreError when its row is corrupt."""
        with self._reading() as execute:
            statement = "SELECT sealed FROM vault_secrets WHERE guild_id = ? AND reference = ?"
            rows = execute(statement, (guild_id, reference)).rows
            if not rows:
                return None
            secret = self._open(execute, rows[0][0], shown(reference), "secret", guild_id, reference).decode()
        remember_secret(secret)
        return secret

    def delete_secret(self, guild_id: str, reference: str) -> bool:
        """Forget a secret; False when there was none."""
        with self._writing() as execute:
            statement = "DELETE FROM vault_secrets WHERE guild_id = ? AND reference = ?"
            deleted = execute(statement, (guild_id, reference)).changed > 0
        if deleted:
            self._scrub()
        return deleted

    def secret_references(self) -> list[tuple[str, str]]:
        """(guild id, reference) of every secret, in no order."""
        with self._reading() as execute:
            rows = execute("SELECT guild_id, reference FROM vault_secrets", ()).rows
        return [(str(guild_id), str(reference)) for guild_id, reference in rows]

    def person_reference(self, guild_id: str, user_id: str) -> str:
        """The stable, random reference (``person:`` and 12 hexadecimal digits) of a person in a guild."""
        lookup = self._lookup(guild_id, user_id)
        statement = "SELECT reference FROM vault_people WHERE guild_id = ? AND lookup = ?"
        with self._reading() as execute:
            if rows := execute(statement, (guild_id, lookup)).rows:
                return str(rows[0][0])
        with self._writing() as execute:
            for _ in range(_COLLISION_TRIES):
                reference = f"person:{os.urandom(6).hex()}"
                sealed = self._box.seal(user_id.encode(), "person", guild_id, reference)
                execute(
                    "INSERT INTO vault_people VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
                    (guild_id, reference, lookup, sealed),
                )
                if rows := execute(statement, (guild_id, lookup)).rows:
                    return str(rows[0][0])
        raise StoreError(f"{self._place}: no free reference was found for a person of guild {shown(guild_id)}")

    def person(self, guild_id: str, reference: str) -> str | None:
        """The user id behind a reference; None when it was erased. StoreError when its row is corrupt."""
        with self._reading() as execute:
            statement = "SELECT sealed FROM vault_people WHERE guild_id = ? AND reference = ?"
            rows = execute(statement, (guild_id, reference)).rows
            if not rows:
                return None
            return self._open(execute, rows[0][0], shown(reference), "person", guild_id, reference).decode()

    def forget_person(self, guild_id: str, user_id: str) -> bool:
        """Erase the link between a person and the reference; the same person gets a new one afterwards."""
        with self._writing() as execute:
            statement = "DELETE FROM vault_people WHERE guild_id = ? AND lookup = ?"
            forgotten = execute(statement, (guild_id, self._lookup(guild_id, user_id))).changed > 0
        if forgotten:
            self._scrub()
        return forgotten

    def known_person(self, guild_id: str, user_id: str) -> str | None:
        """The reference of a person in a guild, if there is one; none is made."""
        statement = "SELECT reference FROM vault_people WHERE guild_id = ? AND lookup = ?"
        with self._reading() as execute:
            rows = execute(statement, (guild_id, self._lookup(guild_id, user_id))).rows
        return str(rows[0][0]) if rows else None

    def forget_reference(self, guild_id: str, reference: str) -> bool:
        """Erase the link between a reference and a person, by the reference; False when there was none."""
        with self._writing() as execute:
            statement = "DELETE FROM vault_people WHERE guild_id = ? AND reference = ?"
            forgotten = execute(statement, (guild_id, reference)).changed > 0
        if forgotten:
            self._scrub()
        return forgotten

    def rotate_master_key(self, old: bytes, new: bytes) -> int:
        """Seal everything anew, from ``old`` to ``new``, in one transaction; returns the number of rows.

        Other processes on this vault are refused from now on, until they are started with the new key. Raises
        StoreUnavailable when ``old`` is not the key of this vault; then nothing was changed.
        """
        old_box, new_box = MasterBox(old), MasterBox(new)
        with self._cache_lock:
            with self._writing() as execute:
                try:
                    lookup_key = old_box.open(self._sealed_lookup_key, "lookup key")
                except InvalidTag:
                    raise WrongKey(_wrong_key(self._place)) from None
                sealed_lookup_key = new_box.seal(lookup_key, "lookup key")
                execute("UPDATE vault_meta SET value = ? WHERE name = 'lookup key'", (sealed_lookup_key,))
                rows = self._reseal_all(execute, old_box, new_box)
            self._box, self._sealed_lookup_key = new_box, sealed_lookup_key
            self._scrub()
        return rows

    # --- how it is done ---

    def _scrub(self) -> None:  # noqa: B027 (a hook: a database that cannot scrub has nothing to do)
        """Remove what was deleted from the journals of the database, as far as it can be done."""

    @contextmanager
    def _writing(self) -> Iterator[Execute]:
        with self._transaction() as execute:
            # A process that still had the old master key would write rows that nobody could read.
            self._check_not_rotated(execute)
            yield execute

    def _check_not_rotated(self, execute: Execute) -> None:
        rows = execute("SELECT value FROM vault_meta WHERE name = 'lookup key'", ()).rows
        if not rows or bytes(rows[0][0]) != self._sealed_lookup_key:
            raise StoreUnavailable(
                f"the master key of {self._place} was changed by another process; restart this one with the new key"
            )

    def _first_lookup_key(self) -> bytes:
        asked = "SELECT value FROM vault_meta WHERE name = 'lookup key'"
        with self._reading() as execute:
            if rows := execute(asked, ()).rows:
                return blob_of(rows[0][0], self._place, "the lookup key")
        with self._transaction() as execute:
            sealed = self._box.seal(os.urandom(KEY_BYTES), "lookup key")
            # Two processes may be here at once: the first row stays, and both read it.
            execute("INSERT INTO vault_meta VALUES ('lookup key', ?) ON CONFLICT DO NOTHING", (sealed,))
            return blob_of(execute(asked, ()).rows[0][0], self._place, "the lookup key")

    def _fetch_or_make_key(self, guild_id: str) -> bytes:
        statement = "SELECT key_id, wrapped FROM vault_keys WHERE guild_id = ? AND wrapped IS NOT NULL"
        with self._writing() as execute:
            rows = execute(statement, (guild_id,)).rows
            for _ in range(_COLLISION_TRIES):
                if rows:
                    break
                key_id, key = os.urandom(8), os.urandom(KEY_BYTES)
                wrapped = self._box.seal(key, "data key", guild_id, key_id.hex())
                execute("INSERT INTO vault_keys VALUES (?, ?, ?) ON CONFLICT DO NOTHING", (key_id, guild_id, wrapped))
                rows = execute(statement, (guild_id,)).rows
            else:
                raise StoreError(f"{self._place}: no data key could be made for guild {shown(guild_id)}")
            key_id, wrapped = bytes(rows[0][0]), bytes(rows[0][1])
            key = self._open(execute, wrapped, f"data key {key_id.hex()}", "data key", guild_id, key_id.hex())
        self._remember(guild_id, key_id, key)
        return key_id

    def _open(self, execute: Execute, sealed: bytes, what: str, *bound: str) -> bytes:
        try:
            return self._box.open(blob_of(sealed, self._place, what), *bound)
        except InvalidTag:
            pass  # Raised below, outside of the handler, so that no chained frame is kept.
        self._check_not_rotated(execute)
        raise StoreError(f"{self._place}: {what} is corrupt or was moved here from another row; other rows can be read")

    def _lookup(self, guild_id: str, user_id: str) -> bytes:
        return hmac.digest(self._lookup_key, bound("person", guild_id, user_id), hashlib.sha256)

    def _reseal_all(self, execute: Execute, old: MasterBox, new: MasterBox) -> int:
        count = 0
        for key_id, guild_id, wrapped in execute("SELECT key_id, guild_id, wrapped FROM vault_keys", ()).rows:
            if wrapped is not None:
                resealed = self._resealed(old, new, wrapped, "data key", guild_id, bytes(key_id).hex())
                count += execute("UPDATE vault_keys SET wrapped = ? WHERE key_id = ?", (resealed, key_id)).changed
        for table, kind in (("vault_secrets", "secret"), ("vault_people", "person")):
            for guild_id, reference, sealed in execute(f"SELECT guild_id, reference, sealed FROM {table}", ()).rows:
                resealed = self._resealed(old, new, sealed, kind, guild_id, reference)
                statement = f"UPDATE {table} SET sealed = ? WHERE guild_id = ? AND reference = ?"
                count += execute(statement, (resealed, guild_id, reference)).changed
        return count

    def _resealed(self, old: MasterBox, new: MasterBox, sealed: bytes, *bound: str) -> bytes:
        try:
            return new.seal(old.open(bytes(sealed), *bound), *bound)
        except InvalidTag:
            name = " ".join(shown(part) for part in bound)
        raise StoreError(f"{self._place}: {name} is corrupt; delete it, then rotate again; nothing was changed")

    def _remember(self, guild_id: str, key_id: bytes, key: bytes) -> None:
        """One that was not destroyed: each guild has one of these, and what is sealed next is sealed with it."""
        self._keys[key_id], self._live[guild_id] = (guild_id, key), key_id
        for cache in (self._keys, self._live):
            while len(cache) > _CACHED_KEYS:
                cache.popitem(last=False)

    def _drop_stale_cache(self) -> None:
        if self._changed_elsewhere():
            self.forget_cached_keys()


def _secret_bytes(secret: str) -> bytes:
    try:
        plain = secret.encode()
    except UnicodeEncodeError:
        plain = b""
    if not 0 < len(plain) <= _SECRET_BYTES:
        hidden, remedy = f"(hidden, {len(secret)} characters)", f"give 1 to {_SECRET_BYTES} bytes of text"
        raise InvalidInput("secret", hidden, "cannot be kept", remedy)
    return plain


def _wrong_key(place: str) -> str:
    return (
        f"the master key does not fit {place}: give the one that it was made with, in DAYBOOK_MASTER_KEY or as the "
        "file master.key of the data folder (from your backup); without it the stored secrets cannot be read"
    )
