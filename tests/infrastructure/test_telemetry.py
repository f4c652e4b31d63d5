"""Log lines with the secrets masked, and metrics for Prometheus."""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from infrastructure.masking import MASK, masked, masked_value, one_line, remember_secret
from infrastructure.telemetry import Metrics, configure_logging

CANARY = "canaryCANARYcanary0123456789"
TOKEN = "MTE4NzY1NDMyMTA5ODc2NTQzMg.GaBcDe.canaryCANARYcanaryCANARYcanaryCANARYcan"

SECRETS = {
    "bot token": (TOKEN, TOKEN),
    "authorization of a bot": (f"Authorization: Bot {TOKEN}", TOKEN),
    "multi-factor token": (f"mfa.{CANARY}", CANARY),
    "discord webhook": (f"POST https://discord.com/api/webhooks/123456789012345678/{CANARY}_-x failed", CANARY),
    "versioned discord webhook": (f"https://ptb.discordapp.com/api/v10/webhooks/1/{CANARY}?wait=true", CANARY),
    "slack webhook": (f"https://hooks.slack.com/services/T000/B000/{CANARY}", CANARY),
    "teams workflow": (f"https://prod-1.westeurope.logic.azure.com:443/workflows/x/triggers?sig={CANARY}", CANARY),
    "signing key": (f"whsec_{CANARY}+/=", CANARY),
    "bearer": (f"authorization: bearer {CANARY}", CANARY),
    "bearer alone": (f"sent Bearer {CANARY}", CANARY),
    "basic": (f"{{'Authorization': 'Basic {CANARY}=='}}", CANARY),
    "dsn": (f"cannot reach postgresql://daybook:{CANARY}@db.example:5432/daybook", CANARY),
    "dsn with an at sign": (f"postgresql://daybook:a@{CANARY}@db/daybook", CANARY),
    "conninfo": (f"host=db user=daybook password={CANARY} dbname=x", CANARY),
    "json": (json.dumps({"smtp_password": CANARY}), CANARY),
    "query": (f"https://example.test/hook?x=1&token={CANARY}&y=2", CANARY),
    "jwt": (f"eyJhbGciOiJIUzI1NiJ9.{CANARY}.{CANARY}", CANARY),
}

PLAIN = [
    "task 3fa85f64-5717-4562-b3fc-2c963f66afa6: cancelled",
    "GET https://example.test:8080/api/tasks?limit=5 200 in 3 ms",
    "2026-03-01T12:00:00.000000Z run 4 of 7 was late by 1.5 s",
    "the bot was added to a guild; bearer of good news",
    "postgresql://daybook@db.example/daybook",
    "https://discord.com/channels/123456789012345678/123456789012345679/123456789012345680",
    "a secret of the guild, a token of thanks",
    "infrastructure.sqlite_log.SqliteLog",
]


@pytest.fixture
def out() -> Iterator[io.StringIO]:
    """Where the log goes during a test; afterwards logging is as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield io.StringIO()
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


@pytest.mark.parametrize(("text", "secret"), SECRETS.values(), ids=list(SECRETS))
def test_every_known_kind_of_secret_is_masked(text: str, secret: str) -> None:
    """A text that holds a secret comes out without it, but still says that there was one."""
    assert secret not in masked(text)
    assert CANARY not in masked(text)
    assert MASK in masked(text)
    assert masked(masked(text)) == masked(text)


@pytest.mark.parametrize("text", PLAIN)
def test_ordinary_text_is_left_alone(text: str) -> None:
    """Ids, addresses without secrets and prose are not masked."""
    assert masked(text) == text


@given(before=st.text(max_size=20), after=st.text(max_size=20), which=st.sampled_from(sorted(SECRETS)))
def test_a_secret_is_masked_wherever_it_stands(before: str, after: str, which: str) -> None:
    """Text around a secret does not uncover it, as long as it is not glued to it."""
    text, secret = SECRETS[which]
    assert secret not in masked(f"{before} {text} {after}")


@given(text=st.text("aeyJ.:/@=_- \"'", max_size=3000))
def test_masking_any_text_ends(text: str) -> None:
    """No text of the characters that patterns care about makes masking fail, or never settle."""
    once = masked(text)
    assert isinstance(once, str)


@given(text=st.text(max_size=200))
def test_an_escaped_text_is_one_line(text: str) -> None:
    """No name can begin a log line of its own or turn the reading direction."""
    line = one_line(text)
    assert len(line.splitlines()) <= 1
    assert not set(line) & set("\x00\x1b\u202e\u2028\x85")


def test_values_are_masked_by_their_names_too() -> None:
    """What is called a password is one, however it looks; nested values as well, to a bounded depth."""
    nested: Any = "deep"
    for _ in range(50):
        nested = [nested]
    shown = masked_value(
        {
            "smtp_password": "hunter2",
            "list": [{"api_key": b"raw"}],
            "tokens": 5,
            "nested": nested,
            "key": "kept",
            "b": b"raw",
        }
    )
    assert shown["smtp_password"] == MASK
    assert shown["list"] == [{"api_key": MASK}]
    assert (shown["tokens"], shown["key"], shown["b"]) == (5, "kept", "(3 bytes)")


def test_a_remembered_secret_is_masked_though_it_looks_like_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the vault gave out is masked as it stands; short texts are not, and the memory is bounded."""
    monkeypatch.setattr("application.masking._remembered", ())
    remember_secret("correct horse")
    remember_secret("horse")
    assert masked("login with 'correct horse' refused") == f"login with '{MASK}' refused"
    assert masked("a horse") == "a horse"
    for number in range(300):
        remember_secret(f"secret number {number}")
    assert masked("secret number 299, correct horse") == f"{MASK}, correct horse"


