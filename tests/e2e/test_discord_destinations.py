"""Every source and destination that can be chosen on Discord: from the slash to where the summary arrives."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from adapters.egress import EgressPolicy
from adapters.email_delivery import SmtpServer
from daybook import Destination, DestinationType
from tests.adapters.smtp_servers import mail_server
from tests.discord_double import Channel, ChannelType, Interaction, Message, Permission
from tests.e2e.evidence import all_events
from tests.e2e.town import Town, button, shown_text, town_of
from tests.hostile_world import HostileWorld

TOKEN = "canary-5d1e-token-of-a-webhook"


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    async with town_of(tmp_path) as made, made.bot():
        yield made


async def form(town: Town, message: Message, opener: str, /, **typed: str) -> Interaction:
    """Open a form by its button, and fill it in."""
    opened = await town.double.interactions.press(town.ann, message, button(message, opener)).answered()
    return await town.double.interactions.submit(opened, **typed).done()


async def choose(town: Town, message: Message, menu: str, *values: str | Channel) -> Interaction:
    """Choose from a menu."""
    return await town.double.interactions.press(town.ann, message, button(message, menu), list(values)).done()


async def run(town: Town) -> None:
    """Run the one task that there is."""
    result = await town.scheduler.run_task_now(town.only_task().task_id)
    assert result.success, result.error_message


# --- categories -----------------------------------------------------------------------------------------------------


async def fields_of(town: Town) -> tuple[Channel, list[Channel]]:
    """A category with three channels, in all of which people talked."""
    world = town.double.world
    category = world.add_channel(town.guild, "Fields", type=ChannelType.CATEGORY)
    within = [world.add_channel(town.guild, name, parent=category) for name in ("corn", "beans", "secret garden")]
    await town.double.gateway.settle()
    for channel in within:
        town.chatter(channel)
    return category, within


async def test_a_category_is_summarized_without_what_is_left_out(town: Town) -> None:
    """One summary for each of its channels, as it holds them at run time, into the channel where it was typed."""
    category, (corn, beans, garden) = await fields_of(town)
    message = await town.slash(town.ann, "schedule create", category=category, frequency="daily", each="individual")
    assert f"<#{category.id}>" in shown_text(message)
    assert "a summary for each channel" in shown_text(message)
    await town.press(town.ann, message, "Category…")
    await choose(town, message, "Channels of it to leave out", beans)
    assert f"without <#{beans.id}>" in shown_text(message)
    await town.press(town.ann, message, "◀ Overview")
    await town.press(town.ann, message, "Create")
    definition = town.only_task().definition
    assert (definition.category_id, definition.all_channel_ids) == (str(category.id), ())
    assert (definition.excluded_channel_ids, definition.category_mode) == ((str(beans.id),), "individual")
    await run(town)
    titles = [each.embeds[0]["title"] for each in town.square.messages if each.embeds]
    assert [corn.name in title for title in titles] == [True, False]
    assert [garden.name in title for title in titles] == [False, True]


async def test_a_category_can_be_chosen_afterwards_and_given_up_again(town: Town) -> None:
    """Channels take the place of a category, and the other way around."""
    category, (corn, *_) = await fields_of(town)
    message = await town.slash(town.ann, "schedule create", frequency="daily")
    assert f"<#{town.square.id}>" in shown_text(message), "the channel where it is typed, where none is named"
    await town.press(town.ann, message, "Category…")
    await choose(town, message, "Category whose channels are summarized", category)
    await choose(town, message, "One summary, or one for each channel", "individual")
    await town.press(town.ann, message, "◀ Overview")
    assert f"<#{category.id}> (all its channels)" in shown_text(message)
    await choose(town, message, "Channels to summarize", corn)
    await town.press(town.ann, message, "Create")
    definition = town.only_task().definition
    assert (definition.category_id, definition.all_channel_ids) == (None, (str(corn.id),))
    message = await town.slash(town.ann, "schedule edit", task=town.only_task().task_id, category=category)
    await town.press(town.ann, message, "Save")
    assert town.only_task().definition.category_id == str(category.id)


async def test_what_a_person_may_not_read_of_a_category_is_left_out_of_it(town: Town) -> None:
    """A summary is no way around Discord's permissions, and nobody can take such a channel in again."""
    category, (_, beans, garden) = await fields_of(town)
    world = town.double.world
    world.overwrite(garden, world.guilds[town.guild.id].members[town.ann.id], deny=Permission.VIEW_CHANNEL)
    await town.double.gateway.settle()
    message = await town.slash(town.ann, "schedule create", category=category, frequency="daily")
    assert f"without <#{garden.id}>" in shown_text(message)
    await town.press(town.ann, message, "Category…")
    [told] = (await choose(town, message, "Channels of it to leave out", beans)).followups
    assert "View Channel" in shown_text(told)
    await town.press(town.ann, message, "◀ Overview")
    await town.press(town.ann, message, "Create")
    assert town.only_task().definition.excluded_channel_ids == (str(garden.id),)


