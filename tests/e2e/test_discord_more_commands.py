"""Editing, looking back, looking ahead, settings and the buttons below summaries, with a real discord.py client."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from adapters.discord_delivery import DiscordChannelDelivery
from adapters.email_delivery import SmtpServer
from application.import_file import FORMAT
from application.ports import DeliveryRequest
from daybook import Destination, DestinationType, GuildSettings, ScheduleType
from domain.phrases import LONGEST_PHRASE, say
from domain.summary import Summary
from tests.discord_double import Interaction, Message, Permission
from tests.e2e.machine import until
from tests.e2e.town import Town, button, shown_text, town_of

DAY = timedelta(days=1)


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    async with town_of(tmp_path) as made, made.bot():
        yield made


def stamp(instant: datetime) -> str:
    """An instant as Discord shows it."""
    return f"<t:{int(instant.timestamp())}:"


def labels(message: Message) -> list[str]:
    """The labels of the buttons below a message."""
    return [item["label"] for row in message.components for item in row["components"] if "label" in item]


def placeholders(message: Message) -> set[str]:
    """What the menus below a message are for."""
    return {item["placeholder"] for row in message.components for item in row["components"] if "placeholder" in item}


def boxes(form: Interaction) -> list[str]:
    """The text boxes of a form that was opened."""
    assert form.modal is not None
    return [item["custom_id"] for row in form.modal["components"] for item in row["components"]]


# --- edit -----------------------------------------------------------------------------------------------------------


async def test_an_edit_shows_which_runs_move_and_changes_nothing_before_it_is_saved(town: Town) -> None:
    """The next three as they were and as they will be; then the task has the new schedule."""
    now = town.clock.now()
    if (now + timedelta(minutes=150)).date() != now.date():  # runs of one day are set side by side
        now = (now + DAY).replace(hour=0, minute=0)
    soon, later = (now + timedelta(minutes=minutes) for minutes in (60, 150))
    id = await town.task(schedule_time=f"{soon:%H:%M}")
    before = town.only_task().next_run_time
    assert before is not None
    message = await town.slash(town.ann, "schedule edit", task=id, when=f"every day at {later:%H:%M}")
    after = before + timedelta(minutes=90)
    text = shown_text(message)
    for number in range(3):
        assert stamp(before + number * DAY) + "F>" in text
        assert stamp(after + number * DAY) + "F>" in text
        assert f"{stamp(before + number * DAY)}f> → {stamp(after + number * DAY)}f>" in text
    assert message.visible_to == town.ann.id
    assert town.only_task().next_run_time == before
    await town.press(town.ann, message, "Save")
    assert town.only_task().next_run_time == after
    assert "is changed" in shown_text(message)


async def test_an_edit_after_a_skip_moves_only_what_runs(town: Town) -> None:
    """Nothing runs until the end of what was left out in advance, whatever the schedule is: no run there is shown."""
    soon, later = (town.clock.now() + timedelta(minutes=minutes) for minutes in (60, 150))
    id = await town.task(schedule_time=f"{soon:%H:%M}")
    first = town.only_task().next_run_time
    assert first is not None
    await town.slash(town.ann, "schedule skip", task=id, count=3)
    message = await town.slash(town.ann, "schedule edit", task=id, when=f"every day at {later:%H:%M}")
    shown = {int(second) for second in re.findall(r"<t:(\d+):[fF]>", shown_text(message))}
    await town.press(town.ann, message, "Save")
    following = town.only_task().next_run_time
    assert following == first + 2 * DAY + timedelta(minutes=90)
    assert min(shown) == int(following.timestamp())


async def test_every_field_can_be_edited(town: Town) -> None:
    """Name, zone, channel, destination, length and the fewest messages; what is no channel of Discord stays."""
    console = Destination(type=DestinationType.CONSOLE, format="text")
    square = Destination(type=DestinationType.DISCORD_CHANNEL, target=str(town.square.id), format="markdown")
    id = await town.task(schedule_time="09:00", destinations=[square, console])
    message = await town.slash(
        town.ann,
        "schedule edit",
        task=id,
        name="Harvest",
        zone="Europe/Berlin",
        channel=town.hall,
        deliver_to=town.hall,
        length="brief",
        min_messages=3,
    )
    await town.press(town.ann, message, "Save")
    definition = town.only_task().definition
    assert definition.name == "Harvest"
    assert (definition.schedule.timezone, definition.schedule.time) == ("Europe/Berlin", "09:00")
    assert definition.all_channel_ids == (str(town.hall.id),)
    assert definition.destinations == (square.model_copy(update={"target": str(town.hall.id)}), console)
    assert (definition.summary_options.summary_length, definition.summary_options.min_messages) == ("brief", 3)


async def test_an_edit_is_adjusted_by_form_and_menus(town: Town) -> None:
    """What was left as it stood is not changed; a mistake leaves the edit as it was."""
    id = await town.task(schedule_time="09:00")
    message = await town.slash(town.ann, "schedule edit", task=id)
    assert "Nothing is changed yet" in shown_text(message)
    press, submit = town.double.interactions.press, town.double.interactions.submit
    form = await press(town.ann, message, button(message, "Adjust")).answered()
    [told] = (await submit(form, when="every wensday").done()).followups
    assert "wednesday" in shown_text(told)
    form = await press(town.ann, message, button(message, "Adjust")).answered()
    await submit(form, name="Sums", zone="Asia/Kolkata").done()
    await press(town.ann, message, button(message, "Length"), ["comprehensive"]).done()
    await press(town.ann, message, button(message, "Channels to summarize"), [town.square, town.hall]).done()
    await press(town.ann, message, button(message, "Channels to deliver to"), [town.hall]).done()
    await town.press(town.ann, message, "Save")
    definition = town.only_task().definition
    assert definition.name == "Sums"
    assert definition.schedule.timezone == "Asia/Kolkata"
    assert definition.schedule.type is ScheduleType.DAILY
    assert definition.summary_options.summary_length == "comprehensive"
    assert definition.all_channel_ids == (str(town.square.id), str(town.hall.id))
    assert [each.target for each in definition.destinations] == [str(town.hall.id)]


async def test_what_a_form_cannot_show_whole_is_not_offered_in_it(town: Town) -> None:
    """A name of 100 characters that Discord counts as 200 is; a schedule with more words than anybody types is not."""
    name, dates = "🦊" * 100, [f"2027-{month:02}-{day:02}" for month in range(1, 13) for day in (1, 7, 13, 19, 25)]
    id = await town.task(name, schedule_time="09:00", exclude=dates)
    before = town.only_task().definition
    assert len(say(before.schedule)) > LONGEST_PHRASE
    message = await town.slash(town.ann, "schedule edit", task=id)
    form = await town.double.interactions.press(town.ann, message, button(message, "Adjust")).answered()
    assert boxes(form) == ["name", "zone", "least"]
    await town.double.interactions.submit(form, least="3").done()
    await town.press(town.ann, message, "Save")
    after = town.only_task().definition
    assert (after.name, after.schedule) == (name, before.schedule)
    assert after.summary_options.min_messages == 3
    message = await town.slash(town.ann, "schedule edit", task=id, when="every day at 10")
    form = await town.double.interactions.press(town.ann, message, button(message, "Adjust")).answered()
    assert boxes(form) == ["name", "when", "zone", "least"]


async def test_addresses_that_a_form_cannot_show_are_not_lost(tmp_path: Path) -> None:
    """More than 4,000 characters of them: the form is refused with words, and a form of before takes none away."""
    domain = ".".join(["d" * 60] * 3 + ["example"])
    addresses = [f"{number:02}{'a' * 60}@{domain}" for number in range(19)]
    mails = [Destination(type=DestinationType.EMAIL, target=each, format="html") for each in addresses]
    assert len("\n".join(addresses)) > 4000
    async with town_of(tmp_path) as town:
        town.reach["mail_server"] = SmtpServer(host="127.0.0.1", port=9, security="none", sender="daybook@example.org")
        async with town.bot():
            press, submit = town.double.interactions.press, town.double.interactions.submit
            id = await town.task(destinations=mails[:3])
            few = await town.slash(town.ann, "schedule edit", task=id)
            opened = await press(town.ann, few, button(few, "E-mail…")).answered()
            assert boxes(opened) == ["mail"]
            await town.scheduler.commands.revise(id, {"destinations": mails})
            many = await town.slash(town.ann, "schedule edit", task=id)
            refused = await press(town.ann, many, button(many, "E-mail…")).done()
            assert refused.modal is None
            assert refused.original is not None
            assert "19 addresses are more than a form can show" in shown_text(refused.original)
            assert opened.modal is not None
            opened.modal["custom_id"] = button(many, "E-mail…").replace("draft-mail", "draft-mailed")
            [told] = (await submit(opened, mail="ann@example.org").done()).followups
            assert "more than a form can show" in shown_text(told)
            assert town.only_task().definition.destinations == tuple(mails)


async def test_a_menu_that_cannot_show_all_is_not_offered(town: Town) -> None:
    """To choose from it would leave out what it does not show."""
    channels = [town.double.world.add_channel(town.guild, f"plot {number}") for number in range(11)]
    places = [Destination(type=DestinationType.DISCORD_CHANNEL, target=str(each.id)) for each in channels[:6]]
    few = await town.task("Few", channel_ids=[str(each.id) for each in channels[:9]], destinations=places[:5])
    many = await town.task("Many", channel_ids=[str(each.id) for each in channels[:10]], destinations=places)
    excluded = [str(each.id) for each in channels] + [str(number) for number in range(10**17, 10**17 + 15)]
    whole = await town.task("Whole", channel_id="", category_id="123", excluded_channel_ids=excluded)
    menus = {"Channels to summarize", "Channels to deliver to"}
    assert menus <= placeholders(await town.slash(town.ann, "schedule edit", task=few))
    assert not menus & placeholders(await town.slash(town.ann, "schedule edit", task=many))
    message = await town.slash(town.ann, "schedule edit", task=whole)
    await town.press(town.ann, message, "Category…")
    assert "Category whose channels are summarized" in placeholders(message)
    assert "Channels of it to leave out" not in placeholders(message)


async def test_an_edit_is_no_way_around_the_permissions_of_a_channel(town: Town) -> None:
    """Who may not read a channel does not have its summaries sent to where they read; other changes they may make."""
    id = await town.task(channel_id=str(town.hall.id))
    world = town.double.world
    ann = world.guilds[town.guild.id].members[town.ann.id]
    world.overwrite(town.hall, ann, deny=Permission.VIEW_CHANNEL)
    await town.double.gateway.settle()
    before = town.only_task().definition
    for options in ({"to_me": True}, {"deliver_to": world.add_channel(town.guild, "nook")}):
        text = shown_text(await town.slash(town.ann, "schedule edit", task=id, **options))
        assert "View Channel" in text
        assert "#hall" in text
    message = await town.slash(town.ann, "schedule edit", task=id, name="Renamed")
    [told] = (await town.press(town.ann, message, "Message me")).followups
    assert "View Channel" in shown_text(told)
    await town.press(town.ann, message, "Save")
    after = town.only_task().definition
    assert (after.name, after.destinations) == ("Renamed", before.destinations)
    message = await town.slash(town.ann, "schedule edit", task=id, channel=town.square, to_me=True)
    await town.press(town.ann, message, "Save")
    assert len(town.only_task().definition.destinations) == 2


async def test_who_may_not_read_a_channel_any_more_does_not_save_an_edit_of_before(town: Town) -> None:
    """What was shown is checked again when it is saved."""
    id = await town.task(channel_id=str(town.hall.id))
    message = await town.slash(town.ann, "schedule edit", task=id, to_me=True)
    world = town.double.world
    world.overwrite(town.hall, world.guilds[town.guild.id].members[town.ann.id], deny=Permission.VIEW_CHANNEL)
    await town.double.gateway.settle()
    [told] = (await town.press(town.ann, message, "Save")).followups
    assert "View Channel" in shown_text(told)
    assert len(town.only_task().definition.destinations) == 1


async def test_an_edit_of_what_changed_meanwhile_is_shown_anew(town: Town) -> None:
    """Nobody overwrites what they did not see."""
    id = await town.task("Daily digest")
    message = await town.slash(town.ann, "schedule edit", task=id, name="Mine")
    await town.scheduler.update_task(id, name="Theirs")
    await town.press(town.ann, message, "Save")
    assert "Somebody changed this task meanwhile" in shown_text(message)
    assert town.only_task().name == "Theirs"
    await town.press(town.ann, message, "Save")
    assert town.only_task().name == "Mine"


async def test_an_edit_warns_of_what_the_bot_may_not_do(town: Town) -> None:
    """Before the next run fails for it."""
    id = await town.task()
    town.double.world.deny(town.hall, Permission.SEND_MESSAGES)
    await town.double.gateway.settle()
    message = await town.slash(town.ann, "schedule edit", task=id, deliver_to=town.hall)
    assert "the bot lacks Send Messages" in shown_text(message)


async def test_an_edit_can_be_left_and_is_for_those_who_may(town: Town) -> None:
    """Discarding changes nothing; nobody delivers where they may not write."""
    id = await town.task()
    message = await town.slash(town.ann, "schedule edit", task=id, name="Mine")
    await town.press(town.ann, message, "Discard")
    assert town.only_task().name == "Daily digest"
    world = town.double.world
    world.overwrite(town.hall, world.guilds[town.guild.id].members[town.ann.id], deny=Permission.SEND_MESSAGES)
    refused = await town.slash(town.ann, "schedule edit", task=id, deliver_to=town.hall)
    assert "Send Messages" in shown_text(refused)
    assert refused.components == []


# --- history, why, stats --------------------------------------------------------------------------------------------


async def test_history_shows_runs_page_by_page(town: Town) -> None:
    """Defect 37: it failed whenever there was something to show. Slot, lateness, outcome, deliveries; newest first."""
    hall = Destination(type=DestinationType.DISCORD_CHANNEL, target=str(town.hall.id))
    id = await town.task(schedule_time="09:00", destinations=[hall])
    slot = town.only_task().next_run_time
    assert slot is not None
    await town.wait(slot - town.clock.now() - timedelta(minutes=1))
    town.chatter(town.square)
    await town.wait(timedelta(minutes=3))
    for _ in range(5):
        await town.scheduler.run_task_now(id)
    message = await town.slash(town.ann, "schedule history", task=id)
    assert "asked for" in shown_text(message)
    assert "Page 1" in shown_text(message)
    await town.press(town.ann, message, "On ▶")
    text = shown_text(message)
    assert stamp(slot) in text
    assert "on time" in text or "late" in text
    assert "8 messages" in text
    assert f"✔ <#{town.hall.id}>" in text
    assert "No run fits" in shown_text(await town.slash(town.ann, "schedule history", task=id, state="failed"))


async def test_history_names_slots_that_did_not_run(town: Town) -> None:
    """What was skipped on request has no run, and is shown all the same."""
    id = await town.task(schedule_time="09:00")
    await town.scheduler.commands.skip_next(id, 2)
    assert "2 slots from" in shown_text(await town.slash(town.ann, "schedule history", task=id))
    assert "left out on request" in shown_text(await town.slash(town.ann, "schedule history", task=id))


async def test_why_answers_in_words_with_evidence(town: Town) -> None:
    """A day, an instant of the zone, and a length of time ago; why it ran, and why it did not."""
    id = await town.task(schedule_time="09:00")
    slot = town.only_task().next_run_time
    assert slot is not None
    await town.wait(slot - town.clock.now() + timedelta(minutes=2))
    ran = shown_text(await town.slash(town.ann, "schedule why", task=id, when="today"))
    assert stamp(slot) in ran
    assert "What shows it" in ran
    assert "(event " in ran
    assert shown_text(await town.slash(town.ann, "schedule why", task=id, when="9:00")) == ran
    await town.scheduler.pause_task(id, reason="holidays")
    await town.wait(DAY)
    text = shown_text(await town.slash(town.ann, "schedule why", task=id, when=f"{slot + DAY:%Y-%m-%d %H:%M}"))
    assert "paused" in text.lower()
    text = shown_text(await town.slash(town.ann, "schedule why", task=id, when="1h ago"))
    assert stamp(town.clock.now() - timedelta(hours=1)) in text
    for far in ("9998-01-01 09:00", "1970-01-01", "9999-12-31", "0001-01-01"):
        told = shown_text(await town.slash(town.ann, "schedule why", task=id, when=far))
        assert "Something went wrong" not in told
    refused = await town.slash(town.ann, "schedule why", task=id, when="when pigs fly")
    assert "yesterday" in shown_text(refused)


async def test_why_offers_the_last_slots_of_the_task_that_was_chosen(town: Town) -> None:
    """In the zone of the task; and of another guild's task, nothing."""
    id = await town.task(schedule_time="09:00", timezone="Asia/Kolkata")
    await town.wait(DAY + timedelta(minutes=5))
    offered = await town.typed(town.ann, "schedule why", "when", task=id, when="")
    assert any(choice["value"].endswith(" 09:00") for choice in offered)
    foreign = await town.typed(town.eve, "schedule why", "when", task=id, when="")
    assert [choice["value"] for choice in foreign] == ["yesterday", "today"]


