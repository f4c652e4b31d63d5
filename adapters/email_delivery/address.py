"""One strict e-mail address: what is let through can be put into a header and a command of SMTP as it stands."""

from __future__ import annotations

import re
import unicodedata

from domain.errors import InvalidDestination

__all__ = ["address_domain", "strict_address"]

_MAX_ADDRESS = 254
_MAX_LOCAL = 64
_MAX_LABEL = 63

# Without the % and ! of source routes, the | and ` of shells, and the ? of encoded words.
_ATOM = r"[A-Za-z0-9_'+=&#*/^{}$~-]+"
_LOCAL = re.compile(rf"(?!-){_ATOM}(?:\.{_ATOM})*")
_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")
_REMEDY = "give one plain address, like ana@example.org"


def strict_address(text: str, field: str = "target") -> str:
    """The address, its domain in lower case and ASCII (Punycode). Raises InvalidDestination for all else.

    Refused are display names, lists, quoted names, comments, address literals, domains without a dot, white space and
    control characters of every kind, and a leading dash.
    """
    if not text or len(text) > _MAX_ADDRESS:
        problem = "is empty" if not text else f"is longer than {_MAX_ADDRESS} characters"
        raise InvalidDestination(field, text, problem, _REMEDY)
    local, at, domain = text.rpartition("@")
    if not at or not local or not domain:
        raise InvalidDestination(field, text, "is not an e-mail address", _REMEDY)
    if len(local) > _MAX_LOCAL or not _LOCAL.fullmatch(local):
        problem = "has more before the @ than letters, digits and . _ - + (or begins with a dash)"
        if not local.isascii() and local.isprintable() and local.isalnum():
            problem = "has letters before the @ that are not ASCII, which few servers take"
        raise InvalidDestination(field, text, problem, _REMEDY)
    address = f"{local}@{_domain(text, domain, field)}"
    if len(address) > _MAX_ADDRESS:
        raise InvalidDestination(field, text, f"is longer than {_MAX_ADDRESS} characters", _REMEDY)
    return address


def address_domain(address: str) -> str:
    """The domain of a strict address."""
    return address.rpartition("@")[2]


def _domain(text: str, domain: str, field: str) -> str:
    labels = [_label(label) for label in domain.split(".")]
    if not all(labels):
        remedy = "write the domain as it is registered; letters beyond ASCII also as xn--..."
        raise InvalidDestination(field, text, "has a domain that is not one", f"{remedy}; {_REMEDY}")
    if len(labels) < 2 or str(labels[-1]).isdigit():
        raise InvalidDestination(field, text, "has no domain with a name, like example.org", _REMEDY)
    return ".".join(str(label) for label in labels)


def _label(label: str) -> str | None:
    """A label in lower case and ASCII; None for what is none, or would become another name on the way."""
    lowered = unicodedata.normalize("NFC", label).lower()
    if lowered.isascii():
        return lowered if _LABEL.fullmatch(lowered) else None
    try:
        ascii_label = lowered.encode("idna").decode("ascii")
        same = ascii_label.encode("ascii").decode("idna") == lowered
    except UnicodeError:
        return None
    # A sharp s, a fullwidth letter or an ideographic full stop turns into something else: refused, not guessed.
    return ascii_label if same and len(ascii_label) <= _MAX_LABEL and _LABEL.fullmatch(ascii_label) else None
