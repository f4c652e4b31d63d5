"""Results to webhooks: JSON signed by Standard Webhooks, Slack, Discord, Teams. All go through the guarded client."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlencode

from adapters.egress import Egress, Response, Target
from adapters.rendering import Renderer
from adapters.rendering.payload import json_payload
from adapters.rendering.words import Details
from application.ports import DeliveryRequest
from domain.destination import Destination, DestinationType
from domain.errors import DeliveryFailed, InvalidDestination

__all__ = ["FORMATS", "Secrets", "WebhookDelivery"]

FORMATS = ("json", "slack", "discord", "teams")

Secrets = Callable[[str, str], str | None]
"""The secret of a guild (id) behind a reference (``secret:`` and 16 hexadecimal digits); None when there is none."""

Checked = TypeVar("Checked")

_REFERENCE = re.compile(r"secret:[0-9a-f]{16}")
_SNOWFLAKE = re.compile(r"[0-9]{1,20}")
_DISCORD_HOSTS = frozenset({"discord.com", "discordapp.com", "canary.discord.com", "ptb.discord.com"})
_DISCORD_PATH = re.compile(r"/api(?:/v[0-9]{1,2})?/webhooks/[0-9]{1,20}/[A-Za-z0-9_-]{1,200}/?")
_IMPERSONATED = ("discord.com.", "discordapp.com.", "hooks.slack.com.")
_SIGNING_PREFIX = "whsec_"
_SIGNING_BYTES = range(24, 65)
_MOST_SIGNING_SECRETS = 5
_SECRET_FIELDS = frozenset({"url", "signing_secret", "signing_secrets", "thread_id"})
_HIDDEN = "https://..."


@dataclass(frozen=True, slots=True)
class _Endpoint:
    """Where a result really goes. Its repr shows nothing: every part of it may be secret."""

    url: str = field(repr=False)
    signing_secrets: tuple[str, ...] = field(default=(), repr=False)
    thread_id: str | None = field(default=None, repr=False)


class WebhookDelivery:
    """Posts each result to a URL, in the format that the other side takes; the receipt is its status and, where it
    gives one, the id of the message.

    A target is an https URL or JSON, ``{"url": "https://...", "signing_secret": "whsec_..."}``, or a reference into the
    vault to one of these: ``secret:`` and 16 hexadecimal digits. While keys are rotated,
    ``"signing_secrets": [new, old]`` (at most 5) signs with each. ``"thread_id"`` names a thread of Discord.

    ``webhook-id`` is the request's key, equal in every try: by Standard Webhooks a message may come more than once, and
    a receiver of the json format leaves out what it has already. Slack, Discord and Teams cannot.
    """

    type = DestinationType.WEBHOOK

    def __init__(self, egress: Egress, secrets: Secrets, templates: Path | None = None) -> None:
        self._egress, self._secrets, self._renderer = egress, secrets, Renderer(templates)

    def remembers(self, destination: Destination) -> timedelta:
        """For ever where the receiver knows the webhook-id again (json); elsewhere not at all."""
        return timedelta.max if destination.format == "json" else timedelta(0)

    def check(self, destination: Destination, guild_id: str) -> None:
        """Refuse an unknown format and a URL that nothing may be sent to. A reference is looked up when it is used."""
        if destination.format not in FORMATS:
            raise InvalidDestination(
                "format", destination.format, "is not sent to webhooks", f"use one of {', '.join(FORMATS)}"
            )
        if not _REFERENCE.fullmatch(destination.target):
            endpoint = _read_secret(destination.target)
            if isinstance(endpoint, str):
                remedy = 'give a URL, or {"url": "https://...", "signing_secret": "whsec_..."}'
                raise InvalidDestination("target", "(hidden)", endpoint, remedy)
            self._check_endpoint(endpoint, destination.format)

    async def deliver(self, request: DeliveryRequest) -> str:
        """Send the result, once. Raises DeliveryFailed, which shows neither the URL nor a key."""
        self._refuse(lambda: self.check(request.destination, request.guild_id))
        endpoint = await self._endpoint(request)
        target = self._refuse(lambda: self._check_endpoint(endpoint, request.destination.format))
        body = _encoded(_payload(request, self._renderer))
        headers = self._headers(request, endpoint, body)
        url = _discord_url(target, endpoint.thread_id) if request.destination.format == "discord" else target.url
        response = await self._egress.post_json(url, body, headers, hide=_hidden(endpoint))
        return _receipt(response)

    @staticmethod
    def _refuse(check: Callable[[], Checked]) -> Checked:
        """What the check returns; its refusal as a failure for good."""
        try:
            return check()
        except InvalidDestination as error:
            refusal = str(error)
        raise DeliveryFailed(refusal, permanent=True)

    async def _endpoint(self, request: DeliveryRequest) -> _Endpoint:
        """The endpoint of a destination. The vault is asked anew for each try: what stands in it may have changed."""
        target = request.destination.target
        if not _REFERENCE.fullmatch(target) and not isinstance(given := _read_secret(target), str):
            return given
        problem = ""
        try:
            # The vault may be a database on another machine: not on the event loop.
            secret = await asyncio.to_thread(self._secrets, request.guild_id, target)
        except Exception as error:
            problem = type(error).__name__  # its text may hold anything
        if problem:
            raise DeliveryFailed(f"the vault could not be read ({problem}); nothing was sent")
        if secret is None:
            reason = f"target: {target} names no secret of this guild; store the webhook's URL again"
            raise DeliveryFailed(reason, permanent=True)
        endpoint = _read_secret(secret)
        if isinstance(endpoint, str):
            raise DeliveryFailed(f"target: what {target} refers to {endpoint}", permanent=True)
        return endpoint

    def _check_endpoint(self, endpoint: _Endpoint, format: str) -> Target:
        target = self._egress.check(endpoint.url)
        if any(f".{name}" in f".{target.host}." and not target.host.endswith(name[:-1]) for name in _IMPERSONATED):
            raise InvalidDestination(
                "target", _HIDDEN, "has a host that only begins like another's", "copy the URL again from the service"
            )
        if format == "discord" and not target.trusted and target.host not in _DISCORD_HOSTS:
            raise InvalidDestination(
                "target", _HIDDEN, "is not at discord.com", "copy the URL from Discord: Integrations, Webhooks"
            )
        if format == "discord" and not _DISCORD_PATH.fullmatch(target.path):
            raise InvalidDestination(
                "target", _HIDDEN, "is not a Discord webhook", "it looks like https://discord.com/api/webhooks/1/token"
            )
        if format == "discord":
            _thread_id(target, endpoint.thread_id)
        return target

    def _headers(self, request: DeliveryRequest, endpoint: _Endpoint, body: bytes) -> dict[str, str]:
        """Those of Standard Webhooks for the json format; the others have no use for them."""
        if request.destination.format != "json":
            return {}
        from standardwebhooks import Webhook

        now = self._egress.now()
        headers = {"webhook-id": request.key, "webhook-timestamp": str(int(now.timestamp()))}
        if endpoint.signing_secrets:
            text = body.decode()
            signatures = [Webhook(secret).sign(request.key, now, text) for secret in endpoint.signing_secrets]
            headers["webhook-signature"] = " ".join(signatures)
        return headers


def _payload(request: DeliveryRequest, renderer: Renderer) -> dict[str, Any]:
    names: Details = {"timezone": request.timezone, "task_name": request.task_name, "run_id": request.run_id}
    if request.destination.format == "slack":
        return renderer.slack(request.summary, **names)
    if request.destination.format == "discord":
        return renderer.discord_payload(request.summary, **names)
    if request.destination.format == "teams":
        return renderer.teams(request.summary, **names)
    return json_payload(request.summary, **names, task_id=request.task_id, guild_id=request.guild_id, slot=request.slot)


def _encoded(payload: Mapping[str, Any]) -> bytes:
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode("utf-8", "replace")


def _receipt(response: Response) -> str:
    """The status, and the id of the message where the answer is JSON that has one (Discord's, with ?wait=true)."""
    receipt = f"HTTP {response.status}"
    try:
        said = json.loads(response.text)
    except (ValueError, RecursionError):
        return receipt
    message = said.get("id") if isinstance(said, dict) else None
    return f"{receipt}, message {message}" if isinstance(message, str) and _SNOWFLAKE.fullmatch(message) else receipt


# --- Discord ----------------------------------------------------------------------------------------------------------


def _discord_url(target: Target, thread_id: str | None) -> str:
    """The URL with wait=true, by which Discord answers with the message, and the thread."""
    thread = _thread_id(target, thread_id)
    query = {"wait": "true"} | ({"thread_id": thread} if thread else {})
    return f"{target.url.partition('?')[0]}?{urlencode(query)}"


def _thread_id(target: Target, thread_id: str | None) -> str | None:
    thread = thread_id or dict(parse_qsl(target.query)).get("thread_id")
    if thread and not _SNOWFLAKE.fullmatch(thread):
        raise InvalidDestination("target", _HIDDEN, "names an impossible thread_id", "a thread id is a number")
    return thread or None


# --- secrets ----------------------------------------------------------------------------------------------------------


def _read_secret(secret: str) -> _Endpoint | str:
    """What stands in the vault, or what is wrong with it, in words that quote nothing of it."""
    if not secret.lstrip().startswith("{"):
        return _Endpoint(secret.strip())
    try:
        found = json.loads(secret)
    except (ValueError, RecursionError):
        return "is not JSON"
    if unknown := set(found) - _SECRET_FIELDS:
        return f"has {len(unknown)} unknown fields; use {', '.join(sorted(_SECRET_FIELDS))}"
    url, thread_id = found.get("url"), found.get("thread_id")
    if not isinstance(url, str):
        return 'has no "url"'
    if thread_id is not None and not (isinstance(thread_id, str | int) and _SNOWFLAKE.fullmatch(str(thread_id))):
        return 'has a "thread_id" that is no number'
    keys = _signing_secrets(found)
    if keys is None:
        return f"has no good signing secrets; each is {_SIGNING_PREFIX} and base64 of 24 to 64 bytes, and 5 are enough"
    return _Endpoint(url, keys, None if thread_id is None else str(thread_id))


def _signing_secrets(found: Mapping[str, Any]) -> tuple[str, ...] | None:
    one, several = found.get("signing_secret"), found.get("signing_secrets", [])
    keys = ([] if one is None else [one]) + (several if isinstance(several, list) else [several])
    if len(keys) > _MOST_SIGNING_SECRETS or not all(isinstance(key, str) and _is_signing_secret(key) for key in keys):
        return None
    return tuple(dict.fromkeys(keys))


def _is_signing_secret(key: str) -> bool:
    if not key.startswith(_SIGNING_PREFIX):
        return False
    try:
        return len(base64.b64decode(key.removeprefix(_SIGNING_PREFIX), validate=True)) in _SIGNING_BYTES
    except (binascii.Error, ValueError):
        return False


def _hidden(endpoint: _Endpoint) -> list[str]:
    """The keys as an answer might echo them: with and without the prefix."""
    return [text for key in endpoint.signing_secrets for text in (key, key.removeprefix(_SIGNING_PREFIX))]
