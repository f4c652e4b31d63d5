"""Events to sealed rows and back: JSON under a short topic, sealed with the guild's data key, bound to its place."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from threading import Lock
from typing import NamedTuple, TypeVar, cast
from uuid import UUID
from zlib import compress, decompress

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic_core import from_json, to_json

import domain.event_kinds  # noqa: F401  # a kind that no module has brought in would be taken for a newer program's
from application.ports import Append, Recorded, Vault
from domain.errors import EventUnreadable, PayloadErased
from domain.event import EVENT_TYPES, SNAPSHOT_TYPES, Event, Snapshot, short_name, utc

__all__ = ["EventMapper", "Row", "check_contiguous", "key_id_of"]

_FORMAT = 1
_NEWEST_SCHEMA_VERSION = 255
_NONCE_BYTES = 12
_TAG_BYTES = 16
_KEY_ID = slice(2, 10)
_NONCE = slice(10, 10 + _NONCE_BYTES)
_SEALED = slice(10 + _NONCE_BYTES, None)
_SNAPSHOT_LAYOUT = 1
"""Compressed, and without what is as the code has it by default: a row of SQLite stays in one page then, also
where a task has several destinations. Snapshots of layout 0 are not used any more."""
_SHORTEST_STATE_BYTES = 10 + _NONCE_BYTES + _TAG_BYTES
_CACHED_KEYS = 4096
_PLACE_FIELDS = {"originator_id", "originator_version"}
_INSTANT = TypeAdapter(datetime, config=ConfigDict(val_temporal_unit="milliseconds"))
_State = bytes | str | None
"""What stands where a state should be: a damaged row may hold anything."""
_Model = TypeVar("_Model", Event, Snapshot)


class Row(NamedTuple):
    """One event as a store keeps it. ``stream`` is the stream's id as 32 hexadecimal digits."""

    stream: str
    version: int
    topic: str
    state: bytes


def check_contiguous(appends: Sequence[Append]) -> dict[UUID, int]:
    """The head that each stream must have before these appends; ValueError for a gap or a foreign event.

    A stream may occur more than once if the later append goes on where the earlier one ends.
    """
    expected: dict[UUID, int] = {}
    reached: dict[int, int] = {}
    for append in appends:
        stream_id = append.stream_id
        stream = stream_id.int  # as a key it costs a tenth of what the id itself does
        if not append.events:
            raise ValueError(f"nothing to append to stream {stream_id}")
        version = reached.get(stream)
        if version is None:
            version = append.events[0].originator_version - 1
            if version < 0:
                raise ValueError(f"stream {stream_id}: versions start at 1, not {version + 1}")
            expected[stream_id] = version
        for event in append.events:
            version += 1
            if event.originator_id is not stream_id and event.originator_id != stream_id:
                raise ValueError(f"an event of stream {event.originator_id} in an append to stream {stream_id}")
            if event.originator_version != version:
                raise ValueError(f"stream {stream_id}: version {event.originator_version} where {version} must follow")
        reached[stream] = version
    return expected


