"""The double of Discord is strict where Discord is: proven with a real client, and against the library's own sums."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import aiohttp
import discord
import discord.gateway
import discord.http
import pytest
from discord import app_commands
from discord.ext import commands
from hypothesis import given
from hypothesis import strategies as st

from tests.discord_double import (
    EVERYDAY,
    Channel,
    ChannelType,
    DiscordDouble,
    Guild,
    Interaction,
    NotOffered,
    Permission,
    User,
    World,
    discord_double,
    hurried,
)
from tests.discord_double.errors import ApiError
from tests.discord_double.limits import check_choices, check_message, check_modal
from tests.discord_double.payloads import channel_json, guild_json
from tests.discord_double.permissions import permissions_in

SEND = ("POST", "/channels/*/messages")


@dataclass
class Village:
    """A double with one guild, its square and one member."""

    double: DiscordDouble
    guild: Guild
    square: Channel
    ann: User

    @property
    def world(self) -> World:
        return self.double.world


@pytest.fixture
async def village() -> AsyncIterator[Village]:
    async with discord_double() as double:
        guild = double.world.add_guild("Village")
        square = double.world.add_channel(guild, "square")
        ann = double.world.add_user("ann")
        double.world.add_member(guild, ann)
        yield Village(double, guild, square, ann)


@pytest.fixture
async def client(village: Village) -> AsyncIterator[discord.Client]:
    """A client without a gateway."""
    async with village.double.rest_client() as client:
        yield client


async def place(client: discord.Client, channel: Channel) -> Any:
    """The channel as the client sees it."""
    return await client.fetch_channel(channel.id)


# --- REST -----------------------------------------------------------------------------------------------------------


async def test_discord_py_is_pointed_back_at_the_end() -> None:
    """What is patched is restored: tests after this one reach no double by accident."""
    base, gateway = discord.http.Route.BASE, discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY
    async with discord_double():
        assert base != discord.http.Route.BASE
        assert gateway != discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY
    assert base == discord.http.Route.BASE
    assert gateway == discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY


@pytest.mark.parametrize(
    ("what", "where"),
    [
        ({"content": "x" * 2001}, "content"),
        ({"content": "x", "nonce": "n" * 26}, "nonce"),
        ({"embed": discord.Embed(title="x" * 257)}, "embeds.0.title"),
        ({"embed": discord.Embed(description="x" * 4097)}, "embeds.0.description"),
        ({"embed": discord.Embed().add_field(name="", value="x")}, "embeds.0.fields.0.name"),
        ({"embed": discord.Embed().add_field(name="x", value="x" * 1025)}, "embeds.0.fields.0.value"),
        ({"embeds": [discord.Embed(description="x" * 3001)] * 2}, "embeds"),
    ],
)
async def test_a_message_beyond_a_limit_is_refused_with_the_place(
    village: Village, client: discord.Client, what: dict[str, Any], where: str
) -> None:
    """discord.py sends it, and gets 50035 with a tree of errors that it can read."""
    with pytest.raises(discord.HTTPException) as failure:
        await (await place(client, village.square)).send(**what)
    assert (failure.value.status, failure.value.code) == (400, 50035)
    assert f"In {where}:" in failure.value.text
    assert village.square.messages == []


async def test_a_message_at_the_limits_is_taken(village: Village, client: discord.Client) -> None:
    """The limits themselves are allowed."""
    embed = discord.Embed(title="x" * 256, description="x" * 4096).set_footer(text="x" * 1648)
    await (await place(client, village.square)).send("x" * 2000, embed=embed, nonce="n" * 25)
    assert len(village.square.messages) == 1


TEXT = {"type": 10, "content": "words"}
BUTTON = {"type": 2, "style": 1, "label": "Go", "custom_id": "go"}
OPTION = {"label": "one", "value": "one"}
V2 = 1 << 15


def row(*components: dict[str, Any]) -> list[dict[str, Any]]:
    """The components in one row."""
    return [{"type": 1, "components": list(components)}]


@pytest.mark.parametrize(
    ("payload", "place"),
    [
        ({"flags": V2, "components": [TEXT], "content": "old"}, "content"),
        ({"flags": V2, "components": [TEXT] * 41}, "components"),
        ({"flags": V2, "components": [{"type": 17, "components": [TEXT | {"content": "x" * 2001}] * 2}]}, "components"),
        ({"components": row(BUTTON) * 6}, "components"),
        ({"components": row(BUTTON, BUTTON)}, "components.0.components.1.custom_id"),
        ({"components": row(*[BUTTON | {"custom_id": str(n)} for n in range(6)])}, "components.0.components"),
        ({"components": row(BUTTON | {"label": "x" * 81})}, "components.0.components.0.label"),
        ({"components": row(BUTTON | {"custom_id": "x" * 101})}, "components.0.components.0.custom_id"),
        (
            {"components": row({"type": 3, "custom_id": "s", "options": [OPTION, OPTION]})},
            "components.0.components.0.options",
        ),
        ({"components": row({"type": 3, "custom_id": "s", "options": []})}, "components.0.components.0.options"),
        ({"content": "x", "allowed_mentions": {"parse": ["users"], "users": ["1"]}}, "allowed_mentions"),
        ({"embeds": [{"url": "javascript:alert(1)"}]}, "embeds.0.url"),
    ],
)
def test_components_beyond_a_limit_are_refused_with_the_place(payload: dict[str, Any], place: str) -> None:
    """The tree of errors names the component, whatever it is nested in."""
    with pytest.raises(ApiError) as refusal:
        check_message(payload)
    node = refusal.value.errors
    for step in place.split("."):
        assert node is not None
        node = node[step]
    assert node is not None
    assert node["_errors"]


@pytest.mark.parametrize("payload", [{"flags": V2, "components": [TEXT] * 40}, {"components": row(BUTTON)}])
def test_components_within_the_limits_are_taken(payload: dict[str, Any]) -> None:
    """The strictness ends where Discord's does."""
    check_message(payload)
    assert payload


