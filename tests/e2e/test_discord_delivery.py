"""Delivery by a real discord.py client to a double of Discord: what arrives, what is told apart, nothing twice."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import discord
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.discord_delivery import DiscordChannelDelivery, DiscordDirectDelivery
from adapters.rendering import discord_messages
from application.ports import DeliveryRequest
from domain.destination import Destination, DestinationType, delivery_key
from domain.errors import DeliveryFailed
from domain.summary import Point, Summary
from tests.discord_double import Channel, ChannelType, DiscordDouble, Guild, Permission, User, discord_double, hurried
from tests.discord_double.limits import check_message

SEND = ("POST", "/channels/*/messages")
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
LONG = "# Build\n\n" + "Nothing but words. " * 150 + "\n\n```python\n" + "print('the harvest')\n" * 200 + "```\n\nDone."


@dataclass
class Village:
    """A double with one guild, its square, one member, and a real client that has no gateway."""

    double: DiscordDouble
    client: discord.Client
    guild: Guild
    square: Channel
    ann: User

    def request(self, run: str = "run-1", *, text: str = "Two people spoke.", **more: Any) -> DeliveryRequest:
        """A result for the square, or for ``target``."""
        type = more.pop("type", DestinationType.DISCORD_CHANNEL)
        where = Destination(
            type=type, target=str(more.pop("target", self.square.id)), format=more.pop("format", "embed")
        )
        now = self.double.world.now()
        summary = Summary(id="s", summary_text=text, message_count=2, start_time=now, end_time=now, **more)
        return DeliveryRequest(
            key=delivery_key(run, where.key),
            run_id=run,
            task_id="t",
            task_name="Daily digest",
            guild_id=str(self.guild.id),
            destination=where,
            summary=summary,
            slot=now,
        )

    def delivery(self, client: discord.Client | None = None) -> DiscordChannelDelivery:
        """A delivery with the clock of the double, as of a process that remembers nothing yet."""
        return DiscordChannelDelivery(client or self.client, now=self.double.world.now)


@pytest.fixture
async def village() -> AsyncIterator[Village]:
    async with discord_double() as double:
        guild = double.world.add_guild("Village")
        square = double.world.add_channel(guild, "square")
        ann = double.world.add_user("ann")
        double.world.add_member(guild, ann)
        async with double.rest_client(max_ratelimit_timeout=30) as client:
            yield Village(double, client, guild, square, ann)


async def refused(village: Village, request: DeliveryRequest | None = None) -> DeliveryFailed:
    """The failure of a delivery that must fail."""
    with hurried(), pytest.raises(DeliveryFailed) as failure:
        await village.delivery().deliver(request or village.request())
    return failure.value


# --- what arrives ---------------------------------------------------------------------------------------------------


async def test_a_summary_arrives_as_an_embed_without_a_gateway(village: Village) -> None:
    """REST is enough; the receipt is the id of the message."""
    receipt = await village.delivery().deliver(village.request())
    [message] = village.square.messages
    assert receipt == str(message.id)
    assert message.embeds[0]["title"] == "Daily digest"
    assert message.embeds[0]["description"] == "Two people spoke."
    assert village.double.gateway.identifies == 0


async def test_long_markdown_arrives_in_parts_with_every_fence_closed(village: Village) -> None:
    """Each part is within Discord's limit and shows its code as code."""
    receipt = await village.delivery().deliver(village.request(text=LONG, format="markdown"))
    parts = village.square.messages
    assert len(parts) > 2
    assert receipt == ",".join(str(part.id) for part in parts)
    assert all(len(part.content) <= 2000 for part in parts)
    assert all(part.content.count("```") % 2 == 0 for part in parts)
    assert sum(part.content.count("print('the harvest')") for part in parts) == 200
    assert "Done" in parts[-1].content


async def test_a_large_result_in_every_format_is_within_the_limits_that_discord_enforces(village: Village) -> None:
    """Nothing is refused as an invalid form, however much there is to say."""
    points = tuple(Point(text=f"point {n} " + "x" * 300, author="a" * 50) for n in range(60))
    people = tuple((f"person {n}", n) for n in range(100))
    for format in ("embed", "markdown", "text"):
        request = village.request(f"run-{format}", text=LONG, format=format, key_points=points, participants=people)
        assert await village.delivery().deliver(request)
    assert len(village.square.messages) > 3


words = st.text(max_size=300) | st.sampled_from(
    ["", " \n", "```", "```py\nx", "|" * 3000, "\u200b", "𝄞" * 2100, "# " * 900]
)


