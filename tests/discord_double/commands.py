"""Application commands: how a tree is synced, and what Discord's client makes of what a person types."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from tests.discord_double.errors import invalid_form, missing_access
from tests.discord_double.payloads import channel_json, member_json, role_json, user_json
from tests.discord_double.permissions import permissions_in
from tests.discord_double.wire import Call, Wire
from tests.discord_double.world import Channel, Role, User, World

__all__ = ["Commands", "NotOffered"]

Json = dict[str, Any]

_SUBCOMMAND, _GROUP, _STRING, _INTEGER, _BOOLEAN, _USER, _CHANNEL, _ROLE, _MENTIONABLE, _NUMBER = range(1, 11)
_NAME = re.compile(r"[-_'\w]{1,32}")
_NAMES, _DESCRIPTIONS, _OPTIONS, _CHOICES = 100, 100, 25, 25


class NotOffered(LookupError):
    """Discord's client would not let the person do this: no such command, option or choice, or no permission."""


class Commands:
    """What is registered. ``syncs`` counts the times that a list of commands was put."""

    def __init__(self, world: World, wire: Wire) -> None:
        self.world = world
        self.syncs = 0
        self._registered: dict[int | None, list[Json]] = {}
        for path in ("/applications/{application}/commands", "/applications/{application}/guilds/{guild}/commands"):
            wire.route("PUT", path, self._put)
            wire.route("GET", path, self._get)

    def registered(self, guild_id: int | None = None) -> list[Json]:
        """The commands of a guild, or those of all guilds."""
        return self._registered.get(guild_id, [])

    def forget(self) -> None:
        """Nothing is registered any more, as when somebody else cleared the list."""
        self._registered.clear()

    async def _put(self, call: Call) -> Any:
        guild_id = call.id("guild") if "guild" in call.ids else None
        if guild_id is not None and self.world.bot.id not in getattr(self.world.guilds.get(guild_id), "members", {}):
            raise missing_access()
        problems = dict(_problems(call.payload))
        if problems:
            raise invalid_form(problems)
        self.syncs += 1
        application = str(self.world.application_id)
        kept = []
        for command in call.payload:
            id = str(self.world.new_id())
            kept.append({"id": id, "application_id": application, "version": id, "description": "", **command})
        self._registered[guild_id] = kept
        return kept

    async def _get(self, call: Call) -> Any:
        return self.registered(call.id("guild") if "guild" in call.ids else None)

    # --- what a person does ---

    def data(self, user: User, channel: Channel, path: str, given: dict[str, Any], focused: str | None = None) -> Json:
        """The data of an interaction for "schedule create" with these options; raises NotOffered.

        ``focused`` names the option that is being typed: then nothing needs to be complete.
        """
        first, *rest = path.split()
        offered = [*self.registered(channel.guild_id), *self.registered()]
        command = next((each for each in offered if each["name"] == first and each.get("type", 1) == 1), None)
        if command is None:
            raise NotOffered(f"no command /{first}; registered are {[each['name'] for each in offered]}")
        needed = int(command.get("default_member_permissions") or 0)
        if permissions_in(self.world, channel, user.id) & needed != needed:
            raise NotOffered(f"/{first} is not shown to {user.name}: it needs permissions {needed:b}")
        chain, options = [], command.get("options") or []
        for name in rest:
            step = next((each for each in options if each["name"] == name and each["type"] <= _GROUP), None)
            if step is None:
                raise NotOffered(f"/{path}: no {name}; there are {[each['name'] for each in options]}")
            chain.append(step)
            options = step.get("options") or []
        if any(each["type"] <= _GROUP for each in options):
            raise NotOffered(f"/{path} is a group of {[each['name'] for each in options]}")
        resolved: Json = {}
        made = self._options(path, options, given, focused, (user, channel), resolved)
        for step in reversed(chain):
            made = [{"type": step["type"], "name": step["name"], "options": made}]
        data = {"id": command["id"], "name": command["name"], "type": 1, "options": made}
        return data | ({"resolved": resolved} if resolved else {})

    def chosen(self, user: User, channel: Channel, place: Channel) -> Json:
        """A channel as it comes with an interaction, with what the person may do there. Raises NotOffered."""
        permissions = permissions_in(self.world, place, user.id)
        if place.guild_id != channel.guild_id or not permissions:
            raise NotOffered(f"#{place.name} is not shown to {user.name}")
        return channel_json(self.world, place) | {"permissions": str(permissions)}

    def _options(
        self,
        path: str,
        options: list[Json],
        given: dict[str, Any],
        focused: str | None,
        where: tuple[User, Channel],
        found: Json,
    ) -> list[Json]:
        known = {option["name"]: option for option in options}
        if unknown := set(given) - set(known):
            raise NotOffered(f"/{path} has no option {sorted(unknown)}; it has {sorted(known)}")
        missing = [name for name, option in known.items() if option.get("required") and name not in given]
        if missing and focused is None:
            raise NotOffered(f"/{path} asks for {missing}")
        made = []
        for name, value in given.items():
            option = known[name]
            if name == focused and not option.get("autocomplete"):
                raise NotOffered(f"/{path}: {name} completes nothing")
            # What is still being typed is sent as it is, however short.
            sent = value if name == focused else self._value(option, value, where, found)
            entry = {"name": name, "type": option["type"], "value": sent}
            made.append(entry | ({"focused": True} if name == focused else {}))
        return made

    def _value(self, option: Json, value: Any, where: tuple[User, Channel], found: Json) -> Any:
        """A value as Discord's client sends it, with what it refers to in ``found``."""
        choices = option.get("choices") or []
        if choices and value not in [choice["value"] for choice in choices]:
            raise NotOffered(f"{option['name']}: {value!r} is none of {[choice['value'] for choice in choices]}")
        low, high = option.get("min_value"), option.get("max_value")
        if (low is not None and value < low) or (high is not None and value > high):
            raise NotOffered(f"{option['name']}: {value} is outside {low} to {high}")
        if isinstance(value, str) and not (option.get("min_length") or 0) <= len(value) <= option.get(
            "max_length", 6000
        ):
            raise NotOffered(f"{option['name']}: {len(value)} characters")
        kinds = {_STRING: str, _INTEGER: int, _BOOLEAN: bool, _USER: User, _CHANNEL: Channel, _ROLE: Role}
        expected = kinds.get(option["type"])
        if expected is not None and not isinstance(value, expected):
            raise NotOffered(f"{option['name']}: {value!r} is no {expected.__name__}")
        user, channel = where
        if isinstance(value, Channel):
            offered = option.get("channel_types") or []
            if offered and value.type not in offered:
                raise NotOffered(f"{option['name']}: #{value.name} is a {value.type.name}, not one of {offered}")
            found.setdefault("channels", {})[str(value.id)] = self.chosen(user, channel, value)
            return str(value.id)
        if isinstance(value, Role):
            found.setdefault("roles", {})[str(value.id)] = role_json(value, 1)
            return str(value.id)
        if isinstance(value, User):
            found.setdefault("users", {})[str(value.id)] = user_json(value)
            guild = self.world.guilds.get(channel.guild_id or 0)
            if guild is not None and value.id in guild.members:
                member = {k: v for k, v in member_json(guild.members[value.id]).items() if k != "user"}
                found.setdefault("members", {})[str(value.id)] = member | {"permissions": "0"}
            return str(value.id)
        return value


