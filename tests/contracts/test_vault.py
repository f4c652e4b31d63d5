"""What every Vault does: keys, secrets and references to people, encrypted; and how a master key is found."""

from __future__ import annotations

import base64
import re
import sqlite3
import stat
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from application.ports import VaultCounts
from domain.errors import InvalidInput, StoreError, StoreUnavailable
from infrastructure.postgres_stores import PostgresVault
from infrastructure.sqlite_vault import SqliteVault
from infrastructure.vault import SqlVault, load_master_key

MASTER = bytes(range(32))
OTHER = bytes(reversed(range(32)))
CANARY = "whsec_canaryCANARYcanaryCANARYcanary"
USER = "80351110224678912"

Open = Callable[..., SqlVault]


@pytest.fixture(params=["sqlite", "postgres"])
def open_vault(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Opens the same vault as often as it is called, as several processes would."""
    opened: list[SqlVault] = []
    url = request.getfixturevalue("postgres_url")() if request.param == "postgres" else None

    def open_one(master_key: bytes = MASTER) -> SqlVault:
        opened.append(PostgresVault(url, master_key) if url else SqliteVault(tmp_path / "vault.db", master_key))
        return opened[-1]

    yield open_one
    for vault in opened:
        vault.close()


@pytest.fixture
def vault(open_vault: Open) -> SqlVault:
    """One open, empty vault."""
    return open_vault()


def test_a_guild_has_one_data_key_for_ever(open_vault: Open) -> None:
    """The key of a guild is 32 bytes under an id of 8, differs from other guilds' and outlives the process."""
    vault = open_vault()
    key_id, key = vault.data_key("1")
    assert (len(key_id), len(key)) == (8, 32)
    assert vault.data_key("1") == (key_id, key)
    assert vault.data_key("2") != (key_id, key)
    assert vault.data_key("")[1] not in (key, vault.data_key("2")[1])
    vault.close()
    reopened = open_vault()
    assert reopened.key_by_id(key_id) == key
    assert reopened.data_key("1") == (key_id, key)


def test_an_unknown_key_id_is_none(vault: SqlVault) -> None:
    """Key ids that never existed give None, whatever their length."""
    assert vault.key_by_id(bytes(8)) is None
    assert vault.key_by_id(b"") is None


def test_keys_asked_for_together_are_those_asked_for_one_by_one(vault: SqlVault) -> None:
    """Also where one was destroyed, or never was."""
    (one, key), (gone, _) = vault.data_key("1"), vault.data_key("2")
    vault.destroy_keys("2")
    assert vault.keys_by_id([one, gone, bytes(8)]) == {one: key, gone: None, bytes(8): None}
    assert vault.keys_by_id([]) == {}


def test_a_key_known_by_its_id_is_the_one_that_seals(open_vault: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read ahead need not be looked for again, guild by guild, in the middle of a burst."""
    first = open_vault()
    keys = {guild_id: first.data_key(guild_id) for guild_id in ("1", "2")}
    second = open_vault()
    second.keys_by_id([key_id for key_id, _ in keys.values()])
    with monkeypatch.context() as patched:
        patched.setattr(second, "_fetch_or_make_key", lambda guild_id: pytest.fail(f"guild {guild_id} was looked for"))
        assert second.data_keys(["1", "2"]) == keys
    second.keys_by_id([key_id for key_id, _ in keys.values()])
    assert second.destroy_keys("1") == 1
    assert second.data_key("1") != keys["1"]
    assert second.key_by_id(keys["1"][0]) is None
    assert second.data_key("2") == keys["2"]


def test_a_destroyed_key_is_gone_and_the_next_one_is_new(open_vault: Open) -> None:
    """Destroying counts the keys, leaves other guilds alone, and a guild that comes back gets another key."""
    vault = open_vault()
    key_id, key = vault.data_key("1")
    foreign = vault.data_key("2")
    assert vault.destroy_keys("1") == 1
    assert vault.destroy_keys("1") == 0
    assert vault.destroyed_keys() == {key_id.hex(): "1"}
    assert vault.key_by_id(key_id) is None
    assert open_vault().key_by_id(key_id) is None
    assert vault.data_key("2") == foreign
    new_id, new_key = vault.data_key("1")
    assert new_id != key_id
    assert new_key != key
    assert vault.key_by_id(key_id) is None


def test_a_key_destroyed_elsewhere_is_not_used_any_more(open_vault: Open) -> None:
    """A process that has a key in memory does not give it out after another one destroyed it."""
    one, other = open_vault(), open_vault()
    key_id, _ = one.data_key("1")
    assert other.destroy_keys("1") == 1
    one.forget_cached_keys()
    assert one.key_by_id(key_id) is None
    assert one.data_key("1")[0] != key_id
    assert one.data_key("1") == other.data_key("1")


def test_a_secret_comes_back_only_to_its_guild(vault: SqlVault) -> None:
    """A secret is found by its guild and reference; another guild, or an unknown reference, finds nothing."""
    reference = vault.put_secret("1", CANARY)
    assert re.fullmatch("secret:[0-9a-f]{16}", reference)
    assert vault.secret("1", reference) == CANARY
    assert vault.secret("2", reference) is None
    assert vault.secret("1", "secret:0000000000000000") is None
    assert vault.delete_secret("2", reference) is False
    assert vault.delete_secret("1", reference) is True
    assert vault.delete_secret("1", reference) is False
    assert vault.secret("1", reference) is None


def test_the_same_secret_twice_has_two_references(vault: SqlVault) -> None:
    """References are random: they do not tell that two secrets are equal."""
    first, second = vault.put_secret("1", CANARY), vault.put_secret("1", CANARY)
    assert first != second
    assert vault.delete_secret("1", first)
    assert vault.secret("1", second) == CANARY


def test_every_secret_is_listed_by_its_reference(vault: SqlVault) -> None:
    """Of all guilds, and nothing of what stands behind them."""
    assert vault.secret_references() == []
    places = {(guild_id, vault.put_secret(guild_id, CANARY)) for guild_id in ("1", "1", "2")}
    assert set(vault.secret_references()) == places
    for place in places:
        assert vault.delete_secret(*place)
    assert vault.secret_references() == []


@pytest.mark.parametrize("secret", ["", CANARY + "\ud800", CANARY * 500], ids=["empty", "surrogate", "too long"])
def test_a_secret_that_cannot_be_kept_is_refused_without_being_shown(vault: SqlVault, secret: str) -> None:
    """What is refused is not quoted, neither in the message nor in the traceback."""
    with pytest.raises(InvalidInput, match="secret") as caught:
        vault.put_secret("1", secret)
    assert CANARY not in "".join(traceback.format_exception(caught.value))


def test_a_person_has_one_reference_in_a_guild(open_vault: Open) -> None:
    """References are stable, random, different in each guild, and lead back to the person."""
    vault = open_vault()
    reference = vault.person_reference("1", USER)
    assert re.fullmatch("person:[0-9a-f]{12}", reference)
    assert vault.person_reference("1", USER) == reference
    assert open_vault().person_reference("1", USER) == reference
    assert vault.person_reference("2", USER) != reference
    assert vault.person_reference("1", USER + "3") != reference
    assert vault.person("1", reference) == USER
    assert vault.person("2", reference) is None
    assert vault.person("1", "person:000000000000") is None


def test_a_forgotten_person_gets_another_reference(vault: SqlVault) -> None:
    """Forgetting breaks the link for good; the same person is a new one afterwards."""
    reference = vault.person_reference("1", USER)
    assert vault.forget_person("2", USER) is False
    assert vault.forget_person("1", USER) is True
    assert vault.forget_person("1", USER) is False
    assert vault.person("1", reference) is None
    assert vault.person_reference("1", USER) != reference


def test_erasing_a_guild_takes_all_that_is_its_own(open_vault: Open) -> None:
    """Keys, secrets and people of the guild are gone, counted, for every process; other guilds keep theirs."""
    vault, other = open_vault(), open_vault()
    key_id, _ = vault.data_key("1")
    foreign = vault.data_key("2")
    secret, person = vault.put_secret("1", CANARY), vault.person_reference("1", USER)
    kept, known = vault.put_secret("2", CANARY), vault.person_reference("2", USER)
    assert vault.kept_of("1") == VaultCounts(keys=1, secrets=1, people=1)
    assert vault.erase_guild("1") == VaultCounts(keys=1, secrets=1, people=1)
    assert vault.erase_guild("1") == vault.kept_of("1") == VaultCounts()
    other.forget_cached_keys()
    for one in (vault, other):
        assert one.key_by_id(key_id) is None
        assert one.secret("1", secret) is None
        assert one.person("1", person) is None
        assert one.data_key("2") == foreign
        assert one.secret("2", kept) == CANARY
        assert one.person("2", known) == USER
    assert vault.key_ids("1") == [key_id.hex()]
    assert vault.key_ids("3") == []


def test_erasing_by_keys_does_nothing_unless_one_of_them_is_there(vault: SqlVault) -> None:
    """A guild that came back under another key keeps what is new; a copy from before loses all of the guild."""
    old = vault.data_key("1")[0].hex()
    secret = vault.put_secret("1", CANARY)
    assert vault.erase_guild("1", ["00" * 8]) == VaultCounts()
    assert vault.secret("1", secret) == CANARY
    assert vault.erase_guild("1", [old, "00" * 8]) == VaultCounts(keys=1, secrets=1)
    new, later = vault.data_key("1"), vault.put_secret("1", CANARY)
    assert vault.erase_guild("1", [old]) == VaultCounts()
    assert vault.data_key("1") == new
    assert vault.secret("1", later) == CANARY
    assert vault.key_ids("1") == sorted([old, new[0].hex()])


def test_a_reference_is_known_without_being_made_and_is_forgotten_by_itself(vault: SqlVault) -> None:
    """Asking makes none; forgetting by the reference leaves the same person's later one alone."""
    assert vault.known_person("1", USER) is None
    first = vault.person_reference("1", USER)
    assert vault.known_person("1", USER) == first
    assert vault.forget_reference("2", first) is False
    assert vault.forget_reference("1", first) is True
    second = vault.person_reference("1", USER)
    assert vault.forget_reference("1", first) is False
    assert vault.person("1", second) == USER


def test_a_wrong_master_key_is_noticed_when_opening(open_vault: Open) -> None:
    """Another master key is refused at once, with what to do and without showing either key."""
    open_vault(MASTER).put_secret("1", CANARY)
    with pytest.raises(StoreUnavailable, match="DAYBOOK_MASTER_KEY") as caught:
        open_vault(OTHER)
    assert OTHER.hex() not in "".join(traceback.format_exception(caught.value))
    open_vault(MASTER)


def test_a_master_key_has_32_bytes(open_vault: Open) -> None:
    """A key of another length is refused without being shown."""
    with pytest.raises(InvalidInput, match="32 bytes") as caught:
        open_vault(b"canary")
    assert "canary" not in str(caught.value)


def test_rotation_keeps_everything_under_the_new_key(open_vault: Open) -> None:
    """After a rotation all is there under the new master key, the old one opens nothing, tombstones stay tombstones."""
    vault = open_vault(MASTER)
    key_id, key = vault.data_key("1")
    destroyed, _ = vault.data_key("gone")
    vault.destroy_keys("gone")
    secret, person = vault.put_secret("1", CANARY), vault.person_reference("1", USER)
    assert vault.rotate_master_key(MASTER, OTHER) == 3
    for later in (vault, open_vault(OTHER)):
        assert later.data_key("1") == (key_id, key)
        assert later.key_by_id(destroyed) is None
        assert later.secret("1", secret) == CANARY
        assert later.person("1", person) == USER
        assert later.person_reference("1", USER) == person
    with pytest.raises(StoreUnavailable):
        open_vault(MASTER)


def test_rotation_from_a_wrong_key_changes_nothing(open_vault: Open) -> None:
    """The old key has to be the right one."""
    vault = open_vault(MASTER)
    reference = vault.put_secret("1", CANARY)
    with pytest.raises(StoreUnavailable, match="does not fit"):
        vault.rotate_master_key(OTHER, OTHER)
    assert open_vault(MASTER).secret("1", reference) == CANARY


def test_a_process_with_the_old_master_key_writes_nothing_after_a_rotation(open_vault: Open) -> None:
    """Whoever has the vault open with the old key is told to restart instead of writing rows nobody can read."""
    stale, vault = open_vault(MASTER), open_vault(MASTER)
    reference = vault.put_secret("1", CANARY)
    vault.rotate_master_key(MASTER, OTHER)
    for call in (
        lambda: stale.put_secret("1", "x"),
        lambda: stale.data_key("new"),
        lambda: stale.person_reference("1", USER),
        lambda: stale.secret("1", reference),
    ):
        with pytest.raises(StoreUnavailable, match="restart this one with the new key"):
            call()
    assert vault.secret("1", reference) == CANARY


def test_threads_on_two_openings_get_the_same_keys(open_vault: Open) -> None:
    """However many ask for the first key or reference at once, there is one."""
    vaults = [open_vault(), open_vault()]
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda number: vaults[number % 2].data_key("1"), range(40)))
        people = set(pool.map(lambda number: vaults[number % 2].person_reference("1", USER), range(40)))
    assert len(keys) == len(people) == 1


