"""Reading DiscordChatExporter archives: every version of the format, broken files, ranges, changes, the sample."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import threading
from collections import Counter
from collections.abc import Coroutine
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.archive import ArchiveProcessor, files, latest, reading, sample_path
from domain.errors import ChannelInaccessible, FetchFailed, InvalidImport, InvalidInput
from domain.summary import Message, SummaryOptions

FIXTURES = Path(__file__).parent.parent / "fixtures" / "archives"
AGES_AGO, AGES_AHEAD = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
ALL = SummaryOptions(include_bots=True)
NOON = "2026-03-02T12:00:00+00:00"


def message(id: object = "1", timestamp: object = NOON, **more: object) -> dict[str, Any]:
    """A message as an export writes it, with the least it can have."""
    author = {"id": "71", "name": "marta", "isBot": False}
    return {"id": id, "type": "Default", "timestamp": timestamp, "content": "hello", "author": author, **more}


def export(*messages: object, **more: object) -> dict[str, Any]:
    """An export of channel 200 ("general") of guild 100 ("Garden")."""
    guild, channel = {"id": "100", "name": "Garden"}, {"id": "200", "name": "general"}
    return {"guild": guild, "channel": channel, "messages": list(messages), **more}


def written(path: Path, content: object) -> Path:
    """The content in a file: bytes as they are, anything else as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return path


def run(coroutine: Coroutine[Any, Any, list[Message]]) -> list[Message]:
    """The result of a coroutine, on a loop of its own that leaves the one of the test runner alone."""
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(coroutine)
    finally:
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


def read(source: ArchiveProcessor | Path, channel: str = "200", options: SummaryOptions = ALL) -> list[Message]:
    """All messages of a channel."""
    processor = source if isinstance(source, ArchiveProcessor) else ArchiveProcessor(source)
    return run(processor.process_channel_messages(channel, AGES_AGO, AGES_AHEAD, options))


def refused(path: Path) -> str:
    """What the error says about a file that cannot be read."""
    with pytest.raises(InvalidImport) as caught:
        ArchiveProcessor(path).channels()
    return str(caught.value)


# --- categories and threads -----------------------------------------------------------------------------------------


def placed(
    folder: Path, channel_id: str, name: str, parent: str, kind: str = "GuildTextChat", category: str = ""
) -> None:
    """A channel of one message, which is its name, exported with the category (or, of a thread, the channel) above."""
    channel = {"id": channel_id, "name": name, "type": kind, "categoryId": parent, "category": category}
    written(folder / f"{channel_id}.json", export(message(id=f"{channel_id}1", content=name), channel=channel))


@pytest.fixture
def village(tmp_path: Path) -> ArchiveProcessor:
    """Two categories, a channel in none, and a thread."""
    placed(tmp_path, "11", "square", "1", category="Community")
    placed(tmp_path, "12", "bakery", "1", category="Community")
    placed(tmp_path, "21", "sawmill", "2", category="Work")
    placed(tmp_path, "31", "lonely", "0")
    placed(tmp_path, "111", "the fountain", "11", "GuildPublicThread", "square")
    return ArchiveProcessor(tmp_path)


async def test_a_category_is_its_channels_by_name(village: ArchiveProcessor) -> None:
    """Threads are not among them: they come with their channel. The category may be named as people see it."""
    assert await village.channels_of("1") == ["12", "11"]
    assert await village.channels_of("community") == ["12", "11"]
    assert village.find_category("WORK") == ("2", "Work", "100")
    for unknown in ("11", "0", "", "Nowhere"):
        with pytest.raises(ChannelInaccessible, match="no such category; it knows Community, Work"):
            await village.channels_of(unknown)


def test_what_was_said_in_threads_belongs_to_their_channel(village: ArchiveProcessor) -> None:
    """Unless it is not wanted; a thread can be read alone, and keeps its own id and link."""
    assert [each.content for each in read(village, "11")] == ["square", "the fountain"]
    without = SummaryOptions(include_bots=True, include_threads=False)
    assert [each.content for each in read(village, "11", without)] == ["square"]
    [said] = read(village, "111")
    assert (said.content, said.channel_id) == ("the fountain", "111")
    assert said.url == "https://discord.com/channels/100/111/1111"


