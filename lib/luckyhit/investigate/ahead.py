"""Imports that later cells need, made while a service comes up: this process waits then, and nothing is measured yet.

Later they would keep a reader waiting: for the first figure, the verdict, the report. While something is measured they
would take a core away from the service and the load.
"""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_NEEDED = (
    "pandas",
    "matplotlib.backends.backend_agg",
    "matplotlib.backends.backend_svg",
    "luckyhit.judge",
    "luckyhit.report.figures.figure_rows",
    "luckyhit.report.notebook_tables",
    "luckyhit.report.context",
    "luckyhit.report.page",
    "luckyhit.report.index",
    "jinja2",
)


@contextmanager
def imported_meanwhile() -> Iterator[None]:
    """What the block does, and all those imports beside it; both are done when it is left."""
    if all(name in sys.modules for name in _NEEDED):
        yield
        return
    importing = threading.Thread(target=_import, name="imports", daemon=True)
    importing.start()
    try:
        yield
    finally:
        importing.join()


def _import() -> None:
    for name in _NEEDED:
        # What can't be imported is told by the cell that needs it.
        with suppress(Exception):
            importlib.import_module(name)
