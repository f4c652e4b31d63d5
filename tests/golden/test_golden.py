"""Golden histories give the answers that stand beside them, wherever, whenever and however they are replayed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.golden.histories import TOLD
from tests.golden.replay import answers, documents

SURROUNDINGS = [
    ("0", "UTC", "2001-09-09T01:46:40+00:00"),
    ("0", "Asia/Kathmandu", "2038-01-19T03:14:08+00:00"),
    ("4711", "UTC", "2038-01-19T03:14:08+00:00"),
    ("4711", "Asia/Kathmandu", "2001-09-09T01:46:40+00:00"),
]
"""Seed of hashes, zone of the machine, what the clock says: every pair of any two occurs."""


@cache
def replayed(seed: str, zone: str, clock: str) -> Any:
    """All answers of a fresh process in these surroundings."""
    environment = {**os.environ, "PYTHONHASHSEED": seed, "TZ": zone}
    done = subprocess.run(
        [sys.executable, "-m", "tests.golden.replay", clock],
        cwd=Path(__file__).parents[2],
        env=environment,
        capture_output=True,
        check=True,
        text=True,
    )
    return json.loads(done.stdout)


def still(found: Any, promised: Any) -> bool:
    """Whether everything that was promised is found; a field that came later, with its default, may be there too."""
    if isinstance(promised, dict):
        return isinstance(found, dict) and all(key in found and still(found[key], promised[key]) for key in promised)
    return bool(found == promised)


def check(found: dict[str, Any], promised: dict[str, Any]) -> None:
    """The same account, the same reasons in the same words, and a state in which nothing that was said is different."""
    assert found["account"] == promised["account"]
    assert found["why"] == promised["why"]
    differing = [name for name in promised["state"] if not still(found["state"].get(name), promised["state"][name])]
    assert differing == []


def test_every_history_is_committed() -> None:
    """Each that is told is there, and each that is there is told."""
    assert sorted(documents()) == sorted(TOLD)
    assert len(TOLD) >= 8


@pytest.mark.parametrize("name", sorted(TOLD))
def test_a_golden_history_answers_as_it_always_did(name: str) -> None:
    """State, account and why of the code of today are those that were committed."""
    document = documents()[name]
    check(answers(document), document["answers"])


@pytest.mark.parametrize("surroundings", SURROUNDINGS, ids="-".join)
def test_surroundings_change_no_answer(surroundings: tuple[str, str, str]) -> None:
    """Neither the seed of hashes, nor the machine's zone, nor its clock is in any answer."""
    found = replayed(*surroundings)
    assert found.keys() == documents().keys()
    for name, document in documents().items():
        check(found[name], document["answers"])
    assert found == replayed(*SURROUNDINGS[0])  # to the last byte


def test_surroundings_do_differ() -> None:
    """The programs above really had the zone and the seed that they were given."""
    script = "import time; print(time.tzname[0], hash('a'))"
    said = set()
    for seed, zone, _ in SURROUNDINGS:
        environment = {**os.environ, "PYTHONHASHSEED": seed, "TZ": zone}
        done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, check=True)
        said.add(done.stdout)
    assert len(said) == len(SURROUNDINGS)