async def test_stats_count_paused_tasks_as_well(town: Town) -> None:
    """Defect 36: any paused task made them a TypeError."""
    first, second = await town.task("Apples"), await town.task("Pears")
    town.chatter(town.square)
    await town.scheduler.run_task_now(first)
    await town.scheduler.pause_task(second, reason="winter")
    text = shown_text(await town.slash(town.ann, "schedule stats"))
    assert "1 Active · 1 Paused" in text
    assert "100.0 %" in text
    assert "Apples" in text
    text = shown_text(await town.slash(town.ann, "schedule stats", task=second))
    assert "winter" in text
    assert "No run has ended yet" in text
    assert "1 executed" in shown_text(await town.slash(town.ann, "schedule stats", task=first))


# --- preview, export ------------------------------------------------------------------------------------------------


async def test_a_preview_names_clock_changes_and_days_off(town: Town) -> None:
    """Of a phrase that nobody scheduled, and of a task."""
    phrase = "every day at 2:30 in Europe/Berlin"
    text = shown_text(await town.slash(town.ann, "schedule preview", when=phrase, count=3))
    assert text.count(":F>") == 3
    assert "does not exist" in text
    id = await town.task(schedule_time="09:00")
    assert shown_text(await town.slash(town.ann, "schedule preview", task=id, count=25)).count(":F>") == 25
    assert town.only_task().task_id == id
    assert "choose a task" in shown_text(await town.slash(town.ann, "schedule preview"))


