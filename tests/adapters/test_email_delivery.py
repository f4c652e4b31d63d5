"""E-mail against real servers: what arrives is what was meant, to one person, encrypted where that was asked for."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from email.headerregistry import AddressHeader
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from adapters.email_delivery import EmailDelivery, SmtpServer
from application.ports import DeliveryRequest
from domain.destination import Destination, DestinationType, delivery_key
from domain.errors import DeliveryFailed, InvalidDestination
from domain.summary import Point, Summary
from tests.adapters.smtp_servers import PASSWORD, USERNAME, Certificate, Inbox, mail_server, make_certificate
from tests.doubles import HandClock

SLOT = datetime(2026, 3, 29, 7, 0, tzinfo=UTC)
NOW = SLOT + timedelta(minutes=1)
SENDER = "Daybook Bot <daybook@sender.example>"


def a_request(target: str = "ana@example.org", *, format: str = "embed", **changes: Any) -> DeliveryRequest:
    destination = Destination(type=DestinationType.EMAIL, target=target, format=format)
    summary = Summary(
        id="s",
        summary_text=changes.pop("text", "Two people spoke."),
        key_points=(Point(text="A point", author="Ana", url="https://discord.com/channels/1/2/3"),),
        message_count=2,
        start_time=SLOT,
        end_time=SLOT,
    )
    values: dict[str, Any] = {
        "key": delivery_key("run-1", destination.key),
        "run_id": "run-1",
        "task_id": "task-1",
        "task_name": "Daily digest",
        "guild_id": "42",
        "destination": destination,
        "summary": summary,
        "slot": SLOT,
        "timezone": "Europe/Berlin",
    }
    return DeliveryRequest(**(values | changes))


def a_server(port: int, security: Any = "none", **changes: Any) -> SmtpServer:
    return SmtpServer(**({"host": "127.0.0.1", "port": port, "security": security, "sender": SENDER} | changes))


def a_delivery(port: int, security: Any = "none", tls: Certificate | None = None, **changes: Any) -> EmailDelivery:
    context = None if tls is None else tls.client
    more = {name: changes.pop(name) for name in ("gates", "deadline") if name in changes}
    return EmailDelivery(a_server(port, security, **changes), HandClock(NOW), tls_context=context, **more)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


async def received(request: DeliveryRequest) -> Inbox:
    """The inbox after one delivery to a plain server."""
    async with mail_server() as inbox:
        delivery = a_delivery(inbox.port)
        await delivery.deliver(request)
        await delivery.close()
    return inbox


# --- the message -----------------------------------------------------------------------------------------------------


async def test_the_message_has_the_headers_that_people_and_filters_need() -> None:
    """Who, to whom, what, when, which, made by a program, of which task."""
    request = a_request()
    mail = (await received(request)).only
    assert (mail.sender, mail.recipients) == ("daybook@sender.example", ["ana@example.org"])
    message = mail.message
    assert message["From"] == SENDER
    assert message["To"] == "ana@example.org"
    assert message["Subject"] == "Daily digest"
    assert parsedate_to_datetime(message["Date"]) == NOW
    assert message["Message-ID"] == f"<{request.key}@sender.example>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["List-Id"] == "<task-1.daybook.sender.example>"
    assert message["X-Daybook-Run"] == "run-1"
    assert message["MIME-Version"] == "1.0"
    assert not message.defects


async def test_text_stands_beside_html() -> None:
    """Every mail client finds something it can show; the richer one comes last, as the standard asks."""
    mail = (await received(a_request())).only
    assert mail.message.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in mail.message.iter_parts()] == ["text/plain", "text/html"]
    assert "Two people spoke." in mail.text("plain")
    assert "Two people spoke." in mail.text("html")
    assert "2026-03-29 09:00 to 2026-03-29 09:00 (Europe/Berlin)" in mail.text("plain")
    assert '<a href="https://discord.com/channels/1/2/3"' in mail.text("html")


@pytest.mark.parametrize(
    ("format", "kind"),
    [
        ("embed", "multipart/alternative"),
        ("html", "multipart/alternative"),
        ("markdown", "text/plain"),
        ("text", "text/plain"),
    ],
)
async def test_each_format_has_its_parts(format: str, kind: str) -> None:
    """text and markdown come without HTML."""
    mail = (await received(a_request(format=format))).only
    assert mail.message.get_content_type() == kind
    assert "Two people spoke." in mail.text()
    assert mail.text().startswith("# Daily digest" if format == "markdown" else "Daily digest\n=====")


BODIES = [
    "\r\n.\r\nMAIL FROM:<x>",
    ".\n..\n.leading\n...",
    "From here\n.",
    "x" * 100_000,
    ("word " * 300 + "\n") * 20,
    "😀👩‍👩‍👧🇩🇪 emoji, Überblick, 日本語のまとめ, e\u0301",
    "הבדיקות עוברות · مرحبا بالعالم",
    "=3D =\n=?utf-8?q?x?= trailing space \nand tab\t\n",
    "\ud800 lone, \u2028 line, \0 nul, \x1b[2J",
    "",
]


@pytest.mark.parametrize("text", BODIES)
async def test_any_text_arrives_as_one_message_of_plain_ascii_lines(text: str) -> None:
    """Dots, very long lines, emoji and scripts of all directions survive; nothing ends the message early."""
    from adapters.rendering import clean

    mail = (await received(a_request(text=text))).only
    assert mail.raw.isascii()
    assert max(len(line) for line in mail.raw.split(b"\r\n")) <= 998
    assert b"\n" not in mail.raw.replace(b"\r\n", b"")
    assert b"\r\nMAIL FROM:<x>" not in mail.raw.split(b"\r\n\r\n")[0]
    for part in ("plain", "html"):
        assert mail.text(part)
    expected = clean(text).strip()
    assert expected in mail.text("plain")
    assert not mail.message.defects


@pytest.mark.parametrize(
    "title",
    [
        "Überblick 日報 😀",
        "שלום עולם",
        "x" * 1000,
        "日" * 1000,
        "word " * 100,
        "a\r\nBcc: x@y.z",
        "a\u2028Bcc: x@y.z",
        "=?utf-8?q?Bcc?=",
        "\0\x1b\ud800",
        "",
        '"quoted" <b@c.d>, e@f.g',
    ],
)
async def test_any_title_is_one_subject(title: str) -> None:
    """A title adds no header, however it is written, and is readable in the mail client."""
    mail = (await received(a_request(task_name=title))).only
    message = mail.message
    assert message["Bcc"] is None
    assert mail.recipients == ["ana@example.org"]
    head = mail.raw.split(b"\r\n\r\n")[0]
    assert max(len(line) for line in head.split(b"\r\n")) <= 998
    assert message["Subject"]
    if title in ("Überblick 日報 😀", "שלום עולם"):
        assert message["Subject"] == title
    assert len(message["Subject"]) <= 160


async def test_ids_of_any_form_and_long_domains_make_valid_headers() -> None:
    """What cannot stand in an identifier is replaced by a digest of it."""
    domain = ".".join(["d" * 60] * 3) + ".example"
    async with mail_server() as inbox:
        delivery = a_delivery(inbox.port, sender=f"daybook@{domain}")
        await delivery.deliver(a_request(key="k\r\nBcc: x@y.z", run_id="<r>\n", task_id="日"))
        await delivery.close()
    message = inbox.only.message
    assert message["Bcc"] is None
    assert message["Message-ID"].startswith("<")
    assert message["Message-ID"].endswith(f"@{domain}>")
    assert message["List-Id"].endswith(".daybook.localhost>")
    assert b"=?" not in inbox.only.raw.split(b"\r\n\r\n")[0].replace(b"From:", b"")


async def test_the_receipt_is_the_message_id_and_what_the_server_said() -> None:
    """Whoever looks for a message finds it in the logs of both sides."""
    request = a_request()
    async with mail_server() as inbox:
        delivery = a_delivery(inbox.port)
        receipts = [await delivery.deliver(request) for _ in range(2)]
        await delivery.close()
    assert receipts == [f"<{request.key}@sender.example> 2.0.0 Ok: queued as 4F3C2A"] * 2
    assert {mail.message["Message-ID"] for mail in inbox.messages} == {f"<{request.key}@sender.example>"}
    assert delivery.remembers(request.destination) == timedelta(0)


async def test_a_broken_template_costs_nobody_the_message(tmp_path: Path) -> None:
    """The built-in page is sent, and says which template is to be mended."""
    (tmp_path / "summary.html.j2").write_text("\n{{ titel }}")
    async with mail_server() as inbox:
        delivery = EmailDelivery(a_server(inbox.port), HandClock(NOW), tmp_path)
        await delivery.deliver(a_request())
        await delivery.close()
    page = inbox.only.message.get_body(("html",))
    assert page is not None
    assert "The template summary.html.j2, line 2 is broken" in page.get_content()


# --- encryption and login --------------------------------------------------------------------------------------------


async def test_starttls_and_login_work(certificate: Certificate) -> None:
    """The message crosses the network encrypted, and in the name of the user."""
    async with mail_server(certificate, login=True) as inbox:
        delivery = a_delivery(inbox.port, "starttls", certificate, username=USERNAME, password=PASSWORD)
        await delivery.deliver(a_request())
        await delivery.close()
    assert inbox.only.encrypted
    assert inbox.only.user == USERNAME


async def test_tls_from_the_first_byte_works(certificate: Certificate) -> None:
    """The way of port 465."""
    async with mail_server(certificate, login=True, implicit_tls=True) as inbox:
        delivery = a_delivery(inbox.port, "tls", certificate, username=USERNAME, password=PASSWORD)
        await delivery.deliver(a_request())
        await delivery.close()
    assert inbox.only.user == USERNAME


async def test_a_server_without_starttls_gets_nothing_when_it_is_asked_for(certificate: Certificate) -> None:
    """Encryption is never silently left out."""
    async with mail_server() as inbox:
        delivery = a_delivery(inbox.port, "starttls", certificate, username=USERNAME, password=PASSWORD)
        with pytest.raises(DeliveryFailed, match="STARTTLS extension not supported") as failure:
            await delivery.deliver(a_request())
    assert (failure.value.permanent, failure.value.ambiguous) == (False, False)
    assert inbox.messages == []


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_a_certificate_of_somebody_else_is_not_trusted(
    certificate: Certificate, tmp_path: Path, security: str
) -> None:
    """Neither an unknown issuer nor another name is accepted, and neither password nor message is sent."""
    other = make_certificate(tmp_path, "other.example")
    for trusted, shown in ((certificate, other), (other, other)):
        async with mail_server(shown, login=True, implicit_tls=security == "tls") as inbox:
            delivery = a_delivery(inbox.port, security, trusted, username=USERNAME, password=PASSWORD)
            with pytest.raises(DeliveryFailed, match="certificate of the mail server is not trusted") as failure:
                await delivery.deliver(a_request())
        assert (failure.value.permanent, failure.value.ambiguous) == (False, False)
        assert inbox.messages == []


async def test_the_systems_certificates_are_the_default(certificate: Certificate) -> None:
    """Without a context of its own, a delivery trusts no self-signed certificate."""
    async with mail_server(certificate) as inbox:
        with pytest.raises(DeliveryFailed, match="not trusted"):
            await a_delivery(inbox.port, "starttls").deliver(a_request())


async def test_a_wrong_password_is_the_operators_to_mend_and_shows_nothing(certificate: Certificate) -> None:
    """The reason says what is wrong, not what was given, and no address is blamed for it."""
    async with mail_server(certificate, login=True) as inbox:
        delivery = a_delivery(inbox.port, "starttls", certificate, username=USERNAME, password="wrongCANARY77")
        with pytest.raises(DeliveryFailed, match="refused the user name or the password") as failure:
            await delivery.deliver(a_request())
    assert (failure.value.permanent, failure.value.postponed) == (False, True)
    assert "CANARY" not in str(failure.value)
    assert inbox.messages == []


async def test_a_server_that_wants_a_login_is_understood(certificate: Certificate) -> None:
    """No user name where one is needed: not for good, with the server's words and the setting that is missing."""
    async with mail_server(certificate, login=True) as inbox:
        with pytest.raises(DeliveryFailed, match="530") as failure:
            await a_delivery(inbox.port, "starttls", certificate).deliver(a_request())
    assert (failure.value.permanent, failure.value.postponed) == (False, True)
    assert "DAYBOOK_SMTP_USERNAME" in failure.value.reason


