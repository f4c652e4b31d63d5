"""``daybook audit``: heads, proofs that a stranger checks with the script of the documentation, and tampering."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.cli_runner import Daybook

PAGE = Path(__file__).parents[2] / "docs/reference/proofs.md"


@pytest.fixture
def cli(tmp_path: Path) -> Daybook:
    """The command line on a folder with two tasks, one of which publishes heads."""
    cli = Daybook(tmp_path / "data")
    cli.add("One")
    made = cli("tasks", "add", "Heads", "--guild", "1", "--type", "daily", "--time", "06:00", "--does", "custom",
               "--operation", "publish-head", "--to", "file:heads")  # fmt: skip
    assert made.code == 0, made.err
    return cli


def change(cli: Daybook, statement: str, *values: object) -> None:
    """Change the log behind Daybook's back."""
    with closing(sqlite3.connect(cli.folder / "log.db")) as log, log:
        assert log.execute(statement, values).rowcount == 1


def checked(tmp_path: Path, proof: Any, head: Any) -> str:
    """What the script of the documentation says of a proof, run by a Python that sees no packages."""
    [script] = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    for name, value in (("proof.json", proof), ("head.json", head)):
        (tmp_path / name).write_text(json.dumps(value), encoding="utf-8")
    (tmp_path / "check.py").write_text(script, encoding="utf-8")
    command = [sys.executable, "-I", "-S", "check.py", "proof.json", "head.json"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == (0 if ended.stdout == "TRUE\n" else 1), ended.stderr
    return (ended.stdout + ended.stderr).strip()


def test_a_stranger_can_check_that_an_event_is_in_the_log(cli: Daybook, tmp_path: Path) -> None:
    """With the script of the documentation; and a proof in which anything was changed is false."""
    for position in range(1, cli.events() + 1):
        proof = cli("audit", "prove", str(position), "--json").json
        assert checked(tmp_path, proof, proof) == "TRUE"
    proof = cli("audit", "prove", "One@1", "--json").json
    assert proof["topic"] == "task.created"
    head = {"size": proof["size"], "root": proof["root"]}
    for field, value in (
        ("topic", "task.revised"), ("version", 2), ("position", proof["position"] + 1), ("state", "AAAA"),
        ("index", proof["index"] - 1), ("proof", proof["proof"][:-1]), ("proof", [*proof["proof"], "00" * 32]),
        ("root", "00" * 32), ("size", proof["size"] + 1), ("stream", "0" * 32),
    ):  # fmt: skip
        assert checked(tmp_path, proof | {field: value}, head).startswith("FALSE"), field


def test_a_stranger_can_check_that_the_log_goes_on_from_a_head(cli: Daybook, tmp_path: Path) -> None:
    """From every size that the log has had."""
    heads = []
    for number in range(4):
        heads.append(cli("audit", "head", "--json").json)
        assert (
            cli(
                "tasks", "edit", "One", "--name", "One", "--reason", f"edit {number}", "--channel", f"{number + 1}"
            ).code
            == 0
        )
    for head in heads:
        proof = cli("audit", "prove", "--from", str(head["size"]), "--json").json
        assert checked(tmp_path, proof, head) == "TRUE"
        assert checked(tmp_path, proof, head | {"root": "00" * 32}).startswith("FALSE")
        assert checked(tmp_path, proof | {"root": "00" * 32}, head).startswith("FALSE")
        assert checked(tmp_path, proof | {"proof": proof["proof"][1:]}, head).startswith("FALSE")
    shown = cli("audit", "prove", "--from", str(heads[0]["size"]))
    assert f"begin with the {heads[0]['size']} of then" in shown.out


@pytest.mark.parametrize(
    "arguments", [(), ("1", "--from", "1"), ("99",), ("One",), ("One@99",), ("One@0",), ("Two@1",), ("--from", "99")]
)
def test_what_cannot_be_proven_is_refused(cli: Daybook, arguments: tuple[str, ...]) -> None:
    """With what is wrong about it."""
    refused = cli("audit", "prove", *arguments)
    assert refused.code in (2, 3)
    assert refused.err.startswith("error: ")


def test_a_published_head_is_delivered_and_chained_to_the_one_before_it(cli: Daybook, tmp_path: Path) -> None:
    """As any result is: here as a file, with a proof in it that anybody can check."""
    for _ in range(2):
        assert cli("tasks", "run", "Heads").code == 0
    files = sorted((cli.folder / "summaries").rglob("*.md"), key=lambda path: path.stat().st_mtime)
    assert len(files) == 2
    first, second = (json.loads(re.findall(r"```json\n(.*?)\n```", path.read_text("utf-8"))[0]) for path in files)
    assert (second["old_size"], second["old_root"]) == (first["size"], first["root"])
    assert checked(tmp_path, second, first) == "TRUE"
    assert "old_size" not in first
    assert f"head {second['size']} {second['root']}" in cli("history", "Heads").out
    told = cli("audit", "verify", "--head", str(files[0]), "--head", str(files[1]), "--json").json
    assert (told["intact"], len(told["heads_held"]), told["findings"]) == (True, 2, [])


def test_an_event_that_was_changed_is_named(cli: Daybook) -> None:
    """And the head that was kept does not hold any more."""
    task = cli("tasks", "show", "One", "--json").json["task_id"]
    kept = cli("audit", "head", "--json")
    (cli.folder.parent / "head.json").write_text(kept.out, encoding="utf-8")
    position = cli("audit", "prove", "One@1", "--json").json["position"]
    change(cli, "update stored_events set state = state || x'00' where rowid = ?", position)
    told = cli("audit", "verify", "--head", str(cli.folder.parent / "head.json"), "--json")
    assert told.code == 1
    [finding] = told.json["findings"]
    assert (finding["kind"], finding["position"], finding["version"]) == ("changed", position, 1)
    assert finding["stream"] == task.replace("-", "")
    assert len(told.json["heads_broken"]) == 1
    assert f"event 1 of stream {task} at position {position} was changed" in cli("audit", "verify").out


def test_events_that_were_removed_or_moved_are_named(cli: Daybook) -> None:
    """Also the newest: then no head is made any more."""
    cli("audit", "head")
    events = cli.events()
    change(cli, "delete from stored_events where rowid = ?", events)
    refused = cli("audit", "head")
    assert refused.code == 1
    assert "its end is gone. `daybook audit verify` names what is missing" in refused.err
    change(cli, "update stored_events set rowid = 900 where rowid = 1")
    kinds = {(one["kind"], one["position"]) for one in cli("audit", "verify", "--json").json["findings"]}
    assert kinds == {("moved", 1), ("removed", events)}


def test_where_leaves_were_changed_too_the_head_tells_the_range(cli: Daybook) -> None:
    """Somebody may change both files, and not the head that was kept elsewhere."""
    head, later = cli.folder.parent / "head.json", cli.folder.parent / "later.json"
    head.write_text(cli("audit", "head", "--json").out, encoding="utf-8")
    before = cli.events()
    cli("tasks", "edit", "One", "--channel", "77")
    later.write_text(cli("audit", "head", "--json").out, encoding="utf-8")
    change(cli, "update stored_events set state = state || x'00' where rowid = ?", before + 1)
    for path in cli.folder.glob("leaves.db*"):
        path.unlink()
    told = cli("audit", "verify", "--head", str(head), "--head", str(later), "--json")
    assert told.code == 1
    [finding] = told.json["findings"]
    assert (finding["kind"], finding["position"]) == ("head", before + 1)
    assert finding["words"].startswith(f"the event at position {before + 1} is not what it was when the head of ")
    assert f"(size {before + 1}) was made, or that head is of another log; no leaves are kept here" in finding["words"]
    assert [one["size"] for one in told.json["heads_held"]] == [before]


def test_a_head_over_more_events_than_there_are_says_how_many_are_missing(cli: Daybook) -> None:
    """The folder was put back from an older copy, or its end was cut off: nobody can tell which."""
    older, place = Daybook(cli.folder.parent / "older"), cli.folder.parent
    early, late = place / "early.json", place / "late.json"
    early.write_text(cli("audit", "head", "--json").out, encoding="utf-8")
    here = cli.events()
    shutil.copytree(cli.folder, older.folder)
    for channel in ("77", "78"):
        assert cli("tasks", "edit", "One", "--channel", channel).code == 0
    late.write_text(cli("audit", "head", "--json").out, encoding="utf-8")
    more = cli.events() - here
    assert more > 1
    told = older("audit", "verify", "--head", str(late))
    assert told.code == 1
    assert f"end: the log ends with event {here} at position {here}, and the head of " in told.out
    assert f"(size {here + more}) is over {here + more} events, the last at position {here + more}: " in told.out
    assert f": {more} events are missing at the end, or this is an older copy of that log, or another log; " in told.out
    assert f"(size {here}) holds, so up to position {here} all is as it was" in told.out
    assert f"is not that of this log, which has only {here} events" in told.out
    assert "a newer copy has what is missing" in told.out
    assert "was tampered with" not in told.out
    [finding] = older("audit", "verify", "--head", str(late), "--json").json["findings"]
    assert (finding["kind"], finding["position"]) == ("end", here + 1)
    assert older("audit", "verify", "--head", str(early)).code == 0


def test_a_head_of_another_log_is_called_so_where_a_later_one_holds(cli: Daybook) -> None:
    """For that one is over the same events; the log itself is not blamed."""
    kept = json.loads(cli("audit", "head", "--json").out)
    foreign = cli.folder.parent / "foreign.json"
    foreign.write_text(json.dumps(kept | {"size": 1, "head_position": 1}), encoding="utf-8")
    told = cli("audit", "verify", "--head", str(foreign))
    assert told.code == 1
    assert "foreign: the head of " in told.out
    assert f"(size 1) is not of this log, for the head of {kept['at'][:10]}" in told.out
    assert "The log holds. Look where the head that does not is from." in told.out


def test_published_heads_are_known_without_the_file_of_leaves(cli: Daybook) -> None:
    """The log notes them, and the log is the truth: where both files were changed it still tells."""
    assert cli("tasks", "run", "Heads").code == 0
    published = cli("audit", "verify", "--json").json["heads_held"]
    assert len(published) == 1
    for path in cli.folder.glob("leaves.db*"):
        path.unlink()
    told = cli("audit", "verify", "--json").json
    assert (told["intact"], len(told["heads_held"])) == (True, 1)
    assert {k: v for k, v in told["heads_held"][0].items() if k != "at"} == {
        k: v for k, v in published[0].items() if k != "at"
    }
    swap(cli, 1, 2)
    told = cli("audit", "verify", "--json")
    assert (told.code, told.json["intact"], len(told.json["heads_broken"])) == (1, False, 1)
    assert f"positions 1 to {published[0]['head_position']}" in told.json["findings"][0]["words"]
    assert [one["kind"] for one in cli("verify", "--json").json["troubles"]].count("leaf") == 1


def test_a_head_goes_on_from_the_last_one_that_the_log_notes(cli: Daybook) -> None:
    """Although the file that it stood in was lost."""
    assert cli("tasks", "run", "Heads").code == 0
    for path in cli.folder.glob("leaves.db*"):
        path.unlink()
    assert cli("tasks", "run", "Heads").code == 0
    first, second = (
        json.loads(re.findall(r"```json\n(.*?)\n```", path.read_text("utf-8"))[0])
        for path in sorted((cli.folder / "summaries").rglob("*.md"), key=lambda path: path.stat().st_mtime)
    )
    assert (second["old_size"], second["old_root"]) == (first["size"], first["root"])
    assert len(cli("audit", "verify", "--json").json["heads_held"]) == 2


def test_heads_that_came_with_an_import_are_those_of_another_log(cli: Daybook, tmp_path: Path) -> None:
    """They are not held against this one; what is published afterwards is."""
    assert cli("tasks", "run", "Heads").code == 0
    assert cli("export", str(tmp_path / "all.jsonl"), "--history").code == 0
    other = Daybook(tmp_path / "other")
    assert other("import", str(tmp_path / "all.jsonl")).code == 0
    assert "head " in other("history", "Heads").out
    told = other("audit", "verify", "--json").json
    assert (told["intact"], told["heads_held"], told["heads_broken"]) == (True, [], [])
    assert other("tasks", "run", "Heads").code == 0
    told = other("audit", "verify", "--json").json
    assert (told["intact"], len(told["heads_held"])) == (True, 1)


@pytest.mark.parametrize("tiles", [False, True])
def test_leaves_that_are_garbage_are_no_finding_of_the_log(cli: Daybook, tiles: bool) -> None:
    """Both commands say what to do, and heads are compared; whoever makes the file anew says so."""
    assert cli("tasks", "run", "Heads").code == 0
    if tiles:
        with closing(sqlite3.connect(cli.folder / "leaves.db")) as leaves, leaves:
            leaves.execute("update tiles set leaves = x'00'")
    else:
        for path in cli.folder.glob("leaves.db-*"):
            path.unlink()
        (cli.folder / "leaves.db").write_bytes(b"garbage " * 999)
    told = cli("audit", "verify")
    assert (told.code, "1 of 1 heads hold" in told.out) == (0, True)
    assert "leaves.db is damaged: delete it, it is made anew; heads that were published stand in the log" in told.out
    told = cli("verify")
    assert told.code == 1
    assert "what to do (leaves): stop the service and delete leaves.db" in told.out
    made = cli("audit", "head")
    if tiles:
        assert (made.code, "delete it, it is made anew" in made.err) == (1, True)
    else:
        assert (made.code, "leaves_made_anew" in made.err) == (0, True)
        assert cli("verify").code == 0


def swap(cli: Daybook, one: int, two: int) -> None:
    """Let two rows change places."""
    for old, new in ((one, 0), (two, one), (0, two)):
        change(cli, "update stored_events set rowid = ? where rowid = ?", new, old)


def test_rows_that_changed_places_are_named_by_verify_and_never_told_as_the_past(cli: Daybook) -> None:
    """Two neighbors of different streams: every stream is whole, and yet another one came first."""
    assert cli("audit", "head").code == 0
    task = cli("tasks", "show", "One", "--json").json["task_id"]
    first, second = (cli("audit", "prove", f"{name}@1", "--json").json["position"] for name in ("One", "Heads"))
    assert cli("as-of", str(first), "One").code == 0
    swap(cli, first, second)
    told = cli("verify", "--json")
    assert told.code == 1
    assert [(one["kind"], one["position"]) for one in told.json["troubles"]] == [("leaf", first), ("leaf", second)]
    assert f"event 1 of stream {task} was moved from position {first} to {second}" in cli("verify").out
    for moment in (first, second - 1):
        for asked in ((str(moment), "One"), (str(moment),), (str(moment), "--compare-to", "now")):
            told = cli("as-of", *asked)
            assert told.code == 1
            assert f"was not written at position {second}, where it stands" in told.out + told.err


def test_a_file_without_a_head_is_refused(cli: Daybook) -> None:
    """Nothing is taken for proven that is not there."""
    other = cli.folder.parent / "other.txt"
    other.write_text('{"size": 3}', encoding="utf-8")
    for path in (other, cli.folder / "log.db", cli.folder.parent / "nothing"):
        refused = cli("audit", "verify", "--head", str(path))
        assert refused.code == 2
        assert refused.err.startswith("error: --head")