class EventMapper:
    """Turns events and snapshots into what a store keeps, and back.

    A stored state is a header (format, schema version, key id, nonce) and the payload sealed with AES-256-GCM. The seal
    covers format, schema version, stream, version and topic: a row that was swapped, moved or relabelled does not load.
    The vault is asked once per key and batch, so that a destroyed key stops sealing and opening with the next batch.
    Thread-safe.
    """

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._ciphers: OrderedDict[bytes, AESGCM] = OrderedDict()
        self._lock = Lock()

    # --- writing

    def encode(self, event: Event, guild_id: str) -> tuple[str, bytes]:
        """The (topic, state) of an event, sealed with the guild's data key."""
        key_id, cipher = self._sealing_key(guild_id)
        return event.topic, _seal_event(event, event.originator_id.hex, key_id, cipher, _nonce())

    def rows(self, appends: Sequence[Append]) -> list[Row]:
        """All events of a batch as rows, in order."""
        keys = {
            guild_id: (key_id, self._cipher(key_id, key))
            for guild_id, (key_id, key) in self._vault.data_keys({append.guild_id for append in appends}).items()
        }
        rows: list[Row] = []
        nonces = _nonces(sum(len(append.events) for append in appends))
        for append in appends:
            key_id, cipher = keys[append.guild_id]
            stream = append.stream_id.hex
            for event in append.events:
                state = _seal_event(event, stream, key_id, cipher, next(nonces))
                rows.append(Row(stream, event.originator_version, event.topic, state))
        return rows

    def encode_snapshot(self, snapshot: Snapshot, guild_id: str) -> tuple[str, bytes]:
        """The (topic, state) of a snapshot, sealed with the guild's data key."""
        key_id, cipher = self._sealing_key(guild_id)
        serializer = type(snapshot).__pydantic_serializer__
        payload = compress(serializer.to_json(snapshot, exclude=_PLACE_FIELDS, exclude_defaults=True))
        stream = snapshot.originator_id.hex
        bound = _place("snapshot", _SNAPSHOT_LAYOUT, stream, snapshot.originator_version, snapshot.topic)
        return snapshot.topic, _seal(payload, _SNAPSHOT_LAYOUT, key_id, cipher, _nonce(), bound)

    def _sealing_key(self, guild_id: str) -> tuple[bytes, AESGCM]:
        key_id, key = self._vault.data_key(guild_id)
        return key_id, self._cipher(key_id, key)

    def _cipher(self, key_id: bytes, key: bytes) -> AESGCM:
        with self._lock:
            cipher = self._ciphers.get(key_id)
        return cipher or self._remember(key_id, key)

    # --- reading

    def decode(self, stream_id: UUID, version: int, topic: str, state: bytes) -> Event:
        """The event behind a stored row. Raises EventUnreadable or PayloadErased."""
        return self._event(stream_id.hex, version, topic, state, {})

    def decode_snapshot(self, stream_id: UUID, version: int, topic: str, state: bytes) -> Snapshot:
        """The snapshot behind a stored row. Raises EventUnreadable or PayloadErased."""
        return self._snapshot(stream_id.hex, version, topic, state, {})

    def recorded(self, rows: Sequence[tuple[int, str, int, str, _State]]) -> list[Recorded]:
        """Rows (position, stream, version, topic, state) as Recorded; what cannot be read stands there as its error."""
        ciphers: dict[bytes, AESGCM | None] = {}
        result: list[Recorded] = []
        for position, stream, version, topic, state in rows:
            try:
                result.append(Recorded(position, self._event(stream, version, topic, state, ciphers)))
            except EventUnreadable as error:
                # The traceback holds frames with keys and payloads: what is handed on is the bare error.
                result.append(Recorded(position, error.with_traceback(None)))
        return result

    def recorded_by_stream(self, rows: Sequence[tuple[int, str, int, str, _State]]) -> dict[str, list[Recorded]]:
        """The same by stream, in the order of the rows. Streams read together ask the vault once for each guild."""
        streams: dict[str, list[Recorded]] = {}
        for row, one in zip(rows, self.recorded(rows), strict=True):
            streams.setdefault(row[1], []).append(one)
        return streams

    def usable_snapshots(self, rows: Sequence[tuple[str, int, str, _State]], fingerprint: str) -> dict[str, Snapshot]:
        """By stream, the last snapshot among rows (stream, version, topic, state) that this fingerprint may use.

        One that is unreadable, or another's, costs time and nothing else: the whole stream is read instead.
        """
        ciphers: dict[bytes, AESGCM | None] = {}
        usable: dict[str, Snapshot] = {}
        for stream, version, topic, state in rows:
            with suppress(EventUnreadable):
                snapshot = self._snapshot(stream, version, topic, state, ciphers)
                if snapshot.fingerprint == fingerprint:
                    usable[stream] = snapshot
        return usable

    def _snapshot(
        self, stream: str, version: int, topic: str, state: _State, ciphers: dict[bytes, AESGCM | None]
    ) -> Snapshot:
        layout, payload = self._open("snapshot", stream, version, topic, state, ciphers)
        cls = SNAPSHOT_TYPES.get(topic)
        if cls is None or layout != _SNAPSHOT_LAYOUT:
            raise EventUnreadable(_uuid(stream), version, topic, "a snapshot of an unknown kind")
        return _validated(cls, stream, version, topic, decompress(payload))

    def _event(
        self, stream: str, version: int, topic: str, state: _State, ciphers: dict[bytes, AESGCM | None]
    ) -> Event:
        schema_version, payload = self._open("event", stream, version, topic, state, ciphers)
        cls = EVENT_TYPES.get(topic)
        if cls is None:
            reason = "unknown topic: a newer version of this program wrote it; this one needs an upgrade"
            raise EventUnreadable(_uuid(stream), version, topic, reason, _instant(payload))
        if schema_version != cls.schema_version:
            payload = _upcast(cls, stream, version, payload, schema_version)
        return _validated(cls, stream, version, topic, payload)

    def _open(
        self, kind: str, stream: str, version: int, topic: str, state: _State, ciphers: dict[bytes, AESGCM | None]
    ) -> tuple[int, bytes]:
        """The schema version and the opened payload. ``ciphers`` are those of this batch."""
        if not isinstance(state, bytes) or len(state) < _SHORTEST_STATE_BYTES:
            raise EventUnreadable(_uuid(stream), version, str(topic), "truncated")
        if state[0] != _FORMAT:
            raise EventUnreadable(_uuid(stream), version, topic, f"storage format {state[0]}, known is {_FORMAT}")
        key_id = state[_KEY_ID]
        try:
            cipher = ciphers[key_id]
        except KeyError:
            cipher = ciphers[key_id] = self._opening_key(key_id)
        if cipher is None:
            raise PayloadErased(_uuid(stream), version, topic, key_id.hex())
        try:
            bound = _place(kind, state[1], stream, version, topic)
            return state[1], cipher.decrypt(state[_NONCE], state[_SEALED], bound)
        except InvalidTag:
            pass  # Raised below, outside of the handler: a chained error would keep this frame, and with it the cipher.
        raise EventUnreadable(_uuid(stream), version, topic, "tampered with, moved or damaged")

    def _opening_key(self, key_id: bytes) -> AESGCM | None:
        key = self._vault.key_by_id(key_id)
        with self._lock:
            if key is None:
                self._ciphers.pop(key_id, None)
                return None
            cipher = self._ciphers.get(key_id)
        return cipher or self._remember(key_id, key)

    def _remember(self, key_id: bytes, key: bytes) -> AESGCM:
        cipher = AESGCM(key)
        with self._lock:
            self._ciphers[key_id] = cipher
            while len(self._ciphers) > _CACHED_KEYS:
                self._ciphers.popitem(last=False)
        return cipher


