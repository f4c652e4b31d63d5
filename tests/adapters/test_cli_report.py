"""``daybook report``: periods, formats, roles and files."""

from __future__ import annotations

import asyncio
import json
import os
from datetime import timedelta
from pathlib import Path
from zipfile import ZipFile

import pytest

from daybook import Permission, Principal, ScheduledTask, ScheduleType, TaskType
from tests.adapters.cli_runner import Daybook, Result
from tests.e2e.machine import HOUR, Machine

PERIOD = ("--from", "2026-03-02T08:00Z", "--to", "2026-03-02T14:00Z")
ANN = Principal(reference="person:ann", guild_id="42", permissions=frozenset(Permission))


async def _serve(folder: Path) -> None:
    """A morning of a service with two guilds, on 2 March 2026."""
    machine = Machine(folder)
    await machine.boot()
    first = await machine.task(name="Bakery")
    other = ScheduledTask(
        now=machine.clock.now(), name="Elsewhere", guild_id="7", task_type=TaskType.CUSTOM, operation="note",
        schedule_type=ScheduleType.HOURLY,
    )  # fmt: skip
    await machine.scheduler.schedule_task(other)
    await machine.wait(3 * HOUR)
    await machine.scheduler.pause_task(first, principal=ANN, reason="moving house")
    await machine.wait(4 * HOUR)
    await machine.scheduler.stop()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store that this service left."""
    made = tmp_path_factory.mktemp("served") / "data"
    asyncio.run(_serve(made))
    return made


@pytest.fixture
def cli(folder: Path) -> Daybook:
    """The command line on it."""
    return Daybook(folder)


def document(result: Result) -> dict[str, object]:
    """The JSON that was printed."""
    assert result.code == 0, result.err
    found: dict[str, object] = json.loads(result.out)
    return found


def test_a_terminal_view_shows_the_period_and_what_happened_in_it(cli: Daybook) -> None:
    """Of all guilds, where nothing is named."""
    shown = cli("report", *PERIOD, "--zone", "UTC")
    assert shown.code == 0, shown.err
    assert "Audit report: all guilds" in shown.out
    assert "Closed: made from the log up to position" in shown.out
    assert "person:ann" in shown.out
    assert "moving house" in shown.out
    assert {"Bakery", "Elsewhere"} <= set(shown.out.split())


def test_a_report_is_of_a_task_of_a_guild_or_of_all(cli: Daybook) -> None:
    """A task by its name, as everywhere."""
    assert document(cli("report", "bakery", *PERIOD, "--format", "json"))["scope"]["kind"] == "task"  # type: ignore[index]
    guild = document(cli("report", "--guild", "7", *PERIOD, "--format", "json"))
    assert [task["name"] for task in guild["tasks"]] == ["Elsewhere"]  # type: ignore[attr-defined]
    assert len(document(cli("report", "--all", *PERIOD, "--format", "json"))["tasks"]) == 2  # type: ignore[arg-type]


def test_the_numbers_are_those_of_account(cli: Daybook) -> None:
    """Both commands ask the same log."""
    made = document(cli("report", *PERIOD, "--format", "json"))
    told = cli("account", *PERIOD, "--json").json["total"]
    account = made["account"]
    assert isinstance(account, dict)
    for name in ("implied", "counted", "skipped", "adds_up"):
        assert account[name] == told[name], name
    assert account["fates"]["executed"] == told["fates"]["executed"]


def test_the_format_follows_from_the_name_of_the_file(cli: Daybook, tmp_path: Path) -> None:
    """And the file appears whole, the same each time."""
    for name, begins in (("r.html", b"<!DOCTYPE html>"), ("r.md", b"# Audit"), ("r.json", b"{"), ("r.csv", b"slot,")):
        path = tmp_path / name
        for _ in range(2):
            made = cli("report", *PERIOD, "--output", str(path))
            assert made.code == 0, made.err
            assert path.read_bytes().startswith(begins)
        before = path.read_bytes()
        assert cli("report", *PERIOD, "--output", str(path)).out == ""
        assert path.read_bytes() == before
    assert cli("report", *PERIOD, "--output", str(tmp_path / "r.zip")).code == 0
    with ZipFile(tmp_path / "r.zip") as archive:
        assert {"runs.csv", "timeline.csv", "accounts.csv"} <= set(archive.namelist())
    assert sorted(os.listdir(tmp_path)) == ["r.csv", "r.html", "r.json", "r.md", "r.zip"]  # noqa: PTH208


@pytest.mark.parametrize("name", ["r.pdf", "r", "r.docx"])
def test_a_kind_of_file_that_no_report_can_be_is_refused(cli: Daybook, tmp_path: Path, name: str) -> None:
    """With those that there are; where the format is named, any file may take it."""
    refused = cli("report", *PERIOD, "--output", str(tmp_path / name))
    assert refused.code == 2
    assert "end it with .md, .markdown, .html, .htm, .csv, .zip, .json, .txt, or say which with --format" in refused.err
    assert not (tmp_path / name).exists()
    assert cli("report", *PERIOD, "--output", str(tmp_path / name), "--format", "html").code == 0
    assert (tmp_path / name).read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_one_table_can_be_asked_for_as_csv(cli: Daybook) -> None:
    """On standard output, for other programs."""
    told = cli("report", *PERIOD, "--format", "csv", "--table", "fates")
    assert told.out.splitlines()[0] == "fate,slots"
    wrong = cli("report", *PERIOD, "--format", "csv", "--table", "nonsense")
    assert wrong.code == 2
    assert "runs" in wrong.err


def test_no_report_shows_a_secret(tmp_path: Path) -> None:
    """The address of a webhook that was set, and changed, stands in none of them, nor in a proof."""
    cli, secrets = Daybook(tmp_path / "data"), ("canary-before", "canary-after")
    first, second = (f"webhook:https://93.184.216.34/hook/{secret}" for secret in secrets)
    cli.add("Hook", "--to", first)
    assert cli("tasks", "edit", "Hook", "--to", second, "--reason", "another hook").code == 0
    texts = [cli("report", "--format", kind).out for kind in ("terminal", "markdown", "html", "csv", "json")]
    assert cli("report", "--output", str(tmp_path / "all.zip")).code == 0
    with ZipFile(tmp_path / "all.zip") as archive:
        texts += [archive.read(name).decode() for name in archive.namelist()]
    texts += [cli("audit", "verify").out, cli("audit", "head", "--json").out]
    texts += [cli("audit", "prove", str(position)).out for position in range(1, cli.events() + 1)]
    assert all(texts)
    assert "another hook" in "".join(texts)
    assert [text for text in texts if any(secret in text for secret in secrets)] == []


def test_periods_can_be_said_in_words(cli: Daybook) -> None:
    """Days begin at midnight of the zone."""
    made = document(cli("report", "--period", "2026-03", "--zone", "Europe/Berlin", "--format", "json"))
    assert (made["start"], made["end"]) == ("2026-02-28T23:00:00+00:00", "2026-03-31T22:00:00+00:00")
    assert document(cli("report", "--format", "json"))["closed"] is False


def test_roles_see_less(cli: Daybook) -> None:
    """A viewer neither people nor reasons; a manager nothing of other guilds."""
    viewer = cli("report", "--guild", "42", *PERIOD, "--role", "viewer", "--format", "markdown")
    assert "person 1" in viewer.out
    assert "ann" not in viewer.out
    assert "moving house" not in viewer.out
    manager = cli("report", "Bakery", *PERIOD, "--role", "manager", "--format", "markdown")
    assert "person:ann" in manager.out
    assert "node started | version" in manager.out.replace("  ", " ") or "process 1" in manager.out
    for role in ("manager", "viewer"):
        assert cli("report", "Elsewhere", "--guild", "42", *PERIOD, "--role", role).code == 3
        seen = cli("report", "--guild", "42", *PERIOD, "--role", role, "--format", "json")
        assert {line["guild_id"] for line in seen.json["tasks"]} == {"42"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--role", "manager"), "--guild"),
        (("--role", "viewer"), "--guild"),
        (("--role", "viewer", "--all"), "--guild"),
        (("--role", "king"), "viewer"),
        (("--format", "pdf"), "markdown"),
        (("--period", "soon"), "last week"),
        (("--period", "2026", "--from", "2026-01-01"), "leave one of them out"),
        (("--to", "2026-01-01"), "--from"),
        (("--from", "2026-02-01", "--to", "2026-01-01"), "is not after --from"),
        (("--all", "--guild", "7"), "leave one of them out"),
        (("--zone", "Mars/Olympus"), "IANA"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(cli: Daybook, arguments: tuple[str, ...], words: str) -> None:
    """With what would be right, and nothing printed."""
    told = cli("report", *arguments)
    assert told.code == 2
    assert words in told.err
    assert told.out == ""


def test_who_is_not_there_is_not_found(cli: Daybook, tmp_path: Path) -> None:
    """A task, a guild, a folder."""
    assert cli("report", "nobody", *PERIOD).code == 3
    assert cli("report", "--guild", "777", *PERIOD).code == 3
    assert Daybook(tmp_path / "none")("report", *PERIOD).code == 3


def test_a_period_that_ends_before_it_begins_is_named_as_that(cli: Daybook) -> None:
    """With the option that says so; a period of no days is none."""
    backward = cli("report", "--from", "2026-11-01", "--to", "2026-10-01")
    assert (backward.code, "--to: '2026-10-01' is not after --from" in backward.err) == (2, True)
    ahead = cli("report", "--from", "2999-11-01")
    assert (ahead.code, "--to: 'now' is not after --from" in ahead.err) == (2, True)
    none = cli("report", "--period", "last 0 days")
    assert (none.code, "'last 0 days' is not a period" in none.err) == (2, True)


async def test_the_stable_call_gives_the_report_while_the_service_runs(tmp_path: Path) -> None:
    """From the log of the moment; what is written later does not change one of a closed period."""
    machine = Machine(tmp_path / "data")
    await machine.boot()
    task_id = await machine.task(name="Bakery")
    begin = machine.clock.now()
    await machine.wait(5 * HOUR)
    scheduler = machine.scheduler
    then = await scheduler.report(begin, begin + 4 * HOUR, guild_id="42")
    assert (then.closed, then.figures.executed, then.account.proven) == (True, 3, True)
    await scheduler.update_task(task_id, name="Renamed", reason="better")
    await machine.wait(3 * HOUR)
    assert await scheduler.report(begin, begin + 4 * HOUR, guild_id="42") == then
    assert then.tasks[0].name == "Bakery"
    open_still = await scheduler.report(begin, begin + timedelta(days=7), task_id=task_id)
    assert (open_still.closed, open_still.as_of) == (False, machine.clock.now())
    await scheduler.stop()
