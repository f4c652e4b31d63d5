"""Every error Daybook raises on purpose, as one tree.

DaybookError
├── InvalidInput (also a ValueError)     the request is wrong: field, value, problem, remedy
│   ├── InvalidSchedule                  a schedule that cannot be understood or can never run
│   ├── InvalidTimezone                  not an IANA zone
│   ├── InvalidDestination               a destination that cannot be delivered to
│   └── InvalidImport                    an import file, with the place in it
├── NotFound (also a LookupError)        no such thing, or not yours to see
│   ├── TaskNotFound
│   └── RunNotFound
├── Forbidden                            the principal may not do this in its own guild
├── QuotaExceeded                        the guild has used up what it may: the limit, the count, what to do
├── Refused                              a guard of the aggregate said no: its state does not allow it
│   ├── TaskEnded                        cancelled or completed
│   ├── NotDue                           nothing to start at this instant
│   └── StaleAttempt                     the attempt was closed, or belongs to another owner
├── ProcessingError                      a run could not be done
│   ├── InsufficientContent              too few messages: quiet, not a failure
│   ├── ChannelInaccessible              the channel is gone or may not be read
│   ├── FetchFailed                      messages could not be fetched
│   │   └── SourceUnavailable            the source cannot be reached at all: the run is postponed
│   ├── SourceRateLimited                the source asked to wait
│   └── OperationUnknown                 no handler is registered for a custom operation
├── DeliveryFailed                       a destination did not take the result: permanent or transient
└── StoreError
    ├── Conflict                         another writer extended the stream first
    ├── AppendUnknown                    the store failed while committing: written or not is unknown
    ├── StoreUnavailable                 locked, full, read-only, unreachable
    ├── StoreInUse                       another process holds the data folder
    ├── StoreCut                         events that were written are gone from the log, at its end or within
    ├── EventUnreadable                  corrupt, of an unknown topic, or newer than this program
    ├── EventsMissing                    the log does not hold it: a number is left out, or the end is gone
    ├── EventMoved                       it stands at a position at which it was not written
    └── PayloadErased                    its data key was destroyed
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

__all__ = [
    "AppendUnknown",
    "ChannelInaccessible",
    "Conflict",
    "DaybookError",
    "DeliveryFailed",
    "EventMoved",
    "EventUnreadable",
    "EventsMissing",
    "FetchFailed",
    "Forbidden",
    "InsufficientContent",
    "InvalidDestination",
    "InvalidImport",
    "InvalidInput",
    "InvalidSchedule",
    "InvalidTimezone",
    "LeaseLost",
    "NotDue",
    "NotFound",
    "OperationUnknown",
    "PayloadErased",
    "ProcessingError",
    "QuotaExceeded",
    "Refused",
    "RunNotFound",
    "SourceRateLimited",
    "SourceUnavailable",
    "StaleAttempt",
    "StoreCut",
    "StoreError",
    "StoreInUse",
    "StoreUnavailable",
    "TaskEnded",
    "TaskNotFound",
]

_SHOWN_VALUE_CHARACTERS = 60


def shown(value: object) -> str:
    """A value as an error message may show it: escaped, on one line, at most 60 characters."""
    text = ascii(value) if not isinstance(value, str) else repr(value).encode("ascii", "backslashreplace").decode()
    return text if len(text) <= _SHOWN_VALUE_CHARACTERS else text[: _SHOWN_VALUE_CHARACTERS - 1] + "…"


def _sayable(text: str) -> str:
    """A text of a damaged row, as a file and a terminal can hold it."""
    return text.encode("utf-8", "backslashreplace").decode()


class DaybookError(Exception):
    """The root of the tree."""


class InvalidInput(DaybookError, ValueError):
    """A request that is wrong in itself: ``field`` says where, ``problem`` what, ``remedy`` what would be right."""

    def __init__(self, field: str, value: Any, problem: str, remedy: str = "") -> None:
        self.field, self.value, self.problem, self.remedy = field, value, problem, remedy
        super().__init__(f"{field}: {shown(value)} {problem}" + (f"; {remedy}" if remedy else ""))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.field, self.value, self.problem, self.remedy)


class InvalidSchedule(InvalidInput):
    """A schedule that cannot be understood, or that can never run."""


class InvalidTimezone(InvalidInput):
    """A text that names no zone of the IANA database."""


class InvalidDestination(InvalidInput):
    """A destination that nothing here can deliver to."""


class InvalidImport(InvalidInput):
    """An import file that is broken; ``field`` names the place in it."""

    def __init__(self, field: str, value: Any, problem: str, remedy: str = "") -> None:
        super().__init__(field, value, problem, remedy)
        if value == "":  # there is nothing to show, or it is the place that is wrong
            self.args = (f"{field}: {problem}" + (f"; {remedy}" if remedy else ""),)


class NotFound(DaybookError, LookupError):
    """No such thing, or nothing the principal may see: the two look alike on purpose."""

    def __init__(self, kind: str, id: str) -> None:
        self.kind, self.id = kind, id
        super().__init__(f"no {kind} {shown(id)}")


class TaskNotFound(NotFound):
    """No task of this id, or name, that the principal may see. It may be one of those that were ``erased``."""

    def __init__(self, task_id: str, erased: int = 0) -> None:
        super().__init__("task", task_id)
        self.erased = erased
        if erased:
            several = "1 task was erased, and its name with it"
            if erased > 1:
                several = f"{erased} tasks were erased, and their names with them"
            self.args = (f"{self}; {several}: `daybook tasks list --all` shows the ids that still answer",)


class RunNotFound(NotFound):
    """No run of this id that the principal may see."""

    def __init__(self, run_id: str) -> None:
        super().__init__("run", run_id)


class Forbidden(DaybookError):
    """The principal may see this guild but not do this in it."""


class QuotaExceeded(DaybookError):
    """The guild may not have more of something.

    ``quota`` names the limit as settings do, ``limit`` is its value, ``current`` what there is or was asked for;
    ``remedy`` says what people can do.
    """

    def __init__(self, guild_id: str, quota: str, limit: float, current: float, problem: str, remedy: str) -> None:
        self.guild_id, self.quota, self.limit, self.current = guild_id, quota, limit, current
        self.problem, self.remedy = problem, remedy
        super().__init__(f"{quota}: {problem}; {remedy}")


class Refused(DaybookError):
    """The state of the task does not allow the command; nothing was written."""

    def __init__(self, task_id: object, reason: str) -> None:
        self.task_id, self.reason = str(task_id), reason
        super().__init__(f"task {self.task_id}: {reason}")


class TaskEnded(Refused):
    """The task is cancelled or completed: it will not run again and cannot be changed."""


class NotDue(Refused):
    """Nothing of this task may start now."""


class StaleAttempt(Refused):
    """The attempt to be closed is not the open one: closed already, taken over, or another owner's."""


