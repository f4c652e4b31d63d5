"""Rows are read as they stand in a file; one that was damaged must be an error that says so, and no traceback."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from domain.errors import DaybookError, StoreError

__all__ = ["naming_damage"]

P = ParamSpec("P")
T = TypeVar("T")


def naming_damage(make: Callable[P, T]) -> Callable[P, T]:
    """The same function, whose trouble with the values of a row is a StoreError."""

    @wraps(make)
    def named(*arguments: P.args, **more: P.kwargs) -> T:
        try:
            return make(*arguments, **more)
        except DaybookError:
            raise
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise StoreError(
                f"a row of the read model is damaged ({type(error).__name__}); `daybook rebuild` makes all rows anew"
            ) from error

    return named
