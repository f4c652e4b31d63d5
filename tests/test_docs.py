"""The examples of the documentation run, its links lead somewhere, and its words are its own."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import inspect
import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest

import daybook
from tests.docs_pages import ROOT, Block, Program, blocks, pages, programs
from tests.doubles import HostBot, HostEngine, HostMessages

_LINK = re.compile(r"\[[^\]\[]*\]\((?P<target>[^)\s]+)\)")
_PROGRAMS = programs()
_IN_A_SHELL = [page for page in pages() if any(block.mark == "runs in a shell" for block in blocks(page))]


@pytest.mark.parametrize("program", _PROGRAMS, ids=str)
def test_an_example_runs_as_it_is_printed(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A reader who types it gets what the page says, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    asyncio.run(_run(program))
    if program.prints is not None:
        assert capsys.readouterr().out.strip() == program.prints.strip()


@pytest.mark.parametrize("page", _IN_A_SHELL, ids=lambda page: page.name)
def test_the_commands_of_a_page_work_one_after_the_other(page: Path, tmp_path: Path) -> None:
    """A reader who types them, with an export in ``exports``, gets no error."""
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "daybook"
    command.write_text(f"#!/bin/sh\nexec '{sys.executable}' -c 'from daybook import main; main()' \"$@\"\n")
    command.chmod(0o755)
    (tmp_path / "exports").mkdir()
    shutil.copy(ROOT / "tests" / "fixtures" / "archives" / "current - weather.json", tmp_path / "exports")
    script = "".join(block.text for block in blocks(page) if block.mark == "runs in a shell")
    environment = os.environ | {"PATH": f"{command.parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["sh", "-eu", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_python_block_is_python(page: Path) -> None:
    """A block that is not run must at least be free of slips."""
    for block in blocks(page):
        if block.language == "python":
            assert _compiled(block)


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_into_the_project_leads_somewhere(page: Path) -> None:
    """A page that moved must be found again, and so must a heading."""
    for match in _LINK.finditer(page.read_text(encoding="utf-8")):
        target, _, anchor = match["target"].partition("#")
        if "://" in target:
            continue
        place = (page.parent / target).resolve() if target else page
        assert place.exists(), f"{page.name} links to {target}"
        if anchor:
            assert anchor in _anchors(place), f"{page.name} links to {match['target']}"


def test_every_page_is_reached_from_the_index() -> None:
    """Nobody finds a page that nothing links to."""
    index = ROOT / "docs" / "index.md"
    linked = {
        (index.parent / match["target"].partition("#")[0]).resolve()
        for match in _LINK.finditer(index.read_text(encoding="utf-8"))
    }
    assert sorted(set((ROOT / "docs").rglob("*.md")) - linked - {index}) == []


def test_there_are_examples_to_run() -> None:
    """A slip in a mark must not leave the examples unchecked in silence."""
    with_examples = {program.page.name for program in _PROGRAMS}
    assert {"README.md", "use-it-in-your-bot.md", "write-a-custom-operation.md", "back-up-and-move.md"} <= with_examples
    known = re.compile(r"|runs(| in a service)(: .+)?|continues|prints|runs in a shell|shown|needs PostgreSQL")
    for page in pages():
        for block in blocks(page):
            assert known.fullmatch(block.mark), f"{page.name}:{block.line} is marked {block.mark!r}"


def test_the_glossary_is_in_order_and_defines_each_word_once() -> None:
    """A word is looked up by its letter."""
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    words = re.findall(r"^\*\*(.+?)\*\*", text, re.MULTILINE)
    assert len(words) >= 30
    assert words == sorted(set(words), key=str.casefold)


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#{1,6} (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _compiled(block: Block) -> Any:
    source = "\n" * (block.line - 1) + block.text
    return compile(source, str(block.page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


async def _run(program: Program) -> None:
    """Execute the parts in one namespace, then the call; whatever scheduler is left is stopped."""
    async with contextlib.AsyncExitStack() as opened:
        names: dict[str, Any] = {"__name__": "__main__", **_host()}
        if program.in_a_service:
            names |= {name: getattr(daybook, name) for name in daybook.__all__}
            names |= await opened.enter_async_context(_service())
        result = None
        try:
            for part in program.parts:
                await _finished(FunctionType(_compiled(part), names)())
            if program.call:
                result = await _finished(eval(program.call, names))
        finally:
            for value in [*names.values(), result]:
                if isinstance(value, daybook.TaskScheduler):
                    await value.stop()


async def _finished(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


def _host() -> dict[str, Any]:
    return {"engine": HostEngine(), "processor": HostMessages(), "client": HostBot("2")}


@contextlib.asynccontextmanager
async def _service() -> AsyncIterator[dict[str, Any]]:
    host = _host()
    executor = daybook.TaskExecutor(host["engine"], host["processor"], host["client"])
    persistence = daybook.TaskPersistence("./data")
    scheduler = daybook.TaskScheduler(task_executor=executor, persistence=persistence)
    await scheduler.start()
    try:
        task = daybook.ScheduledTask(
            name="Morning digest",
            guild_id="2",
            channel_id="1",
            schedule_time="09:00",
            destinations=[daybook.Destination(type=daybook.DestinationType.FILE)],
        )
        task_id = await scheduler.schedule_task(task)
        yield host | {
            "executor": executor,
            "persistence": persistence,
            "scheduler": scheduler,
            "task": task,
            "task_id": task_id,
        }
    finally:
        await scheduler.stop()