def test_a_limit_counts_over_channel_and_threads(village: ArchiveProcessor) -> None:
    """The newest of both are kept."""
    limited = run(village.process_channel_messages("11", AGES_AGO, AGES_AHEAD, ALL, 1))
    assert [each.content for each in limited] == ["the fountain"]


@pytest.mark.parametrize("odd", [None, "", "0", 0, [], {"a": 1}, True])
def test_an_odd_category_is_no_reason_to_refuse_the_messages(tmp_path: Path, odd: object) -> None:
    """Versions of the exporter differ in what they write where there is none."""
    channel = {"id": "200", "name": "general", "categoryId": odd, "category": odd}
    source = ArchiveProcessor(written(tmp_path / "a.json", export(message(content="hello"), channel=channel)))
    assert [each.content for each in read(source)] == ["hello"]
    with pytest.raises(ChannelInaccessible, match="no such category"):
        source.find_category("0")


# --- versions of the format -----------------------------------------------------------------------------------------


def test_an_export_of_2020_loads() -> None:
    """No nicknames, roles, stickers, mentions, references or exportedAt are needed."""
    first, second = read(FIXTURES / "2020 - kitchen.json", "4100")
    assert (first.author_name, first.content) == ("Marta", "Who has the key of the shed?")
    assert first.timestamp == datetime(2020, 6, 1, 16, 2, 11, 500_000, tzinfo=UTC)
    assert (second.attachments, second.reactions, second.reply_to) == (("key.jpg",), 2, None)
    assert second.url == "https://discord.com/channels/4001/4100/4102"


def test_notices_of_the_system_are_no_messages() -> None:
    """Joins, pins and calls are left out; replies stay and know what they answer."""
    seedlings, reply = read(FIXTURES / "2022 - seeds [4200].json", "4200")
    assert (seedlings.id, seedlings.author_name, seedlings.reactions) == ("4202", "noor", 4)
    assert (reply.id, reply.reply_to) == ("4203", "4202")


def test_mentions_become_names_that_the_archive_knows() -> None:
    """People, roles, other channels of the archive and custom emoji are readable."""
    [seedlings] = [each for each in read(ArchiveProcessor(FIXTURES), "4200") if each.id == "4202"]
    assert seedlings.content.endswith("ask @Pekka (plot 4) or @Elders where to collect them, see #kitchen :sprout:")


def test_mentions_of_the_unknown_stay_as_they_are(tmp_path: Path) -> None:
    """Nothing is invented for people, roles and channels that the export does not name."""
    text = "ask <@5> <@!6> <@&7> in <#8>, a < b, <a:wave:1> <t:0:F>"
    [one] = read(written(tmp_path / "a.json", export(message(content=text))))
    assert one.content == "ask <@5> <@!6> <@&7> in <#8>, a < b, :wave: <t:0:F>"


def test_an_export_of_today_loads() -> None:
    """Embeds stand for the text of bots, forwards keep text and files, answers to commands count, calls do not."""
    frost, forward, answer = read(FIXTURES / "current - weather.json", "4300")
    assert (frost.content, frost.is_bot) == ("Frost tonight\nDown to -6 degrees after 22:00.", True)
    assert frost.timestamp == datetime(2026, 2, 1, 5, 0, 0, 123_456, tzinfo=UTC)
    assert (forward.content, forward.attachments) == ("Cover the pipes before dark!", ("pipes.pdf",))
    assert (forward.reply_to, forward.author_name) == (None, "Pekka (plot 4)")
    assert (answer.content, answer.reactions) == ("Tomorrow: clear, -3 to 4 degrees.", 2)


def test_parts_of_one_channel_are_one_channel_and_duplicates_count_once() -> None:
    """Of a message in several files the one exported last wins."""
    processor = ArchiveProcessor(FIXTURES / "parts")
    assert [m.content for m in read(processor, "4400")] == [
        "First draft of the plan",
        "Second draft, edited",
        "Third draft",
    ]
    [plans] = processor.channels()
    assert (plans.id, plans.name, plans.message_count) == ("4400", "plans", 3)


def test_a_duplicate_in_one_file_counts_once(tmp_path: Path) -> None:
    """Exports that were joined by hand may repeat messages."""
    path = written(tmp_path / "a.json", export(message("1"), message("2"), message("1", content="again")))
    assert [(m.id, m.content) for m in read(path)] == [("1", "again"), ("2", "hello")]


