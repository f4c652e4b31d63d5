"""Templates that people can edit: run in a sandbox, read again when they change, broken ones named with file and line.

What a template prints is made safe for its format: HTML is escaped, and in JSON every printed value becomes a JSON
value, so that no text can end its string. Limits of services are not a template's business; they are kept afterwards.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.rendering.safety import clean, one_line
from adapters.rendering.splitting import cut
from domain.errors import DeliveryFailed

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["TEMPLATES", "Templates", "broken", "packaged", "packaged_text"]

TEMPLATES: Mapping[str, str] = {
    "summary.md.j2": "Markdown: files, Discord messages of text, e-mail in format markdown",
    "summary.txt.j2": "plain text: files, console, the text part of e-mail",
    "summary.html.j2": "HTML: files, e-mail",
    "discord.json.j2": "Discord embed: channels, direct messages, webhooks in format discord",
    "slack.json.j2": "Slack blocks: webhooks in format slack",
    "teams.json.j2": "Teams card: webhooks in format teams",
}
"""Every template by its file name, with what is made from it."""

_LIMIT = 100_000_000
_PAGE_LIMIT = 2_000_000
"""A template that makes more than this of HTML is broken. Documents hold whole summaries, however long."""

_TRAILING_COMMA = re.compile(r'("(?:[^"\\]|\\.)*")|,(?=\s*[\]}])', re.DOTALL)


class _Json(str):
    """A text that is JSON already, made by the filter ``tojson``."""


class Templates:
    """The templates of ``folder``, and the packaged ones for those that are not there; None: the packaged ones.

    A template sees the words that it is given and nothing else; a name that does not exist is an error. Thread-safe.
    Each method raises DeliveryFailed (permanent) that names the file and the line when the template is broken.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._made: dict[str, Environment] = {}

    def text(self, name: str, words: Mapping[str, Any]) -> str:
        """What a template makes, printed as it is: the words are safe in their format already."""
        return self._filled("text", name, words, _LIMIT)

    def html(self, name: str, words: Mapping[str, Any]) -> str:
        """The same, with everything escaped that is not HTML made here."""
        return self._filled("html", name, words, _PAGE_LIMIT)

    def json(self, name: str, words: Mapping[str, Any]) -> Any:
        """The JSON that a template makes, read; a comma before ] or } is forgiven."""
        text = self._filled("json", name, words, _LIMIT)
        try:
            return json.loads(
                _TRAILING_COMMA.sub(lambda match: match[1] or "", text),
                object_pairs_hook=_object,
                parse_constant=_no_number,
            )
        except json.JSONDecodeError as error:
            problem = f"what it makes is no JSON: {error.msg} (line {error.lineno} of the result)"
        except (ValueError, RecursionError) as error:
            problem = f"what it makes is no JSON: {error}"
        raise broken(name, 0, problem)

    def _filled(self, kind: str, name: str, words: Mapping[str, Any], limit: int) -> str:
        from jinja2 import TemplateNotFound, TemplateSyntaxError

        try:
            text = self._environment(kind).get_template(name).render(words)
        except TemplateSyntaxError as error:
            raise broken(error.name or name, error.lineno, error.message or "") from None
        except TemplateNotFound as error:
            raise broken(*_place(error, name), f"no template {one_line(str(error.name))!r}") from None
        except OSError as error:
            raise broken(name, 0, f"it cannot be read: {error.strerror}") from None
        except Exception as error:  # whatever a template does wrong: unknown names, forbidden calls, bad arithmetic
            raise broken(*_place(error, name), f"{error}") from None
        if len(text) > limit:
            raise broken(name, 0, f"it makes more than {limit:,} characters")
        return clean(text)

    def _environment(self, kind: str) -> Environment:
        if (made := self._made.get(kind)) is None:
            made = self._made[kind] = _environment(kind, self._folder)
        return made


def _environment(kind: str, folder: Path | None) -> Environment:
    from jinja2 import ChoiceLoader, FileSystemLoader, PackageLoader, StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    shipped = PackageLoader("adapters", "templates")
    made = ImmutableSandboxedEnvironment(
        loader=shipped if folder is None else ChoiceLoader([FileSystemLoader(folder), shipped]),
        autoescape=kind == "html",
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_printed_in_json if kind == "json" else None,
    )
    if kind == "json":
        made.filters["tojson"] = lambda value: _Json(_as_json(value))
    return made


def _printed_in_json(value: Any) -> str:
    """Whatever is printed in a JSON template is a JSON value: a text comes with its quotes."""
    return value if isinstance(value, _Json) else _as_json(value)


def _as_json(value: Any) -> str:
    from jinja2 import Undefined

    if isinstance(value, Undefined):
        str(value)  # raises, and says which name it is
    return json.dumps(value, allow_nan=False)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(name for number, (name, _) in enumerate(pairs) if name in dict(pairs[:number]))
        raise ValueError(f"{one_line(twice)!r} stands twice in one object")
    return found


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no number of JSON")


@cache
def packaged() -> Templates:
    """Those that come with Daybook."""
    return Templates()


def packaged_text(name: str) -> str:
    """A template that comes with Daybook, as it is written."""
    return (Path(__file__).resolve().parent.parent / "templates" / name).read_text(encoding="utf-8")


# --- broken templates -------------------------------------------------------------------------------------------------


def broken(file: str, line: int, problem: str) -> DeliveryFailed:
    """What is wrong with a template, and where: the file's name and the line (0: not known)."""
    where = f"template {one_line(file)}, line {line}" if line else f"template {one_line(file)}"
    return DeliveryFailed(f"{where}: {cut(one_line(problem), 200)}", permanent=True)


def _place(error: BaseException, name: str) -> tuple[str, int]:
    """The place in a template that an error came from; Jinja puts templates into tracebacks."""
    found, entry = (name, 0), error.__traceback__
    while entry is not None:
        if (file := Path(entry.tb_frame.f_code.co_filename).name).endswith((".j2", ".html")):
            found = (file, entry.tb_lineno)
        entry = entry.tb_next
    return found
