"""Export, import, backup and restore at the command line: what people see before and after, and what is refused."""

from __future__ import annotations

import gzip
import json
import shutil
import time
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from application import transfer
from tests.adapters.cli_runner import Daybook


@pytest.fixture
def cli(tmp_path: Path) -> Daybook:
    """The command line on a store with two tasks, one of them paused, and a run."""
    cli = Daybook(tmp_path / "data")
    cli.add("Morning", "--time", "09:00", "--to", "file")
    cli.add("Noon", "--type", "hourly", "--to", "console")
    cli("tasks", "pause", "Noon", "--reason", "holidays")
    assert cli("tasks", "run", "Morning").code == 0
    return cli


@pytest.fixture
def other(tmp_path: Path) -> Daybook:
    """The command line on another, empty folder."""
    return Daybook(tmp_path / "other")


def predecessor(id: str, **fields: Any) -> dict[str, Any]:
    """A task file of the predecessor."""
    return {
        "id": id,
        "name": f"Task {id}"[:40],
        "channel_id": "11",
        "guild_id": "1",
        "schedule_type": "daily",
        "schedule_time": "09:00",
        "schedule_days": [],
        "cron_expression": None,
        "destinations": [{"type": "file", "target": "", "format": "markdown", "enabled": True}],
        "summary_options": {"summary_length": "detailed", "min_messages": 5, "claude_model": "m"},
        "is_active": True,
        "created_at": "2025-01-31T10:00:00",
        "created_by": "42",
        "last_run": None,
        "next_run": "2025-02-02T09:00:00",
        "run_count": 7,
        "failure_count": 1,
        "max_failures": 3,
        "retry_delay_minutes": 5,
        **fields,
    }


def folder_of(tmp_path: Path, **files: dict[str, Any] | str) -> Path:
    """A folder as the predecessor kept it: one file for each task."""
    folder = tmp_path / "tasks"
    folder.mkdir()
    for name, value in files.items():
        text = value if isinstance(value, str) else json.dumps(value)
        (folder / f"{name}.json").write_text(text, encoding="utf-8")
    return folder


# --- histories ---


@pytest.mark.parametrize("name", ["all.jsonl", "all.jsonl.gz"])
def test_a_history_goes_from_store_to_store(cli: Daybook, other: Daybook, tmp_path: Path, name: str) -> None:
    """Packed or not; everything that can be asked there is answered as here, and twice doubles nothing."""
    file = tmp_path / name
    said = cli("export", str(file), "--history")
    assert said.out.startswith("exported 2 tasks with ")
    shown = other("import", str(file), "--dry-run")
    assert shown.code == 0
    assert "every day at 09:00 in UTC" in shown.out
    assert "were under way" not in shown.out
    assert other.events() == 0
    assert other("import", str(file)).code == 0
    for question in (["tasks", "list", "--json"], ["runs", "Morning", "--json"], ["stats", "--json"]):
        assert other(*question).json == cli(*question).json
    facts = [
        [{**event, "position": None} for event in one("history", "Morning", "--json").json] for one in (other, cli)
    ]
    assert facts[0] == facts[1]
    again = other("import", str(file), "--json").json
    assert (again["counts"], again["events"]) == ({"same": 2}, 0)
    assert other("rebuild", "--check").code == 0


def test_an_export_is_checked_with_what_every_machine_has(cli: Daybook, tmp_path: Path) -> None:
    """Unpacked, its last line names the SHA-256 of all lines before it; the same store gives the same packed bytes."""
    file = tmp_path / "all.jsonl.gz"
    assert cli("export", str(file), "--history").code == 0
    *lines, last = gzip.decompress(file.read_bytes()).splitlines(keepends=True)
    assert json.loads(last)["end"]["sha256"] == sha256(b"".join(lines)).hexdigest()


def test_one_task_goes_alone(cli: Daybook, other: Daybook, tmp_path: Path) -> None:
    """By name; with its history, or as a definition."""
    for more in (["--history"], []):
        file = tmp_path / f"one{len(more)}"
        assert "exported 1 tasks" in cli("export", str(file), "--task", "Morning", *more).out
        assert other("import", str(file)).code == 0
        assert [task["name"] for task in other("tasks", "list", "--json").json] == ["Morning"]


