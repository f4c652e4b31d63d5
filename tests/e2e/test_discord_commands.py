"""Every command of ``/schedule`` with a real discord.py client: from the slash to the log and the channel."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from daybook import GuildSettings, ScheduleType
from domain.errors import TaskNotFound
from tests.discord_double import NotOffered, Permission
from tests.e2e.machine import until
from tests.e2e.town import Town, button, choices, shown_text, town_of

BERLIN = ZoneInfo("Europe/Berlin")
DAY = timedelta(days=1)


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    async with town_of(tmp_path) as made, made.bot():
        yield made


async def created(town: Town, **options: object) -> None:
    """Create a task as ann does, and confirm it."""
    preview = await town.slash(town.ann, "schedule create", **({"channel": town.square} | options))
    pressed = await town.press(town.ann, preview, "Create")
    assert pressed.refusals == []
    assert "is scheduled" in shown_text(preview)


# --- create ---------------------------------------------------------------------------------------------------------


async def test_from_the_slash_to_the_summary_on_time(town: Town) -> None:
    """A task that is typed, previewed and confirmed delivers its summary into the channel at its slot."""
    await created(town, frequency="daily", time="18:30", zone="Europe/Berlin", deliver_to=town.hall, name="Evening")
    slot = town.only_task().next_run_time
    assert slot is not None
    assert slot.astimezone(BERLIN).strftime("%H:%M") == "18:30"
    town.chatter(town.square)
    await town.wait(slot - town.clock.now() - timedelta(minutes=1))
    assert town.hall.messages == []
    await town.wait(timedelta(minutes=2))
    [message] = town.hall.messages
    assert message.embeds[0]["title"] == "Evening"
    assert message.pinged == frozenset()


async def test_a_preview_says_what_will_be_made_and_makes_nothing(town: Town) -> None:
    """Id, target, schedule in words, zone, the next three slots as timestamps; and the log stays as it was."""
    preview = await town.slash(
        town.ann,
        "schedule create",
        channel=town.square,
        when="every weekday at 9:00 in Europe/Berlin",
        deliver_to=town.hall,
    )
    text = shown_text(preview)
    assert f"<#{town.square.id}>" in text
    assert f"<#{town.hall.id}>" in text
    assert "every weekday at 09:00 in Europe/Berlin" in text
    assert "Zone: Europe/Berlin" in text
    assert text.count(":F>") == text.count(":R>") == 3
    assert preview.visible_to == town.ann.id
    assert town.tasks() == []
    await town.press(town.ann, preview, "Create")
    assert town.only_task().task_id in text


async def test_a_weekly_task_is_weekly(town: Town) -> None:
    """Defect 10: days were parsed for one kind of schedule only, and "weekly" fired every day."""
    await created(town, frequency="weekly", day="wednesday", time="09:00")
    task = town.only_task()
    assert task.definition.schedule.type is ScheduleType.WEEKLY
    assert task.definition.schedule.days == (2,)
    assert task.next_run_time is not None
    assert task.next_run_time.weekday() == 2
    await town.wait(8 * DAY)
    assert town.only_task().metadata.skipped_runs + town.only_task().metadata.execution_count == 1


async def test_an_hourly_task_is_hourly(town: Town) -> None:
    """Defect 11: "hourly" became a custom schedule without an expression, which was always an error."""
    await created(town, frequency="hourly")
    assert town.only_task().definition.schedule.type is ScheduleType.HOURLY


@pytest.mark.parametrize(
    ("frequency", "more", "kind"),
    [
        ("daily", {}, ScheduleType.DAILY),
        ("weekdays", {"time": "7:00"}, ScheduleType.WEEKLY),
        ("half-weekly", {}, ScheduleType.HALF_WEEKLY),
        ("monthly", {"day": "the last day"}, ScheduleType.MONTHLY),
        ("every-4-hours", {}, ScheduleType.EVERY_4_HOURS),
        ("fifteen-minutes", {}, ScheduleType.FIFTEEN_MINUTES),
        ("once", {"day": "tomorrow", "time": "18:00"}, ScheduleType.ONCE),
    ],
)
async def test_every_frequency_becomes_the_kind_that_it_names(
    town: Town, frequency: str, more: dict[str, str], kind: ScheduleType
) -> None:
    """No choice is an error, and none becomes something else."""
    await created(town, frequency=frequency, **more)
    assert town.only_task().definition.schedule.type is kind


async def test_a_draft_is_adjusted_before_it_is_made(town: Town) -> None:
    """The form changes name and schedule, the menus length and channels; what is made is what was shown last."""
    preview = await town.slash(town.ann, "schedule create", channel=town.square, frequency="daily")
    press = town.double.interactions.press
    form = await press(town.ann, preview, button(preview, "Adjust")).answered()
    await town.double.interactions.submit(form, name="Sums", when="every monday at 8", least="3").done()
    await press(town.ann, preview, button(preview, "Length"), ["brief"]).done()
    await press(town.ann, preview, button(preview, "Channels to summarize"), [town.square, town.hall]).done()
    await press(town.ann, preview, button(preview, "Channels to deliver to"), [town.hall]).done()
    await town.press(town.ann, preview, "Create")
    definition = town.only_task().definition
    assert definition.name == "Sums"
    assert definition.schedule.days == (0,)
    assert definition.summary_options.min_messages == 3
    assert definition.summary_options.summary_length == "brief"
    assert definition.all_channel_ids == (str(town.square.id), str(town.hall.id))
    assert [destination.target for destination in definition.destinations] == [str(town.hall.id)]


async def test_a_mistake_in_the_form_is_explained_beside_the_draft(town: Town) -> None:
    """The draft stays as it was, and can be made."""
    preview = await town.slash(town.ann, "schedule create", channel=town.square, frequency="daily")
    form = await town.double.interactions.press(town.ann, preview, button(preview, "Adjust")).answered()
    submitted = await town.double.interactions.submit(form, when="every wensday").done()
    [told] = submitted.followups
    assert "wednesday" in shown_text(told)
    assert told.visible_to == town.ann.id
    await town.press(town.ann, preview, "Create")
    assert town.only_task().definition.schedule.type is ScheduleType.DAILY


async def test_a_second_press_of_create_makes_no_second_task(town: Town) -> None:
    """People press twice."""
    preview = await town.slash(town.ann, "schedule create", channel=town.square, frequency="daily")
    id = button(preview, "Create")
    first, second = (town.double.interactions.press(town.ann, preview, id) for _ in range(2))
    await first.done()
    await second.done()
    assert len(town.tasks()) == 1


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, "choose a frequency"),
        ({"when": "every wensday"}, "wednesday"),
        ({"when": "every day", "time": "9:00"}, "says again"),
        ({"frequency": "hourly", "time": "9:00"}, "has no place beside hourly"),
        ({"frequency": "daily", "zone": "Europe/Berln"}, "Europe/Berlin"),
        ({"frequency": "once", "day": "2020-01-01"}, "no slot in the future"),
        ({"frequency": "once"}, "on which day"),
    ],
)
async def test_what_cannot_be_understood_is_answered_with_what_would_be(
    town: Town, options: dict[str, str], told: str
) -> None:
    """A mistake is named with its remedy, to who made it alone, and nothing is made."""
    answer = await town.slash(town.ann, "schedule create", channel=town.square, **options)
    assert told in shown_text(answer)
    assert answer.visible_to == town.ann.id
    assert answer.components == []
    assert town.tasks() == []


async def test_nobody_has_channels_summarized_that_they_may_not_read(town: Town) -> None:
    """A summary is no way around Discord's permissions; nor is a delivery."""
    world = town.double.world
    world.overwrite(town.hall, world.guilds[town.guild.id].members[town.ann.id], deny=Permission.READ_MESSAGE_HISTORY)
    answer = await town.slash(town.ann, "schedule create", channel=town.hall, frequency="daily")
    assert "Read Message History" in shown_text(answer)
    world.overwrite(town.hall, world.guilds[town.guild.id].members[town.ann.id], deny=Permission.SEND_MESSAGES)
    answer = await town.slash(town.ann, "schedule create", channel=town.square, deliver_to=town.hall, frequency="daily")
    assert "Send Messages" in shown_text(answer)
    assert town.tasks() == []


