"""The page of the predecessor's defects names a test for each, and the tests are there."""

from __future__ import annotations

import ast
from pathlib import Path

from tests.docs_pages import table

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs/explanation/predecessor-defects.md"


def test_every_defect_of_the_predecessor_has_a_test_that_exists() -> None:
    """All 38."""
    rows = table(PAGE.read_text(encoding="utf-8"))
    assert [int(row[0]) for row in rows] == list(range(1, 39))
    missing = [row[0] for row in rows if not all(_exists(test.strip("`")) for test in row[2].split(", "))]
    assert missing == []


def _exists(test: str) -> bool:
    path, _, name = test.partition("::")
    file = ROOT / path
    if not name or not file.is_file():
        return False
    tree = ast.parse(file.read_text(encoding="utf-8"))
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return any(function.name == name for function in functions)
