"""What the choices of definitions and events are: words, as they are written."""

from __future__ import annotations

from enum import StrEnum
from operator import attrgetter
from typing import TYPE_CHECKING

__all__ = ["Choice"]


class Choice(StrEnum):
    """One of several words. Its value costs no Python code: writing a definition asks ten choices for theirs."""

    if not TYPE_CHECKING:
        value = property(attrgetter("_value_"))
