"""A task as the predecessor wrote it, old layout and new, in the fields of a task here; and what of it is lost.

Pure. What we have another word for is translated, what stands at its default is dropped, and of anything else a person
is told what is lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

__all__ = ["Translated", "translated"]


class Translated(NamedTuple):
    """The fields of a task here; ``dropped`` names fields at their default, ``lost`` says what else did not come."""

    fields: dict[str, Any]
    dropped: tuple[str, ...]
    lost: tuple[str, ...]


class _Known(NamedTuple):
    """A field without a counterpart: the values that mean nothing, and what any other one meant."""

    defaults: tuple[Any, ...]
    lost: str


_OF_TASKS = {
    "scope": _Known((None, "channel", "category"), "its scope {value!r}: it reads the channels that it names"),
    "resolve_category_at_runtime": _Known((None, False, True), ""),
    "platform": _Known((None, "", "discord"), "its platform {value!r}: its channels are taken for those of Discord"),
    "prompt_template_id": _Known((None, ""), "its prompt template {value!r}"),
    "enable_continuity": _Known((None, False), "that a summary goes on from the one before (enable_continuity)"),
    "rolling_period": _Known((None, "", "none"), "its rolling period {value!r}: each run gives a summary of its own"),
    "rolling_end_day": _Known((None, 5), "the day on which its rolling period ends ({value!r})"),
    "accumulation_strategy": _Known((None, "", "append"), "its accumulation strategy {value!r}"),
}
_OF_DESTINATIONS = {
    "rolling_deliver_intermediate": _Known(
        (None, False), "that {place} gets what a rolling period has so far: it gets every summary"
    ),
    "auto_archive_days": _Known((None,), "that {place} archives after {value!r} days"),
    "notify_on_delivery": _Known((None, False), "that {place} notifies of what arrives"),
}
_WITHOUT_DELIVERY = {
    "dashboard": None,  # every summary is kept here anyway
    "confluence": "its destination {place}: nothing here writes there",
}
"""Kinds of destination that have no counterpart, and what is lost with them."""

_FILE = {"type": "file", "target": "", "format": "markdown", "enabled": True}


def translated(entry: Mapping[str, Any]) -> Translated:
    """The fields of one task of the predecessor, in ours."""
    fields, dropped, lost = _without(entry, _OF_TASKS, "")
    _choose_channels(entry, fields)
    if isinstance(options := fields.get("summary_options"), Mapping) and "claude_model" in options:
        model = options["claude_model"]
        fields["summary_options"] = {k: v for k, v in options.items() if k != "claude_model"}
        fields["summary_options"]["summarization_model"] = model
    if isinstance(places := fields.get("destinations"), list):
        fields["destinations"], more, gone = _destinations(places)
        dropped, lost = dropped + more, lost + gone
    return Translated(fields, tuple(dict.fromkeys(dropped)), tuple(lost))


def _without(
    entry: Mapping[str, Any], known: Mapping[str, _Known], place: str
) -> tuple[dict[str, Any], list[str], list[str]]:
    fields = {name: value for name, value in entry.items() if name not in known}
    dropped, lost = list[str](), list[str]()
    for name, field in known.items():
        if name not in entry:
            continue
        if entry[name] in field.defaults:
            dropped.append(name)
        else:
            lost.append(field.lost.format(value=entry[name], place=place))
    return fields, dropped, lost


def _choose_channels(entry: Mapping[str, Any], fields: dict[str, Any]) -> None:
    """Either the category as it is when a run begins, or the channels that were in it: the predecessor read one."""
    if not entry.get("category_id") or not {"scope", "resolve_category_at_runtime"} & entry.keys():
        return
    if entry.get("scope") == "category" or entry.get("resolve_category_at_runtime"):
        fields["channel_id"], fields["channel_ids"] = "", []
    elif entry.get("channel_ids"):
        fields["category_id"] = None


def _destinations(places: list[Any]) -> tuple[list[Any], list[str], list[str]]:
    kept, dropped, lost = list[Any](), list[str](), list[str]()
    left_out = False
    for place in places:
        if not isinstance(place, Mapping):
            kept.append(place)
            continue
        kind, enabled = place.get("type"), place.get("enabled", True)
        name = f"{kind}:{place.get('target') or ''}".rstrip(":")
        fields, more, gone = _without(place, _OF_DESTINATIONS, name)
        if kind not in _WITHOUT_DELIVERY:
            kept.append(fields)
            dropped, lost = dropped + more, lost + gone
            continue
        left_out = left_out or bool(enabled)
        if enabled and (words := _WITHOUT_DELIVERY[kind]):
            lost.append(words.format(place=name))
        elif kind == "dashboard":
            dropped.append("the destination dashboard (every summary is kept here)")
    if left_out and not any(isinstance(place, Mapping) and place.get("enabled", True) for place in kept):
        kept.append(_FILE)
        lost.append("its only destination: its summaries go into files, until you say where else")
    return kept, dropped, lost
