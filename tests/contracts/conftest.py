"""Fixtures for the contract suites."""

from tests.contracts.postgres import postgres_server, postgres_url

__all__ = ["postgres_server", "postgres_url"]
