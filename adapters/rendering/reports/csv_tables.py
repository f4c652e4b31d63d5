"""An audit report as CSV (RFC 4180): one table at a time, or all of them as the files of one archive."""

from __future__ import annotations

import csv
import io
from datetime import date, datetime
from zipfile import ZIP_STORED, ZipFile, ZipInfo

from adapters.rendering.reports.tables import Cell, Table, tables
from adapters.rendering.safety import clean
from application.report import Report
from domain.errors import InvalidInput

__all__ = ["csv_archive", "csv_report", "table_names"]

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What makes a spreadsheet read a cell as a formula, or as one after it has trimmed it; in full width as well."""

_NO_TIME = (1980, 1, 1, 0, 0, 0)


def table_names(report: Report) -> list[str]:
    """The names of the tables."""
    return [table.key for table in tables(report)]


def csv_report(report: Report, name: str) -> str:
    """One table with a header line: instants in UTC, lengths in seconds, nothing as an empty cell.

    Texts that a spreadsheet would take for a formula begin with an apostrophe. Raises InvalidInput for an unknown name.
    """
    found = {table.key: table for table in tables(report)}
    if name not in found:
        raise InvalidInput("table", name, "is not in a report", "use one of " + ", ".join(found))
    return _written(found[name])


def csv_archive(report: Report) -> bytes:
    """All tables as ``name.csv`` in a ZIP archive.

    It holds no time of its own and is not compressed, which other versions of a library might do otherwise: a closed
    report stays the same byte for byte.
    """
    file = io.BytesIO()
    with ZipFile(file, "w", ZIP_STORED) as archive:
        for table in tables(report):
            entry = ZipInfo(f"{table.key}.csv", _NO_TIME)
            entry.compress_type, entry.external_attr, entry.create_system = ZIP_STORED, 0o644 << 16, 3
            archive.writestr(entry, _written(table).encode("utf-8"))
    return file.getvalue()


def _written(table: Table) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow([column.key for column in table.columns])
    writer.writerows([_cell(cell) for cell in row] for row in table.rows)
    return text.getvalue()


def _cell(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, datetime | date):
        return cell.isoformat()
    if isinstance(cell, int | float):
        return repr(cell)  # numbers of ours, also negative ones, stay numbers
    return _disarmed(clean(cell))


def _disarmed(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) or text.lstrip().startswith(_FORMULA) else text
