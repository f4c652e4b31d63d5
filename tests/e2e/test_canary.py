"""One canary for each secret: it is used in earnest, and then looked for wherever people and programs look."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import logging
import traceback
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr

from adapters.egress import EgressPolicy
from adapters.email_delivery import SmtpServer
from adapters.summarizers.llm import ModelEngine, configured_model
from daybook import Destination, DestinationType, GuildSettings, ScheduledTask, ScheduleType, TaskExecutor
from domain.errors import DaybookError
from infrastructure.masking import masked, masked_value
from tests.adapters.cli_runner import Daybook
from tests.adapters.smtp_servers import scripted_server
from tests.doubles import HostMessages
from tests.e2e.machine import HOUR, Machine
from tests.hostile_world import HostileWorld, answer

TOKEN = "canary-7f3a9c-token-of-the-url"
KEY = "whsec_" + base64.b64encode(b"canary of the signing key 4711").decode()
PASSWORD = "canary-4b1d-password-of-smtp"
MODEL_KEY = "sk-canary-of-the-language-model-9c31"
CANARIES = (MODEL_KEY, TOKEN, KEY, KEY.removeprefix("whsec_"), PASSWORD, base64.b64encode(PASSWORD.encode()).decode())


def found(text: str | bytes) -> list[str]:
    """The canaries that stand in it."""
    data = text.encode("utf-8", "replace") if isinstance(text, str) else text
    return [canary for canary in CANARIES if canary.encode() in data]


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder; one that a running service takes away meanwhile is not there."""
    files = {}
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError, IsADirectoryError):
            files[path.name] = path.read_bytes()
    return files


class Mine(Machine):
    """A machine with a signed webhook, e-mail with a password, and notices through another webhook."""

    def __init__(self, folder: Path, world: HostileWorld, mail_port: int) -> None:
        super().__init__(folder)
        self.world = world
        self.mail = SmtpServer(
            host="127.0.0.1",
            port=mail_port,
            security="none",
            sender="daybook@example.org",
            username="ann",
            password=SecretStr(PASSWORD),
        )
        model = configured_model(
            "X_", api="openai", url=world.url("/v1"), model="m", api_key=SecretStr(MODEL_KEY), timeout_seconds=30.0
        )
        self.engine = ModelEngine(model, self.clock, pause=self.pause)
        self.executor = TaskExecutor(
            self.engine,
            HostMessages(),
            egress_policy=EgressPolicy([f"127.0.0.1:{world.port}"], plain_http=True),
            mail_server=self.mail,
        )

    async def pause(self, seconds: float) -> None:
        """Ask the model again at once."""

    def webhook(self, path: str) -> Destination:
        target = json.dumps({"url": self.world.url(f"/{path}/{TOKEN}"), "signing_secret": KEY})
        return Destination(type=DestinationType.WEBHOOK, target=target, format="json")

    async def digest(self) -> str:
        places = [self.webhook("hook"), Destination(type=DestinationType.EMAIL, target="ann@example.org")]
        task = ScheduledTask(
            name="Digest",
            guild_id="42",
            channel_id="7",
            schedule_type=ScheduleType.HOURLY,
            destinations=places,
            now=self.clock.now(),
        )
        return await self.scheduler.schedule_task(task)


@pytest.fixture
async def mine(tmp_path: Path) -> AsyncIterator[Mine]:
    said = {"AUTH": f"235 welcome {PASSWORD}", "message": f"250 queued, {PASSWORD}"}
    async with HostileWorld() as world, scripted_server(**said) as server:
        machine = Mine(tmp_path / "data", world, server.port)
        await machine.boot()
        yield machine
        await machine.scheduler.stop()


async def lived(mine: Mine) -> str:
    """Successes, failures of every kind that echo the secrets, an edit, notices, a give-up."""
    echo = f"no: {TOKEN} {KEY} {PASSWORD}"
    told = f"no: {MODEL_KEY}"
    mine.world.script("/v1/chat/completions", answer(401, body=told), answer(500, body=told), answer(200, body=told))
    mine.world.script(f"/hook/{TOKEN}", answer(503, body=echo), answer(200, body=echo), answer(403, body=echo))
    await mine.scheduler.commands.change_settings("42", GuildSettings(failure_notices=(mine.webhook("notice"),)))
    task_id = await mine.digest()
    await mine.wait(2 * HOUR)
    await mine.scheduler.update_task(task_id, destinations=[mine.webhook("other")])
    mine.world.script(f"/other/{TOKEN}", answer(302, body=echo, Location=mine.world.url(f"/{TOKEN}")), answer(404))
    await mine.wait(2 * HOUR)
    assert mine.world.requests
    assert all(found(str(request)) for request in mine.world.requests)  # the canaries were really used
    return task_id


COMMANDS = [
    ("tasks", "list", "--all"), ("tasks", "show", "TASK"), ("runs",), ("history", "TASK"), ("stats",),
    ("destinations", "list"), ("guild", "show", "42"), ("doctor",), ("as-of", "2026-03-02T12:00Z"),
    ("as-of", "2026-03-02T12:00Z", "TASK"), ("as-of", "2026-03-02T09:30Z", "--compare-to", "2026-03-02T12:00Z"),
    ("why", "TASK", "--at", "2026-03-02T10:00Z"), ("account", "TASK", "--slots"), ("account",), ("settings",),
]  # fmt: skip


