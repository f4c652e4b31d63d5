"""What a task is: the part that people write and edit. What became of it is in domain.task."""

from __future__ import annotations

import unicodedata
from datetime import timedelta
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue
from pydantic_core import from_json, to_json

from domain.choice import Choice
from domain.destination import Destination
from domain.errors import InvalidDestination, InvalidInput
from domain.frozen import but
from domain.schedule import Schedule
from domain.summary import SummaryOptions
from domain.task_kinds import TaskType

__all__ = [
    "CatchUp",
    "OverlapPolicy",
    "TaskDefinition",
    "TaskType",
    "check_complete",
    "check_definition",
]

LONGEST_NAME_CHARACTERS = 100
MOST_CHANNELS = 50
MOST_EXCLUDED = 500
MOST_DESTINATIONS = 20
LARGEST_PARAMETERS_BYTES = 16_384


class OverlapPolicy(Choice):
    """What happens to a slot that comes while an earlier run of the task is not closed.

    A run that waits for its retry counts as running. ``skip``: the slot is skipped. ``buffer_one``: the newest such
    slot runs afterwards, the others are skipped. ``buffer_all``: all run afterwards, one after the other.
    ``cancel_other``: the running one is given up. ``allow_all``: both run.
    """

    SKIP = "skip"
    BUFFER_ONE = "buffer_one"
    BUFFER_ALL = "buffer_all"
    CANCEL_OTHER = "cancel_other"
    ALLOW_ALL = "allow_all"

    @property
    def buffers(self) -> bool:
        """Whether slots wait while a run is open."""
        return self in (OverlapPolicy.BUFFER_ONE, OverlapPolicy.BUFFER_ALL)


class CatchUp(Choice):
    """What happens to slots that passed while nothing could serve them, within the catch-up window."""

    RUN_LAST = "run_last"
    RUN_ALL = "run_all"
    SKIP = "skip"


