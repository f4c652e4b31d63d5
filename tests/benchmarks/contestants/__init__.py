"""Every contestant by its name; its module is imported when it is measured, in the environment that has it."""

from __future__ import annotations

from importlib import import_module

from tests.benchmarks.contestant import Contestant, Place, Ran

__all__ = ["CONTESTANTS", "PEERS", "contestant"]

CONTESTANTS = {
    "daybook": "daybook.Daybook",
    "daybook-discord": "daybook.DaybookInBot",
    "apscheduler-wal": "apscheduler3.OnSqlite",
    "apscheduler-memory": "apscheduler3.InMemory",
    "huey": "huey.OnSqlite",
}
PEERS = tuple(name for name in CONTESTANTS if not name.startswith("daybook"))
"""Those that live in an environment of their own (see peers.py)."""


def contestant(name: str, place: Place, ran: Ran) -> Contestant:
    """The contestant of this name at a place."""
    module, kind = CONTESTANTS[name].split(".")
    made: Contestant = getattr(import_module(f"{__name__}.{module}_contestant"), kind)(place, ran)
    return made