@given(
    text=words,
    title=words,
    notice=words,
    points=st.lists(st.builds(Point, text=words, author=words), max_size=5).map(tuple),
    people=st.lists(st.tuples(words, st.integers(0, 10**6)), max_size=40).map(tuple),
    embed=st.none()
    | st.fixed_dictionaries(
        {},
        optional={
            "title": words,
            "description": words,
            "url": words,
            "author": st.fixed_dictionaries({"name": words}),
            "footer": st.fixed_dictionaries({"text": words}),
            "fields": st.lists(st.fixed_dictionaries({"name": words, "value": words}), max_size=30),
        },
    ),
    format=st.sampled_from(["embed", "markdown", "text"]),
)
def test_whatever_a_summary_holds_discord_takes_it(
    text: str, title: str, notice: str, points: Any, people: Any, embed: Any, format: str
) -> None:
    """Every message that is rendered passes the limits as the double enforces them."""
    summary = Summary(
        id="s",
        summary_text=text,
        title=title,
        notice=notice,
        key_points=points,
        action_items=points,
        participants=people,
        embed=embed,
        start_time=NOON,
        end_time=NOON,
    )
    for message in discord_messages(summary, format, task_name="Digest", run_id="run-1"):
        check_message({"content": message.content} if message.embed is None else {"embeds": [message.embed]})


@pytest.mark.parametrize("format", ["embed", "markdown", "text"])
async def test_nobody_is_mentioned_whatever_the_text_says(village: Village, format: str) -> None:
    """The request itself says that nothing is parsed, and nobody is notified, though the bot might."""
    village.double.world.overwrite(
        village.square, village.guild.members[village.double.world.bot.id], allow=Permission.MENTION_EVERYONE
    )
    role = village.double.world.add_role(village.guild, "smiths", mentionable=True)
    hostile = f"@everyone @here <@{village.ann.id}> <@&{role.id}>"
    await village.delivery().deliver(village.request(text=hostile, format=format))
    [sent] = village.double.wire.sent(*SEND)
    assert sent.payload["allowed_mentions"] == {"parse": []}
    assert village.square.messages[0].pinged == frozenset()


async def test_a_thread_takes_results(village: Village) -> None:
    """A thread is a channel; an archived one is opened again by the message, as Discord does."""
    thread = village.double.world.add_thread(village.square, "harvest", archived=True)
    await village.delivery().deliver(village.request(target=thread.id))
    assert len(thread.messages) == 1
    assert not thread.archived


async def test_a_client_with_a_gateway_delivers_by_its_cache(village: Village) -> None:
    """A connected client knows the channel already: one request, not two."""
    async with village.double.connected() as client:
        before = len(village.double.wire.requests)
        await village.delivery(client).deliver(village.request())
        assert len(village.double.wire.requests) == before + 1


async def test_delivery_works_while_the_gateway_is_down(village: Village) -> None:
    """The connection of the client is gone and cannot come back; results arrive all the same."""
    async with village.double.connected() as client:
        village.double.gateway.refuse(times=1000)
        village.double.gateway.drop()
        await village.double.gateway.until(lambda: village.double.gateway.refused > 0)
        await village.delivery(client).deliver(village.request())
    assert len(village.square.messages) == 1


# --- direct messages ------------------------------------------------------------------------------------------------


def direct(village: Village, user: User | int, client: discord.Client | None = None) -> tuple[Any, DeliveryRequest]:
    """A delivery of direct messages and a request for a user."""
    target = user if isinstance(user, int) else user.id
    delivery = DiscordDirectDelivery(client or village.client, now=village.double.world.now)
    return delivery, village.request(type=DestinationType.DISCORD_DM, target=target)


@pytest.mark.parametrize("with_gateway", [False, True])
async def test_a_member_gets_a_direct_message(village: Village, with_gateway: bool) -> None:
    """A user id is enough: the conversation is opened by REST."""
    if with_gateway:
        async with village.double.connected() as client:
            delivery, request = direct(village, village.ann, client)
            await delivery.deliver(request)
    else:
        delivery, request = direct(village, village.ann)
        await delivery.deliver(request)
    [message] = village.double.world.conversation(village.ann).messages
    assert message.embeds


async def test_closed_direct_messages_are_a_permanent_failure(village: Village) -> None:
    """50007: the person does not want it; trying again would not change that."""
    village.ann.accepts_direct_messages = False
    delivery, request = direct(village, village.ann)
    with pytest.raises(DeliveryFailed, match="50007") as failure:
        await delivery.deliver(request)
    assert failure.value.permanent