def key_id_of(state: _State) -> bytes:
    """The id of the key that seals a stored state; of no key, where something else stands in its place."""
    return state[_KEY_ID] if isinstance(state, bytes) else b""


def _place(kind: str, schema_version: int, stream: str, version: int, topic: str) -> bytes:
    return f"{kind} {_FORMAT} {schema_version} {stream} {version} {topic}".encode("utf-8", "surrogatepass")


def _nonce() -> bytes:
    return os.urandom(_NONCE_BYTES)


def _nonces(count: int) -> Iterator[bytes]:
    """As many nonces: the system is asked once."""
    random = os.urandom(count * _NONCE_BYTES)
    return (random[at : at + _NONCE_BYTES] for at in range(0, len(random), _NONCE_BYTES))


def _seal_event(event: Event, stream: str, key_id: bytes, cipher: AESGCM, nonce: bytes) -> bytes:
    schema_version = event.schema_version
    if not 0 < schema_version <= _NEWEST_SCHEMA_VERSION:
        raise ValueError(
            f"{type(event).__name__}.schema_version is {schema_version}, not within 1-{_NEWEST_SCHEMA_VERSION}"
        )
    payload = event.__pydantic_serializer__.to_json(event, exclude=_PLACE_FIELDS, exclude_none=True)
    bound = _place("event", schema_version, stream, event.originator_version, event.topic)
    return _seal(payload, schema_version, key_id, cipher, nonce, bound)


def _seal(payload: bytes, schema_version: int, key_id: bytes, cipher: AESGCM, nonce: bytes, bound: bytes) -> bytes:
    return bytes((_FORMAT, schema_version)) + key_id + nonce + cipher.encrypt(nonce, payload, bound)


def _validated(cls: type[_Model], stream: str, version: int, topic: str, payload: bytes) -> _Model:
    # Splicing the two ids into the text keeps the whole decoding in one pass of the Rust validator.
    text = b'{"originator_id":"%b","originator_version":%d,%b' % (stream.encode(), version, payload[1:])
    try:
        return cast(_Model, cls.__pydantic_validator__.validate_json(text))
    except ValidationError as error:
        first = error.errors(include_input=False, include_context=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        reason = f"{place}: {first['type']}" if place else first["type"]
    except Exception as error:
        # A validator of a field that overflows or recurses: reading must go on all the same.
        reason = type(error).__name__
    raise EventUnreadable(_uuid(stream), version, topic, f"broken payload ({reason})", _instant(payload))


def _upcast(cls: type[Event], stream: str, version: int, payload: bytes, schema_version: int) -> bytes:
    if schema_version > cls.schema_version:
        reason = f"schema version {schema_version}, this program knows {cls.schema_version}: it needs an upgrade"
        raise EventUnreadable(_uuid(stream), version, cls.topic, reason, _instant(payload))
    try:
        return to_json(cls.upcast(from_json(payload), schema_version))
    except Exception as error:
        # Whatever an upcaster stumbles over, reading must go on; the message may hold payload, the class does not.
        reason = f"cannot be brought up from schema version {schema_version} ({type(error).__name__})"
    raise EventUnreadable(_uuid(stream), version, cls.topic, reason, _instant(payload))


def _instant(payload: bytes) -> datetime | None:
    """When the event happened, as far as its payload still tells."""
    try:
        return utc(_INSTANT.validate_python(from_json(payload)[short_name("timestamp")]))
    except (ValueError, KeyError, TypeError):
        return None


def _uuid(stream: str) -> UUID | str:
    """The stream's id as people see it; a damaged one as it is."""
    try:
        return UUID(stream)
    except (ValueError, AttributeError, TypeError):
        return str(stream)
