"""Two interfaces to language models, as their vendors document them: what is sent, and what comes back. No I/O.

``openai`` is the chat completions interface of OpenAI and of everything that speaks like it (vLLM, llama.cpp, Ollama,
LM Studio, gateways); ``anthropic`` is Anthropic's messages interface. One request each, without streaming.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

__all__ = ["APIS", "Answer", "Api", "Ask", "Dialect", "Unreadable"]

TOOL = "record_summary"
ANTHROPIC_VERSION = "2023-06-01"


class Unreadable(ValueError):
    """The answer has another shape than the interface documents."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One request: who the model is, what it is told, and (in a repair) what it answered and what was wrong with it."""

    model: str
    system: str
    user: str
    schema: Mapping[str, Any]
    max_tokens: int
    temperature: float | None = None
    answered: str = ""
    complaint: str = ""

    @property
    def turns(self) -> list[dict[str, str]]:
        """The conversation without the system's part."""
        turns = [{"role": "user", "content": self.user}]
        if self.complaint:
            turns += [
                {"role": "assistant", "content": self.answered.strip() or "(nothing)"},
                {"role": "user", "content": self.complaint},
            ]
        return turns

    @property
    def text(self) -> str:
        """All that is sent as words, to estimate its size by."""
        return "\n".join([self.system, json.dumps(self.schema), *(turn["content"] for turn in self.turns)])


@dataclass(frozen=True, slots=True)
class Answer:
    """``content``: the object that was asked for, still unchecked; None where there was none in ``said``.

    ``cut``: the model stopped because its answer became too long. Tokens are None where the endpoint counts none.
    """

    content: Any
    said: str
    cut: bool = False
    input_tokens: int | None = None
    output_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Dialect:
    """What an endpoint turned out to understand. ``form``: how it is told to answer in JSON."""

    length: str = "max_tokens"
    form: str = "json_schema"
    temperature: bool = True

    def without(self, complaint: str) -> Dialect | None:
        """What to try after a request was refused with these words; None where they are about something else."""
        text = complaint.lower()
        if self.temperature and "temperature" in text:
            return replace(self, temperature=False)
        if "response_format" in text or "json_schema" in text or "json_object" in text:
            lower = {"json_schema": "json_object", "json_object": "words"}.get(self.form)
            return replace(self, form=lower) if lower else None
        if "max_completion_tokens" in text and self.length == "max_tokens":
            return replace(self, length="max_completion_tokens")
        unknown = ("unsupported", "not supported", "unrecognized", "unknown", "not permitted", "forbidden")
        if "max_completion_tokens" in text and any(word in text for word in unknown):
            return replace(self, length="max_tokens")
        return None


class Api(Protocol):
    """One interface."""

    @property
    def name(self) -> str: ...
    @property
    def default_url(self) -> str: ...
    @property
    def needs_key(self) -> bool: ...

    def endpoint(self, url: str) -> str:
        """Where requests are posted to, of the base address that people write (or the whole one)."""
        ...

    def dialect(self, url: str) -> Dialect:
        """What to try first at an endpoint."""
        ...

    def headers(self, key: str) -> dict[str, str]:
        """The headers that say who asks."""
        ...

    def body(self, ask: Ask, dialect: Dialect) -> dict[str, Any]:
        """The request."""
        ...

    def read(self, document: Any) -> Answer:
        """The answer. Raises Unreadable."""
        ...


