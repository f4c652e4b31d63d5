"""A frozen model with other values: what commands make of definitions, and of schedules, all the time."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel

__all__ = ["but"]

M = TypeVar("M", bound=BaseModel)

_put = object.__setattr__


def but(model: M, **values: Any) -> M:
    """The same with these values, which are not checked: ``model_copy(update=values)`` in a third of its time.

    For models without private and extra fields. What the model has cached is copied as well.
    """
    cls = type(model)
    made = cls.__new__(cls)
    _put(made, "__dict__", {**model.__dict__, **values})
    _put(made, "__pydantic_fields_set__", model.__pydantic_fields_set__ | values.keys())
    _put(made, "__pydantic_extra__", None)
    _put(made, "__pydantic_private__", None)
    return made
