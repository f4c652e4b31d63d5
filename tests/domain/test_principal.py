"""Who asks: a principal is refused where it would silently see nothing."""

from __future__ import annotations

from typing import Any

import pytest

from domain.errors import InvalidInput
from domain.principal import Permission, Principal


@pytest.mark.parametrize(
    "wrong", [{"guild_id": 1}, {"user_id": 1}, {"guild_id": 0}, {"role_ids": {1}}, {"permissions": {"rule"}}]
)
def test_numbers_in_place_of_ids_and_unknown_permissions_are_refused(wrong: Any) -> None:
    """A guild that is a number would equal no guild, and the asker would see nothing without being told why."""
    with pytest.raises(InvalidInput):
        Principal(reference="host", **wrong)


def test_a_host_may_name_permissions_and_roles_in_any_collection() -> None:
    """Whatever collection and spelling, it is the same principal, and it can be a key."""
    loose: Any = {"permissions": ["manage"], "role_ids": ["5"]}
    plain = Principal(
        reference="host", guild_id="1", permissions=frozenset({Permission.MANAGE}), role_ids=frozenset("5")
    )
    assert Principal(reference="host", guild_id="1", **loose) == plain
    assert len({plain, Principal(reference="host", guild_id="1", **loose)}) == 1