@pytest.mark.parametrize(
    "timestamp",
    [
        "2026-03-02T12:00:00Z",
        "2026-03-02T12:00:00+00:00",
        "2026-03-02T12:00:00.0Z",
        "2026-03-02T12:00:00.00+00:00",
        "2026-03-02T17:45:00.000+05:45",
        "2026-03-02T08:30:00.0000-03:30",
        "2026-03-02T14:00:00.00000+02:00",
        "2026-03-03T02:00:00.000000+14:00",
        "2026-03-02T00:00:00.0000000-12:00",
    ],
)
def test_any_offset_and_any_fraction_is_an_instant(tmp_path: Path, timestamp: str) -> None:
    """Timestamps of every exporter and zone mean the same instant, in UTC."""
    [one] = read(written(tmp_path / "a.json", export(message(timestamp=timestamp))))
    assert one.timestamp == datetime(2026, 3, 2, 12, tzinfo=UTC)
    assert one.timestamp.tzinfo is UTC


def test_seven_digits_of_a_second_are_cut_to_microseconds(tmp_path: Path) -> None:
    """The exporter writes ticks of 100 ns, which a datetime cannot hold."""
    [one] = read(written(tmp_path / "a.json", export(message(timestamp="2026-03-02T12:00:00.1234567Z"))))
    assert one.timestamp.microsecond == 123_456


def test_ids_may_be_numbers(tmp_path: Path) -> None:
    """Tools that rewrite exports turn ids into numbers; links and replies still work."""
    content = export(
        message(11, author={"id": 71, "name": "marta", "isBot": False}),
        message(12, type="Reply", reference={"messageId": 11, "channelId": 200, "guildId": 100}),
    )
    content["guild"]["id"], content["channel"]["id"] = 100, 200
    first, second = read(written(tmp_path / "a.json", content))
    assert (first.id, first.author_id, first.url) == ("11", "71", "https://discord.com/channels/100/200/11")
    assert second.reply_to == "11"


def test_message_types_may_be_numbers_or_missing(tmp_path: Path) -> None:
    """0, 19, 20 and 23 are said by somebody; a message without a type is, too; others are notices."""
    untyped = message("9")
    del untyped["type"]
    content = export(*(message(str(n), type=n) for n in (0, 7, 19, 20, 24)), message("23", type="23"), untyped)
    assert [m.id for m in read(written(tmp_path / "a.json", content))] == ["0", "9", "19", "20", "23"]


def test_a_byte_order_mark_is_no_obstacle(tmp_path: Path) -> None:
    """Windows tools put one in front."""
    path = written(tmp_path / "a.json", b"\xef\xbb\xbf" + json.dumps(export(message())).encode())
    assert len(read(path)) == 1


def test_the_header_may_come_after_the_messages(tmp_path: Path) -> None:
    """The order of keys in a JSON object means nothing."""
    for order in (("messages", "guild", "channel"), ("channel", "messages", "guild"), ("guild", "messages", "channel")):
        content = {key: export(message())[key] for key in order}
        assert read(written(tmp_path / "a.json", content))[0].url == "https://discord.com/channels/100/200/1"


def test_nulls_and_missing_parts_are_empty(tmp_path: Path) -> None:
    """Nothing but id, timestamp and author is needed of a message; null is as good as absent."""
    null = message(
        content=None, attachments=None, embeds=None, reactions=None, mentions=None, reference=None, stickers=None,
        author={"id": "71", "name": None, "nickname": None, "roles": None, "isBot": None},
    )  # fmt: skip
    [one] = read(written(tmp_path / "a.json", export(null, exportedAt=None)))
    assert (one.content, one.author_name, one.is_bot, one.attachments, one.reactions) == ("", "71", False, (), 0)


def test_a_reference_into_another_channel_is_no_reply(tmp_path: Path) -> None:
    """Posts of followed channels refer to a message that is not here."""
    content = export(message(reference={"messageId": "5", "channelId": "999", "guildId": "3"}))
    assert read(written(tmp_path / "a.json", content))[0].reply_to is None


