"""The settings: read from the environment, refused with the variable named, tabulated for the documentation."""

from __future__ import annotations

import os
import subprocess
import sys
import traceback
from pathlib import Path

import pytest

from domain.errors import InvalidInput
from domain.quotas import UNLIMITED, Quotas
from infrastructure.settings import Settings, load_settings, settings_table, unknown_variables

CANARY = "canaryCANARYcanary"


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.upper().startswith("DAYBOOK_") or name.upper() == "DISCORD_TOKEN":
            monkeypatch.delenv(name)


def test_the_defaults_need_no_environment() -> None:
    """Without any variable everything has its documented default."""
    settings = load_settings()
    assert settings.data == Path("data")
    assert (settings.archive, settings.database_url, settings.discord_token, settings.master_key) == (None,) * 4
    assert (settings.timezone, settings.log_level, settings.log_format) == ("UTC", "info", "auto")
    assert settings.max_concurrent_runs == 500
    assert settings.max_runs_per_guild == 50
    assert settings.max_concurrent_summaries == 2
    assert settings.attempt_deadline_seconds == 15 * 60
    assert settings.delivery_deadline_seconds == 60
    assert settings.drain_seconds == 30
    assert settings.quotas == Quotas(max_tasks=100, shortest_interval_seconds=60, runs_per_day=2000)


def test_a_quota_of_zero_is_no_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A community that hosts itself may want none."""
    for name in ("MAX_TASKS_PER_GUILD", "SHORTEST_INTERVAL_SECONDS", "RUNS_PER_DAY_PER_GUILD"):
        monkeypatch.setenv(f"DAYBOOK_{name}", "0")
    assert load_settings().quotas == UNLIMITED


def test_variables_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every kind of variable arrives as what it means."""
    for name, value in {
        "DAYBOOK_DATA": "/srv/daybook",
        "DAYBOOK_ARCHIVE": "~/export.json",
        "DAYBOOK_TIMEZONE": "Europe/Berlin",
        "DAYBOOK_LOG_LEVEL": "WARNING",
        "DAYBOOK_MAX_CONCURRENT_RUNS": "7",
        "DAYBOOK_DRAIN_SECONDS": "1.5",
        "DAYBOOK_DATABASE_URL": f"postgresql://u:{CANARY}@h/d",
        "DISCORD_TOKEN": f" {CANARY}\n",
    }.items():
        monkeypatch.setenv(name, value)
    settings = load_settings()
    assert settings.data == Path("/srv/daybook")
    assert settings.archive == Path("~/export.json").expanduser()
    assert (settings.timezone, settings.log_level) == ("Europe/Berlin", "warning")
    assert (settings.max_concurrent_runs, settings.drain_seconds) == (7, 1.5)
    assert settings.discord_token is not None
    assert settings.discord_token.get_secret_value() == CANARY
    assert settings.database_url is not None
    assert CANARY in settings.database_url.get_secret_value()
    assert CANARY not in repr(settings) + str(settings) + str(settings.model_dump())