async def test_a_preview_shows_what_a_summary_would_say_and_keeps_nothing(town: Town) -> None:
    """Nothing is delivered, and no run is written down."""
    id = await town.task("Evening")
    quiet = town.interact(town.ann, "schedule preview", task=id, summary=True)
    await quiet.until(lambda each: each.original is not None and "quiet" in shown_text(each.original))
    town.chatter(town.square)
    said = len(town.square.messages)
    asked = town.interact(town.ann, "schedule preview", task=id, summary=True)
    await asked.until(lambda each: each.original is not None and "Only a preview" in shown_text(each.original))
    assert asked.original is not None
    assert "Evening" in shown_text(asked.original)
    assert asked.ephemeral
    assert len(town.square.messages) == said
    assert town.scheduler.queries.runs(task_id=id) == []


async def test_a_preview_is_no_way_around_the_permissions_of_a_channel(town: Town) -> None:
    """Who may not read a channel does not read its summary either."""
    id = await town.task(channel_id=str(town.hall.id))
    town.chatter(town.hall)
    world = town.double.world
    world.overwrite(town.hall, world.guilds[town.guild.id].members[town.ann.id], deny=Permission.VIEW_CHANNEL)
    await town.double.gateway.settle()
    text = shown_text(await town.slash(town.ann, "schedule preview", task=id, summary=True))
    assert "View Channel" in text
    assert "oak" not in text


