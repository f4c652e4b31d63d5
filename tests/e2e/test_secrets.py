"""The life of a secret: kept while something refers to it, gone when nothing does, and shown nowhere on the way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from application.secret_sweep import GRACE
from daybook import Destination, DestinationType, GuildSettings, ScheduledTask, TaskType
from domain.errors import StoreUnavailable
from tests.e2e.machine import HOUR, Machine


def webhook(name: str) -> Destination:
    return Destination(type=DestinationType.WEBHOOK, target=f"https://hooks.example.org/{name}", format="json")


class Kept(Machine):
    """A machine that is asked which URLs its vault still holds."""

    async def task_to(self, *names: str, **changes: Any) -> str:
        return await self.task(destinations=[webhook(name) for name in names], **changes)

    def secrets(self, guild_id: str = "42") -> set[str]:
        vault = self.scheduler.stores.vault
        found = {vault.secret(*place) for place in vault.secret_references() if place[0] == guild_id}
        return {str(secret).rpartition("/")[2] for secret in found}

    async def settled(self) -> None:
        """Until all that is due has been done, and what rang periodically has come to its end."""
        await super().settled()
        await self.timer.done()

    async def restart(self) -> None:
        await self.scheduler.stop()
        await self.boot()


@pytest.fixture
async def machine(tmp_path: Path) -> AsyncIterator[Kept]:
    made = Kept(tmp_path / "data")
    await made.boot()
    yield made
    await made.scheduler.stop()


LONG = GRACE + timedelta(minutes=30)


async def test_what_is_referred_to_is_kept_for_ever(machine: Kept) -> None:
    """Tasks that run, wait, are paused or disabled, and the notices of a guild, keep their secrets."""
    await machine.task_to("running")
    await machine.scheduler.pause_task(await machine.task_to("paused"))
    await machine.scheduler.commands.change_settings("42", GuildSettings(failure_notices=(webhook("notice"),)))
    await machine.wait(5 * LONG)
    await machine.restart()
    await machine.wait(5 * LONG)
    assert machine.secrets() == {"running", "paused", "notice"}


async def replaced(machine: Kept) -> None:
    task_id = await machine.task_to("old", "same")
    view = machine.scheduler.queries.task(task_id)
    await machine.scheduler.update_task(task_id, destinations=[webhook("new"), view.definition.destinations[1]])


async def cancelled(machine: Kept) -> None:
    await machine.scheduler.cancel_task(await machine.task_to("old"))
    await machine.task_to("new", "same")


async def completed(machine: Kept) -> None:
    await machine.task_to("old", max_runs=1)
    await machine.task_to("new", "same")
    await machine.wait(HOUR)


async def other_notices(machine: Kept) -> None:
    for names in (("old", "gone"), ("new", "same")):
        notices = tuple(webhook(name) for name in names)
        await machine.scheduler.commands.change_settings("42", GuildSettings(failure_notices=notices))


async def refused(machine: Kept) -> None:
    """A command that keeps the secret first and is refused then."""
    task_id = await machine.task_to("new", "same")
    with pytest.raises(ValueError, match="max_failures"):
        await machine.scheduler.update_task(task_id, destinations=[webhook("old")], max_failures=-1)


@pytest.mark.parametrize("change", [replaced, cancelled, completed, other_notices, refused])
async def test_a_secret_that_nothing_refers_to_is_gone_after_the_grace(machine: Kept, change: Any) -> None:
    """However a URL came out of use, it leaves the vault, the others stay, and deliveries go on."""
    await change(machine)
    assert machine.secrets() >= {"old", "new", "same"}
    await machine.wait(GRACE - timedelta(minutes=15))
    assert "old" in machine.secrets()  # a command that is under way loses nothing
    await machine.wait(timedelta(minutes=30))
    assert machine.secrets() == {"new", "same"}


async def test_looks_that_ring_together_follow_one_another(machine: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """A timer that checks after a jump rings while a look is under way: each secret is deleted once."""
    await machine.scheduler.cancel_task(await machine.task_to("old"))
    await machine.wait(GRACE - timedelta(minutes=15))
    vault = machine.scheduler.stores.vault
    looking, most, references = 0, 0, vault.secret_references

    def slowly() -> Any:
        nonlocal looking, most
        looking += 1
        most = max(most, looking)
        time.sleep(0.05)
        found = references()
        looking -= 1
        return found

    monkeypatch.setattr(vault, "secret_references", slowly)
    machine.clock.move(LONG)
    await asyncio.gather(machine.timer.check(), machine.timer.check())
    assert most == 1
    assert machine.secrets() == set()


async def test_the_grace_begins_anew_when_a_secret_is_used_again(machine: Kept) -> None:
    """What was out of use for a while and is referred to again stays."""
    task_id = await machine.task_to("one")
    [place] = machine.scheduler.queries.task(task_id).definition.destinations
    for destinations in ([webhook("two")], [place], [webhook("three")]):
        await machine.scheduler.update_task(task_id, destinations=destinations)
        await machine.wait(GRACE - timedelta(minutes=20))
        assert "one" in machine.secrets()
    await machine.wait(timedelta(minutes=40))
    assert machine.secrets() == {"three"}


async def test_each_guild_keeps_its_own(machine: Kept) -> None:
    """A reference counts in its guild alone."""
    await machine.scheduler.cancel_task(await machine.task_to("old"))
    await machine.task_to("old", guild_id="43")
    await machine.wait(LONG)
    assert (machine.secrets("42"), machine.secrets("43")) == (set(), {"old"})


async def test_a_death_between_keeping_and_committing_leaves_nothing_for_ever(
    machine: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The secret is in the vault, the command is not in the log: a later life takes the secret away."""
    writer = machine.scheduler.stores.writer

    async def die(*commands: Any) -> None:
        raise StoreUnavailable("the process died here")

    monkeypatch.setattr(writer, "execute", die)
    with pytest.raises(StoreUnavailable):
        await machine.task_to("orphan")
    monkeypatch.undo()
    assert machine.secrets() == {"orphan"}
    await machine.restart()
    await machine.wait(LONG)
    assert machine.secrets() == set()


