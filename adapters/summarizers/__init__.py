"""Engines that turn messages into a summary."""

from adapters.summarizers.extractive import ExtractiveEngine

__all__ = ["ExtractiveEngine"]