async def test_an_export_is_a_file_of_this_guild_without_secrets(town: Town) -> None:
    """It can be imported; it has no other guild's tasks and no address of a webhook."""
    hook = Destination(type=DestinationType.WEBHOOK, target="https://hooks.example.org/canary-token", format="json")
    id = await town.task("Ours", destinations=[hook])
    await town.task("Theirs", guild=town.other)
    message = await town.slash(town.ann, "schedule export")
    [file] = message.attachments
    text = town.double.world.files[file["id"]]
    assert file["filename"] == f"daybook-{town.clock.now():%Y-%m-%d}.json"
    document = json.loads(text)
    assert document["format"] == FORMAT
    assert [task["id"] for task in document["tasks"]] == [id]
    assert b"canary-token" not in text
    assert message.visible_to == town.ann.id
    assert (await town.scheduler.transfer.import_tasks(text)) == 1


# --- settings -------------------------------------------------------------------------------------------------------


def settings_of(town: Town) -> GuildSettings:
    """Those of the village."""
    return town.scheduler.queries.settings(str(town.guild.id))


async def test_settings_are_shown_and_changed_after_a_confirmation(town: Town) -> None:
    """Every one of them, and back to the default."""
    role = town.double.world.add_role(town.guild, "scribes", Permission(0))
    await town.double.gateway.settle()
    assert "UTC (of the service)" in shown_text(await town.slash(town.ann, "schedule settings"))
    message = await town.slash(
        town.ann,
        "schedule settings",
        zone="Europe/Berlin",
        notices=town.hall,
        add_manager=role,
        max_tasks=5,
        shortest_interval="15m",
        runs_per_day=50,
        keep_summaries=90,
        keep_runs=30,
    )
    assert "Nothing is saved yet" in shown_text(message)
    assert settings_of(town) == GuildSettings()
    await town.press(town.ann, message, "Save")
    kept = settings_of(town)
    assert kept.timezone == "Europe/Berlin"
    assert [each.target for each in kept.failure_notices] == [str(town.hall.id)]
    assert kept.managers == (str(role.id),)
    assert (kept.max_tasks, kept.shortest_interval_seconds, kept.runs_per_day) == (5, 900, 50)
    assert (kept.retention.summaries_days, kept.retention.run_details_days) == (90, 30)
    for reset in ("zone", "notices", "managers", "max_tasks", "shortest_interval", "runs_per_day", "retention"):
        await town.press(town.ann, await town.slash(town.ann, "schedule settings", reset=reset), "Save")
    assert settings_of(town) == GuildSettings()


