"""Which code makes the rows: rows that other code made are made anew."""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from importlib.machinery import SourceFileLoader
from importlib.util import find_spec

__all__ = ["SOURCES", "fingerprint", "source"]

SOURCES = (
    "application.erased_rows",
    "application.incident_rows",
    "application.model_use",
    "application.open_runs",
    "application.projections",
    "application.row_texts",
    "application.rows",
    "domain.compiling",
    "domain.cron",
    "domain.definition",
    "domain.destination",
    "domain.event",
    "domain.guild",
    "domain.guild_erasure",
    "domain.incidents",
    "domain.instants",
    "domain.node",
    "domain.reasons",
    "domain.retention",
    "domain.runs",
    "domain.schedule",
    "domain.schedule_words",
    "domain.summary",
    "domain.task_erasure",
    "domain.task_events",
    "domain.task_kinds",
)
"""The modules that rows depend on: they compute them, or say what stands in the texts that rows keep."""


@lru_cache(maxsize=4)
def fingerprint(*more: str) -> str:
    """A hash of the code that makes the rows (``more`` names modules of a store): rows of other code are rebuilt.

    The code is read and not imported: whoever only reads rows starts without it.
    """
    sources = "".join(source(name) for name in (*SOURCES, *more))
    return blake2b(sources.encode(), digest_size=8).hexdigest()


def source(module: str) -> str:
    """The text of a module. Raises ImportError where there is none."""
    spec = find_spec(module)
    text = spec.loader.get_source(module) if spec is not None and isinstance(spec.loader, SourceFileLoader) else None
    if text is None:
        raise ImportError(f"the source of {module} is not there: rows cannot say which code made them", name=module)
    return text
