"""The reference of the command line says what the command line does, and nothing else."""

from __future__ import annotations

import re

import pytest

from tests.docs_cli import MARK, PAGE, commands, generated


def test_the_reference_is_what_the_commands_say_of_themselves() -> None:
    """A command or option that was added, changed or removed calls for `python -m tests.docs_cli`."""
    _, mark, rest = PAGE.read_text(encoding="utf-8").partition(MARK)
    assert mark
    assert rest.strip() == generated().strip()


@pytest.mark.parametrize(("name", "command"), commands(), ids=[name for name, _ in commands()])
def test_every_command_and_every_parameter_says_what_it_is_for(name: str, command: object) -> None:
    """Help has no gaps, and the page names the command with all its options."""
    assert getattr(command, "help", None), name
    section = PAGE.read_text(encoding="utf-8").partition(f"### {name}\n")[2].partition("\n### ")[0]
    for parameter in getattr(command, "params", []):
        if parameter.name == "help":
            continue
        assert parameter.help, f"{name}: {parameter.name}"
        for text in parameter.opts if parameter.param_type_name == "option" else [parameter.metavar]:
            assert re.search(rf"`{re.escape(text)}[ `]", section), f"{name}: {text}"


def test_the_page_names_no_option_that_does_not_exist() -> None:
    """Neither in the sections nor in the words before them."""
    known = {text for _, c in commands() for p in c.params for text in [*p.opts, *p.secondary_opts]} | {
        "--version",
        "--help",
    }
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", PAGE.read_text(encoding="utf-8")))
    assert named - known == set()
