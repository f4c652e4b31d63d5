"""Mail servers that misbehave: every failure is told as what it is, and none shows a secret."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import traceback
from datetime import timedelta
from typing import Any

import pytest

from adapters.egress import HostGates, Phase
from domain.errors import DeliveryFailed
from tests.adapters.smtp_servers import CUT, HANG, PASSWORD, USERNAME, ScriptedServer, encoded, scripted_server
from tests.adapters.test_email_delivery import a_delivery, a_request
from tests.doubles import EARLY, HandClock

BEFORE = ["greeting", "EHLO", "AUTH", "MAIL", "RCPT", "DATA"]
LOGIN: dict[str, Any] = {"username": USERNAME, "password": PASSWORD}


async def failure_of(server: ScriptedServer, **changes: Any) -> DeliveryFailed:
    """What one delivery fails with."""
    with pytest.raises(DeliveryFailed) as failure:
        await a_delivery(server.port, **(LOGIN | changes)).deliver(a_request())
    return failure.value


async def test_the_scripted_server_is_a_mail_server_while_nothing_is_scripted() -> None:
    """The failures below come from the script and from nothing else."""
    async with scripted_server() as server:
        delivery = a_delivery(server.port, **LOGIN)
        assert (await delivery.deliver(a_request())).endswith("2.0.0 Ok: queued as 77")
        await delivery.close()
    assert [command.split(" ")[0] for command in server.commands] == ["EHLO", "AUTH", "MAIL", "RCPT", "DATA", "QUIT"]
    assert server.commands[0] == "EHLO sender.example"
    assert len(server.messages) == 1


@pytest.mark.parametrize("step", BEFORE)
async def test_a_cut_before_the_message_is_transient_and_clear(step: str) -> None:
    """Nothing was sent yet: it can be sent again without a doubt."""
    async with scripted_server(**{step: CUT}) as server:
        failure = await failure_of(server)
    assert (failure.permanent, failure.ambiguous) == (False, False)
    assert server.messages == []


async def test_a_cut_after_the_message_leaves_it_in_doubt() -> None:
    """The server had the whole message: whether it is on its way cannot be told."""
    async with scripted_server(message=CUT) as server:
        failure = await failure_of(server)
    assert (failure.permanent, failure.ambiguous) == (False, True)
    assert len(server.messages) == 1


@pytest.mark.parametrize("step", BEFORE)
async def test_silence_before_the_message_ends_in_time_and_is_clear(step: str) -> None:
    """A server that hangs costs its time and nothing else."""
    async with scripted_server(**{step: HANG}) as server:
        failure = await failure_of(server, timeout_seconds=0.2)
    assert "did not answer within 0.2 s" in failure.reason
    assert (failure.permanent, failure.ambiguous) == (False, False)


async def test_silence_after_the_message_leaves_it_in_doubt() -> None:
    """No answer to the whole message is not a no."""
    async with scripted_server(message=HANG) as server:
        failure = await failure_of(server, timeout_seconds=0.2)
    assert (failure.permanent, failure.ambiguous) == (False, True)
    assert len(server.messages) == 1


@pytest.mark.parametrize("step", [*BEFORE, "message"])
@pytest.mark.parametrize(
    "garbage", ["HTTP/1.1 400 Bad Request", "999 what", "\x00\xff\udcfe", "25", "", "250-" + "x" * 20_000, "xyz ok"]
)
async def test_garbage_is_no_answer(step: str, garbage: str) -> None:
    """What is not understood is transient; after the message it leaves the message in doubt."""
    async with scripted_server(**{step: garbage}) as server:
        failure = await failure_of(server, timeout_seconds=0.5)
    assert not failure.permanent
    assert failure.ambiguous == (step == "message")
    assert failure.reason.isprintable()
    assert len(failure.reason) < 400


@pytest.mark.parametrize("step", ["RCPT", "DATA", "message"])
@pytest.mark.parametrize(("code", "permanent"), [(421, False), (450, False), (452, False), (550, True), (552, True)])
async def test_a_refusal_is_permanent_or_transient_by_its_code(step: str, code: int, permanent: bool) -> None:
    """4xx: later perhaps; 5xx: never. A server that says no has not taken the message, so there is no doubt."""
    async with scripted_server(**{step: f"{code} 5.0.0 no such thing"}) as server:
        failure = await failure_of(server)
    assert (failure.permanent, failure.ambiguous) == (permanent, False)
    assert f"answered {code}: 5.0.0 no such thing" in failure.reason


@pytest.mark.parametrize("code", [454, 421])
async def test_a_login_that_cannot_be_checked_now_may_be_later(code: int) -> None:
    """A server in trouble of its own is tried again like any other."""
    async with scripted_server(AUTH=f"{code} 4.7.0 no") as server:
        failure = await failure_of(server)
    assert (failure.permanent, failure.ambiguous, failure.postponed) == (False, False, False)


@pytest.mark.parametrize(
    ("script", "setting"),
    [
        ({"AUTH": "535 5.7.8 authentication failed"}, "DAYBOOK_SMTP_USERNAME or DAYBOOK_SMTP_PASSWORD"),
        ({"AUTH": "534 5.7.9 application-specific password required"}, "DAYBOOK_SMTP_PASSWORD"),
        ({"EHLO": "250 mail.test"}, "DAYBOOK_SMTP_USERNAME"),  # no login is offered
        ({"MAIL": "530 5.7.0 authentication required"}, "DAYBOOK_SMTP_USERNAME"),
        ({"MAIL": "553 5.7.1 sender address not owned by user"}, "DAYBOOK_SMTP_SENDER"),
        ({"greeting": "554 5.7.1 you are not welcome"}, "DAYBOOK_SMTP_HOST"),
        ({"RCPT": "530 5.7.0 authentication required"}, "DAYBOOK_SMTP_USERNAME"),
        ({"RCPT": "554 5.7.1 Relay access denied"}, "DAYBOOK_SMTP_USERNAME"),
        ({"RCPT": "550 5.7.1 Unable to relay"}, "DAYBOOK_SMTP_USERNAME"),
    ],
    ids=str,
)
async def test_what_the_operator_has_to_mend_is_held_against_no_address(
    script: dict[str, str], setting: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A password that was changed at the server: not for good, counted as no failure, and it says what to mend."""
    async with scripted_server(**script) as server:
        failure = await failure_of(server)
    assert (failure.permanent, failure.ambiguous, failure.postponed) == (False, False, True)
    assert setting in failure.reason.partition("the operator has to mend ")[2]
    assert failure.reason in caplog.text
    assert server.messages == []