def fail_with(secret: str) -> None:
    """Fails with the secret in the message, in a local variable, and in a chained error."""
    key = secret.encode()
    try:
        raise KeyError(f"whsec_{secret}")
    except KeyError as error:
        raise RuntimeError(f"connect to postgresql://u:{secret}@h/d failed, {len(key)}") from error


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_no_log_line_shows_a_secret(out: io.StringIO, log_format: Any) -> None:
    """Messages, values, arguments, context, extras, exceptions and warnings of ours and of libraries are masked."""
    configure_logging("debug", log_format, out)
    ours, theirs = structlog.get_logger("ours"), logging.getLogger("library")
    structlog.contextvars.bind_contextvars(signing_key=CANARY)
    for text, _ in SECRETS.values():
        ours.info(text, value=text, nested={"list": [text]}, error=ValueError(text))
        ours.info("an argument: %s", text)
        theirs.warning(text)
        theirs.error("an argument: %s", text, extra={"found": text})
    ours.info("by name", password=CANARY, headers={"Authorization": CANARY}, cookies=CANARY)
    for logger in (ours, theirs):
        try:
            fail_with(CANARY)
        except RuntimeError:
            logger.exception("it failed")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn(f"whsec_{CANARY}", stacklevel=1)
    logged = out.getvalue()
    assert "it failed" in logged
    assert "RuntimeError" in logged
    assert "KeyError" in logged
    assert MASK in logged
    assert CANARY not in logged
    assert TOKEN not in logged


def test_programs_get_one_object_a_line(out: io.StringIO) -> None:
    """In JSON every record is one line with time, level, logger and message, whoever wrote it."""
    configure_logging("info", "json", out)
    structlog.get_logger("ours").info("started\n[error] forged", task_id="t1", at=object, late_seconds=0.5)
    logging.getLogger("library").warning("slow: %d ms", 5)
    structlog.get_logger("ours").debug("not shown")
    first, second = (json.loads(line) for line in out.getvalue().splitlines())
    assert first["event"] == "started\\n[error] forged"
    assert (first["level"], first["logger"], first["task_id"], first["late_seconds"]) == ("info", "ours", "t1", 0.5)
    assert first["timestamp"].endswith("Z")
    assert (second["event"], second["level"], second["logger"]) == ("slow: 5 ms", "warning", "library")


def test_people_get_one_line_without_colors_in_a_file(out: io.StringIO) -> None:
    """On what is no terminal the console format has no escape sequences, and a forged line stays one line."""
    configure_logging("info", "console", out)
    structlog.get_logger("ours").warning("\x1b[31mred\nforged", name="a\nb")
    (line,) = out.getvalue().splitlines()
    assert "\x1b" not in line
    assert "warning" in line


def test_auto_is_json_where_nobody_looks(out: io.StringIO) -> None:
    """Without a terminal programs are served; configuring again replaces what was before."""
    configure_logging("info", "console", out)
    configure_logging("info", "auto", out)
    logging.getLogger("library").error("once")
    (line,) = out.getvalue().splitlines()
    assert json.loads(line)["event"] == "once"


def test_a_value_that_cannot_be_shown_does_not_lose_the_line(out: io.StringIO) -> None:
    """A value whose text fails, or that contains itself, costs its own text only."""

    class Broken:
        def __str__(self) -> str:
            raise RuntimeError("no text")

    endless: list[Any] = []
    endless.append(endless)
    configure_logging("info", "json", out)
    structlog.get_logger("ours").info("kept", broken=Broken(), endless=endless, lone="\ud800")
    configure_logging("info", "console", out)
    structlog.get_logger("ours").info("kept too", lone="\ud800")
    first, second = out.getvalue().encode().decode().splitlines()
    assert json.loads(first)["event"] == "kept"
    assert "kept too" in second


def test_metrics_are_exposed_with_their_values() -> None:
    """What was counted and observed is in the text that Prometheus reads."""
    metrics = Metrics()
    metrics.run_started(2.0)
    metrics.run_started(-5.0)
    metrics.run_closed("executed", 1.5)
    metrics.run_closed("failed", 0.1)
    metrics.run_closed("executed", 0.2)
    metrics.delivered("webhook", "delivered")
    metrics.queue_depth(7)
    metrics.loop_lag(0.003)
    metrics.committed(128)
    body, content_type = metrics.exposition()
    assert content_type.startswith("text/plain")
    samples = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }
    assert samples["daybook_runs_total", "executed"] == 2
    assert samples["daybook_runs_total", "failed"] == 1
    assert samples["daybook_run_lateness_seconds_sum",] == 2.0
    assert samples["daybook_run_lateness_seconds_count",] == 2
    assert samples["daybook_run_duration_seconds_sum", "executed"] == pytest.approx(1.7)
    assert samples["daybook_deliveries_total", "delivered", "webhook"] == 1
    assert samples["daybook_queue_depth",] == 7
    assert samples["daybook_loop_lag_seconds_count",] == 1
    assert samples["daybook_commit_batch_events_sum",] == 128


def test_two_services_in_one_process_count_apart() -> None:
    """Each Metrics has a registry of its own."""
    one, other = Metrics(), Metrics()
    one.queue_depth(3)
    assert b"daybook_queue_depth 3.0" in one.exposition()[0]
    assert b"daybook_queue_depth 0.0" in other.exposition()[0]
