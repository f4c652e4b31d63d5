"""The environment that the peers live in: made with pip from pinned versions, apart from the project's own."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

__all__ = ["PINS", "peers_python"]

PINS = ("apscheduler==3.11.3", "huey==3.5.4", "sqlalchemy==2.1.9", "tzlocal==5.4.5", "typing_extensions==4.16.0")


def peers_python(cache: Path) -> str | None:
    """The interpreter of the peers' environment, made when it is not there; None when it cannot be made.

    What pip said is in ``peers.log`` beside it.
    """
    folder = cache / "peers"
    python, stamp = folder / "bin" / "python", folder / "pins"
    if stamp.exists() and stamp.read_text() == _stamp() and python.exists():
        return str(python)
    command = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--no-input", *PINS]
    with (cache / "peers.log").open("w") as log:
        try:
            venv.create(folder, with_pip=True, clear=True)
            subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=True)
        except (subprocess.CalledProcessError, OSError) as error:
            print(f"\n{error}", file=log)
            return None
    stamp.write_text(_stamp())
    return str(python)


def _stamp() -> str:
    return "\n".join((sys.version, *PINS))