def test_a_torn_file_is_named_and_changes_nothing(cli: Daybook, other: Daybook, tmp_path: Path) -> None:
    """A copy that broke off, packed or not."""
    for name in ("all.jsonl", "all.jsonl.gz"):
        file = tmp_path / name
        cli("export", str(file), "--history")
        file.write_bytes(file.read_bytes()[:-40])
        refused = other("import", str(file))
        assert refused.code == 1
        assert "cut off" in refused.err or "unpacked" in refused.err
        assert other.events() == 0


def test_a_history_comes_through_a_pipe(cli: Daybook, other: Daybook, tmp_path: Path) -> None:
    """It is read twice, so it is kept aside meanwhile."""
    file = tmp_path / "all.jsonl"
    cli("export", str(file), "--history")
    piped = other("import", "-", "--json", stdin=file.read_text(encoding="utf-8"))
    assert piped.json["counts"] == {"new": 2}
    assert cli("export", "-", "--history").out.splitlines()[1:-1] == file.read_text(encoding="utf-8").splitlines()[1:-1]


def test_copies_stand_beside_their_originals(cli: Daybook, tmp_path: Path) -> None:
    """With ids of their own, and their own rows of every run."""
    file = tmp_path / "all.jsonl"
    cli("export", str(file), "--history")
    done = cli("import", str(file), "--new-ids")
    assert done.out.count("a new id") == 2
    tasks = cli("tasks", "list", "--json").json
    assert sorted(task["name"] for task in tasks) == ["Morning", "Morning", "Noon", "Noon"]
    runs = [cli("runs", task["task_id"], "--json").json for task in tasks if task["name"] == "Morning"]
    assert [len(one) for one in runs] == [1, 1]
    assert runs[0][0]["run_id"] != runs[1][0]["run_id"]
    assert cli("rebuild", "--check").code == 0


def test_a_failed_export_leaves_the_older_file(cli: Daybook, tmp_path: Path) -> None:
    """Whole or not at all."""
    file = tmp_path / "here" / "all.jsonl"
    assert cli("export", str(file), "--history").code == 1
    file.parent.mkdir()
    file.write_text("older")
    assert cli("export", str(file), "--history", "--task", "Nobody").code == 3
    assert file.read_text() == "older"
    assert [path.name for path in file.parent.iterdir()] == ["all.jsonl"]


# --- definitions ---


def test_what_happens_to_duplicates_is_chosen_and_shown(cli: Daybook, tmp_path: Path) -> None:
    """Skipped, refused or replaced; a dry run shows which."""
    file = tmp_path / "tasks.json"
    cli("export", str(file))
    cli("tasks", "edit", "Morning", "--name", "Evening")
    skipped = cli("import", str(file), "--duplicates", "skip", "--json").json
    assert skipped["counts"] == {"skipped": 1, "same": 1}
    refused = cli("import", str(file), "--duplicates", "refuse", "--dry-run")
    assert refused.code == 1
    assert "is here already and differs" in refused.out
    assert cli("import", str(file), "--duplicates", "refuse").code == 1
    assert {task["name"] for task in cli("tasks", "list", "--json").json} == {"Evening", "Noon"}
    assert cli("import", str(file), "--json").json["counts"] == {"changed": 1, "same": 1}
    assert {task["name"] for task in cli("tasks", "list", "--json").json} == {"Morning", "Noon"}


def test_definitions_go_into_another_guild_as_copies(cli: Daybook, tmp_path: Path) -> None:
    """The originals stay."""
    file = tmp_path / "tasks.json.gz"
    cli("export", str(file))
    done = cli("import", str(file), "--guild", "77", "--new-ids", "--json").json
    assert done["counts"] == {"new id": 2}
    assert sorted(task["guild_id"] for task in cli("tasks", "list", "--json").json if task["guild_id"] == "77") == [
        "77",
        "77",
    ]