def test_choices_and_forms_have_limits_too() -> None:
    """25 choices of 100 characters; a title of 45."""
    check_choices([{"name": "x" * 100, "value": "x"}] * 25)
    form = {"title": "x" * 45, "custom_id": "f", "components": row({"type": 4, "custom_id": "t", "label": "T"})}
    check_modal(form)
    for choices in (
        [{"name": "x", "value": "x"}] * 26,
        [{"name": "x" * 101, "value": "x"}],
        [{"name": "", "value": "x"}],
    ):
        with pytest.raises(ApiError):
            check_choices(choices)
    for broken in (form | {"title": "x" * 46}, form | {"components": []}, form | {"custom_id": ""}):
        with pytest.raises(ApiError):
            check_modal(broken)


async def test_an_empty_message_and_a_large_file_are_refused() -> None:
    """50006 and 40005."""
    for payload, sizes, code in (({}, [], 50006), ({"content": "x"}, [10 * 1024 * 1024 + 1], 40005)):
        with pytest.raises(Exception, match=str(code)):
            check_message(payload, sizes)


async def test_files_arrive(village: Village, client: discord.Client) -> None:
    """A multipart body is understood."""
    sent = await (await place(client, village.square)).send(file=discord.File(io.BytesIO(b"hello"), "hello.txt"))
    assert [(each.filename, each.size) for each in sent.attachments] == [("hello.txt", 5)]


async def test_unknown_things_have_their_codes(village: Village, client: discord.Client) -> None:
    """404 with Discord's number for each kind; a path that is none answers 404 without one."""
    square = await place(client, village.square)
    guild = await client.fetch_guild(village.guild.id)
    for ask, code in (
        (client.fetch_channel(5), 10003),
        (client.fetch_guild(5), 10004),
        (guild.fetch_member(5), 10013),
        (square.fetch_message(5), 10008),
        (client.fetch_user(5), 10013),
        (client.http.request(discord.http.Route("GET", "/nowhere")), 0),
    ):
        with pytest.raises(discord.NotFound) as failure:
            await ask
        assert failure.value.code == code


