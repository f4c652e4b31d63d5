"""Which code makes the rows: rows that other code made are made anew."""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from importlib import import_module
from inspect import getsource

__all__ = ["SOURCES", "fingerprint"]

SOURCES = (
    "application.erased_rows",
    "application.projections",
    "application.rows",
    "domain.definition",
    "domain.destination",
    "domain.event",
    "domain.guild",
    "domain.guild_erasure",
    "domain.incidents",
    "domain.node",
    "domain.retention",
    "domain.runs",
    "domain.schedule",
    "domain.summary",
    "domain.task_erasure",
    "domain.task_events",
)
"""The modules that rows depend on: they compute them, or say what stands in the texts that rows keep."""


@lru_cache(maxsize=4)
def fingerprint(*more: str) -> str:
    """A hash of the code that makes the rows (``more`` names modules of a store): rows of other code are rebuilt."""
    sources = "".join(getsource(import_module(name)) for name in (*SOURCES, *more))
    return blake2b(sources.encode(), digest_size=8).hexdigest()
