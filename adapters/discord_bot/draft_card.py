"""A draft as people see it before they confirm: what it is, what it changes, what moves, what may surprise. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType

from adapters.discord_bot.cards import (
    Button,
    Card,
    ChannelMenu,
    Entry,
    Form,
    Input,
    Item,
    Menu,
    Option,
    Reply,
    Tone,
    fits,
    press,
    stamp,
)
from adapters.discord_bot.draft_changes import MODES, WEBHOOK_FORMATS, has_direct, mails_of, webhooks_of
from adapters.discord_bot.drafts import Draft
from adapters.discord_bot.task_cards import channel_words, destination_words, slot_lines, source_lines
from adapters.discord_bot.texts import Marked, Words
from adapters.rendering import cut, escape_markdown
from application.preview import Move, compare, next_slots, preview
from domain.definition import LONGEST_NAME_CHARACTERS, TaskDefinition
from domain.destination import DestinationType
from domain.errors import InvalidInput
from domain.phrases import LONGEST_PHRASE, say
from domain.schedule import Schedule
from domain.summary import SummaryLength

__all__ = ["CATEGORY", "MAIN", "adjust_form", "draft_reply", "mail_form", "webhook_form"]

MOST_SOURCES, MOST_TARGETS, MOST_EXCLUDED = 10, 5, 25
SLOTS, MOST_MOVES, MOST_LACKING, MOST_SHOWN = 3, 8, 5, 10

MAIN, CATEGORY = "main", "category"
"""The faces of a draft: what stands below its card. Discord gives five rows, so a category has a face of its own.

