"""Loops as machine code, by numba, which is imported when the first one runs: whoever never asks pays nothing.

Numba compiles a module's loops when they are first called, and keeps the result beside the source (or in the user's
cache), so that it takes seconds once and not with each start.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from functools import update_wrapper
from typing import Any, ParamSpec, TypeVar, cast

from luckyhit.errors import ArgumentError

P = ParamSpec("P")
R = TypeVar("R")
_LOCK = threading.RLock()


class _Loop:
    """A function that is compiled, with all others of its module, when one of them is called."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        update_wrapper(self, function)

    def __call__(self, *arguments: Any) -> Any:
        return _compiled(self)(*arguments)


def loop(function: Callable[P, R]) -> Callable[P, R]:
    """A loop over arrays, to be compiled. It may call other loops of its own module, and use its numbers."""
    return cast("Callable[P, R]", _Loop(function))


def _compiled(wanted: _Loop) -> Any:
    """The machine code of a loop. Numba looks names up in the module, so they are replaced there, all at once. Raises
    ArgumentError where numba is missing."""
    names = vars(sys.modules[wanted.function.__module__])
    with _LOCK:
        if isinstance(names[wanted.function.__name__], _Loop):
            try:
                from numba import njit
            except ImportError as error:
                raise ArgumentError(
                    f"numba is needed for this, and can't be imported: {error}",
                    hint="Install it: pip install 'luckyhit[whatif]'.",
                ) from None
            for name, value in list(names.items()):
                if isinstance(value, _Loop) and value.function.__module__ == wanted.function.__module__:
                    names[name] = njit(cache=True, nogil=True)(value.function)
        return names[wanted.function.__name__]