def test_a_closed_vault_says_so(vault: SqlVault) -> None:
    """Closing twice is fine; a call afterwards is a StoreUnavailable."""
    vault.data_key("1")
    vault.close()
    vault.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        vault.data_key("1")
    with pytest.raises(StoreUnavailable, match="closed"):
        vault.put_secret("1", "x")


def test_no_repr_shows_a_secret(vault: SqlVault) -> None:
    """The vault, and what it is made of, print no key and no secret."""
    _, key = vault.data_key("1")
    vault.put_secret("1", CANARY)
    printed = repr(vault) + str(vault) + repr(vars(vault).get("_box"))
    assert not any(text in printed for text in (CANARY, key.hex(), repr(key), MASTER.hex(), repr(MASTER)))


@given(parts=st.lists(st.text('0123456789\0", []', max_size=4), min_size=2, max_size=2, unique=True))
def test_no_two_places_are_bound_alike(parts: list[str]) -> None:
    """Different lists of parts never give the same associated data, whatever characters they have."""
    from infrastructure.masterkey import bound

    assert bound("secret", *parts) != bound("secret", *reversed(parts))
    assert bound("secret", "".join(parts)) != bound("secret", *parts)


# --- SQLite alone ---


def _bytes_of(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.glob("vault.db*"))


