"""A double of Discord on loopback, for tests with a real discord.py client.

    async with discord_double() as double:
        guild = double.world.add_guild("Village")
        square = double.world.add_channel(guild, "square")
        async with double.rest_client() as client:           # REST only; double.connected() has a gateway too
            await (await client.fetch_channel(square.id)).send("hello")
        assert [message.content for message in square.messages] == ["hello"]

It speaks REST v10 and the gateway, and refuses what Discord refuses: the limits of messages (50035 with the tree of
errors), permissions (50013, 50001), unknown ids (10003 and its kin), closed conversations (50007), locked threads
(50083), a wrong token (401), answers to interactions after 3 s (10062) or twice (40060), follow-ups after 15 minutes.
Every answer has rate-limit headers, and one request too many gets 429.
A nonce with enforce_nonce is remembered for ``World.nonce_memory``; ``World.pass_time`` lets minutes pass in no time.

- ``world``: what exists. Tests fill it, and look at what became of it (``Channel.messages``, ``Message.pinged``).
- ``faults``: the next requests to a route are answered with an error, cut off before or after they took effect, left
  hanging, or handed to an act of the hostile world. ``rates``: narrow the limit of a route.
- ``wire.requests``: every request as it came in. ``wire.invalid_requests``: answers that Discord would hold against us.
- ``gateway``: RECONNECT, INVALID_SESSION, closed connections, refused connections; counts of what clients did.
- ``commands``: what a bot registered. ``interactions``: people use commands, type, press, choose and submit. They can
  do only what Discord's client would offer them (else NotOffered), and wait for the answer:
  ``message = await double.interactions.slash(ann, square, "schedule create", name="digest").shown()``.
  ``done()`` waits for what comes behind a deferred update; ``locales`` are the languages of people's clients. Channels
  come with what the person may do there, as options and from menus, and only those that the person sees.
- ``hurried``: discord.py waits for seconds between its own tries; within this it waits no time.

What it is not: complete. A route that it does not know answers 404, as Discord would.
"""

from tests.discord_double.app import DiscordDouble, discord_double, hurried
from tests.discord_double.commands import NotOffered
from tests.discord_double.faults import FaultKind
from tests.discord_double.interactions import Interaction
from tests.discord_double.permissions import EVERYDAY, Permission
from tests.discord_double.world import Channel, ChannelType, Guild, Member, Message, Role, User, World, snowflake

__all__ = [
    "EVERYDAY",
    "Channel",
    "ChannelType",
    "DiscordDouble",
    "FaultKind",
    "Guild",
    "Interaction",
    "Member",
    "Message",
    "NotOffered",
    "Permission",
    "Role",
    "User",
    "World",
    "discord_double",
    "hurried",
    "snowflake",
]
