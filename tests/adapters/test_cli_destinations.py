"""``daybook destinations`` and ``daybook guild``: real messages, what came back, and who is told of failures."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from infrastructure.masking import MASK, masked
from tests.adapters.cli_runner import Daybook
from tests.adapters.smtp_servers import mail_server, scripted_server
from tests.discord_double import Channel, DiscordDouble, Guild, Permission, discord_double


@pytest.fixture
def cli(tmp_path: Path) -> Daybook:
    """The command line on an empty folder."""
    return Daybook(tmp_path / "data")


def mailing(folder: Path, port: int, **more: str) -> Daybook:
    """The command line with a mail server nearby."""
    settings = {
        "DAYBOOK_SMTP_HOST": "127.0.0.1",
        "DAYBOOK_SMTP_PORT": str(port),
        "DAYBOOK_SMTP_SECURITY": "none",
        "DAYBOOK_SMTP_SENDER": "daybook@example.org",
    }
    return Daybook(folder / "data", settings | more)


def test_a_file_takes_a_test_message_and_its_path_is_the_receipt(cli: Daybook) -> None:
    """The file is really there, and says that it is a test."""
    ended = cli("destinations", "test", "file:weekly", "--guild", "42", "--json")
    assert ended.code == 0, ended.err
    assert (ended.json["status"], ended.json["type"], ended.json["guild_id"]) == ("delivered", "file", "42")
    assert "This is a test" in (cli.folder / "summaries" / ended.json["receipt"]).read_text(encoding="utf-8")
    assert cli("destinations", "test", "file:weekly", "--guild", "42").out.startswith("file: delivered (42/weekly/")


def test_every_test_is_sent_anew_and_none_is_written_down(cli: Daybook) -> None:
    """Two tests are two files; the log and the history know nothing of them."""
    cli.add("One")
    events = cli.events()
    for _ in range(2):
        assert cli("destinations", "test", "file", "--guild", "42").code == 0
    assert len(list((cli.folder / "summaries" / "42").iterdir())) == 2
    assert cli.events() == events


def test_a_console_prints_beside_the_document(cli: Daybook) -> None:
    """What the test prints does not spoil the JSON."""
    ended = cli("destinations", "test", "console;format=text", "--guild", "42", "--json")
    assert ended.json["receipt"] == "console"
    assert "This is a test" in ended.err


def test_a_host_that_does_not_listen_is_a_transient_failure_with_exit_code_1(tmp_path: Path) -> None:
    """What was wrong is said; the token in the URL is not."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{closed.getsockname()[1]}"
        cli = Daybook(tmp_path / "data", {"DAYBOOK_ALLOWED_HOSTS": place})
        ended = cli("destinations", "test", f"webhook:https://{place}/canary-token", "--guild", "42")
        told = cli("destinations", "test", f"webhook:https://{place}/canary-token", "--guild", "42", "--json")
    assert ended.code == told.code == 1
    assert "failed (transient" in ended.out
    assert (told.json["status"], told.json["permanent"]) == ("failed", False)
    assert "canary" not in ended.out + ended.err + told.out + told.err


@pytest.mark.parametrize(
    "place", ["webhook:https://169.254.169.254/latest", "file:../../etc", "email:ann@example.org", "discord_channel:1"]
)
def test_what_can_never_be_delivered_to_is_refused_with_the_reason(cli: Daybook, place: str) -> None:
    """A private address, a path out of the folder, and kinds that this process has no channel for."""
    ended = cli("destinations", "test", place, "--guild", "42")
    assert ended.code == (1 if place.startswith(("email", "discord")) else 2)  # a setting is missing
    assert ended.err.startswith("error: ")


async def test_an_email_arrives_and_a_refused_address_is_permanent(tmp_path: Path) -> None:
    """The mail server's own words come back."""
    async with mail_server() as inbox:
        cli = mailing(tmp_path, inbox.port)
        ended = await asyncio.to_thread(cli, "destinations", "test", "email:ann@example.org", "--guild", "42")
    assert ended.code == 0, ended.out + ended.err
    assert "queued as 4F3C2A" in ended.out
    assert inbox.only.recipients == ["ann@example.org"]
    async with scripted_server(RCPT="550 no such person") as server:
        cli = mailing(tmp_path, server.port)
        ended = await asyncio.to_thread(cli, "destinations", "test", "email:bob@example.org", "--guild", "42", "--json")
    assert ended.code == 1
    assert (ended.json["status"], ended.json["permanent"]) == ("failed", True)
    assert "no such person" in ended.json["reason"]