def test_a_direct_conversation_has_links_that_open(tmp_path: Path) -> None:
    """The exporter gives direct messages the guild 0; Discord's links say @me."""
    content = export(message(), guild={"id": "0", "name": "Direct Messages"})
    assert read(written(tmp_path / "a.json", content))[0].url == "https://discord.com/channels/@me/200/1"


def test_an_empty_channel_is_a_channel(tmp_path: Path) -> None:
    """It is listed, with no messages and no dates."""
    processor = ArchiveProcessor(written(tmp_path / "a.json", export(messageCount=0)))
    [channel] = processor.channels()
    assert (channel.name, channel.message_count, channel.first, channel.last) == ("general", 0, None, None)
    assert read(processor) == []
    assert processor.latest() is None


def test_messages_of_one_instant_are_in_order_of_their_ids(tmp_path: Path) -> None:
    """Ids order by number: 9 comes before 10."""
    path = written(tmp_path / "a.json", export(*(message(id) for id in ("10", "9", "100", "11"))))
    assert [m.id for m in read(path)] == ["9", "10", "11", "100"]


@given(
    st.text(alphabet=st.sampled_from('a"\\[]{}\n/ü😀') | st.characters(codec="utf-8"), max_size=60), st.integers(1, 40)
)
@settings(max_examples=60, deadline=None)
def test_any_text_survives_any_size_of_chunks(tmp_path_factory: pytest.TempPathFactory, text: str, chunk: int) -> None:
    """Quotes, backslashes and brackets in texts are texts, wherever a chunk of the file ends."""
    path = written(
        tmp_path_factory.mktemp("chunks") / "a.json", export(message(content=text, mentions=[]), message("2"))
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "_CHUNK_BYTES", chunk)
        assert [m.content for m in read(path)] == [text, "hello"]


# --- folders --------------------------------------------------------------------------------------------------------


