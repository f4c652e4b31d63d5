"""``daybook destinations status``: the hosts that the running service has trouble with."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import typer

from adapters.cli import show
from adapters.cli.options import DataOption, JsonOption

if TYPE_CHECKING:
    from adapters.cli.host import Host

__all__ = ["standing", "status"]


def status(ctx: typer.Context, json: JsonOption = False, data: DataOption = None) -> None:
    """Show which hosts of webhooks, mail and Discord the service of this folder has trouble with, and until when."""
    host: Host = ctx.obj
    folder = host.settings(data=data).data
    service, hosts = host.holder(folder), host.hosts_in_trouble(folder)
    if json:
        show.as_json({"running": service is not None, "hosts": hosts})
    elif service is None:
        show.line("no service is running here, so nothing is left alone")
    elif hosts is None:
        show.line("the running service has not said anything yet; it does so within a few seconds of its start")
    elif not hosts:
        show.line("no host is in trouble")
    else:
        _print(hosts, datetime.now(UTC))


def standing(state: Mapping[str, Any]) -> str:
    """What a host's state comes to, in a few words."""
    if state.get("phase") == "open":
        return "left alone"
    if state.get("phase") == "half_open":
        return "to be tried"
    return "failing" if state.get("consecutive_failures") else "asked to wait"


def _print(hosts: Mapping[str, Mapping[str, Any]], now: datetime) -> None:
    rows = [
        (
            show.plain(name),
            standing(state),
            str(state.get("consecutive_failures") or ""),
            _when(state.get("since"), now),
            _when(state.get("next_try"), now) or "now",
            show.plain(str(state.get("last_error") or "")),
        )
        for name, state in sorted(hosts.items())
    ]
    show.display(
        show.table(("host", "state", "failures", "since", "next try", "last error"), rows, right=("failures",))
    )


def _when(text: Any, now: datetime) -> str:
    from adapters.cli.times import relative

    return relative(datetime.fromisoformat(text), now) if text else ""
