"""File delivery: whole files in their guild's folder, once per run, and nothing anywhere else."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from adapters.file import FileDelivery
from application.ports import DeliveryRequest
from domain.destination import Destination, DestinationType, delivery_key
from domain.errors import DeliveryFailed, InvalidDestination
from domain.summary import Summary

SLOT = datetime(2026, 3, 29, 7, 0, tzinfo=UTC)
SUMMARY = Summary(id="s", summary_text="Two people spoke.", message_count=2, start_time=SLOT, end_time=SLOT)


def a_request(target: str = "", *, format: str = "markdown", guild_id: str = "42", **changes: Any) -> DeliveryRequest:
    destination = Destination(type=DestinationType.FILE, target=target, format=format)
    values: dict[str, Any] = {
        "key": delivery_key("run-1", destination.key),
        "run_id": "run-1",
        "task_id": "t",
        "task_name": "Daily Digest: Überblick",
        "guild_id": guild_id,
        "destination": destination,
        "summary": SUMMARY,
        "slot": SLOT,
    }
    return DeliveryRequest(**(values | changes))


def everything_below(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir())


async def test_the_file_is_named_by_task_slot_and_key_in_the_guilds_folder(tmp_path: Path) -> None:
    """The receipt is the path below the root, readable and sortable."""
    request = a_request("news/daily")
    receipt = await FileDelivery(tmp_path).deliver(request)
    assert receipt == f"42/news/daily/daily-digest-überblick-20260329T070000Z-{request.key[:12]}.md"
    assert (tmp_path / receipt).read_text(encoding="utf-8").startswith("# Daily Digest: Überblick\n")


async def test_a_retry_leaves_one_file(tmp_path: Path) -> None:
    """The same key gives the same name: the second try replaces the first."""
    delivery = FileDelivery(tmp_path)
    assert await delivery.deliver(a_request()) == await delivery.deliver(a_request())
    assert len(everything_below(tmp_path)) == 1


async def test_another_run_of_the_same_slot_has_a_file_of_its_own(tmp_path: Path) -> None:
    """Keys keep runs apart that share task and slot."""
    delivery = FileDelivery(tmp_path)
    await delivery.deliver(a_request())
    await delivery.deliver(a_request(key=delivery_key("run-2", "x")))
    assert len(everything_below(tmp_path)) == 2


@pytest.mark.parametrize(
    ("format", "extension"), [("embed", "md"), ("markdown", "md"), ("text", "txt"), ("json", "json"), ("html", "html")]
)
async def test_each_format_has_its_extension(tmp_path: Path, format: str, extension: str) -> None:
    """embed and markdown are Markdown documents, text and json what they say."""
    receipt = await FileDelivery(tmp_path).deliver(a_request(format=format))
    assert receipt.endswith(f".{extension}")
    if format == "json":
        assert json.loads((tmp_path / receipt).read_text())["summary"]["id"] == "s"


@pytest.mark.parametrize("name", ["", "///", "日報 まとめ" * 60, "../../etc", "a\0b", "\ud800", "-rf", "x" * 5000])
async def test_any_task_name_makes_a_file_in_place(tmp_path: Path, name: str) -> None:
    """A name chosen by people cannot leave the folder or break the write."""
    receipt = await FileDelivery(tmp_path).deliver(a_request(task_name=name))
    assert (tmp_path / "42" / Path(receipt).name).is_file()


BAD_TARGETS = [
    "../../etc/passwd",
    "/etc/passwd",
    "..\\..\\x",
    "a/\0b",
    "%2e%2e%2f",
    "CON",
    "con.txt",
    "a/NUL",
    "x" * 300,
    ".env",
    "~/x",
    "a//b",
    "a/",
    ".",
    "..",
    "a/./b",
    "a/b/c/d/e/f/g/h/i",
    " x",
    "x ",
    "x.",
    "a\nb",
    "C:x",
]


@pytest.mark.parametrize("target", BAD_TARGETS)
async def test_no_target_leads_out_of_the_guilds_folder(tmp_path: Path, target: str) -> None:
    """Everything but plain names below the folder is refused, when checked and when delivered."""
    delivery = FileDelivery(tmp_path / "root")
    request = a_request(target)
    with pytest.raises(InvalidDestination):
        delivery.check(request.destination, "42")
    with pytest.raises(DeliveryFailed) as failure:
        await delivery.deliver(request)
    assert failure.value.permanent
    assert everything_below(tmp_path) == []


@pytest.mark.parametrize("guild_id", ["", "..", "../43", "/", "4/2"])
async def test_no_guild_id_leads_into_another_folder(tmp_path: Path, guild_id: str) -> None:
    """A guild id that is no plain name is refused."""
    with pytest.raises(DeliveryFailed):
        await FileDelivery(tmp_path).deliver(a_request(guild_id=guild_id))
    assert everything_below(tmp_path) == []


def test_a_format_without_a_renderer_is_refused(tmp_path: Path) -> None:
    """The error names the formats that there are."""
    with pytest.raises(InvalidDestination, match="embed, html, json, markdown, text"):
        FileDelivery(tmp_path).check(a_request(format="docx").destination, "42")


async def test_a_link_out_of_the_root_is_not_followed(tmp_path: Path) -> None:
    """Neither the guild's folder nor one below may be a symbolic link."""
    outside, root = tmp_path / "outside", tmp_path / "root"
    outside.mkdir()
    (root / "42").mkdir(parents=True)
    (root / "42" / "news").symlink_to(outside)
    (root / "43").symlink_to(outside)
    for request in (a_request("news"), a_request("news/deeper"), a_request(guild_id="43")):
        with pytest.raises(DeliveryFailed) as failure:
            await FileDelivery(root).deliver(request)
        assert failure.value.permanent
    assert everything_below(outside) == []


