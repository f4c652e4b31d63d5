"""Console delivery: people read it, and nothing that people typed can steer the terminal."""

from __future__ import annotations

import asyncio
import io
import json
from datetime import UTC, datetime
from threading import Event
from typing import Any

import pytest
from rich.console import Console

from adapters.console import ConsoleDelivery
from application.ports import DeliveryRequest
from domain.destination import Destination, DestinationType
from domain.errors import DeliveryFailed, InvalidDestination
from domain.summary import Point, Summary

SLOT = datetime(2026, 3, 29, 7, 0, tzinfo=UTC)


def a_request(text: str = "Two people spoke.", format: str = "embed", **changes: Any) -> DeliveryRequest:
    summary = Summary(
        id="s",
        summary_text=text,
        key_points=(Point(text=text, author=text[:50]),),
        message_count=2,
        start_time=SLOT,
        end_time=SLOT,
    )
    values: dict[str, Any] = {
        "key": "0" * 24,
        "run_id": "run-1",
        "task_id": "t",
        "task_name": "Daily",
        "guild_id": "42",
        "destination": Destination(type=DestinationType.CONSOLE, format=format),
        "summary": summary,
        "slot": SLOT,
    }
    return DeliveryRequest(**(values | changes))


async def test_a_rich_console_shows_the_summary_in_a_frame() -> None:
    """The task's name is the title of a panel with the text."""
    console = Console(file=io.StringIO(), width=80, force_terminal=False)
    assert await ConsoleDelivery(console).deliver(a_request()) == "console"
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "─ Daily ─" in shown
    assert "Two people spoke." in shown


async def test_a_plain_stream_gets_plain_text() -> None:
    """Without rich the document is written as it is, in one write."""
    stream = io.StringIO()
    await ConsoleDelivery(stream).deliver(a_request())
    assert stream.getvalue().startswith("Daily\n=====\n")


async def test_json_is_printed_for_programs() -> None:
    """The format json is valid JSON on any width."""
    console = Console(file=io.StringIO(), width=20)
    await ConsoleDelivery(console).deliver(a_request("word " * 50, format="json"))
    assert json.loads(console.file.getvalue())["run_id"] == "run-1"  # type: ignore[attr-defined]


@pytest.mark.parametrize("format", ["embed", "markdown", "text", "json"])
@pytest.mark.parametrize("rich", [True, False])
async def test_nothing_typed_steers_the_terminal(format: str, rich: bool) -> None:
    """Escape sequences, direction marks and rich's markup are shown harmless or not at all."""
    hostile = "\x1b[2J\x1b]0;owned\x07\x9b31m\u202eevil [bold red]x[/] [link=file:///etc/passwd]y[/link]\r\x08"
    stream = io.StringIO()
    out = Console(file=stream, width=200, force_terminal=False) if rich else stream
    await ConsoleDelivery(out).deliver(a_request(hostile, format=format, task_name=hostile))
    shown = stream.getvalue()
    assert not [c for c in shown if (ord(c) < 32 and c != "\n") or 127 <= ord(c) < 160 or c == "\u202e"]
    assert "[bold red]" in shown.replace("\\", "")


async def test_a_terminal_that_cannot_show_a_character_shows_a_question_mark() -> None:
    """An encoding without emoji does not fail a delivery."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii", write_through=True)
    await ConsoleDelivery(stream).deliver(a_request("café 🎉"))
    assert b"caf? ?" in raw.getvalue()
    await ConsoleDelivery(Console(file=stream, width=80)).deliver(a_request("naïve"))
    assert b"na?ve" in raw.getvalue()


async def test_a_closed_terminal_is_a_permanent_failure() -> None:
    """Nobody reads there any more."""
    stream = io.StringIO()
    stream.close()
    with pytest.raises(DeliveryFailed) as failure:
        await ConsoleDelivery(stream).deliver(a_request())
    assert failure.value.permanent


async def test_cancelled_before_its_turn_it_prints_nothing() -> None:
    """A print that waits behind a blocked terminal and is given up never appears."""
    reached, may_go_on = Event(), Event()

    class Blocked(io.StringIO):
        def write(self, text: str, /) -> int:
            reached.set()
            may_go_on.wait()
            return super().write(text)

    stream = Blocked()
    delivery = ConsoleDelivery(stream)
    first = asyncio.ensure_future(delivery.deliver(a_request("the first")))
    await asyncio.to_thread(reached.wait)
    second = asyncio.ensure_future(delivery.deliver(a_request("the second")))
    await asyncio.sleep(0)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    may_go_on.set()
    await first
    await delivery.deliver(a_request("the third"))
    assert "the second" not in stream.getvalue()
    assert "the third" in stream.getvalue()


def test_a_format_without_a_renderer_is_refused() -> None:
    """The error names the formats that there are."""
    with pytest.raises(InvalidDestination, match="embed, json, markdown, text"):
        ConsoleDelivery(io.StringIO()).check(Destination(type=DestinationType.CONSOLE, format="docx"), "42")
