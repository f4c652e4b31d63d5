"""The golden histories: how they came about, in the words of tests.application.why_parts."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["TOLD", "Told"]


class Told(NamedTuple):
    """One history: what it is about, its steps, the instants that are asked for, and whether it ends erased."""

    about: str
    steps: str
    asked: tuple[str, ...]
    now: str
    erased: bool = False


TOLD = {
    "dst": Told(
        "A daily task in New York: 02:30 over the gap of 8 March, 01:30 over the fold of 1 November 2026.",
        "2026-03-06T12:00 make type=daily time=02:30 timezone=America/New_York; "
        "2026-03-07T07:30 serve; 2026-03-08T07:00 serve; 2026-03-09T06:30 serve; "
        "2026-03-09T10:00 pause summer; 2026-10-30T12:00 resume; "
        "2026-10-30T12:01 edit type=daily time=01:30 timezone=America/New_York; "
        "2026-10-31T05:30 serve; 2026-11-01T05:30 serve; 2026-11-01T06:30 claim; 2026-11-02T06:30 serve",
        ("2026-03-08T07:00", "2026-03-08T07:30", "2026-07-01T06:30", "2026-11-01T05:30", "2026-11-01T06:30"),
        "2026-11-03T00:00",
    ),
    "pause": Told(
        "An hourly task that was paused by one person and resumed by another, which catches up.",
        "08:30 make type=hourly; 09:00 serve; 09:30 pause moving house; 12:15 resume and catch up; 12:16 serve; "
        "13:00 serve",
        ("09:00", "10:00", "12:00", "13:00", "14:00"),
        "13:30",
    ),
    "overlap": Told(
        "A run that takes two hours and a half: the slots meanwhile are skipped.",
        "08:30 make type=hourly; 09:00 claim; 10:00 claim; 11:00 claim; 11:30 done; 12:00 serve",
        ("09:00", "10:00", "11:00", "12:00"),
        "12:30",
    ),
    "catch-up": Told(
        "The process was down for five hours; of what it missed the last slot within the window runs.",
        "08:30 make type=hourly; 08:30 up n1; 09:00 serve; 09:30 down n1; 14:10 up n2; 14:11 serve; 15:00 serve",
        ("09:00", "10:00", "12:00", "14:00", "15:00"),
        "15:30",
    ),
    "disabled": Told(
        "Three failures in a row disable the task; a person resumes it.",
        "08:30 make type=hourly max_failures=3; 09:00 claim; 09:00:01 fail; 09:05:31 claim; 09:05:32 fail; "
        "09:20 claim; 09:20:01 fail; 12:30 resume; 13:00 serve",
        ("09:00", "10:00", "12:00", "13:00"),
        "13:30",
    ),
    "erasure": Told(
        "A task with three runs, a pause and a request, whose guild was erased.",
        "08:30 make type=hourly; 09:00 serve; 10:00 serve; 10:30 request because; 10:31 serve; 10:40 pause; "
        "13:10 resume; 14:00 serve; 14:30 cancel",
        ("09:00", "11:00", "14:00", "15:00"),
        "15:30",
        erased=True,
    ),
    "manual": Told(
        "Runs that people asked for beside the schedule, one of them for a slot that is long past.",
        "08:30 make type=hourly; 09:00 serve; 09:10 request look now; 09:11 serve; 10:00 serve; "
        "11:00 serve; 11:10 backfill 09:00; 11:11 serve; 12:00 serve",
        ("09:00", "09:10", "10:00", "11:00", "12:00"),
        "12:30",
    ),
    "edit": Told(
        "The schedule changes its kind, its time and its zone.",
        "08:30 make type=hourly; 09:00 serve; 09:30 edit type=daily time=18:00 timezone=Europe/Berlin; 17:00 serve; "
        "2026-03-03T10:00 edit type=weekly days=2 time=09:00 timezone=Asia/Tokyo; 2026-03-04T00:00 serve",
        ("09:00", "10:00", "17:00", "2026-03-03T17:00", "2026-03-04T00:00"),
        "2026-03-05T00:00",
    ),
    "crash": Told(
        "A process dies in the middle of a run; another one does it again, and then it is quiet.",
        "08:30 make type=hourly; 08:30 up n1; 09:00 claim; 09:01 lost n1 seen 09:00:30; 09:01 crash; 09:01 up n2; "
        "09:02 serve; 10:00 claim; 10:01 quiet; 11:00 skip 1; 12:00 serve",
        ("09:00", "10:00", "11:00", "12:00"),
        "12:30",
    ),
}
"""By the name of their file. A new one is added here; those that are written stay as they are."""
