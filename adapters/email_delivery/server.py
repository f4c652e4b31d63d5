"""The mail server that an operator sends through."""

from __future__ import annotations

import ipaddress
import re
from email.headerregistry import Address
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator

from adapters.email_delivery.address import strict_address
from domain.errors import InvalidInput

__all__ = ["SmtpServer", "configured_server"]

_NAMED = re.compile(r"(?P<name>[^<>\"\x00-\x1f\x7f-\x9f\u2028\u2029]{1,100}) <(?P<address>[^<>]+)>")
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._:-]{0,251}[A-Za-z0-9])?")


class SmtpServer(BaseModel):
    """Where mail is handed in, and as whom.

    ``security``: "starttls" (the connection is encrypted before anything is said, or nothing is sent), "tls" (encrypted
    from the first byte) or "none" (only for a server nearby). ``sender`` is an address, or ``Name <address>``.
    ``timeout_seconds`` bounds the way to the message, and again the wait for the server's answer to it.
    ``connections`` is how many are open at once.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    host: str
    port: int = Field(default=587, ge=1, le=65_535)
    security: Literal["none", "starttls", "tls"] = "starttls"
    username: str | None = Field(default=None, max_length=320)
    password: SecretStr | None = None
    sender: str
    timeout_seconds: float = Field(default=25, gt=0, le=600)
    connections: int = Field(default=4, ge=1, le=100)

    @property
    def address(self) -> Address:
        """The sender as it stands in the header."""
        match = _NAMED.fullmatch(self.sender)
        name, address = (match["name"], match["address"]) if match else ("Daybook", self.sender)
        return Address(display_name=name.strip(), addr_spec=strict_address(address, "sender"))

    @field_validator("host")
    @classmethod
    def _a_host(cls, value: str) -> str:
        if not _HOST.fullmatch(value):
            raise ValueError("is no host name; give one like mail.example.org")
        return value

    @field_validator("sender")
    @classmethod
    def _an_address(cls, value: str) -> str:
        match = _NAMED.fullmatch(value)
        try:
            strict_address(match["address"] if match else value, "sender")
        except InvalidInput as error:
            raise ValueError(f"{error.problem}; {error.remedy}") from None
        return value

    @model_validator(mode="after")
    def _no_password_in_the_open(self) -> SmtpServer:
        if (self.username is None) != (self.password is None):
            raise ValueError("a user name and a password belong together; give both, or neither")
        if self.password is not None and self.security == "none" and not _is_loopback(self.host):
            raise ValueError("the password would cross the network in the open; use security starttls or tls")
        return self


def configured_server(prefix: str, **fields: Any) -> SmtpServer:
    """The server of settings whose variables begin with ``prefix``.

    Raises InvalidInput that names the variable and shows no value of it.
    """
    try:
        return SmtpServer(**fields)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
    # Raised outside of the handler: the chained error would carry the values.
    field = str(problem["loc"][0]) if problem["loc"] else "password"
    text = problem["msg"].removeprefix("Value error, ")
    wrong, _, remedy = text.partition("; ")
    hidden = "(hidden)" if field == "password" else fields.get(field)
    raise InvalidInput(f"{prefix}{field.upper()}", hidden, wrong, remedy)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
