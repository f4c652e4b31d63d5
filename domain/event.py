"""What every event is: frozen, named by a short stable topic, versioned, with an aware UTC instant."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from operator import methodcaller
from typing import Annotated, Any, ClassVar
from uuid import UUID

from eventsourcing.domain import CanMutateAggregate, OriginatorIDError, OriginatorVersionError
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    GetCoreSchemaHandler,
)
from pydantic_core import PydanticKnownError, core_schema

from domain.instants import epoch_microseconds, from_epoch_microseconds, utc

__all__ = [
    "EVENT_TYPES",
    "SNAPSHOT_TYPES",
    "Event",
    "Snapshot",
    "Text",
    "Utc",
    "epoch_microseconds",
    "from_epoch_microseconds",
    "stream_text",
    "utc",
]

EVENT_TYPES: dict[str, type[Event]] = {}
"""Every kind of event by its topic. Topics are written into the log and never change."""

SNAPSHOT_TYPES: dict[str, type[Snapshot]] = {}
"""Every kind of snapshot by its topic."""


class _InUtc:
    """Turns an aware datetime into UTC. One that is, as all that the domain decides, is taken as it is."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        read = core_schema.no_info_after_validator_function(methodcaller("astimezone", UTC), handler(source))
        decided = core_schema.no_info_after_validator_function(_in_utc, core_schema.datetime_schema())
        return core_schema.json_or_python_schema(json_schema=read, python_schema=decided)


def _in_utc(instant: datetime) -> datetime:
    if instant.tzinfo is UTC:
        return instant
    if instant.utcoffset() is None:
        raise PydanticKnownError("timezone_aware")
    return instant.astimezone(UTC)


Utc = Annotated[AwareDatetime, _InUtc()]
"""An aware datetime, kept in UTC."""


def _writable(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


Text = Annotated[str, AfterValidator(_writable)]
"""What others said, as far as it can be written: a lone surrogate, which no file can hold, becomes a question mark."""


SHORT_NAMES = {
    "timestamp": "t",
    "run": "r",
    "slot": "s",
    "attempt": "a",
    "owner": "o",
    "deadline": "d",
    "since": "f",
    "next_slot": "n",
    "rules": "u",
}
"""Fields that stand in every run's events are written under one letter.

Two events a run are what the log is made of.
"""


def short_name(field: str) -> str:
    """The name of a field in the log."""
    return SHORT_NAMES.get(field, field)


def stream_text(stream_id: UUID) -> str:
    """The id of a stream as text. It is wanted several times a run, and costs more than to look it up."""
    return _text_of(stream_id.int)


@lru_cache(maxsize=12_000)
def _text_of(number: int) -> str:
    """By the number, which is hashed and compared in C: an id does both in Python."""
    text = f"{number:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


class Event(BaseModel, CanMutateAggregate[UUID]):
    """A past fact of one stream.

    ``topic`` stands in the log instead of a module path; ``schema_version`` says how the payload is laid out, and a
    class whose layout changed keeps one upcaster per old version. Fields that are None are not written; instants are
    written as milliseconds since 1970 (with a fraction where there is one). With an event that ``begins_anew`` a stream
    goes on although what stands before cannot be read.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        ser_json_temporal="milliseconds",
        val_temporal_unit="milliseconds",
        alias_generator=short_name,
        serialize_by_alias=True,
        validate_by_alias=True,
        validate_by_name=True,
    )

    topic: ClassVar[str]
    schema_version: ClassVar[int] = 1
    begins_anew: ClassVar[bool] = False

    originator_id: UUID
    originator_version: int
    timestamp: Utc

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if topic := cls.__dict__.get("topic"):
            if topic in EVENT_TYPES:
                raise TypeError(f"topic {topic!r} is taken by {EVENT_TYPES[topic].__qualname__}")
            EVENT_TYPES[topic] = cls

    def mutate(self, aggregate: Any) -> Any:
        """The aggregate moved on: what the library does, which asks an id for its value, and properties for theirs.

        Raises its errors for an event of another aggregate, or one that is not the next.
        """
        if self.originator_id is not aggregate.id and self.originator_id != aggregate.id:
            raise OriginatorIDError(self.originator_id, aggregate.id)
        if self.originator_version != (following := aggregate.version + 1):
            raise OriginatorVersionError(self.originator_version, following)
        self.apply(aggregate)
        aggregate._version, aggregate._modified_on = following, self.timestamp
        return aggregate

    @property
    def stream(self) -> str:
        """The id of the stream as text."""
        return stream_text(self.originator_id)

    @classmethod
    def upcast(cls, payload: dict[str, Any], schema_version: int) -> dict[str, Any]:
        """A payload written as ``schema_version`` in today's layout. Classes that changed override this."""
        return payload


class Snapshot(BaseModel):
    """The state of a stream at one version. ``fingerprint`` names the code that took it: another's is not used."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    topic: ClassVar[str]

    originator_id: UUID
    originator_version: int
    timestamp: Utc
    fingerprint: str

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if topic := cls.__dict__.get("topic"):
            SNAPSHOT_TYPES[topic] = cls
