"""Imports that somebody waits for: made while a service starts, and without collecting garbage."""

from __future__ import annotations

import gc
import importlib
import sys
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress

NEEDED = (
    "pandas",
    "luckyhit.workflow.planning",
    "luckyhit.workflow.notebook.cell_contents",
    "jinja2",
)
"""What later cells need."""


@contextmanager
def imported_meanwhile(names: Collection[str] = NEEDED) -> Iterator[None]:
    """Import what comes later in a thread while the block runs; both are done at its end."""
    if all(name in sys.modules for name in names):
        yield
        return
    importing = threading.Thread(target=import_needed, args=[names], name="imports", daemon=True)
    importing.start()
    try:
        yield
    finally:
        importing.join()


def import_needed(names: Collection[str] = NEEDED) -> None:
    """Import what later cells need."""
    with uncollected():
        for name in names:
            # The cell that needs it raises the ImportError.
            with suppress(Exception):
                importlib.import_module(name)


@contextmanager
def uncollected() -> Iterator[None]:
    """Make modules without collecting garbage, which would take a sixth of the time and find none. If any were made,
    later collections leave out what is there by then, and so does the last one, when the process ends."""
    if not gc.isenabled():
        yield
        return
    known = len(sys.modules)
    gc.disable()
    try:
        yield
    finally:
        if len(sys.modules) > known:
            gc.freeze()
        gc.enable()