# --- many at once ----------------------------------------------------------------------------------------------------


async def test_many_messages_at_once_all_arrive() -> None:
    """More than there are connections wait for their turn."""
    async with mail_server() as inbox:
        delivery = a_delivery(inbox.port, connections=3)
        requests = [a_request(key=delivery_key(f"run-{n}", "d")) for n in range(20)]
        receipts = await asyncio.gather(*(delivery.deliver(request) for request in requests))
        await delivery.close()
    assert len(set(receipts)) == len(inbox.messages) == 20


# --- who may be written to -------------------------------------------------------------------------------------------

BAD_ADDRESSES = [
    "a@b.c\r\nBcc: x@y.z",
    "a@b.c\u2028Bcc: x",
    "a@b.c\0",
    "a@b.c, x@y.z",
    "a@b.c,x@y.z",
    "a@b.c;x@y.z",
    '"x@y.z" <a@b.c>',
    "Ana <a@b.c>",
    "<a@b.c>",
    "a@[127.0.0.1]",
    "a@[IPv6:::1]",
    "a@127.0.0.1",
    "-oQ/tmp@b.c",
    "-a@b.c",
    "a@-b.c",
    "a@b-.c",
    "a@b..c",
    "a@.b.c",
    "a@b.c.",
    "a..b@c.d",
    ".a@c.d",
    "a.@c.d",
    "a@b",
    "a@localhost",
    "@b.c",
    "a@",
    "a",
    "",
    " a@b.c",
    "a@b.c ",
    "a b@c.d",
    '"a b"@c.d',
    '"a@x.y"@c.d',
    "a(comment)@b.c",
    "a@b@c.d",
    "a%x.y@b.c",
    "x.y!a@b.c",
    "a|b@c.d",
    "a`b`@c.d",
    "ä@b.c",
    "a@\u202eb.c",
    "a@b.c\u200b",
    "a@faß.de",
    "a@127。0。0。1",
    "a@\uff42.com",
    "a@①②⑦.example",
    "a@b_c.example",
    "a@" + "x" * 64 + ".example",
    "a" * 65 + "@b.c",
    "a@" + "x.y" * 100,
    "a@\ud800.c",
    "a@b.c\n",
    "a@b.c?bcc=x@y.z",
    "mailto:a@b.c",
    "=?utf-8?q?a?=@b.c",
]


