"""Options that several commands share, with their words."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = [
    "ArchiveOption",
    "AtOption",
    "CatchUpOption",
    "ChannelsOption",
    "CronOption",
    "DataOption",
    "DayOption",
    "DaysOption",
    "EveryOption",
    "HoursOption",
    "JsonOption",
    "KindOption",
    "LengthOption",
    "LimitOption",
    "MaxFailuresOption",
    "MaxRunsOption",
    "MinMessagesOption",
    "OverlapOption",
    "PhraseArgument",
    "ReasonOption",
    "RetryDelayOption",
    "TaskArgument",
    "TimeOption",
    "TimezoneOption",
    "TitleOption",
    "ToOption",
]

DataOption = Annotated[str | None, typer.Option("--data", metavar="DIR", help="Folder of the store. [DAYBOOK_DATA]")]
ArchiveOption = Annotated[
    str | None,
    typer.Option("--archive", metavar="PATH", help="DiscordChatExporter JSON file or folder. [DAYBOOK_ARCHIVE]"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="JSON for programs; instants are in UTC.")]
ReasonOption = Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="Why; it is kept in the history.")]
LimitOption = Annotated[int, typer.Option("--limit", metavar="N", min=1, max=10_000, help="At most so many.")]
TaskArgument = Annotated[
    str, typer.Argument(metavar="TASK", help="Its id, the beginning of its id (4 or more characters), or its name.")
]
PhraseArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="[PHRASE]", help='When: "every weekday at 9:00 in Europe/Berlin", "on the last day of every month".'
    ),
]
TimezoneOption = Annotated[
    str | None, typer.Option("--timezone", metavar="ZONE", help="IANA zone of its times, like Europe/Berlin.")
]

# --- what a task says ---

ToOption = Annotated[
    list[str] | None,
    typer.Option("--to", metavar="PLACE", help="Destination: file, file:weekly, console;format=text. May be repeated."),
]
ChannelsOption = Annotated[
    list[str] | None, typer.Option("--channel", metavar="CHANNEL", help="Channel, by id or name. May be repeated.")
]
CategoryOption = Annotated[
    str | None,
    typer.Option("--category", metavar="CATEGORY", help='Category, by id or name: its channels of then; "" for none.'),
]
WithoutOption = Annotated[
    list[str] | None,
    typer.Option("--without", metavar="CHANNEL", help="Channel or thread to leave out, by id or name. Repeatable."),
]
EachOption = Annotated[
    bool | None, typer.Option("--each/--together", help="One summary for each channel, or one of all (as it is).")
]
KindOption = Annotated[
    str | None,
    typer.Option(
        "--type",
        metavar="KIND",
        help="daily, weekly, half-weekly, monthly, quarterly, yearly, interval, once, custom, hourly, fifteen-minutes, "
        "every-4-hours. Follows from the options below where it is not named.",
    ),
]
TimeOption = Annotated[str | None, typer.Option("--time", metavar="HH:MM", help="Time of day in the task's zone.")]
DaysOption = Annotated[str | None, typer.Option("--days", metavar="DAYS", help="Weekdays: mon,thu or 0,3 (0=Monday).")]
CronOption = Annotated[str | None, typer.Option("--cron", metavar="TEXT", help='Cron expression: "0 9 * * mon-fri".')]
EveryOption = Annotated[str | None, typer.Option("--every", metavar="LENGTH", help="Interval: 15m, 2h, 1d, 2w.")]
DayOption = Annotated[int | None, typer.Option("--day", metavar="DAY", help="Day of the month: 1 to 31, -1 the last.")]
AtOption = Annotated[
    str | None, typer.Option("--at", metavar="INSTANT", help="Once, at 2026-12-24T18:00 in the task's zone.")
]
HoursOption = Annotated[
    float | None, typer.Option("--hours", metavar="HOURS", help="How far back a summary looks at least.")
]
LengthOption = Annotated[
    str | None, typer.Option("--length", metavar="LENGTH", help="Of summaries: brief, detailed, comprehensive.")
]
MinMessagesOption = Annotated[
    int | None, typer.Option("--min-messages", metavar="N", help="Fewer messages are quiet: nothing is sent.")
]
TitleOption = Annotated[
    str | None,
    typer.Option("--title", metavar="TEXT", help="Title of summaries; {name}, {date}, {channel} are filled."),
]
MaxFailuresOption = Annotated[
    int | None, typer.Option("--max-failures", metavar="N", help="Failures in a row that disable the task.")
]
RetryDelayOption = Annotated[
    float | None, typer.Option("--retry-delay", metavar="MINUTES", help="Wait before the first retry; it doubles.")
]
OverlapOption = Annotated[
    str | None,
    typer.Option(
        "--overlap",
        metavar="POLICY",
        help="While a run is open: skip, buffer_one, buffer_all, cancel_other, allow_all.",
    ),
]
CatchUpOption = Annotated[
    str | None, typer.Option("--catch-up", metavar="POLICY", help="Slots that were missed: run_last, run_all, skip.")
]
MaxRunsOption = Annotated[
    int | None, typer.Option("--max-runs", metavar="N", help="So many slots, then the task is completed.")
]
