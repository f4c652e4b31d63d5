"""The files that reports are held against: ``python -m tests.adapters.report_goldens`` writes them anew."""

from __future__ import annotations

from pathlib import Path

from adapters.rendering import reports
from application.report import Report
from tests.application.report_parts import END, START_OF_PERIOD, VIEWER, everything, scripted

__all__ = ["FOLDER", "goldens"]

FOLDER = Path(__file__).parents[1] / "data" / "reports"
_NAMES = {
    "terminal": "report.txt",
    "narrow": "narrow.txt",
    "markdown": "report.md",
    "html": "report.html",
    "json": "report.json",
}


def goldens() -> dict[str, str]:
    """What each file holds, by its name."""
    log = scripted()
    whole = log.report(START_OF_PERIOD, END, timezone="Europe/Berlin")
    found = {name: str(text) for form, text in everything(whole).items() if (name := _NAMES.get(form))}
    found |= {f"{name}.csv": reports.csv_report(whole, name) for name in reports.table_names(whole)}
    viewer: Report = log.report(START_OF_PERIOD, END, principal=VIEWER)
    return found | {"viewer.md": reports.markdown_report(viewer)}


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, text in goldens().items():
        (FOLDER / name).write_bytes(text.encode())
