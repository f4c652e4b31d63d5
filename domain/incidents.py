"""When people are told that something is wrong: once when it begins, once when it is given up, once when it is over.

That is the trouble of a task with its schedule. A run that somebody asked for is no part of it: when it fails for good,
people are told of that run, once.
"""

from __future__ import annotations

from typing import Generic, NamedTuple, TypeVar

from domain.choice import Choice

__all__ = ["MOST_UNTOLD", "Incident", "NoticeKind", "untold_with"]

InstantT = TypeVar("InstantT")

MOST_UNTOLD = 20
"""Of so many runs, the last ones, people are still to be told. No more are kept where nobody wants to be told."""


class NoticeKind(Choice):
    """What people are told. RUN_FAILED: of single runs, beside the trouble of the schedule."""

    FAILING = "failing"
    DISABLED = "disabled"
    RECOVERED = "recovered"
    RUN_FAILED = "run_failed"


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


def untold_with(
    untold: tuple[str, ...], run: str, *, manual: bool, doubtful: bool, in_trouble: bool
) -> tuple[str, ...]:
    """The runs that people are to be told of one by one, after ``run`` was closed as failed.

    A run of a slot is told of by the incident that it begins. Within one of which people know already it is news only
    when it left a doubt that a person has to settle.
    """
    if not manual and not (doubtful and in_trouble):
        return untold
    return (*untold, run)[-MOST_UNTOLD:]
