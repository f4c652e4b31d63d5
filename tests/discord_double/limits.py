"""Discord's limits of messages, as pure functions over the JSON of a request.

Text is counted in UTF-16 units: Discord's own count is nowhere documented, and this is the strictest of those in use.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from tests.discord_double.errors import ApiError, invalid_form

__all__ = ["check_choices", "check_message", "check_modal", "units"]

Json = dict[str, Any]
Problem = tuple[str, tuple[str, str]]

CONTENT, NONCE, EMBEDS, EMBED_TOTAL, FILES, FILE_BYTES = 2000, 25, 10, 6000, 10, 10 * 1024 * 1024
_EMBED_TEXTS = (("title", 256), ("description", 4096), ("footer.text", 2048), ("author.name", 256))
_FIELDS, _FIELD_NAME, _FIELD_VALUE = 25, 256, 1024
_V2_FLAG = 1 << 15
_V2_COMPONENTS, _V2_TEXT = 40, 4000
_ROW, _BUTTON, _TEXT_INPUT, _TEXT_DISPLAY = 1, 2, 4, 10
_SELECTS = frozenset({3, 5, 6, 7, 8})
_LABEL, _CUSTOM_ID, _OPTION, _MODAL_TITLE, _INPUT = 80, 100, 100, 45, 4000
_LINK_STYLE, _PREMIUM_STYLE = 5, 6


def units(text: str) -> int:
    """The length of a text as it is limited here."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def check_message(payload: Json, file_sizes: Iterable[int] = (), *, editing: bool = False) -> None:
    """Refuse (50035, 50006, 40005) what Discord would not take as a message."""
    sizes = list(file_sizes)
    if any(size > FILE_BYTES for size in sizes):
        raise ApiError(413, 40005, "Request entity too large")
    problems = dict(_message_problems(payload))
    if len(sizes) > FILES:
        problems["attachments"] = ("BASE_TYPE_MAX_LENGTH", f"Must be {FILES} or fewer in length.")
    if problems:
        raise invalid_form(problems)
    something = ("content", "embeds", "components", "sticker_ids", "poll")
    empty = not sizes and not any(payload.get(key) for key in something)
    if empty and not editing:
        raise ApiError(400, 50006, "Cannot send an empty message")


def check_choices(choices: list[Json]) -> None:
    """Refuse more autocomplete choices, or longer ones, than Discord shows."""
    problems = dict(_too_many("data.choices", choices, 25))
    for index, choice in enumerate(choices):
        problems |= dict(_between(f"data.choices.{index}.name", choice.get("name", ""), 1, 100))
        if isinstance(choice.get("value"), str):
            problems |= dict(_between(f"data.choices.{index}.value", choice["value"], 1, 100))
    if problems:
        raise invalid_form(problems)


def check_modal(data: Json) -> None:
    """Refuse a modal that Discord would not open."""
    problems = dict(_between("data.title", data.get("title", ""), 1, _MODAL_TITLE))
    problems |= dict(_between("data.custom_id", data.get("custom_id", ""), 1, _CUSTOM_ID))
    problems |= dict(_component_problems(data.get("components") or [], "data.components"))
    rows = data.get("components") or []
    if not 1 <= len(rows) <= 5:
        problems["data.components"] = ("BASE_TYPE_BAD_LENGTH", "Must be between 1 and 5 in length.")
    if problems:
        raise invalid_form(problems)


def _message_problems(payload: Json) -> Iterator[Problem]:
    content = payload.get("content")
    embeds = payload.get("embeds") or []
    components = payload.get("components") or []
    yield from _at_most("content", content or "", CONTENT)
    yield from _at_most("nonce", str(payload.get("nonce") or ""), NONCE)
    yield from _too_many("embeds", embeds, EMBEDS)
    total = 0
    for index, embed in enumerate(embeds):
        yield from _embed_problems(embed, f"embeds.{index}")
        total += _embed_size(embed)
    if total > EMBED_TOTAL:
        yield "embeds", ("MAX_EMBED_SIZE_EXCEEDED", f"Embed size exceeds maximum size of {EMBED_TOTAL}")
    yield from _mention_problems(payload.get("allowed_mentions") or {})
    if int(payload.get("flags") or 0) & _V2_FLAG:
        yield from _v2_problems(payload, components)
    else:
        yield from _too_many("components", components, 5)
    yield from _component_problems(components, "components")
    yield from _repeated_ids(components)


def _embed_problems(embed: Json, place: str) -> Iterator[Problem]:
    for name, limit in _EMBED_TEXTS:
        yield from _at_most(f"{place}.{name}", _at(embed, name), limit)
    fields = embed.get("fields") or []
    yield from _too_many(f"{place}.fields", fields, _FIELDS)
    for index, entry in enumerate(fields):
        yield from _between(f"{place}.fields.{index}.name", entry.get("name", ""), 1, _FIELD_NAME)
        yield from _between(f"{place}.fields.{index}.value", entry.get("value", ""), 1, _FIELD_VALUE)
    for name in ("url", "image.url", "thumbnail.url", "author.url"):
        url = _at(embed, name)
        if url and not url.startswith(("http://", "https://", "attachment://")):
            yield f"{place}.{name}", ("URL_TYPE_INVALID_SCHEME", "Scheme must be one of ('http', 'https').")


