"""What an operator can set: environment variables, with a table of them for people."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from domain.errors import InvalidInput, shown
from domain.quotas import Quotas
from domain.retention import Retention
from domain.zone import zone_info

__all__ = ["SettingRow", "Settings", "load_settings", "settings_table", "unknown_variables"]

_PREFIX = "DAYBOOK_"
_UNIT = "unit"


def _unit(unit: str) -> dict[str, Any]:
    return {_UNIT: unit}


class Settings(BaseSettings):
    """Everything that can be set from outside. Read it with ``load_settings``, whose errors name the variable."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX, frozen=True, extra="ignore", hide_input_in_errors=True, populate_by_name=True
    )

    data: Path = Field(Path("data"), description="Folder of everything Daybook keeps, made when missing")
    archive: Path | None = Field(
        None, description="DiscordChatExporter JSON file, or a folder of them, to read channels from (local mode)"
    )
    timezone: str = Field(
        "UTC", description="Zone of tasks and guilds that name none", json_schema_extra=_unit("IANA zone")
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least severe messages to log")
    log_format: Literal["auto", "console", "json"] = Field(
        "auto", description="Looks of messages: console for people, json for programs, auto is console in `daybook run`"
    )
    database_url: SecretStr | None = Field(
        None, description="PostgreSQL URL of the log that several machines share; without it SQLite in the data folder"
    )
    discord_token: SecretStr | None = Field(
        None, validation_alias="DISCORD_TOKEN", description="Token of the Discord bot; without it local mode"
    )
    master_key: SecretStr | None = Field(
        None,
        description="Key of the vault, 64 hexadecimal digits or base64 of 32 bytes; without it the file master.key",
    )
    new_master_key: SecretStr | None = Field(
        None, description="Key that `daybook vault rotate` gives the vault; read by nothing else"
    )
    max_concurrent_runs: int = Field(
        500, ge=1, le=100_000, description="Runs at the same time in this process", json_schema_extra=_unit("runs")
    )
    max_runs_per_guild: int = Field(
        50, ge=1, le=100_000, description="Runs at the same time of one guild", json_schema_extra=_unit("runs")
    )
    max_tasks_per_guild: int = Field(
        100,
        ge=0,
        le=1_000_000,
        description="Tasks that a guild may have; 0 for no limit",
        json_schema_extra=_unit("tasks"),
    )
    shortest_interval_seconds: float = Field(
        60,
        ge=0,
        le=31_622_400,
        description="Least time between two slots of a task; 0 for no limit",
        json_schema_extra=_unit("seconds"),
    )
    runs_per_day_per_guild: int = Field(
        2_000,
        ge=0,
        le=100_000_000,
        description="Runs that a guild may have on a day in UTC; 0 for no limit",
        json_schema_extra=_unit("runs"),
    )
    max_concurrent_summaries: int = Field(
        2, ge=1, le=1_000, description="Summaries made at the same time", json_schema_extra=_unit("summaries")
    )
    attempt_deadline_seconds: float = Field(
        900, ge=1, le=86_400, description="Longest time of one attempt of a run", json_schema_extra=_unit("seconds")
    )
    delivery_deadline_seconds: float = Field(
        60, ge=1, le=3_600, description="Longest time of one delivery", json_schema_extra=_unit("seconds")
    )
    drain_seconds: float = Field(
        30, ge=0, le=3_600, description="How long a stop waits for runs to end", json_schema_extra=_unit("seconds")
    )
    retention_summaries_days: float | None = Field(
        None,
        ge=0,
        le=36_500,
        description="How long cleanup tasks of guilds keep summaries where the guild says nothing; without it for ever",
        json_schema_extra=_unit("days"),
    )
    retention_run_details_days: float | None = Field(
        None, ge=0, le=36_500, description="The same for details and rows of runs", json_schema_extra=_unit("days")
    )
    retention_cached_days: float | None = Field(
        None, ge=0, le=36_500, description="The same for what is cached", json_schema_extra=_unit("days")
    )
    engine: Literal["extractive", "openai", "anthropic"] = Field(
        "extractive",
        description="What makes summaries: extractive needs nothing; openai (and what speaks like it) and anthropic "
        "ask a language model",
    )
    engine_url: str | None = Field(None, description="Base address of the model's endpoint; without it the vendor's")
    engine_model: str | None = Field(None, description="Model that is asked")
    engine_models: str = Field("", description="Further models that tasks may ask for, with commas between")
    engine_api_key: SecretStr | None = Field(None, description="Key at the endpoint; none where it needs none")
    engine_max_input_tokens: int = Field(
        200_000,
        ge=8_000,
        le=100_000_000,
        description="What a model reads for one summary at most; beyond that the extractive engine makes it",
        json_schema_extra=_unit("tokens"),
    )
    engine_request_tokens: int = Field(
        24_000,
        ge=8_000,
        le=10_000_000,
        description="What one request holds at most; more messages are read in parts",
        json_schema_extra=_unit("tokens"),
    )
    engine_max_output_tokens: int = Field(
        4_000, ge=100, le=1_000_000, description="What a model writes in one answer", json_schema_extra=_unit("tokens")
    )
    engine_timeout_seconds: float = Field(
        120,
        ge=1,
        le=3_600,
        description="Longest time that a model has for one summary; then the extractive engine makes it",
        json_schema_extra=_unit("seconds"),
    )
    engine_input_price: float | None = Field(
        None,
        ge=0,
        le=1_000_000,
        description="Price of what the model reads",
        json_schema_extra=_unit("USD per million tokens"),
    )
    engine_output_price: float | None = Field(
        None,
        ge=0,
        le=1_000_000,
        description="Price of what it writes",
        json_schema_extra=_unit("USD per million tokens"),
    )
    allowed_hosts: str = Field(
        "",
        description="Internal hosts that webhooks may reach: names, addresses or networks, with commas between",
    )
    smtp_host: str | None = Field(None, description="Mail server that e-mail is sent through; without it no e-mail")
    smtp_port: int = Field(587, ge=1, le=65_535, description="Port of the mail server", json_schema_extra=_unit("port"))
    smtp_security: Literal["none", "starttls", "tls"] = Field(
        "starttls", description="How mail is encrypted on its way to the server: starttls, tls (port 465), or none"
    )
    smtp_username: str | None = Field(None, description="User name at the mail server; without it no login")
    smtp_password: SecretStr | None = Field(None, description="Password at the mail server")
    smtp_sender: str | None = Field(None, description="Address that e-mail comes from, like daybook@example.org")
    templates: Path | None = Field(
        None, description="Folder of templates of your own (see `daybook templates`), instead of those of Daybook"
    )

    @field_validator(
        "archive",
        "database_url",
        "discord_token",
        "new_master_key",
        "smtp_host",
        "smtp_username",
        "smtp_password",
        "smtp_sender",
        "templates",
        "engine_url",
        "engine_model",
        "engine_api_key",
        "engine_input_price",
        "engine_output_price",
        "retention_summaries_days",
        "retention_run_details_days",
        "retention_cached_days",
        mode="before",
    )
    @classmethod
    def _empty_is_unset(cls, value: object) -> object:
        # Compose files pass variables that nobody set as empty ones.
        return None if isinstance(value, str) and not value.strip() else value

    @field_validator("log_level", "log_format", "smtp_security", "engine", mode="before")
    @classmethod
    def _any_case(cls, value: object) -> object:
        return value.strip().lower() if isinstance(value, str) else value

    @field_validator("data")
    @classmethod
    def _a_folder(cls, value: Path) -> Path:
        if not str(value).strip() or "\0" in str(value):
            raise ValueError("is no path; give a folder, like ./data")
        return value.expanduser()

    @field_validator("archive", "templates")
    @classmethod
    def _expanded(cls, value: Path | None) -> Path | None:
        return None if value is None else value.expanduser()

    @field_validator("timezone")
    @classmethod
    def _a_zone(cls, value: str) -> str:
        try:
            zone_info(value)
        except InvalidInput as error:
            raise ValueError(f"{error.problem}; {error.remedy}" if error.remedy else error.problem) from None
        return value

    @field_validator("database_url")
    @classmethod
    def _postgresql(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith(("postgresql://", "postgres://")):
            raise ValueError("is no PostgreSQL URL; give postgresql://user:password@host:5432/database")
        return value

    @field_validator("discord_token")
    @classmethod
    def _a_token(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return None
        text = value.get_secret_value().strip()
        if not text.isascii() or any(character.isspace() for character in text):
            raise ValueError(
                "is no bot token; copy it from the Bot page of your application, without anything around it"
            )
        return SecretStr(text)

    @field_validator("engine_api_key")
    @classmethod
    def _a_key(cls, value: SecretStr | None) -> SecretStr | None:
        text = value.get_secret_value().strip() if value is not None else None
        if text is not None and (not text.isascii() or not text.isprintable() or " " in text):
            raise ValueError("is no key; copy it from the page of your endpoint, without anything around it")
        return None if text is None else SecretStr(text)

    @field_validator("smtp_password", "smtp_sender")
    @classmethod
    def _both_or_neither(cls, value: object, info: ValidationInfo) -> object:
        # Half a mail server would be noticed with the first result that cannot be sent.
        other = {"smtp_password": "smtp_username", "smtp_sender": "smtp_host"}[str(info.field_name)]
        if other in info.data and (value is None) != (info.data[other] is None):
            raise ValueError(f"goes with {_variable(other)}; set both, or neither")
        return value

    @property
    def retention(self) -> Retention:
        """How long things are kept in guilds that say nothing about it."""
        return Retention(
            summaries_days=self.retention_summaries_days,
            run_details_days=self.retention_run_details_days,
            cached_days=self.retention_cached_days,
        )

    @property
    def quotas(self) -> Quotas:
        """What each guild may that was granted nothing else."""
        return Quotas(
            max_tasks=self.max_tasks_per_guild or None,
            shortest_interval_seconds=self.shortest_interval_seconds or None,
            runs_per_day=self.runs_per_day_per_guild or None,
        )

    def group(self, prefix: str) -> dict[str, Any]:
        """The settings whose names begin alike, named by the rest of their names."""
        return {name.removeprefix(prefix): value for name, value in self if name.startswith(prefix)}


class SettingRow(NamedTuple):
    """One setting as documentation shows it."""

    variable: str
    default: str
    meaning: str
    unit: str


def load_settings(**given: Any) -> Settings:
    """The settings of the environment; ``given`` ones that are not None (from a command line) count before it.

    Raises InvalidInput that names the variable, says what was wrong and what would be right. Secrets are never shown.
    """
    given = {name: value for name, value in given.items() if value is not None}
    if unknown := [name for name in given if name not in Settings.model_fields]:
        raise TypeError(f"no setting is called {unknown[0]!r}")
    try:
        return Settings(**given)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False)
    # Raised outside of the handler: the chained error would carry the values.
    raise _explained(dict(problems[0]), given, others=len(problems) - 1)


def settings_table() -> list[SettingRow]:
    """All settings in the order they are declared, for the documentation."""
    rows = []
    for name, field in Settings.model_fields.items():
        extra = field.json_schema_extra
        unit = str(extra.get(_UNIT, "")) if isinstance(extra, dict) else ""
        default = "" if field.default is None else f"./{field.default}" if name == "data" else str(field.default)
        rows.append(SettingRow(_variable(name), default, field.description or "", unit))
    return rows


def unknown_variables(environment: Mapping[str, str]) -> list[tuple[str, str | None]]:
    """DAYBOOK_ variables that nothing reads, each with the one that was probably meant (or None)."""
    known = {_variable(name) for name in Settings.model_fields}
    strays = sorted(name for name in environment if name.upper().startswith(_PREFIX) and name.upper() not in known)
    return [(name, next(iter(difflib.get_close_matches(name.upper(), known, 1, 0.7)), None)) for name in strays]


def _variable(name: str) -> str:
    alias = Settings.model_fields[name].validation_alias
    return alias if isinstance(alias, str) else _PREFIX + name.upper()


def _explained(problem: dict[str, Any], given: Mapping[str, Any], others: int) -> InvalidInput:
    place = str(problem["loc"][0]) if problem["loc"] else ""
    name = next((name for name in Settings.model_fields if place in (name, _variable(name))), place)
    source = name if name in given else _variable(name)
    annotation = str(Settings.model_fields[name].annotation)
    value = "(hidden)" if "SecretStr" in annotation else problem.get("input")
    text = str(problem["msg"]).removeprefix("Value error, ")
    wrong, _, remedy = text.partition("; ")
    if problem["type"] != "value_error":
        wrong, remedy = "is not accepted", text[:1].lower() + text[1:]
    if others:
        remedy += f" (and {others} more settings are wrong)" if others > 1 else " (and one more setting is wrong)"
    return InvalidInput(source, value if isinstance(value, str) else shown(value), wrong, remedy)