async def test_another_guild_is_out_of_reach(village: Village, client: discord.Client) -> None:
    """A guild that the bot is not in: 10004, and 50001 for its channels."""
    other = village.world.add_guild("Other", with_bot=False)
    vault = village.world.add_channel(other, "vault")
    with pytest.raises(discord.NotFound):
        await client.fetch_guild(other.id)
    with pytest.raises(discord.Forbidden) as failure:
        await client.fetch_channel(vault.id)
    assert failure.value.code == 50001


async def test_a_wrong_token_opens_nothing(village: Village) -> None:
    """Logging in fails, by REST and by the gateway."""
    village.world.token = "another"
    async with village.double.rest_client():
        pass
    client = discord.Client(intents=discord.Intents.none())
    with pytest.raises(discord.LoginFailure):
        await client.login("wrong")
    await client.close()


async def test_a_nonce_is_remembered_for_minutes(village: Village, client: discord.Client) -> None:
    """Within its memory the same message comes back; then the nonce is new again."""
    square = await place(client, village.square)
    first = await square.send("one", nonce="n")
    assert (await square.send("one", nonce="n")).id == first.id
    village.world.pass_time(timedelta(minutes=4))
    assert (await square.send("one", nonce="n")).id != first.id


async def test_pings_follow_the_request_and_the_permissions(village: Village, client: discord.Client) -> None:
    """allowed_mentions decides, and everyone needs the permission."""
    square, ann = await place(client, village.square), village.ann
    text = f"@everyone <@{ann.id}>"
    await square.send(text)
    await square.send(text, allowed_mentions=discord.AllowedMentions.none())
    await square.send(text, allowed_mentions=discord.AllowedMentions(users=[discord.Object(ann.id)], everyone=False))
    village.world.add_member(
        village.guild, village.world.bot, [village.world.add_role(village.guild, "loud", Permission.MENTION_EVERYONE)]
    )
    await square.send(text)
    pinged = [message.pinged for message in village.square.messages]
    assert pinged == [{ann.id}, frozenset(), {ann.id}, {ann.id, "everyone"}]


async def test_one_request_too_many_gets_429(village: Village) -> None:
    """The headers count down, then the answer says how long to wait."""
    village.double.rates.set(*SEND, limit=2, window_seconds=60)
    url = f"{discord.http.Route.BASE}/channels/{village.square.id}/messages"
    async with aiohttp.ClientSession(headers={"Authorization": f"Bot {village.world.token}"}) as session:
        answers = [await session.post(url, json={"content": "x"}) for _ in range(3)]
        assert [answer.status for answer in answers] == [200, 200, 429]
        assert [answer.headers["X-RateLimit-Remaining"] for answer in answers] == ["1", "0", "0"]
        body = await answers[2].json()
    assert 0 < body["retry_after"] <= 60
    assert answers[2].headers["Via"]
    assert village.double.wire.invalid_requests == 1


async def test_faults_are_played_in_order_and_end(village: Village, client: discord.Client) -> None:
    """An outage, a cut before and a cut after: what took effect stands there."""
    square, faults = await place(client, village.square), village.double.faults
    faults.answer(*SEND, 503)
    faults.cut(*SEND, applied=False)
    faults.cut(*SEND, applied=True)
    with hurried(), pytest.raises(discord.DiscordServerError):
        await square.send("one")
    for text in ("two", "three"):
        with pytest.raises(aiohttp.ClientError):
            await square.send(text)
    await square.send("four")
    assert [message.content for message in village.square.messages] == ["three", "four"]


@pytest.mark.parametrize("applied", [False, True])
async def test_a_request_hangs_until_it_is_released(village: Village, client: discord.Client, applied: bool) -> None:
    """Whether it takes effect before or after is part of the script."""
    square = await place(client, village.square)
    village.double.faults.hang(*SEND, applied=applied)
    sending = asyncio.create_task(square.send("slow"))
    await village.double.faults.hanging()
    assert len(village.square.messages) == applied
    assert not sending.done()
    village.double.faults.release()
    assert (await sending).content == "slow"


bits = st.integers(0, 2 ** len(Permission) - 1).map(
    lambda n: sum(int(bit) for i, bit in enumerate(Permission) if n >> i & 1)
)