async def test_people_outside_the_guild_get_no_direct_message(village: Village) -> None:
    """A guild cannot make the bot write to a stranger, to one of another guild, or to nobody."""
    stranger, neighbor = village.double.world.add_user("stranger"), village.double.world.add_user("neighbor")
    village.double.world.add_member(village.double.world.add_guild("Other"), neighbor)
    for user in (stranger, neighbor, 123456789012345678):
        delivery, request = direct(village, user)
        with pytest.raises(DeliveryFailed, match="no member of the guild") as failure:
            await delivery.deliver(request)
        assert failure.value.permanent
    assert village.double.wire.sent(*SEND) == []


# --- nothing twice --------------------------------------------------------------------------------------------------


async def test_a_retry_after_a_lost_answer_leaves_one_message(village: Village) -> None:
    """The connection broke after Discord took the message: the same nonce finds it again."""
    village.double.faults.cut(*SEND, applied=True)
    delivery, request = village.delivery(), village.request()
    with pytest.raises(DeliveryFailed) as failure:
        await delivery.deliver(request)
    assert failure.value.ambiguous
    assert not failure.value.permanent
    receipt = await delivery.deliver(request)
    assert [str(message.id) for message in village.square.messages] == [receipt]
    assert len({sent.payload["nonce"] for sent in village.double.wire.sent(*SEND)}) == 1
    assert all(sent.payload["enforce_nonce"] for sent in village.double.wire.sent(*SEND))


@pytest.mark.parametrize("format", ["embed", "markdown"])
async def test_another_process_that_sends_again_within_minutes_leaves_one_result(village: Village, format: str) -> None:
    """The nonce is a function of the delivery, not of the process: a successor doubles no part."""
    request = village.request(text=LONG, format=format)
    first = await village.delivery().deliver(request)
    village.double.world.pass_time(timedelta(seconds=90))
    async with village.double.rest_client() as other:
        assert await village.delivery(other).deliver(request) == first
    assert ",".join(str(message.id) for message in village.square.messages) == first


@pytest.mark.parametrize("format", ["embed", "markdown", "text"])
async def test_another_process_finds_the_result_of_hours_ago(village: Village, format: str) -> None:
    """When Discord has forgotten the nonce, the channel itself is looked at; the receipt names what stands there."""
    request = village.request("8f1c_run-1", text="*Two* people_spoke " + LONG, format=format)
    first = await village.delivery().deliver(request)
    village.double.world.pass_time(timedelta(hours=5))
    village.double.world.say(village.square, village.ann, "thanks")
    async with village.double.rest_client() as other:
        assert await village.delivery(other).deliver(request) == first
    assert len(village.square.messages) == len(first.split(",")) + 1


async def test_another_process_sends_hours_later_only_the_parts_that_are_missing(village: Village) -> None:
    """A result that broke off in the middle is completed where it stopped."""
    request = village.request(text=LONG, format="markdown")
    village.double.rates.set(*SEND, limit=1, window_seconds=3600)
    with pytest.raises(DeliveryFailed):
        await village.delivery().deliver(request)
    village.double.rates.set(*SEND, limit=1000, window_seconds=1)
    village.double.world.pass_time(timedelta(hours=5))
    async with village.double.rest_client() as other:
        receipt = await village.delivery(other).deliver(request)
    assert ",".join(str(message.id) for message in village.square.messages) == receipt
    assert sum(message.content.count("print('the harvest')") for message in village.square.messages) == 200


async def test_a_part_that_was_deleted_is_sent_again_with_all_that_followed(village: Village) -> None:
    """What is looked up goes on without a gap: no part is left out."""
    request = village.request(text=LONG, format="markdown")
    await village.delivery().deliver(request)
    before = [message.content for message in village.square.messages]
    del village.square.messages[1]
    village.double.world.pass_time(timedelta(hours=5))
    receipt = await village.delivery().deliver(request)
    standing = {str(message.id): message.content for message in village.square.messages}
    assert [standing[id] for id in receipt.split(",")] == before


async def test_a_copy_by_somebody_else_is_no_delivery(village: Village) -> None:
    """Only the bot's own messages count, whatever people paste."""
    request = village.request(format="markdown")
    await village.delivery().deliver(request)
    [sent] = village.square.messages
    village.square.messages.clear()
    village.double.world.say(village.square, village.ann, sent.content)
    village.double.world.pass_time(timedelta(hours=5))
    receipt = await village.delivery().deliver(request)
    assert [str(message.id) for message in village.square.messages[1:]] == [receipt]


async def test_an_embed_that_does_not_name_its_run_is_sent_again(village: Village) -> None:
    """An engine's own embed could be that of another run: what is not certain is not left out."""
    embed = {"title": "Weather", "description": "Sunny", "footer": {"text": "the weather office"}}
    requests = [village.request(run, embed=embed) for run in ("run-1", "run-2")]
    village.double.world.pass_time(timedelta(hours=5))
    for request in requests:
        await village.delivery().deliver(request)
    assert len(village.square.messages) == 2