# --- the predecessor's folder ---


def test_the_predecessors_folder_moves_over_with_one_command(other: Daybook, tmp_path: Path) -> None:
    """Every kind of schedule, with what a person wants to see before; twice changes nothing."""
    folder = folder_of(
        tmp_path,
        a=predecessor("task_a", schedule_type="weekly", schedule_days=[4], timezone="Europe/Berlin"),
        b=predecessor("task_b", schedule_type="custom", cron_expression="0 9 * * 1"),
        c=predecessor("task_c", schedule_type="half-weekly", schedule_days=[0, 3], is_active=False),
        d=predecessor("task_d", schedule_type="monthly"),
        e=predecessor("task_e", schedule_type="once", next_run="2020-01-01T09:00:00"),
    )
    shown = other("import", str(folder), "--dry-run")
    assert shown.code == 0, shown.out
    assert "every Friday at 09:00 in Europe/Berlin" in shown.out
    assert "'task_a' is no id here" in shown.out
    told = other("import", str(folder), "--json").json
    assert told["counts"] == {"new": 4, "over": 1}
    by_name = {task["name"]: task for task in told["plan"]}
    assert datetime.fromisoformat(by_name["Task task_b"]["next_slot"]).isoweekday() == 1, "crontab's 1 is Monday"
    assert by_name["Task task_c"]["warnings"][-1] == "paused"
    assert by_name["Task task_c"]["next_slot"] is None
    assert other("import", str(folder), "--json").json["counts"] == {"same": 4, "over": 1}
    assert len(other("tasks", "list", "--json").json) == 4


PREDECESSOR = Path(__file__).parents[1] / "data" / "predecessor"
"""Its files as its own code writes them: ``old`` before, and ``new`` after it knew scopes, platforms and dashboards."""


@pytest.mark.parametrize(("layout", "count", "discord"), [("old", 3, 3), ("new", 5, 4)])
def test_files_as_the_predecessor_wrote_them_move_over_with_one_command(
    other: Daybook, layout: str, count: int, discord: int
) -> None:
    """Results go to Discord in them, where this process is not connected to: that is said, once, and no mistake."""
    folder = str(PREDECESSOR / layout)
    shown = other("import", folder, "--dry-run")
    assert shown.code == 0, shown.out
    assert f"{count} tasks are fine ({count} new)" in shown.out
    assert "discord_channel: delivered to by another process" in shown.out
    done = other("import", folder)
    assert done.code == 0
    for said in (shown.err, done.err):
        assert said.count(f"note: {discord} tasks: discord_channel is not delivered to by this process") == 1
        assert "`daybook run` with DISCORD_TOKEN" in said
    tasks = {task["name"]: task["definition"] for task in other("tasks", "list", "--json").json}
    [place] = tasks["Daily digest"]["destinations"]
    assert (place["type"], place["target"]) == ("discord_channel", "456789012345678901")
    assert other("import", folder, "--json").json["counts"] == {"same": count}


def test_what_the_newer_predecessor_knew_is_translated_dropped_or_named_as_lost(other: Daybook) -> None:
    """Defaults are dropped with a note, and nothing of what somebody chose goes in silence."""
    done = other("import", str(PREDECESSOR / "new"))
    tasks = {task["name"]: task["definition"] for task in other("tasks", "list", "--json").json}
    alive, fixed = tasks["Category"], tasks["Channels of then"]
    assert (alive["category_id"], alive["channel_id"], alive["channel_ids"]) == ("678901234567890123", "", [])
    assert alive["excluded_channel_ids"] == ["456789012345678901"]
    assert (fixed["category_id"], fixed["channel_ids"]) == (None, ["345678901234567890", "567890123456789012"])
    assert [place["type"] for place in alive["destinations"]] == ["discord_channel"]
    assert [place["type"] for place in tasks["Dashboard only"]["destinations"]] == ["file"]
    [note] = [line for line in done.err.splitlines() if line.startswith("note: left out")]
    for name in ("platform", "enable_continuity", "rolling_deliver_intermediate", "dashboard"):
        assert name in note
    warnings = [line for line in done.err.splitlines() if line.startswith("warning: ")]
    assert {line.split(": ")[1] for line in warnings} == {"All of the server", "Dashboard only"}
    for words in ("scope 'guild'", "'tmpl_4f2a'", "enable_continuity", "rolling period", "confluence:SPACE"):
        assert len([line for line in warnings if words in line]) == 1
    shown = other("import", str(PREDECESSOR / "new"), "--dry-run", "--json").json["plan"]
    [server] = [task for task in shown if task["name"] == "All of the server"]
    assert len([warning for warning in server["warnings"] if warning.startswith("lost: ")]) == 5