async def test_a_channel_and_a_category_at_once_are_refused(town: Town) -> None:
    """One of the two is meant; nobody has to guess which."""
    category, (corn, *_) = await fields_of(town)
    message = await town.slash(town.ann, "schedule create", category=category, channel=corn, frequency="daily")
    assert "choose one of the two" in shown_text(message)


# --- direct messages, e-mail, webhooks ------------------------------------------------------------------------------


async def test_summaries_are_sent_to_oneself_and_not_any_more(town: Town) -> None:
    """By an option or a button; never to somebody else."""
    message = await town.slash(town.ann, "schedule create", channel=town.square, frequency="daily", to_me=True)
    assert "a direct message" in shown_text(message)
    await town.press(town.ann, message, "Create")
    assert [(each.type, each.target) for each in town.only_task().definition.destinations] == [
        (DestinationType.DISCORD_DM, str(town.ann.id))
    ]
    town.chatter(town.square)
    await run(town)
    [sent] = town.double.world.conversation(town.ann).messages
    assert sent.embeds
    assert sent.pinged == frozenset()
    message = await town.slash(town.ann, "schedule edit", task=town.only_task().task_id, deliver_to=town.hall)
    await town.press(town.ann, message, "Do not message me")
    await town.press(town.ann, message, "Save")
    assert [each.target for each in town.only_task().definition.destinations] == [str(town.hall.id)]


async def test_summaries_are_sent_by_mail(tmp_path: Path) -> None:
    """Addresses are typed into a form, not into an option; what is taken out of the form is not sent to any more."""
    async with mail_server() as inbox, town_of(tmp_path) as town:
        town.reach["mail_server"] = SmtpServer(
            host="127.0.0.1", port=inbox.port, security="none", sender="daybook@example.org"
        )
        async with town.bot():
            message = await town.slash(town.ann, "schedule create", channel=town.square, frequency="daily")
            await form(town, message, "E-mail…", mail="ann@example.org\nbob@example.org")
            assert "e-mail ann@example.org" in shown_text(message)
            [told] = (await form(town, message, "E-mail…", mail="no address")).followups
            assert "is not an e-mail address" in shown_text(told)
            await form(town, message, "E-mail…", mail="ann@example.org")
            await town.press(town.ann, message, "Create")
            town.chatter(town.square)
            await run(town)
            assert inbox.only.recipients == ["ann@example.org"]
            assert len([each for each in town.square.messages if each.embeds]) == 1


async def test_where_no_mail_is_sent_from_that_is_said(town: Town) -> None:
    """Before anything is scheduled."""
    message = await town.slash(town.ann, "schedule create", channel=town.square, frequency="daily")
    [told] = (await form(town, message, "E-mail…", mail="ann@example.org")).followups
    assert "has no delivery here" in shown_text(told)


