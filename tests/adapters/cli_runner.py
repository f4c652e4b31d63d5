"""The command line as tests call it: in this process, on a folder of its own, with the real program behind it."""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

import daybook
from adapters.cli.app import command_line

__all__ = ["Daybook", "Result"]


@dataclass(frozen=True, slots=True)
class Result:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The document that it printed."""
        return json.loads(self.out)


class Daybook:
    """``daybook`` on one data folder."""

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        self.folder, self._environment = folder, dict(environment or {})

    def __call__(self, *arguments: str, stdin: str | None = None) -> Result:
        """Call it with these arguments."""
        environment = {"DAYBOOK_DATA": str(self.folder), "COLUMNS": "200", **self._environment}
        root = logging.getLogger()
        handlers, level = root.handlers[:], root.level
        try:
            ended = CliRunner().invoke(
                command_line(), list(arguments), obj=daybook._CommandLine(), env=environment, input=stdin
            )
        finally:
            root.handlers[:] = handlers
            root.setLevel(level)
        if ended.exception is not None and not isinstance(ended.exception, SystemExit):
            raise ended.exception
        return Result(ended.exit_code, ended.stdout, ended.stderr)

    def add(self, name: str = "Morning", *arguments: str) -> str:
        """A task on a channel of the sample; its id."""
        added = self("tasks", "add", name, "--channel", "general", *arguments, "--json")
        assert added.code == 0, added.err
        return str(added.json["task_id"])

    def events(self) -> int:
        """How many events the log holds; 0 where there is none."""
        if not (self.folder / "log.db").exists():
            return 0
        with sqlite3.connect(self.folder / "log.db") as log:
            (count,) = log.execute("select count(*) from stored_events").fetchone()
        log.close()
        return int(count)
