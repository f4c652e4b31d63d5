"""Figures held against what is required of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tests.benchmarks.requirements import REQUIREMENTS, Requirement
from tests.benchmarks.results import Results

__all__ = ["Verdict", "verdicts"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """One line of the table.

    ``measured`` is the median of what was measured, as it was; ``corrected`` what the machine of the requirements would
    have shown, as far as the machine's factor tells. ``ratio`` says how many times as good as ``beside`` it is. ``met``
    is None where nothing is required.
    """

    requirement: Requirement
    measured: float
    least: float
    most: float
    count: int
    corrected: float | None
    beside: float | None
    ratio: float | None
    met: bool | None


def verdicts(results: Results) -> Iterator[Verdict]:
    """One for every requirement that there are figures for."""
    for requirement in REQUIREMENTS:
        found = results.figures(requirement.row, requirement.contestant, requirement.figure)
        if found:
            yield _verdict(requirement, found, results)


def _verdict(wanted: Requirement, found: list[float], results: Results) -> Verdict:
    measured = results.value(wanted.row, wanted.contestant, wanted.figure)
    assert measured is not None
    corrected, beside = None, None
    if wanted.factor:
        factor = results.factor(wanted.row, wanted.factor)
        corrected = measured * factor if wanted.more else measured / factor
    if wanted.beside:
        contestant, _, figure = wanted.beside.partition(":")
        beside = results.value(wanted.row, contestant, figure or wanted.figure)
    ratio = _ratio(measured, beside, wanted.more)
    met = _met(wanted, measured if corrected is None else corrected, ratio)
    return Verdict(wanted, measured, min(found), max(found), len(found), corrected, beside, ratio, met)


def _ratio(measured: float, beside: float | None, more: bool) -> float | None:
    if not measured or not beside:
        return None
    return measured / beside if more else beside / measured


def _met(wanted: Requirement, value: float, ratio: float | None) -> bool | None:
    """Both bounds, where both are given; a ratio that nothing is there for is not met by itself."""
    kept: list[bool] = []
    if wanted.bound is not None:
        kept.append(value >= wanted.bound if wanted.more else value <= wanted.bound)
    if wanted.ratio is not None and ratio is not None:
        kept.append(ratio >= wanted.ratio)
    return all(kept) if kept else None
