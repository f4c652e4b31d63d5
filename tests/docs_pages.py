"""The pages of the documentation, cut into what tests can check: programs, tables, links.

A comment on the line before a fenced block says what is done with it. ``<!-- runs -->`` begins a program, and
``<!-- runs: EXPRESSION -->`` evaluates the expression after it. ``<!-- runs in a service -->`` gives it a started
scheduler. ``<!-- continues -->`` adds a block to the program above it, and ``<!-- prints -->`` says what that prints.
``<!-- runs in a shell -->`` is about commands.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["ROOT", "Block", "Program", "blocks", "pages", "programs", "section", "table"]

ROOT = Path(__file__).parents[1]
_FENCE = re.compile(
    r"(?:^<!-- (?P<mark>[^\n]*?) -->\n)?^```(?P<language>[a-z]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
_HEADING = re.compile(r"^#{1,6} .*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block. ``line`` is where its text begins, from 1; ``mark`` is the comment before it."""

    page: Path
    line: int
    language: str
    mark: str
    text: str


@dataclass(slots=True)
class Program:
    """Blocks that are executed one after the other. ``call`` is evaluated at last, ``prints`` is what is expected."""

    page: Path
    line: int
    in_a_service: bool = False
    call: str = ""
    parts: list[Block] = field(default_factory=list)
    prints: str | None = None

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def pages() -> list[Path]:
    """Every page, the README and the changelog included."""
    return [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(page, text.count("\n", 0, m.start("text")) + 1, m["language"], m["mark"] or "", m["text"])
        for m in _FENCE.finditer(text)
    ]


def programs() -> list[Program]:
    """The programs of all pages."""
    found: list[Program] = []
    for page in pages():
        current: Program | None = None
        for block in blocks(page):
            if block.language == "python" and block.mark.startswith("runs"):
                _, _, call = block.mark.partition(": ")
                current = Program(page, block.line, "in a service" in block.mark, call, [block])
                found.append(current)
            elif block.mark in ("continues", "prints"):
                assert current is not None, f"{page}:{block.line} follows no program"
                if block.mark == "continues":
                    current.parts.append(block)
                else:
                    current.prints = block.text
    return found


def section(page: Path, heading: str) -> str:
    """What stands between a heading line and the next one."""
    text = page.read_text(encoding="utf-8")
    found = [match for match in _HEADING.finditer(text) if match[0] == heading]
    assert len(found) == 1, f"{page} has {len(found)} headings {heading!r}"
    following = _HEADING.search(text, found[0].end())
    return text[found[0].end() : following.start() if following else len(text)]


def table(text: str) -> list[list[str]]:
    """The cells of the first table of a text, without its two head rows."""
    rows = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", row.strip().strip("|"))] for row in rows[2:]]