async def test_settings_are_refused_in_words_and_left_alone(town: Town) -> None:
    """A zone that there is not, a role that everybody has, and a change that is dropped."""
    zone = await town.slash(town.ann, "schedule settings", zone="Europe/Berln")
    assert "Europe/Berlin" in shown_text(zone)
    everyone = town.double.world.guilds[town.guild.id].roles[town.guild.id]
    assert "choose a role" in shown_text(await town.slash(town.ann, "schedule settings", add_manager=everyone))
    message = await town.slash(town.ann, "schedule settings", max_tasks=3)
    await town.press(town.ann, message, "Discard")
    assert settings_of(town) == GuildSettings()


async def test_settings_that_changed_meanwhile_are_shown_anew(town: Town) -> None:
    """The other person's change stays, and one's own is asked for once more."""
    message = await town.slash(town.ann, "schedule settings", max_tasks=3)
    await town.scheduler.commands.change_settings(str(town.guild.id), GuildSettings(timezone="Asia/Tokyo"))
    await town.press(town.ann, message, "Save")
    assert "meanwhile" in shown_text(message)
    await town.press(town.ann, message, "Save")
    assert settings_of(town) == GuildSettings(timezone="Asia/Tokyo", max_tasks=3)


async def test_only_who_manages_the_server_changes_settings(town: Town) -> None:
    """A role that may manage tasks may not say who manages tasks."""
    for command in town.double.commands.registered():
        command["default_member_permissions"] = "0"  # an administrator showed the commands to everybody
    assert "Settings of this server" in shown_text(await town.slash(town.bob, "schedule settings"))
    refused = await town.slash(town.bob, "schedule settings", max_tasks=3)
    assert "not do this" in shown_text(refused)
    assert refused.components == []
    assert settings_of(town) == GuildSettings()