def test_the_file_is_for_its_owner_and_holds_nothing_plain(tmp_path: Path) -> None:
    """vault.db and its journals have mode 0600; no secret, user id or key stands in them."""
    with closing(SqliteVault(tmp_path / "vault.db", MASTER)) as vault:
        _, key = vault.data_key("1")
        vault.put_secret("1", CANARY)
        vault.person_reference("1", USER)
        files = list(tmp_path.glob("vault.db*"))
        assert len(files) == 3
        assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
        stored = _bytes_of(tmp_path)
    assert not any(plain in stored for plain in (CANARY.encode(), USER.encode(), key, MASTER))


def test_a_vault_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    """A vault restored with a wide mode is narrowed when it is opened."""
    SqliteVault(tmp_path / "vault.db", MASTER).close()
    (tmp_path / "vault.db").chmod(0o644)
    SqliteVault(tmp_path / "vault.db", MASTER).close()
    assert stat.S_IMODE((tmp_path / "vault.db").stat().st_mode) == 0o600


def test_destroyed_bytes_leave_the_files(tmp_path: Path) -> None:
    """The wrapped key of a destroyed data key, and a deleted secret's row, stand in no file any more."""
    with closing(SqliteVault(tmp_path / "vault.db", MASTER)) as vault:
        key_id, _ = vault.data_key("1")
        reference = vault.put_secret("1", CANARY)
        with closing(sqlite3.connect(tmp_path / "vault.db")) as raw:
            (wrapped,) = raw.execute("SELECT wrapped FROM vault_keys").fetchone()
            (sealed,) = raw.execute("SELECT sealed FROM vault_secrets").fetchone()
        assert wrapped in _bytes_of(tmp_path)
        assert vault.destroy_keys("1") == 1
        assert wrapped not in _bytes_of(tmp_path)
        assert vault.delete_secret("1", reference)
        assert sealed not in _bytes_of(tmp_path)
        with closing(sqlite3.connect(tmp_path / "vault.db")) as raw:
            assert raw.execute("SELECT key_id, guild_id, wrapped FROM vault_keys").fetchall() == [(key_id, "1", None)]