def test_the_command_line_counts_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given values win; a value that was not given (None) leaves the variable in force."""
    monkeypatch.setenv("DAYBOOK_DATA", "/from/environment")
    monkeypatch.setenv("DAYBOOK_TIMEZONE", "Asia/Tokyo")
    settings = load_settings(data="/given", timezone=None, discord_token=CANARY)
    assert settings.data == Path("/given")
    assert settings.timezone == "Asia/Tokyo"
    assert settings.discord_token is not None


def test_empty_variables_are_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    """A compose file that passes nothing on passes an empty text: that is no token, no archive and no database."""
    for name in ("DISCORD_TOKEN", "DAYBOOK_ARCHIVE", "DAYBOOK_DATABASE_URL"):
        monkeypatch.setenv(name, " ")
    settings = load_settings()
    assert (settings.archive, settings.database_url, settings.discord_token) == (None, None, None)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("DAYBOOK_TIMEZONE", "Europe/Berln", "Europe/Berlin"),
        ("DAYBOOK_TIMEZONE", "../../etc/passwd", "IANA"),
        ("DAYBOOK_LOG_LEVEL", "loud", "'debug', 'info', 'warning' or 'error'"),
        ("DAYBOOK_MAX_CONCURRENT_RUNS", "many", "integer"),
        ("DAYBOOK_MAX_CONCURRENT_RUNS", "0", "greater than or equal to 1"),
        ("DAYBOOK_MAX_RUNS_PER_GUILD", "-1", "greater than or equal to 1"),
        ("DAYBOOK_DRAIN_SECONDS", "nan", "less than or equal to 3600"),
        ("DAYBOOK_DELIVERY_DEADLINE_SECONDS", "1e9", "less than or equal to 3600"),
    ],
)
def test_a_wrong_variable_is_named_with_what_would_be_right(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str
) -> None:
    """The error names the variable, shows the value, and says what is accepted."""
    monkeypatch.setenv(name, value)
    with pytest.raises(InvalidInput) as caught:
        load_settings()
    assert caught.value.field == name
    assert value in str(caught.value)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"), [("DAYBOOK_DATABASE_URL", f"mysql://u:{CANARY}@h/d"), ("DISCORD_TOKEN", f"Bot {CANARY}")]
)
def test_a_wrong_secret_is_named_but_not_shown(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """Neither message nor traceback shows what was given, and it is not kept on the error."""
    monkeypatch.setenv(name, value)
    with pytest.raises(InvalidInput, match=name) as caught:
        load_settings()
    assert CANARY not in "".join(traceback.format_exception(caught.value)) + repr(vars(caught.value))


def test_a_mail_server_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """STARTTLS on port 587 unless something else is said; the password is never shown."""
    monkeypatch.setenv("DAYBOOK_SMTP_HOST", "mail.example.org")
    monkeypatch.setenv("DAYBOOK_SMTP_SENDER", "Daybook <daybook@example.org>")
    settings = load_settings()
    assert (settings.smtp_host, settings.smtp_port, settings.smtp_security) == ("mail.example.org", 587, "starttls")
    assert settings.smtp_sender == "Daybook <daybook@example.org>"
    assert (settings.smtp_username, settings.smtp_password) == (None, None)
    monkeypatch.setenv("DAYBOOK_SMTP_USERNAME", "u")
    monkeypatch.setenv("DAYBOOK_SMTP_PASSWORD", CANARY)
    monkeypatch.setenv("DAYBOOK_SMTP_SECURITY", "TLS")
    monkeypatch.setenv("DAYBOOK_SMTP_PORT", "465")
    settings = load_settings()
    assert (settings.smtp_username, settings.smtp_port, settings.smtp_security) == ("u", 465, "tls")
    assert settings.smtp_password is not None
    assert settings.smtp_password.get_secret_value() == CANARY
    assert CANARY not in repr(settings) + str(settings.model_dump())


@pytest.mark.parametrize(
    ("given", "field", "told"),
    [
        ({"DAYBOOK_SMTP_HOST": "mail.example.org"}, "DAYBOOK_SMTP_SENDER", "DAYBOOK_SMTP_HOST"),
        ({"DAYBOOK_SMTP_SENDER": "a@b.example"}, "DAYBOOK_SMTP_SENDER", "DAYBOOK_SMTP_HOST"),
        ({"DAYBOOK_SMTP_USERNAME": "u"}, "DAYBOOK_SMTP_PASSWORD", "DAYBOOK_SMTP_USERNAME"),
        ({"DAYBOOK_SMTP_PASSWORD": CANARY}, "DAYBOOK_SMTP_PASSWORD", "DAYBOOK_SMTP_USERNAME"),
        ({"DAYBOOK_SMTP_SECURITY": "ssl"}, "DAYBOOK_SMTP_SECURITY", "'none', 'starttls' or 'tls'"),
        ({"DAYBOOK_SMTP_PORT": "0"}, "DAYBOOK_SMTP_PORT", "greater than or equal to 1"),
    ],
)
def test_half_a_mail_server_is_refused(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], field: str, told: str
) -> None:
    """What belongs together is set together; the error names both, and no secret."""
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InvalidInput) as caught:
        load_settings()
    assert caught.value.field == field
    assert told in str(caught.value)
    assert CANARY not in "".join(traceback.format_exception(caught.value)) + repr(vars(caught.value))


def test_empty_mail_variables_are_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compose files pass on what nobody set as empty texts: then there is no mail server."""
    for name in ("HOST", "USERNAME", "PASSWORD", "SENDER"):
        monkeypatch.setenv(f"DAYBOOK_SMTP_{name}", "")
    monkeypatch.setenv("DAYBOOK_TEMPLATES", " ")
    settings = load_settings()
    assert (settings.smtp_host, settings.smtp_password, settings.templates) == (None, None, None)


def test_a_wrong_command_line_value_is_named_by_its_own_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """What came from the command line is not blamed on a variable; further mistakes are counted."""
    monkeypatch.setenv("DAYBOOK_DRAIN_SECONDS", "soon")
    with pytest.raises(InvalidInput, match="one more setting is wrong") as caught:
        load_settings(timezone="Mars/Base")
    assert caught.value.field == "timezone"


def test_a_setting_that_does_not_exist_is_a_mistake_of_the_program() -> None:
    """Only known settings can be given."""
    with pytest.raises(TypeError, match="'colour'"):
        load_settings(colour="red")


def test_stray_variables_are_found_with_what_was_meant() -> None:
    """A misspelt variable is reported with the right name; others of the prefix without one."""
    strays = unknown_variables({"DAYBOOK_TIMEZON": "UTC", "daybook_data": "x", "PATH": "", "DAYBOOK_QQQQQQQQ": ""})
    assert strays == [("DAYBOOK_QQQQQQQQ", None), ("DAYBOOK_TIMEZON", "DAYBOOK_TIMEZONE")]


def test_the_table_has_every_setting_with_its_meaning() -> None:
    """The documentation can be made from the table: each variable once, with default, meaning and unit."""
    rows = {row.variable: row for row in settings_table()}
    assert len(rows) == len(Settings.model_fields)
    assert all(row.meaning for row in rows.values())
    assert all(row.unit for row in rows.values() if row.default.replace(".", "").isdigit())
    assert rows["DAYBOOK_DATA"].default == "./data"
    assert rows["DISCORD_TOKEN"].default == ""
    assert rows["DAYBOOK_DRAIN_SECONDS"] == (
        "DAYBOOK_DRAIN_SECONDS",
        "30",
        rows["DAYBOOK_DRAIN_SECONDS"].meaning,
        "seconds",
    )


def test_reading_settings_loads_no_telemetry() -> None:
    """Importing the settings (and even telemetry) does not import structlog or prometheus-client."""
    code = (
        "import sys, infrastructure.settings, infrastructure.telemetry; "
        "print([name for name in ('structlog', 'prometheus_client', 'sqlite_utils', 'psycopg') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    assert done.stdout.strip() == "[]"
