"""What every Content does: keeps summaries, run details and caches, and deletes them by retention, counting truly."""

from __future__ import annotations

import sqlite3
import tempfile
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from application.ports import Content, ContentCounts
from domain.errors import InvalidInput, StoreError, StoreUnavailable
from domain.summary import ChannelNote, Point, Summary
from infrastructure.content import SqliteContent
from infrastructure.postgres_stores import PostgresContent

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
TICK = timedelta(microseconds=1)
KINDS = ("summaries", "run_details", "cached")

Open = Callable[[], Content]


@pytest.fixture(params=["sqlite", "postgres"])
def open_content(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Opens the same store as often as it is called, as several processes would."""
    opened: list[Content] = []
    url = request.getfixturevalue("postgres_url")() if request.param == "postgres" else None

    def open_one() -> Content:
        opened.append(PostgresContent(url) if url else SqliteContent(tmp_path / "content.db"))
        return opened[-1]

    yield open_one
    for content in opened:
        content.close()


@pytest.fixture
def content(open_content: Open) -> Content:
    """One open, empty store."""
    return open_content()


def a_summary(id: str = "s1", guild_id: str = "2", **changes: Any) -> Summary:
    values: dict[str, Any] = {
        "id": id,
        "guild_id": guild_id,
        "channel_id": "1",
        "summary_text": "Grüße, 世界 \U0001f389 \x00",
        "key_points": (Point(text="a point", author="Ann", url="https://discord.com/channels/2/1/3"),),
        "participants": (("Ann", 3), ("Bo", 1)),
        "start_time": NOON - timedelta(days=1),
        "end_time": NOON,
        "created_at": NOON,
        "channels": (ChannelNote(channel_id="1", name="general", message_count=4),),
        "embed": {"title": "t", "fields": [{"name": "n", "value": "v", "inline": False}]},
    }
    return Summary(**(values | changes))


def test_a_summary_comes_back_as_it_was_kept(content: Content) -> None:
    """A stored summary equals the one that was saved, by run and by its own id."""
    content.save_summary("run-1", a_summary(), NOON)
    assert content.summary_of_run("run-1") == a_summary()
    assert content.summary("s1") == a_summary()


def test_what_was_never_kept_is_none(content: Content) -> None:
    """Unknown runs, summaries and keys give None."""
    assert content.summary_of_run("x") is None
    assert content.summary("x") is None
    assert content.run_detail("x") is None
    assert content.cache_get("x") is None


def test_a_second_summary_of_a_run_replaces_the_first(content: Content) -> None:
    """One run has one summary: the last one saved."""
    content.save_summary("run-1", a_summary("s1"), NOON)
    content.save_summary("run-1", a_summary("s2"), NOON + TICK)
    assert content.summary("s1") is None
    assert content.summary_of_run("run-1") == a_summary("s2")
    assert content.delete_before(NOON + 2 * TICK, guild_id=None).summaries == 1


def test_an_id_used_by_two_runs_gives_the_newest(content: Content) -> None:
    """A host's engine that repeats an id loses no summary: by id the newest is found, by run each."""
    content.save_summary("run-1", a_summary("same", title="new"), NOON + TICK)
    content.save_summary("run-2", a_summary("same", title="old"), NOON)
    found = content.summary("same")
    assert found is not None
    assert found.title == "new"
    assert content.summary_of_run("run-2") == a_summary("same", title="old")


def test_details_and_cached_values_come_back_and_are_replaced(content: Content) -> None:
    """Run details and cached values are JSON objects; the last one put counts."""
    value = {"list": [1, 2.5, None, True], "text": "\x00\u2028\ud800", "nested": {"ä": {}}}
    content.save_run_detail("run-1", "2", {"first": 1}, NOON)
    content.save_run_detail("run-1", "2", value, NOON)
    content.cache_put("key", "2", {"first": 1}, NOON)
    content.cache_put("key", "2", value, NOON)
    assert content.run_detail("run-1") == value
    assert content.cache_get("key") == value


@pytest.mark.parametrize(
    "value", [{"x": object()}, {"x": float("nan")}, {"x": b"bytes"}], ids=["object", "nan", "bytes"]
)
def test_what_is_not_json_is_refused(content: Content, value: dict[str, Any]) -> None:
    """Values that JSON cannot say are refused with the field named, and nothing is kept."""
    with pytest.raises(InvalidInput, match="run detail"):
        content.save_run_detail("run-1", "2", value, NOON)
    with pytest.raises(InvalidInput, match="cached value"):
        content.cache_put("key", "2", value, NOON)
    assert content.run_detail("run-1") is None
    assert content.cache_get("key") is None


def test_deletion_is_exact_at_the_boundary(content: Content) -> None:
    """What was kept one microsecond before the cutoff goes, what was kept at the cutoff stays; any zone may be used."""
    for name, at in (("before", NOON - TICK), ("at", NOON), ("after", NOON + TICK)):
        content.save_summary(name, a_summary(name), at)
        content.save_run_detail(name, "2", {}, at)
        content.cache_put(name, "2", {}, at)
    cutoff = NOON.astimezone(timezone(timedelta(hours=5, minutes=45)))
    assert content.delete_before(cutoff, guild_id=None) == ContentCounts(1, 1, 1)
    assert content.summary_of_run("before") is None
    assert content.run_detail("before") is None
    assert content.cache_get("before") is None
    assert content.delete_before(cutoff, guild_id=None) == ContentCounts()
    assert content.delete_before(NOON + 2 * TICK, guild_id=None) == ContentCounts(2, 2, 2)


def test_a_naive_instant_is_refused(content: Content) -> None:
    """A datetime without a zone names no instant, neither for keeping nor for deleting."""
    naive = NOON.replace(tzinfo=None)
    for call in (
        lambda: content.save_summary("r", a_summary(), naive),
        lambda: content.save_run_detail("r", "2", {}, naive),
        lambda: content.cache_put("k", "2", {}, naive),
        lambda: content.delete_before(naive, guild_id=None),
    ):
        with pytest.raises(ValueError, match="naive"):
            call()


_keep = st.tuples(
    st.just("keep"), st.sampled_from(KINDS), st.sampled_from("abc"), st.sampled_from("12"), st.integers(0, 6)
)
_delete = st.tuples(
    st.just("delete"),
    st.sets(st.sampled_from(KINDS)),
    st.none() | st.sampled_from("123"),
    st.integers(0, 7),
    st.booleans(),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(_keep | _delete, max_size=25))
def test_any_sequence_agrees_with_a_dict(emptied: Content, steps: list[tuple[Any, ...]]) -> None:
    """Kept, replaced, deleted and dry-run items are the same as in a plain dict, with the same counts."""
    content = emptied
    content.delete_before(NOON + timedelta(days=1), guild_id=None)
    model: dict[tuple[str, str], tuple[str, datetime]] = {}
    for step in steps:
        if step[0] == "keep":
            _, kind, key, guild_id, ticks = step
            _keep_one(content, kind, key, guild_id, NOON + ticks * TICK)
            model[kind, key] = (guild_id, NOON + ticks * TICK)
            continue
        _, kinds, guild, ticks, dry_run = step
        cutoff = NOON + ticks * TICK
        gone = [
            (kind, key)
            for (kind, key), (owner, at) in model.items()
            if kind in kinds and at < cutoff and guild in (None, owner)
        ]
        asked = {kind: kind in kinds for kind in KINDS}
        counts = content.delete_before(cutoff, guild_id=guild, dry_run=dry_run, **asked)
        assert counts == ContentCounts(**{kind: sum(k == kind for k, _ in gone) for kind in KINDS})
        assert counts.total == len(gone)
        if not dry_run:
            for item in gone:
                del model[item]
    for kind in KINDS:
        for key in "abc":
            assert _guild_of(content, kind, key) == model.get((kind, key), (None,))[0]


@pytest.fixture
def emptied(content: Content) -> Content:
    """A store that one test empties for each of its examples."""
    return content


def _keep_one(content: Content, kind: str, key: str, guild_id: str, at: datetime) -> None:
    if kind == "summaries":
        content.save_summary(key, a_summary(key, guild_id), at)
    elif kind == "run_details":
        content.save_run_detail(key, guild_id, {"guild": guild_id}, at)
    else:
        content.cache_put(key, guild_id, {"guild": guild_id}, at)


def _guild_of(content: Content, kind: str, key: str) -> str | None:
    if kind == "summaries":
        summary = content.summary_of_run(key)
        return None if summary is None else summary.guild_id
    found = content.run_detail(key) if kind == "run_details" else content.cache_get(key)
    return None if found is None else found["guild"]


def test_threads_and_other_openers_do_not_disturb_each_other(open_content: Open) -> None:
    """Many threads on two openings of one store keep everything they were given."""
    one, other = open_content(), open_content()

    def keep(number: int) -> None:
        store = (one, other)[number % 2]
        store.save_summary(f"run-{number}", a_summary(f"s{number}"), NOON)
        store.save_run_detail(f"run-{number}", "2", {"number": number}, NOON)
        assert store.run_detail(f"run-{number}") == {"number": number}

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(keep, range(80)))
    assert all(other.summary(f"s{number}") for number in range(80))
    assert one.delete_before(NOON + TICK, guild_id="2") == ContentCounts(80, 80, 0)
    assert other.summary_of_run("run-1") is None


