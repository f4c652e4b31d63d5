"""A summary as an event for programs, as Standard Webhooks describes it. Its shape is fixed: it has no template."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from adapters.rendering.safety import disarm, safe_url
from adapters.rendering.splitting import cut
from domain.summary import Summary

__all__ = ["JSON_BYTES", "json_payload"]

JSON_BYTES = 250_000
"""What is sent at most to a receiver of one's own."""

_JSON_TEXT = 100_000


def json_payload(
    summary: Summary,
    *,
    timezone: str = "UTC",
    task_name: str = "",
    run_id: str = "",
    task_id: str = "",
    guild_id: str = "",
    slot: datetime | None = None,
) -> dict[str, Any]:
    """An event as Standard Webhooks describes it: type, timestamp, data. Equal in every try of the same delivery.

    A notice of trouble is a ``notice.created``. Where it is larger than 250 KB, lists and texts are shortened, and
    ``data.shortened`` is true.
    """
    stamp = summary.created_at or slot or summary.end_time
    data: dict[str, Any] = {
        "run_id": run_id,
        "task": {"id": task_id, "name": task_name},
        "guild_id": guild_id,
        "slot": slot,
        "timezone": timezone,
        "shortened": False,
        "summary": summary.model_dump(mode="python", exclude={"embed", "markdown"}, exclude_none=True),
    }
    payload = {
        "type": "notice.created" if summary.engine == "notice" else "summary.created",
        "timestamp": stamp,
        "data": data,
    }
    harmless: dict[str, Any] = _harmless(payload, _JSON_TEXT)
    items, characters = 1000, 20_000
    while len(_encoded(harmless)) > JSON_BYTES:
        data["shortened"] = True
        harmless = _harmless(payload, characters, items)
        items, characters = items // 2, characters // 2
    return harmless


def _harmless(value: Any, characters: int, items: int = 100_000) -> Any:
    """JSON of a value in which no text mentions anybody or hides where a link leads."""
    if isinstance(value, Mapping):
        return {
            key: safe_url(item) if key == "url" and isinstance(item, str) else _harmless(item, characters, items)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [_harmless(item, characters, items) for item in value[:items]]
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return cut(disarm(value), characters) if isinstance(value, str) else value


def _encoded(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode("utf-8", "replace")
