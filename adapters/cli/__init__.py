"""The command line. ``main`` is handed the program behind it and does not return."""

from adapters.cli.app import app, main

__all__ = ["app", "main"]
