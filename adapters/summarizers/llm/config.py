"""Which language model is asked, where, and what it may cost."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import SecretStr

from adapters.egress import EgressPolicy
from adapters.summarizers.llm.apis import APIS, Api
from domain.errors import DaybookError, InvalidInput

__all__ = ["ModelConfig", "configured_model"]

LEAST_REQUEST_TOKENS = 8_000
"""A message of Discord's greatest length, and what is said around it, must fit into one request."""

_NEAR_ENDINGS = (".localhost", ".local", ".localdomain", ".internal", ".lan", ".intranet")


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """An endpoint, its model, and the limits of one summary.

    ``url`` is where requests are posted to; ``further_models`` are those that tasks may ask for beside ``model``.
    ``max_input_tokens`` and ``seconds`` are for all requests of one summary together, ``request_tokens`` and
    ``max_output_tokens`` for each of them. Prices are in US dollars for a million tokens of ``model``.
    """

    api: Api
    url: str
    model: str
    key: SecretStr | None = None
    further_models: frozenset[str] = frozenset()
    max_input_tokens: int = 200_000
    request_tokens: int = 24_000
    max_output_tokens: int = 4_000
    seconds: float = 120
    input_price: float | None = None
    output_price: float | None = None

    @property
    def policy(self) -> EgressPolicy:
        """Requests go to the operator's endpoint and nowhere else; it may be an internal one."""
        parts = urlsplit(self.url)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        port = parts.port or (443 if parts.scheme == "https" else 80)
        return EgressPolicy([f"{host}:{port}"], plain_http=True)

    @property
    def secret(self) -> str:
        """The key; empty where the endpoint needs none."""
        return self.key.get_secret_value() if self.key is not None else ""

    def chosen(self, wanted: str | None) -> str:
        """The model of a task that wants one: its own where the operator offers it."""
        return wanted if wanted and (wanted == self.model or wanted in self.further_models) else self.model

    def cost(self, model: str, input_tokens: int, output_tokens: int) -> float | None:
        """US dollars; None without prices, and for models that the prices are not of."""
        if self.input_price is None or self.output_price is None or model != self.model:
            return None
        return (input_tokens * self.input_price + output_tokens * self.output_price) / 1_000_000


def configured_model(
    prefix: str,
    *,
    api: Literal["openai", "anthropic"],
    url: str | None,
    model: str | None,
    models: str = "",
    api_key: SecretStr | None = None,
    timeout_seconds: float,
    **limits: Any,
) -> ModelConfig:
    """The model that settings name; ``prefix`` is how people write them. Raises InvalidInput, never with the key."""
    kind = APIS[api]
    if not model:
        raise InvalidInput(f"{prefix}MODEL", "", "is not set", f"name a model of the {api} endpoint")
    if kind.needs_key and api_key is None:
        raise InvalidInput(f"{prefix}API_KEY", "", "is not set", f"the {api} endpoint needs a key")
    address = kind.endpoint((url or kind.default_url).strip().rstrip("/"))
    config = ModelConfig(
        api=kind,
        url=address,
        model=model,
        key=api_key,
        further_models=frozenset(name.strip() for name in models.split(",") if name.strip()),
        seconds=timeout_seconds,
        **limits,
    )
    try:
        target = config.policy.target(address)
    except (DaybookError, ValueError) as error:
        said = getattr(error, "problem", "is no address of the web")
        # Without the context: an address may hold what is nobody's business.
        raise InvalidInput(f"{prefix}URL", "(hidden)", said, f"write it like {kind.default_url}") from None
    if target.scheme == "http" and not _is_near(target.host):
        raise InvalidInput(
            f"{prefix}URL",
            target.host,
            "is reached by http, which lets everybody on the way read the key and the messages",
            "begin it with https://, or name a host of the own network",
        )
    if config.request_tokens > config.max_input_tokens:
        raise InvalidInput(
            f"{prefix}REQUEST_TOKENS",
            config.request_tokens,
            "is more than one summary may use",
            f"set it to {prefix}MAX_INPUT_TOKENS ({config.max_input_tokens}) at most",
        )
    return config


def _is_near(host: str) -> bool:
    """Whether a host is one of this machine or its network: by a name without dots, a local ending, its address."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "." not in host or host.endswith(_NEAR_ENDINGS)
    return address.is_private or address.is_loopback
