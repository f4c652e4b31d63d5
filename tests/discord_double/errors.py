"""The errors that Discord answers with, by name."""

from __future__ import annotations

from typing import Any

__all__ = ["ApiError", "invalid_form"]

Json = dict[str, Any]


class ApiError(Exception):
    """A refusal: an HTTP status, one of Discord's codes, and for 50035 the tree of what is wrong where."""

    def __init__(self, status: int, code: int, message: str, errors: Json | None = None) -> None:
        self.status, self.code, self.message, self.errors = status, code, message, errors
        super().__init__(f"{status} ({code}): {message}")

    def body(self) -> Json:
        """The JSON of the answer."""
        made: Json = {"message": self.message, "code": self.code}
        return made | ({"errors": self.errors} if self.errors else {})


def invalid_form(problems: dict[str, tuple[str, str]]) -> ApiError:
    """400 with code 50035. ``problems``: dotted place ("embeds.0.title") to (code, message)."""
    tree: Json = {}
    for place, (code, message) in problems.items():
        node = tree
        for step in place.split("."):
            node = node.setdefault(step, {})
        node.setdefault("_errors", []).append({"code": code, "message": message})
    return ApiError(400, 50035, "Invalid Form Body", tree)


def unauthorized() -> ApiError:
    """The token is none."""
    return ApiError(401, 0, "401: Unauthorized")


def unknown_route() -> ApiError:
    """The path leads nowhere."""
    return ApiError(404, 0, "404: Not Found")


def unknown(what: str) -> ApiError:
    """No such thing: "Channel", "Guild", "Member", "Message", "User", "Interaction", "Webhook"."""
    codes = {
        "Channel": 10003,
        "Guild": 10004,
        "Member": 10007,
        "Message": 10008,
        "User": 10013,
        "Webhook": 10015,
        "Interaction": 10062,
    }
    return ApiError(404, codes[what], f"Unknown {what}")


def missing_access() -> ApiError:
    """The bot does not see it."""
    return ApiError(403, 50001, "Missing Access")


def missing_permissions() -> ApiError:
    """The bot sees it and may not do this."""
    return ApiError(403, 50013, "Missing Permissions")