async def test_a_preview_warns_of_what_the_bot_may_not_do(town: Town) -> None:
    """Before the first run fails for it."""
    town.double.world.deny(town.hall, Permission.READ_MESSAGE_HISTORY | Permission.SEND_MESSAGES)
    await town.double.gateway.settle()
    preview = await town.slash(town.ann, "schedule create", channel=town.hall, frequency="daily")
    assert "the bot lacks Read Message History, Send Messages" in shown_text(preview)


# --- list, show -----------------------------------------------------------------------------------------------------


async def test_a_list_is_turned_page_by_page(town: Town) -> None:
    """Eight tasks a page, and the way back; a task is opened from a menu."""
    for number in range(20):
        await town.task(f"Task {number:02}")
    message = await town.slash(town.ann, "schedule list")
    assert "Task 07" in shown_text(message)
    assert "Task 08" not in shown_text(message)
    await town.press(town.ann, message, "On ▶")
    await town.press(town.ann, message, "On ▶")
    assert "Task 19" in shown_text(message)
    with pytest.raises(NotOffered):
        await town.press(town.ann, message, "On ▶")
    await town.press(town.ann, message, "◀ Back")
    assert "Task 08" in shown_text(message)
    wanted = next(task.task_id for task in town.tasks() if task.name == "Task 09")
    await town.double.interactions.press(town.ann, message, button(message, "Open a task"), [wanted]).done()
    assert "Task 09" in shown_text(message)
    assert wanted in shown_text(message)