def test_destinations_are_listed_with_what_became_of_the_last_delivery(cli: Daybook) -> None:
    """Also those of tasks that never ran."""
    cli.add("Morning", "--to", "file:a", "--to", "console;format=text", "--min-messages", "1", "--hours", "8000")
    cli.add("Evening", "--to", "file:b")
    assert cli("tasks", "run", "Morning").code == 0
    listed = {(one["task"], one["type"]): one for one in cli("destinations", "list", "--json").json}
    assert len(listed) == 3
    assert listed["Morning", "file"]["last"]["status"] == "delivered"
    assert listed["Morning", "console"]["last"]["receipt"] == "console"
    assert listed["Evening", "file"]["last"] is None
    assert {one["state"] for one in listed.values()} == {"on"}
    table = cli("destinations", "list").out
    assert "file:a" in table
    assert "never" in table
    assert Daybook(cli.folder)("destinations", "list", "--guild", "nobody").out == "no task has a destination\n"


def test_a_guild_is_told_where_it_wants_and_keeps_what_was_not_given(cli: Daybook) -> None:
    """Time zone and notices change one without the other; a webhook's token goes to the vault."""
    cli.add("One")
    assert cli("guild", "set", "42", "--timezone", "Europe/Berlin").code == 0
    ended = cli("guild", "set", "42", "--notify", "file:trouble", "--notify", "webhook:https://example.org/canary-tok")
    assert ended.code == 0, ended.err
    assert "Europe/Berlin" in ended.out
    assert "file:trouble; webhook:example.org" in ended.out
    settings = cli("guild", "show", "42", "--json").json["settings"]
    assert settings["timezone"] == "Europe/Berlin"
    assert [one["type"] for one in settings["failure_notices"]] == ["file", "webhook"]
    assert "canary" not in ended.out + str(settings)
    emptied = cli("guild", "set", "42", "--notify-nobody", "--timezone", "", "--json").json["settings"]
    assert (emptied["timezone"], emptied["failure_notices"]) == (None, [])
    assert "nobody" in cli("guild", "show", "42").out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "nothing to change"),
        (("--timezone", "Mars/Base"), "Mars/Base"),
        (("--notify", "pigeon:1"), "no known kind"),
        (("--notify", "file", "--notify-nobody"), "contradicts"),
        (("--notify", "webhook:https://10.0.0.1/x"), "target"),
    ],
)
def test_settings_that_cannot_be_are_refused(cli: Daybook, arguments: tuple[str, ...], said: str) -> None:
    """Nothing is changed."""
    ended = cli("guild", "set", "42", *arguments)
    assert ended.code == 2
    assert said in ended.err


@pytest.mark.parametrize(
    ("changed", "variable"),
    [
        ({"DAYBOOK_SMTP_HOST": "mail server"}, "DAYBOOK_SMTP_HOST"),
        ({"DAYBOOK_SMTP_SENDER": "nobody"}, "DAYBOOK_SMTP_SENDER"),
        (
            {
                "DAYBOOK_SMTP_HOST": "mail.example.org",
                "DAYBOOK_SMTP_USERNAME": "u",
                "DAYBOOK_SMTP_PASSWORD": "canary-password-1",
            },
            "DAYBOOK_SMTP_PASSWORD",
        ),
    ],
)
def test_a_mail_server_that_cannot_be_is_named_by_its_variable(
    tmp_path: Path, changed: dict[str, str], variable: str
) -> None:
    """One line says which setting is wrong; the password is not shown."""
    ended = mailing(tmp_path, 25, **changed)("guild", "set", "42", "--timezone", "UTC")
    assert ended.code == 1
    assert ended.err.startswith(f"error: {variable}: ")
    assert "canary" not in ended.err


