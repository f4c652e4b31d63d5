"""``daybook summarize``: one summary of a channel of an archive, now; no store is touched."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from adapters.cli import show
from adapters.cli.options import ArchiveOption

__all__ = ["summarize"]

LONGEST_HOURS = 366 * 24 * 20


def summarize(
    ctx: typer.Context,
    channel: Annotated[str, typer.Argument(metavar="CHANNEL", help="Channel of the archive, by id or name.")],
    archive: ArchiveOption = None,
    hours: Annotated[
        float, typer.Option("--hours", metavar="HOURS", help="How far back from the channel's last message.")
    ] = 24,
    length: Annotated[
        str, typer.Option("--length", metavar="LENGTH", help="brief, detailed or comprehensive.")
    ] = "detailed",
    format: Annotated[str, typer.Option("--format", metavar="FORMAT", help="markdown, text or json.")] = "markdown",
    output: Annotated[
        str | None, typer.Option("--output", metavar="FILE", help="Write it there instead of to standard output.")
    ] = None,
    timezone: Annotated[
        str | None, typer.Option("--timezone", metavar="ZONE", help="Zone of the times in it. [DAYBOOK_TIMEZONE]")
    ] = None,
) -> None:
    """Summarize a channel of an archive now. Without --archive, of the sample that comes with the program."""
    from adapters.cli.files import write_whole
    from domain.errors import InvalidInput

    if not 0 < hours <= LONGEST_HOURS:
        raise InvalidInput("--hours", hours, "is out of range", f"give a number over 0, up to {LONGEST_HOURS}")
    settings = ctx.obj.settings(archive=archive, timezone=timezone)
    text = asyncio.run(_made(ctx.obj, settings, channel, hours, length, format))
    if output is not None:
        write_whole(Path(output), text)
        show.line(f"wrote {output}")
    else:
        show.line(text.rstrip("\n"))


async def _made(host: object, settings: object, channel: str, hours: float, length: str, format: str) -> str:
    from adapters.cli.host import Host, Settings
    from adapters.rendering import Renderer, json_document
    from domain.errors import ChannelInaccessible, InsufficientContent, InvalidInput
    from domain.summary import SummaryContext, SummaryLength, SummaryOptions

    chosen: Settings = settings  # type: ignore[assignment]
    renderer = Renderer(chosen.templates)
    renderers = {"markdown": renderer.markdown, "text": renderer.text, "json": json_document}
    if format not in renderers:
        raise InvalidInput("--format", format, "is not known", "use one of " + ", ".join(renderers))
    if length not in tuple(SummaryLength):
        raise InvalidInput("--length", length, "is not known", "use one of " + ", ".join(SummaryLength))
    program: Host = host  # type: ignore[assignment]
    engine = program.engine(fields=program.engine_fields(settings))
    archive = program.archive(chosen.archive)
    try:
        found = await asyncio.to_thread(archive.find_channel, channel)
    except ChannelInaccessible as error:
        wanted = channel.lstrip("#").casefold()
        if any(wanted in (one.id, one.name.casefold()) for one in await asyncio.to_thread(archive.channels)):
            raise
        show.error(str(error))
        raise typer.Exit(3) from None
    end = (found.last or datetime.now(UTC)) + timedelta(microseconds=1)
    start = end - timedelta(hours=hours)
    options = SummaryOptions(summary_length=SummaryLength(length), min_messages=1)
    messages = await archive.shifted(timedelta()).process_channel_messages(found.id, start, end, options)
    if not messages:
        raise InsufficientContent(0, 1)
    context = SummaryContext(
        channel_name=found.name,
        guild_name=found.guild_name,
        start_time=start,
        end_time=end,
        total_participants=len({message.author_id for message in messages}),
        time_span_hours=hours,
    )
    summary = await engine.summarize_messages(messages, options, context, found.id, found.guild_id)
    if summary.usage is not None:
        show.note(summary.usage.words)
    return renderers[format](summary, timezone=chosen.timezone, task_name=f"#{found.name}")