async def test_a_list_is_filtered_by_state_and_name(town: Town) -> None:
    """What does not fit is left out, and an empty list says so."""
    first, second = await town.task("Apples"), await town.task("Pears")
    await town.scheduler.pause_task(first)
    await town.scheduler.cancel_task(second)
    assert "Apples" in shown_text(await town.slash(town.ann, "schedule list", status="paused"))
    assert "Pears" in shown_text(await town.slash(town.ann, "schedule list", status="cancelled"))
    assert "Pears" not in shown_text(await town.slash(town.ann, "schedule list"))
    assert "No task fits" in shown_text(await town.slash(town.ann, "schedule list", name="plums"))


async def test_show_tells_where_when_and_what_became_of_the_last_runs(town: Town) -> None:
    """Sources, destinations, schedule, next runs, last runs."""
    id = await town.task("Daily digest", schedule_time="09:00")
    town.chatter(town.square)
    await town.scheduler.run_task_now(id)
    text = shown_text(await town.slash(town.ann, "schedule show", task=id))
    assert f"<#{town.square.id}>" in text
    assert "every day at 09:00 in UTC" in text
    assert "1 executed" in text
    assert "executed, 8 messages" in text


# --- pause, resume, skip, run, cancel -------------------------------------------------------------------------------


async def test_pause_and_resume_work_and_outlive_a_restart(tmp_path: Path) -> None:
    """Defects 4 and 34: they called a method that did not exist, and a pause was forgotten by the next start."""
    async with town_of(tmp_path) as town:
        async with town.bot():
            id = await town.task()
            message = await town.slash(town.ann, "schedule pause", task=id, until="3d", reason="holidays")
            assert "is paused" in shown_text(message)
        async with town.bot():
            task = town.only_task()
            assert (task.status, task.status_reason) == ("paused", "holidays")
            assert task.paused_until == town.clock.now() + 3 * DAY
            assert task.status_by is not None
            assert task.status_by.startswith("person:")
            await town.press(town.ann, message, "Resume")  # the button of a process that is gone
            assert town.only_task().is_active
            assert "goes on" in shown_text(message)


async def test_what_a_state_does_not_allow_is_said(town: Town) -> None:
    """Resuming what is active changes nothing, and the answer says why."""
    id = await town.task()
    assert "is active already" in shown_text(await town.slash(town.ann, "schedule resume", task=id))


