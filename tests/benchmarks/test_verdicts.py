"""How figures are judged, and shown: the raw one always stands there, and the machine's factor decides what is met."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.benchmarks.calibration import REFERENCE
from tests.benchmarks.plot import growth_plot
from tests.benchmarks.report import markdown
from tests.benchmarks.results import Results, Sample, machine
from tests.benchmarks.rows.growth import Point
from tests.benchmarks.verdicts import Verdict, verdicts

TWICE_AS_SLOW = {"tasks": REFERENCE["tasks"] / 2, "commits": REFERENCE["commits"] / 2}


def measured(row: str, *figures: dict[str, float], contestant: str = "daybook") -> list[Sample]:
    """Repetitions on a machine that is half as fast as the one of the requirements."""
    return [Sample(row, contestant, found, TWICE_AS_SLOW) for found in figures]


def verdict(samples: list[Sample], figure: str, beside: str = "") -> Verdict:
    """The line of a figure."""
    results = Results("full", machine(), tuple(samples))
    found = [v for v in verdicts(results) if v.requirement.figure == figure and beside in v.requirement.beside]
    return found[0]


def test_the_median_is_judged_as_the_machine_of_the_requirements_would_show_it() -> None:
    """90 ms here are 45 there, which keeps the bound of 50; the raw figure stands beside it."""
    found = verdict(measured("storm", {"stall_ms": 90}, {"stall_ms": 89}, {"stall_ms": 300}), "stall_ms")
    assert (found.measured, found.corrected, found.met) == (90, 45, True)
    assert (found.least, found.most, found.count) == (89, 300, 3)


def test_a_rate_is_corrected_the_other_way() -> None:
    """29,000 a second here are 58,000 there, which is less than 60,000."""
    found = verdict(measured("rebuild", {"events_per_second": 29_000}), "events_per_second")
    assert (found.corrected, found.met) == (58_000, False)


@pytest.mark.parametrize(("peer", "met"), [(6.1, True), (5.9, False)])
def test_a_ratio_within_a_row_needs_no_correction(peer: float, met: bool) -> None:
    """Three times as fast as the peer, of the same minutes."""
    samples = measured("storm", {"seconds": 2.0}) + measured("storm", {"seconds": peer}, contestant="apscheduler-wal")
    found = verdict(samples, "seconds", "apscheduler-wal")
    assert found.ratio == pytest.approx(peer / 2)
    assert found.met is met


def test_without_the_peer_its_requirement_is_neither_met_nor_missed() -> None:
    """What was not compared is not judged."""
    found = verdict(measured("storm", {"seconds": 2.0}), "seconds", "apscheduler-wal")
    assert (found.ratio, found.met) == (None, None)


def test_what_is_measured_again_replaces_what_was_and_the_file_keeps_the_rest(tmp_path: Path) -> None:
    """Rows can be measured one by one."""
    first = Results("full", machine()).with_samples(measured("disk", {"bytes_per_run": 800.0}), ["a note"])
    second = first.with_samples(measured("storm", {"stall_ms": 9.0}), ["a note"])
    third = second.with_samples(measured("storm", {"stall_ms": 8.0}, {"stall_ms": 7.0}), [])
    third.save(tmp_path / "results.json")
    kept = Results.load(tmp_path / "results.json")
    assert kept.figures("storm", "daybook", "stall_ms") == [8.0, 7.0]
    assert kept.figures("disk", "daybook", "bytes_per_run") == [800.0]
    assert kept.notes == ("a note",)


def test_the_table_shows_raw_and_corrected_and_what_is_not_met() -> None:
    """One line of it."""
    text = markdown(Results("full", machine(), tuple(measured("storm", {"stall_ms": 130}))))
    assert "| the event loop stood still for at most | 130 ms | 65 ms | at most 50 ms |  |  | **not met** |" in text


def test_the_picture_has_a_point_for_every_storm() -> None:
    """Both panels, as well-formed SVG."""
    due = [Point("due", count, 1_000, count / 1_000) for count in (10, 100, 500)]
    stored = [Point("stored", 100, count, 0.1) for count in (100, 1_000, 10_000)]
    picture = ElementTree.fromstring(growth_plot([*due, *stored]))
    assert len(picture.findall(".//{*}circle")) == 6
    assert [element.text for element in picture.findall(".//{*}text") if element.text in ("linear", "flat")] == [
        "linear",
        "flat",
    ]
