"""What a program is told by the machine it runs on: settings, where log lines go, who holds a folder.

Everything is imported when it is first asked for: a command that asks for little starts fast.
"""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TextIO

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from application.limits import Limits
    from infrastructure.backup import Backup, Progress
    from infrastructure.read_only import ReadStores
    from infrastructure.reading import Reading
    from infrastructure.settings import SettingRow, Settings
    from infrastructure.stores import Stores

__all__ = ["Surroundings"]


class Surroundings:
    """The half of the command line's host that is about the machine (adapters.cli.host.Host)."""

    def settings(self, **given: Any) -> Settings:
        """The settings; ``given`` ones that are not None come before the environment. Raises InvalidInput."""
        from infrastructure.settings import load_settings

        return load_settings(**given)

    def settings_table(self) -> list[SettingRow]:
        """Every setting, as documentation shows it."""
        from infrastructure.settings import settings_table

        return settings_table()

    def limits(self, settings: Settings) -> Limits:
        """What one process does at most, as the settings say."""
        from application.limits import Limits

        return Limits(
            runs=settings.max_concurrent_runs,
            runs_per_guild=settings.max_runs_per_guild,
            attempt_deadline=timedelta(seconds=settings.attempt_deadline_seconds),
            delivery_deadline=timedelta(seconds=settings.delivery_deadline_seconds),
            drain=timedelta(seconds=settings.drain_seconds),
            quotas=settings.quotas,
            retention=settings.retention,
        )

    def mail_fields(self, settings: Settings) -> dict[str, Any] | None:
        """The settings of the mail server, None where there is none. Its password is masked in logs from now on."""
        if settings.smtp_host is None:
            return None
        if settings.smtp_password is not None:
            from infrastructure.masking import remember_secret

            remember_secret(settings.smtp_password.get_secret_value())
        import socket

        fields = settings.group("smtp_")
        return {**fields, "sender": fields["sender"] or f"daybook@{socket.getfqdn()}"}

    def engine_fields(self, settings: Settings) -> dict[str, Any] | None:
        """The settings of the language model, and a clock; None where none is asked. Its key is masked from now on."""
        if settings.engine == "extractive":
            return None
        from infrastructure.clock import SystemClock

        if settings.engine_api_key is not None:
            from infrastructure.masking import remember_secret

            remember_secret(settings.engine_api_key.get_secret_value())
        return {"api": settings.engine, "clock": SystemClock(), **settings.group("engine_")}

    def unknown_variables(self) -> list[tuple[str, str | None]]:
        """Variables of ours in the environment that nothing reads, each with what was probably meant."""
        from infrastructure.settings import unknown_variables

        # Read by the command line itself, before there are settings.
        return [found for found in unknown_variables(os.environ) if found[0].upper() != "DAYBOOK_DEBUG"]

    def configure_logging(self, level: str, log_format: Literal["auto", "console", "json"], stream: TextIO) -> None:
        """Send every log line of this process to ``stream``."""
        from infrastructure.telemetry import configure_logging

        configure_logging(level, log_format, stream)

    def holder(self, folder: Path) -> dict[str, Any] | None:
        """The process that holds a data folder, or None."""
        from infrastructure.presence import holder

        return holder(folder)

    def read_stores(self, settings: Settings) -> AbstractContextManager[ReadStores]:
        """The stores of these settings, only to look: nothing is written. Raises NotFound, StoreUnavailable."""
        from infrastructure.read_only import read_stores

        url = settings.database_url.get_secret_value() if settings.database_url is not None else None
        return read_stores(settings.data, url)

    def reading(self, data: str | None) -> AbstractContextManager[Reading | None]:
        """The rows of the folder that is named, and its log when it is asked; None where that takes a service."""
        from infrastructure.reading import reading

        return reading(data)

    def hosts_in_trouble(self, folder: Path) -> dict[str, dict[str, Any]] | None:
        """What the process that holds a data folder says of destination hosts, or None."""
        from infrastructure.hosts_file import hosts_in_trouble

        return hosts_in_trouble(folder)

    def rotate_master_key(self, stores: Stores, settings: Settings) -> tuple[int, str]:
        """Seal the vault with a new key; how many rows, and where the key is now. Raises InvalidInput."""
        from infrastructure.rotation import rotate_master_key

        new = settings.new_master_key
        text = new.get_secret_value() if new is not None else None
        return rotate_master_key(stores.vault, stores.folder, os.environ, text)

    def sqlite_version(self) -> tuple[int, ...]:
        """The version of the SQLite library that this process uses."""
        import sqlite3

        return sqlite3.sqlite_version_info

    def back_up(
        self,
        settings: Settings,
        target: Path,
        *,
        version: str,
        vault: bool = False,
        log: bool = True,
        progress: Progress = lambda done, total: None,
    ) -> Backup:
        """Copy the stores of the data folder into a new folder, checked; see infrastructure.backup."""
        from infrastructure.backup import back_up
        from infrastructure.clock import SystemClock

        now = SystemClock().now()
        return back_up(settings.data, target, now=now, version=version, vault=vault, log=log, progress=progress)

    def restore(
        self,
        settings: Settings,
        source: Path,
        *,
        vault: Path | None = None,
        erasures: Path | None = None,
        replace: bool = False,
    ) -> tuple[Backup, Path | None]:
        """Put a backup in place as the data folder; see infrastructure.restore."""
        from infrastructure.clock import SystemClock
        from infrastructure.restore import restore

        return restore(source, settings.data, now=SystemClock().now(), vault=vault, erasures=erasures, replace=replace)