def test_a_folder_is_searched_and_foreign_files_are_skipped_by_name(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Exports count at any depth; other JSON, broken or not, is named in one warning and skipped."""
    written(tmp_path / "deep" / "er" / "a.json", export(message()))
    written(tmp_path / "package.json", {"name": "x", "channel": "stable"})
    written(tmp_path / "list.json", [1, 2])
    written(tmp_path / "nested.json", b"[" * 100_000)
    written(tmp_path / "notes.txt", b"nothing")
    processor = ArchiveProcessor(tmp_path)
    with caplog.at_level(logging.WARNING):
        assert [c.name for c in processor.channels()] == ["general"]
        processor.channels()
    assert sorted(Path(str(r.args[0]).split(".json")[0]).name for r in caplog.records if isinstance(r.args, tuple)) == [
        "list", "nested", "package",
    ]  # fmt: skip


def test_a_file_that_is_named_must_be_an_export(tmp_path: Path) -> None:
    """Naming a file says that it is one."""
    text = refused(written(tmp_path / "package.json", {"name": "x"}))
    assert "package.json" in text
    assert 'an object with "guild", "channel" and "messages" is right' in text


def test_several_paths_are_one_archive(tmp_path: Path) -> None:
    """Files and folders mix; a file in both counts once."""
    path = written(tmp_path / "a.json", export(message()))
    processor = ArchiveProcessor([FIXTURES / "parts", path, tmp_path])
    assert [c.name for c in processor.channels()] == ["plans", "general"]


def test_a_missing_path_is_named(tmp_path: Path) -> None:
    """The error says which path, and what would be right."""
    text = refused(tmp_path / "nowhere.json")
    assert "nowhere.json" in text
    assert "No such file" in text
    assert "name a readable file or folder" in text


def test_a_folder_of_too_many_files_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of files is bounded."""
    monkeypatch.setattr(files, "_MAX_FILES", 2)
    for n in range(3):
        written(tmp_path / f"{n}.json", export())
    assert "files are more than 2" in refused(tmp_path)


# --- broken files ---------------------------------------------------------------------------------------------------

WHOLE = json.dumps(export(message("1"), message("2"), messageCount=2)).encode()


@pytest.mark.parametrize("at", range(len(WHOLE) - 40, len(WHOLE), 7))
def test_a_truncated_file_is_named_with_the_place_where_it_ends(tmp_path: Path, at: int) -> None:
    """An export that was interrupted is refused, never read as a shorter conversation."""
    text = refused(written(tmp_path / "cut.json", WHOLE[:at]))
    assert f"cut.json: byte {at}, after message" in text
    assert "is where the file ends, too early; export the channel again" in text


BROKEN: dict[str, tuple[object, list[str]]] = {
    "empty": (b"", ["is an empty file"]),
    "utf16": (json.dumps(export(message())).encode("utf-16"), ["byte 0", "is UTF-16", "save the file as UTF-8"]),
    "latin1": (WHOLE.replace(b"hello", b"h\xe9llo"), ["byte 1", "before the first message", "is not UTF-8"]),
    "syntax": (WHOLE.replace(b'"type"', b"type", 1), ["line 1, column 114, before the first message", "is no JSON"]),
    "trailing": (WHOLE + b" x", ["line 1", "after message 2", "is no JSON (Extra data)"]),
    "no messages": ({k: v for k, v in export().items() if k != "messages"}, ["messages: None is missing", "a list"]),
    "messages is an object": (export() | {"messages": {}}, ["messages: None is missing"]),
    "message is a number": (export(message(), 5), ["message 2, value: 5 is no object"]),
    "no id": (export({k: v for k, v in message().items() if k != "id"}), ["message 1, id: None is no id"]),
    "id is a list": (export(message([1])), ["message 1, id: [1] is no id", "a text or a number is right"]),
    "no timestamp": (export(message(timestamp=None)), ["message 1 (id 1), timestamp: None names no instant"]),
    "vague timestamp": (export(message("7", "yesterday")), ["message 1 (id 7), timestamp: 'yesterday'", "ISO 8601"]),
    "naive timestamp": (export(message(timestamp="2026-03-02T12:00:00")), ["names no instant", "with a UTC offset"]),
    "numeric timestamp": (export(message(timestamp=1.5e9)), ["timestamp: Decimal('1500000000.0') names no instant"]),
    "no author": (export(message(author=None)), ["author: None is no object"]),
    "author is a text": (export(message(author="marta")), ["author: 'marta' is no object"]),
    "author without id": (export(message(author={"name": "marta"})), ["author.id: None is no id"]),
    "content is a list": (export(message(content=["x"])), ["content: ['x'] is no text", "a text or null is right"]),
    "attachments is a text": (export(message(attachments="a.png")), ["attachments: 'a.png' is no list"]),
    "reactions hold a text": (export(message(reactions=["up"])), ["reactions: 'up' is no object"]),
    "reaction count": (export(message(reactions=[{"count": -1}])), ["reactions.count: -1 is no count"]),
    "channel id": (export() | {"channel": {"id": "", "name": "x"}}, ["header, channel.id: is no id"]),
    "channel name": (export() | {"channel": {"id": "1", "name": 5}}, ["header, channel.name: 5 is no text"]),
    "deep": (b'{"a":' + b"[" * 300_000 + b"]" * 300_000 + b"}", ["is nested more than 64 levels deep"]),
    "deep in a message": (export(message(embeds="@")), ["is nested more than 64 levels deep"]),
    "huge number": (WHOLE.replace(b'"2"', b"9" * 5_000), ["begins a number of more than 400 digits"]),
    "not UTF-8 to the end": (WHOLE.replace(b"hello", b"\xc0\x00\x80"), ["is not UTF-8"]),
    "cut in a character": ('{"channel": {"id": "1"}, "guild": {"name": "Gär'.encode()[:-2], ["ends, too early"]),
    "huge exponent": (
        WHOLE.replace(b'"messageCount": 2', b'"messageCount": 1e99999999999999999999'),
        ["after message 2"],
    ),
    "not a number": (WHOLE.replace(b'"messageCount": 2', b'"messageCount": NaN'), ["near byte", "broken here"]),
    "huge text": (export(message(content="x" * 2_000_000)), ["is in a text of more than 1 MiB"]),
}
BROKEN["deep in a message"] = (
    json.dumps(BROKEN["deep in a message"][0]).replace('"@"', '[{"a":' * 5_000 + "1" + "}]" * 5_000).encode(),
    BROKEN["deep in a message"][1],
)


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_named_with_place_problem_and_remedy(tmp_path: Path, name: str) -> None:
    """The error says which file, where in it, what is wrong and what would be right, on one line of bounded length."""
    content, parts = BROKEN[name]
    path = written(tmp_path / "broken file.json", content)
    text = refused(path)
    assert text.startswith(str(path))
    for part in parts:
        assert part in text
    assert "; " in text
    assert "\n" not in text
    assert len(text) < len(str(path)) + 300


def test_a_long_conversation_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file with more messages than fit is refused rather than swallowed."""
    monkeypatch.setattr(reading, "_MAX_MESSAGES", 2)
    text = refused(written(tmp_path / "a.json", export(message("1"), message("2"), message("3"))))
    assert "is one more than 2 messages; export a shorter range of dates" in text


def test_long_texts_and_lists_are_cut(tmp_path: Path) -> None:
    """No message is longer than Discord can make one, twice over."""
    huge = message(content="x" * 50_000, attachments=[{"fileName": "y" * 5_000}] * 500)
    [one] = read(written(tmp_path / "a.json", export(huge)))
    assert (len(one.content), one.content[-1]) == (8_000, "…")
    assert (len(one.attachments), len(one.attachments[0])) == (100, 200)


def test_a_broken_file_fails_only_its_own_channel(tmp_path: Path) -> None:
    """While a run reads, a broken export is a failed fetch that names file and place; other channels go on."""
    written(tmp_path / "good.json", export(message()))
    broken = written(tmp_path / "bad.json", export(message(timestamp="x"), channel={"id": "300", "name": "bad"}))
    processor = ArchiveProcessor(tmp_path)
    assert len(read(processor, "200")) == 1
    with pytest.raises(FetchFailed, match="message 1") as caught:
        read(processor, "bad")
    assert str(broken) in str(caught.value)


@given(st.binary(max_size=40), st.integers(0, len(WHOLE)), st.integers(0, 30))
@settings(max_examples=150, deadline=None)
def test_damage_is_an_error_or_an_archive_but_never_a_crash(
    tmp_path_factory: pytest.TempPathFactory, junk: bytes, at: int, cut: int
) -> None:
    """Whatever bytes stand in a file, the outcome is messages or one InvalidImport."""
    path = written(tmp_path_factory.mktemp("damage") / "a.json", WHOLE[:at] + junk + WHOLE[at + cut :])
    with suppress(InvalidImport):
        assert len(ArchiveProcessor(path).channels()) == 1


# --- finding channels -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["4100", "kitchen", "#kitchen", " #Kitchen "])
def test_a_channel_is_found_by_id_and_by_name(text: str) -> None:
    """People write names in several ways."""
    found = ArchiveProcessor(FIXTURES).find_channel(text)
    assert (found.id, found.guild_id, found.guild_name, found.message_count) == ("4100", "4001", "Allotment 12", 2)
    assert found.first == datetime(2020, 6, 1, 16, 2, 11, 500_000, tzinfo=UTC)
    assert found.last == datetime(2020, 6, 1, 16, 3, tzinfo=UTC)


def test_an_unknown_channel_names_near_ones() -> None:
    """A typing error is answered with what was probably meant."""
    with pytest.raises(ChannelInaccessible, match="did you mean #kitchen"):
        ArchiveProcessor(FIXTURES).find_channel("#kitchn")
    with pytest.raises(ChannelInaccessible, match="did you mean #kitchen or #plans or #seeds"):
        ArchiveProcessor(FIXTURES).find_channel("zzzzzz")


def test_an_empty_archive_says_so(tmp_path: Path) -> None:
    """There is nothing to suggest."""
    with pytest.raises(ChannelInaccessible, match="the archive is empty"):
        ArchiveProcessor(tmp_path).find_channel("general")
    with pytest.raises(InvalidImport, match="holds no messages"):
        latest(tmp_path)


def test_a_name_of_several_channels_asks_for_the_id(tmp_path: Path) -> None:
    """Two guilds may both have a #general: none is guessed."""
    written(tmp_path / "a.json", export(message()))
    written(tmp_path / "b.json", export(guild={"id": "2", "name": "Shed"}, channel={"id": "300", "name": "general"}))
    processor = ArchiveProcessor(tmp_path)
    with pytest.raises(ChannelInaccessible, match=r"give the id: 200 \(Garden\), 300 \(Shed\)"):
        processor.find_channel("general")
    assert processor.find_channel("300").guild_name == "Shed"


# --- ranges, shift, changes -----------------------------------------------------------------------------------------

MINUTES = st.integers(0, 60)


@given(
    sent=st.lists(st.tuples(MINUTES, st.integers(1, 40), st.sampled_from("abc"), st.booleans()), max_size=40),
    parts=st.integers(1, 3),
    start=MINUTES,
    end=MINUTES,
    shift=st.integers(-5_000, 5_000),
    limit=st.none() | st.integers(0, 8),
    bots=st.booleans(),
    excluded=st.sets(st.sampled_from("abc"), max_size=2),
)
@settings(max_examples=80, deadline=None)
def test_a_range_query_equals_filtering_everything(
    tmp_path_factory: pytest.TempPathFactory,
    sent: list[tuple[int, int, str, bool]],
    parts: int,
    start: int,
    end: int,
    shift: int,
    limit: int | None,
    bots: bool,
    excluded: set[str],
) -> None:
    """Bisection over merged parts finds what a plain filter over all messages finds, in the same order."""
    folder = tmp_path_factory.mktemp("range")
    zero, moved = datetime(2026, 3, 2, tzinfo=UTC), timedelta(minutes=shift)
    messages = [
        message(str(id), (zero + timedelta(minutes=at)).isoformat(), author={"id": who, "isBot": bot}, content=str(n))
        for n, (at, id, who, bot) in enumerate(sent)
    ]
    for part in range(parts):
        written(folder / f"{part}.json", export(*messages[part::parts], exportedAt=f"2026-04-0{part + 1}T00:00:00Z"))
    kept = {m["id"]: m for part in range(parts) for m in messages[part::parts]}
    expected = [
        m["content"]
        for m in sorted(kept.values(), key=lambda m: (m["timestamp"], int(m["id"])))
        if zero + timedelta(minutes=start) <= datetime.fromisoformat(m["timestamp"]) < zero + timedelta(minutes=end)
        and (bots or not m["author"]["isBot"])
        and m["author"]["id"] not in excluded
    ]
    found = run(
        ArchiveProcessor(folder, shift=moved).process_channel_messages(
            "200",
            zero + timedelta(minutes=start) + moved,
            zero + timedelta(minutes=end) + moved,
            SummaryOptions(include_bots=bots, excluded_users=tuple(excluded)),
            limit,
        )
    )
    assert [m.content for m in found] == (expected if limit is None else expected[max(0, len(expected) - limit) :])
    assert all(a.timestamp <= b.timestamp for a, b in pairwise(found))


def test_a_shift_moves_every_instant(tmp_path: Path) -> None:
    """The archive plays at another time: messages, ranges, first, last and latest move alike; links do not."""
    path = written(tmp_path / "a.json", export(message("1"), message("2", "2026-03-02T13:00:00Z")))
    day = timedelta(days=100, microseconds=7)
    processor = ArchiveProcessor(path).shifted(day)
    noon = datetime(2026, 3, 2, 12, tzinfo=UTC)
    assert [m.timestamp for m in read(processor)] == [noon + day, noon + timedelta(hours=1) + day]
    [channel] = processor.channels()
    assert (channel.first, channel.last) == (noon + day, noon + timedelta(hours=1) + day)
    assert processor.latest() == channel.last
    assert latest(path) == noon + timedelta(hours=1)


@pytest.mark.parametrize("field", ["start_time", "end_time"])
def test_a_naive_bound_is_refused(field: str) -> None:
    """A bound without a zone names no instant."""
    naive = AGES_AGO.replace(tzinfo=None)
    start, end = (naive, AGES_AHEAD) if field == "start_time" else (AGES_AGO, naive)
    with pytest.raises(InvalidInput, match=f"{field}.* has no time zone; give it one"):
        run(ArchiveProcessor(FIXTURES).process_channel_messages("4100", start, end, ALL))


def test_a_negative_limit_is_refused() -> None:
    """The limit is a count."""
    with pytest.raises(InvalidInput, match="limit: -1 is negative"):
        run(ArchiveProcessor(FIXTURES).process_channel_messages("4100", AGES_AGO, AGES_AHEAD, ALL, limit=-1))


def test_a_file_is_read_once_and_again_when_it_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read is kept per file until its size or date changes; the other parts are not read again."""
    reads: Counter[str] = Counter()

    def counting(path: Path, channel_id: str) -> reading.Export:
        reads[path.name] += 1
        return reading.read_export(path, channel_id)

    monkeypatch.setattr(files, "read_export", counting)
    first, second = tmp_path / "1.json", tmp_path / "2.json"
    written(first, export(message("1")))
    written(second, export(message("2")))
    processor = ArchiveProcessor(tmp_path)
    assert reads == {}
    for _ in range(3):
        assert len(read(processor)) == 2
    processor.channels()
    assert reads == {"1.json": 1, "2.json": 1}
    written(second, export(message("2"), message("3")))
    assert len(read(processor)) == 3
    assert reads == {"1.json": 1, "2.json": 2}
    second.unlink()
    assert len(read(processor)) == 1
    assert reads == {"1.json": 1, "2.json": 2}


def test_a_repaired_file_is_read(tmp_path: Path) -> None:
    """An error is not remembered longer than the file that caused it."""
    path = written(tmp_path / "a.json", export(message(timestamp="x")))
    processor = ArchiveProcessor(path)
    with pytest.raises(InvalidImport):
        processor.channels()
    written(path, export(message()))
    assert len(read(processor)) == 1


def test_many_readers_at_once_share_one_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Concurrent runs do not read the same file several times, and the event loop is not the one that reads."""
    readers: list[int] = []

    def counting(path: Path, channel_id: str) -> reading.Export:
        readers.append(threading.get_ident())
        return reading.read_export(path, channel_id)

    monkeypatch.setattr(files, "read_export", counting)
    processor = ArchiveProcessor(written(tmp_path / "a.json", export(message())))

    async def eight() -> list[Message]:
        runs = (processor.process_channel_messages("200", AGES_AGO, AGES_AHEAD, ALL) for _ in range(8))
        return [found[0] for found in await asyncio.gather(*runs)]

    assert [m.id for m in run(eight())] == ["1"] * 8
    assert len(readers) == 1
    assert readers[0] != threading.get_ident()


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    """A refusal of the operating system names the file."""
    path = written(tmp_path / "a.json", export(message()))
    path.chmod(0)
    assert "cannot be read: Permission denied" in refused(path)


# --- the sample -----------------------------------------------------------------------------------------------------


def sample() -> dict[str, list[Message]]:
    """All messages of the sample by the name of their channel."""
    processor = ArchiveProcessor(sample_path())
    return {channel.name: read(processor, channel.id) for channel in processor.channels()}


def test_the_sample_is_three_channels_of_one_community_over_ten_days() -> None:
    """What comes with Daybook is enough to try everything on."""
    channels = ArchiveProcessor(sample_path()).channels()
    assert [c.name for c in channels] == ["development", "general", "support"]
    assert {c.guild_name for c in channels} == {"Waymoss"}
    assert sum(c.message_count for c in channels) >= 500
    days = {m.timestamp.date() for messages in sample().values() for m in messages}
    assert len(days) == 10
    assert max(days) - min(days) == timedelta(days=9)
    assert latest(sample_path()) == max(c.last for c in channels if c.last)


def test_the_sample_holds_what_summaries_must_cope_with() -> None:
    """Replies that resolve, reactions, files, bots, code, links, several languages, many people and a quiet day."""
    by_channel = sample()
    everything = [m for messages in by_channel.values() for m in messages]
    for messages in by_channel.values():
        at = {m.id: m.timestamp for m in messages}
        replies = [m for m in messages if m.reply_to]
        assert len(replies) >= 20
        assert all(at[m.reply_to] < m.timestamp for m in replies if m.reply_to)
    assert len({m.author_id for m in everything if not m.is_bot}) >= 15
    assert {m.author_name for m in everything if m.is_bot} == {"Gatekeeper", "Moss CI"}
    assert sum(bool(m.attachments) for m in everything) >= 20
    assert sum(m.reactions for m in everything) >= 500
    text = "\n".join(m.content for m in everything)
    for part in (
        "```rust",
        "```sh",
        "https://",
        "Höhenlinien",
        "¡Muchísimas gracias!",
        "merci beaucoup",
        "ありがとう",
        "I'll",
    ):
        assert part in text
    assert len({m.timestamp.date() for m in by_channel["development"]}) == 9


def test_the_sample_is_small() -> None:
    """It comes with every installation."""
    assert sum(path.stat().st_size for path in sample_path().glob("*.json")) < 600_000