async def test_a_role_may_be_allowed_to_manage_tasks(town: Town) -> None:
    """And no longer, when the settings say so: every press is judged anew."""
    for command in town.double.commands.registered():
        command["default_member_permissions"] = "0"  # an administrator showed the commands to everybody
    id = await town.task()
    [role] = [each for each in town.double.world.guilds[town.guild.id].roles.values() if each.name == "role of bob"]
    await town.press(town.ann, await town.slash(town.ann, "schedule settings", add_manager=role), "Save")
    message = await town.slash(town.bob, "schedule edit", task=id, name="By bob")
    await town.press(town.bob, message, "Save")
    assert town.only_task().name == "By bob"
    message = await town.slash(town.bob, "schedule edit", task=id, name="By bob again")
    await town.press(town.ann, await town.slash(town.ann, "schedule settings", remove_manager=role), "Save")
    [told] = (await town.press(town.bob, message, "Save")).followups
    assert "not do this" in shown_text(told)
    assert town.only_task().name == "By bob"


async def test_a_preview_of_a_summary_that_fails_says_why(town: Town) -> None:
    """The engine's own words, and no run."""

    class Broken:
        """An engine that is out of order."""

        async def summarize_messages(self, *arguments: object) -> None:
            raise RuntimeError("the oven is cold")

    id = await town.task()
    town.chatter(town.square)
    town.scheduler.commands._executor._engine = Broken()
    asked = town.interact(town.ann, "schedule preview", task=id, summary=True)
    await asked.until(lambda each: each.original is not None and "oven is cold" in shown_text(each.original))
    assert town.scheduler.queries.runs(task_id=id) == []


