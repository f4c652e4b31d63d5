"""The message: text, with HTML beside it, in plain ASCII on the wire."""

from __future__ import annotations

import re
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from hashlib import blake2b

from adapters.email_delivery.address import address_domain
from adapters.rendering import Renderer, cut, one_line
from adapters.rendering.words import Details
from application.ports import DeliveryRequest
from domain.event import utc

__all__ = ["FORMATS", "build_message", "message_id"]

FORMATS = ("embed", "html", "markdown", "text")
"""embed and html are text with HTML beside it; markdown and text are plain."""

_POLICY = SMTP.clone(cte_type="7bit")
"""Every server takes 7 bit; nothing is encoded anew on the way."""
_SUBJECT_LIMIT = 150
_TEXT_LIMIT = 1_000_000
_PLAIN = re.compile(r"[0-9a-zA-Z][0-9a-zA-Z-]{0,39}")
_LINE = 70


def build_message(
    request: DeliveryRequest, *, sender: Address, recipient: str, renderer: Renderer, now: datetime
) -> bytes:
    """The whole message with CRLF line ends; equal tries have equal Message-IDs. ``now`` is the Date (aware)."""
    domain = address_domain(sender.addr_spec)
    message = EmailMessage(policy=_POLICY)
    message["From"] = sender
    message["To"] = Address(addr_spec=recipient)
    message["Subject"] = _subject(request)
    message["Date"] = format_datetime(utc(now))
    message["Message-ID"] = message_id(request, domain)
    # No holiday notes in answer (RFC 3834; Exchange has a header of its own), and something to sort by (RFC 2919).
    message["Auto-Submitted"] = "auto-generated"
    message["X-Auto-Response-Suppress"] = "All"
    message["List-Id"] = _list_id(_plain(request.task_id), domain)
    message["X-Daybook-Run"] = _plain(request.run_id)
    details: Details = {"timezone": request.timezone, "task_name": request.task_name, "run_id": request.run_id}
    plain = renderer.markdown if request.destination.format == "markdown" else renderer.text
    message.set_content(_shortened(plain(request.summary, **details)))
    if request.destination.format in ("embed", "html"):
        message.add_alternative(renderer.html(request.summary, **details), subtype="html")
    return message.as_bytes()


def message_id(request: DeliveryRequest, domain: str) -> str:
    """The Message-ID, equal in every try of one delivery."""
    return f"<{_plain(request.key)}@{domain}>"


def _list_id(task: str, domain: str) -> str:
    # Longer than a line it would be folded into encoded words, which no filter reads; localhost stands for no domain.
    wanted = f"<{task}.daybook.{domain}>"
    return wanted if len(wanted) <= _LINE else f"<{task}.daybook.localhost>"


def _subject(request: DeliveryRequest) -> str:
    title = one_line(request.summary.title) or one_line(request.task_name) or "Summary"
    return cut(title, _SUBJECT_LIMIT)


def _shortened(text: str) -> str:
    return text if len(text) <= _TEXT_LIMIT else text[:_TEXT_LIMIT] + "\n(shortened)\n"


def _plain(text: str) -> str:
    """The text where it can stand in an identifier, else a digest of it."""
    if _PLAIN.fullmatch(text):
        return text
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
