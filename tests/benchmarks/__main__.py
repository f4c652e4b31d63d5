"""``python -m tests.benchmarks NAME [options]``: a benchmark is a module of this folder with ``main(arguments)``."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

KNOWN = sorted(path.stem for path in Path(__file__).parent.glob("*.py") if not path.stem.startswith("_"))


def main(arguments: list[str]) -> int:
    """Run the named benchmark; without a name, the storm."""
    name, rest = (arguments[0], arguments[1:]) if arguments else ("storm", [])
    if name not in KNOWN:
        print(f"no benchmark {name!r}; there are: {', '.join(KNOWN)}", file=sys.stderr)
        return 2
    run = import_module(f"tests.benchmarks.{name}").main
    return int(run(rest) or 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
