"""An audit report as people and programs read it: Markdown, HTML, CSV, JSON. Pure functions of the report."""

from adapters.rendering.reports.csv_tables import csv_archive, csv_report, table_names
from adapters.rendering.reports.document import json_parts, json_report, report_document
from adapters.rendering.reports.markdown import markdown_report
from adapters.rendering.reports.page import html_report

__all__ = [
    "csv_archive",
    "csv_report",
    "html_report",
    "json_parts",
    "json_report",
    "markdown_report",
    "report_document",
    "table_names",
]
