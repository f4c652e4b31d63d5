"""Other files as earlier versions wrote them: summaries, and exports with their history. They are read for ever."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from domain.summary import Summary
from infrastructure.content import SqliteContent
from tests.adapters.cli_runner import Daybook
from tests.infrastructure.test_frozen_stores import has

DATA = Path(__file__).parent.parent / "data"


def events_of(export: Path) -> dict[tuple[str, int], dict[str, Any]]:
    """The events of an export by stream and number."""
    lines = [json.loads(line) for line in export.read_text(encoding="utf-8").splitlines()]
    return {(line["stream"], line["version"]): line for line in lines if "event" in line}


@pytest.mark.parametrize("frozen", sorted(DATA.glob("content-v*")), ids=lambda folder: folder.name)
def test_the_summaries_of_an_old_store_are_what_they_were(frozen: Path, tmp_path: Path) -> None:
    """So are run details and caches. Opened to be written, as a service does, and only to be read."""
    expected: dict[str, Any] = json.loads((frozen / "content.json").read_text(encoding="utf-8"))
    shutil.copyfile(frozen / "content.db", tmp_path / "content.db")
    for read_only in (False, True):
        content = SqliteContent(tmp_path / "content.db", read_only=read_only)
        for run_id, old in expected["summaries"].items():
            found = content.summary_of_run(run_id)
            assert found is not None
            assert has(json.loads(found.model_dump_json()), old)
            assert content.summary(found.id) == found == Summary.model_validate(old)
        assert {run_id: content.run_detail(run_id) for run_id in expected["run_details"]} == expected["run_details"]
        assert {key: content.cache_get(key) for key in expected["cached"]} == expected["cached"]
        content.close()


@pytest.mark.parametrize("frozen", sorted(DATA.glob("history-v*.jsonl")), ids=lambda path: path.name)
def test_an_old_export_is_imported_with_every_event(frozen: Path, tmp_path: Path) -> None:
    """Exported again, it holds every event as it was; the store is sound, and importing it again changes nothing."""
    cli = Daybook(tmp_path / "data")
    assert cli("import", str(frozen)).code == 0
    assert cli("export", str(tmp_path / "again.jsonl"), "--history").code == 0
    old, new = (events_of(path) for path in (frozen, tmp_path / "again.jsonl"))
    assert len(old) > 50
    for place, line in old.items():
        assert has(new[place], line), place
    assert cli("verify").code == 0
    count = cli.events()
    assert cli("import", str(frozen)).code == 0
    assert cli.events() == count


def test_there_are_frozen_files_of_the_first_format() -> None:
    """The first of each is kept."""
    assert (DATA / "content-v1" / "content.db").is_file()
    assert (DATA / "history-v1.jsonl").is_file()
