"""What no event may hold of a definition goes into the vault, and a reference stands in its place.

Targets that are secret (a webhook's URL holds its token), and the account of who made a task elsewhere.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from pydantic import TypeAdapter, ValidationError

from application.ports import Vault
from domain.definition import TaskDefinition
from domain.destination import Destination, DestinationType

__all__ = ["SecretTargets"]

REFERENCE = re.compile(r"secret:[0-9a-f]{16}")
_ACCOUNT = re.compile(r"[0-9]{1,20}")
_DESTINATIONS: TypeAdapter[tuple[Destination, ...]] = TypeAdapter(tuple[Destination, ...])


def _host(target: str) -> str | None:
    """The host of a URL, or of the URL in a JSON object that holds signing keys beside it."""
    try:
        found = json.loads(target) if target.lstrip().startswith("{") else {"url": target}
        return urlsplit(str(found["url"])).hostname
    except (ValueError, KeyError, RecursionError):
        return None


def _is_secret(destination: Destination) -> bool:
    return destination.type is DestinationType.WEBHOOK and not REFERENCE.fullmatch(destination.target)


def _referring(destination: Destination, reference: str) -> Destination:
    label = destination.label or _host(destination.target) or "webhook"
    # A copy made by validation, so that nothing cached of the secret target stays with it.
    return Destination.model_validate({**destination.model_dump(), "target": reference, "label": label})


class SecretTargets:
    """Replaces secret targets by references into the vault of their guild."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def seal(self, definition: TaskDefinition) -> TaskDefinition:
        """The definition without secrets and accounts."""
        guild_id, author = definition.guild_id, definition.created_by
        sealed = self.seal_all(guild_id, definition.destinations)
        if _ACCOUNT.fullmatch(author):
            author = self._vault.person_reference(guild_id, author)
        if sealed == definition.destinations and author == definition.created_by:
            return definition
        return definition.model_copy(update={"destinations": sealed, "created_by": author})

    def missing(self, definition: TaskDefinition) -> list[str]:
        """The labels of enabled destinations whose secret is not in this vault: it stayed where they come from."""
        return [
            destination.label or destination.type.value
            for destination in definition.destinations
            if destination.enabled
            and REFERENCE.fullmatch(destination.target)
            and self._vault.secret(definition.guild_id, destination.target) is None
        ]

    def known(self, definition: TaskDefinition, before: TaskDefinition) -> TaskDefinition:
        """The definition with the references of ``before`` in place of what they stand for already."""
        guild_id, author = definition.guild_id, definition.created_by
        if _ACCOUNT.fullmatch(author) and self._vault.person(guild_id, before.created_by) == author:
            author = before.created_by
        references = {
            secret: destination.target
            for destination in before.destinations
            if REFERENCE.fullmatch(destination.target)
            and (secret := self._vault.secret(guild_id, destination.target)) is not None
        }
        destinations = tuple(
            _referring(one, references[one.target]) if _is_secret(one) and one.target in references else one
            for one in definition.destinations
        )
        return definition.model_copy(update={"destinations": destinations, "created_by": author})

    def seal_changes(self, guild_id: str, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Changes of a task without secrets. What is no destination at all is left for the validation to refuse."""
        if "destinations" not in changes:
            return dict(changes)
        try:
            destinations = _DESTINATIONS.validate_python(tuple(changes["destinations"]))
        except (ValidationError, TypeError):
            return dict(changes)
        return {**changes, "destinations": self.seal_all(guild_id, destinations)}

    def seal_all(self, guild_id: str, destinations: Sequence[Destination]) -> tuple[Destination, ...]:
        """The destinations without secrets."""
        return tuple(self._sealed(guild_id, destination) for destination in destinations)

    def _sealed(self, guild_id: str, destination: Destination) -> Destination:
        if not _is_secret(destination):
            return destination
        return _referring(destination, self._vault.put_secret(guild_id, destination.target))
