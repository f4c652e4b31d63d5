"""A service whose summaries a language model makes: what stands in its runs, and what the command line says of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from adapters.file import FileDelivery
from adapters.summarizers.llm import ModelEngine
from application.ports import DeliveryRequest
from daybook import (
    Destination,
    DestinationType,
    ScheduledTask,
    ScheduleType,
    SummaryOptions,
    TaskExecutor,
    _CommandLine,
)
from domain.errors import DeliveryFailed
from domain.summary import Usage
from domain.task_events import Executed, Failed
from tests.adapters.cli_runner import Daybook
from tests.doubles import HostMessages
from tests.e2e.machine import HOUR, Machine
from tests.llm_double import KEY, LlmDouble, Status
from tests.llm_double.parts import APIS, MODEL, engine_on


@pytest.fixture(params=APIS)
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[LlmDouble, Machine]]:
    """A double, and a machine whose engine asks it."""
    async with LlmDouble() as double:
        machine = Machine(tmp_path / "data")
        engine = engine_on(double, request.param, clock=machine.clock, input_price=3.0, output_price=15.0)
        machine.executor = TaskExecutor(engine, HostMessages())
        await machine.boot()
        yield double, machine
        await machine.scheduler.stop()


async def digest(machine: Machine, **changes: Any) -> str:
    """An hourly summary into a file."""
    task = ScheduledTask(
        name="Digest", guild_id="42", channel_id="7", schedule_type=ScheduleType.HOURLY, now=machine.clock.now(),
        destinations=[Destination(type=DestinationType.FILE, target="digest", format="markdown")],
        summary_options=SummaryOptions(min_messages=1), **changes,
    )  # fmt: skip
    return await machine.scheduler.schedule_task(task)


def notes(machine: Machine) -> list[str | None]:
    """What the executed runs of the log remember of their summaries."""
    events = [recorded.event for recorded in machine.scheduler.stores.log.read(0, 10_000)]
    return [event.note for event in events if isinstance(event, Executed)]


async def test_a_run_remembers_tokens_and_cost(world: tuple[LlmDouble, Machine]) -> None:
    """In the event, in the row, in the kept summary and in what the command line shows."""
    double, machine = world
    task_id = await digest(machine)
    await machine.wait(HOUR)
    (note,) = notes(machine)
    (run,) = machine.scheduler.queries.runs(task_id=task_id)
    assert note is not None
    assert note == run.note
    assert note.startswith(f"{MODEL}: 1 request, ")
    assert note.endswith(" USD")
    kept = machine.scheduler.stores.content.summary_of_run(run.run_id)
    assert kept is not None
    assert kept.usage is not None
    assert kept.usage.words == note
    assert len(double.asked) == 1
    check_numbers(machine, task_id, kept.usage)
    await machine.scheduler.stop()
    cli = Daybook(machine.folder)
    since = (machine.clock.now() - 24 * HOUR).isoformat()
    report = (await asyncio.to_thread(cli, "report", "--from", since, "--format", "json")).json
    [model] = report["figures"]["models"]
    assert (model["model"], model["input_tokens"]) == (MODEL, kept.usage.input_tokens)
    assert report["tasks"][0]["figures"]["models"] == [model]
    for command in (("runs",), ("history", task_id), ("tasks", "show", task_id)):
        shown = await asyncio.to_thread(cli, *command)
        assert "tokens in" in " ".join(shown.out.split()), (command, shown.out)
    await machine.boot()


def check_numbers(machine: Machine, task_id: str, usage: Usage) -> None:
    """What was spent stands as numbers in the event and the run, and is added up for the task and its guild."""
    [event] = [r.event for r in machine.scheduler.stores.log.read(0, 10_000) if isinstance(r.event, Executed)]
    assert event.usage == usage
    assert usage.cost is not None
    queries = machine.scheduler.queries
    [run] = queries.runs(task_id=task_id)
    assert (run.model, run.input_tokens, run.output_tokens) == (usage.model, usage.input_tokens, usage.output_tokens)
    task = queries.task(task_id)
    for sums in (task.metadata, queries.guild(task.guild_id)):
        assert (sums.input_tokens, sums.output_tokens) == (usage.input_tokens, usage.output_tokens)
        assert sums.cost == run.cost == round(usage.cost, 6)


async def test_what_was_spent_is_counted_once_however_often_its_delivery_is_tried(
    world: tuple[LlmDouble, Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The summary is made once; the attempt that made it says what it cost, also where its delivery failed."""
    double, machine = world
    before, failures = FileDelivery.deliver, iter([True, False])

    async def deliver(self: FileDelivery, request: DeliveryRequest) -> str:
        if next(failures, False):
            raise DeliveryFailed("the disk is full")
        return await before(self, request)

    monkeypatch.setattr(FileDelivery, "deliver", deliver)
    task_id = await digest(machine)
    await machine.wait(HOUR * 1.3)
    events = [recorded.event for recorded in machine.scheduler.stores.log.read(0, 10_000)]
    closed = [(type(event).__name__, event.usage) for event in events if isinstance(event, Executed | Failed)]
    assert [(name, usage is not None) for name, usage in closed] == [("Failed", True), ("Executed", False)]
    assert len(double.asked) == 1
    [run] = machine.scheduler.queries.runs(task_id=task_id)
    [(_, usage), _] = closed
    assert usage is not None
    assert run.input_tokens == usage.input_tokens
    assert machine.scheduler.queries.task(task_id).metadata.input_tokens == usage.input_tokens