async def test_only_what_was_said_since_the_slot_is_looked_through(village: Village) -> None:
    """One page, where the channel has many."""
    for number in range(300):
        village.double.world.say(village.square, village.ann, f"number {number}")
    village.double.world.pass_time(timedelta(hours=1))
    request = village.request()
    village.double.world.pass_time(timedelta(hours=5))
    await village.delivery().deliver(request)
    assert len(village.double.wire.sent("GET")) == 1


async def test_the_same_words_of_another_run_are_another_result(village: Village) -> None:
    """Results of two late runs that say the same are both sent: each names its run."""
    requests = [village.request(run) for run in ("run-1", "run-2")]
    village.double.world.pass_time(timedelta(hours=5))
    for request in requests:
        await village.delivery().deliver(request)
    assert len(village.square.messages) == 2


async def test_discord_forgets_a_nonce_after_minutes(village: Village) -> None:
    """Why ``remembers`` is short: without a look at the channel, a later send would stand there twice."""
    request = village.request()
    await village.delivery().deliver(request)
    assert village.delivery().remembers(request.destination) < village.double.world.nonce_memory
    village.double.world.pass_time(timedelta(hours=5))
    village.double.world.deny(village.square, Permission.READ_MESSAGE_HISTORY)
    await village.delivery().deliver(request)
    assert len(village.square.messages) == 2


# --- errors told apart ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, 50035),
        (400, 50006),
        (400, 200000),
        (403, 50001),
        (403, 50013),
        (403, 50007),
        (404, 10003),
        (404, 10015),
        (400, 50083),
        (413, 40005),
    ],
)
async def test_refusals_are_permanent(village: Village, status: int, code: int) -> None:
    """What Discord refuses for good is not ambiguous, and the reason says what it answered."""
    village.double.faults.answer(*SEND, status, code, "no")
    failure = await refused(village)
    assert failure.permanent
    assert not failure.ambiguous
    assert f"answered {status} (code {code}): no" in failure.reason
    assert village.square.messages == []


