"""Values of options that are what they should be are taken as they are.

Typer converts the value of each parameter, also of those that were not given, with an adapter of pydantic. Building
these takes longer than most commands take to answer: it is left to values that need it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, get_args, get_origin

__all__ = ["convert_late"]


def convert_late(command: Any) -> None:
    """Do so for all parameters of a command, its --help too, and of those below it."""
    for parameter in command.params:
        _late(parameter)
    command.get_help_option = partial(_late_help, command.get_help_option)
    for below in getattr(command, "commands", {}).values():
        convert_late(below)


def _late_help(make: Callable[[Any], Any], ctx: Any) -> Any:
    return _late(make(ctx))


def _late(parameter: Any) -> Any:
    make = getattr(parameter, "get_runtime_param", None)
    if make is not None and not isinstance(make, _Late):  # where Typer asks in another way it converts as ever
        parameter.get_runtime_param = _Late(make, parameter.type_descriptor.annotation)
    return parameter


class _Late:
    """In place of the method that makes a parameter's converter, and of the converter that it makes."""

    def __init__(self, make: Callable[[], Any], annotation: Any) -> None:
        self._make, self._annotation = make, annotation

    def __call__(self) -> _Late:
        return self

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """The value of one parameter, as its command wants it."""
        if value is None:
            return () if param.multiple or param.nargs == -1 else None
        if _is_a(self._annotation, value) and (isinstance(value, str | list | tuple) or value == param.default):
            return value
        return self._make().coerce(value, param=param, ctx=ctx)


def _is_a(annotation: Any, value: Any) -> bool:
    """Whether a value is what the annotation says, without being made so: a text, a default, or a list of texts."""
    if get_origin(annotation) is list and isinstance(value, list | tuple):
        return get_args(annotation) == (str,) and all(type(one) is str for one in value)
    return annotation in (str, int, float) and type(value) is annotation