class OpenAI:
    """Chat completions."""

    name, default_url, needs_key = "openai", "https://api.openai.com/v1", False

    def endpoint(self, url: str) -> str:
        return url if url.endswith("/chat/completions") else f"{url}/chat/completions"

    def dialect(self, url: str) -> Dialect:
        # OpenAI's newer models refuse max_tokens, most others know nothing else.
        return Dialect("max_completion_tokens" if url.startswith("https://api.openai.com/") else "max_tokens")

    def headers(self, key: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {key}"} if key else {}

    def body(self, ask: Ask, dialect: Dialect) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": ask.model,
            "messages": [{"role": "system", "content": ask.system}, *ask.turns],
            dialect.length: ask.max_tokens,
        }
        if ask.temperature is not None and dialect.temperature:
            body["temperature"] = ask.temperature
        if dialect.form == "json_schema":
            schema = {"name": TOOL, "strict": True, "schema": ask.schema}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        elif dialect.form == "json_object":
            body["response_format"] = {"type": "json_object"}
        return body

    def read(self, document: Any) -> Answer:
        choice = _first(_member(document, "choices", list))
        message = _member(choice, "message", dict)
        said = message.get("content") or message.get("refusal") or ""
        if not isinstance(said, str):
            raise Unreadable("the message is no text")
        usage = document.get("usage")
        cut = choice.get("finish_reason") == "length"
        return Answer(_object(said), said, cut, _tokens(usage, "prompt_tokens"), _tokens(usage, "completion_tokens"))


class Anthropic:
    """Messages, with a tool that the model is made to call: its arguments are the answer."""

    name, default_url, needs_key = "anthropic", "https://api.anthropic.com", True

    def endpoint(self, url: str) -> str:
        if url.endswith("/messages"):
            return url
        return f"{url}/messages" if url.endswith("/v1") else f"{url}/v1/messages"

    def dialect(self, url: str) -> Dialect:
        return Dialect()

    def headers(self, key: str) -> dict[str, str]:
        return {"x-api-key": key, "anthropic-version": ANTHROPIC_VERSION}

    def body(self, ask: Ask, dialect: Dialect) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": ask.model,
            "max_tokens": ask.max_tokens,
            "system": ask.system,
            "messages": ask.turns,
            "tools": [{"name": TOOL, "description": "Record the summary.", "input_schema": ask.schema}],
            "tool_choice": {"type": "tool", "name": TOOL},
        }
        if ask.temperature is not None and dialect.temperature:
            body["temperature"] = min(1.0, ask.temperature)
        return body

    def read(self, document: Any) -> Answer:
        blocks = [block for block in _member(document, "content", list) if isinstance(block, dict)]
        made = [block.get("input") for block in blocks if block.get("type") == "tool_use" and block.get("name") == TOOL]
        said = "".join(text for block in blocks if isinstance(text := block.get("text"), str))
        content = made[0] if made else _object(said)
        usage, cut = document.get("usage"), document.get("stop_reason") == "max_tokens"
        said = json.dumps(made[0], ensure_ascii=False) if made else said
        return Answer(content, said, cut, _input_tokens(usage), _tokens(usage, "output_tokens"))


APIS: Mapping[str, Api] = {api.name: api for api in (OpenAI(), Anthropic())}


def _member(document: Any, name: str, kind: type[Any]) -> Any:
    value = document.get(name) if isinstance(document, dict) else None
    if not isinstance(value, kind):
        raise Unreadable(f"the answer has no {name}")
    return value


def _first(choices: list[Any]) -> dict[str, Any]:
    if not choices or not isinstance(choices[0], dict):
        raise Unreadable("the answer has no choice")
    return choices[0]


def _tokens(usage: Any, name: str) -> int | None:
    count = usage.get(name) if isinstance(usage, dict) else None
    return count if isinstance(count, int) and not isinstance(count, bool) and 0 <= count <= 10**9 else None


def _input_tokens(usage: Any) -> int | None:
    """Those read from a cache are counted apart, and are tokens like the others."""
    read = _tokens(usage, "input_tokens")
    cached = ("cache_read_input_tokens", "cache_creation_input_tokens")
    return None if read is None else read + sum(_tokens(usage, name) or 0 for name in cached)


def _object(said: str) -> Any:
    """The JSON object in a text, also where a model wraps it into a code block or words; None where there is none."""
    start, end = said.find("{"), said.rfind("}")
    if start < 0 or end < start:
        return None
    try:
        return json.loads(said[start : end + 1])
    except (ValueError, RecursionError):
        return None
