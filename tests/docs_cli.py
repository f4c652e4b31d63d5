"""The reference of the command line, made from the commands: ``python -m tests.docs_cli`` writes the page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.main import get_command

from adapters.cli.app import command_line

__all__ = ["PAGE", "commands", "generated"]

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "cli.md"
MARK = "<!-- From here on the page is written by `python -m tests.docs_cli`. -->"


def commands() -> list[tuple[str, Any]]:
    """Every command with its full name, in the order of the help."""
    return list(_below("daybook", get_command(command_line())))


def _below(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    for own, inner in getattr(command, "commands", {}).items():
        if getattr(inner, "commands", None):
            yield from _below(f"{name} {own}", inner)
        else:
            yield f"{name} {own}", inner


def generated() -> str:
    """What stands below the mark."""
    return "\n".join(["## Commands", "", *_index(), "", *(line for pair in commands() for line in _section(*pair))])


def _index() -> list[str]:
    rows = [f"| [`{name}`](#{name.replace(' ', '-')}) | {_first(command.help)} |" for name, command in commands()]
    return ["| command | what it does |", "|---|---|", *rows]


def _first(text: str) -> str:
    return " ".join(text.split()).split(". ")[0].removesuffix(".").replace("|", "\\|")


def _section(name: str, command: Any) -> list[str]:
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option" and p.name != "help"]
    usage = " ".join([name, *(["[OPTIONS]"] if options else []), *(str(a.metavar) for a in arguments)])
    lines = [f"### {name}", "", "```", usage, "```", "", " ".join(command.help.split()), ""]
    if arguments or options:
        lines += ["| | meaning |", "|---|---|"]
        lines += [f"| `{a.metavar}` | {_cell(a.help)} |" for a in arguments]
        lines += [f"| {_option(o)} | {_cell(o.help)}{_default(o)} |" for o in options]
        lines.append("")
    return lines


def _option(option: Any) -> str:
    value = "" if option.is_flag else f" {option.metavar}"
    return ", ".join(f"`{text}{value}`" for text in [*option.opts, *option.secondary_opts])


def _default(option: Any) -> str:
    if option.is_flag:
        return f" Default: `{option.opts[0]}`." if option.secondary_opts and option.default else ""
    return "" if option.default in (None, "", []) else f" Default: {option.default}."


def _cell(text: str) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


if __name__ == "__main__":
    head = PAGE.read_text(encoding="utf-8").partition(MARK)[0]
    PAGE.write_text(f"{head}{MARK}\n\n{generated().rstrip()}\n", encoding="utf-8")
