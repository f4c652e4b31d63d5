"""A row of the table: what it measures, of whom, at which sizes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Figures", "Row", "Size"]

Size = Mapping[str, int]
Figures = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Row:
    """``sizes`` are tiny, small and full; ``seconds`` says about how long one repetition takes at full size.

    ``rivals`` are the peers that a requirement names: they repeat as often as Daybook does, other peers run once.
    ``most`` bounds the repetitions of rows that repeat within themselves. The row's module has ``measure(name, size,
    place)``, and, where ``prepared``, ``prepare`` with the same arguments, which runs before, in a process of its own.
    """

    name: str
    title: str
    sizes: Mapping[str, Size]
    contestants: tuple[str, ...] = ("daybook",)
    rivals: tuple[str, ...] = ()
    seconds: float = 20
    most: int = 1_000
    prepared: bool = False