@pytest.mark.parametrize(
    "wrong",
    [
        {"destinations": [{"type": "pigeon", "target": "", "format": "embed", "enabled": True}]},
        {"destinations": [{"type": "discord_channel", "target": "town", "format": "embed", "enabled": True}]},
        {"something_else": False},
    ],
)
def test_what_no_process_could_do_stays_a_mistake(other: Daybook, tmp_path: Path, wrong: dict[str, Any]) -> None:
    """An unknown kind, a target that is no id, and a field that nobody ever wrote."""
    folder = folder_of(tmp_path, a=predecessor("task_a", **wrong))
    assert other("import", str(folder), "--dry-run").code == 1
    assert other("import", str(folder)).code == 1
    assert other.events() == 0


def test_definitions_of_a_discord_store_come_back(cli: Daybook, other: Daybook, tmp_path: Path) -> None:
    """From the command line too, which is connected to nothing; as definitions, and with their history."""
    cli.add("Told", "--to", "discord_channel:345678901234567890")
    for number, more in enumerate(((), ("--history",))):
        file = str(tmp_path / "tasks.json")
        assert cli("export", file, "--task", "Told", *more).code == 0
        there = Daybook(tmp_path / f"there{number}")
        shown = there("import", file, "--dry-run")
        assert shown.code == 0, shown.out
        assert "delivered to by another process" in shown.out
        assert "cannot run here" not in shown.out
        assert there("import", file).code == 0
        assert [task["name"] for task in there("tasks", "list", "--json").json] == ["Told"]


@pytest.mark.parametrize("more", [(), ("--leave-out-broken",)])
def test_a_dry_run_finds_what_the_limits_of_a_guild_refuse(tmp_path: Path, more: tuple[str, ...]) -> None:
    """As the import itself does: too many tasks, of a guild that is named, and slots that come too often."""
    limits = {"DAYBOOK_MAX_TASKS_PER_GUILD": "2", "DAYBOOK_SHORTEST_INTERVAL_SECONDS": "3600"}
    other = Daybook(tmp_path / "other", limits)
    three = [predecessor(f"t{n}", guild_id="77") for n in range(3)]
    file = tmp_path / "three.json"
    file.write_text(json.dumps({"tasks": [*three, predecessor("u", guild_id="78")]}), encoding="utf-8")
    shown, refused = other("import", str(file), "--dry-run", *more), other("import", str(file), *more)
    assert (shown.code, refused.code) == (1, 1)
    for said in (shown.out, refused.err):
        assert "max_tasks: more than guild 77 may have" in said
        assert "may have 2; 3 more were asked for" in said
        assert "guild 78" not in said
    assert other.events() == 0
    file.write_text(json.dumps({"tasks": three[:2]}), encoding="utf-8")
    assert other("import", str(file)).code == 0
    assert other("import", str(file), "--dry-run", "--json").json["counts"] == {"same": 2}, "they are there already"
    file.write_text(json.dumps({"tasks": [predecessor("v", schedule_type="fifteen-minutes")]}), encoding="utf-8")
    often = other("import", str(file), "--dry-run", "--json")
    assert often.code == 1
    assert "3600 s is the least" in often.json["plan"][0]["problem"]