@pytest.mark.parametrize("damage", ["swap", "flip", "cut"])
def test_a_damaged_or_moved_row_is_named_and_others_still_read(tmp_path: Path, damage: str) -> None:
    """Sealed bytes are bound to their row: moved or changed ones are an error that names it, not another's secret."""
    with closing(SqliteVault(tmp_path / "vault.db", MASTER)) as vault:
        bad, good, third = vault.put_secret("1", "mine"), vault.put_secret("1", CANARY), vault.put_secret("1", "third")
        with closing(sqlite3.connect(tmp_path / "vault.db")) as raw, raw:
            select = "SELECT sealed FROM vault_secrets WHERE reference = ?"
            (own,), (foreign,) = (raw.execute(select, [reference]).fetchone() for reference in (bad, third))
            changed = {"swap": foreign, "flip": own[:-1] + bytes([own[-1] ^ 1]), "cut": own[:5]}[damage]
            raw.execute("UPDATE vault_secrets SET sealed = ? WHERE reference = ?", [changed, bad])
        with pytest.raises(StoreError, match=bad):
            vault.secret("1", bad)
        assert vault.secret("1", good) == CANARY
        with pytest.raises(StoreError, match="delete it, then rotate again"):
            vault.rotate_master_key(MASTER, OTHER)
        assert vault.delete_secret("1", bad)
        assert vault.rotate_master_key(MASTER, OTHER) == 2