# --- buttons below a summary ----------------------------------------------------------------------------------------


async def delivered(town: Town, **fields: Any) -> tuple[str, Message]:
    """A task whose summary stands in the hall."""
    hall = Destination(type=DestinationType.DISCORD_CHANNEL, target=str(town.hall.id))
    id = await town.task(destinations=[hall], **fields)
    town.chatter(town.square)
    await town.scheduler.run_task_now(id)
    return id, town.hall.messages[-1]


async def test_buttons_below_a_summary_survive_a_restart(tmp_path: Path) -> None:
    """Run again, skip next, pause and settings, by a process that did not send it; the summary stays as it is."""
    async with town_of(tmp_path) as town:
        async with town.bot():
            _, message = await delivered(town, schedule_time="09:00")
            assert labels(message) == ["Run again", "Skip next", "Pause", "Settings"]
            before = shown_text(message)
        async with town.bot():
            slot = town.only_task().next_run_time
            assert slot is not None
            pressed = await town.press(town.ann, message, "Skip next")
            assert pressed.ephemeral
            assert town.only_task().next_run_time == slot + DAY
            settings = await town.press(town.ann, message, "Settings")
            assert settings.original is not None
            assert "Nothing is changed yet" in shown_text(settings.original)
            town.chatter(town.square)
            again = await town.press(town.ann, message, "Run again")
            await again.until(lambda each: each.original is not None and "Done in" in shown_text(each.original))
            assert len(town.hall.messages) == 2
            await town.press(town.ann, message, "Pause")
            assert not town.only_task().is_active
            assert shown_text(message) == before
            assert labels(message) == ["Run again", "Skip next", "Pause", "Settings"]


