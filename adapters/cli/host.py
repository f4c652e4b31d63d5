"""What the command line is handed by the program it belongs to. It makes no store and no other adapter itself."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TextIO, runtime_checkable

if TYPE_CHECKING:
    from application.dispatcher import Dispatcher
    from application.erasure import Erasure
    from application.ports import Clock, Content, Leaves, Log, MessageProcessor, ReadModel, SummarizationEngine, Writer
    from application.queries import Queries
    from application.reports import Reports
    from application.scheduler import Scheduler
    from application.transfer import Transfer
    from application.work import TaskExecutionResult

__all__ = [
    "Archive",
    "BackedUp",
    "Bot",
    "Channel",
    "Checkable",
    "Host",
    "OpenStores",
    "Progress",
    "ReadStores",
    "Reading",
    "Rows",
    "Secret",
    "Service",
    "Settings",
]

Progress = Callable[[int, int], None]
LogFormat = Literal["auto", "console", "json"]


class Secret(Protocol):
    """A value that is shown nowhere."""

    def get_secret_value(self) -> str: ...


class Settings(Protocol):
    """What the environment and the options say; see the settings of the program."""

    @property
    def data(self) -> Path: ...
    @property
    def archive(self) -> Path | None: ...
    @property
    def timezone(self) -> str: ...
    @property
    def log_level(self) -> str: ...
    @property
    def log_format(self) -> LogFormat: ...
    @property
    def database_url(self) -> object | None: ...
    @property
    def discord_token(self) -> Secret | None: ...
    @property
    def master_key(self) -> object | None: ...
    @property
    def attempt_deadline_seconds(self) -> float: ...
    @property
    def templates(self) -> Path | None: ...


class Channel(Protocol):
    """A channel of an archive; instants are aware UTC."""

    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def guild_id(self) -> str: ...
    @property
    def guild_name(self) -> str: ...
    @property
    def message_count(self) -> int: ...
    @property
    def last(self) -> datetime | None: ...


class Category(Protocol):
    """A category of channels of an archive."""

    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def guild_id(self) -> str: ...


class Archive(Protocol):
    """Channels out of files."""

    def channels(self) -> Sequence[Channel]: ...
    def find_channel(self, text: str) -> Channel: ...
    def find_category(self, text: str) -> Category: ...
    def shifted(self, shift: timedelta) -> MessageProcessor: ...


class BackedUp(Protocol):
    """What a backup holds: when it was begun (aware UTC), its newest event, rows and digests by file."""

    @property
    def at(self) -> datetime: ...
    @property
    def position(self) -> int | None: ...
    @property
    def has_vault(self) -> bool: ...
    @property
    def counts(self) -> Mapping[str, Mapping[str, int]]: ...
    @property
    def files(self) -> Mapping[str, str]: ...


class Rows(Protocol):
    """The read model of an open service.

    ``stale``: made by another version, or ``damaged``, so that this process cannot read it.
    """

    @property
    def stale(self) -> bool: ...
    @property
    def damaged(self) -> bool: ...
    def position(self) -> int: ...
    def reset(self) -> None: ...
    def catch_up(self, log: Log, *, progress: Progress | None = None) -> None: ...
    def differing(self, log: Log, progress: Progress | None = None) -> dict[str, int]: ...
    def dump(self) -> dict[str, list[tuple[Any, ...]]]: ...


class OpenStores(Protocol):
    """The stores of an open service, as far as the command line asks them."""

    @property
    def log(self) -> Log: ...
    @property
    def read_model(self) -> Rows: ...
    @property
    def leaves(self) -> Leaves: ...
    @property
    def writer(self) -> Writer: ...
    @property
    def companion(self) -> bool: ...


class ReadStores(Protocol):
    """Stores that are open only to look. ``has_leaves``: without, the leaves cannot be read."""

    @property
    def log(self) -> Log: ...
    @property
    def read_model(self) -> Rows: ...
    @property
    def leaves(self) -> Leaves: ...
    @property
    def has_leaves(self) -> bool: ...
    @property
    def has_rows(self) -> bool: ...
    def destroyed_keys(self) -> Collection[str]: ...


class Reading(Protocol):
    """Rows that can be read as they stand, and the log behind them. ``served``: a service holds the folder."""

    @property
    def rows(self) -> ReadModel: ...
    @property
    def log(self) -> Log: ...
    @property
    def content(self) -> Content: ...
    @property
    def leaves(self) -> Leaves | None: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def timezone(self) -> str: ...
    @property
    def served(self) -> bool: ...


class Service(Protocol):
    """A scheduler over the stores of one folder. The parts exist once it is open."""

    node: str
    timezone: str
    clock: Clock

    @property
    def commands(self) -> Scheduler: ...
    @property
    def queries(self) -> Queries: ...
    @property
    def reports(self) -> Reports: ...
    @property
    def transfer(self) -> Transfer: ...
    @property
    def erasure(self) -> Erasure: ...
    @property
    def dispatcher(self) -> Dispatcher: ...
    @property
    def stores(self) -> OpenStores: ...
    async def open(self, *, companion: bool = False, anew: bool = False, progress: Progress | None = None) -> None: ...
    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    async def run_task_now(self, task_id: str, *, reason: str | None = None) -> TaskExecutionResult: ...


@runtime_checkable
class Checkable(Protocol):
    """An engine that depends on something outside."""

    async def checked(self) -> tuple[Literal["ok", "warning"], str]:
        """Whether it can be used now, in words and without secrets. Raises nothing."""
        ...


class Bot(Protocol):
    """The service as a Discord bot."""

    @property
    def service(self) -> Any: ...

    @property
    def presence(self) -> str: ...

    async def open(self, token: str) -> None:
        """Log in and start the service. Raises InvalidInput for a token that is refused, StoreUnavailable."""
        ...

    async def stay(self) -> None:
        """Stay connected until it is closed. Raises InvalidInput where Discord will have it no more."""
        ...

    async def close(self) -> None:
        """Stop the service and leave. Idempotent."""
        ...


class Host(Protocol):
    """The program behind the command line."""

    version: str

    def settings(self, **given: Any) -> Settings:
        """The settings; ``given`` ones that are not None come before the environment. Raises InvalidInput."""
        ...

    def settings_table(self) -> Sequence[tuple[str, str, str, str]]:
        """(variable, default, meaning, unit) of every setting."""
        ...

    def unknown_variables(self) -> Sequence[tuple[str, str | None]]:
        """Variables of ours in the environment that nothing reads, each with what was probably meant."""
        ...

    def configure_logging(self, level: str, log_format: LogFormat, stream: TextIO) -> None:
        """Send log lines to ``stream``."""
        ...

    def service(self, settings: Any, messages: MessageProcessor | None = None, client: Any = None) -> Service:
        """A service on these settings, not yet open; ``client`` is one of Discord."""
        ...

    def bot(self, settings: Any) -> Bot:
        """The Discord bot of these settings, not yet logged in."""
        ...

    def discord(self, token: str) -> AbstractAsyncContextManager[Any]:
        """A client that is logged in to Discord's REST interface, and has no gateway.

        Raises InvalidInput for a token that is refused, StoreUnavailable when Discord cannot be reached.
        """
        ...

    def archive(self, path: Path | None) -> Archive:
        """The exports at ``path``; None for the sample that comes with the program. Reads nothing yet."""
        ...

    def engine(self, at_once: int = 2, fields: Mapping[str, Any] | None = None) -> SummarizationEngine:
        """The summarizer that needs no network, or the language model of these settings. Raises InvalidInput."""
        ...

    def mail_fields(self, settings: Any) -> Mapping[str, Any] | None:
        """The settings of the mail server; None where there is none."""
        ...

    def engine_fields(self, settings: Any) -> Mapping[str, Any] | None:
        """The settings of the language model; None where none is asked."""
        ...

    def holder(self, folder: Path) -> Mapping[str, Any] | None:
        """The process that holds a data folder (node, pid, host, started), or None."""
        ...

    def reading(self, data: str | None) -> AbstractContextManager[Reading | None]:
        """The rows of the folder that is named, or set; None where they cannot be read before a service has acted.

        Raises NotFound for a folder that is not there, StoreUnavailable for one that cannot be read.
        """
        ...

    def read_stores(self, settings: Any) -> AbstractContextManager[ReadStores]:
        """The stores of these settings, only to look: nothing is written. Raises NotFound, StoreUnavailable."""
        ...

    def hosts_in_trouble(self, folder: Path) -> Mapping[str, Mapping[str, Any]] | None:
        """Destination hosts that the process of a data folder has trouble with; None when none says so.

        Of each: ``phase``, ``consecutive_failures``, ``since``, ``last_error``, ``next_try``, ``slowed_routes``.
        """
        ...

    def rotate_master_key(self, stores: Any, settings: Any) -> tuple[int, str]:
        """Seal the vault with a new key; how many rows, and where the key is now. Raises InvalidInput."""
        ...

    def sqlite_version(self) -> tuple[int, ...]:
        """The version of the SQLite library of this process."""
        ...

    def back_up(
        self,
        settings: Any,
        target: Path,
        *,
        version: str,
        vault: bool = False,
        log: bool = True,
        progress: Progress = ...,
    ) -> BackedUp:
        """Copy the stores into a new folder, checked. Raises NotFound, InvalidInput, StoreError."""
        ...

    def restore(
        self,
        settings: Any,
        source: Path,
        *,
        vault: Path | None = None,
        erasures: Path | None = None,
        replace: bool = False,
    ) -> tuple[BackedUp, Path | None]:
        """Put a backup in place; returns it, and where that is kept which was there before."""
        ...
