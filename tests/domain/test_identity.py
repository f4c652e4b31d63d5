"""Ids that grow with time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import RFC_4122, UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from daybook import ScheduledTask
from domain.identity import time_ordered_id

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
INSTANTS = st.integers(0, 250_000_000_000 * 10**6).map(lambda number: EPOCH + timedelta(microseconds=number))
RANDOM = st.integers(0, 2**128 - 1).map(lambda number: UUID(int=number, version=4))


@given(instant=INSTANTS, random=RANDOM)
def test_an_id_is_a_uuid_of_version_7(instant: datetime, random: UUID) -> None:
    """Version and variant are those of RFC 9562, and the first 48 bits are the milliseconds since 1970."""
    made = time_ordered_id(instant, random)
    assert (made.version, made.variant) == (7, RFC_4122)
    assert made.int >> 80 == (instant - EPOCH) // timedelta(milliseconds=1)


@given(instant=INSTANTS, later=st.integers(1, 10**12), one=RANDOM, other=RANDOM)
def test_what_was_made_later_has_the_greater_id(instant: datetime, later: int, one: UUID, other: UUID) -> None:
    """Also as text, which is how stores sort them, and within a millisecond."""
    first, second = time_ordered_id(instant, one), time_ordered_id(instant + timedelta(microseconds=later), other)
    assert first < second
    assert str(first) < str(second)


@given(instant=INSTANTS, one=RANDOM, other=RANDOM)
def test_ids_of_one_instant_differ_as_their_randomness_does(instant: datetime, one: UUID, other: UUID) -> None:
    """64 bits of it are kept."""
    same = one.int & (2**64 - 1) == other.int & (2**64 - 1)
    assert (time_ordered_id(instant, one) == time_ordered_id(instant, other)) is same


def test_a_constructed_task_has_such_an_id() -> None:
    """The instant is that at which it was made."""
    now = datetime(2026, 11, 28, 9, tzinfo=UTC)
    task = ScheduledTask(name="Digest", guild_id="2", channel_id="1", now=now)
    assert task.id.version == 7
    assert task.id.int >> 80 == int(now.timestamp() * 1000)
    assert ScheduledTask(name="Digest", guild_id="2", channel_id="1", now=now, id=(given := uuid4())).id == given