def test_the_password_of_the_mail_server_is_masked_wherever_it_turns_up(tmp_path: Path) -> None:
    """It has no pattern: it is known by heart."""
    password = "plain canary words 7"
    mailing(tmp_path, 25, DAYBOOK_SMTP_USERNAME="u", DAYBOOK_SMTP_PASSWORD=password)(
        "guild", "set", "42", "--notify-nobody"
    )
    assert masked(f"the server said: {password}?") == f"the server said: {MASK}?"


# --- Discord ----------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def village() -> AsyncIterator[tuple[DiscordDouble, Guild]]:
    """A double of Discord that every client of this process talks to."""
    async with discord_double() as double:
        yield double, double.world.add_guild("Village")


def with_token(folder: Path, token: str) -> Daybook:
    """The command line of an operator who set the token."""
    return Daybook(folder / "data", {"DISCORD_TOKEN": token})


async def test_a_channel_a_thread_and_a_person_of_discord_take_a_test_message(tmp_path: Path) -> None:
    """Each through a real client that has no gateway; what comes back is the id of the message."""
    async with village() as (double, guild):
        world = double.world
        square = world.add_channel(guild, "square")
        thread = world.add_thread(square, "talk")
        ann = world.add_user("ann")
        world.add_member(guild, ann)
        cli = with_token(tmp_path, world.token)
        for place, kind in ((square, "channel"), (thread, "channel"), (ann, "dm")):
            sent = await asyncio.to_thread(
                cli, "destinations", "test", f"discord_{kind}:{place.id}", "--guild", str(guild.id), "--json"
            )
            assert sent.code == 0, sent.err + sent.out
            [message] = (place if isinstance(place, Channel) else world.conversation(place)).messages
            assert sent.json["receipt"] == str(message.id)
            assert message.embeds[0]["title"] == "Test of a destination"
        assert double.gateway.sessions == {}


async def test_what_discord_says_instead_is_passed_on(tmp_path: Path) -> None:
    """An unknown channel, and one where the bot may not write: Discord's words, permanent, exit code 1."""
    async with village() as (double, guild):
        silent = double.world.add_channel(guild, "silent")
        double.world.deny(silent, Permission.SEND_MESSAGES)
        cli = with_token(tmp_path, double.world.token)
        for channel_id, words in ((silent.id, "Missing Permissions"), (999, "Unknown Channel")):
            sent = await asyncio.to_thread(
                cli, "destinations", "test", f"discord_channel:{channel_id}", "--guild", str(guild.id)
            )
            assert sent.code == 1
            assert "failed (permanent" in sent.out
            assert words in sent.out
            assert double.world.token not in sent.out + sent.err


async def test_a_token_that_discord_refuses_is_said_and_not_shown(tmp_path: Path) -> None:
    """One line, exit code 1, and where to get another one; no store was made."""
    async with village() as (_, guild):
        sent = await asyncio.to_thread(
            with_token(tmp_path, "wrong-token-of-somebody"),
            "destinations", "test", "discord_channel:1", "--guild", str(guild.id),
        )  # fmt: skip
    assert sent.code == 1
    assert "DISCORD_TOKEN: '(hidden)' is refused by Discord" in sent.err
    assert "wrong-token" not in sent.out + sent.err
    assert not (tmp_path / "data").exists()


def test_without_a_token_the_command_says_what_to_set(tmp_path: Path) -> None:
    """Nothing is made and nothing is tried."""
    for kind in ("channel", "dm"):
        sent = Daybook(tmp_path / "data", {"DISCORD_TOKEN": ""})(
            "destinations", "test", f"discord_{kind}:1", "--guild", "1"
        )
        assert sent.code == 1
        assert "DISCORD_TOKEN" in sent.err
        assert "set it to the token of your bot" in sent.err
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("format", ["text", "json"])
def test_an_email_without_a_mail_server_names_the_setting(tmp_path: Path, format: str) -> None:
    """Exit code 1, and what to set, instead of a list of what else there is."""
    more = ("--json",) if format == "json" else ()
    sent = Daybook(tmp_path / "data")("destinations", "test", "email:ann@example.org", "--guild", "42", *more)
    assert sent.code != 0
    assert "DAYBOOK_SMTP_HOST" in sent.err
    assert "DAYBOOK_SMTP_SENDER" in sent.err
