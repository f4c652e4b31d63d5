"""The double of the two interfaces refuses what their vendors refuse: otherwise it would prove nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from adapters.summarizers.llm.apis import APIS, Ask, Dialect
from adapters.summarizers.llm.replies import SCHEMA
from tests.llm_double import KEY, LlmDouble

ASK = Ask("model-1", "rules", "Summarize\n<<<F\n[1] hello\nF>>>", SCHEMA, 100, 0.5)
PATHS = {"openai": "/v1/chat/completions", "anthropic": "/v1/messages"}


@pytest.fixture
async def double() -> AsyncIterator[LlmDouble]:
    async with LlmDouble() as made:
        yield made


async def posted(double: LlmDouble, api: str, *, leave: str = "", **changes: Any) -> tuple[int, Any]:
    """What comes of what Daybook sends, with changes to its body; ``leave`` names a header that is left out."""
    headers = {name: value for name, value in APIS[api].headers(KEY).items() if name != leave}
    body = {name: value for name, value in (APIS[api].body(ASK, Dialect()) | changes).items() if value is not None}
    async with (
        aiohttp.ClientSession() as session,
        session.post(double.url(PATHS[api]), json=body, headers=headers) as answer,
    ):
        return answer.status, await answer.json()


@pytest.mark.parametrize("api", PATHS)
async def test_what_daybook_sends_is_answered_in_the_vendors_shape(double: LlmDouble, api: str) -> None:
    """With content, a reason to stop, and tokens."""
    status, document = await posted(double, api)
    assert status == 200
    answer = APIS[api].read(document)
    assert answer.content["key_points"][0]["sources"] == [1]
    assert not answer.cut
    assert answer.input_tokens
    assert answer.output_tokens


LOOSE = {
    "type": "json_schema",
    "json_schema": {"name": "x", "strict": True, "schema": {"type": "object", "properties": {}}},
}
WRONG: list[tuple[str, dict[str, Any], int]] = [
    ("openai", {"leave": "Authorization"}, 401),
    ("openai", {"model": None}, 400),
    ("openai", {"max_tokens": None}, 400),
    ("openai", {"max_completion_tokens": 5}, 400),
    ("openai", {"max_tokens": 0}, 400),
    ("openai", {"system": "rules"}, 400),
    ("openai", {"messages": []}, 400),
    ("openai", {"messages": [{"role": "user", "content": "x"}]}, 400),
    ("openai", {"response_format": LOOSE}, 400),
    ("anthropic", {"leave": "x-api-key"}, 401),
    ("anthropic", {"leave": "anthropic-version"}, 400),
    ("anthropic", {"max_tokens": None}, 400),
    ("anthropic", {"temperature": 1.5}, 400),
    ("anthropic", {"response_format": {"type": "json_object"}}, 400),
    ("anthropic", {"messages": [{"role": "system", "content": "x"}]}, 400),
    ("anthropic", {"messages": [{"role": "user", "content": ""}]}, 400),
    ("anthropic", {"messages": [{"role": "user", "content": "x"}, {"role": "user", "content": "y"}]}, 400),
    ("anthropic", {"tool_choice": {"type": "tool", "name": "other"}}, 400),
]


@pytest.mark.parametrize(("api", "changes", "status"), WRONG, ids=range(len(WRONG)))
async def test_what_a_vendor_refuses_is_refused(
    double: LlmDouble, api: str, changes: dict[str, Any], status: int
) -> None:
    """With the status and the shape of error of the vendor, and without an answer."""
    answered, document = await posted(double, api, **changes)
    assert answered == status
    assert document["error"]["message"]
    assert double.asked == []
