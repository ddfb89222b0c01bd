"""How a benchmark tells a row of the table (`benchmarks/table`): one JSON object in a line of standard output.

    {"row": "clear-time", "ratio": 1.31, "noise": 0.08, "note": "0.94 s against 0.72 s"}
    {"row": "closed-loop-wrk", "skipped": "wrk is not installed"}

`ratio` is the median over the rounds, `noise` half the range of the rounds' ratios, as a part of the ratio.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from statistics import median


def tell(row: str, ratios: Sequence[float], note: str = "") -> None:
    """`ratios`: one of each round."""
    ratio = median(ratios)
    spread = (max(ratios) - min(ratios)) / 2 / ratio
    print(json.dumps({"row": row, "ratio": ratio, "noise": spread, "note": note}), flush=True)


def skip(row: str, reason: str) -> None:
    print(json.dumps({"row": row, "skipped": reason}), flush=True)


def run_or_tell(
    about: str, seconds: float, show: Callable[[float, int], None], rows: Callable[[float, int], None]
) -> None:
    """A benchmark's command line: [SECONDS] [ROUNDS] for people, with `--json` its rows of the table."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("seconds", type=float, nargs="?", default=seconds)
    parser.add_argument("rounds", type=int, nargs="?", default=3)
    parser.add_argument("--json", action="store_true", help="rows of the table, one JSON object a line")
    given = parser.parse_args()
    (rows if given.json else show)(given.seconds, given.rounds)