@pytest.mark.parametrize("address", BAD_ADDRESSES)
async def test_everything_but_one_plain_address_is_refused(address: str) -> None:
    """When checked, with a remedy, and when delivered, for good and before anybody is connected to."""
    delivery = a_delivery(1)
    with pytest.raises(InvalidDestination) as refusal:
        delivery.check(a_request(address).destination, "42")
    assert refusal.value.field == "target"
    assert refusal.value.remedy
    assert "\n" not in str(refusal.value)
    with pytest.raises(DeliveryFailed) as failure:
        await delivery.deliver(a_request(address))
    assert failure.value.permanent
    assert not failure.value.ambiguous


@pytest.mark.parametrize(
    ("address", "sent_to"),
    [
        ("ana@example.org", "ana@example.org"),
        ("A.na+tag_x-y@Mail.Example.ORG", "A.na+tag_x-y@mail.example.org"),
        ("o'brien@example.org", "o'brien@example.org"),
        ("ana@müller.example", "ana@xn--mller-kva.example"),
        ("ana@MÜLLER.example", "ana@xn--mller-kva.example"),
        ("ana@xn--mller-kva.example", "ana@xn--mller-kva.example"),
        ("ana@例え.テスト", "ana@xn--r8jz45g.xn--zckzah"),
        ("1@2.example", "1@2.example"),
    ],
)
async def test_good_addresses_are_written_to_with_their_domain_in_ascii(address: str, sent_to: str) -> None:
    """Domains of any script are handed in as Punycode."""
    mail = (await received(a_request(address))).only
    assert mail.recipients == [sent_to]
    header = mail.message["To"]
    assert isinstance(header, AddressHeader)
    assert [one.addr_spec for one in header.addresses] == [sent_to]


