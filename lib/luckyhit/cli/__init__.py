"""The command line: `luckyhit check | run | new | visibility | load | judge | report | revert | runs`.

Exit codes: 0 finished, whatever the verdict (`--fail-on` turns chosen verdicts into 1) · 1 a chosen verdict, or a
defect · 2 invalid case or arguments · 3 a guard stopped it before anything changed · 4 not enough data (also: the time
limit of `--timeout`, rolled back) · 5 rollback not confirmed · 130 interrupted (Ctrl-C or SIGTERM), rolled back.
"""

from __future__ import annotations

import sys
from typing import NoReturn

# The commands stand in the help in this order.
from luckyhit.cli import cases, new, visibility, load_command, judging, runs  # isort: skip
from luckyhit.cli.app import app
from luckyhit.errors import CaseError, LuckyHitError

__all__ = ["app", "cases", "judging", "load_command", "main", "new", "runs", "visibility"]


def main() -> NoReturn:
    """Entry point. Errors of the tree end as their message, what to do next, and their exit code."""
    try:
        app(standalone_mode=True)
    except CaseError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
    except LuckyHitError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    sys.exit(0)
