"""Where the time goes: methods of the objects under test are wrapped from outside; the product knows nothing of it."""

from __future__ import annotations

import functools
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

__all__ = ["Stopwatch"]


class Stopwatch:
    """Adds up calls, seconds of the wall and seconds of the processor per name, less what nested names took."""

    def __init__(self) -> None:
        self.calls: dict[str, int] = defaultdict(int)
        self.seconds: dict[str, float] = defaultdict(float)
        self.items: dict[str, int] = defaultdict(int)
        self._local = threading.local()

    def wrap(self, owner: Any, method: str, name: str, items: Callable[..., int] | None = None) -> None:
        """Measure a synchronous method of one object, or function of one module, from now on."""
        original = getattr(owner, method)

        @functools.wraps(original)
        def measured(*args: Any, **kwargs: Any) -> Any:
            stack: list[float] = self._local.__dict__.setdefault("stack", [])
            stack.append(0.0)
            begun = time.perf_counter()
            try:
                return original(*args, **kwargs)
            finally:
                took = time.perf_counter() - begun
                nested = stack.pop()
                if stack:
                    stack[-1] += took
                self.calls[name] += 1
                self.seconds[name] += took - nested
                if items is not None:
                    self.items[name] += items(*args)

        setattr(owner, method, measured)

    def clear(self) -> None:
        """Begin anew."""
        for counted in (self.calls, self.seconds, self.items):
            counted.clear()