class ProcessingError(DaybookError):
    """A run could not be done. ``permanent`` errors are not retried."""

    permanent = False


class InsufficientContent(ProcessingError):
    """Fewer messages than the task asks for. A quiet channel is neither success nor failure."""

    def __init__(self, message_count: int, min_required: int) -> None:
        self.message_count, self.min_required = message_count, min_required
        super().__init__(f"{message_count} messages, the task asks for at least {min_required}")


class ChannelInaccessible(ProcessingError):
    """The channel does not exist or may not be read."""

    permanent = True

    def __init__(self, channel_id: str, reason: str) -> None:
        self.channel_id, self.reason = channel_id, reason
        super().__init__(f"channel {shown(channel_id)}: {reason}")


class FetchFailed(ProcessingError):
    """Messages could not be fetched; trying again may help."""

    def __init__(self, channel_id: str, reason: str) -> None:
        self.channel_id, self.reason = channel_id, reason
        super().__init__(f"channel {shown(channel_id)}: {reason}")


class SourceUnavailable(FetchFailed):
    """The source of messages cannot be reached, or is in trouble itself: no fault of the run, which is postponed."""


class SourceRateLimited(ProcessingError):
    """The source of messages asked to wait ``retry_after_seconds``."""

    def __init__(self, retry_after_seconds: float) -> None:
        self.retry_after_seconds = retry_after_seconds
        super().__init__(f"rate limited, retry after {retry_after_seconds:.0f} s")


class OperationUnknown(ProcessingError):
    """A custom operation that no handler is registered for in this process."""

    permanent = True

    def __init__(self, operation: str) -> None:
        self.operation = operation
        super().__init__(f"no handler is registered for operation {shown(operation)}")