@pytest.mark.parametrize("value", ["text", 5, None])
def test_a_lookup_key_that_is_no_bytes_is_refused_in_words(tmp_path: Path, value: object) -> None:
    """As where pages of the file were swapped, so that one table shows the rows of another."""
    path = tmp_path / "vault.db"
    SqliteVault(path, b"k" * 32).close()
    with closing(sqlite3.connect(path)) as vault, vault:
        vault.execute("DROP TABLE vault_meta")
        vault.execute("CREATE TABLE vault_meta (name TEXT PRIMARY KEY, value)")
        vault.execute("INSERT INTO vault_meta VALUES ('lookup key', ?)", (value,))
    with pytest.raises(StoreError, match="the lookup key is corrupt"):
        SqliteVault(path, b"k" * 32)


def test_a_committed_key_elsewhere_is_seen_without_being_told(tmp_path: Path) -> None:
    """Two openings of one file notice each other's destruction at the very next call."""
    path = tmp_path / "vault.db"
    with closing(SqliteVault(path, MASTER)) as one, closing(SqliteVault(path, MASTER)) as other:
        key_id, _ = one.data_key("1")
        assert one.key_by_id(key_id) is not None
        other.destroy_keys("1")
        assert one.key_by_id(key_id) is None
        assert one.data_key("1")[0] != key_id


RACE = """
import sys
from pathlib import Path
from infrastructure.postgres_stores import PostgresVault
from infrastructure.sqlite_vault import SqliteVault
from infrastructure.vault import load_master_key
folder = Path(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
master_key = load_master_key(folder, {})
url = sys.argv[2]
if url:
    from infrastructure.postgres_stores import PostgresVault
    vault = PostgresVault(url, master_key)
else:
    vault = SqliteVault(folder / "vault.db", master_key)
key_id, key = vault.data_key("1")
print(key_id.hex(), key.hex(), vault.person_reference("1", "5"), flush=True)
"""


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_processes_that_start_at_once_agree_on_every_key(
    request: pytest.FixtureRequest, tmp_path: Path, store: str
) -> None:
    """Four processes making master key, vault, first data key and first reference at the same time get the same."""
    url = request.getfixturevalue("postgres_url")() if store == "postgres" else ""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", RACE, str(tmp_path), url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = {process.communicate(timeout=60)[0] for process in processes}
    assert [process.returncode for process in processes] == [0] * 4
    assert len(answers) == 1
    assert sorted(path.name for path in tmp_path.iterdir() if "master" in path.name) == ["master.key"]


