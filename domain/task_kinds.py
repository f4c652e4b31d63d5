"""What tasks do, and where they are in their lives: the words that stand in events and rows."""

from __future__ import annotations

from domain.choice import Choice

__all__ = ["TaskStatus", "TaskType"]


class TaskType(Choice):
    """What a task does."""

    SUMMARY = "summary"
    CLEANUP = "cleanup"
    CUSTOM = "custom"


class TaskStatus(Choice):
    """Where a task is in its life."""

    ACTIVE = "active"
    PAUSED = "paused"
    DISABLED = "disabled"
    CANCELLED = "cancelled"
    COMPLETED = "completed"

    @property
    def ended(self) -> bool:
        """Whether nothing can start any more."""
        return self in (TaskStatus.CANCELLED, TaskStatus.COMPLETED)
