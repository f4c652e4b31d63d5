"""Long text cut where readers do not stumble: at line ends and words, never inside a character or a code fence."""

from __future__ import annotations

import re
import unicodedata

__all__ = ["DISCORD_CONTENT_LIMIT", "cut", "split_text", "units"]

DISCORD_CONTENT_LIMIT = 2000
"""Discord's limit for the content of a message."""

MAX_PARTS = 10
"""A text that needs more parts than this is shortened: nobody reads, and no channel wants, more."""

_FENCE = "```"
_FENCE_LANGUAGE = re.compile(r"```([A-Za-z0-9_+\-.#]{1,20})$")
_MORE = "\n*(shortened)*"


def units(text: str) -> int:
    """The length in UTF-16 code units: at least what any counting of Discord, Slack or Teams gives."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def cut(text: str, limit: int) -> str:
    """The text if it fits into ``limit`` units, else its start, cut at a word if possible, with an ellipsis."""
    if units(text) <= limit:
        return text
    head = _take(text, limit - 1)[0] if limit > 1 else ""  # it takes one letter at least
    return head.rstrip() + "…"


def split_text(text: str, limit: int = DISCORD_CONTENT_LIMIT, max_parts: int = MAX_PARTS) -> list[str]:
    """The text in parts of at most ``limit`` units (40 or more), none of them blank.

    A code fence that a cut falls into is closed in the one part and opened again, with its language, in the next;
    one that was never closed is closed. What does not fit into ``max_parts`` is left out, and the last part says so.
    """
    if limit < 40:
        raise ValueError(f"limit: {limit} is too small to split text into; at least 40")
    splitter = _Splitter(limit)
    for line in text.strip("\n")[: limit * (max_parts + 1)].split("\n"):  # more can never be shown
        splitter.add(line)
        if len(splitter.parts) > max_parts:
            break
    parts = splitter.finish()
    if len(parts) > max_parts:
        return [*parts[: max_parts - 1], _shortened(parts[max_parts - 1], limit)]
    return parts


def _shortened(part: str, limit: int) -> str:
    room = limit - units(_MORE) - len("\n" + _FENCE)
    head = part if units(part) <= room else _take(part, room)[0]
    return head + ("\n" + _FENCE if head.count(_FENCE) % 2 else "") + _MORE


class _Splitter:
    """The parts so far, the lines of the part being filled, and the fence that is open at its end."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.parts: list[str] = []
        self._lines: list[str] = []
        self._size = 0
        self._language: str | None = None
        self._fresh = True  # nothing of the text is in this part yet (a reopened fence may be)

    def add(self, line: str) -> None:
        while True:
            room = self.limit - self._size - len("\n" + _FENCE) - 1
            if units(line) <= room:
                self._take_line(line)
                return
            if not self._fresh:
                self._flush()
                continue
            head, line = _take(line, room)
            self._take_line(head, torn=True)
            self._flush()

    def _take_line(self, line: str, torn: bool = False) -> None:
        self._lines.append(line)
        self._size += units(line) + 1
        self._fresh = self._fresh and not line.strip()
        if line.count(_FENCE) % 2:
            language = None if torn else _FENCE_LANGUAGE.search(line)  # what ends where it was torn is text
            self._language = None if self._language is not None else (language[1] if language else "")

    def _flush(self) -> None:
        text = "\n".join(self._lines)
        if self._language is not None:
            text += "\n" + _FENCE
        if text.replace(_FENCE, "").strip() and not self._fresh:
            self.parts.append(text.strip("\n"))
        self._lines = [] if self._language is None else [_FENCE + self._language]
        self._size = sum(units(line) + 1 for line in self._lines)
        self._fresh = True

    def finish(self) -> list[str]:
        self._flush()
        return [part for part in self.parts if part.strip()]


def _take(text: str, limit: int) -> tuple[str, str]:
    """The longest sensible start of at most ``limit`` units (always at least one character), and the rest."""
    end = size = 0
    for character in text:
        size += 2 if character > "\uffff" else 1
        if size > limit:
            break
        end += 1
    if end >= len(text):
        return text, ""
    space = text.rfind(" ", max(1, end // 2), end + 1)
    if space > 0:
        return text[:space], text[space + 1 :]
    whole = end
    while whole > max(1, end - 32) and _joined(text, whole):
        whole -= 1
    end = max(1, end) if _joined(text, whole) else whole
    return text[:end], text[end:]


def _joined(text: str, index: int) -> bool:
    """Whether a cut before ``index`` would tear a character apart that people see as one."""
    before, after = text[index - 1], text[index]
    if before == after == "`" or before in "\u200d\\" or after in "\u200d\ufe0e\ufe0f":
        return True
    if "\U0001f3fb" <= after <= "\U0001f3ff" or unicodedata.category(after) in ("Mn", "Mc", "Me"):
        return True
    return _is_flag_half(after) and _flag_halves_before(text, index) % 2 == 1


def _is_flag_half(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"


def _flag_halves_before(text: str, index: int) -> int:
    count = 0
    while index - count > 0 and _is_flag_half(text[index - count - 1]):
        count += 1
    return count