def test_a_dry_run_of_a_long_file_that_limits_refuse_plans_the_beginning_of_it_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says how many were too many, as the import does, and that it did not look at the rest."""
    monkeypatch.setattr(transfer, "MOST_PLANNED", 4)
    other = Daybook(tmp_path / "other", {"DAYBOOK_MAX_TASKS_PER_GUILD": "5"})
    file = tmp_path / "many.json"
    six = [predecessor(f"t{n}", guild_id="77") for n in range(6)]
    file.write_text(json.dumps({"tasks": six}), encoding="utf-8")
    shown, refused = other("import", str(file), "--dry-run", "--json"), other("import", str(file))
    assert (shown.code, refused.code) == (1, 1)
    assert [one["place"] for one in shown.json["plan"]] == [f"tasks[{n}]" for n in range(4)]
    assert shown.json["notes"][0] == "this file is refused for its number of tasks: only the first 4 were looked at"
    [problem] = shown.json["problems"]
    assert "may have 5; 6 more were asked for" in problem
    assert problem in refused.err
    file.write_text(json.dumps({"tasks": six[:5]}), encoding="utf-8")
    fine = other("import", str(file), "--dry-run", "--json")
    assert (fine.code, len(fine.json["plan"]), fine.json["notes"]) == (0, 5, [])
    file.write_text(json.dumps({"tasks": [*six[:5], predecessor("u", guild_id="77", name="")]}), encoding="utf-8")
    whole = other("import", str(file), "--dry-run", "--leave-out-broken", "--json")
    assert (whole.code, whole.json["counts"]) == (0, {"new": 5, "left out": 1}), "which are left out, all have to say"


def test_importing_a_folder_again_writes_nothing_where_nothing_changed(other: Daybook, tmp_path: Path) -> None:
    """Also where the file says it in other words: without an instant of creation, and with a secret in plain text."""
    webhook = {"type": "webhook", "target": "https://93.184.216.34/hook/token", "format": "json", "enabled": True}
    folder = folder_of(
        tmp_path,
        undated=predecessor("task_a", created_at=None),
        secret=predecessor("task_b", destinations=[webhook]),
        interval=predecessor("task_c", schedule_type="interval", interval="4h", created_at=None),
    )
    assert other("import", str(folder), "--json").json["counts"] == {"new": 3}
    events = other.events()
    time.sleep(1.1)  # an anchor is at a whole second
    assert other("import", str(folder), "--dry-run", "--json").json["counts"] == {"same": 3}
    assert other("import", str(folder), "--json").json["counts"] == {"same": 3}
    assert other.events() == events
    other_hook = {**webhook, "target": "https://93.184.216.34/hook/another"}
    (folder / "secret.json").write_text(json.dumps(predecessor("task_b", destinations=[other_hook])), encoding="utf-8")
    assert other("import", str(folder), "--json").json["counts"] == {"same": 2, "changed": 1}
    assert other("history", "Task task_b", "--json").json[-1]["topic"] == "task.revised"


def test_every_broken_file_of_a_folder_is_named_before_anything_is_written(other: Daybook, tmp_path: Path) -> None:
    """Torn ones, empty ones, ids given twice, and tasks that never could run: all at once, not one by one."""
    whole = json.dumps(predecessor("x"))
    folder = folder_of(
        tmp_path,
        good=predecessor("task_a"),
        torn=whole[: len(whole) // 2],
        empty="",
        list="[]",
        cron=predecessor("task_b", schedule_type="custom", cron_expression=None),
        twice=predecessor("task_a"),
    )
    shown = other("import", str(folder), "--dry-run", "--json")
    assert shown.code == 1
    problems = {task["place"]: task["problem"] for task in shown.json["plan"] if task["problem"]}
    assert set(problems) == {"torn.json", "empty.json", "list.json", "cron.json", "twice.json"}
    assert "torn" in problems["empty.json"]
    assert "also at good.json" in problems["twice.json"]
    refused = other("import", str(folder))
    assert refused.code == 1
    assert "4 more mistakes" in refused.err
    assert other.events() == 0
    done = other("import", str(folder), "--leave-out-broken")
    assert done.code == 0
    assert "left out" in done.out
    assert [task["name"] for task in other("tasks", "list", "--json").json] == ["Task task_a"]


@pytest.mark.parametrize("id", ["../escaped", "/etc/passwd", "..\\x", "a/b", "\x1b[31mred"])
def test_an_id_that_is_a_path_becomes_an_id_and_is_shown_as_text(other: Daybook, tmp_path: Path, id: str) -> None:
    """Defect 7: an id of a file wrote outside the folder. Here it is named, and replaced by a UUID."""
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    folder = folder_of(tmp_path, one=predecessor(id, name="One"))
    [one] = other("import", str(folder), "--json").json["plan"]
    assert "is no id here" in one["warnings"][0]
    assert len(one["task_id"]) == 36
    new = {path for path in tmp_path.rglob("*") if path.is_file()} - before
    assert all(path.is_relative_to(other.folder) or path.is_relative_to(folder) for path in new)
    assert "\x1b" not in other("import", str(folder), "--dry-run").out


def test_what_cannot_be_read_in_a_folder_is_named_and_folders_in_it_are_passed_over(
    other: Daybook, tmp_path: Path
) -> None:
    """Neither is the fault of the folder, and the one can be left out."""
    folder = folder_of(tmp_path, a=predecessor("task_a"))
    (folder / "e.json").mkdir()
    assert other("import", str(folder), "--json").json["counts"] == {"new": 1}
    (folder / "gone.json").symlink_to(folder / "nowhere")
    refused = other("import", str(folder))
    assert refused.code == 1
    assert refused.err.startswith("error: gone.json: ")
    assert "cannot be read" in refused.err
    assert other("import", str(folder), "--leave-out-broken", "--json").json["counts"] == {"same": 1, "left out": 1}


def test_an_import_that_changes_nothing_says_so(cli: Daybook, other: Daybook, tmp_path: Path) -> None:
    """What is here already was not imported, and is not counted as if it were; a file is not blamed that goes on."""
    file = tmp_path / "all.jsonl"
    for more, events in (((), ""), (("--history",), " with ")):
        there = Daybook(tmp_path / f"there{len(more)}")
        assert cli("export", str(file), *more).code == 0
        assert there("import", str(file)).out.startswith(f"imported 2 tasks{events}")
        assert there("import", str(file)).out == "nothing was to be imported (2 same)\n"
    cli("tasks", "resume", "Noon")
    assert cli("export", str(file), "--history").code == 0
    assert "an older state of it, or another history" in there("import", str(file)).err


def test_a_folder_without_tasks_and_a_file_that_is_not_there_are_refused(other: Daybook, tmp_path: Path) -> None:
    """With what would be right."""
    (tmp_path / "empty").mkdir()
    assert "holds no .json files" in other("import", str(tmp_path / "empty")).err
    assert "cannot be read" in other("import", str(tmp_path / "nowhere.json")).err


# --- backups ---


def test_a_backup_comes_back(cli: Daybook, tmp_path: Path) -> None:
    """What it holds is said, and what else is needed."""
    copy = tmp_path / "copy"
    said = cli("backup", str(copy), "--with-vault")
    assert said.code == 0, said.err
    assert "checked" in said.out
    assert "master key is not in it" in said.err
    back = Daybook(tmp_path / "back")
    assert "master key is missing" in back("restore", str(copy)).err
    back.folder.mkdir()
    shutil.copy2(cli.folder / "master.key", back.folder)
    assert "restored to" in back("restore", str(copy)).out
    assert back("tasks", "list", "--json").json == cli("tasks", "list", "--json").json
    assert back("rebuild", "--check").code == 0
    assert "--replace" in back("restore", str(copy)).err
    assert "what was there before is in" in back("restore", str(copy), "--replace").out


def test_a_list_of_erasures_that_was_kept_elsewhere_is_applied_to_a_backup(cli: Daybook, tmp_path: Path) -> None:
    """On another machine, where nothing else knows of the erasure."""
    assert cli("backup", str(tmp_path / "copy"), "--with-vault").code == 0
    [guild] = {task["guild_id"] for task in cli("tasks", "list", "--json").json}
    assert cli("erase", "guild", guild, "--yes").code == 0
    kept = shutil.copy2(cli.folder / "erasures.json", tmp_path / "kept.json")
    back = Daybook(tmp_path / "back", {"DAYBOOK_MASTER_KEY": (cli.folder / "master.key").read_text("ascii").strip()})
    assert "list of erasures" in back("restore", str(tmp_path / "copy"), "--erasures", str(tmp_path / "none")).err
    assert not back.folder.exists()
    assert back("restore", str(tmp_path / "copy"), "--erasures", str(kept)).code == 0
    assert back("tasks", "list", "--json").json == []
    assert json.loads((back.folder / "erasures.json").read_text("utf-8"))[0]["guild_id"] == guild
    assert back("verify").code == 0
    assert b"Morning" not in (back.folder / "log.db").read_bytes()


def test_a_backup_without_the_vault_says_what_is_missing(cli: Daybook, tmp_path: Path) -> None:
    """The vault has a backup of its own."""
    assert "--only-vault" in cli("backup", str(tmp_path / "copy")).err
    keys = cli("backup", str(tmp_path / "keys"), "--only-vault", "--json").json
    assert sorted(keys["files"]) == ["vault.db"]
    assert keys["position"] is None


def test_a_store_on_postgresql_is_not_backed_up_by_half(cli: Daybook, tmp_path: Path) -> None:
    """Its own tool does that."""
    postgres = Daybook(cli.folder, {"DAYBOOK_DATABASE_URL": "postgresql://nobody@localhost/none"})
    assert "pg_dump" in postgres("backup", str(tmp_path / "copy")).err
    assert "pg_dump" in postgres("restore", str(tmp_path / "copy")).err


@pytest.mark.parametrize("arguments", [(), ("--dry-run",)])
@pytest.mark.parametrize("text", ["", "{", "{}", '{"format":"daybook-history/1"', '{"format":"daybook-history/1"}\n'])
def test_a_refused_import_makes_no_store(tmp_path: Path, text: str, arguments: tuple[str, ...]) -> None:
    """And its message shows nothing in quotes where there is nothing to show."""
    cli, file = Daybook(tmp_path / "data"), tmp_path / "torn.json"
    file.write_text(text, encoding="utf-8")
    refused = cli("import", str(file), *arguments)
    assert refused.code == 1
    assert refused.err.startswith("error: ")
    assert "''" not in refused.err
    assert not cli.folder.exists()


def test_a_dry_run_makes_no_store_and_an_import_does(tmp_path: Path) -> None:
    """One that was there stays as it is, whatever comes of the import."""
    here, there = Daybook(tmp_path / "here"), Daybook(tmp_path / "there")
    here.add("One")
    for more in ((), ("--history",)):
        file = str(tmp_path / "all.json")
        assert here("export", file, *more).code == 0
        assert there("import", file, "--dry-run").code == 0
        assert not there.folder.exists()
    there.folder.mkdir()
    assert there("import", file, "--dry-run").code == 0
    assert there.folder.exists()
    assert there("import", file).code == 0
    assert there("import", file, "--dry-run").code == 0
    assert [task["name"] for task in there("tasks", "list", "--json").json] == ["One"]


def test_a_dry_run_with_new_ids_shows_none(tmp_path: Path) -> None:
    """They are made when they are written: one that was shown would be of no task."""
    cli, file = Daybook(tmp_path / "data"), str(tmp_path / "all.json")
    first = cli.add("One")
    assert cli("export", file).code == 0
    [planned] = cli("import", file, "--new-ids", "--dry-run", "--json").json["plan"]
    assert (planned["outcome"], planned["task_id"]) == ("new id", None)
    [written] = cli("import", file, "--new-ids", "--json").json["plan"]
    there = {task["task_id"] for task in cli("tasks", "list", "--json").json}
    assert there == {first, written["task_id"]}