@given(everyone=bits, role=bits, data=st.data())
def test_permissions_are_put_together_as_the_library_does(everyone: int, role: int, data: st.DataObject) -> None:
    """Roles and overwrites give the same answer here and in discord.py, which follows Discord's documentation."""
    world = World()
    guild = world.add_guild(everyone=everyone & ~Permission.ADMINISTRATOR)
    smiths = world.add_role(guild, "smiths", role)
    member = world.add_member(guild, world.bot, [smiths])
    channel = world.add_channel(guild, "square")
    for who in (guild.roles[guild.id], smiths, member):
        world.overwrite(channel, who, allow=data.draw(bits), deny=data.draw(bits))

    state: Any = SimpleNamespace(
        self_id=world.bot.id,
        user=world.bot,
        shard_count=1,
        member_cache_flags=discord.MemberCacheFlags.all(),
        cache_guild_expressions=False,
    )
    state.store_user = lambda payload: SimpleNamespace(id=int(payload["id"]))
    seen = discord.Guild(data=guild_json(world, guild, full=True), state=state)  # type: ignore[arg-type]
    assert seen.me is not None
    theirs = discord.TextChannel(state=state, guild=seen, data=channel_json(world, channel)).permissions_for(seen.me)  # type: ignore[arg-type]
    ours = permissions_in(world, channel, world.bot.id)
    for bit in Permission:
        if theirs.read_messages and (theirs.send_messages or bit not in IMPLIED_BY_SENDING):
            assert bool(ours & bit) == bool(theirs.value & bit), bit.name
    assert bool(ours & Permission.VIEW_CHANNEL) == theirs.read_messages


IMPLIED_BY_SENDING = (Permission.MENTION_EVERYONE, Permission.EMBED_LINKS, Permission.ATTACH_FILES)


# --- gateway --------------------------------------------------------------------------------------------------------


async def test_a_client_connects_and_knows_its_guilds(village: Village) -> None:
    """READY and GUILD_CREATE fill the cache; new things are told as they come."""
    village.world.add_channel(village.guild, "plans", type=ChannelType.FORUM)
    async with village.double.connected() as client:
        guild = client.get_guild(village.guild.id)
        assert guild is not None
        assert [channel.name for channel in guild.channels] == ["square", "plans"]
        assert guild.me.guild_permissions.value == int(EVERYDAY)
        mill = village.world.add_channel(village.guild, "mill")
        thread = village.world.add_thread(mill, "flour")
        village.world.remove_channel(village.square)
        await village.double.gateway.settle()
        assert {channel.name for channel in guild.channels} == {"plans", "mill"}
        assert guild.get_thread(thread.id) is not None


async def test_messages_are_told_to_those_who_asked_and_may_see_them(village: Village) -> None:
    """Intents and permissions decide what a session hears."""
    async with village.double.connected() as client:
        heard: list[str] = []

        async def on_message(message: discord.Message) -> None:
            heard.append(message.content)

        client.event(on_message)
        village.world.say(village.square, village.ann, "hello")
        village.world.deny(village.square, Permission.VIEW_CHANNEL)
        village.world.say(village.square, village.ann, "secret")
        await village.double.gateway.settle()
        await asyncio.sleep(0)
        assert heard == ["hello"]


async def test_what_was_missed_is_told_after_a_resume(village: Village) -> None:
    """RECONNECT: the client comes back with RESUME and gets what happened meanwhile."""
    async with village.double.connected() as client:
        resumed = client.wait_for("resumed")
        missed = client.wait_for("message")
        village.double.gateway.reconnect()
        await village.double.gateway.until(
            lambda: all(session.outgoing is None for session in village.double.gateway.sessions.values())
        )
        village.world.say(village.square, village.ann, "while you were away")
        await resumed
        assert (await missed).content == "while you were away"
        assert (village.double.gateway.identifies, village.double.gateway.resumes) == (1, 1)


async def test_a_dropped_connection_is_resumed(village: Village) -> None:
    """A close that a client may come back from."""
    async with village.double.connected() as client:
        resumed = client.wait_for("resumed")
        village.double.gateway.drop(4000)
        await resumed
        assert village.double.gateway.resumes == 1


class Eager(discord.Client):
    """A client that does not wait the 5 s that Discord asks for between two identifications."""

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        """Wait for nothing."""


