"""The mapper: what is sealed, what opens, and what the errors say."""

from __future__ import annotations

import logging
import subprocess
import sys
import traceback
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AfterValidator

from domain.errors import EventUnreadable, PayloadErased
from domain.event import EVENT_TYPES, Event
from infrastructure.mapper import EventMapper
from tests.contracts.log_parts import GUILD, NOON, Moved, Noted, TinyVault, Total, noted

STREAM = UUID("0190a1b2-c3d4-7e5f-8a6b-9c0d1e2f3a4b")


class Renamed(Event):
    """A kind of event whose layout changed twice."""

    topic: ClassVar[str] = "test.mapper.renamed"
    schema_version: ClassVar[int] = 3

    title: str
    size: int

    @classmethod
    def upcast(cls, payload: dict[str, Any], schema_version: int) -> dict[str, Any]:
        """Version 1 called the title name; version 2 had no size."""
        if schema_version < 2:
            payload = {**payload, "title": payload["name"]}
            del payload["name"]
        return {**payload, "size": len(payload["title"])} if schema_version < 3 else payload


class Fragile(Event):
    """An event with a field whose validator can break."""

    topic: ClassVar[str] = "test.mapper.fragile"

    divisor: Annotated[int, AfterValidator(lambda value: 1 // value)]


class RenamedBefore(Event):
    """How Renamed looked in version 1; takes its topic only while it writes."""

    name: str | None = None
    schema_version: ClassVar[int] = 1
    topic: ClassVar[str] = ""


@pytest.fixture
def vault() -> TinyVault:
    """A vault without files."""
    return TinyVault()


@pytest.fixture
def mapper(vault: TinyVault) -> EventMapper:
    """A mapper over it."""
    return EventMapper(vault)  # type: ignore[arg-type]


def old_state(mapper: EventMapper, schema_version: int, **fields: Any) -> bytes:
    """A sealed payload of Renamed as an older (or newer) program would have written it."""
    old = type("Old", (RenamedBefore,), {"__annotations__": {"schema_version": "ClassVar[int]"}})
    old.schema_version = schema_version  # type: ignore[attr-defined]
    event = old(originator_id=STREAM, originator_version=1, timestamp=NOON, **fields)
    old.topic = Renamed.topic  # type: ignore[attr-defined]
    return mapper.encode(event, GUILD)[1]


@given(
    text=st.text(),
    number=st.none() | st.integers(-(2**60), 2**60),
    version=st.integers(1, 2**62),
    at=st.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
)
def test_decoding_gives_back_what_was_encoded(text: str, number: int | None, version: int, at: datetime) -> None:
    """Whatever the fields hold, the event read equals the event written."""
    mapper = EventMapper(TinyVault())  # type: ignore[arg-type]
    event = Noted(originator_id=STREAM, originator_version=version, timestamp=at, text=text, number=number)
    topic, state = mapper.encode(event, GUILD)
    assert mapper.decode(STREAM, version, topic, state) == event


def test_a_snapshot_comes_back(mapper: EventMapper) -> None:
    """Snapshots are sealed and opened like events."""
    snapshot = Total(originator_id=STREAM, originator_version=7, timestamp=NOON, fingerprint="f", texts=("a", "b"))
    topic, state = mapper.encode_snapshot(snapshot, GUILD)
    assert mapper.decode_snapshot(STREAM, 7, topic, state) == snapshot


def test_nothing_readable_stands_in_the_state(mapper: EventMapper) -> None:
    """The payload is sealed: neither its text nor a module path is visible, and sealing twice gives other bytes."""
    event = noted(STREAM, 1, "a very private remark")
    topic, state = mapper.encode(event, GUILD)
    assert topic == "test.log.noted"
    assert b"private" not in state
    assert b"tests" not in state
    assert mapper.encode(event, GUILD)[1] != state


@given(data=st.data())
def test_no_changed_byte_goes_unnoticed(data: st.DataObject) -> None:
    """Any flipped bit and any truncation of a state is an error with the place in it, never another event."""
    mapper = EventMapper(TinyVault())  # type: ignore[arg-type]
    topic, state = mapper.encode(noted(STREAM, 3, "x"), GUILD)
    if data.draw(st.booleans(), label="truncate"):
        changed = state[: data.draw(st.integers(0, len(state) - 1), label="length")]
    else:
        bit = data.draw(st.integers(0, 8 * len(state) - 1), label="bit")
        flipped = bytearray(state)
        flipped[bit // 8] ^= 1 << bit % 8
        changed = bytes(flipped)
    with pytest.raises(EventUnreadable) as caught:
        mapper.decode(STREAM, 3, topic, changed)
    assert (caught.value.stream_id, caught.value.version) == (str(STREAM), 3)


def test_a_row_that_was_moved_or_relabelled_does_not_load(mapper: EventMapper) -> None:
    """The seal binds stream, version and topic, and tells events from snapshots."""
    topic, state = mapper.encode(noted(STREAM, 3, "x"), GUILD)
    for stream_id, version, name in ((uuid4(), 3, topic), (STREAM, 4, topic), (STREAM, 3, Moved.topic)):
        with pytest.raises(EventUnreadable, match="tampered"):
            mapper.decode(stream_id, version, name, state)
    with pytest.raises(EventUnreadable, match="tampered"):
        mapper.decode_snapshot(STREAM, 3, Total.topic, state)


def test_an_unknown_topic_is_named_with_its_instant(mapper: EventMapper, monkeypatch: pytest.MonkeyPatch) -> None:
    """An event this program does not know is an error that tells its topic and when it happened."""
    topic, state = mapper.encode(noted(STREAM, 1, "x"), GUILD)
    monkeypatch.delitem(EVENT_TYPES, topic)
    with pytest.raises(EventUnreadable, match=r"unknown topic") as caught:
        mapper.decode(STREAM, 1, topic, state)
    assert caught.value.topic == topic
    assert caught.value.at == noted(STREAM, 1).timestamp


def test_older_layouts_are_brought_up_to_date(mapper: EventMapper) -> None:
    """Payloads of every older schema version go through the upcaster of their class."""
    loaded = mapper.decode(STREAM, 1, Renamed.topic, old_state(mapper, 1, name="diary"))
    assert loaded == Renamed(originator_id=STREAM, originator_version=1, timestamp=NOON, title="diary", size=5)


def test_a_newer_layout_asks_for_an_upgrade(mapper: EventMapper) -> None:
    """A payload of a newer schema version is refused with both versions and its instant."""
    with pytest.raises(EventUnreadable, match=r"schema version 4, this program knows 3") as caught:
        mapper.decode(STREAM, 1, Renamed.topic, old_state(mapper, 4, name="diary"))
    assert caught.value.at == NOON


def test_a_failing_upcaster_is_an_unreadable_event(mapper: EventMapper) -> None:
    """Whatever an upcaster raises becomes the domain's error, without the payload in its text."""
    with pytest.raises(EventUnreadable, match=r"schema version 1 \(KeyError\)"):
        mapper.decode(STREAM, 1, Renamed.topic, old_state(mapper, 1))


def test_a_payload_of_the_wrong_shape_is_named_without_its_contents(mapper: EventMapper) -> None:
    """The error names the field and what is wrong with it, not what stands in it."""
    state = old_state(mapper, 3, name="a secret")
    with pytest.raises(EventUnreadable, match=r"broken payload \(title: missing\)") as caught:
        mapper.decode(STREAM, 1, Renamed.topic, state)
    assert "secret" not in "".join(traceback.format_exception(caught.value))


def test_a_validator_that_breaks_is_an_unreadable_event(mapper: EventMapper) -> None:
    """Whatever a field's own validator raises stops no reading."""
    topic, state = mapper.encode(
        Fragile.model_construct(originator_id=STREAM, timestamp=NOON, divisor=0, originator_version=1), GUILD
    )
    with pytest.raises(EventUnreadable, match=r"broken payload \(ZeroDivisionError\)"):
        mapper.decode(STREAM, 1, topic, state)


def test_an_erased_payload_is_told_from_a_damaged_one(mapper: EventMapper, vault: TinyVault) -> None:
    """When the key is gone the error is PayloadErased, also where the mapper had used the key before."""
    topic, state = mapper.encode(noted(STREAM, 1, "x"), GUILD)
    mapper.decode(STREAM, 1, topic, state)
    vault.destroy_keys(GUILD)
    with pytest.raises(PayloadErased):
        mapper.decode(STREAM, 1, topic, state)


def test_the_vault_is_asked_once_a_batch(mapper: EventMapper, vault: TinyVault) -> None:
    """Reading a thousand events of one guild asks for its key once."""
    rows = [(v, STREAM.hex, v, *mapper.encode(noted(STREAM, v), GUILD)) for v in range(1, 1001)]
    assert len(mapper.recorded(rows)) == 1000
    assert vault.questions == 1


def test_errors_handed_on_hold_no_keys_and_no_payloads(mapper: EventMapper, vault: TinyVault) -> None:
    """A recorded error keeps no traceback and no chained error, whose frames would hold ciphers and plain text."""
    good = mapper.encode(noted(STREAM, 1, "private"), GUILD)
    broken = (Renamed.topic, old_state(mapper, 3, name="private"))
    rows = [(1, STREAM.hex, 2, *good), (2, STREAM.hex, 1, *broken), (3, STREAM.hex, 1, good[0], b"")]
    for entry in mapper.recorded(rows):
        assert isinstance(entry.event, EventUnreadable)
        assert (entry.event.__traceback__, entry.event.__cause__, entry.event.__context__) == (None, None, None)


def test_key_material_is_in_no_representation(
    mapper: EventMapper, vault: TinyVault, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither the mapper's representation nor anything it logs holds a key."""
    caplog.set_level(logging.DEBUG)
    mapper.encode(noted(STREAM, 1), GUILD)
    key = vault.data_key(GUILD)[1]
    assert repr(key)[2:-1] not in repr(mapper) + caplog.text
    assert key.hex() not in repr(mapper) + caplog.text


def test_whoever_reads_a_log_knows_every_kind_of_event() -> None:
    """Kinds are known by their class: one that nothing has imported would look like that of a newer version."""
    told = "from domain import event as e; print(sorted({**e.EVENT_TYPES, **e.SNAPSHOT_TYPES}))"
    known = f"import infrastructure.mapper; {told}"
    everything = (
        "import pkgutil, importlib, domain;"
        "[importlib.import_module(f'domain.{one.name}') for one in pkgutil.iter_modules(domain.__path__)];" + told
    )
    first, second = (
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
        for program in (known, everything)
    )
    assert first == second
    assert "guild.history_imported" in first