async def test_buttons_ask_anew_who_presses(town: Town) -> None:
    """Everybody in the channel sees them; who may not manage tasks is told so, alone."""
    _, message = await delivered(town)
    slot = town.only_task().next_run_time
    for label in labels(message):
        pressed = await town.press(town.bob, message, label)
        assert pressed.original is not None
        assert pressed.original.visible_to == town.bob.id
        assert "not do this" in shown_text(pressed.original)
    assert town.only_task().is_active
    assert town.only_task().next_run_time == slot
    assert len(town.hall.messages) == 1


async def test_buttons_of_another_guilds_task_find_nothing(town: Town) -> None:
    """Whatever custom id is forged below a message of one's own."""
    id, message = await delivered(town)
    slot = town.only_task().next_run_time
    own = await town.task(guild=town.other)
    for label in labels(message):
        forged = await town.slash(town.eve, "schedule show", task=own)
        forged.components = message.components
        pressed = await town.press(town.eve, forged, label)
        assert pressed.original is not None
        assert "no such task" in shown_text(pressed.original)
    task = town.scheduler.queries.task(id)
    assert (task.is_active, task.next_run_time) == (True, slot)


async def test_a_client_that_serves_no_buttons_shows_none(town: Town) -> None:
    """Nobody would answer a press: a client of a host without the commands delivers the summary alone."""
    id, first = await delivered(town)
    where = Destination(type=DestinationType.DISCORD_CHANNEL, target=str(town.hall.id))
    now = town.double.world.now()
    request = DeliveryRequest(
        key="0123456789abcdef01234567",
        run_id="run-1",
        task_id=id,
        task_name="Daily digest",
        guild_id=str(town.guild.id),
        destination=where,
        summary=Summary(id="s", summary_text="Two people spoke.", start_time=now, end_time=now),
        slot=now,
    )
    async with town.double.rest_client() as client:
        await DiscordChannelDelivery(client, now=town.double.world.now).deliver(request)
    assert first.components != []
    assert town.hall.messages[-1].components == []


async def test_a_notice_of_a_failure_has_no_buttons(town: Town) -> None:
    """There is nothing to run again below it."""
    notices = Destination(type=DestinationType.DISCORD_CHANNEL, target=str(town.hall.id))
    await town.scheduler.commands.change_settings(str(town.guild.id), GuildSettings(failure_notices=(notices,)))
    town.double.world.deny(town.square, Permission.READ_MESSAGE_HISTORY)
    await town.double.gateway.settle()
    await town.task(max_failures=1, schedule_type="hourly")
    await town.wait(timedelta(minutes=65))
    await until(lambda: bool(town.hall.messages))
    assert town.hall.messages[-1].components == []


# --- all of them ----------------------------------------------------------------------------------------------------


async def test_names_that_are_markup_ping_nobody_in_any_answer(town: Town) -> None:
    """Within every limit of Discord, acknowledged once, seen by who asked alone."""
    name = ("@everyone **loud** [click](https://evil.example) <@1> `" + "x" * 100)[:100]
    id = await town.task(name)
    town.chatter(town.square)
    await town.scheduler.run_task_now(id, reason=name)
    for path, options in (
        ("edit", {"task": id, "name": name[::-1]}),
        ("history", {"task": id}),
        ("why", {"task": id, "when": "today"}),
        ("stats", {}),
        ("stats", {"task": id}),
        ("preview", {"task": id, "summary": True}),
        ("export", {}),
        ("settings", {}),
    ):
        asked = town.interact(town.ann, f"schedule {path}", **options)
        message = await asked.shown()
        assert asked.refusals == []
        assert message.visible_to == town.ann.id
        text = shown_text(message)
        assert "@everyone" not in text
        assert "[click](" not in text
        assert message.pinged == frozenset()
