"""A loopback double of OpenAI's chat completions and Anthropic's messages, strict about what their vendors document.

``POST /v1/chat/completions`` and ``POST /v1/messages``. A request that a vendor would refuse is refused here, with the
status and the shape of error that the vendor documents. ``double.script(...)`` says what the next requests meet: a
status, raw text, or a function of the request that returns an object, text, (text, whether it was cut off), or a whole
answer. What was asked is in ``double.asked``;
``double.arrived`` is set by the first request, ``double.gone_away`` when somebody hangs up before the answer.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from aiohttp import web

__all__ = ["KEY", "Asked", "LlmDouble", "Status", "numbers_in", "reply_to"]

KEY = "sk-canary-of-the-model-endpoint-0815"

_OPENAI_FIELDS = {"model", "messages", "max_tokens", "max_completion_tokens", "temperature", "response_format"}
_ANTHROPIC_FIELDS = {"model", "max_tokens", "system", "messages", "tools", "tool_choice", "temperature"}


@dataclass(frozen=True)
class Asked:
    """One request, as far as both interfaces have the same."""

    api: str
    headers: Mapping[str, str]
    body: dict[str, Any]
    system: str
    turns: list[dict[str, str]]
    schema: dict[str, Any] | None

    @property
    def prompt(self) -> str:
        """What the first turn says."""
        return self.turns[0]["content"]

    @property
    def is_repair(self) -> bool:
        """Whether an earlier answer is complained of."""
        return len(self.turns) > 1


@dataclass(frozen=True)
class Status:
    """An answer that is an error."""

    status: int
    message: str = "scripted"
    headers: Mapping[str, str] = field(default_factory=dict)


Act = Status | Callable[[Asked], Any] | str | asyncio.Event


def numbers_in(prompt: str) -> list[int]:
    """The numbers of the messages (or of the points of parts) that stand in a prompt."""
    fenced = prompt.partition("<<<")[2]
    return [int(n) for group in re.findall(r"^(?:\((?:point|to do)\) )?\[([\d, ]+)\]", fenced, re.MULTILINE)
            for n in group.split(",")]  # fmt: skip


def reply_to(asked: Asked, **changes: Any) -> dict[str, Any]:
    """An honest answer to a request: it cites the first and the last message that it was shown."""
    numbers = numbers_in(asked.prompt) or [1]
    ends = dict.fromkeys((numbers[0], numbers[-1]))
    return {
        "overview": f"People talked, from message {numbers[0]} to {numbers[-1]}.",
        "key_points": [{"text": f"Message {n} matters.", "sources": [n]} for n in ends],
        "action_items": [{"text": "Somebody waters the garden.", "sources": [numbers[0]]}],
        "technical_terms": ["garden"],
    } | changes  # fmt: skip


class LlmDouble:
    """The server, as a context manager. ``counts=False``: it does not say how many tokens it used."""

    def __init__(self, *, counts: bool = True, refuses: Mapping[str, str] | None = None) -> None:
        self.asked: list[Asked] = []
        self.counts, self._refuses = counts, dict(refuses or {})
        self.arrived, self.gone_away = asyncio.Event(), asyncio.Event()
        self._acts: deque[Act] = deque()
        self.port = 0

    def script(self, *acts: Act) -> None:
        """What the next requests meet, one each; after that they are answered honestly."""
        self._acts.extend(acts)

    def url(self, path: str = "") -> str:
        """An address of it."""
        return f"http://127.0.0.1:{self.port}{path}"

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=64 * 1024**2)
        app.router.add_post("/v1/chat/completions", self._openai)
        app.router.add_post("/v1/messages", self._anthropic)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    # --- the interfaces ---

    async def _openai(self, request: web.Request) -> web.Response:
        def refused(status: int, message: str, headers: Mapping[str, str] | None = None) -> web.Response:
            error = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
            return web.json_response({"error": error}, status=status, headers=headers)

        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return refused(401, f"Incorrect API key provided: {request.headers.get('Authorization')}.")
        body = await request.json()
        if problem := _wrong(body, _OPENAI_FIELDS, roles=("system", "user", "assistant")) or self._refusal(body):
            return refused(400, problem)
        form = body.get("response_format")
        schema = form["json_schema"]["schema"] if form and form["type"] == "json_schema" else None
        if schema is not None and (problem := _loose(schema)):
            return refused(400, f"Invalid schema for response_format: {problem}")
        system, *turns = body["messages"]
        if system["role"] != "system":
            return refused(400, "the first message is not the system's")
        asked = Asked("openai", dict(request.headers), body, system["content"], turns, schema)
        made = await self._made(asked)
        if isinstance(made, Status):
            return refused(made.status, made.message, made.headers)
        if isinstance(made, web.Response):
            return made
        said, cut = made
        usage = {"prompt_tokens": len(json.dumps(body)) // 4, "completion_tokens": len(said) // 4}
        message = {"role": "assistant", "content": said, "refusal": None}
        answer = {"id": "chatcmpl-1", "object": "chat.completion", "model": body["model"], "choices": [
            {"index": 0, "message": message, "finish_reason": "length" if cut else "stop"}]}  # fmt: skip
        return web.json_response(answer | ({"usage": usage} if self.counts else {}))

    async def _anthropic(self, request: web.Request) -> web.Response:
        def refused(status: int, message: str, headers: Mapping[str, str] | None = None) -> web.Response:
            error = {"type": "error", "error": {"type": "invalid_request_error", "message": message}}
            return web.json_response(error, status=status, headers=headers)

        if request.headers.get("x-api-key") != KEY:
            return refused(401, "invalid x-api-key")
        if request.headers.get("anthropic-version") != "2023-06-01":
            return refused(400, "anthropic-version: header is required")
        body = await request.json()
        if problem := _wrong(body, _ANTHROPIC_FIELDS, roles=("user", "assistant")) or self._refusal(body):
            return refused(400, problem)
        if "max_tokens" not in body:
            return refused(400, "max_tokens: Field required")
        if not 0 <= body.get("temperature", 1) <= 1:
            return refused(400, "temperature: range: 0..1")
        (tool,) = body["tools"]
        if body["tool_choice"] != {"type": "tool", "name": tool["name"]} or tool["input_schema"]["type"] != "object":
            return refused(400, "tool_choice: names no tool")
        turns = body["messages"]
        asked = Asked("anthropic", dict(request.headers), body, body["system"], turns, tool["input_schema"])
        made = await self._made(asked)
        if isinstance(made, Status):
            return refused(made.status, made.message, made.headers)
        if isinstance(made, web.Response):
            return made
        said, cut = made
        try:
            block = {"type": "tool_use", "id": "toolu_1", "name": tool["name"], "input": json.loads(said)}
        except (ValueError, RecursionError):
            block = {"type": "text", "text": said}
        usage = {"input_tokens": len(json.dumps(body)) // 4, "output_tokens": len(said) // 4}
        answer = {"id": "msg_1", "type": "message", "role": "assistant", "model": body["model"], "content": [block],
                  "stop_reason": "max_tokens" if cut else "tool_use", "stop_sequence": None}  # fmt: skip
        return web.json_response(answer | ({"usage": usage} if self.counts else {}))

    def _refusal(self, body: dict[str, Any]) -> str | None:
        """What this endpoint does not understand, in its words."""
        for name, words in self._refuses.items():
            if name in body or (body.get("response_format") or {}).get("type") == name:
                return words
        return None

    async def _made(self, asked: Asked) -> tuple[str, bool] | Status | web.Response:
        self.asked.append(asked)
        self.arrived.set()
        try:
            act = self._acts.popleft() if self._acts else reply_to
            if isinstance(act, asyncio.Event):
                await act.wait()
                act = reply_to
            if isinstance(act, Status):
                return act
            made = act if isinstance(act, str) else act(asked)
            if isinstance(made, web.Response):
                return made
            if isinstance(made, tuple):
                return str(made[0]), bool(made[1])
            return (made if isinstance(made, str) else json.dumps(made)), False
        except asyncio.CancelledError:
            self.gone_away.set()
            raise


def _wrong(body: Any, fields: set[str], roles: tuple[str, ...]) -> str | None:
    """What is wrong with a request in the eyes of both vendors."""
    if not isinstance(body, dict) or set(body) - fields:
        return f"Unrecognized request arguments supplied: {sorted(set(body) - fields)}"
    if not isinstance(body.get("model"), str) or not body["model"]:
        return "model: Field required"
    lengths = [body[name] for name in ("max_tokens", "max_completion_tokens") if name in body]
    if len(lengths) != 1 or not isinstance(lengths[0], int) or lengths[0] < 1:
        return "max_tokens: give one whole number"
    messages = body.get("messages")
    if not messages or any(
        set(m) != {"role", "content"} or m["role"] not in roles or not m["content"] for m in messages
    ):
        return "messages: each has a role and a content that is not empty"
    spoken = [m["role"] for m in messages if m["role"] != "system"]
    if spoken != ["user", "assistant", "user", "assistant", "user"][: len(spoken)] or spoken[-1] != "user":
        return "messages: roles must alternate, and the last is the user's"
    return None


def _loose(schema: Any) -> str | None:
    """Where a schema is not as strict as structured outputs want it."""
    if isinstance(schema, dict):
        if schema.get("type") == "object" and (
            schema.get("additionalProperties") is not False or set(schema["required"]) != set(schema["properties"])
        ):
            return "objects name all of their properties as required, and forbid others"
        return next((found for value in schema.values() if (found := _loose(value))), None)
    if isinstance(schema, list):
        return next((found for value in schema if (found := _loose(value))), None)
    return None
