"""The command line. ``main`` is handed the program behind it and does not return."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from adapters.cli.host import Host

__all__ = ["main"]


def main(host: Host) -> None:
    """Do what the arguments of the process ask for, and exit. The commands are loaded only for what needs them."""
    if sys.argv[1:] == ["--version"]:
        print(f"daybook {host.version}")
        raise SystemExit(0)
    from adapters.cli.app import main as run

    run(host)
