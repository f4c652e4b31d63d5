"""When people are told that something is wrong: once when it begins, once when it is given up, once when it is over."""

from __future__ import annotations

from enum import StrEnum
from typing import Generic, NamedTuple, TypeVar

__all__ = ["Incident", "NoticeKind"]

InstantT = TypeVar("InstantT")


class NoticeKind(StrEnum):
    """What people are told."""

    FAILING = "failing"
    DISABLED = "disabled"
    RECOVERED = "recovered"


class Incident(NamedTuple, Generic[InstantT]):
    """The trouble of one task: since when, whether people know of it, and what they are still to be told.

    An incident begins with the first failed attempt and ends with the next success; attempts between tell nobody.
    """

    since: InstantT | None = None
    told: bool = False
    due: NoticeKind | None = None

    def failed(self, at: InstantT) -> Incident[InstantT]:
        """An attempt failed."""
        return self if self.since is not None else Incident(at, False, NoticeKind.FAILING)

    def disabled(self, at: InstantT) -> Incident[InstantT]:
        """The task was disabled."""
        return Incident(self.since if self.since is not None else at, self.told, NoticeKind.DISABLED)

    def succeeded(self) -> Incident[InstantT]:
        """A run succeeded. Who was never told of the trouble is not told of its end."""
        if self.since is None:
            return self
        return Incident(None, False, NoticeKind.RECOVERED if self.told else None)

    def noticed(self, kind: NoticeKind) -> Incident[InstantT]:
        """People were told."""
        if kind is not self.due:
            return self
        return Incident() if kind is NoticeKind.RECOVERED else Incident(self.since, True, None)