async def test_no_canary_stands_in_any_file_log_or_answer(
    mine: Mine, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Events, views, exports, logs, and every byte of every file, while the service lives and when it has stopped."""
    with caplog.at_level(logging.DEBUG):
        task_id = await lived(mine)
    scheduler = mine.scheduler
    seen: list[str] = [
        repr(await scheduler.get_task_status(task_id)),
        json.dumps((await scheduler.get_task_status(task_id)).to_dict(), default=str),
        json.dumps(scheduler.transfer.export_tasks()),
        repr(scheduler), repr(scheduler.stores.vault), repr(mine.executor), repr(mine.engine),
        repr(mine.engine._config), repr(mine.mail), str(mine.mail),
        json.dumps(scheduler.get_scheduler_stats(), default=str),
        *(repr(record.event) for record in scheduler.stores.log.read(0, 10_000)),
        *(json.dumps(run.to_dict(), default=str) for run in scheduler.queries.runs(task_id=task_id)),
        caplog.text,
        *capsys.readouterr(),
    ]  # fmt: skip
    assert [(text[:80], found(text)) for text in seen if found(text)] == []
    files = contents(mine.folder)
    assert {"log.db", "vault.db", "readmodel.db", "content.db"} <= set(files)
    assert {name: found(data) for name, data in files.items() if found(data)} == {}
    await scheduler.stop()
    files = contents(mine.folder)
    assert {name: found(data) for name, data in files.items() if found(data)} == {}
    await mine.boot()


@pytest.mark.parametrize("form", [(), ("--json",)], ids=["for people", "for programs"])
async def test_no_command_prints_a_canary(mine: Mine, tmp_path: Path, form: tuple[str, ...]) -> None:
    """The audits in all of their forms, tables, exports; beside the password in the environment."""
    task_id = await lived(mine)
    await mine.scheduler.stop()
    cli = Daybook(mine.folder, {"DAYBOOK_SMTP_HOST": "127.0.0.1", "DAYBOOK_SMTP_USERNAME": "ann",
                                "DAYBOOK_SMTP_PASSWORD": PASSWORD, "DAYBOOK_SMTP_SENDER": "a@example.org",
                                "DAYBOOK_ENGINE": "openai", "DAYBOOK_ENGINE_MODEL": "m",
                                "DAYBOOK_ENGINE_URL": mine.world.url("/v1"),
                                "DAYBOOK_ENGINE_API_KEY": MODEL_KEY})  # fmt: skip
    for command in COMMANDS:
        arguments = [task_id if part == "TASK" else part for part in command]
        ended = await asyncio.to_thread(cli, *arguments, *form)
        assert ended.code == 0 or command[0] == "doctor", (command, ended.err)
        assert ended.out, command
        assert found(ended.out + ended.err) == [], command
    exported = await asyncio.to_thread(cli, "export", str(tmp_path / "out.json"))
    assert exported.code == 0, exported.err
    assert found((tmp_path / "out.json").read_bytes()) == []
    assert "secret:" in (tmp_path / "out.json").read_text()
    await mine.boot()


REFUSED = [
    f"http://127.0.0.1/{TOKEN}",
    f"https://user:{TOKEN}@hooks.example.org/x",
    f"ftp://hooks.example.org/{TOKEN}",
    json.dumps({"url": f"http://10.0.0.1/{TOKEN}", "signing_secret": KEY}),
    json.dumps({"url": f"https://hooks.example.org/{TOKEN}", "signing_secret": KEY[:12], "more": PASSWORD}),
    '{"url": "' + TOKEN,
]


@pytest.mark.parametrize("target", REFUSED, ids=range(len(REFUSED)))
async def test_no_refusal_and_no_traceback_quotes_a_target(mine: Mine, target: str) -> None:
    """Neither the message, nor what Python prints, nor the command line, whichever way it is refused."""
    place = Destination(type=DestinationType.WEBHOOK, target=target, format="json")
    with pytest.raises(DaybookError) as refusal:
        await mine.scheduler.commands.test_destination("42", place)
    assert found("".join(traceback.format_exception(refusal.value))) == []
    assert found(repr(refusal.value)) == []
    cli = Daybook(mine.folder.parent / "other")
    ended = await asyncio.to_thread(cli, "destinations", "test", f"webhook:{target}", "--guild", "42")
    assert ended.code == 2
    assert found(ended.out + ended.err) == []
    added = await asyncio.to_thread(
        cli, "tasks", "add", "x", "every day at 9:00", "--channel", "general", "--to", f"webhook:{target}"
    )
    assert added.code == 2
    assert found(added.out + added.err) == []


async def test_a_signing_key_that_a_person_gives_signs(mine: Mine) -> None:
    """The key reaches the vault with the URL, the view shows the host, and the receiver can verify."""
    from standardwebhooks import Webhook

    mine.world.script(f"/hook/{TOKEN}", answer(200))
    task_id = await mine.digest()
    [place, _] = mine.scheduler.queries.task(task_id).definition.destinations
    assert place.target.startswith("secret:")
    assert place.label == "127.0.0.1"
    await mine.wait(HOUR)
    [received] = [request for request in mine.world.requests if TOKEN in request.path]
    sent_at = datetime.fromtimestamp(int(received.headers["webhook-timestamp"]), UTC)
    expected = Webhook(KEY).sign(received.headers["webhook-id"], sent_at, received.body.decode())
    assert received.headers["webhook-signature"] == expected


def test_what_was_kept_is_masked_in_any_text() -> None:
    """Also the parts of a secret that holds several."""
    from infrastructure.masking import remember_secret

    remember_secret(json.dumps({"url": f"https://x.example/{TOKEN}", "signing_secrets": [KEY]}))
    for text in (f"went to https://x.example/{TOKEN}", f"signed with {KEY}", repr(masked_value({"detail": KEY}))):
        assert found(masked(text)) == []