async def test_skip_leaves_out_the_next_runs_and_names_them(town: Town) -> None:
    """What was skipped does not run, and is written down as requested."""
    id = await town.task(schedule_time="09:00")
    slots = [task.next_run_time for task in town.tasks()]
    text = shown_text(await town.slash(town.ann, "schedule skip", task=id, count=2, reason="fair"))
    assert slots[0] is not None
    assert f"<t:{int(slots[0].timestamp())}:F>" in text
    assert f"<t:{int((slots[0] + DAY).timestamp())}:F>" in text
    assert town.only_task().next_run_time == slots[0] + 2 * DAY


async def test_run_shows_progress_and_then_what_came_of_it(town: Town) -> None:
    """The answer is there within moments, and ends with the summary delivered."""
    id = await town.task(destinations=[{"type": "discord_channel", "target": str(town.hall.id)}])
    town.chatter(town.square)
    asked = town.interact(town.ann, "schedule run", task=id)
    message = await asked.shown()
    await asked.until(lambda each: "were summarized" in shown_text(each.original or message))
    assert "8 messages were summarized" in shown_text(message)
    assert f"<#{town.hall.id}>" in shown_text(message)
    assert len(town.hall.messages) == 1


async def test_a_run_of_a_quiet_channel_says_that_it_was_skipped(town: Town) -> None:
    """Quiet is no failure."""
    asked = town.interact(town.ann, "schedule run", task=await town.task())
    message = await asked.shown()
    await asked.until(lambda each: "Skipped" in shown_text(each.original or message))
    assert "failed" not in shown_text(message)


async def test_cancel_asks_once_more(town: Town) -> None:
    """No ends nothing; yes ends it for good, with the reason."""
    id = await town.task()
    question = await town.slash(town.ann, "schedule cancel", task=id, reason="nobody reads it")
    await town.press(town.ann, question, "No, keep it")
    assert town.only_task().is_active
    question = await town.slash(town.ann, "schedule cancel", task=id, reason="nobody reads it")
    await town.press(town.ann, question, "Yes, end it for good")
    assert town.tasks() == []
    ended = town.scheduler.queries.task(id)
    assert (ended.status, ended.status_reason) == ("cancelled", "nobody reads it")
    assert "is cancelled" in shown_text(question)


async def test_help_names_every_command(town: Town) -> None:
    """From the tree itself, so that it never lags behind."""
    text = shown_text(await town.slash(town.ann, "schedule help"))
    [schedule] = town.double.commands.registered()
    assert all(f"/schedule {option['name']}" in text for option in schedule["options"])


# --- while typing ---------------------------------------------------------------------------------------------------


async def test_tasks_are_chosen_by_name(town: Town) -> None:
    """Any part of the name; commands offer what they can be used on."""
    paused = await town.task("Weekly digest")
    await town.task("Daily digest")
    await town.scheduler.pause_task(paused)
    assert len(await town.typed(town.ann, "schedule show", "task", task="digest")) == 2
    [offered] = await town.typed(town.ann, "schedule resume", "task", task="")
    assert offered["value"] == paused
    assert offered["name"].startswith("Weekly digest · every day")
    [offered] = await town.typed(town.ann, "schedule pause", "task", task="DAILY")
    assert offered["name"].startswith("Daily digest")


async def test_a_name_that_was_typed_out_is_as_good_as_the_choice(town: Town) -> None:
    """Nobody has to wait for the list."""
    await town.task("Daily digest")
    assert "is paused" in shown_text(await town.slash(town.ann, "schedule pause", task="daily digest"))


async def test_zones_times_and_days_are_completed(town: Town) -> None:
    """Zones by any part of their names; days as the frequency asks for."""
    zones = await town.typed(town.ann, "schedule create", "zone", zone="berl")
    assert zones[0]["value"] == "Europe/Berlin"
    assert len(await town.typed(town.ann, "schedule create", "zone", zone="")) > 10
    times = await town.typed(town.ann, "schedule create", "time", time="18")
    assert choices(times) == ["18:00", "18:30", "18:15", "18:45"]
    days = await town.typed(town.ann, "schedule create", "day", frequency="monthly", day="last")
    assert "the last day" in choices(days)
    assert "monday" in choices(await town.typed(town.ann, "schedule create", "day", frequency="weekly", day=""))