@pytest.mark.parametrize("code", [0, 50027])
async def test_a_token_that_was_reset_is_held_against_no_channel(
    village: Village, code: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Not for good, no failure in a row, and it says what to mend; after five refusals Discord is not asked further."""
    village.double.faults.answer(*SEND, 401, code, "401: Unauthorized", times=5)
    delivery = village.delivery()
    for _ in range(5):
        with pytest.raises(DeliveryFailed) as failure:
            await delivery.deliver(village.request())
        assert (failure.value.permanent, failure.value.ambiguous, failure.value.postponed) == (False, False, True)
        assert "the operator has to mend DISCORD_TOKEN" in failure.value.reason
        assert failure.value.reason in caplog.text
    asked = len(village.double.wire.sent(*SEND))
    with pytest.raises(DeliveryFailed, match="left alone for now"):
        await delivery.deliver(village.request())
    assert len(village.double.wire.sent(*SEND)) == asked == 5
    states = delivery._gates.states()
    assert list(states) == ["the bot's token at discord.com"], "webhooks at Discord, which need no token, go on"
    assert "DISCORD_TOKEN" in str(states["the bot's token at discord.com"].last_error)
    village.double.world.pass_time(timedelta(minutes=2))
    await village.delivery().deliver(village.request())


@pytest.mark.parametrize(("status", "tries"), [(500, 5), (502, 5), (503, 1), (504, 5)])
async def test_outages_are_transient(village: Village, status: int, tries: int) -> None:
    """discord.py tries some of them again by itself, with the same nonce; then the run is retried later."""
    village.double.faults.answer(*SEND, status, times=100)
    failure = await refused(village)
    assert not failure.permanent
    assert failure.ambiguous
    assert len(village.double.wire.sent(*SEND)) == tries
    assert len({sent.payload["nonce"] for sent in village.double.wire.sent(*SEND)}) == 1


@pytest.mark.parametrize("status", [502, 503])
async def test_a_page_of_the_network_in_front_of_discord_is_transient(village: Village, status: int) -> None:
    """HTML where JSON was expected is an outage too."""
    village.double.faults.answer(*SEND, status, times=100, body="<html><title>Bad gateway</title></html>")
    assert not (await refused(village)).permanent


async def test_a_burst_of_errors_shorter_than_the_librarys_patience_is_not_noticed(village: Village) -> None:
    """Three errors, then it works: one message."""
    village.double.faults.answer(*SEND, 500, times=3)
    with hurried() as slept:
        await village.delivery().deliver(village.request())
    assert len(slept) == 3
    assert len(village.square.messages) == 1


async def test_a_long_wait_is_handed_to_the_scheduler(village: Village) -> None:
    """A 429 that asks for more than half a minute becomes a transient failure that says how long."""
    village.double.faults.rate_limit(*SEND, retry_after_seconds=120)
    failure = await refused(village)
    assert not failure.permanent
    assert not failure.ambiguous
    assert failure.retry_after_seconds == 120


async def test_a_short_wait_is_waited_for(village: Village) -> None:
    """A 429 that asks for seconds is obeyed and tried again by the library."""
    village.double.faults.rate_limit(*SEND, retry_after_seconds=7)
    with hurried() as slept:
        await village.delivery().deliver(village.request())
    assert slept == [7]
    assert len(village.square.messages) == 1


async def test_a_ban_by_the_network_in_front_of_discord_is_transient(village: Village) -> None:
    """A 429 without Via is not from Discord itself; it is not repeated at once."""
    fault = village.double.faults.answer(*SEND, 429, times=100, body="banned")
    fault.headers = {"Retry-After": "900"}
    failure = await refused(village)
    assert not failure.permanent
    assert failure.retry_after_seconds == 900
    assert len(village.double.wire.sent(*SEND)) == 1


async def test_a_connection_that_breaks_before_anything_was_done_is_ambiguous_too(village: Village) -> None:
    """Nobody can tell it from the other case; the next try arrives once."""
    village.double.faults.cut(*SEND, applied=False)
    assert (await refused(village)).ambiguous
    await village.delivery().deliver(village.request())
    assert len(village.square.messages) == 1


@pytest.mark.parametrize("broken", [True, False])
async def test_an_error_before_sending_is_not_ambiguous(village: Village, broken: bool) -> None:
    """While the channel is looked up nothing is on its way."""
    if broken:  # for a GET the connection is tried anew by itself
        village.double.faults.cut("GET", "/channels/*", applied=True, times=10)
    else:
        village.double.faults.answer("GET", "/channels/*", 503)
    failure = await refused(village)
    assert not failure.ambiguous
    assert not failure.permanent
    assert village.double.wire.sent(*SEND) == []


async def test_a_garbled_answer_is_ambiguous(village: Village) -> None:
    """200 with something that is no message: it may have arrived."""
    village.double.faults.answer(*SEND, 200, body="<html>welcome to the hotel network</html>")
    failure = await refused(village)
    assert failure.ambiguous
    assert not failure.permanent


# --- places that take nothing ---------------------------------------------------------------------------------------


async def test_a_channel_of_another_guild_gets_nothing(village: Village) -> None:
    """It is refused in the words of a channel that does not exist, and nothing is sent."""
    other = village.double.world.add_channel(village.double.world.add_guild("Other"), "vault")
    failure = await refused(village, village.request(target=other.id))
    assert failure.permanent
    assert "does not exist or may not be seen" in failure.reason
    assert village.double.wire.sent(*SEND) == []


async def test_a_locked_thread_is_a_permanent_failure(village: Village) -> None:
    """50083: only a moderator opens it again."""
    thread = village.double.world.add_thread(village.square, "old", archived=True, locked=True)
    failure = await refused(village, village.request(target=thread.id))
    assert failure.permanent
    assert "50083" in failure.reason


@pytest.mark.parametrize("lacking", [Permission.VIEW_CHANNEL, Permission.SEND_MESSAGES, Permission.EMBED_LINKS])
async def test_a_missing_permission_is_a_permanent_failure(village: Village, lacking: Permission) -> None:
    """403, said by Discord itself."""
    village.double.world.deny(village.square, lacking)
    failure = await refused(village)
    assert failure.permanent
    assert "answered 403" in failure.reason


@pytest.mark.parametrize("type", [ChannelType.CATEGORY, ChannelType.FORUM])
async def test_what_holds_no_messages_takes_none(village: Village, type: ChannelType) -> None:
    """A category or a forum is refused in words."""
    place = village.double.world.add_channel(village.guild, "place", type=type)
    failure = await refused(village, village.request(target=place.id))
    assert failure.permanent
    assert "takes no messages" in failure.reason


async def test_a_deleted_channel_and_a_conversation_are_permanent_failures(village: Village) -> None:
    """An id that leads nowhere, and one that leads to a person."""
    for target in (1184200000000001024, village.double.world.conversation(village.ann).id):
        assert (await refused(village, village.request(target=target))).permanent
    assert village.double.wire.sent(*SEND) == []