def test_a_large_summary_is_kept_whole(content: Content) -> None:
    """Five megabytes of text come back unchanged."""
    summary = a_summary(summary_text="ä" * 2_500_000)
    content.save_summary("run-1", summary, NOON)
    assert content.summary_of_run("run-1") == summary


def test_a_closed_store_says_so(content: Content) -> None:
    """Closing twice is fine; a call afterwards is a StoreUnavailable, not an error of the driver."""
    content.close()
    content.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        content.summary_of_run("run-1")
    with pytest.raises(StoreUnavailable, match="closed"):
        content.save_run_detail("run-1", "2", {}, NOON)


# --- PostgreSQL alone ---


def test_a_lost_connection_is_replaced(postgres_url: Callable[[], str]) -> None:
    """After the server ended an idle connection the next call works as if nothing had been."""
    url = postgres_url()
    with closing(PostgresContent(url)) as content:
        content.save_run_detail("run-1", "2", {"a": 1}, NOON)
        _end_other_connections(url)
        assert content.run_detail("run-1") == {"a": 1}
        _end_other_connections(url)
        content.save_run_detail("run-1", "2", {"a": 2}, NOON)
        assert content.run_detail("run-1") == {"a": 2}


def test_a_corrupt_row_on_postgresql_is_named(postgres_url: Callable[[], str]) -> None:
    """A row that cannot be read is a StoreError naming it; its neighbors are not affected."""
    url = postgres_url()
    with closing(PostgresContent(url)) as content:
        for run_id in ("good", "bad"):
            content.save_summary(run_id, a_summary(run_id), NOON)
            content.cache_put(run_id, "2", {"a": 1}, NOON)
        with psycopg.connect(url) as raw:
            raw.execute("UPDATE content_summaries SET body = '{\"id\": 5}' WHERE run_id = 'bad'")
            raw.execute("UPDATE content_cached SET body = '[' WHERE key = 'bad'")
        for read in (content.summary_of_run, content.cache_get):
            with pytest.raises(StoreError, match="'bad' is corrupt"):
                read("bad")
            assert read("good") is not None


