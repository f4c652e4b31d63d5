"""Looking over a folder of templates before a result depends on them: each is filled with summaries of every kind."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from adapters.rendering.renderer import Renderer
from adapters.rendering.templates import TEMPLATES
from domain.errors import DeliveryFailed
from domain.summary import ChannelNote, Point, Summary

__all__ = ["TemplateFinding", "check_folder", "samples"]


class TemplateFinding(NamedTuple):
    """One file: ``state`` is ok, wrong, warning (a name that nothing uses) or packaged (the folder has none)."""

    name: str
    state: str
    said: str


def check_folder(folder: Path) -> list[TemplateFinding]:
    """What is to be said of every template, and of files of the folder that are none. Raises NotADirectoryError."""
    if not folder.is_dir():
        raise NotADirectoryError(str(folder))
    renderer = Renderer(folder)
    found = {path.name for path in folder.iterdir()}
    return [
        *(_checked(renderer, name) if name in found else _packaged(name) for name in TEMPLATES),
        *(_stray(name) for name in sorted(found - set(TEMPLATES)) if name.endswith(".j2")),
    ]


def _checked(renderer: Renderer, name: str) -> TemplateFinding:
    for kind, sample in samples():
        try:
            renderer.check(name, sample, timezone="Europe/Berlin", task_name="Morning news", run_id="0123456789abcdef")
        except DeliveryFailed as error:
            return TemplateFinding(name, "wrong", f"{error.reason} (filled with {kind})")
    return TemplateFinding(name, "ok", TEMPLATES[name])


def _packaged(name: str) -> TemplateFinding:
    return TemplateFinding(name, "packaged", f"not in the folder, the built-in one is used: {TEMPLATES[name]}")


def _stray(name: str) -> TemplateFinding:
    meant = difflib.get_close_matches(name, TEMPLATES, 1, 0.7)
    hint = f"; did you mean {meant[0]}?" if meant else ""
    return TemplateFinding(name, "warning", f"used only where another template includes it{hint}")


def samples() -> Iterator[tuple[str, Summary]]:
    """Summaries as they occur, each with a name: what a template must be able to show."""
    full = Summary(
        id="sample",
        title="Daily digest of #general",
        summary_text="3 people wrote 12 messages. Most discussed: the parser.",
        key_points=(
            Point(text="The parser lands on Friday.", author="Ana", url="https://discord.com/channels/1/2/3"),
            Point(text="Nobody objects."),
        ),
        action_items=(Point(text="Write the guide", author="Bob"),),
        technical_terms=("parser", "AST"),
        participants=(("Ana", 7), ("Bob", 5)),
        message_count=12,
        start_time=datetime(2026, 1, 1, tzinfo=UTC),
        end_time=datetime(2026, 1, 2, tzinfo=UTC),
        created_at=datetime(2026, 1, 2, tzinfo=UTC),
        engine="extractive",
        notice="A channel was left out.",
        channels=(
            ChannelNote(channel_id="1", name="general", message_count=12),
            ChannelNote(channel_id="2", note="inaccessible: the bot may not read it"),
        ),
    )
    yield "a whole summary", full
    yield (
        "a summary of nothing",
        Summary(id="bare", summary_text="", start_time=full.start_time, end_time=full.end_time),
    )
    yield "an engine's own Markdown", full.model_copy(update={"markdown": "# Mine\n\n- **point**", "engine": "model"})
    yield (
        "a very long summary",
        full.model_copy(
            update={
                "summary_text": "word " * 4000,
                "key_points": full.key_points * 100,
                "participants": tuple((f"person {number}", number) for number in range(500)),
            }
        ),
    )