async def test_an_invalid_session_begins_anew(village: Village) -> None:
    """What cannot be resumed is forgotten: the client identifies again and is ready again."""
    client = Eager(intents=discord.Intents(guilds=True), guild_ready_timeout=0.0, max_messages=None)
    async with village.double.connected(client):
        ready = client.wait_for("ready")
        village.double.gateway.invalidate()
        await ready
        assert (village.double.gateway.identifies, village.double.gateway.resumes) == (2, 0)
        assert client.get_channel(village.square.id) is not None


async def test_a_resume_of_a_forgotten_session_begins_anew(village: Village) -> None:
    """A gateway that lost the session answers INVALID_SESSION, and the client recovers."""
    client = Eager(intents=discord.Intents(guilds=True), guild_ready_timeout=0.0, max_messages=None)
    async with village.double.connected(client):
        ready = client.wait_for("ready")
        village.double.gateway.reconnect()
        village.double.gateway.sessions.clear()
        await ready
        assert (village.double.gateway.identifies, village.double.gateway.resumes) == (2, 0)


async def test_the_gateway_closes_on_a_wrong_token(village: Village) -> None:
    """4004: the library gives up."""
    async with village.double.rest_client() as client:
        village.world.token = "another"
        with pytest.raises(discord.ConnectionClosed) as failure:
            await client.connect()
        assert failure.value.code == 4004


# --- interactions ---------------------------------------------------------------------------------------------------


class Form(discord.ui.Modal, title="A form"):
    """A modal with one field."""

    name: discord.ui.TextInput[Form] = discord.ui.TextInput(label="Name", custom_id="name", max_length=10)

    async def on_submit(self, interaction: discord.Interaction) -> None:
        await interaction.response.edit_message(content=f"named {self.name.value}", view=None)


class Buttons(discord.ui.View):
    """A view with a button that opens a form."""

    @discord.ui.button(label="Rename", custom_id="rename")
    async def rename(self, interaction: discord.Interaction, button: discord.ui.Button[Buttons]) -> None:
        await interaction.response.send_modal(Form())


class Bot(commands.Bot):
    """A bot with one group of commands."""

    def __init__(self) -> None:
        super().__init__("!", intents=discord.Intents(guilds=True), guild_ready_timeout=0.0, max_messages=None)
        self.caught: list[discord.HTTPException] = []
        self.hold = asyncio.Event()

    async def setup_hook(self) -> None:
        group = app_commands.Group(name="task", description="Tasks")

        @group.command(description="Make one")
        @app_commands.describe(name="Its name", channel="Where")
        async def create(interaction: discord.Interaction, name: str, channel: discord.TextChannel) -> None:
            await interaction.response.send_message(f"{name} in {channel.mention}", view=Buttons(), ephemeral=True)

        @create.autocomplete("name")
        async def names(interaction: discord.Interaction, current: str) -> list[app_commands.Choice[str]]:
            return [app_commands.Choice(name=f"{current}{n}", value=f"{current}{n}") for n in range(25)]

        @group.command(description="Takes long")
        async def slow(interaction: discord.Interaction) -> None:
            await interaction.response.defer(thinking=True)
            await self.hold.wait()
            await interaction.edit_original_response(content="done")
            await interaction.followup.send("and more")

        @group.command(description="Answers twice, or too late")
        async def wrong(interaction: discord.Interaction) -> None:
            await self.hold.wait()
            for _ in range(2):
                interaction.response._response_type = None
                try:
                    await interaction.response.send_message("hello")
                except discord.HTTPException as error:
                    self.caught.append(error)

        self.tree.add_command(group)
        await self.tree.sync()


@pytest.fixture
async def bot(village: Village) -> AsyncIterator[Bot]:
    made = Bot()
    async with village.double.connected(made):
        yield made