async def test_a_webhook_is_typed_into_a_form_and_shown_nowhere(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its address is in the vault alone: not in an answer, not in the log, and not in an event; results arrive."""
    async with HostileWorld() as world, town_of(tmp_path) as town:
        town.reach["egress_policy"] = EgressPolicy([f"127.0.0.1:{world.port}"], plain_http=True)
        async with town.bot():
            message = await town.slash(town.ann, "schedule create", channel=town.square, frequency="daily")
            await form(town, message, "Webhook…", url=world.url(f"/{TOKEN}"), label="board")
            assert "webhook board" in shown_text(message)
            for wrong in (f"ftp://example.org/{TOKEN}", f"http://10.0.0.1/{TOKEN}", f'{{"url": "{TOKEN}"'):
                [told] = (await form(town, message, "Webhook…", url=wrong)).followups
                assert "→" in shown_text(told)
            [told] = (await form(town, message, "Webhook…", url=world.url(f"/{TOKEN}"), format="fax")).followups
            assert "use one of json, slack, discord, teams" in shown_text(told)
            await town.press(town.ann, message, "Create")
            [_, hook] = town.only_task().definition.destinations
            assert town.scheduler.stores.vault.secret(str(town.guild.id), hook.target) == world.url(f"/{TOKEN}")
            town.chatter(town.square)
            await run(town)
            assert [each.path for each in world.requests] == [f"/{TOKEN}"]
            for path in ("show", "history", "edit", "export"):
                shown = await town.slash(town.ann, f"schedule {path}", task=hook_task(town))
                assert TOKEN not in json.dumps([shown.embeds, shown.components]) + repr(vars(shown))
            seen = [*town.double.interactions.made]
            shown_forms = json.dumps([[each.modal, each.choices] for each in seen])
            messages = [each for made in seen for each in (made.original, *made.followups) if each is not None]
            assert TOKEN not in shown_forms
            assert TOKEN not in json.dumps([[each.content, each.embeds, each.components] for each in messages])
            assert TOKEN not in "".join(event.model_dump_json() for event in all_events(town.scheduler.stores.log))
            message = await town.slash(town.ann, "schedule edit", task=hook_task(town))
            await form(town, message, "Webhook…", kept="")
            await town.press(town.ann, message, "Save")
            assert [each.type for each in town.only_task().definition.destinations] == ["discord_channel"]
    captured = capsys.readouterr()
    assert TOKEN not in caplog.text + captured.out + captured.err
    assert files_with(tmp_path, TOKEN) == []


def files_with(folder: Path, text: str) -> list[Path]:
    """The files below a folder that hold a text."""
    return [path for path in folder.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


def hook_task(town: Town) -> str:
    """The id of the one task."""
    return town.only_task().task_id


async def test_a_webhook_that_was_forgotten_meanwhile_is_asked_for_again(town: Town) -> None:
    """Who confirms hours later is told, and no task is made whose results could not arrive."""
    message = await town.slash(town.ann, "schedule create", channel=town.square, frequency="daily")
    await form(town, message, "Webhook…", url="https://hooks.slack.com/services/T/B/x")
    assert "webhook hooks.slack.com" in shown_text(message)
    vault = town.scheduler.stores.vault
    [(guild_id, reference)] = vault.secret_references()
    vault.delete_secret(guild_id, reference)
    [told] = (await town.press(town.ann, message, "Create")).followups
    assert "give its address again" in shown_text(told)
    assert town.tasks() == []


async def test_nobody_is_left_without_a_destination(town: Town) -> None:
    """All of them can be taken away in a draft, but not confirmed."""
    message = await town.slash(town.ann, "schedule create", channel=town.square, frequency="daily")
    await choose(town, message, "Channels to deliver to")
    [told] = (await town.press(town.ann, message, "Create")).followups
    assert "has no enabled destination" in shown_text(told)


async def test_what_others_are_sent_stays(town: Town) -> None:
    """Whoever edits switches their own messages on and off, and nobody else's."""
    bobs = Destination(type=DestinationType.DISCORD_DM, target=str(town.bob.id))
    id = await town.task(destinations=[bobs])
    message = await town.slash(town.ann, "schedule edit", task=id)
    await town.press(town.ann, message, "Message me")
    await town.press(town.ann, message, "Save")
    assert [each.target for each in town.only_task().definition.destinations] == [str(town.bob.id), str(town.ann.id)]


# --- drafts that outlive what showed them ---------------------------------------------------------------------------


async def test_a_preview_is_confirmed_after_a_restart(tmp_path: Path) -> None:
    """The next process knows what the one before showed: drafts, changes, settings, and why a task shall end."""
    async with town_of(tmp_path) as town:
        async with town.bot():
            kept = await town.task("Kept")
            gone = await town.task("Gone")
            draft = await town.slash(town.ann, "schedule create", channel=town.square, frequency="daily", name="New")
            edit = await town.slash(town.ann, "schedule edit", task=kept, name="Changed")
            settings = await town.slash(town.ann, "schedule settings", max_tasks=7)
            end = await town.slash(town.ann, "schedule cancel", task=gone, reason="harvest is over")
        async with town.bot():
            await form(town, draft, "Adjust", name="Newer")
            assert "Newer" in shown_text(draft)
            shown = ((draft, "Create"), (edit, "Save"), (settings, "Save"), (end, "Yes, end it for good"))
            for message, label in shown:
                assert (await town.press(town.ann, message, label)).followups == []
            assert sorted(task.name for task in town.tasks()) == ["Changed", "Newer"]
            assert town.scheduler.queries.settings(str(town.guild.id)).max_tasks == 7
            assert town.scheduler.queries.task(gone).status_reason == "harvest is over"


async def test_an_old_preview_says_what_to_do(town: Town) -> None:
    """Discarded, or a day old: nothing is changed, and the answer says so."""
    message = await town.slash(town.ann, "schedule create", channel=town.square, frequency="daily")
    id = button(message, "Create")
    town.double.world.pass_time(timedelta(days=2))
    await town.timer.advance(timedelta(days=2))
    [told] = (await town.double.interactions.press(town.ann, message, id).done()).followups
    assert "begin again with the command" in shown_text(told)
    assert town.tasks() == []
