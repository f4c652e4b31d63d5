"""How the tests are run: the hypothesis profiles ``dev``, ``ci`` (where CI is true) and ``thorough``.

HYPOTHESIS_PROFILE picks one by name.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

# Time is never a verdict here: a slow machine must not fail a test. Nor may it fail for generating slowly.
_PATIENT = [HealthCheck.too_slow]

settings.register_profile("dev", deadline=None, max_examples=50, suppress_health_check=_PATIENT)
settings.register_profile(
    "ci", deadline=None, max_examples=100, suppress_health_check=_PATIENT, derandomize=True, print_blob=True
)
settings.register_profile("thorough", deadline=None, max_examples=1_000, suppress_health_check=_PATIENT)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") == "true" else "dev"))

# On Python 3.11 and 3.12 pytest-asyncio asks for the current event loop, to put it back later. Where none was ever set,
# asking makes one that nobody closes, and its ResourceWarning fails whichever test runs when it is collected.
asyncio.set_event_loop(None)


@pytest.fixture(autouse=True)
def logging_ends_with_the_test() -> Iterator[None]:
    """A command line run in this process sets up logging, with its first line too: not for the tests that follow."""
    root = logging.getLogger()
    level = root.level
    yield
    root.handlers[:] = [handler for handler in root.handlers if type(handler).__module__.startswith("_pytest")]
    root.setLevel(level)