def _problems(commands: list[Json]) -> Iterator[tuple[str, tuple[str, str]]]:
    if len(commands) > _NAMES:
        yield "commands", ("APPLICATION_COMMANDS_TOO_MANY", f"Maximum number of commands is {_NAMES}")
    names = [(command.get("type", 1), command["name"]) for command in commands]
    if len(set(names)) < len(names):
        yield "commands", ("APPLICATION_COMMANDS_DUPLICATE_NAME", "Application command names must be unique")
    for index, command in enumerate(commands):
        if command.get("type", 1) == 1:
            yield from _option_problems(command, str(index), depth=0)


def _option_problems(option: Json, place: str, depth: int) -> Iterator[tuple[str, tuple[str, str]]]:
    if not _NAME.fullmatch(option["name"]) or option["name"] != option["name"].lower():
        yield f"{place}.name", ("APPLICATION_COMMAND_INVALID_NAME", "Command name is invalid")
    if not 1 <= len(option.get("description") or "") <= _DESCRIPTIONS:
        yield f"{place}.description", ("BASE_TYPE_BAD_LENGTH", f"Must be between 1 and {_DESCRIPTIONS} in length.")
    inner, choices = option.get("options") or [], option.get("choices") or []
    if len(inner) > _OPTIONS or depth > 2:
        yield f"{place}.options", ("BASE_TYPE_MAX_LENGTH", f"Must be {_OPTIONS} or fewer in length.")
    if len(choices) > _CHOICES:
        yield f"{place}.choices", ("BASE_TYPE_MAX_LENGTH", f"Must be {_CHOICES} or fewer in length.")
    for number, choice in enumerate(choices):
        if not 1 <= len(choice["name"]) <= 100:
            yield f"{place}.choices.{number}.name", ("BASE_TYPE_BAD_LENGTH", "Must be between 1 and 100 in length.")
    required = [bool(each.get("required")) for each in inner]
    if required != sorted(required, reverse=True):
        yield f"{place}.options", ("APPLICATION_COMMAND_OPTIONS_REQUIRED_INVALID", "Required options come first")
    for number, each in enumerate(inner):
        yield from _option_problems(each, f"{place}.options.{number}", depth + 1)