def test_what_postgresql_cannot_store_is_an_error_of_ours(postgres_url: Callable[[], str]) -> None:
    """An id that the server refuses fails alone: nothing is kept, and the next call works."""
    with closing(PostgresContent(postgres_url())) as content:
        with pytest.raises(StoreError, match="nothing was written"):
            content.save_run_detail("run\0", "2", {}, NOON)
        content.save_run_detail("run", "2", {}, NOON)
        assert content.run_detail("run") == {}


def test_a_database_that_is_not_there_is_named_without_its_password() -> None:
    """Unreachable servers and broken URLs are StoreUnavailable; the password is not told."""
    for url in ("postgresql://u:canaryCANARY@127.0.0.1:1/d", "postgresql://u:canaryCANARY@[/d", "canaryCANARY"):
        with pytest.raises(StoreUnavailable) as caught:
            PostgresContent(url)
        assert "canaryCANARY" not in "".join(traceback.format_exception(caught.value)).replace(url, "")
        assert "canaryCANARY" not in str(caught.value)


def _end_other_connections(url: str) -> None:
    with psycopg.connect(url) as raw:
        raw.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


# --- SQLite alone ---

BROKEN_BODIES = [b"{", b'{"id": 5}', b"\xff\xfe private words", b"[1]", b"", b'{"id":"private words"}']


