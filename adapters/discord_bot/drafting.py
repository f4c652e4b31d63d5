"""What is done with drafts, of new tasks and of changes alike: shown, adjusted, confirmed, dropped."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from adapters.discord_bot.cards import Card, Form, Reply, Tone, fitted_form
from adapters.discord_bot.desk import Answers, Asked, Desk
from adapters.discord_bot.draft_card import CATEGORY, MAIN, adjust_form, draft_reply, mail_form, webhook_form
from adapters.discord_bot.draft_changes import (
    Changes,
    adds_places,
    format_of_url,
    has_direct,
    webhooks_of,
    with_channels,
    with_direct,
    with_excluded,
    with_mails,
    with_mode,
    with_options,
    with_targets,
    with_webhooks,
)
from adapters.discord_bot.drafts import Draft
from adapters.discord_bot.drawing import channels_chosen, texts_typed, values_chosen
from adapters.discord_bot.places import (
    Place,
    category_of,
    check_may_read,
    check_may_read_all,
    check_may_send,
    lacking,
    place_of,
)
from adapters.discord_bot.task_cards import changed
from domain.definition import TaskDefinition
from domain.destination import Destination, DestinationType
from domain.draft import revised
from domain.errors import InvalidDestination, InvalidInput
from domain.phrases import parse_phrase, say
from domain.schedule import Schedule

__all__ = ["changed_draft", "retimed", "serve_drafts", "shown"]


def serve_drafts(desk: Desk) -> None:
    """What the buttons, menus and forms of a draft do."""
    desk.on("draft-confirm", confirm)
    desk.on("draft-drop", drop)
    desk.on("draft-face", _face)
    desk.on("draft-adjust", _form_of(adjust_form), Answers.FORM)
    desk.on("draft-mail", _form_of(mail_form), Answers.FORM)
    desk.on("draft-webhook", _form_of(webhook_form), Answers.FORM)
    desk.on("draft-adjusted", _adjusted)
    desk.on("draft-mailed", _mailed)
    desk.on("draft-hooked", _hooked)
    desk.on("draft-length", _length)
    desk.on("draft-sources", _sources)
    desk.on("draft-targets", _targets)
    desk.on("draft-direct", _direct)
    desk.on("draft-category", _category)
    desk.on("draft-excluded", _excluded)
    desk.on("draft-mode", _mode)


# --- showing and confirming


async def shown(asked: Asked, draft: Draft, *, face: str = MAIN, said: str = "") -> Reply:
    """Keep a draft and show it, after the same checks that confirming it will go through. Raises what these raise."""
    asked.commands.access.check_manages(asked.guild_id, asked.principal)
    accounted_until = _check(asked, draft)
    await asked.desk.drafts.put(draft)
    return draft_reply(
        draft,
        asked.words,
        now=asked.now,
        user_id=str(asked.interaction.user.id),
        accounted_until=accounted_until,
        lacking=lacking(asked.interaction.guild, draft.after),
        face=face,
        said=said,
    )


def _check(asked: Asked, draft: Draft) -> datetime | None:
    """Refuse what confirming would refuse; up to where the slots of a task that is changed are behind it."""
    accounted_until = None
    if draft.task_id is not None:
        task = asked.queries.task(draft.task_id, principal=asked.principal)
        if task.status.ended:
            raise InvalidInput("task", task.name, "has ended", "create a new one with /schedule create")
        accounted_until = task.accounted_until
    else:
        draft.new_task(asked.now)
    if draft.after != draft.before:
        asked.commands.check(draft.after, asked.principal)
    _check_reads(asked, draft)
    return accounted_until


def _check_reads(asked: Asked, draft: Draft) -> None:
    """Refuse (InvalidInput) to send what a task summarizes somewhere else by the wish of who may not read it.

    What was chosen in this draft was checked when it was chosen, by what Discord said of it then.
    """
    if draft.before is not None and adds_places(draft.before, draft.after):
        chosen = set(draft.after.all_channel_ids) - set(draft.before.all_channel_ids)
        check_may_read_all(asked.interaction.guild, draft.after, asked.interaction.user, chosen=chosen)


async def _of(asked: Asked, id: str) -> Draft:
    return await asked.unconfirmed(Draft, id)


def changed_draft(draft: Draft, changes: Changes, now: datetime) -> Draft:
    """The draft with these fields changed. Raises InvalidInput."""
    after = revised(draft.after, changes, now=now)
    return draft.model_copy(update={"after": after.keyed(draft.after.schedule.key)})


async def confirm(asked: Asked, id: str) -> Reply:
    """Make it, or save it; unless somebody changed the task since it was shown: then show what would come of it now."""
    draft = await _of(asked, id)
    with asked.desk.drafts.confirming(draft):
        _check_secrets(asked, draft)
        _check_reads(asked, draft)
        if draft.task_id is None:
            task_id, key = await asked.commands.schedule(draft.new_task(asked.now), principal=asked.principal), "create"
        else:
            task_id, key = draft.task_id, "edit"
            now = asked.queries.task(task_id, principal=asked.principal).definition
            if draft.before is not None and now != draft.before:
                after = revised(now, draft.changes, now=asked.now)
                newer = draft.model_copy(update={"before": now, "after": after})
                return await shown(asked, newer, said=asked.words("edit.changed_meanwhile"))
            await asked.commands.revise(task_id, draft.changes, principal=asked.principal)
        await asked.desk.drafts.drop(draft)
    task = asked.queries.task(task_id, principal=asked.principal)
    return changed(task, asked.words, f"{key}.done", now=asked.now)


def _check_secrets(asked: Asked, draft: Draft) -> None:
    """Refuse (InvalidDestination) a webhook whose address was forgotten, for it was not used soon enough."""
    known = draft.before.destinations if draft.before is not None else ()
    new = tuple(each for each in draft.after.destinations if each not in known)
    if missing := asked.commands.missing_secrets(draft.after.model_copy(update={"destinations": new})):
        raise InvalidDestination("webhook", missing[0], "is forgotten again", "give its address again")


async def drop(asked: Asked, id: str) -> Reply:
    """Forget it."""
    draft = await _of(asked, id)
    await asked.desk.drafts.drop(draft)
    return Reply((Card(asked.words("create.dropped" if draft.task_id is None else "edit.dropped"), tone=Tone.PLAIN),))


async def _face(asked: Asked, id: str, face: str) -> Reply:
    return await shown(asked, await _of(asked, id), face=face)


# --- menus


async def _length(asked: Asked, id: str) -> Reply:
    draft, chosen = await _of(asked, id), values_chosen(asked.interaction)
    return await _with(asked, draft, with_options(draft.after, summary_length=chosen[0] if chosen else None))


async def _sources(asked: Asked, id: str) -> Reply:
    draft, places = await _of(asked, id), _chosen(asked)
    for place in places:
        check_may_read(place)
    return await _with(asked, draft, with_channels([place.id for place in places]))


async def _targets(asked: Asked, id: str) -> Reply:
    draft, places = await _of(asked, id), _chosen(asked)
    for place in places:
        check_may_send(place)
    return await _with(asked, draft, with_targets(draft.after, [place.id for place in places]))


async def _direct(asked: Asked, id: str) -> Reply:
    """The person who presses is sent results, or not any more. Nobody has others sent anything."""
    draft, user_id = await _of(asked, id), str(asked.interaction.user.id)
    wanted = not has_direct(draft.after, user_id)
    return await _with(asked, draft, with_direct(draft.after, user_id, wanted))


async def _category(asked: Asked, id: str) -> Reply:
    draft, [place, *_] = await _of(asked, id), _chosen(asked)
    source = category_of(asked.interaction.guild, place, asked.interaction.user)
    return await _with_sources(asked, draft, source)


async def _excluded(asked: Asked, id: str) -> Reply:
    draft = await _of(asked, id)
    return await _with_sources(asked, draft, with_excluded([place.id for place in _chosen(asked)]))


async def _mode(asked: Asked, id: str) -> Reply:
    draft, chosen = await _of(asked, id), values_chosen(asked.interaction)
    return await _with(asked, draft, with_mode(chosen[0] if chosen else ""), CATEGORY)


async def _with(asked: Asked, draft: Draft, changes: Changes, face: str = MAIN) -> Reply:
    return await shown(asked, changed_draft(draft, changes, asked.now), face=face)


async def _with_sources(asked: Asked, draft: Draft, changes: Changes) -> Reply:
    """The same for a category, all of whose channels the person must be able to read, but for those left out."""
    made = changed_draft(draft, changes, asked.now)
    check_may_read_all(asked.interaction.guild, made.after, asked.interaction.user)
    return await shown(asked, made, face=CATEGORY)


def _chosen(asked: Asked) -> list[Place]:
    return [place_of(channel) for channel in channels_chosen(asked.interaction)]


# --- forms


def _form_of(make: Any) -> Any:
    async def opened(asked: Asked, id: str) -> Form:
        form: Form = make(await _of(asked, id), asked.words)
        return form

    return opened


def _typed(asked: Asked, form: Form) -> dict[str, str]:
    """What was typed into the boxes of a form, without what stands as it was shown."""
    shown = {box.id: box.value.strip() for box in fitted_form(form).inputs}
    typed = texts_typed(asked.interaction)
    return {id: typed[id] for id, before in shown.items() if id in typed and typed[id].strip() != before}


def retimed(before: TaskDefinition, when: str | None, zone: str | None, now: datetime) -> Schedule:
    """The schedule of a phrase, or the one that there is in another zone. Raises InvalidInput."""
    if when is not None:
        return parse_phrase(when, now=now, default_timezone=zone or before.schedule.timezone)
    return revised(before, {"timezone": zone}, now=now).schedule


async def _adjusted(asked: Asked, id: str) -> Reply:
    """Take what was typed; what was left as it stood changes nothing."""
    draft = await _of(asked, id)
    typed = _typed(asked, adjust_form(draft, asked.words))
    before, changes = draft.after, dict[str, Any]()
    if (name := typed.get("name", "").strip()) and name != before.name:
        changes["name"] = name
    when, zone = typed.get("when", "").strip(), typed.get("zone", "").strip()
    new_when = when if when and when != say(before.schedule) else None
    new_zone = zone if zone and zone != before.schedule.timezone else None
    if new_when or new_zone:
        changes["schedule"] = retimed(before, new_when, new_zone, asked.now)
    if least := typed.get("least", "").strip():
        changes |= with_options(before, min_messages=_number(least))
    return await _with(asked, draft, changes)


async def _mailed(asked: Asked, id: str) -> Reply:
    draft = await _of(asked, id)
    typed = _typed(asked, mail_form(draft, asked.words))
    if "mail" not in typed:
        return await _with(asked, draft, {})
    return await _with(asked, draft, with_mails(draft.after, typed["mail"].replace(",", "\n").splitlines()))


async def _hooked(asked: Asked, id: str) -> Reply:
    """Take an address into the vault, after it was checked; from here on there is a reference to it and a label."""
    draft = await _of(asked, id)
    typed = _typed(asked, webhook_form(draft, asked.words))
    url, added = typed.get("url", "").strip(), None
    if url:
        format = typed.get("format", "").strip().lower() or format_of_url(url)
        label = typed.get("label", "").strip() or None
        given = Destination(type=DestinationType.WEBHOOK, target=url, format=format, label=label)
        added = await asked.commands.keep_secret(asked.guild_id, given, principal=asked.principal)
    kept = typed["kept"].splitlines() if "kept" in typed else webhooks_of(draft.after)
    return await _with(asked, draft, with_webhooks(draft.after, kept, added))


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 6):
        raise InvalidInput("min_messages", text, "is not a number", "give a whole number from 0 to 100000")
    return int(text)