# --- who may --------------------------------------------------------------------------------------------------------


async def test_another_guilds_task_is_not_there(town: Town) -> None:
    """Defect 35: neither by id, nor by name, nor while typing, nor by pressing a button that names it."""
    id = await town.task("Secret plans")
    for command in ("show", "pause", "resume", "skip", "run", "cancel"):
        for named in (id, id[:8], "Secret plans"):
            text = shown_text(await town.slash(town.eve, f"schedule {command}", task=named))
            assert "There is no such task" in text
            assert "Secret" not in text
        assert await town.typed(town.eve, f"schedule {command}", "task", task="Sec") == []
    assert "Secret" not in shown_text(await town.slash(town.eve, "schedule list", status="all"))
    mine = await town.task("Mine", guild=town.other)
    own = await town.slash(town.eve, "schedule show", task=mine)
    for label in ("Skip next", "Pause", "Cancel task", "Run now"):
        forged = button(own, label).replace(mine, id)
        own.components[0]["components"][0]["custom_id"] = forged
        pressed = await town.double.interactions.press(town.eve, own, forged).done()
        seen = [*pressed.followups, *([pressed.original] if pressed.original is not own and pressed.original else [])]
        assert any("There is no such task" in shown_text(message) for message in seen), label
        own = await town.slash(town.eve, "schedule show", task=mine)
    task = town.scheduler.queries.task(id)
    assert task.is_active
    assert task.metadata.skipped_slots == task.metadata.attempts == 0


async def test_another_guilds_task_cannot_be_cancelled(town: Town) -> None:
    """Defect 35: delete had no guild check. No id, no forged question, and no forged or stolen yes ends it."""
    id, mine = await town.task("Secret plans"), await town.task("Mine", guild=town.other)
    asked = await town.slash(town.ann, "schedule cancel", task=id, reason="nobody reads it")
    stolen = button(asked, "Yes, end it for good")
    position = town.scheduler.stores.log.last_position()
    eve = town.scheduler.commands.access.member(str(town.other.id), str(town.eve.id), may_manage_server=True)
    with pytest.raises(TaskNotFound):
        await town.scheduler.commands.cancel(id, principal=eve)
    assert "There is no such task" in shown_text(await town.slash(town.eve, "schedule cancel", task=id))
    own = await town.slash(town.eve, "schedule cancel", task=mine, reason="a reason")
    yes = button(own, "Yes, end it for good")
    assert stolen.count(id) == yes.count(mine) == 1
    for forged in (f"daybook:cancel:{id}", f"daybook:cancel-yes:{id}", yes.replace(mine, id)):
        own.components[0]["components"][0]["custom_id"] = forged
        [told] = (await town.double.interactions.press(town.eve, own, forged).done()).followups
        assert "There is no such task" in shown_text(told), forged
        assert "Secret" not in shown_text(told)
    own.components[0]["components"][0]["custom_id"] = stolen
    [told] = (await town.double.interactions.press(town.eve, own, stolen).done()).followups
    assert "nothing to go on with" in shown_text(told)
    assert town.scheduler.stores.log.last_position() == position
    assert {task.name for task in town.tasks()} == {"Secret plans", "Mine"}
    await town.press(town.ann, asked, "Yes, end it for good")
    assert [task.name for task in town.tasks()] == ["Mine"]


async def test_who_is_shown_the_commands_without_managing_may_only_look(town: Town) -> None:
    """An administrator can show commands to anybody; what they may do is decided here."""
    town.double.commands.registered()[0]["default_member_permissions"] = "0"
    id = await town.task()
    assert "Daily digest" in shown_text(await town.slash(town.bob, "schedule show", task=id))
    for command in ("pause", "skip", "run", "cancel"):
        text = shown_text(await town.slash(town.bob, f"schedule {command}", task=id))
        assert "Manage Server" in text
    answer = await town.slash(town.bob, "schedule create", channel=town.square, frequency="daily")
    assert "Manage Server" in shown_text(answer)
    assert town.only_task().version == 1


