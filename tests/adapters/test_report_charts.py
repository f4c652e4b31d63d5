"""The charts of audit reports: what was late is to be seen, whether by hours or by milliseconds."""

from __future__ import annotations

import re
from datetime import date

import pytest

from adapters.rendering.reports.charts import HEIGHT, lateness_chart
from application.report import Day, spread_of


def chart(seconds: list[float]) -> tuple[list[str], list[float]]:
    """The words at the axis, and how high the latest start stands, of one day on which slots were so late."""
    text = str(lateness_chart([Day(date(2026, 3, 2), executed=len(seconds), lateness=spread_of(seconds))]))
    labels = re.findall(r'text-anchor="end">([^<]*)</text>', text)
    return labels, [HEIGHT - float(y) for y in re.findall(r'<circle class="most" cx="[^"]*" cy="([^"]*)"', text)]


@pytest.mark.parametrize(
    ("most", "labels"),
    [
        (0.0, ["0", "1 ms"]),
        (0.004, ["0", "1 ms", "10 ms"]),
        (0.05, ["0", "1 ms", "10 ms"]),
        (0.4, ["0", "1 ms", "10 ms", "100 ms"]),
        (0.999, ["0", "1 ms", "10 ms", "100 ms", "1 s"]),
        (1.0, ["0", "1 s"]),
        (90.0, ["0", "1 s", "10 s", "1 min"]),
    ],
)
def test_the_scale_of_lateness_is_that_of_the_latest_start(most: float, labels: list[str]) -> None:
    """In milliseconds where all starts were within a second; no label stands beyond the picture."""
    found, _ = chart([0.0, most])
    assert found == labels


@pytest.mark.parametrize("most", [0.004, 0.05, 0.4, 0.999, 1.0, 4.0, 90.0, 7200.0])
def test_a_late_start_stands_well_above_the_line_of_those_on_time(most: float) -> None:
    """An empty chart would say that nothing was late."""
    [on_time], [late] = chart([0.0])[1], chart([0.0, most])[1]
    assert late - on_time > (HEIGHT - on_time) / 5
    assert late <= HEIGHT