class TaskDefinition(BaseModel):
    """Everything a person decides about a task.

    ``time_range_hours`` is how far back a summary looks at least; it always covers the time since the last successful
    run. ``retry_delay_minutes`` is the wait before the first retry. ``catch_up_window_seconds`` is how late a slot
    may start. ``created_by`` is a principal's reference. Structural limits only: whether a definition makes sense is
    ``check_definition``'s to say, so that an old one can always be loaded.

    ``category_id`` stands for the channels that the category holds when a run begins, but for ``excluded_channel_ids``
    (channels and threads). With ``category_mode`` "individual" every channel of the task gets a summary of its own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    guild_id: str
    schedule: Schedule
    task_type: TaskType = TaskType.SUMMARY
    operation: str | None = None
    parameters: dict[str, JsonValue] = Field(default_factory=dict)
    channel_id: str = ""
    channel_ids: tuple[str, ...] = ()
    category_id: str | None = None
    excluded_channel_ids: tuple[str, ...] = ()
    category_mode: Literal["combined", "individual"] = "combined"
    destinations: tuple[Destination, ...] = ()
    summary_options: SummaryOptions = SummaryOptions()
    max_failures: int = 3
    retry_delay_minutes: float = 5
    time_range_hours: float | None = None
    title_template: str | None = None
    created_by: str = "system"
    overlap: OverlapPolicy = OverlapPolicy.SKIP
    catch_up: CatchUp = CatchUp.RUN_LAST
    catch_up_window_seconds: float = 3600
    max_runs: int | None = None

    @property
    def all_channel_ids(self) -> tuple[str, ...]:
        """The primary channel and the additional ones, each once, without the excluded."""
        ordered = dict.fromkeys((self.channel_id, *self.channel_ids))
        return tuple(c for c in ordered if c and c not in self.excluded_channel_ids)

    @property
    def custom_operation(self) -> str | None:
        """What a custom task runs; None of any other."""
        return self.operation if self.task_type is TaskType.CUSTOM else None

    @property
    def retry_delay(self) -> timedelta:
        """The wait before the first retry."""
        return timedelta(minutes=self.retry_delay_minutes)

    @property
    def catch_up_window(self) -> timedelta:
        """How late a slot may start."""
        return timedelta(seconds=self.catch_up_window_seconds)

    def keyed(self, key: str) -> TaskDefinition:
        """The same with ``key`` (the task's id) as what ``H`` and ``spread`` of its schedule are hashed from."""
        schedule = self.schedule.keyed(key)
        return self if schedule is self.schedule else but(self, schedule=schedule)


def check_definition(definition: TaskDefinition) -> None:
    """Refuse (InvalidInput) values that no task may have, whether it is complete or not."""
    _check_text("name", definition.name, LONGEST_NAME_CHARACTERS)
    if definition.title_template:
        _check_text("title_template", definition.title_template, 200)
    _check_range("max_failures", definition.max_failures, 1, 100)
    _check_range("retry_delay_minutes", definition.retry_delay_minutes, 0, 24 * 60)
    _check_range("catch_up_window_seconds", definition.catch_up_window_seconds, 0, 31 * 24 * 3600)
    if definition.time_range_hours is not None:
        _check_range("time_range_hours", definition.time_range_hours, 0.01, 366 * 24)
    if definition.max_runs is not None:
        _check_range("max_runs", definition.max_runs, 1, 1_000_000_000)
    _check_count("channel_ids", definition.channel_ids, MOST_CHANNELS)
    _check_count("excluded_channel_ids", definition.excluded_channel_ids, MOST_EXCLUDED)
    _check_count("destinations", definition.destinations, MOST_DESTINATIONS)
    for field in ("guild_id", "channel_id", "category_id"):
        if value := getattr(definition, field):
            _check_id(field, value)
    for index, channel_id in enumerate(definition.channel_ids):
        _check_id(f"channel_ids[{index}]", channel_id)
    for index, channel_id in enumerate(definition.excluded_channel_ids):
        _check_id(f"excluded_channel_ids[{index}]", channel_id)
    keys = [destination.key for destination in definition.destinations]
    if len(set(keys)) < len(keys):
        raise InvalidDestination("destinations", len(keys), "name the same place twice", "give each place once")
    if len(str(definition.parameters)) > LARGEST_PARAMETERS_BYTES:
        raise InvalidInput("parameters", "…", "are too large", f"keep them under {LARGEST_PARAMETERS_BYTES} characters")
    _check_storable(definition)


def check_complete(definition: TaskDefinition) -> None:
    """Refuse (InvalidInput) a definition that says too little to be scheduled."""
    if not definition.guild_id:
        raise InvalidInput("guild_id", "", "is missing", "say which guild the task belongs to")
    if definition.task_type is TaskType.CUSTOM and not definition.operation:
        raise InvalidInput("operation", definition.operation, "is missing", "name the registered operation to run")
    if definition.task_type is TaskType.SUMMARY:
        if not definition.all_channel_ids and not definition.category_id:
            raise InvalidInput("channel_id", "", "is missing", "say which channel to summarize, or which category")
        if not any(destination.enabled for destination in definition.destinations):
            raise InvalidDestination(
                "destinations", [], "has no enabled destination", "say where the summary goes, e.g. file:"
            )


def _check_text(field: str, text: str, longest: int) -> None:
    if not text.strip():
        raise InvalidInput(field, text, "is empty", f"give 1 to {longest} characters")
    if len(text) > longest:
        raise InvalidInput(field, text, f"has {len(text)} characters", f"give at most {longest}")
    if not text.isprintable() and (bad := next((c for c in text if unicodedata.category(c) in ("Cc", "Cs")), None)):
        raise InvalidInput(field, text, f"holds the control character {bad!a}", "use printable characters")


def _check_id(field: str, value: str) -> None:
    if not value.isprintable() or len(value) > 64 or " " in value or not value.isascii():
        raise InvalidInput(field, value, "is not an id", "give 1 to 64 printable ASCII characters without spaces")


def _check_range(field: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        raise InvalidInput(field, value, "is out of range", f"give a number from {least:g} to {most:g}")


def _check_count(field: str, values: tuple[Any, ...], most: int) -> None:
    if len(values) > most:
        raise InvalidInput(field, len(values), "are too many", f"give at most {most}")


def _check_storable(definition: TaskDefinition) -> None:
    # A lone surrogate passes as str and fails only when it is written. Parameters are the one part of any shape: NaN
    # and infinities are written as something else, and what is nested too deep is never read again.
    nested = [[[definition.parameters]]]  # as deep as in an event
    try:
        "".join(_free_texts(definition)).encode()
        if not definition.parameters or from_json(to_json(nested, inf_nan_mode="null")) == nested:
            return
    except (ValueError, TypeError):
        pass
    remedy = "remove lone surrogates, NaN and infinities, and nest parameters less"
    raise InvalidInput("definition", definition.name, "cannot be stored", remedy)


def _free_texts(definition: TaskDefinition) -> list[str]:
    """Every text that may hold anything: not names and ids, which are checked by themselves."""
    options = definition.summary_options
    texts = [definition.operation or "", definition.created_by, options.perspective, options.summarization_model or ""]
    texts += options.excluded_users
    for destination in definition.destinations:
        texts += (destination.target, destination.format, destination.label or "")
    for rule in (definition.schedule, *definition.schedule.also):
        texts += (rule.time, rule.timezone, rule.cron or "", rule.holidays or "", rule.key)
    return texts