@pytest.mark.parametrize("body", BROKEN_BODIES)
def test_a_corrupt_row_is_named_and_others_still_read(tmp_path: Path, body: bytes) -> None:
    """A row that cannot be read is a StoreError naming it without quoting people; its neighbors are not affected."""
    with closing(SqliteContent(tmp_path / "content.db")) as content:
        for run_id in ("good", "bad"):
            content.save_summary(run_id, a_summary(run_id), NOON)
            content.save_run_detail(run_id, "2", {"a": 1}, NOON)
            content.cache_put(run_id, "2", {"a": 1}, NOON)
        with closing(sqlite3.connect(tmp_path / "content.db")) as raw, raw:
            raw.execute("UPDATE summaries SET body = ? WHERE run_id = 'bad'", [body])
            for table, key in (("run_details", "run_id"), ("cached", "key")):
                raw.execute(f"UPDATE {table} SET body = ? WHERE {key} = 'bad'", [body.replace(b"{", b"{]")])
        for read in (content.summary_of_run, content.summary, content.run_detail, content.cache_get):
            with pytest.raises(StoreError, match="'bad' is corrupt") as caught:
                read("bad")
            assert "private words" not in str(caught.value)
            assert caught.value.__cause__ is None
            assert read("good") is not None
        assert content.delete_before(NOON + TICK, guild_id=None) == ContentCounts(2, 2, 2)


def test_deleted_words_leave_the_files(tmp_path: Path) -> None:
    """After a deletion the words are in no file of the store any more."""
    with closing(SqliteContent(tmp_path / "content.db")) as content:
        content.save_summary("run-1", a_summary(summary_text="xylophone " * 2000), NOON)
        content.save_run_detail("run-1", "2", {"word": "xylophone"}, NOON)
        assert content.delete_before(NOON + TICK, guild_id=None).total == 2
        assert not any(b"xylophone" in path.read_bytes() for path in tmp_path.iterdir())


def test_a_file_that_is_no_store_is_refused(tmp_path: Path) -> None:
    """Opening something else is a StoreError that names the file, and the file is left alone."""
    path = tmp_path / "content.db"
    path.write_bytes(b"these are not the rows you are looking for" * 50)
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"content\.db"):
        SqliteContent(path)
    assert path.read_bytes() == before


def test_a_store_of_a_newer_program_is_refused(tmp_path: Path) -> None:
    """A layout that this program does not know is not touched."""
    SqliteContent(tmp_path / "content.db").close()
    with closing(sqlite3.connect(tmp_path / "content.db")) as raw:
        raw.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreError, match="newer Daybook"):
        SqliteContent(tmp_path / "content.db")


def test_a_folder_in_the_way_is_unavailable(tmp_path: Path) -> None:
    """A path that cannot be a file is a StoreUnavailable that names it."""
    (tmp_path / "content.db").mkdir()
    with pytest.raises(StoreUnavailable, match=r"content\.db"):
        SqliteContent(tmp_path / "content.db")


