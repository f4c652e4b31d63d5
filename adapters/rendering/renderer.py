"""A summary in every format, by templates that an operator may have edited, within the limits of where it goes.

A mistake in a template costs nobody a result: the packaged template is used instead, the result says so to its readers,
and the log says which file and line to mend.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, Unpack

from adapters.rendering.discord import (
    DiscordMessage,
    content_messages,
    disarmed_embed,
    fit_embed,
    one_message,
    own_embeds,
)
from adapters.rendering.documents import counted
from adapters.rendering.html import HTML, SUMMARY_TEMPLATE
from adapters.rendering.safety import escape_markdown, one_line
from adapters.rendering.slack import SLACK, fit_slack
from adapters.rendering.splitting import cut
from adapters.rendering.teams import fit_teams
from adapters.rendering.templates import TEMPLATES, Templates, broken, packaged
from adapters.rendering.words import CARD_MARKDOWN, MARKDOWN, PLAIN, TEAMS_MARKDOWN, Details, Markup, summary_words
from domain.errors import DeliveryFailed
from domain.summary import Summary

__all__ = ["Renderer", "packaged_renderer"]

T = TypeVar("T")

_MARKUPS: dict[str, tuple[Markup, Callable[[Any], Any]]] = {
    "discord.json.j2": (CARD_MARKDOWN, fit_embed),
    "slack.json.j2": (SLACK, fit_slack),
    "teams.json.j2": (TEAMS_MARKDOWN, fit_teams),
}

_log = logging.getLogger(__name__)


class Renderer:
    """Renders with the templates of ``folder`` where it has them, else with the packaged ones. Thread-safe.

    No method raises for what a template does.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._edited = Templates(folder) if folder is not None else None
        self._told: set[str] = set()

    def markdown(self, summary: Summary, **details: Unpack[Details]) -> str:
        """A Markdown document. An engine's own Markdown is used as it is."""
        return self._document("summary.md.j2", MARKDOWN, summary, details)

    def text(self, summary: Summary, **details: Unpack[Details]) -> str:
        """Plain text."""
        return self._document("summary.txt.j2", PLAIN, summary, details)

    def html(self, summary: Summary, **details: Unpack[Details]) -> str:
        """A page."""
        return self._made(summary, lambda templates, shown: _page(templates, shown, details))

    def embeds(self, summary: Summary, **details: Unpack[Details]) -> list[dict[str, Any]]:
        """Discord embeds, one per message: usually one, more where Discord's limits ask for it.

        An engine's own embed is used as it is where it fits, and is cut up by the same limits where it does not.
        """
        if summary.embed is not None:
            return own_embeds(summary, summary.embed, details.get("run_id", ""))
        return self._card("discord.json.j2", summary, details)  # type: ignore[no-any-return]

    def discord_messages(
        self, summary: Summary, format: str = "embed", **details: Unpack[Details]
    ) -> list[DiscordMessage]:
        """The messages, one or more and at most 10, that show the summary as "embed", "markdown" or "text"."""
        if format == "embed":
            return [DiscordMessage(embed=embed) for embed in self.embeds(summary, **details)]
        if format == "text":
            return content_messages(escape_markdown(self.text(summary, **details)))
        return content_messages(self.markdown(summary, **details))

    def discord_payload(self, summary: Summary, **details: Unpack[Details]) -> dict[str, Any]:
        """One message of embeds for a Discord webhook; it mentions nobody."""
        if summary.embed is not None:
            summary = summary.model_copy(update={"embed": disarmed_embed(summary.embed)})
        run = one_line(details.get("run_id", ""))
        said = ["shortened", counted(summary.message_count, "message"), *([f"run {cut(run, 80)}"] if run else [])]
        return one_message(self.embeds(summary, **details), " · ".join(said))

    def slack(self, summary: Summary, **details: Unpack[Details]) -> dict[str, Any]:
        """A message of Slack blocks."""
        return self._card("slack.json.j2", summary, details)  # type: ignore[no-any-return]

    def teams(self, summary: Summary, **details: Unpack[Details]) -> dict[str, Any]:
        """A message with one Adaptive Card for Teams."""
        return self._card("teams.json.j2", summary, details)  # type: ignore[no-any-return]

    def check(self, name: str, summary: Summary, **details: Unpack[Details]) -> None:
        """Fill one template. Raises DeliveryFailed that names the file and the line when it is broken."""
        templates = self._edited if self._edited is not None else packaged()
        if name in _MARKUPS:
            _fitted(templates, name, summary, details)
        elif name == SUMMARY_TEMPLATE:
            _page(templates, summary, details)
        elif name in TEMPLATES:
            markup = PLAIN if name == "summary.txt.j2" else MARKDOWN
            _filled(templates, name, markup, summary, details)
        else:
            raise ValueError(f"{name} is no template of a summary")

    # --- how it is done ---

    def _document(self, name: str, markup: Markup, summary: Summary, details: Details) -> str:
        return self._made(summary, lambda templates, shown: _filled(templates, name, markup, shown, details))

    def _card(self, name: str, summary: Summary, details: Details) -> Any:
        return self._made(summary, lambda templates, shown: _fitted(templates, name, shown, details))

    def _made(self, summary: Summary, make: Callable[[Templates, Summary], T]) -> T:
        """What the edited template makes; the packaged one's, with a notice, where that is broken."""
        if self._edited is None:
            return make(packaged(), summary)
        try:
            return make(self._edited, summary)
        except DeliveryFailed as error:
            problem = error.reason
        self._tell(problem)
        notice = f"The {problem.partition(':')[0]} is broken; this is the built-in look."
        notices = " ".join(text for text in (summary.notice, notice) if text)
        return make(packaged(), summary.model_copy(update={"notice": notices}))

    def _tell(self, problem: str) -> None:
        if problem not in self._told:  # once, not with every result
            self._told.add(problem)
            _log.error("%s; the built-in one is used until it is mended", problem)


def _filled(templates: Templates, name: str, markup: Markup, summary: Summary, details: Details) -> str:
    text = templates.text(name, summary_words(summary, markup, **details)).strip("\n")
    if not text.strip():
        raise broken(name, 0, "it makes nothing but white space")
    return text + "\n"


def _page(templates: Templates, summary: Summary, details: Details) -> str:
    return templates.html(SUMMARY_TEMPLATE, summary_words(summary, HTML, **details))


def _fitted(templates: Templates, name: str, summary: Summary, details: Details) -> Any:
    markup, fit = _MARKUPS[name]
    made = templates.json(name, summary_words(summary, markup, **details))
    problem = ""
    try:
        return fit(made)
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        problem = str(error)
    raise broken(name, 0, problem)


@cache
def packaged_renderer() -> Renderer:
    """The one of the packaged templates."""
    return Renderer()
