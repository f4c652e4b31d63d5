"""Results on a terminal, for people who watch."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from adapters.rendering import Renderer, clean, json_document, one_line
from application.ports import DeliveryRequest
from domain.destination import Destination, DestinationType
from domain.errors import DeliveryFailed, InvalidDestination

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["ConsoleDelivery"]

_FORMATS = ("embed", "json", "markdown", "text")
_MAX_CHARACTERS = 100_000
"""More than anybody scrolls through; the rest is left out, and the last line says so."""


class ConsoleDelivery:
    """Prints each result, "embed" in a frame, other formats as they are. The receipt is ``console``.

    What people typed cannot steer the terminal: control characters are taken out and rich's markup is not obeyed.
    A terminal that blocks (a full pipe, a paused screen) blocks only this destination. Printing again prints again.
    """

    type = DestinationType.CONSOLE

    def __init__(self, console: Console | TextIO, templates: Path | None = None) -> None:
        self._out, self._renderer = console, Renderer(templates)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="daybook-console")

    def remembers(self, destination: Destination) -> timedelta:
        """Not at all: what is printed twice stands there twice."""
        return timedelta(0)

    def check(self, destination: Destination, guild_id: str) -> None:
        """Refuse a format that is not printed. The target is only a label."""
        if destination.format not in _FORMATS:
            raise InvalidDestination(
                "format", destination.format, "is not printed on a console", f"use one of {', '.join(_FORMATS)}"
            )

    async def deliver(self, request: DeliveryRequest) -> str:
        """Print the result in one write. Raises DeliveryFailed when the terminal is gone.

        Cancelled before its turn, it prints nothing.
        """
        try:
            self.check(request.destination, request.guild_id)
        except InvalidDestination as error:
            raise DeliveryFailed(str(error), permanent=True) from error
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._print, request)
        except (OSError, ValueError) as error:  # ValueError: the stream was closed
            raise DeliveryFailed(f"the console cannot be written to: {error}", permanent=True) from error
        return "console"

    async def close(self) -> None:
        """Take no more. What is being printed goes on: a terminal that blocks must not hold up a stop. Idempotent."""
        self._thread.shutdown(wait=False)

    def _print(self, request: DeliveryRequest) -> None:
        from rich.console import Console

        text = _text(request, self._renderer)
        if isinstance(self._out, Console):
            _print_rich(self._out, request, text)
            return
        self._out.write(_encodable(text, getattr(self._out, "encoding", None) or "utf-8"))
        self._out.flush()


def _text(request: DeliveryRequest, renderer: Renderer) -> str:
    render = {"json": json_document, "markdown": renderer.markdown}.get(request.destination.format, renderer.text)
    text = render(request.summary, timezone=request.timezone, task_name=request.task_name, run_id=request.run_id)
    text = clean(text).replace("\t", "    ")
    return text if len(text) <= _MAX_CHARACTERS else text[:_MAX_CHARACTERS] + "\n(shortened)\n"


def _encodable(text: str, encoding: str) -> str:
    return text.encode(encoding, "replace").decode(encoding)


def _print_rich(console: Console, request: DeliveryRequest, text: str) -> None:
    from rich.panel import Panel
    from rich.text import Text

    shown = Text(_encodable(text.rstrip("\n"), console.encoding))
    if request.destination.format != "embed":
        console.print(shown, soft_wrap=True)
        return
    title = Text(_encodable(one_line(request.task_name), console.encoding), style="bold")
    console.print(Panel(shown, title=title, title_align="left", border_style="cyan"))