A menu that would show only some of what there is is not offered: to choose in it would leave out the rest.
"""

Row = tuple[Item, ...]


def draft_reply(
    draft: Draft,
    words: Words,
    *,
    now: datetime,
    user_id: str = "",
    accounted_until: datetime | None = None,
    lacking: Mapping[str, Sequence[str]] = MappingProxyType({}),
    face: str = MAIN,
    said: str = "",
) -> Reply:
    """What will be made, or what will change and which runs move.

    ``accounted_until`` is up to where the slots of a task that is changed are behind it; ``lacking`` names, by channel,
    the permissions that the bot lacks there; ``said`` is what the person has to know before all else.
    """
    before, after = draft.before, draft.after
    since = max(now, accounted_until or now)
    entries = [Entry(name, value, inline) for name, value, inline in _fields(before, after, words)]
    entries += _slots(before.schedule if before is not None else None, _hashed(draft), words, since)
    warnings = [] if after == before else _warnings(_hashed(draft), words, since, is_new=before is None)
    told = list(lacking.items())
    warnings += [
        words("create.lacking", channel=Marked(channel_words(id)), permissions=words.listed(names))
        for id, names in told[:MOST_LACKING]
    ]
    if len(told) > MOST_LACKING:
        warnings.append(f"+ {len(told) - MOST_LACKING}")
    if warnings:
        entries.append(Entry(words("create.warnings"), "\n".join(f"⚠ {text}" for text in warnings)))
    title = words("create.title", name=after.name) if before is None else words("edit.title", name=before.name)
    state = "create.not_yet" if before is None else "edit.nothing" if after == before else "edit.not_yet"
    card = Card(
        title,
        said or words(state),
        tuple(entries),
        words("task.id", id=draft.task_id or str(draft.id)),
        Tone.CAREFUL if said or warnings else Tone.PLAIN,
    )
    return Reply((card,), _category_rows(draft, words) if face == CATEGORY else _main_rows(draft, words, user_id))


def _hashed(draft: Draft) -> Schedule:
    """The schedule with what H and spread are hashed from, which is the id that the task has or will have."""
    return draft.after.keyed(draft.task_id or str(draft.id)).schedule


def _fields(before: TaskDefinition | None, after: TaskDefinition, words: Words) -> list[tuple[str, str, bool]]:
    """Every field that is shown, with its old value where it changes; whether it stands beside its neighbor."""
    shown: list[tuple[str, bool, Callable[[TaskDefinition], str]]] = [
        ("create.sources", True, lambda one: source_lines(one, words)),
        ("create.targets", True, lambda one: _targets(one, words)),
        ("create.length", True, lambda one: words.plain(f"create.lengths.{one.summary_options.summary_length}")),
        ("task.schedule", False, lambda one: _schedule(one.schedule, words)),
    ]
    if before is not None:
        shown.insert(0, ("forms.adjust.name", False, lambda one: escape_markdown(cut(one.name, 100))))
    if before is not None or after.summary_options.min_messages != type(after.summary_options)().min_messages:
        shown.append(("forms.adjust.least", False, lambda one: str(one.summary_options.min_messages)))
    told: list[tuple[str, str, bool]] = []
    for key, inline, show in shown:
        new, old = show(after), show(before) if before is not None else None
        value = words("edit.change", before=Marked(cut(old, 400)), after=Marked(cut(new, 400))) if old else new
        told.append((words(key), new if old in (None, new) else value, inline and before is None))
    return told


def _schedule(schedule: Schedule, words: Words) -> str:
    told = escape_markdown(cut(words.schedule(schedule), 400))
    return f"{told}\n{words('task.zone', zone=schedule.timezone)}"


def _targets(definition: TaskDefinition, words: Words) -> str:
    told = [destination_words(each, words) for each in definition.destinations]
    more = [f"+ {len(told) - MOST_SHOWN}"] if len(told) > MOST_SHOWN else []
    return "\n".join([*told[:MOST_SHOWN], *more]) or words("edit.none")


def _warnings(schedule: Schedule, words: Words, since: datetime, *, is_new: bool) -> list[str]:
    seen = preview(schedule, after=since, count=SLOTS)
    notes = seen.notes[:2] if is_new else ()
    return [escape_markdown(words.told(text)) for text in (*seen.warnings, *notes)]


def _slots(before: Schedule | None, after: Schedule, words: Words, since: datetime) -> list[Entry]:
    new = next_slots(after, after=since, count=SLOTS)
    if before is None or before == after:
        return [Entry(words("task.slots"), slot_lines(new, words))]
    old = next_slots(before, after=since, count=SLOTS)
    moves = [move for move in compare(before, after, now=since, count=SLOTS) if move.kind != "same"]
    lines = [_move(move, words) for move in moves[:MOST_MOVES]]
    if len(moves) > MOST_MOVES:
        lines.append(f"+ {len(moves) - MOST_MOVES}")
    return [
        Entry(words("edit.slots_before"), slot_lines(old, words)),
        Entry(words("edit.slots_after"), slot_lines(new, words)),
        Entry(words("edit.moves"), "\n".join(lines) or words("edit.no_moves")),
    ]


def _move(move: Move, words: Words) -> str:
    shown = {
        name: Marked(stamp(slot.utc, "f"))
        for name, slot in (("before", move.before), ("after", move.after))
        if slot is not None
    }
    return words(f"edit.move.{move.kind}", **shown)


# --- what stands below


def _main_rows(draft: Draft, words: Words, user_id: str) -> tuple[Row, ...]:
    id, after = draft.id, draft.after
    chosen = after.summary_options.summary_length
    lengths = tuple(
        Option(words.plain(f"create.lengths.{length.value}"), length.value, chosen=length == chosen)
        for length in SummaryLength
    )
    targets = tuple(
        each.target
        for each in after.destinations
        if each.type is DestinationType.DISCORD_CHANNEL and each.enabled and each.target.isdigit()
    )
    sources = tuple(channel for channel in after.all_channel_ids if channel.isdigit())
    from_channels = ChannelMenu(
        press("draft-sources", id), words.plain("create.choose_sources"), sources[:MOST_SOURCES], MOST_SOURCES
    )
    to_channels = ChannelMenu(
        press("draft-targets", id), words.plain("create.choose_targets"), targets[:MOST_TARGETS], MOST_TARGETS, least=0
    )
    confirm = "buttons.create" if draft.before is None else "buttons.save"
    direct = "buttons.no_direct" if has_direct(after, user_id) else "buttons.direct"
    return (
        (
            Button(words.plain(confirm), press("draft-confirm", id), "success", disabled=after == draft.before),
            Button(words.plain("buttons.adjust"), press("draft-adjust", id), "primary"),
            Button(words.plain("buttons.discard"), press("draft-drop", id)),
        ),
        (Menu(press("draft-length", id), lengths, words.plain("create.length")),),
        *(((from_channels,),) if len(sources) <= MOST_SOURCES else ()),
        *(((to_channels,),) if len(targets) <= MOST_TARGETS else ()),
        (
            Button(words.plain("buttons.category"), press("draft-face", id, CATEGORY)),
            Button(words.plain(direct), press("draft-direct", id)),
            Button(words.plain("buttons.mail"), press("draft-mail", id)),
            Button(words.plain("buttons.webhook"), press("draft-webhook", id)),
        ),
    )


def _category_rows(draft: Draft, words: Words) -> tuple[Row, ...]:
    id, after = draft.id, draft.after
    category = (after.category_id,) if after.category_id and after.category_id.isdigit() else ()
    excluded = tuple(each for each in after.excluded_channel_ids if each.isdigit())
    modes = tuple(Option(words.plain(f"create.modes.{m}"), m, chosen=m == after.category_mode) for m in MODES)
    exclusions = ChannelMenu(
        press("draft-excluded", id),
        words.plain("create.choose_excluded"),
        excluded[:MOST_EXCLUDED],
        MOST_EXCLUDED,
        least=0,
    )
    return (
        (Button(words.plain("buttons.overview"), press("draft-face", id, MAIN), "primary"),),
        (ChannelMenu(press("draft-category", id), words.plain("create.choose_category"), category, categories=True),),
        *(((exclusions,),) if after.category_id and len(excluded) <= MOST_EXCLUDED else ()),
        (Menu(press("draft-mode", id), modes, words.plain("create.choose_mode")),),
    )


# --- forms


def adjust_form(draft: Draft, words: Words) -> Form:
    """The form that changes what is typed: name, schedule, zone, and how many messages are worth a summary.

    A schedule of more words than a form takes is left out of it; ``/schedule edit`` puts another in its place.
    """
    after = draft.after
    example = "every weekday at 9:00 in Europe/Berlin"
    when = Input(
        "when",
        words.plain("forms.adjust.when"),
        say(after.schedule),
        placeholder=example,
        longest=LONGEST_PHRASE,
        tall=True,
    )
    least = str(after.summary_options.min_messages)
    boxes = (
        Input("name", words.plain("forms.adjust.name"), after.name, longest=2 * LONGEST_NAME_CHARACTERS),
        when,
        Input("zone", words.plain("forms.adjust.zone"), after.schedule.timezone),
        Input("least", words.plain("forms.adjust.least"), least, required=False, longest=6),
    )
    title = words.plain("forms.adjust.title")
    return Form(press("draft-adjusted", draft.id), title, tuple(box for box in boxes if fits(box)))


def mail_form(draft: Draft, words: Words) -> Form:
    """The form of addresses, one a line; what is taken out of it is not sent to any more.

    Raises InvalidInput where there are more than a form shows.
    """
    addresses = mails_of(draft.after)
    box = Input(
        "mail", words.plain("forms.mail.addresses"), "\n".join(addresses), required=False, longest=4000, tall=True
    )
    if not fits(box):
        raise InvalidInput(
            "mail",
            len(addresses),
            "addresses are more than a form can show, so they stay as they are",
            "whoever runs this bot changes them with daybook tasks edit --to",
        )
    return Form(press("draft-mailed", draft.id), words.plain("forms.mail.title"), (box,))


def webhook_form(draft: Draft, words: Words) -> Form:
    """The form that adds a webhook, and takes away others. An address that is kept is never shown again."""
    labels = webhooks_of(draft.after)
    boxes = [
        Input(
            "url",
            words.plain("forms.webhook.url"),
            placeholder=words.plain("forms.webhook.url_example"),
            required=False,
            longest=2000,
        ),
        Input("label", words.plain("forms.webhook.label"), required=False, longest=50),
        Input(
            "format",
            words.plain("forms.webhook.format"),
            placeholder=", ".join(WEBHOOK_FORMATS),
            required=False,
            longest=20,
        ),
    ]
    if labels:
        kept = "\n".join(labels)
        boxes.append(Input("kept", words.plain("forms.webhook.kept"), kept, required=False, longest=4000, tall=True))
    title = words.plain("forms.webhook.title")
    return Form(press("draft-hooked", draft.id), title, tuple(box for box in boxes if fits(box)))
