"""``/schedule create``: say what, when and where to; see what will come of it; confirm, adjust, or leave it."""

from __future__ import annotations

from uuid import uuid4

from discord.app_commands import Range, Transform, autocomplete, choices

from adapters.discord_bot.cards import Card, Form, Reply, Tone
from adapters.discord_bot.choices import day_choices, time_choices
from adapters.discord_bot.desk import Answers, Asked, Command, Desk
from adapters.discord_bot.draft_card import adjusting, draft_reply
from adapters.discord_bot.drafts import FREQUENCIES, Draft, Drafts, schedule_said, suggested_name
from adapters.discord_bot.drawing import channels_chosen, texts_typed, values_chosen
from adapters.discord_bot.places import Place, PlaceOption, bot_lacks, check_may_read, check_may_send, place_of
from adapters.discord_bot.task_cards import changed
from domain.errors import InvalidInput
from domain.phrases import LONGEST_PHRASE, parse_phrase, say
from domain.summary import SummaryLength

__all__ = ["create"]

FORMATS = ("embed", "markdown", "text")


def create(desk: Desk) -> Command:
    """The command, and what its preview offers."""
    making = _Making()

    @desk.command("create")
    @autocomplete(day=day_choices, time=time_choices, zone=desk.zones())
    @choices(
        frequency=desk.choices("create.frequencies", FREQUENCIES),
        length=desk.choices("create.lengths", [length.value for length in SummaryLength]),
        format=desk.choices("create.formats", FORMATS),
    )
    async def answer(
        asked: Asked,
        channel: Transform[Place, PlaceOption],
        when: Range[str, 1, LONGEST_PHRASE] | None = None,
        frequency: str | None = None,
        day: Range[str, 1, 100] | None = None,
        time: Range[str, 1, 20] | None = None,
        zone: str | None = None,
        deliver_to: Transform[Place, PlaceOption] | None = None,
        length: str = SummaryLength.DETAILED.value,
        name: Range[str, 1, 100] | None = None,
        format: str = "embed",
        min_messages: Range[int, 0, 100_000] | None = None,
    ) -> Reply:
        check_may_read(channel)
        target = deliver_to if deliver_to is not None else channel
        check_may_send(target)
        schedule = schedule_said(when, frequency=frequency, day=day, time=time, zone=zone or asked.zone, now=asked.now)
        draft = Draft(
            id=uuid4(),
            guild_id=asked.guild_id,
            user_id=str(asked.interaction.user.id),
            name=name or suggested_name(channel.name, schedule),
            schedule=schedule,
            channels=(channel.id,),
            targets=(target.id,),
            format=format,
            length=length,
            min_messages=min_messages,
        )
        return making.shown(asked, draft)

    desk.on("draft-make", making.make)
    desk.on("draft-adjust", making.adjust, Answers.FORM)
    desk.on("draft-adjusted", making.adjusted)
    desk.on("draft-length", making.length)
    desk.on("draft-sources", making.sources)
    desk.on("draft-targets", making.targets)
    desk.on("draft-drop", making.drop)
    return answer


class _Making:
    """What becomes of drafts."""

    def __init__(self) -> None:
        self._drafts = Drafts[Draft]()

    def shown(self, asked: Asked, draft: Draft) -> Reply:
        """Keep a draft and show it, after the same checks that making it will go through. Raises what these raise."""
        asked.commands.access.check_manages(asked.guild_id, asked.principal)
        asked.commands.check(draft.task(asked.now).definition, asked.principal)
        self._drafts.put(draft)
        guild = asked.interaction.guild
        lacking = {id: bot_lacks(guild, id, reads=True) for id in draft.channels}
        for id in draft.targets:
            lacking[id] = [*dict.fromkeys([*lacking.get(id, []), *bot_lacks(guild, id, reads=False)])]
        told = {id: names for id, names in lacking.items() if names}
        return draft_reply(draft, asked.words, now=asked.now, lacking=told)

    def _of(self, asked: Asked, id: str) -> Draft:
        return self._drafts.get(id, guild_id=asked.guild_id, user_id=str(asked.interaction.user.id))

    async def make(self, asked: Asked, id: str) -> Reply:
        """Schedule it. A second press finds no draft."""
        draft = self._of(asked, id)
        self._drafts.drop(id)
        try:
            task_id = await asked.commands.schedule(draft.task(asked.now), principal=asked.principal)
        except Exception:
            self._drafts.put(draft)
            raise
        return changed(
            asked.queries.task(task_id, principal=asked.principal), asked.words, "create.done", now=asked.now
        )

    async def adjust(self, asked: Asked, id: str) -> Form:
        """Open the form."""
        return adjusting(self._of(asked, id), asked.words)

    async def adjusted(self, asked: Asked, id: str) -> Reply:
        """Take what was typed."""
        draft, typed = self._of(asked, id), texts_typed(asked.interaction)
        schedule, name = draft.schedule, typed.get("name") or draft.name
        if (when := typed.get("when", "").strip()) and when != say(schedule):
            schedule = parse_phrase(when, now=asked.now, default_timezone=schedule.timezone)
        least = _number("min_messages", typed.get("least", ""))
        return self.shown(asked, draft.changed(name=name, schedule=schedule, min_messages=least))

    async def length(self, asked: Asked, id: str) -> Reply:
        """Another length."""
        chosen = values_chosen(asked.interaction) or [SummaryLength.DETAILED.value]
        return self.shown(asked, self._of(asked, id).changed(length=chosen[0]))

    async def sources(self, asked: Asked, id: str) -> Reply:
        """Other channels to summarize."""
        places = _chosen(asked)
        for place in places:
            check_may_read(place)
        return self.shown(asked, self._of(asked, id).changed(channels=tuple(place.id for place in places)))

    async def targets(self, asked: Asked, id: str) -> Reply:
        """Other channels to deliver to."""
        places = _chosen(asked)
        for place in places:
            check_may_send(place)
        return self.shown(asked, self._of(asked, id).changed(targets=tuple(place.id for place in places)))

    async def drop(self, asked: Asked, id: str) -> Reply:
        """Forget it."""
        self._of(asked, id)
        self._drafts.drop(id)
        return Reply((Card(asked.words("create.dropped"), tone=Tone.PLAIN),))


def _chosen(asked: Asked) -> list[Place]:
    return [place_of(channel) for channel in channels_chosen(asked.interaction)]


def _number(field: str, text: str) -> int | None:
    if not text.strip():
        return None
    if not text.strip().isascii() or not text.strip().isdigit():
        raise InvalidInput(field, text, "is not a number", "give a whole number from 0 to 100000")
    return int(text)