async def test_a_run_remembers_that_the_model_was_not_there(world: tuple[LlmDouble, Machine]) -> None:
    """It is delivered all the same, and the file says so as well."""
    double, machine = world
    double.script(Status(401))
    await digest(machine)
    await machine.wait(HOUR)
    assert notes(machine) == [
        "Made without the language model, by quoting messages: its endpoint refused the key (401)."
    ]
    (file,) = [path for path in (machine.folder / "summaries").rglob("*") if path.is_file()]
    assert "Made without the language model" in file.read_text()


async def test_one_summary_for_each_channel_adds_up(world: tuple[LlmDouble, Machine]) -> None:
    """Tokens of all of them, and the trouble of any of them."""
    double, machine = world
    double.script(Status(403))
    await digest(machine, channel_ids=("8",), category_mode="individual")
    await machine.wait(HOUR)
    (note,) = notes(machine)
    assert note is not None
    assert note.startswith(f"{MODEL}: 1 request, ")
    assert "refused the key (403)" in note
    assert len(double.asked) == 2


async def test_the_host_of_a_model_in_trouble_is_shown_with_the_others(world: tuple[LlmDouble, Machine]) -> None:
    """``daybook destinations status`` beside the service names the endpoint, since when, and what it said."""
    double, machine = world
    double.script(*[Status(503)] * 20)
    await digest(machine)
    await machine.wait(HOUR)
    await machine.timer.check()
    name = f"127.0.0.1:{double.port}"
    assert name in machine.scheduler.get_scheduler_stats()["hosts"]
    seen = await asyncio.to_thread(Daybook(machine.folder), "destinations", "status", "--json")
    assert seen.json["hosts"][name]["last_error"] == "it answered 503"
    assert seen.json["hosts"][name]["consecutive_failures"] > 0


@pytest.mark.parametrize("api", APIS)
async def test_the_command_line_asks_the_model_and_checks_it(tmp_path: Path, api: str) -> None:
    """``summarize`` uses the engine of the settings, ``doctor`` says whether it answers; neither shows the key."""
    async with LlmDouble() as double:
        cli = Daybook(tmp_path / "data", {"DAYBOOK_ENGINE": api, "DAYBOOK_ENGINE_URL": double.url("/v1"),
                                          "DAYBOOK_ENGINE_MODEL": MODEL, "DAYBOOK_ENGINE_API_KEY": KEY})  # fmt: skip
        made = await asyncio.to_thread(cli, "summarize", "general", "--format", "json")
        assert made.code == 0, made.err
        assert json.loads(made.out)["summary"]["engine"] == f"{api}/{MODEL}"
        assert "1 request, " in made.err
        well = await asyncio.to_thread(cli, "doctor", "--json")
        double.script(Status(401))
        ill = await asyncio.to_thread(cli, "doctor", "--json")
    away = await asyncio.to_thread(cli, "doctor", "--json")
    found = [next(f for f in one.json if f["check"] == "engine") for one in (well, ill, away)]
    assert [f["state"] for f in found] == ["ok", "warning", "warning"]
    assert f"{api}/{MODEL} at 127.0.0.1:{double.port} answered after" in found[0]["finding"]
    assert "refused the key (401)" in found[1]["finding"]
    assert "could not be reached" in found[2]["finding"]
    assert KEY not in "".join(one.out + one.err for one in (made, well, ill, away))


def test_the_bot_and_the_service_have_the_engine_of_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are made by the same call."""
    for name, value in {"": "openai", "_MODEL": MODEL, "_API_KEY": KEY}.items():
        monkeypatch.setenv(f"DAYBOOK_ENGINE{name}", value)
    program = _CommandLine()
    made = program.service(program.settings(data=tmp_path), HostMessages(), object())
    assert isinstance(made.executor.summarization_engine, ModelEngine)
    assert made.executor.summarization_engine.name == f"openai/{MODEL}"


def test_a_service_with_half_an_engine_does_not_start(tmp_path: Path) -> None:
    """The variable that is missing is named, and nothing is made."""
    cli = Daybook(tmp_path / "data", {"DAYBOOK_ENGINE": "anthropic", "DAYBOOK_ENGINE_MODEL": "m"})
    for command in (("run",), ("summarize", "general")):
        ended = cli(*command)
        assert ended.code == 1
        assert "DAYBOOK_ENGINE_API_KEY" in ended.err
        assert "the anthropic endpoint needs a key" in ended.err
    assert not cli.folder.exists()
