"""The command line: `luckyhit check | run | new | judge | report | revert | runs | whatif | bisect | fleet | lab |
visibility | load`.

Exit codes: 0 finished, whatever the verdict (`--fail-on` turns chosen verdicts into 1) · 1 a chosen verdict, or a
defect · 2 invalid case or arguments · 3 a guard stopped the run before anything changed · 4 not enough data (also:
stopped by `--timeout`) · 5 rollback not confirmed · 130 interrupted (Ctrl-C or SIGTERM), rolled back.
"""

from __future__ import annotations

import atexit
import gc
import sys
from typing import NoReturn

# The help lists the commands in this order.
from luckyhit.cli import commands, whatif_command, bisect_command, fleet_command, lab_command, visibility, load_command  # isort: skip
from luckyhit.cli.app import app
from luckyhit.errors import CaseError, LuckyHitError, NoRoom

__all__ = [
    "app",
    "bisect_command",
    "commands",
    "fleet_command",
    "lab_command",
    "load_command",
    "main",
    "visibility",
    "whatif_command",
]


def main() -> NoReturn:
    """Entry point. An error of Lucky Hit's own prints its message and what to do, and sets the exit code."""
    # The process ends: to go through all modules for garbage would take a quarter of a second.
    atexit.register(gc.freeze)
    try:
        app(standalone_mode=True)
    except CaseError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
    except LuckyHitError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except OSError as error:
        if (full := NoRoom.of(error)) is None:
            raise
        print(f"error: {full}", file=sys.stderr)
        sys.exit(full.exit_code)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    sys.exit(0)