# --- PostgreSQL alone ---


def test_nothing_plain_is_in_the_tables(postgres_url: Callable[[], str]) -> None:
    """No secret, user id or key stands in any row; a destroyed key leaves a row without the key."""
    url = postgres_url()
    with closing(PostgresVault(url, MASTER)) as vault:
        key_id, key = vault.data_key("1")
        vault.put_secret("1", CANARY)
        vault.person_reference("1", USER)
        vault.data_key("gone")
        vault.destroy_keys("gone")
        with psycopg.connect(url) as raw:
            rows = [
                row
                for table in ("vault_meta", "vault_keys", "vault_secrets", "vault_people")
                for row in raw.execute(f"SELECT * FROM {table}".encode()).fetchall()
            ]
            live = raw.execute("SELECT guild_id, key_id FROM vault_keys WHERE wrapped IS NOT NULL").fetchall()
    stored = b"".join(value if isinstance(value, bytes) else str(value).encode() for row in rows for value in row)
    assert not any(plain in stored for plain in (CANARY.encode(), USER.encode(), key, MASTER))
    assert len(rows) == 5
    assert live == [("1", key_id)]


# --- the master key ---


def test_a_master_key_is_made_once_for_its_owner(tmp_path: Path) -> None:
    """Without a variable a key file of mode 0600 is made, and read from then on."""
    key = load_master_key(tmp_path / "new", {})
    assert len(key) == 32
    assert load_master_key(tmp_path / "new", {}) == key
    path = tmp_path / "new" / "master.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["master.key"]


@pytest.mark.parametrize(
    "text", [MASTER.hex(), MASTER.hex().upper() + "\n", base64.b64encode(MASTER).decode()], ids=["hex", "HEX", "base64"]
)
def test_a_master_key_from_the_environment_needs_no_file(tmp_path: Path, text: str) -> None:
    """The variable counts before the file, in either notation."""
    assert load_master_key(tmp_path, {"DAYBOOK_MASTER_KEY": text}) == MASTER
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "text", ["", "canary", CANARY, "z" * 64, MASTER.hex()[:-2], base64.b64encode(MASTER[:-1]).decode()]
)
def test_a_bad_master_key_is_refused_and_not_shown(tmp_path: Path, text: str) -> None:
    """What is no key is an error that names the variable (or the file) and what would be right, not the value."""
    (tmp_path / "master.key").write_text(text)
    (tmp_path / "master.key").chmod(0o600)
    for environment, name in (({"DAYBOOK_MASTER_KEY": text}, "DAYBOOK_MASTER_KEY"), ({}, "master.key")):
        with pytest.raises(InvalidInput, match="64 hexadecimal digits") as caught:
            load_master_key(tmp_path, environment)
        told = "".join(traceback.format_exception(caught.value))
        assert name in str(caught.value)
        assert not text or text not in told


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_master_key_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    """A key file open to the group or to all is not used; the error says which command closes it."""
    load_master_key(tmp_path, {})
    (tmp_path / "master.key").chmod(mode)
    with pytest.raises(StoreUnavailable, match="chmod 600"):
        load_master_key(tmp_path, {})


def test_a_lost_master_key_is_not_replaced(tmp_path: Path) -> None:
    """Next to a vault no new key is made up: it could open nothing and would hide what happened."""
    SqliteVault(tmp_path / "vault.db", load_master_key(tmp_path, {})).close()
    (tmp_path / "master.key").unlink()
    with pytest.raises(StoreUnavailable, match="restore it from your backup"):
        load_master_key(tmp_path, {})
    assert not (tmp_path / "master.key").exists()


def test_a_folder_that_cannot_hold_the_key_is_named(tmp_path: Path) -> None:
    """Where no file can be made the error says so and names the variable that helps."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailable, match=r"DAYBOOK_MASTER_KEY|cannot be read"):
        load_master_key(tmp_path / "file", {})
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