async def test_a_death_between_two_deletions_is_made_good_by_the_next_life(
    machine: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What one life did not come to, the next one deletes; what is in use is untouched throughout."""
    await machine.scheduler.cancel_task(await machine.task_to("a", "b", "c"))
    await machine.task_to("used")
    vault = machine.scheduler.stores.vault
    delete, deleted = vault.delete_secret, list[str]()

    def once(guild_id: str, reference: str) -> bool:
        if deleted:
            raise StoreUnavailable("the process died here")
        deleted.append(reference)
        return delete(guild_id, reference)

    monkeypatch.setattr(vault, "delete_secret", once)
    await machine.wait(LONG)
    assert len(machine.secrets()) == 3
    monkeypatch.undo()
    await machine.restart()
    await machine.wait(LONG)
    assert machine.secrets() == {"used"}


async def test_nothing_is_deleted_while_events_cannot_be_read(machine: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be read may refer to anything."""
    await machine.scheduler.cancel_task(await machine.task_to("old"))
    faults: Sequence[dict[str, Any]] = [{"stream": "x", "version": 1, "topic": "t", "reason": "corrupt"}]
    monkeypatch.setattr(machine.scheduler.queries, "faults", lambda: faults)
    await machine.wait(LONG)
    assert machine.secrets() == {"old"}
    monkeypatch.undo()
    await machine.wait(LONG)
    assert machine.secrets() == set()


async def test_an_export_put_back_after_the_sweep_says_which_secret_is_missing(machine: Kept) -> None:
    """An export holds the reference only; where its secret is gone the delivery says what to do, for good."""
    task_id = await machine.task_to("old")
    exported = machine.scheduler.transfer.export_tasks()
    await machine.scheduler.cancel_task(task_id)
    await machine.wait(LONG)
    [destination] = exported["tasks"][0]["destinations"]
    place = Destination.model_validate(destination)
    outcome, _ = await machine.scheduler.commands.test_destination("42", place)
    assert outcome.permanent
    assert "names no secret of this guild; store the webhook's URL again" in str(outcome.reason)


def test_a_custom_task_may_have_destinations() -> None:
    """The tests above rest on it: such a task delivers nothing and needs no network."""
    task = ScheduledTask(
        name="x", guild_id="1", task_type=TaskType.CUSTOM, operation="note", destinations=[webhook("y")],
        schedule_type="hourly",
    )  # fmt: skip
    assert task.destinations