async def test_a_server_that_refuses_the_operator_is_left_alone_until_that_is_mended() -> None:
    """Every further try could lock the account; hosts in trouble show what is to be done, and a probe finds it done."""
    clock = HandClock(EARLY)
    gates = HostGates(clock)
    async with scripted_server(AUTH="535 5.7.8 authentication failed") as server:
        delivery = a_delivery(server.port, gates=gates, **LOGIN)
        for _ in range(5):
            with pytest.raises(DeliveryFailed):
                await delivery.deliver(a_request())
        [view] = gates.states().values()
        assert (view.phase, "DAYBOOK_SMTP_PASSWORD" in str(view.last_error)) == (Phase.OPEN, True)
        logins = len(server.commands)
        with pytest.raises(DeliveryFailed, match="left alone for now"):
            await delivery.deliver(a_request())
        assert len(server.commands) == logins
        server.script.clear()
        clock.move(timedelta(minutes=1))
        assert await delivery.deliver(a_request())
        await delivery.close()
    assert gates.states() == {}


async def test_nobody_listening_is_transient_and_clear() -> None:
    """A server that is being restarted comes back."""
    async with scripted_server() as server:
        port = server.port
    with pytest.raises(DeliveryFailed, match="could not be reached: Connection refused") as failure:
        await a_delivery(port).deliver(a_request())
    assert (failure.value.permanent, failure.value.ambiguous) == (False, False)


async def test_an_unknown_host_is_transient_and_clear() -> None:
    """Names fail to resolve for a while; the reason does not show the operator's host."""
    with pytest.raises(DeliveryFailed, match="could not be reached") as failure:
        await a_delivery(25, host="mail.invalid").deliver(a_request())
    assert (failure.value.permanent, failure.value.ambiguous) == (False, False)
    assert "mail.invalid" not in failure.value.reason


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        ("450 4.2.0 Greylisted, please try again in 5 minutes", 300),
        ("451 try again later, wait 90 seconds", 90),
        ("421 come back in 2 hours", 7200),
        ("450 retry after 300s", 300),
        ("450 again in 99999 hours", 86_400),
        ("450 4.7.1 try again later", None),
        ("450 limit reached after 3 messages", None),
        ("550 try again in 5 minutes", None),
    ],
)
async def test_a_server_that_names_a_time_is_heeded(answer: str, seconds: float | None) -> None:
    """Greylisting servers say how long; a final no asks for nothing."""
    async with scripted_server(RCPT=answer) as server:
        failure = await failure_of(server)
    assert failure.retry_after_seconds == seconds


@pytest.mark.parametrize("goodbye", [CUT, "500 what", "garbage", HANG])
async def test_a_bad_goodbye_takes_nothing_away(goodbye: str) -> None:
    """Once the server took the message it is delivered, however the conversation ends."""
    async with scripted_server(QUIT=goodbye) as server:
        delivery = a_delivery(server.port, **LOGIN)
        assert await delivery.deliver(a_request())
        await delivery.close()
        await delivery.close()
    assert len(server.messages) == 1