async def test_a_role_that_manages_tasks_lets_its_members_manage_them(town: Town) -> None:
    """Bob does not manage the server; with the role that the guild chose he manages its tasks."""
    town.double.commands.registered()[0]["default_member_permissions"] = "0"
    id = await town.task()
    [role] = [role for role in town.guild.roles.values() if role.name == "role of bob"]
    guild = str(town.guild.id)
    await town.scheduler.commands.change_settings(guild, GuildSettings(managers=(str(role.id),)))
    assert "is paused" in shown_text(await town.slash(town.bob, "schedule pause", task=id))
    town.double.world.add_member(town.guild, town.bob, [])
    assert "Manage Server" in shown_text(await town.slash(town.bob, "schedule resume", task=id))


async def test_commands_are_shown_to_those_who_manage_the_server_and_in_servers_only(town: Town) -> None:
    """By default; it is a hint that Discord keeps."""
    with pytest.raises(NotOffered):
        town.interact(town.bob, "schedule list")
    [schedule] = town.double.commands.registered()
    assert schedule.get("contexts") == [0] or schedule.get("dm_permission") is False


# --- what people typed ----------------------------------------------------------------------------------------------


async def test_a_name_never_becomes_markup_and_pings_nobody(town: Town) -> None:
    """Mentions, masked links and Markdown in a name are shown as they were typed."""
    name = "@everyone **loud** [click](https://evil.example) <@1>"
    await created(town, frequency="daily", name=name)
    for command, options in (("list", {}), ("show", {"task": town.only_task().task_id})):
        message = await town.slash(town.ann, f"schedule {command}", **options)
        text = shown_text(message)
        assert message.pinged == frozenset()
        assert "@everyone" not in text
        assert "<@1>" not in text
        assert "[click](" not in text
        assert "**loud**" not in text.replace("\\*", "")


# --- acknowledged, once, or not done --------------------------------------------------------------------------------


async def test_every_command_is_acknowledged_first_and_once(town: Town) -> None:
    """Discord refuses nothing of what the bot answers: no second acknowledgment, nothing beyond a limit."""
    id = await town.task("x" * 100)
    for command in ("show", "skip", "pause", "resume", "cancel"):
        asked = town.interact(town.ann, f"schedule {command}", task=id)
        await asked.shown()
        assert asked.refusals == []
        assert asked.ephemeral


async def test_what_comes_too_late_to_be_acknowledged_is_not_done(town: Town) -> None:
    """Who was told by Discord that the bot did not answer must not find later that it acted."""
    id = await town.task()
    asked = town.interact(town.ann, "schedule pause", task=id)
    town.double.world.pass_time(timedelta(seconds=4))
    await asked.until(lambda each: bool(each.refusals))
    assert [error.code for error in asked.refusals] == [10062]
    await town.double.gateway.settle()
    assert town.only_task().is_active


async def test_a_failure_of_discord_is_not_a_failure_of_the_command(town: Town) -> None:
    """The answer may be lost; what was done stays done, and the bot goes on."""
    id = await town.task()
    town.double.faults.answer("PATCH", "/webhooks/*", 403, 50013)
    town.interact(town.ann, "schedule pause", task=id)
    await until(lambda: not town.only_task().is_active)
    assert "goes on" in shown_text(await town.slash(town.ann, "schedule resume", task=id))


# --- languages ------------------------------------------------------------------------------------------------------


async def test_answers_are_in_the_language_of_who_asks(town: Town) -> None:
    """German for a German client, English for one whose language there is no file of."""
    id = await town.task()
    town.double.interactions.locales[town.ann.id] = "de"
    assert "ist pausiert" in shown_text(await town.slash(town.ann, "schedule pause", task=id))
    town.double.interactions.locales[town.ann.id] = "fi"
    assert "goes on" in shown_text(await town.slash(town.ann, "schedule resume", task=id))
    [schedule] = town.double.commands.registered()
    assert schedule["description_localizations"]["de"].startswith("Regelmäßige")