async def test_a_link_in_place_of_the_file_is_replaced_not_followed(tmp_path: Path) -> None:
    """Whatever has the file's name, the file takes its place and nothing is written through it."""
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    delivery = FileDelivery(tmp_path / "root")
    place = tmp_path / "root" / await delivery.deliver(a_request())
    place.unlink()
    place.symlink_to(victim)
    await delivery.deliver(a_request())
    assert victim.read_text() == "untouched"
    assert not place.is_symlink()


async def test_a_fifo_in_place_of_a_folder_does_not_hang(tmp_path: Path) -> None:
    """A pipe where a folder should be is refused at once."""
    (tmp_path / "42").mkdir()
    os.mkfifo(tmp_path / "42" / "news")
    with pytest.raises(DeliveryFailed) as failure:
        await FileDelivery(tmp_path).deliver(a_request("news"))
    assert failure.value.permanent


@pytest.mark.parametrize(
    ("number", "permanent"), [(errno.ENOSPC, False), (errno.EIO, False), (errno.EROFS, True), (errno.EACCES, True)]
)
async def test_errors_of_the_disk_say_whether_waiting_helps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, permanent: bool
) -> None:
    """A full disk is transient, a read-only one permanent; either leaves nothing behind and names the file."""

    def fail(_descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    (tmp_path / "42").mkdir()
    with pytest.raises(DeliveryFailed, match="42/daily-digest") as failure:
        await FileDelivery(tmp_path).deliver(a_request())
    assert failure.value.permanent is permanent
    assert not failure.value.ambiguous
    assert everything_below(tmp_path) == []


async def test_a_cancelled_delivery_leaves_nothing_to_see(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the wait is given up before the file is complete, it never appears, and its temporary file goes."""
    (tmp_path / "42").mkdir()
    reached, may_go_on, real_fsync = Event(), Event(), os.fsync

    def slow(descriptor: int) -> None:
        reached.set()
        may_go_on.wait()
        real_fsync(descriptor)

    monkeypatch.setattr(os, "fsync", slow)
    delivery = FileDelivery(tmp_path)
    waiting = asyncio.ensure_future(delivery.deliver(a_request()))
    await asyncio.to_thread(reached.wait)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    may_go_on.set()
    monkeypatch.undo()
    await asyncio.to_thread(delivery.close)
    assert everything_below(tmp_path) == []


async def test_leftovers_of_killed_writers_are_removed_and_nothing_else(tmp_path: Path) -> None:
    """Old temporary files of ours go; young ones, and everything of others, stay."""
    folder = tmp_path / "42"
    folder.mkdir()
    old = time.time() - 7200
    for name in (".daybook-0123456789abcdef.tmp", ".daybook-x.tmp", ".other.tmp", "notes.md"):
        (folder / name).write_text("x")
        os.utime(folder / name, (old, old))
    (folder / ".daybook-aaaaaaaaaaaaaaaa.tmp").write_text("young")
    receipt = await FileDelivery(tmp_path).deliver(a_request())
    left = set(everything_below(tmp_path)) - {receipt}
    assert left == {"42/.daybook-x.tmp", "42/.other.tmp", "42/notes.md", "42/.daybook-aaaaaaaaaaaaaaaa.tmp"}


async def test_many_deliveries_at_once_are_all_written(tmp_path: Path) -> None:
    """Files of several runs into the same new folder do not get into each other's way."""
    delivery = FileDelivery(tmp_path)
    requests = [a_request("new/folder", key=delivery_key(f"run-{n}", "d")) for n in range(50)]
    receipts = await asyncio.gather(*(delivery.deliver(request) for request in requests))
    assert everything_below(tmp_path) == sorted(receipts)
    assert len(set(receipts)) == 50