async def test_a_hanging_server_is_left_when_the_delivery_is_cancelled() -> None:
    """A deadline or a shutdown ends the conversation at once, before anything was sent."""
    async with scripted_server(RCPT=HANG) as server:
        waiting = asyncio.ensure_future(a_delivery(server.port, **LOGIN).deliver(a_request()))
        await server.reached.wait()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    assert server.messages == []


async def test_no_more_connections_are_open_than_allowed() -> None:
    """A storm of results does not become a storm of connections; the rest waits for its turn."""
    async with scripted_server() as server:
        delivery = a_delivery(server.port, connections=2)
        await asyncio.gather(*(delivery.deliver(a_request()) for _ in range(8)))
        await delivery.close()
    assert server.most_open <= 2
    assert len(server.messages) == 8


async def test_waiting_for_a_turn_has_an_end() -> None:
    """When no connection becomes free in time, nothing was sent and it can be tried again."""
    async with scripted_server(RCPT=HANG) as server:
        delivery = a_delivery(server.port, connections=1, timeout_seconds=0.3)
        held = asyncio.ensure_future(delivery.deliver(a_request()))
        await server.reached.wait()
        outcomes = await asyncio.gather(held, delivery.deliver(a_request()), return_exceptions=True)
    assert all(isinstance(outcome, DeliveryFailed) and not outcome.ambiguous for outcome in outcomes)


async def test_a_failed_delivery_gives_its_place_back() -> None:
    """Failures do not use up the connections."""
    async with scripted_server(RCPT="550 no") as server:
        delivery = a_delivery(server.port, connections=1)
        for _ in range(4):
            with pytest.raises(DeliveryFailed, match="550"):
                await delivery.deliver(a_request())


ECHOES = [
    {"AUTH": "535 5.7.8 bad login for {echo}"},
    {"AUTH": f"535 wrong password {PASSWORD} of {USERNAME}"},
    {"RCPT": f"550 <other.person@private.example> is full, {PASSWORD}"},
    {"MAIL": "550 ask postmaster@private.example or <other.person@private.example>"},
    {"message": f"554 rejected\r\n{encoded(PASSWORD)} other.person@private.example"},
    {"greeting": f"554 {PASSWORD}\u2028\x1b[2J other.person@private.example"},
    {"DATA": f"xyz {PASSWORD} other.person@private.example"},
]


@pytest.mark.parametrize("script", ECHOES)
async def test_no_error_and_no_log_shows_a_password_or_an_address(
    script: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever a server repeats, neither reason nor traceback nor log holds what is secret or of others."""
    caplog.set_level(logging.DEBUG)
    async with scripted_server(**script) as server:
        failure = await failure_of(server)
    assert failure.__cause__ is None
    assert failure.__context__ is None
    shown = "".join(traceback.format_exception(failure)) + repr(vars(failure)) + caplog.text
    for secret in (PASSWORD, USERNAME, encoded(PASSWORD), encoded(f"\0{USERNAME}\0{PASSWORD}"), "private.example"):
        assert secret not in shown
    assert failure.reason.isprintable()


@pytest.mark.parametrize(
    ("script", "failures"),
    [
        ({}, 0),
        ({"RCPT": "550 5.1.1 no such user"}, 0),
        ({"RCPT": "451 4.7.1 greylisted, try again in 5 minutes"}, 0),
        ({"RCPT": "554 5.7.1 Relay access denied"}, 0),  # others may be its own
        ({"AUTH": "535 5.7.8 wrong"}, 1),  # it is there, and of no use to anybody until the operator mends it
        ({"greeting": "421 4.3.2 shutting down"}, 1),
        ({"greeting": CUT}, 1),
        ({"DATA": HANG}, 1),
        ({"message": CUT}, 1),
        ({"EHLO": "what?"}, 1),
    ],
    ids=str,
)
async def test_a_server_that_says_no_is_there_and_one_that_says_nothing_is_not(
    script: dict[str, str], failures: int
) -> None:
    """What one address is refused must not keep the others' mail back; a server that is away is left alone in time."""
    gates = HostGates(HandClock(EARLY))
    async with scripted_server(**script) as server:
        delivery = a_delivery(server.port, timeout_seconds=0.2, gates=gates, **LOGIN)
        with contextlib.suppress(DeliveryFailed):
            await delivery.deliver(a_request())
        await delivery.close()
    seen = [view.consecutive_failures for view in gates.states().values()]
    assert seen == [failures] * bool(failures)


@pytest.mark.parametrize("step", ["greeting", "DATA", "message"])
async def test_a_hanging_server_is_given_up_before_the_deadline_of_the_delivery(step: str) -> None:
    """However patient the settings are: what became of the message is known, not guessed when a deadline strikes."""
    async with scripted_server(**{step: HANG}) as server:
        delivery = a_delivery(server.port, timeout_seconds=600, deadline=timedelta(seconds=1), **LOGIN)
        async with asyncio.timeout(1):
            with pytest.raises(DeliveryFailed) as failure:
                await delivery.deliver(a_request())
    assert failure.value.ambiguous == (step == "message")