async def test_a_command_is_answered_and_its_form_changes_the_answer(village: Village, bot: Bot) -> None:
    """Slash, button, modal: from the command to the edited message, seen only by who asked."""
    people = village.double.interactions
    made = people.slash(village.ann, village.square, "task create", name="digest", channel=village.square)
    shown = await made.shown()
    assert shown.content == f"digest in <#{village.square.id}>"
    assert shown.visible_to == village.ann.id
    assert village.square.messages == []
    opened = await people.press(village.ann, shown, "rename").answered()
    await people.submit(opened, name="weekly").answered()
    assert (shown.content, shown.components) == ("named weekly", [])
    with pytest.raises(NotOffered):
        people.press(village.ann, shown, "rename")


async def test_what_is_typed_is_completed(village: Village, bot: Bot) -> None:
    """Autocomplete answers with at most 25 choices."""
    typed = village.double.interactions.type(village.ann, village.square, "task create", "name", name="dig")
    assert [choice["value"] for choice in (await typed.answered()).choices or []] == [f"dig{n}" for n in range(25)]


async def test_long_work_is_deferred_and_followed_up(village: Village, bot: Bot) -> None:
    """The person sees "thinking", then the answer, then a second message."""
    made = village.double.interactions.slash(village.ann, village.square, "task slow")
    await made.until(lambda each: each.thinking)
    assert village.square.messages == []
    bot.hold.set()
    await made.until(lambda each: bool(each.followups))
    assert [message.content for message in village.square.messages] == ["done", "and more"]


async def test_a_second_answer_is_refused(village: Village, bot: Bot) -> None:
    """40060: it has been acknowledged already."""
    bot.hold.set()
    made = village.double.interactions.slash(village.ann, village.square, "task wrong")
    await made.until(lambda each: bool(each.refusals))
    assert [refusal.code for refusal in made.refusals] == [40060]


async def test_an_answer_after_three_seconds_is_refused(village: Village, bot: Bot) -> None:
    """10062: Discord has told the person that the application did not respond."""
    made = village.double.interactions.slash(village.ann, village.square, "task wrong")
    village.world.pass_time(timedelta(seconds=3.1))
    bot.hold.set()
    await made.until(lambda each: len(each.refusals) == 2)
    assert [refusal.code for refusal in made.refusals] == [10062, 10062]
    assert made.answer is None


async def test_a_token_lives_for_a_quarter_of_an_hour(village: Village, bot: Bot) -> None:
    """50027: what took longer cannot be told through the interaction any more."""
    made = village.double.interactions.slash(village.ann, village.square, "task slow")
    await made.until(lambda each: each.thinking)
    village.world.pass_time(timedelta(minutes=16))
    errors: asyncio.Queue[Exception] = asyncio.Queue()

    async def on_error(interaction: discord.Interaction, error: app_commands.AppCommandError) -> None:
        errors.put_nowait(getattr(error, "original", error))

    bot.tree.error(on_error)
    bot.hold.set()
    assert getattr(await errors.get(), "code", None) == 50027
    assert village.square.messages == []


async def test_people_can_do_only_what_they_are_offered(village: Village, bot: Bot) -> None:
    """Unknown commands and options, missing and wrong values are the test's mistakes, named as such."""
    people, ann, square = village.double.interactions, village.ann, village.square
    for path, options, complaint in (
        ("nothing", {}, "no command"),
        ("task", {}, "is a group"),
        ("task nothing", {}, "no nothing"),
        ("task create", {"name": "x"}, "asks for"),
        ("task create", {"name": "x", "channel": square, "more": 1}, "has no option"),
        ("task create", {"name": 5, "channel": square}, "is no str"),
    ):
        with pytest.raises(NotOffered, match=complaint):
            people.slash(ann, square, path, **options)
    assert people.made == []


async def test_a_tree_beyond_the_limits_is_refused(village: Village, bot: Bot) -> None:
    """Commands are checked when they are put; the good tree of before stays."""
    [before] = village.double.commands.registered()
    assert village.double.commands.syncs == 1
    for broken in ({"name": "Upper", "description": "x"}, {"name": "x", "description": "x" * 101}):
        with pytest.raises(discord.HTTPException) as failure:
            await bot.http.bulk_upsert_global_commands(village.world.application_id, [broken])
        assert failure.value.code == 50035
    assert village.double.commands.registered() == [before]
    assert isinstance(village.double.interactions.slash(village.ann, village.square, "task slow"), Interaction)
