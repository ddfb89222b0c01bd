"""The process of a kernel, started before there is a run for it (by `luckyhit.cli.kernel_ahead`).

It imports what all three notebooks need while the command line is still reading the case; then one line on standard
input, a list of arguments as JSON, makes it a kernel. Without that line it ends.
"""

from __future__ import annotations

import gc
import json
import os
import sys

from ipykernel.kernelapp import launch_new_instance

from luckyhit.workflow.late_imports import NEEDED, import_needed

_BOOKS = "luckyhit.workflow.workbook"
_OBJECTS, _YOUNG, _OLD = 100_000, 50, 100


def main() -> None:
    """Raises ValueError for a line that is not JSON."""
    import_needed((_BOOKS, *NEEDED))
    # With all libraries loaded, a full collection takes a third of a second, mostly while a report is made. This
    # process makes little garbage, and ends with the run.
    gc.freeze()
    gc.set_threshold(_OBJECTS, _YOUNG, _OLD)
    gc.enable()
    line = sys.stdin.buffer.readline()
    if not line:
        return
    with open(os.devnull) as nothing:  # noqa: PTH123 - a path would be no shorter
        os.dup2(nothing.fileno(), 0)
    launch_new_instance(argv=json.loads(line))