class DeliveryFailed(DaybookError):
    """A destination did not take the result.

    ``permanent`` says that trying again cannot help. ``ambiguous`` says that the other side may have taken it.
    ``retry_after_seconds`` is what the other side asked for, if it did. ``postponed`` says that nothing was sent, for a
    cause that is not the destination's: the host is left alone for now, or is busy with what this process sends it
    already, or the operator has to mend something first.
    """

    def __init__(
        self,
        reason: str,
        *,
        permanent: bool = False,
        ambiguous: bool = False,
        retry_after_seconds: float | None = None,
        postponed: bool = False,
    ) -> None:
        self.reason, self.permanent, self.ambiguous = reason, permanent, ambiguous
        self.retry_after_seconds, self.postponed = retry_after_seconds, postponed
        super().__init__(reason)


class StoreError(DaybookError):
    """The storage did not do what it was asked to."""


class Conflict(StoreError):
    """Other writers extended these streams first; nothing of the batch was written."""

    def __init__(self, stream_ids: Sequence[object]) -> None:
        self.stream_ids = tuple(stream_ids)
        super().__init__(f"stale streams: {', '.join(str(s) for s in self.stream_ids[:5])}")


class AppendUnknown(StoreError):
    """The store failed while committing: whether the batch was written is unknown until the log is read again."""


class StoreUnavailable(StoreError):
    """Locked, full, read-only or unreachable: nothing was written."""


class StoreInUse(StoreError):
    """Another process holds the data folder; ``holder`` says which."""

    def __init__(self, folder: object, holder: str) -> None:
        self.folder, self.holder = str(folder), holder
        super().__init__(f"{folder} is in use by {holder}; stop that process, or choose another folder with --data")


class StoreCut(StoreError):
    """Events that were written are gone from the log: its end, behind position ``end``, or some ``within``.

    ``read`` is the last position at which there was an event.
    """

    def __init__(self, place: str, end: int, read: int) -> None:
        self.end, self.read = end, read
        self._say(f"the log of {place} ends at position {end}, and it had {read} before: its end is gone")

    @classmethod
    def within(cls, place: str, gone: Sequence[tuple[int, int]]) -> StoreCut:
        """Of a log that has nothing at these ranges of positions (first, last), and has more behind them."""
        error = cls(place, gone[0][0] - 1, gone[-1][1])
        named = [f"position {first}" if first == last else f"positions {first} to {last}" for first, last in gone[:3]]
        error._say(f"events are gone from the log of {place}: those at {', '.join(named)}{', ...' if gone[3:] else ''}")
        return error

    def _say(self, words: str) -> None:
        self.args = (
            f"{words}. `daybook audit verify` names what is missing. Restore a backup; or call `daybook rebuild` "
            "to go on with what is left",
        )


class LeaseLost(StoreError):
    """Others count this node as dead, and may have taken its runs over: it must not send any more."""


class EventUnreadable(StoreError):
    """An event that cannot be decoded: corrupt, of an unknown topic, or of a newer version than this program knows."""

    def __init__(self, stream_id: object, version: int, topic: str, reason: str, at: datetime | None = None) -> None:
        self.stream_id, self.version, self.topic = _sayable(str(stream_id)), version, _sayable(str(topic))
        self.reason, self.at = reason, at
        super().__init__(f"event {version} of stream {self.stream_id} (topic {shown(topic)}): {reason}")


class EventsMissing(EventUnreadable):
    """The events ``version`` to ``last`` of a stream are not in the log, and have been: their numbers say so."""

    def __init__(self, stream_id: object, first: int, last: int) -> None:
        self.last = last
        more = f", with those up to {last}" if last > first else ""
        super().__init__(stream_id, first, "missing", f"is missing from the log{more}")


class EventMoved(EventUnreadable):
    """An event that stands where another one, or none, was written: nobody knows what came before what."""

    def __init__(self, stream_id: object, version: int, position: int) -> None:
        self.position = position
        reason = f"was not written at position {position}, where it stands: the log, or its leaves, were changed"
        super().__init__(stream_id, version, "moved", f"{reason}; `daybook audit verify` says more")


class PayloadErased(EventUnreadable):
    """The data key of this payload was destroyed: the event counts, its contents are gone for good.

    ``key_id`` (hexadecimal) says which key that was, where it is known.
    """

    def __init__(self, stream_id: object, version: int, topic: str, key_id: str = "") -> None:
        self.key_id = key_id
        super().__init__(stream_id, version, topic, "erased")