# --- the server that is set up ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"host": "mail.example\r\nX"},
        {"host": ""},
        {"host": "-mail.example"},
        {"port": 0},
        {"port": 65_536},
        {"security": "ssl"},
        {"sender": "daybook"},
        {"sender": "A <a@b.c>, B <b@b.c>"},
        {"sender": "A\r\nBcc: x@y.z <a@b.c>"},
        {"username": "u"},
        {"password": "canaryCANARY"},
        {"host": "mail.example.org", "security": "none", "username": "u", "password": "canaryCANARY"},
        {"timeout_seconds": 0},
        {"connections": 0},
        {"passwort": "x"},
    ],
)
def test_a_server_that_cannot_be_meant_is_refused(changes: dict[str, Any]) -> None:
    """A password without encryption, a half login, a sender that is not one; no value is shown."""
    with pytest.raises(ValueError, match="SmtpServer") as refusal:
        a_server(**({"port": 25} | changes))
    assert "canaryCANARY" not in str(refusal.value)


def test_the_password_is_in_no_representation() -> None:
    """Neither the settings nor the delivery show it."""
    server = a_server(25, username=USERNAME, password=SecretStr(PASSWORD))
    delivery = EmailDelivery(server, HandClock(NOW))
    assert PASSWORD not in repr(server) + str(server) + repr(delivery) + server.model_dump_json() + repr(vars(delivery))


def test_the_library_is_loaded_only_to_send() -> None:
    """A service that sends no mail never imports aiosmtplib."""
    code = (
        "import sys; from adapters.email_delivery import EmailDelivery, SmtpServer; "
        "EmailDelivery(SmtpServer(host='m.example', sender='a@b.example'), None); "
        "print([name for name in ('aiosmtplib', 'jinja2') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    assert done.stdout.strip() == "[]"
