"""Interactions: a person uses a command, types, presses, submits; the bot answers by callback and follow-ups."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from secrets import token_hex
from typing import Any

from tests.discord_double.commands import Commands, NotOffered
from tests.discord_double.errors import ApiError, invalid_form, unknown
from tests.discord_double.gateway import Gateway
from tests.discord_double.limits import check_choices, check_message, check_modal
from tests.discord_double.payloads import channel_json, member_json, message_json, user_json
from tests.discord_double.permissions import permissions_in
from tests.discord_double.rest import apply_edit, made_message
from tests.discord_double.wire import Call, Wire
from tests.discord_double.world import Channel, Message, User, World

__all__ = ["Interaction", "Interactions"]

Json = dict[str, Any]

ACKNOWLEDGE_WITHIN, TOKEN_LIVES = timedelta(seconds=3), timedelta(minutes=15)
COMMAND, COMPONENT, AUTOCOMPLETE, MODAL = 2, 3, 4, 5
_MESSAGE, _DEFER, _DEFER_UPDATE, _UPDATE, _CHOICES, _OPEN_MODAL = 4, 5, 6, 7, 8, 9
_TAKEN = {
    COMMAND: {_MESSAGE, _DEFER, _OPEN_MODAL},
    COMPONENT: {_MESSAGE, _DEFER, _DEFER_UPDATE, _UPDATE, _OPEN_MODAL},
    AUTOCOMPLETE: {_CHOICES},
    MODAL: {_MESSAGE, _DEFER, _DEFER_UPDATE, _UPDATE},
}
_EPHEMERAL = 1 << 6
_TEXT_INPUT, _LINK_STYLE, _CHANNEL_SELECT = 4, 5, 8


@dataclass
class Interaction:
    """One interaction and what the bot did with it. ``answer`` is the type of its first response, None before."""

    id: int
    token: str
    type: int
    user: User
    channel: Channel
    created_at: datetime
    message: Message | None = None
    answer: int | None = None
    ephemeral: bool = False
    original: Message | None = None
    """The message that answers it; of a press that was answered by an update, the message that was pressed."""
    edits: int = 0
    """How often the bot changed the message that answers it, or that was pressed."""
    followups: list[Message] = field(default_factory=list)
    choices: list[Json] | None = None
    modal: Json | None = None
    refusals: list[ApiError] = field(default_factory=list)
    """What the bot tried and was refused."""
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def thinking(self) -> bool:
        """Whether it was deferred and the person still waits."""
        return self.answer == _DEFER and self.original is None

    async def until(self, happened: Callable[[Interaction], bool]) -> Interaction:
        """Wait until something holds; looked at with every answer of the bot."""
        while not happened(self):
            self._changed.clear()
            await self._changed.wait()
        return self

    async def answered(self) -> Interaction:
        """Wait until the person sees something: a message, choices, a modal, or an update."""
        return await self.until(lambda each: each.answer is not None and not each.thinking)

    async def done(self) -> Interaction:
        """Wait until what the person waits for is there: also behind a deferred update, which shows nothing itself."""
        await self.answered()
        return await self.until(lambda each: each.answer != _DEFER_UPDATE or bool(each.edits or each.followups))

    async def shown(self) -> Message:
        """Wait for the message that answers, and return it."""
        await self.until(lambda each: each.original is not None)
        assert self.original is not None
        return self.original

    def changed(self) -> None:
        """Wake who waits."""
        self._changed.set()


class Interactions:
    """Makes interactions as people do, and takes the bot's answers. ``made`` holds all, newest last."""

    def __init__(self, world: World, wire: Wire, gateway: Gateway, commands: Commands) -> None:
        self.world, self.gateway, self.commands = world, gateway, commands
        self.made: list[Interaction] = []
        self.locales: dict[int, str] = {}
        """The languages of people's clients, by user id; English where nothing is said."""
        wire.route("POST", "/interactions/{interaction}/{token}/callback", self._callback, token_in_path=True)
        wire.route("POST", "/webhooks/{application}/{token}", self._follow_up, token_in_path=True)
        for method, handler in (("GET", self._shown), ("PATCH", self._edited), ("DELETE", self._deleted)):
            path = "/webhooks/{application}/{token}/messages/{message}"
            wire.route(method, path, handler, token_in_path=True)

    # --- what people do ---

    def slash(self, user: User, channel: Channel, path: str, /, **options: Any) -> Interaction:
        """Use a command ("schedule create"). Options may be users, channels and roles. Raises NotOffered."""
        return self._make(COMMAND, user, channel, self.commands.data(user, channel, path, options))

    def type(self, user: User, channel: Channel, path: str, focused: str, /, **options: Any) -> Interaction:
        """Type into the option ``focused`` of a command, with what is in the others so far."""
        return self._make(AUTOCOMPLETE, user, channel, self.commands.data(user, channel, path, options, focused))

    def press(
        self, user: User, message: Message, custom_id: str, values: Sequence[str | Channel] | None = None
    ) -> Interaction:
        """Press a button, or choose from a select, under a message. Raises NotOffered for what is not there."""
        component = next((each for each in _walk(message.components) if each.get("custom_id") == custom_id), None)
        hidden = message.visible_to not in (None, user.id)
        if component is None or component.get("disabled") or component.get("style") == _LINK_STYLE or hidden:
            offered = [each["custom_id"] for each in _walk(message.components) if "custom_id" in each]
            raise NotOffered(f"{custom_id} cannot be pressed by {user.name}; there are {offered}")
        if values is not None and component.get("options"):
            known = {option["value"] for option in component["options"]}
            if not set(values) <= known:
                raise NotOffered(f"{custom_id}: {values} are not among {sorted(known)}")
        channel = self.world.channels[message.channel_id]
        data: Json = {"custom_id": custom_id, "component_type": component["type"]}
        data["values"] = [str(value.id) if isinstance(value, Channel) else value for value in values or ()]
        places = [value for value in values or () if isinstance(value, Channel)]
        if places:
            self._check_places(component, places)
            told = {str(place.id): self.commands.chosen(user, channel, place) for place in places}
            data["resolved"] = {"channels": told}
        return self._make(COMPONENT, user, channel, data, message)

    def _check_places(self, component: Json, places: list[Channel]) -> None:
        kinds, most = component.get("channel_types") or [], component.get("max_values", 1)
        if component["type"] != _CHANNEL_SELECT or len(places) > most:
            raise NotOffered(f"{component['custom_id']} does not take {len(places)} channels")
        if astray := [place.name for place in places if kinds and place.type not in kinds]:
            raise NotOffered(f"{component['custom_id']}: {astray} are not of the types {kinds}")

    def submit(self, opened: Interaction, **texts: str) -> Interaction:
        """Fill in the modal that an interaction opened, by custom ids; what is left out keeps its given value."""
        if opened.modal is None:
            raise NotOffered("no modal was opened")
        inputs = [each for each in _walk(opened.modal["components"]) if each["type"] == _TEXT_INPUT]
        if unknown_ids := set(texts) - {each["custom_id"] for each in inputs}:
            raise NotOffered(f"the modal has no {sorted(unknown_ids)}; it has {[each['custom_id'] for each in inputs]}")
        rows = []
        for each in inputs:
            text = texts.get(each["custom_id"], each.get("value") or "")
            if (each.get("required", True) and not text) or len(text) > each.get("max_length", 4000):
                raise NotOffered(f"{each['custom_id']} does not take {len(text)} characters")
            rows.append({"type": 1, "components": [{"type": 4, "custom_id": each["custom_id"], "value": text}]})
        data = {"custom_id": opened.modal["custom_id"], "components": rows}
        return self._make(MODAL, opened.user, opened.channel, data, opened.message)

    def _make(self, type: int, user: User, channel: Channel, data: Json, message: Message | None = None) -> Interaction:
        at = self.world.now()
        made = Interaction(self.world.new_id(), token_hex(16), type, user, channel, at, message)
        self.made.append(made)
        payload: Json = {
            "id": str(made.id),
            "application_id": str(self.world.application_id),
            "type": type,
            "data": data,
            "token": made.token,
            "version": 1,
            "channel": channel_json(self.world, channel),
            "channel_id": str(channel.id),
            "locale": self.locales.get(user.id, "en-US"),
            "app_permissions": str(permissions_in(self.world, channel, self.world.bot.id)),
            "attachment_size_limit": 10 * 1024 * 1024,
            "entitlements": [],
            "authorizing_integration_owners": {"0": str(channel.guild_id or 0)},
            "context": 0 if channel.guild_id else 1,
        }
        if message is not None:
            payload["message"] = message_json(self.world, message)
        if channel.guild_id is None:
            payload["user"] = user_json(user)
        else:
            guild = self.world.guilds[channel.guild_id]
            permissions = str(permissions_in(self.world, channel, user.id))
            payload |= {"guild_id": str(guild.id), "guild_locale": "en-US"}
            payload["guild"] = {"id": str(guild.id), "locale": "en-US", "features": []}
            payload["member"] = member_json(guild.members[user.id]) | {"permissions": permissions}
        self.gateway.dispatch("INTERACTION_CREATE", payload)
        return made

    # --- what the bot answers ---

    async def _callback(self, call: Call) -> Any:
        made = next((each for each in self.made if each.id == call.id("interaction")), None)
        if made is None or made.token != call.ids["token"]:
            raise unknown("Interaction")
        try:
            return self._acknowledged(made, call)
        except ApiError as error:
            made.refusals.append(error)
            raise
        finally:
            made.changed()

    def _acknowledged(self, made: Interaction, call: Call) -> Any:
        if made.answer is not None:
            raise ApiError(400, 40060, "Interaction has already been acknowledged.")
        if self.world.now() - made.created_at > ACKNOWLEDGE_WITHIN:
            raise unknown("Interaction")
        type, data = call.payload["type"], call.payload.get("data") or {}
        on_message = type in (_DEFER_UPDATE, _UPDATE)
        if type not in _TAKEN[made.type] or (on_message and made.message is None):
            raise invalid_form({"type": ("INTERACTION_RESPONSE_TYPE_INVALID", f"{type} does not answer {made.type}")})
        made.ephemeral = bool(int(data.get("flags") or 0) & _EPHEMERAL)
        if type == _CHOICES:
            check_choices(data.get("choices") or [])
            made.choices = data.get("choices") or []
        elif type == _OPEN_MODAL:
            check_modal(data)
            made.modal = data
        elif type == _MESSAGE:
            made.original = self._said(made, data, call.files)
        elif type == _UPDATE and made.message is not None:
            check_message(data, editing=True)
            self._change(made.message, data)
        if on_message:
            made.original = made.message
        made.answer = type
        return self._told(made) if call.query.get("with_response") else None

    def _told(self, made: Interaction) -> Json:
        about: Json = {
            "id": str(made.id),
            "type": made.type,
            "response_message_loading": made.thinking,
            "response_message_ephemeral": made.ephemeral,
        }
        told: Json = {"interaction": about}
        if made.original is not None:
            about["response_message_id"] = str(made.original.id)
            told["resource"] = {"type": made.answer, "message": message_json(self.world, made.original)}
        return told

    def _said(self, made: Interaction, data: Json, files: list[tuple[str, bytes]]) -> Message:
        """The bot's message in answer; an ephemeral one stands in no channel."""
        check_message(data, [len(content) for _, content in files])
        message = made_message(self.world, made.channel, data, files)
        message.webhook_id = self.world.application_id
        if made.ephemeral:
            message.visible_to = made.user.id
            return message
        return self.world.put(made.channel, message)

    def _change(self, message: Message, payload: Json) -> None:
        apply_edit(self.world, message, payload)
        if message.visible_to is None:
            self.world.tell("MESSAGE_UPDATE", self.world.channels[message.channel_id], message)

    # --- follow-ups ---

    async def _follow_up(self, call: Call) -> Any:
        made, data = self._of_token(call), call.payload or {}
        if made.thinking:  # the first one takes the place of "is thinking"
            made.original = message = self._said(made, data, call.files)
        else:
            made.ephemeral = bool(int(data.get("flags") or 0) & _EPHEMERAL)
            message = self._said(made, data, call.files)
            made.followups.append(message)
        made.changed()
        return message_json(self.world, message)

    async def _shown(self, call: Call) -> Any:
        return message_json(self.world, self._message(call)[1])

    async def _edited(self, call: Call) -> Any:
        made = self._of_token(call)
        if call.ids["message"] == "@original" and made.thinking:
            made.original = self._said(made, call.payload or {}, call.files)
            made.changed()
            return message_json(self.world, made.original)
        made, message = self._message(call)
        check_message(call.payload or {}, [len(content) for _, content in call.files], editing=True)
        self._change(message, call.payload or {})
        made.edits += 1
        made.changed()
        return message_json(self.world, message)

    async def _deleted(self, call: Call) -> Any:
        made, message = self._message(call)
        if message in made.followups:
            made.followups.remove(message)
        else:
            made.original = None
        channel = self.world.channels[message.channel_id]
        if message in channel.messages:
            channel.messages.remove(message)
            self.world.tell("MESSAGE_DELETE", channel, message)
        made.changed()

    def _of_token(self, call: Call) -> Interaction:
        """The interaction of the token in the path, if it was acknowledged and still lives."""
        made = next((each for each in self.made if each.token == call.ids["token"]), None)
        if made is None or made.answer is None:
            raise unknown("Webhook")
        if self.world.now() - made.created_at > TOKEN_LIVES:
            raise ApiError(401, 50027, "Invalid Webhook Token")
        return made

    def _message(self, call: Call) -> tuple[Interaction, Message]:
        made = self._of_token(call)
        named = call.ids["message"]
        if named == "@original":
            found = made.original
        else:
            own = [*made.followups, *([made.original] if made.original else [])]
            found = next((each for each in own if str(each.id) == named), None)
        if found is None:
            raise unknown("Message")
        return made, found


def _walk(components: list[Json]) -> list[Json]:
    """Every component, whatever it is nested in."""
    found = []
    for component in components:
        single = [component[key] for key in ("accessory", "component") if component.get(key)]
        found += [component, *_walk(component.get("components") or []), *_walk(single)]
    return found
