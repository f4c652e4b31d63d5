"""The commands that ask the past: why, account and as-of."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic_core import to_jsonable_python

from adapters.cli.differences import value_words
from domain.incidents import Incident
from tests.adapters.cli_runner import Daybook
from tests.doubles import EARLY

TIME = f"{datetime.now(UTC) + timedelta(hours=6):%H:%M}"
"""A time of day that does not come while the tests run."""

CLOCK = re.compile(r"\d\d:\d\d:\d\d")


@pytest.fixture
def cli(tmp_path: Path) -> Daybook:
    """The command line on an empty folder."""
    return Daybook(tmp_path / "data")


def damage(cli: Daybook, task_id: str, version: int) -> None:
    """Make one event of a task unreadable."""
    with closing(sqlite3.connect(cli.folder / "log.db")) as log, log:
        log.execute(
            "update stored_events set state = x'00' where originator_id in (?, ?) and originator_version = ?",
            (task_id, task_id.replace("-", ""), version),
        )


def forget(cli: Daybook, task_id: str, version: int) -> None:
    """Take one event of a task out of the log."""
    with closing(sqlite3.connect(cli.folder / "log.db")) as log, log:
        log.execute(
            "delete from stored_events where originator_id in (?, ?) and originator_version = ?",
            (task_id, task_id.replace("-", ""), version),
        )


def next_slot(cli: Daybook, name: str = "One") -> str:
    """The next slot of a task."""
    return str(cli("tasks", "show", name, "--json").json["next_run_time"])


def test_why_explains_a_slot_to_come_and_one_that_was_left_out(cli: Daybook) -> None:
    """One line of reason, one of answer, and the events that prove it."""
    cli.add("One", "--time", TIME)
    slot = next_slot(cli)
    assert cli("why", "One", "--at", slot, "--json").json["reason"] == "ahead"
    assert cli("tasks", "skip", "One", "--count", "1", "--reason", "holiday").code == 0
    told = cli("why", "One", "--at", slot, "--json").json
    assert (told["reason"], told["fate"]) == ("requested", "requested")
    assert {one["position"] for one in told["evidence"]} <= set(range(1, cli.events() + 1))
    shown = cli("why", "One", "--at", slot)
    assert shown.code == 0
    assert "operator asked for it to be left out (holiday)" in shown.out
    assert "position" in shown.out


def test_why_takes_wall_clock_time_in_the_zone_of_the_task(cli: Daybook) -> None:
    """As all commands do."""
    cli.add("One", "--time", "09:00", "--timezone", "Asia/Tokyo")
    day = datetime.fromisoformat(next_slot(cli)).astimezone(UTC) + timedelta(hours=9)
    assert cli("why", "One", "--at", f"{day:%Y-%m-%d}T09:00", "--json").json["reason"] == "ahead"
    assert cli("why", "One", "--at", f"{day:%Y-%m-%d}T09:00Z", "--json").json["reason"] == "never_due"


def test_the_present_can_be_asked_for_as_now(cli: Daybook) -> None:
    """As an instant, and as a moment."""
    cli.add("One", "--time", TIME)
    told = cli("why", "One", "--at", "now", "--json").json
    assert told["reason"] == "never_due"
    assert "the one before" not in told["answer"]  # the task is new: it had none
    assert abs(datetime.fromisoformat(told["instant"]) - datetime.now(UTC)) < timedelta(hours=1)
    [then] = cli("as-of", "now", "One", "--json").json
    assert then["state"]["definition.name"] == "One"
    assert cli("as-of", "0", "One", "--compare-to", "NOW", "--json").json


def test_why_without_an_instant_is_about_the_slot_that_people_mean(cli: Daybook) -> None:
    """The next one of a new task and of one that is paused; of a task that is over, the present."""
    cli.add("One", "--time", TIME)
    slot = next_slot(cli)
    told = cli("why", "One", "--json").json
    assert (told["reason"], told["slot"]) == ("ahead", slot)
    assert [one["words"].partition(":")[0] for one in told["evidence"]] == ["operator made the task"]
    cli("tasks", "pause", "One", "--reason", "moving")
    told = cli("why", "One", "--json").json
    assert told["slot"] == slot
    assert "is left out if the task is still paused then: paused by operator (moving)" in told["answer"]
    assert "paused by operator (moving)" in told["evidence"][-1]["words"]
    cli("tasks", "cancel", "One")
    assert cli("why", "One", "--json").json["reason"] == "cancelled"


def test_a_task_is_found_by_the_name_that_it_had_then(cli: Daybook) -> None:
    """Where it is asked about a moment; that it was renamed is said. A name of today comes before one of then."""
    first = cli.add("Old", "--time", TIME)
    before = cli.events()
    assert cli("tasks", "edit", "Old", "--name", "New").code == 0
    then = cli("as-of", str(before), "Old", "--json")
    assert [one["task_id"] for one in then.json] == [first]
    assert then.err == "note: the task was renamed since: Old is now New\n"
    assert cli("as-of", str(before), "New", "--json").json == then.json
    changed, did = cli("as-of", str(before), "Old", "--compare-to", "now", "--json").json
    assert (changed["before"], changed["after"], len(did["commands"])) == ("Old", "New", 1)
    assert cli("as-of", "now", "Old", "--json").json == cli("as-of", "now", "New", "--json").json
    assert cli("as-of", str(before), "Other").code == 3
    second = cli.add("Old", "--time", TIME)
    assert cli("as-of", "now", "Old", "--json").json[0]["task_id"] == second


def test_why_finds_a_task_by_the_name_that_it_had_at_the_instant(cli: Daybook) -> None:
    """And a name that two tasks had then asks which."""
    ids = [cli.add("Old", "--time", TIME)]
    at = [datetime.now(UTC).isoformat()]
    ids.append(cli.add("Old", "--time", TIME))
    at.append(datetime.now(UTC).isoformat())
    for task_id in ids:
        assert cli("tasks", "edit", task_id, "--name", "New").code == 0
    told = cli("why", "Old", "--at", at[0])
    assert told.code == 0, told.err
    assert "Old is now New" in told.err
    asked = cli("why", "Old", "--at", at[1])
    assert asked.code == 2
    assert all(f"{task_id} (now New)" in asked.err for task_id in ids)


@pytest.mark.parametrize("ended", [False, True], ids=["alive", "cancelled"])
def test_what_asks_the_past_of_a_task_finds_it_by_every_name_that_it_had(cli: Daybook, ended: bool) -> None:
    """Whatever the case, and whether it is over or not; it says the present name. What changes a task does not."""
    task_id = cli.add("First", "--time", TIME)
    for name in ("Second", "Third"):
        assert cli("tasks", "edit", task_id, "--name", name).code == 0
    if ended:
        assert cli("tasks", "cancel", task_id).code == 0
    for asked in (
        ("history",), ("why",), ("account",), ("report", "--period", "today"), ("runs",), ("stats",), ("as-of", "now"),
    ):  # fmt: skip
        for name in ("First", "second"):
            told = cli(*asked, name)
            assert told.code == 0, told.err
            assert told.err == f"note: the task was renamed since: {name} is now Third\n"
            assert CLOCK.sub("", told.out) == CLOCK.sub("", cli(*asked, task_id).out)
            assert cli(*asked, "Third").err == ""
    assert cli("tasks", "pause", "First").code == 3


def test_a_former_name_that_several_tasks_had_is_refused_with_their_ids_and_names(cli: Daybook) -> None:
    """A task that has the name today is meant before any that had it."""
    ids = [cli.add("Old", "--time", TIME) for _ in range(2)]
    for number, task_id in enumerate(ids):
        assert cli("tasks", "edit", task_id, "--name", f"New {number}").code == 0
    for asked in (("history",), ("why",)):
        told = cli(*asked, "Old")
        assert told.code == 2
        assert "was the name of 2 tasks" in told.err
        assert all(f"{task_id} (now New {number})" in told.err for number, task_id in enumerate(ids))
    today = cli.add("Old", "--time", TIME)
    assert cli("why", "Old", "--json").json["task_id"] == today
    assert cli("why", "Old").err == ""


def test_a_task_that_was_erased_is_not_found_by_a_former_name(cli: Daybook) -> None:
    """Nothing of what people called it is left."""
    task_id = cli.add("Private matter", "--time", TIME)
    assert cli("tasks", "edit", task_id, "--name", "Other").code == 0
    guild = cli("tasks", "show", task_id, "--json").json["guild_id"]
    assert b"private matter" in (cli.folder / "readmodel.db").read_bytes().lower()
    assert cli("erase", "guild", guild, "--yes").code == 0
    assert cli("history", "Private matter").code == 3
    assert b"private matter" not in (cli.folder / "readmodel.db").read_bytes().lower()


def test_a_guild_that_nobody_knows_is_not_found(cli: Daybook) -> None:
    """An account of nothing adds up, and so would a state of nothing."""
    cli.add("One", "--time", TIME)
    for question in (["account"], ["as-of", "now"], ["report"]):
        refused = cli(*question, "--guild", "999")
        assert (refused.code, "'999'" in refused.err) == (3, True), question
    assert cli("guild", "set", "998", "--timezone", "Europe/Berlin").code == 0
    assert cli("account", "--guild", "998").out == "No tasks.\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ("why", "One", "--at", "soon"),
        ("account", "--from", "soon"),
        ("account", "--to", "2026-13-01"),
        ("as-of", "soon"),
        ("as-of", "now", "--compare-to", "soon"),
        ("report", "--period", "soon"),
        ("report", "--format", "pdf"),
        ("report", "--output", "report.pdf"),
        ("report", "--role", "king"),
        ("report", "--zone", "Mars/Base"),
        ("runs", "--state", "odd"),
        ("tasks", "list", "--status", "odd"),
        ("tasks", "pause", "One", "--until", "soon"),
        ("tasks", "backfill", "One", "--start", "soon", "--end", "now"),
        ("tasks", "edit", "One", "--time", "25:00"),
        ("summarize", "general", "--format", "pdf"),
        ("preview", "every blue moon"),
    ],
)
def test_what_is_wrong_as_it_was_typed_is_wrong_usage(cli: Daybook, arguments: tuple[str, ...]) -> None:
    """Exit code 2, as the help says, with one line of what would be right; nothing is written."""
    cli.add("One")
    before = cli.events()
    refused = cli(*arguments)
    assert refused.code == 2, refused.err
    assert refused.err.startswith("error: ")
    assert refused.err.count("\n") == 1
    assert cli.events() == before


@pytest.mark.parametrize(
    ("incident", "said"),
    [
        (Incident(), "-"),
        (Incident(EARLY, True), "since 2026-03-02 08:00:00 +0000; people were told"),
        (Incident[datetime]().failed(EARLY), "since 2026-03-02 08:00:00 +0000; failing is still to be told"),
        (Incident(EARLY, True).succeeded(), "over; recovered is still to be told"),
    ],
)
def test_trouble_is_shown_in_words(incident: Incident[datetime], said: str) -> None:
    """Since when, and what people were told; not as a list of values."""
    assert value_words("incident", to_jsonable_python(incident), "UTC") == said
    assert value_words("other", [1], "UTC") == "1"


@pytest.mark.parametrize("arguments", [("One", "--at", "noon"), ("Two", "--at", "2026-01-01T09:00")])
def test_why_says_what_is_wrong_with_a_question(cli: Daybook, arguments: tuple[str, ...]) -> None:
    """An instant that is none, and a task that is not there."""
    cli.add("One")
    refused = cli("why", *arguments)
    assert refused.code in (2, 3)
    assert refused.err.startswith("error: ")


def test_an_account_adds_up_and_counts_requests_apart(cli: Daybook) -> None:
    """For one task, for all, and for a time to come."""
    cli.add("One", "--time", TIME, "--hours", "100")
    cli.add("Two", "--time", TIME)
    cli("tasks", "run", "One")
    cli("tasks", "skip", "Two", "--count", "2")
    end = (datetime.now(UTC) + timedelta(days=10)).isoformat()
    told = cli("account", "--to", end, "--json")
    assert told.code == 0, told.out
    one, two = told.json["tasks"]
    assert (one["name"], one["implied"], one["fates"], one["on_request"]) == ("One", 10, {"ahead": 10}, {"executed": 1})
    assert (two["implied"], two["fates"], two["proven"]) == (10, {"requested": 2, "ahead": 8}, True)
    assert (told.json["total"]["implied"], told.json["total"]["counted"]) == (20, 20)
    shown = cli("account", "--to", end)
    assert shown.code == 0
    assert "all" in shown.out
    assert "requested" in shown.out


def test_an_account_of_a_period_that_ends_before_it_begins_is_refused(cli: Daybook) -> None:
    """A swapped pair of instants is a mistake, and no account that adds up to nothing."""
    cli.add("One", "--time", TIME)
    told = cli("account", "--from", "2026-11-24", "--to", "2026-11-23")
    assert told.code == 2
    assert "--to" in told.err
    assert "is not after --from" in told.err


def test_an_account_names_every_slot_on_request(cli: Daybook) -> None:
    """With the event that decided it."""
    cli.add("One", "--time", TIME)
    cli("tasks", "skip", "One", "--count", "1")
    end = (datetime.now(UTC) + timedelta(days=2)).isoformat()
    [task] = cli("account", "One", "--to", end, "--slots", "--json").json["tasks"]
    assert [slot["fate"] for slot in task["slots"]] == ["requested", "ahead"]
    assert task["slots"][0]["position"] is not None
    assert "requested" in cli("account", "One", "--to", end, "--slots").out


def test_an_account_that_does_not_add_up_is_an_alarm_with_exit_code_1(cli: Daybook) -> None:
    """A decision that somebody took out of the log is missed."""
    task_id = cli.add("One", "--time", TIME)
    cli("tasks", "skip", "One", "--count", "1")
    cli("tasks", "skip", "One", "--count", "1")
    forget(cli, task_id, 3)
    end = (datetime.now(UTC) + timedelta(days=5)).isoformat()
    told = cli("account", "One", "--to", end)
    assert told.code == 1
    assert "ALARM: One: event 4 follows event 2" in told.out
    assert cli("account", "--to", end, "--json").json["total"]["alarm"] is True


def test_what_cannot_be_read_is_named_and_not_guessed(cli: Daybook) -> None:
    """By all three commands."""
    task_id = cli.add("One", "--time", TIME)
    slot = next_slot(cli)
    cli("tasks", "skip", "One", "--count", "1")
    damage(cli, task_id, 3)
    assert cli("why", task_id, "--at", slot, "--json").json["reason"] == "unreadable"
    account = cli("account", task_id)
    assert account.code == 1
    assert "event 3 (task.skipped) is unreadable" in account.out
    state = cli("as-of", "999", task_id)
    assert state.code == 1
    assert "unknown:" in state.out


def test_the_state_of_a_past_position_is_shown(cli: Daybook) -> None:
    """Of one task in full, of all in a table, and before there was any."""
    task_id = cli.add("One", "--time", TIME)
    cli("tasks", "pause", "One", "--reason", "holidays")
    now = datetime.now(UTC)
    [then] = cli("as-of", now.isoformat(), "One", "--json").json
    assert (then["task_id"], then["state"]["status"], then["state"]["schedule.time"]) == (task_id, "paused", TIME)
    service = cli("as-of", str(then["position"] - 1), "--json").json
    assert service["tasks"][0]["state"]["status"] == "active"
    assert (service["counts"], service["open_runs"], service["position"]) == ({"active": 1}, 0, then["position"] - 1)
    assert cli("as-of", now.isoformat(), "--guild", service["tasks"][0]["state"]["definition.guild_id"], "--json").json[
        "counts"
    ] == {"paused": 1}
    assert "paused" in cli("as-of", now.isoformat()).out
    assert "status" in cli("as-of", now.isoformat(), "One").out
    assert "tasks: none; open runs: 0\nprocesses up: none" in cli("as-of", "2020-01-01T00:00").out
    assert cli("as-of", "0", "--json").json["tasks"] == []
    assert cli("as-of", "0", "One").out == "The task did not exist then.\n"
    assert cli("as-of", "0", "One", "--guild", "1").code == 2


def test_what_changed_between_two_moments_is_shown_with_who_and_why(cli: Daybook) -> None:
    """Field by field."""
    cli.add("One", "--time", TIME)
    begun = cli.events()
    cli("tasks", "edit", "One", "--name", "Two", "--reason", "clearer")
    changes = cli("as-of", str(begun), "Two", "--compare-to", "9999", "--json").json
    [name] = [change for change in changes if change.get("field") == "definition.name"]
    assert (name["before"], name["after"], name["steps"][0]["by"], name["steps"][0]["reason"]) == (
        "One", "Two", "operator", "clearer",
    )  # fmt: skip
    shown = cli("as-of", str(begun), "--compare-to", "9999").out
    assert "clearer" in shown
    assert cli("as-of", "9998", "--compare-to", "9999").out == "Nothing changed.\n"


def test_what_was_undone_between_two_moments_is_told_command_by_command(cli: Daybook) -> None:
    """Nothing of the schedule differs in the end, and who changed it, when, to what and why is there all the same."""
    task_id = cli.add("One", "--time", TIME)
    begun = cli.events()
    cli("tasks", "edit", "One", "--time", "10:00", "--reason", "too early")
    cli("tasks", "edit", "One", "--time", TIME, "--reason", "not at all")
    cli("tasks", "edit", "One", "--name", "Two")
    told = cli("as-of", str(begun), "--compare-to", "now", "--json").json
    assert not [one for one in told if one.get("field", "").startswith("schedule")]
    [commands] = [one for one in told if "commands" in one]
    assert (commands["stream"], commands["existed_before"], commands["commands_left_out"]) == (task_id, True, 0)
    said = [(one["what"], one["by"], one["reason"]) for one in commands["commands"]]
    there, back = f"every day at {TIME} in UTC", "every day at 10:00 in UTC"
    assert said == [
        (f"schedule: {there} -> {back}", "operator", "too early"),
        (f"schedule: {back} -> {there}", "operator", "not at all"),
        ("name: One -> Two", "operator", None),
    ]
    shown = cli("as-of", str(begun), "--compare-to", "now").out
    assert all(word in shown for word in ("too early", "not at all", f"{back} -> {there}", "name: One -> Two"))


def test_a_task_that_is_new_is_one_line_of_the_difference(cli: Daybook) -> None:
    """It did not exist, and who made it when; programs are told every field."""
    cli.add("One", "--time", TIME)
    begun = cli.events()
    task_id = cli.add("Two", "--time", TIME)
    before, _, after = cli("as-of", str(begun), "--compare-to", "now").out.partition("Commands in between:")
    [row] = [line for line in before.splitlines() if line.startswith("Two")]
    assert re.search(rf"did not exist +active: every day at {TIME} in UTC .* created +operator", row)
    assert re.search(rf"Two .* created +every day at {TIME} in UTC +operator", after)
    told = cli("as-of", str(begun), "--compare-to", "now", "--json").json
    assert [one["existed_before"] for one in told if "commands" in one] == [False]
    assert ("schedule.time", TIME) in [(one.get("field"), one.get("after")) for one in told]
    assert [one["stream"] for one in told if "commands" in one] == [task_id]


def test_values_that_changed_are_shown_as_people_read_them(cli: Daybook) -> None:
    """A schedule in words, places and channels by name, nothing of how programs write it."""
    cli.add("One", "--time", TIME)
    begun = cli.events()
    cli("tasks", "edit", "One", "--days", "mon,fri", "--to", "console", "--to", "file:reports")
    shown = cli("as-of", str(begun), "--compare-to", "now").out
    assert f"every Monday and Friday at {TIME} in UTC" in shown
    assert "console; file:reports" in shown
    for sign in ("{", "[", "'", "None", "…"):
        assert sign not in shown


def test_of_very_many_commands_the_last_are_told_and_the_others_counted(cli: Daybook) -> None:
    """Nobody reads a thousand lines; how many there were is said."""
    cli.add("One")
    begun = cli.events()
    for number in range(12):
        cli("tasks", "pause", "One", "--reason", f"reason {number}")
        cli("tasks", "resume", "One")
    shown = cli("as-of", str(begun), "--compare-to", "now").out
    assert "and 4 more before" in shown
    assert "reason 1 " not in shown
    assert "reason 11" in shown


@pytest.mark.parametrize(
    ("moment", "words"), [("999", "position 999 is yet to come"), ("2999-01-01T00:00", "is yet to come")]
)
def test_a_moment_beyond_the_present_is_said_to_be_so(cli: Daybook, moment: str, words: str) -> None:
    """The answer is that of the present, with a note beside it; programs read it alike."""
    cli.add("One", "--every", "1h")
    for arguments in ((moment,), (moment, "One"), (moment, "--json"), ("1", "--compare-to", moment)):
        told = cli("as-of", *arguments)
        assert told.code == 0, told.err
        assert words in told.err
    assert cli("as-of", "1").err == ""


@pytest.mark.parametrize("start", ["0001-01-01", "0001-01-01T00:00+14:00", "9999-12-31T23:59-12:00"])
def test_the_first_and_the_last_instants_that_can_be_written_overflow_nowhere(cli: Daybook, start: str) -> None:
    """An account from the first year on is one of everything; what lies outside of all years is refused."""
    cli.add("One", "--every", "1h")
    for arguments in (("account", "--from", start), ("account", "One", "--from", start), ("as-of", start)):
        told = cli(*arguments)
        assert told.code in (0, 1, 2), told.err
        assert "Traceback" not in told.err


def test_an_erased_task_is_answered_for_by_its_id(tmp_path: Path) -> None:
    """That it was erased, when, by whom, and its numbers; nothing of what it was."""
    cli = Daybook(tmp_path / "data")
    task_id = cli.add("Morning", "--time", "09:00", "--to", "file")
    assert cli("tasks", "run", "Morning").code == 0
    [task] = cli("tasks", "list", "--json").json
    assert cli("erase", "guild", task["guild_id"], "--yes").code == 0
    why = cli("why", task_id, "--at", "2026-11-01T09:00", "--json").json
    assert why["reason"] == "erased"
    assert "operator erased guild" in why["evidence"][0]["words"]
    history = cli("history", task_id)
    assert "task.executed: [erased]" in history.out
    assert "its numbers stay: 1 executed, 0 failed, 0 without a result; 0 slots left out" in history.out
    report = cli("report", task_id, "--format", "json").json
    [told] = report["tasks"]
    assert (told["name"], told["status"]) == ("[erased]", "cancelled")
    assert report["account"]["on_request"] == {"executed": 1}
    assert "the task was erased at" in cli("report", task_id).out
    for question in (["why", "--at", "2026-11-01T09:00"], ["history"], ["report"], ["account"]):
        assert cli(question[0], task_id[:8], *question[1:]).code == 0
        assert "Morning" not in cli(question[0], task_id, *question[1:]).out