def test_a_locked_store_is_unavailable_until_it_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While another process writes, writing is a StoreUnavailable, reading goes on, and later all works."""
    monkeypatch.setattr("infrastructure.sqlitefile._BUSY_TIMEOUT_SECONDS", 0.02)
    with closing(SqliteContent(tmp_path / "content.db")) as content:
        content.cache_put("k", "2", {"a": 1}, NOON)
        with closing(sqlite3.connect(tmp_path / "content.db")) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreUnavailable, match="locked; nothing was written"):
                content.cache_put("k", "2", {"a": 2}, NOON)
            assert content.cache_get("k") == {"a": 1}
        content.cache_put("k", "2", {"a": 3}, NOON)
        assert content.cache_get("k") == {"a": 3}


def test_only_summaries_wait_for_the_disk(tmp_path: Path) -> None:
    """A summary is on disk when its saving returns, after whatever else was written; details and caches do not wait."""
    with closing(SqliteContent(tmp_path / "content.db")) as content:

        def synchronous() -> int:
            return int(content._file.connection.execute("PRAGMA synchronous").fetchone()[0])

        content.save_run_detail("run", "2", {}, NOON)
        assert synchronous() == 1
        content.save_summary("run", a_summary(), NOON)
        assert synchronous() == 2
        content.cache_put("key", "2", {}, NOON)
        assert synchronous() == 1
        content.delete_before(NOON, guild_id=None)
        assert synchronous() == 2


def test_a_full_disk_loses_only_what_did_not_fit(tmp_path: Path) -> None:
    """When the file cannot grow, that call is a StoreUnavailable; what was there is read, and deleting still works."""
    with closing(SqliteContent(tmp_path / "content.db")) as content:
        content.save_summary("small", a_summary("small"), NOON)
        content._file.connection.execute("PRAGMA max_page_count = 12")
        with pytest.raises(StoreUnavailable, match="full"):
            content.save_summary("large", a_summary("large", summary_text="x" * 500_000), NOON)
        assert content.summary_of_run("large") is None
        assert content.summary_of_run("small") == a_summary("small")
        assert content.delete_before(NOON + TICK, guild_id=None).summaries == 1


def test_two_threads_may_make_the_file_at_once() -> None:
    """Opening a new store from many sides at the same time makes one store."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(8) as pool:
        stores = list(pool.map(lambda _: SqliteContent(Path(folder) / "content.db"), range(8)))
        stores[0].save_run_detail("run-1", "2", {"a": 1}, NOON)
        assert all(store.run_detail("run-1") == {"a": 1} for store in stores)
        for store in stores:
            store.close()


def test_runs_are_found_by_what_stands_in_them(content: Content) -> None:
    """Texts of summaries and details, names of fields among them, of one guild, each run once."""
    content.save_summary("said", a_summary("s1", summary_text="Quatermain said"), NOON)
    content.save_run_detail("said", "2", {"people": {"5": "Quatermain"}}, NOON)
    content.save_run_detail("by key", "2", {"people": {"Quatermain": 1}}, NOON)
    content.save_summary("quiet", a_summary("s2"), NOON)
    content.save_summary("foreign", a_summary("s3", guild_id="3", summary_text="Quatermain"), NOON)
    assert sorted(content.runs_with("2", lambda text: "Quatermain" in text)) == ["by key", "said"]
    assert content.runs_with("2", lambda text: False) == []


def test_runs_are_deleted_through_an_instant_and_counted(content: Content) -> None:
    """What was kept later stays, other runs and guilds stay, and what the guild has cached by then goes."""
    for run, guild, at in (("a", "2", NOON), ("b", "2", NOON), ("late", "2", NOON + TICK), ("a3", "3", NOON)):
        content.save_summary(run, a_summary(run, guild_id=guild), at)
        content.save_run_detail(run, guild, {}, at)
        content.cache_put(run, guild, {}, at)
    assert content.delete_runs("2", ["a", "late", "a3"], NOON) == ContentCounts(summaries=1, run_details=1, cached=2)
    assert content.delete_runs("2", ["a"], NOON) == content.delete_runs("2", [], NOON) == ContentCounts()
    left = [run for run in ("a", "b", "late", "a3") if content.summary_of_run(run) is not None]
    assert left == ["b", "late", "a3"]
    assert [run for run in ("a", "b", "late", "a3") if content.cache_get(run) is not None] == ["late", "a3"]
