"""Takes secrets out of text, and bounds what others said before it becomes part of a fact, a row or a notice."""

from __future__ import annotations

import json
import re
import threading

__all__ = ["MASK", "MOST_SAID", "masked", "remember_secret", "said", "seconds_asked"]

MASK = "[masked]"

MOST_SAID = 1_000
"""So many characters are kept of what a host, an engine or another side said."""

_MOST_REMEMBERED = 256
_SHORTEST_REMEMBERED = 6
_MOST_READ = 20_000
_LONGEST_WAIT = 86_400.0

# Every quantifier is bounded, and every pattern begins with something rare: a log line must cost microseconds.
_PATTERNS = (
    # postgresql://user:password@host, https://user:password@host
    (re.compile(r"(://[^\s:/@\"']{0,200}:)[^\s/\"']{1,500}@"), rf"\1{MASK}@"),
    # .../api/webhooks/<id>/<token>
    (re.compile(r"(/api/(?:v\d{1,3}/)?webhooks/\d{1,25}/)[\w-]{1,200}", re.IGNORECASE), rf"\1{MASK}"),
    (re.compile(r"(hooks\.slack(?:-gov)?\.com/)[^\s\"'<>]{1,500}", re.IGNORECASE), rf"\1{MASK}"),
    (
        re.compile(r"(webhook\.office\.com/|logic\.azure\.com[:/]|api\.powerplatform\.com[:/])[^\s\"'<>]{1,2000}"),
        rf"\1{MASK}",
    ),
    # Standard Webhooks signing keys
    (re.compile(r"whsec_[A-Za-z0-9+/=_-]{1,500}"), f"whsec_{MASK}"),
    (
        re.compile(r"\b(Bearer|Bot)(\s{1,3})(?=[\w.~+/=-]{0,500}[\d.~+/=_-])[\w.~+/=-]{16,2000}", re.IGNORECASE),
        rf"\1\2{MASK}",
    ),
    (
        re.compile(
            r"\b(authorization[\"']?\s{0,3}[:=]\s{0,3}[\"']?)(?:\w{1,20}\s{1,3})?[^\s\"',]{1,2000}", re.IGNORECASE
        ),
        rf"\1{MASK}",
    ),
    # Discord tokens: the id in base64, a time, a signature
    (re.compile(r"(?<![\w-])(?:mfa\.[\w-]{20,200}|[\w-]{23,30}\.[\w-]{6,7}\.[\w-]{27,100})(?![\w-])"), MASK),
    # JSON web tokens
    (re.compile(r"(?<![\w-])eyJ[\w-]{8,2000}\.[\w-]{2,4000}\.[\w-]{0,1000}"), MASK),
    # password=..., "token": "..."
    (
        re.compile(
            r"(?<![a-z])((?:password|passwd|pwd|secret|token|api_?key|master_key|sig|signature)"
            r"[\"']?\s{0,2}(?:=|:)\s{0,2}[\"']?)(?!\[masked\])[^\s\"'&,;)}]{1,2000}",
            re.IGNORECASE,
        ),
        rf"\1{MASK}",
    ),
)
_remembered: tuple[str, ...] = ()
_remembering = threading.Lock()


def remember_secret(secret: str) -> None:
    """Mask this very text from now on, whatever it looks like: a password has no pattern.

    The last 256 are kept; texts of less than 6 characters are not, they would blot out prose.
    """
    global _remembered
    for part in _parts(secret):
        if len(part) >= _SHORTEST_REMEMBERED and part not in _remembered:
            with _remembering:
                newest = (part, *(text for text in _remembered if text != part))
                _remembered = newest[:_MOST_REMEMBERED]


def _parts(secret: str) -> list[str]:
    """The text itself, and what is in it where it is a JSON object: a webhook's URL, its signing keys."""
    if not secret.lstrip().startswith("{"):
        return [secret]
    try:
        found = json.loads(secret)
    except (ValueError, RecursionError):
        return [secret]
    inside = [text for value in found.values() for text in (value if isinstance(value, list) else [value])]
    return [secret, *(text for text in inside if isinstance(text, str))]


def masked(text: str) -> str:
    """The text with everything that looks like a secret, or was remembered as one, replaced by ``[masked]``."""
    for secret in _remembered:
        if secret in text:
            text = text.replace(secret, MASK)
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def said(text: object) -> str:
    """What somebody else said, as it may be written down: without secrets, at most 1,000 characters.

    What cannot be shown at all is named by its type: a message must not be lost to its own text.
    """
    try:
        words = str(text)
    except Exception:
        words = f"({type(text).__name__} that cannot be shown)"
    # Masked before it is cut: half a secret has no pattern.
    words = masked(words[:_MOST_READ])
    return words if len(words) <= MOST_SAID else f"{words[: MOST_SAID - 1]}…"


def seconds_asked(wait: object) -> float:
    """The wait in seconds that another side asked for: 0 where it asked for none or for nonsense, at most a day."""
    if not isinstance(wait, int | float) or not wait > 0:
        return 0.0
    return float(min(wait, _LONGEST_WAIT))