def _embed_size(embed: Json) -> int:
    texts = [_at(embed, name) for name, _ in _EMBED_TEXTS]
    texts += [entry.get(key, "") for entry in embed.get("fields") or [] for key in ("name", "value")]
    return sum(units(text) for text in texts)


def _mention_problems(allowed: Json) -> Iterator[Problem]:
    for kind in ("users", "roles"):
        ids = allowed.get(kind) or []
        yield from _too_many(f"allowed_mentions.{kind}", ids, 100)
        if ids and kind in (allowed.get("parse") or ()):
            text = f'parse:["{kind}"] and {kind}: [ids...] are mutually exclusive.'
            yield "allowed_mentions", ("MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE", text)


def _v2_problems(payload: Json, components: list[Json]) -> Iterator[Problem]:
    for key in ("content", "embeds", "poll", "sticker_ids"):
        if payload.get(key):
            text = f"The '{key}' field cannot be used when using MessageFlags.IS_COMPONENTS_V2"
            yield key, ("MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2", text)
    everything = [component for _, component in _walk(components, "components")]
    if len(everything) > _V2_COMPONENTS:
        yield "components", ("BASE_TYPE_MAX_LENGTH", f"Must be {_V2_COMPONENTS} or fewer in length.")
    shown = sum(units(each.get("content", "")) for each in everything if each.get("type") == _TEXT_DISPLAY)
    if shown > _V2_TEXT:
        yield "components", ("COMPONENT_MAX_TOTAL_TEXT", f"Displayable text exceeds maximum size of {_V2_TEXT}")


def _component_problems(components: list[Json], root: str) -> Iterator[Problem]:
    for place, component in _walk(components, root):
        kind = component.get("type")
        inner = component.get("components") or []
        if kind == _ROW and not 1 <= len(inner) <= 5:
            yield f"{place}.components", ("BASE_TYPE_BAD_LENGTH", "Must be between 1 and 5 in length.")
        if kind == _BUTTON:
            yield from _at_most(f"{place}.label", component.get("label") or "", _LABEL)
            if component.get("style") not in (_LINK_STYLE, _PREMIUM_STYLE):
                yield from _between(f"{place}.custom_id", component.get("custom_id") or "", 1, _CUSTOM_ID)
        if kind in _SELECTS or kind == _TEXT_INPUT:
            yield from _between(f"{place}.custom_id", component.get("custom_id") or "", 1, _CUSTOM_ID)
        if kind in _SELECTS:
            yield from _select_problems(component, place)
        if kind == _TEXT_INPUT:
            yield from _at_most(f"{place}.value", component.get("value") or "", _INPUT)
            yield from _at_most(f"{place}.placeholder", component.get("placeholder") or "", 100)
            yield from _at_most(f"{place}.label", component.get("label") or "", 45)


def _select_problems(component: Json, place: str) -> Iterator[Problem]:
    options = component.get("options") or []
    yield from _too_many(f"{place}.options", options, 25)
    if component.get("type") == 3 and not options:
        yield f"{place}.options", ("BASE_TYPE_BAD_LENGTH", "Must be between 1 and 25 in length.")
    yield from _at_most(f"{place}.placeholder", component.get("placeholder") or "", 150)
    values = [option.get("value") for option in options]
    if len(set(values)) < len(values):
        yield (
            f"{place}.options",
            ("SELECT_COMPONENT_OPTION_VALUE_DUPLICATED", "The specified option value is already used"),
        )
    for index, option in enumerate(options):
        yield from _between(f"{place}.options.{index}.label", option.get("label") or "", 1, _OPTION)
        yield from _between(f"{place}.options.{index}.value", option.get("value") or "", 1, _OPTION)
        yield from _at_most(f"{place}.options.{index}.description", option.get("description") or "", _OPTION)


def _repeated_ids(components: list[Json]) -> Iterator[Problem]:
    seen: set[str] = set()
    for place, component in _walk(components, "components"):
        id = component.get("custom_id")
        if id is not None and id in seen:
            yield f"{place}.custom_id", ("COMPONENT_CUSTOM_ID_DUPLICATED", "Component custom id cannot be duplicated")
        seen.add(str(id))


def _walk(components: list[Json], root: str) -> Iterator[tuple[str, Json]]:
    """Every component with its place, whatever it is nested in."""
    for index, component in enumerate(components):
        place = f"{root}.{index}"
        yield place, component
        yield from _walk(component.get("components") or [], f"{place}.components")
        for key in ("accessory", "component"):
            if inner := component.get(key):
                yield f"{place}.{key}", inner


def _at(thing: Json, path: str) -> str:
    node: Any = thing
    for step in path.split("."):
        node = (node or {}).get(step)
    return node or ""


def _at_most(place: str, text: str, limit: int) -> Iterator[Problem]:
    if units(text) > limit:
        yield place, ("BASE_TYPE_MAX_LENGTH", f"Must be {limit} or fewer in length.")


def _between(place: str, text: str, least: int, limit: int) -> Iterator[Problem]:
    if not text.strip() and least:
        yield place, ("BASE_TYPE_REQUIRED", "This field is required")
    yield from _at_most(place, text, limit)


def _too_many(place: str, things: list[Any], limit: int) -> Iterator[Problem]:
    if len(things) > limit:
        yield place, ("BASE_TYPE_MAX_LENGTH", f"Must be {limit} or fewer in length.")
